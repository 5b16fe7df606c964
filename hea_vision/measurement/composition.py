"""Contents from element maps: Cliff-Lorimer factors, sums over the field, means by class and partition ratios.

| symbol | here |
|---|---|
| C_i / C_j = (k_i I_i) / (k_j I_j), in weight (Cliff and Lorimer 1975) | `quantify` |
| partition ratio k = C_particle / C_matrix | `ClassComposition.partition` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from scipy.ndimage import binary_erosion
from scipy.stats import t

from hea_sim.errors import InputError
from hea_sim.records import Estimate, Segmentation
from hea_vision.io.eds import ElementMaps

LEVEL = 0.95
#: Counts in a pixel below which a ratio of counts is biased.
_FEW_COUNTS = 25.0
#: Tiles along the short side of a map that are left out in turn.
_TILES = 8
#: Fewest tiles that hold a class, for an interval.
_MIN_TILES = 4
_PIXEL_SIZES_AGREE = 0.02


@dataclass(frozen=True, kw_only=True)
class ClassComposition:
    """Hold mean contents by class of a label image, and their ratios to the matrix.

    `mean` and `partition` are {class: {element: Estimate}}; the matrix has no partition ratio. Of maps that are not
    quantified, both speak of signal, which `notes` say.
    """

    mean: Mapping[str, Mapping[str, Estimate]]
    partition: Mapping[str, Mapping[str, Estimate]]
    n_pixels: Mapping[str, int]
    unit: str
    source: str = ""
    notes: Sequence[str] = ()


def quantify(maps: ElementMaps, k_factors: Mapping[str, float]) -> ElementMaps:
    """Turn counts into at.% pixel by pixel, with the counting variance carried along.

    Parameters
    ----------
    maps
        In counts. Where pixels hold few counts, average first: `quantify(maps.coarse(8), k_factors)`.
    k_factors
        Cliff-Lorimer factors in weight (thin foils), or sensitivities of a standard, for every element on one scale.

    Examples
    --------
    >>> maps = ElementMaps(elements=("Ni", "Al"), values=np.full((2, 2, 2), 100.0), unit="counts")
    >>> quantify(maps, {"Ni": 1.0, "Al": 1.0}).values[0, 0].round(2)
    array([31.49, 68.51])
    """
    amounts, variance = _amounts(maps, k_factors)
    total = amounts.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(total > 0, amounts / total, np.nan)
        error = None if variance is None else _share_variance(share, variance, total)
    notes = [*maps.notes, "at.% by Cliff-Lorimer factors; all elements that are not listed are taken as absent"]
    weakest = float(np.nanmean(maps.values, axis=(0, 1)).min())
    if weakest < _FEW_COUNTS:
        notes.append(
            f"only {weakest:.3g} counts a pixel of the weakest element: average over blocks before quantifying"
        )
    return replace(
        maps, values=100.0 * share, variance=None if error is None else 1e4 * error, unit="at.%", notes=notes
    )


def summed_composition(maps: ElementMaps, k_factors: Mapping[str, float]) -> dict[str, Estimate]:
    """Compute the mean contents in at.% from the counts of the whole field, with the error of counting alone."""
    amounts, variance = _amounts(maps, k_factors)
    if variance is None:
        raise InputError(f"{maps.source}: the maps carry no counting variance; wanted those of read_spectrum_image")
    known = np.isfinite(amounts).all(axis=-1)
    summed, errors = amounts[known].sum(axis=0), variance[known].sum(axis=0)
    if not summed.sum() > 0:
        raise InputError(f"{maps.source}: no counts above the background; check elements and lines")
    share = summed / summed.sum()
    std = np.sqrt(_share_variance(share, errors, summed.sum()))
    return {
        e: Estimate.normal(
            100 * s,
            100 * d,
            unit="at.%",
            n=int(known.sum()),
            method="counts of the whole field; error of counting alone",
        )
        for e, s, d in zip(maps.elements, share, std)
    }


def _amounts(maps: ElementMaps, k_factors: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray | None]:
    """Scale counts to amounts of atoms."""
    if maps.unit != "counts":
        raise InputError(f"{maps.source}: maps in {maps.unit}; only counts can be quantified")
    missing = [e for e in maps.elements if not k_factors.get(e, 0.0) > 0]
    if missing:
        raise InputError(
            f"{maps.source}: no k-factor above zero for {', '.join(missing)}; without factors only relative intensities"
            " are known: give one for every element"
        )
    scale = np.array([k_factors[e] / atomic_masses[atomic_numbers[e]] for e in maps.elements])
    return maps.values * scale, None if maps.variance is None else maps.variance * scale**2


def _share_variance(share: np.ndarray, variance: np.ndarray, total: np.ndarray | float) -> np.ndarray:
    """Propagate independent variances of amounts to their shares (last axis)."""
    others = variance.sum(axis=-1, keepdims=True) - variance
    result: np.ndarray = ((1.0 - share) ** 2 * variance + share**2 * others) / np.asarray(total) ** 2
    return result


def composition_by_class(maps: ElementMaps, segmentation: Segmentation, *, edge_px: int = 1) -> ClassComposition:
    """Average maps over the classes of a label image of the same field, with intervals and partition ratios.

    Intervals come from leaving out square tiles of the field in turn (jackknife), so that neighbouring pixels, which
    share counts of one interaction volume, do not count as independent; tiles should be larger than particles.

    Parameters
    ----------
    segmentation
        Labels on the grid of the maps; class 0 is the matrix.
    edge_px
        Pixels along the border of a class that are left out, because they hold both sides.
    """
    labels = np.asarray(segmentation.labels)
    _check_grid(maps, segmentation)
    tile = _tile_numbers(labels.shape)
    known = np.isfinite(maps.values).all(axis=-1)
    sums: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    notes = list(maps.notes)
    for number, name in segmentation.classes.items():
        inside = labels == number
        if edge_px > 0:
            inside = binary_erosion(inside, iterations=edge_px, border_value=1)
        inside &= known
        count = np.bincount(tile[inside], minlength=tile.max() + 1).astype(float)
        if not count.any():
            notes.append(f"{name}: no pixel farther than {edge_px} px from its border")
            continue
        weighted = [
            np.bincount(tile[inside], maps.values[..., i][inside], tile.max() + 1) for i in range(maps.values.shape[2])
        ]
        sums[name] = (np.array(weighted).T, count)
    if maps.unit != "at.%":
        notes.append(f"not quantified: means and ratios of {maps.unit}, not of contents")
    matrix = segmentation.classes.get(0)
    mean = {name: _class_mean(maps, sums[name]) for name in sums}
    partition = {name: _partition(maps, sums[name], sums[matrix]) for name in sums if matrix in sums and name != matrix}
    return ClassComposition(
        mean=mean,
        partition=partition,
        n_pixels={name: int(count.sum()) for name, (_, count) in sums.items()},
        unit=maps.unit,
        source=maps.source,
        notes=notes,
    )


def _check_grid(maps: ElementMaps, segmentation: Segmentation) -> None:
    if np.shape(segmentation.labels) != maps.values.shape[:2]:
        raise InputError(
            f"{maps.source}: maps of {maps.values.shape[:2]} px and labels of {np.shape(segmentation.labels)} px;"
            " wanted one grid: resample the labels"
        )
    a, b = maps.pixel_size_nm, segmentation.pixel_size_nm
    if a is not None and b is not None and abs(a - b) > _PIXEL_SIZES_AGREE * a:
        raise InputError(f"{maps.source}: pixels of {a:g} nm in the maps and {b:g} nm in the labels; wanted one field")


def _tile_numbers(shape: tuple[int, ...]) -> np.ndarray:
    side = max(1, min(shape) // _TILES)
    row, column = (np.minimum(np.arange(n) // side, n // side - 1) for n in shape)
    numbers: np.ndarray = row[:, None] * (column.max() + 1) + column[None, :]
    return numbers


def _class_mean(maps: ElementMaps, sums: tuple[np.ndarray, np.ndarray]) -> dict[str, Estimate]:
    values, count = sums
    held = count > 0
    left_out = (values.sum(axis=0) - values[held]) / np.maximum(count.sum() - count[held], 1.0)[:, None]
    mean = values.sum(axis=0) / count.sum()
    return _estimates(maps, mean, left_out, int(held.sum()), int(count.sum()), maps.unit)


def _partition(
    maps: ElementMaps, part: tuple[np.ndarray, np.ndarray], matrix: tuple[np.ndarray, np.ndarray]
) -> dict[str, Estimate]:
    """Estimate ratios of means; tiles are left out of both at once."""

    def ratio(keep: np.ndarray | slice) -> np.ndarray:
        (a, n), (b, m) = ((v[keep].sum(axis=0), max(c[keep].sum(), 1.0)) for v, c in (part, matrix))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(b != 0, (a / n) / (b / m), np.nan)

    # Tiles of matrix alone move the ratio too; how many hold the class says how well its spread is known.
    either = np.flatnonzero((part[1] > 0) | (matrix[1] > 0))
    tiles = np.arange(len(part[1]))
    left_out = np.array([ratio(tiles != i) for i in either])
    return _estimates(maps, ratio(slice(None)), left_out, int((part[1] > 0).sum()), int(part[1].sum()), "1")


def _estimates(
    maps: ElementMaps, value: np.ndarray, left_out: np.ndarray, tiles: int, pixels: int, unit: str
) -> dict[str, Estimate]:
    """Give values with jackknife intervals, Student's t over the `tiles` of the class; none where these are too few."""
    if tiles < _MIN_TILES:
        method = f"{pixels} px in {tiles} tiles: too few for an interval"
        return {e: Estimate(value=float(v), unit=unit, n=tiles, method=method) for e, v in zip(maps.elements, value)}
    n = len(left_out)
    std = np.sqrt((n - 1) / n * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    half = float(t.ppf(0.5 + LEVEL / 2.0, tiles - 1)) * std
    method = f"{pixels} px; jackknife over {tiles} tiles"
    return {
        e: Estimate(
            value=float(v),
            std=float(s),
            low=float(v - h),
            high=float(v + h),
            level=LEVEL,
            unit=unit,
            n=tiles,
            method=method,
        )
        for e, v, s, h in zip(maps.elements, value, std, half)
    }
