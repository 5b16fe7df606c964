"""Groups of alloys that must not stand on both sides of a split: near-duplicates, element sets, publications.

The distance of two compositions is the sum of absolute differences of their atomic fractions, so 0.004 is 0.4 at.%.
Clusters are single linkage: a chain of near neighbours is one cluster, however long.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from hea_sim.errors import InputError

#: Distance up to which two compositions are one alloy.
REACH = 0.004
#: Slack for fractions such as 1/3 that no float holds.
_ROUNDING = 1e-9


def near_duplicates(fractions: np.ndarray, *, reach: float = REACH) -> np.ndarray:
    """Number the near-duplicate clusters of alloys `fractions` (n, E); returns (n,), numbered in order of appearance.

    Examples
    --------
    >>> near_duplicates(np.array([[0.5, 0.5], [0.2, 0.8], [0.501, 0.499], [0.5028, 0.4972]])).tolist()
    [0, 1, 0, 0]
    """
    x = np.asarray(fractions, float)
    if x.ndim != 2:
        raise InputError(f"fractions of shape {x.shape}; wanted (alloys, elements)")
    if not (np.isfinite(reach) and reach >= 0):
        raise InputError(f"reach is {reach}; wanted a distance of at least 0, such as {REACH} (0.4 at.%)")
    if not len(x):
        return np.zeros(0, int)
    # Equal compositions are merged first: thousands of reports of one alloy would give millions of pairs.
    distinct, where = np.unique(x, axis=0, return_inverse=True)
    pairs = cKDTree(distinct).query_pairs(reach + _ROUNDING, p=1, output_type="ndarray")
    ones = np.ones(len(pairs))
    links = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(len(distinct),) * 2)
    return _in_order(connected_components(links, directed=False)[1][where.ravel()])


def nearest_distance(fractions: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Give the distance (n,) of each alloy of `fractions` (n, E) to the nearest of `others` (m, E); inf if m is 0."""
    if not len(others):
        return np.full(len(fractions), np.inf)
    return cKDTree(np.asarray(others, float)).query(np.asarray(fractions, float), p=1)[0]


def connected_groups(*labels: Sequence[object] | np.ndarray) -> np.ndarray:
    """Number the groups of alloys that share a label in any of several labellings; returns (n,).

    An empty label ("" or None) joins nothing.

    Examples
    --------
    >>> connected_groups([0, 0, 1, 2], ["a", "b", "b", "c"]).tolist()
    [0, 0, 0, 1]
    """
    if not labels or len({len(column) for column in labels}) != 1:
        raise InputError(f"labels of lengths {[len(column) for column in labels]}; wanted one label an alloy in each")
    n = len(labels[0])
    rows: list[int] = []
    nodes: list[int] = []
    number: dict[tuple[int, object], int] = {}
    for k, column in enumerate(labels):
        for i, label in enumerate(np.asarray(column, object).tolist()):
            if label is not None and label != "":
                rows.append(i)
                nodes.append(n + number.setdefault((k, label), len(number)))
    size = n + len(number)
    graph = coo_array((np.ones(len(rows)), (rows, nodes)), shape=(size, size))
    return _in_order(connected_components(graph, directed=False)[1][:n])


def split_folds(
    groups: np.ndarray, *, n_folds: int = 5, seed: int = 0, classes: np.ndarray | None = None
) -> np.ndarray:
    """Share out whole groups over folds of even size, and of even class counts where `classes` are given.

    The largest groups are placed first, each on the fold that keeps the counts most even; ties go by `seed`. Returns
    the fold (n,) of each alloy.

    Examples
    --------
    >>> np.bincount(split_folds(np.array([0, 0, 0, 1, 1, 2]), n_folds=2)).tolist()
    [3, 3]
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if not 2 <= n_folds <= len(names):
        raise InputError(f"{n_folds} folds of {len(names)} groups; wanted at least 2 folds and a group for each")
    _, kind = np.unique(np.zeros(len(group)) if classes is None else np.asarray(classes), return_inverse=True)
    counts = np.zeros((len(names), kind.max() + 1))
    np.add.at(counts, (group, kind), 1)
    share = counts.sum(0)
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.permutation(len(names)), -counts.sum(1)))
    fold_of = np.zeros(len(names), int)
    held = np.zeros((n_folds, counts.shape[1]))
    for g in order:
        cost = [(((held[f] + counts[g]) / share) ** 2 - (held[f] / share) ** 2).sum() for f in range(n_folds)]
        best = np.flatnonzero(np.isclose(cost, min(cost)))
        fold_of[g] = best[rng.integers(len(best))]
        held[fold_of[g]] += counts[g]
    return fold_of[group]


def _in_order(numbers: np.ndarray) -> np.ndarray:
    """Renumber in order of first appearance, so that the result does not hang on a library's inner order."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    rank = np.empty(len(first), int)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse.ravel()]
