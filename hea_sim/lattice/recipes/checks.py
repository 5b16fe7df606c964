"""Hold the teacher against DFT at its own frames, and see how far relaxing moves a random cell.

Run with the extra `mlip`: `python -m hea_sim.lattice.recipes.checks --data FOLDER_OF_NBMOTAW --out FOLDER`. It writes
`checks-7net-0.npz`, which the recipe of `nbmotativ-pairs` reads.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.lattice.recipes import nbmotativ_pairs as ti
from hea_sim.lattice.recipes.designs import CellDesign, arrangement
from hea_sim.lattice.recipes.dft_frames import (
    ELEMENTS,
    MAX_FORCE,
    MAX_PRESSURE,
    corrected_energy_and_volume,
    match_to_bcc,
    read_frames,
)
from hea_sim.lattice.recipes.teacher import STRAINS, cell_atoms, equation_of_state, load_teacher

SEED = 7
#: DFT frames labelled for each binary.
PER_BINARY = 24


def dft_against_teacher(data: Path, calculator: Any) -> dict[str, np.ndarray]:
    """Compute teacher energies at the positions of relaxed binary frames, with the DFT energies beside them."""
    rng = np.random.default_rng(SEED)
    by_group: dict[str, list[Any]] = {}
    for atoms in read_frames(data, "train"):
        group = str(atoms.info.get("group", ""))
        if group.endswith("_SS"):
            by_group.setdefault(group, []).append(atoms)
    rows: list[tuple[float, float, int]] = []
    fractions = []
    for number, group in enumerate(sorted(by_group)):
        for atoms in _sample_relaxed(by_group[group], rng):
            frame = match_to_bcc(atoms)
            assert frame is not None
            true, _ = corrected_energy_and_volume(frame)
            rows.append((true, _energy(atoms, calculator) / len(atoms), number))
            fractions.append(np.bincount(frame.occupation, minlength=len(ELEMENTS)) / len(atoms))
    dft, teacher, groups = np.array(rows).T
    return {"dft_eV": dft, "teacher_eV": teacher, "dft_group": groups, "dft_fractions": np.array(fractions)}


def _sample_relaxed(frames: list[Any], rng: np.random.Generator) -> list[Any]:
    """Choose relaxed frames near half and half, where many arrangements share one composition."""
    chosen = []
    for k in rng.permutation(len(frames)):
        share = (frames[k].numbers == frames[k].numbers.max()).mean()
        frame = match_to_bcc(frames[k]) if share in (0.375, 0.5, 0.625) else None
        if frame is not None and abs(frame.pressure_GPa) < MAX_PRESSURE and frame.force_max < MAX_FORCE:
            chosen.append(frames[k])
        if len(chosen) == PER_BINARY:
            break
    return chosen


def quaternary_frames(data: Path, calculator: Any) -> dict[str, np.ndarray]:
    """Compute teacher energies of the 16 quaternary DFT frames (thermal snapshots of one arrangement)."""
    frames = [a for a in read_frames(data, "test") if len(set(a.symbols)) == 4]
    return {
        "aimd_dft_eV": np.array([a.get_potential_energy() / len(a) for a in frames]),
        "aimd_teacher_eV": np.array([_energy(a, calculator) / len(a) for a in frames]),
    }


def relaxation_of_random_cell(calculator: Any) -> dict[str, np.ndarray]:
    """Relax one random equiatomic Nb-Mo-Ta-Ti-V cell at three volumes: how far energy and volume move."""
    from ase.optimize import FIRE

    occupation = arrangement(np.full(5, 0.2), np.random.default_rng(SEED), ordered=False)
    guess = ti.VOLUME_GUESS_A3[occupation].mean()
    rigid, relaxed = np.empty(3), np.empty(3)
    scaled = None
    for v, strain in enumerate(STRAINS):
        atoms = cell_atoms(CellDesign(occupation, 4, ""), ti.ELEMENTS, guess * strain)
        rigid[v] = _energy(atoms, calculator) / len(atoms)
        if scaled is not None:
            atoms.set_scaled_positions(scaled)
        atoms.calc = calculator
        FIRE(atoms, logfile=None).run(fmax=0.03, steps=50)
        relaxed[v] = atoms.get_potential_energy() / len(atoms)
        scaled = atoms.get_scaled_positions(wrap=False)
    volumes = guess * STRAINS
    results = [equation_of_state(volumes, e) for e in (rigid, relaxed)]
    return {
        "relaxation_eV": results[1][0] - results[0][0],
        "relaxation_A3": results[1][1] - results[0][1],
    }


def _energy(atoms: Any, calculator: Any) -> float:
    copy = atoms.copy()
    copy.calc = calculator
    return float(copy.get_potential_energy())


def main() -> None:
    """Run the checks from the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    calculator = load_teacher("7net-0").calculator()
    found: dict[str, np.ndarray] = {}
    found |= dft_against_teacher(options.data, calculator)
    print("binary frames done", flush=True)
    found |= quaternary_frames(options.data, calculator)
    print("quaternary frames done", flush=True)
    found |= relaxation_of_random_cell(calculator)
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **found)
    write_atomic(options.out / "checks-7net-0.npz", stream.getvalue())


if __name__ == "__main__":
    main()
