"""Compiled walk through many trees at once, whose plain twin is scikit-learn, and search for a near neighbour."""

from __future__ import annotations

import numba as nb
import numpy as np

#: Rows that pass through one tree together, so that the tree stays in the nearest cache.
_ROWS = 64


@nb.njit(cache=True, nogil=True)
def _descend(x: np.ndarray, first: int, nodes: np.ndarray, threshold: np.ndarray, at: np.ndarray) -> None:
    """Move rows of `x` from the root, where `at` stands, to their leaves; a leaf's children are itself.

    All rows take a step before any takes the next: no branch depends on the data, so that steps overlap.
    """
    moved = True
    while moved:
        moved = False
        for row in range(at.shape[0]):
            node = at[row]
            then = nodes[node, 1 + (x[first + row, nodes[node, 0]] > threshold[node])]
            moved |= then != node
            at[row] = then


@nb.njit(cache=True, parallel=True, nogil=True)
def mean_values(
    x: np.ndarray,
    roots: np.ndarray,
    nodes: np.ndarray,
    threshold: np.ndarray,
    value: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write into `out` (n, outputs) the mean over trees of the value of the leaf that each row of `x` (n, d) meets."""
    n_rows, n_out, n_trees = x.shape[0], value.shape[1], roots.shape[0]
    for block in nb.prange((n_rows + _ROWS - 1) // _ROWS):
        first = block * _ROWS
        last = min(first + _ROWS, n_rows)
        total = np.zeros((last - first, n_out))
        at = np.empty(last - first, np.int32)
        for tree in range(n_trees):
            at[:] = roots[tree]
            _descend(x, first, nodes, threshold, at)
            for row in range(last - first):
                for k in range(n_out):
                    total[row, k] += value[at[row], k]
        out[first:last] = total / n_trees


@nb.njit(cache=True, nogil=True)
def leaf_numbers(x: np.ndarray, roots: np.ndarray, nodes: np.ndarray, threshold: np.ndarray, out: np.ndarray) -> None:
    """Write into `out` (trees, n) the node at which each row of `x` (n, d) ends in each tree."""
    for tree in range(roots.shape[0]):
        out[tree, :] = roots[tree]
        _descend(x, 0, nodes, threshold, out[tree])


@nb.njit(cache=True, parallel=True, nogil=True)
def any_within(points: np.ndarray, known: np.ndarray, squared_reach: float, out: np.ndarray) -> None:
    """Write into `out` (n,) whether any of `known` (m, d) lies within the reach of each of `points` (n, d)."""
    for row in nb.prange(points.shape[0]):
        found = False
        for other in range(known.shape[0]):
            total = 0.0
            for k in range(points.shape[1]):
                gap = points[row, k] - known[other, k]
                total += gap * gap
            if total <= squared_reach:
                found = True
                break
        out[row] = found
