"""Tables that SNAP's kernels walk along: which powers follow from which, and what the bispectrum multiplies.

A neighbour at r is a rotation G = exp(i w n.sigma) = [[a*, -b*], [b, a]] with a = cos w - i sin w n_z and
b = sin w (-n_y + i n_x). Its matrix of spin j/2 is U_{m m'} = s_{m m'} V_{m m'}, where row m of V holds the
coefficients of (a* x - b* y)^(j-m) (b x + a y)^m in x^(j-m') y^m', and s is the ratio of the norms of y^m' and y^m.
Half of the rows suffice: U_{j-m, j-m'} = (-1)^(m+m') conj U_{m m'}. All j, m are counted in whole numbers (j is twice
the spin).
"""

from __future__ import annotations

from functools import lru_cache
from math import factorial, sqrt
from typing import NamedTuple

import numpy as np

from hea_sim.potentials.snap_plain import bispectrum_labels, clebsch_gordan


class MatrixTables(NamedTuple):
    """Hold how the matrices of all spins are laid out and follow from one another.

    Elements of the kept half of all matrices go by one number h (rows m <= j/2, one after the other), those of the full
    matrices by f; `place` (h,) gives f. `rows` (rows, 4): first h, first h of the row it follows from, j, and 1 where
    it follows by (b, a) rather than by (a*, -b*). `scale`, `weight`, `identity` (h,): s, how often an element counts in
    a sum over the full matrix (2, 1, 0), and 1 on the diagonal. `unfold` (f,) gives h, `signs` (f, 2) those of the real
    and the imaginary part. `mirror` (t, 2): h that counts 0, the h it mirrors; `parity` (h,): (-1)^(m + m').
    `raising`, `lowering`, `turning` (h,): ladder operators.
    """

    place: np.ndarray
    rows: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    identity: np.ndarray
    unfold: np.ndarray
    signs: np.ndarray
    mirror: np.ndarray
    parity: np.ndarray
    raising: np.ndarray
    lowering: np.ndarray
    turning: np.ndarray


class ProductTables(NamedTuple):
    """Hold the products Z = C C U U that make the bispectrum B and its derivatives.

    Element e of a product has its `target` h, its `component` k of the bispectrum, a `factor` by which it enters
    dB_k/dU, a `share` by which it enters B_k, and the terms `first` f, `second` f, `coefficient` from `starts[e]` on.
    The elements of component k begin at `groups[k]`.
    """

    target: np.ndarray
    component: np.ndarray
    factor: np.ndarray
    share: np.ndarray
    groups: np.ndarray
    starts: np.ndarray
    first: np.ndarray
    second: np.ndarray
    coefficient: np.ndarray


class SnapTables(NamedTuple):
    """Hold all tables of one `twojmax`; `for_one` (k,) is the bispectrum of a lone atom."""

    matrices: MatrixTables
    products: ProductTables
    for_one: np.ndarray


