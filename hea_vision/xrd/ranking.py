"""How likely each candidate set of phases is, from what physics and network say of it.

A conditional logit (D. McFadden, in Frontiers in Econometrics, 1974): every candidate set has features, its score is
their weighted sum, and the probabilities are the softmax of the scores, "none of these" among them. The weights are
fitted by maximum likelihood to simulated specimens that neither the network nor any test has seen, so the
probabilities are calibrated where the specimens are like those. Features count in nats or in shares of line intensity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hea_vision.xrd.evidence import ObservedLines
from hea_vision.xrd.set_fit import SetFit

#: Features of a candidate set, in the order of the weights.
FEATURES = (
    "evidence",  # of the lines, in tens of nats
    "root evidence",  # its square root: more lines are not always more certainty
    "network",  # sum of the network's log odds over the types of the set, in tens
    "network rest",  # sum of the log odds of types that it finds likely and the set lacks, in tens
    "weakest log odds",  # of the set's types, in tens
    "phases",
    "phases beyond two",
    "unexplained",  # share of root line intensity
    "largest unexplained line",  # its root area over that of the strongest line
    "poorest phase",  # share that the least phase explains, up to a fifth
    "single line",  # phases that have one line to themselves
    "volume",  # (ln V - expected)^2 / std^2 over metallic phases, up to 25
    "volume spread",  # largest difference of ln V between metallic phases
    "same type",  # pairs of one type
    "area misfit",  # root mean square of the log areas' misfit
    "ceramic",  # ceramic phases
)
#: Features of "none of these".
NONE_FEATURES = ("none", "none: best evidence", "none: least unexplained", "none: network's highest log odds")


@dataclass(frozen=True, kw_only=True, eq=False)
class RankingModel:
    """Hold the weights: `candidate` (features,), `none` (none features,); prediction sets hold what is likelier than
    `least_probability`.
    """

    candidate: np.ndarray
    none: np.ndarray
    least_probability: float = 0.01

    def probabilities(self, features: np.ndarray, none: np.ndarray) -> np.ndarray:
        """Compute probabilities of the candidates and, last, of none of them, (n + 1,)."""
        scores = np.append(features @ self.candidate, float(none @ self.none))
        scores = np.exp(scores - scores.max())
        return scores / scores.sum()


def assemblage_probabilities(
    names: Sequence[tuple[str, ...]], probabilities: Sequence[float] | np.ndarray
) -> dict[tuple[str, ...], float]:
    """Sum the probabilities of candidates that are the same assemblage with other lattices."""
    out: dict[tuple[str, ...], float] = {}
    for key, value in zip(names, probabilities):
        out[key] = out.get(key, 0.0) + float(value)
    return out


def candidate_features(observed: ObservedLines, fits: Sequence[SetFit], log_odds: Mapping[str, float]) -> np.ndarray:
    """Compute the features of every fitted set, (n, features)."""
    return np.array([_features_of(observed, fit, log_odds) for fit in fits]).reshape(len(fits), len(FEATURES))


def none_features(features: np.ndarray, log_odds: Mapping[str, float]) -> np.ndarray:
    """Compute the features of "none of these", (none features,)."""
    if not len(features):
        return np.array([1.0, 0.0, 1.0, max(log_odds.values(), default=0.0) / 10])
    return np.array(
        [
            1.0,
            float(features[:, FEATURES.index("root evidence")].max()),
            float(features[:, FEATURES.index("unexplained")].min()),
            max(log_odds.values(), default=0.0) / 10,
        ]
    )


def _features_of(observed: ObservedLines, fit: SetFit, log_odds: Mapping[str, float]) -> list[float]:
    root = np.exp(observed.log_area / 2)
    total = root.sum()
    free = fit.owner < 0
    names = [p.name for p in fit.phases]
    odds = [log_odds.get(name, 0.0) for name in names]
    explained = [float((root * share).sum() / total) for share in fit.share]
    own = [int(((fit.owner == i) & (fit.share[i] > 0.6)).sum()) for i in range(len(names))]
    metals = [p for p in fit.phases if p.table.kind.metallic]
    volumes = [float(np.log(p.table.volume_A3(p.a_A, p.c_A) / p.table.atoms_per_cell)) for p in metals]
    mean, std = observed.log_volume_prior
    summed = fit.model_area.sum(axis=0)
    seen = summed > 0
    misfit = observed.log_area[seen] - np.log(summed[seen])
    return [
        fit.log_evidence / 10,
        float(np.sqrt(max(fit.log_evidence, 0.0))),
        sum(odds) / 10,
        sum(v for k, v in log_odds.items() if v > 0 and k not in names) / 10,
        min(odds) / 10,
        float(len(names)),
        float(max(len(names) - 2, 0)),
        float(root[free].sum() / total),
        float(root[free].max() / root.max()) if free.any() else 0.0,
        min(0.2, *explained),
        float(sum(n <= 1 for n in own)),
        float(sum(min(((v - mean) / std) ** 2, 25.0) for v in volumes)),
        float(np.ptp(volumes)) if volumes else 0.0,
        float(sum(n - 1 for n in Counter(names).values())),
        float(np.sqrt(np.mean(np.clip(misfit, -4, 4) ** 2))) if seen.any() else 0.0,
        float(len(names) - len(metals)),
    ]
