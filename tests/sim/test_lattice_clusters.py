"""Cluster expansions: counted by brute force, known by hand, beside icet, and changed by one or two sites."""

from __future__ import annotations

from itertools import combinations, product

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_sim.lattice import clusters
from hea_sim.lattice.cluster_functions import cluster_space, site_functions
from hea_sim.lattice.cluster_kernels import cluster_energy_change
from hea_sim.lattice.drawing import annealed_cell, ordered_pattern
from hea_sim.lattice.pairs import PairModel, pair_fractions
from hea_sim.lattice.parents import parent_lattice
from hea_sim.registry.cards import DataSource, ModelCard, Score, read_arrays, read_card, save_model
from tests.sim.lattice_systems import (
    CUTOFFS,
    SPECIES,
    check_energy_change,
    check_extensive,
    check_symmetric,
    parent,
    random_clusters,
)

#: All models share one function, so that it is compiled once.
compiled_change = numba.njit(cluster_energy_change)


def pair_and_triplet_energy(occupation, lattice, size, pair, triplet):
    """Sum energies of pairs and of triangles by distance alone: no orbits, no symmetry, each bond found by search.

    `pair[d]` (species, species) by distance; `triplet[d]` (species, species, species), symmetric, by sorted distances.
    """
    box = np.array(size)[:, None] * lattice.cell
    points = lattice.points(size)
    shifts = np.array(list(product(range(-1, 2), repeat=3))) @ box
    every = (points[None] + shifts[:, None]).reshape(-1, 3)
    kinds = np.tile(occupation, len(shifts))
    reach = max([*pair, *(d for key in triplet for d in key)]) + 1e-3
    total = 0.0
    for i, point in enumerate(points):
        apart = np.linalg.norm(every - point, axis=1)
        near = np.flatnonzero((apart > 1e-6) & (apart < reach))
        for k in near:
            table = pair.get(round(apart[k], 3))
            total += 0.0 if table is None else table[occupation[i], kinds[k]] / 2
        for k, m in combinations(near, 2):
            key = tuple(sorted(round(d, 3) for d in (apart[k], apart[m], np.linalg.norm(every[k] - every[m]))))
            if key in triplet:
                total += triplet[key][occupation[i], kinds[k], kinds[m]] / 3
    return total / len(points)


def symmetric_tables(rng, n):
    pair = {d: (lambda t: t + t.T)(rng.normal(size=(n, n))) for d in (0.866, 1.0)}
    raw = rng.normal(size=(n, n, n))
    full = sum(raw.transpose(p) for p in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)))
    return pair, {(0.866, 0.866, 1.0): full}


@pytest.mark.parametrize("kind", ["orthogonal", "indicator"])
def test_energies_are_those_counted_by_brute_force(kind):
    # The functions span every symmetric energy of pairs and triangles: a fit to some cells predicts others exactly.
    rng, lattice, n = np.random.default_rng(0), parent("A2"), 3
    pair, triplet = symmetric_tables(rng, n)
    space = cluster_space(lattice, SPECIES[:n], {2: 1.01, 3: 1.01}, kind=kind)
    size = (2, 2, 1)
    occupations = rng.integers(n, size=(2 * len(space) + 10, 8))
    rows = space.correlations(occupations, size) * space.multiplicity
    energies = np.array([pair_and_triplet_energy(o, lattice, size, pair, triplet) for o in occupations])
    fitted = 2 * len(space)  # the cells are small, so that some functions are not told apart: neither need they be
    found = np.linalg.lstsq(rows[:fitted], energies[:fitted], rcond=None)[0]
    assert np.abs(rows[fitted:] @ found - energies[fitted:]).max() < 1e-9
    model = clusters.ClusterModel(name="x", space=space, coefficients_eV=found, energy_std_eV=0.0)
    assert model.energy_eV_per_atom(occupations[-1], size) == pytest.approx(energies[-1], abs=1e-9)


def test_a_pair_model_is_a_cluster_expansion_of_pairs():
    rng, n = np.random.default_rng(1), 4
    bonds = rng.normal(size=(3, n, n))
    bonds = bonds + bonds.transpose(0, 2, 1)
    bonds[:, range(n), range(n)] = 0
    zero = np.zeros((n, n))
    pairs = PairModel(
        name="p", species=SPECIES, lattice="A2", site_energy_eV=rng.normal(size=n), pair_energy_eV=bonds,
        element_volume_A3=np.ones(n), pair_volume_A3=0 * bonds, asymmetry_eV=zero, asymmetry_A3=zero,
        reference_volume_A3=np.ones(n), energy_std_eV=0.0, volume_std_A3=0.0, relaxed=True,
    )  # fmt: skip
    space = cluster_space(parent("A2"), SPECIES, {2: 1.42})
    occupations = rng.integers(n, size=(60, 54))
    rows = space.correlations(occupations, (3, 3, 3)) * space.multiplicity
    energies = np.array([pairs.energy_eV_per_atom(o, (3, 3, 3)) for o in occupations])
    found, _, rank, _ = np.linalg.lstsq(rows[:40], energies[:40], rcond=None)
    assert rank == len(space) == 1 + 3 + 3 * 6  # constant, points, symmetric pairs of three functions
    assert np.allclose(rows[40:] @ found, energies[40:], atol=1e-10)


