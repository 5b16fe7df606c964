"""The contract of potentials: laws hold for a model known in closed form, and a broken one is caught."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.md.verlet import VelocityVerlet
from ase.neighborlist import neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_sim.potentials.checks import check_potential, example_systems, raise_if_failed
from hea_sim.potentials.contract import AtomisticResult, SitePotential, SumModel
from hea_sim.potentials.environment import Environment, NeighbourKeeper, find_neighbours
from hea_sim.potentials.pair_kernels import gather_forces

from .pair_double import EmbeddedPairs


def double(**changes) -> SitePotential:
    return SitePotential(name="double", model=EmbeddedPairs(**changes))


def alloy(seed=0, size=3) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = bulk("Nb", "bcc", a=3.3, cubic=True).repeat(size)
    atoms.symbols = rng.choice(["Nb", "Mo", "Ta"], len(atoms))
    atoms.positions += 0.1 * rng.standard_normal(atoms.positions.shape)
    return atoms


def test_a_potential_in_closed_form_keeps_all_laws():
    checks = check_potential(double())
    assert {c.law for c in checks} == {
        "batch", "sites", "translation", "rotation", "order of atoms", "extensive", "forces", "stress", "smooth cutoff",
    }  # fmt: skip
    raise_if_failed(checks)
    assert all(c.passed for c in checks)


class WrongForces(EmbeddedPairs):
    def site_terms(self, environment: Environment):
        energies, gradients = super().site_terms(environment)
        return energies, 1.01 * gradients


class SeesTheAxes(EmbeddedPairs):
    def site_terms(self, environment: Environment):
        energies, gradients = super().site_terms(environment)
        tilt = np.bincount(environment.first, environment.vectors[:, 0] ** 2, minlength=len(energies))
        gradients[:, 0] += 2e-6 * environment.vectors[:, 0]
        return energies + 1e-6 * tilt, gradients


@pytest.mark.parametrize(
    ("model", "laws"),
    [
        (WrongForces(), {"forces", "stress"}),
        (SeesTheAxes(), {"rotation", "smooth cutoff"}),
        (EmbeddedPairs(power=1), {"smooth cutoff"}),
    ],
)
def test_a_broken_potential_is_caught(model, laws):
    checks = check_potential(SitePotential(name="broken", model=model))
    assert laws <= {c.law for c in checks if not c.passed}
    with pytest.raises(InputError, match=next(iter(laws))):
        raise_if_failed(checks)


def test_energies_of_two_atoms_are_those_of_the_formula():
    r, rc = 2.5, 4.1
    result = double().evaluate(Atoms("NbMo", [[0, 0, 0], [r, 0, 0]]))
    s = 0.7 * (1 - r / rc) ** 3
    np.testing.assert_allclose(result.site_energies_eV, [s**2 + s] * 2, rtol=1e-12)
    pull = 2 * (2 * s + 1) * 0.7 * 3 * (1 - r / rc) ** 2 / rc  # the pair repels: energy falls with r
    np.testing.assert_allclose(result.forces_eV_per_A[:, 0], [-pull, pull], rtol=1e-12)
    assert result.stress_eV_per_A3 is None and result.energy_std_eV is None


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 999),
    periodic=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    cutoff=st.floats(1.5, 6.0),
)
def test_neighbours_are_those_of_ase(seed, periodic, cutoff):
    """ASE's own list is the reference, for any periodicity and for cells smaller than the cutoff."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Nb", "bcc", a=3.3).repeat((1, 2, 1))
    atoms.set_cell(atoms.cell.array + 0.2 * rng.standard_normal((3, 3)), scale_atoms=True)
    atoms.pbc = periodic
    found = find_neighbours([atoms], cutoff)
    i, j, d = neighbor_list("ijD", atoms, cutoff)
    ours = np.column_stack([found.first, found.second, found.vectors])
    theirs = np.column_stack([i, j, d])
    order = lambda a: a[np.lexsort(np.round(a, 7).T)]  # noqa: E731
    np.testing.assert_allclose(order(ours), order(theirs), atol=1e-9)


def test_gathered_forces_are_those_of_plain_loops():
    environment = find_neighbours([alloy(0, 2), alloy(1, 1)], 3.5)
    gradients = np.random.default_rng(0).standard_normal(environment.vectors.shape)
    forces, virials = gather_forces(
        environment.starts, environment.second, environment.vectors, gradients, environment.system, 2
    )
    wanted, sums = np.zeros((len(environment.numbers), 3)), np.zeros((2, 3, 3))
    np.add.at(wanted, environment.first, gradients)
    np.subtract.at(wanted, environment.second, gradients)
    np.add.at(sums, environment.system[environment.first], environment.vectors[:, :, None] * gradients[:, None, :])
    np.testing.assert_allclose(forces, wanted, atol=1e-12)
    np.testing.assert_allclose(virials, sums, atol=1e-10)


def test_kept_neighbours_change_nothing_but_are_seldom_found_anew():
    """A run with a skin is the run without, step by step; the list is rebuilt only when half the skin is reached."""
    paths, rebuilds = [], []
    for skin in (0.0, 0.8):
        atoms = alloy(2, 3)
        atoms.calc = double().calculator(skin_A=skin)
        atoms.set_velocities(0.05 * np.random.default_rng(3).standard_normal((len(atoms), 3)))
        VelocityVerlet(atoms, timestep=1 * units.fs).run(40)
        paths.append(atoms.positions)
        rebuilds.append(atoms.calc.neighbours.rebuilds)
    np.testing.assert_allclose(paths[0], paths[1], atol=1e-9)
    assert rebuilds[1] < rebuilds[0] / 4


