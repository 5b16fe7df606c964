"""Lamellar spacing of eutectics and pearlite from the labels of two phases.

| symbol | equation | here |
|---|---|---|
| N_L | lamellae of one phase met on a unit of line, lines in all directions | intersections / 2 |
| sigma_r | 1 / N_L | `mean_random_spacing` |
| sigma_t | sigma_r / 2 (Underwood; Vander Voort and Roosz, 10.1016/0026-0800(84)90002-8) | `true_spacing` |
| sigma_n | 1 / f at the peak of the power spectrum | `normal_spacing` |

sigma_t holds for the mean over many colonies that lie at random to the section. On a single colony cut at right angles
sigma_r is pi / 2 times the spacing; sigma_n is measured across the lamellae as they are seen, and so an upper bound of
the true one, reached where the section is normal to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Estimate
from hea_vision.measurement.grain_size import length_unit
from hea_vision.measurement.intercepts import count_intercepts
from hea_vision.measurement.intervals import mean_estimate, ratio_estimate
from hea_vision.measurement.probes import pattern_probes

#: Angles of the test lines, so many that lamellae of any direction are met alike.
_ANGLES_DEG = tuple(range(0, 180, 15))
#: A part of the field holds at least so many periods to have a spectrum of its own.
_LEAST_PERIODS = 4.0
#: A peak stands out where it holds this many times the median power of its ring; noise reaches about 17.
_LEAST_CONTRAST = 30.0
_MOST_PARTS = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class LamellarSpacing:
    """Hold the spacing of lamellae, in um or px: from one lamella of a phase to the next of the same phase.

    `normal_spacing` and `direction_deg` (of the lamellae, counter-clockwise from the horizontal) are None where the
    spectrum has no peak.
    """

    mean_random_spacing: Estimate
    true_spacing: Estimate
    normal_spacing: Estimate | None
    direction_deg: float | None
    notes: tuple[str, ...] = ()


def lamellar_spacing(labels: np.ndarray, number: int = 1, *, pixel_size_nm: float | None = None) -> LamellarSpacing:
    """Measure lamellar spacing from the labels (rows, columns) of two phases; `number` is one of them.

    Raises InputError where the phase is missing or fills the field.

    >>> stripes = np.tile(np.arange(240) % 12 < 5, (240, 1)).astype(int)
    >>> found = lamellar_spacing(stripes)
    >>> round(found.normal_spacing.value, 1), found.direction_deg
    (12.0, 90.0)
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or min(labels.shape, default=0) < 16:
        raise InputError(f"lamellae: labels of shape {labels.shape}; wanted (rows, columns), at least 16 x 16")
    phase = labels == number
    if phase.all() or not phase.any():
        raise InputError(f"lamellae: class {number} fills {100 * phase.mean():.0f} % of the field; wanted two phases")
    scale, unit = length_unit(pixel_size_nm)
    probes = pattern_probes("line-grid", (labels.shape[0], labels.shape[1]), angles_deg=_ANGLES_DEG)
    met = count_intercepts(phase.astype(np.int8) + 1, probes, triple_score=(1.0, 1.0))
    if met.intersections.sum() == 0:
        raise InputError(f"lamellae: no test line meets an outline of class {number}; wanted lamellae")
    said = "two outlines a lamella on lines every 15 deg; model-based, one field: Student's t over its blocks"
    random, true = (
        ratio_estimate(
            met.block_length_px,
            met.block_intersections / 2.0,
            scale=factor * scale,
            unit=unit,
            n=round(met.intersections.sum() / 2.0),
            method=f"{name}: {said}",
        )
        for factor, name in ((1.0, "mean random spacing"), (0.5, "half of the mean random spacing (Underwood)"))
    )
    normal, direction, notes = _normal_spacing(phase.astype(float), scale, unit)
    return LamellarSpacing(
        mean_random_spacing=random,
        true_spacing=true,
        normal_spacing=normal,
        direction_deg=direction,
        notes=tuple(notes),
    )


def _normal_spacing(phase: np.ndarray, scale: float, unit: str) -> tuple[Estimate | None, float | None, list[str]]:
    """Measure the period of the whole field and of its parts; the parts give the spread."""
    whole = _peak(phase)
    if whole is None:
        return None, None, ["the spectrum has no peak: lamellae of many directions, or none; no normal spacing"]
    frequency = float(np.hypot(*whole))
    direction = float(np.degrees(np.arctan2(-whole[0], whole[1])) + 90.0) % 180.0
    parts = int(min(_MOST_PARTS, min(phase.shape) * frequency // _LEAST_PERIODS))
    periods = []
    if parts >= 2:
        for band in np.array_split(phase, parts, axis=0):
            for tile in np.array_split(band, parts, axis=1):
                found = _peak(tile, near=frequency)
                if found is not None:
                    periods.append(1.0 / float(np.hypot(*found)))
    if len(periods) < 3:
        value = Estimate(
            value=scale / frequency,
            unit=unit,
            n=1,
            method="peak of the power spectrum; too few periods for an interval",
        )
        return value, direction, ["too few periods across the field for an interval of the normal spacing"]
    method = f"peak of the power spectrum; model-based, one field: Student's t over {len(periods)} of its parts"
    return mean_estimate(scale * np.array(periods), unit=unit, method=method), direction, []


def _peak(field: np.ndarray, near: float | None = None) -> np.ndarray | None:
    """Find the frequency (rows, columns; cycles a pixel) of the strongest period, to a fraction of a bin.

    `near` holds the search to within a factor of 1.6 of a frequency; without it a peak must stand out of its ring.
    """
    windowed = (field - field.mean()) * np.hanning(field.shape[0])[:, None] * np.hanning(field.shape[1])[None, :]
    size = [int(2 ** np.ceil(np.log2(2 * n))) for n in field.shape]
    power = np.abs(np.fft.rfft2(windowed, size)) ** 2
    fy, fx = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None, :]
    radius = np.hypot(fy, fx)
    low, high = 2.0 / min(field.shape), 0.5
    if near is not None:
        low, high = max(low, near / 1.6), min(high, near * 1.6)
    allowed = np.where((radius >= low) & (radius <= high), power, 0.0)
    row, column = (int(i) for i in np.unravel_index(int(np.argmax(allowed)), power.shape))
    if allowed[row, column] <= 0:
        return None
    if near is None:
        ring = np.abs(radius - radius[row, column]) < 1.5 / min(field.shape)
        if power[row, column] < _LEAST_CONTRAST * np.median(power[ring]):
            return None
    return np.array(
        [
            fy[row, 0] + _vertex(power, row, column, 0) / size[0],
            fx[0, column] + _vertex(power, row, column, 1) / size[1],
        ]
    )


def _vertex(power: np.ndarray, row: int, column: int, axis: int) -> float:
    """Find how far from a bin the parabola through the logarithms of three bins has its top."""
    n = power.shape[axis]
    at = (row, column)[axis]
    # A real field has a spectrum that is its own mirror about frequency zero.
    left, right = (abs(at - 1), at + 1) if axis == 1 else ((at - 1) % n, (at + 1) % n)
    if right >= n:
        return 0.0
    values = np.take(power[:, column] if axis == 0 else power[row], [left, at, right])
    a, b, c = np.log(np.maximum(values, 1e-300))
    bend = a - 2.0 * b + c
    return float(np.clip(0.5 * (a - c) / bend, -0.5, 0.5)) if bend < 0 else 0.0
