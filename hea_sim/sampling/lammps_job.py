"""A sampling job as an input of LAMMPS: potential, cell and commands that sample the same ensemble, and what came out.

| here | in LAMMPS |
|---|---|
| canonical: exchanges at fixed places | `fix atom/swap` for every pair of elements; one time step is one sweep |
| nvt, npt | `fix langevin` with `fix nve`, or with `fix nph aniso` |
| hybrid: `md_steps` time steps, then exchanges | both |

`fix atom/swap` proposes unlike atoms alone, so a sweep of N sites has about 2 c_i c_j N trials of each pair. It
computes the energy of the whole cell at every trial: for exchanges alone the engine "atoms" is far faster.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.errors import InputError
from hea_sim.sampling.job import SampleJob

INPUT, DATA, START = "in.lammps", "data.lammps", "start.txt"
#: Bar in one GPa, the unit of pressures in LAMMPS' units "metal".
BAR_PER_GPA = 1e4


def export_potential(potential: Any, species: Sequence[str], folder: Path) -> list[str]:
    """Write a potential as files that LAMMPS reads; give its pair_style and pair_coeff commands.

    SNAP goes out as .snapcoeff and .snapparam, EAM as eam/alloy; InputError for all others, which LAMMPS cannot read.
    Energies of elements that a potential adds are not in the files: see `element_energies_eV`.
    """
    from hea_sim.potentials.eam import EAMModel
    from hea_sim.potentials.eam_files import write_setfl
    from hea_sim.potentials.snap import SnapModel
    from hea_sim.potentials.snap_files import write_snap

    model, names = getattr(potential, "model", None), " ".join(species)
    if isinstance(model, SnapModel):
        write_snap(model, folder / "potential.snapcoeff", folder / "potential.snapparam", comment=potential.name)
        return ["pair_style snap", f"pair_coeff * * potential.snapcoeff potential.snapparam {names}"]
    if isinstance(model, EAMModel):
        write_setfl(model.tables, folder / "potential.eam.alloy")
        return ["pair_style eam/alloy", f"pair_coeff * * potential.eam.alloy {names}"]
    raise InputError(
        f"potential {potential.name} cannot be written for LAMMPS: wanted a SNAP or an EAM; engines 'atoms', 'dynamics'"
        " and 'hybrid' take any potential"
    )


def write_lammps_job(job: SampleJob, potential: Any, atoms: Any, folder: Path, rng: np.random.Generator) -> Path:
    """Write cell, potential and input of one replica into a folder; give the input file.

    Every temperature writes `NNN-samples.txt` (step, energy per atom in eV, trials, accepted), `NNN-types.dump` with
    the arrangement at each sample, and `NNN-cell.dump`.
    """
    from ase.io.lammpsdata import write_lammps_data

    species = job.composition.elements
    stream = io.StringIO()
    write_lammps_data(stream, atoms, specorder=list(species), masses=True, units="metal", atom_style="atomic")
    write_atomic(folder / DATA, stream.getvalue())
    lines = [
        "units metal",
        "atom_style atomic",
        "boundary p p p",
        f"read_data {DATA}",
        *export_potential(potential, species, folder),
        f"timestep {1e-3 * job.dynamics.timestep_fs:.10g}",
        "thermo 1000",
        "compute_modify thermo_temp dynamic/dof yes",
        "run 0",
        "variable energy equal c_thermo_pe/atoms",
        f'print "$(v_energy)" file {START} screen no',
    ]
    if job.ensemble != "canonical":
        lines.append(f"velocity all create {job.stages[0][0]:.10g} {_seed(rng)} mom yes dist gaussian")
    for stage in range(len(job.stages)):
        lines += _stage_commands(job, atoms, stage, rng)
    return write_atomic(folder / INPUT, "\n".join(lines) + "\n")


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1, 900_000_000))


def _stage_commands(job: SampleJob, atoms: Any, stage: int, rng: np.random.Generator) -> list[str]:
    """Write one temperature: equilibration, then the part that is sampled, each with fixes of its own."""
    temperature_K, _ = job.stages[stage]
    unit = job.dynamics.md_steps if job.ensemble == "hybrid" else 1
    name, every = f"{stage:03d}", job.sample_every * unit
    lines = []
    for part, steps in (("equilibration", job.equilibration_steps), ("sampling", job.steps)):
        if not steps:
            continue
        moving, stop_moving = _moving(job, temperature_K, rng)
        swaps, stop_swaps, counters = _swaps(job, atoms, temperature_K, rng)
        lines += ["reset_timestep 0", *moving, *swaps]
        if part == "sampling":
            lines += [
                f"variable trials equal {counters[0]}",
                f"variable accepted equal {counters[1]}",
                f'fix samples all print {every} "$(step) $(v_energy:%.15g) $(v_trials) $(v_accepted)" &',
                f"  file {name}-samples.txt screen no",
                f"dump types all custom {every} {name}-types.dump type",
                "dump_modify types sort id first no",
            ]
        lines.append(f"run {steps * unit}")
        lines += stop_moving + stop_swaps
    lines += ["unfix samples", "undump types"]
    return [*lines, f"write_dump all custom {name}-cell.dump id type xu yu zu modify sort id format float %.12g"]


def _moving(job: SampleJob, temperature_K: float, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Give the fixes that move atoms, and what ends them."""
    if job.ensemble == "canonical":
        return [], []
    t, damp = f"{temperature_K:.10g}", f"{1e-3 * job.dynamics.relaxation_fs:.10g}"
    bath = f"fix bath all langevin {t} {t} {damp} {_seed(rng)}"
    if job.ensemble == "npt":
        p = f"{BAR_PER_GPA * job.dynamics.pressure_GPa:.10g}"
        move = f"fix move all nph aniso {p} {p} {10e-3 * job.dynamics.relaxation_fs:.10g}"
    else:
        move = "fix move all nve"
    return [move, bath], ["unfix bath", "unfix move"]


def _swaps(
    job: SampleJob, atoms: Any, temperature_K: float, rng: np.random.Generator
) -> tuple[list[str], list[str], tuple[str, str]]:
    """Give the fixes that exchange atoms, what ends them, and expressions that count trials and acceptances."""
    if job.ensemble not in ("canonical", "hybrid"):
        return [], [], ("0", "0")
    hybrid = job.ensemble == "hybrid"
    every, sweeps = (job.dynamics.md_steps, job.dynamics.sweeps) if hybrid else (1, 1.0)
    symbols, species = atoms.get_chemical_symbols(), job.composition.elements
    share = [symbols.count(s) / len(symbols) for s in species]
    lines, stops, made, taken = [], [], [], []
    for i, j in combinations(range(len(species)), 2):
        trials = max(1, round(2 * share[i] * share[j] * len(symbols) * sweeps))
        name = f"swap{i + 1}{j + 1}"
        lines.append(
            f"fix {name} all atom/swap {every} {trials} {_seed(rng)} {temperature_K:.10g} ke yes types {i + 1} {j + 1}"
        )
        stops.append(f"unfix {name}")
        made.append(f"f_{name}[1]")
        taken.append(f"f_{name}[2]")
    if not lines:
        raise InputError(f"{job.alloy} is one element: no atoms to exchange; wanted ensemble = 'nvt' or 'npt'")
    return lines, stops, ("+".join(made), "+".join(taken))
