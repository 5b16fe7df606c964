"""Draw tilings of the plane: Laguerre cells with grain-like sizes, curved boundaries, twins and laths.

Everything is drawn as geometry; a picture only samples it. Distances to boundaries are in pixels of the picture and
analytic (first order in the slope of the coordinates where boundaries are curved), so lines and mixed pixels need no
supersampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from hea_sim.errors import InputError
from hea_sim.microscopy.noise_fields import smooth_noise
from hea_sim.microscopy.tessellation_kernels import paint_cells, potts_sweep

#: Distances to boundaries are known up to here, in pixels.
REACH_PX = 8.0
#: A smooth displacement folds the plane when its slope reaches one; its slope is about 2 pi amplitude / wavelength.
STEEPEST_WAVE = 0.1
#: Places at which the cells of a relaxation are sampled, along the diameter of a mean cell.
_RELAX_SAMPLES = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Tiling:
    """Hold a painted tiling, each array (rows, columns).

    `cell` number of the grain; `across` the grain beyond the nearest boundary (itself where none is within reach);
    `near`, `second` distances in pixels to the boundaries with the nearest and the next other grain, at most
    `REACH_PX`.
    """

    cell: np.ndarray
    across: np.ndarray
    near: np.ndarray
    second: np.ndarray


def scatter_seeds(
    rng: np.random.Generator, low: np.ndarray, high: np.ndarray, diameter_px: float, spread: float, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw seeds (n, 2) and weights (n,) of Laguerre cells in the box from `low` to `high` (row, column).

    Cell diameters (of the circle of equal area) aim at a lognormal law of standard deviation `spread` in the
    logarithm, whose mean area is that of `diameter_px`. Each of `steps` moves every seed to the centroid of its cell
    and its weight towards the area aimed at: one damped step, where doi:10.1080/14786435.2020.1790053 solves fully.
    """
    size = np.asarray(high, float) - np.asarray(low, float)
    count = max(1, round(float(np.prod(size)) / (0.25 * np.pi * diameter_px**2)))
    wanted = np.exp(2 * spread * rng.standard_normal(count))
    wanted *= np.prod(size) / wanted.sum()
    seeds = low + rng.uniform(0, 1, (count, 2)) * size
    weights = wanted / np.pi
    if steps < 1:
        return seeds, weights
    step = max(diameter_px / _RELAX_SAMPLES, float(size.max()) / 300)
    y, x = np.meshgrid(np.arange(low[0], high[0], step), np.arange(low[1], high[1], step), indexing="ij")
    for _ in range(steps):
        cell = paint(y, x, seeds, weights, reach_px=0.0).cell.ravel()
        area = np.bincount(cell, minlength=count)
        total = np.maximum(area, 1)
        centre = np.stack([np.bincount(cell, p.ravel(), minlength=count) / total for p in (y, x)], 1)
        seeds = np.where(area[:, None] > 0, centre, seeds)
        weights = weights + 0.5 * (wanted - area * step**2) / np.pi
        hidden = np.flatnonzero(area == 0)
        # A seed that owns nothing goes to halve one of the cells that are most too large.
        hosts = np.argsort(wanted - area * step**2)[: len(hidden)]
        away = rng.standard_normal((len(hidden), 2))
        away *= 0.7 * np.sqrt(area[hosts] / np.pi)[:, None] * step / np.linalg.norm(away, axis=1, keepdims=True)
        seeds[hidden], weights[hidden] = seeds[hosts] + away, weights[hosts]
    return seeds, weights


def paint(
    y: np.ndarray,
    x: np.ndarray,
    seeds: np.ndarray,
    weights: np.ndarray,
    owner: np.ndarray | None = None,
    *,
    reach_px: float = REACH_PX,
    wanted: np.ndarray | None = None,
) -> Tiling:
    """Paint Laguerre cells at the places `y`, `x` (rows, columns); seeds of equal `owner` (n,) are one grain.

    Pixels that are not `wanted` (rows, columns), by default none, are left at 0.
    """
    owner = np.arange(len(seeds)) if owner is None else owner
    wanted = np.ones(y.shape, bool) if wanted is None else wanted
    cell, other = np.zeros(y.shape, np.int32), np.zeros(y.shape, np.int32)
    near, second = np.zeros(y.shape, np.float32), np.zeros(y.shape, np.float32)
    y, x, seeds, weights = (np.ascontiguousarray(given, float) for given in (y, x, seeds, weights))
    paint_cells(
        y, x, np.ascontiguousarray(wanted, bool), seeds, weights, owner.astype(np.int64), float(reach_px),
        cell, other, near, second,
    )  # fmt: skip
    table = owner.astype(np.int32)
    return Tiling(cell=table[cell], across=table[other], near=near, second=second)


