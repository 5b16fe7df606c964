"""SNAP straight from its definitions, short and slow: what the kernels are held against.

| symbol | here |
|---|---|
| j | twice the spin; rows m and columns m' of a matrix run from 0 to j (projection m - j/2) |
| U^j_{m m'}(G) | `wigner_matrix`: the matrix of spin j/2 of G = [[a*, -b*], [b, a]] |
| u_j = w_self 1 + sum_n w_n fc(r_n) U^j(G_n) | `density` |
| B_{j1 j2 j} = sum conj(u_j) C C u_j1 u_j2 | `bispectrum` |

A. P. Thompson et al., J. Comput. Phys. 285, 316 (2015), doi:10.1016/j.jcp.2014.12.018.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb, cos, factorial, pi, sin, sqrt

import numpy as np


def bispectrum_labels(twojmax: int) -> list[tuple[int, int, int]]:
    """Give the labels (j1, j2, j) of the independent components, in the order of LAMMPS.

    >>> bispectrum_labels(2)
    [(0, 0, 0), (1, 0, 1), (1, 1, 2), (2, 0, 2), (2, 2, 2)]
    """
    return [
        (j1, j2, j)
        for j1 in range(twojmax + 1)
        for j2 in range(j1 + 1)
        for j in range(j1 - j2, min(twojmax, j1 + j2) + 1, 2)
        if j >= j1
    ]


@lru_cache(maxsize=200_000)
def clebsch_gordan(j1: int, m1: int, j2: int, m2: int, j: int, m: int) -> float:
    """Give <j1 m1 j2 m2 | j m> by Racah's sum; j is twice the spin, m counts the projections from 0 to j.

    >>> round(clebsch_gordan(1, 1, 1, 0, 2, 1) ** 2, 12)  # two spins of 1/2, up and down, make half of a triplet
    0.5
    """
    p1, p2, p = 2 * m1 - j1, 2 * m2 - j2, 2 * m - j
    if p1 + p2 != p:
        return 0.0
    f = factorial
    outer = (j + 1) * f((j1 + j2 - j) // 2) * f((j1 - j2 + j) // 2) * f((j2 - j1 + j) // 2) / f((j1 + j2 + j) // 2 + 1)
    outer *= f(m) * f(j - m) * f(m1) * f(j1 - m1) * f(m2) * f(j2 - m2)
    total = 0.0
    for k in range((j1 + j2 - j) // 2 + 1):
        rest = [(j1 + j2 - j) // 2 - k, j1 - m1 - k, m2 - k, (j - j2 + p1) // 2 + k, (j - j1 - p2) // 2 + k]
        if min(rest) >= 0:
            total += (-1) ** k / (f(k) * np.prod([float(f(n)) for n in rest]))
    return float(sqrt(outer) * total)


@lru_cache(maxsize=1000)
def _clebsch_gordan_array(j1: int, j2: int, j: int) -> np.ndarray:
    shape = (j1 + 1, j2 + 1, j + 1)
    return np.array([clebsch_gordan(j1, m1, j2, m2, j, m) for m1, m2, m in np.ndindex(shape)]).reshape(shape)


def wigner_matrix(j: int, a: complex, b: complex) -> tuple[np.ndarray, np.ndarray]:
    """Give U (j+1, j+1) and its derivatives by a, a*, b, b* as if these were independent (4, j+1, j+1)."""
    values = np.zeros((j + 1, j + 1), complex)
    slopes = np.zeros((4, j + 1, j + 1), complex)
    base = (a, a.conjugate(), b, b.conjugate())
    for m, k in np.ndindex(j + 1, j + 1):
        norm = sqrt(factorial(k) * factorial(j - k) / (factorial(m) * factorial(j - m)))
        for s in range(max(0, k - m), min(j - m, k) + 1):
            number = norm * comb(j - m, s) * comb(m, k - s) * (-1) ** s
            powers = [k - s, j - m - s, m - k + s, s]
            values[m, k] += number * np.prod([x**n for x, n in zip(base, powers, strict=True)])
            for q in range(4):
                if powers[q]:
                    lowered = [n - (i == q) for i, n in enumerate(powers)]
                    slopes[q, m, k] += number * powers[q] * np.prod([x**n for x, n in zip(base, lowered, strict=True)])
    return values, slopes


def rotation(vector: np.ndarray, angle_slope: float, offset_A: float) -> tuple[complex, complex, np.ndarray]:
    """Give a, b and their derivatives by the vector (2, 3) at the angle w = angle_slope (r - offset_A).

    Nearer than the offset, where the angle is negative, half a turn is added, as LAMMPS has it.
    """
    r = float(np.linalg.norm(vector))
    n = vector / r
    angle = angle_slope * (r - offset_A)
    c, s = cos(angle), sin(angle)
    if s < 0:
        c, s = -c, -s
    dn = (np.eye(3) - np.outer(n, n)) / r
    da = -s * angle_slope * n - 1j * (c * angle_slope * n * n[2] + s * dn[2])
    db = c * angle_slope * n * (-n[1] + 1j * n[0]) + s * (-dn[1] + 1j * dn[0])
    return complex(c, -s * n[2]), complex(-s * n[1], s * n[0]), np.array([da, db])


def switching(r: float, cutoff_A: float, offset_A: float, switched: bool) -> tuple[float, float]:
    """Give the cosine cutoff at a distance and its slope."""
    if not switched or r <= offset_A:
        return 1.0, 0.0
    phase = pi * (r - offset_A) / (cutoff_A - offset_A)
    return 0.5 * (cos(phase) + 1.0), -0.5 * pi / (cutoff_A - offset_A) * sin(phase)


def density(
    twojmax: int,
    vectors: np.ndarray,
    cutoffs_A: np.ndarray,
    weights: np.ndarray,
    *,
    rfac0: float,
    rmin0: float,
    switched: bool,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Give u_j of one atom for all j, each (j+1, j+1), and du_j / dD_n, each (neighbours, 3, j+1, j+1)."""
    totals = [np.eye(j + 1, dtype=complex) for j in range(twojmax + 1)]
    slopes = [np.zeros((len(vectors), 3, j + 1, j + 1), complex) for j in range(twojmax + 1)]
    for n, (vector, cutoff, weight) in enumerate(zip(vectors, cutoffs_A, weights, strict=True)):
        r = float(np.linalg.norm(vector))
        fc, dfc = switching(r, cutoff, rmin0, switched)
        a, b, (da, db) = rotation(vector, rfac0 * pi / (cutoff - rmin0), rmin0)
        for j in range(twojmax + 1):
            u, du = wigner_matrix(j, a, b)
            totals[j] += weight * fc * u
            turned = np.einsum("qx,qmk->xmk", np.array([da, da.conj(), db, db.conj()]), du)
            slopes[j][n] = weight * (fc * turned + dfc * np.multiply.outer(vector / r, u))
    return totals, slopes


def bispectrum(totals: list[np.ndarray], slopes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Give B (components,) of one atom and dB / dD (neighbours, 3, components), neither shifted nor normalised."""
    labels = bispectrum_labels(len(totals) - 1)
    values = np.empty(len(labels))
    gradients = np.empty((*slopes[0].shape[:2], len(labels)))
    for k, (j1, j2, j) in enumerate(labels):
        c = _clebsch_gordan_array(j1, j2, j)

        def couple(left: np.ndarray, right: np.ndarray, c: np.ndarray = c) -> np.ndarray:
            return np.einsum("abm,dek,...ad,...be->...mk", c, c, left, right, optimize=True)

        product = couple(totals[j1], totals[j2])
        values[k] = np.vdot(totals[j], product).real
        moved = couple(slopes[j1], totals[j2]) + couple(totals[j1], slopes[j2])
        gradients[..., k] = (
            np.einsum("mk,nxmk->nx", totals[j].conj(), moved) + np.einsum("nxmk,mk->nx", slopes[j].conj(), product)
        ).real
    return values, gradients
