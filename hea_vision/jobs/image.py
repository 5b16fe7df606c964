"""The settings of `hea image`."""

from __future__ import annotations

from pydantic import Field

from hea_sim.settings import StrictSettings
from hea_vision.jobs.keys import Seed


class ImageJob(StrictSettings):
    """Settings of `hea image`.

    `pixel_size_nm` has no default: a picture of atoms needs it, and any other carries it. `axis` is the direction of
    the beam in the Cartesian frame of a structure; `shape` is (rows, columns).
    """

    pixel_size_nm: float = Field(gt=0, lt=1e6)
    shape: tuple[int, int] | None = None
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    count: int = Field(default=1, ge=1, le=100_000)
    seed: Seed = 0
