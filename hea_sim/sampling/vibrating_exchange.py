"""Order and vibrations together by Monte Carlo alone: exchanges of atoms, and displacements of single atoms.

| trial | drawn | accepted with |
|---|---|---|
| exchange | as in `AtomExchange`, at the places of the moment | min(1, exp(-dE / kT)) |
| displacement of one atom, drawn at random | evenly in a cube of half side `largest_A` | min(1, exp(-dE / kT)) |

Both are as likely forth as back, so each keeps detailed balance, and so does any number of one after any number of the
other: what is sampled is exp(-E / kT) of species and places together, without the error of a time step. The cell stays
as it is: for one that floats see `hea_sim.sampling.hybrid`. Either trial costs the surroundings of its atoms, whatever
the size of the system. Neighbours for near exchanges are those of the places at the start: an atom is a site here, and
a list that never changes is as likely forth as back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.contract import SitePotential
from hea_sim.sampling.atom_exchange import AtomExchange
from hea_sim.sampling.local_energies_moving import MovingEnergies

if TYPE_CHECKING:
    from ase import Atoms

    from hea_sim.potentials.environment import Environment


class VibratingExchange(AtomExchange):
    """Exchange unlike atoms and displace atoms, one after another; a walk whose step is a sweep of both.

    Parameters
    ----------
    atoms, potential, temperature_K, rng, near_share, near_A
        As `AtomExchange` takes them; the potential is a site model (`SitePotential`).
    exchanges_per_step, displacements_per_step
        Proposals of each kind in a step; None for as many as atoms. Zero exchanges sample vibrations alone.
    largest_A
        Largest displacement along each axis; a third to a half accepted is a good measure. It stays as it is.
    skin_A
        Neighbours are listed up to the cutoff and this; more spares finding them anew, and costs memory.

    Raises
    ------
    InputError
        Where a setting is out of range, or the potential is no site model.
    """

    energies: MovingEnergies

    def __init__(
        self,
        atoms: Atoms,
        potential: SitePotential,
        temperature_K: float,
        rng: np.random.Generator,
        *,
        exchanges_per_step: int | None = None,
        displacements_per_step: int | None = None,
        largest_A: float = 0.1,
        near_share: float = 0.0,
        near_A: float | None = None,
        skin_A: float = 1.0,
    ) -> None:
        if not isinstance(potential, SitePotential):
            raise InputError(f"{potential.name} gives no energies of sites; wanted a site model, or a Hybrid walk")
        self.largest_A, self.skin_A = float(largest_A), float(skin_A)
        if not 0 < largest_A <= 0.25 * skin_A:
            raise InputError(f"largest_A {largest_A} A; wanted above 0 and at most a quarter of the skin, {skin_A} A")
        exchanges = len(atoms) if exchanges_per_step is None else int(exchanges_per_step)
        self.displacements_per_step = len(atoms) if displacements_per_step is None else int(displacements_per_step)
        if exchanges < 0 or self.displacements_per_step < 1:
            raise InputError(
                f"{exchanges} exchanges, {displacements_per_step} displacements a step; wanted none or some of the"
                " former, and at least one of the latter"
            )
        self.displacements = self.displaced = 0
        super().__init__(
            atoms, potential, temperature_K, rng,
            near_share=near_share, near_A=near_A, trials_per_step=max(exchanges, 1),
        )  # fmt: skip
        self.exchanges_per_step = exchanges

    def _engine(self, environment: Environment | None = None) -> MovingEnergies:
        assert isinstance(self.potential, SitePotential)  # as asked for above
        return MovingEnergies(self.potential, self._atoms, self.skin_A)

    def advance(self, steps: int) -> None:
        """Make `exchanges_per_step` and then `displacements_per_step` proposals a step."""
        for _ in range(steps):
            if self.exchanges_per_step:
                super().advance(1)
            number = self.displacements_per_step
            which = self.rng.integers(len(self._atoms), size=number)
            shifts = self.largest_A * self.rng.uniform(-1, 1, (number, 3))
            outcome = self.energies.displace(which, shifts, self._allowance(number))
            self.displacements += number
            self.displaced += int(outcome.accepted.sum())

    def observe(self) -> dict[str, float | np.ndarray]:
        """Give what exchanges observe, and how many displacements were tried and accepted."""
        moved = {"displacements": float(self.displacements), "displaced": float(self.displaced)}
        return super().observe() | moved

    def atoms(self) -> Any:
        """Give the present atoms at their present places."""
        made = super().atoms()
        made.positions = self.energies.positions
        return made

    def state(self) -> dict[str, np.ndarray]:
        """Give all that the future depends on."""
        return super().state() | {"moves": np.array([self.displacements, self.displaced])}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state; InputError where it belongs to another walk."""
        super().restore(state)
        self.displacements, self.displaced = (int(number) for number in state["moves"])

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {
            "exchanges_per_step": self.exchanges_per_step,
            "displacements_per_step": self.displacements_per_step,
            "largest_A": self.largest_A,
            "skin_A": self.skin_A,
        }
