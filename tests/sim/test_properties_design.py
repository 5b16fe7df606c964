"""Design: limits are never broken, probabilities and gains are right, campaigns learn and are kept."""

import json
import math
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from hea_sim.alloy import Composition
from hea_sim.errors import HEAError, InputError, MissingFileError, UnknownNameError
from hea_sim.properties.contract import PropertyPredictor
from hea_sim.properties.design import DesignCampaign, DesignTarget, suggest, suggest_neighbours
from hea_sim.properties.design.acquisition import choose_batch
from hea_sim.properties.design.costs import read_element_table, shipped_element_table
from hea_sim.properties.design.grid import CompositionGrid, grid_of
from hea_sim.properties.design.limits import broken_limits
from hea_sim.properties.design.scores import distances, expected_gain, on_front, score
from hea_sim.properties.design.suggestion import usable_elements
from hea_sim.properties.design.target import as_target

from .design_double import ELECTRONS, HARDNESS, ElectronCounter

TABLE = shipped_element_table()
BASE = ElectronCounter()
METALS = sorted(set(ELECTRONS) - {"Cu"})


def test_the_double_keeps_the_contract():
    assert isinstance(BASE, PropertyPredictor)


# Limits

steps = st.sampled_from([1.0, 2.0, 2.5, 5.0, 10.0])
some = st.lists(st.sampled_from(METALS), max_size=2, unique=True)


@st.composite
def targets(draw):
    """Draw targets of any limits; many contradict themselves, which is said and skipped."""
    most_elements = draw(st.integers(2, 6))
    bounds = {}
    if draw(st.booleans()):
        bounds["density_g_per_cm3"] = draw(st.floats(4.0, 14.0))
    if draw(st.booleans()):
        bounds["cost_USD_per_kg"] = draw(st.floats(3.0, 400.0))
    share = st.floats(0.0, 40.0)
    fields = {
        "structure": draw(st.sampled_from([("BCC",), ("FCC",), ("BCC", "FCC")])),
        "maximise": draw(st.sampled_from([(), ("hardness_HV",), ("hardness_HV", "yield_strength_MPa")])),
        "most": bounds,
        "required": tuple(draw(some)),
        "forbidden": tuple(draw(some)),
        "most_elements": most_elements,
        "fewest_elements": draw(st.one_of(st.none(), st.integers(1, most_elements))),
        "step_at_percent": draw(steps),
        "least_at_percent": draw(st.dictionaries(st.sampled_from(METALS), share, max_size=2)),
        "most_at_percent": draw(st.dictionaries(st.sampled_from(METALS), share, max_size=2)),
        "smallest_share_at_percent": draw(st.sampled_from([0.0, 3.0, 5.0])),
        "largest_share_at_percent": draw(st.sampled_from([None, 35.0, 60.0, 100.0])),
    }
    try:
        return DesignTarget(**fields)
    except ValueError:
        assume(False)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(target=targets(), seed=st.integers(0, 2**32 - 1))
def test_no_limit_is_ever_broken(target, seed):
    try:
        found = suggest(target, predictor=BASE, n=3, seed=seed)
    except InputError as error:
        assert len(str(error)) > 20  # a refusal says which wish
        return
    assert found
    for candidate in found:
        assert sum(round(share / target.step_at_percent) for share in candidate.at_percent.values()) == target.units
        assert math.fsum(candidate.at_percent.values()) == pytest.approx(100.0, abs=1e-9)
        assert broken_limits(target, candidate.composition, TABLE, on_grid=True) == []
        assert "Cu" not in candidate.composition, "outside the predictor's domain"
        assert Composition.parse(candidate.formula).elements == candidate.composition.elements
    assert len({c.formula for c in found}) == len(found)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(target=targets(), seed=st.integers(0, 1000))
