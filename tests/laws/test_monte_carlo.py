"""Laws of canonical lattice Monte Carlo: stationary distribution, detailed balance, energy bookkeeping."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from hea_sim.lattice.pairs import PairModel
from hea_sim.lattice.shells import lattice_points, neighbour_shells
from hea_sim.sampling.canonical import BOLTZMANN_EV_PER_K, CanonicalChain
from hea_sim.sampling.kernels import exchange_trials

SIZE = (2, 2, 1)  # 8 sites: neighbours wrap onto each other, and onto the site itself
TEMPERATURE_K = 3000.0


def random_model(seed: int, shells: int = 5, n: int = 3, lattice: str = "A2") -> PairModel:
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(shells, n, n)) * 0.02
    raw = raw + raw.transpose(0, 2, 1)
    raw[:, range(n), range(n)] = 0
    return PairModel(
        name="random", species=("Nb", "Mo", "Ta", "W")[:n], lattice=lattice, site_energy_eV=rng.normal(size=n) * 0.01,
        pair_energy_eV=raw, element_volume_A3=np.full(n, 17.0), pair_volume_A3=0 * raw, asymmetry_eV=np.zeros((n, n)),
        asymmetry_A3=np.zeros((n, n)), reference_volume_A3=np.full(n, 17.0), energy_std_eV=0.0, volume_std_A3=0.0,
        relaxed=True,
    )  # fmt: skip


def all_states(counts: tuple[int, int, int]) -> np.ndarray:
    n = sum(counts)
    states = []
    for first in combinations(range(n), counts[1]):
        rest = [k for k in range(n) if k not in first]
        for second in combinations(rest, counts[2]):
            state = np.zeros(n, dtype=np.int8)
            state[list(first)], state[list(second)] = 1, 2
            states.append(state)
    return np.array(states)


def translations(lattice: str, size: tuple[int, int, int]) -> np.ndarray:
    points, box = lattice_points(lattice, size), 2 * np.array(size)
    index = {tuple(p): k for k, p in enumerate(points)}
    return np.array([[index[tuple((p + t) % box)] for p in points] for t in points])


def orbits(states: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Number the orbits of states under translation."""
    powers = 3 ** np.arange(states.shape[1])
    lowest = np.min([(states[:, move] * powers).sum(axis=1) for move in moves], axis=0)
    return np.unique(lowest, return_inverse=True)[1]


def chi_square_p(seen: np.ndarray, probability: np.ndarray) -> float:
    """Test counts against probabilities; classes that expect fewer than five are pooled."""
    expected = probability * seen.sum()
    rare = expected < 5
    if rare.any():
        seen, expected = (np.append(x[~rare], x[rare].sum()) for x in (seen, expected))
    return float(stats.chisquare(seen, expected).pvalue)