#: Pi of the pairs of the first two shells of A2 (A1), for sigma = +1, -1, by hand: B2 is all unlike, then all like;
#: L1_2 has 3 unlike of 6 pairs about a corner or face: 1/2 of first neighbours unlike, so Pi = 0; points (1 - 3) / 4.
@pytest.mark.parametrize(
    ("name", "lattice", "points", "first", "second"),
    [
        ("B2", "A2", 0.0, -1.0, 1.0),
        ("B32", "A2", 0.0, 0.0, -1.0),
        ("D0_3", "A2", -0.5, 0.0, 0.0),
        ("L1_0", "A1", 0.0, -1 / 3, 1.0),
        ("L1_2", "A1", -0.5, 0.0, 1.0),
    ],
)
def test_correlations_of_ordered_structures(name, lattice, points, first, second):
    pattern, size = ordered_pattern(name)
    space = cluster_space(parent(lattice), ("A", "B"), {2: 1.01})
    found = space.correlations(pattern.astype(int), size)
    assert np.allclose(found, [1.0, points, first, second], atol=1e-12)


def test_correlations_of_triangles_and_tetrahedra_of_ordered_fcc():
    # Every tetrahedron of L1_2 holds one corner (+1) and three faces (-1): product -1. Its four triangles: three hold
    # the corner (product +1), one does not (-1): mean 1/2. L1_0: two and two, tetrahedra +1, triangles 0.
    space = cluster_space(parent("A1"), ("A", "B"), {2: 0.71, 3: 0.71, 4: 0.71})
    for name, triangle, tetrahedron in (("L1_2", 0.5, -1.0), ("L1_0", 0.0, 1.0)):
        pattern, size = ordered_pattern(name)
        assert np.allclose(space.correlations(pattern.astype(int), size)[-2:], [triangle, tetrahedron])


def test_correlations_of_a_pure_crystal_are_products_of_its_site_functions():
    space = cluster_space(parent("A3"), SPECIES, CUTOFFS["A3"])
    values = site_functions(4)
    for s in range(4):
        found = space.correlations(np.full(4, s), (1, 2, 1))
        expected = [1.0, *(np.prod([values[n, s] for n in f.decoration]) for f in space.functions)]
        assert np.allclose(found, expected)


def test_orthogonal_functions_are_orthogonal_over_all_species():
    for n in (2, 3, 4, 5):
        full = np.vstack([np.ones(n), site_functions(n)])
        gram = full @ full.T
        assert np.allclose(gram, np.diag(np.diag(gram)), atol=1e-12)


def test_spread_is_that_of_a_random_alloy():
    # One eV of one coefficient: the energy of N atoms of the equiatomic random alloy spreads by spread * sqrt(N).
    space = cluster_space(parent("A2"), SPECIES[:3], {2: 1.01, 3: 1.01})
    occupations = np.random.default_rng(4).integers(3, size=(1500, 128))
    rows = space.correlations(occupations, (4, 4, 4)) * space.multiplicity
    measured = rows[:, 1:].std(axis=0) * np.sqrt(128)
    assert np.allclose(measured, space.spread[1:], rtol=4 * np.sqrt(0.5 / 1500) * 1.5)


@pytest.mark.parametrize("name", list(CUTOFFS))
def test_energies_are_extensive_and_symmetric(name):
    model = random_clusters(name)
    check_extensive(model, parent(name), np.random.default_rng(2))
    check_symmetric(model, parent(name), np.random.default_rng(3))


