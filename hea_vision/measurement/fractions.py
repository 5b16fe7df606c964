"""Area fractions of a class: that of one field as it was labelled, and that of the specimen, each with its own error.

| name in results | error |
|---|---|
| area fraction of this field | what the labels get wrong |
| area fraction of the specimen, and so its volume fraction | how fields scatter, and the labels' error in quadrature |

A point count after ASTM E562 wants several fields. On one field the variance must come from a model: the pixels are
`n` independent points, where `n` is the field over the correlation area of the class (the integral of the
autocorrelation of its indicator). The second term is how far the fraction moves with the decision level, the third
what the labels may get wrong.

| symbol | here |
|---|---|
| area fraction A_A | `value` |
| number of independent points | `n`; None where the estimate speaks of one field alone |
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
    label_std: float | None = None,
    unseen_object_px: float = UNSEEN_OBJECT_PX,
) -> Estimate:
    """Estimate the area fraction of class `number` in the specimen from one field.

    Parameters
    ----------
    labels
        Class per pixel (rows, columns).
    number
        The class that is counted.
    level_bounds
        Fractions at the low and high edge of the decision level, one standard deviation to either side.
    label_std
        What the labels of this field may get wrong, one standard deviation.
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
        return _all_or_nothing(value, labels.size, unseen_object_px, label_std)
    area = class_correlation_area_px(labels, number, value)
    n = max(1.0, labels.size / area)
    sampling = np.sqrt(value * (1.0 - value) / n)
    moved = 0.0 if level_bounds is None else abs(level_bounds[1] - level_bounds[0]) / 2.0
    std = float(np.linalg.norm([sampling, moved, label_std or 0.0]))
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
            f" (std {sampling:.2g})"
            + (f" and the decision level (std {moved:.2g})" if level_bounds is not None else "")
            + _said_of_labels(label_std)
        ),
    )


def fractions_of_field(labels: np.ndarray, number: int, known: Estimate | None = None) -> tuple[Estimate, Estimate]:
    """Estimate the area fraction of class `number` in this field, and in the specimen that it was taken of.

    Parameters
    ----------
    known
        What the segmenter said of the class: of this field (`of_field_alone`) or of the specimen. One whose value is
        not that of the labels is refused: they were changed since.

    Examples
    --------
    >>> labels = np.zeros((100, 100), int)
    >>> labels[:, ::2] = 1
    >>> said = Estimate(value=0.5, std=0.02, low=0.467, high=0.533, level=0.9)
    >>> here, specimen = fractions_of_field(labels, 1, said)
    >>> here.std, specimen.std > 0.02
    (0.02, True)
    """
    value = class_pixels(labels, number) / labels.size
    if known is not None and abs(known.value - value) > 1e-9:
        raise InputError(
            f"area fraction {known.value:.6g} of the segmenter, {value:.6g} of the labels; wanted one: the labels were"
            " changed since, so that the error of what they were is not theirs"
        )
    if known is not None and of_field_alone(known):
        return known, area_fraction(labels, number, label_std=known.std)
    here = Estimate(value=value, unit="area fraction", method="labelled area of this field; its error is not known")
    return here, area_fraction(labels, number) if known is None else known


def of_field_alone(known: Estimate) -> bool:
    """Say whether an area fraction speaks of the labelled field alone: it then counts no independent points.

    >>> of_field_alone(Estimate(value=0.5, std=0.02)), of_field_alone(area_fraction(np.eye(9, dtype=int), 1))
    (True, False)
    """
    return known.n is None


def _said_of_labels(label_std: float | None) -> str:
    return "" if label_std is None else f"; in quadrature the error of the labels (std {label_std:.2g})"


def _all_or_nothing(value: float, n_pixels: int, object_px: float, label_std: float | None) -> Estimate:
    n = max(1.0, n_pixels / max(object_px, 1.0))
    bound = min(1.0, float(np.hypot(3.0 / n, _Z * (label_std or 0.0))))
    low, high = (0.0, bound) if value == 0.0 else (1.0 - bound, 1.0)
    return Estimate(
        value=value,
        std=None,
        low=low,
        high=high,
        level=LEVEL,
        unit="area fraction",
        n=round(n),
        method=f"model-based, one field: rule of three on {n:.0f} places for an object of {object_px:.0f} px"
        + _said_of_labels(label_std),
    )
