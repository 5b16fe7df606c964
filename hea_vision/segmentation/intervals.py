"""Area fractions of a labelled field with an interval for what the labels may get wrong.

Where the network hesitates, at boundaries and on faint objects, the area could belong to either side. That ambiguous
area, times a factor counted on labelled images (`field_error` in the model's card), bounds the error of a fraction.

| symbol | here |
|---|---|
| a = mean over pixels of min(p, 1 - p) | ambiguous part of the area |
| q | 90 % quantile of |labelled - true fraction| / (a + `FLOOR`) over labelled images, each set counting alike |
| interval | fraction +- q (a + `FLOOR`), within 0 and 1 |

It speaks of this field alone; how far other fields of the specimen differ is a matter of `hea measure`.
"""

from __future__ import annotations

import numpy as np

from hea_sim.records import Estimate

LEVEL = 0.9
_Z = 1.644854
#: Part of the area that is in doubt anyway.
FLOOR = 1e-4


def field_fraction(value: float, ambiguous: float, factor: float | None) -> Estimate:
    """Make an estimate of the area fraction `value` whose ambiguous part of the area is `ambiguous`.

    >>> e = field_fraction(0.2, 0.01, 1.0)
    >>> round(e.low, 4), round(e.high, 4)
    (0.1899, 0.2101)
    """
    if factor is None:
        return Estimate(value=value, unit="area fraction", method="labelled area of this field; its error is not known")
    half = factor * (ambiguous + FLOOR)
    return Estimate(
        value=value,
        std=half / _Z,
        low=max(0.0, value - half),
        high=min(1.0, value + half),
        level=LEVEL,
        unit="area fraction",
        method=f"this field alone: {ambiguous:.2g} of the area is ambiguous,"
        f" times {factor:.2g} counted on labelled images",
    )


def error_factor(errors: np.ndarray, ambiguous: np.ndarray, groups: np.ndarray, level: float = LEVEL) -> float:
    """Count the factor q on labelled images: the quantile of error over ambiguous area, each group counting alike.

    `errors`, `ambiguous`, `groups` (images,). The quantile is the finite-sample one of split conformal prediction
    (doi:10.1561/2200000101).
    """
    ratio = np.abs(errors) / (ambiguous + FLOOR)
    names, index, count = np.unique(groups, return_inverse=True, return_counts=True)
    weight = 1.0 / (len(names) * count[index])
    order = np.argsort(ratio)
    reached = np.cumsum(weight[order])
    wanted = min(1.0, level * (1 + 1 / len(ratio)))
    return float(ratio[order][min(int(np.searchsorted(reached, wanted - 1e-12)), len(ratio) - 1)])
