"""Observables of whole cells: known answers and identities."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.cluster import Icosahedron
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import HEAError, InputError
from hea_sim.observables.common_neighbours import NAMES, structure_fractions, structure_types
from hea_sim.observables.composition_maps import composition_map, detected, frequency_distribution
from hea_sim.observables.diffuse_scattering import laue_intensity, radial_structure_factor, structure_factor
from hea_sim.observables.distortion import local_distortion
from hea_sim.observables.precipitates import find_precipitates
from hea_sim.observables.rdf import radial_distribution
from hea_sim.observables.superlattice_order import long_range_order, ordering_waves
from hea_sim.observables.warren_cowley import warren_cowley


def ordered(structure: str, repeat: int = 2) -> tuple[np.ndarray, str, tuple[int, int, int]]:
    """Give species indices of a perfectly ordered cell, 1 where the rarer species stands."""
    from hea_sim.lattice.shells import lattice_points

    lattice = "A1" if structure.startswith("L1") else "A2"
    size = (repeat, repeat, repeat)
    p = lattice_points(lattice, size)
    if structure == "B2":
        rare = p[:, 0] % 2 == 0
    elif structure == "L1_0":
        rare = p[:, 2] % 2 == 0
    elif structure == "L1_2":
        rare = (p % 2 == 0).all(axis=1)
    else:
        phase = (p.sum(axis=1) + 2 * (p[:, 0] % 2 == 1)) % 4  # four fcc sublattices of bcc
        body = p[:, 0] % 2 == 1
        first = (~body) & (p.sum(axis=1) % 4 == 0)
        rare = first if structure == "D0_3" else first | (body & (p.sum(axis=1) % 4 == 3))
        assert phase.max() < 4
    return rare.astype(np.int8), lattice, size


@pytest.mark.parametrize("structure", ["B2", "L1_0", "L1_2", "D0_3", "B32"])
def test_perfect_order_is_one_and_other_order_is_not(structure: str) -> None:
    occupation, lattice, size = ordered(structure, 4)
    fraction = occupation.mean()
    assert fraction == {"B2": 0.5, "L1_0": 0.5, "L1_2": 0.25, "D0_3": 0.25, "B32": 0.5}[structure]
    assert long_range_order(occupation, lattice, structure, size=size) == pytest.approx([1.0, 1.0])
    others = {"B2": ["B32"], "B32": ["B2"], "L1_0": ["L1_2"], "L1_2": ["L1_0"], "D0_3": []}[structure]
    for other in others:
        assert long_range_order(occupation, lattice, other, size=size) == pytest.approx([0.0, 0.0], abs=1e-9)


def test_order_of_a_random_cell_is_that_of_chance() -> None:
    rng = np.random.default_rng(0)
    n, fraction = 2 * 10**3, 0.3
    found = []
    for _ in range(200):
        occupation = (rng.permutation(n) < fraction * n).astype(np.int8)
        found.append(ordering_waves(occupation, "bcc", [(1, 0, 0)], size=(10, 10, 10))[0, 1] ** 2)
    # mean square amplitude of a wave in a random cell: c (1 - c) / N
    assert np.mean(found) == pytest.approx(fraction * (1 - fraction) / n, rel=4 * np.sqrt(2 / 200))


def test_partial_order_is_linear_in_the_occupancy() -> None:
    occupation, lattice, size = ordered("B2", 10)
    rng = np.random.default_rng(1)
    first, second = np.flatnonzero(occupation == 0), np.flatnonzero(occupation == 1)
    swapped = 300
    a, b = rng.choice(first, swapped, replace=False), rng.choice(second, swapped, replace=False)
    occupation[a], occupation[b] = 1, 0
    expected = 1 - 2 * swapped / len(first)
    assert long_range_order(occupation, lattice, "B2", size=size)[0] == pytest.approx(expected)


def test_waves_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="whole periods"):
        long_range_order(np.zeros(2 * 27, np.int8), "bcc", "B32", size=(3, 3, 3))
    with pytest.raises(HEAError, match="Known: B2"):
        long_range_order(np.zeros(16, np.int8), "bcc", "L1_2", size=(2, 2, 2))


@pytest.mark.parametrize(("lattice", "kind", "shells"), [("bcc", "W", (8, 6, 12)), ("fcc", "Ni", (12, 6, 24))])
def test_coordination_of_perfect_crystals(lattice: str, kind: str, shells: tuple[int, ...]) -> None:
    atoms = bulk(kind, lattice, a=3.0, cubic=True).repeat(2)
    found = radial_distribution(atoms, 6.0, bins=600)
    distances = (0.75**0.5, 1.0, 2**0.5) if lattice == "bcc" else (0.5**0.5, 1.0, 1.5**0.5)
    edges = [3.0 * d + 0.05 for d in distances]
    counts = np.diff([0.0, *(found.coordination(edge)[0, 0] for edge in edges)])
    assert counts == pytest.approx(shells, rel=1e-9)


def test_radial_distribution_of_an_ideal_gas_is_one_and_parts_add_up() -> None:
    rng = np.random.default_rng(0)
    atoms = Atoms("Nb1500Ta500", positions=rng.random((2000, 3)) * 200, cell=[200] * 3, pbc=True)
    found = radial_distribution(atoms, 75.0, bins=15)
    pairs = 2000**2 / 2 * 4 * np.pi * found.r_A**2 * 5.0 / 200**3
    assert np.all(np.abs(found.total - 1) < 5 / np.sqrt(pairs) + 2 / 2000)
    weighted = np.einsum("i,j,ijr->r", found.fractions, found.fractions, found.partial)
    assert weighted == pytest.approx(found.total)
    assert found.partial == pytest.approx(found.partial.transpose(1, 0, 2))
    assert found.coordination(75.0).sum(axis=1) == pytest.approx(2000 / 200**3 * 4 / 3 * np.pi * 75**3, rel=0.02)


@settings(max_examples=15, deadline=None)
@given(sigma=st.floats(0.01, 0.15), seed=st.integers(0, 999), strain=st.floats(-0.03, 0.03))
def test_distortion_sees_displacements_alone(sigma: float, seed: int, strain: float) -> None:
    rng = np.random.default_rng(seed)
    ideal = bulk("W", cubic=True).repeat(8)
    atoms = ideal.copy()
    atoms.positions += rng.normal(size=atoms.positions.shape) * sigma + [9.9, -5.0, 1.6]
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain * rng.normal(size=(3, 3))), scale_atoms=True)
    atoms.wrap()
    found = local_distortion(atoms, ideal)
    stretch = 1 + 3 * 3 * abs(strain)
    assert found.rms_A == pytest.approx(sigma * np.sqrt(3), rel=0.05 * stretch + 3 * abs(strain))
    assert np.abs(found.displacements_A.mean(axis=0)).max() < 1e-9
    by_lattice = local_distortion(atoms, lattice="bcc", size=(8, 8, 8))
    assert by_lattice.rms_A == pytest.approx(found.rms_A)


def test_distortion_of_a_strained_crystal_is_zero_and_of_maxwell_form_else() -> None:
    atoms = bulk("Nb", cubic=True).repeat(10)
    atoms.set_cell(atoms.cell.array @ [[1.02, 0.03, 0], [0, 0.98, 0.01], [0, 0, 1.0]], scale_atoms=True)
    assert local_distortion(atoms, lattice="bcc", size=(10, 10, 10)).rms_A < 1e-12
    rng = np.random.default_rng(3)
    atoms.positions += 0.1 * rng.normal(size=atoms.positions.shape)
    found = local_distortion(atoms, lattice="bcc", size=(10, 10, 10))
    assert found.mean_A / found.rms_A == pytest.approx(np.sqrt(8 / (3 * np.pi)), rel=0.01)
    with pytest.raises(InputError, match="as many"):
        local_distortion(atoms, lattice="bcc", size=(9, 10, 10))


@pytest.mark.parametrize(
    ("atoms", "name"),
    [
        (bulk("Cu", cubic=True).repeat(3), "fcc"),
        (bulk("Mg").repeat((4, 4, 3)), "hcp"),
        (bulk("W", cubic=True).repeat(3), "bcc"),
        (bulk("Cu").repeat(5), "fcc"),
        (bulk("Po", "sc", a=3.3).repeat(5), "other"),
        (bulk("Si", "diamond", a=5.4, cubic=True).repeat(2), "other"),
    ],
    ids=["fcc", "hcp", "bcc", "fcc-primitive", "sc", "diamond"],
)
def test_perfect_crystals_are_known_and_stay_so_when_they_vibrate(atoms: Atoms, name: str) -> None:
    assert structure_fractions(atoms)[name] == 1.0
    if name == "other":
        return
    shaken = atoms.copy()
    nearest = radial_distribution(atoms, 6.0, bins=600).r_A[
        np.argmax(radial_distribution(atoms, 6.0, bins=600).total > 0)
    ]
    shaken.positions += 0.02 * nearest * np.random.default_rng(0).normal(size=shaken.positions.shape)
    assert structure_fractions(shaken)[name] > 0.9


def test_the_middle_of_an_icosahedron_and_a_stacking_fault_are_found() -> None:
    cluster = Icosahedron("Cu", 3)
    cluster.center(vacuum=4.0)
    cluster.pbc = True
    middle = int(np.argmin(np.linalg.norm(cluster.positions - cluster.positions.mean(axis=0), axis=1)))
    assert NAMES[structure_types(cluster)[middle]] == "icosahedral"
    from ase.build import fcc111

    layers = fcc111("Cu", (3, 3, 9), a=3.6, periodic=True)
    heights = np.unique(layers.positions[:, 2].round(6))
    layers.cell[2] = [0, 0, (heights[1] - heights[0]) * 9]
    layers.pbc = True
    assert structure_fractions(layers)["fcc"] == 1.0
    upper = layers.positions[:, 2] > heights[4] - 0.1
    layers.positions[upper] += [3.6 / np.sqrt(2) / 2, 3.6 / np.sqrt(6) / 2, 0]
    # one intrinsic fault inside and what the slip leaves at the border of the cell: two layers of hcp each
    assert structure_fractions(layers)["hcp"] >= 2 / 9


def test_diffuse_scattering_obeys_its_sum_rule_and_is_the_transform_of_the_order() -> None:
    rng = np.random.default_rng(0)
    size = (6, 6, 6)
    occupation = rng.permutation(np.repeat([0, 1], [300, 132])).astype(np.int8)
    found = laue_intensity(occupation, "bcc", [1.0, 0.0], size=size)
    assert found.intensity.mean() == pytest.approx(1.0)
    c = np.bincount(occupation) / len(occupation)
    alpha = warren_cowley(occupation, "bcc", size=size, shells=12)[:, 0, 1]
    from hea_sim.lattice.shells import neighbour_shells

    # A cosine series of the first shells projects out exactly those shells: sum over k of I cos(k.r) gives alpha.
    h = np.stack(np.meshgrid(found.h, found.k, found.l, indexing="ij"), axis=-1)
    for shell, value in zip(neighbour_shells("bcc", 4), alpha, strict=False):
        wave = np.exp(1j * np.pi * (h @ shell.offsets.T)).real.mean(axis=-1)
        assert (found.intensity * wave).mean() == pytest.approx(value, abs=1e-9)
    assert c.sum() == 1


def test_a_b2_cell_scatters_into_its_superlattice_point_alone() -> None:
    occupation, _, size = ordered("B2", 4)
    found = laue_intensity(occupation, "bcc", [0.0, 1.0], size=size)
    n = len(occupation)
    assert found.intensity[4, 0, 0] == pytest.approx(n)
    assert np.count_nonzero(found.intensity > 1e-9) == 4  # (100), (010), (001), (111) of the unit up to 2
    assert found.plane().shape == (8, 8) and found.plane()[4, 0] == pytest.approx(n)


def test_structure_factor_of_a_crystal_and_of_a_gas() -> None:
    a = 3.3
    atoms = bulk("Nb", cubic=True, a=a).repeat(3)
    peak, forbidden = structure_factor(atoms, 2 * np.pi / a * np.array([[1, 1, 0], [1, 0, 0]]))
    assert peak == pytest.approx(len(atoms)) and forbidden == pytest.approx(0, abs=1e-9)
    gas = Atoms("Nb400", positions=np.random.default_rng(0).random((400, 3)) * 20, cell=[20] * 3, pbc=True)
    q, values = radial_structure_factor(gas, 4.0, bins=8)
    assert np.nanmean(values) == pytest.approx(1.0, abs=0.1) and len(q) == 8


def planted(radius_A: float, centres: list[tuple[float, float, float]]) -> Atoms:
    """Give a bcc cell of 20 A... with spheres of Ta in Nb."""
    atoms = bulk("Nb", cubic=True, a=3.3).repeat(16)
    symbols = np.array(["Nb"] * len(atoms), dtype=object)
    for centre in centres:
        apart = atoms.get_scaled_positions() - centre
        apart -= np.round(apart)
        symbols[np.linalg.norm(apart @ atoms.cell.array, axis=1) < radius_A] = "Ta"
    atoms.set_chemical_symbols(symbols.tolist())
    return atoms


def test_planted_precipitates_are_found_with_their_size_and_spacing() -> None:
    atoms = planted(9.0, [(0.02, 0.5, 0.5), (0.52, 0.5, 0.5)])  # one across the border
    found = find_precipitates(atoms, ["Ta"], threshold=0.5, radius_A=3.4)
    assert len(found.n_atoms) == 2
    assert found.diameter_nm == pytest.approx([1.8, 1.8], rel=0.06)
    assert found.spacing_nm == pytest.approx([2.64, 2.64], rel=0.03)
    assert found.rich_fraction.min() > 0.9 and (found.label > 0).mean() == found.volume_fraction
    assert found.density_per_nm3 == pytest.approx(2 / (0.1 * 16 * 3.3) ** 3)
    assert len(find_precipitates(atoms, ["Ta"], threshold=0.5, radius_A=3.4, least_atoms=5000).n_atoms) == 0
    with pytest.raises(InputError, match="holds"):
        find_precipitates(atoms, ["Mo"], threshold=0.5, radius_A=3.4)


def test_composition_maps_count_atoms_and_find_surfaces() -> None:
    atoms = planted(12.0, [(0.5, 0.5, 0.5)])
    atoms.positions += 0.1  # off the borders of the voxels, each of which then holds 16 atoms
    found = composition_map(atoms, 0.66)
    assert found.fractions.sum(axis=0) == pytest.approx(1.0)
    assert found.of("Ta").mean() == pytest.approx(0.5 * (2 * atoms.symbols.count("Ta") / len(atoms)), rel=1e-6)
    smooth = composition_map(atoms, 0.66, sigma_nm=0.4)
    vertices, faces = smooth.isoconcentration("Ta", 0.5)
    middle = 0.1 * np.diag(atoms.cell.array) / 2
    radii = np.linalg.norm(vertices + smooth.voxel_nm / 2 - middle, axis=1)
    # A Gaussian draws the surface of half the contrast of a sphere inwards by sigma^2 / R.
    assert radii.mean() == pytest.approx(1.2 - 0.4**2 / 1.2, rel=0.04) and len(faces) > 20
    with pytest.raises(InputError, match="fractions run from"):
        smooth.isoconcentration("Ta", 1.5)


def test_frequency_distributions_tell_random_from_separated() -> None:
    rng = np.random.default_rng(0)
    atoms = bulk("Nb", cubic=True, a=3.3).repeat(16)
    values = []
    for _ in range(20):
        symbols = np.where(rng.random(len(atoms)) < 0.3, "Ta", "Nb")
        atoms.set_chemical_symbols(symbols.tolist())
        found = frequency_distribution(atoms, "Ta", block_atoms=50)
        values.append(found.p_value)
        assert found.observed.sum() == pytest.approx(found.expected.sum())
    assert 0.2 < np.mean(values) < 0.8  # p is even in a random alloy
    apart = frequency_distribution(planted(14.0, [(0.5, 0.5, 0.5)]), "Ta", block_atoms=50)
    assert apart.p_value < 1e-9 and apart.mu > 0.9
    seen = detected(atoms, 0.5, rng)
    assert len(seen) == pytest.approx(len(atoms) / 2, abs=5 * np.sqrt(len(atoms) / 4))