def test_walks_and_draws_stay_on_the_grid(target, seed):
    try:
        grid = grid_of(target, usable_elements(target, BASE, TABLE), TABLE)
        drawn = grid.draw(40, np.random.default_rng(seed))
    except InputError:
        return
    rows = np.vstack([drawn, grid.neighbours(drawn[:3])])
    assert len(drawn) and grid.allowed(rows).all()
    for row in rows[:: max(len(rows) // 20, 1)]:
        amounts = {e: float(k) for e, k in zip(grid.elements, row) if k}
        assert broken_limits(target, Composition.parse(amounts), TABLE, on_grid=True) == []


def test_a_small_grid_is_listed_whole():
    grid = CompositionGrid(
        elements=("Nb", "Mo", "Ta"),
        units=10,
        low=np.zeros(3, int),
        high=np.full(3, 10),
        present=1,
        fewest=1,
        most=3,
        limits=np.zeros((0, 3)),
    )
    # Ways to share 10 steps among three elements, some perhaps none: (10 + 2 choose 2).
    assert len(grid.every()) == math.comb(12, 2) == grid.size_without_limits()
    assert len(np.unique(grid.draw(200, np.random.default_rng(0)), axis=0)) == math.comb(12, 2)


def test_corners_are_found_where_chance_finds_nothing():
    # 0.25 to 0.5 % of the cost of tantalum leaves a sliver of the grid.
    target = DesignTarget(structure="BCC", required="Ta", most={"cost_USD_per_kg": 60}, step_at_percent=1)
    grid = grid_of(target, ("Ta", "Fe", "Cr", "Ti", "Al", "W"), TABLE)
    drawn = grid.draw(50, np.random.default_rng(0))
    cost = TABLE.of_alloys("cost_USD_per_kg", grid.elements, grid.fractions(drawn))
    assert len(drawn) >= 6 and cost.max() <= 60 and (drawn[:, 0] >= 1).all()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"most": {"density_g_per_cm3": 2.0}}, "density_g_per_cm3 at most 2"),
        ({"least": {"density_g_per_cm3": 18.0}, "forbidden": "W Ta"}, "density_g_per_cm3 at least 18"),
        ({"required": "Ta", "most": {"cost_USD_per_kg": 5.0}}, "cost_USD_per_kg at most 5"),
        ({"largest_share_at_percent": 10.0, "most_elements": 5}, "limits on elements and their shares"),
        ({"elements": "Nb Mo Ta W", "forbidden": "W"}, "elements left to choose from: Nb, Mo, Ta"),
        ({"required": "Xe"}, "predictor does not know"),
        ({"elements": "Cu Al Co Cr", "required": "Cu", "most_elements": 4}, "predictor's domain"),
        ({"least": {"youngs_modulus_GPa": 100}}, "does not predict youngs_modulus_GPa"),
        ({"least": {"hardness_HV": 5000}}, "wish on hardness_HV"),
    ],
)
def test_what_cannot_be_is_said(limits, said):
    with pytest.raises(InputError, match=said):
        suggest({"structure": "BCC", **limits}, predictor=BASE)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "asks for nothing"),
        ({"structure": "BC"}, "did you mean 'BCC'"),
        ({"structur": "BCC"}, "did you mean 'structure'"),
        ({"maximise": "hardness"}, "did you mean 'hardness_HV'"),
        ({"structure": "BCC", "step_at_percent": 3}, "divides 100"),
        ({"structure": "BCC", "required": "Nb", "forbidden": "Nb"}, "both required and forbidden"),
        ({"structure": "BCC", "elements": "Mo", "required": "Nb"}, "not among elements"),
        ({"structure": "BCC", "forbidden": "Zz"}, "is no element"),
        ({"structure": "BCC", "most_elements": 2, "required": "Nb Mo Ta"}, "3 elements are required"),
        ({"structure": "BCC", "most_elements": 3, "fewest_elements": 4}, "fewest at or below most"),
        ({"least": {"hardness_HV": 500}, "most": {"hardness_HV": 400}}, "least below most"),
        ({"maximise": "hardness_HV", "minimise": "hardness_HV"}, "repeat one"),
        ({"structure": "BCC", "processing": "casted"}, "did you mean 'cast'"),
        ({"structure": "BCC", "least_at_percent": {"Nb": 50}, "most_at_percent": {"Nb": 40}}, "at least 50"),
        ({"structure": "BCC", "smallest_share_at_percent": 50, "largest_share_at_percent": 40}, "wanted it below"),
    ],
)
def test_targets_that_mean_nothing_are_refused(fields, said):
    with pytest.raises(InputError, match=said):
        as_target(fields)


