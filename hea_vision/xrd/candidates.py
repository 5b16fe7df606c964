"""Candidate sets of phases: the network proposes structure types, physics fits them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hea_sim.crystals import Prototype
from hea_vision.xrd.network import STRUCTURES
from hea_vision.xrd.question import Question
from hea_vision.xrd.search import search_sets
from hea_vision.xrd.set_fit import Candidate, SetFit

#: Types whose log odds the network puts above this are fitted; the likeliest few always are.
_LEAST_LOG_ODDS = -4.0
_ALWAYS = 4
_AT_MOST = 9
#: Nats of evidence that one more phase may cost and still be ranked.
_SLACK = 10.0
#: Types whose log odds are above this may show by one line of their own.
_FAVOURED_LOG_ODDS = -2.0
#: c/a at which a tetragonal type is cubic, and the relative distance from which it counts as tetragonal.
_CUBIC_RATIO = {"L1_0": 2**0.5, "D0_22": 2.0, "martensite": 1.0}
_TETRAGONAL_FROM = 0.004
#: Types that every pattern is tried for.
_COMMON = ("A1", "A2")


def proposed_types(log_odds: Mapping[str, float]) -> tuple[str, ...]:
    """Choose the types that are worth fitting, likeliest first."""
    ranked = sorted(STRUCTURES, key=lambda name: -log_odds[name])
    chosen = [n for i, n in enumerate(ranked[:_AT_MOST]) if i < _ALWAYS or log_odds[n] > _LEAST_LOG_ODDS]
    return tuple(dict.fromkeys([*chosen, *_COMMON]))


def candidate_sets(question: Question, log_odds: Mapping[str, float]) -> list[SetFit]:
    """Fit sets of the proposed types and of the user's own structures, by falling evidence."""
    kinds: Sequence[str | Prototype] = question.structures or proposed_types(log_odds)
    fits = search_sets(
        question.observed,
        elements=question.elements,
        structures=(*kinds, *question.user_structures),
        single_lines=[name for name in STRUCTURES if name in _COMMON or log_odds[name] > _FAVOURED_LOG_ODDS],
        later_structures=() if question.structures else [n for n in STRUCTURES if n not in kinds],
        slack=_SLACK,
        max_phases=4,
    )
    if question.structures:
        return fits
    return [fit for fit in fits if not any(_is_cubic_after_all(phase) for phase in fit.phases)]


def _is_cubic_after_all(phase: Candidate) -> bool:
    """Say whether a tetragonal lattice is not told from its cubic parent, whose order the order test judges."""
    ratio = _CUBIC_RATIO.get(phase.name)
    return ratio is not None and abs(float(np.log(phase.c_A / phase.a_A / ratio))) < _TETRAGONAL_FROM
