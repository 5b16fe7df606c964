"""Suggest the composition to look at next: the neighbour of an alloy about which the rule is least certain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations

from hea_sim.alloy import Composition
from hea_sim.errors import InputError
from hea_sim.properties.rules import CompositionOpinion, first_opinion

#: Elements that may be added: metals that are cast in high-entropy alloys.
ADDABLE = ("Al", "Co", "Cr", "Cu", "Fe", "Hf", "Mn", "Mo", "Nb", "Ni", "Ta", "Ti", "V", "W", "Zr")
#: Fewest elements that a neighbour may have; the counts are of alloys of four or more.
LEAST_ELEMENTS = 4
#: Two compositions closer than this (sum of absolute differences of fractions) are one.
_SAME = 0.004


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Hold one suggested composition: how it was made, how uncertain its structure is, and why it is suggested."""

    composition: Composition
    formula: str
    change: str
    entropy_bits: float
    structure: str
    probabilities: dict[str, float]
    reason: str


def suggest_next(
    composition: Composition | str,
    *,
    step_at_percent: float = 5.0,
    n: int = 4,
    tried: Iterable[Composition | str] = (),
) -> list[Suggestion]:
    """Suggest neighbours of a composition, the one with the least certain structure first.

    Neighbours differ by one step (one element up, another down), by one element less, or by one more at the mean
    share of the others. Those outside the counted domain, and those in `tried`, are left out. Uncertainty is the
    entropy of the observed structures near the neighbour's VEC under the rule's verdict. Deterministic.

    Examples
    --------
    >>> [s.formula for s in suggest_next("NbMoTaW", n=1)] == [suggest_next("NbMoTaW", n=3)[0].formula]
    True
    """
    alloy = Composition.parse(composition)
    if not 0 < step_at_percent <= 50:
        raise InputError(f"step_at_percent is {step_at_percent}; wanted at.% above 0 and at most 50, such as 5")
    if n < 1:
        raise InputError(f"n is {n}; wanted at least one suggestion")
    known = [Composition.parse(t) for t in tried] + [alloy]
    found: list[Suggestion] = []
    for neighbour, change in _neighbours(alloy, step_at_percent / 100.0):
        if any(_distance(neighbour, other) <= _SAME for other in known):
            continue
        opinion = first_opinion(neighbour)
        if opinion.domain["in_domain"] and opinion.reliability is not None:
            known.append(neighbour)
            found.append(_suggestion(neighbour, change, opinion))
    found.sort(key=lambda s: (-round(s.entropy_bits, 9), s.formula))
    return found[:n]


def _distance(a: Composition, b: Composition) -> float:
    return sum(abs(a.get(e, 0.0) - b.get(e, 0.0)) for e in {*a, *b})


def _neighbours(alloy: Composition, step: float) -> Iterator[tuple[Composition, str]]:
    now = dict(alloy)
    if len(now) >= LEAST_ELEMENTS:
        for up, down in permutations(now, 2):
            if now[down] - step > 1e-9:
                moved = {**now, up: now[up] + step, down: now[down] - step}
                yield Composition.parse(moved), f"{up} up and {down} down by {100 * step:g} at.%"
    if len(now) > LEAST_ELEMENTS:
        for gone in now:
            yield Composition.parse({e: f for e, f in now.items() if e != gone}), f"without {gone}"
    for new in ADDABLE:
        if new not in now and len(now) + 1 >= LEAST_ELEMENTS:
            yield Composition.parse({**now, new: 1.0 / len(now)}), f"with {new} at an equal share"


def _suggestion(alloy: Composition, change: str, opinion: CompositionOpinion) -> Suggestion:
    seen = opinion.reliability
    assert seen is not None  # checked by the caller
    shares = sorted(seen.probabilities.items(), key=lambda item: (-item[1], item[0]))
    likely = ", ".join(f"{label} {p:.0%}" for label, p in shares if p >= 0.02)
    reason = (
        f"{change}: the rule says {seen.verdict} at VEC {seen.vec:.2f}, where {seen.n} alloys with that verdict were"
        f" {likely}; entropy {seen.entropy_bits:.2f} bits: a measurement here would tell much about the rule"
    )
    return Suggestion(
        composition=alloy,
        formula=alloy.formula,
        change=change,
        entropy_bits=seen.entropy_bits,
        structure=seen.verdict,
        probabilities=dict(seen.probabilities),
        reason=reason,
    )
