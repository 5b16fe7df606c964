"""Random numbers by their place in a stream: any number can be had without those before it, on any engine.

Number k of the stream of a key is SplitMix64's finisher of key + (k + 1) times the golden ratio in 64 bits (Steele, Lea
and Flood 2014, doi:10.1145/2660193.2660195). So a walk can be cut into parts, spread over threads or put on a device
without a change: what is drawn depends on key and place alone.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11, _1 = (np.uint64(k) for k in (30, 27, 31, 11, 1))
#: 2^-53
_STEP = 1.0 / 9007199254740992.0


@register_jitable
def random_bits(key: np.uint64, place: np.uint64) -> np.uint64:
    """Give 64 random bits.

    Products are meant to overflow: call it in plain Python within `np.errstate(over="ignore")`.
    """
    z = key + (place + _1) * GOLDEN
    z = (z ^ (z >> _30)) * FIRST
    z = (z ^ (z >> _27)) * SECOND
    return z ^ (z >> _31)


@register_jitable
def uniform(key: np.uint64, place: np.uint64) -> float:
    """Give a number from 0 up to, not including, 1, in steps of 2^-53."""
    return float(random_bits(key, place) >> _11) * _STEP


def draw_key(rng: np.random.Generator) -> np.uint64:
    """Draw the key of a stream."""
    return rng.integers(2**64, dtype=np.uint64)
