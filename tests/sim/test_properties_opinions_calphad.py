"""Equilibria of databases written here, whose answers are known in closed form."""

from __future__ import annotations

import math
from importlib.util import find_spec
from itertools import product

import numpy as np
import pytest
from scipy.optimize import brentq

from hea_sim.errors import InputError, MissingDependencyError, MissingFileError
from hea_sim.properties.second_opinions.calphad import COUNTED_FROM, labels_of, phases_at, structure_of

pytestmark = pytest.mark.skipif(find_spec("pycalphad") is None, reason="needs the extra `thermo`")
R = 8.3145  # as in the database format
HEAD = """
ELEMENT VA VACUUM 0 0 0 !
ELEMENT MO BCC_A2 95.95 0 0 !
ELEMENT NB BCC_A2 92.91 0 0 !
ELEMENT NI FCC_A1 58.69 0 0 !
TYPE_DEFINITION % SEQ *!
"""


def solution(name, elements, energies, interactions=()):
    """Write a substitutional solution: molar energies of the pure elements and regular interactions, J/mol."""
    lines = [f"PHASE {name} % 2 1 1 !", f"CONSTITUENT {name} : {','.join(elements)} : VA : !"]
    lines += [f"PARAMETER G({name},{e}:VA;0) 1 {g}; 6000 N !" for e, g in zip(elements, energies, strict=True)]
    lines += [f"PARAMETER G({name},{a},{b}:VA;0) 1 {w}; 6000 N !" for a, b, w in interactions]
    return "\n".join(lines) + "\n"


@pytest.fixture
def database(tmp_path):
    def write(*phases):
        path = tmp_path / "own.tdb"
        path.write_text(HEAD + "".join(phases))
        return path

    return write


def test_two_ideal_solutions_share_an_alloy_by_the_lever_rule(database):
    # equal chemical potentials: x_fcc / x_bcc = exp(-(g_fcc - g_bcc) / RT) for each element
    a, b, T = 10_000.0, 12_000.0, 1200.0
    path = database(solution("FCC_A1", ("MO", "NI"), (a, 0)), solution("BCC_A2", ("MO", "NI"), (0, b)))
    mo, ni = math.exp(-a / (R * T)), math.exp(b / (R * T))
    in_bcc = (1 - ni) / (mo - ni)
    in_fcc = mo * in_bcc
    found = phases_at("MoNi", T, path)
    bcc, fcc = sorted(found.phases, key=lambda phase: phase.structure, reverse=True)
    assert (bcc.structure, fcc.structure) == ("A2", "A1")
    assert bcc.composition["Mo"] == pytest.approx(in_bcc, abs=1e-4)
    assert fcc.composition["Mo"] == pytest.approx(in_fcc, abs=1e-4)
    assert bcc.fraction == pytest.approx((0.5 - in_fcc) / (in_bcc - in_fcc), abs=1e-3)
    assert bcc.fraction + fcc.fraction == pytest.approx(1.0)
    assert (found.structure, found.family) == ("multi", "SS")


def test_a_filled_fcc_lattice_is_a_carbide(database):
    carbon = "ELEMENT C GRAPHITE 12.011 0 0 !\n"
    lines = [
        "PHASE FCC_A1 % 2 1 1 !",
        "CONSTITUENT FCC_A1 : NI,NB : C,VA : !",
        "PARAMETER G(FCC_A1,NI:VA;0) 1 0; 6000 N !",
        "PARAMETER G(FCC_A1,NB:VA;0) 1 20000; 6000 N !",
        "PARAMETER G(FCC_A1,NB:C;0) 1 -150000; 6000 N !",
        "PARAMETER G(FCC_A1,NI:C;0) 1 60000; 6000 N !",
    ]
    found = phases_at("Ni80Nb10C10", 1000.0, database(carbon, "\n".join(lines) + "\n"))
    told = {phase.structure: phase for phase in found.phases}
    assert set(told) == {"A1", "B1"}  # nickel, and NbC under the same name
    assert told["B1"].composition["C"] == pytest.approx(0.5, abs=0.01)
    assert (found.structure, found.family) == ("multi", "SS+IM")


