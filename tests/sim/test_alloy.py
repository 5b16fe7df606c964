from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hea_sim.alloy import Composition, parse_elements
from hea_sim.errors import InputError

ELEMENTS = ["Al", "Co", "Cr", "Fe", "Ni", "Nb", "Mo", "Ta", "W", "Ti", "V"]
amounts = st.dictionaries(st.sampled_from(ELEMENTS), st.floats(0.01, 100.0), min_size=1, max_size=7)


@given(amounts)
def test_fractions_sum_to_one_and_survive_the_formula(mapping: dict[str, float]) -> None:
    alloy = Composition.parse(mapping)
    assert sum(alloy.values()) == pytest.approx(1.0)
    again = Composition.parse(alloy.formula)
    for element in alloy:
        assert again[element] == pytest.approx(alloy[element], rel=2e-3)


@given(amounts)
def test_weight_fractions_invert(mapping: dict[str, float]) -> None:
    alloy = Composition.parse(mapping)
    back = Composition.from_weight(alloy.weight_fractions())
    assert {e: back[e] for e in alloy} == pytest.approx(dict(alloy))


@given(amounts, st.integers(1, 5000))
def test_counts_share_out_every_site_within_one(mapping: dict[str, float], n: int) -> None:
    alloy = Composition.parse(mapping)
    counts = alloy.counts(n)
    assert sum(counts.values()) == n
    assert all(abs(counts[e] - n * alloy[e]) < 1 + 1e-9 for e in alloy)


def test_known_weight_percent() -> None:
    # NiAl: 58.693 / (58.693 + 26.982) = 68.51 wt.% Ni
    assert Composition.parse("NiAl").weight_fractions()["Ni"] == pytest.approx(0.6851, abs=5e-5)


@pytest.mark.parametrize(
    ("text", "says"),
    [("Xx", "no element"), ("Nb0Mo0", "sum to 0"), ("", "empty"), ("Nb-Mo", "cannot read"), ("nbmo", "cannot read")],
)
def test_bad_formulas_name_the_fault(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Composition.parse(text)


def test_negative_and_infinite_amounts_are_refused() -> None:
    for bad in (-1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="amount of Mo"):
            Composition.parse({"Nb": 1.0, "Mo": bad})


@given(st.text(max_size=12))
def test_any_text_gives_a_composition_or_an_input_error(text: str) -> None:
    try:
        alloy = Composition.parse(text)
    except InputError:
        return
    assert sum(alloy.values()) == pytest.approx(1.0)


def test_element_lists() -> None:
    assert parse_elements("Nb, Mo; Ta W") == ("Nb", "Mo", "Ta", "W")
