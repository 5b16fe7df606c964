"""Errors of a potential on labelled structures, by group, with and without the frames that have no forces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from hea_sim.potentials.fitting.structures import TrainingStructure
from hea_sim.units import GPA_PER_EV_A3

_ATOMS_AT_ONCE = 2000
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Hold what a potential says of labelled structures, in their order; stress is None where either side has none."""

    structures: tuple[TrainingStructure, ...]
    energies_eV: np.ndarray
    forces_eV_per_A: tuple[np.ndarray, ...]
    stresses_eV_per_A3: tuple[np.ndarray | None, ...]
    energy_stds_eV: tuple[float | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ErrorRow:
    """Hold the errors of one group; of forces and stresses those of their components.

    `moving` are errors without the frames whose forces vanish by symmetry; None where nothing is left to compare.
    """

    group: str
    n_structures: int
    n_atoms: int
    energy_mae_meV_per_atom: float
    energy_rmse_meV_per_atom: float
    force_mae_eV_per_A: float
    force_rmse_eV_per_A: float
    force_mae_moving_eV_per_A: float | None
    force_rmse_moving_eV_per_A: float | None
    n_zero_force: int
    stress_mae_GPa: float | None
    stress_rmse_GPa: float | None


ERROR_COLUMNS = tuple(f.name for f in fields(ErrorRow))


def predict_structures(
    potential: Any,
    structures: Sequence[TrainingStructure],
    progress: Callable[[int, int], None] | None = None,
    *,
    uncertainty: bool = False,
) -> Predictions:
    """Evaluate a potential on structures, some thousand atoms at a time; with `uncertainty` the std of energies too."""
    energies, forces, stresses, stds = [], [], [], []
    start = 0
    while start < len(structures):
        end, atoms = start, 0
        while end < len(structures) and (end == start or atoms + structures[end].n_atoms <= _ATOMS_AT_ONCE):
            atoms += structures[end].n_atoms
            end += 1
        results = potential.evaluate([s.atoms for s in structures[start:end]], uncertainty=uncertainty)
        for structure, result in zip(structures[start:end], results, strict=True):
            energies.append(result.energy_eV)
            forces.append(result.forces_eV_per_A)
            both = structure.stress_eV_per_A3 is not None and result.stress_eV_per_A3 is not None
            stresses.append(result.stress_eV_per_A3[VOIGT] if both else None)
            stds.append(result.energy_std_eV)
        start = end
        if progress is not None:
            progress(end, len(structures))
    return Predictions(
        structures=tuple(structures),
        energies_eV=np.array(energies),
        forces_eV_per_A=tuple(forces),
        stresses_eV_per_A3=tuple(stresses),
        energy_stds_eV=tuple(stds),
    )


def error_table(predictions: Predictions) -> list[ErrorRow]:
    """Count the errors of each group, and of all together in a first row named "all"."""
    groups = dict.fromkeys(s.group for s in predictions.structures)
    rows = [_row("all", range(len(predictions.structures)), predictions)]
    for group in groups if list(groups) != ["all"] else ():
        rows.append(_row(group, [k for k, s in enumerate(predictions.structures) if s.group == group], predictions))
    return rows


def _row(group: str, frames: Sequence[int], predictions: Predictions) -> ErrorRow:
    structures = [predictions.structures[k] for k in frames]
    energy = 1e3 * np.array(
        [(predictions.energies_eV[k] - s.energy_eV) / s.n_atoms for k, s in zip(frames, structures)]
    )
    forces = [predictions.forces_eV_per_A[k] - s.forces_eV_per_A for k, s in zip(frames, structures)]
    moving = [f for f, s in zip(forces, structures) if not s.forces_are_zero]
    stress = [
        GPA_PER_EV_A3 * (predicted - s.stress_eV_per_A3)
        for k, s in zip(frames, structures)
        if (predicted := predictions.stresses_eV_per_A3[k]) is not None and s.stress_eV_per_A3 is not None
    ]
    force_mae, force_rmse = _mean_errors(forces)
    moving_mae, moving_rmse = _mean_errors(moving)
    stress_mae, stress_rmse = _mean_errors(stress)
    assert force_mae is not None and force_rmse is not None
    return ErrorRow(
        group=group,
        n_structures=len(structures),
        n_atoms=sum(s.n_atoms for s in structures),
        energy_mae_meV_per_atom=float(np.abs(energy).mean()),
        energy_rmse_meV_per_atom=float(np.sqrt(np.square(energy).mean())),
        force_mae_eV_per_A=force_mae,
        force_rmse_eV_per_A=force_rmse,
        force_mae_moving_eV_per_A=moving_mae,
        force_rmse_moving_eV_per_A=moving_rmse,
        n_zero_force=len(forces) - len(moving),
        stress_mae_GPa=stress_mae,
        stress_rmse_GPa=stress_rmse,
    )


def _mean_errors(errors: Sequence[np.ndarray]) -> tuple[float | None, float | None]:
    if not errors:
        return None, None
    every = np.concatenate([np.ravel(e) for e in errors])
    return float(np.abs(every).mean()), float(np.sqrt(np.square(every).mean()))
