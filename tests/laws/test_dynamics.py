"""Laws of molecular dynamics and of its mixture with exchanges: conservation, ensembles, batches, kept states."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy import stats

from hea_sim.errors import InputError, UnknownNameError
from hea_sim.potentials.contract import AtomisticResult
from hea_sim.potentials.environment import find_neighbours
from hea_sim.potentials.zhou import zhou_eam
from hea_sim.sampling.dynamics import Dynamics, Ramp
from hea_sim.sampling.dynamics_forces import ForceField
from hea_sim.sampling.hybrid import Hybrid
from hea_sim.sampling.thermostats import GPA, friction_and_noise, rescaling
from hea_sim.units import BOLTZMANN_EV_PER_K

EAM = zhou_eam(["Mo", "Ta", "W"])


def alloy(size=3, seed=0, rattle=0.05) -> Atoms:
    atoms = bulk("W", "bcc", a=3.2, cubic=True).repeat(size)
    atoms.symbols = np.random.default_rng(seed).choice(["Mo", "Ta", "W"], len(atoms))
    atoms.rattle(rattle, seed=seed)
    return atoms


class Analytic:
    """A potential by formulas alone; `evaluate` takes one system or several."""

    name, cutoff_A = "analytic", 1.0
    elements: tuple[str, ...] = ("Nb", "Mo")

    def evaluate(self, atoms):
        return self.one(atoms) if hasattr(atoms, "numbers") else [self.one(system) for system in atoms]

    def one(self, atoms: Atoms) -> AtomisticResult:
        raise NotImplementedError


def answer(energy: float, forces: np.ndarray, stress: np.ndarray | None = None) -> AtomisticResult:
    return AtomisticResult(
        energy_eV=float(energy), site_energies_eV=np.full(len(forces), energy / len(forces)),
        forces_eV_per_A=forces, stress_eV_per_A3=stress,
    )  # fmt: skip


class NoForce(Analytic):
    """An ideal gas."""

    def one(self, atoms: Atoms) -> AtomisticResult:
        return answer(0.0, np.zeros((len(atoms), 3)), np.zeros((3, 3)))


@dataclass
class Springs(Analytic):
    """Each atom hangs on its place by a spring whose stiffness and rest energy tell the place and the species."""

    places: np.ndarray
    stiffness: np.ndarray  # (places, 2)
    rest_eV: np.ndarray  # (places, 2)

    def one(self, atoms: Atoms) -> AtomisticResult:
        kind = (atoms.numbers == 42).astype(int)
        site = np.arange(len(atoms))
        away, k = atoms.positions - self.places, self.stiffness[site, kind]
        energy = self.rest_eV[site, kind].sum() + 0.5 * (k * (away**2).sum(1)).sum()
        return answer(energy, -k[:, None] * away)


@dataclass
class StiffCell(Analytic):
    """The energy hangs on the sides of the cell alone: K/2 sum_a ln(L_a / L_0)^2."""

    stiffness_eV: float = 400.0
    side_A: float = 10.0
    seen: list = field(default_factory=list)

    def one(self, atoms: Atoms) -> AtomisticResult:
        strain = np.log(np.diag(atoms.cell.array) / self.side_A)
        stress = np.diag(self.stiffness_eV * strain) / atoms.get_volume()
        return answer(0.5 * self.stiffness_eV * (strain**2).sum(), np.zeros((len(atoms), 3)), stress)


def test_energy_is_kept_and_errs_with_the_square_of_the_time_step():
    spread = {}
    for timestep, steps in ((1.0, 400), (2.0, 200), (4.0, 100)):
        run = Dynamics(alloy(), EAM, 1200, np.random.default_rng(1), ensemble="nve", timestep_fs=timestep)
        total = []
        for _ in range(steps // 4):
            run.advance(4)
            total.append(run.observe()["total_energy_eV_per_atom"])
        spread[timestep] = np.std(total)
        # Over 0.4 ps the energy goes nowhere: a line through it rises by less than it scatters.
        assert abs(np.polyfit(np.linspace(-0.5, 0.5, len(total)), total, 1)[0]) < 3 * spread[timestep]
    assert spread[2.0] < 2e-4  # eV/atom, of a kinetic energy of 0.08
    assert 2.5 < spread[4.0] / spread[2.0] < 6 and 2.5 < spread[2.0] / spread[1.0] < 6


def test_time_turned_back_leads_back():
    start = alloy()
    run = Dynamics(start, EAM, 900, np.random.default_rng(2), ensemble="nve")
    run.advance(60)
    assert np.abs(run.positions - start.positions).max() > 0.05
    run.momenta *= -1
    run.advance(60)
    assert np.abs(run.positions - start.positions).max() < 1e-9


@pytest.mark.parametrize("ensemble", ["nve", "bussi", "npt"])
def test_momentum_is_kept(ensemble):
    run = Dynamics(alloy(), EAM, 900, np.random.default_rng(2), ensemble=ensemble)
    run.advance(30)
    assert np.abs(run.momenta.sum(0)).max() < 1e-9 * np.abs(run.momenta).sum()


def test_rescaling_gives_the_kinetic_energies_of_the_canonical_ensemble():
    rng, kT, freedom = np.random.default_rng(3), 0.07, 5
    kinetic, found = 0.3, []
    for _ in range(20_000):
        kinetic *= rescaling(kinetic, kT, freedom, 0.4, rng) ** 2
        found.append(kinetic)
    thinned = np.array(found[100::10])
    assert stats.kstest(thinned, stats.gamma(freedom / 2, scale=kT).cdf).pvalue > 1e-3
    assert stats.kstest(thinned, stats.gamma(freedom / 2, scale=1.1 * kT).cdf).pvalue < 1e-3


def test_friction_and_noise_give_maxwell_and_boltzmann():
    rng, kT = np.random.default_rng(4), 0.05
    masses = np.array([10.0, 90.0])
    momenta, found = np.zeros((2, 3)), []
    for _ in range(6000):
        momenta = friction_and_noise(momenta, masses, kT, 1.0, rng)
        found.append(momenta)
    for k, mass in enumerate(masses):
        values = np.array(found[100::5])[:, k].ravel()
        assert stats.kstest(values, stats.norm(0, np.sqrt(mass * kT)).cdf).pvalue > 1e-3


def springs(seed: int = 0) -> Springs:
    rng = np.random.default_rng(seed)
    places = np.array([[0.0, 0, 0], [5, 0, 0], [0, 5, 0]])
    return Springs(places, rng.uniform(2, 6, (3, 2)), rng.uniform(0, 0.12, (3, 2)))


def test_langevin_gives_velocities_and_places_of_the_canonical_ensemble():
    model, T = springs(), 900.0
    kT = BOLTZMANN_EV_PER_K * T
    atoms = Atoms("NbMoNb", positions=model.places)
    run = Dynamics(atoms, model, T, np.random.default_rng(5), ensemble="langevin", timestep_fs=4.0, friction_per_ps=20)
    speeds, places = [], []
    for _ in range(1500):
        run.advance(12)
        speeds.append(run.momenta / np.sqrt(run.masses * kT)[:, None])
        stiffness = model.stiffness[np.arange(3), [0, 1, 0]]
        places.append((run.positions - model.places) * np.sqrt(stiffness / kT)[:, None])
    for found in (np.array(speeds)[50:], np.array(places)[50:]):
        # Nine numbers a sample, hardly correlated: each is normal of variance one.
        assert stats.kstest(found[::2].ravel(), stats.norm().cdf).pvalue > 1e-3
        assert abs(found.var() - 1) < 4 * np.sqrt(2 / (found.size / 3))


@pytest.mark.parametrize("ensemble", ["langevin", "bussi"])
def test_the_alloy_takes_the_temperature_of_its_bath(ensemble):
    how = {"friction_per_ps": 20.0, "thermostat_fs": 20.0}
    run = Dynamics(alloy(rattle=0.0), EAM, 700, np.random.default_rng(6), ensemble=ensemble, **how)
    run.advance(300)
    seen = []
    for _ in range(120):
        run.advance(10)
        seen.append(run.observe()["kinetic_temperature_K"])
    freedom = 3 * 54 - 3 * (ensemble == "bussi")
    expected = 700 * np.sqrt(2 / freedom)
    assert np.mean(seen) == pytest.approx(700, abs=4 * expected / np.sqrt(30))
    assert np.std(seen) == pytest.approx(expected, rel=0.35)


def test_an_ideal_gas_has_the_volumes_of_its_ensemble():
    n, T, pressure = 12, 300.0, 0.2
    kT = BOLTZMANN_EV_PER_K * T
    mean = n * kT / (pressure * GPA)  # one less than n + 1: the total momentum is kept
    atoms = Atoms(["Nb"] * n, positions=np.random.default_rng(0).random((n, 3)), cell=[mean ** (1 / 3)] * 3, pbc=True)
    run = Dynamics(
        atoms, NoForce(), T, np.random.default_rng(7), ensemble="npt", cell_moves="volume", pressure_GPa=pressure,
        barostat_fs=40.0, bulk_modulus_GPa=pressure, timestep_fs=2.0, thermostat_fs=20.0,
    )  # fmt: skip
    found = []
    for _ in range(800):
        run.advance(20)
        found.append(np.prod(np.diag(run.cells[0])))
    thinned = np.array(found[20::3])
    assert stats.kstest(thinned, stats.gamma(n, scale=kT / (pressure * GPA)).cdf).pvalue > 1e-3
    assert stats.kstest(thinned, stats.gamma(n + 2, scale=kT / (pressure * GPA)).cdf).pvalue < 1e-3


def test_the_sides_of_a_cell_float_each_by_itself_as_their_ensemble_says():
    model, n, T = StiffCell(), 3, 600.0
    kT = BOLTZMANN_EV_PER_K * T
    atoms = Atoms(["Nb"] * n, positions=np.eye(3), cell=[model.side_A] * 3, pbc=True)
    stiff_GPa = model.stiffness_eV / model.side_A**3 / GPA
    run = Dynamics(
        atoms, model, T, np.random.default_rng(8), ensemble="npt", barostat_fs=20.0, bulk_modulus_GPa=stiff_GPa / 3,
        timestep_fs=1.0, thermostat_fs=20.0,
    )  # fmt: skip
    found = []
    for _ in range(600):
        run.advance(25)
        found.append(np.log(np.diag(run.cells[0]) / model.side_A))
    strain = np.array(found[10:])
    width = np.sqrt(kT / model.stiffness_eV)
    # Density exp(n e - K e^2 / 2 kT) in each strain e: one n less one from the momenta, one from dL.
    assert np.abs(strain.mean(0) - n * kT / model.stiffness_eV).max() < 5 * width / np.sqrt(200)
    assert strain.std() == pytest.approx(width, rel=0.08)
    assert np.abs(np.corrcoef(strain.T) - np.eye(3)).max() < 0.25


def test_npt_brings_the_alloy_to_its_pressure():
    run = Dynamics(
        alloy(rattle=0), EAM, 300, np.random.default_rng(9), ensemble="npt", pressure_GPa=2.0, barostat_fs=100.0
    )
    run.advance(300)
    pressures = []
    for _ in range(100):
        run.advance(5)
        pressures.append(run.observe()["pressures_GPa"])
    mean, spread = np.mean(pressures, axis=0), np.std(pressures, axis=0)
    assert np.abs(mean - 2.0).max() < 5 * spread.max() / np.sqrt(20)
    assert len(set(np.round(run.observe()["cell_lengths_A"], 6))) == 3  # each side by itself


SETTINGS = {
    "langevin": {"ensemble": "langevin", "friction_per_ps": 10.0},
    "npt": {"ensemble": "npt", "barostat_fs": 50.0},
    "ramp": {"ensemble": "bussi", "ramp": Ramp(steps=25, temperatures_K=(300, 2500), strain=(0.0, 0.01, -0.01))},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_advances_in_parts_and_from_a_kept_state_as_at_once(name):
    def make(seed=1):
        return Dynamics(alloy(), EAM, 2500, np.random.default_rng(seed), skin_A=0.1, **SETTINGS[name])

    whole, parts, resumed = make(), make(), make(seed=5)
    whole.advance(40)
    parts.advance(13)
    kept = {key: value.copy() for key, value in parts.state().items()}
    assert all(value.dtype != object for value in kept.values())
    parts.advance(27)
    resumed.advance(3)
    resumed.restore(kept)
    resumed.advance(27)
    assert whole._field.rebuilds > 3
    for other in (parts, resumed):
        assert np.array_equal(other.positions, whole.positions) and np.array_equal(other.momenta, whole.momenta)
        assert np.array_equal(other.cells, whole.cells)
        assert str(other.observe()) == str(whole.observe())


@pytest.mark.parametrize("name", SETTINGS)
def test_systems_of_a_batch_go_the_way_they_go_alone(name):
    systems = [alloy(seed=0), alloy(size=2, seed=1), alloy(size=(2, 3, 2), seed=2)]
    temperatures = [400.0, 900.0, 1600.0]
    batch = Dynamics(systems, EAM, temperatures, [np.random.default_rng(k) for k in range(3)], **SETTINGS[name])
    batch.advance(25)
    for k, (one, temperature) in enumerate(zip(systems, temperatures, strict=True)):
        single = Dynamics(one, EAM, temperature, np.random.default_rng(k), **SETTINGS[name])
        single.advance(25)
        assert np.array_equal(single.positions, batch.positions[batch.parts[k]])
        assert np.array_equal(single.cells[0], batch.cells[k])
        assert single.observe()["energy_eV_per_atom"] == batch.observe()["energy_eV_per_atom"][k]
    assert [len(one) for one in batch.atoms()] == [len(one) for one in systems]


def test_a_list_is_whole_as_long_as_it_is_kept():
    rng, atoms = np.random.default_rng(3), alloy()
    made = ForceField(EAM, [len(atoms)], np.array([[True] * 3]), skin_A=0.6)
    for _ in range(40):
        strain = np.diag(np.exp(0.01 * rng.standard_normal(3)))
        now = Atoms(atoms.numbers, positions=atoms.positions @ strain, cell=atoms.cell.array @ strain, pbc=True)
        now.positions += 0.08 * rng.standard_normal(now.positions.shape)
        kept = made.environment(now.positions, now.cell.array[None], now.numbers)
        fresh = find_neighbours([now], EAM.cutoff_A)
        near = np.linalg.norm(kept.vectors, axis=1) < EAM.cutoff_A
        assert near.sum() == len(fresh.second)
    assert 1 < made.rebuilds < 40


def test_a_ramp_reaches_its_temperature_and_strain_and_stays():
    run = Dynamics(alloy(), EAM, 300, np.random.default_rng(0), ensemble="bussi",
                   ramp=Ramp(steps=20, temperatures_K=(300, 900), strain=(0.02, 0.0, -0.01)))  # fmt: skip
    run.advance(10)
    assert run.temperature_K == pytest.approx(600)
    run.advance(25)
    assert run.temperature_K == 900
    assert np.diag(run.cells[0]) == pytest.approx(9.6 * np.exp([0.02, 0.0, -0.01]), rel=1e-12)


def test_species_and_places_are_sampled_together_as_exact_sums_say():
    model, T = springs(), 900.0
    kT = BOLTZMANN_EV_PER_K * T
    # The integral over places of exp(-E / kT) leaves exp(-rest / kT) k^(-3/2) of each atom.
    log_weight = -model.rest_eV / kT - 1.5 * np.log(model.stiffness)
    exact = np.exp([log_weight[[0, 1, 2], [int(k == mo) for k in range(3)]].sum() for mo in range(3)])
    exact /= exact.sum()
    assert exact.max() / exact.min() > 1.5
    atoms = Atoms("MoNbNb", positions=model.places)
    run = Hybrid(atoms, model, T, np.random.default_rng(1), timestep_fs=4.0, friction_per_ps=30.0, steps_per_cycle=6,
                 trials_per_cycle=2)  # fmt: skip
    seen = np.zeros(3)
    for _ in range(1500):
        run.advance(2)
        seen[int(np.flatnonzero(run.atoms().numbers == 42)[0])] += 1
    assert stats.chisquare(seen, exact * seen.sum()).pvalue > 1e-3
    still = np.exp(-model.rest_eV / kT)  # what exchanges at rest would give
    wrong = np.array([np.prod(still[[0, 1, 2], [int(k == mo) for k in range(3)]]) for mo in range(3)])
    assert stats.chisquare(seen, wrong / wrong.sum() * seen.sum()).pvalue < 1e-3


def test_species_and_places_under_chemical_potentials_as_exact_sums_say():
    model, T = springs(4), 900.0
    kT = BOLTZMANN_EV_PER_K * T
    log_weight = -model.rest_eV / kT - 1.5 * np.log(model.stiffness)
    mu = float(kT * (log_weight[:, 0] - log_weight[:, 1]).mean())
    states = list(product([0, 1], repeat=3))
    exact = np.exp([log_weight[[0, 1, 2], state].sum() + mu * sum(state) / kT for state in states])
    exact /= exact.sum()
    run = Hybrid(Atoms("MoNbNb", positions=model.places), model, T, np.random.default_rng(2), timestep_fs=4.0,
                 friction_per_ps=30.0, steps_per_cycle=6, trials_per_cycle=3,
                 chemical_potentials_eV={"Nb": 0.0, "Mo": mu})  # fmt: skip
    seen = np.zeros(8)
    for _ in range(1500):
        run.advance(2)
        seen[states.index(tuple((run.atoms().numbers == 42).astype(int)))] += 1
    assert stats.chisquare(seen, exact * seen.sum()).pvalue > 1e-3
    kinetic = run.dynamics.observe()["kinetic_temperature_K"]
    assert 0 < kinetic < 10 * T


@dataclass
class Bonded(Analytic):
    """Springs between all pairs of atoms: moving all alike costs nothing."""

    places: np.ndarray
    stiffness: float = 3.0
    elements: tuple[str, ...] = ("Al", "W")

    def one(self, atoms: Atoms) -> AtomisticResult:
        away = atoms.positions - self.places
        apart = away[:, None] - away[None]
        return answer(0.25 * self.stiffness * (apart**2).sum(), -self.stiffness * apart.sum(1))


@pytest.mark.parametrize("start", ["drawn", "given at rest as a whole"])
def test_replaced_atoms_under_rescaling_move_as_the_canonical_ensemble_says(start):
    """Replacements change the total momentum, so it must be as warm as the rest: 3 N degrees of freedom."""
    model, n, T = Bonded(np.array([[0.0, 0, 0], [5, 0, 0], [0, 5, 0]])), 3, 900.0
    kT = BOLTZMANN_EV_PER_K * T
    atoms = Atoms("WAlW", positions=model.places)
    if start != "drawn":
        atoms.set_momenta([[1.0, 0, 0], [0.0, 1, 0], [-1.0, -1, 0]])
    run = Hybrid(atoms, model, T, np.random.default_rng(11), ensemble="bussi", thermostat_fs=15.0, timestep_fs=4.0,
                 steps_per_cycle=12, trials_per_cycle=3, chemical_potentials_eV={"Al": 0.0, "W": 0.0})  # fmt: skip
    whole, inner, warm = [], [], []
    for _ in range(800):
        run.advance(2)
        moves = run.dynamics
        total, kinetic = moves.momenta.sum(0), moves.kinetic_eV()[0]
        whole.append((total**2).sum() / (2 * moves.masses.sum()))
        inner.append(kinetic - whole[-1])
        warm.append(run.observe()["kinetic_temperature_K"])
    inner, whole = np.array(inner)[50::4], np.array(whole)[50::4]
    everything = inner + whole
    assert stats.kstest(inner, stats.gamma(1.5 * n - 1.5, scale=kT).cdf).pvalue > 1e-3
    assert stats.kstest(everything, stats.gamma(1.5 * n, scale=kT).cdf).pvalue > 1e-3
    assert stats.kstest(everything, stats.gamma(1.5 * n - 1.5, scale=kT).cdf).pvalue < 1e-6
    # The total momentum forgets slowly: the masses of replaced atoms are all that changes its share.
    assert whole.mean() == pytest.approx(1.5 * kT, rel=0.3)
    assert np.mean(warm) == pytest.approx(T, rel=0.1)


def test_exchanged_atoms_under_rescaling_keep_the_total_momentum_and_its_count():
    run = Hybrid(alloy(), EAM, 700, np.random.default_rng(3), ensemble="bussi", thermostat_fs=20.0, steps_per_cycle=5)
    run.advance(4)
    assert np.abs(run.dynamics.momenta.sum(0)).max() < 1e-9 * np.abs(run.dynamics.momenta).sum()
    kinetic = run.dynamics.kinetic_eV()[0]
    expected = 2 * kinetic / ((3 * 54 - 3) * BOLTZMANN_EV_PER_K)
    assert run.observe()["kinetic_temperature_K"] == pytest.approx(expected, rel=1e-12)


def test_atoms_that_trade_places_take_their_momenta_along():
    run = Dynamics(alloy(), EAM, 800, np.random.default_rng(0))
    first, second = int(np.flatnonzero(run.numbers == 42)[0]), int(np.flatnonzero(run.numbers == 74)[0])
    before, kinetic, momentum = run.momenta.copy(), run.kinetic_eV()[0], run.momenta.sum(0)
    run.exchange_atoms(first, second)
    assert np.array_equal(run.momenta[first], before[second]) and run.numbers[first] == 74
    assert run.kinetic_eV()[0] == pytest.approx(kinetic, rel=1e-14)
    assert run.momenta.sum(0) == pytest.approx(momentum, abs=1e-12)
    run.replace_atom(first, 42)
    assert run.kinetic_eV()[0] == pytest.approx(kinetic, rel=1e-14) and run.masses[first] == pytest.approx(95.95)


def test_a_hybrid_walk_resumes_bit_for_bit():
    def make(seed=1):
        return Hybrid(alloy(), EAM, 2000, np.random.default_rng(seed), ensemble="npt", steps_per_cycle=5)

    whole, parts, resumed = make(), make(), make(seed=3)
    whole.advance(6)
    parts.advance(2)
    kept = {key: value.copy() for key, value in parts.state().items()}
    parts.advance(4)
    resumed.restore(kept)
    resumed.advance(4)
    for other in (parts, resumed):
        assert other.atoms() == whole.atoms()
        assert np.array_equal(other.dynamics.momenta, whole.dynamics.momenta)
        assert str(other.observe()) == str(whole.observe())
    assert 0 < whole.exchange.accepted < whole.exchange.trials
    with pytest.raises(InputError, match="steps_per_cycle was 5, is 6"):
        Hybrid(alloy(), EAM, 2000, np.random.default_rng(0), ensemble="npt", steps_per_cycle=6).restore(kept)
    with pytest.raises(InputError, match="another walk"):
        Dynamics(alloy(), EAM, 2000, np.random.default_rng(0)).restore(kept)


def fixed() -> Atoms:
    from ase.constraints import FixAtoms

    atoms = alloy()
    atoms.set_constraint(FixAtoms([0]))
    return atoms


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"temperature_K": -1.0}, "temperature_K is -1.0"),
        ({"temperature_K": [300.0, 400.0]}, "2 temperatures for 1 systems"),
        ({"timestep_fs": 0.0}, "timestep_fs 0.0"),
        ({"pressure_GPa": np.inf}, "pressure_GPa inf"),
        ({"atoms": fixed()}, "constraints"),
        ({"atoms": Atoms("W2", [[0, 0, 0], [0, 0, 2.5]]), "ensemble": "npt"}, "not periodic"),
        ({"atoms": []}, "no system"),
        ({"rng": [np.random.default_rng(0)] * 2}, "2 generators for 1 systems"),
        ({"ensemble": "npt", "ramp": Ramp(steps=3, strain=(0, 0, 0.1))}, "ramp of strain under 'npt'"),
    ],
)
def test_bad_settings_are_said_in_one_line(changes, text):
    given = {"atoms": alloy(), "potential": EAM, "temperature_K": 300.0, "rng": np.random.default_rng(0)} | changes
    with pytest.raises(InputError, match=text) as caught:
        Dynamics(**given)
    assert "\n" not in str(caught.value)


def test_unknown_names_and_explosions_are_said():
    with pytest.raises(UnknownNameError, match="did you mean 'langevin'"):
        Dynamics(alloy(), EAM, 300, np.random.default_rng(0), ensemble="langevine")
    with pytest.raises(InputError, match="nve"):
        Hybrid(alloy(), EAM, 300, np.random.default_rng(0), ensemble="nve")
    run = Dynamics(alloy(), EAM, 300, np.random.default_rng(0), ensemble="nve", timestep_fs=500.0)
    with pytest.raises(InputError, match=r"not finite|apart"):
        run.advance(200)