@pytest.mark.parametrize("name", list(CUTOFFS))
@given(size=st.tuples(*[st.integers(1, 3)] * 3).filter(lambda s: np.prod(s) > 1), seed=st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_energy_change_is_the_difference_of_energies(name, size, seed):
    check_energy_change(random_clusters(name), size, seed, compiled_change)


def test_only_what_a_sublattice_may_hold():
    held = parent_lattice("B2").with_species(("Nb", "Mo"), ("Ta",))
    space = cluster_space(held, ("Nb", "Mo", "Ta"), {2: 1.01})
    # Ta alone on the second sublattice: only points and pairs of the first are left.
    assert [orbit.sublattice for orbit in space.orbits] == [(0,), (0, 0)]
    with pytest.raises(InputError, match="sublattice 1 of B2 holds another species than Ta"):
        space.correlations(np.array([0, 1]), (1, 1, 1))
    assert space.correlations(np.array([0, 2]), (1, 1, 1)).shape == (3,)


def test_a_file_gives_the_same_model(tmp_path):
    model = random_clusters("B2")
    card = ModelCard(
        name="planted", kind=clusters.KIND, elements=model.species, lattice=model.lattice,
        data=(DataSource(name="none", source="this test", licence="none"),), seeds={}, remake="this test",
        scores={"none": Score(value=0.0, unit="1", how="none")}, licence="none", citation="none",
    )  # fmt: skip
    save_model(tmp_path, card, clusters.model_arrays(model))
    again = clusters.load(read_card(tmp_path), read_arrays(tmp_path))
    occupation = np.random.default_rng(0).integers(3, size=16)
    assert again.energy_eV_per_atom(occupation, (2, 2, 2)) == model.energy_eV_per_atom(occupation, (2, 2, 2))
    assert again.card["name"] == "planted"


def test_annealing_orders_what_attracts():
    space = cluster_space(parent("A2"), ("Mo", "Ta"), {2: 0.9})
    model = clusters.ClusterModel(name="b2", space=space, coefficients_eV=np.array([0.0, 0.0, 0.02]), energy_std_eV=0.0)
    cell = annealed_cell(model, [0.5, 0.5], (2, 2, 2), 50.0, np.random.default_rng(0))
    assert pair_fractions(cell.occupation, "A2", (2, 2, 2), 1, 2)[0, 0, 1] == 0.5  # every neighbour unlike: B2


def test_atoms_stand_on_their_sites():
    model = random_clusters("A3")
    atoms = model.atoms(np.array([0, 1, 2, 0]), (2, 1, 1), 3.2)
    assert atoms.get_chemical_symbols() == ["Nb", "Mo", "Ta", "Nb"]
    assert atoms.cell.lengths() == pytest.approx([6.4, 3.2, 3.2 * 1.6])
    distances = atoms.get_all_distances(mic=True)[0]
    assert distances[1] == pytest.approx(3.2 * np.sqrt(1 / 3 + 1.6**2 / 4))


def test_errors_say_what_is_wanted():
    model = random_clusters("A2")
    with pytest.raises(InputError, match=r"got shape \(5,\), wanted \(16,\)"):
        model.energy_eV_per_atom(np.zeros(5, int), (2, 2, 2))
    with pytest.raises(InputError, match="from 0 to 2"):
        model.energy_eV_per_atom(np.full(16, 3), (2, 2, 2))
    with pytest.raises(InputError, match="without a covariance"):
        model.energy_with_std(np.zeros(16, int), (2, 2, 2))
    with pytest.raises(InputError, match="all finite"):
        clusters.ClusterModel(name="x", space=model.space, coefficients_eV=np.zeros(3), energy_std_eV=0.0)
    with pytest.raises(InputError, match="two or more different"):
        cluster_space(parent("A2"), ("Nb",), {2: 1.1})
    with pytest.raises(InputError, match="'orthogonal' or 'indicator'"):
        cluster_space(parent("A2"), SPECIES, {2: 1.1}, kind="fourier")  # type: ignore[arg-type]


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["A1", "A2", "A3"])
@pytest.mark.parametrize("n_species", [2, 3])
def test_clusters_and_their_span_are_those_of_icet(name, n_species):
    icet = pytest.importorskip("icet", reason="the extra `oracle` is not installed")
    from ase import Atoms

    a, lattice, species = 3.2, parent(name), SPECIES[:n_species]
    cutoffs = CUTOFFS[name]
    space = cluster_space(lattice, species, cutoffs)
    cell = Atoms(["Nb"] * lattice.n_sites, positions=lattice.sites * a, cell=lattice.cell * a, pbc=True)
    peer = icet.ClusterSpace(cell, [cutoffs[k] * a + 1e-3 for k in sorted(cutoffs)], list(species))
    primitive = peer.primitive_structure
    theirs = [(o["order"], o["multiplicity"] / len(primitive)) for o in peer.as_list if o["order"] > 0]
    ours = list(zip(space.order[1:].tolist(), space.multiplicity[1:], strict=True))
    assert np.allclose(sorted(ours), sorted(theirs))
    rng, size = np.random.default_rng(0), (2, 2, 3)
    occupations = rng.integers(n_species, size=(len(space) + 20, 12 * lattice.n_sites))
    rows = space.correlations(occupations, size)
    peers = []
    for occupation in occupations:
        symbols = [species[s] for s in occupation]
        atoms = Atoms(symbols, positions=lattice.points(size) * a, cell=np.array(size)[:, None] * lattice.cell * a)
        atoms.pbc = True
        peers.append(peer.get_cluster_vector(atoms))
    peers = np.array(peers)
    if (
        n_species == 2
    ):  # one function a site: but for the sign of the species and the order of the list, the same numbers
        assert np.allclose(np.sort(np.abs(rows), axis=1), np.sort(np.abs(peers), axis=1), atol=1e-9)
    for left, right in ((rows, peers), (peers, rows)):
        found = np.linalg.lstsq(left, right, rcond=1e-10)[0]
        assert np.abs(left @ found - right).max() < 1e-8
