"""Stationary distributions of every walk on a lattice, held to exact enumeration; detailed balance launch by launch."""

from itertools import combinations

import numpy as np
import pytest

from hea_sim.lattice.shells import neighbour_table
from hea_sim.sampling.class_walk import ClassWalk
from hea_sim.sampling.lattice_walks import (
    CanonicalWalk,
    SemiGrandWalk,
    VarianceConstrainedWalk,
)
from hea_sim.units import BOLTZMANN_EV_PER_K

from .test_monte_carlo import chi_square_p, random_model

#: The smallest bcc cell with two sites in each of the 16 classes.
SIZE, TEMPERATURE_K = (4, 2, 2), 3000.0


def boltzmann(energies: np.ndarray, temperature_K: float) -> np.ndarray:
    weight = np.exp(-(energies - energies.min()) / (BOLTZMANN_EV_PER_K * temperature_K))
    return weight / weight.sum()


def levels_of(energies: np.ndarray) -> np.ndarray:
    """Number the distinct energies: with random pair energies, one for each orbit of the symmetry group."""
    order = np.argsort(energies)
    number = np.empty(len(energies), np.int64)
    number[order] = np.cumsum(np.diff(energies[order], prepend=energies.min()) > 1e-9)
    return number


class FourSolutes:
    """All 215,760 arrangements of two and two solutes on the 32 sites, and their energies."""

    def __init__(self, model):
        self.model = model
        pairs = np.array(list(combinations(range(32), 2)))
        first, second = (k.ravel() for k in np.meshgrid(np.arange(len(pairs)), np.arange(len(pairs)), indexing="ij"))
        apart = (pairs[first][:, :, None] != pairs[second][:, None, :]).all(axis=(1, 2))
        self.sites = np.concatenate([pairs[first[apart]], pairs[second[apart]]], axis=1)
        kinds = (1, 1, 2, 2)
        bonds = np.zeros((3, 3, 32, 32))  # energy of a pair of sites that hold two species, against the solvent
        for shell, table in enumerate(neighbour_table(model.lattice, SIZE, model.n_shells)):
            times = np.zeros((32, 32))
            np.add.at(times, (np.repeat(np.arange(32), table.shape[1]), table.ravel()), 1)
            np.fill_diagonal(times, 0)
            j = model.pair_energy_eV[shell]
            excess = j - j[:, :1] - j[:1, :] + j[0, 0]
            bonds += excess[:, :, None, None] * times
        energy = np.zeros(len(self.sites))
        for (p, a), (q, b) in combinations(enumerate(kinds), 2):
            energy += bonds[a, b][self.sites[:, p], self.sites[:, q]]
        start = self.occupation(0)
        self.energies = energy + model.energy_eV_per_atom(start, SIZE) * 32 - energy[0]
        self.number = np.full((32, 32, 32, 32), -1)
        self.number[tuple(self.sites.T)] = np.arange(len(self.sites))

    def occupation(self, k: int) -> np.ndarray:
        occupation = np.zeros(32, np.int8)
        occupation[self.sites[k, :2]], occupation[self.sites[k, 2:]] = 1, 2
        return occupation

    def number_of(self, occupation: np.ndarray) -> int:
        return int(self.number[(*np.flatnonzero(occupation == 1), *np.flatnonzero(occupation == 2))])


@pytest.fixture(scope="module")
def four() -> FourSolutes:
    return FourSolutes(random_model(5))


def test_all_arrangements_are_there_with_their_energies(four):
    assert len(four.sites) == 215_760
    for k in np.random.default_rng(0).integers(215_760, size=20):
        occupation = four.occupation(k)
        assert four.number_of(occupation) == k
        assert four.energies[k] == pytest.approx(four.model.energy_eV_per_atom(occupation, SIZE) * 32, abs=1e-10)


@pytest.mark.parametrize("kind", [CanonicalWalk, ClassWalk])
def test_both_engines_have_the_distribution_of_exact_enumeration(kind, four):
    weight, level = boltzmann(four.energies, TEMPERATURE_K), levels_of(four.energies)
    expected = np.bincount(level, weights=weight)
    assert len(expected) > 300
    walk = kind(four.model, SIZE, four.occupation(0), TEMPERATURE_K, np.random.default_rng(7))
    walk.advance(100)
    seen, at_site, samples = np.zeros(len(expected)), np.zeros((32, 3)), 12_000
    for _ in range(samples):
        walk.advance(6)
        occupation = walk.occupation
        seen[level[four.number_of(occupation)]] += 1
        at_site[np.arange(32), occupation] += 1
    assert chi_square_p(seen, expected) > 1e-3
    # Every site holds every species equally often: the walk is not shut in by what its classes held at the start.
    spread = (at_site[:, 1:] / samples - 2 / 32) / np.sqrt(2 / 32 * 30 / 32 / samples)
    assert np.abs(spread).max() < 4.5
    warmer = np.bincount(level, weights=boltzmann(four.energies, 1.25 * TEMPERATURE_K))
    assert chi_square_p(seen, warmer) < 1e-4  # the test can tell


