"""Probabilities that mean what they say: slope and offsets of log-probabilities, fitted on held-out groups.

| symbol | in code |
|---|---|
| p'_c proportional to exp(a log p_c + b_c) (temperature and bias correction) | `ClassCalibration.apply` |
| ECE, 15 equal bins of the top probability | `expected_calibration_error` |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

#: Added to each probability of a forest before its logarithm: a few trees out of a few hundred.
_FLOOR = 0.005
#: Gaussian prior on the parameters, in units of one alloy; keeps small tables from extremes.
_PULL = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassCalibration:
    """Hold the slopes of one or more experts and the offsets of the classes."""

    slopes: np.ndarray
    offsets: np.ndarray

    @classmethod
    def fit(cls, experts: np.ndarray, codes: np.ndarray) -> ClassCalibration:
        """Fit on held-out probabilities (experts, n, classes) and true classes (n,), by penalised likelihood."""
        logs = np.log(np.asarray(experts) + _FLOOR)
        n_experts, n, n_classes = logs.shape
        truth = np.eye(n_classes)[codes]
        start = np.concatenate([np.full(n_experts, 1.0 / n_experts), np.zeros(n_classes)])

        def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
            p = _softmax(np.tensordot(theta[:n_experts], logs, 1) + theta[n_experts:])
            pull = theta - start
            wrong = p - truth
            gradient = np.concatenate([(logs * wrong).sum((1, 2)), wrong.sum(0)]) + _PULL * pull
            value = -np.log(np.maximum(p[np.arange(n), codes], 1e-300)).sum() + _PULL * float(pull @ pull) / 2
            return value, gradient

        bounds = [(0.0, None)] * n_experts + [(None, None)] * n_classes
        theta = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        return cls(slopes=theta[:n_experts], offsets=theta[n_experts:])

    def apply(self, experts: np.ndarray) -> np.ndarray:
        """Turn probabilities (experts, n, classes) into one calibrated set (n, classes)."""
        return _softmax(np.tensordot(self.slopes, np.log(np.asarray(experts) + _FLOOR), 1) + self.offsets)


#: Share below which that of a class is not known well.
_LEAST_SHARE = 0.01


def balanced_call(probabilities: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Choose the class (n,) that is raised most above its share among known alloys.

    This decision has the best mean recall over classes, where the likeliest class favours the common ones. A class that
    no known alloy has is never chosen, and one rarer than 1 % counts as that share: its own is not known well.

    >>> balanced_call(np.array([[0.3, 0.7], [0.001, 0.999]]), np.array([0.1, 0.9])).tolist()
    [0, 1]
    >>> balanced_call(np.array([[0.01, 0.99]]), np.array([0.0, 1.0])).tolist()
    [1]
    """
    raised = np.where(shares > 0, probabilities / np.maximum(shares, _LEAST_SHARE), -1.0)
    return np.asarray(np.argmax(raised, axis=1))


def expected_calibration_error(probabilities: np.ndarray, codes: np.ndarray, *, n_bins: int = 15) -> float:
    """Compute the mean gap between top probability and accuracy, in equal bins of the top probability."""
    top = probabilities.max(1)
    right = probabilities.argmax(1) == codes
    bins = np.minimum((top * n_bins).astype(int), n_bins - 1)
    gaps = [abs(right[bins == k].mean() - top[bins == k].mean()) * (bins == k).mean() for k in np.unique(bins)]
    return float(sum(gaps))


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)
