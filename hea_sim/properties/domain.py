"""Which alloys may be predicted at all: described elements, enough known alloys of each, and a known alloy not too far.

| symbol | in code |
|---|---|
| likeness of elements, exp(-gap^2 / 4^2), gap between standardised properties | `_places_of_elements` |
| p_e, with p_e . p_f the likeness of e and f | `element_places` |
| place of an alloy, sum c_e p_e | `AlloyDomain` |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from hea_sim.properties.contract import AlloyBatch
from hea_sim.properties.element_tables import described_elements, element_table
from hea_sim.properties.models.forest_kernels import any_within

#: Fewest known alloys that must hold an element, for phases and for a property.
LEAST_ALLOYS, LEAST_LINES = 5, 3
#: A fraction below this is an impurity, which no element's count forbids.
TRACE = 0.003
#: Elements of one alloy that are told apart by likeness: this many directions hold nearly all of it.
_DIRECTIONS = 16
#: Likeness of two elements whose standardised properties are this far apart is 1/e.
_LIKENESS_LENGTH = 4.0


@dataclass(frozen=True, kw_only=True, eq=False)
class AlloyDomain:
    """Hold what known alloys cover: counts of each element, their places, and how far is too far.

    `counts` (E,) of the alloys that hold each element, `points` (n, directions) the places of the alloys in `tree`
    too; `reach` is the largest distance to the nearest known alloy; `what` names the alloys in reasons.
    """

    elements: tuple[str, ...]
    counts: np.ndarray
    points: np.ndarray
    tree: cKDTree
    reach: float
    least: int
    what: str

    @classmethod
    def of(
        cls, elements: Sequence[str], fractions: np.ndarray, groups: np.ndarray, *, least: int, what: str
    ) -> AlloyDomain:
        """Learn the domain of known alloys (n, E); `groups` (n,) are element sets.

        The reach is that within which 98 % of the known alloys find one of another group.
        """
        points = fractions @ element_places(tuple(elements))
        counts = (fractions >= TRACE).sum(0)
        gaps = _gaps_between_groups(points, groups)
        return cls(
            elements=tuple(elements),
            counts=counts,
            points=points,
            tree=cKDTree(points),
            reach=float(np.quantile(gaps, 0.98)),
            least=least,
            what=what,
        )

    def distance(self, batch: AlloyBatch) -> np.ndarray:
        """Give the distance (n,) to the nearest known alloy; like elements are near each other."""
        return self.tree.query(batch.fractions @ element_places(batch.elements))[0]

    def refused(self, batch: AlloyBatch) -> np.ndarray:
        """Tell which alloys (n,) are outside."""
        single = (batch.fractions > 1 - TRACE).any(1)
        bad = np.asarray(single | self.too_rare(batch) | undescribed(batch).any(1))
        inside = np.flatnonzero(~bad)
        near = np.empty(len(inside), bool)
        any_within(batch.fractions[inside] @ element_places(batch.elements), self.points, self.reach**2, near)
        bad[inside] = ~near
        return bad

    def too_rare(self, batch: AlloyBatch) -> np.ndarray:
        """Tell which alloys (n,) hold an element that too few known alloys hold."""
        rare = np.array([self._count(e) < self.least for e in batch.elements])
        return np.asarray((batch.fractions[:, rare] >= TRACE).any(1))

    def reasons(self, batch: AlloyBatch) -> list[list[str]]:
        """Say of each alloy why it is outside; an empty list where it is not."""
        far = self.distance(batch)
        lacking = undescribed(batch)
        found = []
        for x, gap, lacks in zip(batch.fractions, far, lacking):
            why = []
            held = [e for e, f in zip(batch.elements, x) if f >= TRACE]
            if len(held) < 2:
                why.append(f"{held[0] if held else 'nothing'} alone is no alloy; wanted two elements or more")
            names = [e for e, lack in zip(batch.elements, lacks) if lack]
            if names:
                why.append(f"no descriptors for {', '.join(names)}: an element table lacks each")
            rare = [e for e in held if self._count(e) < self.least and e not in names]
            if rare:
                told = ", ".join(f"{e} ({self._count(e)})" for e in rare)
                why.append(f"too few {self.what} hold {told}; wanted at least {self.least}")
            if gap > self.reach and not why:
                why.append(
                    f"far from all {self.what}: distance {gap:.2f} to the nearest, wanted at most {self.reach:.2f}"
                )
            found.append(why)
        return found

    def _count(self, element: str) -> int:
        return int(self.counts[self.elements.index(element)]) if element in self.elements else 0


def undescribed(batch: AlloyBatch) -> np.ndarray:
    """Tell which elements (n, E) of each alloy have no descriptors."""
    lacks = np.array([e not in described_elements() for e in batch.elements])
    return (batch.fractions > 0) & lacks


def element_places(elements: tuple[str, ...]) -> np.ndarray:
    """Place elements (e, directions); one that no table describes stands at zero."""
    known, places = _places_of_elements()
    found = np.zeros((len(elements), places.shape[1]))
    for k, element in enumerate(elements):
        if element in known:
            found[k] = places[known.index(element)]
    return found


@lru_cache(maxsize=1)
def _places_of_elements() -> tuple[tuple[str, ...], np.ndarray]:
    """Place all elements so that the inner product of two is their likeness, at most one."""
    table = element_table()
    z = np.array(table.values, float)
    z = np.nan_to_num((z - np.nanmean(z, 0)) / np.nanstd(z, 0))
    gap = np.linalg.norm(z[:, None] - z[None], axis=2)
    values, vectors = np.linalg.eigh(np.exp(-((gap / _LIKENESS_LENGTH) ** 2)))
    largest = np.argsort(values)[::-1][:_DIRECTIONS]
    return table.elements, vectors[:, largest] * np.sqrt(np.maximum(values[largest], 0))


def _gaps_between_groups(points: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Give the distance (n,) of each alloy to the nearest one of another group."""
    tree = cKDTree(points)
    names, numbers = np.unique(groups, return_inverse=True)
    gaps = np.full(len(points), np.inf)
    n = min(8, len(points))
    while np.isinf(gaps).any():
        open_rows = np.flatnonzero(np.isinf(gaps))
        distance, index = tree.query(points[open_rows], k=n)
        other = numbers[index] != numbers[open_rows][:, None]
        first = np.argmax(other, 1)
        seen = other.any(1)
        gaps[open_rows[seen]] = distance[np.arange(len(open_rows)), first][seen]
        if n == len(points):
            break
        n = min(4 * n, len(points))
    return gaps[np.isfinite(gaps)]
