"""Tell an amorphous hump from an empty pattern."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from hea_vision.xrd.lines import LineList
from hea_vision.xrd.scans import estimate_background

#: Widths between which a hump counts as amorphous, degrees at the wavelength of copper or longer ones.
_HUMP_FWHM_DEG = (2.5, 20.0)
#: Window within which the background is followed, and the filter that quiets the noise (std), degrees likewise.
_WINDOW_DEG = 30.0
_FILTER_DEG = 0.5
#: Wavelength below which all widths shrink with it, as the angles of a hump do.
_COPPER_A = 1.54


def is_amorphous(lines: LineList) -> bool:
    """Say whether a broad hump stands out of the pattern and no sharp line does.

    A glass of one structure has a hump of one relative width in q, whose width in degrees falls with the wavelength;
    below that of copper, angles therefore count in units of wavelength / 1.54 A.
    """
    unit = min(1.0, lines.radiation.wavelength_A / _COPPER_A)
    narrowest, broadest = _HUMP_FWHM_DEG
    if any(line.fwhm_deg < narrowest * unit for line in lines.specimen):
        return False
    angles = lines.angles / unit
    points = _FILTER_DEG / float(np.median(np.diff(angles)))
    smooth = gaussian_filter1d(lines.intensity, points, mode="nearest")
    base = estimate_background(angles, smooth, window_deg=_WINDOW_DEG)
    net = smooth - base
    top = int(np.argmax(net))
    noise = float(lines.noise[top]) / np.sqrt(2 * np.sqrt(np.pi) * points)
    above = net > 0.5 * net[top]
    left = top - int(np.argmin(above[: top + 1][::-1])) if not above[: top + 1].all() else 0
    right = top + int(np.argmin(above[top:])) if not above[top:].all() else len(net) - 1
    width = float(angles[right] - angles[left])
    return bool(net[top] > 10 * noise and net[top] > 0.05 * base[top] and narrowest < width < broadest)
