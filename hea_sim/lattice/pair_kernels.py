"""Change of a pair Hamiltonian's energy by one or two sites: plain Python that numba can compile.

| table | shape | what |
|---|---|---|
| neighbours | (sites, z) | neighbours of every site, shell after shell |
| starts | (shells + 1,) | where each shell's columns begin |
| changes | (n, n, shells, n) | J^s_xk - J^s_wk for a site that turns from w into x beside a k, in eV |
| pair | (shells, n, n) | J^s_ij, in eV |
| site | (n,) | e_i, in eV |
| asymmetry | (n, n), or (0, 0) where it is zero | g_ij, in eV |

An asymmetry hangs on the composition of the whole cell alone: it changes with the numbers of atoms, not with their
places.
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


def pair_energy_change(occupation: np.ndarray, i: int, a: int, j: int, b: int, tables: tuple[np.ndarray, ...]) -> float:
    """Give the change of the energy of the cell (eV) when site i becomes a and, where j is no -1, site j becomes b.

    The asymmetry, which hangs on the composition alone, is left to `pair_composition_change`.
    """
    if j >= 0:
        return _two_sites(occupation, i, a, j, b, tables)
    return _one_site(occupation, i, a, tables)


@register_jitable
def _asymmetry_of(asymmetry: np.ndarray, p: int, n_p: float, q: int, n_q: float) -> float:
    """Give g_pq n_p n_q (n_p - n_q)."""
    return asymmetry[p, q] * n_p * n_q * (n_p - n_q)


def pair_composition_change(counts: np.ndarray, w: int, x: int, tables: tuple[np.ndarray, ...]) -> float:
    """Give the change of the asymmetry (eV) when one atom of w becomes x: the pairs with w or x, once each."""
    asymmetry = tables[5]
    if asymmetry.size == 0 or w == x:
        return 0.0
    sites, n_w, n_x = 0.0, float(counts[w]), float(counts[x])
    change = _asymmetry_of(asymmetry, w, n_w - 1, x, n_x + 1) - _asymmetry_of(asymmetry, w, n_w, x, n_x)
    for k in range(len(counts)):
        n_k = float(counts[k])
        sites += n_k
        if k != w and k != x:
            change += _asymmetry_of(asymmetry, w, n_w - 1, k, n_k) - _asymmetry_of(asymmetry, w, n_w, k, n_k)
            change += _asymmetry_of(asymmetry, x, n_x + 1, k, n_k) - _asymmetry_of(asymmetry, x, n_x, k, n_k)
    return change / (sites * sites)
