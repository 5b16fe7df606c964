"""What is suggested: an alloy, the probability that it meets the target, what is predicted, and why, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.properties.contract import PROPERTY_UNITS, AlloyPrediction, ClassCall, KnownAlloy, PropertyPredictor
from hea_sim.properties.design.costs import TABLE_UNITS, ElementTable
from hea_sim.properties.design.scores import SAME, ScoredAlloys, distances, on_front
from hea_sim.properties.design.target import QUANTITY_UNITS, DesignTarget
from hea_sim.records import Estimate

#: An alloy counts for the front where its probability is at least this share of the largest.
_LIKELY = 0.5
#: What is told of a known alloy in a line.
_REPORTED = ("structure", "not_structures", "family", *PROPERTY_UNITS)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Hold one suggested alloy.

    `at_percent` sums to 100; `probability` is that of meeting every wish of the target, None where there was none;
    `prediction` holds classes and properties with their intervals and the known alloys behind them; `quantities` are
    cost and density; `apart_at_percent` is how many at.% must be exchanged to come to the nearest of the other
    candidates and of what was tried, None where there is none; `on_front` tells, of several objectives, whether no
    other alloy that was looked at is better in all; `change` how the alloy differs from the one it was made of.
    """

    formula: str
    composition: Composition
    at_percent: Mapping[str, float]
    probability: float | None
    prediction: AlloyPrediction
    quantities: Mapping[str, Estimate] = field(default_factory=dict)
    apart_at_percent: float | None = None
    on_front: bool | None = None
    change: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """Give the reasons in one line."""
        return "; ".join(self.reasons)


def candidates_of(
    target: DesignTarget | None,
    scored: ScoredAlloys,
    chosen: Sequence[int],
    *,
    predictor: PropertyPredictor,
    table: ElementTable,
    tried: np.ndarray,
    processing: str,
    temperature_K: float,
    changes: Sequence[str] = (),
) -> list[Candidate]:
    """Describe the chosen of scored alloys; `tried` (t, E) are fractions, `changes` say how each was made."""
    rows = [
        {e: round(100 * float(x), 10) for e, x in zip(scored.elements, scored.fractions[i]) if x > 0} for i in chosen
    ]
    alloys = [Composition.parse(row) for row in rows]
    told = predictor.predict(alloys, processing=processing, temperature_K=temperature_K) if alloys else []
    several = scored.mean.shape[1] > 1
    likely = scored.probability >= _LIKELY * scored.probability.max(initial=0.0)
    found = []
    for place, i in enumerate(chosen):
        others = np.vstack([tried, scored.fractions[[j for j in chosen if j != i]]])
        apart = float(distances(scored.fractions[[i]], others).min()) * 50 if len(others) else None
        quantities = {
            name: Estimate(value=float(scored.quantities[name][i, 0]), unit=unit, method=table.source(name))
            for name, unit in TABLE_UNITS.items()
            if np.isfinite(scored.quantities[name][i, 0])
        }
        candidate = Candidate(
            formula="".join(f"{e}{share:g}" for e, share in rows[place].items()),
            composition=alloys[place],
            at_percent=rows[place],
            probability=None if target is None else float(scored.probability[i]),
            prediction=told[place],
            quantities=quantities,
            apart_at_percent=apart,
            on_front=bool(on_front(np.vstack([scored.mean[i], scored.mean[likely]]))[0]) if several else None,
            change=changes[i] if changes else "",
        )
        found.append(_with_reasons(candidate, target, scored, i))
    return found


def _with_reasons(candidate: Candidate, target: DesignTarget | None, scored: ScoredAlloys, i: int) -> Candidate:
    reasons = [candidate.change] if candidate.change else []
    if target is not None:
        reasons.append(f"meets the target with probability {scored.probability[i]:.0%}")
    reasons += _phase_reasons(candidate.prediction, target)
    reasons += _quantity_reasons(candidate, target, scored, i)
    if candidate.on_front:
        reasons.append("no other alloy that was looked at is better in every objective")
    if candidate.prediction.leans_on:
        reasons.append(_known_text(candidate.prediction.leans_on[0]))
    if candidate.apart_at_percent is not None:
        reasons.append(f"{candidate.apart_at_percent:.3g} at.% from the nearest other candidate or tried alloy")
    return replace(candidate, reasons=tuple(reasons))


def _known_text(known: KnownAlloy) -> str:
    said = ", ".join(f"{key} {_plain(value)}" for key, value in known.reported.items() if key in _REPORTED)
    if known.distance <= SAME:
        return "known already" + (f" ({said})" if said else "")
    return f"nearest known: {known.formula}, {50 * known.distance:.3g} at.% away" + (f" ({said})" if said else "")


def _phase_reasons(prediction: AlloyPrediction, target: DesignTarget | None) -> list[str]:
    asked_family = target is not None and bool(target.family)
    calls = [("structure", prediction.structure), *([("family", prediction.family)] if asked_family else [])]
    return [f"{what}: {_call_text(call)}" for what, call in calls if call is not None]


def _call_text(call: ClassCall) -> str:
    shares = sorted(call.probabilities.items(), key=lambda item: (-item[1], item[0]))
    likely = ", ".join(f"{name} {p:.0%}" for name, p in shares if p >= 0.02)
    return f"{likely} (at {call.level:.0%} one of {', '.join(call.prediction_set)})"


def _quantity_reasons(candidate: Candidate, target: DesignTarget | None, scored: ScoredAlloys, i: int) -> list[str]:
    if target is None:
        return []
    asked = (*target.maximise, *target.minimise, *target.least, *target.most)
    reasons = []
    for name in dict.fromkeys(asked):
        value, low, high = scored.quantities[name][i]
        text = f"{name.rpartition('_')[0].replace('_', ' ')} {value:.4g} {QUANTITY_UNITS[name]}"
        if name in TABLE_UNITS:
            text = f"{name.split('_')[0]} {value:.3g} {QUANTITY_UNITS[name]}"
        elif high > low:
            text += f" ({low:.4g} to {high:.4g} at {scored.prediction.level:.0%})"
        bounds = [(word, b[name]) for word, b in (("at least", target.least), ("at most", target.most)) if name in b]
        if bounds:
            text += f", wanted {' and '.join(f'{word} {bound:g}' for word, bound in bounds)}"
            if name not in TABLE_UNITS:
                text += f": met with probability {scored.bound_probability[name][i]:.0%}"
        reasons.append(text)
    return reasons


def _plain(value: object) -> str:
    if isinstance(value, Mapping):  # how often each was reported
        return " or ".join(f"{name} ({count})" for name, count in value.items())
    if isinstance(value, (list, tuple)):
        return " or ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