def test_regular_solution_parts_in_two_along_its_binodal(database):
    w, T = 25_000.0, 1000.0
    path = database(solution("BCC_A2", ("MO", "NB"), (0, 0), [("MO", "NB", w)]))
    x = brentq(lambda x: math.log(x / (1 - x)) + w * (1 - 2 * x) / (R * T), 1e-6, 0.4)
    found = phases_at("MoNb", T, path)
    assert len(found.phases) == 2
    assert min(phase.composition["Mo"] for phase in found.phases) == pytest.approx(x, abs=1e-4)
    assert found.structure == "multi"  # two bcc phases
    above = phases_at("MoNb", 1.05 * w / (2 * R), path)  # over the critical temperature
    assert [phase.structure for phase in above.phases] == ["A2"]
    assert (above.structure, above.family) == ("BCC", "SS")


def test_order_sets_in_where_mean_field_theory_has_it(database):
    w = 10_000.0
    pairs = product(("MO", "NI"), repeat=2)
    lines = [
        "PHASE BCC_B2 % 3 0.5 0.5 3 !",
        "CONSTITUENT BCC_B2 : MO,NI : MO,NI : VA : !",
        *(f"PARAMETER G(BCC_B2,{a}:{b}:VA;0) 1 {0 if a == b else -w}; 6000 N !" for a, b in pairs),
    ]  # fmt: skip
    path = database("\n".join(lines) + "\n")
    critical = w / R
    for T in (0.7 * critical, 0.9 * critical):
        s = brentq(lambda s, T=T: s - math.tanh(w * s / (R * T)), 1e-3, 1.0)
        found = phases_at("MoNi", T, path).phases[0]
        assert found.structure == "B2"
        assert found.order_parameter == pytest.approx(s, abs=2e-3)
    disordered = phases_at("MoNi", 1.05 * critical, path)
    assert disordered.phases[0].structure == "A2"
    assert (disordered.structure, disordered.family) == ("BCC", "SS")


def test_compound_beside_a_solution_and_a_liquid(database):
    compound = (
        "PHASE SIGMA % 2 0.5 0.5 !\nCONSTITUENT SIGMA : MO : NI : !\nPARAMETER G(SIGMA,MO:NI;0) 1 -40000; 6000 N !\n"
    )
    liquid = solution("LIQUID", ("MO", "NI"), (9000, 9000)).replace("2 1 1", "1 1").replace(" : VA :", " :")
    liquid = liquid.replace(":VA;0) 1 9000", ";0) 1 +9000-4*T")
    path = database(solution("FCC_A1", ("MO", "NI"), (5000, 0)), compound, liquid)
    found = phases_at("MoNi3", 900.0, path)
    assert {phase.structure for phase in found.phases} == {"sigma", "A1"}
    assert (found.structure, found.family) == ("multi", "SS+IM")
    assert phases_at("MoNi3", 900.0, path, phases=["FCC_A1"]).family == "SS"
    molten = phases_at("Ni", 2300.0, path)
    assert (molten.phases[0].structure, molten.structure, molten.family) == ("liquid", None, None)
    assert phases_at("Ni", 2200.0, path).structure == "FCC"  # melts where 9000 = 4 T


def test_ternary_alloy_of_one_ideal_solution_keeps_its_composition(database):
    path = database(solution("BCC_A2", ("MO", "NB", "NI"), (0, 0, 0)))
    found = phases_at("Mo2NbNi", 1000.0, path)
    assert found.phases[0].composition == pytest.approx({"Mo": 0.5, "Nb": 0.25, "Ni": 0.25}, abs=1e-6)
    assert len(found.database_sha256) == 64


