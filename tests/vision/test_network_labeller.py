from __future__ import annotations

from pathlib import Path

import pytest

from hea_sim.alloy import Composition
from hea_sim.crystals import build_crystal, prototype_from_cif
from hea_sim.diffraction import powder_pattern
from hea_vision.io import read_pattern
from hea_vision.xrd import classify_pattern

from .patterns import mixture


@pytest.mark.parametrize(
    ("name", "occupancy", "a", "tube"),
    [
        ("A1", "CoCrFeNi", 3.575, "CuKa"),
        ("A2", "NbTaTi", 3.29, "CoKa"),
        ("A3", "TiZrHf", 3.10, "CuKa"),
        ("sigma", {"A": "Fe", "B": "Cr"}, 8.80, "CuKa"),
        ("C14", {"A": "Ti", "B": "Fe"}, 4.79, "CuKa"),
        ("C15", {"A": "Nb", "B": "Cr"}, 6.99, "MoKa"),
    ],
)
def test_one_phase_is_found_with_its_lattice(name: str, occupancy: object, a: float, tube: str) -> None:
    limits = (10.0, 60.0) if tube == "MoKa" else (25.0, 120.0)
    call = classify_pattern(mixture({name: (occupancy, a, 1.0)}, tube=tube, limits=limits))
    assert call.in_scope and [p.name for p in (*call.phases, *call.traces)] == [name]
    lattice = call.phases[0].lattice_A["a"]
    assert lattice.std is not None and abs(lattice.value - a) < 4 * lattice.std < 0.03
    assert call.method == "network" and call.provenance is not None and len(call.provenance.model_sha256) == 2


def test_probabilities_of_whole_sets_and_the_parts_agree() -> None:
    call = classify_pattern(
        mixture({"A1": ("AlCoCrFeNi", 3.60, 0.6), "A2": ("AlCoCrFeNi", 2.87, 0.4)}), elements="AlCoCrFeNi"
    )
    assert {p.name for p in call.phases} == {"A1", "A2"}
    assert call.assemblages[0]["phases"] == ["A1", "A2"] and call.assemblages[0]["probability"] > 0.7
    assert sum(a["probability"] for a in call.assemblages) <= 1 + 1e-9
    for phase in call.phases:
        whole = sum(a["probability"] for a in call.assemblages if phase.name in a["phases"])
        assert phase.probability == pytest.approx(whole, abs=0.02)
        weight = phase.weight_fraction
        assert weight is not None and weight.low is not None and weight.low < weight.value < (weight.high or 0)
    shares = [p.weight_fraction.value for p in call.phases if p.weight_fraction is not None]
    assert sum(shares) == pytest.approx(1.0)
    truth = 0.6  # volume share of A1, whose density is that of A2 within a per cent
    a1 = next(p for p in call.phases if p.name == "A1")
    assert a1.volume_fraction is not None and abs(a1.volume_fraction.value - truth) < 0.06


def test_the_elements_decide_between_order_that_shows_and_order_that_hides() -> None:
    flat = classify_pattern(mixture({"A2": ("NbMoTaW", 3.22, 1.0)}), elements="NbMoTaW")
    assert [["A2"], ["B2"]] == sorted(s for s in flat.prediction_sets if set(s) <= {"A2", "B2"})
    strong = classify_pattern(mixture({"B2": ({"A": "Ni", "B": "Al"}, 2.887, 1.0)}), elements="NiAl")
    assert [p.name for p in strong.phases] == ["A2"] and strong.prediction_sets[0] == ["B2"]
    assert ["A2"] not in strong.prediction_sets


def test_a_line_nobody_asked_for_is_named() -> None:
    call = classify_pattern(
        mixture({"A1": ("CoCrFeNi", 3.59, 0.9), "B1": ({"M": "Nb", "X": "C"}, 4.47, 0.1)}),
        elements="CoCrFeNi",
        structures=["A1"],
    )
    first = call.unexplained_lines[0]
    assert first["d_A"] == pytest.approx(4.47 / 3**0.5, abs=0.01) or first["d_A"] == pytest.approx(2.235, abs=0.01)
    assert any(row["structure"] == "B1" for line in call.unexplained_lines for row in line["explained_by"])