def test_classes_exchange_half_a_cell_apart_with_the_right_distribution():
    """Three solutes in a cell long enough for launches between classes that do not go one by one."""
    size = (8, 2, 2)
    model = random_model(2, n=2)
    sites = np.array(list(combinations(range(64), 3)))
    states = np.zeros((len(sites), 64), np.int8)
    np.put_along_axis(states, sites, 1, axis=1)
    j = model.pair_energy_eV[:, 0, 1]
    bonds = np.zeros((64, 64))
    for shell, table in enumerate(neighbour_table("A2", size, 5)):
        np.add.at(bonds, (np.repeat(np.arange(64), table.shape[1]), table.ravel()), -2 * j[shell])
    energies = sum(bonds[sites[:, p], sites[:, q]] for p, q in combinations(range(3), 2))
    level = levels_of(energies)
    expected = np.bincount(level, weights=boltzmann(energies, 1500.0))
    number = {tuple(s): k for k, s in enumerate(sites.tolist())}
    walk = ClassWalk(model, size, states[0], 1500.0, np.random.default_rng(3))
    assert walk.layout.shape[0] // 2 - walk._gap == 1
    walk.advance(100)
    seen = np.zeros(len(expected))
    for _ in range(12_000):
        walk.advance(4)
        seen[level[number[tuple(np.flatnonzero(walk.occupation).tolist())]]] += 1
    assert len(expected) > 30
    assert chi_square_p(seen, expected) > 1e-3
    assert chi_square_p(seen, np.bincount(level, weights=boltzmann(energies, 2000.0))) < 1e-4


@pytest.mark.parametrize("within", [True, False])
@pytest.mark.parametrize("size", [(4, 2, 1), (8, 2, 1)])
def test_a_launch_is_in_detailed_balance(within, size):
    """From the equilibrium distribution, as many go from any state to another as come back."""
    model = random_model(8, shells=1, n=2, lattice="A_h")
    sites, rng, tries = int(np.prod(size)), np.random.default_rng(4), 30_000
    states = np.array([np.isin(range(sites), k) for k in combinations(range(sites), 2)], np.int8)
    weight = boltzmann(np.array([model.energy_eV_per_atom(s, size) * sites for s in states]), 1000.0)
    assert weight.max() / weight.min() > 3
    number = {s.tobytes(): k for k, s in enumerate(states)}
    walk = ClassWalk(model, size, states[0], 1000.0, rng)
    flow = np.zeros((len(states), len(states)))
    for start in rng.choice(len(states), p=weight, size=tries):
        walk._set(states[start])
        walk.launch(within=within)
        flow[start, number[walk.occupation.tobytes()]] += 1
    there, back = flow[np.triu_indices(len(states), 1)], flow.T[np.triu_indices(len(states), 1)]
    often = there + back >= 10
    assert often.sum() > 5
    apart = (there - back)[often] / np.sqrt((there + back)[often])
    assert np.abs(apart).max() < 4.5
    assert apart.std() < 1.3


def all_of(n_species: int, sites: int) -> np.ndarray:
    return np.array(np.meshgrid(*[np.arange(n_species)] * sites, indexing="ij")).reshape(sites, -1).T.astype(np.int8)


@pytest.mark.parametrize("constrained", [False, True])
def test_semi_grand_walks_have_the_distribution_of_exact_enumeration(constrained):
    """Also under a model with an asymmetry, which hangs on the composition of the whole cell."""
    size, mu, kappa, target = (2, 2, 1), np.array([0.0, 0.05, -0.03]), 1.5, np.array([0.5, 0.25, 0.25])
    base = random_model(11)
    asymmetry = np.array([[0, 0.3, -0.2], [-0.3, 0, 0.1], [0.2, -0.1, 0]])
    model = type(base)(**{**vars(base), "asymmetry_eV": asymmetry})
    states = all_of(3, 8)
    energies = np.array([model.energy_eV_per_atom(s, size) * 8 for s in states])
    counts = np.array([np.bincount(s, minlength=3) for s in states])
    beta = 1 / (BOLTZMANN_EV_PER_K * TEMPERATURE_K)
    settings = {"target": {"Nb": 0.5, "Mo": 0.25, "Ta": 0.25}, "kappa": kappa}
    exponent = beta * energies + kappa * 8 * ((counts / 8 - target) ** 2).sum(axis=1)
    if not constrained:
        settings = {"chemical_potentials_eV": dict(zip(model.species, mu, strict=True))}
        exponent = beta * (energies - counts @ mu)
    weight = np.exp(-(exponent - exponent.min()))
    level = levels_of(exponent)
    expected = np.bincount(level, weights=weight / weight.sum())
    walk = (VarianceConstrainedWalk if constrained else SemiGrandWalk)(
        model, size, states[0], TEMPERATURE_K, np.random.default_rng(1), **settings
    )
    walk.advance(100)
    seen, powers = np.zeros(len(expected)), 3 ** np.arange(8)[::-1]
    for _ in range(10_000):
        walk.advance(8)
        seen[level[walk.occupation @ powers]] += 1
    assert chi_square_p(seen, expected) > 1e-3
    assert walk.energy_eV == pytest.approx(model.energy_eV_per_atom(walk.occupation, size) * 8, abs=1e-9)
    wrong = np.exp(-0.9 * (exponent - exponent.min()))
    assert chi_square_p(seen, np.bincount(level, weights=wrong / wrong.sum())) < 1e-4
