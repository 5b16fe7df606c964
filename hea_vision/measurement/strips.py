"""Count and measure the objects of label images that are too large for copies: strip by strip, then joined.

A strip is a run of whole rows. Objects are numbered inside each strip; pixels that touch across the border of two
strips, sides or corners, join their numbers. Sums (area, first moments) and boxes of the parts add up to those of the
whole, so the table is the same for any height of the strips; the order is that of the first pixel in reading order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from hea_sim.errors import InputError

#: Pixels that are worked on at once.
STRIP_PX = 2_000_000
#: Fields of more pixels than this are never copied whole.
LARGE_PX = 50_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectTable:
    """Hold the objects of a field, a number each, in reading order of their first pixels.

    `number` (n,) as in the label image of the objects; `row`, `column` (n,) centre of gravity in px; `area_px` (n,);
    `top`, `left`, `bottom`, `right` (n,) box in px, the last two past its end; `first_column` (n,) of the first pixel
    of its top row; `touches_edge` (n,) of the field.
    """

    number: np.ndarray
    row: np.ndarray
    column: np.ndarray
    area_px: np.ndarray
    top: np.ndarray
    left: np.ndarray
    bottom: np.ndarray
    right: np.ndarray
    first_column: np.ndarray
    touches_edge: np.ndarray

    def __len__(self) -> int:
        return len(self.number)

    def only(self, keep: np.ndarray) -> ObjectTable:
        """Keep some of the objects, named by a mask or by their places."""
        return ObjectTable(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})


def row_strips(shape: tuple[int, ...], strip_px: int = STRIP_PX) -> Iterator[slice]:
    """Cut a field into strips of whole rows, each of at most `strip_px` pixels (and of a row at least).

    >>> list(row_strips((5, 10), 20))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    height = max(1, strip_px // max(1, shape[1]))
    for top in range(0, shape[0], height):
        yield slice(top, min(top + height, shape[0]))


def class_counts(labels: np.ndarray) -> dict[int, int]:
    """Count the pixels of every class that is there.

    >>> class_counts(np.array([[0, 2], [2, 2]]))
    {0: 1, 2: 3}
    """
    counts: dict[int, int] = {}
    for rows in row_strips(labels.shape):
        numbers, found = np.unique(labels[rows], return_counts=True)
        for number, n in zip(numbers.tolist(), found.tolist()):
            counts[int(number)] = counts.get(int(number), 0) + int(n)
    return dict(sorted(counts.items()))


def class_pixels(labels: np.ndarray, number: int) -> int:
    """Count the pixels of one class."""
    return sum(int(np.count_nonzero(labels[rows] == number)) for rows in row_strips(labels.shape))


def object_table(labels: np.ndarray, number: int, *, strip_px: int = STRIP_PX) -> ObjectTable:
    """Measure every connected object of class `number`; pixels that share a corner are connected.

    >>> field = np.zeros((20, 20), int)
    >>> field[0:4, 5:9] = 1
    >>> table = object_table(field, 1, strip_px=40)
    >>> table.area_px.tolist(), table.row.tolist(), table.touches_edge.tolist()
    ([16], [1.5], [True])
    """
    labels = _checked(labels)
    parts = _Parts()
    links: list[np.ndarray] = []
    for rows, numbered in _numbered_strips(labels, number, strip_px, links):
        parts.add(numbered, rows.start, parts.n)
    joined = _joined(parts.n, links)
    return parts.table(joined, labels.shape)


def instance_table(
    instances: np.ndarray, labels: np.ndarray, *, strip_px: int = STRIP_PX
) -> tuple[ObjectTable, np.ndarray]:
    """Measure objects that are numbered already (0 is none); return them with the class that most of each has.

    >>> instances = np.zeros((8, 8), int); instances[:4] = 1; instances[4:] = 7
    >>> table, classes = instance_table(instances, np.where(instances == 7, 2, 0))
    >>> table.number.tolist(), table.area_px.tolist(), classes.tolist()
    ([1, 7], [32, 32], [0, 2])
    """
    instances, labels = _checked(instances), _checked(labels)
    if instances.shape != labels.shape:
        raise InputError(f"objects of shape {instances.shape} and labels of shape {labels.shape}; wanted one field")
    strips = list(row_strips(labels.shape, strip_px))
    n = max((int(instances[rows].max()) for rows in strips), default=0)
    n_classes = max((int(labels[rows].max()) for rows in strips), default=0) + 1
    votes = np.zeros((n + 1) * n_classes, np.int64)
    parts = _Parts()
    parts.reserve(n)
    for rows in strips:
        here = np.asarray(instances[rows]).astype(np.int64)
        votes += np.bincount((here * n_classes + labels[rows]).ravel(), minlength=votes.size)
        parts.add(here, rows.start, 0)
    table = parts.table(np.arange(n), labels.shape)
    there = table.area_px > 0
    return table.only(there), votes.reshape(n + 1, n_classes)[1:].argmax(axis=1)[there]


class _Parts:
    """Gather areas, first moments and boxes of numbered parts."""

    def __init__(self) -> None:
        self.n = 0
        self.sums = np.zeros((3, 0), np.int64)  # area, rows, columns
        self.low = np.zeros((2, 0), np.int64)  # top, left
        self.high = np.zeros((2, 0), np.int64)  # bottom, right
        self.first = np.full(0, -1)  # column of the first pixel

    def reserve(self, n: int) -> None:
        """Make room for parts up to number `n`."""
        more = n - self.n
        if more > 0:
            self.sums = np.pad(self.sums, ((0, 0), (0, more)))
            self.low = np.pad(self.low, ((0, 0), (0, more)), constant_values=np.iinfo(np.int64).max)
            self.high = np.pad(self.high, ((0, 0), (0, more)))
            self.first = np.pad(self.first, (0, more), constant_values=-1)
            self.n = n

    def add(self, numbered: np.ndarray, top: int, before: int) -> None:
        """Add a strip whose objects are numbered from 1; `before` parts come first, `top` is its first row.

        Strips come from the top down.
        """
        n = int(numbered.max(initial=0))
        self.reserve(before + n)
        y, x = np.nonzero(numbered)
        if not len(y):
            return
        which = numbered[y, x] + (before - 1)
        y += top
        first = np.full(self.n, -1)
        first[which[::-1]] = x[::-1]  # the last one written is the first one read
        self.first = np.where(self.first < 0, first, self.first)
        for k, weights in enumerate((None, y, x)):
            # Whole numbers below 2^53 add up exactly in floats.
            self.sums[k] += np.bincount(which, weights, minlength=self.n).astype(np.int64)
        for k, values in enumerate((y, x)):
            np.minimum.at(self.low[k], which, values)
            np.maximum.at(self.high[k], which, values + 1)

    def table(self, joined: np.ndarray, shape: tuple[int, ...]) -> ObjectTable:
        """Add up the parts that belong together."""
        n = int(joined.max(initial=-1)) + 1
        area, rows, columns = (_sum_by(joined, part, n) for part in self.sums)
        low = np.full((2, n), np.iinfo(np.int64).max)
        high = np.zeros((2, n), np.int64)
        for k in range(2):
            np.minimum.at(low[k], joined, self.low[k])
            np.maximum.at(high[k], joined, self.high[k])
        (top, left), (bottom, right) = low, high
        first = np.full(n, -1)
        first[joined[::-1]] = self.first[::-1]
        return ObjectTable(
            number=np.arange(1, n + 1),
            row=rows / np.maximum(area, 1),
            column=columns / np.maximum(area, 1),
            area_px=area,
            top=top,
            left=left,
            bottom=bottom,
            right=right,
            first_column=first,
            touches_edge=(top == 0) | (left == 0) | (bottom == shape[0]) | (right == shape[1]),
        )


def _sum_by(joined: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    total = np.zeros(n, np.int64)
    np.add.at(total, joined, values)
    return total


def _numbered_strips(
    labels: np.ndarray, number: int, strip_px: int, links: list[np.ndarray]
) -> Iterator[tuple[slice, np.ndarray]]:
    """Number the objects strip by strip; `links` gathers pairs of numbers that touch across a border."""
    before = 0
    above: np.ndarray | None = None  # the last row of the strip before, in running numbers
    for rows in row_strips(labels.shape, strip_px):
        numbered = np.asarray(label(np.asarray(labels[rows]) == number, connectivity=2))
        first, last = (np.where(row > 0, row.astype(np.int64) + before, 0) for row in (numbered[0], numbered[-1]))
        if above is not None:
            links.extend(_touching(above, first))
        yield rows, numbered
        above = last
        before += int(numbered.max(initial=0))


def _touching(above: np.ndarray, below: np.ndarray) -> list[np.ndarray]:
    pairs = []
    for a, b in ((above, below), (above[1:], below[:-1]), (above[:-1], below[1:])):
        both = (a > 0) & (b > 0)
        pairs.append(np.unique(np.stack([a[both], b[both]]), axis=1))
    return pairs


def _joined(n: int, links: list[np.ndarray]) -> np.ndarray:
    """Number the groups of parts 1 to `n` from 0, in the order of their first parts; return the group of each part."""
    pairs = np.concatenate(links, axis=1) - 1 if links else np.zeros((2, 0), np.int64)
    graph = coo_array((np.ones(pairs.shape[1], np.int8), (pairs[0], pairs[1])), shape=(n, n))
    group = connected_components(graph, directed=False)[1] if n else np.zeros(0, np.int64)
    _, first = np.unique(group, return_index=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[group] if n else np.zeros(0, np.int64)


def _checked(labels: np.ndarray) -> np.ndarray:
    if labels.ndim != 2 or labels.size == 0 or labels.dtype.kind not in "bui":
        raise InputError(
            f"labels of shape {labels.shape} and type {labels.dtype}; wanted whole numbers as (rows, columns)"
        )
    return labels
