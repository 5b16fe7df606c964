"""Invariant fingerprints: the same numbers for a structure that is turned, mirrored, shifted, relabelled or repeated.

Each atom is described by its neighbours: soft counts in shells, element by element, and invariants of how unevenly they
lie around it,

| D_m = sum_j w_m(r_ij, element of j) r_ij / r_ij | dipoles |
|---|---|
| Q_m = sum_j w_m (r r^T / r^2 - 1/3) | quadrupoles |
| D_m . D_k, tr Q_m Q_k, D_m^T Q_k D_m, tr Q_m Q_k Q_m | what enters, for a few fixed random w_m |

The products of three tell apart arrangements with equal distances of all pairs, which abound among the small cells of
one lattice. Fixed random waves of these numbers are passed on to the neighbours once; a frame's fingerprint are the
means over its atoms, element by element.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hea_sim.potentials.environment import Environment, find_neighbours
from hea_sim.potentials.fitting.fingerprint_kernels import neighbour_moments, neighbour_sums, shell_weights
from hea_sim.potentials.fitting.structures import TrainingStructure

#: Neighbours up to here are compared, in A.
REACH_A = 5.5
CENTRES_A = np.array([1.8, 2.4, 3.0, 3.6, 4.2, 4.8])
WIDTH_A = 0.45
#: Structures whose fingerprints differ by less are the same but for rounding in their file.
SAME = 2e-4
_WAVES = 8
_MIXED = 3
_ATOMS_AT_ONCE = 4000


def environments(structures: Sequence[TrainingStructure]) -> Iterator[Environment]:
    """Give the neighbours of the structures within the reach, some thousand atoms at a time."""
    start = 0
    while start < len(structures):
        end, atoms = start, 0
        while end < len(structures) and (end == start or atoms + structures[end].n_atoms <= _ATOMS_AT_ONCE):
            atoms += structures[end].n_atoms
            end += 1
        yield find_neighbours([s.atoms for s in structures[start:end]], REACH_A)
        start = end


def fingerprints(structures: Sequence[TrainingStructure], elements: Sequence[str]) -> np.ndarray:
    """Compute the fingerprint of each structure (structures, numbers); `elements` must hold all that occur."""
    rows = [fingerprints_in(environment, elements) for environment in environments(structures)]
    return np.concatenate(rows)


def fingerprints_in(environment: Environment, elements: Sequence[str]) -> np.ndarray:
    """Compute the fingerprint of each system whose neighbours are known (systems, numbers)."""
    species, n_species = environment.indices_of(elements), len(elements)
    weights = shell_weights(environment.vectors, REACH_A, CENTRES_A, WIDTH_A)
    place = species[environment.second]
    moments = neighbour_moments(environment.starts, environment.vectors, place, n_species, weights)
    near = np.concatenate([_invariants(moments), np.eye(n_species)[species]], axis=1)
    carried = _waves(near, 0)
    sums = neighbour_sums(environment.starts, environment.second, carried, weights)
    described = np.concatenate(
        [near, carried, _waves(np.concatenate([carried, *sums.swapaxes(0, 1)], axis=1), 1)], axis=1
    )
    systems = len(environment.volumes_A3)
    table = np.zeros((systems * n_species, described.shape[1]))
    np.add.at(table, environment.system * n_species + species, described)
    return table.reshape(systems, -1) / np.bincount(environment.system, minlength=systems)[:, None]


def _invariants(moments: np.ndarray) -> np.ndarray:
    """Turn moments (n, slots, shells, 10) into numbers that no rotation changes (n, numbers)."""
    n = len(moments)
    flat = moments.reshape(n, -1, 10)
    mixed = np.einsum("mq,nqk->nmk", np.random.default_rng(19570101).normal(size=(_MIXED, flat.shape[1])), flat)
    dipole, quadrupole = mixed[..., 1:4], mixed[..., [4, 9, 8, 9, 5, 7, 8, 7, 6]].reshape(n, _MIXED, 3, 3)
    quadrupole = quadrupole - mixed[..., :1, None] / 3 * np.eye(3)
    squared = quadrupole @ quadrupole
    parts = (
        flat[..., 0],
        dipole @ dipole.swapaxes(1, 2),
        np.einsum("nmab,nkab->nmk", quadrupole, quadrupole),
        np.einsum("nma,nkab,nmb->nmk", dipole, quadrupole, dipole),
        np.einsum("nmab,nkab->nmk", squared, quadrupole),
    )
    return np.concatenate([part.reshape(n, -1) for part in parts], axis=1)


def _waves(values: np.ndarray, step: int) -> np.ndarray:
    """Mix numbers by fixed waves that tell which of them occur together (n, waves)."""
    size = values.shape[1]
    directions = np.random.default_rng([20200702, step]).normal(size=(size, _WAVES)) / np.sqrt(0.2 * size)
    return np.cos(values @ directions)


def near_pairs(table: np.ndarray, tolerance: float, others: np.ndarray | None = None) -> np.ndarray:
    """List the pairs of rows (pairs, 2) no element of which differs by more than a tolerance.

    Within one table each pair is listed once, the lower row first; with `others`, the second index is into them.
    """
    right = table if others is None else others
    line = np.full(table.shape[1], 1.0 / table.shape[1])  # rows within the tolerance differ by no more along it
    order = np.argsort(right @ line, kind="stable")
    along = (right @ line)[order]
    at = table @ line
    low = np.searchsorted(along, at - tolerance, "left")
    high = np.searchsorted(along, at + tolerance, "right")
    found = []
    for i in range(len(table)):
        candidates = order[low[i] : high[i]]
        if others is None:
            candidates = candidates[candidates > i]
        near = candidates[(np.abs(right[candidates] - table[i]) <= tolerance).all(axis=1)]
        found.append(np.stack([np.full(len(near), i), near], axis=1))
    return np.concatenate(found) if found else np.empty((0, 2), int)


def lowest_equal(pairs: np.ndarray, n: int) -> np.ndarray:
    """Number each of n rows by the lowest row that pairs join it with (n,)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    label = connected_components(links, directed=False)[1]
    lowest = np.full(n, n)
    np.minimum.at(lowest, label, np.arange(n))
    return lowest[label]
