"""The alloys next to one that is known: those about which the predictor is least certain, or best for a target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import permutations

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError
from hea_sim.properties.contract import ROOM_TEMPERATURE_K, STRUCTURES, PropertyPredictor
from hea_sim.properties.design.acquisition import choose_batch
from hea_sim.properties.design.candidates import Candidate, candidates_of
from hea_sim.properties.design.limits import broken_limits
from hea_sim.properties.design.scores import SAME, ScoredAlloys, score
from hea_sim.properties.design.suggestion import element_table_of, rows_of
from hea_sim.properties.design.target import DesignTarget

#: Elements that may be added where no target names others: metals that are cast in high-entropy alloys.
ADDABLE = ("Al", "Co", "Cr", "Cu", "Fe", "Hf", "Mn", "Mo", "Nb", "Ni", "Ta", "Ti", "V", "W", "Zr")
#: Fewest elements that a neighbour may have where no target says otherwise.
LEAST_ELEMENTS = 4
#: What is scored where nothing is wanted: any structure will do.
_ANYTHING = DesignTarget(structure=STRUCTURES)


def suggest_neighbours(
    alloy: Composition | str,
    *,
    predictor: PropertyPredictor,
    n: int = 4,
    tried: Iterable[Composition | str] = (),
    step_at_percent: float = 5.0,
    target: DesignTarget | None = None,
    processing: str = "other",
    temperature_K: float = ROOM_TEMPERATURE_K,
    seed: int = 0,
) -> list[Candidate]:
    """Suggest neighbours of an alloy, best first.

    Neighbours differ by one step (one element up, another down), by one element less, or by one more at the mean
    share of the others. Without a target the one with the least certain structure comes first, by the entropy of its
    predicted probabilities: measuring it tells most. With a target its limits hold (but its grid: the alloy stands
    where it stands), its processing and temperature count, and the best for it come first. Alloys outside the
    predictor's domain, and those in `tried`, are left out.
    """
    start = Composition.parse(alloy)
    if not 0 < step_at_percent <= 50:
        raise InputError(f"step_at_percent is {step_at_percent}; wanted at.% above 0 and at most 50, such as 5")
    if n < 1:
        raise InputError(f"n is {n}; wanted at least one suggestion")
    table = element_table_of(target)
    found = _distinct_neighbours(start, step_at_percent / 100, [Composition.parse(t) for t in tried], target, predictor)
    if target is not None:
        found = [(near, change) for near, change in found if not broken_limits(target, near, table)]
        processing, temperature_K = target.processing, target.temperature_K
    if not found:
        return []
    elements = tuple(dict.fromkeys(e for near, _ in found for e in near))
    wanted = target or _ANYTHING.model_copy(update={"processing": processing, "temperature_K": temperature_K})
    scored = score(wanted, predictor, elements, rows_of([near for near, _ in found], elements), table)
    chosen = _least_certain(scored, n) if target is None else _best(scored, n, seed)
    known = rows_of([start, *(Composition.parse(t) for t in tried)], elements)
    return candidates_of(
        target,
        scored,
        chosen,
        predictor=predictor,
        table=table,
        tried=known,
        processing=processing,
        temperature_K=temperature_K,
        changes=[change for _, change in found],
    )


def entropy_bits(probabilities: np.ndarray) -> np.ndarray:
    """Compute the entropy (n,) of probabilities (n, K).

    >>> entropy_bits(np.array([[0.5, 0.5, 0.0, 0.0]])).tolist()
    [1.0]
    """
    p = np.clip(np.asarray(probabilities, float), 1e-300, 1.0)
    return np.asarray(-(p * np.log2(p)).sum(1))


def _least_certain(scored: ScoredAlloys, n: int) -> list[int]:
    bits = np.where(scored.prediction.in_domain, entropy_bits(scored.prediction.structure), -1.0)
    order = np.argsort(-np.round(bits, 9), kind="stable")
    return [int(i) for i in order[:n] if bits[i] >= 0]


def _best(scored: ScoredAlloys, n: int, seed: int) -> list[int]:
    return choose_batch(scored, n, rng=np.random.default_rng(seed))


def _distinct_neighbours(
    start: Composition,
    step: float,
    tried: list[Composition],
    target: DesignTarget | None,
    predictor: PropertyPredictor,
) -> list[tuple[Composition, str]]:
    known, found = [start, *tried], []
    least = LEAST_ELEMENTS if target is None else target.elements_from_to[0]
    addable = ADDABLE if target is None else target.elements or ADDABLE
    for near, change in _neighbours(start, step, least, addable):
        if set(near) <= set(predictor.elements) and all(_distance(near, other) > SAME for other in known):
            known.append(near)
            found.append((near, change))
    return found


def _distance(a: Composition, b: Composition) -> float:
    return sum(abs(a.get(e, 0.0) - b.get(e, 0.0)) for e in {*a, *b})


def _neighbours(
    alloy: Composition, step: float, least: int, addable: tuple[str, ...]
) -> Iterator[tuple[Composition, str]]:
    now = dict(alloy)
    if len(now) >= least:
        for up, down in permutations(now, 2):
            if now[down] - step > 1e-9:
                moved = {**now, up: now[up] + step, down: now[down] - step}
                yield Composition.parse(moved), f"{up} up and {down} down by {100 * step:g} at.%"
    if len(now) > least:
        for gone in now:
            yield Composition.parse({e: f for e, f in now.items() if e != gone}), f"without {gone}"
    for new in addable:
        if new not in now and len(now) + 1 >= least:
            yield Composition.parse({**now, new: 1.0 / len(now)}), f"with {new} at an equal share"
