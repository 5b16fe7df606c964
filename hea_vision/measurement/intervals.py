"""Intervals of means and ratios: Student's t over fields or blocks, and the bootstrap over objects.

| symbol | here |
|---|---|
| mean over n fields | `value` |
| s / sqrt(n) | `std` |
| 95 % CI = t(n - 1) s / sqrt(n) | half the interval |
| %RA = 100 x 95 % CI / mean | `relative_accuracy_percent` |

ASTM E562-19 and E1245-03 write the same for fractions, E112-13 and E1382-97 for grain size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Estimate

#: Level of every interval of this room that a standard asks for.
LEVEL = 0.95
#: Redrawings of a bootstrap.
REDRAWINGS = 400


def student_t(degrees_of_freedom: float, level: float = LEVEL) -> float:
    """Give the two-sided quantile of Student's t.

    >>> round(student_t(4), 3), round(student_t(29), 3)
    (2.776, 2.045)
    """
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, 0.5 + level / 2.0))


def mean_estimate(
    values: Sequence[float] | np.ndarray, *, unit: str, method: str, floor: float = 0.0, ceiling: float = np.inf
) -> Estimate:
    """Estimate a mean from one value a field, with Student's t over the fields.

    `floor` and `ceiling` are what the quantity can never pass. One value has no interval.

    >>> e = mean_estimate([9.0, 10.0, 11.0, 10.0, 10.0], unit="um", method="five fields")
    >>> round(e.value, 2), round(e.low, 2), round(e.high, 2), e.n
    (10.0, 9.12, 10.88, 5)
    """
    values = np.asarray(values, float)
    if values.size == 0:
        raise InputError("mean over fields: no field; wanted at least one")
    value = float(values.mean())
    if values.size == 1:
        return Estimate(value=value, unit=unit, n=1, method=f"{method}; one field, so no interval over fields")
    std = float(values.std(ddof=1) / np.sqrt(values.size))
    return with_interval(value, std, values.size - 1, unit=unit, method=method, n=values.size, bounds=(floor, ceiling))


def with_interval(
    value: float,
    std: float,
    degrees_of_freedom: float,
    *,
    unit: str,
    method: str,
    n: int | None,
    bounds: tuple[float, float] = (0.0, np.inf),
) -> Estimate:
    """Put Student's interval about a value, cut at what the quantity can never pass."""
    half = student_t(degrees_of_freedom) * std
    return Estimate(
        value=float(value),
        std=float(std),
        low=float(max(bounds[0], value - half)),
        high=float(min(bounds[1], value + half)),
        level=LEVEL,
        unit=unit,
        n=n,
        method=method,
    )


def widened(estimate: Estimate, std: float, *, what: str, bounds: tuple[float, float] = (0.0, np.inf)) -> Estimate:
    """Add a normal error of standard deviation `std` to an estimate in quadrature; `what` names it in the method.

    >>> e = Estimate(value=10.0, std=0.3, low=9.4, high=10.6, level=0.95, unit="nm")
    >>> round(widened(e, 0.4, what="blur").std, 3)
    0.5
    """
    said = f"{what} (std {std:.2g} {estimate.unit})"
    if estimate.std is None or estimate.low is None or estimate.high is None:
        return replace(estimate, method=f"{estimate.method}; not in it: {said}")
    half = student_t(np.inf, estimate.level or LEVEL) * std
    return replace(
        estimate,
        std=float(np.hypot(estimate.std, std)),
        low=float(max(bounds[0], estimate.value - np.hypot(estimate.value - estimate.low, half))),
        high=float(min(bounds[1], estimate.value + np.hypot(estimate.high - estimate.value, half))),
        method=f"{estimate.method}; in quadrature {said}",
    )


