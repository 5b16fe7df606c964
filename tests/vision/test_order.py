from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from hea_sim.alloy import Composition
from hea_sim.diffraction.radiation import radiation
from hea_sim.errors import InputError
from hea_sim.records import Pattern
from hea_vision.xrd import classify_pattern, network_labeller
from hea_vision.xrd.evidence import ObservedLines
from hea_vision.xrd.line_fit import line_shape
from hea_vision.xrd.lines import find_lines
from hea_vision.xrd.order import _measure_area
from hea_vision.xrd.question import Elements, amounts_known, as_composition
from hea_vision.xrd.ranking import FEATURES, RankingModel
from hea_vision.xrd.set_fit import SetFit

from .patterns import mixture


@pytest.mark.parametrize(
    ("elements", "formula", "known"),
    [
        ("Al0.5CoCrFeNi", {"Al": 0.5, "Co": 1, "Cr": 1, "Fe": 1, "Ni": 1}, True),
        ("AuCu3", {"Au": 0.25, "Cu": 0.75}, True),
        ("Al0.5, Co Cr", {"Al": 0.2, "Co": 0.4, "Cr": 0.4}, True),
        ({"Au": 1, "Cu": 3}, {"Au": 0.25, "Cu": 0.75}, True),
        (Composition.parse("NiAl"), {"Ni": 0.5, "Al": 0.5}, True),
        ("Nb, Mo Ta", {"Nb": 1, "Mo": 1, "Ta": 1}, False),
        ("Nb;Mo", {"Nb": 1, "Mo": 1}, False),
        (["Au", "Cu"], {"Au": 1, "Cu": 1}, False),
    ],
)
def test_amounts_are_taken_where_they_are_given(elements: Elements, formula: dict[str, float], known: bool) -> None:
    composition = as_composition(elements)
    assert composition is not None and dict(composition) == pytest.approx(dict(Composition.parse(formula)))
    assert amounts_known(elements) is known


def test_nothing_said_is_nothing_known_and_a_decimal_comma_is_refused() -> None:
    assert as_composition(None) is None and not amounts_known(None)
    with pytest.raises(InputError, match="cannot read"):
        as_composition("Al0,5CoCr")


@pytest.mark.parametrize(
    ("ordered", "sublattices", "a", "elements"),
    [
        ("L1_2", {"A": "Au", "B": "Cu"}, 3.75, ["Au", "Cu"]),
        ("L1_2", {"A": "Au", "B": "Cu"}, 3.75, "AuCu3"),
        ("B2", {"A": "Pd", "B": "Al"}, 3.04, ["Pd", "Al"]),
        ("B2", {"A": "Ru", "B": "Al"}, 2.99, "Ru50Al50"),
        ("B2", {"A": "Au", "B": "Mg"}, 3.27, "AuMg"),
    ],
)
def test_strong_order_is_one_phase_and_leaves_nothing_unexplained(
    ordered: str, sublattices: dict[str, str], a: float, elements: Elements
) -> None:
    call = classify_pattern(mixture({ordered: (sublattices, a, 1.0)}), elements=elements, model="matcher")  # type: ignore[arg-type]
    assert call.in_scope and call.prediction_sets[0] == [ordered]
    assert call.order[0]["detected"] and call.unexplained_fraction < 0.02 and not call.unexplained_lines
    # The lines of order are in the fitted curve.
    place = np.abs(call.curves["two_theta_deg"] - float(str(call.order[0]["two_theta_deg"]))) < 0.4
    measured, fitted, background = (call.curves[name][place] for name in ("measured", "fitted", "background"))
    assert abs((measured - fitted).sum()) < 0.2 * (measured - background).sum()


def test_names_alone_give_no_veto_that_depends_on_their_amounts() -> None:
    """Order of AuCu3 shows three times stronger than equal parts would let it; of the names alone it may be AuCu3."""
    pattern = mixture({"L1_2": ({"A": "Au", "B": "Cu"}, 3.75, 1.0)})
    names, formula = (classify_pattern(pattern, elements=e, model="matcher") for e in (["Au", "Cu"], "AuCu3"))
    assert names.prediction_sets == formula.prediction_sets == [["L1_2"]]
    bound, own = (float(str(call.order[0]["full_order_percent"])) for call in (names, formula))
    assert bound >= own * (1 - 1e-9)  # the bound holds for this composition as for any
    assert own == pytest.approx(float(str(formula.order[0]["measured_percent"])), rel=0.25)


