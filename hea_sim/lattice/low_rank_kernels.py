"""Low-rank potentials: partial products of the train, and the change of the energy by one or two sites.

All functions are plain Python that numba can compile. A neighbourhood is the species of n sites, the centre first.

| table | shape | what |
|---|---|---|
| sites | (sites, n) | the neighbourhood of every site, the centre first |
| cores | (n, species, r, r) | matrices of the train; the first has one row, the last one column that counts |
| turns | (g, n) | places of the neighbourhood in the order that each operation of the point group gives |
| values | (species^n,), or (0,) where that is too long | energy of each neighbourhood, looked up by its code |
| site_energy | (species,) | energy of a species outside the train, in eV |
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

Tables = tuple[np.ndarray, ...]


@register_jitable
def train_value(species: np.ndarray, turn: np.ndarray, cores: np.ndarray) -> float:
    """Multiply the matrices of one neighbourhood (n,) in the order of one operation."""
    rank = cores.shape[2]
    row = np.zeros(rank)
    row[0] = 1.0
    new = np.empty(rank)
    for k in range(cores.shape[0]):
        core = cores[k, species[turn[k]]]
        for b in range(rank):
            total = 0.0
            for a in range(rank):
                total += row[a] * core[a, b]
            new[b] = total
        row, new = new, row
    return row[0]


@register_jitable
def neighbourhood_energy(species: np.ndarray, tables: Tables) -> float:
    """Give the energy (eV) of one neighbourhood, averaged over the point group."""
    _, cores, turns, values, site_energy = tables
    if values.size > 0:
        code = 0
        for k in range(len(species)):
            code = code * cores.shape[1] + species[k]
        return values[code]
    total = 0.0
    for g in range(turns.shape[0]):
        total += train_value(species, turns[g], cores)
    return site_energy[species[0]] + total / turns.shape[0]


def low_rank_energy_change(occupation: np.ndarray, i: int, a: int, j: int, b: int, tables: Tables) -> float:
    """Give the change of the energy of the cell (eV) when site i becomes a and, where j is no -1, site j becomes b.

    The neighbourhoods that hold a site are those of its own neighbours: shells are the same seen from either end.
    """
    sites = tables[0]
    n = sites.shape[1]
    old = np.empty(n, np.int64)
    new = np.empty(n, np.int64)
    total = 0.0
    for end in range(2 if j >= 0 else 1):
        home = i if end == 0 else j
        for m in range(n):
            centre = sites[home, m]
            met = False
            for q in range(m):  # in a small cell one site may stand there twice
                met = met or sites[home, q] == centre
            if end == 1:  # or be a neighbour of both
                for q in range(n):
                    met = met or sites[i, q] == centre
            if met:
                continue
            for q in range(n):
                k = sites[centre, q]
                old[q] = occupation[k]
                new[q] = old[q]
                if k == i:
                    new[q] = a
                elif k == j:
                    new[q] = b
            total += neighbourhood_energy(new, tables) - neighbourhood_energy(old, tables)
    return total


def tabulate(cores: np.ndarray, turns: np.ndarray, site_energy: np.ndarray, values: np.ndarray) -> None:
    """Fill the energies of all neighbourhoods; those that the point group makes alike are computed once."""
    n, n_species = cores.shape[0], cores.shape[1]
    species = np.empty(n, np.int64)
    values[:] = np.nan
    for code in range(len(values)):
        if not np.isnan(values[code]):
            continue
        rest = code
        for k in range(n - 1, -1, -1):
            species[k] = rest % n_species
            rest //= n_species
        total = 0.0
        for g in range(turns.shape[0]):
            total += train_value(species, turns[g], cores)
        for g in range(turns.shape[0]):
            image = 0
            for k in range(n):
                image = image * n_species + species[turns[g, k]]
            values[image] = site_energy[species[0]] + total / turns.shape[0]


def add_outer(left: np.ndarray, right: np.ndarray, species: np.ndarray, images: int, features: np.ndarray) -> None:
    """Average left (rows, r) x right (rows, r) over the images of each neighbourhood into (patterns, species, r, r).

    `images` rows after one another belong to one pattern; `species` (rows,) stands at the place of the core.
    """
    share = 1.0 / images
    for row in range(left.shape[0]):
        target = features[row // images, species[row]]
        for a in range(left.shape[1]):
            for b in range(right.shape[1]):
                target[a, b] += share * left[row, a] * right[row, b]


def carry(row: np.ndarray, core: np.ndarray, species: np.ndarray, out: np.ndarray, transposed: bool) -> None:
    """Multiply each row (rows, r) by the matrix of its species: row @ core, or core @ row."""
    for k in range(row.shape[0]):
        matrix = core[species[k]]
        for b in range(out.shape[1]):
            total = 0.0
            for a in range(row.shape[1]):
                total += row[k, a] * (matrix[b, a] if transposed else matrix[a, b])
            out[k, b] = total
