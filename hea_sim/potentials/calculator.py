"""The ASE face of a potential."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.environment import NeighbourKeeper


class PotentialCalculator(Calculator):
    """Let ASE ask a potential for energy, site energies, forces and stress; `energy_std` in eV where it has one.

    The stress is in eV/A^3 in ASE's order of Voigt. Neighbours are kept over steps, see `NeighbourKeeper`.
    """

    implemented_properties: list[str] = [  # noqa: RUF012
        "energy", "free_energy", "energies", "forces", "stress", "energy_std",
    ]  # fmt: skip

    def __init__(self, potential: SitePotential, *, skin_A: float = 0.5) -> None:
        super().__init__()
        self.potential = potential
        self.neighbours = NeighbourKeeper(potential.cutoff_A, skin_A)

    def calculate(
        self, atoms: Any = None, properties: tuple[str, ...] = ("energy",), system_changes: list[str] = all_changes
    ) -> None:
        """Compute everything at once, but the std of the energy only where it is asked for: it takes far longer."""
        super().calculate(atoms, properties, system_changes)
        environment = self.neighbours.environment(self.atoms)
        result = self.potential.evaluate_in(environment, uncertainty="energy_std" in properties)[0]
        self.results = {
            "energy": result.energy_eV,
            "free_energy": result.energy_eV,
            "energies": result.site_energies_eV,
            "forces": result.forces_eV_per_A,
        }
        if result.stress_eV_per_A3 is not None:
            s = result.stress_eV_per_A3
            self.results["stress"] = np.array([s[0, 0], s[1, 1], s[2, 2], s[1, 2], s[0, 2], s[0, 1]])
        if result.energy_std_eV is not None:
            self.results["energy_std"] = result.energy_std_eV
