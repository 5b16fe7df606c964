"""Checks that walks of atoms share: temperatures, and whether a kept state belongs to a walk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from hea_sim.errors import InputError

HOTTEST_K = 1e6


def check_temperature(temperature_K: float) -> float:
    """Give a temperature that is positive and finite, or say that it is not."""
    if not 0 < temperature_K < HOTTEST_K:
        raise InputError(f"temperature_K is {temperature_K}; wanted a positive number below {HOTTEST_K:g}")
    return float(temperature_K)


def walk_identity(settings: Mapping[str, Any]) -> np.ndarray:
    """Write what a walk is as bytes; arrays stand there by their SHA-256."""
    return np.frombuffer(json.dumps({key: _plain(value) for key, value in settings.items()}).encode(), np.uint8)


def check_same_walk(state: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> None:
    """Refuse a kept state whose "walk" tells of another one."""
    if "walk" not in state:
        raise InputError("kept state of another kind of walk; wanted one that this walk has written")
    kept = json.loads(np.asarray(state["walk"], np.uint8).tobytes())
    mine = json.loads(walk_identity(settings).tobytes())
    changed = [key for key in sorted(kept | mine) if kept.get(key) != mine.get(key)]
    if changed:
        key = changed[0]
        raise InputError(
            f"kept state of another walk: {key} was {kept.get(key)}, is {mine.get(key)}; start anew, or give the same"
        )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        kept = np.ascontiguousarray(value)
        return f"{kept.dtype}{list(kept.shape)} {hashlib.sha256(kept.tobytes()).hexdigest()[:16]}"
    return value
