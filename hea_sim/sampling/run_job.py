"""Run a sampling job into a folder: independent replicas, checkpoints, averages, one results document.

| file | holds |
|---|---|
| `run.toml` | the job with everything written out |
| `replica-0000/checkpoint.npz`, `samples.npz` | where a replica stands; what it saw, when it is done |
| `replica-0000/cell.extxyz` | its last cell |
| `cell.extxyz`, `results.json`, `results.csv` | the last cell of the first replica; averages; a row a temperature |
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import document, read_json, sha256_of, to_jsonable, versions, write_atomic, write_csv, write_json
from hea_sim.errors import InputError
from hea_sim.records import Provenance
from hea_sim.sampling.job import AT_ONCE, FREE_KEYS, SampleJob, job_sha256
from hea_sim.sampling.job_density import too_coarse
from hea_sim.sampling.job_files import read_arrays, replica_folder, sweep_leftovers
from hea_sim.sampling.job_lock import folder_lock
from hea_sim.sampling.job_models import ChosenModel, choose_model, resolved_job, species_of
from hea_sim.sampling.job_observables import every_sample, looker
from hea_sim.sampling.job_results import curve_of, order_arrays, stage_rows, trade_rates, transition_rows
from hea_sim.sampling.job_samples import Samples, read_samples
from hea_sim.sampling.job_walks import check_job, count_sites, lattice_parameter_of, make_walk
from hea_sim.sampling.run_replica import LAST_CELL, SAMPLES, Progress, ReplicaRun
from hea_sim.settings import claim_folder, kept_settings

#: Accepted trials at a temperature, below which its samples are too much alike to tell an error.
_FEWEST_MOVES = 10
RESULTS_FILE, CELL_FILE = "results.json", "cell.extxyz"


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenRun:
    """Hold a job that has a folder: everything is written out, the model is loaded."""

    job: SampleJob
    out: Path
    chosen: ChosenModel
    owner: str

    def finished(self, number: int) -> bool:
        """Tell whether a replica is done."""
        return (replica_folder(self.out, number) / SAMPLES).is_file()


def open_run(job: SampleJob, out: str | os.PathLike[str]) -> OpenRun:
    """Choose the model, write everything out, and claim the folder with run.toml.

    Raises InputError where the folder holds another run, naming the first setting that differs. The lattice parameter
    that a job leaves open is sought once: a run that goes on takes it from run.toml.
    """
    folder = Path(out)
    job = resolved_job(job)
    chosen = choose_model(job)
    if job.start is None and job.lattice_parameter_A is None:
        kept = (kept_settings(folder) or {}).get("lattice_parameter_A")
        found = kept if isinstance(kept, float) else round(lattice_parameter_of(job, chosen), 6)
        job = job.model_copy(update={"lattice_parameter_A": found})
    check_job(job, chosen, lattice_parameter_A=job.lattice_parameter_A or 0.0)
    claim_folder(job, folder, free=FREE_KEYS)
    sweep_leftovers(folder)
    start = {} if job.start is None else {"start": sha256_of(Path(job.start))}
    return OpenRun(job=job, out=folder, chosen=chosen, owner=job_sha256(job, {**chosen.sha256, **start}))


def run_replica(run: OpenRun, number: int, progress: Progress = lambda done, total: None) -> None:
    """Run one replica to its end, or go on with it; InputError where another process is running it."""
    if run.finished(number):
        read_arrays(replica_folder(run.out, number) / SAMPLES, run.owner)
        return
    with folder_lock(replica_folder(run.out, number)):
        _run_replica(run, number, progress)


def _run_replica(run: OpenRun, number: int, progress: Progress) -> None:
    a_A = run.job.lattice_parameter_A or 0.0
    if run.job.engine == "lammps":
        from hea_sim.sampling.lammps_job_run import run_lammps_replica

        run_lammps_replica(run.job, run.out, number, run.owner, run.chosen.potential, lattice_parameter_A=a_A)
        return
    ReplicaRun(
        run.job,
        run.out,
        number,
        run.owner,
        lambda rng: make_walk(run.job, run.chosen, rng, lattice_parameter_A=a_A),
        look=looker(run.job),
        each=every_sample(run.job),
        progress=progress,
    ).run()


def sample(
    job: SampleJob,
    out: str | os.PathLike[str],
    *,
    name: str = "",
    progress: Progress = lambda done, total: None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Do all that a job says, in this process, and give the results document.

    Run again on the same folder it goes on where it was stopped; once finished, it gives what is there. `name` is told
    as the input of the results; `progress` hears of steps done and steps in all, over all replicas.
    """
    run = open_run(job, out)
    say(f"{run.job.composition.formula}: {run.chosen.name}, {run.chosen.why}")
    for number in range(run.job.replicas):

        def tell(done: int, total: int, number: int = number) -> None:
            progress(number * total + done, run.job.replicas * total)

        run_replica(run, number, tell)
    return finish(run, name=name)


