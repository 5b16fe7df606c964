"""Fit the ranking of candidate sets to simulated specimens, so that its probabilities mean what they say.

Specimens are drawn with seeds of their own, apart from those of the network and of every benchmark. One part fits the
weights, another sets the mass that prediction sets need to hold the truth as often as they claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from hea_sim.crystals import prototype
from hea_sim.diffraction.random_specimens import RandomSpecimen, SpecimenSettings, draw_specimen
from hea_sim.errors import HEAError
from hea_vision.xrd.candidates import candidate_sets
from hea_vision.xrd.encoding import encode_lines
from hea_vision.xrd.network import PhaseProposer
from hea_vision.xrd.proposals import log_odds
from hea_vision.xrd.question import ask
from hea_vision.xrd.ranking import FEATURES, NONE_FEATURES, RankingModel, candidate_features, none_features
from hea_vision.xrd.set_fit import SetFit

#: A phase counts as there to be found above this significance of its strongest free line.
SEEN_SIGMA = 5.0
#: A lattice is the right one within this relative difference.
_SAME_LATTICE = 0.015
_RIDGE = 0.02


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
    seed: int, number: int, network: PhaseProposer | None = None, settings: SpecimenSettings | None = None
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
    needed = {i for i in range(len(drawn.phase_lattices)) if is_seen(drawn, i)}
    return RankingExample(
        features=features,
        none=none_features(features, odds),
        right=np.array([is_right(fit, drawn, needed) for fit in fits], bool),
        names=tuple(fit.names for fit in fits),
        truth=tuple(sorted(drawn.phase_lattices[i] for i in needed)),
    )


def is_seen(drawn: RandomSpecimen, index: int) -> bool:
    """Say whether a phase shows: its strongest free line stands out, or it is the only one."""
    return len(drawn.phase_lattices) == 1 or drawn.measured.significance(index) >= SEEN_SIGMA


def is_right(fit: SetFit, drawn: RandomSpecimen, needed: set[int]) -> bool:
    """Say whether a set holds every phase that shows, with its lattice, and none that is not there."""
    left = set(range(len(drawn.phase_lattices)))
    for phase in fit.phases:
        match = next(
            (i for i in left if _same_phase(drawn, i, phase.name, phase.a_A)),
            None,
        )
        if match is None:
            return False
        left.discard(match)
    return not left & needed


def _same_phase(drawn: RandomSpecimen, index: int, name: str, a_A: float) -> bool:
    phase = drawn.measured.phases[index]
    kind = prototype(str(phase.structure))
    truth = phase.cell.a_A / kind.fundamental_ratio
    return drawn.phase_lattices[index] == name and abs(np.log(a_A / truth)) < _SAME_LATTICE


def fit_ranking(examples: Sequence[RankingExample]) -> RankingModel:
    """Maximise the likelihood of the right candidates, or of "none" where no candidate is right."""
    n, m = len(FEATURES), len(NONE_FEATURES)

    def negative(theta: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = 0.5 * _RIDGE * float(theta @ theta), _RIDGE * theta
        for e in examples:
            rows = np.zeros((len(e.right) + 1, n + m))
            rows[:-1, :n], rows[-1, n:] = e.features, e.none
            right = np.append(e.right, not e.right.any())
            score = rows @ theta
            p = np.exp(score - logsumexp(score))
            q = np.where(right, p, 0.0)
            q /= max(q.sum(), 1e-300)
            loss -= float(logsumexp(score[right]) - logsumexp(score))
            gradient = gradient - rows.T @ (q - p)
        return loss, gradient

    start = np.zeros(n + m)
    start[0] = 1.0
    found = minimize(negative, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return RankingModel(candidate=found.x[:n], none=found.x[n:])


def calibrate_sets(model: RankingModel, examples: Sequence[RankingExample], *, level: float = 0.99) -> RankingModel:
    """Set the mass of prediction sets by split conformal prediction.

    The score of an example is the mass of assemblages that rank above its truth, plus the truth's own; sets that gather
    the quantile ceil((n + 1) level) / n of the scores hold the truth with probability `level` where the specimens are
    exchangeable with these (Romano, Sesia & Candes, NeurIPS 2020, arXiv:2006.02544). Specimens whose truth is no
    candidate cannot be covered by any mass and are left out.
    """
    scores = []
    for e in examples:
        if not e.right.any():
            continue
        p = model.probabilities(e.features, e.none)[:-1]
        by_names: dict[tuple[str, ...], float] = {}
        good: set[tuple[str, ...]] = set()
        for names, value, right in zip(e.names, p, e.right):
            by_names[names] = by_names.get(names, 0.0) + float(value)
            if right:
                good.add(names)
        ranked = sorted(by_names.values(), reverse=True)
        best = max(by_names[g] for g in good)
        total = sum(by_names.values())
        scores.append(sum(v for v in ranked if v >= best) / total)
    ordered = np.sort(scores)
    rank = min(int(np.ceil((len(ordered) + 1) * level)) - 1, len(ordered) - 1)
    return RankingModel(candidate=model.candidate, none=model.none, set_mass=float(max(ordered[rank], level)))
