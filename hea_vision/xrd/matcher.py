"""Label a powder pattern by matching prototypes with free lattices: the baseline `matcher`.

Lines are found and fitted, lattices of every prototype scanned, sets of one to three phases fitted and compared by
their evidence; then the set is judged: what stays unexplained, whether a metal is there at all, whether order could
hide. Probabilities are those of the evidence, flattened by a temperature (see `EVIDENCE_TEMPERATURE`).
"""

from __future__ import annotations

import numpy as np

from hea_sim.records import PatternCall
from hea_vision.xrd.amorphous import is_amorphous
from hea_vision.xrd.calls import SET_LEVEL, call_of_set, call_without_lines, call_without_sets
from hea_vision.xrd.evidence import PRIORS
from hea_vision.xrd.question import Question
from hea_vision.xrd.search import search_sets
from hea_vision.xrd.set_fit import SetFit

#: The evidence takes lines as independent; they are not, so its logarithm is divided by this before normalising.
EVIDENCE_TEMPERATURE = 2.0
#: Evidence below which a set is not better than chance, nats.
_LEAST_EVIDENCE = 8.0


def label_by_matching(question: Question) -> PatternCall:
    """Label one pattern."""
    if len(question.observed) == 0 or is_amorphous(question.lines):
        return call_without_lines(question)
    kinds = (*(question.structures or PRIORS), *question.user_structures)
    fits = search_sets(question.observed, elements=question.elements, structures=kinds)
    if not fits or fits[0].log_evidence < _LEAST_EVIDENCE:
        return call_without_sets(question)
    probabilities = set_probabilities(fits)
    return call_of_set(question, fits[0], probabilities, possible=_gather(probabilities), hints=True)


def _gather(probabilities: dict[tuple[str, ...], float]) -> list[tuple[str, ...]]:
    """List assemblages, likeliest first, until they hold the level of prediction sets."""
    total, whole, out = 0.0, sum(probabilities.values()), []
    for names, probability in sorted(probabilities.items(), key=lambda item: -item[1]):
        out.append(names)
        total += probability
        if total >= SET_LEVEL * whole:
            break
    return out


def set_probabilities(fits: list[SetFit]) -> dict[tuple[str, ...], float]:
    """Turn evidences into probabilities of assemblages; "nothing known" competes with evidence zero."""
    best: dict[tuple[str, ...], float] = {}
    for fit in fits:
        best.setdefault(fit.names, fit.log_evidence)
    values = np.array([*best.values(), 0.0]) / EVIDENCE_TEMPERATURE
    weights = np.exp(values - values.max())
    weights /= weights.sum()
    return dict(zip(best, weights.tolist()))