@lru_cache(maxsize=16)
def snap_tables(twojmax: int, normalised: bool) -> SnapTables:
    """Build the tables; `normalised` divides the component (j1, j2, j) by j + 1."""
    spins = range(twojmax + 1)
    half = {key: h for h, key in enumerate((j, m, k) for j in spins for m in range(j // 2 + 1) for k in range(j + 1))}
    full = {key: f for f, key in enumerate((j, m, k) for j in spins for m in range(j + 1) for k in range(j + 1))}
    weight = np.array([_weight(*key) for key in half])
    signs = [(1.0, 1.0) if key in half else (_sign(*key), -_sign(*key)) for key in full]
    mirror = [(h, half[_opposite(*key)]) for key, h in half.items() if _weight(*key) == 0]
    matrices = MatrixTables(
        place=np.array([full[key] for key in half]),
        rows=_rows(twojmax, half),
        scale=np.array([sqrt(factorial(k) * factorial(j - k) / (factorial(m) * factorial(j - m))) for j, m, k in half]),
        weight=weight,
        identity=np.array([float(m == k) for _, m, k in half]),
        unfold=np.array([half[key if key in half else _opposite(*key)] for key in full]),
        signs=np.array(signs),
        mirror=np.array(mirror, np.int64).reshape(-1, 2),
        parity=np.array([_sign(*key) for key in half]),
        raising=np.array([sqrt((j - k) * (k + 1)) for j, _, k in half]),
        lowering=np.array([sqrt(k * (j - k + 1)) for j, _, k in half]),
        turning=np.array([float(j - 2 * k) for j, _, k in half]),
    )
    for_one = np.array([1.0 if normalised else j + 1.0 for _, _, j in bispectrum_labels(twojmax)])
    return SnapTables(matrices, _products(twojmax, normalised, half, full), for_one)


def _weight(j: int, m: int, k: int) -> float:
    middle = j - 2 * m
    return 2.0 if middle > 0 or 2 * k < j else float(2 * k == j)


def _opposite(j: int, m: int, k: int) -> tuple[int, int, int]:
    return j, j - m, j - k


def _sign(j: int, m: int, k: int) -> float:
    return -1.0 if (m + k) % 2 else 1.0


def _rows(twojmax: int, half: dict[tuple[int, int, int], int]) -> np.ndarray:
    rows = [(0, 0, 0, 0)]
    for j in range(1, twojmax + 1):
        for m in range(j // 2 + 1):
            in_the_middle = 2 * m == j
            rows.append((half[j, m, 0], half[j - 1, m - in_the_middle, 0], j, int(in_the_middle)))
    return np.array(rows, np.int64)


def _products(
    twojmax: int, normalised: bool, half: dict[tuple[int, int, int], int], full: dict[tuple[int, int, int], int]
) -> ProductTables:
    """List the elements of all products and their terms.

    B_{j1 j2 j} / (j + 1) does not change when its labels change places, so that each of the three matrices in it gets
    the product of the other two: factor (j + 1) / (j' + 1) for the matrix of spin j'.
    """
    elements: list[tuple[int, int, float, float]] = []
    starts, terms = [0], []
    for component, (j1, j2, j) in enumerate(bispectrum_labels(twojmax)):
        unit = 1.0 / (j + 1) if normalised else 1.0
        roles: dict[tuple[int, int, int], float] = {}
        for target, one, other in ((j, j1, j2), (j1, j, j2), (j2, j, j1)):
            role = target, max(one, other), min(one, other)
            roles[role] = roles.get(role, 0.0) + unit * (j + 1) / (target + 1)
        for (target, one, other), factor in roles.items():
            for m in range(target // 2 + 1):
                for k in range(target + 1):
                    if _weight(target, m, k):
                        share = unit if (target, one, other) == (j, j1, j2) else 0.0
                        elements.append((half[target, m, k], component, factor, share))
                        terms += _terms(one, other, target, m, k, full)
                        starts.append(len(terms))
    first, second, coefficient = zip(*terms, strict=True)
    target_h, component_k, factors, shares = (np.array(column) for column in zip(*elements, strict=True))
    return ProductTables(
        target=target_h,
        component=component_k,
        factor=factors,
        share=shares,
        groups=np.searchsorted(component_k, np.arange(len(bispectrum_labels(twojmax)) + 1)),
        starts=np.array(starts),
        first=np.array(first),
        second=np.array(second),
        coefficient=np.array(coefficient),
    )


def _terms(
    j1: int, j2: int, j: int, m: int, k: int, full: dict[tuple[int, int, int], int]
) -> list[tuple[int, int, float]]:
    """Give the terms of Z_{m k} = sum C C U^j1 U^j2; a pair that comes up twice is one term."""
    shift = (j1 + j2 - j) // 2
    merged: dict[tuple[int, int], float] = {}
    for m1 in range(max(0, m + shift - j2), min(j1, m + shift) + 1):
        rows = clebsch_gordan(j1, m1, j2, m + shift - m1, j, m)
        for k1 in range(max(0, k + shift - j2), min(j1, k + shift) + 1):
            product = rows * clebsch_gordan(j1, k1, j2, k + shift - k1, j, k)
            pair = sorted((full[j1, m1, k1], full[j2, m + shift - m1, k + shift - k1]))
            merged[pair[0], pair[1]] = merged.get((pair[0], pair[1]), 0.0) + product
    return [(f, g, value) for (f, g), value in merged.items() if abs(value) > 1e-14]
