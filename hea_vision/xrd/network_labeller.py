"""Label a powder pattern: the network proposes structure types, physics fits them, a calibrated ranking decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from hea_sim.records import PatternCall
from hea_sim.registry import load_arrays, load_card
from hea_vision.xrd.amorphous import is_amorphous
from hea_vision.xrd.calls import call_of_set, call_without_lines, call_without_sets
from hea_vision.xrd.candidates import candidate_sets
from hea_vision.xrd.encoding import encode_lines
from hea_vision.xrd.proposals import PROPOSER, log_odds
from hea_vision.xrd.question import Question
from hea_vision.xrd.ranking import RankingModel, assemblage_probabilities, candidate_features, none_features
from hea_vision.xrd.set_fit import SetFit

#: The ranking that comes with the package.
RANKING = "xrd-ranking"
#: Probability of a metallic phase below which a pattern is refused.
_LEAST_METALLIC = 0.65
#: Log odds of a structure that the user gives.
_USER_LOG_ODDS = 3.0


@lru_cache(maxsize=2)
def load_ranking(model: str = RANKING) -> RankingModel:
    """Load the weights of the ranking from the registry."""
    arrays = load_arrays(model)
    return RankingModel(
        candidate=arrays["candidate"], none=arrays["none"], least_probability=float(arrays["least_probability"].item())
    )


def label_with_network(question: Question) -> PatternCall:
    """Label one pattern."""
    if len(question.observed) == 0 or is_amorphous(question.lines):
        return call_without_lines(question)
    odds = log_odds([encode_lines(question.lines, log_volume=question.log_volume)])[0]
    # A structure that the user brought is likely there; the network does not know it.
    odds |= {kind.name: _USER_LOG_ODDS for kind in question.user_structures}
    fits = candidate_sets(question, odds)
    if not fits:
        return call_without_sets(question)
    ranking = load_ranking()
    probabilities, best, none = rank_sets(question, fits, odds, ranking)
    ranked = sorted(probabilities, key=lambda names: -probabilities[names])
    possible = [names for names in ranked if names == ranked[0] or probabilities[names] >= ranking.least_probability]
    frame = question.frame(**{name: load_card(name).arrays_sha256 for name in (PROPOSER, RANKING)})
    notes = []
    if none > probabilities[best.names]:
        notes = [f"likelier ({none:.2f}) none of the sets that were fitted: take the phases as a beginning"]
    return call_of_set(
        question,
        best,
        probabilities,
        possible=possible,
        frame=frame,
        refine=True,
        notes=notes,
        doubt=_doubt(fits, probabilities),
    )


def _doubt(fits: Sequence[SetFit], probabilities: Mapping[tuple[str, ...], float]) -> str:
    """Say why the ranking does not take a pattern for one of an alloy; empty where it does."""
    metals = {p.name for fit in fits for p in fit.phases if p.table.kind.metallic}
    metallic = sum(p for names, p in probabilities.items() if metals & set(names))
    if metallic >= _LEAST_METALLIC:
        return ""
    return (
        f"a metallic phase that is known here is there with a probability of {metallic:.2f} only, less than"
        f" {_LEAST_METALLIC}: a ceramic, or a structure that is not known here"
    )


def rank_sets(
    question: Question, fits: Sequence[SetFit], odds: Mapping[str, float], ranking: RankingModel
) -> tuple[dict[tuple[str, ...], float], SetFit, float]:
    """Give the probability of every assemblage, the best fit of the likeliest one, and the probability of none."""
    features = candidate_features(question.observed, fits, odds)
    everything = ranking.probabilities(features, none_features(features, odds))
    probabilities, none = everything[:-1], float(everything[-1])
    by_names = assemblage_probabilities([fit.names for fit in fits], probabilities)
    top = max(by_names, key=lambda names: by_names[names])
    rows = [i for i, fit in enumerate(fits) if fit.names == top]
    return by_names, fits[rows[int(np.argmax(probabilities[rows]))]], none
