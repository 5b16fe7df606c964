"""Measure the pattern labeller `matcher`: real patterns (HEA_DATA) and patterns simulated for the purpose.

python tests/benchmarks/xrd_matcher.py [--quick] [--data FOLDER] [--seed N] [--json FILE]

Real: the six alloy patterns of the registry, LaB6 and the oxides; nothing was tuned per pattern. Simulated: random
alloys of one or two phases, random tube, range, texture, widths, displacement and noise; expected sets with order
ignored, because the order of a random alloy does not show.
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

from hea_sim.crystals import build_crystal, prototype
from hea_sim.diffraction import powder_lines
from hea_sim.diffraction.powder import broaden
from hea_sim.diffraction.profile import Instrument, bragg_two_theta_deg
from hea_sim.diffraction.radiation import radiation
from hea_sim.documents import to_jsonable, versions, write_json
from hea_sim.records import Pattern, PatternCall
from hea_vision.io import read_pattern
from hea_vision.xrd import classify_pattern

#: The registry's alloy patterns and what is in them (set of fundamental lattices, lattice parameter where certified).
ALLOYS: dict[str, tuple[set[str], float | None]] = {
    "xrd/steel_d8/E211110-AAC-001_008-000_exported.csv": ({"A2"}, 2.8665),
    "xrd/steel_d8/E211110-AAC-001_012-000_exported.csv": ({"A1"}, None),
    "xrd/steel_d8/E211110-AAC-001_013-000_exported.csv": ({"A1", "A2"}, None),
    "xrd/steel_d8/E211110-AAC-001_014-000_exported.csv": ({"A1", "A2"}, None),
    "xrd/steel_xrdml/Gonio_BB-HD-Cu_Gallipix3d[30-120]_New_Control_proper_power.xrdml": ({"A1", "A2"}, None),
    "specimens/nbmotativ/Nb_Mo_Ta_Ti_V_As_Cast_01_001_exported.xy": ({"A2"}, None),
}
LAB6 = "xrd/steel_d8/E211110-AAC-001_005-000_exported.csv"
STEEL_D8_TUBE = "CuKa"  # the exported files do not say


def label(path: Path) -> PatternCall:
    """Label a real pattern without telling its elements."""
    pattern = read_pattern(path)
    return classify_pattern(pattern, radiation=None if pattern.radiation else STEEL_D8_TUBE)


def real_rows(data: Path, quick: bool) -> list[dict[str, Any]]:
    """Label the registry's patterns."""
    rows = []
    files = [(name, truth, a) for name, (truth, a) in ALLOYS.items()]
    others = [LAB6, *sorted(str(p.relative_to(data)) for p in (data / "xrd/non_alloy").glob("*.xy"))]
    others += sorted(str(p.relative_to(data)) for p in (data / "xrd/reaction_xrdml").glob("*.xrdml"))
    files += [(name, set(), None) for name in (others[:4] if quick else others)]
    for name, truth, a in files:
        start = time.perf_counter()
        call = label(data / name)
        found = {p.name for p in call.phases}
        if truth:
            right = call.in_scope and found == truth
        else:
            right = not call.in_scope and ("MnO" not in Path(name).stem.split("+") or "B1" in found)
        rows.append(
            {
                "file": Path(name).name,
                "truth": sorted(truth) or "not an alloy",
                "in_scope": call.in_scope,
                "found": sorted(found),
                "traces": [t.name for t in call.traces],
                "sets": call.prediction_sets,
                "right": bool(right),
                "unexplained": call.unexplained_fraction,
                "seconds": time.perf_counter() - start,
                "a_A": {p.name: p.lattice_A["a"].value for p in call.phases if "a" in p.lattice_A},
                "a_error_A": None if a is None else abs(call.phases[0].lattice_A["a"].value - a),
            }
        )
    return rows


