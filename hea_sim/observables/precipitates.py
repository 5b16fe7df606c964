"""Precipitates in a simulated cell: regions rich in some species, their sizes, shapes and spacings.

An atom belongs to a precipitate where the fraction of the chosen species among itself and its neighbours is above a
threshold; such atoms are joined to one precipitate where they are neighbours. That is what isoconcentration surfaces do
in atom-probe tomography, with the neighbourhood as the voxel.

| symbol | here |
|---|---|
| d = (6 n Omega / pi)^(1/3), n atoms of volume Omega | `Precipitates.diameter_nm` |
| distance from each centre to the nearest other one, images counted | `Precipitates.spacing_nm` |
| number over volume | `Precipitates.density_per_nm3` |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hea_sim.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Precipitates:
    """Hold the precipitates of a cell, the largest first.

    `label` (atoms,) numbers them from 1, 0 is the matrix; `n_atoms`, `diameter_nm`, `rich_fraction` (of the chosen
    species inside) and `spacing_nm` (NaN where there is one alone) have one entry for each; `centres_nm` (n, 3).
    """

    label: np.ndarray
    n_atoms: np.ndarray
    diameter_nm: np.ndarray
    rich_fraction: np.ndarray
    spacing_nm: np.ndarray
    centres_nm: np.ndarray
    density_per_nm3: float
    volume_fraction: float


def find_precipitates(
    atoms: Any,
    species: Sequence[str],
    *,
    threshold: float,
    radius_A: float,
    least_atoms: int = 20,
    joined_within_A: float | None = None,
) -> Precipitates:
    """Find regions of a periodic cell that are rich in `species`.

    `threshold` is the fraction of them within `radius_A` of an atom above which it counts as inside; regions of fewer
    than `least_atoms` are left to the matrix. Atoms join within `joined_within_A`, the radius where left out.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    from hea_sim.potentials.environment import find_neighbours

    symbols = np.array(atoms.get_chemical_symbols())
    strangers = [s for s in species if s not in symbols]
    if strangers or not len(species):
        raise InputError(
            f"precipitates of {list(species)}: the cell holds {', '.join(dict.fromkeys(symbols.tolist()))}"
        )
    if not 0 < threshold < 1 or not radius_A > 0:
        raise InputError(
            f"precipitates: threshold {threshold}, radius {radius_A} A; wanted 0 to 1 and a positive radius"
        )
    rich = np.isin(symbols, list(species)).astype(float)
    found = find_neighbours([atoms], radius_A)
    first, second, distance = found.first, found.second, np.linalg.norm(found.vectors, axis=1)
    near = distance <= radius_A
    n = len(atoms)
    number = 1 + np.bincount(first[near], minlength=n)
    local = (rich + np.bincount(first[near], rich[second[near]], minlength=n)) / number
    inside = local > threshold
    bond = near & inside[first] & inside[second]
    if joined_within_A is not None:
        bond &= distance <= joined_within_A
    graph = coo_matrix((np.ones(bond.sum(), np.int8), (first[bond], second[bond])), shape=(n, n))
    _, component = connected_components(graph, directed=False)
    sizes = np.bincount(component[inside], minlength=component.max() + 1)
    kept = [k for k in np.argsort(-sizes, kind="stable") if sizes[k] >= max(1, least_atoms)]
    label = np.zeros(n, np.int64)
    for order, k in enumerate(kept):
        label[inside & (component == k)] = order + 1
    return _described(atoms, label, len(kept), rich)


def _described(atoms: Any, label: np.ndarray, count: int, rich: np.ndarray) -> Precipitates:
    volume_A3 = float(atoms.get_volume())
    n_atoms = np.bincount(label, minlength=count + 1)[1:]
    scaled = atoms.get_scaled_positions()
    turns = np.exp(2j * np.pi * scaled)
    centres = np.array(
        [np.angle(turns[label == k + 1].mean(axis=0)) / (2 * np.pi) % 1.0 for k in range(count)]
    ).reshape(count, 3)
    return Precipitates(
        label=label,
        n_atoms=n_atoms,
        diameter_nm=0.1 * np.cbrt(6 / np.pi * n_atoms * volume_A3 / len(atoms)),
        rich_fraction=np.bincount(label, rich, minlength=count + 1)[1:] / np.maximum(n_atoms, 1),
        spacing_nm=0.1 * _spacings(centres, atoms.cell.array),
        centres_nm=0.1 * centres @ atoms.cell.array,
        density_per_nm3=count / (1e-3 * volume_A3),
        volume_fraction=float((label > 0).mean()),
    )


def _spacings(centres: np.ndarray, cell_A: np.ndarray) -> np.ndarray:
    """Give the distance from each centre to the nearest other one, across the borders too."""
    if len(centres) < 2:
        return np.full(len(centres), np.nan)
    apart = centres[:, None] - centres[None]
    apart -= np.round(apart)
    images = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 1, 3)
    distance = np.linalg.norm((apart[None] + images) @ cell_A, axis=3).min(axis=0)
    np.fill_diagonal(distance, np.inf)
    return np.asarray(distance.min(axis=1))
