"""Molecular dynamics of one system or of many at once: NVE, NVT by friction or rescaling, NPT by rescaling the cell.

One step of dt, with F = -dE/dx (a splitting whose middle holds the bath: what positions sample then errs by order dt^2
of small weight, Leimkuhler and Matthews 2013, doi:10.1093/amrx/abs010):

| part | here |
|---|---|
| B: p <- p + F dt / 2 | `_kick` |
| A: x <- x + p / m dt / 2 | `_drift` |
| O: friction and noise ("langevin"), or rescaling of momenta ("bussi", "npt"), or nothing ("nve") | `_bath` |
| cell: strains of the axes by the pressure ("npt"), or as a ramp prescribes | `_change_cells` |
| A, forces at the new places, B | |

Systems do not feel each other; each has its own generator and goes the way it would go alone, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.errors import InputError, unknown_name
from hea_sim.potentials.contract import Potential
from hea_sim.potentials.environment import Environment
from hea_sim.sampling.contract import generator_state, restore_generator
from hea_sim.sampling.dynamics_forces import Forces, force_field
from hea_sim.sampling.settings_check import HOTTEST_K, check_same_walk, check_temperature, walk_identity
from hea_sim.sampling.thermostats import GPA, friction_and_noise, rescaling, strain_of_cell
from hea_sim.units import BOLTZMANN_EV_PER_K

if TYPE_CHECKING:
    from ase import Atoms

#: A femtosecond in A sqrt(u / eV), the unit in which velocities come out of eV, A and u.
FEMTOSECOND = 0.09822694788464063
ENSEMBLES = ("nve", "langevin", "bussi", "npt")
CELL_MOVES = ("lengths", "volume")


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """Change temperature, cell or both evenly over a number of steps from the start of the walk.

    `temperatures_K` are the first and the last; `strain` the true strains ln(L / L0) along x, y, z at the end.
    Afterwards both stay.
    """

    steps: int
    temperatures_K: tuple[float, float] | None = None
    strain: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.steps < 1 or (self.temperatures_K is None and self.strain is None):
            raise InputError(f"ramp over {self.steps} steps; wanted at least one, and temperatures_K or strain")
        for temperature in self.temperatures_K or ():
            check_temperature(temperature)
        if self.strain is not None and not (np.shape(self.strain) == (3,) and np.isfinite(self.strain).all()):
            raise InputError(f"strain {self.strain} of a ramp; wanted three finite numbers")

    def temperature_K(self, step: int) -> float | None:
        """Give the temperature after so many steps, None where the ramp has none."""
        if self.temperatures_K is None:
            return None
        first, last = self.temperatures_K
        return first + (last - first) * min(step / self.steps, 1.0)


class Dynamics:
    """Advance atoms in time; a walk, or many replicas of one at once.

    Parameters
    ----------
    atoms
        One system, or several of any sizes and composition; not changed. Momenta that are not all zero are kept, others
        are drawn from the Maxwell-Boltzmann distribution.
    potential
        Anything behind the contract of potentials.
    temperature_K
        Temperature, or one for each system; may be set anew between steps. In "nve" it is that of the momenta drawn.
    rng
        Where randomness comes from, or one for each system; one generator for several systems is spawned into theirs.
    ensemble
        "nve", "langevin" (friction and noise), "bussi" (stochastic velocity rescaling), or "npt" ("bussi", and a cell
        whose axes are strained along x, y and z by their pressure).
    timestep_fs
        Time step: 1 to 3 for metals.
    friction_per_ps
        Friction of "langevin".
    thermostat_fs
        Relaxation time of the kinetic energy in "bussi" and "npt".
    pressure_GPa
        Pressure of "npt".
    barostat_fs, bulk_modulus_GPa
        Relaxation time of the cell in "npt" were the bulk modulus right: both change how fast the cell moves, not what
        is sampled.
    cell_moves
        What floats in "npt": "lengths" of x, y, z each by itself, or the "volume" alone.
    ramp
        Changes of temperature and cell over the first steps.
    skin_A
        Neighbours are listed up to the cutoff and this.
    free_momentum
        Let the total momentum take part in the ensemble of "bussi" and "npt": 3 N degrees of freedom, not 3 N - 3. It
        is right where something else changes the total momentum, as replacements of atoms do. A total momentum of zero
        is then drawn anew.
    device, precision
        Where forces are computed: None for compiled kernels on the CPU; "cuda", "cuda:N" or "cpu" for torch there, in
        "float32" or "float64" (moment tensor potentials). Momenta and places stay in double precision on the CPU.

    Raises
    ------
    InputError, UnknownNameError
        Where a setting is out of range, atoms hold constraints, or "npt" meets a system that is not periodic.
    """

    def __init__(
        self,
        atoms: Atoms | Sequence[Atoms],
        potential: Potential,
        temperature_K: float | Sequence[float],
        rng: np.random.Generator | Sequence[np.random.Generator],
        *,
        ensemble: str = "langevin",
        timestep_fs: float = 2.0,
        friction_per_ps: float = 2.0,
        thermostat_fs: float = 100.0,
        pressure_GPa: float = 0.0,
        barostat_fs: float = 500.0,
        bulk_modulus_GPa: float = 150.0,
        cell_moves: str = "lengths",
        ramp: Ramp | None = None,
        skin_A: float = 0.5,
        free_momentum: bool = False,
        device: str | None = None,
        precision: str = "float32",
    ) -> None:
        self.alone = hasattr(atoms, "numbers")
        systems: list[Any] = [atoms] if self.alone else list(atoms)
        self.potential, self.ensemble, self.ramp = potential, ensemble, ramp
        self.timestep_fs, self.friction_per_ps, self.thermostat_fs = timestep_fs, friction_per_ps, thermostat_fs
        self.pressure_GPa, self.barostat_fs, self.bulk_modulus_GPa = pressure_GPa, barostat_fs, bulk_modulus_GPa
        self.cell_moves, self.skin_A, self.step = cell_moves, skin_A, 0
        self._keeps_momentum = ensemble == "nve" or (ensemble != "langevin" and not free_momentum)
        self._check(systems)
        self._set_temperatures(temperature_K, len(systems))
        self.rngs = _generators(rng, len(systems))
        self._templates = [_bare(one) for one in systems]
        self.device, self.precision = device, precision
        self._field = force_field(
            potential, [len(one) for one in systems], np.array([one.pbc for one in systems]),
            skin_A=skin_A, device=device, precision=precision,
        )  # fmt: skip
        self.parts = self._field.parts
        self.numbers = np.concatenate([one.numbers for one in systems]).astype(np.int64)
        self.masses = np.concatenate([one.get_masses() for one in systems])
        self.positions = np.concatenate([one.positions for one in systems])
        self.cells = np.array([one.cell.array for one in systems])
        self.momenta = np.concatenate([one.get_momenta() for one in systems])
        if self.ramp is not None and self.ramp.temperatures_K is not None:
            self.temperatures_K[:] = self.ramp.temperatures_K[0]
        for k in range(len(systems)):
            if not self.momenta[self.parts[k]].any():
                self.draw_momenta(k)
            elif free_momentum:
                self._free_momentum(k)
        self._forces: Forces | None = None

    @property
    def temperature_K(self) -> float:
        """Temperature of the bath, of the first system where they differ."""
        return float(self.temperatures_K[0])

    @temperature_K.setter
    def temperature_K(self, value: float) -> None:
        self._set_temperatures(value, len(self.temperatures_K))

    def advance(self, steps: int) -> None:
        """Make time steps."""
        forces = self._present_forces()
        for _ in range(steps):
            forces = self._one_step(forces)
        self._forces = forces

    def draw_momenta(self, k: int) -> None:
        """Draw the momenta of a system anew; their sum is zero where the bath keeps it."""
        part = self.parts[k]
        kT = BOLTZMANN_EV_PER_K * self.temperatures_K[k]
        masses = self.masses[part]
        momenta = np.sqrt(kT * masses)[:, None] * self.rngs[k].standard_normal((len(masses), 3))
        if self._keeps_momentum:
            momenta -= masses[:, None] * momenta.sum(0) / masses.sum()
        self.momenta[part] = momenta

    def _free_momentum(self, k: int) -> None:
        """Draw the total momentum of a system where it is zero."""
        momenta, masses = self.momenta[self.parts[k]], self.masses[self.parts[k]]
        if np.abs(momenta.sum(0)).max() < 1e-9 * np.abs(momenta).sum():
            kT = BOLTZMANN_EV_PER_K * self.temperatures_K[k]
            total = np.sqrt(kT * masses.sum()) * self.rngs[k].standard_normal(3)
            self.momenta[self.parts[k]] += masses[:, None] * total / masses.sum()

    def exchange_atoms(self, first: int, second: int) -> None:
        """Let two atoms trade places, each taking its momentum along."""
        for values in (self.numbers, self.masses, self.momenta):
            values[[first, second]] = values[[second, first]]
        self._forces = None

    def replace_atom(self, atom: int, number: int) -> None:
        """Make an atom another element, of the standard mass, at the same kinetic energy."""
        from ase.data import atomic_masses

        mass = float(atomic_masses[number])
        self.momenta[atom] *= np.sqrt(mass / self.masses[atom])
        self.numbers[atom], self.masses[atom] = number, mass
        self._forces = None

    def environment(self) -> Environment:
        """Give the present neighbours, up to the cutoff of the potential and some of the skin."""
        return self._field.environment(self.positions, self.cells, self.numbers)

    def observe(self) -> dict[str, float | np.ndarray]:
        """Give energies, temperature, pressure and cell; arrays (systems,) where there are several systems.

        The pressure is NaN where a system is not periodic in all directions.
        """
        forces = self._present_forces()
        sizes = np.array(self._field.sizes)
        kinetic = self.kinetic_eV()
        volumes = np.abs(np.linalg.det(self.cells))
        with np.errstate(divide="ignore", invalid="ignore"):
            pressures = np.array([self._pressures(k, forces) for k in range(len(sizes))]) / GPA
        found: dict[str, np.ndarray] = {
            "energy_eV_per_atom": forces.energies_eV / sizes,
            "total_energy_eV_per_atom": (forces.energies_eV + kinetic) / sizes,
            "kinetic_temperature_K": 2 * kinetic / (self._freedoms() * BOLTZMANN_EV_PER_K),
            "bath_temperature_K": self.temperatures_K.copy(),
            "pressure_GPa": pressures.mean(1),
            "pressures_GPa": pressures,
            "volume_A3_per_atom": volumes / sizes,
            "cell_lengths_A": np.linalg.norm(self.cells, axis=2),
        }
        counted: dict[str, float | np.ndarray] = {
            "steps": float(self.step), "time_ps": 1e-3 * self.step * self.timestep_fs,
        }  # fmt: skip
        if not self.alone:
            return {**found, **counted}
        return {key: value[0] if value.ndim > 1 else float(value[0]) for key, value in found.items()} | counted

    def kinetic_eV(self) -> np.ndarray:
        """Give the kinetic energy of each system (systems,) in eV."""
        each = np.einsum("ik,ik->i", self.momenta, self.momenta) / (2 * self.masses)
        return np.array([each[part].sum() for part in self.parts])

    def atoms(self) -> Any:
        """Give the present atoms with their momenta; a list where there are several systems."""
        made = [self.system(k) for k in range(len(self.parts))]
        return made[0] if self.alone else made

    def system(self, k: int) -> Any:
        """Give the present atoms of one system."""
        part, one = self.parts[k], self._templates[k].copy()
        one.numbers = self.numbers[part]
        one.set_cell(self.cells[k])
        one.positions = self.positions[part]
        one.set_masses(self.masses[part])
        one.set_momenta(self.momenta[part])
        return one

    def state(self) -> dict[str, np.ndarray]:
        """Give all that the future depends on."""
        self._present_forces()
        kept = {
            "walk": walk_identity(self._settings()),
            "step": np.array(self.step),
            "temperatures_K": self.temperatures_K.copy(),
            "numbers": self.numbers.copy(),
            "masses": self.masses.copy(),
            "positions_A": self.positions.copy(),
            "momenta": self.momenta.copy(),
            "cells_A": self.cells.copy(),
        }
        generators = {f"generator_{k}": generator_state(one) for k, one in enumerate(self.rngs)}
        return kept | self._field.state() | generators

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state; InputError where it belongs to another walk."""
        check_same_walk(state, self._settings())
        self.step = int(state["step"])
        self.temperatures_K[:] = state["temperatures_K"]
        for mine, key in (
            (self.numbers, "numbers"), (self.masses, "masses"), (self.positions, "positions_A"),
            (self.momenta, "momenta"), (self.cells, "cells_A"),
        ):  # fmt: skip
            mine[:] = state[key]
        self._field.restore(state, self.numbers)
        self._forces = None
        for k, one in enumerate(self.rngs):
            restore_generator(one, state[f"generator_{k}"])

    def _settings(self) -> dict[str, Any]:
        return {
            "walk": type(self).__name__,
            "potential": self.potential.name,
            "systems": [len(one) for one in self._templates],
            "ensemble": self.ensemble,
            "timestep_fs": self.timestep_fs,
            "friction_per_ps": self.friction_per_ps,
            "thermostat_fs": self.thermostat_fs,
            "pressure_GPa": self.pressure_GPa,
            "barostat_fs": self.barostat_fs,
            "bulk_modulus_GPa": self.bulk_modulus_GPa,
            "cell_moves": self.cell_moves,
            "ramp": None if self.ramp is None else repr(self.ramp),
            "skin_A": self.skin_A,
            "keeps_momentum": self._keeps_momentum,
            "device": self.device and f"{self.device.partition(':')[0]}, {self.precision}",
        }

    def _freedoms(self) -> np.ndarray:
        sizes = np.array(self._field.sizes)
        return np.maximum(3 * sizes - 3 * self._keeps_momentum, 1)

    def _present_forces(self) -> Forces:
        if self._forces is None:
            self._forces = self._field(self.positions, self.cells, self.numbers)
        return self._forces

    def _one_step(self, forces: Forces) -> Forces:
        dt = self.timestep_fs * FEMTOSECOND
        if self.ramp is not None and (temperature := self.ramp.temperature_K(self.step + 1)) is not None:
            self.temperatures_K[:] = temperature
        self._kick(forces, dt)
        self._drift(dt)
        for k in range(len(self.parts)):
            self._bath(k)
            self._change_cells(k, forces)
        self._drift(dt)
        forces = self._field(self.positions, self.cells, self.numbers)
        self._kick(forces, dt)
        self.step += 1
        return forces

    def _kick(self, forces: Forces, dt: float) -> None:
        self.momenta += 0.5 * dt * forces.forces_eV_per_A

    def _drift(self, dt: float) -> None:
        self.positions += 0.5 * dt * self.momenta / self.masses[:, None]

    def _bath(self, k: int) -> None:
        part, kT = self.parts[k], BOLTZMANN_EV_PER_K * self.temperatures_K[k]
        if self.ensemble == "langevin":
            decay = 1e-3 * self.friction_per_ps * self.timestep_fs
            self.momenta[part] = friction_and_noise(self.momenta[part], self.masses[part], kT, decay, self.rngs[k])
        elif self.ensemble in ("bussi", "npt"):
            freedom = int(self._freedoms()[k])
            decay = self.timestep_fs / self.thermostat_fs
            self.momenta[part] *= rescaling(self._kinetic_of(k), kT, freedom, decay, self.rngs[k])

    def _change_cells(self, k: int, forces: Forces) -> None:
        if self.ensemble == "npt":
            strain = strain_of_cell(
                self._pressures(k, forces), self.pressure_GPa * GPA, BOLTZMANN_EV_PER_K * self.temperatures_K[k],
                abs(float(np.linalg.det(self.cells[k]))),
                self.timestep_fs / (self.barostat_fs * self.bulk_modulus_GPa * GPA),
                self.cell_moves == "volume", self.rngs[k],
            )  # fmt: skip
            self.momenta[self.parts[k]] *= np.exp(-strain)
        elif self.ramp is not None and self.ramp.strain is not None and self.step < self.ramp.steps:
            strain = np.array(self.ramp.strain) / self.ramp.steps
        else:
            return
        self.positions[self.parts[k]] *= np.exp(strain)
        self.cells[k] *= np.exp(strain)

    def _kinetic_of(self, k: int) -> float:
        momenta, masses = self.momenta[self.parts[k]], self.masses[self.parts[k]]
        return float((np.einsum("ik,ik->i", momenta, momenta) / (2 * masses)).sum())

    def _pressures(self, k: int, forces: Forces) -> np.ndarray:
        """Give the pressures (3,) along x, y and z in eV/A^3."""
        momenta, masses = self.momenta[self.parts[k]], self.masses[self.parts[k]]
        kinetic = (momenta**2 / masses[:, None]).sum(0)
        return np.asarray((kinetic + np.diag(forces.virials_eV[k])) / abs(np.linalg.det(self.cells[k])))

    def _set_temperatures(self, temperature_K: float | Sequence[float], systems: int) -> None:
        given = np.atleast_1d(np.asarray(temperature_K, float))
        if given.shape not in ((1,), (systems,)):
            raise InputError(f"{given.size} temperatures for {systems} systems; wanted one, or one for each")
        for one in given:
            check_temperature(float(one))
        self.temperatures_K = np.broadcast_to(given, systems).copy()

    def _check(self, systems: list[Any]) -> None:
        if self.ensemble not in ENSEMBLES:
            raise unknown_name("ensemble", self.ensemble, ENSEMBLES)
        if self.cell_moves not in CELL_MOVES:
            raise unknown_name("way of moving the cell", self.cell_moves, CELL_MOVES)
        positive = {
            key: getattr(self, key)
            for key in ("timestep_fs", "friction_per_ps", "thermostat_fs", "barostat_fs", "bulk_modulus_GPa", "skin_A")
        }
        wrong = [key for key, value in positive.items() if not 0 < value < HOTTEST_K]
        if wrong or not np.isfinite(self.pressure_GPa):
            key = wrong[0] if wrong else "pressure_GPa"
            raise InputError(f"{key} {getattr(self, key)}; wanted a positive number (a finite one for a pressure)")
        if not systems:
            raise InputError("no system to advance; wanted at least one")
        for one in systems:
            if one.constraints:
                raise InputError(
                    f"{one.get_chemical_formula()} holds constraints, which are not kept here; remove them"
                )
            if self.ensemble == "npt" and not one.pbc.all():
                raise InputError(f"{one.get_chemical_formula()} is not periodic in all directions, as 'npt' needs it")
        if self.ensemble == "npt" and self.ramp is not None and self.ramp.strain is not None:
            raise InputError("a ramp of strain under 'npt', which moves the cell itself; wanted another ensemble")


def _bare(atoms: Any) -> Any:
    made = atoms.copy()
    made.calc = None
    return made


def _generators(rng: np.random.Generator | Sequence[np.random.Generator], number: int) -> list[np.random.Generator]:
    if isinstance(rng, np.random.Generator):
        return [rng] if number == 1 else list(rng.spawn(number))
    given = list(rng)
    if len(given) != number:
        raise InputError(f"{len(given)} generators for {number} systems; wanted one, or one for each")
    return given
