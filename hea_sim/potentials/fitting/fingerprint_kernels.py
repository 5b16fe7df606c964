"""Compiled loops of the fingerprints; `tests/sim/test_potentials_fit_audit.py` holds the plain NumPy twins."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def shell_weights(vectors: np.ndarray, reach: float, centres: np.ndarray, width: float) -> np.ndarray:
    """Give how much each pair counts in each soft shell (pairs, shells); nothing beyond the reach."""
    out = np.zeros((vectors.shape[0], centres.size))
    for p in range(vectors.shape[0]):
        r = np.sqrt(vectors[p, 0] ** 2 + vectors[p, 1] ** 2 + vectors[p, 2] ** 2)
        if r < reach:
            fade = 0.5 * (1.0 + np.cos(np.pi * r / reach))
            for a in range(centres.size):
                out[p, a] = fade * np.exp(-0.5 * ((r - centres[a]) / width) ** 2)
    return out


@numba.njit(cache=True)
def neighbour_moments(
    starts: np.ndarray, vectors: np.ndarray, place: np.ndarray, slots: int, weights: np.ndarray
) -> np.ndarray:
    """Sum 1, the direction and its products xx yy zz yz xz xy over the neighbours (n, slots, shells, 10).

    `place` (pairs,) is the slot that the neighbour counts in, `weights` (pairs, shells) how much.
    """
    n, shells = starts.size - 1, weights.shape[1]
    out = np.zeros((n, slots, shells, 10))
    moment = np.empty(10)
    for i in range(n):
        for p in range(starts[i], starts[i + 1]):
            x, y, z = vectors[p, 0], vectors[p, 1], vectors[p, 2]
            r = np.sqrt(x * x + y * y + z * z)
            x, y, z = x / r, y / r, z / r
            moment[0], moment[1], moment[2], moment[3] = 1.0, x, y, z
            moment[4], moment[5], moment[6] = x * x, y * y, z * z
            moment[7], moment[8], moment[9] = y * z, x * z, x * y
            for a in range(shells):
                for k in range(10):
                    out[i, place[p], a, k] += weights[p, a] * moment[k]
    return out


@numba.njit(cache=True)
def neighbour_sums(starts: np.ndarray, second: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum what the neighbours of each atom carry over soft shells (n, shells, values)."""
    n, shells, size = starts.size - 1, weights.shape[1], values.shape[1]
    out = np.zeros((n, shells, size))
    for i in range(n):
        for p in range(starts[i], starts[i + 1]):
            for a in range(shells):
                for k in range(size):
                    out[i, a, k] += weights[p, a] * values[second[p], k]
    return out
