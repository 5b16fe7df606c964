"""Draw dendrites as they solidify in cast alloys, with the second phase between their arms.

| part | in code |
|---|---|
| dendrites | cells of a tiling, each with its direction |
| arms | four primary arms from the centre; secondary arms at `secondary_spacing_px`, as long as their place allows |
| cells | arms cut across: rows of round cores on the square lattice of the secondary arms |
| coarsening | all arms thicken by the same length until the second phase has its fraction |
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hea_sim.errors import unknown_name
from hea_sim.microscopy.noise_fields import smooth_noise
from hea_sim.microscopy.phase_contrast import PhaseContrast, level_distance, random_contrast, two_phases
from hea_sim.microscopy.ranges import LONGEST_PX, check_ranges, checked_fraction
from hea_sim.microscopy.scenes import Scene, checked_shape
from hea_sim.microscopy.shapes import add_strokes, empty_distance
from hea_sim.microscopy.tessellation import paint, scatter_seeds, wavy_places

#: How a section meets the arms: along them, or across them.
DENDRITE_SECTIONS = ("arms", "cells")


@dataclass(frozen=True, kw_only=True)
class Dendrites:
    """Describe dendrites; lengths in pixels.

    `section` is one of `DENDRITE_SECTIONS`; `dendrite_size_px` the diameter of the circle of the mean area of a
    dendrite; `secondary_spacing_px` the distance between neighbouring secondary arms; `second_fraction` the area
    fraction between the arms, exact to a pixel; `roughness` the rms unevenness of arm surfaces, in spacings;
    `segregation` the relative change of grey from the middle of an arm to its surface, towards the grey of the second
    phase.
    """

    section: str = "arms"
    dendrite_size_px: float = 250.0
    secondary_spacing_px: float = 20.0
    second_fraction: float = 0.3
    roughness: float = 0.12
    segregation: float = 0.1
    contrast: PhaseContrast = field(default_factory=PhaseContrast)

    def __post_init__(self) -> None:
        if self.section not in DENDRITE_SECTIONS:
            raise unknown_name("section of dendrites", self.section, DENDRITE_SECTIONS)
        check_ranges(
            "dendrites", self, secondary_spacing_px=(4, LONGEST_PX), roughness=(0, 0.5), segregation=(0, 0.5),
            dendrite_size_px=(2 * self.secondary_spacing_px, LONGEST_PX),
        )  # fmt: skip
        checked_fraction(self.second_fraction, "dendrites: second phase", 0.8)


def draw_dendrites(rng: np.random.Generator, shape: tuple[int, int], dendrites: Dendrites) -> Scene:
    """Draw dendrites (class 0) with a second phase (class 1) between their arms; classes of `PHASE_CLASSES`."""
    shape = checked_shape(shape)
    d = dendrites
    draw = _arms if d.section == "arms" else _cores
    depth = draw(rng, shape, d.dendrite_size_px, d.secondary_spacing_px)
    if d.roughness > 0:
        uneven = smooth_noise(rng, shape, max(d.secondary_spacing_px, 4.0))
        depth = depth + d.roughness * d.secondary_spacing_px * uneven
    # Pixels deeper than the surface are dendrite: those that lie nearest to the middle of an arm.
    surface = np.quantile(depth, 1 - d.second_fraction)
    distance = level_distance(surface - depth)
    t = d.contrast
    matrix = None
    if d.segregation > 0:
        inward = np.clip(distance / (0.3 * d.secondary_spacing_px), 0, 1)
        sign = 1.0 if t.second_level > t.matrix_level else -1.0
        matrix = t.matrix_level * (1 - sign * d.segregation * (inward - 0.5))
        matrix = matrix * (1 + t.gradient * smooth_noise(rng, shape, t.gradient_px))
    return two_phases(rng, distance, t, matrix)


def _arms(rng: np.random.Generator, shape: tuple[int, int], size_px: float, spacing_px: float) -> np.ndarray:
    """Give the distance (rows, columns) to the nearest arm."""
    margin = np.full(2, size_px)
    seeds, weights = scatter_seeds(rng, -margin, shape + margin, size_px, 0.25, 3)
    strokes: list[list[float]] = []
    for number in range(len(seeds)):
        strokes.extend(_dendrite(rng, seeds, weights, number, spacing_px))
    distance = empty_distance(shape)
    reach_px = 1.2 * spacing_px
    inside = [s for s in strokes if _touches(s, shape, reach_px)]
    add_strokes(distance, np.array(inside, float), reach_px=reach_px)
    return np.minimum(distance, reach_px)


def _dendrite(
    rng: np.random.Generator, seeds: np.ndarray, weights: np.ndarray, number: int, spacing_px: float
) -> list[list[float]]:
    """Give the strokes of one dendrite: four primary arms and their secondary arms, as far as its cell goes."""
    first, seed = rng.uniform(0, 0.5 * np.pi), seeds[number]
    angles = first + 0.5 * np.pi * np.arange(4)
    ways = np.stack([np.sin(angles), np.cos(angles)], 1)
    reach = [float(_room(seeds, weights, number, seed[None], way)[0]) for way in ways]
    strokes: list[list[float]] = []
    for turn, way in enumerate(ways):
        strokes.append([*seed, 0.2 * spacing_px, *(seed + reach[turn] * way), 0.1 * spacing_px])
        at = np.arange(0.7 * spacing_px, reach[turn], spacing_px)
        at = at + 0.12 * spacing_px * rng.standard_normal(len(at))
        roots = seed + at[:, None] * way
        for beside in ((turn + 1) % 4, (turn + 3) % 4):
            # Arms of two primaries stop short of each other on the diagonal between them, and of the cell's rim.
            room = _room(seeds, weights, number, roots, ways[beside])
            length = np.where(at < 0.95 * reach[beside], np.minimum(at, room), room)
            length = length * rng.uniform(0.6, 0.98, len(at))
            ends = roots + length[:, None] * ways[beside]
            thick, thin = np.full(len(at), 0.12 * spacing_px), np.full(len(at), 0.06 * spacing_px)
            strokes.extend(np.column_stack([roots, thick, ends, thin]).tolist())
    return strokes


def _room(seeds: np.ndarray, weights: np.ndarray, number: int, starts: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Give the way (n,) from starts (n, 2) along a direction to the boundary of a Laguerre cell; 0 outside it."""
    others = np.delete(np.arange(len(seeds)), number)
    power = ((starts[:, None] - seeds[None]) ** 2).sum(-1) - weights
    gap = power[:, others] - power[:, [number]]
    speed = 2 * (seeds[others] - seeds[number]) @ along
    ways = np.where(speed > 1e-9, gap / np.where(speed > 1e-9, speed, 1), np.inf)
    # A cell at the rim of the seeds is open: no arm is longer than the way to the farthest seed.
    farthest = float(np.linalg.norm(seeds - seeds[number], axis=1).max())
    return np.clip(ways.min(1, initial=farthest), 0, farthest)


