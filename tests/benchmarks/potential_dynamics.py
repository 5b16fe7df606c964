"""Run molecular dynamics with potentials: does NVE keep the energy, and does the alloy hold together when hot?

    python tests/benchmarks/potential_dynamics.py [--potentials NAME ...] [--data FOLDER] [--seeds N] [--ps T]
        [--atoms 128|250|432] [--quick] [--json FILE]

NAME as in potential_errors.py. Random NbMoTaW (or the potential's elements) on bcc (Ni, Cu: fcc) sites at the volume
relaxed at rest, times the thermal expansion of the elements. Drift: 300 K, 2 ps of Langevin dynamics, then T ps of NVE
with velocity Verlet and 1 fs, the total energy taken every 10 fs; a line is fitted to it in each run, and the drift is
the mean over seeds with its standard error. Heat: 2500 K (three quarters of the melting point of Ni, Cu), 2 ps of
Langevin dynamics, then 10 ps of NVE with 1 fs; the temperature, the shortest distance and how far an atom gets from
its site (less the drift of all) are watched. MTPs are run in double and in single precision. Times are those of the
process.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import Stationary
from ase.md.verlet import VelocityVerlet
from potential_common import (
    Measured,
    benchmark_parser,
    data_folder,
    in_precision,
    judged,
    read_potentials,
    write_results,
)

from hea_sim.elements import elemental_state, thermal_expansion_per_K
from hea_sim.errors import HEAError
from hea_sim.mechanics import relaxed_volume
from hea_sim.potentials.contract import SitePotential

DRIFT_TARGET = 1e-4
COLD_K, STEP_FS, FRICTION_PER_FS = 300.0, 1.0, 0.02
HOT_K = 2500.0
#: Where a potential of other elements is run hot, in K: about three quarters of the melting point.
HOT_OF = {"Ni": 1300.0, "Cu": 1000.0, "Mo": 2200.0}
#: An atom that came nearer than this to another, or further than this from its site, was lost (A).
LEAST_DISTANCE_A, MOST_DISPLACEMENT_A = 1.6, 2.0
#: NVE from a canonical state comes to a temperature with a relative std of 1 / sqrt(3 N); so many are let by.
TEMPERATURE_STDS = 4
_SAMPLE = 10


@dataclass(frozen=True, kw_only=True)
class Length:
    """Hold the number of steps of each part of a run."""

    warm: int
    drift: int
    hot: int


def alloy_of(potential: SitePotential, atoms: int, seed: int) -> Atoms:
    """Make a crystal of the potential's elements, at random on its sites, at the volume relaxed at rest."""
    elements = potential.elements
    fcc = set(elements) <= {"Ni", "Cu"}
    per_cube = 4 if fcc else 2
    edge = round((atoms / per_cube) ** (1 / 3))
    a = float(np.mean([elemental_state(e, structure="A1" if fcc else "A2").a_A for e in elements]))
    cell = bulk(elements[0], "fcc" if fcc else "bcc", a=a, cubic=True).repeat(edge)
    shares = np.resize(np.array(elements), len(cell))
    cell.symbols = np.random.default_rng(seed).permutation(shares)
    return relaxed_volume(potential, cell, fmax_eV_per_A=1e-3).atoms


def at_temperature(crystal: Atoms, temperature_K: float) -> Atoms:
    """Expand a crystal as the elements do; there are no quantum effects here, so from 0 K on in proportion."""
    symbols = crystal.get_chemical_symbols()
    parts = {e: symbols.count(e) / len(symbols) for e in set(symbols)}
    warm = crystal.copy()
    warm.set_cell(warm.cell * (1 + thermal_expansion_per_K(parts) * temperature_K), scale_atoms=True)
    return warm


def warmed(crystal: Atoms, calculator: Any, temperature_K: float, steps: int, rng: np.random.Generator) -> Atoms:
    """Bring a crystal to a temperature by Langevin dynamics; twice the velocities, since half goes into potential."""
    atoms = at_temperature(crystal, temperature_K)
    atoms.calc = calculator
    spread = np.sqrt(atoms.get_masses() * units.kB * 2 * temperature_K)[:, None]
    atoms.set_momenta(spread * rng.normal(size=(len(atoms), 3)))
    friction = FRICTION_PER_FS / units.fs
    Langevin(
        atoms, STEP_FS * units.fs, temperature_K=temperature_K, friction=friction, fixcm=False, rng=rng
    ).run(steps)  # fmt: skip
    Stationary(atoms)
    return atoms


