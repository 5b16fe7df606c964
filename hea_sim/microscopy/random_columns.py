"""Draw random alloys in low-index zones, atomically resolved: what the network of columns learns from.

Columns are placed as a flat lattice, since the projection of a perfect crystal is one; `site` 0 and 1 are the two
sublattices of an ordered alloy, 2 a column that holds both by turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hea_sim.microscopy.columns import picture_columns
from hea_sim.microscopy.noise_fields import smooth_noise
from hea_sim.microscopy.scenes import Scene, checked_shape

_R2, _R6 = float(np.sqrt(2)), float(np.sqrt(6))


@dataclass(frozen=True, kw_only=True)
class Zone:
    """Hold the projection of a cubic structure along a zone axis.

    `edges` of a rectangular cell over the lattice parameter, `places` (n, 2) in fractions of them, `sites` (n,), and
    `layers`, the atoms of a column on the length of the lattice parameter.
    """

    edges: tuple[float, float]
    places: tuple[tuple[float, float], ...]
    sites: tuple[int, ...]


_CORNER_CENTRE = ((0.0, 0.0), (0.5, 0.5))
_BETWEEN = ((0.5, 0.0), (0.0, 0.5), (0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
#: Structures by Strukturbericht name and zone axis. A2 and A1 are B2 and L1_2 without order.
ZONES = {
    ("B2", (0, 0, 1)): Zone(edges=(1.0, 1.0), places=_CORNER_CENTRE, sites=(0, 1)),
    ("B2", (1, 1, 0)): Zone(edges=(1.0, 1 / _R2), places=((0.0, 0.0), (0.5, 0.0)), sites=(0, 1)),
    ("B2", (1, 1, 1)): Zone(edges=(_R2, _R6 / 3), places=_CORNER_CENTRE, sites=(2, 2)),
    ("L1_2", (0, 0, 1)): Zone(edges=(1.0, 1.0), places=(*_CORNER_CENTRE, (0.5, 0.0), (0.0, 0.5)), sites=(0, 1, 1, 1)),
    ("L1_2", (1, 1, 0)): Zone(edges=(1.0, 1 / _R2), places=_CORNER_CENTRE, sites=(2, 1)),
    ("L1_2", (1, 1, 1)): Zone(
        edges=(_R2, _R6 / 3), places=(*_CORNER_CENTRE, *_BETWEEN), sites=(0, 0, 1, 1, 1, 1, 1, 1)
    ),
}
#: Atomic numbers drawn: Al to Cu of the 3d alloys, and the refractory metals.
_METALS = ((13, 22, 23, 24, 25, 26, 27, 28, 29), (22, 23, 24, 40, 41, 42, 72, 73, 74))


def flat_lattice(
    zone: Zone, spacing_px: float, shape: tuple[int, int], rotation_deg: float, margin_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Give places (n, 2) in pixels and sites (n,) of a projected crystal that covers a field.

    `spacing_px` is the distance of nearest columns; the origin of the lattice is the middle of the field.
    """
    edges = np.array(zone.edges)
    places = np.array(zone.places)
    images = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    ways = np.linalg.norm((places[None] + images[:, None] - places[0]).reshape(-1, 2) * edges, axis=1)
    edges = edges * spacing_px / ways[ways > 1e-9].min()
    reach = 0.5 * float(np.hypot(*shape)) + margin_px
    n = np.ceil(reach / edges).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-k, k + 1) for k in n), indexing="ij"), -1).reshape(-1, 1, 2)
    flat = ((grid + places) * edges).reshape(-1, 2)
    site = np.tile(np.array(zone.sites), len(grid))
    c, s = np.cos(np.radians(rotation_deg)), np.sin(np.radians(rotation_deg))
    flat = flat @ np.array([[c, -s], [s, c]]) + 0.5 * (np.array(shape) - 1)
    inside = ((flat > -margin_px) & (flat < np.array(shape) + margin_px)).all(1)
    return flat[inside], site[inside]


