"""Low-rank potentials: laws of every model on a lattice, known limits, planted Hamiltonians."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_sim.lattice import low_rank
from hea_sim.lattice.fit import FitCell
from hea_sim.lattice.low_rank import LowRankModel, neighbourhood
from hea_sim.lattice.low_rank_fit import find_patterns, fit_low_rank_model
from hea_sim.lattice.low_rank_kernels import add_outer, carry, low_rank_energy_change, tabulate
from hea_sim.lattice.pairs import PairModel
from hea_sim.lattice.shells import neighbour_shells, neighbour_table
from hea_sim.registry.cards import DataSource, ModelCard, Score, read_arrays, read_card, save_model
from tests.sim.lattice_systems import (
    SPECIES,
    check_energy_change,
    check_extensive,
    check_symmetric,
    parent,
    random_low_rank,
)

compiled_change = numba.njit(low_rank_energy_change)
LATTICES = ("A1", "A2", "A3", "A_h")


@pytest.mark.parametrize(
    ("name", "shells", "sites", "operations"),
    [("A1", 1, 13, 48), ("A2", 2, 15, 48), ("A_h", 1, 7, 48), ("A3", 2, 13, 12)],
)
def test_neighbourhoods_of_known_lattices(name, shells, sites, operations):
    found = neighbourhood(parent(name), shells)
    assert (found.n_sites, len(found.turns)) == (sites, operations)
    assert (np.sort(found.turns, axis=1) == np.arange(sites)).all() and (found.turns[:, 0] == 0).all()


@pytest.mark.parametrize("name", LATTICES)
def test_energies_are_extensive_and_symmetric(name):
    model = random_low_rank(name, n_species=2)
    check_extensive(model, parent(name), np.random.default_rng(2))
    check_symmetric(model, parent(name), np.random.default_rng(3))


@pytest.mark.parametrize(("name", "n_species"), [("A2", 3), ("A3", 2), ("A1", 4)])
@given(size=st.tuples(*[st.integers(1, 3)] * 3).filter(lambda s: 1 < np.prod(s) < 10), seed=st.integers(0, 2**31))
@settings(max_examples=8, deadline=None)
def test_energy_change_is_the_difference_of_energies(name, n_species, size, seed):
    # 4^13 neighbourhoods of A1 are too many for a table: there the train itself is multiplied.
    model = random_low_rank(name, n_species)
    assert (len(model.values_eV) == 0) == (name == "A1")
    check_energy_change(model, size, seed, compiled_change)


def test_table_and_train_give_the_same_energies(monkeypatch):
    model, species = random_low_rank("A2"), np.random.default_rng(0).integers(3, size=(50, 9))
    from_table = model.neighbourhood_energies_eV(species)
    monkeypatch.setattr(low_rank, "LONGEST_TABLE", 0)
    again = random_low_rank("A2")
    assert len(again.values_eV) == 0
    assert np.allclose(again.neighbourhood_energies_eV(species), from_table, atol=1e-12)


def test_compiled_loops_are_their_plain_twins():
    rng = np.random.default_rng(1)
    model = random_low_rank("A_h", n_species=2)
    plain = np.empty(2**7)
    tabulate(model.cores, model.around.turns, model.site_energy_eV, plain)
    assert np.allclose(plain, model.values_eV, atol=1e-13)
    row, core, species = rng.normal(size=(12, 2)), rng.normal(size=(3, 2, 4)), rng.integers(3, size=12).astype(np.int8)
    out = [np.empty((12, 4)) for _ in range(2)]
    carry(row, core, species, out[0], False)
    low_rank.compiled("carry")(row, core, species, out[1], False)
    assert np.allclose(out[0], np.einsum("na,nab->nb", row, core[species])) and np.allclose(*out, atol=1e-14)
    features = [np.zeros((3, 3, 2, 4)) for _ in range(2)]
    add_outer(row, out[0], species, 4, features[0])
    low_rank.compiled("add_outer")(row, out[0], species, 4, features[1])
    expected = np.zeros_like(features[0])
    for k in range(12):
        expected[k // 4, species[k]] += np.outer(row[k], out[0][k]) / 4
    assert np.allclose(features[0], expected) and np.allclose(*features, atol=1e-14)


def test_a_train_of_ones_counts_the_species():
    # Rank 1 with cores of 1 everywhere: every neighbourhood has V = 1, above the energies of the species.
    n = neighbourhood(parent("A2"), 1).n_sites
    model = LowRankModel(
        name="ones", species=SPECIES[:2], parent=parent("A2"), n_shells=1, cores=np.ones((n, 2, 1, 1)),
        site_energy_eV=np.array([0.0, 3.0]), energy_std_eV=0.0,
    )  # fmt: skip
    occupation = np.array([0, 1, 1, 1])
    assert model.energy_eV_per_atom(occupation, (2, 1, 1)) == pytest.approx(1 + 0.75 * 3.0)


def planted_pairs(rng: np.random.Generator, n: int, lattice: str = "A2") -> PairModel:
    bond = rng.normal(size=(1, n, n)) * 0.01
    bond = bond + bond.transpose(0, 2, 1)
    bond[:, range(n), range(n)] = 0
    zero = np.zeros((n, n))
    return PairModel(
        name="p", species=SPECIES[:n], lattice=lattice, site_energy_eV=np.zeros(n), pair_energy_eV=bond,
        element_volume_A3=np.ones(n), pair_volume_A3=0 * bond, asymmetry_eV=zero, asymmetry_A3=zero,
        reference_volume_A3=np.ones(n), energy_std_eV=0.0, volume_std_A3=0.0, relaxed=True,
    )  # fmt: skip


def cells_from(energy, rng: np.random.Generator, count: int, n: int, size=(3, 3, 3)) -> list[FitCell]:
    drawn = [rng.choice(n, 2 * int(np.prod(size)), p=rng.dirichlet(np.ones(n))) for _ in range(count)]
    return [FitCell(occupation=o, size=size, energy_eV=energy(o, size)) for o in drawn]


def test_a_planted_pair_hamiltonian_is_found():
    rng = np.random.default_rng(0)
    truth = planted_pairs(rng, 2)
    model, report = fit_low_rank_model(
        cells_from(truth.energy_eV_per_atom, rng, 60, 2), SPECIES[:2], parent("A2"), name="x", ranks=(1, 3),
        penalties=(1e-6,), starts=2, sweeps=30,
    )  # fmt: skip
    assert report.rank == 3  # rank 1 cannot hold a sum of pairs
    spread = np.std([truth.energy_eV_per_atom(c.occupation, c.size) for c in cells_from(lambda o, s: 0.0, rng, 40, 2)])
    new = cells_from(truth.energy_eV_per_atom, rng, 40, 2)
    errors = [model.energy_eV_per_atom(cell.occupation, cell.size) - cell.energy_eV for cell in new]
    assert np.sqrt(np.mean(np.square(errors))) < 0.01 * spread
    # and the order that it prefers: the sign of the bond, from the energy of B2 against that of the random alloy
    b2 = np.tile([0, 1], 27)
    assert model.energy_eV_per_atom(b2, (3, 3, 3)) == pytest.approx(truth.energy_eV_per_atom(b2, (3, 3, 3)), rel=0.05)


def test_a_planted_energy_of_many_bodies_is_found_where_pairs_fail():
    # The energy of an atom is the square of its number of unlike neighbours: no sum of pairs.
    table = neighbour_table("A2", (3, 3, 3), 1)[0]

    def energy(occupation, size):
        unlike = (occupation[table] != occupation[:, None]).sum(axis=1)
        return float(np.mean(0.001 * unlike**2))

    rng = np.random.default_rng(1)
    cells, new = (cells_from(energy, rng, count, 2) for count in (90, 40))
    model, report = fit_low_rank_model(
        cells, SPECIES[:2], parent("A2"), name="x", ranks=(3,), penalties=(1e-6,), starts=2, sweeps=30
    )
    errors = [model.energy_eV_per_atom(cell.occupation, cell.size) - cell.energy_eV for cell in new]
    unlike = np.array([[np.mean(c.occupation[table] != c.occupation[:, None]), c.occupation.mean(), 1] for c in cells])
    pair_fit = np.linalg.lstsq(unlike, np.array([c.energy_eV for c in cells]), rcond=None)[0]
    of_new = np.array([[np.mean(c.occupation[table] != c.occupation[:, None]), c.occupation.mean(), 1] for c in new])
    pair_errors = of_new @ pair_fit - [c.energy_eV for c in new]
    assert np.sqrt(np.mean(np.square(errors))) < 0.1 * np.sqrt(np.mean(pair_errors**2))
    assert report.n_parameters < 2**9


def test_neighbourhoods_are_counted_up_to_symmetry():
    # Colourings of the corners of a cube by two colours, up to all 48 operations: 22 (Burnside); twice for the centre.
    rng, around = np.random.default_rng(2), neighbourhood(parent("A2"), 1)
    cells = [FitCell(occupation=rng.choice(2, 54, p=(p, 1 - p)), size=(3, 3, 3)) for p in np.linspace(0, 1, 60)]
    patterns = find_patterns(cells, 2, parent("A2"), around)
    assert len(patterns.images) == 2 * 22
    assert np.allclose(patterns.shares.sum(axis=1), 1)


def test_shells_of_the_neighbourhood_are_seen_as_pairs():
    # Corners of the cube are 2nd, 3rd and 5th neighbours of one another: the train sees those pairs too.
    shells = neighbour_shells("A2", 5)
    corners = shells[0].offsets / 2
    apart = np.linalg.norm(corners[:, None] - corners[None], axis=2)
    seen = {s + 1 for s, shell in enumerate(shells) if np.isclose(apart, shell.distance_a).any()}
    assert seen == {2, 3, 5}


def test_a_file_gives_the_same_model(tmp_path):
    model = random_low_rank("A3", n_species=2)
    card = ModelCard(
        name="planted", kind=low_rank.KIND, elements=model.species, lattice=model.lattice,
        data=(DataSource(name="none", source="this test", licence="none"),), seeds={}, remake="this test",
        scores={"none": Score(value=0.0, unit="1", how="none")}, licence="none", citation="none",
    )  # fmt: skip
    save_model(tmp_path, card, low_rank.model_arrays(model))
    again = low_rank.load(read_card(tmp_path), read_arrays(tmp_path))
    occupation = np.random.default_rng(0).integers(2, size=16)
    assert again.energy_eV_per_atom(occupation, (2, 2, 2)) == model.energy_eV_per_atom(occupation, (2, 2, 2))


def test_errors_say_what_is_wanted():
    with pytest.raises(InputError, match="its sites are not all alike"):
        neighbourhood(parent("B2"), 1)
    with pytest.raises(InputError, match="wanted 1 to 4"):
        neighbourhood(parent("A2"), 0)
    with pytest.raises(InputError, match=r"wanted \(9, 2, r, r\)"):
        LowRankModel(
            name="x", species=SPECIES[:2], parent=parent("A2"), n_shells=1, cores=np.ones((8, 2, 1, 1)),
            site_energy_eV=np.zeros(2), energy_std_eV=0.0,
        )  # fmt: skip
    cells = cells_from(lambda o, s: 0.0, np.random.default_rng(0), 12, 2)
    with pytest.raises(InputError, match="ranks"):
        fit_low_rank_model(cells, SPECIES[:2], parent("A2"), name="x", ranks=())
    with pytest.raises(InputError, match="wanted at least 40"):
        fit_low_rank_model(cells, SPECIES[:2], parent("A2"), name="x", folds=20)
