"""The heart of the loop: evidence that can say no."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.diffraction import powder_pattern
from hea_sim.forecasting import forecast, order_alternatives, sublattice_order
from hea_sim.records import Estimate, PatternCall, Phase, Segmentation
from hea_sim.sampling import anneal
from hea_vision.claims import (
    crosscheck,
    crosscheck_composition,
    crosscheck_micrograph,
    crosscheck_pattern,
    crosscheck_structure,
)
from hea_vision.verdicts import judge_names, judge_numbers
from hea_vision.xrd import classify_pattern


def number(value: float, std: float) -> Estimate:
    return Estimate.normal(value, std, unit="A", method="test")


finite = st.floats(-10, 10)
spread = st.floats(1e-3, 2.0)


@settings(deadline=None)
@given(finite, spread, finite, spread, finite, spread)
def test_verdicts_follow_their_definition(m: float, sm: float, p: float, sp: float, a: float, sa: float) -> None:
    fields = judge_numbers(number(m, sm), number(p, sp), independent=True, alternatives={"other": number(a, sa)})
    z = abs(m - p) / (sm**2 + sp**2) ** 0.5
    assert abs(fields["z"]) == pytest.approx(z)
    assert fields["resolvable_difference"] == pytest.approx(3 * (sm**2 + sp**2) ** 0.5)
    told = abs(a - p) > 3 * (sm**2 + max(sp, sa) ** 2) ** 0.5
    expected = "disagree" if z > 3 else "agree" if z <= 2 and told else "inconclusive"
    assert fields["verdict"] == expected


@settings(deadline=None)
@given(finite, spread, finite, spread)
def test_shared_input_is_never_evidence(m: float, sm: float, p: float, sp: float) -> None:
    fields = judge_numbers(number(m, sm), number(p, sp), independent=False, alternatives={"x": number(99, 0.1)})
    assert fields["verdict"] == "assumed"


def test_agreement_needs_a_named_alternative() -> None:
    fields = judge_numbers(number(3.2, 0.01), number(3.2, 0.01), independent=True, alternatives={})
    assert fields["verdict"] == "inconclusive" and "no named alternative" in fields["reason"]


assemblages = st.lists(st.lists(st.sampled_from(["A1", "A2", "A3"]), min_size=1, max_size=2, unique=True), max_size=3)


@settings(deadline=None)
@given(assemblages, assemblages)
def test_named_claims_follow_their_definition(left: list[list[str]], right: list[list[str]]) -> None:
    one, other = ({tuple(sorted(s)) for s in sets} for sets in (left, right))
    verdict = judge_names(left, right, independent=True)["verdict"]
    if one and other and not one & other:
        assert verdict == "disagree"
    elif len(one) == 1 and one == other:
        assert verdict == "agree"
    else:
        assert verdict == "inconclusive"
    assert judge_names(left, right, independent=False)["verdict"] == "assumed"


def a2_call(a: float = 3.208, std: float = 0.001) -> PatternCall:
    return PatternCall(
        input="scan.xy",
        in_scope=True,
        radiation="CoKa",
        wavelength_A=1.789,
        unexplained_fraction=0.0,
        phases=(Phase(name="A2", probability=1.0, lattice_A={"a": number(a, std)}),),
        prediction_sets=[["A2"], ["B2"]],
        order=[{"phase": "A2", "ordered": "B2", "detected": False, "excluded": False, "reason": "not seen"}],
    )


TEMPERATURES = {"equilibration_temperature_K": 2000.0, "measurement_temperature_K": 298.0}


@pytest.fixture(scope="module")
def alloy():
    return forecast("NbMoTaTiV", simulate=False, **TEMPERATURES)


def verdicts(call: PatternCall, expected, alternatives=()) -> dict[str, str]:
    return {c.kind: c.verdict for c in crosscheck_pattern(call, expected, alternatives=alternatives)}


def test_controls_of_the_real_specimen(alloy) -> None:
    wrong_lattice = forecast("CoCrFeMnNi", simulate=False, **TEMPERATURES)
    wrong_size = forecast("NbTaTi", simulate=False, **TEMPERATURES)
    too_close = forecast("NbMoTaW", simulate=False, **TEMPERATURES)
    assert verdicts(a2_call(), wrong_lattice, [alloy])["phase"] == "disagree"
    assert verdicts(a2_call(), wrong_lattice, [alloy])["lattice"] == "disagree"
    assert verdicts(a2_call(), wrong_size, [alloy])["lattice"] == "disagree"
    assert verdicts(a2_call(), too_close, [alloy])["lattice"] == "inconclusive"
    assert verdicts(a2_call(), alloy, [wrong_size])["lattice"] == "agree"
    assert verdicts(a2_call(), alloy, [too_close])["lattice"] == "inconclusive"
    assert verdicts(a2_call(), alloy)["order"] == "inconclusive"


def test_a_refused_pattern_proves_nothing(alloy) -> None:
    call = PatternCall(
        input="x",
        in_scope=False,
        phases=(),
        prediction_sets=(),
        unexplained_fraction=0.9,
        radiation="CuKa",
        wavelength_A=1.54,
        reason="too much unexplained",
    )
    claims = crosscheck_pattern(call, alloy)
    assert [c.verdict for c in claims] == ["inconclusive"] and "too much unexplained" in claims[0].reason


def test_an_alloy_without_a_model_says_so() -> None:
    found = forecast("CoCrFeMnNi", simulate=True, **TEMPERATURES)
    assert found.simulation is None and found.volume_source == "elemental volumes"
    assert any("no lattice model is shipped for CoCrFeMnNi" in note for note in found.notes)
    a = found.lattice_parameter("A1")
    assert abs(a.value - 3.597) < 2 * a.std  # the Cantor alloy, 3.597 A, Cantor 2004


def test_sizes_and_fractions_without_a_prediction_stay_open(alloy) -> None:
    labels = Segmentation(
        labels=np.zeros((9, 9), int),
        classes={0: "matrix", 1: "second phase", 2: "pore"},
        source="x.tif",
        fractions={"second phase": Estimate(value=0.1, std=0.02, unit="area fraction")},
        objects={"second phase": 4},
    )
    claims = {c.kind: c for c in crosscheck_micrograph(labels, alloy)}
    assert claims["size"].verdict == "inconclusive" and "kinetics" in claims["size"].reason
    assert claims["fraction"].verdict == "inconclusive" and "coexisting" in claims["fraction"].reason


def test_a_fraction_that_is_claimed_speaks_of_the_specimen(alloy) -> None:
    field = np.zeros((96, 96), np.uint8)
    field[20:40, 20:40] = field[60:70, 50:80] = 1
    known = Estimate(value=float(field.mean()), std=0.01, low=0.06, high=0.09, level=0.9, unit="area fraction")
    labels = Segmentation(
        labels=field,
        classes={0: "matrix", 1: "second phase"},
        fractions={"second phase": known},
        objects={"second phase": 2},
    )
    claim = next(c for c in crosscheck_micrograph(labels, alloy) if c.kind == "fraction")
    assert claim.measured.value == known.value and claim.measured.std > 2 * known.std
    assert "correlation area" in claim.measured.method and "error of the labels" in claim.measured.method


def test_pores_that_are_claimed_are_those_of_the_specimen(alloy) -> None:
    field = np.zeros((96, 96), np.uint8)
    field[20:40, 20:40] = 1
    known = Estimate(value=float(field.mean()), std=0.001, low=0.04, high=0.045, level=0.9, unit="area fraction")
    labels = Segmentation(labels=field, classes={0: "matrix", 1: "pore"}, fractions={"pore": known})
    (claim,) = crosscheck_micrograph(labels, alloy)
    assert claim.claim == "pores" and claim.measured.value == known.value
    assert claim.measured.std > 2 * known.std and "correlation area" in claim.measured.method


def test_an_error_that_is_not_known_is_not_added_as_none(alloy) -> None:
    def second(*stds: float | None) -> Estimate:
        names = ("small precipitate", "large precipitate")
        labels = Segmentation(
            labels=np.zeros((9, 9), np.uint8),
            classes={0: "matrix", 1: names[0], 2: names[1]},
            fractions={name: Estimate(value=0.1, std=std, n=9) for name, std in zip(names, stds)},
        )
        (claim,) = crosscheck_micrograph(labels, alloy)
        return claim.measured

    assert second(0.02, None).std is None and second(0.02, None).value == pytest.approx(0.2)
    assert second(0.02, 0.03).std == pytest.approx(0.05)


def test_picture_and_pattern_are_held_against_each_other(alloy) -> None:
    def verdict(n: int, low: float) -> str:
        labels = Segmentation(
            labels=np.zeros((9, 9), int),
            classes={0: "matrix", 1: "second phase"},
            source="x.tif",
            fractions={"second phase": Estimate(value=low + 0.02, low=low, high=low + 0.05, level=0.9)},
            objects={"second phase": n},
        )
        claims = crosscheck_micrograph(labels, alloy, [a2_call()])
        return next(c.verdict for c in claims if "picture against pattern" in c.claim)

    assert verdict(0, 0.0) == "inconclusive"  # no contrast does not mean no phase
    assert verdict(3, 0.01) == "inconclusive"  # so little could hide from a pattern
    assert verdict(3, 0.20) == "disagree"


def two_phase_call(*names: str) -> PatternCall:
    phases = tuple(Phase(name=n, probability=1.0, lattice_A={"a": number(3.2, 0.001)}) for n in names)
    return dataclasses.replace(a2_call(), phases=phases, prediction_sets=[sorted(names)], order=())


def phase_claim(call: PatternCall, expected):
    return next(c for c in crosscheck_pattern(call, expected) if c.kind == "phase")


def test_several_phases_of_the_rules_cover_any_several_phases(alloy) -> None:
    assert alloy.opinion.multi_unresolved
    for names in (("A2", "C15"), ("A2", "A2"), ("A1", "sigma")):
        claim = phase_claim(two_phase_call(*names), alloy)
        assert claim.verdict == "inconclusive" and ["several phases"] in claim.predicted_sets
    assert phase_claim(dataclasses.replace(two_phase_call("A3"), prediction_sets=[["A3"]]), alloy).verdict == "disagree"


def test_outside_the_domain_of_the_rules_no_phase_claim_decides() -> None:
    iron = forecast("Fe", simulate=False, **TEMPERATURES)
    claim = phase_claim(a2_call(2.8665), iron)
    assert claim.verdict == "inconclusive" and "domain" in claim.reason
    assert any("domain" in note for note in iron.notes)


def test_a_calculated_cell_is_compared_in_the_measured_structure() -> None:
    nickel = Estimate.normal(3.524**3 / 4, 0.1, unit="A^3/atom", method="dft")
    call = dataclasses.replace(
        two_phase_call("A1"), phases=(Phase(name="A1", probability=1.0, lattice_A={"a": number(3.52, 0.001)}),)
    )
    claim = crosscheck_structure(nickel, call, alloy="Ni", source="dft", alternatives=[])[0]
    assert claim.predicted is not None and claim.predicted.value == pytest.approx(3.524)
    made = crosscheck_structure(
        nickel, dataclasses.replace(call, synthetic=True), alloy="Ni", source="x", alternatives=[]
    )
    assert made[0].verdict == "assumed"


def test_a_random_cell_is_not_called_ordered() -> None:
    hot = anneal("NbMoTaW0.02", "nbmotaw-pairs", size=(6, 6, 6), temperatures_K=[1e5], seed=1, sweeps=20)
    order = sublattice_order(hot)
    assert order.std is not None and order.value < 4 * order.std
    sure = dataclasses.replace(hot, card={})
    assert order_alternatives(sure, order) == [["A2"], ["B2"]]  # a card without scores is not trusted
    good = {"scores": {"arrangement_cv_rmse": {"value": 1.0}, "arrangement_spread": {"value": 9.0}}}
    assert order_alternatives(dataclasses.replace(hot, card=good), order) == [["A2"]]


def test_a_pattern_of_the_simulated_cell_is_no_evidence_for_it() -> None:
    run = anneal("NbMoTaW", "nbmotaw-pairs", size=(6, 6, 6), temperatures_K=[2000.0], seed=1, sweeps=20)
    call = classify_pattern(powder_pattern(run.atoms, "CuKa"), elements="NbMoTaW")
    own = [c for c in crosscheck([call], run) if c.kind in ("phase", "lattice", "order")]
    assert {c.verdict for c in own} == {"assumed"}


def test_composition_needs_an_alternative_and_can_disagree() -> None:
    means = {
        "Nb": Estimate.normal(60.0, 1.0, unit="at.%", method="eds"),
        "Mo": Estimate.normal(50.0, 1.0, unit="at.%", method="eds"),
    }
    nominal = {"Nb": 0.3, "Mo": 0.5, "Ta": 0.2}
    found = {
        name: {
            c.claim: c.verdict
            for c in crosscheck_composition(means, nominal, alloy="x", source="y", alternatives=others)
        }
        for name, others in (("none", {}), ("far", {"other": {"Mo": 0.1}}), ("near", {"other": {"Mo": 0.48}}))
    }
    assert found["far"] == {"Nb content": "disagree", "Mo content": "agree", "Ta content": "inconclusive"}
    assert found["none"]["Mo content"] == found["near"]["Mo content"] == "inconclusive"


def test_the_mean_volume_of_two_phases_can_disagree(alloy) -> None:
    def phase(name: str, a: float, weight: float) -> Phase:
        fraction = Estimate(value=weight, std=0.1, unit="weight fraction")
        return Phase(name=name, probability=1.0, lattice_A={"a": number(a, 0.001)}, weight_fraction=fraction)

    steel = dataclasses.replace(two_phase_call("A1", "A2"), phases=(phase("A1", 3.600, 0.4), phase("A2", 2.874, 0.6)))
    cantor = forecast("CoCrFeMnNi", simulate=False, **TEMPERATURES)
    claims = {f.alloy: crosscheck_pattern(steel, f, alternatives=[alloy])[1] for f in (alloy, cantor)}
    assert all("mean volume" in c.claim for c in claims.values())
    assert claims["NbMoTaTiV"].verdict == "disagree"  # 11.8 A^3 per atom against 16.5
    assert claims["CoCrFeMnNi"].verdict == "agree"


def test_an_interstitial_element_leaves_the_volume_open() -> None:
    steel = forecast("CoCrFeMnNiC0.05", simulate=True, **TEMPERATURES)
    assert steel.volume_A3 is None and steel.lattice_parameter("A1") is None
    assert any("no volume is expected" in note for note in steel.notes)
    claim = next(c for c in crosscheck_pattern(a2_call(), steel) if c.kind == "lattice")
    assert claim.verdict == "inconclusive" and "no volume is expected" in claim.reason
    beside = crosscheck_pattern(a2_call(), forecast("NbMoTaTiV", simulate=False, **TEMPERATURES), alternatives=[steel])
    assert {c.verdict for c in beside if c.kind == "lattice"} == {"inconclusive"}
