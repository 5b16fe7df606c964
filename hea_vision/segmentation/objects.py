"""One class for one particle."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def one_class_an_object(labels: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Give a particle that is nearly all small, or nearly all large, one class; a quarter of it may dissent.

    Where more dissents, a small particle may touch a large one, and both keep their classes.

    Parameters
    ----------
    labels
        (rows, columns): 0 matrix, 1 small, 2 large.
    p
        (3, rows, columns) probabilities.
    """
    pieces, n = ndimage.label(labels > 0, np.ones((3, 3), int))
    if n == 0:
        return labels
    index = np.arange(1, n + 1)
    mixed = ndimage.minimum(labels, pieces, index) != ndimage.maximum(labels, pieces, index)
    if not mixed.any():
        return labels
    gain = np.log(np.maximum(p[2], 1e-6)) - np.log(np.maximum(p[1], 1e-6))
    larger = np.zeros(n + 1, bool)
    larger[1:] = ndimage.sum_labels(gain, pieces, index) > 0
    # A small particle that touches a large one keeps its class where it is sure of it.
    share = np.zeros(n + 1)
    share[1:] = ndimage.mean(labels == 2, pieces, index)
    doubtful = np.zeros(n + 1, bool)
    doubtful[1:] = mixed & ((share[1:] < 0.25) | (share[1:] > 0.75))
    out = labels.copy()
    change = doubtful[pieces]
    out[change] = np.where(larger[pieces[change]], 2, 1)
    return out