def test_a_structure_of_the_user_joins_without_training(tmp_path: Path) -> None:
    """A type the network has never heard of is found because its CIF was given."""
    from ase import Atoms
    from ase.io import write

    cell = Atoms(
        "CuZr2", scaled_positions=[(0, 0, 0), (0, 0, 0.344), (0, 0, 0.656)], cell=[3.22, 3.22, 11.18], pbc=True
    )
    body = cell.copy()
    second = cell.copy()
    second.translate([1.61, 1.61, 5.59])
    body += second
    body.wrap()
    write(tmp_path / "cuzr2.cif", body)
    mine = prototype_from_cif(tmp_path / "cuzr2.cif", name="CuZr2")
    pattern = powder_pattern(body, "CuKa")
    without = classify_pattern(pattern, elements="CuZr")
    with_it = classify_pattern(pattern, elements="CuZr", structures=[mine])
    assert [p.name for p in with_it.phases] == ["CuZr2"] and with_it.unexplained_fraction < 0.1
    assert "CuZr2" not in {p.name for p in without.phases}


def test_ceramics_are_named_and_out_of_scope() -> None:
    call = classify_pattern(mixture({"B1": ({"M": "Ti", "X": "N"}, 4.24, 1.0)}))
    assert not call.in_scope and [p.name for p in call.phases] == ["B1"] and "ceramic" in call.reason


def test_a_single_element_cannot_order() -> None:
    call = classify_pattern(mixture({"A2": ("W", 3.165, 1.0)}), elements=Composition.parse("W"))
    assert call.prediction_sets[0] == ["A2"] and ["B2"] not in call.prediction_sets


def test_a_simulated_cell_is_recognised() -> None:
    pattern = powder_pattern(build_crystal("A2", "NbMoTaW", a_A=3.22), "CoKa")
    call = classify_pattern(pattern)
    assert call.in_scope and call.synthetic and [p.name for p in call.phases] == ["A2"]


@pytest.mark.data
@pytest.mark.parametrize("model", ["matcher", "network"])
@pytest.mark.parametrize(
    ("name", "phases"),
    [
        ("xrd/steel_d8/E211110-AAC-001_008-000_exported.csv", {"A2"}),
        ("xrd/steel_d8/E211110-AAC-001_012-000_exported.csv", {"A1"}),
        ("xrd/steel_d8/E211110-AAC-001_013-000_exported.csv", {"A1", "A2"}),
        ("xrd/steel_d8/E211110-AAC-001_014-000_exported.csv", {"A1", "A2"}),
        ("xrd/steel_xrdml/Gonio_BB-HD-Cu_Gallipix3d[30-120]_New_Control_proper_power.xrdml", {"A1", "A2"}),
        ("specimens/nbmotativ/Nb_Mo_Ta_Ti_V_As_Cast_01_001_exported.xy", {"A2"}),
        ("xrd/steel_d8/E211110-AAC-001_005-000_exported.csv", None),
        ("xrd/non_alloy/MnO.xy", "B1"),
        ("xrd/non_alloy/TiO2+MnO.xy", "B1"),
        ("xrd/non_alloy/TiO2.xy", None),
        ("xrd/reaction_xrdml/Cr2O3-2ZnO_1100C_60min.xrdml", None),
    ],
)
def test_real_patterns(data: Path, name: str, phases: set[str] | str | None, model: str) -> None:
    pattern = read_pattern(data / name)
    call = classify_pattern(pattern, radiation=None if pattern.radiation else "CuKa", model=model)
    found = {p.name for p in call.phases}
    if isinstance(phases, set):
        assert call.in_scope and found == phases
        assert phases <= {x for s in call.prediction_sets for x in s}
    else:
        assert not call.in_scope and (phases is None or phases in found)
    if "_008" in name:
        assert abs(call.phases[0].lattice_A["a"].value - 2.8665) < 0.002
