"""Parent lattices and orbits: known numbers of operations, of neighbours and of clusters."""

import numpy as np
import pytest

from hea_sim.errors import HEAError, InputError
from hea_sim.lattice.drawing import ordered_cells, ordered_pattern, random_cell, whole_numbers
from hea_sim.lattice.orbits import find_orbits
from hea_sim.lattice.pairs import pair_fractions
from hea_sim.lattice.parents import (
    IDEAL_C_OVER_A,
    ParentLattice,
    neighbours_within,
    parent_lattice,
    shell_distances,
    symmetry_of,
)
from hea_sim.lattice.shells import lattice_points, neighbour_shells

#: Operations of the space group in the conventional cell: the order of the point group times the points per cell;
#: those of B2 and L1_2 are of Pm-3m, of A3 those of P6_3/mmc.
OPERATIONS = {"A_h": 48, "A1": 4 * 48, "A2": 2 * 48, "A3": 24, "B2": 48, "L1_2": 48}


def parent(name: str) -> ParentLattice:
    return parent_lattice(name, c_over_a=1.6 if name == "A3" else None)


@pytest.mark.parametrize(("name", "count"), OPERATIONS.items())
def test_the_whole_space_group_is_found_and_keeps_all_distances(name: str, count: int) -> None:
    lattice, symmetry = parent(name), symmetry_of(parent(name))
    assert len(symmetry) == count
    rng = np.random.default_rng(0)
    b, n = rng.integers(lattice.n_sites, size=6), rng.integers(-3, 4, size=(6, 3))
    before = lattice.sites[b] + n @ lattice.cell
    for turn, to, shift in zip(symmetry.rotations, symmetry.to, symmetry.shift, strict=True):
        after = lattice.sites[to[b]] + (n @ turn.T + shift[b]) @ lattice.cell
        assert np.array_equal(lattice.sublattice[to], lattice.sublattice)
        for left, right in ((before, after),):
            assert np.allclose(
                np.linalg.norm(left[:, None] - left[None], axis=2), np.linalg.norm(right[:, None] - right[None], axis=2)
            )


@pytest.mark.oracle
@pytest.mark.parametrize("name", OPERATIONS)
def test_as_many_operations_as_spglib_finds(name: str) -> None:
    spglib = pytest.importorskip("spglib", reason="the extra `oracle` is not installed")
    lattice = parent(name)
    found = spglib.get_symmetry((lattice.cell, lattice.fractional, lattice.sublattice + 1))
    rotations = found["rotations"] if isinstance(found, dict) else found.rotations
    assert len(symmetry_of(lattice)) == len(rotations)


@pytest.mark.parametrize("name", ["A1", "A2", "A_h"])
def test_neighbours_are_those_of_the_shells(name: str) -> None:
    lattice, shells = parent(name), neighbour_shells(name, 4)
    assert np.allclose(shell_distances(lattice, 4), [shell.distance_a for shell in shells], atol=1e-5)
    for row in neighbours_within(lattice, shells[-1].distance_a):
        counts = [sum(abs(d - shell.distance_a) < 1e-5 for d, _, _ in row) for shell in shells]
        assert counts == [shell.multiplicity for shell in shells]
    assert np.allclose(2 * lattice.points((2, 1, 3)), lattice_points(name, (2, 1, 3)))


def test_hexagonal_close_packing_has_twelve_neighbours_of_one_distance() -> None:
    lattice = parent_lattice("hcp", c_over_a=IDEAL_C_OVER_A)
    for row in neighbours_within(lattice, 1.01):
        assert len(row) == 12 and np.allclose([distance for distance, _, _ in row], 1.0)


