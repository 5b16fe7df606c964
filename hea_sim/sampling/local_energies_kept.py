"""Trials under a potential of which sums over neighbours are kept: moments of an MTP, densities of a SNAP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.environment import Environment
from hea_sim.potentials.mtp import MtpModel
from hea_sim.potentials.snap import SnapModel
from hea_sim.sampling.local_energies import Outcome, offsets_of, places_within

#: Models that have a compiled engine of trials.
WITH_ENGINE = (MtpModel, SnapModel)


class _Follower(Protocol):
    """What `MtpLocal` and `SnapLocal` have in common."""

    @property
    def kinds(self) -> np.ndarray: ...
    @property
    def energies_eV(self) -> np.ndarray: ...
    def restore(self, kinds: np.ndarray, energies_eV: np.ndarray) -> None: ...
    def walk(
        self, atoms: np.ndarray, kinds: np.ndarray | None, allowance_eV: np.ndarray, potential_eV: np.ndarray
    ) -> tuple[int, np.ndarray, np.ndarray]: ...


class KeptEnergies:
    """Do trials at the cost of what follows from the kept sums of their centres; a `LocalEnergies`.

    The model of the potential is one of `WITH_ENGINE`.
    """

    def __init__(self, potential: SitePotential, environment: Environment) -> None:
        self.elements = potential.elements
        places = places_within(environment, potential.cutoff_A)
        self._local = _follower(
            potential.model, *places, environment.indices_of(self.elements), offsets_of(potential)
        )  # fmt: skip
        self.energy_eV = float(self._local.energies_eV.sum())

    @property
    def kinds(self) -> np.ndarray:
        """Present species (n,), places in `elements`."""
        return self._local.kinds

    def exchange(self, first: np.ndarray, second: np.ndarray, allowance_eV: np.ndarray) -> Outcome:
        """Exchange species, see `LocalEnergies`."""
        return self._followed(self._local.walk(
            np.column_stack([first, second]), None, allowance_eV, np.zeros(len(self.elements))
        ))  # fmt: skip

    def replace(
        self, atoms: np.ndarray, kinds: np.ndarray, allowance_eV: np.ndarray, potential_eV: np.ndarray
    ) -> Outcome:
        """Replace species, see `LocalEnergies`."""
        return self._followed(
            self._local.walk(np.asarray(atoms)[:, None], np.asarray(kinds)[:, None], allowance_eV, potential_eV)
        )

    def state(self) -> dict[str, np.ndarray]:
        """Give what the future depends on, see `LocalEnergies`."""
        return {
            "kinds": self.kinds.copy(),
            "energy_eV": np.array(self.energy_eV),
            "site_energies_eV": self._local.energies_eV.copy(),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state, see `LocalEnergies`."""
        self._local.restore(state["kinds"], state["site_energies_eV"])
        self.energy_eV = float(state["energy_eV"])

    def _followed(self, done: tuple[int, np.ndarray, np.ndarray]) -> Outcome:
        trials, accepted, change = done
        for one in change[accepted]:
            self.energy_eV += float(one)
        return Outcome(trials, accepted, change)


def _follower(model: Any, *given: np.ndarray) -> _Follower:
    if isinstance(model, SnapModel):
        from hea_sim.potentials.snap_local import SnapLocal

        return SnapLocal(model, *given)
    from hea_sim.potentials.mtp_local import MtpLocal

    return MtpLocal(model, *given)
