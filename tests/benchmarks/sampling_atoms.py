"""Time exchanges of atoms and molecular dynamics on one core, beside LAMMPS in the same run.

    python tests/benchmarks/sampling_atoms.py [--data FOLDER] [--sizes 8,16,32] [--quick] [--json FILE] [--figure FILE]

Random alloys on sites that are shaken by 0.08 A; sizes in cubic cells a side (bcc: 2 n^3 atoms). A trial is one
proposed exchange of two unlike atoms with its energy difference and its decision, at 800 K. Ways:

nbmotaw-mtp, kept moments: the shipped potential of NbMoTaW, the compiled engine.
nbmotaw-mtp, sites: the same potential by the engine that any site model has.
nbmotaw-snap, kept densities: the shipped SNAP of NbMoTaW, the compiled engine.
nbmotaw-snap, sites; zhou-eam, sites (MoTaW): the engine that any site model has, with other potentials.
nbmotaw-mtp, displacements: displacements of single atoms by up to 0.1 A along each axis (`VibratingExchange`).
CrCoNi MTP, kept moments: the published potential (--data), fcc.
LAMMPS SNAP, LAMMPS EAM: fix atom/swap, which computes the whole energy at every trial: the published SNAP (2J = 6) of
    NbMoTaW (--data), and the EAM of Zhou et al. as written by this project. Trials are those that it counts.

Molecular dynamics: Langevin steps of `Dynamics` (2 fs) with lists, beside NVE of LAMMPS with SNAP. Times are those of
the process; a machine that is busy with other programs gives smaller rates all the same.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk
from ase.data import atomic_masses, atomic_numbers

from hea_sim.documents import versions, write_json
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.eam_files import write_setfl
from hea_sim.potentials.loading import load_potential
from hea_sim.potentials.zhou import zhou_tables
from hea_sim.sampling.atom_exchange import AtomExchange
from hea_sim.sampling.dynamics import Dynamics
from hea_sim.sampling.vibrating_exchange import VibratingExchange

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.lammps_peer import load_lammps, without_old_keywords

TEMPERATURE_K = 800.0
#: Exchanges per second and core that this project set itself as targets.
TARGETS = {"nbmotaw-mtp, kept moments": 3e3, "CrCoNi MTP, kept moments": 100.0}
FLAT_WITHIN = 2.0
NBMOTAW, MOTAW, CRCONI = ("Nb", "Mo", "Ta", "W"), ("Mo", "Ta", "W"), ("Cr", "Co", "Ni")


def random_alloy(elements: tuple[str, ...], cells: int, seed: int = 0) -> Any:
    """Put elements at random on the sites of bcc, of fcc for CrCoNi, and shake them."""
    fcc = elements == CRCONI
    atoms = bulk("Ni" if fcc else "W", "fcc" if fcc else "bcc", a=3.56 if fcc else 3.24, cubic=True).repeat(cells)
    atoms.symbols = np.random.default_rng(seed).choice(elements, len(atoms))
    atoms.rattle(0.08, seed=seed)
    return atoms


def exchanges_per_s(potential: SitePotential, cells: int, seconds: float, fast: bool) -> dict[str, float]:
    """Time exchanges, and check the energy that was followed."""
    atoms = random_alloy(tuple(potential.elements), cells)
    walk = AtomExchange(atoms, potential, TEMPERATURE_K, np.random.default_rng(1), trials_per_step=64, fast=fast)
    walk.advance(1)
    # Longer lists of trials spread what is done once a list.
    walk.trials_per_step = 2048 if fast else 256
    before, start = walk.trials, time.process_time()
    while time.process_time() - start < seconds:
        walk.advance(1)
    spent = time.process_time() - start
    error = walk.energy_eV - potential.evaluate(walk.atoms()).energy_eV
    return {
        "atoms": len(atoms),
        "trials_per_s": (walk.trials - before) / spent,
        "acceptance": walk.accepted / walk.trials,
        "energy_error_eV_per_atom": abs(float(error)) / len(atoms),
    }


def displacements_per_s(potential: SitePotential, cells: int, seconds: float) -> dict[str, float]:
    """Time displacements of single atoms."""
    atoms = random_alloy(tuple(potential.elements), cells)
    walk = VibratingExchange(
        atoms, potential, TEMPERATURE_K, np.random.default_rng(1), exchanges_per_step=0, displacements_per_step=512
    )
    walk.advance(1)
    before, start = walk.displacements, time.process_time()
    while time.process_time() - start < seconds:
        walk.advance(1)
    spent = time.process_time() - start
    error = walk.energy_eV - potential.evaluate(walk.atoms()).energy_eV
    return {
        "atoms": len(atoms),
        "trials_per_s": (walk.displacements - before) / spent,
        "acceptance": walk.displaced / walk.displacements,
        "energy_error_eV_per_atom": abs(float(error)) / len(atoms),
    }


def steps_of_dynamics(potential: SitePotential, cells: int, steps: int) -> dict[str, float]:
    """Time Langevin dynamics in us of the process per atom and step."""
    atoms = random_alloy(tuple(potential.elements), cells)
    run = Dynamics(atoms, potential, 300.0, np.random.default_rng(2), ensemble="langevin", timestep_fs=2.0)
    run.advance(2)
    start = time.process_time()
    run.advance(steps)
    return {"atoms": len(atoms), "us_per_atom_step": 1e6 * (time.process_time() - start) / steps / len(atoms)}


class Lammps:
    """Run fix atom/swap and dynamics in LAMMPS, in this process."""

    def __init__(self, style: str, elements: tuple[str, ...]) -> None:
        self.style, self.elements = style, elements
        self.program = load_lammps()(cmdargs=["-log", "none", "-screen", "none"])

    def set_up(self, cells: int) -> int:
        """Make the alloy; give its number of atoms."""
        atoms = random_alloy(self.elements, cells)
        masses = [f"mass {k + 1} {atomic_masses[atomic_numbers[e]]}" for k, e in enumerate(self.elements)]
        side = float(atoms.cell[0, 0])
        self.program.commands_string("\n".join([
            "clear", "units metal", "atom_style atomic", "atom_modify map array",
            f"region box block 0 {side} 0 {side} 0 {side}",
            f"create_box {len(self.elements)} box", *masses,
        ]))  # fmt: skip
        kinds = [self.elements.index(symbol) + 1 for symbol in atoms.symbols]
        atoms.wrap()
        self.program.create_atoms(len(atoms), list(range(1, len(atoms) + 1)), kinds, atoms.positions.ravel().tolist())
        self.program.commands_string(f"{self.style}\nneighbor 0.5 bin\nthermo_style custom step pe")
        return len(atoms)

    def trials_per_s(self, cells: int, trials: int) -> dict[str, float]:
        """Time fix atom/swap between all pairs of unlike elements."""
        n, kinds = self.set_up(cells), range(1, len(self.elements) + 1)
        pairs = [(i, j) for i in kinds for j in kinds if i < j]
        each = max(1, trials // len(pairs))
        for i, j in pairs:
            self.program.command(f"fix s{i}{j} all atom/swap 1 {each} {i}{j}7 {TEMPERATURE_K} types {i} {j} ke no")
        self.program.command("run 0 post no")
        start = time.process_time()
        self.program.command("run 1 pre no post no")
        spent = time.process_time() - start
        tried = [self.program.extract_fix(f"s{i}{j}", 0, 1, 0) for i, j in pairs]
        return {"atoms": n, "trials_per_s": float(sum(tried)) / spent}

    def us_per_atom_step(self, cells: int, steps: int) -> dict[str, float]:
        """Time NVE at 300 K."""
        n = self.set_up(cells)
        self.program.commands_string(
            "velocity all create 300 1\ntimestep 0.002\nneigh_modify delay 0 every 1 check yes\nfix move all nve\n"
            "run 2 post no"
        )
        start = time.process_time()
        self.program.command(f"run {steps} pre no post no")
        return {"atoms": n, "us_per_atom_step": 1e6 * (time.process_time() - start) / steps / n}


def lammps_rows(data: Path | None, sizes: list[int], quick: bool, folder: Path) -> dict[str, list[dict[str, float]]]:
    """Time LAMMPS where it is installed; a dictionary without rows where it is not."""
    found: dict[str, list[dict[str, float]]] = {}
    setfl = folder / "motaw.eam.alloy"
    write_setfl(zhou_tables(MOTAW), setfl)
    styles = {
        "LAMMPS EAM": (f"pair_style eam/alloy\npair_coeff * * {setfl} {' '.join(MOTAW)}", MOTAW, 60 if quick else 600)
    }
    if data is not None:
        files = data / "potentials" / "nbmotaw"
        param = without_old_keywords(files / "Ta-W-Nb-Mo.snapparam", folder / "new.snapparam")
        text = f"pair_style snap\npair_coeff * * {files / 'Ta-W-Nb-Mo.snapcoeff'} {param} {' '.join(NBMOTAW)}"
        styles["LAMMPS SNAP"] = text, NBMOTAW, 12 if quick else 48
    for name, (style, elements, trials) in styles.items():
        try:
            peer = Lammps(style, elements)
        except (ImportError, OSError) as error:
            print(f"{name}: left out, LAMMPS is not installed ({error})")
            return found
        rows = [peer.trials_per_s(cells, max(6, trials * 8**3 // cells**3)) for cells in sizes]
        found[name] = rows
        steps = [peer.us_per_atom_step(cells, max(2, (20 if quick else 200) * 8**3 // cells**3)) for cells in sizes]
        found[f"{name}, dynamics"] = steps
        told(name, rows)
        told(f"{name}, dynamics", steps)
    return found


def told(name: str, rows: list[dict[str, float]]) -> None:
    """Print rows, the slope of the cost and whether targets are reached."""
    key = "trials_per_s" if "trials_per_s" in rows[0] else "us_per_atom_step"
    for row in rows:
        more = (
            f", energy off by {row['energy_error_eV_per_atom']:.1e} eV/atom"
            if "energy_error_eV_per_atom" in row
            else ""
        )
        print(f"  {name}: {row['atoms']} atoms, {row[key]:.4g} {key}{more}", flush=True)
    if len(rows) > 1:
        print(f"  {name}: slope of {key} in log-log {slope(rows, key):+.2f}")
    if name in TARGETS:
        least = min(row[key] for row in rows)
        verdict = "reached" if least >= TARGETS[name] else "MISSED"
        print(f"  {name}: target {TARGETS[name]:.0f} trials/s at all sizes, least {least:.4g}: {verdict}", flush=True)
        if len(rows) > 1:
            times = max(row[key] for row in rows) / least
            print(
                f"  {name}: flat within {FLAT_WITHIN:g}, {times:.2f}: {'reached' if times <= FLAT_WITHIN else 'MISSED'}"
            )


def slope(rows: list[dict[str, float]], key: str) -> float:
    """Fit the power of the number of atoms."""
    return float(np.polyfit(np.log([row["atoms"] for row in rows]), np.log([row[key] for row in rows]), 1)[0])


def draw(results: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draw trials per second, and times of dynamics, against the number of atoms."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 6.4), layout="constrained")
    for name, rows in results.items():
        key = "trials_per_s" if "trials_per_s" in rows[0] else "us_per_atom_step"
        one = axes[int(key == "us_per_atom_step")]
        x, y = [row["atoms"] for row in rows], [row[key] for row in rows]
        style = "k" if "LAMMPS" in name else f"C{len(one.lines)}"
        mark = "D" if "EAM" in name.upper() else "o"
        label = f"{name.removesuffix(', dynamics')} (slope {slope(rows, key):+.2f})" if len(rows) > 1 else name
        one.loglog(x, y, f"{mark}--" if "LAMMPS" in name else f"{mark}-", color=style, label=label, markersize=5)
    axes[0].set_ylabel("exchange trials per second, one core")
    axes[1].set_ylabel("dynamics (µs / atom / step), one core")
    for one in axes:
        one.set_xlabel("atoms")
        one.grid(True, which="major", alpha=0.4)
        one.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Time everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("HEA_DATA"), help="folder of the real data (HEA_DATA)")
    parser.add_argument("--sizes", default="8,16,32", help="cubic cells a side: 8, 16, 32 are 1024, 8192, 65536 atoms")
    parser.add_argument("--seconds", type=float, default=10.0, help="time for each row of exchanges")
    parser.add_argument("--quick", action="store_true", help="the smallest size and a second each")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    if options.quick:
        sizes, options.seconds = sizes[:2], 1.0
    data = Path(options.data) if options.data else None
    mtp, snap = load_potential("nbmotaw-mtp"), load_potential("nbmotaw-snap")
    eam = load_potential("zhou-eam", species=MOTAW)
    ways: dict[str, tuple[Any, bool]] = {
        "nbmotaw-mtp, kept moments": (mtp, True), "nbmotaw-mtp, sites": (mtp, False),
        "nbmotaw-snap, kept densities": (snap, True), "nbmotaw-snap, sites": (snap, False),
        "zhou-eam, sites": (eam, False),
    }  # fmt: skip
    if data is not None:
        path = data / "potentials" / "crconi" / "MTP_TS-f_Cao_20230208.mtp"
        ways["CrCoNi MTP, kept moments"] = load_potential(path, species=CRCONI), True
    results: dict[str, list[dict[str, float]]] = {}
    for name, (potential, fast) in ways.items():
        results[name] = [exchanges_per_s(potential, cells, options.seconds, fast) for cells in sizes]
        told(name, results[name])
    name = "nbmotaw-mtp, displacements"
    results[name] = [displacements_per_s(mtp, cells, options.seconds) for cells in sizes]
    told(name, results[name])
    for name, potential in (("nbmotaw-mtp", mtp), ("nbmotaw-snap", snap), ("zhou-eam", eam)):
        many = 10 if options.quick else 100
        rows = [steps_of_dynamics(potential, cells, max(2, many * 8**3 // cells**3)) for cells in sizes]
        results[f"{name}, dynamics"] = rows
        told(f"{name}, dynamics", rows)
    with tempfile.TemporaryDirectory() as folder:
        # fix atom/swap computes the whole energy: the largest size would take an hour.
        results |= lammps_rows(data, sizes[: 1 if options.quick else 2], options.quick, Path(folder))
    if options.json:
        write_json(options.json, {
            "versions": versions(), "quick": options.quick, "load_average": os.getloadavg(),
            "temperature_K": TEMPERATURE_K, "targets": TARGETS,
            "results": results,
        })  # fmt: skip
    if options.figure:
        draw(results, options.figure)


if __name__ == "__main__":
    main()