def ratio_estimate(
    above: Sequence[float] | np.ndarray,
    below: Sequence[float] | np.ndarray,
    *,
    unit: str,
    method: str,
    scale: float = 1.0,
    n: int | None = None,
) -> Estimate:
    """Estimate sum(above) / sum(below) from one pair a field, line or block.

    The variance is that of the linearised ratio, n / (n - 1) sum((a - r b)^2) / sum(b)^2 (Cochran, Sampling
    Techniques, 1977, eq. 6.13), with Student's t over the pairs.

    >>> e = ratio_estimate([100.0, 100.0, 100.0], [9, 10, 11], unit="px", method="three lines")
    >>> round(e.value, 3), round(e.std, 3)
    (10.0, 0.577)
    """
    a, b = np.asarray(above, float), np.asarray(below, float)
    kept = (a > 0) | (b > 0)
    a, b = a[kept], b[kept]
    if b.sum() <= 0:
        raise InputError(f"ratio ({method}): nothing was counted; wanted a count above zero")
    value = a.sum() / b.sum()
    if a.size == 1:
        return Estimate(value=float(scale * value), unit=unit, n=n or 1, method=f"{method}; a single one, no interval")
    std = np.sqrt(a.size / (a.size - 1) * np.sum((a - value * b) ** 2)) / b.sum()
    return with_interval(scale * value, scale * std, a.size - 1, unit=unit, method=method, n=n or a.size)


def bootstrap_estimate(
    values: np.ndarray,
    statistic: Callable[[np.ndarray, np.ndarray], float],
    *,
    weights: np.ndarray | None = None,
    unit: str,
    method: str,
    seed: int = 0,
) -> Estimate:
    """Estimate a statistic of objects with the percentile bootstrap over them (10.1214/aos/1176344552).

    `statistic` takes values and weights. The objects count as independent of each other, and the method says so.
    """
    values = np.asarray(values, float)
    weights = np.ones(values.size) if weights is None else np.asarray(weights, float)
    if values.size == 0:
        raise InputError(f"{method}: no object; wanted at least one")
    value = statistic(values, weights)
    said = f"{method}; bootstrap over {values.size} objects, {REDRAWINGS} redrawings, objects taken as independent"
    if values.size == 1:
        return Estimate(value=float(value), unit=unit, n=1, method=f"{method}; one object, so no interval")
    rng = np.random.default_rng(seed)
    drawn = np.empty(REDRAWINGS)
    for i in range(REDRAWINGS):
        chosen = rng.integers(0, values.size, values.size)
        drawn[i] = statistic(values[chosen], weights[chosen])
    low, high = np.quantile(drawn, [0.5 - LEVEL / 2.0, 0.5 + LEVEL / 2.0])
    return Estimate(
        value=float(value),
        std=float(drawn.std(ddof=1)),
        low=float(min(low, value)),
        high=float(max(high, value)),
        level=LEVEL,
        unit=unit,
        n=values.size,
        method=said,
    )


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Compute the weighted mean."""
    return float(np.dot(values, weights) / weights.sum())


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """Compute the weighted median: half of the weight lies on either side.

    >>> weighted_median(np.array([1.0, 2.0, 9.0]), np.ones(3))
    2.0
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) - 0.5 * weights[order]
    return float(np.interp(0.5 * weights.sum(), reached, values[order]))


def relative_accuracy_percent(estimate: Estimate) -> float | None:
    """Compute %RA, half of the 95 % interval in per cent of the value; None where there is no interval.

    >>> relative_accuracy_percent(Estimate(value=10.0, low=9.0, high=11.0, level=0.95))
    10.0
    """
    if estimate.low is None or estimate.high is None or estimate.value == 0:
        return None
    return float(50.0 * (estimate.high - estimate.low) / abs(estimate.value))


def poisson_interval(count: float) -> tuple[float, float]:
    """Give the exact 95 % interval of a Poisson mean from its count (Garwood, Biometrika 28 (1936) 437).

    >>> low, high = poisson_interval(10)
    >>> round(low, 2), round(high, 2)
    (4.8, 18.39)
    """
    from scipy.special import gammaincinv

    tail = (1.0 - LEVEL) / 2.0
    low = 0.0 if count <= 0 else float(gammaincinv(count, tail))
    return low, float(gammaincinv(count + 1.0, 1.0 - tail))