def random_columns(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Draw a random bcc, fcc, B2 or L1_2 alloy in a low-index zone, 6 to 40 px between columns.

    With small strain, a few missing columns, a specimen that ends in the field, a wedge, and ordered next to disordered
    regions.
    """
    shape = checked_shape(shape)
    keys = list(ZONES)
    zone = ZONES[keys[rng.integers(len(keys))]]
    spacing = float(np.exp(rng.uniform(np.log(6), np.log(40))))
    sigma = float(spacing * rng.uniform(0.14, 0.3))
    places, site = flat_lattice(zone, spacing, shape, float(rng.uniform(0, 360)), 3 * spacing)
    places = _strained(rng, places, shape, spacing)
    intensity = _alloy(rng, site, places, shape)
    edge = _edge(rng, places, shape, spacing)
    keep = (edge > 0) & (rng.random(len(places)) >= (rng.uniform(0, 0.02) if rng.random() < 0.5 else 0.0))
    intensity = intensity * np.clip(edge, 0, 1)
    return picture_columns(
        rng,
        shape,
        np.column_stack([places, intensity / max(float(intensity[keep].mean()) if keep.any() else 1.0, 1e-9)])[keep],
        sigma_px=max(sigma, 0.8),
        tails=float(rng.uniform(0, 0.4)) if rng.random() < 0.5 else 0.0,
        background=float(rng.uniform(0.03, 0.4)),
        unevenness=float(rng.uniform(0, 0.15)) if rng.random() < 0.4 else 0.0,
    )


def _strained(rng: np.random.Generator, places: np.ndarray, shape: tuple[int, int], spacing: float) -> np.ndarray:
    """Displace columns by a mean strain, a smooth field and a little at random."""
    middle = 0.5 * np.array(shape)
    strain = np.eye(2) + rng.normal(0, 0.02, (2, 2))
    places = (places - middle) @ strain + middle
    field_px = max(0.3 * max(shape), 4.0)
    amplitude = rng.uniform(0, 0.15) * spacing
    at = np.clip(np.rint(places).astype(int), 0, np.array(shape) - 1)
    bend = np.stack([amplitude * smooth_noise(rng, shape, field_px)[at[:, 0], at[:, 1]] for _ in range(2)], 1)
    return places + bend + rng.uniform(0, 0.04) * spacing * rng.standard_normal(places.shape)


def _alloy(rng: np.random.Generator, site: np.ndarray, places: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Give the intensity (n,) of columns of a random alloy, ordered to some degree, here and not there."""
    metals = np.array(_METALS[rng.integers(2)])
    metals = rng.choice(metals, size=int(rng.integers(2, min(6, len(metals)))), replace=False)
    light = metals.astype(float) ** rng.uniform(1.6, 2.0)
    mixed = rng.dirichlet(np.full(len(metals), 2.0))
    atoms = int(rng.integers(6, 60))
    order = np.full(len(places), rng.uniform(0, 1) if rng.random() < 0.6 else 0.0)
    if rng.random() < 0.4:
        at = np.clip(np.rint(places).astype(int), 0, np.array(shape) - 1)
        order *= np.clip(0.5 + 3 * smooth_noise(rng, shape, max(0.4 * max(shape), 4.0))[at[:, 0], at[:, 1]], 0, 1)
    intensity = np.empty(len(places))
    # One element prefers site 0; what it leaves there it takes from site 1.
    first = np.eye(len(metals))[rng.integers(len(metals))]
    for kind, favour in ((0, 1.0), (1, -1.0), (2, 0.0)):
        mine = np.flatnonzero(site == kind)
        if len(mine) == 0:
            continue
        aim = first if favour >= 0 else _without(mixed, first)
        share = abs(favour) * order[mine, None]
        parts = (1 - share) * mixed + share * aim
        intensity[mine] = rng.multinomial(atoms, parts / parts.sum(1, keepdims=True)) @ light
    return intensity


def _without(mixed: np.ndarray, first: np.ndarray) -> np.ndarray:
    rest = mixed * (1 - first)
    return np.asarray(rest / rest.sum())


def _edge(rng: np.random.Generator, places: np.ndarray, shape: tuple[int, int], spacing: float) -> np.ndarray:
    """Give the relative thickness (n,) of a specimen at its columns: a wedge, a ragged edge, or neither."""
    kind = rng.random()
    if kind < 0.5:
        return np.ones(len(places))
    angle = rng.uniform(0, 2 * np.pi)
    along = (places - 0.5 * np.array(shape)) @ np.array([np.sin(angle), np.cos(angle)]) / max(shape)
    if kind < 0.75:
        return 1.0 - rng.uniform(0, 0.8) * (along + 0.5)
    at = np.clip(np.rint(places).astype(int), 0, np.array(shape) - 1)
    ragged = rng.uniform(0, 2) * spacing / max(shape) * smooth_noise(rng, shape, 4 * spacing)[at[:, 0], at[:, 1]]
    depth = along + ragged + rng.uniform(-0.2, 0.35)
    return np.where(depth > 0, np.minimum(0.4 + depth / rng.uniform(0.05, 0.5), 1.0), 0.0)
