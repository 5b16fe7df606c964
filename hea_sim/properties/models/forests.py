"""Forests as flat arrays: fast on a million alloys, and able to tell which known alloys a prediction leans on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hea_sim.properties.models.forest_kernels import leaf_numbers, mean_values


@dataclass(frozen=True, kw_only=True, eq=False)
class FlatForest:
    """Hold the trees of a fitted scikit-learn forest one after another.

    `nodes` (nodes, 3) are the descriptor and the nodes on the left and on the right, both the node itself at a leaf;
    `threshold` (nodes,), `value` (nodes, outputs), `roots` (trees,).
    """

    roots: np.ndarray
    nodes: np.ndarray
    threshold: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, forest: Any) -> FlatForest:
        """Flatten a fitted forest of scikit-learn; leaves of a classifier hold shares of the classes."""
        trees = [estimator.tree_ for estimator in forest.estimators_]
        sizes = np.array([tree.node_count for tree in trees])
        roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
        classifier = hasattr(forest, "classes_")
        values = [tree.value[:, 0, :] if classifier else tree.value[:, :, 0] for tree in trees]
        value = np.concatenate(values)
        if classifier:
            value = value / value.sum(1, keepdims=True)
        nodes, thresholds = zip(*(_nodes(tree, int(root)) for tree, root in zip(trees, roots)))
        return cls(
            roots=roots,
            nodes=np.concatenate(nodes).astype(np.int32),
            threshold=np.concatenate(thresholds),
            value=np.ascontiguousarray(value),
        )

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predict (n, outputs) from descriptors (n, d): the mean over the trees."""
        out = np.empty((len(x), self.value.shape[1]))
        mean_values(_as_trees_see(x), self.roots, self.nodes, self.threshold, self.value, out)
        return out

    def leaves(self, x: np.ndarray) -> np.ndarray:
        """Give the leaf (n, trees) in which each alloy ends."""
        out = np.empty((len(self.roots), len(x)), np.int32)
        leaf_numbers(_as_trees_see(x), self.roots, self.nodes, self.threshold, out)
        return out.T


def lean_weights(leaves: np.ndarray, known_leaves: np.ndarray) -> np.ndarray:
    """Weigh the known alloys (m, trees) in a prediction (n, trees): rows (n, m) that sum to one.

    In every tree the known alloys of the same leaf share one vote; a forest's prediction is the mean of their labels
    under these weights (Meinshausen 2006, Quantile regression forests, J. Mach. Learn. Res. 7, 983).
    """
    weights = np.zeros((len(leaves), len(known_leaves)))
    for here, known in zip(leaves.T, known_leaves.T):
        same = here[:, None] == known[None, :]
        weights += same / np.maximum(same.sum(1, keepdims=True), 1)
    return weights / leaves.shape[1]


def _nodes(tree: Any, root: int) -> tuple[np.ndarray, np.ndarray]:
    """Give nodes (n, 3) and thresholds (n,) of one tree that starts at `root`."""
    leaf = tree.children_left < 0
    own = np.arange(tree.node_count)
    left, right = (np.where(leaf, own, children) + root for children in (tree.children_left, tree.children_right))
    threshold = np.where(leaf, np.inf, tree.threshold)
    return np.column_stack([np.where(leaf, 0, tree.feature), left, right]), _rounded_down(threshold)


def _rounded_down(threshold: np.ndarray) -> np.ndarray:
    """Give the largest single-precision numbers not above: x <= t is the same for every single-precision x."""
    single = threshold.astype(np.float32)
    return np.where(single > threshold, np.nextafter(single, np.float32(-np.inf)), single).astype(np.float32)


def _as_trees_see(x: np.ndarray) -> np.ndarray:
    # scikit-learn's trees look at descriptors in single precision.
    return np.ascontiguousarray(x, np.float32)
