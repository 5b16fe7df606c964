"""Draw the geometry of grains: equiaxed or rolled, with curved faces, annealing twins, laths in colonies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hea_sim.errors import InputError
from hea_sim.microscopy.ranges import check_ranges, checked_px
from hea_sim.microscopy.tessellation import (
    REACH_PX,
    Tiling,
    fuse_neighbours,
    paint,
    run_potts,
    scatter_seeds,
    stretched,
    wavy_places,
)
from hea_sim.microscopy.tessellation_kernels import paint_twins

#: A twin narrower than this is not drawn, nor one closer than this to the next.
_LEAST_TWIN_PX = 1.5
#: Part of the twins that end inside their grain.
_ENDING_TWINS = 0.12


@dataclass(frozen=True, kw_only=True)
class GrainForm:
    """Hold the knobs of the shapes of grains.

    `size_spread` standard deviation of the logarithm of the diameter; `relaxation_steps` of centroidal relaxation (0:
    random seeds, 10: honeycomb-like); `waviness_px`, `waviness_length_px` rms and wavelength of the curvature of
    boundaries; `elongation`, `elongation_deg` ratio of axes and direction (from the columns towards the rows) of rolled
    grains; `fused_fraction` of cells joined to a neighbour, which makes concave grains; `twinned_fraction` of grains
    with annealing twins, `twin_width_px` and `twin_bands` their mean width and number; `potts_sweeps` of Potts kinetics
    on the pixels (slow, real curvature; then no waviness needed); `colony_size_px` draws laths of `elongation` in
    colonies of that diameter instead of equiaxed grains (0: none).
    """

    size_spread: float = 0.35
    relaxation_steps: int = 3
    waviness_px: float = 0.0
    waviness_length_px: float = 40.0
    elongation: float = 1.0
    elongation_deg: float = 0.0
    fused_fraction: float = 0.0
    twinned_fraction: float = 0.0
    twin_width_px: float = 10.0
    twin_bands: float = 1.5
    potts_sweeps: int = 0
    colony_size_px: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(
            "grains", self, size_spread=(0, 1), relaxation_steps=(0, 50), waviness_length_px=(2, 1e6),
            elongation=(1, 20), elongation_deg=(-360, 360), fused_fraction=(0, 1), twinned_fraction=(0, 1),
            twin_width_px=(_LEAST_TWIN_PX, 1e6), twin_bands=(1, 50), potts_sweeps=(0, 10_000),
        )  # fmt: skip
        if self.colony_size_px != 0 and not self.colony_size_px >= 16:
            raise InputError(f"grains: colony_size_px is {self.colony_size_px}; wanted 0 (none) or at least 16")


@dataclass(frozen=True, kw_only=True, eq=False)
class GrainMap:
    """Hold drawn grains: the tiling, and the twins inside (arrays (rows, columns)).

    `twin` 1 inside a twin; `piece` a number of its own for every grain, twin and part of a grain between twins;
    `twin_across` what `twin` is beyond the nearest boundary of any kind; `twin_near` the distance to the nearest twin
    boundary in pixels. `grains` is the number of grains drawn, in the picture or not.
    """

    tiling: Tiling
    grains: int
    twin: np.ndarray
    piece: np.ndarray
    twin_across: np.ndarray
    twin_near: np.ndarray


def form_grains(rng: np.random.Generator, shape: tuple[int, int], size_px: float, form: GrainForm) -> GrainMap:
    """Draw grains whose mean area is that of a circle of `size_px`."""
    checked_px(size_px, "grains: grain_size_px", 4, 1e5)
    if form.colony_size_px:
        tiling, grains = _laths(rng, shape, size_px, form)
    else:
        tiling, grains = _equiaxed(rng, shape, size_px, form)
    if form.potts_sweeps:
        tiling = _pixel_tiling(run_potts(rng, tiling.cell, form.potts_sweeps))
    return _with_twins(rng, tiling, grains, form)


def _reach(size_px: float) -> float:
    # Lines of small grains are thin, and far looks cost time.
    return float(np.clip(0.35 * size_px, 3.0, REACH_PX))


def _equiaxed(rng: np.random.Generator, shape: tuple[int, int], size_px: float, form: GrainForm) -> tuple[Tiling, int]:
    y, x = wavy_places(rng, shape, form.waviness_px, form.waviness_length_px)
    if form.elongation > 1:
        y, x = stretched(y, x, form.elongation, form.elongation_deg)
    low, high = np.array([y.min(), x.min()]) - 2 * size_px, np.array([y.max(), x.max()]) + 2 * size_px
    seeds, weights = scatter_seeds(rng, low, high, size_px, form.size_spread, form.relaxation_steps)
    owner = fuse_neighbours(rng, seeds, weights, form.fused_fraction)
    return paint(y, x, seeds, weights, owner, reach_px=_reach(size_px)), len(seeds)


def _laths(rng: np.random.Generator, shape: tuple[int, int], size_px: float, form: GrainForm) -> tuple[Tiling, int]:
    y, x = wavy_places(rng, shape, form.waviness_px, form.waviness_length_px)
    margin = np.full(2, form.colony_size_px)
    seeds, weights = scatter_seeds(rng, -margin, shape + margin, form.colony_size_px, form.size_spread, 2)
    colony = paint(y, x, seeds, weights)
    cell, across = np.empty(shape, np.int32), np.empty(shape, np.int32)
    near, second = np.empty(shape, np.float32), np.empty(shape, np.float32)
    count, first_deg = 0, rng.uniform(0, 180)
    for number, found in enumerate(ndimage.find_objects(colony.cell + 1)):
        if found is None:
            continue
        # One pixel more on each side, for the slopes at the rim.
        box = tuple(slice(max(part.start - 1, 0), part.stop + 1) for part in found)
        mine = colony.cell[box] == number
        # Few habit directions, each a little off, as of one parent crystal.
        angle = first_deg + 60 * rng.integers(3) + rng.normal(0, 8)
        v, u = stretched(y[box], x[box], form.elongation, angle)
        low, high = np.array([v.min(), u.min()]) - size_px, np.array([v.max(), u.max()]) + size_px
        inner, weight = scatter_seeds(rng, low, high, size_px, form.size_spread, min(form.relaxation_steps, 1))
        laths = paint(v, u, inner, weight, reach_px=_reach(size_px), wanted=mine)
        rim = colony.near[box]
        cell[box][mine] = (laths.cell + count)[mine]
        # What lies beyond the rim of a colony is not known here; a lath then stands for its own neighbour.
        across[box][mine] = (np.where(rim < laths.near, laths.cell, laths.across) + count)[mine]
        near[box][mine] = np.minimum(laths.near, rim)[mine]
        second[box][mine] = np.minimum(np.maximum(laths.near, rim), laths.second)[mine]
        count += len(inner)
    return Tiling(cell=cell, across=across, near=near, second=second), count


def _pixel_tiling(cell: np.ndarray) -> Tiling:
    """Measure distances in a picture of grains, to the middle between unlike pixels."""
    across, edge = cell.copy(), np.zeros(cell.shape, bool)
    for axis in (0, 1):
        for shift in (1, -1):
            there = np.roll(cell, shift, axis)
            # The roll wraps around: the rim looks at itself.
            rim = (0 if shift == 1 else -1,) if axis == 0 else (slice(None), 0 if shift == 1 else -1)
            there[rim] = cell[rim]
            across = np.where(there != cell, there, across)
            edge |= there != cell
    if not edge.any():
        far = np.full(cell.shape, REACH_PX, np.float32)
        return Tiling(cell=cell, across=cell, near=far, second=far)
    distance, place = ndimage.distance_transform_edt(~edge, return_indices=True)
    near = np.minimum(distance + 0.5, REACH_PX).astype(np.float32)
    return Tiling(cell=cell, across=across[tuple(place)], near=near, second=np.full(cell.shape, REACH_PX, np.float32))


def _with_twins(rng: np.random.Generator, tiling: Tiling, grains: int, form: GrainForm) -> GrainMap:
    shape = tiling.cell.shape
    if form.twinned_fraction <= 0:
        none = np.zeros(shape, np.int32)
        far = np.full(shape, REACH_PX, np.float32)
        return GrainMap(tiling=tiling, grains=grains, twin=none, piece=tiling.cell, twin_across=none, twin_near=far)
    first, bands = _bands(rng, tiling.cell, grains, form)
    twin, piece, twin_across = (np.empty(shape, np.int32) for _ in range(3))
    twin_near = np.empty(shape, np.float32)
    paint_twins(tiling.cell, tiling.across, tiling.near, first, bands, REACH_PX, twin, piece, twin_across, twin_near)
    whole = np.concatenate([[0], np.cumsum(np.isinf(bands[:, 4]))])[first]
    start = np.concatenate([[0], np.cumsum(np.diff(whole) + 1)]).astype(np.int32)
    piece = np.where(piece >= 0, start[tiling.cell] + piece, start[-1] - 1 - piece)
    return GrainMap(tiling=tiling, grains=grains, twin=twin, piece=piece, twin_across=twin_across, twin_near=twin_near)


def _bands(rng: np.random.Generator, cell: np.ndarray, grains: int, form: GrainForm) -> tuple[np.ndarray, np.ndarray]:
    """Draw the bands of `paint_twins` for the grains of a picture: one direction a grain, as of one {111} plane."""
    rows, columns = cell.shape
    flat = cell.ravel()
    area = np.bincount(flat, minlength=grains)
    total = np.maximum(area, 1)
    row = np.bincount(flat, np.repeat(np.arange(rows, dtype=float), columns), minlength=grains) / total
    column = np.bincount(flat, np.tile(np.arange(columns, dtype=float), rows), minlength=grains) / total
    radius = np.sqrt(area / np.pi)
    twinned = np.flatnonzero((rng.random(grains) < form.twinned_fraction) & (radius > 2 * _LEAST_TWIN_PX))
    first = np.zeros(grains + 1, int)
    bands: list[tuple[float, float, float, float, float]] = []
    for g in twinned:
        angle = rng.uniform(0, np.pi)
        normal = np.cos(angle), np.sin(angle)
        middle, along = normal[0] * row[g] + normal[1] * column[g], normal[0] * column[g] - normal[1] * row[g]
        last = -np.inf
        count = 1 + rng.poisson(form.twin_bands - 1)
        for offset in np.sort(rng.uniform(-0.85, 0.85, count)):
            width = max(form.twin_width_px * np.exp(0.5 * rng.standard_normal()), _LEAST_TWIN_PX)
            low = max(middle + offset * radius[g] - 0.5 * width, last + _LEAST_TWIN_PX)
            if low + _LEAST_TWIN_PX > middle + radius[g]:
                break
            last = min(low + width, middle + radius[g])
            ends = rng.random() < _ENDING_TWINS
            start = along + rng.uniform(-0.6, 0.6) * radius[g] if ends else -np.inf
            bands.append((*normal, low, last, start))
            first[g + 1] += 1
    return np.cumsum(first), np.array(bands, float).reshape(-1, 5)
