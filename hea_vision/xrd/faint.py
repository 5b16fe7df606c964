"""What a scan says where no line was listed: how much a predicted line gains or costs there, in nats.

A line of area A at an angle gives the filtered scan there a score near S = A / noise. Its area may be off the powder
value by a log-normal factor (texture, coarse grains), so the evidence for it against nothing is

    log E_z exp(s S e^(tau z) - S^2 e^(2 tau z) / 2),     s the observed score, z a normal deviate,

bounded on both sides: a line may be missing for reasons that no powder model knows, and a bump may be anything's.
Many lines, each too faint to be listed, together tell whether a phase is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

#: Scatter of the logarithm of a line's area about the powder value where texture or coarse grains disturb it.
TEXTURE_TAU = 0.8
#: Cost beyond which one missing line cannot grow.
WORST_MISS = 8.0
#: What one faint line can tell at most.
BEST_FAINT = 3.0

_SCORES = np.arange(-6.0, 8.01, 0.2)
_LOG_EXPECTED = np.arange(-4.0, 10.01, 0.1)


def _table() -> np.ndarray:
    z = np.linspace(-5, 5, 101)
    weight = -0.5 * z**2 - logsumexp(-0.5 * z**2)
    expected = np.exp(_LOG_EXPECTED)[None, :, None] * np.exp(TEXTURE_TAU * z)
    gain = logsumexp(_SCORES[:, None, None] * expected - 0.5 * expected**2 + weight, axis=2)
    return np.clip(gain, -WORST_MISS, BEST_FAINT)


_GAIN = _table()


@dataclass(frozen=True, kw_only=True, eq=False)
class FaintField:
    """Hold the scan without its listed lines, seen through filters of several widths.

    `angles` (n,); `fwhm_deg` (w,) the widths; `score` (w, n) what a filter gives in units of its noise; `log_noise`
    (w, n) the logarithm of the area of a line that would give a score of one.
    """

    angles: np.ndarray
    fwhm_deg: np.ndarray
    score: np.ndarray
    log_noise: np.ndarray

    def look(self, angle: np.ndarray, fwhm_deg: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """Give score and log noise at angles (m,) for lines of a width (m,) or one for all."""
        row = np.abs(np.log(self.fwhm_deg)[:, None] - np.log(np.atleast_1d(fwhm_deg))).argmin(axis=0)
        column = np.clip(np.searchsorted(self.angles, angle), 1, len(self.angles) - 1)
        column -= angle - self.angles[column - 1] < self.angles[column] - angle
        return self.score[row, column], self.log_noise[row, column]


def gain(score: np.ndarray, log_expected: np.ndarray) -> np.ndarray:
    """Look up what a line tells that should give a score exp(log_expected) where `score` is seen, in nats."""
    return _GAIN[_places(score, log_expected)]


def gain_and_slope(score: np.ndarray, log_expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate the gain, and give its derivative by log_expected."""
    s = np.clip((score - _SCORES[0]) / 0.2, 0, len(_SCORES) - 1.001)
    x = np.clip((log_expected - _LOG_EXPECTED[0]) / 0.1, 0, len(_LOG_EXPECTED) - 1.001)
    i, j = s.astype(int), x.astype(int)
    u, v = s - i, x - j
    low = (1 - u) * _GAIN[i, j] + u * _GAIN[i + 1, j]
    high = (1 - u) * _GAIN[i, j + 1] + u * _GAIN[i + 1, j + 1]
    inside = (log_expected > _LOG_EXPECTED[0]) & (log_expected < _LOG_EXPECTED[-1])
    return (1 - v) * low + v * high, np.where(inside, (high - low) / 0.1, 0.0)


def _places(score: np.ndarray, log_expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    s = np.clip((score - _SCORES[0]) / 0.2 + 0.5, 0, len(_SCORES) - 1)
    x = np.clip((log_expected - _LOG_EXPECTED[0]) / 0.1 + 0.5, 0, len(_LOG_EXPECTED) - 1)
    return s.astype(int), x.astype(int)
