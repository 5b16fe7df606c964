"""Fit the ranking of candidate sets to simulated specimens, so that its probabilities mean what they say.

Specimens are drawn with seeds of their own, apart from those of the network and of every benchmark. Weights fitted to
four fifths of them judge the rest; from that comes the least probability that an assemblage needs to stand in a
prediction set, so that sets hold the truth as often as they claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from hea_sim.crystals import prototype
from hea_sim.diffraction.random_specimens import LABORATORY, RandomSpecimen, SpecimenSettings, draw_specimen
from hea_sim.errors import HEAError
from hea_vision.xrd.candidates import candidate_sets
from hea_vision.xrd.encoding import encode_lines
from hea_vision.xrd.network import PhaseProposer
from hea_vision.xrd.proposals import log_odds
from hea_vision.xrd.question import ask
from hea_vision.xrd.ranking import (
    FEATURES,
    NONE_FEATURES,
    RankingModel,
    assemblage_probabilities,
    candidate_features,
    none_features,
)
from hea_vision.xrd.set_fit import Candidate, SetFit

#: A lattice is the right one within this relative difference.
_SAME_LATTICE = 0.015
#: Penalty of the squared weights, of the values tried the one with the least log loss over five folds.
_RIDGE = 0.3


@dataclass(frozen=True, kw_only=True, eq=False)
class RankingExample:
    """Hold the candidates of one specimen: `features` (n, features), `none`, and which of them are `right` (n,).

    `names` are the candidates' assemblages, `truth` that of the phases that show.
    """

    features: np.ndarray
    none: np.ndarray
    right: np.ndarray
    names: tuple[tuple[str, ...], ...]
    truth: tuple[str, ...]


def make_ranking_example(
    seed: int, number: int, network: PhaseProposer | None = None, settings: SpecimenSettings = LABORATORY
) -> RankingExample | None:
    """Simulate specimen `number` of a seed and list its candidates; None where no line is seen."""
    rng = np.random.default_rng([seed, number])
    while True:
        try:
            drawn = draw_specimen(rng, settings)
            break
        except HEAError:
            continue
    told = drawn.composition if rng.random() < 0.5 else None
    question = ask(
        drawn.measured.pattern,
        elements=told,
        radiation=None,
        structures=None,
        volumes_from_elements=True,
        method="network",
    )
    if len(question.observed) == 0:
        return None
    odds = log_odds([encode_lines(question.lines, log_volume=question.log_volume)], network=network)[0]
    fits = candidate_sets(question, odds)
    features = candidate_features(question.observed, fits, odds)
    needed = {i for i in range(len(drawn.phase_lattices)) if drawn.shows(i)}
    return RankingExample(
        features=features,
        none=none_features(features, odds),
        right=np.array([is_right(fit, drawn, needed) for fit in fits], bool),
        names=tuple(fit.names for fit in fits),
        truth=tuple(sorted(drawn.phase_lattices[i] for i in needed)),
    )


def is_right(fit: SetFit, drawn: RandomSpecimen, needed: set[int]) -> bool:
    """Say whether a set holds every phase that shows, with its lattice, and none that is not there."""
    there = range(len(drawn.phase_lattices))
    return any(
        needed <= set(chosen) and all(_same_phase(drawn, i, phase) for i, phase in zip(chosen, fit.phases))
        for chosen in permutations(there, len(fit.phases))
    )


def _same_phase(drawn: RandomSpecimen, index: int, found: Candidate) -> bool:
    phase = drawn.measured.phases[index]
    truth = phase.cell.a_A / prototype(str(phase.structure)).fundamental_ratio
    return drawn.phase_lattices[index] == found.name and abs(np.log(found.a_A / truth)) < _SAME_LATTICE


def fit_ranking(examples: Sequence[RankingExample], ridge: float = _RIDGE) -> RankingModel:
    """Maximise the likelihood of the right candidates, or of "none" where no candidate is right.

    Features count in units of their spread over the candidates, so that one `ridge` suits all weights.
    """
    n, m = len(FEATURES), len(NONE_FEATURES)
    counts = np.array([len(e.right) + 1 for e in examples])
    first = np.cumsum(counts) - counts
    candidates = np.concatenate([e.features for e in examples])
    mean, spread = candidates.mean(axis=0), np.maximum(candidates.std(axis=0), 1e-9)
    rows = np.zeros((counts.sum(), n + m))
    right = np.zeros(len(rows), bool)
    for e, start in zip(examples, first):
        none = start + len(e.right)
        rows[start:none, :n], rows[none, n:] = (e.features - mean) / spread, e.none
        right[start:none], right[none] = e.right, not e.right.any()

    def log_sums(score: np.ndarray) -> np.ndarray:
        top = np.maximum.reduceat(score, first)
        top = np.where(np.isfinite(top), top, 0.0)
        return top + np.log(np.add.reduceat(np.exp(score - np.repeat(top, counts)), first))

    def negative(theta: np.ndarray) -> tuple[float, np.ndarray]:
        score = rows @ theta
        good = np.where(right, score, -np.inf)
        whole, mine = log_sums(score), log_sums(good)
        p, q = np.exp(score - np.repeat(whole, counts)), np.exp(good - np.repeat(mine, counts))
        loss = float((whole - mine).sum()) + 0.5 * ridge * float(theta @ theta)
        return loss, rows.T @ (p - q) + ridge * theta

    found = minimize(negative, np.zeros(n + m), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    candidate, none_weights = found.x[:n] / spread, found.x[n:]
    none_weights[0] += float(candidate @ mean)
    return RankingModel(candidate=candidate, none=none_weights)


#: An example with a ranking that was not fitted to it.
Judged = tuple[RankingModel, RankingExample]


def cross_fitted(examples: Sequence[RankingExample], folds: int = 5) -> list[Judged]:
    """Pair every example with a ranking that was fitted to the other folds."""
    out: list[Judged] = []
    for fold in range(folds):
        model = fit_ranking([e for i, e in enumerate(examples) if i % folds != fold])
        out += [(model, e) for i, e in enumerate(examples) if i % folds == fold]
    return out


def calibrate_sets(model: RankingModel, judged: Sequence[Judged], *, level: float = 0.99) -> RankingModel:
    """Set the least probability of an assemblage in prediction sets by conformal prediction.

    Sets of all assemblages that are likelier than the quantile floor((n + 1)(1 - level)) / n of the truths'
    probabilities hold the truth with probability `level` where specimens are exchangeable with these, and are the
    smallest such sets (Sadinle, Lei & Wasserman, J. Am. Stat. Assoc. 114, 223 (2019), 10.1080/01621459.2017.1395341).
    Specimens whose truth is no candidate cannot be covered by any threshold and are left out.
    """
    truths = np.sort([_of_truth(other, e) for other, e in judged if e.right.any()])
    rank = max(int(np.floor((len(truths) + 1) * (1 - level))) - 1, 0)
    return RankingModel(candidate=model.candidate, none=model.none, least_probability=float(truths[rank]))


def _of_truth(model: RankingModel, example: RankingExample) -> float:
    """Give the probability of the likeliest right assemblage."""
    sums = assemblage_probabilities(example.names, model.probabilities(example.features, example.none)[:-1])
    good = {names for names, ok in zip(example.names, example.right) if ok}
    return max(sums[names] for names in good)


def score_ranking(judged: Sequence[Judged], least_probability: float) -> dict[str, tuple[float, str]]:
    """Judge a ranking: right top sets, truths among the candidates, log loss, calibration error, coverage."""
    right, top, covered, sizes, losses = [], [], [], [], []
    for model, e in judged:
        p = model.probabilities(e.features, e.none)
        good = {names for names, ok in zip(e.names, e.right) if ok}
        by_names = assemblage_probabilities(e.names, p[:-1])
        losses.append(-np.log(max(float(p[:-1][e.right].sum()) if e.right.any() else float(p[-1]), 1e-12)))
        if not by_names:
            continue
        ranked = sorted(by_names, key=lambda names: -by_names[names])
        right.append(ranked[0] in good)
        top.append(by_names[ranked[0]])
        held = [names for names in ranked if names == ranked[0] or by_names[names] >= least_probability]
        covered.append(bool(good & set(held)))
        sizes.append(len(held))
    found = [bool(e.right.any()) for _, e in judged]
    return {
        "top set right": (float(np.mean(right)), "1"),
        "truth among candidates": (float(np.mean(found)), "1"),
        "log loss": (float(np.mean(losses)), "nats"),
        "calibration error": (calibration_error(np.array(top), np.array(right, float)), "1"),
        "sets hold the truth": (float(np.mean(covered)), "1"),
        "mean size of sets": (float(np.mean(sizes)), "1"),
    }


def calibration_error(probability: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Compute the expected calibration error: the mean distance of probability from frequency over bins."""
    which = np.minimum((probability * bins).astype(int), bins - 1)
    return float(
        sum(
            abs(probability[which == b].mean() - right[which == b].mean()) * float(np.mean(which == b))
            for b in np.unique(which)
        )
    )


def save_examples(path: Path, examples: Sequence[RankingExample]) -> None:
    """Write examples to an npz file."""
    arrays: dict[str, np.ndarray] = {"count": np.array(len(examples))}
    for i, e in enumerate(examples):
        arrays |= {f"{i}/features": e.features, f"{i}/none": e.none, f"{i}/right": e.right}
        arrays |= {f"{i}/names": np.array(["+".join(n) for n in e.names]), f"{i}/truth": np.array("+".join(e.truth))}
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(partial, allow_pickle=False, **arrays)
    partial.replace(path)


def load_examples(path: Path) -> list[RankingExample]:
    """Read what `save_examples` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return [
            RankingExample(
                features=stored[f"{i}/features"],
                none=stored[f"{i}/none"],
                right=stored[f"{i}/right"],
                names=tuple(tuple(str(n).split("+")) for n in stored[f"{i}/names"]),
                truth=tuple(str(stored[f"{i}/truth"]).split("+")) if str(stored[f"{i}/truth"]) else (),
            )
            for i in range(int(stored["count"]))
        ]