def drift_of(potential: SitePotential, crystal: Atoms, length: Length, seed: int) -> dict[str, float]:
    """Run NVE at 300 K; give the slope of the total energy in eV/atom/ns, and how the energy wavers about it."""
    rng = np.random.default_rng(seed)
    atoms = warmed(crystal, potential.calculator(), COLD_K, length.warm, rng)
    energies, temperatures = [], []
    motion = VelocityVerlet(atoms, STEP_FS * units.fs)

    def note() -> None:
        energies.append(atoms.get_total_energy() / len(atoms))
        temperatures.append(atoms.get_temperature())

    motion.attach(note, interval=_SAMPLE)
    start = time.process_time()
    motion.run(length.drift)
    seconds = time.process_time() - start
    t_ns = np.arange(len(energies)) * _SAMPLE * STEP_FS * 1e-6
    slope, left = slope_of(t_ns, np.array(energies))
    return {
        "seed": seed,
        "drift_eV_per_atom_ns": slope,
        "drift_std_eV_per_atom_ns": left,
        "energy_std_eV_per_atom": float(np.std(np.array(energies) - np.polyval(np.polyfit(t_ns, energies, 1), t_ns))),
        "temperature_K": float(np.mean(temperatures)),
        "us_per_atom_step": 1e6 * seconds / length.drift / len(atoms),
        "lists": float(atoms.calc.neighbours.rebuilds),
    }


def slope_of(t: np.ndarray, energies: np.ndarray, blocks: int = 20) -> tuple[float, float]:
    """Fit a line to energies; its standard error from means over blocks, since neighbours in time are correlated."""
    n = len(t) // blocks
    if n < 1:
        return float(np.polyfit(t, energies, 1)[0]), float("nan")
    x, y = (v[: n * blocks].reshape(blocks, n).mean(1) for v in (t, energies))
    slope = float(np.polyfit(t, energies, 1)[0])
    (fitted, _), covariance = np.polyfit(x, y, 1, cov=True)
    return slope, float(np.sqrt(covariance[0, 0]))


