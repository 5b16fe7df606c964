"""Prediction sets and intervals that hold on alloys of unseen groups: split conformal over grouped, held-out scores.

| symbol | in code |
|---|---|
| score of a class, s = 1 - p(true class) (doi:10.1080/01621459.2017.1395341) | `ClassSets` |
| score of a number, s = abs(f(y) - f(y')), f = log(y + shift) | `Intervals` |
| q = the ceil((n + 1) level)-th smallest score of n; all classes, or infinity, where that is beyond n | `_quantile` |

Held-out means: by a model that saw no alloy of the same element set (or publication). Few-element and many-element
alloys have their own quantiles, because the first are easier and more numerous.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError

#: From this number of elements on an alloy counts as many-element.
MANY_ELEMENTS = 4
#: Fewest scores by which a stratum stands alone; below, all alloys share one quantile.
_LEAST_SCORES = 50


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassSets:
    """Hold the scores of held-out alloys (n,) and whether each has many elements."""

    scores: np.ndarray
    many: np.ndarray

    @classmethod
    def fit(cls, probabilities: np.ndarray, codes: np.ndarray, n_elements: np.ndarray) -> ClassSets:
        """Score held-out probabilities (n, classes) against true classes (n,)."""
        scores = 1.0 - probabilities[np.arange(len(codes)), codes]
        return cls(scores=scores, many=n_elements >= MANY_ELEMENTS)

    def sets(self, probabilities: np.ndarray, n_elements: np.ndarray, level: float) -> np.ndarray:
        """Tell which classes (n, classes) belong to the sets of probability `level`; the likeliest always does."""
        limits = _limits(self.scores, self.many, n_elements >= MANY_ELEMENTS, level)
        held = 1.0 - probabilities <= limits[:, None] + 1e-12
        held[np.arange(len(held)), probabilities.argmax(1)] = True
        return held


@dataclass(frozen=True, kw_only=True, eq=False)
class Intervals:
    """Hold the scores of held-out numbers on the scale log(y + `shift`), and which of two kinds each is (n,).

    The kinds, such as room temperature and hot, have quantiles of their own.
    """

    scores: np.ndarray
    kinds: np.ndarray
    shift: float

    @classmethod
    def fit(cls, predicted: np.ndarray, truth: np.ndarray, kinds: np.ndarray, *, shift: float) -> Intervals:
        """Score held-out predictions (n,) against the truth (n,)."""
        return cls(scores=abs(_bend(truth, shift) - _bend(predicted, shift)), kinds=kinds, shift=shift)

    def bounds(self, predicted: np.ndarray, kinds: np.ndarray, level: float) -> np.ndarray:
        """Give low and high (n, 2) of the intervals of probability `level`, never below zero."""
        reach = _limits(self.scores, self.kinds, kinds, level)
        middle = _bend(predicted, self.shift)
        return np.maximum(_straighten(np.column_stack([middle - reach, middle + reach]), self.shift), 0.0)


def check_level(level: float) -> float:
    """Give the level back, or say what is wrong with it."""
    if not 0.5 <= level < 1:
        raise InputError(f"level is {level}; wanted a probability from 0.5 to below 1, such as 0.9")
    return float(level)


def _bend(value: np.ndarray, shift: float) -> np.ndarray:
    # Between linear (large shift) and logarithmic (none): errors of strong alloys are larger.
    return np.log(np.maximum(value, 0.0) + shift)


def _straighten(bent: np.ndarray, shift: float) -> np.ndarray:
    return np.exp(bent) - shift


def _limits(scores: np.ndarray, kinds: np.ndarray, asked: np.ndarray, level: float) -> np.ndarray:
    """Give each alloy (n,) the quantile of its own kind."""
    limits = np.empty(len(asked))
    for kind in (False, True):
        own = scores[kinds == kind]
        limits[asked == kind] = _quantile(own if len(own) >= _LEAST_SCORES else scores, level)
    return limits


def _quantile(scores: np.ndarray, level: float) -> float:
    rank = math.ceil((len(scores) + 1) * level)
    return math.inf if rank > len(scores) else float(np.sort(scores)[rank - 1])
