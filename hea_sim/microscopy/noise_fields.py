"""Draw smooth random fields: normal numbers on a coarse lattice, joined by cubic B-splines.

No filter is run over the picture, so a field costs the same at every wavelength.
"""

from __future__ import annotations

import numpy as np

from hea_sim.errors import InputError
from hea_sim.microscopy.noise_kernels import spline_columns, spline_rows

#: Mean square of a cubic B-spline field with normal knots, along one axis: the sum of squared weights.
_MEAN_SQUARE = 151 / 315


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], wavelength_px: float) -> np.ndarray:
    """Draw a field of unit variance and zero mean whose features are about `wavelength_px` from crest to crest.

    Returns an array (rows, columns) of float32.

    >>> field = smooth_noise(np.random.default_rng(0), (64, 64), 8.0)
    >>> field.shape, field.dtype.name
    ((64, 64), 'float32')
    """
    if not wavelength_px >= 2:
        raise InputError(f"smooth noise: wavelength {wavelength_px} px; wanted at least 2")
    spacing = 0.5 * wavelength_px
    knots = tuple(int((n - 1) / spacing) + 4 for n in shape)
    coarse = (rng.standard_normal(knots) / _MEAN_SQUARE).astype(np.float32)
    between = np.empty((shape[0], knots[1]), np.float32)
    spline_rows(coarse, spacing, between)
    out = np.empty(shape, np.float32)
    spline_columns(between, spacing, out)
    return out


def spline_field(coarse: np.ndarray, spacing: float, shape: tuple[int, int]) -> np.ndarray:
    """Evaluate the field of `smooth_noise` from its knots by two matrix products: the plain twin of the kernels."""
    return _weights(shape[0], coarse.shape[0], spacing) @ coarse @ _weights(shape[1], coarse.shape[1], spacing).T


def _weights(count: int, knots: int, spacing: float) -> np.ndarray:
    u = np.abs(np.arange(count)[:, None] / spacing + 1 - np.arange(knots)[None, :])
    inner, outer = 2 / 3 - u**2 + u**3 / 2, (2 - u) ** 3 / 6
    return np.where(u < 1, inner, np.where(u < 2, outer, 0.0))


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
