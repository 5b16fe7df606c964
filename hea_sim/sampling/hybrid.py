"""Molecular dynamics and exchanges of atoms by turns: order and vibrations sampled together.

The rule. One cycle is `steps_per_cycle` time steps under a bath, then `trials_per_cycle` proposals of exchanges (or
replacements) at the places, cell and momenta of that moment:

| part | leaves unchanged |
|---|---|
| dynamics: "langevin", "bussi" | exp(-(E + K) / kT), but for errors of order dt^2 |
| dynamics: "npt" | exp(-(E + K + P V) / kT), but for errors of order dt |
| exchange: two atoms trade places, each keeps its momentum | the same |
| replacement: another element, momentum times sqrt(m' / m) | exp(-(E + K - sum_k mu_k N_k) / kT) |

Trials are drawn without looking at species and accepted with min(1, exp(-dE / kT)), or dE - dmu in place of dE; they
leave K as it is, and Maxwell-Boltzmann momenta go over into such momenta.
Each part leaves the same distribution unchanged, so any alternation does: what is sampled is the canonical (or
isobaric, or semi-grand) ensemble of species and places together, whatever the two numbers; they only change how fast.
A replacement changes the total momentum where masses differ, so that under "bussi" and "npt" the total momentum then
takes part in the ensemble (3 N degrees of freedom); exchanges keep it, and it stays zero (3 N - 3).
Nothing is relaxed. Chemical potentials are those of configurations: kinetic parts of elements are not in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.contract import Potential, SitePotential
from hea_sim.sampling.atom_exchange import AtomExchange, AtomReplacement
from hea_sim.sampling.contract import generator_state, restore_generator
from hea_sim.sampling.dynamics import Dynamics
from hea_sim.sampling.settings_check import check_same_walk, walk_identity

if TYPE_CHECKING:
    from ase import Atoms


class Hybrid:
    """Alternate dynamics and exchanges of one system; a walk whose step is one cycle.

    Parameters
    ----------
    atoms, potential, temperature_K
        As `Dynamics` takes them, for one system.
    rng
        Where randomness comes from; exchanges draw from a generator spawned from it.
    ensemble
        "langevin", "bussi" or "npt".
    steps_per_cycle, trials_per_cycle
        Time steps, and proposals of exchanges after them; None for as many as atoms.
    chemical_potentials_eV
        Replace atoms under these in place of exchanging them: the semi-grand ensemble, see `AtomReplacement`.
    near_share, near_A
        As `AtomExchange` takes them.
    dynamics
        Further settings of `Dynamics`.

    Raises
    ------
    InputError
        Where a setting is out of range, or the ensemble has no bath ("nve").
    """

    def __init__(
        self,
        atoms: Atoms,
        potential: Potential,
        temperature_K: float,
        rng: np.random.Generator,
        *,
        ensemble: str = "langevin",
        steps_per_cycle: int = 20,
        trials_per_cycle: int | None = None,
        chemical_potentials_eV: Mapping[str, float] | None = None,
        near_share: float = 0.0,
        near_A: float | None = None,
        **dynamics: Any,
    ) -> None:
        if ensemble == "nve":
            raise InputError("hybrid walk under 'nve', which has no bath; wanted langevin, bussi or npt")
        if not hasattr(atoms, "numbers") or steps_per_cycle < 1:
            raise InputError(
                f"hybrid walk with {steps_per_cycle} time steps a cycle; wanted one system, and at least 1"
            )
        (own,) = rng.spawn(1)
        self.dynamics = Dynamics(
            atoms, potential, temperature_K, rng,
            ensemble=ensemble, free_momentum=chemical_potentials_eV is not None, **dynamics,
        )  # fmt: skip
        if chemical_potentials_eV is None:
            self.exchange: AtomExchange | AtomReplacement = AtomExchange(
                atoms, potential, temperature_K, own,
                near_share=near_share, near_A=near_A, trials_per_step=trials_per_cycle,
            )  # fmt: skip
        elif near_A is None and not near_share:
            self.exchange = AtomReplacement(
                atoms, potential, temperature_K, own,
                chemical_potentials_eV=chemical_potentials_eV, trials_per_step=trials_per_cycle,
            )  # fmt: skip
        else:
            raise InputError("near_share and chemical potentials together; wanted exchanges, or replacements")
        self.steps_per_cycle, self.cycle = int(steps_per_cycle), 0

    @property
    def temperature_K(self) -> float:
        """Temperature of the bath."""
        return self.dynamics.temperature_K

    @temperature_K.setter
    def temperature_K(self, value: float) -> None:
        self.dynamics.temperature_K = value

    def advance(self, steps: int) -> None:
        """Make cycles."""
        for _ in range(steps):
            self.dynamics.advance(self.steps_per_cycle)
            self._exchange()
            self.cycle += 1

    def _exchange(self) -> None:
        walk, dynamics = self.exchange, self.dynamics
        walk.temperature_K = dynamics.temperature_K
        environment = dynamics.environment() if isinstance(walk.potential, SitePotential) else None
        walk.move(dynamics.system(0), environment)
        walk.advance(1)
        if isinstance(walk, AtomExchange):
            for first, second in walk.last_changes:
                dynamics.exchange_atoms(int(first), int(second))
        else:
            numbers = walk.atoms().numbers
            for atom in np.flatnonzero(numbers != dynamics.numbers):
                dynamics.replace_atom(int(atom), int(numbers[atom]))

    def observe(self) -> dict[str, float | np.ndarray]:
        """Give what the dynamics observe, and the counters of the trials."""
        walk = self.exchange
        return self.dynamics.observe() | {
            "trials": float(walk.trials), "accepted": float(walk.accepted), "cycles": float(self.cycle),
        }  # fmt: skip

    def atoms(self) -> Any:
        """Give the present atoms with their momenta."""
        return self.dynamics.atoms()

    def state(self) -> dict[str, np.ndarray]:
        """Give all that the future depends on."""
        walk = self.exchange
        return self.dynamics.state() | {
            "dynamics": self.dynamics.state()["walk"],
            "walk": walk_identity(self._settings()),
            "counters": np.array([self.cycle, walk.proposals, walk.trials, walk.accepted]),
            "exchange_generator": generator_state(walk.rng),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state; InputError where it belongs to another walk."""
        check_same_walk(state, self._settings())
        self.dynamics.restore({**state, "walk": state["dynamics"]})
        walk = self.exchange
        self.cycle, walk.proposals, walk.trials, walk.accepted = (int(number) for number in state["counters"])
        restore_generator(walk.rng, state["exchange_generator"])

    def _settings(self) -> dict[str, Any]:
        walk = self.exchange
        return {
            "walk": type(self).__name__,
            "exchange": type(walk).__name__,
            "steps_per_cycle": self.steps_per_cycle,
            "trials_per_cycle": walk.trials_per_step,
            "near": [walk.near_share, walk.near_A] if isinstance(walk, AtomExchange) else walk.chemical_potentials_eV,
        }
