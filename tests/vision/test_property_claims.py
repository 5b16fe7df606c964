"""Measured properties against predictions, learning from a campaign, and how the page says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hea_sim.alloy import Composition
from hea_sim.errors import HEAError
from hea_sim.forecasting import forecast, with_prediction
from hea_sim.properties.contract import (
    ROOM_TEMPERATURE_K,
    STRUCTURES,
    AlloyBatch,
    AlloyPrediction,
    BatchPrediction,
    ClassCall,
    MeasuredAlloy,
    PropertyPredictor,
)
from hea_sim.records import Estimate, Evidence
from hea_sim.settings import check_settings
from hea_vision import expectations
from hea_vision.campaign import Campaign, PropertyEntry
from hea_vision.expectations import campaign_target
from hea_vision.loop import LoopResult
from hea_vision.property_claims import alloys_to_learn, crosscheck_properties
from hea_vision.report import render_loop
from hea_vision.report.alloy_prediction import learnt_text, prediction_section


@dataclass(frozen=True)
class TungstenHardens:
    """Predict 100 HV and 900 HV more for pure tungsten, 90 % within 30; the sure set holds one structure more."""

    asked: list[tuple[str, float]] = field(default_factory=list)
    elements: tuple[str, ...] = ("Mo", "Nb", "Ta", "W")

    def predict_batch(self, alloys: AlloyBatch, *, level: float = 0.9) -> BatchPrediction:
        raise NotImplementedError

    def learn(self, measured: Sequence[MeasuredAlloy]) -> PropertyPredictor:
        return self

    def predict(
        self,
        alloys: Sequence[Composition | str],
        *,
        processing: str = "other",
        temperature_K: float = ROOM_TEMPERATURE_K,
        level: float = 0.9,
    ) -> list[AlloyPrediction]:
        self.asked.append((processing, temperature_K))
        return [self._one(Composition.parse(a), processing, temperature_K, level) for a in alloys]

    def _one(self, alloy: Composition, processing: str, kelvin: float, level: float) -> AlloyPrediction:
        told = AlloyPrediction(
            input=alloy.formula,
            composition=alloy,
            processing=processing,
            temperature_K=kelvin,
            in_domain=set(alloy) <= set(self.elements),
            reasons=() if set(alloy) <= set(self.elements) else ("nothing is known of its elements",),
        )
        if not told.in_domain:
            return told
        value = 100 + 900 * alloy.get("W", 0.0)
        hard = Estimate(value=value, low=value - 30, high=value + 30, level=0.9, unit="HV")
        held = ("BCC",) if level < 0.95 else ("BCC", "multi")
        shares = dict.fromkeys(STRUCTURES, 0.1) | {"BCC": 0.7}
        return replace(
            told,
            properties={"hardness_HV": hard},
            structure=ClassCall(probabilities=shares, prediction_set=held, level=level),
        )


def entry(value: float, std: float = 5.0, name: str = "hardness_HV") -> PropertyEntry:
    return check_settings(PropertyEntry, {"name": name, "value": value, "std": std, "temperature_K": 300.0})


def claims(value: float, alloy: str = "NbMoTaW", others: Sequence[str] = ("NbMo",), **change: bool) -> list[Evidence]:
    return crosscheck_properties(
        [entry(value)], alloy, TungstenHardens(), processing="cast", alternatives=others, **change
    )


@pytest.mark.parametrize(
    ("value", "verdict"), [(325.0, "agree"), (325.0 + 70, "disagree"), (325.0 + 48, "inconclusive")]
)
def test_a_property_agrees_or_not_by_its_z(value: float, verdict: str) -> None:
    (claim,) = claims(value)
    assert claim.verdict == verdict and claim.measured.unit == "HV"
    # 30 HV to either side of a 90 % interval is a std of 18.2.
    assert claim.z == pytest.approx((value - 325.0) / (5.0**2 + (30 / 1.644854) ** 2) ** 0.5, rel=1e-5)


@dataclass(frozen=True)
class LopsidedHardness(TungstenHardens):
    """Hold 30 HV below and 60 above the value with 90 %, and twice that with 99 %: tails heavier than normal."""

    def _one(self, alloy: Composition, processing: str, kelvin: float, level: float) -> AlloyPrediction:
        told = super()._one(alloy, processing, kelvin, level)
        value = told.properties["hardness_HV"].value
        wide = 1.0 if level == 0.9 else 2.0
        hard = Estimate(value=value, low=value - 30 * wide, high=value + 60 * wide, level=level, unit="HV")
        return replace(told, properties={"hardness_HV": hard})


@pytest.mark.parametrize(("side", "reach"), [(-1, 60.0), (1, 120.0)])
def test_the_std_is_that_of_the_side_of_the_sure_interval(side: int, reach: float) -> None:
    value = 325.0 + side * reach  # at the end of the 99 % interval: 2.576 std of a normal law
    (claim,) = crosscheck_properties([entry(value, std=1e-6)], "NbMoTaW", LopsidedHardness(), processing="cast")
    assert claim.z == pytest.approx(side * 2.575829, rel=1e-5) and claim.verdict == "inconclusive"
    assert (claim.predicted.low, claim.predicted.high, claim.predicted.level) == (265.0, 445.0, 0.99)


def test_hot_hardness_is_not_held_against_that_of_room_temperature() -> None:
    hot = replace_temperature(entry(150.0), 1273.0)
    (claim,) = crosscheck_properties([hot], "NbMoTaW", TungstenHardens(), processing="cast", alternatives=["NbMo"])
    assert claim.verdict == "inconclusive" and "room temperature, not of 1273 K" in claim.reason
    assert claim.predicted is None
    alloy = Composition.parse("NbMoTaW")
    assert alloys_to_learn([], [hot], alloy, processing="cast") == []
    strong = replace_temperature(entry(150.0, name="yield_strength_MPa"), 1273.0)
    assert alloys_to_learn([], [strong], alloy, processing="cast")[0].temperature_K == 1273.0


def replace_temperature(one: PropertyEntry, kelvin: float) -> PropertyEntry:
    return check_settings(PropertyEntry, one.model_dump() | {"temperature_K": kelvin})


def test_the_page_of_an_alloy_that_nobody_knows_has_no_empty_tables(tmp_path: Path) -> None:
    common = {"name": "x", "alloy": "CoCrNiTe", "processing": "cast"}
    kelvin = {"equilibration_temperature_K": 1800.0, "measurement_temperature_K": 298.0}
    result = LoopResult(campaign=check_settings(Campaign, common | kelvin), folder=tmp_path)
    result.expected = forecast("CoCrNiTe", simulate=False, **kelvin)
    alloy = Composition.parse("CoCrNiTe")
    result.learnt = [MeasuredAlloy(composition=alloy, properties={"hardness_HV": 500.0})]
    (result.relearnt,) = TungstenHardens().predict([alloy])
    result.expected = replace(result.expected, prediction=result.relearnt)
    page = render_loop(result)
    assert "still nothing is predicted of CoCrNiTe" in page and "set that holds it" not in page
    assert "<p>unknown element" not in page


def test_a_database_that_is_not_there_is_a_failed_input(tmp_path: Path) -> None:
    common = {"name": "x", "alloy": "NbMoTaW", "processing": "cast", "thermodynamics": "none.tdb"}
    kelvin = {"equilibration_temperature_K": 1800.0, "measurement_temperature_K": 298.0}
    result = LoopResult(campaign=check_settings(Campaign, common | kelvin), folder=tmp_path)
    assert expectations._database(result) is None
    assert [f["input"] for f in result.failures] == ["none.tdb"] and "no such file" in result.failures[0]["error"]
    (tmp_path / "none.tdb").write_text("x")
    assert expectations._database(result) == tmp_path / "none.tdb" and len(result.failures) == 1


def test_a_property_cannot_agree_where_the_alternatives_are_alike() -> None:
    (claim,) = claims(325.0, others=("NbMoTaW",))
    assert claim.verdict == "inconclusive" and "not told apart" in claim.reason
    (alone,) = claims(325.0, others=())
    assert alone.verdict == "inconclusive"


def test_synthetic_evidence_and_alloys_outside_the_domain_prove_nothing() -> None:
    assert claims(325.0, synthetic=True)[0].verdict == "assumed"
    (outside,) = claims(325.0, alloy="CoCrNi")
    assert outside.verdict == "inconclusive" and "nothing is known of its elements" in outside.reason


def test_the_test_temperature_is_the_one_that_is_asked_for() -> None:
    predictor = TungstenHardens()
    crosscheck_properties([entry(1.0)], "NbMoTaW", predictor, processing="wrought")
    assert predictor.asked == [("wrought", 300.0)]


def test_phases_of_a_forecast_are_those_of_known_alloys_where_they_know_it() -> None:
    ask = {"equilibration_temperature_K": 1800.0, "measurement_temperature_K": 298.0}
    plain = forecast("NbMoTaW", simulate=False, **ask)
    told = with_prediction(plain, TungstenHardens(), processing="cast", temperature_K=298.0)
    assert [["A2"], ["A1", "A2"]] == [list(s) for s in told.phase_sets] and told.several_unresolved
    assert told.phase_source == "known alloys" and not told.doubts
    assert told.prediction.structure.level == 0.9
    unknown = forecast("CoCrNi", simulate=False, **ask)
    kept = with_prediction(unknown, TungstenHardens(), processing="cast", temperature_K=298.0)
    assert kept.phase_sets == unknown.phase_sets and kept.phase_source == unknown.phase_source
    assert not kept.prediction.in_domain


def phase_claim(sets: list[list[str]], against: str = "MoNbTaW", independent: bool = True) -> Evidence:
    return Evidence(
        claim="phase",
        kind="phase",
        verdict="agree",
        independent=independent,
        against=against,
        measured_sets=sets,
        measured_source="scan.xy",
        reason="",
    )


def test_what_was_measured_is_learnt_and_what_was_not_is_not() -> None:
    alloy = Composition.parse("NbMoTaW")
    one, two = phase_claim([["A2"]], alloy.formula), phase_claim([["A2"], ["A1", "A2"]], alloy.formula)
    other = phase_claim([["A1"]], "CoCrNi")
    assumed = phase_claim([["A1"]], alloy.formula, independent=False)
    learnt = alloys_to_learn([one, two, other, assumed], [entry(480.0)], alloy, processing="cast")
    assert [m.structure for m in learnt] == ["BCC", None, None]
    assert set(learnt[1].not_structures) == {"FCC", "HCP"}
    assert learnt[2].properties == {"hardness_HV": 480.0} and learnt[2].temperature_K == 300.0
    assert [learnt_text(m) for m in learnt] == [
        "BCC",
        "not FCC, not HCP",
        "Vickers hardness 480 HV at 300 K",
    ]
    twice = alloys_to_learn([one, replace(one, measured_source="scan2.xy")], [], alloy, processing="cast")
    assert [m.structure for m in twice] == ["BCC"]  # two scans of one specimen are one measured alloy
    several = MeasuredAlloy(composition=alloy, not_structures=("multi",))
    assert learnt_text(several) == "not several phases"


def test_the_page_says_a_refusal_and_a_prediction() -> None:
    inside, outside = TungstenHardens().predict(["NbMoTaW", "CoCrNi"])
    assert prediction_section(None) is None
    assert prediction_section(outside)["reasons"] == ["nothing is known of its elements"]
    section = prediction_section(inside)
    assert section["classes"][0][1].startswith("BCC 0.70") and section["classes"][0][2] == "BCC (90 %)"
    assert section["properties"][0][2] == "295 to 355 (90 %)"


@pytest.mark.parametrize(
    "change", [{"value": -1.0}, {"std": 0.0}, {"name": "toughness"}, {"temperature_K": None}, {"unit": "HV"}]
)
def test_entries_that_cannot_be_are_refused(change: dict[str, object]) -> None:
    good = {"name": "hardness_HV", "value": 1.0, "std": 1.0, "temperature_K": 300.0}
    with pytest.raises(HEAError):
        check_settings(PropertyEntry, {**good, **change})


def test_a_target_takes_what_it_does_not_say_from_the_campaign() -> None:
    kelvin = {"equilibration_temperature_K": 1800.0, "measurement_temperature_K": 1273.0}
    common = {"name": "x", "alloy": "NbMoTaW", "processing": "as cast", **kelvin}
    silent, outspoken = (
        check_settings(Campaign, {**common, "target": {"structure": "BCC", **more}})
        for more in ({}, {"processing": "powder", "temperature_K": 300.0})
    )
    told = campaign_target(silent, silent.target)
    assert (told.structure, told.processing, told.temperature_K) == (("BCC",), "cast", 1273.0)
    assert campaign_target(outspoken, outspoken.target) == outspoken.target


def test_a_campaign_holds_a_target_and_names_its_unknown_keys() -> None:
    common = {"name": "x", "alloy": "NbMoTaW", "processing": "cast"}
    kelvin = {"equilibration_temperature_K": 1800.0, "measurement_temperature_K": 298.0}
    campaign = check_settings(Campaign, {**common, **kelvin, "target": {"structure": "BCC"}})
    assert campaign.target.structure == ("BCC",)
    with pytest.raises(HEAError, match="structure"):
        check_settings(Campaign, {**common, **kelvin, "target": {"structur": "BCC"}})
