"""Tell an amorphous hump from an empty pattern."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from hea_vision.xrd.lines import LineList
from hea_vision.xrd.scans import estimate_background

#: Widths between which a hump counts as amorphous, degrees.
_HUMP_FWHM_DEG = (2.5, 14.0)


def is_amorphous(lines: LineList) -> bool:
    """Say whether a broad hump stands out of the pattern and no sharp line does."""
    if any(line.fwhm_deg < _HUMP_FWHM_DEG[0] for line in lines.specimen):
        return False
    step = float(np.median(np.diff(lines.angles)))
    smooth = gaussian_filter1d(lines.intensity, 0.5 / step, mode="nearest")
    base = estimate_background(lines.angles, smooth, window_deg=30.0)
    net = smooth - base
    top = int(np.argmax(net))
    noise = float(lines.noise[top]) / np.sqrt(2 * np.sqrt(np.pi) * 0.5 / step)
    above = net > 0.5 * net[top]
    left = top - int(np.argmin(above[: top + 1][::-1])) if not above[: top + 1].all() else 0
    right = top + int(np.argmin(above[top:])) if not above[top:].all() else len(net) - 1
    width = float(lines.angles[right] - lines.angles[left])
    return bool(net[top] > 10 * noise and net[top] > 0.05 * base[top] and _HUMP_FWHM_DEG[0] < width < 20)
