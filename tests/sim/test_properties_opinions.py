"""Agreement of sources, counted rules, energies of lattices, and the table that joins them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones
from ase.units import kB
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from hea_sim.alloy import Composition
from hea_sim.documents import to_jsonable
from hea_sim.errors import InputError
from hea_sim.potentials.choice import choose_potential
from hea_sim.properties.contract import FAMILIES, STRUCTURES, AlloyPrediction, ClassCall
from hea_sim.properties.second_opinions import agreement, second_opinions
from hea_sim.properties.second_opinions.agreement import (
    ENERGIES,
    REPORTED,
    THERMODYNAMICS,
    Opinion,
    StrengthOpinion,
    answer_of,
    compare_strengths,
    overlap,
    weight_bits,
)
from hea_sim.properties.second_opinions.rule_counts import (
    PRIOR_COUNT,
    base_rates,
    count_verdicts,
    observed_under,
    shipped_counts,
)
from hea_sim.properties.second_opinions.static_energies import lowest_of, make_cell, static_energies_of
from hea_sim.records import Estimate

BASE = {"BCC": 0.25, "FCC": 0.25, "HCP": 0.25, "multi": 0.25}
SURE = st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4)


def opinion(group, **shares):
    rest = (1 - sum(shares.values())) / (4 - len(shares))
    probabilities = {name: shares.get(name, rest) for name in STRUCTURES}
    return Opinion(source=group, question="structure", says="", probabilities=probabilities, trust="", group=group)


def answer(*opinions):
    return answer_of("structure", opinions, BASE)[0]


def test_sources_that_say_the_same_agree_wholly_and_opposites_not_at_all():
    assert answer(opinion("a", BCC=0.9), opinion("b", BCC=0.9)).agreement == pytest.approx(1.0)
    assert answer(opinion("a", BCC=1.0), opinion("b", FCC=1.0)).agreement == 0.0


def test_a_source_that_tells_nothing_neither_helps_nor_hurts():
    heard = answer(opinion("a", BCC=0.9), opinion("b", BCC=0.8))
    with_silent = answer(opinion("a", BCC=0.9), opinion("b", BCC=0.8), opinion("c", BCC=0.25))
    assert with_silent.agreement == pytest.approx(heard.agreement)
    assert with_silent.votes == heard.votes == (2, 2)
    rows = answer_of("structure", [opinion("a", BCC=0.9), opinion("c", BCC=0.25)], BASE)[1]
    assert [row.agrees for row in rows] == [True, None]


def test_sources_of_one_group_are_one_witness():
    alone = answer(opinion("a", BCC=0.9), opinion("b", FCC=0.8))
    crowd = answer(opinion("a", BCC=0.9), *(opinion("a", BCC=0.7) for _ in range(9)), opinion("b", FCC=0.8))
    assert crowd.agreement == pytest.approx(alone.agreement)
    assert crowd.pooled == pytest.approx(alone.pooled)
    assert crowd.votes == (1, 2)
    assert crowd.within["a"] > 0.75
    assert answer(opinion("a", BCC=0.9), opinion("a", BCC=0.8)).agreement is None


@given(p=SURE, q=SURE)
@settings(max_examples=60, deadline=None)
def test_overlap_and_weight_keep_their_bounds(p, q):
    one, other = (dict(zip(STRUCTURES, np.array(x) / sum(x), strict=True)) for x in (p, q))
    assert 0 <= overlap(one, other) <= 1 + 1e-12
    assert overlap(one, other) == pytest.approx(overlap(other, one))
    assert overlap(one, other) == pytest.approx(1 - 0.5 * sum(abs(one[k] - other[k]) for k in one))
    assert weight_bits(one, BASE) == pytest.approx(2 - sum(-v * math.log2(v) for v in one.values()))
    assert weight_bits(one, one) == pytest.approx(0.0, abs=1e-12)


def test_a_source_speaks_for_what_it_makes_likelier_than_the_base_rate():
    base = {"BCC": 0.2, "FCC": 0.1, "HCP": 0.1, "multi": 0.6}
    milder = Opinion(
        source="m", question="structure", says="", trust="", group="b",
        probabilities={"BCC": 0.42, "FCC": 0.05, "HCP": 0.05, "multi": 0.48},
    )  # fmt: skip
    found, rows = answer_of("structure", [opinion("a", BCC=0.9), milder], base)
    assert found.likeliest == "BCC"
    assert found.votes == (2, 2)  # "multi" stays likeliest for m, yet m speaks for BCC
    assert [row.agrees for row in rows] == [True, True]


def test_nobody_telling_anything_gives_no_answer():
    refused = Opinion(source="x", question="structure", says="nothing", probabilities={}, trust="none", group="x")
    found, rows = answer_of("structure", [refused, opinion("b", BCC=0.25)], BASE)
    assert found is None
    assert [row.agrees for row in rows] == [None, None]


def test_strengths_agree_where_their_intervals_meet():
    def told(group, low, high):
        estimate = Estimate(value=0.5 * (low + high), low=low, high=high, level=0.9, unit="MPa")
        return StrengthOpinion(source=group, says="", estimate=estimate, trust="", group=group)

    near, apart = told("a", 900, 1100), told("b", 1050, 1400)
    assert [one.agrees for one in compare_strengths([near, apart])] == [True, True]
    assert [one.agrees for one in compare_strengths([near, told("b", 1200, 1400)])] == [False, False]
    assert [one.agrees for one in compare_strengths([near])] == [None]


def test_shipped_counts_are_those_of_the_tables():
    made, shipped = count_verdicts(), shipped_counts()
    assert json.loads(json.dumps(to_jsonable(made))) == shipped
    for question, classes in (("structure", STRUCTURES), ("family", FAMILIES)):
        assert shipped["classes"][question] == list(classes)
        for verdicts in shipped["rules"].values():  # no rule counts an alloy twice
            total = np.sum([counts[question] for counts in verdicts.values()], axis=0)
            assert (total <= shipped["all"][question]).all()


def test_verdicts_stand_for_what_was_counted_and_unknown_ones_for_the_base_rates():
    shares, n = observed_under("guo_vec", "BCC", "structure")
    counts = shipped_counts()["rules"]["guo_vec"]["BCC"]["structure"]
    assert n == sum(counts)
    assert shares["BCC"] == pytest.approx(
        (counts[0] + PRIOR_COUNT * base_rates("structure")["BCC"]) / (n + PRIOR_COUNT)
    )
    assert sum(shares.values()) == pytest.approx(1.0)
    assert observed_under("guo_vec", "no verdict", "structure") == (pytest.approx(base_rates("structure")), 0)


def test_lowest_of_two_energies_is_the_normal_law():
    found = lowest_of({"A1": 0.0, "A2": 0.013}, 0.01)
    assert found["A1"] == pytest.approx(ndtr(1.3 / math.sqrt(2)), abs=1e-6)
    assert lowest_of({"A1": 0.0, "A2": 0.0, "A3": 5.0}, 0.01) == pytest.approx({"A1": 0.5, "A2": 0.5, "A3": 0.0})
    with pytest.raises(InputError, match="wanted above 0"):
        lowest_of({"A1": 0.0}, 0.0)


@pytest.mark.parametrize("structure", ["A1", "A2", "A3", "C14", "C15", "sigma"])
def test_cells_keep_the_composition_and_count_their_entropy(structure):
    alloy = Composition.parse("NbCr2")
    atoms, entropy = make_cell(alloy, structure, np.random.default_rng(0))
    symbols = np.array(atoms.get_chemical_symbols())
    ideal = -sum(x * math.log(x) for x in (np.mean(symbols == "Nb"), np.mean(symbols == "Cr")))
    assert len(atoms) >= 80
    assert np.mean(symbols == "Nb") == pytest.approx(1 / 3, abs=0.5 / len(atoms) + 1e-9)
    assert atoms.get_volume() / len(atoms) > 10
    if structure in ("C14", "C15"):  # AB2 with the larger Nb on A: one arrangement
        assert entropy == 0.0
        nearest = atoms.get_all_distances(mic=True)[np.ix_(symbols == "Nb", symbols == "Nb")]
        assert np.sort(nearest, axis=1)[:, 1].min() > 2.7
    else:
        assert entropy == pytest.approx(kB * ideal)


def test_energies_of_lattices_are_the_lattice_sums():
    # Lennard-Jones: -8.610 and -8.237 epsilon per atom in fcc and bcc (Kittel, Introduction to Solid State Physics)
    epsilon = 0.05
    toy = LennardJones(sigma=2.28, epsilon=epsilon, rc=9.5)
    found = static_energies_of(
        "Ni", toy, temperature_K=300.0, structures=("A1", "A2"), covers=("A1", "A2"), error_eV=0.005, n_cells=1
    )
    assert found.free_energy_eV["A1"] == 0.0
    assert found.free_energy_eV["A2"] == pytest.approx((8.610 - 8.237) * epsilon, rel=0.05)
    assert found.probabilities["A1"] == pytest.approx(ndtr(found.free_energy_eV["A2"] / 0.005 / math.sqrt(2)), abs=1e-4)


def test_a_potential_of_one_lattice_is_refused():
    shipped = choose_potential("nbmotaw-snap", ("Nb", "Mo"))
    with pytest.raises(InputError, match="nbmotaw-snap is not known to be trained on A1, A2, A3"):
        static_energies_of("NbMo", shipped, temperature_K=1000.0)
    with pytest.raises(InputError, match="not known to be trained on A3"):
        static_energies_of("NbMo", shipped, temperature_K=1000.0, covers=("A1", "A2"))
    with pytest.raises(InputError, match="or nothing competes"):
        static_energies_of("NbMo", shipped, temperature_K=1000.0, structures=("A1",))
    with pytest.raises(InputError, match="D0_3 cannot be made here"):
        static_energies_of("NbMo", shipped, temperature_K=1000.0, structures=("A1", "D0_3"))


class Predictor:
    """Say one thing of every alloy."""

    elements = ("Co", "Cr")

    def __init__(self, structure="FCC", *, in_domain=True, low=100.0, high=400.0):
        self.structure, self.in_domain, self.strength = structure, in_domain, (low, high)

    def predict_batch(self, alloys):
        raise NotImplementedError

    def learn(self, measured):
        return self

    def predict(self, alloys, *, processing="other", temperature_K=298.15):
        said = {"input": "x", "processing": processing, "temperature_K": temperature_K, "in_domain": self.in_domain}
        composition = Composition.parse(alloys[0])
        if not self.in_domain:
            return [AlloyPrediction(composition=composition, reasons=("too far",), **said)]
        low, high = self.strength
        shares = {name: 0.91 if name == self.structure else 0.03 for name in STRUCTURES}
        family = {"SS": 0.9, "SS+IM": 0.06, "IM": 0.02, "AM": 0.02}
        strength = Estimate(value=0.5 * (low + high), low=low, high=high, level=0.9, unit="MPa")
        return [
            AlloyPrediction(
                composition=composition,
                structure=ClassCall(probabilities=shares, prediction_set=(self.structure,)),
                family=ClassCall(probabilities=family, prediction_set=("SS",)),
                properties={"yield_strength_MPa": strength},
                **said,
            )
        ]


@pytest.fixture
def fcc_database(tmp_path):
    pytest.importorskip("pycalphad")
    elements = ("CO", "CR", "FE", "NI")
    lines = ["ELEMENT VA VACUUM 0 0 0 !", *(f"ELEMENT {e} FCC_A1 55 0 0 !" for e in elements)]
    lines += [
        "TYPE_DEFINITION % SEQ *!",
        "PHASE FCC_A1 % 2 1 1 !",
        f"CONSTITUENT FCC_A1 : {','.join(elements)} : VA : !",
    ]
    lines += [f"PARAMETER G(FCC_A1,{e}:VA;0) 1 0; 6000 N !" for e in elements]
    path = tmp_path / "fcc.tdb"
    path.write_text("\n".join(lines))
    return path


def test_predictor_and_rules_are_one_kind_of_knowledge():
    table = second_opinions("CoCrFeNi", predictor=Predictor())
    assert table.agreement is None
    assert {row.group for row in table.opinions} == {REPORTED}
    assert table.answers["structure"].voices == {REPORTED: "predictor"}
    assert "no independent second opinion" in table.as_text()


def test_a_database_is_an_independent_opinion_and_its_agreement_is_scored(fcc_database):
    table = second_opinions("CoCrFeNi", predictor=Predictor(), tdb=fcc_database, temperature_K=1273.0)
    assert table.answers["structure"].likeliest == "FCC"
    assert table.answers["structure"].votes == (2, 2)
    against = second_opinions("CoCrFeNi", predictor=Predictor("BCC"), tdb=fcc_database, temperature_K=1273.0)
    assert table.agreement > 0.8 > 0.4 > against.agreement
    row = next(one for one in table.opinions if one.group == THERMODYNAMICS and one.question == "structure")
    assert (row.says, row.agrees) == ("A1 100%", True)
    assert "agreement 0." in table.as_text()


def test_strength_by_theory_stands_beside_that_of_the_predictor():
    table = second_opinions("CoCrFeNi", predictor=Predictor())
    theory, predicted = table.strengths
    assert "as A1" in theory.says
    assert theory.agrees is predicted.agrees is True
    far = second_opinions("CoCrFeNi", predictor=Predictor(low=3000.0, high=4000.0))
    assert [one.agrees for one in far.strengths] == [False, False]
    assert second_opinions("CoCrFeNi", predictor=Predictor("HCP")).strengths[0].estimate is None
    for without_misfit in ("NbTaTi", "Nb"):  # a number here would be off by a factor of ten and more
        refused = second_opinions(without_misfit, predictor=Predictor("BCC"), grain_size_um=50.0).strengths[0]
        assert refused.estimate is None and "what holds dislocations here is not misfit" in refused.says
    finer = second_opinions("CoCrFeNi", predictor=Predictor(), grain_size_um=4.0).strengths[0]
    assert finer.estimate.value - theory.estimate.value == pytest.approx(247.0)


def test_who_cannot_answer_says_why(tmp_path):
    shipped = choose_potential("nbmotaw-snap", ("Nb", "Mo", "Ta"))
    table = second_opinions(
        "NbMoTa",
        predictor=Predictor(in_domain=False),
        tdb=tmp_path / "none.tdb",
        potential=shipped,
        temperature_K=1000.0,
    )
    said = {(row.source, row.group): row.says for row in table.opinions if not row.probabilities}
    assert said[("predictor", REPORTED)] == "nothing: too far"
    assert "no such file" in said[("CALPHAD", THERMODYNAMICS)]
    assert "nbmotaw-snap is not known to be trained on" in said[("energies", ENERGIES)]
    # energies compare lattices; to the family they have nothing to say, and no row
    assert [row.question for row in table.opinions if row.group == ENERGIES] == ["structure"]
    assert any("3 elements" in note for note in table.notes)
    nobody = second_opinions("MgXe")
    assert nobody.answers == {}
    assert "nobody tells anything" in nobody.as_text()


class Fluid(Calculator):
    """Know volume alone: every lattice has the same energy."""

    implemented_properties = ("energy", "forces", "stress")
    name = "fluid"

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        swelling = atoms.get_volume() / len(atoms) / 11.5 - 1
        energy = 0.5 * 11.5 * len(atoms) * swelling**2
        self.results = {
            "energy": energy, "forces": np.zeros((len(atoms), 3)), "stress": np.array([1.0, 1, 1, 0, 0, 0]) * swelling
        }  # fmt: skip


def test_energies_that_cover_what_competes_are_a_third_kind_of_knowledge():
    table = second_opinions("CoCrFeNi", potential=Fluid(), temperature_K=1000.0, covers=("A1", "A2", "A3"))
    row = next(one for one in table.opinions if one.group == ENERGIES)
    multi = base_rates("structure")["multi"]
    third = pytest.approx((1 - multi) / 3, abs=1e-3)  # equal energies, and parting is left at its base rate
    assert row.probabilities == {"BCC": third, "FCC": third, "HCP": third, "multi": pytest.approx(multi)}
    assert "parting into several phases is not compared" in row.trust


def test_a_compound_that_sorts_its_atoms_loses_entropy():
    both = {"structures": ("A2", "C15"), "covers": ("A2", "C15"), "n_cells": 1}
    found = static_energies_of("NbCr2", Fluid(), temperature_K=1000.0, **both)
    mixed = 1000.0 * kB * (math.log(3) - 2 / 3 * math.log(2))
    assert found.free_energy_eV["C15"] == pytest.approx(mixed, rel=0.01)
    assert found.free_energy_eV["A2"] == 0.0


def test_the_table_is_plain_data_and_needs_its_temperature():
    table = second_opinions("CoCrFeNi", predictor=Predictor())
    data = json.loads(json.dumps(to_jsonable(table)))
    assert data["answers"]["structure"]["likeliest"] == "FCC"
    assert {row["question"] for row in data["opinions"]} == {"structure", "family"}
    with pytest.raises(InputError, match="give temperature_K"):
        second_opinions("CoCrFeNi", tdb="any.tdb")
    assert agreement.LEAST_BITS > 0
