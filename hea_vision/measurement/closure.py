"""What a sum of 100 % does to correlations by itself, and whether a measured table of them goes beyond that.

The null hypothesis: amounts before normalising vary independently (Chayes and Kruskal 1966, J. Geol. 74, 692). To first
order d x_i / x_i = v_i - sum_k x_k v_k, with independent relative changes v of the amounts whose variances follow from
those of the contents x. That correlation is itself known from a sample only, so that the difference of a measured
correlation from it is judged by samples of the null with as many independent points (Wishart).
"""

from __future__ import annotations

import numpy as np

#: Shares of the mean below this are taken as this.
_TINY = 1e-9
#: Samples of the null, and the seed that makes a measurement repeatable.
_SAMPLES = 1000
_SEED = 1966
_NEAR_ONE = 0.9999
_HALF = 1e-3


def closure_correlations(signal: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Compute the correlations that independent amounts would have after normalising to 100 %.

    Parameters
    ----------
    signal
        Covariance of the true contents (k, k).
    mean
        Mean contents (k,) in the same unit; only their shares matter.

    Examples
    --------
    >>> closure_correlations(np.eye(3), np.ones(3)).round(2)[0]
    array([ 1. , -0.5, -0.5])
    """
    share = _shares(mean)
    covariance = _closed(_amounts(np.diag(signal) / np.clip(mean, _TINY, None) ** 2, share), share)
    return _correlations(covariance)


def beyond_null(
    correlation: np.ndarray, signal: np.ndarray, mean: np.ndarray, independent: float, *, closed: bool, chance: float
) -> np.ndarray:
    """Judge which correlations (k, k) differ from those of the null: +1 above, -1 below, 0 not told.

    `chance` is that of any wrong judgement in the table where the null holds: the largest standardised difference of
    Fisher's z is compared with its distribution under the null.

    Parameters
    ----------
    correlation
        What is judged; NaN is left at 0.
    signal, mean
        As measured; they give the variances of the null.
    independent
        Number of independent points behind them.
    closed
        False where contents do not sum to a constant: the null then is no correlation.
    """
    k = len(mean)
    freedom = independent - 1.0
    judged = np.zeros((k, k), int)
    if k < 2 or (closed and k < 3) or freedom <= k:
        return judged
    share = _shares(mean)
    relative = np.clip(np.diag(signal), 0.0, None) / np.clip(mean, _TINY, None) ** 2
    null = _closed(_amounts(relative, share), share) if closed else np.diag(relative)
    samples = _wishart(null, freedom)
    variances = np.diagonal(samples, axis1=1, axis2=2)
    differences = _difference(_correlations(samples), variances, share, closed)
    pairs = np.triu_indices(k, 1)
    spread = np.maximum(differences.std(axis=0), 1e-12)
    critical = float(np.quantile(np.abs(differences / spread)[:, pairs[0], pairs[1]].max(axis=1), 1.0 - chance))
    found = np.nan_to_num(_difference(correlation, relative, share, closed) / spread)
    return np.where(np.abs(found) > critical, np.sign(found), 0).astype(int)


def _shares(mean: np.ndarray) -> np.ndarray:
    kept = np.clip(mean, _TINY, None)
    return kept / kept.sum()


def _amounts(relative: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Compute relative variances of amounts (..., k) from those of contents: V_i = a_i (1 - 2 x_i) + sum_k x_k^2 a_k.

    Variances that would be negative are nought.
    """
    own = 1.0 - 2.0 * share
    own = np.where(np.abs(own) < _HALF, _HALF, own)  # an element of half the atoms: a limit
    common = (relative @ (share**2 / own)) / (1.0 + float(np.sum(share**2 / own)))
    amounts: np.ndarray = np.clip((relative - common[..., None]) / own, 0.0, None)
    return amounts


def _closed(amounts: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Compute the relative covariances (..., k, k) of contents from the relative variances of independent amounts."""
    project = np.eye(len(share)) - np.tile(share, (len(share), 1))
    covariance: np.ndarray = (project * amounts[..., None, :]) @ project.T
    return covariance


def _correlations(covariance: np.ndarray) -> np.ndarray:
    spread = np.sqrt(np.maximum(np.diagonal(covariance, axis1=-2, axis2=-1), 1e-300))
    return np.clip(covariance / (spread[..., :, None] * spread[..., None, :]), -1.0, 1.0)


def _difference(correlation: np.ndarray, relative: np.ndarray, share: np.ndarray, closed: bool) -> np.ndarray:
    """Compute by how much Fisher's z of correlations exceeds that of the null with the same variances."""
    z = np.arctanh(np.clip(correlation, -_NEAR_ONE, _NEAR_ONE))
    if not closed:
        return z
    null = _correlations(_closed(_amounts(relative, share), share))
    difference: np.ndarray = z - np.arctanh(np.clip(null, -_NEAR_ONE, _NEAR_ONE))
    return difference


def _wishart(covariance: np.ndarray, freedom: float) -> np.ndarray:
    """Draw sample covariances (samples, k, k); degrees of freedom need not be whole (Bartlett's decomposition)."""
    rng = np.random.default_rng(_SEED)
    k = len(covariance)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.clip(values, 0.0, None))
    lower = np.tril(rng.standard_normal((_SAMPLES, k, k)), -1)
    for i in range(k):
        lower[:, i, i] = np.sqrt(rng.chisquare(freedom - i, _SAMPLES))
    half = root @ lower
    samples: np.ndarray = half @ half.swapaxes(1, 2) / freedom
    return samples
