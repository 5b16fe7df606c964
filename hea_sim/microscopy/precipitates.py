"""Draw precipitates in a matrix as etched surfaces show them: one population or two, round, cuboidal or merged.

Particles are known by their depth, a signed distance to the nearest outline in pixels; a pixel belongs to a particle
where the depth at its centre is positive, and its grey value is mixed by how much of it the particle covers, so that
particles of three pixels keep their true size under any later blur.

| what the eye sees | here |
|---|---|
| gamma' particles that keep a distance | `Population(packing="apart")`, random sequential placing |
| dense secondary gamma', cuboids, merged shapes | `Population(packing="cells")`, a disturbed grid, channels may close |
| bright or dark seam of an etched step | `rim`, `inner_rim` |
| pits, dark in the middle and fading out towards their edge | `softness` of a population |
| light from one side, on the edge, outside or inside of it | `relief`, `relief_offset_px` |
| bright or dark patches inside particles | `patches` |
| particles below the surface, in the picture but not in the truth | `ghosts` |
| dirt, scratches | `dirt`, `scratches` |
| another phase or the rim of the specimen, without precipitates | `foreign`, over a part of the field |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import ndimage

from hea_sim.errors import InputError
from hea_sim.microscopy.noise_fields import enlarge, smooth_noise
from hea_sim.microscopy.particle_kernels import measure_cells, paint_particle, place_particles
from hea_sim.microscopy.scenes import MATRIX_LEVEL, Scene, checked_shape

MATRIX, SMALL, LARGE = 0, 1, 2
#: Names where an image has both populations, and where it has one.
TWO_POPULATIONS = {MATRIX: "matrix", SMALL: "small precipitate", LARGE: "large precipitate"}
ONE_POPULATION = {MATRIX: "matrix", LARGE: "precipitate"}
_FAR = np.float32(-1e3)
#: Places tried for particles; more would cost seconds a picture.
_MOST_PLACES = 16_000


@dataclass(frozen=True, kw_only=True)
class Population:
    """Describe one population; lengths in pixels.

    `spread` is the standard deviation of the logarithm of the diameter, `aspect` the mean ratio of width to length,
    `squareness` runs from 0 (ellipse) to 1 (square with round corners), `roughness` is the relative amplitude of the
    outline's waves. For cells, `fill` is the share of cells that hold a particle, `channel_px` the mean width of the
    channels, `merging` how strongly that width varies, so that channels close on the way. `softness` is the part of the
    mean radius over which the contrast grows from nothing at the outline (by 1 - 1/e); 0 for a sharp step.
    """

    packing: Literal["apart", "cells"] = "apart"
    diameter_px: float = 20.0
    spread: float = 0.25
    aspect: float = 0.85
    squareness: float = 0.0
    roughness: float = 0.04
    aligned: bool = False
    fraction: float = 0.2
    gap_px: float = 2.0
    clustering: float = 0.0
    fill: float = 0.6
    channel_px: float = 6.0
    merging: float = 0.3
    disorder: float = 0.6
    contrast: float = -0.2
    softness: float = 0.0

    def __post_init__(self) -> None:
        if not (
            self.diameter_px >= 1
            and 0 < self.aspect <= 1
            and 0 <= self.fraction <= 0.9
            and 0 <= self.fill <= 1
            and 0 <= self.softness <= 1
        ):
            raise InputError(
                f"population: diameter_px {self.diameter_px}, aspect {self.aspect}, fraction {self.fraction}, fill"
                f" {self.fill}, softness {self.softness}; wanted a diameter of at least 1 px, an aspect in (0, 1], a"
                " fraction up to 0.9, a fill and a softness up to 1"
            )


@dataclass(frozen=True, kw_only=True)
class Surface:
    """Describe how the surface shows particles; grey levels relative to full scale, lengths in pixels."""

    rim: float = 0.0
    rim_px: float = 3.0
    inner_rim: float = 0.0
    inner_rim_px: float = 3.0
    relief: float = 0.0
    relief_px: float = 1.5
    relief_offset_px: float = 0.0
    relief_angle_deg: float = 90.0
    matrix_texture: float = 0.01
    texture_px: float = 20.0
    streaks: float = 0.0
    particle_spread: float = 0.1
    patches: float = 0.0
    patch_px: float = 10.0
    ghosts: int = 0
    ghost_contrast: float = -0.06
    ghost_diameter_px: float = 20.0
    dirt: int = 0
    scratches: int = 0
    scratch_contrast: float = -0.1
    foreign: float = 0.0
    foreign_part: float = 0.3


@dataclass(kw_only=True)
class _Canvas:
    """Gather what is drawn: depth of each population, and the owner of each pixel."""

    depth: np.ndarray
    owner: np.ndarray
    n: int = 0
    parts: list[np.ndarray] = field(default_factory=list)


def draw_precipitates(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    large: Population,
    small: Population | None = None,
    surface: Surface | None = None,
) -> Scene:
    """Draw one population, or a small one between the particles of a large one.

    Parameters
    ----------
    rng
        Draws everything.
    shape
        Rows and columns.
    large, small
        The populations; `small` particles are placed one by one in the matrix that is left.
    surface
        How the surface shows them; None for a plain difference of grey.

    Returns
    -------
    Scene
        Classes `TWO_POPULATIONS` where `small` is given, else `ONE_POPULATION`.
    """
    shape = checked_shape(shape)
    surface = surface or Surface()
    canvas = _Canvas(depth=np.full(shape, _FAR, np.float32), owner=np.zeros(shape, np.int32))
    if large.packing == "cells":
        _grow_cells(canvas, large, rng)
    else:
        _place_apart(canvas, large, rng)
    coarse = canvas.depth.copy()
    if small is not None:
        _place_apart(canvas, small, rng)
    foreign = _foreign_region(surface, shape, rng)
    if surface.foreign:
        for depth in (canvas.depth, coarse):
            depth[foreign > 0] = -10.0
        canvas.owner[canvas.depth <= 0] = 0
    labels = np.zeros(shape, np.uint8)
    labels[coarse > 0] = LARGE
    labels[(canvas.depth > 0) & (coarse <= 0)] = SMALL
    grey = _grey(canvas, coarse, large, small, surface, rng) + surface.foreign * foreign
    return Scene(
        reflectance=grey,
        labels=labels,
        classes=dict(ONE_POPULATION if small is None else TWO_POPULATIONS),
        instances=canvas.owner,
    )


def _foreign_region(surface: Surface, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Give how far a pixel lies in another phase, 0 to 1: what is beyond a wavy line through the field."""
    if not surface.foreign:
        return np.zeros((), np.float32)
    y, x = np.ogrid[: shape[0], : shape[1]]
    angle = rng.uniform(0, 2 * np.pi)
    across = (y - shape[0] / 2) * np.sin(angle) + (x - shape[1] / 2) * np.cos(angle)
    across = across + 0.06 * min(shape) * smooth_noise(rng, shape, 0.7 * min(shape))
    start = np.quantile(across[::8, ::8], 1 - surface.foreign_part)
    return np.clip((across - start) / 2 + 0.5, 0, 1).astype(np.float32)


