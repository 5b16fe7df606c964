"""Hold measured properties against what known alloys predict, and turn what was measured into alloys to learn from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import NormalDist

from hea_sim.alloy import Composition
from hea_sim.forecasting import SET_LEVEL
from hea_sim.properties.contract import PROPERTY_NAMES, PROPERTY_UNITS, MeasuredAlloy, PropertyPredictor
from hea_sim.records import Estimate, Evidence
from hea_vision.campaign import PropertyEntry
from hea_vision.verdicts import judge_numbers

#: Known hardness is that of room temperature; above this, a measured one is neither held against it nor learnt.
HARDNESS_TO_K = 373.15


def crosscheck_properties(
    entries: Sequence[PropertyEntry],
    alloy: str,
    predictor: PropertyPredictor,
    *,
    processing: str,
    alternatives: Sequence[str] = (),
    synthetic: bool = False,
) -> list[Evidence]:
    """Hold each measured property against the prediction at the temperature of its test.

    `alternatives` are other alloys; a claim can only agree where one of them could have been told apart.
    """
    return [_claim(entry, alloy, predictor, processing, alternatives, synthetic) for entry in entries]


def _claim(
    entry: PropertyEntry,
    alloy: str,
    predictor: PropertyPredictor,
    processing: str,
    alternatives: Sequence[str],
    synthetic: bool,
) -> Evidence:
    # Errors of strength have heavier tails than a normal law: the 99 % interval, as for phases, gives the std.
    told = predictor.predict(
        [alloy, *alternatives], processing=processing, temperature_K=entry.temperature_K, level=SET_LEVEL
    )
    measured = Estimate.normal(
        entry.value, entry.std, unit=PROPERTY_UNITS[entry.name], method=f"campaign, {entry.temperature_K:g} K"
    )
    found = [prediction.properties.get(entry.name) for prediction in told]
    claim = partial(
        Evidence,
        claim=PROPERTY_NAMES[entry.name],
        kind="property",
        against=alloy,
        measured_source="campaign",
        predicted_source="known alloys",
    )
    predicted = _with_std(found[0], entry.value)
    why = "; ".join(told[0].reasons or told[0].notes)
    if _is_hot_hardness(entry):
        predicted, why = None, f"known alloys tell that of room temperature, not of {entry.temperature_K:g} K"
    if predicted is None:
        reason = f"no {PROPERTY_NAMES[entry.name]} is predicted: {why}"
        return claim(verdict="inconclusive", independent=not synthetic, measured=measured, reason=reason)
    told_others = {name: _with_std(other) for name, other in zip(alternatives, found[1:])}
    others = {name: other for name, other in told_others.items() if other is not None}
    return claim(**judge_numbers(measured, predicted, independent=not synthetic, alternatives=others))


def _is_hot_hardness(entry: PropertyEntry) -> bool:
    return entry.name == "hardness_HV" and entry.temperature_K > HARDNESS_TO_K


def _with_std(found: Estimate | None, toward: float | None = None) -> Estimate | None:
    """Give a prediction the std of that side of its lopsided interval on which `toward` lies; without it, the wider."""
    if found is None or found.low is None or found.high is None or found.level is None:
        return None
    sides = {False: found.value - found.low, True: found.high - found.value}
    reach = max(sides.values()) if toward is None else sides[toward >= found.value]
    if not (math.isfinite(reach) and reach > 0):
        return None
    method = f"{found.method}; std from the {'wider' if toward is None else 'nearer'} side of its interval"
    return replace(found, std=reach / NormalDist().inv_cdf((1 + found.level) / 2), method=method)


def alloys_to_learn(
    claims: Sequence[Evidence], entries: Sequence[PropertyEntry], alloy: Composition, *, processing: str
) -> list[MeasuredAlloy]:
    """Turn what was measured of a specimen into alloys to learn from: its phases by the claims, and its properties.

    Patterns that say the same of the specimen's phases are one measurement, however many they are.
    """
    from hea_sim.properties.design.measured import measured_from_evidence

    common = partial(MeasuredAlloy, composition=alloy, processing=processing, source="campaign")
    distinct: dict[tuple[object, ...], MeasuredAlloy] = {}
    for one in measured_from_evidence([c for c in claims if c.against == alloy.formula], alloy=alloy):
        distinct.setdefault((one.structure, one.not_structures), one)
    return [
        *distinct.values(),
        *(
            common(properties={e.name: e.value}, temperature_K=e.temperature_K)
            for e in entries
            if not _is_hot_hardness(e)
        ),
    ]
