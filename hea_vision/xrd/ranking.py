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
from hea_vision.xrd.network import STRUCTURES
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
    "faint lines",  # of the phase that has fewest, up to five
    "own lines",  # listed and faint, of the phase that has fewest, up to six
    "missing",  # what lines cost that do not show, in tens of nats
    "worst missing",  # of one phase
    "network pairs",  # log odds of two lattices of A1 or A2, for or against, in tens
    "foreign",  # unexplained share times the chance of lines of no known structure
    "least gain",  # evidence that the least phase adds to the rest of the set, in tens of nats
    "root of least gain",
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
    rows = [
        [*_features_of(observed, fit, log_odds), *_gain_features(gain)] for fit, gain in zip(fits, least_gains(fits))
    ]
    return np.array(rows).reshape(len(fits), len(FEATURES))


def least_gains(fits: Sequence[SetFit]) -> list[float]:
    """Tell for each set what its least phase adds to the evidence of the best candidate without it, in nats."""
    best: dict[tuple[str, ...], float] = {(): 0.0}
    for fit in fits:
        best[fit.names] = max(best.get(fit.names, -np.inf), fit.log_evidence)
    gains = []
    for fit in fits:
        rests = [fit.names[:i] + fit.names[i + 1 :] for i in range(len(fit.names))]
        # A rest that is no candidate explains less than one that is.
        known = [best[rest] for rest in rests if rest in best]
        gains.append(fit.log_evidence - max(known, default=0.0))
    return gains


def _gain_features(gain: float) -> list[float]:
    return [float(np.clip(gain, -20, 60)) / 10, float(np.sqrt(np.clip(gain, 0, 60)))]


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
    for i in range(len(fit.phases)):  # the order test speaks of these
        free &= ~fit.ordering(observed, i)
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
        sum(v for k, v in log_odds.items() if v > 0 and k in STRUCTURES and k not in names) / 10,
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
        float(min(5, *fit.faint_lines)),
        float(min(6, *(n + faint for n, faint in zip(own, fit.faint_lines)))),
        float(fit.missing.sum()) / 10,
        float(fit.missing.max()) / 10,
        sum(_pair_odds(names.count(name), log_odds.get(f"two {name}", 0.0)) for name in ("A1", "A2")) / 10,
        float(root[free].sum() / total) / (1 + float(np.exp(-log_odds.get("foreign lines", 0.0)))),
    ]


def _pair_odds(count: int, log_odds: float) -> float:
    """Count the log odds of two lattices of a type for a set that has both, and against one that has one."""
    return log_odds if count > 1 else -max(log_odds, 0.0) * count
