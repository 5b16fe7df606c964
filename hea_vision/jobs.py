"""The settings of every verb, one model each: what the Python functions, the shell and the widgets all read."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from hea_sim.alloy import Composition, parse_elements
from hea_sim.crystals import Prototype, prototype, prototype_from_cif
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.errors import InputError, MissingFileError, UnknownNameError, unknown_name
from hea_vision.campaign import Job, StrictJob, load_job
from hea_vision.io._axes import checked_axis
from hea_vision.io.lengths import parse_length
from hea_vision.xrd.classify import DEFAULT_LABELLER, PATTERN_LABELLERS


class ClassifyJob(StrictJob):
    """Settings of `hea classify`.

    `structures` are names of structure types and CIF files of your own; `scan` picks one of a file that holds several;
    `axis` says what the abscissa is where the file does not; `calibration` is the .poni file of detector images;
    `fast` asks for the network's probabilities alone, without a fit; `workers` are processes, and change no result.
    """

    elements: str | None = None
    radiation: str | None = None
    wavelength_A: float | None = Field(default=None, gt=0)
    structures: tuple[str, ...] | None = None
    model: str = DEFAULT_LABELLER
    scan: int | None = Field(default=None, ge=0)
    axis: str | None = None
    calibration: str | None = None
    fast: bool = False
    workers: int = Field(default=1, ge=1, le=1024)

    @field_validator("elements")
    @classmethod
    def _elements_exist(cls, value: str | None) -> str | None:
        if value is not None:
            parse_elements(value)
        return value

    @field_validator("radiation", mode="before")
    @classmethod
    def _radiation_exists(cls, value: object) -> object:
        return None if value is None else get_radiation(str(value)).name

    @field_validator("structures")
    @classmethod
    def _structures_are_known(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        read_structures(value or ())
        return value

    @field_validator("model")
    @classmethod
    def _model_is_known(cls, value: str) -> str:
        if value not in PATTERN_LABELLERS:
            raise unknown_name("pattern labeller", value, PATTERN_LABELLERS)
        return value

    @field_validator("axis")
    @classmethod
    def _axis_is_known(cls, value: str | None) -> str | None:
        return checked_axis(value)

    @field_validator("calibration")
    @classmethod
    def _calibration_is_there(cls, value: str | None) -> str | None:
        if value is not None and not Path(value).is_file():
            raise MissingFileError(f"{value}: no such file; wanted the .poni calibration of the detector")
        return value

    @model_validator(mode="after")
    def _fast_is_the_network_alone(self) -> ClassifyJob:
        if self.fast and (self.structures is not None or self.model != "network"):
            what = "structures" if self.structures is not None else f"model '{self.model}'"
            raise InputError(f"fast gives the network's own probabilities and knows no {what}; leave one of them out")
        return self

    @property
    def structure_files(self) -> tuple[str, ...]:
        """List the structures that are CIF files."""
        return tuple(s for s in self.structures or () if _is_cif(s))


def read_structures(names: Sequence[str]) -> tuple[str | Prototype, ...]:
    """Read structures given as names of types and as CIF files, mixed; names are checked and kept.

    Raises UnknownNameError for a name that is neither, and what `hea_sim.prototype_from_cif` raises.
    """
    found: list[str | Prototype] = []
    for name in names:
        if _is_cif(name):
            found.append(prototype_from_cif(name))
            continue
        try:
            prototype(name)
        except UnknownNameError as error:
            raise UnknownNameError(f"{error}; or the name of a CIF file that ends in .cif") from error
        found.append(name)
    return tuple(found)


def _is_cif(name: str) -> bool:
    return name.lower().endswith((".cif", ".mcif"))


class TrainXrdJob(StrictJob):
    """Settings of `hea train xrd`; what is left out stands in `hea_vision.xrd.training.TrainingSettings`."""

    patterns: int | None = Field(default=None, ge=1)
    batch: int | None = Field(default=None, ge=2, le=65536)
    learning_rate: float | None = Field(default=None, gt=0, lt=1)
    weight_decay: float | None = Field(default=None, ge=0, lt=1)
    average: float | None = Field(default=None, ge=0, lt=1)
    held_out: int | None = Field(default=None, ge=1)
    report_every: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=0)
    start_from: str | None = None
    first_number: int | None = Field(default=None, ge=0)
    workers: int | None = Field(default=None, ge=0, le=1024)
    device: str = "auto"

    @field_validator("device")
    @classmethod
    def _device_is_known(cls, value: str) -> str:
        return _checked_device(value)


def _checked_device(value: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
        raise InputError(f"device '{value}'; wanted auto, cpu, cuda, or cuda:1 for the second card")
    return value


class SegmentJob(StrictJob):
    """Settings of `hea segment`.

    `crop_px` is (top, left, height, width); `scale_bar` is the length that the picture writes at its own bar, such as
    "20 um", for pictures whose file holds no pixel size; `all_pages` labels every page of a stack. `tta` averages over
    turned and mirrored copies. `workers` are processes and `scheduler` is the address of a Dask scheduler: they change
    no result.
    """

    model: str = "classical"
    pixel_size_nm: float | None = Field(default=None, gt=0)
    scale_bar: str | None = None
    crop_px: tuple[int, int, int, int] | None = None
    all_pages: bool = False
    device: str = "auto"
    tta: bool = False
    workers: int = Field(default=1, ge=1, le=1024)
    scheduler: str | None = None

    @field_validator("model")
    @classmethod
    def _model_is_known(cls, value: str) -> str:
        from hea_vision.segmentation import known_model

        return known_model(value)

    @field_validator("scale_bar")
    @classmethod
    def _scale_bar_is_a_length(cls, value: str | None) -> str | None:
        if value is not None:
            parse_length(value)
        return value

    @field_validator("device")
    @classmethod
    def _device_is_known(cls, value: str) -> str:
        return _checked_device(value)

    @model_validator(mode="after")
    def _settings_fit_together(self) -> SegmentJob:
        if self.scheduler is not None and self.workers > 1:
            raise InputError("workers are processes here, a scheduler has its own; leave one of them out")
        if self.scale_bar is not None and self.pixel_size_nm is not None:
            raise InputError("scale_bar and pixel_size_nm both say how large a pixel is; leave one of them out")
        if self.model == "classical" and (self.tta or self.device.startswith("cuda")):
            what = "tta" if self.tta else f"device '{self.device}'"
            raise InputError(f"{what}: the segmenter 'classical' is no network; leave it out or choose another model")
        return self


class MeasureJob(StrictJob):
    """Settings of `hea measure`.

    `kind` says what the numbers of a label image are: `classes`, `grains` (a number a grain, 0 on boundaries) or
    `boundaries` (0 in grains). `pattern` and `spacing_px` are the test lines for grain size; `lamellae` asks for the
    spacing of every class above 0; `seed` is that of the bootstrap; `workers` are processes and change no result.
    """

    kind: Literal["classes", "grains", "boundaries"] = "classes"
    pixel_size_nm: float | None = Field(default=None, gt=0, lt=1e9)
    pattern: str = "line-grid"
    spacing_px: float | None = Field(default=None, ge=1)
    lamellae: bool = False
    seed: int = Field(default=0, ge=0)
    workers: int = Field(default=1, ge=1, le=1024)

    @field_validator("pattern")
    @classmethod
    def _pattern_is_known(cls, value: str) -> str:
        from hea_vision.measurement.probes import PATTERNS

        if value not in PATTERNS:
            raise unknown_name("test pattern", value, PATTERNS)
        return value


class SampleJob(StrictJob):
    """Settings of `hea sample`: canonical Monte Carlo on a lattice, annealed down the list of temperatures."""

    alloy: str
    temperatures_K: tuple[float, ...]
    model: str | None = None
    size: tuple[int, int, int] = (12, 12, 12)
    seed: int = Field(default=0, ge=0)

    @field_validator("alloy")
    @classmethod
    def _alloy_is_readable(cls, value: str) -> str:
        Composition.parse(value)
        return value


class PatternJob(StrictJob):
    """Settings of `hea pattern`: a structure file to a powder pattern."""

    radiation: str
    two_theta_min_deg: float = Field(default=20.0, gt=0, lt=179)
    two_theta_max_deg: float = Field(default=120.0, gt=0, lt=180)
    step_deg: float = Field(default=0.02, gt=0, le=1)
    b_iso_A2: float = Field(default=0.4, ge=0)

    @model_validator(mode="after")
    def _range_is_long_enough(self) -> PatternJob:
        if self.two_theta_max_deg - self.two_theta_min_deg < max(3.2, 50 * self.step_deg):
            raise InputError(
                f"two_theta from {self.two_theta_min_deg:g} to {self.two_theta_max_deg:g} in steps of"
                f" {self.step_deg:g}; wanted at least 3.2 degrees and 50 points, the larger angle last"
            )
        return self


def read_job(kind: type[Job], config: str | os.PathLike[str] | None, flags: Mapping[str, Any]) -> Job:
    """Build a job from a TOML file and from flags; a flag that was given wins.

    Raises InputError naming the nearest known key for an unknown one.
    """
    data: dict[str, Any] = {}
    where = "settings"
    if config is not None:
        path = Path(config)
        where = str(path)
        if not path.is_file():
            raise MissingFileError(f"{path}: no such file; wanted a TOML file of settings")
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not a TOML file ({error})") from error
    data.update({k: v for k, v in flags.items() if v is not None})
    return load_job(kind, data, where)
