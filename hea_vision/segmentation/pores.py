"""Find pores: compact holes, dark against the grey value of no signal, with a sharp edge."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold
from skimage.measure import label, regionprops

from hea_vision.segmentation.preparation import shading_surface, smoothed_noise_std

#: Smoothing lengths that may be used, in pixels.
SCALES_PX = (0.7, 1.0, 1.5, 2.0, 3.0, 4.0)
#: The edge lies where the signal falls below this part of the matrix.
EDGE_LEVEL = 0.65


def find_pores(
    image: np.ndarray, std: float, *, pore_level: float, black_level: float, min_area_px: int
) -> tuple[np.ndarray, str]:
    """Find pores; give their mask and, where none can be told, the reason.

    Signal is counted from `black_level` (or the darkest pixel, where that is lower) and compared with the matrix
    around: a pore falls below `pore_level` of it, while a second phase keeps more.
    """
    black = min(black_level, float(image.min()))
    smooth = ndimage.gaussian_filter(image, 1.5)
    matrix = float(np.median(smooth)) + shading_surface(smooth, np.ones(image.shape, bool))
    height = float(np.median(matrix)) - black
    if height <= 0:
        return np.zeros(image.shape, bool), "the matrix has no signal above black"
    # Five standard deviations of the smoothed noise must fit between the matrix and the edge level.
    allowed = (1.0 - EDGE_LEVEL) / 5.0
    fitting = [s for s in SCALES_PX if smoothed_noise_std(std, s) <= allowed * height]
    if not fitting:
        return np.zeros(image.shape, bool), "noise hides pores: smoothing over 4 px leaves too much of it"
    sigma = fitting[0]
    signal = (ndimage.gaussian_filter(image, sigma) - black) / np.maximum(matrix - black, 0.05 * height)
    # A hole stands out of the levels of the field; under strong channelling contrast a dark grain does not.
    spread = 1.4826 * float(np.median(np.abs(signal - np.median(signal))))
    core = min(pore_level, 1.0 - 4.0 * spread)
    if core <= 0:
        return np.zeros(image.shape, bool), f"the levels of the field spread by {spread:.0%}: no hole stands out"
    found = apply_hysteresis_threshold(-signal, -EDGE_LEVEL, -core)
    found = ndimage.binary_fill_holes(found)
    numbered = label(found, connectivity=2)
    least = max(float(min_area_px), 2.0 * np.pi * sigma**2)
    mask = np.zeros(image.shape, bool)
    for region in regionprops(numbered):
        if region.area >= least and _is_compact(region) and _is_sharp(signal, numbered, region, sigma):
            mask[tuple(region.coords.T)] = True
    return mask, ""


def _is_compact(region: object) -> bool:
    r = region
    thin, long = r.axis_minor_length, r.axis_major_length  # type: ignore[attr-defined]
    return bool(thin >= 2.5 and thin >= 0.25 * long and r.solidity >= 0.6)  # type: ignore[attr-defined]


def _is_sharp(signal: np.ndarray, numbered: np.ndarray, region: object, sigma: float) -> bool:
    """Say whether the signal is back to the matrix within a few pixels of the edge; shading is not."""
    margin = int(np.ceil(2 * sigma + 4))
    top, left, bottom, right = region.bbox  # type: ignore[attr-defined]
    window = (
        slice(max(top - margin, 0), bottom + margin),
        slice(max(left - margin, 0), right + margin),
    )
    here, others = numbered[window] == region.label, numbered[window] > 0  # type: ignore[attr-defined]
    away = ndimage.distance_transform_edt(~here)
    ring = (away > sigma + 1) & (away <= 2 * sigma + 4) & ~others
    if ring.sum() < 8:
        return False
    core = float(np.quantile(signal[window][here], 0.2))
    return bool((np.median(signal[window][ring]) - core) >= 0.75 * (1.0 - core))
