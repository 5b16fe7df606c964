"""Wang-Landau: the density of states of one composition by a walk that makes all energies equally frequent.

| symbol | here |
|---|---|
| acceptance min(1, g(E) / g(E')), ln g(E) raised by ln f at every proposal (doi:10.1103/PhysRevLett.86.2050) | loop |
| ln f halved when all bins are visited alike, and 1 / t once that is larger (doi:10.1063/1.2803061) | `_look` |
| sum over bins of g = number of arrangements, N! / prod_i N_i! on each sublattice | `log_states` |
| Z(T) = sum_E g(E) exp(-E / k T) | `density_of_states` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.contract import LatticeModel
from hea_sim.sampling.density_of_states import DensityOfStates, log_arrangements, log_sum
from hea_sim.sampling.lattice_kernels import DRAWS, wang_landau_loop
from hea_sim.sampling.lattice_walks import CanonicalWalk, Start

#: Bins are alike when the least visited has this share of the mean.
_FLAT = 0.8


class WangLandau(CanonicalWalk):
    """Walk evenly through the energies of one composition, and learn how many arrangements have each.

    `energy_range_eV_per_atom` bounds the bins; without it, it is sought by annealing to a tenth of `temperature_K` and
    from random arrangements. `temperature_K` besides is where `observe` gives the canonical energy.
    """

    kind = "Wang-Landau"
    loop = staticmethod(wang_landau_loop)

    def __init__(
        self,
        model: LatticeModel,
        size: Sequence[int],
        start: Start,
        temperature_K: float,
        rng: np.random.Generator,
        *,
        bins: int = 200,
        energy_range_eV_per_atom: tuple[float, float] | None = None,
        near_share: float = 0.0,
        shells: int = 3,
        a_A: float | None = None,
        compiled: bool = True,
    ) -> None:
        if bins < 2:
            raise InputError(f"bins: got {bins}, wanted 2 or more")
        super().__init__(
            model, size, start, temperature_K, rng, near_share=near_share, shells=shells, a_A=a_A, compiled=compiled
        )
        if energy_range_eV_per_atom is None:
            energy_range_eV_per_atom = self._sought_range(rng)
        low, high = (e * len(self.occupation) for e in energy_range_eV_per_atom)
        if not low <= self.energy_eV < high:
            raise InputError(
                f"energy range {tuple(energy_range_eV_per_atom)} eV/atom does not hold the start, which has"
                f" {self.energy_eV / len(self.occupation):.6g}"
            )
        self._lowest_eV, self._width_eV = float(low), float((high - low) / bins)
        self._log_g, self._sums = np.zeros(bins), np.zeros(bins)
        self._visits, self._ever = np.zeros(bins, np.int64), np.zeros(bins, np.int64)
        here = int((self.energy_eV - self._lowest_eV) / self._width_eV)  # the start counts as seen
        self._ever[here], self._sums[here] = 1, self.energy_eV
        #: ln f, by which the density of states is raised now
        self.step, self._made, self._one_over_t = 1.0, 0, False

    def _sought_range(self, rng: np.random.Generator) -> tuple[float, float]:
        """Look for the lowest energy by annealing, and for the highest that random arrangements have."""
        walk = CanonicalWalk(self.model, self.size, self.occupation, self.temperature_K, rng)
        lowest = walk.energy_eV
        for temperature in np.geomspace(10 * self.temperature_K, 0.1 * self.temperature_K, 60):
            walk.temperature_K = float(temperature)
            walk.advance(20)
            lowest = min(lowest, walk.energy_eV)
        drawn = [self._shuffled(rng) for _ in range(30)]
        energies = np.array([self.model.energy_eV_per_atom(one, self.size) for one in drawn])
        low, n = lowest / len(self.occupation), len(self.occupation)
        high = max(energies.mean() + 4 * energies.std(), self.energy_eV / n)
        if high - low <= 1e-12:
            raise InputError("all arrangements have one energy: there is no density of states to learn")
        return low - 1e-3 * (high - low), high + 1e-3 * (high - low)

    def _shuffled(self, rng: np.random.Generator) -> np.ndarray:
        """Draw another arrangement; atoms stay on their sublattice."""
        drawn = self.occupation.copy()
        for first, last in zip(self._starts, self._starts[1:], strict=False):
            here = self._members[first:last]
            drawn[here] = rng.permutation(drawn[here])
        return drawn

    def _propose(self, proposals: int) -> tuple[int, int, float]:
        trials = accepted = 0
        energy, place = self.energy_eV, self._place
        left, each = proposals, 100 * len(self._log_g)
        while left > 0:
            part = min(left, each - self._made % each)
            made, done, energy = self._run(
                self.occupation, part, energy, self._key, place, self._nearest, self.near_share, self._sublattice,
                self._members, self._starts, self._lowest_eV, self._width_eV, self._log_g, self._visits, self._sums,
                self.step, self._one_over_t, self._made, self._bound.tables,
            )  # fmt: skip
            trials, accepted, left = trials + made, accepted + done, left - part
            self._made += part
            place = place + np.uint64(part) * DRAWS
            if self._made % each == 0:
                self._look()
        return trials, accepted, energy

    def _look(self) -> None:
        """Halve ln f where all bins that can be reached were visited alike; go over to 1 / t when that is larger."""
        reached = self._ever + self._visits > 0
        flat = self._visits[reached].min() > _FLAT * self._visits[reached].mean()
        if flat and not self._one_over_t:
            self.step /= 2
        if flat or self._one_over_t:
            self._ever += self._visits
            self._visits[:] = 0
        time = self._made / len(self._log_g)
        self._one_over_t = self._one_over_t or self.step < 1 / time
        if self._one_over_t:
            self.step = 1 / time

    @property
    def energies_eV_per_atom(self) -> np.ndarray:
        """Give the mean energy (bins,) of the arrangements of each bin; NaN where none was seen."""
        seen = self._ever + self._visits
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._sums / seen / len(self.occupation)

    @property
    def log_states(self) -> np.ndarray:
        """Give ln g (bins,), so that all bins together hold all arrangements; -inf where none was seen."""
        seen = self._ever + self._visits > 0
        found = np.where(seen, self._log_g, -np.inf)
        counts = [
            np.bincount(self.occupation[self._sublattice == k]) for k in range(len(self._starts) - 1)
        ]  # atoms stay on their sublattice
        return found - log_sum(found) + sum(log_arrangements(one) for one in counts)

    @property
    def density(self) -> DensityOfStates:
        """Give the density of states as it is known now."""
        return DensityOfStates(
            n_atoms=len(self.occupation), energies_eV_per_atom=self.energies_eV_per_atom, log_states=self.log_states
        )

    def canonical(self, temperature_K: float) -> dict[str, float]:
        """Give energy and free energy (eV/atom) and heat capacity (k per atom) at a temperature."""
        return self.density.canonical(temperature_K)

    def observe(self) -> dict[str, float | np.ndarray]:
        """Give the canonical energy at `temperature_K`, the density of states so far, and what every walk gives.

        "present_energy_eV_per_atom" is that of the present arrangement.
        """
        return super().observe() | {
            "energy_eV_per_atom": self.canonical(self.temperature_K)["energy_eV_per_atom"],
            "present_energy_eV_per_atom": self.energy_eV / len(self.occupation),
            "log_states": self.log_states,
            "energies_eV_per_atom": self.energies_eV_per_atom,
            "step": self.step,
        }

    def state(self) -> dict[str, np.ndarray]:
        """Give all that the future depends on."""
        return super().state() | {
            "log_g": self._log_g.copy(),
            "sums": self._sums.copy(),
            "visits": np.array([self._visits, self._ever]),
            "progress": np.array([self.step, self._made, self._one_over_t], float),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state."""
        super().restore(state)
        self._log_g, self._sums = np.array(state["log_g"]), np.array(state["sums"])
        self._visits, self._ever = np.array(state["visits"])
        self.step, self._made = float(state["progress"][0]), int(state["progress"][1])
        self._one_over_t = bool(state["progress"][2])

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {"bins": [self._lowest_eV, self._width_eV, len(self._log_g)]}
