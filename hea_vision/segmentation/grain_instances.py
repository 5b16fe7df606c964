"""Grains from the probability of their boundaries."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.morphology import local_minima, reconstruction
from skimage.segmentation import watershed

#: Two basins stay apart where the opening between them is narrower than this part of the narrower of the two.
WAIST = 0.55
_LEAST_AREA_PX = 20


def split_grains(boundary: np.ndarray) -> np.ndarray:
    """Flood the map of boundaries into grains that tile the field.

    Parameters
    ----------
    boundary
        (rows, columns), the probability of a boundary, or True on boundaries.

    Returns
    -------
    numpy.ndarray
        int32 (rows, columns), grains numbered from 1; every pixel belongs to one. A gap in a boundary is closed where
        it is narrower than `WAIST` times the grains beside it; widths are distances to the nearest boundary, and the
        logarithm makes the rule the same for grains of any size.
    """
    p = ndimage.gaussian_filter(np.asarray(boundary, np.float32), 0.7)
    away = ndimage.distance_transform_edt(p < 0.5)
    # A trace of smoothing takes the steps of the pixel grid out of the ridges between far walls; more would drown
    # grains of a few pixels.
    height = -np.log(0.5 + ndimage.gaussian_filter(away, 0.5)).astype(np.float32)
    pass_height = np.float32(-np.log(WAIST))
    filled = reconstruction(height + pass_height, height, method="erosion")
    # The floors of what is filled, not the lowest places below them: one grain may have several, equally low.
    seeds, n = ndimage.label(local_minima(filled), np.ones((3, 3), int))
    if n == 0:
        return np.ones(height.shape, np.int32)
    grains = watershed(height + p, seeds)
    area = np.bincount(grains.ravel())
    if (area[1:] < _LEAST_AREA_PX).any():
        seeds[area[seeds] < _LEAST_AREA_PX] = 0
        grains = watershed(height + p, seeds) if seeds.any() else np.ones(height.shape, int)
    used, compact = np.unique(grains, return_inverse=True)
    return (compact.reshape(grains.shape) + (1 if used[0] != 0 else 0)).astype(np.int32)
