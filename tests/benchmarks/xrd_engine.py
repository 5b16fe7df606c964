"""Measure the diffraction engine: accuracy against peers, time of simulated cells, cost against atoms and patterns.

python tests/benchmarks/xrd_engine.py [--quick] [--json FILE] [--plot FILE.png] [--no-peers]

Accuracy: whole powder intensities (|F|^2 x multiplicity x Lorentz-polarisation) in per cent of the strongest line;
xrayutilities with its own tables of f0, f', f'' injected into the engine; pymatgen, which has no dispersion, against f0
alone. Speed: one cell of displaced atoms, one wavelength, one range of angles; CPU time, all threads summed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

from hea_sim.crystals import Crystal, build_crystal, prototype, prototype_names
from hea_sim.diffraction import powder_lines, powder_pattern
from hea_sim.diffraction.debye import debye_pattern
from hea_sim.diffraction.on_lattice import LatticeOccupation, on_lattice_pattern
from hea_sim.diffraction.radiation import radiation
from hea_sim.diffraction.random_specimens import RandomSpecimen, draw_specimen
from hea_sim.diffraction.scattering import WithoutDispersion
from hea_sim.documents import to_jsonable, versions, write_json
from hea_sim.errors import HEAError

CU_A = 1.5405929
RANGE_DEG = (20.0, 100.0)
#: Lines closer than this are one line; peers merge coinciding lines by other rules.
SAME_LINE_DEG = 0.003
CASES: dict[str, tuple[str, Any, float]] = {
    "Ni A1": ("A1", "Ni", 3.524),
    "W A2": ("A2", "W", 3.165),
    "NiAl B2": ("B2", {"A": "Ni", "B": "Al"}, 2.887),
    "FeCr sigma": ("sigma", {"A": "Fe", "B": "Cr"}, 8.80),
}
TUBES = ("CuKa1", "CoKa1", "MoKa1", "CrKa1")


@dataclass(frozen=True)
class XrayutilitiesTable:
    """Give the scattering factors of xrayutilities to the engine."""

    def f0(self, element: str, s_per_A: np.ndarray) -> np.ndarray:
        """Look up f0."""
        import xrayutilities as xu

        return np.asarray(getattr(xu.materials.elements, element).f0(4 * np.pi * np.atleast_1d(s_per_A)), float)

    def dispersion(self, element: str, wavelength_A: float) -> complex:
        """Look up f' + i f''."""
        import xrayutilities as xu

        atom, energy = getattr(xu.materials.elements, element), xu.lam2en(wavelength_A)
        return complex(atom.f1(energy), atom.f2(energy))


def one_element_a_site(crystal: Crystal) -> list[str]:
    """List the symbol of each site of a crystal whose sites are not shared."""
    return [crystal.species[i] for i in crystal.occupancy.argmax(axis=1)]


def xrayutilities_lines(crystal: Crystal, wavelength_A: float, highest_deg: float) -> np.ndarray:
    """Compute (2 theta, intensity) rows with xrayutilities, every site of the cell given in space group 1."""
    import xrayutilities as xu
    from ase.geometry import cell_to_cellpar

    symbols = one_element_a_site(crystal)
    lattice = xu.materials.SGLattice(
        1,
        *cell_to_cellpar(crystal.cell_A),
        atoms=[getattr(xu.materials.elements, s) for s in symbols],
        pos=[("1a", tuple(p)) for p in crystal.positions],
        b=[crystal.b_iso_A2] * len(symbols),
    )
    powder = xu.simpack.Powder(xu.materials.Crystal("cell", lattice), 1)
    peer = xu.simpack.PowderDiffraction(powder, wl=wavelength_A, tt_cutoff=highest_deg, enable_simulation=False)
    return np.array(sorted((2 * line["ang"], line["r"]) for line in peer.data.values()))


def pymatgen_lines(
    crystal: Crystal, wavelength_A: float, range_deg: tuple[float, float], b_iso_A2: float = 0.0
) -> np.ndarray:
    """Compute (2 theta, intensity) rows with pymatgen."""
    from pymatgen.analysis.diffraction.xrd import XRDCalculator
    from pymatgen.core import Lattice, Structure

    structure = Structure(Lattice(crystal.cell_A), one_element_a_site(crystal), crystal.positions)
    damping = dict.fromkeys(crystal.species, b_iso_A2)
    peer = XRDCalculator(wavelength=wavelength_A, debye_waller_factors=damping)
    pattern = peer.get_pattern(structure, two_theta_range=range_deg, scaled=False)
    return np.column_stack([pattern.x, pattern.y])


