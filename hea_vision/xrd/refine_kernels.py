"""Kernel of the whole-pattern fit: lines and their derivatives in one pass.

`hea_sim.diffraction.kernels.add_pseudo_voigts` and finite differences of it are the plain twins that tests compare
with.
"""

from __future__ import annotations

import math

import numba
import numpy as np

_GAUSS = 2 * math.sqrt(math.log(2) / math.pi)
_FOUR_LOG_2 = 4 * math.log(2)


@numba.njit(cache=True, fastmath=True)
def add_lines(
    angles: np.ndarray,
    lines: np.ndarray,
    rows: np.ndarray,
    chain: np.ndarray,
    reach: np.ndarray,
    model: np.ndarray,
    jacobian: np.ndarray,
) -> None:  # pragma: no cover
    """Add pseudo-Voigt lines to `model` (n,) and what they say of the parameters to `jacobian` (parameters, n).

    `lines` (m, 5) holds centre, FWHM, Lorentzian share, asymmetry and area. The half below the centre is 1 +
    asymmetry, that above 1 - asymmetry times as wide. Parameter `rows[i, k]` of line i (negative: none) gets
    `chain[i, k]` @ (profile, its derivatives by centre, FWHM, share and asymmetry); line i is cut at `reach[i]` widths.
    """
    for i in range(len(lines)):
        centre, width, eta, skew, area = lines[i, 0], lines[i, 1], lines[i, 2], lines[i, 3], lines[i, 4]
        if not (math.isfinite(centre) and math.isfinite(area) and width > 0):
            continue
        first = np.searchsorted(angles, centre - reach[i] * width)
        last = np.searchsorted(angles, centre + reach[i] * width)
        for j in range(first, last):
            stretch = 1 + skew if angles[j] < centre else 1 - skew
            x = (angles[j] - centre) / (width * stretch)
            bell = 1 / (1 + 4 * x * x)
            lorentz = 2 / (math.pi * width) * bell
            gauss = _GAUSS / width * math.exp(-_FOUR_LOG_2 * x * x) if x * x < 9 else 0.0
            value = eta * lorentz + (1 - eta) * gauss
            # d/dx of the two parts, by which centre and width act.
            slope = eta * lorentz * (-8 * x * bell) + (1 - eta) * gauss * (-2 * _FOUR_LOG_2 * x)
            by_centre = -slope / (width * stretch)
            by_width = -(value + x * slope) / width
            by_share = lorentz - gauss
            by_skew = -slope * x / stretch if angles[j] < centre else slope * x / stretch
            model[j] += area * value
            for k in range(rows.shape[1]):
                row = rows[i, k]
                if row >= 0:
                    jacobian[row, j] += (
                        chain[i, k, 0] * value
                        + chain[i, k, 1] * by_centre
                        + chain[i, k, 2] * by_width
                        + chain[i, k, 3] * by_share
                        + chain[i, k, 4] * by_skew
                    )
