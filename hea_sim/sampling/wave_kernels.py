"""Compiled: sort trials into waves of trials that do not touch each other."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def wave_numbers(atoms: np.ndarray, starts: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Number the waves (t,) of trials that change atoms (t, m), from 1 on.

    Two trials touch if they share a centre: one of their atoms, or a neighbour of one. A trial comes in the first wave
    after those of all earlier trials that it touches, so that doing wave after wave is doing trial after trial.
    """
    latest = np.zeros(starts.size - 1, np.int64)
    waves = np.empty(atoms.shape[0], np.int64)
    for t in range(atoms.shape[0]):
        wave = 0
        for i in atoms[t]:
            wave = max(wave, latest[i])
            for p in range(starts[i], starts[i + 1]):
                wave = max(wave, latest[second[p]])
        wave += 1
        for i in atoms[t]:
            latest[i] = wave
            for p in range(starts[i], starts[i + 1]):
                latest[second[p]] = wave
        waves[t] = wave
    return waves
