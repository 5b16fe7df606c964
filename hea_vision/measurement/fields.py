"""Area fraction over several fields: systematic point count (ASTM E562-19) and image analysis (ASTM E1245-03).

| symbol | here |
|---|---|
| P_P(i), A_A(i), fraction of points, of area, in field i | one of `values` |
| mean, s / sqrt(n) | `value`, `std` of `fraction` |
| 95 % CI = t s / sqrt(n) | half of its interval |
| %RA = 100 x 95 % CI / mean | `relative_accuracy_percent` |
| fields for a wanted %RA: (200 s / (%RA x mean))^2 | `fields_for_10_percent` |

A_A = P_P = V_V for a section placed at random. Both standards speak of several fields; from one field there is only
the interval that a model of the field gives, `area_fraction`, and it says so. Fields of one image resemble each other:
where `groups` names the image of each, the images are what is averaged over.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Estimate
from hea_vision.measurement.fractions import area_fraction
from hea_vision.measurement.intervals import mean_estimate, student_t

#: Points of the grid in one field, rows and columns, as E562 tabulates for 10 to 20 per cent.
GRID = (10, 10)


@dataclass(frozen=True, kw_only=True)
class FieldFraction:
    """Hold the fraction of a class over fields, and how many fields 10 per cent relative accuracy would take."""

    fraction: Estimate
    relative_accuracy_percent: float | None
    fields_for_10_percent: int | None
    n_fields: int
    notes: tuple[str, ...] = ()


def count_points(
    labels: np.ndarray, number: int, *, grid: tuple[int, int] = GRID, offset: tuple[float, float] = (0.5, 0.5)
) -> tuple[int, int]:
    """Count the points of a regular grid that hit class `number`, and all of them.

    `offset` places the grid within its mesh, 0 to 1 of it along rows and columns; draw it at random for an unbiased
    count. A pixel belongs to one class, so no point lies on a border.

    >>> half = np.zeros((100, 100), int)
    >>> half[:50] = 1
    >>> count_points(half, 1)
    (50, 100)
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or min(labels.shape, default=0) < 1:
        raise InputError(f"point count: labels of shape {labels.shape}; wanted (rows, columns)")
    if min(grid) < 1 or not all(0 <= o < 1 for o in offset):
        raise InputError(f"point count: grid {grid}, offset {offset}; wanted at least one point, offsets in [0, 1)")
    rows, columns = (
        np.minimum(((np.arange(n) + o) * size / n).astype(int), size - 1)
        for n, o, size in zip(grid, offset, labels.shape)
    )
    hit = labels[np.ix_(rows, columns)] == number
    return int(hit.sum()), int(hit.size)


def point_count_fraction(
    fields: Sequence[np.ndarray],
    number: int,
    *,
    grid: tuple[int, int] = GRID,
    rng: np.random.Generator | None = None,
    groups: Sequence[Hashable] | None = None,
) -> FieldFraction:
    """Estimate the fraction of class `number` by point count after E562.

    The grid is placed at random where `rng` is given, else in the middle of its mesh.
    """
    values = []
    for labels in fields:
        offset = (0.5, 0.5) if rng is None else (float(rng.random()), float(rng.random()))
        hits, points = count_points(labels, number, grid=grid, offset=offset)
        values.append(hits / points)
    return fraction_over_fields(values, groups=groups, method=f"ASTM E562-19, {grid[0]} x {grid[1]} points a field")


def area_fraction_over_fields(
    fields: Sequence[np.ndarray], number: int, *, groups: Sequence[Hashable] | None = None
) -> FieldFraction:
    """Estimate the fraction of class `number` by area after E1245, over fields of one size.

    From one field, the interval is that of `area_fraction`, 90 % and model-based.

    >>> left, right = np.zeros((2, 50, 50), int)
    >>> left[:10], right[:14] = 1, 1
    >>> round(area_fraction_over_fields([left, right], 1).fraction.value, 3)
    0.24
    """
    if len(fields) == 1:
        one = area_fraction(fields[0], number)
        return FieldFraction(
            fraction=one,
            relative_accuracy_percent=None,
            fields_for_10_percent=None,
            n_fields=1,
            notes=("one field: the interval is model-based; E562 and E1245 want several fields",),
        )
    values = [float(np.mean(np.asarray(labels) == number)) for labels in fields]
    return fraction_over_fields(values, groups=groups, method="ASTM E1245-03, area of labels")


def fraction_over_fields(
    values: Sequence[float] | np.ndarray, *, groups: Sequence[Hashable] | None = None, method: str = "ASTM E562-19"
) -> FieldFraction:
    """Average the fractions of fields with Student's t; with `groups`, of one mean an image.

    >>> found = fraction_over_fields([0.10, 0.12, 0.11, 0.09, 0.13])
    >>> round(found.fraction.value, 3), round(found.relative_accuracy_percent, 1), found.fields_for_10_percent
    (0.11, 17.8, 9)
    """
    values = np.asarray(values, float)
    if values.size == 0 or not ((values >= 0) & (values <= 1)).all():
        raise InputError(f"fractions over fields: {values.size} values; wanted some, each between 0 and 1")
    said, what = method, "fields"
    if groups is not None:
        if len(groups) != values.size:
            raise InputError(
                f"fractions over fields: {values.size} fields and {len(groups)} groups; wanted one a field"
            )
        values = np.array([values[[g == name for g in groups]].mean() for name in dict.fromkeys(groups)])
        said, what = f"{method}, one mean an image", "images"
    notes = []
    if values.size == 1:
        notes.append(f"one of {what}: no interval over {what}; E562 and E1245 want several")
    fraction = mean_estimate(
        values, unit="area fraction", method=f"{said}; Student's t over {values.size} {what}", ceiling=1.0
    )
    mean, spread = float(values.mean()), float(values.std(ddof=1)) if values.size > 1 else 0.0
    needed = math.ceil((20.0 * spread / mean) ** 2 - 1e-9) if mean > 0 and values.size > 1 else None
    return FieldFraction(
        fraction=fraction,
        # From the std and not from the bounds, which end at 0 and 1.
        relative_accuracy_percent=100.0 * student_t(values.size - 1) * fraction.std / mean
        if fraction.std is not None and mean > 0
        else None,
        fields_for_10_percent=None if needed is None else max(needed, 1),
        n_fields=int(values.size),
        notes=tuple(notes),
    )
