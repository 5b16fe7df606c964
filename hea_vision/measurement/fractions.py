"""Area fraction of a class on one field, with an interval.

A point count after ASTM E562 wants several fields. On one field the variance must come from a model: the pixels are
`n` independent points, where `n` is the field over the correlation area of the class (the integral of the
autocorrelation of its indicator). The second term is how far the fraction moves with the decision level.

| symbol | here |
|---|---|
| area fraction A_A | `value` |
| number of independent points | `n` |
| s = sqrt(A_A (1 - A_A) / n) | sampling part of `std` |
"""

from __future__ import annotations

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Estimate
from hea_vision.measurement.correlation import class_correlation_area_px
from hea_vision.measurement.strips import class_pixels

LEVEL = 0.9
_Z = 1.644854  # two-sided normal quantile of LEVEL
#: Where nothing was found, the area of the object that could have been: a disc of 20 pixels.
UNSEEN_OBJECT_PX = 314.0


def area_fraction(
    labels: np.ndarray,
    number: int,
    *,
    level_bounds: tuple[float, float] | None = None,
    unseen_object_px: float = UNSEEN_OBJECT_PX,
) -> Estimate:
    """Estimate the area fraction of class `number`.

    Parameters
    ----------
    labels
        Class per pixel (rows, columns).
    number
        The class that is counted.
    level_bounds
        Fractions at the low and high edge of the decision level, one standard deviation to either side.
    unseen_object_px
        Area in pixels of an object of the class; used only where none is there, for the upper bound by the rule of
        three on the number of places that such an object could have taken.

    Returns
    -------
    Estimate
        In parts of the area, with the 90 % interval (of the logit, so it stays between 0 and 1).

    Examples
    --------
    >>> empty = area_fraction(np.zeros((200, 200), int), 1)
    >>> empty.value, empty.low, round(empty.high, 4)
    (0.0, 0.0, 0.0236)
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.size == 0:
        raise InputError(f"area fraction: labels of shape {labels.shape}; wanted (rows, columns)")
    value = class_pixels(labels, number) / labels.size
    if value in (0.0, 1.0):
        return _all_or_nothing(value, labels.size, unseen_object_px)
    area = class_correlation_area_px(labels, number, value)
    n = max(1.0, labels.size / area)
    sampling = np.sqrt(value * (1.0 - value) / n)
    moved = 0.0 if level_bounds is None else abs(level_bounds[1] - level_bounds[0]) / 2.0
    std = float(np.hypot(sampling, moved))
    centre, half = np.log(value / (1 - value)), _Z * std / (value * (1 - value))
    low, high = (float(1 / (1 + np.exp(-np.clip(centre + s * half, -50, 50)))) for s in (-1, 1))
    return Estimate(
        value=value,
        std=std,
        low=low,
        high=high,
        level=LEVEL,
        unit="area fraction",
        n=round(n),
        method=(
            f"model-based, one field: point statistics with a correlation area of {area:.0f} px"
            f" (std {sampling:.2g}) and the decision level (std {moved:.2g})"
        ),
    )


def _all_or_nothing(value: float, n_pixels: int, object_px: float) -> Estimate:
    n = max(1.0, n_pixels / max(object_px, 1.0))
    bound = min(1.0, 3.0 / n)
    low, high = (0.0, bound) if value == 0.0 else (1.0 - bound, 1.0)
    return Estimate(
        value=value,
        std=None,
        low=low,
        high=high,
        level=LEVEL,
        unit="area fraction",
        n=round(n),
        method=f"model-based, one field: rule of three on {n:.0f} places for an object of {object_px:.0f} px",
    )
