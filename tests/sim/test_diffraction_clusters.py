"""Clusters, blocks and electrons: contracts and errors."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from hea_sim.crystals import build_crystal
from hea_sim.diffraction.debye import debye_pattern, pair_sums
from hea_sim.diffraction.electron import electron_form_factor, electron_wavelength_A, ring_pattern, zone_axis_spots
from hea_sim.diffraction.on_lattice import LatticeOccupation, on_lattice_pattern
from hea_sim.errors import InputError

ANGLES = np.arange(20, 100, 0.1)


def test_every_pair_is_counted_once_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    atoms = Atoms("NiAl" * 30, np.random.default_rng(0).random((60, 3)) * 20)
    whole = pair_sums(atoms)
    monkeypatch.setattr("hea_sim.diffraction.debye._PAIRS_AT_ONCE", 100)
    parts = pair_sums(atoms)
    assert np.allclose(whole.zeroth, parts.zeroth) and np.allclose(whole.first, parts.first)
    r = atoms.get_all_distances()[np.triu_indices(60, 1)]
    assert whole.zeroth.sum() == pytest.approx((1 / r).sum())
    assert whole.counts == (30, 30) and whole.pairs == ((0, 0), (0, 1), (1, 1))


def test_a_cluster_does_not_know_its_cell_orientation_or_place() -> None:
    atoms = bulk("Ni", "fcc", a=3.6, cubic=True) * (3, 3, 3)
    moved = atoms.copy()
    moved.rotate(33.0, (1, 2, 3))
    moved.positions += 100.0
    moved.set_pbc(False)
    one, other = (debye_pattern(a, "CuKa", two_theta_deg=ANGLES).intensity for a in (atoms, moved))
    assert np.allclose(one, other, rtol=1e-4)


def test_senseless_clusters_are_refused() -> None:
    with pytest.raises(InputError, match="0 A apart"):
        debye_pattern(Atoms("Ni2", np.zeros((2, 3))), "CuKa", two_theta_deg=ANGLES)
    with pytest.raises(InputError, match="at least one atom"):
        debye_pattern(Atoms(), "CuKa", two_theta_deg=ANGLES)
    with pytest.raises(InputError, match="wider bin_A"):
        pair_sums(Atoms("Ni2", [[0, 0, 0], [0, 0, 1e7]]))
    with pytest.raises(InputError, match="finite"):
        pair_sums(Atoms("Ni", [[np.nan, 0, 0]]))


def test_atoms_near_their_sites_are_read_back_to_the_block() -> None:
    atoms = bulk("Fe", "bcc", a=2.87, cubic=True) * (3, 4, 2)
    atoms.symbols[5] = "Al"
    atoms.positions += np.random.default_rng(0).normal(0, 0.03, atoms.positions.shape)
    sites = LatticeOccupation.from_atoms(atoms, shape=(3, 4, 2))
    assert sites.shape == (3, 4, 2) and len(sites.basis) == 2 and sites.species == ("Fe", "Al")
    assert sites.occupation[1].sum() == 1 and np.all(sites.occupation.sum(axis=0) == 1)
    assert np.allclose(sites.cell_A, atoms.cell.array)


def test_senseless_blocks_are_refused() -> None:
    good = {"species": ("Ni",), "basis": np.zeros((1, 3)), "unit_cell_A": np.eye(3) * 3}
    with pytest.raises(InputError, match="wanted"):
        LatticeOccupation(occupation=np.ones((1, 2, 2, 2)), **good)
    with pytest.raises(InputError, match="sum to at most 1"):
        LatticeOccupation(occupation=np.full((1, 2, 2, 2, 1), 1.5), **good)
    block = LatticeOccupation(occupation=np.ones((1, 2, 2, 2, 1)), **good)
    for angles in (np.array([]), np.array([20.0, np.nan]), np.array([[20.0]]), np.array([20.0, 300.0])):
        with pytest.raises(InputError, match="between 0 and 180"):
            on_lattice_pattern(block, "CuKa", two_theta_deg=angles)
    vast = LatticeOccupation(occupation=np.ones((1, 2, 2, 2, 1)), **{**good, "unit_cell_A": np.eye(3) * 1000})
    with pytest.raises(InputError, match="take fewer cells"):
        on_lattice_pattern(vast, "MoKa", two_theta_deg=ANGLES)
    rng = np.random.default_rng(0)
    gas = Atoms("Ni400", rng.random((400, 3)) * 60, cell=np.eye(3) * 60, pbc=True)
    with pytest.raises(InputError, match="share no lattice"):
        LatticeOccupation.from_atoms(gas, shape=(1, 1, 1))


def test_a_block_of_vacancies_gives_no_lines() -> None:
    empty = LatticeOccupation(
        species=("Ni",), occupation=np.zeros((1, 2, 2, 2, 1)), basis=np.zeros((1, 3)), unit_cell_A=np.eye(3) * 3
    )
    assert not on_lattice_pattern(empty, "CuKa", two_theta_deg=ANGLES).intensity.any()


def test_electron_form_factors_fall_with_angle_and_join_smoothly_at_zero() -> None:
    s = np.linspace(0, 2, 400)
    for element in ("Al", "Ni", "W"):
        f = electron_form_factor(element, s)
        assert np.all(np.diff(f) <= 1e-9) and f[0] == pytest.approx(f[4], rel=0.05)


def test_two_hundred_kilovolts_are_not_two_hundred_volts() -> None:
    with pytest.raises(InputError, match="kilovolts"):
        electron_wavelength_A(200_000)
    with pytest.raises(InputError, match="kilovolts"):
        ring_pattern(build_crystal("A1", "Ni"), 0.2)


def test_senseless_zone_axes_are_refused() -> None:
    crystal = build_crystal("A1", "Ni")
    with pytest.raises(InputError, match="not all zero"):
        zone_axis_spots(crystal, (0, 0, 0), 200, thickness_A=100)
    with pytest.raises(InputError, match="thickness"):
        zone_axis_spots(crystal, (0, 0, 1), 200, thickness_A=0)
    with pytest.raises(InputError, match="at most 10"):
        zone_axis_spots(crystal, (0, 0, 1), 200, thickness_A=100, g_max_per_A=100)


def test_a_thicker_crystal_narrows_the_rods() -> None:
    crystal = build_crystal("A1", "Ni")
    thin, thick = (zone_axis_spots(crystal, (0, 0, 1), 200, thickness_A=t, g_max_per_A=2.0) for t in (10, 100))
    far = thin.d_A < 0.6
    assert far.any() and np.array_equal(thin.hkl, thick.hkl)
    per_square = [p.intensity / p.thickness_A**2 for p in (thin, thick)]
    assert np.all(per_square[1][far] < per_square[0][far])


@pytest.mark.parametrize(("name", "forbidden"), [("A1", (1, 0, 0)), ("A2", (1, 0, 0))])
def test_order_shows_between_the_spots_of_the_disordered_lattice(name: str, forbidden: tuple[int, ...]) -> None:
    ordered = {"A1": ("L1_2", {"A": "Al", "B": "Ni"}), "A2": ("B2", {"A": "Ni", "B": "Al"})}[name]
    plain = zone_axis_spots(build_crystal(name, "NiAl"), (0, 0, 1), 200, thickness_A=100)
    other = zone_axis_spots(build_crystal(*ordered), (0, 0, 1), 200, thickness_A=100)
    assert forbidden not in map(tuple, plain.hkl.tolist()) and forbidden in map(tuple, other.hkl.tolist())
