"""Elements go to the sublattices that suit them, and compositions are kept where the structure allows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.alloy import Composition
from hea_sim.crystals import prototype, prototype_names, site_compositions

METALS = (
    "Al",
    "Si",
    "Ti",
    "V",
    "Cr",
    "Mn",
    "Fe",
    "Co",
    "Ni",
    "Cu",
    "Zr",
    "Nb",
    "Mo",
    "Ta",
    "W",
    "Hf",
    "Sn",
    "Ca",
    "Gd",
)
LIGHT = ("H", "B", "C", "N", "O", "F")
ALLOYS = st.dictionaries(st.sampled_from((*METALS, *LIGHT)), st.floats(1e-3, 1.0), min_size=1, max_size=7).map(
    Composition.parse
)


def placed(name: str, alloy: str) -> dict[str, set[str]]:
    return {s: set(c) for s, c in site_compositions(name, Composition.parse(alloy)).items()}


@pytest.mark.parametrize(
    ("name", "alloy", "wanted"),
    # What diffraction and atom probe find in the compounds named.
    [
        ("B2", "NiAl", {"A": {"Ni"}, "B": {"Al"}}),
        ("B2", "NbMoTaW", {"A": {"Mo", "W"}, "B": {"Nb", "Ta"}}),
        ("L1_2", "Ni3Al", {"A": {"Al"}, "B": {"Ni"}}),
        ("L1_2", "Ni3Si", {"A": {"Si"}, "B": {"Ni"}}),
        ("L1_2", "Al3Zr", {"A": {"Zr"}, "B": {"Al"}}),
        ("D0_3", "Fe3Al", {"A": {"Al"}, "B": {"Fe"}}),
        ("D0_19", "Ti3Al", {"A": {"Al"}, "B": {"Ti"}}),
        ("D0_19", "Co3W", {"A": {"W"}, "B": {"Co"}}),
        ("D0_22", "Ni3Nb", {"A": {"Nb"}, "B": {"Ni"}}),
        ("D0_24", "Ni3Ti", {"A": {"Ti"}, "B": {"Ni"}}),
        ("L2_1", "Ni2TiAl", {"M": {"Ni"}, "A": {"Ti"}, "B": {"Al"}}),
        ("L2_1", "Cu2MnAl", {"M": {"Cu"}, "A": {"Mn"}, "B": {"Al"}}),
        ("C14", "CoCrFeNiNb0.3", {"A": {"Nb"}, "B": {"Co", "Cr", "Fe", "Ni"}}),
        ("C15", "ZrTiCr2V", {"A": {"Zr", "Ti"}, "B": {"Cr", "V"}}),
        ("mu", "CoCrFeNiMo0.5", {"A": {"Mo"}, "B": {"Co", "Cr", "Fe", "Ni"}}),
        ("A15", "Cr3Si", {"A": {"Cr"}, "B": {"Si"}}),
        ("A15", "Nb3Sn", {"A": {"Nb"}, "B": {"Sn"}}),
        ("A15", "V3Ni", {"A": {"V"}, "B": {"Ni"}}),
        ("A15", "W", {"A": {"W"}, "B": {"W"}}),
        ("E2_1", "SrTiO3", {"A": {"Sr"}, "B": {"Ti"}, "X": {"O"}}),
        ("E2_1", "CaTiO3", {"A": {"Ca"}, "B": {"Ti"}, "X": {"O"}}),
        ("B1", "NbTiC0.5N0.5", {"M": {"Nb", "Ti"}, "X": {"C", "N"}}),
        ("M23C6", "FeCr", {"M": {"Fe", "Cr"}, "X": {"C"}}),
        ("D5_1", "CrAlC", {"M": {"Cr", "Al"}, "X": {"O"}}),
        ("A4", "AlCu", {"M": {"Si"}}),
        ("C14", "Fe", {"A": {"Nb"}, "B": {"Fe"}}),
    ],
)
def test_elements_stand_where_they_are_found(name: str, alloy: str, wanted: dict[str, set[str]]) -> None:
    assert placed(name, alloy) == wanted


@settings(deadline=None)
@given(ALLOYS)
def test_no_element_is_invented_and_none_stands_in_the_wrong_place(alloy: Composition) -> None:
    for name in prototype_names():
        kind = prototype(name)
        for label, composition in site_compositions(name, alloy).items():
            typical = Composition.parse(kind.typical[label])
            assert set(composition) <= set(alloy) or composition == typical
            if label != "X":
                assert not set(composition) & set(LIGHT)
            else:
                assert set(composition) <= set(LIGHT)


@settings(deadline=None)
@given(ALLOYS.filter(lambda c: not set(c) <= set(LIGHT)))
def test_ordered_and_disordered_alloys_keep_their_composition(alloy: Composition) -> None:
    metals = {e: x for e, x in alloy.items() if e not in LIGHT}
    total = sum(metals.values())
    for name in prototype_names():
        kind = prototype(name)
        if kind.role not in ("ordered", "solid solution"):
            continue
        counts = kind.stoichiometry
        found = dict.fromkeys(metals, 0.0)
        for label, composition in site_compositions(name, alloy).items():
            for e, x in composition.items():
                found[e] += x * counts[label] / sum(counts.values())
        assert found == pytest.approx({e: x / total for e, x in metals.items()}, abs=1e-6)


@settings(deadline=None)
@given(ALLOYS, st.randoms())
def test_the_order_of_the_elements_does_not_matter(alloy: Composition, shuffle) -> None:  # type: ignore[no-untyped-def]
    items = list(alloy.items())
    shuffle.shuffle(items)
    for name in ("B2", "L2_1", "C14", "A15", "E2_1"):
        one, other = (site_compositions(name, Composition.parse(dict(x))) for x in (alloy, items))
        assert all(dict(one[s]) == pytest.approx(dict(other[s]), abs=1e-9) for s in one)


@pytest.mark.parametrize("name", prototype_names())
def test_without_an_alloy_the_typical_composition_stands_in(name: str) -> None:
    kind = prototype(name)
    assert site_compositions(kind, None) == {s: Composition.parse(kind.typical[s]) for s in kind.sublattices}
