"""What is drawn before any instrument looks at it: grey levels, and the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError

#: Grey level of a matrix before the instrument.
MATRIX_LEVEL = 0.5
#: Smallest edge of a scene, in pixels.
LEAST_PX = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Hold one drawn field of view.

    `reflectance` (rows, columns) float32, the matrix about `MATRIX_LEVEL`; `labels` (rows, columns) uint8, a class per
    pixel by its centre; `instances` (rows, columns) int32, an object per pixel, 0 where there is none; `points` (n, 3)
    row, column, intensity of what has a place rather than an area.
    """

    reflectance: np.ndarray
    labels: np.ndarray
    classes: Mapping[int, str]
    instances: np.ndarray | None = None
    points: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.reflectance.shape != self.labels.shape or self.labels.ndim != 2:
            raise InputError(
                f"scene: reflectance of shape {self.reflectance.shape} and labels of shape {self.labels.shape};"
                " wanted one and the same (rows, columns)"
            )


def checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Give a shape as two whole numbers; raise InputError where a picture of it makes no sense."""
    if len(shape) != 2 or min(shape) < LEAST_PX:
        raise InputError(f"virtual micrograph: shape {shape}; wanted two numbers of at least {LEAST_PX} pixels")
    return int(shape[0]), int(shape[1])
