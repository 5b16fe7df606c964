"""Atomic columns from the probability of being one: sub-pixel positions and intensities."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.optimize import least_squares

_LEAST_PROBABILITY = 0.5


def find_columns(image: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Find columns and fit each with a Gaussian on a sloping background.

    Parameters
    ----------
    image
        (rows, columns) float32, bright columns.
    p
        (rows, columns), probability that a pixel belongs to a column.

    Returns
    -------
    numpy.ndarray
        (n, 3) row, column in pixels (0 is the centre of the first pixel) and the integrated intensity of the Gaussian.
    """
    pieces, n = ndimage.label(p > _LEAST_PROBABILITY)
    if n == 0:
        return np.empty((0, 3))
    index = np.arange(1, n + 1)
    area = ndimage.sum_labels(np.ones_like(p), pieces, index)
    usual = float(np.median(area))
    index = index[area > 0.3 * usual]
    centres = np.array(ndimage.center_of_mass(p, pieces, index))
    radius = np.sqrt(usual / np.pi)
    return np.array([_fit(image, centre, radius) for centre in centres])


def _fit(image: np.ndarray, centre: np.ndarray, radius: float) -> tuple[float, float, float]:
    """Fit one column inside a window of about its own size; a fit that wanders off gives the centre of mass."""
    reach = max(2, round(1.4 * radius))
    row, column = np.round(centre).astype(int)
    top, left = max(0, row - reach), max(0, column - reach)
    part = np.asarray(image[top : row + reach + 1, left : column + reach + 1], float)
    y, x = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]]
    low, high = float(part.min()), float(part.max())
    start = np.array([centre[0], centre[1], high - low, max(radius / 1.5, 0.8), low, 0.0, 0.0])

    def rest(v: np.ndarray) -> np.ndarray:
        peak = v[2] * np.exp(-((y - v[0]) ** 2 + (x - v[1]) ** 2) / (2 * v[3] ** 2))
        return np.asarray(peak + v[4] + v[5] * (y - centre[0]) + v[6] * (x - centre[1]) - part).ravel()

    if part.size < 9 or high <= low:
        return float(centre[0]), float(centre[1]), float(part.sum())
    fit = least_squares(rest, start, method="lm", max_nfev=60)
    v = fit.x
    if np.hypot(v[0] - centre[0], v[1] - centre[1]) > radius or not 0.2 * radius < abs(v[3]) < 4 * radius:
        return float(centre[0]), float(centre[1]), float((part - low).sum())
    return float(v[0]), float(v[1]), float(2 * np.pi * v[2] * v[3] ** 2)
