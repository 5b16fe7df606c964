"""Grain size by counting grains: the planimetric procedure of ASTM E112-13 and of ISO 643.

| symbol | equation | here |
|---|---|---|
| n_in, n_cut | grains inside the test figure, grains cut by its edge | `n_inside`, `n_cut` |
| N (Jeffries, circle) | n_in + n_cut / 2 | `figure="circle"` |
| N (Saltykov, rectangle) | sum over grains of 1 - (sides met) / 2 + (corners held) / 4 | `figure="rectangle"` |
| N_A | N / A | `density` |
| mean area | A / N | `mean_area` |
| G | 3.321928 log10(N_A in 1/mm2) - 2.954 | `grain_size_number` |
| G (ISO 643) | log2(N_A in 1/mm2) - 3 | `iso_number` |

The area A is that of the figure less what is neither grain nor boundary. A grain that reaches only the outermost row
is cut, so the rectangle's sides run through the centres of the outermost pixels: of R x C pixels its area is
(R - 1)(C - 1), half of each pixel on a side and a quarter of each at a corner.

Where every cut grain meets one side and each corner lies in a grain of its own, the rectangle's sum is the standard's
n_in + n_cut / 2 + 1. It stays right where that does not hold: grains that hold two corners, or reach from side to
side, count nothing, so that N / A has no bias for grains of any size, however few the field shows (the count is that of
a rectangle open on two sides, averaged over the ways to open it; Gundersen, J. Microsc. 111 (1977) 219).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hea_sim.errors import InputError, unknown_name
from hea_sim.records import Estimate
from hea_vision.measurement.grain_size import iso_number_from_density, length_unit, number_from_density
from hea_vision.measurement.intercepts import checked_instances
from hea_vision.measurement.intervals import LEVEL, poisson_interval, ratio_estimate, relative_accuracy_percent

FIGURES = ("rectangle", "circle")
_UM2_PER_MM2 = 1e6
_BLOCKS = 4
#: With fewer grains the blocks hold too few each, and their spread is too small (measured on Voronoi grains).
_LEAST_FOR_BLOCKS = 150
#: E112-13 asks for 50 grains or more.
_LEAST_GRAINS = 50


@dataclass(frozen=True, kw_only=True)
class GrainCount:
    """Hold what one test figure counts: grains inside and cut, the number by the edge rule, the area in px."""

    n_inside: int
    n_cut: int
    n: float
    area_px: float
    block_n: np.ndarray
    block_area_px: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class PlanimetricGrainSize:
    """Hold the grain size by counting; areas in um2, or px2 where the pixel size is not known."""

    density: Estimate
    mean_area: Estimate
    grain_size_number: Estimate | None
    iso_number: Estimate | None
    relative_accuracy_percent: float | None
    n_inside: int
    n_cut: int
    notes: tuple[str, ...] = ()


def count_grains(instances: np.ndarray, *, figure: str = "rectangle") -> GrainCount:
    """Count the grains of a field by the edge rule of a test figure.

    The rectangle is the whole field, from centre to centre of its outermost pixels; the circle is the largest that fits
    with a pixel to spare.

    >>> squares = np.kron(np.arange(1, 101).reshape(10, 10), np.ones((10, 10), int))
    >>> count = count_grains(squares[5:-4, 5:-4])
    >>> count.n, count.area_px
    (81.0, 8100.0)
    """
    field = checked_instances(instances)
    if figure not in FIGURES:
        raise unknown_name("test figure", figure, FIGURES)
    if min(field.shape) < 8:
        raise InputError(f"counting grains: field of shape {field.shape}; wanted at least 8 x 8 pixels")
    _, compact = np.unique(field, return_inverse=True)
    compact = compact.reshape(field.shape)
    grain = field > 0
    if figure == "circle":
        y, x = np.ogrid[: field.shape[0], : field.shape[1]]
        radius = min(field.shape) / 2.0 - 1.0
        inside = np.hypot(y - (field.shape[0] - 1) / 2.0, x - (field.shape[1] - 1) / 2.0) <= radius
        area = inside.astype(float)
        cut = np.zeros(int(compact.max()) + 1)
        cut[np.unique(compact[grain & ~inside])] = 0.5
        corners = np.zeros(0, int)
    else:
        rows, columns = (np.pad(np.ones(n - 2), 1, constant_values=0.5) for n in field.shape)
        area = np.outer(rows, columns)
        cut, corners = _sides(compact, grain)
    seen = np.unique(compact[grain & (area > 0)])
    worth = np.zeros(int(compact.max()) + 1)
    worth[seen] = 1.0 - cut[seen]
    worth += 0.25 * np.bincount(corners, minlength=len(worth))
    area[field < 0] = 0.0
    block_n, block_area = _by_blocks(compact, grain, area, worth)
    return GrainCount(
        n_inside=int(np.count_nonzero(cut[seen] == 0)),
        n_cut=int(np.count_nonzero(cut[np.setdiff1d(seen, corners)] > 0)),
        n=float(worth.sum()),
        area_px=float(area.sum()),
        block_n=block_n,
        block_area_px=block_area,
    )


def _sides(compact: np.ndarray, grain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count how often each grain meets a side of the field, halved; name the grain at each corner.

    What is no grain (a boundary, a pore) belongs to the grain beside it.
    """
    met = np.zeros(int(compact.max()) + 1)
    turned = [(np.rot90(compact, turn), np.rot90(grain, turn)) for turn in range(4)]
    corners = [_corner(numbers, known) for numbers, known in turned]
    for turn, (numbers, known) in enumerate(turned):
        # A turn brings the right side to the top, so that each side ends at the corner of the next.
        side = np.array([corners[turn], *numbers[0][known[0]], corners[(turn + 1) % 4]])
        side = side[side >= 0]
        met += 0.5 * np.bincount(side[np.diff(side, prepend=-1) != 0], minlength=len(met))
    return met, np.array([c for c in corners if c >= 0], int)


