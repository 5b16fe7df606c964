"""Laws that every way of computing a pattern obeys: lattices, clusters, tensors, profiles, texture, electrons."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.crystals import Crystal, build_crystal
from hea_sim.diffraction import powder_lines, powder_pattern
from hea_sim.diffraction.debye import debye_intensity, debye_pattern, pair_sums
from hea_sim.diffraction.electron import electron_wavelength_A, ring_pattern, zone_axis_spots
from hea_sim.diffraction.on_lattice import (
    LatticeOccupation,
    lattice_geometric_factors,
    lattice_structure_factors,
    on_lattice_pattern,
)
from hea_sim.diffraction.profile import Instrument, ThompsonCoxHastings
from hea_sim.diffraction.scattering import atomic_scattering_factor
from hea_sim.diffraction.structure_factor import geometric_factors, structure_factors
from hea_sim.diffraction.texture import march_dollase, texture_factors

CU_A = 1.5405929


def solid_solution(cells: int, seed: int = 0) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = bulk("Ni", "fcc", a=3.60, cubic=True) * (cells, cells, cells)
    atoms.set_atomic_numbers(rng.permutation(np.resize([13, 26, 28], len(atoms))))
    return atoms


# --- lattices by Fourier transform


def random_block(seed: int) -> LatticeOccupation:
    rng = np.random.default_rng(seed)
    shape, basis = (3, 4, 5), rng.random((3, 3))
    kind = rng.integers(0, 3, (*shape, 3))  # the third kind is a vacancy
    return LatticeOccupation(
        species=("Ni", "Al"),
        occupation=np.stack([kind == 0, kind == 1]).astype(float),
        basis=basis,
        unit_cell_A=np.array([[3.0, 0.1, 0.0], [0.4, 4.0, 0.0], [0.2, 0.3, 5.0]]),
    )


def plain_crystal(sites: LatticeOccupation) -> Crystal:
    cells = np.array(list(np.ndindex(*sites.shape)))
    positions = (cells[:, None] + sites.basis[None]) / np.array(sites.shape)
    occupancy = sites.occupation.reshape(len(sites.species), -1).T
    return Crystal(
        name="block",
        cell_A=sites.cell_A,
        positions=positions.reshape(-1, 3),
        species=sites.species,
        occupancy=occupancy,
        b_iso_A2=0.4,
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_the_fourier_transform_equals_the_plain_sum(seed: int) -> None:
    sites = random_block(seed)
    hkl = np.random.default_rng(seed).integers(-12, 13, (300, 3))
    crystal = plain_crystal(sites)
    ours, plain = lattice_geometric_factors(sites, hkl), geometric_factors(crystal, hkl)
    assert np.abs(ours - plain).max() < 1e-9 * np.abs(plain).max()
    ours, plain = lattice_structure_factors(sites, hkl, CU_A), structure_factors(crystal, hkl, CU_A)
    assert np.abs(ours - plain).max() < 1e-9 * np.abs(plain).max()


def test_a_lattice_and_its_atoms_have_one_pattern() -> None:
    atoms = solid_solution(5)
    angles = np.arange(25, 110, 0.05)
    sites = LatticeOccupation.from_atoms(atoms, shape=(5, 5, 5))
    assert len(sites.basis) == 4 and sites.occupation.sum() == len(atoms)
    one = on_lattice_pattern(sites, "CuKa", two_theta_deg=angles).intensity
    other = powder_pattern(atoms, "CuKa", two_theta_deg=angles).intensity
    assert np.allclose(one, other, rtol=1e-6, atol=1e-6 * other.max())


@pytest.mark.parametrize("order", [0.0, 0.6, 1.0])
def test_a_block_of_mean_occupancies_has_the_pattern_of_the_mean_cell(order: float) -> None:
    share = 0.5 + 0.5 * order
    mean = build_crystal("B2", {"A": {"Ni": share, "Al": 1 - share}, "B": {"Al": share, "Ni": 1 - share}}, a_A=2.887)
    block = LatticeOccupation(
        species=mean.species,
        occupation=np.broadcast_to(mean.occupancy.T[:, None, None, None, :], (len(mean.species), 3, 4, 2, 2)).copy(),
        basis=mean.positions,
        unit_cell_A=mean.cell_A,
    )
    angles = np.arange(20, 120, 0.05)
    one = on_lattice_pattern(block, "CuKa", two_theta_deg=angles).intensity
    other = powder_pattern(mean, "CuKa", two_theta_deg=angles).intensity
    assert np.allclose(one, other, rtol=1e-6, atol=1e-6 * other.max())


# --- clusters


def test_a_dimer_scatters_as_sin_x_over_x() -> None:
    q, r, bin_A = np.linspace(0.01, 12, 400), 2.4713, 0.002
    f = np.abs(atomic_scattering_factor("Ni", q / (4 * np.pi), CU_A)) ** 2
    ours = debye_intensity(pair_sums(Atoms("Ni2", [[0, 0, 0], [0, 0, r]]), bin_A=bin_A), q, CU_A)
    # What is left after the first order: half (q times half a bin) squared, over q r.
    bound = 2 * f * (q * bin_A / 2) ** 2 / 2 / (q * r) * 1.01
    assert np.all(np.abs(ours - 2 * f * (1 + np.sinc(q * r / np.pi))) <= bound + 1e-9)


def test_binned_distances_equal_the_double_sum() -> None:
    rng = np.random.default_rng(5)
    atoms = solid_solution(3, seed=5)[:50]
    atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    q = np.linspace(0.0, 12.0, 200)
    f = np.array([atomic_scattering_factor(e, q / (4 * np.pi), CU_A) for e in atoms.get_chemical_symbols()])
    r = atoms.get_all_distances()
    plain = np.einsum("iq,jq,ijq->q", f, f.conj(), np.sinc(q * r[..., None] / np.pi)).real
    ours = debye_intensity(pair_sums(atoms, bin_A=0.001), q, CU_A)
    assert np.allclose(ours, plain, rtol=1e-5)
    assert ours[0] == pytest.approx(np.abs(f[:, 0].sum()) ** 2, rel=1e-9)  # forward: all atoms in phase


def test_a_cube_of_crystal_has_the_lines_areas_and_width_that_its_lattice_demands() -> None:
    cells, a = 8, 3.60
    atoms = bulk("Ni", "fcc", a=a, cubic=True) * (cells, cells, cells)
    angles = np.arange(30, 110, 0.02)
    y = debye_pattern(atoms, CU_A, two_theta_deg=angles, b_iso_A2=0.0).intensity
    lines = powder_lines(build_crystal("A1", "Ni", a_A=a, b_iso_A2=0.0), CU_A, two_theta_range_deg=(35, 105))
    width_deg = np.degrees(0.886 * CU_A / (cells * a * np.cos(np.radians(lines.two_theta_deg) / 2)))
    for line, width in zip(lines.two_theta_deg, width_deg):
        near = np.abs(angles - line) < 1.5
        assert angles[near][np.argmax(y[near])] == pytest.approx(line, abs=0.06 * width)
    inside = (angles > 35) & (angles < 105)
    absolute = 16 * np.pi**2 * 2 / (180 * CU_A**3) / (a**3 / 4)
    assert np.trapezoid(y[inside], angles[inside]) * absolute == pytest.approx(lines.intensity.sum(), rel=0.01)
    second = np.abs(angles - lines.two_theta_deg[1]) < 2.5  # a cube is 0.886 lambda / L wide at (h00)
    above = angles[second & (y > y[second].max() / 2)]
    assert above[-1] - above[0] == pytest.approx(width_deg[1], rel=0.06)


def test_vibrations_damp_pairs_and_leave_single_atoms() -> None:
    q = np.array([1e-3, 30.0])
    sums = pair_sums(Atoms("Ni2", [[0, 0, 0], [0, 0, 2.5]]))
    still, moving = (debye_intensity(sums, q, CU_A, b_iso_A2=b) for b in (0.0, 3.0))
    f = np.abs(atomic_scattering_factor("Ni", q / (4 * np.pi), CU_A)) ** 2
    assert moving[0] == pytest.approx(still[0], rel=1e-6)
    assert moving[1] == pytest.approx(2 * f[1], rel=1e-6) and moving[1] != pytest.approx(still[1], rel=1e-3)


# --- profiles


@pytest.mark.parametrize("shift", [{}, {"zero_deg": 0.05}, {"axial_half_angle_deg": 2.5}])
@pytest.mark.parametrize("lorentzian", [0.0, 0.1])
def test_width_shift_and_asymmetry_keep_the_area(shift: dict[str, float], lorentzian: float) -> None:
    angles = np.arange(20, 120, 0.01)
    crystal = build_crystal("A1", "Ni")
    total = powder_lines(crystal, CU_A, two_theta_range_deg=(15, 125)).intensity.sum()
    shape = ThompsonCoxHastings(w_deg2=0.01, y_deg=lorentzian, **shift)
    area = np.trapezoid(powder_pattern(crystal, CU_A, two_theta_deg=angles, instrument=shape).intensity, angles)
    # A Lorentzian cut at 25 widths holds (2 / pi) atan 50 = 0.987 of its area.
    assert 0.985 * total < area < 1.001 * total


def test_the_old_instrument_and_the_new_one_agree_where_both_are_gaussian() -> None:
    angles = np.arange(30, 100, 0.02)
    old, new = Instrument(u_deg2=0.02, w_deg2=0.01, eta=0.0), ThompsonCoxHastings(u_deg2=0.02, w_deg2=0.01)
    one, two = (powder_pattern(build_crystal("A2", "W"), CU_A, two_theta_deg=angles, instrument=i) for i in (old, new))
    assert np.allclose(one.intensity, two.intensity, rtol=1e-9)


# --- texture


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 5.0))
def test_the_pole_density_averages_to_one_over_the_sphere(r: float) -> None:
    nodes, weights = np.polynomial.legendre.leggauss(400)
    assert np.sum(weights * march_dollase(r, np.degrees(np.arccos(nodes)))) / 2 == pytest.approx(1.0, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.2, 3.0), st.sampled_from([(1, 0, 0), (1, 1, 0), (1, 1, 1)]))
def test_texture_does_not_depend_on_which_equivalent_names_line_or_axis(r: float, axis: tuple[int, ...]) -> None:
    cell = np.diag([3.6] * 3)
    families = [(1, 2, 3), (1, 1, 3), (2, 0, 0)]
    for hkl in families:
        members = np.array(
            [p for signs in itertools.product((1, -1), repeat=3) for p in itertools.permutations(np.array(hkl) * signs)]
        )
        one = texture_factors(cell, members, axis, r)
        assert np.allclose(one, one[0]) and np.allclose(
            one, texture_factors(cell, members, [-x for x in axis[::-1]], r)
        )
    assert np.allclose(texture_factors(cell, np.array(families), axis, 1.0), 1.0)


# --- electrons


@pytest.mark.parametrize(("name", "rule"), [("A1", lambda h: len(set(h % 2)) == 1), ("A2", lambda h: h.sum() % 2 == 0)])
def test_rings_stand_at_the_lattice_spacings_with_the_extinctions_of_the_lattice(name: str, rule: object) -> None:
    crystal = build_crystal(name, "Fe")
    rings = ring_pattern(crystal, 200, d_min_A=0.8)
    lines = powder_lines(crystal, 0.5, two_theta_range_deg=(1, np.degrees(2 * np.arcsin(0.5 / 1.6))))
    assert np.allclose(rings.d_A, lines.d_A) and np.array_equal(rings.multiplicity, lines.multiplicity)
    assert all(rule(h) for h in rings.hkl)  # type: ignore[operator]


@pytest.mark.parametrize("axis", [(0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 2, 3)])
def test_spots_lie_at_the_angles_of_their_planes(axis: tuple[int, int, int]) -> None:
    crystal = build_crystal("A1", "Ni")
    spots = zone_axis_spots(crystal, axis, 200, thickness_A=100)
    assert len(spots.hkl) >= 2 and np.all(spots.hkl @ np.array(axis) == 0)
    vectors = spots.hkl @ np.linalg.inv(crystal.cell_A).T
    assert np.allclose(vectors @ vectors.T, spots.position_per_A @ spots.position_per_A.T, atol=1e-12)
    assert np.allclose(np.linalg.norm(spots.position_per_A, axis=1), 1 / spots.d_A)
    wanted = -electron_wavelength_A(200) / (2 * spots.d_A**2)  # the Ewald sphere bends away from the plane
    assert np.allclose(spots.excitation_error_per_A, wanted)


@pytest.mark.parametrize("kind", [(0, 0, 1), (0, 1, 1), (1, 1, 2)])
def test_equivalent_zone_axes_show_one_pattern(kind: tuple[int, ...]) -> None:
    crystal = build_crystal("L1_2", {"A": "Al", "B": "Ni"})
    seen = []
    for axis in {p for s in itertools.product((1, -1), repeat=3) for p in itertools.permutations(np.multiply(kind, s))}:
        spots = zone_axis_spots(crystal, axis, 300, thickness_A=200, g_max_per_A=1.2)
        gram = np.abs(spots.position_per_A @ spots.position_per_A.T)
        seen.append((np.sort(spots.intensity), np.sort(spots.d_A), np.sort(gram.ravel())))
    for parts in zip(*seen):
        assert all(np.allclose(part, parts[0], rtol=1e-6, atol=1e-12) for part in parts)


def test_the_first_laue_zone_is_a_circle_where_the_ewald_sphere_cuts_it() -> None:
    crystal = build_crystal("A1", "Ni", a_A=3.52)
    spots = zone_axis_spots(
        crystal, (0, 0, 1), 100, thickness_A=300, g_max_per_A=5.0, laue_zones=1, excitation_limit_per_A=0.03
    )
    first = spots.laue_zone == 1
    height, wave = 1 / 3.52, 1 / electron_wavelength_A(100)
    error = spots.excitation_error_per_A[first]
    beyond = np.linalg.norm(spots.position_per_A[first], axis=1) ** 2 - (2 * height * wave - height**2)
    assert error.min() < 0 < error.max()
    assert np.allclose(beyond, -2 * wave * error)  # no error on the circle, negative outside
