"""Kernel of smooth random fields; `hea_sim.microscopy.noise_fields.spline_field` is the plain twin."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, fastmath=False)
def spline_rows(coarse: np.ndarray, spacing: float, out: np.ndarray) -> None:  # pragma: no cover
    """Evaluate a uniform cubic B-spline with knots `coarse` (m, columns) at rows 0, 1, ... of `out` (rows, columns)."""
    rows, columns = out.shape
    for r in range(rows):
        place = r / spacing
        k = int(place)
        t = place - k
        w0 = (1 - t) ** 3 / 6
        w1 = (3 * t**3 - 6 * t**2 + 4) / 6
        w2 = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
        w3 = t**3 / 6
        for c in range(columns):
            out[r, c] = w0 * coarse[k, c] + w1 * coarse[k + 1, c] + w2 * coarse[k + 2, c] + w3 * coarse[k + 3, c]


@numba.njit(cache=True, fastmath=False)
def spline_columns(coarse: np.ndarray, spacing: float, out: np.ndarray) -> None:  # pragma: no cover
    """Evaluate a uniform cubic B-spline with knots `coarse` (rows, m) at columns 0, 1, ... of `out` (rows, columns)."""
    rows, columns = out.shape
    weights = np.empty((columns, 4))
    first = np.empty(columns, np.int64)
    for c in range(columns):
        place = c / spacing
        k = int(place)
        t = place - k
        first[c] = k
        weights[c, 0] = (1 - t) ** 3 / 6
        weights[c, 1] = (3 * t**3 - 6 * t**2 + 4) / 6
        weights[c, 2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
        weights[c, 3] = t**3 / 6
    for r in range(rows):
        for c in range(columns):
            k = first[c]
            out[r, c] = (
                weights[c, 0] * coarse[r, k]
                + weights[c, 1] * coarse[r, k + 1]
                + weights[c, 2] * coarse[r, k + 2]
                + weights[c, 3] * coarse[r, k + 3]
            )
