import numpy as np
import pytest

from hea_sim.errors import HEAError, InputError
from hea_sim.lattice.shells import lattice_points, neighbour_shells, neighbour_table


@pytest.mark.parametrize(("lattice", "multiplicity"), [("A1", [12, 6, 24, 12, 24, 8]), ("A2", [8, 6, 12, 24, 8, 6])])
def test_multiplicities(lattice, multiplicity):
    assert [shell.multiplicity for shell in neighbour_shells(lattice, 6)] == multiplicity


@pytest.mark.parametrize("lattice", ["bcc", "fcc"])
def test_points_follow_ase(lattice):
    from ase.build import bulk

    atoms = bulk("Nb", lattice, a=2.0, cubic=True).repeat((3, 2, 1))
    assert np.allclose(atoms.positions, lattice_points(lattice, (3, 2, 1)))


@pytest.mark.parametrize(("lattice", "size"), [("A2", (1, 1, 1)), ("A2", (3, 2, 1)), ("A1", (2, 1, 1))])
def test_neighbours_are_those_of_ase_with_multiplicity(lattice, size):
    from ase.build import bulk
    from ase.neighborlist import neighbor_list

    atoms = bulk("Nb", {"A1": "fcc", "A2": "bcc"}[lattice], a=1.0, cubic=True).repeat(size)
    shells = neighbour_shells(lattice, 5)
    i, j, d = neighbor_list("ijd", atoms, shells[-1].distance_a + 1e-3)
    for shell, table in zip(shells, neighbour_table(lattice, size, 5), strict=True):
        here = np.abs(d - shell.distance_a) < 1e-6
        for site in range(len(atoms)):
            assert sorted(j[here & (i == site)]) == sorted(table[site])


@pytest.mark.parametrize("size", [(0, 1, 1), (2, 2), "222", (1.5, 1, 1), 4])
def test_bad_size(size):
    with pytest.raises(InputError, match="three whole numbers"):
        lattice_points("A2", size)


def test_bad_lattice_and_shells():
    with pytest.raises(HEAError, match="A1, A2"):
        neighbour_shells("hcp", 2)
    with pytest.raises(InputError, match="1 to 12"):
        neighbour_shells("A2", 0)