def test_poison_is_not_suggested_unasked():
    known = ElectronCounter(elements=("Al", "Be", "Nb", "Mo", "Ta", "U", "W"))
    assert usable_elements(DesignTarget(structure="BCC"), known, TABLE) == ("Al", "Nb", "Mo", "Ta", "W")
    assert "Be" in usable_elements(DesignTarget(structure="BCC", required="Be"), known, TABLE)
    assert "U" in usable_elements(DesignTarget(structure="BCC", elements="U Nb Mo Ta"), known, TABLE)


# Scores


def test_density_and_cost_follow_their_formulas():
    nickel, tungsten = TABLE.density_g_per_cm3["Ni"], TABLE.density_g_per_cm3["W"]
    assert nickel == pytest.approx(8.9, abs=0.1) and tungsten == pytest.approx(19.3, abs=0.2)
    x = np.array([[0.5, 0.5], [1.0, 0.0]])
    density = TABLE.of_alloys("density_g_per_cm3", ("Ni", "W"), x)
    assert density[0] == pytest.approx((58.693 + 183.84) / (58.693 / nickel + 183.84 / tungsten), rel=1e-4)
    cost = TABLE.of_alloys("cost_USD_per_kg", ("Ni", "W"), x)
    assert cost[1] == pytest.approx(TABLE.price_USD_per_kg["Ni"])
    assert math.isnan(TABLE.of_alloys("cost_USD_per_kg", ("Xe", "W"), x)[0])


@settings(max_examples=50, deadline=None)
@given(
    weights=st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
    quantity=st.sampled_from(["density_g_per_cm3", "cost_USD_per_kg"]),
    most=st.floats(1, 500),
)
def test_linear_limits_say_what_the_quantities_say(weights, quantity, most):
    elements = ("Al", "Nb", "Ta", "Co")
    x = np.array(weights) / sum(weights)
    value = TABLE.of_alloys(quantity, elements, x[None])[0]
    assume(abs(value - most) > 1e-6 * most)
    assert (TABLE.limit_row(quantity, elements, most) @ x <= 0) == (value <= most)


def test_probability_of_bounds_is_that_of_the_normal_distribution():
    elements, x = ("Nb", "W"), np.array([[0.5, 0.5]])
    target = DesignTarget(least={"hardness_HV": 600}, most={"hardness_HV": 700})
    scored = score(target, BASE, elements, x, TABLE)
    value, std = 0.5 * (HARDNESS["Nb"] + HARDNESS["W"]), 80 / norm.ppf(0.95)
    expected = norm.cdf((700 - value) / std) - norm.cdf((600 - value) / std)
    assert scored.probability[0] == pytest.approx(expected, rel=1e-9)


def test_what_is_not_predicted_is_not_met():
    class Silent(ElectronCounter):
        def predict_batch(self, alloys, *, level=0.9):
            found = super().predict_batch(alloys, level=level)
            tungsten = (alloys.fractions > 0) @ np.array([e == "W" for e in alloys.elements])
            found.properties["hardness_HV"][tungsten] = np.nan
            return found

    x = np.array([[0.5, 0.5, 0.0], [0.5, 0.0, 0.5]])
    for wish in ({"least": {"hardness_HV": 100}}, {"most": {"hardness_HV": 5000}}, {"maximise": "hardness_HV"}):
        scored = score(DesignTarget(**wish), Silent(), ("Nb", "W", "Mo"), x, TABLE)
        assert scored.probability.tolist() == [0.0, pytest.approx(1.0, abs=1e-6)]
    found = suggest({"least": {"hardness_HV": 100}}, predictor=Silent(), n=4)
    assert all("W" not in c.composition for c in found)


def test_bcc_and_solid_solution_are_not_counted_twice():
    x = np.array([[0.25, 0.25, 0.25, 0.25]])
    elements = ("Nb", "Mo", "Ta", "W")
    both = score(DesignTarget(structure="BCC", family="SS"), BASE, elements, x, TABLE)
    assert both.probability[0] == pytest.approx(0.7)  # the family's 0.7, below the structure's 0.9
    other = score(DesignTarget(structure="multi", family="SS+IM"), BASE, elements, x, TABLE)
    assert other.probability[0] == pytest.approx(0.07 * 0.2)


