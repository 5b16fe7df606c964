"""Learning from measured alloys: near ones move a prediction, far ones do not; negatives count; evidence is read."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.alloy import Composition
from hea_sim.errors import HEAError, InputError, MissingFileError
from hea_sim.properties.contract import STRUCTURES, AlloyBatch, MeasuredAlloy, PropertyPredictor
from hea_sim.properties.design import DesignCampaign, DesignTarget, LocalPredictor, measured_from_evidence
from hea_sim.properties.design.costs import shipped_element_table
from hea_sim.properties.design.measured import measured_of_row, measured_row
from hea_sim.properties.design.suggestion import best_measured, meets
from hea_sim.records import Evidence

from .design_double import HALF_WIDTH_HV, ElectronCounter

BASE = ElectronCounter()
TABLE = shipped_element_table()
HERE, NEAR, FAR = "NbMoTaW", "Nb26Mo24Ta25W25", "CoCrFeNi"


def measured(alloy=HERE, **seen):
    return MeasuredAlloy(composition=Composition.parse(alloy), **seen)


def told(*seen, of):
    return LocalPredictor(base=BASE).learn(seen).predict_batch(AlloyBatch.of([of]))


def share(prediction, name):
    return float(prediction.structure[0, STRUCTURES.index(name)])


def test_nothing_measured_changes_nothing():
    batch = AlloyBatch.of([HERE, FAR])
    plain, same = BASE.predict_batch(batch), LocalPredictor(base=BASE).predict_batch(batch)
    assert (plain.structure == same.structure).all()
    assert isinstance(LocalPredictor(base=BASE), PropertyPredictor)


@pytest.mark.parametrize("seen", [{"structure": "multi"}, {"not_structures": ("BCC",)}])
def test_a_failure_lowers_the_hope_nearby_and_not_far_away(seen):
    before = {alloy: BASE.predict_batch(AlloyBatch.of([alloy])) for alloy in (HERE, NEAR, FAR)}
    after = {alloy: told(measured(**seen), of=alloy) for alloy in before}
    drop = {alloy: share(before[alloy], "BCC") - share(after[alloy], "BCC") for alloy in before}
    assert drop[HERE] >= drop[NEAR] > 0.1 and abs(drop[FAR]) < 0.01
    assert np.allclose(after[HERE].structure.sum(1), 1)


def test_a_success_raises_it_and_a_named_failure_tells_more_than_a_negative():
    assert share(told(measured("CrFeNbTi", structure="BCC"), of="CrFeNbTi"), "BCC") > share(
        BASE.predict_batch(AlloyBatch.of(["CrFeNbTi"])), "BCC"
    )
    named, negative = (
        told(measured(**seen), of=HERE) for seen in ({"structure": "multi"}, {"not_structures": ("BCC",)})
    )
    assert share(named, "multi") > share(negative, "multi")


def test_more_evidence_says_more():
    chances = [share(told(*[measured(not_structures=("BCC",))] * k, of=HERE), "BCC") for k in (0, 1, 2, 4)]
    assert chances == sorted(chances, reverse=True) and chances[-1] < 0.5 * chances[0]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([HERE, NEAR, FAR, "CrFeNbTi", "AlCoCrFeNi"]), st.sampled_from(STRUCTURES), st.booleans()
        ),
        min_size=1,
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
def test_probabilities_stay_probabilities_and_order_does_not_matter(reports, random):
    seen = [measured(a, **({"structure": s} if yes else {"not_structures": (s,)})) for a, s, yes in reports]
    mixed = random.sample(seen, len(seen))
    batch = AlloyBatch.of([HERE, "CoCrNbTi", FAR])
    first, second = (LocalPredictor(base=BASE).learn(s).predict_batch(batch) for s in (seen, mixed))
    assert np.allclose(first.structure.sum(1), 1) and (first.structure >= 0).all()
    assert np.allclose(first.structure, second.structure, atol=2e-3)
    assert (first.structure_set >= BASE.predict_batch(batch).structure_set).all(), "sets never narrow"


def test_a_number_pulls_and_narrows_as_the_gaussian_process_says():
    plain = BASE.predict_batch(AlloyBatch.of([HERE])).properties["hardness_HV"][0]
    seen = plain[0] + 100
    model = LocalPredictor(base=BASE, shared=0.5).learn([measured(properties={"hardness_HV": seen})])
    here = model.predict_batch(AlloyBatch.of([HERE])).properties["hardness_HV"][0]
    # One measurement at the spot itself: the shared half of the error is halved, mean and variance.
    assert here[0] == pytest.approx(plain[0] + 0.5 * 100)
    assert (here[2] - here[1]) / 2 == pytest.approx(HALF_WIDTH_HV * np.sqrt(1 - 0.25))
    far = model.predict_batch(AlloyBatch.of([FAR])).properties["hardness_HV"][0]
    assert far == pytest.approx(BASE.predict_batch(AlloyBatch.of([FAR])).properties["hardness_HV"][0], rel=1e-2)


def test_a_measurement_at_another_temperature_tells_less():
    def moved(temperature_K):
        seen = measured(properties={"yield_strength_MPa": 3000.0}, temperature_K=temperature_K)
        return told(seen, of=HERE).properties["yield_strength_MPa"][0, 0]

    assert moved(298.15) > moved(800.0) > moved(1600.0)


def test_alloys_that_the_base_does_not_know_are_passed_over():
    batch = AlloyBatch.of([HERE])
    plain = BASE.predict_batch(batch)
    for alloy in ("NbMoTaXe", "CuMoTaW"):  # an unknown element; outside the domain
        assert (told(measured(alloy, structure="FCC"), of=HERE).structure == plain.structure).all()


def test_what_was_measured_stands_first_among_what_is_leant_on():
    model = LocalPredictor(base=BASE).learn([measured(NEAR, structure="multi", source="arc 7")])
    found = model.predict([HERE])[0]
    assert found.leans_on[0].source == "arc 7" and found.leans_on[0].reported == {"structure": "multi"}
    assert found.leans_on[0].distance == pytest.approx(0.02)
    assert found.structure.probabilities["multi"] > BASE.predict([HERE])[0].structure.probabilities["multi"]
    assert any("corrected near 1 measured" in note for note in found.notes)


# Evidence


def claim(sets, **more):
    fields = {"claim": "phase", "kind": "phase", "verdict": "agree", "reason": "", "independent": True, "against": HERE}
    return Evidence(measured_sets=sets, **fields | more)


@pytest.mark.parametrize(
    ("sets", "structure", "ruled_out"),
    [
        ([["A2"]], "BCC", ()),
        ([["A1", "A2"]], "multi", ()),
        ([["A2"], ["A1", "A2"]], None, ("FCC", "HCP")),
        ([["sigma"]], "multi", ()),
        ([["A1"], ["A2"], ["A3"], ["A1", "A2"]], None, ()),
    ],
)
def test_claims_on_the_phase_become_structures_or_negatives(sets, structure, ruled_out):
    (found,) = measured_from_evidence([claim(sets)])
    assert (found.structure, found.not_structures) == (structure, ruled_out)
    assert found.composition.formula == HERE


def test_claims_that_say_nothing_of_a_measured_phase_are_left_out():
    silent = [claim([["A2"]], independent=False), claim([]), claim([["A2"]], kind="lattice")]
    assert measured_from_evidence(silent) == []
    with pytest.raises(InputError, match="names no alloy"):
        measured_from_evidence([claim([["A2"]], against="")])
    assert measured_from_evidence([claim([["A2"]])], alloy=FAR)[0].composition.formula == FAR


# Campaigns


def test_a_campaign_learns_that_a_region_fails():
    campaign = DesignCampaign({"structure": "BCC"}, predictor=BASE)
    first = campaign.ask(4)
    campaign.tell([MeasuredAlloy(composition=c.composition, not_structures=("BCC",)) for c in first] * 2)
    assert campaign.hits == []
    for candidate in first:
        chance = campaign.predictor.predict([candidate.composition])[0].structure.probabilities["BCC"]
        assert chance < 0.7 * candidate.prediction.structure.probabilities["BCC"]
    untold = DesignCampaign(campaign.target, predictor=BASE)
    untold.rounds = [[c.formula for c in first]]
    assert nearness(campaign.ask(4), first) > nearness(untold.ask(4), first), "the failed region is left"


def nearness(batch, others):
    rows = [np.array([[c.composition.get(e, 0.0) for e in BASE.elements] for c in b]) for b in (batch, others)]
    return np.abs(rows[0][:, None] - rows[1]).sum(2).min(1).mean()


def test_a_campaign_needs_something_measured(tmp_path):
    campaign = DesignCampaign({"structure": "BCC"}, predictor=BASE)
    with pytest.raises(InputError, match="nothing was measured of NbMoTaW"):
        campaign.tell([measured()])
    with pytest.raises(MissingFileError):
        DesignCampaign.load(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{"schema": 1}')
    with pytest.raises(InputError, match="is no campaign"):
        DesignCampaign.load(tmp_path / "bad.json")
    for wrong in ({"seed": "x"}, {"rounds": 3}, {"rounds": ["NbMo"]}, {"measured": None}):
        kept = json.loads(campaign.save(tmp_path / "bad.json").read_text())
        (tmp_path / "bad.json").write_text(json.dumps(kept | wrong))
        with pytest.raises(InputError, match="mend it"):
            DesignCampaign.load(tmp_path / "bad.json")


def test_measured_alloys_round_trip_through_json():
    alloy = measured(not_structures=("BCC",), properties={"hardness_HV": 400.0}, temperature_K=900.0, source="b")
    assert measured_of_row(measured_row(alloy)) == alloy


def test_what_meets_a_target():
    target = DesignTarget(structure="BCC", least={"hardness_HV": 400}, maximise="hardness_HV")
    good, soft = (measured(structure="BCC", properties={"hardness_HV": v}) for v in (450.0, 300.0))
    other = measured(structure="FCC", properties={"hardness_HV": 900.0})
    assert [meets(target, m) for m in (good, soft, other, measured(not_structures=("BCC",)))] == [True, *[False] * 3]
    assert best_measured(target, [good, soft, other], TABLE).tolist() == [450.0]
    assert best_measured(target, [other], TABLE) is None


def test_the_best_measured_alloy_is_one_that_might_have_been_asked_for():
    target = DesignTarget(maximise="yield_strength_MPa", forbidden="W", temperature_K=1273.0)
    cold, hot, banned = (
        measured(alloy, properties={"yield_strength_MPa": value}, temperature_K=kelvin)
        for alloy, value, kelvin in (("NbMoTaTi", 1500.0, 298.15), ("NbMoTaTi", 400.0, 1273.0), (HERE, 900.0, 1273.0))
    )
    assert best_measured(target, [cold, hot, banned], TABLE).tolist() == [400.0]
    assert best_measured(target, [cold, banned], TABLE) is None
    wish = DesignTarget(least={"yield_strength_MPa": 1000, "hardness_HV": 300}, temperature_K=1273.0)
    assert not meets(wish, hot) and meets(wish, cold), "strength at room temperature says nothing of 1273 K"
    assert not meets(wish, measured(properties={"hardness_HV": 200.0})), "hardness is that at room temperature"


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"structure": "BCC", "not_structures": ("BCC",)}, "to be BCC and not to be"),
        ({"not_structures": STRUCTURES}, "every structure is ruled out"),
        ({"structure": "A2"}, "unknown structure"),
        ({"family": "XX"}, "unknown family"),
        ({"properties": {"hardness_HV": -4.0}}, "above zero"),
        ({"properties": {"yield_strength_MPa": float("nan")}}, "above zero"),
        ({"structure": "BCC", "temperature_K": 0.0}, "temperature_K is 0.0"),
    ],
)
def test_what_contradicts_itself_was_not_measured(seen, said):
    with pytest.raises(HEAError, match=said):
        measured(**seen)