def percent_at(angles: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Sum the lines at each angle, in per cent of the strongest sum."""
    sums = np.array([lines[np.abs(lines[:, 0] - x) < SAME_LINE_DEG, 1].sum() for x in angles])
    return 100 * sums / sums.max()


def compare(ours: np.ndarray, peer: np.ndarray, *, floor_percent: float = 0.01) -> dict[str, float]:
    """Compare (2 theta, intensity) rows: largest difference of position and of intensity, and lines compared."""
    strong = peer[100 * peer[:, 1] > floor_percent * peer[:, 1].max()]
    missing = np.abs(ours[:, 0][None] - strong[:, 0][:, None]).min(axis=1)
    difference = np.abs(percent_at(strong[:, 0], ours) - percent_at(strong[:, 0], peer))
    return {
        "lines": len(strong),
        "position_deg": float(missing.max()),
        "intensity_percent": float(difference.max()),
    }


def against_xrayutilities(case: str, tube: str) -> dict[str, float]:
    """Compare one crystal and tube with xrayutilities, its tables injected."""
    name, occupancy, a = CASES[case]
    crystal = build_crystal(name, occupancy, a_A=a, b_iso_A2=0.3)
    wavelength = radiation(tube).wavelength_A
    high = 100.0 if wavelength < 1 else 150.0
    ours = powder_lines(crystal, wavelength, two_theta_range_deg=(5, high), table=XrayutilitiesTable())
    return compare(
        np.column_stack([ours.two_theta_deg, ours.intensity]), xrayutilities_lines(crystal, wavelength, high)
    )


def against_pymatgen(crystal: Crystal, range_deg: tuple[float, float] = (15, 120)) -> dict[str, float]:
    """Compare one crystal with pymatgen, f0 alone, Cu K-alpha1."""
    still = Crystal(**{**crystal.__dict__, "b_iso_A2": 0.0})
    ours = powder_lines(still, CU_A, two_theta_range_deg=range_deg, table=WithoutDispersion())
    return compare(np.column_stack([ours.two_theta_deg, ours.intensity]), pymatgen_lines(still, CU_A, range_deg))


def decorated(name: str) -> Crystal:
    """Put a different element on every sublattice of a prototype."""
    elements = ("Ni", "Al", "Fe", "Cr", "Ti", "Mo", "W", "Co")
    occupancy = {label: elements[i % len(elements)] for i, label in enumerate(prototype(name).sublattices)}
    return build_crystal(name, occupancy)


def accuracy_rows() -> list[dict[str, Any]]:
    """Compare the reference crystals over the tubes and every prototype with the peers."""
    rows = [
        {"peer": "xrayutilities", "crystal": case, "tube": tube, **against_xrayutilities(case, tube)}
        for case in CASES
        for tube in TUBES
    ]
    for case, (name, occupancy, a) in CASES.items():
        crystal = build_crystal(name, occupancy, a_A=a)
        rows.append({"peer": "pymatgen", "crystal": case, "tube": "CuKa1", **against_pymatgen(crystal)})
    for name in prototype_names():
        rows.append({"peer": "pymatgen", "crystal": name, "tube": "CuKa1", **against_pymatgen(decorated(name))})
    return rows


def displaced_cell(cells: int, seed: int = 0, displacement_A: float = 0.05) -> Atoms:
    """Make a random face-centred solid solution of 4 cells^3 atoms, displaced where asked."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Ni", "fcc", a=3.60, cubic=True) * (cells, cells, cells)
    atoms.set_atomic_numbers(rng.permutation(np.resize([24, 26, 27, 28], len(atoms))))
    atoms.positions += rng.normal(0, displacement_A, atoms.positions.shape) if displacement_A else 0
    return atoms