#: Clusters of touching atoms per site: of A1 8 triangles and 2 tetrahedra (24 pairs of 12 neighbours are triangles),
#: of A2 none among first neighbours, 12 triangles of shells 1, 1, 2 and 6 irregular tetrahedra of shells 1 and 2.
@pytest.mark.parametrize(
    ("name", "cutoffs", "per_site"),
    [
        ("A1", {2: 0.71, 3: 0.71, 4: 0.71}, {1: 1, 2: 6, 3: 8, 4: 2}),
        ("A2", {2: 0.87, 3: 0.87}, {1: 1, 2: 4}),
        ("A2", {2: 1.01, 3: 1.01, 4: 1.01}, {1: 1, 2: 4 + 3, 3: 12, 4: 6}),
        ("A_h", {2: 1.01, 3: 1.42, 4: 1.42}, {1: 1, 2: 3, 3: 12 + 8, 4: 3 + 2 + 8}),
    ],
)
def test_numbers_of_clusters(name: str, cutoffs: dict[int, float], per_site: dict[int, int]) -> None:
    lattice = parent(name)
    found = dict.fromkeys(per_site, 0)
    for orbit in find_orbits(lattice, cutoffs):
        found[orbit.order] += orbit.n_instances
    assert {order: n / lattice.n_sites for order, n in found.items()} == per_site


def test_sublattices_split_orbits() -> None:
    one, two = (find_orbits(parent(name), {2: 1.01}) for name in ("A2", "B2"))
    assert [(o.order, o.n_instances) for o in one] == [(1, 2), (2, 8), (2, 6)]
    assert [(o.order, o.n_instances, o.sublattice) for o in two] == [
        (1, 1, (0,)), (1, 1, (1,)), (2, 8, (0, 1)), (2, 3, (0, 0)), (2, 3, (1, 1)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: parent_lattice("bcp"), "did you mean"),
        (lambda: parent_lattice("A3"), "c/a of A3: got None"),
        (lambda: parent_lattice("A1", c_over_a=1.2), "is cubic"),
        (lambda: parent_lattice("B2").with_species(["Al"], ["Ni"]).allowed(["Al", "Co"]), "holds Ni; the model knows"),
        (lambda: find_orbits(parent_lattice("A2"), {3: 1.1}), "wanted 2"),
        (lambda: find_orbits(parent_lattice("A2"), {2: 1.1, 5: 1.1}), "wanted 2"),
        (lambda: find_orbits(parent_lattice("A2"), {2: -1.0}), "radii above 0"),
        (lambda: whole_numbers([0.5, -0.5], 4), "none below 0"),
        (lambda: ordered_pattern("B7"), "wanted B2, B32"),
    ],
)
def test_errors_say_what_is_wanted(call, text: str) -> None:
    with pytest.raises(HEAError, match=text):
        call()


def test_a_parent_of_ones_own_is_checked() -> None:
    with pytest.raises(InputError, match="three independent rows"):
        ParentLattice(name="x", cell=np.ones((3, 3)), sites=np.zeros((1, 3)), sublattice=np.zeros(1), holds=((),))
    with pytest.raises(InputError, match="numbered from 0"):
        ParentLattice(name="x", cell=np.eye(3), sites=np.zeros((1, 3)), sublattice=np.ones(1), holds=((),))


#: Share of unlike neighbours in the first two shells, counted by hand.
@pytest.mark.parametrize(
    ("name", "unlike"),
    [("B2", (1, 0)), ("B32", (0.5, 1)), ("D0_3", (0.5, 0.5)), ("L1_0", (2 / 3, 0)), ("L1_2", (0.5, 0))],
)
def test_ordered_cells_are_what_their_names_say(name: str, unlike: tuple[float, float]) -> None:
    pattern, size = ordered_pattern(name)
    lattice = "A1" if name.startswith("L") else "A2"
    pairs = pair_fractions(pattern.astype(int), lattice, size, 2, 2)
    assert np.allclose(2 * pairs[:, 0, 1], unlike)


def test_drawn_cells_hold_what_was_asked() -> None:
    rng = np.random.default_rng(1)
    cell = random_cell([0.5, 0.25, 0.25], (2, 2, 2), rng, candidates=200)
    plain = random_cell([0.5, 0.25, 0.25], (2, 2, 2), rng)
    assert np.bincount(cell.occupation).tolist() == np.bincount(plain.occupation).tolist() == [8, 4, 4]
    c = np.array([0.5, 0.25, 0.25])

    def off(of: np.ndarray) -> float:
        return float(np.abs(pair_fractions(of, "A2", (2, 2, 2), 2, 3) - np.outer(c, c)).sum())

    assert off(cell.occupation) < off(plain.occupation)
    groups = [cell.group for cell in ordered_cells(4)]
    assert {g: groups.count(g) for g in groups} == {"element": 4, "B2": 6, "B32": 6, "D0_3": 12}
