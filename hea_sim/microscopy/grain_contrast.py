"""Give grains their grey levels: what an etchant or the back-scatter detector makes of them.

| part of the picture | in code |
|---|---|
| grain to grain | `channelling` times a normal number a crystal, mixed across a boundary by covered area |
| inside a grain | `gradient` times a smooth field, of own sign and strength in every crystal |
| etched groove | covered area of a line of `line_width_px`, times the strength of its facet, with gaps |
| second constituent at triple points | covered area of what lies within `island_px` of three grains |
| steps at the surface | `relief` times the difference of height across, seen from one side |
| pits, inclusions, scratches | drawn on top |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hea_sim.microscopy.grain_forms import GrainMap
from hea_sim.microscopy.noise_fields import smooth_noise
from hea_sim.microscopy.ranges import check_ranges
from hea_sim.microscopy.scenes import MATRIX_LEVEL
from hea_sim.microscopy.shapes import add_ellipses, coverage, empty_distance

#: Facets are told apart by this many classes of strength.
_FACETS = 4093
#: Grey levels stay between these, so that an instrument can still go brighter or darker.
DARKEST, BRIGHTEST = 0.03, 0.97


@dataclass(frozen=True, kw_only=True)
class GrainContrast:
    """Hold the knobs of the grey levels of grains; lengths in pixels, contrasts relative to `level`.

    `level` mean grey of the grains; `channelling` std of the grey of crystals; `gradient` std inside one.
    Boundaries: `line_level` their grey, `line_strength` 0 to 1 (0: no line), `line_width_px`, `line_variation` of
    width and strength, `line_softness_px` over which a groove fades, `gap_fraction` of facets that did not etch,
    `broken_fraction` of the length of the others that did not, `junction_px` widening where three grains meet,
    `twin_strength` of lines at twins relative to the others.
    `island_fraction` of triple points with a second constituent of `island_px` and grey `line_level`;
    `relief` steps between grains; `pits`, `inclusions` number on 100 x 100 pixels, of mean diameter
    `pit_px`, `inclusion_px`; `scratches` depth of polishing scratches.
    """

    level: float = MATRIX_LEVEL
    channelling: float = 0.1
    gradient: float = 0.02
    line_level: float = 0.08
    line_strength: float = 0.0
    line_width_px: float = 2.0
    line_variation: float = 0.2
    line_softness_px: float = 1.0
    gap_fraction: float = 0.0
    broken_fraction: float = 0.0
    junction_px: float = 0.0
    twin_strength: float = 0.6
    island_fraction: float = 0.0
    island_px: float = 3.0
    relief: float = 0.0
    pits: float = 0.0
    pit_px: float = 2.0
    inclusions: float = 0.0
    inclusion_px: float = 5.0
    inclusion_level: float = 0.1
    scratches: float = 0.0

    def __post_init__(self) -> None:
        wide = {"line_width_px", "pits", "inclusions", "junction_px", "island_px"}
        positive = {"line_softness_px": 0.5, "pit_px": 0.5, "inclusion_px": 0.5}
        ranges = {
            name: (positive.get(name, 0.0), 100.0 if name in wide or name in positive else 1.0)
            for name in self.__dataclass_fields__
        }
        check_ranges("grain contrast", self, **ranges)


def grey_levels(rng: np.random.Generator, grains: GrainMap, contrast: GrainContrast) -> np.ndarray:
    """Give the reflectance (rows, columns) of float32 of drawn grains."""
    t = contrast
    grey = _crystals(rng, grains, t)
    if t.relief > 0:
        grey += t.level * t.relief * _steps(rng, grains)
    if t.scratches > 0:
        grey += t.level * t.scratches * _scratches(rng, grey.shape)
    if t.line_strength > 0:
        line = _lines(rng, grains, t)
        grey += line * (np.float32(t.line_level) - grey)
    if t.island_fraction > 0:
        # A level of the field above which `island_fraction` of the area lies.
        high = np.float32(1.9 * (1 - 2 * t.island_fraction) if t.island_fraction < 0.5 else 0.0)
        size = t.island_px * np.clip(smooth_noise(rng, grey.shape, 30.0) - high, 0, 1.5)
        island = coverage(grains.tiling.second - size) * (size > 0)
        grey += island * (np.float32(t.line_level) - grey)
    _spots(rng, grey, t.pits, t.pit_px, 0.5 * t.level)
    _spots(rng, grey, t.inclusions, t.inclusion_px, t.inclusion_level)
    return np.clip(grey, DARKEST, BRIGHTEST).astype(np.float32, copy=False)


def _crystals(rng: np.random.Generator, grains: GrainMap, t: GrainContrast) -> np.ndarray:
    """Give grey levels of crystals: a grain and its twin are two."""
    crystals = (2 * grains.grains,)
    spread = np.clip(rng.standard_normal(crystals), -2.2, 2.2)
    level = (t.level * (1 + t.channelling * spread)).astype(np.float32)
    near, twin_near = grains.tiling.near, grains.twin_near
    own = 2 * grains.tiling.cell + grains.twin
    grey = level[own]
    # Pixels that a boundary runs through hold part of what is beyond it.
    rim = np.nonzero(np.minimum(near, twin_near) < 0.5)
    within = np.where(twin_near[rim] < near[rim], grains.tiling.cell[rim], grains.tiling.across[rim])
    part = 0.5 - np.minimum(near[rim], twin_near[rim])
    grey[rim] += part * (level[2 * within + grains.twin_across[rim]] - grey[rim])
    if t.gradient > 0:
        tilt = rng.standard_normal(crystals).astype(np.float32) * np.float32(t.level * t.gradient)
        grey += tilt[own] * smooth_noise(rng, grey.shape, max(0.4 * min(grey.shape), 8.0))
    return grey


def _lines(rng: np.random.Generator, grains: GrainMap, t: GrainContrast) -> np.ndarray:
    """Give the strength (rows, columns) of etched lines, 0 to 1."""
    near, second = grains.tiling.near, grains.tiling.second
    along = smooth_noise(rng, near.shape, 14.0)
    half = np.float32(0.5 * t.line_width_px) * (1 + np.float32(t.line_variation) * along)
    if t.junction_px > 0:
        # Near a triple point the two distances are alike, and the fillet between the two faces fills up.
        half += np.float32(t.junction_px) * np.exp(-second / np.float32(1.5 * t.junction_px + 0.5))
    strength = 1 - t.line_variation * rng.random(_FACETS)
    strength[rng.random(_FACETS) < t.gap_fraction] = 0
    line = coverage(near - half, t.line_softness_px)
    drawn = np.nonzero(line)
    sides = grains.tiling.cell[drawn], grains.tiling.across[drawn]
    facet = (np.minimum(*sides) * 7919 + np.maximum(*sides) * 104729) % _FACETS
    line[drawn] *= strength.astype(np.float32)[facet]
    if grains.twin.any():
        twin = coverage(grains.twin_near - 0.8 * half, t.line_softness_px) * np.float32(t.twin_strength)
        line = np.maximum(line, twin)
    if t.broken_fraction > 0:
        where = smooth_noise(rng, near.shape, max(6 * t.line_width_px, 12.0))
        line = line * np.clip((where - np.float32(-2.2 + 4.4 * t.broken_fraction**0.7)) * 3 + 0.5, 0, 1)
    return np.asarray(np.float32(t.line_strength) * line, np.float32)


def _steps(rng: np.random.Generator, grains: GrainMap) -> np.ndarray:
    """Give the brightness of steps between grains of other height, seen from one side, with fading edges."""
    height = rng.standard_normal(2 * grains.grains).astype(np.float32)[2 * grains.tiling.cell + grains.twin]
    dr, dc = ((0, 1), (1, 0), (1, 1), (1, -1))[rng.integers(4)]
    step = np.zeros_like(height)
    for far, weight in ((1, 0.6), (2, 0.4)):
        step += np.float32(weight) * (np.roll(height, (far * dr, far * dc), (0, 1)) - height)
    for axis, shift in ((0, dr), (1, dc)):
        if shift:
            # What was rolled in from the far side is no neighbour.
            rim = slice(0, 2) if shift > 0 else slice(-2, None)
            step[(rim, slice(None)) if axis == 0 else (slice(None), rim)] = 0
    return step


def _scratches(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Give the depth of fine scratches along one direction, of unit order, here more and there less."""
    angle = rng.uniform(0, np.pi)
    length = int(np.hypot(*shape)) + 4
    profile = rng.standard_normal(length).astype(np.float32) * (rng.random(length) < 0.25)
    r, c = np.arange(shape[0])[:, None] * np.sin(angle), np.arange(shape[1])[None, :] * np.cos(angle)
    place = (r + c - min(0.0, np.cos(angle)) * shape[1] * -1).astype(np.float32)
    place -= place.min()
    low = np.minimum(place.astype(np.int32), length - 2)
    part = place - low
    depth = profile[low] * (1 - part) + profile[low + 1] * part
    return np.asarray(depth * np.clip(0.4 + 0.6 * smooth_noise(rng, shape, 60.0), 0, 1.5), np.float32)


def _spots(rng: np.random.Generator, grey: np.ndarray, number: float, diameter_px: float, level: float) -> None:
    """Draw round to oblong spots into `grey`: `number` of them on 100 x 100 pixels."""
    count = rng.poisson(number * grey.size * 1e-4)
    if count == 0:
        return
    radius = 0.5 * diameter_px * np.exp(0.4 * rng.standard_normal(count))
    aspect = rng.uniform(1.0, 1.8, count)
    places = rng.uniform(0, 1, (count, 2)) * grey.shape
    distance = empty_distance((grey.shape[0], grey.shape[1]))
    add_ellipses(
        distance,
        np.column_stack([places, radius * np.sqrt(aspect), radius / np.sqrt(aspect), rng.uniform(0, np.pi, count)]),
    )
    grey += coverage(distance) * (np.float32(level) - grey)
