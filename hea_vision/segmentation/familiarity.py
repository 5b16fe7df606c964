"""Whether an image is of the kind that a model knows.

An image is summed up in a few numbers (`picture_numbers`). Examples of what the model knows and of what it does not
(`strange_pictures`) tell which of them matter, by logistic regression. Distance from the known ones counts as a number
more, as what is far from them in any direction is strange too.

| symbol | here |
|---|---|
| z | (numbers - `mean`) / `scale` of the known images, within `FARTHEST` |
| d^2 = z' (C + `RIDGE` I)^-1 z / n | squared distance, C the correlations of the known images' n numbers: `inverse` |
| s = w z + v log d + b | `weights`: log odds of strange against known, both equally likely beforehand |
| unfamiliarity | (s - s_0) / (s_1 - s_0), not below 0; above 1 the image is flagged |
| s_0, s_1 | `middle`, `limit`: median, and the score that all but 5 % of known images stay below |

s_0 and s_1 come from images that the regression has not seen: it is made again and again without some of the pictures
(all parts of one together), which are then scored; pictures that the network itself has learnt from are left out of
the count. The quantile is the finite-sample one of conformal prediction
(doi:10.1561/2200000101), every picture counting alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hea_sim.errors import InputError

#: Share of known images of pictures not seen before that stay below the limit.
SHARE = 0.95
FARTHEST, RIDGE = 6.0, 0.1
_DECAY = 3.0
_FOLDS, _STEPS = 10, 30
_LEAST_SCALE = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Familiarity:
    """Hold what tells known images from strange ones: `mean`, `scale` (n,), `inverse` (n, n), `weights` (n + 2,)."""

    mean: np.ndarray
    scale: np.ndarray
    inverse: np.ndarray
    weights: np.ndarray
    middle: float = 0.0
    limit: float = 1.0

    @classmethod
    def fit(
        cls,
        known: np.ndarray,
        strange: np.ndarray,
        *,
        known_from: Sequence[int] | None = None,
        strange_from: Sequence[int] | None = None,
        limit_from: np.ndarray | None = None,
        share: float = SHARE,
    ) -> Familiarity:
        """Tell the numbers of known images from those of strange ones.

        Parameters
        ----------
        known, strange
            (images, numbers).
        known_from, strange_from
            The picture that each image is a part of, or was made of; without them each is a picture by itself.
        limit_from
            (images,) true for the known images that set middle and limit; None for all.
        share
            Part of the known images that shall stay below the limit.
        """
        if limit_from is not None and not np.any(limit_from):
            raise InputError("no known image sets the limit; wanted some that the network has not learnt from")
        if len(known) < 2 or not len(strange):
            raise InputError(f"{len(known)} known and {len(strange)} strange images; wanted at least two, and one")
        from_known = np.arange(len(known)) if known_from is None else np.asarray(known_from)
        from_strange = len(known) + np.arange(len(strange)) if strange_from is None else np.asarray(strange_from)
        pictures, index, count = np.unique(from_known, return_inverse=True, return_counts=True)
        scores = np.empty(len(known))
        for fold in range(min(_FOLDS, len(pictures)) if len(pictures) > 1 else 0):
            out = index % _FOLDS == fold
            # What was made of a picture that is left out is left out too.
            kept = ~np.isin(from_strange, pictures[np.arange(len(pictures)) % _FOLDS == fold])
            part = _regression(known[~out], strange[kept] if kept.any() else strange)
            scores[out] = [part._score(x) for x in known[out]]
        whole = _regression(known, strange)
        if len(pictures) == 1:
            scores = np.array([whole._score(x) for x in known])
        counted = np.ones(len(known), bool) if limit_from is None else np.asarray(limit_from, bool)
        pictures, index, count = np.unique(from_known[counted], return_inverse=True, return_counts=True)
        weight = 1.0 / (len(pictures) * count[index])
        middle = _quantile(scores[counted], weight, 0.5)
        limit = _quantile(scores[counted], weight, min(1.0, share * (1 + 1 / len(pictures))))
        return replace(whole, middle=middle, limit=max(limit, middle + _LEAST_SCALE))

    def _features(self, numbers: np.ndarray) -> np.ndarray:
        z = np.clip((numbers - self.mean) / self.scale, -FARTHEST, FARTHEST)
        d2 = np.einsum("...i,ij,...j->...", z, self.inverse, z) / z.shape[-1]
        return np.concatenate([z, 0.5 * np.log(d2 + 1e-6)[..., None], np.ones((*z.shape[:-1], 1))], axis=-1)

    def _score(self, numbers: np.ndarray) -> float:
        return float(self._features(numbers) @ self.weights)

    def distance(self, numbers: np.ndarray) -> float:
        """Give the unfamiliarity of an image by its numbers: 0 like the middle of the known ones, 1 at the limit."""
        return max(0.0, (self._score(numbers) - self.middle) / (self.limit - self.middle))

    def arrays(self) -> dict[str, np.ndarray]:
        """Give the numbers as arrays."""
        return {
            "mean": self.mean.astype(np.float32),
            "scale": self.scale.astype(np.float32),
            "inverse": self.inverse.astype(np.float32),
            "weights": self.weights.astype(np.float32),
            "middle_limit": np.array([self.middle, self.limit], np.float64),
        }

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray]) -> Familiarity | None:
        """Make it again of what `arrays` gave; None where a model was saved before it was made so."""
        if "middle_limit" not in arrays:
            return None
        middle, limit = (float(v) for v in arrays["middle_limit"])
        several = {name: arrays[name].astype(float) for name in ("mean", "scale", "inverse", "weights")}
        return cls(**several, middle=middle, limit=limit)


def _regression(known: np.ndarray, strange: np.ndarray) -> Familiarity:
    """Fit by Newton's method with a penalty on the weights; known and strange images count alike, however many."""
    mean, scale = known.mean(0), known.std(0) + _LEAST_SCALE
    z = np.clip((known - mean) / scale, -FARTHEST, FARTHEST)
    inverse = np.linalg.inv(z.T @ z / len(z) + RIDGE * np.eye(z.shape[1]))
    empty = Familiarity(mean=mean, scale=scale, inverse=inverse, weights=np.zeros(z.shape[1] + 2))
    x = empty._features(np.concatenate([known, strange]))
    truth = np.repeat([0.0, 1.0], [len(known), len(strange)])
    often = np.where(truth > 0, 0.5 * len(x) / len(strange), 0.5 * len(x) / len(known))
    penalty = np.diag(np.repeat([_DECAY, 1e-6], [x.shape[1] - 1, 1]))
    weights = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (often * (p - truth)) + penalty @ weights
        weights = weights - np.linalg.solve((x * (often * p * (1 - p))[:, None]).T @ x + penalty, slope)
    return replace(empty, weights=weights)


def _quantile(values: np.ndarray, weights: np.ndarray, level: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][min(int(np.searchsorted(reached, level - 1e-12)), len(values) - 1)])