@pytest.mark.parametrize("amounts", ["Al0.3CoNi", "AlCoNi", "Al2Co5Ni", "Al4CoNi"])
def test_the_bound_over_amounts_is_above_every_composition(amounts: str) -> None:
    pattern = mixture({"A2": ("AlCoNi", 2.88, 1.0)})
    known = classify_pattern(pattern, elements=amounts, volumes_from_elements=False, model="matcher")
    bound = classify_pattern(pattern, elements=["Al", "Co", "Ni"], volumes_from_elements=False, model="matcher")
    assert float(str(bound.order[0]["full_order_percent"])) >= float(str(known.order[0]["full_order_percent"]))


def test_a_limit_on_the_order_parameter_says_which_amounts_it_holds_for() -> None:
    pattern = mixture({"A2": ("NiAl", 2.887, 1.0)})
    known, names = (
        str(classify_pattern(pattern, elements=e, model="matcher").order[0]["reason"]) for e in ("Ni1Al1", "NiAl")
    )
    assert "order parameter is below" in known and "amounts" not in known
    assert "order parameter is below" in names and names.endswith("where the amounts are those of that order")


_PLACE, _FWHM, _AREA, _BESIDE_AREA = 40.0, 0.2, 60.0, 1500.0


@cache
def _areas(widths: float | None, seeds: int) -> np.ndarray:
    """Measure a line (seeds, 2), area and claimed std, with a neighbour 25 times as strong so many widths away."""
    return np.array([_area_beside(widths, seed) for seed in range(seeds)])


def _area_beside(widths: float | None, seed: int) -> tuple[float, float]:
    source = radiation("CuKa")
    x = np.arange(30.0, 80.0, 0.02)
    places: Sequence[tuple[float, float]] = [(_PLACE, _AREA), (57.0, 1500.0), (71.0, 1500.0)]
    if widths is not None:
        places = [*places, (_PLACE + widths * _FWHM, _BESIDE_AREA)]
    mean = 400.0 + sum(area * line_shape(x, place, _FWHM, 0.5, source) for place, area in places)
    counts = np.random.default_rng(seed).poisson(mean).astype(float)
    observed = ObservedLines(
        find_lines(Pattern(two_theta_deg=x, intensity=counts, radiation="CuKa", source="lines"), source)
    )
    n, none = len(observed), np.zeros(0)
    fit = SetFit(
        phases=(),
        log_evidence=0.0,
        displacement_deg=0.0,
        owner=np.full(n, -1),
        share=np.zeros((0, n)),
        model_area=np.zeros((0, n)),
        a_std_A=none,
        c_std_A=none,
        log_scale=none,
        log_scale_std=none,
        faint_lines=none,
        missing=none,
    )
    return _measure_area(observed, fit, _PLACE, _FWHM)


@pytest.mark.parametrize("widths", [-4.0, -3.0, -2.5, -2.0, 2.0, 2.5, 3.0, 4.0])
def test_a_strong_neighbour_neither_moves_an_area_nor_blurs_it(widths: float) -> None:
    seeds = 12
    alone, beside = _areas(None, seeds), _areas(widths, seeds)
    claimed = float(np.median(beside[:, 1]))
    scatter = float(beside[:, 0].std(ddof=1))
    error = float(np.hypot(scatter, alone[:, 0].std(ddof=1))) / np.sqrt(seeds)
    assert abs(beside[:, 0].mean() - alone[:, 0].mean()) < max(3 * error + 0.05, claimed)
    if abs(widths) >= 2.5:
        assert scatter / 3 < claimed < 3 * scatter


def test_a_call_tells_where_none_of_the_sets_is_likelier_and_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = np.zeros(len(FEATURES))
    candidate[FEATURES.index("evidence")] = 1.0
    pattern = mixture({"A1": ("CoCrFeNi", 3.575, 1.0)})
    notes = []
    for none in (-1e3, 1e3):
        ranking = RankingModel(candidate=candidate, none=np.array([none, 0.0, 0.0, 0.0]))
        monkeypatch.setattr(network_labeller, "load_ranking", lambda ranking=ranking: ranking)
        call = classify_pattern(pattern)
        assert [p.name for p in call.phases] == ["A1"]
        assert call.in_scope == (none < 0) and ("metallic phase" in call.reason) == (none > 0)
        notes.append([note for note in call.notes if "none of the sets" in note])
    assert notes == [[], ["likelier (1.00) none of the sets that were fitted: take the phases as a beginning"]]
