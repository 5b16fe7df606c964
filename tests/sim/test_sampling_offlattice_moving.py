"""Displacements of atoms by local energies: against whole energies, equipartition, exact sums, kept states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy import stats
from scipy.integrate import quad

from hea_sim.errors import InputError
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.zhou import zhou_eam
from hea_sim.sampling.local_energies_moving import MovingEnergies
from hea_sim.sampling.vibrating_exchange import VibratingExchange
from hea_sim.units import BOLTZMANN_EV_PER_K
from tests.sim.mtp_systems import alloy, cluster
from tests.sim.test_sampling_offlattice import MODELS, WholeOnly, pair_potential


def now(start: Atoms, engine: MovingEnergies, elements=(41, 42, 73)) -> Atoms:
    atoms = start.copy()
    atoms.positions, atoms.numbers = engine.positions, np.array(elements)[engine.kinds]
    return atoms


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [1, 3])
def test_displacements_and_exchanges_by_turns_change_the_energy_as_whole_energies_say(name, size):
    # size 1: two atoms in a cell far smaller than the cutoff, neighbours of themselves many times over.
    one, atoms = MODELS[name](), alloy(size=size, seed=size)
    atoms.symbols[:2] = "Nb", "Ta"
    rng, engine = np.random.default_rng(5), MovingEnergies(one, atoms, skin_A=0.36)
    for _ in range(12):
        which, steps = rng.integers(len(atoms), size=1), 0.1 * rng.uniform(-1, 1, (1, 3))
        before = one.evaluate(now(atoms, engine)).energy_eV
        tried = now(atoms, engine)
        tried.positions[which] += steps
        outcome = engine.displace(which, steps, np.array([0.3]))
        expected = one.evaluate(tried).energy_eV - before
        assert outcome.change_eV[0] == pytest.approx(expected, abs=1e-9)
        assert outcome.accepted[0] == (expected <= 0.3)
        first, second = rng.permutation(len(atoms))[:2]
        before = one.evaluate(now(atoms, engine)).energy_eV
        outcome = engine.exchange(np.array([first]), np.array([second]), np.array([np.inf]))
        after = one.evaluate(now(atoms, engine)).energy_eV
        assert outcome.change_eV[0] == pytest.approx(after - before, abs=1e-9)
    assert engine.rebuilds > (size == 1)
    assert engine.energy_eV == pytest.approx(after, abs=1e-8)


def test_waves_of_displacements_give_what_one_after_another_gives():
    one, atoms = pair_potential(), alloy(size=5, seed=3)
    rng = np.random.default_rng(8)
    which, steps = rng.integers(len(atoms), size=400), 0.12 * rng.uniform(-1, 1, (400, 3))
    allowance = rng.exponential(0.02, 400)
    waves, alone = MovingEnergies(one, atoms, skin_A=0.8), MovingEnergies(one, atoms, skin_A=0.8)
    together = waves.displace(which, steps, allowance)
    single = [alone.displace(which[k : k + 1], steps[k : k + 1], allowance[k : k + 1]) for k in range(400)]
    assert np.array_equal(together.accepted, np.concatenate([one.accepted for one in single]))
    assert 0.2 < together.accepted.mean() < 0.95
    assert np.allclose(together.change_eV, np.concatenate([one.change_eV for one in single]), rtol=0, atol=1e-12)
    assert np.allclose(waves.positions, alone.positions, rtol=0, atol=1e-14)
    whole = one.evaluate(now(atoms, waves)).energy_eV
    assert waves.energy_eV == pytest.approx(whole, abs=1e-8)


def test_places_can_be_set_and_open_clusters_moved():
    one, atoms = MODELS["mtp"](), cluster(25, seed=2)
    engine = MovingEnergies(one, atoms, skin_A=0.5)
    places = engine.positions[[3, 7, 9]] + 0.3
    engine.set_places(np.array([3, 7, 9]), places)
    assert engine.energy_eV == pytest.approx(one.evaluate(now(atoms, engine)).energy_eV, abs=1e-9)
    rng = np.random.default_rng(0)
    engine.displace(rng.integers(25, size=60), 0.05 * rng.uniform(-1, 1, (60, 3)), np.full(60, 0.1))
    assert engine.energy_eV == pytest.approx(one.evaluate(now(atoms, engine)).energy_eV, abs=1e-8)


def test_the_equipartition_law_holds_in_a_crystal():
    """<sum u . dE/du> = 3 (N - 1) kT, anharmonic or not (the whole may drift); Tolman 1918."""
    temperature = 900.0
    eam = zhou_eam(["Mo", "W"])
    atoms = bulk("W", "bcc", a=3.17, cubic=True).repeat(2)
    atoms.symbols = ["W", "Mo"] * 8
    walk = VibratingExchange(atoms, eam, temperature, np.random.default_rng(3), exchanges_per_step=0, largest_A=0.16)
    found = []
    for _ in range(300):
        walk.advance(1)
        present = walk.atoms()
        away = present.positions - atoms.positions
        away -= away.mean(0)
        found.append(-(away * eam.evaluate(present).forces_eV_per_A).sum())
    values = np.array(found[40:]) / (3 * 15 * BOLTZMANN_EV_PER_K * temperature)
    blocks = values.reshape(10, -1).mean(1)
    assert values.mean() == pytest.approx(1.0, abs=4 * blocks.std(ddof=1) / np.sqrt(10))
    assert blocks.std(ddof=1) / np.sqrt(10) < 0.05 and 0.2 < walk.displaced / walk.displacements < 0.6
    assert walk.energy_eV == pytest.approx(eam.evaluate(walk.atoms()).energy_eV, abs=1e-9)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bonds:
    """Pairs are springs of rest length 2 A whose stiffness tells the two species; half of each belongs to each atom."""

    elements: tuple[str, ...] = ("Nb", "Mo")
    cutoff_A: float = 4.0
    stiffness = np.array([[1.0, 1.5], [1.5, 20.0]])
    rest_eV = np.array([[0.0, 0.03], [0.03, 0.0]])

    def site_terms(self, environment):
        kind, d = environment.indices_of(self.elements), environment.vectors
        first, r = environment.first, np.linalg.norm(environment.vectors, axis=1)
        inside = r < self.cutoff_A
        k, rest = (table[kind[first], kind[environment.second]] for table in (self.stiffness, self.rest_eV))
        pair = np.where(inside, 0.5 * (0.5 * k * (r - 2) ** 2 + rest), 0.0)
        slope = np.where(inside, 0.5 * k * (r - 2) / np.maximum(r, 1e-9), 0.0)
        return np.bincount(first, pair, minlength=len(kind)), slope[:, None] * d


def test_species_and_vibrations_are_sampled_together_as_exact_integrals_say():
    """Two molecules far apart: a soft bond gains by its vibrations what a stiff one lacks."""
    model, temperature = Bonds(), 700.0
    kT = BOLTZMANN_EV_PER_K * temperature

    def weight(a: int, b: int) -> float:
        k = model.stiffness[a, b]
        whole = quad(lambda r: r**2 * np.exp(-0.5 * k * (r - 2) ** 2 / kT), 0.5, 3.5, points=[2.0])[0]
        return whole * np.exp(-model.rest_eV[a, b] / kT)

    apart, mixed = 2 * weight(0, 0) * weight(1, 1), 4 * weight(0, 1) ** 2
    atoms = Atoms("NbMoNbMo", positions=[[0, 0, 0], [2, 0, 0], [50, 0, 0], [52, 0, 0]])
    walk = VibratingExchange(
        atoms, SitePotential(name="bonds", model=model), temperature, np.random.default_rng(1),
        exchanges_per_step=4, displacements_per_step=8, largest_A=0.25, skin_A=1.0,
    )  # fmt: skip
    seen, lengths = np.zeros(2), []
    for _ in range(700):
        walk.advance(1)
        present = walk.atoms()
        seen[int(present.numbers[0] == present.numbers[1])] += 1
        if present.numbers[0] == present.numbers[1] == 41:
            lengths.append(present.get_distance(0, 1))
    expected = np.array([mixed, apart]) / (mixed + apart)
    rigid = 4 * np.exp(-2 * model.rest_eV[0, 1] / kT)
    assert 0.1 < expected[1] < 0.9
    # Samples of the two arrangements are correlated over some four steps.
    assert stats.chisquare(seen / 4, expected * seen.sum() / 4).pvalue > 1e-3
    assert stats.chisquare(seen / 4, np.array([rigid, 2]) / (rigid + 2) * seen.sum() / 4).pvalue < 1e-3
    grid = np.linspace(0.5, 3.5, 4000)
    density = grid**2 * np.exp(-0.5 * model.stiffness[0, 0] * (grid - 2) ** 2 / kT)
    below = np.cumsum(density) / density.sum()
    assert stats.kstest(lengths[::6], lambda r: np.interp(r, grid, below)).pvalue > 1e-3


def make(seed: int = 0) -> VibratingExchange:
    return VibratingExchange(
        alloy(size=3, seed=2), MODELS["mtp"](), 1500, np.random.default_rng(seed), exchanges_per_step=10,
        displacements_per_step=30, largest_A=0.1, skin_A=0.4, near_share=0.5, near_A=3.4,
    )  # fmt: skip


def test_the_walk_advances_in_parts_and_from_a_kept_state_as_at_once():
    whole, parts, resumed = make(), make(), make(seed=9)
    whole.advance(8)
    parts.advance(3)
    kept = {key: value.copy() for key, value in parts.state().items()}
    assert all(isinstance(value, np.ndarray) and value.dtype != object for value in kept.values())
    parts.advance(5)
    resumed.advance(1)
    resumed.restore(kept)
    resumed.advance(5)
    assert whole.energies.rebuilds > 1
    for other in (parts, resumed):
        assert other.energy_eV == whole.energy_eV and other.atoms() == whole.atoms()
        assert np.array_equal(other.atoms().positions, whole.atoms().positions)
        assert str(other.observe()) == str(whole.observe())
    assert 0 < whole.displaced < whole.displacements == 240 and 0 < whole.accepted < whole.trials
    with pytest.raises(InputError, match="another walk"):
        VibratingExchange(alloy(size=3, seed=2), MODELS["mtp"](), 1500, np.random.default_rng(0)).restore(kept)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"largest_A": 0.0}, "largest_A 0.0 A"),
        ({"largest_A": 0.4}, "quarter of the skin"),
        ({"skin_A": 9.0}, "skin 9.0 A"),
        ({"displacements_per_step": 0}, "0 displacements"),
        ({"potential": WholeOnly(pair_potential())}, "gives no energies of sites"),
        ({"temperature_K": -1.0}, "temperature_K is -1.0"),
    ],
)
def test_bad_input_is_said_in_one_line(change, text):
    given = {"atoms": alloy(size=2), "potential": pair_potential(), "temperature_K": 300.0} | change
    with pytest.raises(InputError, match=text) as caught:
        VibratingExchange(rng=np.random.default_rng(0), **given)
    assert "\n" not in str(caught.value)
