"""What all of mechanics needs: atoms with a calculator, their stress, and positions at rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from ase.units import GPa

from hea_sim.errors import InputError
from hea_sim.potentials.contract import SitePotential


def with_calculator(atoms: Any, potential: Any) -> Any:
    """Copy atoms, without constraints, and give them the calculator of a potential, or an ASE calculator itself.

    Raises InputError where the atoms are not periodic in all directions, or nothing here can compute.
    """
    if not (len(atoms) and atoms.pbc.all() and abs(atoms.cell.volume) > 1e-6):
        raise InputError(
            f"{atoms.get_chemical_formula() or 'no atoms'}, periodic {atoms.pbc.tolist()}, cell of"
            f" {atoms.cell.volume:.3g} A^3; wanted a crystal: atoms that are periodic in all directions"
        )
    if hasattr(potential, "get_potential_energy"):
        calculator = potential
    elif isinstance(potential, SitePotential):  # hundreds of steps, of whose energies nobody asks the error
        calculator = replace(potential, variance=None).calculator()
    elif callable(getattr(potential, "calculator", None)):
        calculator = potential.calculator()
    else:
        raise InputError(f"got {type(potential).__name__}; wanted a potential with .calculator(), or an ASE calculator")
    copy = atoms.copy()
    copy.set_constraint()
    copy.calc = calculator
    return copy


def stress_GPa(atoms: Any) -> np.ndarray:
    """Give the stress (6,) in GPa, order xx yy zz yz xz xy, positive under tension."""
    return np.asarray(atoms.get_stress(voigt=True), float) / GPa


def pressure_GPa(atoms: Any) -> float:
    """Give the hydrostatic pressure, positive under compression."""
    return -float(stress_GPa(atoms)[:3].mean())


def scaled(atoms: Any, strain: float) -> Any:
    """Copy atoms and their calculator, all lengths times 1 + strain."""
    copy = atoms.copy()
    copy.calc = atoms.calc
    copy.set_cell(atoms.cell.array * (1 + strain), scale_atoms=True)
    return copy


def bulk_modulus_GPa(atoms: Any, strain: float = 2e-3) -> float:
    """Give -V dP/dV at relative positions held, from the pressures at two volumes."""
    return (pressure_GPa(scaled(atoms, -strain)) - pressure_GPa(scaled(atoms, strain))) / (6 * strain)


def run_to_rest(target: Any, fmax_eV_per_A: float, max_steps: int, what: str) -> int:
    """Move atoms, or a cell filter, until the largest force is below a limit; give the number of steps.

    L-BFGS first; where it does not arrive, FIRE from where it stopped. Raises InputError where both fail.
    """
    from ase.optimize import FIRE, LBFGS

    if not (fmax_eV_per_A > 0 and max_steps > 0):
        raise InputError(f"fmax {fmax_eV_per_A} eV/A, {max_steps} steps; wanted both above 0")
    steps = 0
    for method in (LBFGS, FIRE):
        optimizer = method(target, logfile=None)  # type: ignore[arg-type]
        arrived = optimizer.run(fmax=fmax_eV_per_A, steps=max_steps)
        steps += optimizer.get_number_of_steps()
        if arrived:
            return steps
    largest = float(np.sqrt((target.get_forces() ** 2).sum(axis=1).max()))
    raise InputError(
        f"{what}: the largest force is {largest:.2g} eV/A after {steps} steps, wanted {fmax_eV_per_A:g}; raise"
        " max_steps or fmax_eV_per_A (float32 potentials: 1e-3), or look whether the crystal is stable"
    )