@pytest.mark.parametrize("seed", [1, 2])
def test_stationary_distribution_is_that_of_exact_enumeration(seed):
    model = random_model(seed)
    states = all_states((4, 2, 2))
    assert len(states) == 420
    energy = np.array([model.energy_eV_per_atom(s, SIZE) for s in states]) * 8
    weight = np.exp(-(energy - energy.min()) / (BOLTZMANN_EV_PER_K * TEMPERATURE_K))
    weight /= weight.sum()
    orbit = orbits(states, translations("A2", SIZE))
    expected = np.bincount(orbit, weights=weight)
    assert 40 < len(expected) < 100
    assert expected.max() / expected.min() > 50  # the test can tell a wrong temperature

    number = {s.tobytes(): k for k, s in enumerate(states)}
    chain = CanonicalChain(model, states[0], SIZE, np.random.default_rng(seed))
    samples, thin = 12_000, 12
    seen = np.zeros(len(expected))
    for k in range(200 + samples * thin):
        chain.sweep(TEMPERATURE_K)
        if k >= 200 and k % thin == 0:
            seen[orbit[number[chain.occupation.tobytes()]]] += 1
    assert chi_square_p(seen, expected) > 1e-3
    wrong = weight**0.9 / (weight**0.9).sum()  # 11 % too hot: the same test must refuse it
    assert chi_square_p(seen, np.bincount(orbit, weights=wrong)) < 1e-4


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 1), (3, 2, 2)])
def test_kernel_change_is_the_recomputed_one_and_reverses(size):
    model = random_model(4)
    rng = np.random.default_rng(4)
    n = 2 * int(np.prod(size))
    start = rng.permutation(np.arange(n) % 3).astype(np.int8)
    chain = CanonicalChain(model, start, size, rng, compiled=False)
    before = model.energy_eV_per_atom(start, size) * n
    for i, j in combinations(range(n), 2):
        if start[i] == start[j]:
            continue
        occupation = start.copy()
        forced = (chain._neighbours, chain._shell_of, chain._pairs, 0.0, np.array([i]), np.array([j]), np.zeros(1))
        _, accepted, change = exchange_trials(occupation, *forced)  # beta = 0 accepts every exchange
        assert accepted == 1
        assert change == pytest.approx(model.energy_eV_per_atom(occupation, size) * n - before, abs=1e-12)
        assert exchange_trials(occupation, *forced)[2] == pytest.approx(-change, abs=1e-12)
        assert np.array_equal(occupation, start)


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 1), (3, 3, 3)])
def test_proposals_are_symmetric(size):
    model, n = random_model(0), 2 * int(np.prod(size))
    chain = CanonicalChain(model, np.zeros(n, dtype=np.int8), size, np.random.default_rng(0))
    counts = np.zeros((n, n))
    np.add.at(counts, (np.repeat(np.arange(n), 8), chain._nearest.ravel()), 1)
    assert np.array_equal(counts, counts.T)
    pairs = np.zeros((n, n))
    for _ in range(400_000 // (n * n) + 50):
        np.add.at(pairs, chain._proposals(n * n), 1)
    apart = (pairs - pairs.T)[np.triu_indices(n, 1)] / np.sqrt((pairs + pairs.T)[np.triu_indices(n, 1)])
    assert np.abs(apart).max() < 5


def test_two_state_ratio_is_boltzmann():
    """Detailed balance in the smallest system: flows between two levels of an exchange are equal."""
    model = random_model(6, n=2)
    states = np.array([[1, 1, 0, 0, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0, 0, 0]], dtype=np.int8)
    e = [model.energy_eV_per_atom(s, SIZE) * 8 for s in states]
    low, high = (0, 1) if e[0] < e[1] else (1, 0)
    assert e[high] - e[low] > 1e-3
    beta = 1 / (BOLTZMANN_EV_PER_K * TEMPERATURE_K)
    chain = CanonicalChain(model, states[low], SIZE, np.random.default_rng(0), compiled=False)
    table = (chain._neighbours, chain._shell_of, chain._pairs, beta, np.array([1]), np.array([2]))
    probability = np.exp(-beta * (e[high] - e[low]))
    for uniform, expected in ((probability * 0.999, 1), (probability * 1.001, 0)):
        assert exchange_trials(states[low].copy(), *table, np.array([uniform]))[1] == expected
    assert exchange_trials(states[high].copy(), *table, np.array([0.999999]))[1] == 1


@pytest.mark.parametrize(("lattice", "size"), [("A2", (3, 2, 2)), ("A1", (2, 2, 1))])
def test_energy_is_the_brute_force_sum_over_neighbours(lattice, size):
    from ase.build import bulk
    from ase.neighborlist import neighbor_list

    model = random_model(7, n=4, lattice=lattice)
    atoms = bulk("Nb", {"A1": "fcc", "A2": "bcc"}[lattice], a=3.2, cubic=True).repeat(size)
    occupation = np.random.default_rng(7).integers(4, size=len(atoms))
    shells = neighbour_shells(lattice, 5)
    i, j, d = neighbor_list("ijd", atoms, 3.2 * shells[-1].distance_a + 1e-3)
    total = model.site_energy_eV[occupation].sum()
    for a, b, distance in zip(i, j, d, strict=True):
        shell = int(np.argmin([abs(3.2 * s.distance_a - distance) for s in shells]))
        total += model.pair_energy_eV[shell, occupation[a], occupation[b]] / 2
    assert model.energy_eV_per_atom(occupation, size) == pytest.approx(total / len(atoms), abs=1e-12)


def test_bookkeeping_does_not_drift():
    model = random_model(9)
    start = np.arange(1024) % 3
    chain = CanonicalChain(model, start, (8, 8, 8), np.random.default_rng(9))
    for temperature in np.geomspace(3000, 300, 200):
        energy = chain.sweep(float(temperature))
    assert chain.accepted > 5_000
    assert energy == pytest.approx(model.energy_eV_per_atom(chain.occupation, (8, 8, 8)), abs=1e-11)
    assert np.array_equal(np.bincount(chain.occupation), np.bincount(start))
