"""Part the variance of measured fields into signal and noise, along a line or over a map.

Noise of X-ray counts is independent from point to point, what segregation does is smooth over the interaction volume:
second differences see the first alone. A line of true profile s and noise e has

| symbol | here |
|---|---|
| total covariance T = <(x - mean)(x - mean)^T> | `total` |
| noise covariance N = <d d^T> / 6, d = x[i-1] - 2 x[i] + x[i+1] | `noise` |
| covariance of the true profile S = T - (1 - 1/n) N | `signal` |

N holds what normalising to 100 % does to noise, so that S is free of it. S is unbiased for any level of noise, also one
that changes along the line; of a wave of period 8 steps 6 % of the variance is taken for noise, of 16 steps 0.4 %
(Gasser, Sroka and Jennen-Steinmetz 1986, doi:10.1093/biomet/73.3.625).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfftn, next_fast_len, rfftn

from hea_sim.errors import InputError

#: Squared weights of a point's neighbours in <d d> / 6, summed: (4^2 + 4^2 + 1 + 1) / 6^2.
_OFF_DIAGONAL = 34.0 / 36.0
#: Fewest second differences, that is fewest points in a row, from which a level of noise is taken.
_MIN_DIFFERENCES = 12
#: A quantity below this part of the largest variance is constant; noise below this part of its own variance is as good.
_CONSTANT = 1e-20
_QUIET = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Covariances:
    """Hold the covariances of several quantities over one field.

    `total`, `noise`, `signal` (k, k); `mean` (k,). `signal_std` (k, k) is the error that noise leaves in `signal`,
    `noise_std` the part of it that stays without any signal.
    `autocorrelation` (lags...) is that of the true field, averaged over quantities by their signal over noise, for lags
    up to half the field, zero lag first; None where nothing is above the noise. `n_points` were used;
    `n_independent` is the number of independent points that would say as much of a variance or correlation
    (Bartlett 1946), `n_of_mean` that of a mean.
    """

    mean: np.ndarray
    total: np.ndarray
    noise: np.ndarray
    signal: np.ndarray
    signal_std: np.ndarray
    noise_std: np.ndarray
    n_points: int
    n_independent: float
    n_of_mean: float
    autocorrelation: np.ndarray | None = None


def separate_noise(field: np.ndarray) -> Covariances:
    """Part the covariances of a field into those of the true field and of noise.

    Parameters
    ----------
    field
        Equally spaced points: (n, k) along a line or (rows, columns, k) over a map, of k quantities. A point that holds
        a NaN is left out. Points at the ends of a line, beside a gap or in the corners of a map serve for noise
        alone: differences hardly see their own.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> wave = np.sin(2 * np.pi * np.arange(400) / 50)
    >>> parted = separate_noise((wave + 0.5 * rng.standard_normal(400))[:, None])
    >>> [round(float(c[0, 0]), 1) for c in (parted.signal, parted.noise)]
    [0.5, 0.2]
    """
    field = np.asarray(field, float)
    if field.ndim not in (2, 3):
        raise InputError(f"segregation: values of shape {field.shape}; wanted (points, elements) or a map of them")
    known = np.isfinite(field).all(axis=-1)
    core = _inside(known)
    n = int(core.sum())
    differences = [_second_differences(field, axis) for axis in range(field.ndim - 1) if field.shape[axis] >= 3]
    if n == 0 or min((len(d) for d in differences), default=0) < _MIN_DIFFERENCES:
        raise InputError(
            f"segregation: {int(known.sum())} usable points of shape {field.shape[:-1]}; wanted at least"
            f" {_MIN_DIFFERENCES + 2} in a row, equally spaced, so that noise can be told from segregation"
        )
    mean = field[core].mean(axis=0)
    deviation = np.where(core[..., None], field - mean, 0.0)
    flat = deviation[core]
    total = flat.T @ flat / n
    noise = np.mean([d.T @ d / len(d) / 6.0 for d in differences], axis=0)
    signal = total - noise * (1.0 - 1.0 / n)
    rho = _autocorrelation(deviation, core, total, signal, noise)
    n_variance, n_mean = _independent_points(rho, n)
    noise_variance = _noise_variance(noise, n, len(differences), _unevenness(differences))
    return Covariances(
        mean=mean,
        total=total,
        noise=noise,
        signal=signal,
        signal_std=np.sqrt(noise_variance + _cross_variance(signal, noise, n)),
        noise_std=np.sqrt(noise_variance),
        n_points=n,
        n_independent=n_variance,
        n_of_mean=n_mean,
        autocorrelation=rho,
    )


def pooled(parts: Sequence[Covariances]) -> Covariances:
    """Pool the covariances of several fields of one material, each about its own mean, by their points."""
    if len(parts) == 1:
        return parts[0]
    n = np.array([p.n_points for p in parts], float)
    weight = n / n.sum()

    def averaged(name: str) -> np.ndarray:
        return np.tensordot(weight, np.array([getattr(p, name) for p in parts]), 1)

    return Covariances(
        mean=averaged("mean"),
        total=averaged("total"),
        noise=averaged("noise"),
        signal=averaged("signal"),
        signal_std=np.sqrt(np.tensordot(weight**2, np.array([p.signal_std**2 for p in parts]), 1)),
        noise_std=np.sqrt(np.tensordot(weight**2, np.array([p.noise_std**2 for p in parts]), 1)),
        n_points=int(n.sum()),
        # A field of more points than its share of independent ones counts for less.
        n_independent=float(1.0 / np.sum(weight**2 / [p.n_independent for p in parts])),
        n_of_mean=float(1.0 / np.sum(weight**2 / [p.n_of_mean for p in parts])),
    )


def _inside(known: np.ndarray) -> np.ndarray:
    """Tell which points have a neighbour to either side along some axis, so that differences see their noise."""
    inside = np.zeros_like(known)
    for axis in range(known.ndim):
        line = np.moveaxis(known, axis, 0)
        np.moveaxis(inside, axis, 0)[1:-1] |= line[:-2] & line[1:-1] & line[2:]
    return inside


def _second_differences(field: np.ndarray, axis: int) -> np.ndarray:
    """Take second differences (n, k) along an axis; those that touch a NaN are left out."""
    d = np.diff(field, n=2, axis=axis)
    d = np.moveaxis(d, axis, -2).reshape(-1, field.shape[-1])
    return d[np.isfinite(d).all(axis=1)]


def _unevenness(differences: Sequence[np.ndarray]) -> np.ndarray:
    """Compute by how much uneven noise makes <sigma^4> exceed <sigma^2>^2, for each quantity; at least one."""
    factors = []
    for d in differences:
        q = d**2  # differences three steps apart share no point
        factors.append((q[3:] * q[:-3]).mean(axis=0) / np.maximum(q.mean(axis=0) ** 2, 1e-300))
    return np.maximum(1.0, np.mean(factors, axis=0))


def _noise_variance(noise: np.ndarray, n: int, axes: int, uneven: np.ndarray) -> np.ndarray:
    """Compute the variance that noise by itself gives the covariances of the true field: 2 tr(QNQN).

    For x = s + e the estimate is a quadratic form x'Qx whose diagonal is nought.
    """
    v = np.diag(noise)
    own: np.ndarray = (np.outer(v, v) + noise**2) * np.sqrt(np.outer(uneven, uneven))
    return _OFF_DIAGONAL / axes * own / n


def _cross_variance(signal: np.ndarray, noise: np.ndarray, n: int) -> np.ndarray:
    """Compute the variance from products of noise and true field, the latter held fixed: 4 s'QNQs."""
    s, v = np.maximum(np.diag(signal), 0.0), np.diag(noise)
    return np.maximum(np.outer(s, v) + np.outer(v, s) + 2.0 * signal * noise, 0.0) / n


