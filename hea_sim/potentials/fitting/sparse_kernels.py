"""Compiled coordinate descent; its plain twin stands in `tests/sim/test_potentials_fit_linear.py`."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def descend(
    gram: np.ndarray, target: np.ndarray, penalties: np.ndarray, start: np.ndarray, rounds: int, tolerance: float
) -> np.ndarray:
    """Minimise c G c / 2 - b c + sum_k l_k |c_k| by going from coordinate to coordinate; give c (features,)."""
    c = start.copy()
    slope = target - gram @ c
    for _ in range(rounds):
        largest = 0.0
        for k in range(c.size):
            if gram[k, k] <= 0.0:
                continue
            old = c[k]
            free = slope[k] + gram[k, k] * old
            size = max(abs(free) - penalties[k], 0.0) / gram[k, k]
            new = size if free > 0 else -size
            if new != old:
                for j in range(c.size):
                    slope[j] -= gram[j, k] * (new - old)
                c[k] = new
                largest = max(largest, abs(new - old))
        if largest <= tolerance * max(np.abs(c).max(), 1e-300):
            break
    return c
