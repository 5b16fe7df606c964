"""The compositions that a target allows: points on a grid of whole steps of at.%, and ways to walk between them.

A composition is a row of whole numbers, steps of at.% for each element, that sum to `units`. Nothing here bends a
limit: what is drawn, walked to or enumerated satisfies all of them, and where no composition does, that is proven by
integer programming and said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from hea_sim.errors import InputError
from hea_sim.properties.design.costs import TABLE_UNITS, ElementTable
from hea_sim.properties.design.target import DesignTarget

#: Grids of no more points than this are enumerated, the others sampled.
ENUMERATED = 20_000
_ROUNDS_OF_DRAWING = 6
#: Where fewer than one in this many of the wanted points come by chance, they are walked to.
_FEW = 8
_CORNERS = 8
#: Elements that an error lists one by one.
_LISTED = 12
_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class CompositionGrid:
    """Hold the limits of compositions over E elements, in steps.

    `low`, `high` (E,) bound every element, an element with `low` above zero is always there; one that is present has
    at least `present` steps; between `fewest` and `most` elements are; `limits` (c, E) are linear: limits @ counts
    <= 0, each with a name.
    """

    elements: tuple[str, ...]
    units: int
    low: np.ndarray
    high: np.ndarray
    present: int
    fewest: int
    most: int
    limits: np.ndarray
    limit_names: tuple[str, ...] = ()

    def allowed(self, counts: np.ndarray) -> np.ndarray:
        """Tell which rows of `counts` (n, E) break no limit."""
        there = counts > 0
        k = there.sum(1)
        good = (counts.sum(1) == self.units) & (k >= self.fewest) & (k <= self.most)
        good &= ((counts >= self.low) & (counts <= self.high)).all(1)
        good &= (~there | (counts >= self.present)).all(1)
        scale = np.abs(self.limits).max(initial=1.0) * self.units
        return good & (counts @ self.limits.T <= _TOLERANCE * scale).all(1)

    def fractions(self, counts: np.ndarray) -> np.ndarray:
        """Turn steps into atomic fractions."""
        return counts / self.units

    def size_without_limits(self) -> int:
        """Count the points, bounds of single elements and linear limits left aside."""
        spare = [(k, self.units - k * self.present) for k in range(self.fewest, self.most + 1)]
        return sum(math.comb(len(self.elements), k) * math.comb(r + k - 1, k - 1) for k, r in spare if r >= 0)

    def every(self) -> np.ndarray:
        """List every allowed point (n, E)."""
        rows = np.array(list(self._points()), dtype=np.int64).reshape(-1, len(self.elements))
        return rows[self.allowed(rows)]

    def _points(self) -> Iterator[np.ndarray]:
        for k in range(self.fewest, self.most + 1):
            spare = self.units - k * self.present
            if spare < 0:
                continue
            for subset in combinations(range(len(self.elements)), k):
                for bars in combinations(range(spare + k - 1), k - 1):
                    edges = np.array([-1, *bars, spare + k - 1])
                    row = np.zeros(len(self.elements), dtype=np.int64)
                    row[list(subset)] = np.diff(edges) - 1 + self.present
                    yield row

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw at most n different allowed points; raise InputError where there is none."""
        found = np.zeros((0, len(self.elements)), dtype=np.int64)
        for _ in range(_ROUNDS_OF_DRAWING):
            rows = self._random_rows(n, rng)
            found = _distinct(np.vstack([found, rows[self.allowed(rows)]]))
            if len(found) >= n:
                break
        if len(found) < n // _FEW:
            found = self._spread(found, n // _FEW, rng)
        return found[rng.permutation(len(found))[:n]]

    def _random_rows(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw element sets, then share out what the least shares leave; rows that do not come out are dropped."""
        n_elements = len(self.elements)
        keys = rng.random((n, n_elements))
        keys[:, self.low > 0] = -1.0
        keys[:, self.high < self.present] = 2.0
        least = max(self.fewest, int((self.low > 0).sum()))
        k = rng.integers(least, max(self.most, least) + 1, n)
        chosen = keys.argsort(1).argsort(1) < k[:, None]
        counts = np.where(chosen, np.maximum(self.low, self.present), 0)
        left = self.units - counts.sum(1)
        keep = left >= 0
        chosen, counts, left = chosen[keep], counts[keep], left[keep]
        for _ in range(8):
            room = np.where(chosen, self.high - counts, 0)
            weights = np.where(room > 0, rng.exponential(size=counts.shape), 0.0)
            total = weights.sum(1)
            stuck = total <= 0
            weights[stuck, 0], total = 1.0, np.where(stuck, 1.0, total)
            more = rng.multinomial(np.where(stuck, 0, left), weights / total[:, None])
            more = np.minimum(more, np.maximum(room, 0))
            counts, left = counts + more, left - more.sum(1)
        return counts[left == 0]

    def _spread(self, found: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Walk by exchanges from what was found, and from corners that integer programming finds."""
        corners = [self.corner(rng.normal(size=len(self.elements))) for _ in range(_CORNERS)]
        found = _distinct(np.vstack([found, *corners]))
        walked = 0
        while len(found) < n and walked < len(found):
            fresh = found[walked : walked + 2 * _CORNERS]
            walked += len(fresh)
            near = self.neighbours(fresh)
            found = _distinct(np.vstack([found, near[rng.permutation(len(near))[: n // 8 + 1]]]))
        return found

    def neighbours(self, counts: np.ndarray) -> np.ndarray:
        """List the allowed points one exchange away from rows of `counts`: a step, a whole element, a new element."""
        rows = []
        for row in np.asarray(counts, dtype=np.int64):
            there = np.flatnonzero(row)
            for giver in there:
                amounts = {1, self.present, int(row[giver])}
                for amount in sorted(a for a in amounts if 0 < a <= row[giver]):
                    moved = np.repeat(row[None], len(row), axis=0)
                    moved[:, giver] -= amount
                    moved[np.arange(len(row)), np.arange(len(row))] += amount
                    rows.append(np.delete(moved, giver, axis=0))
        if not rows:
            return np.zeros((0, len(self.elements)), dtype=np.int64)
        near = _distinct(np.vstack(rows))
        return near[self.allowed(near)]

    def corner(self, direction: np.ndarray) -> np.ndarray:
        """Find the allowed point (1, E) with the largest `direction` . counts; raise InputError where none exists."""
        solved = _solve(self, direction)
        if solved is not None:
            return solved[None]
        raise InputError(_why_none(self))


def grid_of(target: DesignTarget, elements: Sequence[str], table: ElementTable) -> CompositionGrid:
    """Build the grid of a target over the elements that may be used."""
    step = target.step_at_percent
    least = {e: math.ceil(target.least_at_percent.get(e, 0.0) / step - _TOLERANCE) for e in elements}
    present = max(1, math.ceil(target.smallest_share_at_percent / step - _TOLERANCE))
    low = np.array([max(least[e], present) if e in target.required or least[e] else 0 for e in elements])
    most = [target.highest_at_percent(e) for e in elements]
    rows, names = [], []
    for quantity, unit in TABLE_UNITS.items():
        for sign, bounds, word in ((1, target.most, "at most"), (-1, target.least, "at least")):
            if quantity in bounds:
                rows.append(sign * table.limit_row(quantity, elements, bounds[quantity]))
                names.append(f"{quantity} {word} {bounds[quantity]:g} {unit}")
    fewest, most_elements = target.elements_from_to
    return CompositionGrid(
        elements=tuple(elements),
        units=target.units,
        low=low,
        high=np.array([math.floor(m / step + _TOLERANCE) for m in most]),
        present=present,
        fewest=fewest,
        most=min(most_elements, len(elements)),
        limits=np.array(rows).reshape(len(rows), len(elements)),
        limit_names=tuple(names),
    )


def _distinct(rows: np.ndarray) -> np.ndarray:
    """Leave out rows that repeat; the order stays."""
    _, first = np.unique(rows, axis=0, return_index=True)
    return rows[np.sort(first)]


def _solve(grid: CompositionGrid, direction: np.ndarray) -> np.ndarray | None:
    """Solve the integer program over counts c and presences b; None where it has no solution."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    n = len(grid.elements)
    identity = np.eye(n)
    least = np.maximum(grid.low, grid.present)
    scale = np.abs(grid.limits).max(axis=1, keepdims=True) if len(grid.limits) else np.zeros((0, 1))
    rules = [
        LinearConstraint(np.hstack([identity, -np.diag(grid.high)]), -np.inf, 0),
        LinearConstraint(np.hstack([identity, -np.diag(least)]), 0, np.inf),
        LinearConstraint(np.hstack([np.ones(n), np.zeros(n)])[None], grid.units, grid.units),
        LinearConstraint(np.hstack([np.zeros(n), np.ones(n)])[None], grid.fewest, grid.most),
    ]
    bounds = Bounds(np.hstack([np.zeros(n), (grid.low > 0)]), np.hstack([np.maximum(grid.high, 0), np.ones(n)]))
    for slack in (-1e-6, 0.0):  # the solver holds rows to 1e-7: it must not hand back a point just outside
        tight = rules
        if len(grid.limits):
            row = np.hstack([grid.limits / scale, np.zeros_like(grid.limits)])
            tight = [*rules, LinearConstraint(row, -np.inf, slack)]
        found = milp(np.hstack([-direction, np.zeros(n)]), constraints=tight, bounds=bounds, integrality=np.ones(2 * n))
        if found.x is not None:
            counts = np.round(found.x[:n]).astype(np.int64)
            if grid.allowed(counts[None])[0]:
                return counts
    return None


def _why_none(grid: CompositionGrid) -> str:
    """Say which limit leaves no composition."""
    any_direction = np.zeros(len(grid.elements))
    over = ", ".join(grid.elements) if len(grid.elements) <= _LISTED else f"{len(grid.elements)} elements"
    start = f"no composition on the grid of {100 / grid.units:g} at.% over {over} meets "
    bare = replace(grid, limits=grid.limits[:0], limit_names=())
    if _solve(bare, any_direction) is None:
        return start + "the limits on elements and their shares; widen the shares, the elements or their number"
    for row, name in zip(grid.limits, grid.limit_names):
        if _solve(replace(grid, limits=row[None], limit_names=(name,)), any_direction) is None:
            return start + f"{name}; widen that bound or allow other elements"
    return start + " and ".join(grid.limit_names) + " together; widen one of them"
