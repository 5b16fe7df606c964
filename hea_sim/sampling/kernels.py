"""Inner loop of canonical lattice Monte Carlo: numba, and its plain Python twin.

Random numbers are drawn outside by `numpy.random.Generator` and passed in, so that both give the same chain, and
the chain depends on the seed alone, not on threads or on numba's own generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def exchange_trials(
    occupation: np.ndarray,
    neighbours: np.ndarray,
    shell_of: np.ndarray,
    pair_energy_eV: np.ndarray,
    beta_per_eV: float,
    first: np.ndarray,
    second: np.ndarray,
    uniform: np.ndarray,
) -> tuple[int, int, float]:
    """Try exchanges of sites `first[k]` and `second[k]` in order, in place (plain Python twin).

    `neighbours` (sites, z) with `shell_of` (z,) naming the shell of each column. Returns trials between unlike atoms,
    accepted ones, and the change of the total energy (eV). A bond between the two sites, or of a site with its own
    image in a small cell, is the same before and after (J is symmetric): such bonds are left out of both sums.
    """
    trials, accepted, total = 0, 0, 0.0
    for k in range(len(first)):
        i, j = first[k], second[k]
        a, b = occupation[i], occupation[j]
        if a == b:
            continue
        trials += 1
        change = 0.0
        for m in range(neighbours.shape[1]):
            s = shell_of[m]
            n = neighbours[i, m]
            if n != i and n != j:
                change += pair_energy_eV[s, b, occupation[n]] - pair_energy_eV[s, a, occupation[n]]
            n = neighbours[j, m]
            if n != i and n != j:
                change += pair_energy_eV[s, a, occupation[n]] - pair_energy_eV[s, b, occupation[n]]
        if change <= 0.0 or uniform[k] < math.exp(-beta_per_eV * change):
            occupation[i] = b
            occupation[j] = a
            accepted += 1
            total += change
    return trials, accepted, total


_compiled: Callable[..., Any] | None = None


def compiled_exchange_trials() -> Callable[..., Any]:
    """Compile `exchange_trials` once; keep it on disk where numba finds a folder that it may write."""
    global _compiled
    if _compiled is None:
        import numba

        try:
            _compiled = numba.njit(cache=True)(exchange_trials)
        except RuntimeError:  # no folder for the cache can be written: compile in memory
            _compiled = numba.njit(exchange_trials)
    return _compiled
