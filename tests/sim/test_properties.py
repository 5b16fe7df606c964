"""First opinions: named tables, honest reliability, refusals, determinism."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.documents import to_jsonable
from hea_sim.properties import first_opinion
from hea_sim.properties.recipes import rule_reliability
from hea_sim.properties.reliability import LABELS, look_up, shipped_table, smallest_set

POOL = ["Al", "Co", "Cr", "Cu", "Fe", "Hf", "Mn", "Mo", "Nb", "Ni", "Ta", "Ti", "V", "W", "Zr"]


def test_known_descriptors():
    opinion = first_opinion("CoCrFeMnNi")
    d = opinion.descriptors
    assert d["valence_electrons"].value == pytest.approx(8.0)
    assert d["size_mismatch"].value == pytest.approx(3.1641, abs=1e-3) and d["size_mismatch"].unit == "%"
    assert "radii" in d["size_mismatch"].method and "Teatum" in opinion.tables["radii"]
    assert d["mixing_enthalpy"].value == pytest.approx(-4.16, abs=0.01)
    assert d["mixing_entropy"].value == pytest.approx(8.314462 * 1.6094379, rel=1e-4)
    assert len(opinion.verdicts) == 9


@pytest.mark.parametrize("formula", ["NbMoTaTiV", "NbMoTaW", "NbTaTi"])
def test_refractory_alloys_may_be_bcc(formula):
    opinion = first_opinion(formula)
    assert opinion.structure == "BCC" and ["A2"] in list(opinion.phase_sets)
    assert opinion.domain["in_domain"]


def test_cantor_alloy_is_not_bcc():
    opinion = first_opinion("CoCrFeMnNi")
    assert opinion.structure == "FCC"
    assert opinion.phase_sets[0] == ["A1"] and ["A2"] not in list(opinion.phase_sets)
    # Several phases cannot be excluded, and which ones the counts do not say.
    assert opinion.multi_unresolved


def test_coverage_of_the_sets_is_what_they_promise():
    coverage = shipped_table()["coverage"]
    assert coverage["fraction"] >= 0.99
    for seen in coverage["by_verdict"].values():
        assert seen["covered"] / seen["n"] >= 0.99


@pytest.mark.parametrize(("formula", "element"), [("NbMoTaXe", "Xe"), ("NbMoTaU", "U"), ("CoCrFePo", "Po")])
def test_unknown_chemistry_is_refused_not_crashed(formula, element):
    opinion = first_opinion(formula)
    assert not opinion.domain["in_domain"]
    assert any(element in reason for reason in opinion.domain["reasons"])
    to_jsonable(opinion)


def test_pure_metal_and_binary_are_outside():
    for formula in ("W", "NbTa"):
        assert not first_opinion(formula).domain["in_domain"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(POOL), min_size=4, max_size=7, unique=True).flatmap(
        lambda elements: st.permutations(elements).map(lambda other: (elements, other))
    )
)
def test_order_of_elements_does_not_matter(pair):
    a, b = (first_opinion("".join(elements)) for elements in pair)
    assert a.structure == b.structure
    assert dict(a.reliability.probabilities) == dict(b.reliability.probabilities)
    assert list(a.phase_sets) == list(b.phase_sets)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4).filter(lambda p: sum(p) > 0.01), st.floats(0.5, 0.999))
def test_smallest_set_is_smallest(weights, level):
    p = {label: w / sum(weights) for label, w in zip(LABELS, weights)}
    chosen = smallest_set(p, level)
    assert sum(p[c] for c in chosen) >= level - 1e-9
    assert sum(sorted(p.values(), reverse=True)[: len(chosen) - 1]) < level


@given(st.floats(2.0, 12.0), st.sampled_from(["BCC", "FCC", "mixed"]))
def test_probabilities_are_probabilities(vec, verdict):
    seen = look_up(vec, verdict, shipped_table()["counts"])
    assert sum(seen.probabilities.values()) == pytest.approx(1.0)
    assert 0.0 <= seen.entropy_bits <= 2.0
    assert min(seen.probabilities.values()) > 0.0


def test_no_counts_gives_all_labels():
    seen = look_up(5.0, "BCC", {})
    assert seen.n == 0 and set(seen.label_set) == set(LABELS) and seen.entropy_bits == pytest.approx(2.0)


@pytest.mark.data
def test_shipped_counts_are_those_of_the_table():
    folder = os.environ.get("HEA_DATA")
    if not folder:
        pytest.skip("HEA_DATA is not set: the frozen composition table is needed")
    made = rule_reliability.build(Path(folder) / "composition" / "alloys.csv")
    assert to_jsonable(made) == shipped_table()