def test_small_phases_are_listed_but_not_counted(database):
    from hea_sim.properties.second_opinions.calphad import StablePhase

    def phase(structure, fraction):
        return StablePhase(name=structure, structure=structure, fraction=fraction, composition={}, order_parameter=0.0)

    assert labels_of([phase("A1", 0.99), phase("sigma", 0.01)]) == ("FCC", "SS")
    assert labels_of([phase("A1", 1 - COUNTED_FROM), phase("sigma", COUNTED_FROM)]) == ("multi", "SS+IM")
    assert labels_of([phase("A3", 1.0)]) == ("HCP", "SS")
    assert labels_of([phase("", 1.0)]) == ("multi", "IM")
    assert labels_of([phase("A1", 0.5), phase("liquid", 0.5)]) == (None, None)


def test_names_in_use_are_read():
    read = {
        "LIQUID": "liquid", "FCC_A1": "A1", "FCC_A1#2": "A1", "BCC_A2": "A2", "HCP_A3": "A3", "BCC_B2": "B2",
        "B2_BCC": "B2", "FCC_L12": "L1_2", "SIGMA": "sigma", "SIGMA_D8B": "sigma", "LAVES_C14": "C14",
        "C15_LAVES": "C15", "MU_PHASE": "mu", "CHI_A12": "chi", "CBCC_A12": "chi", "CUB_A13": "A13",
        "M23C6": "M23C6", "HEUSLER": "",
    }  # fmt: skip
    assert {name: structure_of(name) for name in read} == read
    assert structure_of("FCC_L12", ordered=False) == "A1"


def test_bad_input_is_told(database, tmp_path):
    path = database(solution("BCC_A2", ("MO", "NB"), (0, 0)))
    with pytest.raises(InputError, match=r"own\.tdb has no Ta; it knows Mo, Nb, Ni"):
        phases_at("MoNbTa", 1000.0, path)
    with pytest.raises(InputError, match=r"has no phase XY; it has BCC_A2"):
        phases_at("MoNb", 1000.0, path, phases=["XY"])
    with pytest.raises(InputError, match=r"gives no equilibrium of MoNi|no minimum"):
        phases_at("MoNi", 1000.0, path)  # the element is named, but stands in no phase
    with pytest.raises(InputError, match="wanted both above 0"):
        phases_at("MoNb", -1.0, path)
    with pytest.raises(MissingFileError, match="no such file"):
        phases_at("MoNb", 1000.0, tmp_path / "none.tdb")
    with pytest.raises(InputError, match="wanted the path of a TDB file"):
        phases_at("MoNb", 1000.0, 3.0)
    (tmp_path / "bad.tdb").write_text("this is no database")
    with pytest.raises(InputError, match=r"bad\.tdb"):
        phases_at("MoNb", 1000.0, tmp_path / "bad.tdb")


def test_a_database_object_is_taken_and_a_changed_file_is_read_again(database):
    from pycalphad import Database

    path = database(solution("BCC_A2", ("MO", "NB"), (0, 0)))
    assert phases_at("MoNb", 1000.0, path).structure == "BCC"
    assert phases_at("MoNb", 1000.0, Database(str(path))).database == "database given by the caller"
    database(solution("FCC_A1", ("MO", "NB"), (0, 0)))
    assert phases_at("MoNb", 1000.0, path).structure == "FCC"
    assert np.isclose(sum(p.fraction for p in phases_at("MoNb", 1000.0, path).phases), 1.0)


def test_without_the_extra_the_line_to_install_is_told(database, monkeypatch):
    import sys

    path = database(solution("BCC_A2", ("MO", "NB"), (0, 1)))
    monkeypatch.setitem(sys.modules, "pycalphad", None)
    with pytest.raises(MissingDependencyError, match=r"hea-toolkit\[thermo\]"):
        phases_at("MoNb", 1000.0, path)