def _outlines(population: Population, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw `n` outlines; give radii (n, points) in pixels and their slopes."""
    diameter = population.diameter_px * np.exp(population.spread * rng.standard_normal(n) - population.spread**2 / 2)
    angles = _angles(32 if population.diameter_px < 10 else 96)
    aspect = np.clip(population.aspect + 0.1 * rng.standard_normal(n), 0.3, 1.0)
    turn = np.zeros(n) + rng.uniform(0, np.pi) if population.aligned else rng.uniform(0, np.pi, n)
    angle = angles[None] - turn[:, None].astype(np.float32)
    # A superellipse |x/a|^p + |y/b|^p = 1: p = 2 is an ellipse, p = 8 nearly a square.
    p = 2.0 + 6.0 * population.squareness
    a, b = (1 / np.sqrt(aspect)[:, None]).astype(np.float32), np.sqrt(aspect)[:, None].astype(np.float32)
    if population.squareness > 0:
        radius = (np.abs(np.cos(angle) / a) ** p + np.abs(np.sin(angle) / b) ** p) ** (-1 / p)
    else:
        radius = 1 / np.sqrt((np.cos(angle) / a) ** 2 + (np.sin(angle) / b) ** 2)
    for k in range(2, 7):
        wave = np.float32(population.roughness / np.sqrt(k - 1)) * rng.standard_normal((n, 2), dtype=np.float32)
        radius += wave[:, :1] * np.cos(k * angle) + wave[:, 1:] * np.sin(k * angle)
    radius = np.maximum(radius, 0.25)
    radius /= np.sqrt(np.mean(radius**2, axis=1, keepdims=True))  # the area is that of the wanted diameter
    radius *= np.maximum(diameter, 1.0)[:, None].astype(np.float32) / 2
    rise = (np.roll(radius, -1, axis=1) - np.roll(radius, 1, axis=1)) / (2 * angles[1])
    return radius, np.sqrt(1 + (rise / radius) ** 2)


def _angles(points: int) -> np.ndarray:
    return np.arange(points, dtype=np.float32) * np.float32(2 * np.pi / points)


def _place_apart(canvas: _Canvas, population: Population, rng: np.random.Generator) -> None:
    rows, columns = canvas.depth.shape
    area = np.pi / 4 * population.diameter_px**2 * np.exp(population.spread**2)
    wanted = max(1, round(population.fraction * rows * columns / area))
    n = min(2 * wanted + 8, _MOST_PLACES)
    margin = population.diameter_px / 2
    places = rng.uniform((-margin, -margin), (rows + margin, columns + margin), (n, 2))
    if population.clustering > 0:
        density = smooth_noise(rng, (rows, columns), 10 * population.diameter_px + 35)
        y, x = np.clip(places[:, 0].astype(int), 0, rows - 1), np.clip(places[:, 1].astype(int), 0, columns - 1)
        chance = 1 / (1 + np.exp(-3 * population.clustering * density[y, x]))
        places = places[rng.random(n) < chance]
        n = len(places)
    radii, slopes = _outlines(population, n, rng)
    gap = population.gap_px * rng.uniform(0, 2, n)
    room = round(population.fraction * rows * columns)
    canvas.n += place_particles(canvas.depth, canvas.owner, canvas.n, places, radii, slopes, gap, room)


def _grow_cells(canvas: _Canvas, population: Population, rng: np.random.Generator) -> None:
    """Fill the field with cells of a turned, disturbed grid; channels of changing width part them."""
    rows, columns = canvas.depth.shape
    spacing = population.diameter_px + population.channel_px
    turn = rng.uniform(0, np.pi)
    stretch = np.sqrt(max(population.aspect, 0.3))
    # Cells are wide, so their depth is measured on every second pixel or fewer.
    step = int(np.clip(spacing // 12, 1, 3))
    coarse = (rows // step + 2, columns // step + 2)
    y, x = (step * part for part in np.mgrid[: coarse[0], : coarse[1]].astype(np.float32))
    bend = 0.18 * spacing * population.disorder
    y += bend * _wavy(rng, coarse, 1.55 * spacing / step) - rows / 2
    x += bend * _wavy(rng, coarse, 1.55 * spacing / step) - columns / 2
    u = (x * np.cos(turn) + y * np.sin(turn)) * stretch
    v = (y * np.cos(turn) - x * np.sin(turn)) / stretch
    u -= u.min() - 3 * spacing
    v -= v.min() - 3 * spacing
    nu, nv = int(u.max() / spacing) + 4, int(v.max() / spacing) + 4
    grid = np.stack(np.meshgrid(np.arange(nu) + 0.5, np.arange(nv) + 0.5, indexing="ij"), -1)
    seeds = spacing * (grid + 0.5 * population.disorder * rng.uniform(-1, 1, grid.shape))
    present = rng.random((nu, nv)) < population.fill
    rounding = max(1.0, (0.06 + 0.1 * (1 - population.squareness)) * population.diameter_px)
    depth, owner = np.empty(coarse, np.float32), np.empty(coarse, np.int32)
    measure_cells(depth, owner, u, v, seeds, present, spacing, rounding)
    half = population.channel_px / 2
    # Where half the width is negative the two cells grow together.
    depth -= half * (1 + 1.5 * population.merging * _wavy(rng, coarse, 1.2 * spacing / step))
    edge = population.roughness * population.diameter_px
    depth -= edge * _wavy(rng, coarse, (0.5 * spacing + 5) / step)
    canvas.depth[:] = enlarge(depth, (rows, columns), float(step))
    nearest = (np.arange(rows)[:, None] // step, np.arange(columns)[None, :] // step)
    canvas.owner[:] = np.where(canvas.depth > 0, owner[nearest], 0)
    canvas.n = nu * nv + 1


def _wavy(rng: np.random.Generator, shape: tuple[int, int], wavelength_px: float) -> np.ndarray:
    return smooth_noise(rng, shape, max(wavelength_px, 2.0))


def _grey(
    canvas: _Canvas,
    coarse: np.ndarray,
    large: Population,
    small: Population | None,
    surface: Surface,
    rng: np.random.Generator,
) -> np.ndarray:
    """Turn depth into grey levels: coverage, rims, relief, texture, and what is not in the truth."""
    shape = coarse.shape
    cover_large = np.clip(coarse + 0.5, 0, 1)
    cover = np.clip(canvas.depth + 0.5, 0, 1)
    cover_small = np.clip(cover - cover_large, 0, 1)
    spread = 1 + surface.particle_spread * rng.standard_normal(canvas.n + 2).astype(np.float32)
    own = spread[np.minimum(canvas.owner, canvas.n + 1)]
    matrix = MATRIX_LEVEL + surface.matrix_texture * smooth_noise(rng, shape, surface.texture_px)
    matrix += _not_in_the_truth(surface, shape, rng)
    inside = large.contrast * own * _bowl(coarse, large)
    if surface.streaks:
        inside = inside + surface.streaks * _streaks(rng, shape)
    if surface.patches:
        inside = inside + surface.patches * np.maximum(smooth_noise(rng, shape, surface.patch_px), 0)
    grey = matrix + cover_large * inside
    if small is not None:
        grey += cover_small * small.contrast * own * _bowl(canvas.depth, small)
    if surface.rim:
        grey += surface.rim * (1 - cover) * np.exp(np.minimum(coarse, 0) / surface.rim_px)
    if surface.inner_rim:
        grey += surface.inner_rim * cover * np.exp(-np.maximum(canvas.depth, 0) / surface.inner_rim_px)
    if surface.relief:
        grey += surface.relief * _relief(canvas.depth, surface)
    _lay_on_top(grey, surface, rng)
    return np.clip(grey, 0.0, 1.2).astype(np.float32)


def _bowl(depth: np.ndarray, population: Population) -> np.ndarray:
    """Give how much of its contrast a particle shows at a depth, 0 to 1."""
    if population.softness == 0:
        return np.ones((), np.float32)
    over = max(0.5 * population.softness * population.diameter_px, 0.5)
    return np.asarray(1 - np.exp(-np.maximum(depth, 0) / np.float32(over)), np.float32)


def _relief(depth: np.ndarray, surface: Surface) -> np.ndarray:
    """Light the steps, which lie an offset outside the outlines, from one side."""
    soft = ndimage.gaussian_filter(np.clip(depth + (0.5 + surface.relief_offset_px), 0, 1), surface.relief_px)
    angle = np.deg2rad(surface.relief_angle_deg)
    slope = np.zeros_like(soft)
    slope[1:-1] += (soft[2:] - soft[:-2]) * np.float32(np.sin(angle) / 2)
    slope[:, 1:-1] += (soft[:, 2:] - soft[:, :-2]) * np.float32(np.cos(angle) / 2)
    return slope * np.float32(2.5 * surface.relief_px)


def _streaks(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Draw fine parallel polishing marks of one direction."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    angle = rng.uniform(0, np.pi)
    across = x * np.cos(angle) + y * np.sin(angle)
    across = (across - across.min()) / rng.uniform(1.5, 4)
    profile = rng.standard_normal(int(across.max()) + 2).astype(np.float32)
    return profile[across.astype(np.int32)]


def _not_in_the_truth(surface: Surface, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw blurred particles that lie below the surface."""
    if not surface.ghosts:
        return np.zeros((), np.float32)
    depth, owner = np.full(shape, _FAR, np.float32), np.zeros(shape, np.int32)
    ghosts = Population(diameter_px=surface.ghost_diameter_px, spread=0.4, roughness=0.02)
    radii, slopes = _outlines(ghosts, surface.ghosts, rng)
    places = rng.uniform((0, 0), shape, (surface.ghosts, 2))
    for i, (row, column) in enumerate(places):
        paint_particle(depth, owner, 1, row, column, radii[i], slopes[i])
    soft = surface.ghost_diameter_px * rng.uniform(0.12, 0.3)
    return surface.ghost_contrast / (1 + np.exp(-np.clip(depth / soft, -20, 20)))


def _lay_on_top(grey: np.ndarray, surface: Surface, rng: np.random.Generator) -> None:
    """Add scratches and bright dirt, which hide what is below."""
    rows, columns = grey.shape
    for _ in range(surface.scratches):
        row, column, angle = rng.uniform(0, rows), rng.uniform(0, columns), rng.uniform(0, np.pi)
        y, x = np.ogrid[:rows, :columns]
        off = np.abs((x - column) * np.sin(angle) - (y - row) * np.cos(angle))
        along = np.abs((x - column) * np.cos(angle) + (y - row) * np.sin(angle))
        grey += surface.scratch_contrast * np.clip(rng.uniform(0.8, 2) - off, 0, 1) * (along < rng.uniform(20, rows))
    for _ in range(surface.dirt):
        row, column, r = rng.uniform(0, rows), rng.uniform(0, columns), rng.uniform(1, 12)
        reach = int(3 * r) + 2
        top, left = max(int(row) - reach, 0), max(int(column) - reach, 0)
        part = grey[top : int(row) + reach, left : int(column) + reach]
        y, x = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
        part += rng.uniform(0.1, 0.5) * np.exp(-(((x - column) ** 2 + (y - row) ** 2) / r**2))