def test_kept_neighbours_are_found_anew_when_cell_or_elements_change():
    keeper, atoms = NeighbourKeeper(3.5), alloy(4, 2)
    keeper.environment(atoms)
    keeper.environment(atoms)
    assert keeper.rebuilds == 1
    atoms.set_cell(atoms.cell.array * 1.01, scale_atoms=True)
    assert np.isfinite(keeper.environment(atoms).vectors).all() and keeper.rebuilds == 2
    atoms.symbols[0] = "Ta" if atoms.symbols[0] != "Ta" else "Nb"
    assert keeper.environment(atoms).numbers[0] == atoms.numbers[0] and keeper.rebuilds == 3


def test_the_ase_face_says_what_the_potential_says():
    atoms = alloy(5)
    result = double().evaluate(atoms)
    atoms.calc = double().calculator()
    assert atoms.get_potential_energy() == pytest.approx(result.energy_eV, rel=1e-12)
    np.testing.assert_allclose(atoms.get_forces(), result.forces_eV_per_A, atol=1e-12)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), result.stress_eV_per_A3, atol=1e-14)
    np.testing.assert_allclose(atoms.get_potential_energies(), result.site_energies_eV, atol=1e-12)


def test_energy_is_conserved():
    atoms = alloy(6)
    atoms.calc = double(strengths=(3.0, 2.5, 2.0)).calculator()
    atoms.set_velocities(0.02 * np.random.default_rng(1).standard_normal((len(atoms), 3)))
    start = atoms.get_total_energy()
    VelocityVerlet(atoms, timestep=0.5 * units.fs).run(200)
    moved = abs(atoms.get_kinetic_energy() - 0.0)
    assert abs(atoms.get_total_energy() - start) < 2e-3 * moved


def test_reference_energies_shift_each_atom():
    atoms = alloy(7)
    plain, shifted = double(), double().shifted({"Nb": -10.0, "Mo": 1.5})
    counts = {e: list(atoms.symbols).count(e) for e in ("Nb", "Mo")}
    wanted = plain.evaluate(atoms).energy_eV - 10 * counts["Nb"] + 1.5 * counts["Mo"]
    assert shifted.evaluate(atoms).energy_eV == pytest.approx(wanted, rel=1e-12)
    np.testing.assert_array_equal(shifted.evaluate(atoms).forces_eV_per_A, plain.evaluate(atoms).forces_eV_per_A)


def test_a_sum_of_models_is_their_sum():
    near, far = EmbeddedPairs(cutoff_A=3.0), EmbeddedPairs(cutoff_A=4.5)
    total = SitePotential(name="sum", model=SumModel(parts=(near, far)))
    atoms = alloy(8)
    one, two = (SitePotential(name="part", model=m).evaluate(atoms) for m in (near, far))
    both = total.evaluate(atoms)
    assert both.energy_eV == pytest.approx(one.energy_eV + two.energy_eV, rel=1e-12)
    np.testing.assert_allclose(both.forces_eV_per_A, one.forces_eV_per_A + two.forces_eV_per_A, atol=1e-12)
    raise_if_failed(check_potential(total))


def test_a_variance_becomes_a_std():
    potential = replace(double(), variance=lambda environment: np.array([4.0, 9.0]))
    atoms = [alloy(0, 2), alloy(1, 2)]
    assert [r.energy_std_eV for r in potential.evaluate(atoms, uncertainty=True)] == [2.0, 3.0]
    assert [r.energy_std_eV for r in potential.evaluate(atoms)] == [None, None]  # it takes long: only on demand


def test_no_systems_give_no_results():
    assert double().evaluate([]) == []


@pytest.mark.parametrize(
    ("atoms", "says"),
    [
        (Atoms("NbMo", [[0, 0, 0], [0, 0, 0.01]]), "atoms 0 and 1 lie 0.010 A apart"),
        (Atoms("NbW", [[0, 0, 0], [0, 0, 2]]), "no W in this potential, which knows Nb, Mo, Ta"),
        (Atoms("Nb", [[np.nan, 0, 0]]), "not finite"),
        (Atoms("Nb", [[0, 0, 0]], pbc=True), "periodic, but the cell has no extent"),
        (Atoms(), "no atoms"),
        (Atoms("Nb2", [[0, 0, 0], [3, 3, 3]], cell=[3, 3, 3], pbc=True), "0.000 A apart"),
    ],
)
def test_unusable_atoms_are_refused_in_one_line(atoms, says):
    with pytest.raises(InputError, match=says) as error:
        double().evaluate(atoms)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=says):
        atoms.calc = double().calculator()
        atoms.get_potential_energy()


def test_examples_hold_cells_smaller_than_the_cutoff_and_a_cluster():
    systems = example_systems(("Nb", "Mo"), np.random.default_rng(0))
    widths = [1 / np.linalg.norm(np.linalg.inv(a.cell.array), axis=0).max() for a in systems if a.pbc.all()]
    assert min(widths) < 3.0 and any(not a.pbc.any() for a in systems)


def test_a_result_is_frozen():
    result = double().evaluate(alloy())
    assert isinstance(result, AtomisticResult)
    with pytest.raises(AttributeError):
        result.energy_eV = 0.0
