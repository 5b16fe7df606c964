"""Measure the numbers of the whole-pattern fit: weight fractions, lattices, their intervals, and what a fit costs.

python tests/benchmarks/xrd_fractions.py [--quick] [--data FOLDER] [--seed N] [--n N] [--json FILE]

Simulated: alloys of two or three phases, every tube and some single wavelengths, shares from 2 %, texture from none to
strong, sizes, strain, B from 0.2 to 1.2 A^2, elements that prefer a phase (which the fit is not told), backgrounds,
foreign lines, noise. Constants of the intervals were chosen on seeds from 1000; the table uses seed 0. Real (HEA_DATA):
the D8 steels, where _013 is a reference mixture with 11.94 +- 2 wt% austenite and _008 is iron, a = 2.8665 A.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals import prototype
from hea_sim.diffraction.families import Cell, family_table
from hea_sim.diffraction.radiation import radiation
from hea_sim.diffraction.random_specimens import draw_measurement
from hea_sim.diffraction.specimen import MeasuredSpecimen, SpecimenPhase, measure_specimen
from hea_sim.documents import to_jsonable, versions, write_json
from hea_sim.elements import elemental_volume_A3
from hea_vision.io import read_pattern
from hea_vision.xrd.lines import find_lines
from hea_vision.xrd.refine import Refinement, StartPhase, refine_pattern

_POOLS = (
    ("Al", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu"),
    ("Ti", "V", "Cr", "Zr", "Nb", "Mo", "Hf", "Ta", "W"),
)
_STRUCTURES = ("A1", "A2", "A3", "sigma", "C14", "C15")
_STEEL = Composition.parse("Fe70Cr19Ni9Mn2")
_FERRITE = Composition.parse("Fe80Cr18Mn2")
_DUPLEX = Composition.parse("Fe66Cr24Ni7Mo3")
_REAL: dict[str, tuple[str | None, tuple[tuple[str, float, Composition], ...]]] = {
    "xrd/steel_d8/E211110-AAC-001_008-000_exported.csv": ("CuKa", (("A2", 2.868, Composition.parse("Fe")),)),
    "xrd/steel_d8/E211110-AAC-001_012-000_exported.csv": ("CuKa", (("A1", 3.595, _STEEL),)),
    "xrd/steel_d8/E211110-AAC-001_013-000_exported.csv": (
        "CuKa",
        (("A1", 3.595, _STEEL), ("A2", 2.872, _FERRITE)),
    ),
    "xrd/steel_d8/E211110-AAC-001_014-000_exported.csv": (
        "CuKa",
        (("A1", 3.61, _DUPLEX), ("A2", 2.878, _DUPLEX)),
    ),
    "xrd/steel_xrdml/Gonio_BB-HD-Cu_Gallipix3d[30-120]_New_Control_proper_power.xrdml": (
        None,
        (("A1", 3.61, _DUPLEX), ("A2", 2.878, _DUPLEX)),
    ),
    "specimens/nbmotativ/Nb_Mo_Ta_Ti_V_As_Cast_01_001_exported.xy": (
        None,
        (("A2", 3.22, Composition.parse("NbMoTaTiV")),),
    ),
}
AUSTENITE = (0.1194, 0.02)


def draw_mixture(rng: np.random.Generator) -> tuple[MeasuredSpecimen, list[StartPhase]]:
    """Draw a specimen of two or three phases and what the fit is told of it."""
    pool = _POOLS[int(rng.integers(2))]
    elements = [str(e) for e in rng.choice(pool, size=int(rng.integers(2, 6)), replace=False)]
    whole = Composition.parse({e: float(x) for e, x in zip(elements, rng.dirichlet(np.full(len(elements), 8.0)))})
    count = int(rng.integers(2, 4))
    names = [str(n) for n in rng.choice(_STRUCTURES, size=count, replace=False, p=[0.3, 0.3, 0.1, 0.1, 0.1, 0.1])]
    shares = np.maximum(rng.dirichlet(np.full(count, 0.8)), 0.02)
    volume = sum(x * elemental_volume_A3(e).value for e, x in whole.items())
    phases, starts = [], []
    for name, share in zip(names, shares / shares.sum()):
        phase = _draw_phase(rng, name, whole, volume, float(share))
        phases.append(phase)
        off = float(np.exp(rng.normal(0, 5e-4)))
        labels = prototype(name).sublattices
        starts.append(StartPhase(structure=name, cell=phase.cell.scaled(off), occupancy=dict.fromkeys(labels, whole)))
    return measure_specimen(tuple(phases), draw_measurement(rng), rng), starts


def _draw_phase(rng: np.random.Generator, name: str, whole: Composition, volume: float, share: float) -> SpecimenPhase:
    table = family_table(name)
    own = Composition.parse({e: float(x * np.exp(rng.normal(0, 0.25))) for e, x in whole.items()})
    unit = table.cell()
    factor = (volume * table.atoms_per_cell / table.volume_A3(unit)) ** (1 / 3) * float(np.exp(rng.normal(0, 0.01)))
    cell = unit.scaled(factor)
    if table.kind.system != "cubic":
        cell = Cell(a_A=cell.a_A, b_A=cell.b_A, c_A=cell.c_A * float(np.exp(rng.normal(0, 0.004))))
    axes = ((1, 0, 0), (1, 1, 0), (1, 1, 1)) if table.kind.system == "cubic" else ((0, 0, 1), (1, 0, 0), (1, 1, 0))
    scatter = float(rng.choice([0.0, rng.uniform(0.02, 0.15), rng.uniform(0.15, 0.7)]))
    return SpecimenPhase(
        structure=name,
        cell=cell,
        occupancy=dict.fromkeys(table.sublattices, own),
        volume_fraction=share,
        size_nm=float(np.exp(rng.uniform(np.log(10), np.log(400)))),
        microstrain=float(np.abs(rng.normal(0, 0.0015))),
        b_iso_A2=float(rng.uniform(0.2, 1.2)),
        line_scatter=scatter,
        march_axis=axes[int(rng.integers(3))] if rng.random() < 0.35 else None,
        march_r=float(np.exp(rng.normal(0, 0.35))),
    )


def simulated_rows(n: int, seed: int) -> list[dict[str, Any]]:
    """Fit simulated mixtures; one row a phase."""
    rows = []
    for k in range(n):
        measured, starts = draw_mixture(np.random.default_rng([seed, k]))
        tube = measured.measurement.radiation
        lines = find_lines(measured.pattern, tube)
        begin = time.perf_counter()
        result = refine_pattern(lines, starts)
        seconds = time.perf_counter() - begin
        for i, (phase, truth) in enumerate(zip(result.phases, measured.phases)):
            weight = phase.weight_fraction
            lattice = phase.lattice["a"]
            rows.append(
                {
                    "specimen": k,
                    "phases": len(starts),
                    "structure": phase.structure,
                    "tube": tube.name if tube.is_tube else "single wavelength",
                    "texture": truth.line_scatter > 0.15 or truth.march_axis is not None,
                    "significance": measured.significance(i),
                    "weight_true": float(measured.weight_fraction[i]),
                    "weight": weight.value,
                    "low": weight.low,
                    "high": weight.high,
                    "a_true": truth.cell.a_A,
                    "a": lattice.value,
                    "a_low": lattice.low,
                    "a_high": lattice.high,
                    "gain": phase.gain,
                    "explained": result.explained,
                    "goodness_of_fit": result.goodness_of_fit,
                    "scatter": phase.texture.line_scatter,
                    "seconds": seconds,
                    "points": result.n_points,
                    "converged": result.converged,
                }
            )
    return rows


def summary(rows: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Sum rows up; intervals are from a bootstrap over specimens."""
    names = np.array([row["specimen"] for row in rows])
    covered = np.array([row["low"] <= row["weight_true"] <= row["high"] for row in rows], float)
    error = np.array([abs(row["weight"] - row["weight_true"]) for row in rows])
    width = np.array([row["high"] - row["low"] for row in rows])
    lattice = np.array([row["a_low"] <= row["a_true"] <= row["a_high"] for row in rows], float)
    seen = np.array([row["significance"] > 5 for row in rows])
    a_error = np.array([abs(row["a"] - row["a_true"]) for row in rows])
    seconds = np.array([row["seconds"] for row in rows])
    return {
        "specimens": len(set(names.tolist())),
        "phases": len(rows),
        "coverage": _bootstrap(covered, names, seed),
        "mean_absolute_error_wt_percent": _bootstrap(100 * error, names, seed),
        "median_absolute_error_wt_percent": float(100 * np.median(error)),
        "median_width_wt_percent": float(100 * np.median(width)),
        "lattice_coverage_seen": _bootstrap(lattice[seen], names[seen], seed),
        "median_lattice_error_A": float(np.median(a_error[seen])),
        "seconds_median": float(np.median(seconds)),
        "seconds_p95": float(np.percentile(seconds, 95)),
        "converged": float(np.mean([row["converged"] for row in rows])),
    }


