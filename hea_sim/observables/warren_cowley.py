"""Warren-Cowley short-range order, sublattice occupancy, and blocked errors over samples.

| symbol | here |
|---|---|
| alpha^s_ij = 1 - p^s_ij / (c_i c_j) (Cowley 1950, doi:10.1103/PhysRev.77.669) | `warren_cowley` |
| sum_j c_j alpha_ij = 0 for each i and shell | tested |
| negative: i and j are more often neighbours than in the random alloy | |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.pairs import check_occupation, pair_fractions
from hea_sim.lattice.shells import lattice_name, lattice_points, sites_per_cell


def warren_cowley(
    arrangement: Any,
    lattice: str,
    *,
    size: Sequence[int] | None = None,
    species: Sequence[str] | None = None,
    shells: int = 3,
) -> np.ndarray:
    """Compute Warren-Cowley parameters (shells, species, species) of a periodic cubic cell.

    `arrangement` is an `ase.Atoms` in the site order of `ase.build.bulk(..., cubic=True).repeat(size)`, or species
    indices with their `size` in conventional cells. Species are those of `species`, else in order of their symbols'
    first appearance; entries of absent species are NaN.

    >>> b2 = np.tile([0, 1], 8)
    >>> warren_cowley(b2, "bcc", size=(2, 2, 2), shells=2)[:, 0, 1]
    array([-1.,  1.])
    """
    occupation, size, n_species = occupation_of(arrangement, lattice, size, species)
    return warren_cowley_of_pairs(pair_fractions(occupation, lattice, size, shells, n_species))


def warren_cowley_of_pairs(pairs: np.ndarray) -> np.ndarray:
    """Turn pair fractions (shells, species, species) into Warren-Cowley parameters; absent species give NaN."""
    c = pairs[0].sum(axis=1)
    expected = np.outer(c, c)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0, 1 - pairs / expected, np.nan)


def sublattice_occupancy(
    arrangement: Any, lattice: str = "A2", *, size: Sequence[int] | None = None, species: Sequence[str] | None = None
) -> np.ndarray:
    """Compute the occupancy (sublattices, species) of the sites of the conventional cell.

    For bcc the two rows are the corner and the body-centre sites, whose difference is what the B2 superlattice lines
    see. It is taken over the whole cell: antiphase domains cancel, as they do in an integrated (not broadened) line.

    >>> sublattice_occupancy(np.tile([0, 1], 8), "bcc", size=(2, 2, 2))
    array([[1., 0.],
           [0., 1.]])
    """
    occupation, size, n_species = occupation_of(arrangement, lattice, size, species)
    by_basis = occupation.reshape(-1, sites_per_cell(lattice))
    return np.array([np.bincount(column, minlength=n_species) / len(column) for column in by_basis.T])


def blocked_mean(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average samples (n, ...) of a Markov chain; give the mean and its standard error by blocking.

    Neighbours in the chain are averaged pairwise until at least 8 blocks are left (Flyvbjerg and Petersen 1989,
    doi:10.1063/1.457480); the largest error over block lengths is taken, so that correlated samples do not count as
    independent. One sample gives NaN errors.

    >>> mean, error = blocked_mean(np.array([1.0, 1.0, 1.0, 1.0]))
    >>> float(mean), float(error)
    (1.0, 0.0)
    """
    blocks = np.asarray(samples, float)
    if blocks.ndim < 1 or len(blocks) == 0:
        raise InputError("average over samples: got none, wanted at least one")
    mean = blocks.mean(axis=0)
    if len(blocks) == 1:
        return mean, np.full_like(mean, np.nan)
    error = np.zeros_like(mean)
    while True:
        error = np.maximum(error, blocks.std(axis=0, ddof=1) / np.sqrt(len(blocks)))
        if len(blocks) < 16:
            return mean, error
        even = blocks[: len(blocks) // 2 * 2]
        blocks = (even[0::2] + even[1::2]) / 2


def occupation_of(
    arrangement: Any, lattice: str, size: Sequence[int] | None, species: Sequence[str] | None
) -> tuple[np.ndarray, tuple[int, ...], int]:
    """Translate atoms or indices into species indices, cell repeats and the number of species."""
    lattice = lattice_name(lattice)
    if not hasattr(arrangement, "get_chemical_symbols"):
        if size is None:
            raise InputError("species indices need their size in conventional cells, such as size=(12, 12, 12)")
        occupation = np.asarray(arrangement)
        n_species = len(species) if species is not None else int(occupation.max(initial=0)) + 1
        return check_occupation(occupation, lattice, size, n_species), tuple(size), n_species
    symbols = arrangement.get_chemical_symbols()
    names = list(species) if species is not None else list(dict.fromkeys(symbols))
    unknown = sorted(set(symbols) - set(names))
    if unknown:
        raise InputError(f"the cell holds {', '.join(unknown)}, which species {names} does not name")
    repeats = cell_repeats(arrangement, lattice) if size is None else tuple(size)
    return np.array([names.index(s) for s in symbols], dtype=np.int8), repeats, len(names)


def cell_repeats(atoms: Any, lattice: str) -> tuple[int, ...]:
    """Find the repeats of the conventional cell, and check that the atoms stand in the order of the lattice points."""
    a = (atoms.get_volume() / len(atoms) * sites_per_cell(lattice)) ** (1 / 3)
    lengths = np.linalg.norm(np.asarray(atoms.cell), axis=1)
    size = tuple(int(n) for n in np.rint(lengths / a))
    if np.abs(lengths / a - size).max() > 0.02 or np.prod(size) * sites_per_cell(lattice) != len(atoms):
        raise InputError(f"cell lengths {lengths.round(3)} A are no multiples of a cubic {lattice} cell of {a:.4f} A")
    away = atoms.get_scaled_positions() - lattice_points(lattice, size) / (2 * np.array(size))
    away -= np.round(away)
    if np.abs(away * lengths).max() > 0.35 * a:
        raise InputError("atoms do not stand in the site order of ase.build.bulk(..., cubic=True).repeat(size)")
    return size