def seconds(call: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Take the median CPU time of some calls, which other work hardly lengthens; give it with the last result."""
    times, result = [], None
    for _ in range(repeats):
        start = time.process_time()
        result = call()
        times.append(time.process_time() - start)
    return float(np.median(times)), result


def speed_rows(cells: int, peers: bool) -> list[dict[str, Any]]:
    """Time one cell of displaced atoms, and check that the same peaks came out."""
    atoms = displaced_cell(cells)
    crystal = Crystal.from_atoms(atoms, b_iso_A2=0.0)
    angles = np.arange(RANGE_DEG[0], RANGE_DEG[1], 0.02)
    powder_pattern(displaced_cell(5), CU_A, two_theta_deg=angles)  # the tables are read once a process
    ours, _ = seconds(lambda: powder_pattern(crystal, CU_A, two_theta_deg=angles), 7)
    rows: list[dict[str, Any]] = [{"program": "hea_sim", "atoms": len(atoms), "seconds": ours, "times hea_sim": 1.0}]
    if not peers:
        return rows
    plain = powder_pattern(crystal, CU_A, two_theta_deg=angles, table=WithoutDispersion())
    injected = powder_pattern(crystal, CU_A, two_theta_deg=angles, table=XrayutilitiesTable())
    calls = {
        "pymatgen": (lambda: pymatgen_lines(crystal, CU_A, RANGE_DEG), plain),
        "xrayutilities": (lambda: xrayutilities_lines(crystal, CU_A, RANGE_DEG[1]), injected),
    }
    for name, (call, twin) in calls.items():
        elapsed, lines = seconds(call)
        drawn = drawn_alike(lines, angles)
        # The engine draws lines of finite width: the peer's sticks are drawn alike and areas are compared.
        rows.append(
            {
                "program": name,
                "atoms": len(atoms),
                "seconds": elapsed,
                "times hea_sim": elapsed / ours,
                "peak_areas_differ_percent": peak_difference(angles, twin.intensity, drawn),
            }
        )
    return rows


def drawn_alike(lines: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Draw sticks with the engine's own line shape."""
    from hea_sim.diffraction.powder import broaden
    from hea_sim.diffraction.profile import Instrument

    return broaden(angles, lines[:, 0], lines[:, 1], Instrument(w_deg2=0.01, u_deg2=0.02))


def peak_difference(angles: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """Compare the areas of the Bragg peaks within 1 degree, in per cent of the largest."""
    lines = powder_lines(build_crystal("A1", "Ni", a_A=3.60), CU_A, two_theta_range_deg=(25, 98))
    areas = np.array([[y[np.abs(angles - c) < 1].sum() for c in lines.two_theta_deg] for y in (one, other)])
    areas = 100 * areas / areas.max(axis=1, keepdims=True)
    return float(np.abs(areas[0] - areas[1]).max())


def ball(n_atoms: int) -> Atoms:
    """Cut a ball of n atoms out of a face-centred solid solution."""
    cells = int(np.ceil((n_atoms / 4 * 2) ** (1 / 3))) + 2
    atoms = displaced_cell(cells, displacement_A=0)
    radius = np.linalg.norm(atoms.positions - atoms.positions.mean(axis=0), axis=1)
    return atoms[np.argsort(radius, kind="stable")[:n_atoms]]


def cost_rows(quick: bool, peers: bool) -> list[dict[str, Any]]:
    """Time the ways against the number of atoms."""
    angles = np.arange(RANGE_DEG[0], RANGE_DEG[1], 0.02)
    rows: list[dict[str, Any]] = []

    def note(way: str, n: int, call: Callable[[], Any]) -> None:
        rows.append({"way": way, "atoms": n, "seconds": seconds(call, 3 if n < 5000 else 1)[0]})

    for cells in (4, 6, 8, 12, 16, 20):
        atoms = displaced_cell(cells, displacement_A=0)
        sites = LatticeOccupation.from_atoms(atoms, shape=(cells, cells, cells))
        note("on-lattice FFT", len(atoms), lambda s=sites: on_lattice_pattern(s, CU_A, two_theta_deg=angles))
        if cells <= (8 if quick else 16):
            moved = displaced_cell(cells)
            note(
                "displaced, matrix products", len(moved), lambda m=moved: powder_pattern(m, CU_A, two_theta_deg=angles)
            )
        if peers and cells <= (4 if quick else 8):
            crystal = Crystal.from_atoms(displaced_cell(cells), b_iso_A2=0.0)
            note("pymatgen", len(atoms), lambda c=crystal: pymatgen_lines(c, CU_A, RANGE_DEG))
    for n in (300, 1000, 3000, 10_000) if quick else (300, 1000, 3000, 10_000, 30_000):
        piece = ball(n)
        note("Debye equation", n, lambda p=piece: debye_pattern(p, CU_A, two_theta_deg=angles))
    return rows


def pattern_cost_rows(quick: bool, peers: bool) -> list[dict[str, Any]]:
    """Time the ways against the number of patterns: random specimens as networks learn from, cells of sigma."""
    angles = np.arange(RANGE_DEG[0], RANGE_DEG[1], 0.02)
    crystal = build_crystal("sigma", {"A": "Fe", "B": "Cr"}, a_A=8.80)
    rng = np.random.default_rng(0)
    ways: dict[str, Callable[[], Any]] = {
        "random specimens": lambda: _draw(rng),
        "sigma, whole pattern": lambda: powder_pattern(crystal, CU_A, two_theta_deg=angles),
    }
    if peers:
        ways["pymatgen, sigma, lines"] = lambda: pymatgen_lines(crystal, CU_A, RANGE_DEG)
    rows = []
    for way, call in ways.items():
        call()
        for n in (1, 10, 100) if quick or way.startswith("pymatgen") else (1, 10, 100, 1000):
            rows.append({"way": way, "patterns": n, "seconds": seconds(lambda c=call, n=n: [c() for _ in range(n)])[0]})
    return rows


def _draw(rng: np.random.Generator) -> RandomSpecimen | None:
    """Draw one specimen; None where its lattice has no line in range."""
    try:
        return draw_specimen(rng)
    except HEAError:
        return None


def plot(result: dict[str, list[dict[str, Any]]], file: Path) -> None:
    """Draw time against atoms and against patterns, all axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(7.0, 3.4), dpi=300)
    looks = [("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#666666", "D")]
    for axes, key, count, label in zip(
        panels,
        ("cost", "pattern_cost"),
        ("atoms", "patterns"),
        ("CPU time of one pattern (s)", "CPU time of all patterns (s)"),
    ):
        rows = result[key]
        for way, (colour, marker) in zip(dict.fromkeys(r["way"] for r in rows), looks):
            n, t = np.array(sorted((r[count], r["seconds"]) for r in rows if r["way"] == way)).T
            axes.loglog(n, np.maximum(t, 1e-4), marker + "-", color=colour, ms=4, lw=1.2, label=way)
        axes.set_xlabel(f"number of {count}")
        axes.set_ylabel(label)
        axes.grid(which="major", color="0.9", lw=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(which="both", direction="in", top=True, right=True)
        axes.legend(
            frameon=False, fontsize=7, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), columnspacing=1.0
        )
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)


def show(rows: list[dict[str, Any]]) -> None:
    """Print rows as a table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    print("  ".join(f"{n:>14}" for n in names))
    for row in rows:
        cells = [row.get(n, "") for n in names]
        print("  ".join(f"{c:14.3g}" if isinstance(c, float) else f"{c!s:>14.26}" for c in cells))
    print()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a subset that takes under a minute")
    parser.add_argument("--no-peers", action="store_true", help="leave pymatgen and xrayutilities out")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    peers = not args.no_peers
    result: dict[str, Any] = {
        "accuracy": accuracy_rows() if peers else [],
        "speed": speed_rows(8, peers),
        "cost": cost_rows(args.quick, peers),
        "pattern_cost": pattern_cost_rows(args.quick, peers),
    }
    for rows in result.values():
        show(rows)
    if args.plot:
        plot(result, args.plot)
    if args.json:
        threads = os.environ.get("OMP_NUM_THREADS", "not set")
        machine = platform.processor() or platform.machine()
        extra = {"versions": versions(), "machine": machine, "OMP_NUM_THREADS": threads, "range_deg": RANGE_DEG}
        write_json(args.json, to_jsonable({**result, **extra}))
        print(json.dumps({"written": str(args.json)}))


if __name__ == "__main__":
    main()
