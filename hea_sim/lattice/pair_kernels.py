"""Change of a pair Hamiltonian's energy by one or two sites: plain Python that numba can compile.

| table | shape | what |
|---|---|---|
| neighbours | (sites, z) | neighbours of every site, shell after shell |
| starts | (shells + 1,) | where each shell's columns begin |
| changes | (n, n, shells, n) | J^s_xk - J^s_wk for a site that turns from w into x beside a k, in eV |
| pair | (shells, n, n) | J^s_ij, in eV |
| site | (n,) | e_i, in eV |
| asymmetry | (n, n), or (0, 0) where it is zero | g_ij, in eV |

An asymmetry hangs on the composition of the whole cell: where that changes, all sites are counted, else not.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable


@register_jitable
def _one_site(occupation: np.ndarray, i: int, x: int, tables: tuple[np.ndarray, ...]) -> float:
    """Sum the change when site i turns into x."""
    neighbours, starts, changes, pair, site, _ = tables
    w = occupation[i]
    total = site[x] - site[w]
    for s in range(len(starts) - 1):
        for m in range(starts[s], starts[s + 1]):
            k = neighbours[i, m]
            total += changes[w, x, s, occupation[k]] if k != i else _self_bond(pair, s, w, x)
    return total


@register_jitable
def _self_bond(pair: np.ndarray, s: int, w: int, x: int) -> float:
    """Change one entry of a bond of a site with its own image: the bond stands in the row twice, so half counts."""
    return 0.5 * (pair[s, x, x] - pair[s, w, w])


@register_jitable
def _two_sites(occupation: np.ndarray, i: int, x: int, j: int, y: int, tables: tuple[np.ndarray, ...]) -> float:
    """Sum the change when site i turns into x and site j into y.

    First as if neither saw the other change; where they are neighbours, or their own, that is corrected.
    """
    neighbours, starts, changes, _, site, _ = tables
    w, v = occupation[i], occupation[j]
    at_i, at_j, met = site[x] - site[w], site[y] - site[v], 0
    for s in range(len(starts) - 1):
        for m in range(starts[s], starts[s + 1]):
            k, other = neighbours[i, m], neighbours[j, m]
            met += (k == j) + (k == i)
            at_i += changes[w, x, s, np.uint8(occupation[k])]
            at_j += changes[v, y, s, np.uint8(occupation[other])]
    total = at_i + at_j
    return total + _met(occupation, i, x, j, y, tables) if met > 0 else total


@register_jitable
def _met(occupation: np.ndarray, i: int, x: int, j: int, y: int, tables: tuple[np.ndarray, ...]) -> float:
    """Correct the bonds between two sites, and of each with its own image, for both having changed."""
    neighbours, starts, changes, pair, _, _ = tables
    w, v = occupation[i], occupation[j]
    total = 0.0
    for s in range(len(starts) - 1):
        for m in range(starts[s], starts[s + 1]):
            if neighbours[i, m] == j:
                total += pair[s, x, y] - pair[s, w, v] - changes[w, x, s, v] - changes[v, y, s, w]
            if neighbours[i, m] == i:
                total += _self_bond(pair, s, w, x) - changes[w, x, s, w]
            if neighbours[j, m] == j:
                total += _self_bond(pair, s, v, y) - changes[v, y, s, v]
    return total


@register_jitable
def _asymmetry_energy(counts: np.ndarray, asymmetry: np.ndarray) -> float:
    """Sum N/2 g_ij c_i c_j (c_i - c_j) of a cell with so many atoms of each species."""
    n = counts.sum()
    total = 0.0
    for p in range(len(counts)):
        for q in range(len(counts)):
            total += asymmetry[p, q] * counts[p] * counts[q] * (counts[p] - counts[q])
    return 0.5 * total / (n * n)


@register_jitable
def _asymmetry_change(occupation: np.ndarray, w: int, x: int, v: int, y: int, asymmetry: np.ndarray) -> float:
    """Give the change of the asymmetry when an atom of w turns into x, and one of v into y."""
    counts = np.zeros(len(asymmetry))
    for k in range(len(occupation)):
        counts[occupation[k]] += 1.0
    before = _asymmetry_energy(counts, asymmetry)
    counts[w] -= 1.0
    counts[v] -= 1.0
    counts[x] += 1.0
    counts[y] += 1.0
    return _asymmetry_energy(counts, asymmetry) - before


def pair_energy_change(occupation: np.ndarray, i: int, a: int, j: int, b: int, tables: tuple[np.ndarray, ...]) -> float:
    """Give the change of the energy of the cell (eV) when site i becomes a and, where j is no -1, site j becomes b."""
    w = occupation[i]
    v, x, y = w, a, w
    if j >= 0:
        v, y = occupation[j], b
        total = _two_sites(occupation, i, a, j, b, tables)
        kept = (x == v and y == w) or (x == w and y == v)
    else:
        total = _one_site(occupation, i, a, tables)
        kept = x == w
    if not kept and tables[5].size > 0:
        total += _asymmetry_change(occupation, w, x, v, y, tables[5])
    return total
