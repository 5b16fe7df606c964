"""Compiled loop of the embedded-atom method over neighbours; its plain twin stands in the tests of this room."""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True, inline="always")
def _cubic(table: np.ndarray, x: float) -> tuple[float, float]:
    """Give value and slope (in steps of the table) of a piecewise cubic (knots - 1, 4) at x in steps."""
    m = min(max(int(x), 0), table.shape[0] - 1)
    t = min(x - m, 1.0)
    c = table[m]
    value = ((c[3] * t + c[2]) * t + c[1]) * t + c[0]
    return value, (3.0 * c[3] * t + 2.0 * c[2]) * t + c[1]


@numba.njit(cache=True)
def embedded_atom_terms(
    starts: np.ndarray,
    second: np.ndarray,
    vectors: np.ndarray,
    species: np.ndarray,
    cutoff: float,
    r_step: float,
    rho_step: float,
    density: np.ndarray,
    pair: np.ndarray,
    embedding: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Give site energies (n,) and gradients dE_i / dD_ij (pairs, 3).

    `density` (elements, knots - 1, 4), `pair` (elements, elements, knots - 1, 4), which holds r times the pair energy,
    and `embedding` (elements, knots - 1, 4) are cubics between equidistant knots, the first at zero. Beyond its table
    the embedding energy goes on as a straight line.
    """
    n = starts.size - 1
    energies = np.empty(n)
    gradients = np.zeros((vectors.shape[0], 3))
    square = cutoff * cutoff
    last = embedding.shape[1] * rho_step
    for i in range(n):
        a = species[i]
        rho, pairs = 0.0, 0.0
        for p in range(starts[i], starts[i + 1]):
            x, y, z = vectors[p, 0], vectors[p, 1], vectors[p, 2]
            r2 = x * x + y * y + z * z
            if r2 >= square:
                continue
            b = species[second[p]]
            r = math.sqrt(r2)
            value, slope = _cubic(density[b], r / r_step)
            rho += value
            product, product_slope = _cubic(pair[a, b], r / r_step)
            phi = product / r
            pairs += phi
            # kept until the embedding's slope is known: what multiplies it, the rest, and r
            gradients[p, 0] = slope / r_step
            gradients[p, 1] = 0.5 * (product_slope / r_step - phi) / r
            gradients[p, 2] = r
        energy, tension = _cubic(embedding[a], rho / rho_step)
        tension /= rho_step
        if rho > last:
            energy += tension * (rho - last)
        energies[i] = energy + 0.5 * pairs
        for p in range(starts[i], starts[i + 1]):
            r = gradients[p, 2]
            if r > 0.0:
                pull = (tension * gradients[p, 0] + gradients[p, 1]) / r
                gradients[p, 0] = pull * vectors[p, 0]
                gradients[p, 1] = pull * vectors[p, 1]
                gradients[p, 2] = pull * vectors[p, 2]
    return energies, gradients