_SOLUTIONS = {
    "A1": (["Co", "Cr", "Fe", "Ni", "Mn", "Cu"], (3.50, 3.68)),
    "A2": (["Nb", "Mo", "Ta", "W", "V", "Ti"], (2.85, 3.40)),
    "A3": (["Ti", "Zr", "Hf", "Co"], (2.50, 3.20)),
}
_EXTRA = {"C14": (4.75, 5.2), "C15": (6.7, 7.4), "sigma": (8.7, 9.3)}


def simulate(rng: np.random.Generator) -> tuple[Pattern, set[str], list[str]]:
    """Make one pattern; return it with its phases and the elements."""
    main = str(rng.choice(list(_SOLUTIONS), p=[0.45, 0.45, 0.10]))
    pool, limits = _SOLUTIONS[main]
    elements = [str(e) for e in rng.choice(pool, size=min(len(pool), int(rng.integers(3, 6))), replace=False)]
    phases = {main: float(rng.uniform(*limits))}
    if rng.random() < 0.4:
        second = str(rng.choice([n for n in ("A1", "A2", "C14", "C15", "sigma") if n != main]))
        per_atom = phases[main] ** 3 / {"A1": 4, "A2": 2, "A3": 2 / (1.6 * 0.866)}[main]
        n = {"A1": 4, "A2": 2}.get(second)
        phases[second] = (
            float((n * per_atom * rng.normal(1, 0.02)) ** (1 / 3)) if n else float(rng.uniform(*_EXTRA[second]))
        )
    tube = radiation(str(rng.choice(["CuKa", "CoKa", "MoKa", "CrKa"], p=[0.6, 0.25, 0.1, 0.05])))
    low = rng.uniform(20, 35) * tube.wavelength_A / 1.54
    angles = np.arange(low, min(low + rng.uniform(70, 95), 145.0), 0.02)
    instrument = Instrument(
        w_deg2=rng.uniform(0.08, 0.25) ** 2,
        strain_deg=rng.uniform(0, 0.4),
        eta=rng.uniform(0.3, 0.8),
        displacement_deg=rng.normal(0, 0.06),
    )
    total = np.zeros_like(angles)
    for i, (name, a) in enumerate(phases.items()):
        share = 1.0 if i == 0 else rng.uniform(0.15, 0.6)
        total += share * _phase_curve(name, a, elements, tube, angles, instrument, rng)
    peak = rng.uniform(500, 8000)
    background = peak * rng.uniform(0.02, 0.3) * (1 + 0.5 * np.exp(-(angles - angles[0]) / 20))
    counts = rng.poisson(background + peak * total / total.max()).astype(float)
    return (
        Pattern(two_theta_deg=angles, intensity=counts, radiation=tube.name, source="simulated"),
        set(phases),
        elements,
    )


