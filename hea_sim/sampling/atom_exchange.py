"""Exchange Monte Carlo on atoms: two unlike atoms trade places under a potential, at the cost of their surroundings.

| walk | samples | by |
|---|---|---|
| `AtomExchange` | arrangements at fixed places and composition, exp(-E / kT) | min(1, exp(-dE / kT)) |
| `AtomReplacement` | arrangements at fixed places, exp(-(E - sum_k mu_k N_k) / kT) | min(1, exp(-(dE - dmu) / kT)) |

(Metropolis et al. 1953, doi:10.1063/1.1699114.) The atoms of a trial are drawn without looking at their species: any
two atoms, or (with probability `near_share`) an atom and one of its neighbours within `near_A`. At fixed places that is
as likely forth as back, so each trial keeps detailed balance. Two like atoms are no trial and are not counted.
Places stay as they are: for vibrations see `hea_sim.sampling.vibrating_exchange` (displacements of single atoms) and
`hea_sim.sampling.hybrid` (molecular dynamics), for relaxation `hea_sim.sampling.relaxed_exchange`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.contract import Potential
from hea_sim.potentials.environment import Environment, find_neighbours
from hea_sim.sampling.contract import generator_state, restore_generator
from hea_sim.sampling.local_energies import LocalEnergies, Outcome, local_energies, places_within
from hea_sim.sampling.settings_check import check_same_walk, check_temperature, walk_identity
from hea_sim.units import BOLTZMANN_EV_PER_K

if TYPE_CHECKING:
    from ase import Atoms

#: Trials drawn at once; a sweep of a large system is cut into parts of this size.
_DRAWN_AT_ONCE = 65536


class _AtomWalk:
    """Hold what walks through arrangements of atoms at fixed places share."""

    def __init__(
        self,
        atoms: Atoms,
        potential: Potential,
        temperature_K: float,
        rng: np.random.Generator,
        trials_per_step: int | None,
        fast: bool,
    ) -> None:
        self.temperature_K = check_temperature(temperature_K)
        self.potential, self.rng = potential, rng
        self.trials_per_step = len(atoms) if trials_per_step is None else int(trials_per_step)
        if self.trials_per_step < 1 or len(atoms) < 2:
            raise InputError(
                f"{len(atoms)} atoms, {trials_per_step} trials a step; wanted at least 2 atoms and 1 trial"
            )
        self._atoms = atoms.copy()
        self._atoms.calc = None
        self.proposals = self.trials = self.accepted = 0
        #: Atoms (changes, 1 or 2) of the accepted trials of the last step, in their order.
        self.last_changes = np.zeros((0, 2), np.int64)
        self._fast = fast
        self.energies: LocalEnergies = self._engine()
        from ase.data import atomic_numbers

        self._numbers = np.array([atomic_numbers[element] for element in self.energies.elements])

    def _engine(self, environment: Environment | None = None) -> LocalEnergies:
        """Make what computes the trials."""
        return local_energies(self.potential, self._atoms, environment, fast=self._fast)

    @property
    def energy_eV(self) -> float:
        """Energy of the whole system: computed at the start, then the sum of accepted changes."""
        return self.energies.energy_eV

    def advance(self, steps: int) -> None:
        """Make `trials_per_step` proposals a step."""
        for _ in range(steps):
            changes = []
            for start in range(0, self.trials_per_step, _DRAWN_AT_ONCE):
                number = min(_DRAWN_AT_ONCE, self.trials_per_step - start)
                atoms, outcome = self._some_trials(number)
                changes.append(atoms[outcome.accepted])
                self.proposals += number
                self.trials += outcome.trials
                self.accepted += int(outcome.accepted.sum())
            self.last_changes = np.concatenate(changes)

    def move(self, atoms: Atoms, environment: Environment | None = None) -> None:
        """Go on from the places and species of other atoms, as many as before; an environment spares its finding."""
        self._atoms = atoms.copy()
        self._atoms.calc = None
        self.energies = self._engine(environment)

    def _some_trials(self, number: int) -> tuple[np.ndarray, Outcome]:
        """Draw and do trials; give their atoms (t, m) and what became of them."""
        raise NotImplementedError

    def _allowance(self, number: int) -> np.ndarray:
        """Draw -kT ln(u): a change of energy is accepted where it is not above."""
        return -BOLTZMANN_EV_PER_K * self.temperature_K * np.log1p(-self.rng.random(number))

    def observe(self) -> dict[str, float | np.ndarray]:
        """Give the energy per atom, counters and the composition in the order of the potential's elements."""
        n = len(self._atoms)
        share = np.bincount(self.energies.kinds, minlength=len(self._numbers)) / n
        return {
            "energy_eV_per_atom": self.energy_eV / n,
            "trials": float(self.trials),
            "accepted": float(self.accepted),
            "composition": share,
        }

    def atoms(self) -> Any:
        """Give the present atoms: those of the start with other species."""
        made = self._atoms.copy()
        made.numbers = self._numbers[self.energies.kinds]
        return made

    def _settings(self) -> dict[str, Any]:
        return {
            "walk": type(self).__name__,
            "potential": self.potential.name,
            "elements": list(self.energies.elements),
            "trials_per_step": self.trials_per_step,
            "places": self._atoms.positions,
            "cell": self._atoms.cell.array,
        }

    def state(self) -> dict[str, np.ndarray]:
        """Give all that the future depends on."""
        counters = np.array([self.proposals, self.trials, self.accepted])
        return {
            **self.energies.state(),
            "walk": walk_identity(self._settings()),
            "counters": counters,
            "temperature_K": np.array(self.temperature_K),
            "generator": generator_state(self.rng),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state; InputError where it belongs to another walk."""
        check_same_walk(state, self._settings())
        self.energies.restore(state)
        self.proposals, self.trials, self.accepted = (int(number) for number in state["counters"])
        self.temperature_K = float(state["temperature_K"])
        restore_generator(self.rng, state["generator"])


class AtomExchange(_AtomWalk):
    """Exchange unlike atoms at fixed places and composition.

    Parameters
    ----------
    atoms
        Places and species at the start; not changed.
    potential
        Anything behind the contract of potentials.
    temperature_K
        Temperature; may be set anew between steps.
    rng
        Where randomness comes from.
    near_share
        Share of proposals that take an atom and a neighbour, not any two atoms.
    near_A
        Distance up to which atoms are neighbours; wanted where `near_share` is not zero.
    trials_per_step
        Proposals of one step; None for as many as atoms.
    fast
        Use a compiled engine where the potential has one; without it, the generic one.

    Raises
    ------
    InputError
        Where the temperature is not positive, an element is unknown to the potential, or an atom has no neighbour
        within `near_A`.
    """

    def __init__(
        self,
        atoms: Atoms,
        potential: Potential,
        temperature_K: float,
        rng: np.random.Generator,
        *,
        near_share: float = 0.0,
        near_A: float | None = None,
        trials_per_step: int | None = None,
        fast: bool = True,
    ) -> None:
        super().__init__(atoms, potential, temperature_K, rng, trials_per_step, fast)
        if not 0 <= near_share <= 1 or (near_share > 0) != (near_A is not None):
            raise InputError(
                f"near_share {near_share}, near_A {near_A}; wanted a share from 0 to 1, and a distance with it"
            )
        self.near_share, self.near_A = float(near_share), near_A
        self._near = None if near_A is None else _near(find_neighbours([self._atoms], near_A), near_A)

    def move(self, atoms: Atoms, environment: Environment | None = None) -> None:
        """Go on from the places and species of other atoms, see `_AtomWalk`."""
        super().move(atoms, environment)
        if self.near_A is not None:
            self._near = _near(find_neighbours([self._atoms], self.near_A), self.near_A)

    def _some_trials(self, number: int) -> tuple[np.ndarray, Outcome]:
        first, second = self._proposals(number)
        outcome = self.energies.exchange(first, second, self._allowance(number))
        return np.column_stack([first, second]), outcome

    def _proposals(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        n = len(self._atoms)
        first = self.rng.integers(n, size=number)
        second = (first + 1 + self.rng.integers(n - 1, size=number)) % n
        if self._near is not None:
            starts, neighbours = self._near
            chosen = starts[first] + (self.rng.random(number) * (starts[first + 1] - starts[first])).astype(np.int64)
            second = np.where(self.rng.random(number) < self.near_share, neighbours[chosen], second)
        return first, second

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"near_share": self.near_share, "near_A": self.near_A}


class AtomReplacement(_AtomWalk):
    """Replace atoms by others at fixed places under chemical potentials: the semi-grand ensemble.

    `chemical_potentials_eV` names each element that may appear; only their differences count. Atoms of other elements
    are never replaced. Each proposal gives an atom one of the named elements. Further parameters are those of
    `AtomExchange`.
    """

    def __init__(
        self,
        atoms: Atoms,
        potential: Potential,
        temperature_K: float,
        rng: np.random.Generator,
        *,
        chemical_potentials_eV: Mapping[str, float],
        trials_per_step: int | None = None,
        fast: bool = True,
    ) -> None:
        super().__init__(atoms, potential, temperature_K, rng, trials_per_step, fast)
        elements = list(self.energies.elements)
        unknown = sorted(set(chemical_potentials_eV) - set(elements))
        numbers = list(chemical_potentials_eV.values())
        if unknown or len(numbers) < 2 or not np.isfinite(numbers).all():
            raise InputError(
                f"chemical potentials {dict(chemical_potentials_eV)}; wanted finite ones of at least two of"
                f" {', '.join(elements)}"
            )
        self.chemical_potentials_eV = dict(chemical_potentials_eV)
        self._allowed = np.array([k for k, element in enumerate(elements) if element in chemical_potentials_eV])
        self._potential_eV = np.array([float(chemical_potentials_eV.get(element, 0.0)) for element in elements])
        self._free = np.flatnonzero(np.isin(self.energies.kinds, self._allowed))
        if not len(self._free):
            raise InputError(f"no atom of {', '.join(self.chemical_potentials_eV)} to replace; wanted at least one")

    def _some_trials(self, number: int) -> tuple[np.ndarray, Outcome]:
        atoms = self._free[self.rng.integers(len(self._free), size=number)]
        # Drawn without looking at the species, so that trials can be sorted into waves; the same element is no trial.
        kinds = self._allowed[self.rng.integers(len(self._allowed), size=number)]
        return atoms[:, None], self.energies.replace(atoms, kinds, self._allowance(number), self._potential_eV)

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"chemical_potentials_eV": self.chemical_potentials_eV}


def _near(environment: Environment, near_A: float) -> tuple[np.ndarray, np.ndarray]:
    """List neighbours within a distance, without an atom's own images."""
    places = places_within(environment, near_A)
    first = np.repeat(np.arange(len(places.starts) - 1), np.diff(places.starts))
    other = places.second != first
    counts = np.bincount(first[other], minlength=len(places.starts) - 1)
    if not counts.all():
        raise InputError(
            f"atom {int(np.argmin(counts))} has no neighbour within {near_A} A; wanted at least one for near exchanges"
        )
    return np.concatenate([[0], np.cumsum(counts)]), places.second[other]
