"""Kernel of atomic columns; `hea_sim.microscopy.columns.plain_peaks` is the plain twin."""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True, fastmath=False)
def add_peaks(
    image: np.ndarray, peaks: np.ndarray, sigma: float, tails: float, reach: float
) -> None:  # pragma: no cover
    """Add probes at `peaks` (n, 3; row, column, volume) to `image` (rows, columns), cut off `reach` pixels away.

    Each is a Gaussian of standard deviation `sigma` and, for the part `tails` of its volume, a two-dimensional
    Lorentzian (r^2 + w^2)^(-3/2) of the same full width at half maximum.
    """
    rows, columns = image.shape
    narrow = 1 / (2 * sigma * sigma)
    # Half the full width of the Gaussian, over where (r^2 + w^2)^(-3/2) has fallen to one half.
    w = sigma * math.sqrt(2 * math.log(2)) / math.sqrt(2 ** (2 / 3) - 1)
    for k in range(len(peaks)):
        row, column = peaks[k, 0], peaks[k, 1]
        gauss = peaks[k, 2] * (1 - tails) * narrow / math.pi
        lorentz = peaks[k, 2] * tails * w / (2 * math.pi)
        for r in range(max(0, math.ceil(row - reach)), min(rows, math.floor(row + reach) + 1)):
            for c in range(max(0, math.ceil(column - reach)), min(columns, math.floor(column + reach) + 1)):
                d2 = (r - row) ** 2 + (c - column) ** 2
                if d2 > reach * reach:
                    continue
                value = gauss * math.exp(-d2 * narrow)
                if tails > 0:
                    value += lorentz / ((d2 + w * w) * math.sqrt(d2 + w * w))
                image[r, c] += value
