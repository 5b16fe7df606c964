"""The heart of the loop: evidence that can say no."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hea_sim.forecasting import forecast
from hea_sim.records import Estimate, PatternCall, Phase, Segmentation
from hea_vision.claims import (
    crosscheck_composition,
    crosscheck_micrograph,
    crosscheck_pattern,
    judge_names,
    judge_numbers,
)


def number(value: float, std: float) -> Estimate:
    return Estimate.normal(value, std, unit="A", method="test")


finite = st.floats(-10, 10)
spread = st.floats(1e-3, 2.0)


@given(finite, spread, finite, spread, finite, spread)
def test_verdicts_follow_their_definition(m: float, sm: float, p: float, sp: float, a: float, sa: float) -> None:
    fields = judge_numbers(number(m, sm), number(p, sp), independent=True, alternatives={"other": number(a, sa)})
    z = abs(m - p) / (sm**2 + sp**2) ** 0.5
    assert abs(fields["z"]) == pytest.approx(z)
    assert fields["resolvable_difference"] == pytest.approx(3 * (sm**2 + sp**2) ** 0.5)
    told = abs(a - p) > 3 * (sm**2 + max(sp, sa) ** 2) ** 0.5
    expected = "disagree" if z > 3 else "agree" if z <= 2 and told else "inconclusive"
    assert fields["verdict"] == expected


@given(finite, spread, finite, spread)
def test_shared_input_is_never_evidence(m: float, sm: float, p: float, sp: float) -> None:
    fields = judge_numbers(number(m, sm), number(p, sp), independent=False, alternatives={"x": number(99, 0.1)})
    assert fields["verdict"] == "assumed"


def test_agreement_needs_a_named_alternative() -> None:
    fields = judge_numbers(number(3.2, 0.01), number(3.2, 0.01), independent=True, alternatives={})
    assert fields["verdict"] == "inconclusive" and "no named alternative" in fields["reason"]


assemblages = st.lists(st.lists(st.sampled_from(["A1", "A2", "A3"]), min_size=1, max_size=2, unique=True), max_size=3)


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


def test_picture_and_pattern_are_held_against_each_other(alloy) -> None:
    def labels(n: int) -> Segmentation:
        return Segmentation(
            labels=np.zeros((9, 9), int),
            classes={0: "matrix", 1: "second phase"},
            source="x.tif",
            fractions={"second phase": Estimate(value=0.1 * n, std=0.02)},
            objects={"second phase": n},
        )

    def verdict(n: int) -> str:
        claims = crosscheck_micrograph(labels(n), alloy, [a2_call()])
        return next(c.verdict for c in claims if "picture against pattern" in c.claim)

    assert verdict(0) == "agree" and verdict(3) == "disagree"


def test_composition_far_off_disagrees() -> None:
    means = {
        "Nb": Estimate.normal(60.0, 1.0, unit="at.%", method="eds"),
        "Mo": Estimate.normal(50.0, 1.0, unit="at.%", method="eds"),
    }
    found = {
        c.claim: c.verdict
        for c in crosscheck_composition(means, {"Nb": 0.3, "Mo": 0.5, "Ta": 0.2}, alloy="x", source="y")
    }
    assert found == {"Nb content": "disagree", "Mo content": "agree", "Ta content": "inconclusive"}
