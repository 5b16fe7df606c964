"""The settings of the verbs of diffraction patterns: `hea classify` and `hea pattern`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from hea_sim.alloy import parse_elements
from hea_sim.crystals import Prototype, prototype, prototype_from_cif
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.errors import InputError, MissingFileError, UnknownNameError, unknown_name
from hea_sim.settings import StrictSettings
from hea_vision.io._axes import checked_axis
from hea_vision.jobs.keys import Workers
from hea_vision.xrd.classify import DEFAULT_LABELLER, PATTERN_LABELLERS


class ClassifyJob(StrictSettings):
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
    workers: Workers = 1

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


class PatternJob(StrictSettings):
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