def _phase_curve(
    name: str,
    a: float,
    elements: list[str],
    tube: Any,
    angles: np.ndarray,
    instrument: Instrument,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw one phase of unit summed intensity, with the scatter of coarse grains on its lines."""
    composition = "".join(elements)
    occupancy = {s: composition for s in prototype(name).sublattices}
    if name in ("C14", "C15"):
        occupancy = {"A": "Nb", "B": "Fe"}
    crystal = build_crystal(name, occupancy, a_A=a, c_A=a * prototype(name).axial_ratio * rng.normal(1, 0.004))
    lines = powder_lines(crystal, tube, two_theta_range_deg=(10, 150))
    areas = lines.intensity / lines.intensity.sum() * np.exp(rng.normal(0, rng.uniform(0.1, 0.6), len(lines.d_A)))
    total = np.zeros_like(angles)
    for wavelength, weight in tube.lines:
        total += weight * broaden(angles, bragg_two_theta_deg(lines.d_A, wavelength), areas, instrument)
    return total


def simulated_rows(n: int, seed: int) -> list[dict[str, Any]]:
    """Label n simulated patterns, elements given in every second one."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        pattern, truth, elements = simulate(rng)
        start = time.perf_counter()
        call = classify_pattern(pattern, elements=elements if i % 2 else None)
        sets = {tuple(sorted(prototype(x).fundamental for x in s)) for s in call.prediction_sets}
        found = {p.name for p in (*call.phases, *call.traces)}
        rows.append(
            {
                "truth": sorted(truth),
                "found": sorted(found),
                "elements_given": bool(i % 2),
                "radiation": pattern.radiation,
                "right": call.in_scope and found == truth,
                "refused": not call.in_scope,
                "probability": _top(call),
                "covered": tuple(sorted(truth)) in sets,
                "set_size": len(sets),
                "seconds": time.perf_counter() - start,
            }
        )
    return rows


def _top(call: PatternCall) -> float:
    return min((p.probability for p in call.phases), default=0.0)


def calibration_error(rows: list[dict[str, Any]], bins: int = 10) -> float:
    """Compute the expected calibration error of the top assemblage's probability over accepted patterns."""
    p = np.array([r["probability"] for r in rows if not r["refused"]])
    right = np.array([r["right"] for r in rows if not r["refused"]], float)
    which = np.minimum((p * bins).astype(int), bins - 1)
    return float(sum(abs(p[which == b].mean() - right[which == b].mean()) * np.mean(which == b) for b in set(which)))


def summarise(real: list[dict[str, Any]], simulated: list[dict[str, Any]]) -> dict[str, Any]:
    """Reduce the rows to the figures of the README."""
    out: dict[str, Any] = {}
    if real:
        alloys = [r for r in real if r["truth"] != "not an alloy"]
        others = [r for r in real if r["truth"] == "not an alloy"]
        out["real alloy sets right"] = f"{sum(r['right'] for r in alloys)} of {len(alloys)}"
        out["real false refusals"] = sum(not r["in_scope"] for r in alloys)
        out["real non-alloys refused"] = f"{sum(not r['in_scope'] for r in others)} of {len(others)}"
        out["real non-alloys right (MnO named)"] = f"{sum(r['right'] for r in others)} of {len(others)}"
        out["Fe lattice error (A)"] = max(r["a_error_A"] for r in alloys if r["a_error_A"] is not None)
        out["median seconds, real"] = float(np.median([r["seconds"] for r in real]))
    for n in (1, 2):
        part = [r for r in simulated if len(r["truth"]) == n]
        if part:
            out[f"simulated, {n} phase(s): exact set"] = f"{np.mean([r['right'] for r in part]):.3f} of {len(part)}"
            out[f"simulated, {n} phase(s): 99 % sets cover"] = float(np.mean([r["covered"] for r in part]))
            out[f"simulated, {n} phase(s): mean set size"] = float(np.mean([r["set_size"] for r in part]))
            out[f"simulated, {n} phase(s): refused"] = float(np.mean([r["refused"] for r in part]))
    out["simulated calibration error"] = calibration_error(simulated)
    out["median seconds, simulated"] = float(np.median([r["seconds"] for r in simulated]))
    return out


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a subset that takes under a minute")
    parser.add_argument("--data", type=Path, default=os.environ.get("HEA_DATA"), help="folder of the real data sets")
    parser.add_argument("--n", type=int, default=None, help="simulated patterns")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    real = real_rows(Path(args.data), args.quick) if args.data else []
    simulated = simulated_rows(args.n or (16 if args.quick else 200), args.seed)
    for row in real:
        mark = "ok " if row["right"] else "BAD"
        print(
            f"{mark} {row['file'][:44]:44} {row['in_scope']!s:5} {'+'.join(row['found']) or '-':8} unexplained"
            f" {row['unexplained']:.2f}  {row['seconds']:.1f} s  {row['a_A']}"
        )
    for row in simulated:
        if not row["right"]:
            print("   missed:", row)
    summary = summarise(real, simulated)
    for name, value in summary.items():
        print(f"{name:45} {value if isinstance(value, (str, int)) else f'{value:.4g}'}")
    if args.json:
        write_json(
            args.json,
            to_jsonable(
                {
                    "summary": summary,
                    "real": real,
                    "simulated": simulated,
                    "seed": args.seed,
                    "versions": versions(),
                    "machine": platform.processor() or platform.machine(),
                }
            ),
        )
        print(json.dumps({"written": str(args.json)}))


if __name__ == "__main__":
    main()
