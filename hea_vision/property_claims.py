"""Hold measured properties against what known alloys predict, and turn what was measured into alloys to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import NormalDist

from hea_sim.alloy import Composition
from hea_sim.properties.contract import PROPERTY_UNITS, MeasuredAlloy, PropertyPredictor
from hea_sim.records import Estimate, Evidence
from hea_vision.campaign import PropertyEntry
from hea_vision.verdicts import judge_numbers

#: How an entry's name is said in a claim.
PROPERTY_WORDS = {"hardness_HV": "hardness", "yield_strength_MPa": "yield strength"}


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
    told = predictor.predict([alloy, *alternatives], processing=processing, temperature_K=entry.temperature_K)
    measured = Estimate.normal(
        entry.value, entry.std, unit=PROPERTY_UNITS[entry.name], method=f"campaign, {entry.temperature_K:g} K"
    )
    expected = [_with_std(prediction.properties.get(entry.name)) for prediction in told]
    claim = partial(
        Evidence,
        claim=PROPERTY_WORDS[entry.name],
        kind="property",
        against=alloy,
        measured_source="campaign",
        predicted_source="known alloys",
    )
    predicted = expected[0]
    if predicted is None:
        why = "; ".join(told[0].reasons or told[0].notes)
        reason = f"no {PROPERTY_WORDS[entry.name]} is predicted: {why}"
        return claim(verdict="inconclusive", independent=not synthetic, measured=measured, reason=reason)
    others = {name: other for name, other in zip(alternatives, expected[1:]) if other is not None}
    return claim(**judge_numbers(measured, predicted, independent=not synthetic, alternatives=others))


def _with_std(found: Estimate | None) -> Estimate | None:
    """Give a prediction the std that its interval has."""
    if found is None or found.low is None or found.high is None or found.level is None:
        return None
    std = (found.high - found.low) / (2 * NormalDist().inv_cdf((1 + found.level) / 2))
    return Estimate.normal(found.value, std, unit=found.unit, method=found.method)


def alloys_to_learn(
    claims: Sequence[Evidence], entries: Sequence[PropertyEntry], alloy: Composition, *, processing: str
) -> list[MeasuredAlloy]:
    """Turn what was measured of a specimen into alloys to learn from: its phases by the claims, and its properties."""
    from hea_sim.properties.design.measured import measured_from_evidence

    common = partial(MeasuredAlloy, composition=alloy, processing=processing, source="campaign")
    return [
        *measured_from_evidence([c for c in claims if c.against == alloy.formula], alloy=alloy),
        *(common(properties={e.name: e.value}, temperature_K=e.temperature_K) for e in entries),
    ]