def _touches(stroke: list[float], shape: tuple[int, int], reach: float) -> bool:
    low, high = np.minimum(stroke[0:2], stroke[3:5]) - reach, np.maximum(stroke[0:2], stroke[3:5]) + reach
    return bool((high >= 0).all() and (low <= shape).all())


def _cores(rng: np.random.Generator, shape: tuple[int, int], size_px: float, spacing_px: float) -> np.ndarray:
    """Give a depth (rows, columns; px) that is least in the middle of arms cut across."""
    y, x = wavy_places(rng, shape, 0.03 * size_px, size_px)
    margin = np.full(2, size_px)
    seeds, weights = scatter_seeds(rng, -margin, shape + margin, size_px, 0.25, 2)
    tiling = paint(y, x, seeds, weights, reach_px=0.25 * spacing_px)
    cell = tiling.cell
    angle = rng.uniform(0, 0.5 * np.pi, len(seeds))
    # An oblique cut stretches one of the two spacings.
    oblique = rng.uniform(1.0, 1.8, len(seeds))
    c, s = np.cos(angle)[cell], np.sin(angle)[cell]
    u, v = (c * x + s * y) / spacing_px, (c * y - s * x) / (spacing_px * oblique[cell])
    bend = 0.18 * smooth_noise(rng, shape, max(3 * spacing_px, 4.0))
    field = np.cos(2 * np.pi * (u + bend)) + np.cos(2 * np.pi * (v - bend))
    # The last liquid is also found between two dendrites.
    rim = 1 - tiling.near / (0.25 * spacing_px)
    return np.asarray((2.5 * rim - field) * spacing_px / (2 * np.pi), np.float32)


def random_dendrites(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Draw dendrites of any make, secondary spacings from 12 to 45 px."""
    spacing = float(np.exp(rng.uniform(np.log(12), np.log(45))))
    dendrites = Dendrites(
        section=str(rng.choice(DENDRITE_SECTIONS, p=[0.6, 0.4])),
        dendrite_size_px=float(spacing * rng.uniform(4, 14)),
        secondary_spacing_px=spacing,
        second_fraction=float(rng.uniform(0.2, 0.55)),
        roughness=float(rng.uniform(0.03, 0.2)),
        segregation=float(rng.uniform(0, 0.15)),
        contrast=random_contrast(rng),
    )
    return draw_dendrites(rng, shape, dendrites)
