"""Hold the published NbMoTaW SNAP, computed here, against LAMMPS: properties, errors against DFT, speed.

    python tests/benchmarks/snap_lammps.py [--data FOLDER] [--quick] [--json FILE]

The folder of the real data (HEA_DATA) holds potentials/nbmotaw. LAMMPS (extra `lammps`) runs in the same process;
without it only ours is measured. Times are the least of several runs on one core, as wall and as processor time: on a
busy machine only the second one says something. The whole run takes two minutes of one core; FILE is written anew after
each part, and holds null for what is still to come. `--quick`: smaller cells, test set only.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ase import units
from ase.build import bulk
from ase.md.verlet import VelocityVerlet
from potential_common import BULK_eV, code_sha256

from hea_sim.documents import sha256_of, versions, write_json
from hea_sim.mechanics import elastic_constants, relaxed_volume, vacancy_formation_energy
from hea_sim.mechanics.relaxation import stress_GPa, with_calculator
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.environment import find_neighbours
from hea_sim.potentials.fitting.scores import error_table, predict_structures
from hea_sim.potentials.fitting.structures import read_structures
from hea_sim.potentials.snap_files import read_snap

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.lammps_peer import LammpsSnap, load_lammps, without_old_keywords

#: Measured before with LAMMPS of 22 Jul 2025: a, C11, C12, C44, vacancy energy; errors are meV/atom and eV/A. The
#: constants of elements are plain central differences; in Nb they hang on the strain, since the third shell lies at
#: 4.704 A and the cutoff at 4.701 A.
MEASURED = {
    "Nb": (3.3265, 239.0, 128.8, 7.1, 2.52),
    "Mo": (3.1667, 435.0, 169.3, 95.9, 2.83),
    "Ta": (3.3183, 256.8, 160.9, 66.2, 2.26),
    "W": (3.1812, 584.6, 229.9, 167.5, 2.95),
    "NbMoTaW": (3.2433, 400.0, 166.5, 81.2, None),
}
MEASURED_ERRORS = {
    "train": (4.33, 6.26, 0.074, 0.134),
    "test": (5.09, 7.11, 0.125, 0.195),
    "quaternary": (5.88, None, 0.189, 0.249),
}
STRAIN_BEFORE = 4e-3
START_A = {"Nb": 3.32, "Mo": 3.17, "Ta": 3.32, "W": 3.18}


def crystal_properties(calculator: Any, atoms: Any, vacancy_repeat: int | None) -> dict[str, float]:
    """Measure a, C11, C12, C44 and, of an element, the vacancy formation energy; `atoms` is a cubic bcc cell."""
    relaxed = relaxed_volume(calculator, atoms)
    cubic = elastic_constants(calculator, relaxed.atoms).cubic()
    found = {
        "a_A": relaxed.lattice_parameter_A(2).value,
        "C11_GPa": cubic.C11.value,
        "C12_GPa": cubic.C12.value,
        "C44_GPa": cubic.C44.value,
    }
    if vacancy_repeat:
        cell = relaxed.atoms.repeat(vacancy_repeat)
        found |= {
            f"{key}_at_{STRAIN_BEFORE}": value for key, value in plain_constants(calculator, relaxed.atoms).items()
        }
        found["vacancy_eV"] = vacancy_formation_energy(calculator, cell).energy.value
    return found


def plain_constants(calculator: Any, atoms: Any) -> dict[str, float]:
    """Measure C11, C12, C44 of an element by central differences at the strain of the figures measured before."""
    columns = []
    for i, j in ((0, 0), (1, 2)):
        stresses = []
        for sign in (1, -1):
            deformation = np.eye(3)
            deformation[i, j] += 0.5 * sign * STRAIN_BEFORE
            deformation[j, i] += 0.5 * sign * STRAIN_BEFORE
            work = with_calculator(atoms, calculator)
            work.set_cell(work.cell.array @ deformation, scale_atoms=True)
            stresses.append(stress_GPa(work))
        columns.append((stresses[0] - stresses[1]) / (2 * STRAIN_BEFORE))
    return {"C11_GPa": columns[0][0], "C12_GPa": columns[0][1], "C44_GPa": columns[1][3]}


def elements_beside(ours: SitePotential, peer: LammpsSnap | None, repeat: int) -> dict[str, Any]:
    """Measure the four elements with both programs."""
    rows: dict[str, Any] = {}
    for element, a in START_A.items():
        cell = bulk(element, "bcc", a=a, cubic=True)
        rows[element] = {"ours": crystal_properties(ours, cell, repeat), "measured_before": MEASURED[element]}
        if peer is not None:
            other = rows[element]["lammps"] = crystal_properties(peer, cell, repeat)
            mine = rows[element]["ours"]
            rows[element]["difference_percent"] = {key: 100 * (mine[key] / other[key] - 1) for key in mine}
        print_row(element, rows[element])
    return rows


def random_alloy(ours: SitePotential, seeds: int, edge: int) -> dict[str, Any]:
    """Measure random NbMoTaW, the mean over some arrangements."""
    found = []
    for seed in range(seeds):
        atoms = bulk("Nb", "bcc", a=3.24, cubic=True).repeat(edge)
        n = len(atoms) // 4
        atoms.symbols = np.random.default_rng(seed).permutation(np.repeat(list(START_A), n))
        found.append(crystal_properties(ours, atoms, None))
    row = {"ours": {key: float(np.mean([f[key] for f in found])) for key in found[0]}}
    row |= {"std": {key: float(np.std([f[key] for f in found])) for key in found[0]}, "atoms": len(atoms)}
    row["measured_before"] = MEASURED["NbMoTaW"]
    print_row("NbMoTaW", row)
    return row


def print_row(name: str, row: dict[str, Any]) -> None:
    """Print what was found of one crystal."""
    print(f"{name}: before {row['measured_before']}")
    for key in ("ours", "std", "lammps", "difference_percent"):
        if key in row:
            print(f"   {key:20s}", "  ".join(f"{k} {v:.6g}" for k, v in row[key].items()))


def errors(ours: SitePotential, folder: Path, quick: bool) -> dict[str, Any]:
    """Score the published file on the sets it was made with, by the DFT energies of the elements."""
    potential = ours.shifted(BULK_eV)
    rows: dict[str, dict[str, Any]] = {}
    for name in ("test",) if quick else ("test", "train"):
        predictions = predict_structures(potential, read_structures(folder / f"{name}.extxyz.xz"))
        for row in error_table(predictions):
            known = "quaternary" if row.group == "Multinary_Test" else name if row.group == "all" else None
            key = name if row.group == "all" else row.group
            rows[key] = asdict(row) | {"measured_before": MEASURED_ERRORS.get(known or "")}
    for key, r in rows.items():
        energy = (r["energy_mae_meV_per_atom"], r["energy_rmse_meV_per_atom"])
        force = (r["force_mae_eV_per_A"], r["force_rmse_eV_per_A"])
        moving = r["force_mae_moving_eV_per_A"]
        print(
            f"{key:16s} n {r['n_structures']:5d}  E {energy[0]:.2f} / {energy[1]:.2f} meV/atom"
            f"  F {force[0]:.3f} / {force[1]:.3f} eV/A"
            + (f" (without frames of zero force {moving:.3f})" if moving is not None else "")
            + (f"  before {r['measured_before']}" if r["measured_before"] else "")
        )
    return rows


def speed(ours: SitePotential, peer: LammpsSnap | None, quick: bool) -> list[dict[str, Any]]:
    """Time molecular dynamics (NVE, 300 K, 1 fs) of random NbMoTaW, neighbour lists counted."""
    rows = []
    for edge in (8,) if quick else (8, 16):
        atoms = bulk("Nb", "bcc", a=3.2433, cubic=True).repeat(edge)
        atoms.symbols = np.random.default_rng(0).choice(list(START_A), len(atoms))
        atoms.rattle(0.05, seed=0)
        steps, repeats = max(2, 20480 // len(atoms)), 5 if quick else 8
        row: dict[str, Any] = {"atoms": len(atoms)}
        row["ours_wall_us"], row["ours_cpu_us"] = time_ours(ours, atoms, steps, repeats)
        row["kernel_cpu_us"] = time_kernel(ours, atoms, repeats)
        if peer is not None:
            row["lammps_wall_us"], row["lammps_cpu_us"] = peer.microseconds_per_step(atoms, steps, repeats)
            row["times_faster_cpu"] = row["lammps_cpu_us"] / row["ours_cpu_us"]
        rows.append(row)
        print("us/atom/step ", "  ".join(f"{k} {v:.4g}" for k, v in row.items()))
    return rows


def time_ours(ours: SitePotential, atoms: Any, steps: int, repeats: int) -> tuple[float, float]:
    """Give the least wall and processor time of an atom and step, in us."""
    work = atoms.copy()
    work.calc = ours.calculator()
    spread = np.sqrt(work.get_masses() * units.kB * 300)[:, None]
    work.set_momenta(spread * np.random.default_rng(0).normal(size=(len(work), 3)))
    motion = VelocityVerlet(work, 1.0 * units.fs)
    motion.run(1)
    wall, cpu = [], []
    for _ in range(repeats):
        starts = time.perf_counter(), time.process_time()
        motion.run(steps)
        wall.append(time.perf_counter() - starts[0])
        cpu.append(time.process_time() - starts[1])
    return 1e6 * min(wall) / steps / len(atoms), 1e6 * min(cpu) / steps / len(atoms)


def time_kernel(ours: SitePotential, atoms: Any, repeats: int) -> float:
    """Give the least processor time of an atom in the kernel alone, in us."""
    environment = find_neighbours([atoms], ours.cutoff_A)
    cpu = []
    for _ in range(2 * repeats):
        start = time.process_time()
        ours.model.site_terms(environment)
        cpu.append(time.process_time() - start)
    return 1e6 * min(cpu) / len(atoms)


def measure(folder: Path, peer: LammpsSnap | None, ours: SitePotential, quick: bool) -> dict[str, Callable[[], Any]]:
    """Name the parts of the run, the short ones first."""
    return {
        "speed": lambda: speed(ours, peer, quick),
        "elements": lambda: elements_beside(ours, peer, 3 if quick else 4),
        "random_alloy": lambda: random_alloy(ours, *((1, 4) if quick else (3, 6))),
        "errors": lambda: errors(ours, folder, quick),
    }


def main() -> None:
    """Run everything and print the tables."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("HEA_DATA"), help="folder of the real data")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not arguments.data:
        raise SystemExit("the published SNAP: give --data FOLDER or set HEA_DATA")
    data = Path(arguments.data) / "potentials/nbmotaw"
    coeff, param = data / "Ta-W-Nb-Mo.snapcoeff", data / "Ta-W-Nb-Mo.snapparam"
    ours = SitePotential(name="published SNAP", model=read_snap(coeff, param))
    with tempfile.TemporaryDirectory() as folder:
        try:
            lammps_version = load_lammps_version()
            peer = LammpsSnap(coeff, without_old_keywords(param, Path(folder) / "p.snapparam"), ours.elements)
        except (ImportError, OSError) as error:
            peer = lammps_version = None
            print(f"without LAMMPS: {error}")
        parts = measure(data, peer, ours, arguments.quick)
        document = {
            **dict.fromkeys(parts),
            "quick": arguments.quick,
            "lammps": lammps_version,
            "versions": versions(),
            "code_sha256": code_sha256(__file__),
            "models": {path.name: sha256_of(path) for path in (coeff, param)},
        }
        for name, part in parts.items():
            start = time.process_time()
            document[name] = part()
            print(f"{name}: {time.process_time() - start:.0f} s of processor time")
            if arguments.json:
                write_json(arguments.json, document)


def load_lammps_version() -> str:
    """Tell the version of LAMMPS; ImportError or OSError where it is not installed."""
    program = load_lammps()(cmdargs=["-log", "none", "-screen", "none"])
    version = str(program.version())
    program.close()
    return version


if __name__ == "__main__":
    main()
