"""Count how many independent pixels a field holds."""

from __future__ import annotations

import numpy as np


def correlation_area_px(field: np.ndarray) -> float:
    """Compute the integral of the autocorrelation of a field: the pixels that stand for one independent one.

    Summed over lags, along shells, until the autocorrelation first falls to zero.

    >>> white = np.random.default_rng(0).standard_normal((256, 256))
    >>> round(correlation_area_px(white))
    1
    """
    f = field - field.mean()
    size = [int(2 ** np.ceil(np.log2(min(2 * n, 2048)))) for n in f.shape]
    f = f[: size[0], : size[1]]
    power = np.abs(np.fft.rfft2(f, size)) ** 2
    cov = np.fft.irfft2(power, size)
    if cov[0, 0] <= 0:
        return 1.0
    cov = np.fft.fftshift(cov / cov[0, 0])
    centre = (size[0] // 2, size[1] // 2)
    y, x = np.ogrid[: size[0], : size[1]]
    shell = np.round(np.hypot(y - centre[0], x - centre[1])).astype(int).ravel()
    count = np.bincount(shell)
    total = np.bincount(shell, weights=cov.ravel())
    mean = total / count
    below = np.flatnonzero(mean[: min(f.shape) // 2] <= 0.0)
    stop = int(below[0]) if below.size else min(f.shape) // 2
    return float(max(1.0, total[:stop].sum()))