def wavy_places(
    rng: np.random.Generator, shape: tuple[int, int], amplitude_px: float, wavelength_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Give row and column of each pixel (rows, columns), displaced smoothly by `amplitude_px` (rms, each axis)."""
    if not 0 <= amplitude_px <= STEEPEST_WAVE * wavelength_px:
        raise InputError(
            f"virtual micrograph: boundaries wave by {amplitude_px} px over {wavelength_px} px; wanted an amplitude"
            f" from 0 to {STEEPEST_WAVE} of the wavelength, more would fold the plane"
        )
    y, x = np.meshgrid(np.arange(shape[0], dtype=float), np.arange(shape[1], dtype=float), indexing="ij")
    if amplitude_px > 0:
        y += amplitude_px * smooth_noise(rng, shape, wavelength_px)
        x += amplitude_px * smooth_noise(rng, shape, wavelength_px)
    return y, x


def stretched(y: np.ndarray, x: np.ndarray, aspect: float, angle_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Give coordinates along and across an axis, areas kept, in which cells longer by `aspect` look equiaxed.

    The angle runs from the column axis towards the row axis.
    """
    c, s, root = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg)), np.sqrt(aspect)
    return (c * x + s * y) / root, (c * y - s * x) * root


def fuse_neighbours(rng: np.random.Generator, seeds: np.ndarray, weights: np.ndarray, fraction: float) -> np.ndarray:
    """Give the owner (n,) of each seed after `fraction` of them joined a grain that they share a face with.

    Joined cells make concave grains. Two seeds surely share a face where no third one has less power at the point of
    their connecting line that belongs to both.
    """
    owner = np.arange(len(seeds))
    if len(seeds) < 3 or fraction <= 0:
        return owner
    _, near = cKDTree(seeds).query(seeds, k=min(12, len(seeds)))
    one = rng.permutation(len(seeds))[: int(fraction * len(seeds))]
    two = near[one, rng.integers(1, min(4, near.shape[1]), len(one))]
    line = seeds[two] - seeds[one]
    share = 0.5 * (1 + (weights[one] - weights[two]) / np.maximum((line**2).sum(1), 1e-9))
    places = seeds[one] + share[:, None] * line
    power = ((places[:, None] - seeds[near[one]]) ** 2).sum(-1) - weights[near[one]]
    sure = power.min(1) >= power[:, 0] - 1e-9
    joined = sparse.coo_matrix((sure[sure], (one[sure], two[sure])), shape=(len(seeds),) * 2)
    return np.asarray(connected_components(joined, directed=False)[1])


def run_potts(rng: np.random.Generator, grain: np.ndarray, sweeps: int) -> np.ndarray:
    """Let grain boundaries move by their curvature: zero-temperature Potts kinetics on the pixels.

    One sweep tries as many sites as there are pixels; the mean area grows in proportion to their number
    (doi:10.1016/0001-6160(84)90151-2).
    """
    grain = np.array(grain, np.int32)
    for _ in range(sweeps):
        places = rng.integers(0, grain.size, grain.size)
        sites = np.stack(np.divmod(places, grain.shape[1]), 1)
        potts_sweep(grain, sites, rng.integers(0, 8, grain.size))
    return grain


def plain_cells(
    y: np.ndarray, x: np.ndarray, seeds: np.ndarray, weights: np.ndarray, owner: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give the grain and the distance to its nearest boundary at unstretched places: the plain twin of `paint`."""
    places = np.stack([y, x], -1)
    power = ((places[..., None, :] - seeds) ** 2).sum(-1) - weights
    mine = power.argmin(-1)
    gap = np.linalg.norm(seeds[mine][..., None, :] - seeds, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        near = (power - power.min(-1, keepdims=True)) / (2 * gap)
    near = np.where(owner[mine][..., None] == owner, np.inf, near)
    return owner[mine], near.min(-1)


def plain_potts(grain: np.ndarray, sites: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """Move sites one after the other in plain Python: the twin of the Potts kernel."""
    grain = np.pad(grain, 1, constant_values=-1)
    around = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)]
    for (r, c), pick in zip(sites + 1, picks, strict=True):
        theirs = grain[r + around[pick][0], c + around[pick][1]]
        window = grain[r - 1 : r + 2, c - 1 : c + 2]
        if theirs not in (-1, grain[r, c]) and (window == theirs).sum() >= (window == grain[r, c]).sum() - 1:
            grain[r, c] = theirs
    return grain[1:-1, 1:-1]
