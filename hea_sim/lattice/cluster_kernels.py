"""Change of a cluster expansion's energy by one or two sites: plain Python that numba can compile.

| table | shape | what |
|---|---|---|
| neighbours | (sites, z) | all sites that share a cluster with a site, in one order for all sites alike |
| clusters | (rows, 4) | where the energies of a cluster begin, and the columns of its other sites |
| bounds | (sites per cell, 5) | rows of the points, pairs, triplets and quadruplets of a site of the cell |
| energies | (values,) | energy of a cluster by its species, first the site itself, in eV |
| species | (1,) | number of species |

A cluster is listed once for each of its sites. In a small cell it may hold the site that changes several times, or both
sites that change: it is then met as often as it holds them, and counted by that share.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable


@register_jitable
def _change_around(occupation: np.ndarray, i: int, a: int, j: int, b: int, tables: tuple[np.ndarray, ...]) -> float:
    """Sum the change over the clusters at site i when it becomes a and, besides, site j becomes b."""
    neighbours, clusters, bounds, energies, species = tables
    z, n = neighbours.shape[1], int(species[0])
    old = np.empty(z, np.int64)
    new = np.empty(z, np.int64)
    met = np.zeros(z, np.int64)
    for m in range(z):
        k = neighbours[i, m]
        old[m] = new[m] = occupation[k]
        if k == i:
            new[m] = a
            met[m] = 1
        elif k == j:
            new[m] = b
            met[m] = 1
    home = i % bounds.shape[0]
    was = int(occupation[i])
    total = 0.0
    for r in range(bounds[home, 0], bounds[home, 1]):
        total += energies[clusters[r, 0] + a] - energies[clusters[r, 0] + was]
    for r in range(bounds[home, 1], bounds[home, 2]):
        start, p = clusters[r, 0], clusters[r, 1]
        change = energies[start + a * n + new[p]] - energies[start + was * n + old[p]]
        total += change / (1 + met[p])
    for r in range(bounds[home, 2], bounds[home, 3]):
        start, p, q = clusters[r, 0], clusters[r, 1], clusters[r, 2]
        change = energies[start + (a * n + new[p]) * n + new[q]] - energies[start + (was * n + old[p]) * n + old[q]]
        total += change / (1 + met[p] + met[q])
    for r in range(bounds[home, 3], bounds[home, 4]):
        start, p, q, s = clusters[r, 0], clusters[r, 1], clusters[r, 2], clusters[r, 3]
        change = (
            energies[start + ((a * n + new[p]) * n + new[q]) * n + new[s]]
            - energies[start + ((was * n + old[p]) * n + old[q]) * n + old[s]]
        )
        total += change / (1 + met[p] + met[q] + met[s])
    return total


def cluster_energy_change(
    occupation: np.ndarray, i: int, a: int, j: int, b: int, tables: tuple[np.ndarray, ...]
) -> float:
    """Give the change of the energy of the cell (eV) when site i becomes a and, where j is no -1, site j becomes b."""
    total = _change_around(occupation, i, a, j, b, tables)
    if j >= 0:
        total += _change_around(occupation, j, b, i, a, tables)
    return total
