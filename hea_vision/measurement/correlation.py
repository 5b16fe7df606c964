"""Count how many independent pixels a field holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

#: Edge of the part of a field that is transformed at once, in px.
_WINDOW_PX = 2048
#: Places of the windows of a large field, as parts of what is left beside a window: the middle and near the corners.
_PLACES = ((0.5, 0.5), (0.1, 0.1), (0.1, 0.9), (0.9, 0.1), (0.9, 0.9))


def correlation_area_px(field: np.ndarray) -> float:
    """Compute the integral of the autocorrelation of a field: the pixels that stand for one independent one.

    Summed over lags, along shells, until the autocorrelation first falls to zero.

    >>> white = np.random.default_rng(0).standard_normal((256, 256))
    >>> round(correlation_area_px(white))
    1
    """
    return _correlation_area(field.shape, float(field.mean()), [(0, 0)], lambda window: field[window])


def class_correlation_area_px(labels: np.ndarray, number: int, mean: float) -> float:
    """Compute the correlation area of the indicator of a class whose share of the field is `mean`.

    A large field is looked at through windows in its middle and near its corners, whose autocovariances are averaged;
    nothing of the size of the field is made.
    """
    from hea_vision.measurement.strips import LARGE_PX

    rest = [max(n - _WINDOW_PX, 0) for n in labels.shape]
    places = [(round(y * rest[0]), round(x * rest[1])) for y, x in _PLACES] if labels.size > LARGE_PX else [(0, 0)]
    return _correlation_area(labels.shape, mean, places, lambda window: labels[window] == number)


def _correlation_area(
    shape: tuple[int, ...],
    mean: float,
    places: Sequence[tuple[int, int]],
    read: Callable[[tuple[slice, slice]], np.ndarray],
) -> float:
    size = [int(2 ** np.ceil(np.log2(min(2 * n, _WINDOW_PX)))) for n in shape]
    shown = [min(n, limit) for n, limit in zip(shape, size)]
    cov = np.zeros(size)
    for top, left in places:
        f = read((slice(top, top + shown[0]), slice(left, left + shown[1]))) - mean
        power = np.abs(np.fft.rfft2(f, size)) ** 2
        cov += np.fft.irfft2(power, size)
    if cov[0, 0] <= 0:
        return 1.0
    cov = np.fft.fftshift(cov / cov[0, 0])
    centre = (size[0] // 2, size[1] // 2)
    y, x = np.ogrid[: size[0], : size[1]]
    shell = np.round(np.hypot(y - centre[0], x - centre[1])).astype(int).ravel()
    count = np.bincount(shell)
    total = np.bincount(shell, weights=cov.ravel())
    average = total / count
    below = np.flatnonzero(average[: min(shown) // 2] <= 0.0)
    stop = int(below[0]) if below.size else min(shown) // 2
    return float(max(1.0, total[:stop].sum()))