def test_expected_gain_is_the_mean_of_what_is_gained():
    rng = np.random.default_rng(0)
    mean, std, best = np.array([1.0, 3.0]), np.array([2.0, 0.5]), 2.0
    drawn = mean + std * rng.normal(size=(400_000, 2))
    assert expected_gain(mean, std, best) == pytest.approx(np.maximum(drawn - best, 0).mean(0), rel=0.01)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 100))
def test_nothing_beats_a_point_of_the_front_and_something_beats_every_other(n, m, seed):
    mean = np.random.default_rng(seed).integers(0, 4, size=(n, m)).astype(float)
    front = on_front(mean)
    beaten = np.array([any((o >= row).all() and (o > row).any() for o in mean) for row in mean])
    assert front.any() and (front == ~beaten).all()


def test_a_batch_differs_within_itself():
    target = DesignTarget(structure="BCC", maximise="hardness_HV")
    found = suggest(target, predictor=BASE, n=6)
    x = np.array([[c.composition.get(e, 0.0) for e in METALS] for c in found])
    apart = distances(x, x) + 2 * np.eye(len(x))
    assert apart.min() >= 0.1 - 1e-9
    assert found[0].apart_at_percent == pytest.approx(50 * apart[0].min())


@pytest.mark.parametrize("strategy", ["expected_improvement", "thompson", "mean"])
def test_more_is_found_than_by_chance(strategy):
    target = DesignTarget(structure="BCC", maximise="hardness_HV")
    grid = grid_of(target, usable_elements(target, BASE, TABLE), TABLE)
    chance = grid.fractions(grid.draw(500, np.random.default_rng(0))) @ [HARDNESS[e] for e in grid.elements]
    found = suggest(target, predictor=BASE, n=4, strategy=strategy)
    values = [c.prediction.properties["hardness_HV"].value for c in found]
    assert min(values) > np.quantile(chance, 0.9)


def test_the_best_of_a_linear_function_is_found():
    # Hardness is a mixture, so the best allowed alloy is known: 35 at.% W, 35 Al, 25 Mo, and 5 of the next, Cr.
    best = suggest(DesignTarget(maximise="hardness_HV"), predictor=BASE, n=1, strategy="mean")[0]
    order = sorted(METALS, key=lambda e: -HARDNESS[e])
    assert dict(best.at_percent) == {order[0]: 35.0, order[1]: 35.0, order[2]: 25.0, order[3]: 5.0}


def test_two_objectives_give_trade_offs():
    found = suggest(DesignTarget(maximise="hardness_HV", minimise="density_g_per_cm3"), predictor=BASE, n=6, seed=1)
    assert all(c.on_front is not None for c in found) and sum(bool(c.on_front) for c in found) >= 2
    densities = [c.quantities["density_g_per_cm3"].value for c in found]
    assert max(densities) - min(densities) > 1


def test_same_seed_same_alloys_and_tried_ones_never_again():
    target = {"structure": "BCC", "maximise": "hardness_HV"}
    first = [c.formula for c in suggest(target, predictor=BASE, n=3, seed=5)]
    assert first == [c.formula for c in suggest(target, predictor=BASE, n=3, seed=5)]
    later = suggest(target, predictor=BASE, n=3, seed=5, tried=first)
    assert not {c.formula for c in later} & set(first)


def test_reasons_are_told_in_words():
    target = DesignTarget(structure="BCC", least={"hardness_HV": 400}, most={"density_g_per_cm3": 9})
    candidate = suggest(target, predictor=BASE, n=1)[0]
    assert "meets the target with probability" in candidate.reason
    assert "wanted at least 400: met with probability" in candidate.reason
    assert "nearest known: NbMoTaW" in candidate.reason
    assert candidate.probability == pytest.approx(score_of(target, candidate.composition), rel=1e-6)


def score_of(target, alloy):
    x = np.array([list(alloy.values())])
    return score(target, BASE, alloy.elements, x, TABLE).probability[0]


def test_no_alloy_of_probability_zero_is_chosen():
    target = DesignTarget(structure="BCC", maximise="hardness_HV")
    x = np.array([[0.5, 0.5, 0.0], [0.4, 0.3, 0.3]])
    scored = score(target, BASE, ("W", "Mo", "Cu"), x, TABLE)
    assert choose_batch(scored, 2, rng=np.random.default_rng(0)) == [0]


