"""Give two phases their grey levels, from the signed distance to the interface between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hea_sim.microscopy.noise_fields import smooth_noise
from hea_sim.microscopy.ranges import LONGEST_PX, check_ranges
from hea_sim.microscopy.scenes import MATRIX_LEVEL, Scene
from hea_sim.microscopy.shapes import coverage

#: Class numbers of the truth of pictures with phases and damage.
PHASE_CLASSES = {0: "matrix", 1: "second phase", 2: "pore", 3: "crack"}


@dataclass(frozen=True, kw_only=True)
class PhaseContrast:
    """Hold the knobs of the grey levels of two phases; contrasts relative to the level of the phase.

    `gradient` std of slow variation of the matrix, as of segregation, over `gradient_px`; `texture` std of fine
    variation inside the second phase, over `texture_px`; `interface_level` grey of a line of `interface_width_px` on
    the interface (0: none).
    """

    matrix_level: float = MATRIX_LEVEL
    second_level: float = 0.75
    gradient: float = 0.03
    gradient_px: float = 120.0
    texture: float = 0.0
    texture_px: float = 5.0
    interface_level: float = 0.2
    interface_width_px: float = 0.0

    def __post_init__(self) -> None:
        lengths = {"gradient_px": 2.0, "texture_px": 2.0, "interface_width_px": 0.0}
        levels = ("matrix_level", "second_level", "gradient", "texture", "interface_level")
        check_ranges("phase contrast", self, **dict.fromkeys(levels, (0.0, 1.0)))
        check_ranges("phase contrast", self, **{name: (least, LONGEST_PX) for name, least in lengths.items()})


def two_phases(
    rng: np.random.Generator, distance: np.ndarray, contrast: PhaseContrast, matrix: np.ndarray | None = None
) -> Scene:
    """Make the scene of a second phase where `distance` (rows, columns; px) is negative.

    `matrix` is its picture (rows, columns), where it is more than one level with slow variation.
    """
    t = contrast
    if matrix is None:
        matrix = t.matrix_level * (1 + t.gradient * smooth_noise(rng, distance.shape, t.gradient_px))
    second = np.full(distance.shape, t.second_level, np.float32)
    if t.texture > 0:
        second *= 1 + t.texture * smooth_noise(rng, distance.shape, t.texture_px)
    grey = matrix + coverage(distance) * (second - matrix)
    if t.interface_width_px > 0:
        line = coverage(np.abs(distance) - 0.5 * t.interface_width_px)
        grey += line * (t.interface_level - grey)
    return Scene(
        reflectance=np.clip(grey, 0.0, 1.0).astype(np.float32),
        labels=(distance <= 0).astype(np.uint8),
        classes=dict(PHASE_CLASSES),
    )


def level_distance(field: np.ndarray) -> np.ndarray:
    """Give the signed distance in pixels (rows, columns) to the zero of a smooth field, to first order near it."""
    field = np.asarray(field, np.float32)
    slope = np.hypot(*np.gradient(field))
    # A jump of the field (where two colonies meet) is no gentle slope, and a flat place no steep one.
    low, high = np.quantile(slope[::4, ::4], (0.02, 0.98))
    return np.asarray(field / np.clip(slope, max(low, 1e-9), max(high, 1e-9)), np.float32)


def random_contrast(rng: np.random.Generator) -> PhaseContrast:
    """Draw grey levels of two phases that an eye can tell apart."""
    matrix = float(rng.uniform(0.3, 0.7))
    apart = float(np.exp(rng.uniform(np.log(0.06), np.log(0.35)))) * (1 if rng.random() < 0.5 else -1)
    lined = rng.random() < 0.15
    return PhaseContrast(
        matrix_level=matrix,
        second_level=float(np.clip(matrix + apart, 0.12, 0.95)),
        gradient=float(rng.uniform(0.0, 0.3) * abs(apart) / matrix) if rng.random() < 0.7 else 0.0,
        gradient_px=float(rng.uniform(30, 300)),
        texture=float(rng.uniform(0.0, 0.3) * abs(apart)) if rng.random() < 0.3 else 0.0,
        texture_px=float(rng.uniform(3, 15)),
        interface_level=float(rng.choice([0.08, 0.9])),
        interface_width_px=float(rng.uniform(0.8, 2.0)) if lined else 0.0,
    )
