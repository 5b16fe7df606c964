"""Smooth random fields, drawn on a coarse grid and enlarged."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], length_px: float) -> np.ndarray:
    """Draw a normal field of mean 0 and std about 1 (rows, columns), correlated over `length_px`, as float32."""
    step = max(length_px / 2.0, 1.0)
    coarse = tuple(int(np.ceil(n / step)) + 4 for n in shape)
    noise = ndimage.gaussian_filter(rng.standard_normal(coarse, dtype=np.float32), 1.0)
    noise *= 3.545  # 2 sqrt(pi) sigma: the smoothing by one grid step took that much from the std
    if step <= 1.0:
        return noise[: shape[0], : shape[1]]
    return enlarge(noise, shape, step, offset=rng.uniform(0, 1, 2))


def enlarge(coarse: np.ndarray, shape: tuple[int, int], step: float, *, offset: np.ndarray | float = 0.0) -> np.ndarray:
    """Interpolate a coarse grid of `step` pixels to `shape`, linear along rows and columns."""
    offset = np.broadcast_to(np.asarray(offset, float), (2,))
    out = coarse
    for axis in (0, 1):
        place = np.arange(shape[axis], dtype=np.float32) / np.float32(step) + np.float32(offset[axis])
        low = np.minimum(place.astype(np.int64), coarse.shape[axis] - 2)
        part = (place - low).astype(np.float32)
        weight = part[:, None] if axis == 0 else part[None, :]
        below, above = np.take(out, low, axis), np.take(out, low + 1, axis)
        out = below + weight * (above - below)
    return np.asarray(out, np.float32)
