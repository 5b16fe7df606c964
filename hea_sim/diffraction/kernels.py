"""Kernels of the diffraction room; `hea_sim.diffraction.powder.broaden` is the plain twin that tests compare with."""

from __future__ import annotations

import math

import numba
import numpy as np

_GAUSS = 2 * math.sqrt(math.log(2) / math.pi)
_FOUR_LOG_2 = 4 * math.log(2)


@numba.njit(cache=True, fastmath=False)
def add_pseudo_voigts(
    angles: np.ndarray,
    centres: np.ndarray,
    areas: np.ndarray,
    fwhm: np.ndarray,
    eta: np.ndarray,
    reach: float,
    out: np.ndarray,
) -> None:  # pragma: no cover
    """Add pseudo-Voigt lines to `out` (n,) on the increasing `angles` (n,); lines (m,) are cut at `reach` widths."""
    for i in range(len(centres)):
        centre, width, area = centres[i], fwhm[i], areas[i]
        if not (math.isfinite(centre) and area > 0 and width > 0):
            continue
        first = np.searchsorted(angles, centre - reach * width)
        last = np.searchsorted(angles, centre + reach * width)
        gauss = (1 - eta[i]) * _GAUSS / width * area
        lorentz = eta[i] * 2 / (math.pi * width) * area
        for j in range(first, last):
            x = (angles[j] - centre) / width
            value = lorentz / (1 + 4 * x * x)
            if x * x < 9:
                value += gauss * math.exp(-_FOUR_LOG_2 * x * x)
            out[j] += value