def hot_run(potential: SitePotential, crystal: Atoms, length: Length, seed: int) -> dict[str, Any]:
    """Run NVE hot; give temperature, shortest distance, displacements, drift of the energy, or why it ended."""
    wanted = HOT_K if len(potential.elements) > 1 else HOT_OF.get(potential.elements[0], HOT_K)
    row: dict[str, Any] = {"seed": seed, "atoms": len(crystal), "wanted_K": wanted, "ps": 0.0}
    watched: list[tuple[float, ...]] = []
    try:
        atoms = warmed(crystal, potential.calculator(), wanted, length.warm, np.random.default_rng(seed))
        motion = VelocityVerlet(atoms, STEP_FS * units.fs)
        sites = at_temperature(crystal, wanted).positions
        motion.attach(lambda: watched.append(watch(atoms, sites)), interval=_SAMPLE)
        motion.run(length.hot)
    except HEAError as error:
        row["ended"] = str(error)
    if watched:
        table = np.array(watched)
        row |= {
            "ps": (len(watched) - 1) * _SAMPLE * STEP_FS * 1e-3,
            "temperature_K": float(table[:, 0].mean()),
            "temperature_last_third_K": float(table[-(-2 * len(table) // 3) :, 0].mean()),
            "least_distance_A": float(table[:, 1].min()),
            "largest_displacement_A": float(table[:, 2].max()),
            "rms_displacement_A": float(np.sqrt(np.mean(table[:, 3] ** 2))),
            "pressure_GPa": float(table[:, 4].mean()),
            "energy_change_meV_per_atom": 1e3 * float(table[-1, 5] - table[0, 5]),
        }
    row["stable"] = is_stable(row)
    return row


def is_stable(row: dict[str, Any]) -> bool:
    """Tell whether a hot run came to its end with every atom in place and its temperature kept."""
    if "ended" in row or "temperature_K" not in row:
        return False
    return bool(
        row["least_distance_A"] > LEAST_DISTANCE_A
        and row["largest_displacement_A"] < MOST_DISPLACEMENT_A
        and abs(row["temperature_last_third_K"] / row["wanted_K"] - 1) < TEMPERATURE_STDS / np.sqrt(3 * row["atoms"])
        and np.isfinite(row["energy_change_meV_per_atom"])
    )


def watch(atoms: Atoms, sites: np.ndarray) -> tuple[float, ...]:
    """Give temperature, shortest distance, largest and rms displacement, pressure in GPa, total energy per atom."""
    moved = atoms.positions - sites
    moved -= moved.mean(0)
    away = np.linalg.norm(moved, axis=1)
    vectors = atoms.calc.neighbours.environment(atoms).vectors
    shortest = float(np.sqrt(np.einsum("pk,pk->p", vectors, vectors).min()))
    pressure = -float(atoms.get_stress(include_ideal_gas=True)[:3].mean()) / units.GPa
    total = atoms.get_total_energy() / len(atoms)
    return atoms.get_temperature(), shortest, float(away.max()), float(np.sqrt((away**2).mean())), pressure, total


def precisions_of(one: Measured) -> dict[str, SitePotential]:
    """Give the potential in every precision of its kernel; a SNAP has one."""
    single = in_precision(one.potential.model, "float32")
    if single is one.potential.model:
        return {"double": one.potential}
    double = in_precision(one.potential.model, "float64")
    return {"double": replace(one.potential, model=double), "single": replace(one.potential, model=single)}


def run(one: Measured, options: argparse.Namespace, length: Length) -> dict[str, Any]:
    """Run one potential in all its precisions."""
    found: dict[str, Any] = {}
    seeds = range(options.seeds)
    for precision, potential in precisions_of(one).items():
        crystals = [alloy_of(one.potential, options.atoms, seed) for seed in seeds]
        print(f"\n{one.name}, {precision}, {len(crystals[0])} atoms of {' '.join(potential.elements)}", flush=True)
        cold = [drift_of(potential, c, length, seed) for c, seed in zip(crystals, seeds, strict=True)]
        drift = show_drift(cold, length)
        hot = []
        for c, seed in zip(crystals, seeds, strict=True):
            hot.append(hot_run(potential, c, length, seed))
            show_hot(hot[-1], length)
        found[precision] = {"atoms": len(crystals[0]), "runs": cold, **drift, "hot": hot}
    return found


def show_drift(rows: Sequence[dict[str, float]], length: Length) -> dict[str, Any]:
    """Print the drift of each seed and their mean."""
    slopes = np.array([row["drift_eV_per_atom_ns"] for row in rows])
    own = np.array([row["drift_std_eV_per_atom_ns"] for row in rows])
    error = float(np.sqrt((own**2).mean() / len(rows)))
    if len(slopes) > 1:  # few seeds may agree by chance
        error = max(error, float(slopes.std(ddof=1) / np.sqrt(len(slopes))))
    for row in rows:
        print(
            f"  NVE {length.drift * STEP_FS * 1e-3:g} ps, seed {row['seed']:.0f}: {row['temperature_K']:.0f} K, drift"
            f" {row['drift_eV_per_atom_ns']:+.1e} +- {row['drift_std_eV_per_atom_ns']:.0e} eV/atom/ns, energy wavers by"
            f" {row['energy_std_eV_per_atom']:.0e} eV/atom, {row['us_per_atom_step']:.1f} us/atom/step"
        )
    mean = float(slopes.mean())
    print(
        f"  drift {mean:+.1e} +- {error:.0e} eV/atom/ns over {len(slopes)} seeds"
        f"  |drift| {judged(abs(mean), DRIFT_TARGET)}"
        + (" (the run is too short to tell)" if error > DRIFT_TARGET else ""),
        flush=True,
    )
    return {
        "drift_eV_per_atom_ns": mean,
        "drift_standard_error_eV_per_atom_ns": error,
        "reached": abs(mean) <= DRIFT_TARGET,
        "resolved": error <= DRIFT_TARGET,
    }


def show_hot(row: dict[str, Any], length: Length) -> None:
    """Print a hot run."""
    if "temperature_K" not in row:
        print(f"  hot, seed {row['seed']}: ended before it began, {row.get('ended')}: MISSED", flush=True)
        return
    print(
        f"  hot, seed {row['seed']}: {row['ps']:g} of {length.hot * STEP_FS * 1e-3:g} ps,"
        f" {row['temperature_K']:.0f} K (wanted {row['wanted_K']:.0f}, last third"
        f" {row['temperature_last_third_K']:.0f}), shortest distance"
        f" {row['least_distance_A']:.2f} A, displacement {row['rms_displacement_A']:.2f} rms,"
        f" {row['largest_displacement_A']:.2f} A at most, {row['pressure_GPa']:+.1f} GPa, energy"
        f" {row['energy_change_meV_per_atom']:+.3f} meV/atom: {'stable' if row['stable'] else 'MISSED'}"
        + (f", {row['ended']}" if "ended" in row else ""),
        flush=True,
    )


def main() -> None:
    parser = benchmark_parser(__doc__, ["nbmotaw-mtp"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ps", type=float, default=100.0, help="length of the NVE runs at 300 K")
    parser.add_argument("--atoms", type=int, default=250)
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.ps, options.atoms = min(options.seeds, 2), min(options.ps, 0.5), 54
    length = Length(
        warm=200 if options.quick else 2000,
        drift=round(options.ps * 1e3 / STEP_FS),
        hot=400 if options.quick else round(1e4 / STEP_FS),
    )
    measured = read_potentials(options.potentials, data_folder(options))
    results = {one.name: run(one, options, length) for one in measured}
    write_results(options, __file__, measured, potentials=results, settings=vars(length) | {"step_fs": STEP_FS})


if __name__ == "__main__":
    main()
