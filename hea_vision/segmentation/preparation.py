"""Prepare a micrograph for thresholds: its noise, its shading, its smoothing."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.restoration import denoise_nl_means


def noise_std(image: np.ndarray) -> float:
    """Estimate the standard deviation of the pixel noise, in grey levels; at least 1e-4 of their range.

    Mixed second differences see neither levels nor slopes; the few that lie on an edge are winsorised away.

    >>> rng = np.random.default_rng(0)
    >>> ramp = np.add.outer(np.arange(200.0), np.arange(200.0))
    >>> round(noise_std(ramp + 3.0 * rng.standard_normal(ramp.shape)), 1)
    3.0
    """
    a = np.asarray(image, float)
    d = np.abs(a[:-1, :-1] - a[1:, :-1] - a[:-1, 1:] + a[1:, 1:]) / 2.0
    mean = float(d.mean())
    for _ in range(10):
        mean = float(np.minimum(d, 2.5 * mean).mean())
    # E min(|x|, 2.5 E min) of a normal is 0.77 of its standard deviation.
    std = mean / 0.770
    return max(std, 1e-4 * float(np.ptp(a)))


def shading_surface(image: np.ndarray, mask: np.ndarray, degree: int = 2) -> np.ndarray:
    """Fit a polynomial of low degree to the pixels of `mask`; its mean over `mask` is zero.

    The degree is low on purpose: a freer surface would swallow large particles.
    """
    step = max(1, int(np.sqrt(image.size / 20_000)))
    terms = _terms(image.shape, degree)
    few = np.stack([t[::step, ::step][mask[::step, ::step]] for t in terms], -1)
    grey = image[::step, ::step][mask[::step, ::step]]
    if grey.size < 10 * few.shape[1]:
        return np.zeros(image.shape)
    keep = np.ones(grey.size, bool)
    rounding = 1e-12 * float(np.abs(grey).max())
    solution = np.zeros(few.shape[1])
    for _ in range(4):
        solution = np.linalg.lstsq(few[keep], grey[keep], rcond=None)[0]
        rest = grey - few @ solution
        spread = 1.4826 * np.median(np.abs(rest - np.median(rest)))
        keep = np.abs(rest - np.median(rest)) <= 3.0 * spread + rounding
    surface = np.tensordot(solution, np.stack(terms), axes=1)
    return np.asarray(surface - surface[mask].mean())


def _terms(shape: tuple[int, ...], degree: int) -> list[np.ndarray]:
    y = np.linspace(-1, 1, shape[0])[:, None] * np.ones(shape)
    x = np.linspace(-1, 1, shape[1])[None, :] * np.ones(shape)
    return [x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)]


def denoise(image: np.ndarray, std: float, sigma_px: float) -> np.ndarray:
    """Smooth noise and keep edges: non-local means where a little smoothing is enough, else a Gaussian."""
    if sigma_px > 1.5:
        return ndimage.gaussian_filter(image, sigma_px)
    soft = ndimage.gaussian_filter(image, 0.7) / std
    # The fast algorithm shifts edges by part of a pixel towards one corner; half a turn shifts them back.
    turns = (slice(None), slice(None)), (slice(None, None, -1), slice(None, None, -1))
    both = [_non_local(np.ascontiguousarray(soft[turn]))[turn] for turn in turns]
    return (both[0] + both[1]) * (std / 2.0)


def _non_local(image: np.ndarray) -> np.ndarray:
    return denoise_nl_means(image, patch_size=5, patch_distance=6, h=1.2, fast_mode=True)


def smoothed_noise_std(std: float, sigma_px: float) -> float:
    """Give the standard deviation that white noise keeps under a Gaussian of `sigma_px`."""
    return std / max(1.0, 2.0 * np.sqrt(np.pi) * sigma_px)
