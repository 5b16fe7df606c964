"""The volume, and where asked the shape, at which a crystal is free of pressure."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.units import GPa

from hea_sim.errors import InputError
from hea_sim.mechanics.relaxation import bulk_modulus_GPa, run_to_rest, stress_GPa, with_calculator
from hea_sim.records import Estimate


@dataclass(frozen=True, kw_only=True, eq=False)
class RelaxedCell:
    """Hold a relaxed crystal.

    `atoms` without a calculator; `volume_A3` per atom, its std from the pressure left and the bulk modulus;
    `energy_eV_per_atom`; `stress_GPa` (6,) xx yy zz yz xz xy, what is left; `bulk_modulus_GPa` at relative positions
    held; `steps` that the optimizer took.
    """

    atoms: Any
    volume_A3: Estimate
    energy_eV_per_atom: float
    stress_GPa: np.ndarray
    bulk_modulus_GPa: float
    steps: int

    def lattice_parameter_A(self, atoms_per_cell: int) -> Estimate:
        """Give the edge of a cube of so many atoms: 2 for bcc, 4 for fcc."""
        if atoms_per_cell < 1:
            raise InputError(f"{atoms_per_cell} atoms in a cell; wanted 2 for bcc, 4 for fcc")
        volume = self.volume_A3
        a = (atoms_per_cell * volume.value) ** (1 / 3)
        std = a / 3 * (volume.std or 0.0) / volume.value
        return Estimate.normal(a, std, unit="A", method=f"cube of {atoms_per_cell} atoms; {volume.method}")


def relaxed_volume(
    potential: Any,
    atoms: Any,
    *,
    fix_shape: bool = True,
    relax_ions: bool = True,
    at_pressure_GPa: float = 0.0,
    fmax_eV_per_A: float = 1e-4,
    max_steps: int = 500,
) -> RelaxedCell:
    """Relax the volume of a crystal, with the atoms in it; the shape too where `fix_shape` is False.

    `potential` is anything with `.calculator()`, or an ASE calculator. The stress at rest is below about
    `fmax_eV_per_A` over the volume per atom: 0.001 GPa for the default.
    """
    from ase.constraints import FixAtoms
    from ase.filters import FrechetCellFilter

    work = with_calculator(atoms, potential)
    if not relax_ions:
        work.set_constraint(FixAtoms(indices=range(len(work))))
    cell = FrechetCellFilter(work, hydrostatic_strain=fix_shape, scalar_pressure=at_pressure_GPa * GPa)
    with warnings.catch_warnings():  # the logarithm of the strain is good to 1e-12, which SciPy finds worth saying
        warnings.filterwarnings("ignore", message="logm result may be inaccurate")
        steps = run_to_rest(cell, fmax_eV_per_A, max_steps, f"volume of {work.get_chemical_formula()}")
    work.set_constraint()
    stress, bulk = stress_GPa(work), bulk_modulus_GPa(work)
    left = abs(stress[:3].mean() + at_pressure_GPa)
    volume = work.cell.volume / len(work)
    moved = "volume" if fix_shape else "volume and shape"
    method = f"{moved} relaxed {'with' if relax_ions else 'without'} the atoms at {at_pressure_GPa:g} GPa"
    energy = float(work.get_potential_energy()) / len(work)
    work.calc = None
    return RelaxedCell(
        atoms=work,
        volume_A3=Estimate.normal(volume, volume * left / abs(bulk), unit="A^3", method=method),
        energy_eV_per_atom=energy,
        stress_GPa=stress,
        bulk_modulus_GPa=bulk,
        steps=steps,
    )
