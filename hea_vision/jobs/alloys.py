"""The settings of `hea sample`."""

from __future__ import annotations

from pydantic import field_validator

from hea_sim.alloy import Composition
from hea_vision.campaign import StrictJob
from hea_vision.jobs.keys import Seed


class SampleJob(StrictJob):
    """Settings of `hea sample`: canonical Monte Carlo on a lattice, annealed down the list of temperatures."""

    alloy: str
    temperatures_K: tuple[float, ...]
    model: str | None = None
    size: tuple[int, int, int] = (12, 12, 12)
    seed: Seed = 0

    @field_validator("alloy")
    @classmethod
    def _alloy_is_readable(cls, value: str) -> str:
        Composition.parse(value)
        return value
