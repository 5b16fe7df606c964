"""Screened repulsion of nuclei: laws, limits, the switch, LAMMPS as peer."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import HEAError, InputError
from hea_sim.potentials.checks import check_potential, raise_if_failed
from hea_sim.potentials.contract import SitePotential, SumModel
from hea_sim.potentials.zbl import COULOMB_EV_A, ZBLModel, screened_repulsion, zbl_core
from hea_sim.potentials.zhou import zhou_eam

ELEMENTS = ("Nb", "Mo", "Al", "W")


def pair(first, second, distance):
    return Atoms([first, second], [[0, 0, 0], [0, 0, distance]])


def crowded(seed=0):
    rng = np.random.default_rng(seed)
    atoms = bulk("Nb", "bcc", a=2.6, cubic=True).repeat(2)
    atoms.symbols = rng.choice(ELEMENTS, len(atoms))
    atoms.positions += 0.15 * rng.standard_normal(atoms.positions.shape)
    return atoms


def test_laws_of_potentials_hold():
    raise_if_failed(check_potential(zbl_core(ELEMENTS, inner_A=1.4, outer_A=2.8)))
    raise_if_failed(check_potential(zbl_core(ELEMENTS, inner_A=1.4, outer_A=2.8), [crowded()]))


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(ELEMENTS), st.sampled_from(ELEMENTS), st.floats(0.35, 2.5))
def test_slope_and_curvature_are_derivatives(first, second, r):
    z = np.array(atomic_numbers[first]), np.array(atomic_numbers[second])
    step = 1e-4
    below, at, above = (screened_repulsion(*z, np.array(r + k * step)) for k in (-1, 0, 1))
    scale = abs(at[2]) + abs(at[1]) / r + at[0] / r**2
    assert abs((above[0] - below[0]) / (2 * step) - at[1]) < 1e-6 * scale * r
    assert abs((above[1] - below[1]) / (2 * step) - at[2]) < 1e-6 * scale
    assert at[0] > 0 > at[1] and at[2] > 0


def test_bare_nuclei_close_together_and_a_known_value():
    energy = screened_repulsion(np.array(42), np.array(74), np.array(1e-6))[0]
    assert energy == pytest.approx(COULOMB_EV_A * 42 * 74 / 1e-6, rel=1e-4)
    # by hand: hydrogen, a = 0.46850 / 2, x = 1 at r = a
    a = 0.46850 / 2
    phi = (
        0.18175 * np.exp(-3.1998) + 0.50986 * np.exp(-0.94229) + 0.28022 * np.exp(-0.4029) + 0.02817 * np.exp(-0.20162)
    )
    assert screened_repulsion(np.array(1), np.array(1), np.array(a))[0] == pytest.approx(14.399645 / a * phi, rel=1e-12)


@pytest.mark.parametrize("elements", [("Nb", "Nb"), ("Al", "W")])
def test_the_switch_ends_smoothly_and_leaves_the_core_as_it_is(elements):
    inner, outer = 1.2, 2.2
    potential = zbl_core(ELEMENTS, inner_A=inner, outer_A=outer)
    near = [potential.evaluate(pair(*elements, outer - gap)) for gap in (1e-2, 1e-3)]
    energies, forces = [r.energy_eV for r in near], [r.forces_eV_per_A[1, 2] for r in near]
    # energy, slope and curvature are zero at the end: the energy falls with the cube of the gap, the force its square
    assert energies[0] / energies[1] == pytest.approx(1000, rel=0.05)
    assert forces[0] / forces[1] == pytest.approx(100, rel=0.05)
    assert potential.evaluate(pair(*elements, outer)).energy_eV == 0
    z = [np.array(atomic_numbers[e]) for e in elements]
    inside = [potential.evaluate(pair(*elements, r)) for r in (0.6, 0.9)]
    bare = [screened_repulsion(*z, np.array(r)) for r in (0.6, 0.9)]
    assert inside[0].energy_eV - inside[1].energy_eV == pytest.approx(bare[0][0] - bare[1][0], rel=1e-12)
    assert inside[0].forces_eV_per_A[1, 2] == pytest.approx(-bare[0][1], rel=1e-12)
    assert inside[0].forces_eV_per_A[0, 2] == pytest.approx(bare[0][1], rel=1e-12)


def test_a_core_beside_a_fitted_potential_changes_nothing_in_a_crystal_and_stops_collisions():
    fitted = zhou_eam(("W", "Ta"))
    core = ZBLModel(elements=("W", "Ta"), inner_A=1.0, outer_A=2.0)
    both = SitePotential(name="both", model=SumModel(parts=(fitted.model, core)))
    crystal, collision = bulk("W", a=3.16), pair("W", "Ta", 0.5)
    assert both.evaluate(crystal).energy_eV == fitted.evaluate(crystal).energy_eV
    gained = both.evaluate(collision).energy_eV - fitted.evaluate(collision).energy_eV
    assert gained == pytest.approx(zbl_core(("W", "Ta"), inner_A=1.0, outer_A=2.0).evaluate(collision).energy_eV)
    assert gained > 1000


@pytest.mark.parametrize("radii", [(0, 2), (2, 2), (3, 2), (float("nan"), 2)])
def test_radii_that_make_no_sense_are_refused(radii):
    with pytest.raises(InputError, match="wanted 0 < inner < outer"):
        zbl_core(ELEMENTS, inner_A=radii[0], outer_A=radii[1])


def test_what_is_no_element_is_refused():
    for word in ("Xx", "X"):
        with pytest.raises(HEAError, match="unknown element"):
            zbl_core((word,), inner_A=1, outer_A=2)
    with pytest.raises(InputError, match="no Cu in this potential"):
        zbl_core(ELEMENTS, inner_A=1, outer_A=2).evaluate(bulk("Cu"))


@pytest.mark.oracle
@pytest.mark.parametrize("radii", [(1.5, 2.7), (0.9, 2.0)])
def test_lammps_gives_the_same(radii):
    from ..lammps_pairs import LammpsPairs

    style = [f"pair_style zbl {radii[0]} {radii[1]}"]
    for i, a in enumerate(ELEMENTS):
        style += [
            f"pair_coeff {i + 1} {j + 1} {atomic_numbers[a]} {atomic_numbers[b]}"
            for j, b in enumerate(ELEMENTS)
            if j >= i
        ]
    potential = zbl_core(ELEMENTS, inner_A=radii[0], outer_A=radii[1])
    with LammpsPairs("\n".join(style), ELEMENTS) as peer:
        for atoms in (crowded(), pair("Nb", "W", 0.7), pair("Al", "Mo", 1.9)):
            result = potential.evaluate(atoms)
            atoms.calc = peer
            assert result.energy_eV > 0
            assert atoms.get_potential_energy() == pytest.approx(result.energy_eV, abs=1e-8)
            np.testing.assert_allclose(atoms.get_potential_energies(), result.site_energies_eV, atol=1e-8)
            np.testing.assert_allclose(atoms.get_forces(), result.forces_eV_per_A, atol=1e-8)
            if atoms.pbc.all():
                np.testing.assert_allclose(atoms.get_stress(voigt=False), result.stress_eV_per_A3, atol=1e-8)