def _corner(numbers: np.ndarray, known: np.ndarray) -> int:
    """Find the grain that is nearest to the upper left corner along the two sides; -1 where there is none."""
    sides = [(numbers[0], known[0]), (numbers[:, 0], known[:, 0])]
    found = [(int(np.argmax(there)), int(line[np.argmax(there)])) for line, there in sides if there.any()]
    return min(found)[1] if found else -1


def _by_blocks(
    compact: np.ndarray, grain: np.ndarray, area: np.ndarray, worth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Share what each grain counts among blocks by where its area in the figure lies, given pixel by pixel."""
    whole = np.bincount(compact[grain], weights=area[grain], minlength=len(worth))
    by_area = np.divide(worth, whole, out=np.zeros_like(whole), where=whole > 0)
    share = np.where(grain, area * by_area[compact], 0.0)
    rows, columns = (np.arange(n) * _BLOCKS // n for n in compact.shape)
    block = rows[:, None] * _BLOCKS + columns[None, :]
    n = np.bincount(block.ravel(), weights=share.ravel(), minlength=_BLOCKS**2)
    covered = np.bincount(block.ravel(), weights=area.ravel(), minlength=_BLOCKS**2)
    return n, covered


def planimetric_grain_size(
    instances: np.ndarray | Sequence[np.ndarray], *, pixel_size_nm: float | None = None, figure: str = "rectangle"
) -> PlanimetricGrainSize:
    """Measure grain size by counting grains on one field, or on several of one pixel size.

    Parameters
    ----------
    instances
        Grain per pixel (rows, columns), 0 on boundaries, negative where nothing is measured; or a list of fields.
    figure
        `rectangle` (the whole field, Saltykov) or `circle` (Jeffries).

    Examples
    --------
    >>> squares = np.kron(np.arange(1, 401).reshape(20, 20), np.ones((10, 10), int))[5:-4, 5:-4]
    >>> size = planimetric_grain_size(squares, pixel_size_nm=1000.0)
    >>> round(size.mean_area.value, 1), size.mean_area.unit
    (100.0, 'um2')
    """
    fields = [instances] if isinstance(instances, np.ndarray) else list(instances)
    counts = [count_grains(field, figure=figure) for field in fields]
    return grain_size_of_counts(counts, pixel_size_nm=pixel_size_nm, figure=figure)


def grain_size_of_counts(
    counts: Sequence[GrainCount], *, pixel_size_nm: float | None = None, figure: str = "rectangle"
) -> PlanimetricGrainSize:
    """Turn counts, one a field, into grain size with its interval."""
    scale, unit = length_unit(pixel_size_nm)
    total = sum(c.n for c in counts)
    if not total > 0:
        raise InputError(
            "counting grains: by the edge rule no grain is left, because the field shows none whole and no point where"
            " three meet; wanted a larger field, or a lower magnification"
        )
    area = _mean_area(counts, scale * scale, f"{unit}2", figure)
    density = _density(area, f"1/{unit}2")
    number = iso = None
    notes = []
    if pixel_size_nm is None:
        notes.append("no pixel size: areas are in px2, and there is no grain size number")
    else:
        number = _as_number(density, number_from_density, "G", "ASTM E112-13, G = 3.3219 log10(N_A mm2) - 2.954")
        iso = _as_number(density, iso_number_from_density, "G (ISO 643)", "ISO 643, log2(N_A mm2) - 3")
    if total < _LEAST_GRAINS:
        notes.append(f"{total:g} grains were counted; E112 asks for {_LEAST_GRAINS} or more a field")
    return PlanimetricGrainSize(
        density=density,
        mean_area=area,
        grain_size_number=number,
        iso_number=iso,
        relative_accuracy_percent=relative_accuracy_percent(area),
        n_inside=sum(c.n_inside for c in counts),
        n_cut=sum(c.n_cut for c in counts),
        notes=tuple(notes),
    )


def _mean_area(counts: Sequence[GrainCount], scale: float, unit: str, figure: str) -> Estimate:
    total = sum(c.n for c in counts)
    rule = {"rectangle": "Saltykov's rectangle", "circle": "Jeffries' circle"}[figure]
    method = f"area over {total:g} grains, {rule}"
    if len(counts) > 1:
        return ratio_estimate(
            [c.area_px for c in counts],
            [c.n for c in counts],
            scale=scale,
            unit=unit,
            n=len(counts),
            method=f"{method}; Student's t over {len(counts)} fields",
        )
    (count,) = counts
    value = count.area_px / count.n
    if count.n >= _LEAST_FOR_BLOCKS:
        said = f"{method}; model-based, one field: Student's t over its {count.block_n.size} blocks"
        by_blocks = ratio_estimate(
            count.block_area_px, count.block_n, scale=scale, unit=unit, n=round(total), method=said
        )
        # The blocks share cut grains by area, which shifts their ratio a little; the spread is theirs, the value not.
        shift = scale * value - by_blocks.value
        low, high = (None if b is None else max(0.0, b + shift) for b in (by_blocks.low, by_blocks.high))
        return replace(by_blocks, value=scale * value, low=low, high=high)
    low, high = poisson_interval(count.n)
    return Estimate(
        value=scale * value,
        std=scale * value / math.sqrt(count.n),
        low=scale * count.area_px / high,
        high=scale * count.area_px / low if low > 0 else math.inf,
        level=LEVEL,
        unit=unit,
        n=round(total),
        method=f"{method}; model-based, one field: grains as a Poisson count",
    )


def _density(area: Estimate, unit: str) -> Estimate:
    open_ended = area.low is None or area.high is None or area.low <= 0
    return Estimate(
        value=1.0 / area.value,
        std=None if area.std is None else area.std / area.value**2,
        low=None if open_ended or area.high is None else 1.0 / area.high,
        high=None if open_ended or area.low is None else 1.0 / area.low,
        level=None if open_ended else area.level,
        unit=unit,
        n=area.n,
        method=area.method,
    )


def _as_number(per_um2: Estimate, number: Callable[[float], float], unit: str, method: str) -> Estimate:
    low = per_um2.low if per_um2.low is not None and per_um2.low > 0 else None
    return Estimate(
        value=number(_UM2_PER_MM2 * per_um2.value),
        std=None if per_um2.std is None else per_um2.std / per_um2.value / math.log(2),
        low=None if low is None else number(_UM2_PER_MM2 * low),
        high=None if low is None or per_um2.high is None else number(_UM2_PER_MM2 * per_um2.high),
        level=None if low is None else per_um2.level,
        unit=unit,
        n=per_um2.n,
        method=f"{method}; {per_um2.method}",
    )