def _bootstrap(values: np.ndarray, groups: np.ndarray, seed: int) -> dict[str, float]:
    """Compute a mean with its 90 % interval over resampled specimens."""
    rng = np.random.default_rng(seed)
    labels = np.unique(groups)
    sums = np.array([values[groups == g].sum() for g in labels])
    counts = np.array([(groups == g).sum() for g in labels])
    drawn = rng.integers(len(labels), size=(2000, len(labels)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, (5, 95))
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}


def fit_real(path: Path, tube: str | None, phases: tuple[tuple[str, float, Composition], ...]) -> Refinement:
    """Fit a real pattern."""
    pattern = read_pattern(path)
    source = radiation(tube or pattern.radiation or pattern.wavelength_A)
    starts = []
    for name, a, composition in phases:
        cell = Cell(a_A=a, b_A=a, c_A=a)
        starts.append(StartPhase(structure=name, cell=cell, occupancy={"M": composition}))
    return refine_pattern(find_lines(pattern, source), starts)


def real_rows(data: Path) -> list[dict[str, Any]]:
    """Fit the registry's alloy patterns."""
    rows = []
    for name, (tube, phases) in _REAL.items():
        begin = time.perf_counter()
        result = fit_real(data / name, tube, phases)
        rows.append(
            {
                "file": Path(name).name,
                "seconds": time.perf_counter() - begin,
                "rwp_percent": result.rwp_percent,
                "goodness_of_fit": result.goodness_of_fit,
                "explained": result.explained,
                "phases": [
                    {"structure": p.structure, "a": p.lattice["a"], "weight_fraction": p.weight_fraction}
                    for p in result.phases
                ],
            }
        )
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20 mixtures")
    parser.add_argument("--data", type=Path, default=os.environ.get("HEA_DATA"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = simulated_rows(20 if args.quick else args.n, args.seed)
    out: dict[str, Any] = {"simulated": summary(rows, args.seed), "rows": rows, "real": []}
    for kind in (True, False):
        chosen = [row for row in rows if row["texture"] is kind]
        if chosen:
            out["textured" if kind else "powder"] = summary(chosen, args.seed)
    if args.data:
        out["real"] = real_rows(Path(args.data))
    out |= {"versions": versions(), "machine": platform.machine(), "seed": args.seed}
    shown = {k: v for k, v in out.items() if k != "rows"}
    print(json.dumps(to_jsonable(shown), indent=1))
    if args.json:
        write_json(args.json, to_jsonable(out))


if __name__ == "__main__":
    main()