def finish(run: OpenRun, *, name: str = "", failures: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """Average over the replicas and write results.json, results.csv and the cell; a finished run is left as it is."""
    path = run.out / RESULTS_FILE
    if path.is_file() and not failures:
        kept: dict[str, Any] = read_json(path)
        now = to_jsonable(_provenance(run))
        if any(kept["provenance"].get(key) != now[key] for key in ("input_sha256", "model_sha256")):
            raise InputError(f"{path} was made with other files of the model or start; name another --out folder")
        return kept
    if failures and not all(run.finished(k) for k in range(run.job.replicas)):
        return document([], failures, _provenance(run))
    row = result_row(run, name=name)
    made = document([row], failures, _provenance(run))
    write_csv(run.out / "results.csv", *_flat(row))
    write_json(path, made)
    return made


def result_row(run: OpenRun, *, name: str = "") -> dict[str, Any]:
    """Put together what results say of a job: the end of its first branch, then every temperature."""
    from ase.io import read

    job, species = run.job, species_of(run.job, run.chosen)
    cell_file = replica_folder(run.out, 0) / LAST_CELL
    atoms = read(cell_file) if cell_file.is_file() else None
    n_atoms = _count_atoms(run, atoms)
    samples = read_samples(job, run.out, run.owner, species, n_atoms)
    rows = stage_rows(samples)
    main = rows[job.main_stage]
    lattice = _lattice_parameter(run, samples)
    if atoms is not None:
        _write_cell(run.out / CELL_FILE, atoms, None if lattice is None else lattice.value, job)
    return {
        "input": name or job.alloy,
        "atoms": None if atoms is None else (run.out / CELL_FILE).as_posix(),
        "cell": None if atoms is None else CELL_FILE,
        "alloy": job.composition.formula,
        "engine": job.engine,
        "ensemble": job.ensemble,
        "lattice": run.chosen.lattice,
        "species": species,
        "n_atoms": n_atoms,
        "replicas": job.replicas,
        "seed": job.seed,
        "temperature_K": main["temperature_K"],
        "energy_eV_per_atom": main["energy_eV_per_atom"],
        "acceptance": main["acceptance"],
        "trials": main["trials"],
        "heat_capacity_k": main["heat_capacity_k"],
        "warren_cowley": main["warren_cowley"],
        "shells_A": _shells(run, lattice),
        "lattice_A": lattice,
        "observables": main.get("observables", {}),
        "transitions": transition_rows(samples),
        "temperatures": rows,
        "curve": curve_of(samples),
        "trade_rates": trade_rates(samples),
        "model": run.chosen.record(),
        "notes": _notes(run, rows, samples),
    }


def _count_atoms(run: OpenRun, atoms: Any) -> int:
    if atoms is not None:
        return len(atoms)
    if run.chosen.lattice_model is not None:
        return count_sites(run.job, run.chosen.lattice_model)
    from hea_sim.sampling.job_walks import starting_atoms

    return len(starting_atoms(run.job, np.random.default_rng(0), run.job.lattice_parameter_A or 1.0))


def _lattice_parameter(run: OpenRun, samples: Samples) -> Any:
    """Predict the lattice parameter with its std where a pair model does; None for other models."""
    from hea_sim.lattice.pairs import PairModel
    from hea_sim.lattice.volume import predict_lattice_parameter

    model = run.chosen.lattice_model
    if not isinstance(model, PairModel) or run.job.ensemble not in ("canonical", *AT_ONCE):
        return None
    found = order_arrays(samples, run.job.main_stage)
    return predict_lattice_parameter(
        model, run.job.composition, None if found is None else found[0], run.job.measured_at_K
    )


def _shells(run: OpenRun, lattice: Any) -> list[float]:
    from hea_sim.errors import HEAError
    from hea_sim.lattice.shells import neighbour_shells

    a_A = lattice.value if lattice is not None else run.job.lattice_parameter_A
    if not a_A:
        return []
    try:
        return [shell.distance_a * a_A for shell in neighbour_shells(run.chosen.lattice, run.job.shells)]
    except HEAError:  # of other lattices the nearest neighbours alone are counted
        from hea_sim.lattice.parents import shell_distances

        parent = getattr(getattr(run.chosen.lattice_model, "space", None), "parent", None)
        return [] if parent is None else [float(shell_distances(parent, 1)[0]) * a_A]


def _write_cell(path: Path, atoms: Any, a_A: float | None, job: SampleJob) -> None:
    from ase.io import write

    if a_A is not None and job.start is None:
        atoms.set_cell(np.array(job.size) * a_A, scale_atoms=True)
    stream = io.StringIO()
    write(stream, atoms, format="extxyz")
    write_atomic(path, stream.getvalue())


def _notes(run: OpenRun, rows: Sequence[Mapping[str, Any]], samples: Samples) -> list[str]:
    """Say what the run assumed, and where it had not settled."""
    told = []
    if run.chosen.lattice:
        told.append(f"phase {run.chosen.lattice} is an input of this simulation")
    told.append("errors are statistical; how far the model itself is off stands under model")
    for row in rows:
        error = row["energy_eV_per_atom"].std or 0.0  # of the whole; halves differ by twice as much by chance
        if abs(row["drift_eV_per_atom"]) > 8 * max(error, 1e-7):
            told.append(
                f"energy still drifts at {row['temperature_K']:g} K ({row['branch']},"
                f" {1e3 * row['drift_eV_per_atom']:+.2f} meV/atom): give more equilibration_steps"
            )
    return [*told, *_notes_of_moves(rows), *_notes_of_density(run, rows, samples)]


def _notes_of_moves(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say where hardly a trial was accepted: samples that are all alike give errors that are too small."""
    return [
        f"only {row['acceptance'] * row['trials']:.0f} of {row['trials']} trials were accepted at"
        f" {row['temperature_K']:g} K ({row['branch']}): values may be those of the start, and errors too small"
        for row in rows
        if row["trials"] and row["acceptance"] * row["trials"] < _FEWEST_MOVES
    ]


def _notes_of_density(run: OpenRun, rows: Sequence[Mapping[str, Any]], samples: Samples) -> list[str]:
    """Say where a density of states is not yet good or too coarse, and where its errors are not known."""
    if run.job.ensemble != "wang-landau":
        return []
    told = ["no cell is kept: those of a walk through all energies belong to no temperature"]
    if run.job.replicas == 1:
        told.append("one run knows no errors of a density of states: give replicas = 4 or more")
    steps = [float(replica[0]["step"][-1]) for replica in samples.replicas]
    coarse = too_coarse(samples)
    if coarse:
        told.append(
            f"one bin of energy, wider than kT, holds most at {', '.join(f'{t:g} K' for t in coarse)}: energies may be"
            " off by as much as a bin, and errors too small; give more bins, or a narrower range of energies"
        )
    bare = [f"{row['temperature_K']:g} K" for row in rows if not row["warren_cowley"]]
    if bare:
        told.append(
            f"no order is given at {', '.join(bare)}: samples miss the energies that count there; give more samples"
        )
    if max(steps) >= run.job.wang_landau.ln_f:
        told.append(
            f"ln f came down to {max(steps):.1e} alone, wanted {run.job.wang_landau.ln_f:.1e}: give more steps, or a"
            " narrower range of energies"
        )
    return told


def _provenance(run: OpenRun) -> Provenance:
    from hea_sim.potentials.choice import potential_files

    named = (*potential_files(run.job.potential or ""), Path(run.job.start or ""))
    files = [path for path in named if path.is_file()]
    return Provenance(
        input_sha256={str(path): sha256_of(path) for path in files},
        model_sha256=dict(run.chosen.sha256),
        seed=run.job.seed,
        versions=versions(),
        settings=run.job.settings(),
    )


def _flat(row: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Make a table with a row for each temperature."""
    table = []
    for stage in row["temperatures"]:
        energy, heat = stage["energy_eV_per_atom"], stage["heat_capacity_k"] or {}
        flat = {
            "temperature_K": stage["temperature_K"],
            "branch": stage["branch"],
            "energy_eV_per_atom": energy.value,
            "energy_std_eV_per_atom": energy.std,
            "heat_capacity_k": heat.get("value"),
            "heat_capacity_std_k": heat.get("std"),
            "acceptance": stage["acceptance"],
        }
        for pair, shells in stage["warren_cowley"].items():
            for k, shell in enumerate(shells):
                flat |= {f"alpha{k + 1}_{pair}": shell["value"], f"alpha{k + 1}_{pair}_std": shell["std"]}
        table.append(flat)
    return table, list(dict.fromkeys(key for flat in table for key in flat))
