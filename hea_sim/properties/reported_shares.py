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
    """Hold `fractions` (m, E) of known alloys, with the shares (m, classes) that the next report is expected by."""

    elements: tuple[str, ...]
    fractions: np.ndarray
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
            known, theirs = _places(table.elements, table.fractions, but)
            kept = cKDTree(theirs).query(known, p=1)[0] > _FARTHEST
        return cls(elements=table.elements, fractions=table.fractions[kept], shares=shares[kept])

    def mixed(self, probabilities: np.ndarray, batch: AlloyBatch) -> np.ndarray:
        """Draw probabilities (n, classes) of alloys near known ones towards what is reported of those."""
        known, here = _places(self.elements, self.fractions, batch)
        (possible,) = np.nonzero(known[:, -1] < _FARTHEST)
        out = probabilities.copy()
        if not len(possible):
            return out
        tree = cKDTree(known[possible])
        gaps, nearest = tree.query(here, p=1, distance_upper_bound=_FARTHEST, workers=-1)
        near = np.isfinite(gaps)
        weight = np.exp(-np.maximum(gaps[near] - NEAR_DUPLICATE, 0) / _REACH)[:, None]
        out[near] = (1 - weight) * probabilities[near] + weight * self.shares[possible[nearest[near]]]
        return out


def _places(elements: tuple[str, ...], known: np.ndarray, batch: AlloyBatch) -> tuple[np.ndarray, np.ndarray]:
    """Give known alloys and those of a batch in the batch's columns, and one of all other elements together.

    Sums of absolute differences are then those of all elements, and what a batch lacks costs no column.
    """
    columns = [elements.index(e) if e in elements else -1 for e in batch.elements]
    shared = np.where(np.array(columns) >= 0, known[:, columns], 0.0)
    others = 1 - shared.sum(1, keepdims=True)
    return np.hstack([shared, others]), np.hstack([batch.fractions, np.zeros((len(batch), 1))])