# Neighbours


def test_neighbours_come_with_the_least_certain_first():
    found = suggest_neighbours("NbMoTaW", predictor=BASE, n=8)
    shares = [np.array(list(c.prediction.structure.probabilities.values())) for c in found]
    bits = [-(p * np.log2(p)).sum() for p in shares]
    assert all(a >= b - 1e-6 for a, b in pairwise(bits)) and all(c.change for c in found)
    assert all(c.probability is None for c in found)
    assert all("Cu" not in c.composition for c in found)


def test_neighbours_keep_the_limits_of_a_target():
    target = DesignTarget(structure="BCC", forbidden="Al", most={"density_g_per_cm3": 12.5}, most_elements=5)
    found = suggest_neighbours("NbMoTaW", predictor=BASE, n=20, target=target, tried=["NbMoTaWTi"])
    assert found and all(broken_limits(target, c.composition, TABLE) == [] for c in found)
    assert all(c.probability is not None for c in found)
    with pytest.raises(InputError, match="step_at_percent"):
        suggest_neighbours("NbMoTaW", predictor=BASE, step_at_percent=0)


# The table of elements


def test_own_prices_replace_the_shipped_ones(tmp_path):
    file = tmp_path / "prices.csv"
    file.write_text("element,price_USD_per_kg\nW,1\nNb,2.5\n")
    table = read_element_table(file)
    assert table.price_USD_per_kg["W"] == 1 and table.price_USD_per_kg["Mo"] == TABLE.price_USD_per_kg["Mo"]
    assert "prices.csv" in table.price_source and table.density_source == TABLE.density_source


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metal,price\nW,1\n", "wanted element"),
        ("element,price_USD_per_kg\nZz,1\n", "line 2: 'Zz' is no element"),
        ("element,price_USD_per_kg\nW,cheap\n", "line 2: price_USD_per_kg is 'cheap'"),
        ("element,price_USD_per_kg\nW,-1\n", "above zero"),
    ],
)
def test_bad_tables_of_elements_are_refused(tmp_path, text, said):
    file = tmp_path / "prices.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=said):
        read_element_table(file)
    with pytest.raises(MissingFileError):
        read_element_table(tmp_path / "none.csv")


# Engines


def test_botorch_spreads_a_batch_and_keeps_the_limits():
    pytest.importorskip("botorch")
    target = DesignTarget(structure="BCC", maximise="hardness_HV", most={"density_g_per_cm3": 10}, most_elements=4)
    found = suggest(target, predictor=BASE, n=3, engine="botorch")
    assert len({c.formula for c in found}) == 3
    assert all(broken_limits(target, c.composition, TABLE, on_grid=True) == [] for c in found)
    assert [c.formula for c in found] == [
        c.formula for c in suggest(target, predictor=BASE, n=3, engine="botorch")
    ]  # the same seed


def test_unknown_engines_and_a_missing_one_are_said(monkeypatch):
    with pytest.raises(UnknownNameError, match="did you mean 'plain'"):
        suggest({"structure": "BCC"}, predictor=BASE, engine="plane")
    with pytest.raises(UnknownNameError, match="strategy"):
        suggest({"structure": "BCC"}, predictor=BASE, strategy="best")
    monkeypatch.delitem(sys.modules, "hea_sim.properties.design.botorch_engine", raising=False)
    monkeypatch.setitem(sys.modules, "botorch.acquisition.logei", None)
    with pytest.raises(HEAError, match=r"pip install 'hea-toolkit\[design\]'"):
        suggest({"structure": "BCC"}, predictor=BASE, engine="botorch")


def test_campaigns_round_trip(tmp_path):
    campaign = DesignCampaign({"structure": "BCC", "maximise": "hardness_HV"}, predictor=BASE, seed=3)
    first = campaign.ask(2)
    path = campaign.save(tmp_path / "campaign.json")
    again = DesignCampaign.load(path, predictor=BASE)
    assert json.loads(path.read_text())["schema"] == 1
    assert again.target == campaign.target and again.rounds == [[c.formula for c in first]]
    assert [c.formula for c in again.ask(2)] == [c.formula for c in campaign.ask(2)]
