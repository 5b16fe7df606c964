"""Laws of canonical lattice Monte Carlo: stationary distribution, detailed balance, energy bookkeeping."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from hea_sim.lattice.pairs import PairModel
from hea_sim.lattice.shells import lattice_points, neighbour_shells
from hea_sim.sampling.lattice_kernels import DRAWS, _partner
from hea_sim.sampling.lattice_walks import CanonicalWalk
from hea_sim.units import BOLTZMANN_EV_PER_K

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
    walk = CanonicalWalk(model, SIZE, states[0], TEMPERATURE_K, np.random.default_rng(seed))
    samples, thin = 12_000, 12
    seen = np.zeros(len(expected))
    walk.advance(200)
    for _ in range(samples):
        walk.advance(thin)
        seen[orbit[number[walk.occupation.tobytes()]]] += 1
    assert chi_square_p(seen, expected) > 1e-3
    wrong = weight**0.9 / (weight**0.9).sum()  # 11 % too hot: the same test must refuse it
    assert chi_square_p(seen, np.bincount(orbit, weights=wrong)) < 1e-4


@pytest.mark.parametrize("lattice", ["A1", "A2", "A_h"])
@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 1), (3, 2, 2)])
def test_energy_change_is_the_recomputed_one_and_reverses(lattice, size):
    """For exchanges, for changes of both sites that are none, and of one site alone."""
    model = random_model(4, lattice=lattice)
    rng = np.random.default_rng(4)
    bound = model.bound(size)
    n = len(bound.nearest)
    for _ in range(120):
        before = rng.integers(3, size=n).astype(np.int8)
        i, j = (rng.permutation(n)[:2] if n > 1 else (0, -1)) if rng.random() < 0.8 else (rng.integers(n), -1)
        a, b = rng.integers(3, size=2)
        if rng.random() < 0.5 and j >= 0:
            a, b = before[j], before[i]
        after = before.copy()
        after[i] = a
        if j >= 0:
            after[j] = b
        change = bound.energy_change(before, i, a, j, b, bound.tables)
        wanted = (model.energy_eV_per_atom(after, size) - model.energy_eV_per_atom(before, size)) * n
        assert change == pytest.approx(wanted, abs=1e-12)
        back = bound.energy_change(after, i, before[i], j, before[j], bound.tables)
        assert back == pytest.approx(-change, abs=1e-12)


@pytest.mark.parametrize("lattice", ["A1", "A2", "A_h"])
def test_a_change_of_composition_is_the_recomputed_one(lattice):
    """Of one site, under a model with an asymmetry: the part of the sites around it, and that of the composition."""
    rng = np.random.default_rng(7)
    base = random_model(5, lattice=lattice)
    raw = rng.normal(size=(3, 3))
    model = type(base)(**{**vars(base), "asymmetry_eV": raw - raw.T})
    bound = model.bound((3, 2, 2))
    n = len(bound.nearest)
    for _ in range(60):
        before = rng.integers(3, size=n).astype(np.int8)
        i, a = rng.integers(n), rng.integers(3)
        after = before.copy()
        after[i] = a
        counts = np.bincount(before, minlength=3)
        change = bound.energy_change(before, i, a, -1, a, bound.tables)
        change += bound.composition_change(counts, before[i], a, bound.tables)
        wanted = (model.energy_eV_per_atom(after, (3, 2, 2)) - model.energy_eV_per_atom(before, (3, 2, 2))) * n
        assert change == pytest.approx(wanted, abs=1e-11)


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 1), (3, 3, 3)])
def test_proposals_are_symmetric(size):
    model, n = random_model(0), 2 * int(np.prod(size))
    walk = CanonicalWalk(model, size, np.zeros(n, dtype=np.int8), 1000.0, np.random.default_rng(0))
    counts = np.zeros((n, n))
    np.add.at(counts, (np.repeat(np.arange(n), 8), walk._nearest.ravel()), 1)
    assert np.array_equal(counts, counts.T)
    pairs = np.zeros((n, n))
    tables = (walk._nearest, 0.5, walk._sublattice, walk._members, walk._starts)
    with np.errstate(over="ignore"):
        for k in range(8 * n * n + 2000):
            i = k % n
            pairs[i, _partner(i, walk._key, np.uint64(k) * DRAWS, *tables)] += 1
    apart = (pairs - pairs.T)[np.triu_indices(n, 1)] / np.sqrt((pairs + pairs.T)[np.triu_indices(n, 1)])
    assert np.abs(apart).max() < 5


def test_acceptance_is_that_of_metropolis():
    """From one state, each neighbour state is entered at its proposal's rate times min(1, exp(-dE / k T))."""
    model = random_model(6, n=2)
    states = np.array([np.isin(range(8), pair) for pair in combinations(range(8), 2)], np.int8)
    start = min(states, key=lambda state: model.energy_eV_per_atom(state, SIZE))
    beta = 1 / (BOLTZMANN_EV_PER_K * TEMPERATURE_K)
    bound = model.bound(SIZE)
    change = {
        (i, j): bound.energy_change(start, i, 0, j, 1, bound.tables)
        for i in np.flatnonzero(start == 1)
        for j in np.flatnonzero(start == 0)
    }
    assert 0.01 < min(np.exp(-beta * np.array(list(change.values())))) < 0.9  # some are refused
    walk = CanonicalWalk(model, SIZE, start, TEMPERATURE_K, np.random.default_rng(0), near_share=0.0)
    tries, seen = 60_000, dict.fromkeys(change, 0)
    for _ in range(tries):
        walk.occupation[:] = start
        walk._propose(1)
        walk._place = walk._place + DRAWS
        moved = np.flatnonzero(walk.occupation != start)
        if len(moved):
            new = moved[start[moved] == 0][0]
            seen[(moved.sum() - new, new)] += 1
    for pair, times in seen.items():
        expected = tries * 2 / 64 * min(1.0, np.exp(-beta * change[pair]))
        assert abs(times - expected) < 5 * np.sqrt(expected)


@pytest.mark.parametrize(("lattice", "size"), [("A2", (3, 2, 2)), ("A1", (2, 2, 1)), ("A_h", (3, 2, 1))])
def test_energy_is_the_brute_force_sum_over_neighbours(lattice, size):
    from ase.build import bulk
    from ase.neighborlist import neighbor_list

    model = random_model(7, n=4, lattice=lattice)
    atoms = bulk("Nb", {"A1": "fcc", "A2": "bcc", "A_h": "sc"}[lattice], a=3.2, cubic=True).repeat(size)
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
    walk = CanonicalWalk(model, (8, 8, 8), start, 3000.0, np.random.default_rng(9))
    for temperature in np.geomspace(3000, 300, 200):
        walk.temperature_K = float(temperature)
        walk.advance(1)
    assert walk.accepted > 5_000
    assert walk.energy_eV / 1024 == pytest.approx(model.energy_eV_per_atom(walk.occupation, (8, 8, 8)), abs=1e-11)
    assert np.array_equal(np.bincount(walk.occupation), np.bincount(start))
