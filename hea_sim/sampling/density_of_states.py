"""What a density of states tells of every temperature: energy, free energy, heat capacity, transitions, weights.

| symbol | here |
|---|---|
| ln g(E), of the bins of a walk | `DensityOfStates.log_states` |
| Z(T) = sum_E g(E) exp(-E / k T), F = -k T ln Z | `DensityOfStates.canonical` |
| C / k = (<E^2> - <E>^2) / (k T)^2 | `heat_capacity_k_per_atom` |
| number of arrangements, N! / prod_i N_i! | `log_arrangements` |
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma

import numpy as np

from hea_sim.sampling.settings_check import check_temperature
from hea_sim.units import BOLTZMANN_EV_PER_K

#: Points between two temperatures at which a curve is drawn and its peak is sought.
_POINTS = 400


@dataclass(frozen=True, kw_only=True, eq=False)
class DensityOfStates:
    """Hold how many arrangements of a cell have each energy.

    `energies_eV_per_atom` (bins,) are the mean energies of the arrangements of each bin, `log_states` (bins,) the
    logarithm of their number; -inf where none was seen. Energies beyond the bins are left out: temperatures must be
    such that they do not matter.
    """

    n_atoms: int
    energies_eV_per_atom: np.ndarray
    log_states: np.ndarray

    def weights(self, temperature_K: float) -> np.ndarray:
        """Give the probability (bins,) of each bin at a temperature."""
        exponent, log_z = self._exponent(temperature_K)
        return np.asarray(np.exp(exponent - log_z))

    def canonical(self, temperature_K: float) -> dict[str, float]:
        """Give energy and free energy (eV/atom) and heat capacity (k per atom) at a temperature."""
        n, kT = self.n_atoms, BOLTZMANN_EV_PER_K * temperature_K
        exponent, log_z = self._exponent(temperature_K)
        weight = np.exp(exponent - log_z)
        energy = np.where(np.isfinite(self.log_states), self.energies_eV_per_atom, 0.0) * n
        mean = float(weight @ energy)
        return {
            "energy_eV_per_atom": mean / n,
            "heat_capacity_k_per_atom": float(weight @ (energy - mean) ** 2) / kT**2 / n,
            "free_energy_eV_per_atom": -kT * log_z / n,
        }

    def _exponent(self, temperature_K: float) -> tuple[np.ndarray, float]:
        kT = BOLTZMANN_EV_PER_K * check_temperature(temperature_K)
        seen = np.isfinite(self.log_states)
        exponent = np.full(len(seen), -np.inf)
        exponent[seen] = self.log_states[seen] - self.energies_eV_per_atom[seen] * self.n_atoms / kT
        return exponent, log_sum(exponent)

    def curve(self, low_K: float, high_K: float) -> dict[str, np.ndarray]:
        """Give "temperature_K" and what `canonical` gives on a fine grid between two temperatures."""
        grid = np.geomspace(low_K, high_K, _POINTS)
        rows = [self.canonical(float(t)) for t in grid]
        return {"temperature_K": grid} | {key: np.array([row[key] for row in rows]) for key in rows[0]}

    def peaks(self, low_K: float, high_K: float) -> list[tuple[float, float]]:
        """Find the inner peaks of the heat capacity, highest first: temperature (K) and height (k per atom).

        A peak counts that stands out by a tenth of its height.
        """
        from scipy.signal import find_peaks

        found = self.curve(low_K, high_K)
        t, c = found["temperature_K"], found["heat_capacity_k_per_atom"]
        at, more = find_peaks(c, prominence=0)
        kept = at[more["prominences"] > 0.1 * c[at]]
        return [_top(t[k - 1 : k + 2], c[k - 1 : k + 2]) for k in sorted(kept, key=lambda k: -c[k])]

    def two_peaked(self, temperature_K: float) -> bool:
        """Tell whether energies stand apart near a temperature, as at a transition of first order."""
        from hea_sim.observables.transitions import two_peaked

        energies = np.where(np.isfinite(self.log_states), self.energies_eV_per_atom, 0.0)
        return two_peaked(energies, self.weights, temperature_K)


def log_arrangements(counts: np.ndarray) -> float:
    """Count the arrangements of so many atoms of each species, as a logarithm.

    >>> round(float(np.exp(log_arrangements(np.array([2, 2])))), 6)
    6.0
    """
    return float(lgamma(counts.sum() + 1) - sum(lgamma(n + 1) for n in counts))


def log_sum(logs: np.ndarray) -> float:
    """Give ln sum exp."""
    top = logs.max()
    return float(top + np.log(np.exp(logs - top).sum()))


def _top(t: np.ndarray, c: np.ndarray) -> tuple[float, float]:
    """Place the top of the parabola through three points."""
    a, b, height = np.polyfit(t - t[1], c, 2)
    shift = float(np.clip(-b / (2 * a), t[0] - t[1], t[2] - t[1])) if a < 0 else 0.0
    return float(t[1]) + shift, float(height + b * shift + a * shift**2)
