"""The settings of every verb, one model each: what the Python functions, the shell and the widgets all read."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from hea_sim.alloy import Composition, parse_elements
from hea_sim.crystals import prototype
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.errors import InputError, MissingFileError
from hea_vision.campaign import Job, StrictJob, load_job


class ClassifyJob(StrictJob):
    """Settings of `hea classify`."""

    elements: str | None = None
    radiation: str | None = None
    wavelength_A: float | None = Field(default=None, gt=0)
    structures: tuple[str, ...] | None = None
    model: str = "matcher"

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
        for name in value or ():
            prototype(name)
        return value


class SegmentJob(StrictJob):
    """Settings of `hea segment`; `crop_px` is (top, left, height, width)."""

    model: str = "classical"
    pixel_size_nm: float | None = Field(default=None, gt=0)
    crop_px: tuple[int, int, int, int] | None = None


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
