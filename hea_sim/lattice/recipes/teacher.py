"""Labels from a universal potential: energy at three volumes for each designed cell, and its equation of state.

The labelling may be stopped at any time: finished cells stand in the npz file and are not computed again.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.errors import InputError
from hea_sim.lattice.recipes.designs import SIZE, CellDesign
from hea_sim.lattice.shells import lattice_points
from hea_sim.potentials.universal import UniversalPotential, universal_potential
from hea_sim.units import GPA_PER_EV_A3

#: Volumes of the three single points, relative to the guessed volume of the cell.
STRAINS = np.array([0.96, 1.0, 1.04])


def load_teacher(name: str) -> UniversalPotential:
    """Load a universal potential whose weights ship in its wheel, on one thread."""
    potential = universal_potential(name)
    import torch

    torch.set_num_threads(1)
    return potential


def label_designs(
    cells: Sequence[CellDesign],
    elements: Sequence[str],
    volume_guess_A3: np.ndarray,
    teacher: str,
    path: Path,
    *,
    only: Sequence[int] | None = None,
    every: int = 5,
) -> dict[str, np.ndarray]:
    """Label cells at three volumes, saving every few cells; return energies (n, 3) and pressures (n, 3)."""
    occupations = np.stack([cell.occupation for cell in cells])
    labels = _resume(path, occupations)
    asked = range(len(cells)) if only is None else only
    wanted = [k for k in asked if not np.isfinite(labels["energy_eV"][k]).all()]
    calculator = load_teacher(teacher).calculator() if wanted else None
    for done, k in enumerate(wanted, start=1):
        guess = volume_guess_A3[cells[k].occupation].mean()
        for v, strain in enumerate(STRAINS):
            atoms = cell_atoms(cells[k], elements, guess * strain)
            atoms.calc = calculator
            labels["volume_A3"][k, v] = guess * strain
            labels["energy_eV"][k, v] = atoms.get_potential_energy() / len(atoms)
            labels["pressure_GPa"][k, v] = -atoms.get_stress()[:3].mean() * GPA_PER_EV_A3
        if done % every == 0 or done == len(wanted):
            stream = io.BytesIO()
            np.savez_compressed(stream, allow_pickle=False, **labels)
            write_atomic(path, stream.getvalue())
            print(f"{teacher}: {done} of {len(wanted)} cells", flush=True)
    return labels


def _resume(path: Path, occupations: np.ndarray) -> dict[str, np.ndarray]:
    """Read finished labels, refusing those of other cells; or begin with none."""
    if not path.exists():
        empty = {name: np.full((len(occupations), 3), np.nan) for name in ("energy_eV", "pressure_GPa", "volume_A3")}
        return {"occupation": occupations, **empty}
    with np.load(path, allow_pickle=False) as stored:
        labels = {name: stored[name] for name in stored.files}
    if not np.array_equal(labels["occupation"], occupations):
        raise InputError(f"{path} holds labels of other cells (another design); remove it or name another --out")
    return labels


def cell_atoms(cell: CellDesign, elements: Sequence[str], volume_A3: float) -> Any:
    """Build the smallest repeating bcc cell of a design at a volume per atom."""
    from ase import Atoms

    period = (cell.period,) * 3
    a = (2 * volume_A3) ** (1 / 3)
    if cell.period not in (1, SIZE[0]):
        raise InputError(f"period {cell.period}; wanted 1 or {SIZE[0]}")
    points = lattice_points("A2", period)
    symbols = [elements[s] for s in cell.occupation[: len(points)]]
    return Atoms(symbols, positions=points * a / 2, cell=np.array(period) * a, pbc=True)


def equation_of_state(volume_A3: np.ndarray, energy_eV: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit E = c0 + c1 x + c2 x^2 with x = V^(-2/3) to each row; return E0 (eV), V0 (A^3), B (GPa).

    This is the second-order Birch equation (B' = 4): a parabola like one in V, but with the asymmetry that metals
    have, so that V0 does not depend on how far the guess lies off.

    >>> v = np.array([[15.0, 15.5, 16.0]]); x = v ** (-2 / 3)
    >>> e0, v0, _ = equation_of_state(v, 500 * (x - 15.6 ** (-2 / 3)) ** 2 - 3.0)
    >>> round(float(e0[0]), 6), round(float(v0[0]), 6)
    (-3.0, 15.6)
    """
    rows = []
    for v, e in zip(np.atleast_2d(volume_A3), np.atleast_2d(energy_eV), strict=True):
        x = v ** (-2 / 3)
        centre, scale = x.mean(), np.ptp(x)
        c2, c1, c0 = np.polyfit((x - centre) / scale, e, 2)
        if not c2 > 0:
            raise InputError("equation of state: the three energies have no minimum; wanted volumes around it")
        t0 = -c1 / (2 * c2)
        v0 = (centre + scale * t0) ** -1.5
        # d2E/dV2 at V0 is 2 c2 (dt/dV)^2 with dx/dV = -2/3 V^(-5/3).
        slope = (2 / 3) * v0 ** (-5 / 3) / scale
        rows.append((c0 - c1**2 / (4 * c2), v0, v0 * 2 * c2 * slope**2 * GPA_PER_EV_A3))
    e0, v0, bulk = np.array(rows).T
    return e0, v0, bulk
