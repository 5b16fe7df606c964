"""Exchange Monte Carlo on atoms: every engine against whole energies, exact enumeration, the contract of walks."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hea_sim.errors import InputError
from hea_sim.potentials.contract import SitePotential, SumModel
from hea_sim.potentials.environment import find_neighbours
from hea_sim.potentials.snap import SnapModel, features_of_element
from hea_sim.potentials.zbl import ZBLModel
from hea_sim.sampling.atom_exchange import AtomExchange, AtomReplacement
from hea_sim.sampling.local_energies import SiteEnergies, WholeEnergies, local_energies, places_within
from hea_sim.sampling.wave_kernels import wave_numbers
from hea_sim.units import BOLTZMANN_EV_PER_K
from tests.sim.mtp_systems import alloy, cluster, potential
from tests.sim.pair_double import EmbeddedPairs

ELEMENTS = ("Nb", "Mo", "Ta")


def pair_potential(**changes) -> SitePotential:
    model = EmbeddedPairs(curved=0.02, strengths=(0.6, 0.5, -0.3), **changes)
    return SitePotential(name="pairs", model=model, element_energies_eV={"Nb": -1.0, "Ta": 0.5})


def mtp_potential(**changes) -> SitePotential:
    return SitePotential(name="mtp", model=potential(level=8, **changes))


class WholeOnly:
    """A potential of which nothing is known but its whole energy."""

    def __init__(self, inner: SitePotential) -> None:
        self.name, self.elements, self.cutoff_A, self.evaluate = "whole", inner.elements, inner.cutoff_A, inner.evaluate


def snap_potential(twojmax: int = 4, quadratic: bool = False) -> SitePotential:
    rng = np.random.default_rng(3)
    model = SnapModel(
        elements=ELEMENTS, radii=(0.5, 0.46, 0.53), weights=(1.0, 0.6, 0.8), rcutfac=4.4, twojmax=twojmax,
        quadraticflag=quadratic,
        coefficients=rng.normal(0, 2e-4 if quadratic else 0.02, (3, features_of_element(twojmax, quadratic))),
    )  # fmt: skip
    return SitePotential(name="snap", model=model, element_energies_eV={"Nb": -1.0, "Ta": 0.5})


MODELS = {
    "pairs": pair_potential,
    "mtp": mtp_potential,
    "snap": snap_potential,
    "quadratic snap": lambda: snap_potential(2, quadratic=True),
    "sum": lambda: SitePotential(
        name="sum", model=SumModel(parts=(potential(level=6), ZBLModel(elements=ELEMENTS, inner_A=2.0, outer_A=2.9)))
    ),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("fast", [True, False])
def test_trials_change_the_energy_as_whole_energies_say(name, size, fast):
    # size 1: two atoms in a cell far smaller than the cutoff, neighbours of themselves many times over.
    one, atoms = MODELS[name](), alloy(size=size, seed=size)
    atoms.symbols[:2] = "Nb", "Ta"
    rng = np.random.default_rng(5)
    first, second = rng.integers(len(atoms), size=(2, 40))
    second = np.where(first == second, (second + 1) % len(atoms), second)
    allowance = rng.exponential(0.3, 40) - 0.05
    engines = [local_energies(one, atoms, fast=fast), local_energies(WholeOnly(one), atoms)]
    assert isinstance(engines[1], WholeEnergies)
    mine, judge = (engine.exchange(first, second, allowance) for engine in engines)
    assert mine.trials == judge.trials > 0
    assert np.array_equal(mine.accepted, judge.accepted) and 0 < mine.accepted.sum()
    assert np.allclose(mine.change_eV, judge.change_eV, rtol=0, atol=2e-10)
    assert np.array_equal(engines[0].kinds, engines[1].kinds)
    after = atoms.copy()
    after.numbers = np.array([41, 42, 73])[engines[0].kinds]
    assert engines[0].energy_eV == pytest.approx(one.evaluate(after).energy_eV, abs=1e-9 * len(atoms))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("fast", [True, False])
def test_replacements_change_the_energy_as_whole_energies_say(name, fast):
    one, atoms = MODELS[name](), alloy(size=3, seed=4)
    rng = np.random.default_rng(2)
    which, kinds = rng.integers(len(atoms), size=40), rng.integers(3, size=40)
    allowance, mu = rng.exponential(0.3, 40) - 0.05, np.array([0.1, -0.2, 0.4])
    engines = [local_energies(one, atoms, fast=fast), local_energies(WholeOnly(one), atoms)]
    mine, judge = (engine.replace(which, kinds, allowance, mu) for engine in engines)
    assert mine.trials == judge.trials > 0
    assert np.array_equal(mine.accepted, judge.accepted) and 0 < mine.accepted.sum()
    assert np.allclose(mine.change_eV, judge.change_eV, rtol=0, atol=2e-10)


def test_open_clusters_can_be_sampled_too():
    one, atoms = mtp_potential(), cluster(30, seed=1)
    rng = np.random.default_rng(0)
    first, second = rng.permutation(30)[:10], rng.permutation(30)[:10]
    second = np.where(first == second, (first + 1) % 30, second)
    outcomes = [e.exchange(first, second, np.full(10, 0.1)) for e in
                (local_energies(one, atoms), local_energies(WholeOnly(one), atoms))]  # fmt: skip
    assert np.allclose(outcomes[0].change_eV, outcomes[1].change_eV, rtol=0, atol=1e-10)


@given(seed=st.integers(0, 10**6), m=st.integers(1, 2))
@settings(max_examples=25, deadline=None)
def test_trials_of_a_wave_share_no_centre_and_no_trial_overtakes_one_that_it_touches(seed, m):
    rng = np.random.default_rng(seed)
    atoms = alloy(size=4, seed=seed)
    places = places_within(find_neighbours([atoms], 3.0), 3.0)
    trials = rng.integers(len(atoms), size=(30, m))
    waves = wave_numbers(trials, places.starts, places.second)
    near = [set(places.second[places.starts[i] : places.starts[i + 1]]) | {i} for i in range(len(atoms))]
    centres = [set().union(*(near[i] for i in trial)) for trial in trials]
    for a, b in combinations(range(30), 2):
        if centres[a] & centres[b]:
            assert waves[a] < waves[b]
    assert waves.min() == 1 and waves.max() < 30  # some wave holds several


def test_waves_give_what_one_trial_after_another_gives():
    one, atoms = pair_potential(), alloy(size=5, seed=3)
    rng = np.random.default_rng(8)
    first, second = rng.integers(len(atoms), size=(2, 120))
    second = np.where(first == second, (first + 1) % len(atoms), second)
    allowance = rng.exponential(0.05, 120)
    environment = find_neighbours([atoms], one.cutoff_A)
    waves, alone = SiteEnergies(one, environment), SiteEnergies(one, environment)
    together = waves.exchange(first, second, allowance)
    single = [alone.exchange(first[k : k + 1], second[k : k + 1], allowance[k : k + 1]) for k in range(120)]
    assert np.array_equal(together.accepted, np.concatenate([one.accepted for one in single]))
    assert np.array_equal(together.change_eV, np.concatenate([one.change_eV for one in single]))
    assert np.array_equal(waves.kinds, alone.kinds) and waves.energy_eV == alone.energy_eV


def eight_places(seed: int = 0) -> Atoms:
    """Two bcc cells a side, one of them left out: 8 places that are all different once shaken."""
    atoms = bulk("Nb", "bcc", a=3.25, cubic=True).repeat((2, 2, 1))
    atoms.positions += 0.1 * np.random.default_rng(seed).standard_normal(atoms.positions.shape)
    atoms.symbols = ["Nb"] * 4 + ["Mo"] * 2 + ["Ta"] * 2
    return atoms


def energies_of(one: SitePotential, atoms: Atoms, states: np.ndarray) -> np.ndarray:
    systems = []
    for state in states:
        systems.append(atoms.copy())
        systems[-1].numbers = np.array([41, 42, 73])[state]
    return np.array([result.energy_eV for result in one.evaluate(systems)])


def weights(energy: np.ndarray, temperature_K: float) -> np.ndarray:
    weight = np.exp(-(energy - energy.min()) / (BOLTZMANN_EV_PER_K * temperature_K))
    return weight / weight.sum()


def in_bins(probability: np.ndarray, bins: int) -> np.ndarray:
    """Number bins of states of like probability that are about as probable as each other."""
    order = np.argsort(probability)
    bin_of = np.empty(len(order), int)
    bin_of[order] = np.minimum((np.cumsum(probability[order]) * bins).astype(int), bins - 1)
    return np.unique(bin_of, return_inverse=True)[1]  # a likely state may leave bins without any


def chi_square_p(seen: np.ndarray, probability: np.ndarray) -> float:
    expected = probability * seen.sum()
    rare = expected < 5
    if rare.any():
        seen, expected = (np.append(x[~rare], x[rare].sum()) for x in (seen, expected))
    return float(stats.chisquare(seen, expected).pvalue)


def visits(walk, states: np.ndarray, samples: int) -> np.ndarray:
    number = {state.tobytes(): k for k, state in enumerate(states.astype(np.int64))}
    seen = np.zeros(len(states))
    for _ in range(samples):
        walk.advance(1)
        seen[number[walk.energies.kinds.astype(np.int64).tobytes()]] += 1
    return seen


@pytest.mark.parametrize(
    ("name", "near", "samples"), [("mtp", False, 4_000), ("mtp", True, 4_000), ("pairs", True, 300)]
)
def test_exchanges_visit_arrangements_as_exact_enumeration_says(name, near, samples):
    one, atoms, states = MODELS[name](), eight_places(), []
    for first in combinations(range(8), 2):
        for second in combinations([k for k in range(8) if k not in first], 2):
            state = np.zeros(8, int)
            state[list(first)], state[list(second)] = 1, 2
            states.append(state)
    states = np.array(states)
    energy = energies_of(one, atoms, states)
    temperature = float(np.ptp(energy)) / BOLTZMANN_EV_PER_K / 5
    probability = weights(energy, temperature)
    bins = in_bins(probability, samples // 50)
    assert len(states) == 420 and probability.max() / probability.min() > 100
    how = {"near_share": 0.7, "near_A": 3.6} if near else {}
    walk = AtomExchange(atoms, one, temperature, np.random.default_rng(1), trials_per_step=60, **how)
    seen = np.bincount(bins, visits(walk, states, samples))
    assert chi_square_p(seen, np.bincount(bins, probability)) > 1e-3
    assert chi_square_p(seen, np.bincount(bins, weights(energy, 2 * temperature))) < 1e-6  # it can tell


@pytest.mark.parametrize(("name", "samples"), [("mtp", 4_000), ("pairs", 300)])
def test_replacements_visit_arrangements_as_exact_enumeration_says(name, samples):
    one, atoms = MODELS[name](), eight_places()
    del atoms[[0, 2, 7]]
    atoms.symbols = ["Nb", "Ta", "Nb", "Ta", "Nb"]
    states = np.array(np.meshgrid(*[[0, 2]] * 5)).reshape(5, -1).T
    energy = energies_of(one, atoms, states)
    number = (states == 2).sum(1)
    mu = (energy[number == 5][0] - energy[number == 0][0]) / 5
    grand = energy - mu * number
    temperature = float(np.ptp(grand)) / BOLTZMANN_EV_PER_K / 4
    walk = AtomReplacement(
        atoms, one, temperature, np.random.default_rng(4), trials_per_step=30,
        chemical_potentials_eV={"Nb": 0.0, "Ta": float(mu)},
    )  # fmt: skip
    seen = visits(walk, states, samples)
    assert chi_square_p(seen, weights(grand, temperature)) > 1e-3
    wrong = grand - 1.0 * BOLTZMANN_EV_PER_K * temperature * number
    assert chi_square_p(seen, weights(wrong, temperature)) < 1e-6


def _with(atoms: Atoms, symbol: str) -> Atoms:
    made = atoms.copy()
    made.symbols = [symbol] * len(atoms)
    return made


def make_exchange(seed: int = 0) -> AtomExchange:
    return AtomExchange(alloy(size=3, seed=2), mtp_potential(), 2000, np.random.default_rng(seed), trials_per_step=20,
                        near_share=0.5, near_A=3.4)  # fmt: skip


def make_replacement(seed: int = 0) -> AtomReplacement:
    mu = {"Nb": 0.0, "Mo": 1.0, "Ta": 2.0}
    return AtomReplacement(alloy(size=3, seed=2), pair_potential(), 2000, np.random.default_rng(seed),
                           trials_per_step=20, chemical_potentials_eV=mu)  # fmt: skip


@pytest.mark.parametrize("make", [make_exchange, make_replacement])
def test_a_walk_advances_in_parts_and_from_a_kept_state_as_at_once(make):
    whole, parts, resumed = make(), make(), make(seed=9)
    whole.advance(6)
    parts.advance(2)
    kept = {key: value.copy() for key, value in parts.state().items()}
    assert all(isinstance(value, np.ndarray) and value.dtype != object for value in kept.values())
    parts.advance(4)
    resumed.advance(1)
    resumed.restore(kept)
    resumed.advance(4)
    for other in (parts, resumed):
        assert other.energy_eV == whole.energy_eV
        assert other.atoms() == whole.atoms()
        for key, value in whole.observe().items():
            assert np.array_equal(other.observe()[key], value)
    assert 0 < whole.accepted < whole.trials < whole.proposals == 120


def test_exchanges_keep_the_composition_and_the_places():
    walk = make_exchange()
    before = walk.atoms()
    walk.advance(5)
    after = walk.atoms()
    assert sorted(after.numbers) == sorted(before.numbers) and not np.array_equal(after.numbers, before.numbers)
    assert np.array_equal(after.positions, before.positions)


def test_the_energy_followed_is_the_energy_computed_anew():
    walk = make_exchange()
    walk.advance(20)
    assert walk.energy_eV == pytest.approx(walk.potential.evaluate(walk.atoms()).energy_eV, abs=1e-8)


def test_a_state_of_another_walk_is_refused():
    kept = make_exchange().state()
    with pytest.raises(InputError, match="another walk"):
        make_replacement().restore(kept)
    other = AtomExchange(alloy(size=3, seed=7), mtp_potential(), 2000, np.random.default_rng(0), trials_per_step=20,
                         near_share=0.5, near_A=3.4)  # fmt: skip
    with pytest.raises(InputError, match="another walk"):
        other.restore(kept)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"temperature_K": -5.0}, "temperature_K is -5.0"),
        ({"temperature_K": np.nan}, "temperature_K is nan"),
        ({"trials_per_step": 0}, "0 trials a step"),
        ({"near_share": 0.5}, "near_A None"),
        ({"near_share": 0.5, "near_A": 1.0}, "no neighbour within"),
        ({"atoms": _with(alloy(size=1), "Cu")}, "no Cu in this potential"),
        ({"atoms": alloy(size=1)[:1]}, "1 atoms"),
    ],
)
def test_bad_input_is_said_in_one_line(change, text):
    given_ = {"atoms": alloy(size=2), "potential": mtp_potential(), "temperature_K": 300.0} | change
    with pytest.raises(InputError, match=text) as caught:
        AtomExchange(rng=np.random.default_rng(0), **given_)
    assert "\n" not in str(caught.value)


def test_chemical_potentials_must_name_elements():
    with pytest.raises(InputError, match="chemical potentials"):
        AtomReplacement(alloy(size=2), mtp_potential(), 300.0, np.random.default_rng(0),
                        chemical_potentials_eV={"Nb": 0.0, "Cu": 1.0})  # fmt: skip


@pytest.mark.slow
def test_a_potential_in_single_precision_is_followed_within_its_rounding():
    single = SitePotential(name="single", model=replace(potential(level=8), precision="float32"))
    walk = AtomExchange(alloy(size=3, seed=2), single, 2000, np.random.default_rng(0))
    walk.advance(5)
    assert walk.energy_eV == pytest.approx(single.evaluate(walk.atoms()).energy_eV, abs=1e-5 * 54)
