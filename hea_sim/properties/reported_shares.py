"""What is to be expected of the next report on an alloy that the tables hold: trees recall the label of such an alloy.

| symbol | here |
|---|---|
| h, probabilities of the alloy when its group was held out, calibrated | worth one vote |
| s, shares of its n votes; the majority's is known, the rest is shared out as h | |
| q = (n s + h) / (n + 1) | `ReportedShares.shares` |
| w = exp(-d / `_REACH`), d the sum of absolute differences of atomic fractions to the nearest known alloy | |
| p' = (1 - w) p + w q | `mixed` |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from hea_sim.properties.contract import AlloyBatch
from hea_sim.properties.lessons import Lesson
from hea_sim.properties.tables.clusters import REACH as NEAR_DUPLICATE

#: Distance over which what was reported of an alloy loses its weight, and beyond which it has none.
_REACH, _FARTHEST = 0.01, 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportedShares:
    """Hold the known alloys, columns `elements`, with the shares (n, classes) that the next report is expected by."""

    elements: tuple[str, ...]
    tree: cKDTree
    shares: np.ndarray

    @classmethod
    def of(cls, lesson: Lesson, honest: np.ndarray, *, but: AlloyBatch | None = None) -> ReportedShares:
        """Gather them; `honest` (n, classes) are calibrated held-out probabilities.

        Known alloys near those of `but`, which were measured since, are left out: more is known of them.
        """
        table = lesson.table
        assert table.share is not None and table.votes is not None
        rows = np.arange(len(table))
        rest = honest.copy()
        rest[rows, table.codes] = 0.0
        rest *= ((1 - table.share) / np.maximum(rest.sum(1), 1e-12))[:, None]
        rest[rows, table.codes] = table.share
        shares = (table.votes[:, None] * rest + honest) / (table.votes[:, None] + 1)
        kept = np.ones(len(table), bool)
        if but is not None:
            kept = cKDTree(_columns(but, table.elements)).query(table.fractions, p=1)[0] > _FARTHEST
        return cls(elements=table.elements, tree=cKDTree(table.fractions[kept]), shares=shares[kept])

    def mixed(self, probabilities: np.ndarray, batch: AlloyBatch) -> np.ndarray:
        """Draw probabilities (n, classes) of alloys near known ones towards what is reported of those."""
        gaps, nearest = self.tree.query(_columns(batch, self.elements), p=1, distance_upper_bound=_FARTHEST, workers=-1)
        near = np.isfinite(gaps)
        weight = np.exp(-np.maximum(gaps[near] - NEAR_DUPLICATE, 0) / _REACH)[:, None]
        out = probabilities.copy()
        out[near] = (1 - weight) * probabilities[near] + weight * self.shares[nearest[near]]
        return out


def _columns(batch: AlloyBatch, elements: tuple[str, ...]) -> np.ndarray:
    """Give fractions (n, E) in the columns of a table; others are left out, which keeps them far."""
    found = np.zeros((len(batch), len(elements)))
    for k, element in enumerate(batch.elements):
        if element in elements:
            found[:, elements.index(element)] = batch.fractions[:, k]
    return found
