"""Near-lattice frames of the open Nb-Mo-Ta-W DFT set (Li et al. 2020): read, match to sites, correct for pressure."""

from __future__ import annotations

import io
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError, MissingFileError
from hea_sim.lattice.fit import FitCell
from hea_sim.lattice.shells import lattice_points
from hea_sim.units import GPA_PER_EV_A3

ELEMENTS = ("Nb", "Mo", "Ta", "W")
#: Bulk energies (eV/atom) of the same DFT set, to which energies are referred.
BULK_ENERGY_EV = {"Nb": -10.09499, "Mo": -10.84830, "Ta": -11.85294, "W": -12.96030}
#: Bulk moduli (GPa) from the elastic frames of the same set, (C11 + 2 C12) / 3.
BULK_MODULUS_GPA = {"Nb": 175.8, "Mo": 264.5, "Ta": 195.3, "W": 305.0}

#: A relaxed frame: its largest force (eV/A), pressure (GPa) and displacement from the bcc site (A).
MAX_FORCE, MAX_PRESSURE, MAX_DISPLACEMENT = 0.15, 2.0, 0.25


@dataclass(frozen=True, kw_only=True, eq=False)
class LatticeFrame:
    """Hold one frame matched to bcc sites, with what says whether it is near the lattice and relaxed."""

    atoms: Any
    occupation: np.ndarray
    size: tuple[int, int, int]
    displacement_rms_A: float
    displacement_max_A: float
    force_max: float
    pressure_GPa: float
    group: str


def read_frames(data: Path, name: str) -> list[Any]:
    """Read `train` or `test` of the set; the file is unpacked first, because seeking in xz takes minutes."""
    import ase.io

    path = data / f"{name}.extxyz.xz"
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; wanted the folder of the Nb-Mo-Ta-W set (potentials/nbmotaw)")
    with lzma.open(path, "rt", encoding="utf-8") as stream:
        text = io.StringIO(stream.read())
    frames = ase.io.read(text, ":", format="extxyz")
    return frames if isinstance(frames, list) else [frames]


def match_to_bcc(atoms: Any) -> LatticeFrame | None:
    """Match the atoms of a cubic n x n x n cell to bcc sites; None where two atoms claim one site."""
    n = round((len(atoms) / 2) ** (1 / 3))
    if 2 * n**3 != len(atoms):
        return None
    sites = lattice_points("A2", (n, n, n)) / (2 * n)
    scaled, shift = atoms.get_scaled_positions(), np.zeros(3)
    cell = np.asarray(atoms.cell)
    for _ in range(3):
        away = scaled[:, None] - shift - sites[None]
        away -= np.round(away)
        nearest = np.argmin(((away @ cell) ** 2).sum(axis=-1), axis=1)
        residual = away[np.arange(len(atoms)), nearest]
        shift = shift + residual.mean(axis=0)
    if len(set(nearest.tolist())) != len(atoms) or not set(atoms.symbols) <= set(ELEMENTS):
        return None
    occupation = np.empty(len(atoms), dtype=np.int8)
    occupation[nearest] = [ELEMENTS.index(s) for s in atoms.symbols]
    distance = np.linalg.norm((residual - residual.mean(axis=0)) @ cell, axis=1)
    return LatticeFrame(
        atoms=atoms,
        occupation=occupation,
        size=(n, n, n),
        displacement_rms_A=float(np.sqrt((distance**2).mean())),
        displacement_max_A=float(distance.max()),
        force_max=float(np.linalg.norm(atoms.get_forces(), axis=1).max()),
        pressure_GPa=_pressure_GPa(atoms),
        group=str(atoms.info.get("group", "")),
    )


def corrected_energy_and_volume(frame: LatticeFrame) -> tuple[float, float]:
    """Refer energy to the elements and correct it, and the volume, to zero pressure.

    To second order E0 = E - P^2 V / (2 B) and V0 = V (1 + P / B), with B by the rule of mixture.
    """
    atoms = frame.atoms
    symbols = list(atoms.symbols)
    volume = atoms.get_volume() / len(atoms)
    bulk = float(np.mean([BULK_MODULUS_GPA[s] for s in symbols]))
    reference = float(np.mean([BULK_ENERGY_EV[s] for s in symbols]))
    work = frame.pressure_GPa**2 * volume / (2 * bulk) / GPA_PER_EV_A3
    return atoms.get_potential_energy() / len(atoms) - reference - work, volume * (1 + frame.pressure_GPa / bulk)


def relaxed_cells(frames: Sequence[Any]) -> tuple[list[FitCell], dict[str, int]]:
    """Keep relaxed near-lattice cubic cells without duplicates; also count what was dropped and why."""
    cells: list[FitCell] = []
    count = {"read": len(frames), "no bcc cell": 0, "pressure": 0, "forces": 0, "displaced": 0, "duplicate": 0}
    seen: set[tuple[bytes, float]] = set()
    for atoms in frames:
        if any(word in str(atoms.info.get("group", "")) for word in ("AIMD", "Surface")):
            count["no bcc cell"] += 1
            continue
        if max(abs(_pressure_GPa(atoms)), _shear_GPa(atoms)) > MAX_PRESSURE:
            count["pressure"] += 1
            continue
        frame = match_to_bcc(atoms)
        if frame is None or np.abs(atoms.cell.cellpar()[3:] - 90).max() > 3:
            count["no bcc cell"] += 1
        elif frame.force_max > MAX_FORCE:
            count["forces"] += 1
        elif frame.displacement_max_A > MAX_DISPLACEMENT:
            count["displaced"] += 1
        else:
            energy, volume = corrected_energy_and_volume(frame)
            key = (frame.occupation.tobytes(), round(atoms.get_potential_energy(), 5))
            if key in seen:
                count["duplicate"] += 1
                continue
            seen.add(key)
            cells.append(
                FitCell(
                    occupation=frame.occupation, size=frame.size, energy_eV=energy, volume_A3=volume, group=frame.group
                )
            )
    count["kept"] = len(cells)
    return cells, count


def _pressure_GPa(atoms: Any) -> float:
    return float(-atoms.get_stress()[:3].mean() * GPA_PER_EV_A3)


def _shear_GPa(atoms: Any) -> float:
    """Give the largest stress beside the pressure."""
    stress = atoms.get_stress() * GPA_PER_EV_A3
    return float(max(np.ptp(stress[:3]), np.abs(stress[3:]).max()))


def check_elements(cells: Sequence[FitCell]) -> None:
    """Check that every element occurs in the cells that were kept."""
    present = {int(s) for cell in cells for s in np.unique(cell.occupation)}
    missing = [e for k, e in enumerate(ELEMENTS) if k not in present]
    if missing:
        raise InputError(f"no relaxed frame holds {', '.join(missing)}; is this the Nb-Mo-Ta-W set?")