def true_correlation(parted: Covariances, i: int, j: int) -> tuple[float, float]:
    """Compute the correlation of two true fields, held fixed, and the error that noise leaves in it.

    In units of each field's own amplitude, noise variances u, v and their covariance w, to second order in the noise:
    var r = (1 - r^2)(u + v - 2 r w) / n + q [u v + w^2 + r^2 (u^2 + v^2 + 2 w^2) / 2 - 2 r w (u + v)].
    """
    a, b = parted.signal[i, i], parted.signal[j, j]
    r = float(np.clip(parted.signal[i, j] / np.sqrt(a * b), -1.0, 1.0))
    u, v, w = parted.noise[i, i] / a, parted.noise[j, j] / b, parted.noise[i, j] / np.sqrt(a * b)
    own = u * v + w**2
    q = parted.noise_std[i, j] ** 2 / (a * b) / own if own > 0 else 0.0
    linear = (1.0 - r**2) * (u + v - 2.0 * r * w) / parted.n_points
    square = q * (u * v + w**2 + r**2 * (u**2 + v**2 + 2.0 * w**2) / 2.0 - 2.0 * r * w * (u + v))
    return r, float(np.sqrt(max(linear, 0.0) + max(square, 0.0)))


def _autocorrelation(
    deviation: np.ndarray, known: np.ndarray, total: np.ndarray, signal: np.ndarray, noise: np.ndarray
) -> np.ndarray | None:
    """Average the autocovariances of the quantities at all lags but zero, over the signal; zero lag is one."""
    varies = np.diag(total) > _CONSTANT * max(float(np.diag(total).max()), 1e-300)
    floor = np.where(varies, np.maximum(np.diag(noise), _QUIET * np.diag(total)), 1.0)
    weight = varies / floor
    strength = float(np.diag(signal) @ weight)
    if strength <= 0:
        return None
    axes = tuple(range(known.ndim))
    size = [next_fast_len(2 * n, real=True) for n in known.shape]
    scaled = deviation * np.sqrt(weight)
    summed = sum(np.abs(rfftn(scaled[..., i], size, axes=axes)) ** 2 for i in range(scaled.shape[-1]))
    pairs = irfftn(np.abs(rfftn(known.astype(float), size, axes=axes)) ** 2, size, axes=axes)
    covariance = irfftn(summed, size, axes=axes)
    # Divided by all points instead of by the pairs of each lag: long lags, of few pairs, stay quiet.
    rho = np.where(pairs > 0.5, covariance / known.sum(), 0.0) / strength
    rho.flat[0] = 1.0
    half = [n // 2 for n in known.shape]
    if known.ndim == 1:
        return rho[: half[0]]
    columns = np.arange(half[1])
    # Lags down and right, then down and left: the other half of the plane mirrors them.
    return np.concatenate([rho[: half[0], columns], rho[: half[0], -columns[:0:-1]]], axis=1)


def _independent_points(rho: np.ndarray | None, n: int) -> tuple[float, float]:
    """Count independent points for a variance (sum of rho^2 over all lags) and for a mean (of rho to its first zero).

    Noise adds to every squared lag and is left in: the count errs to the low side.
    """
    if rho is None:
        return float(n), float(n)
    if rho.ndim == 1:
        squares = 1.0 + 2.0 * float(np.sum(rho[1:] ** 2))
        integral = 1.0 + 2.0 * float(rho[1 : _first_zero(rho)].sum())
    else:
        right = (rho.shape[1] + 1) // 2
        squares = 1.0 + 2.0 * float(np.sum(rho[1:] ** 2) + np.sum(rho[0, 1:right] ** 2))
        profile = radial_profile(rho)
        radius = np.arange(1, _first_zero(profile))
        integral = 1.0 + float(np.sum(2.0 * np.pi * radius * profile[radius]))
    return max(n / max(squares, 1.0), 1.0), max(n / max(integral, 1.0), 1.0)


def _first_zero(rho: np.ndarray) -> int:
    below = np.flatnonzero(rho <= 0.0)
    return int(below[0]) if below.size else len(rho)


def radial_profile(rho: np.ndarray) -> np.ndarray:
    """Average an autocorrelation over directions, by whole steps; that of a line is returned as it is."""
    if rho.ndim == 1:
        return rho
    rows, columns = rho.shape
    right = (columns + 1) // 2
    x = np.concatenate([np.arange(right), np.arange(right - 1, 0, -1)])[:columns]
    step = np.round(np.hypot(np.arange(rows)[:, None], x[None, :])).astype(int)
    inside = step < min(rows, right)
    return np.bincount(step[inside], rho[inside]) / np.bincount(step[inside])
