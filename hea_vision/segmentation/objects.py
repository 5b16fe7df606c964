"""One class for one particle."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

#: What is labelled as two classes is cut where it is narrower than this part of the narrower side.
NECK = 0.7
_CORNERS_JOIN = np.ones((3, 3), int)


def one_class_an_object(labels: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Give every particle one class, the one that its pixels together are surer of.

    A small particle may touch a large one: what is labelled as both is cut where it has a neck (`split_at_necks`), and
    each part is a particle. Without a neck it is one, whichever parts of it the labels divide. The pixel grid
    hides the neck of a particle of less than about 6 px radius: where it touches a large one it is part of that.

    Parameters
    ----------
    labels
        (rows, columns): 0 matrix, 1 small, 2 large.
    p
        (3, rows, columns) probabilities.
    """
    pieces, n = ndimage.label(labels > 0, _CORNERS_JOIN)
    if n == 0:
        return labels
    index = np.arange(1, n + 1)
    mixed = ndimage.minimum(labels, pieces, index) != ndimage.maximum(labels, pieces, index)
    out, places = labels.copy(), ndimage.find_objects(pieces)
    for number in index[mixed]:
        place = places[number - 1]
        inside = pieces[place] == number
        parts = split_at_necks(inside)
        small, large = (np.log(np.maximum(p[c][place], 1e-6)) for c in (1, 2))
        larger = ndimage.sum_labels(large - small, parts, np.arange(parts.max() + 1)) > 0
        out[place][inside] = np.where(larger[parts[inside]], 2, 1)
    return out


def split_at_necks(mask: np.ndarray, neck: float = NECK) -> np.ndarray:
    """Number the parts of an object (rows, columns) from 1: it is cut where narrower than `neck` times either side.

    Widths are distances to the outline; in their logarithm the rule is the same for objects of any size.
    """
    away = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    # A trace of smoothing takes the steps of the pixel grid out of the ridges.
    width = np.log(0.5 + ndimage.gaussian_filter(away, 0.5)).astype(np.float32)
    level = reconstruction(width + np.float32(np.log(neck)), width, method="dilation")
    seeds, n = ndimage.label(local_maxima(level) & mask, _CORNERS_JOIN)
    if n < 2:
        return np.asarray(mask, np.int32)
    return np.asarray(watershed(-width, seeds, mask=mask, connectivity=_CORNERS_JOIN), np.int32)
