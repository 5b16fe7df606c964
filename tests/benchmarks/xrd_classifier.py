"""Measure pattern labellers side by side: real patterns (HEA_DATA), simulated alloys, order, refusal, speed.

python tests/benchmarks/xrd_classifier.py [--quick] [--labellers matcher,network] [--data FOLDER] [--seed N] [--n N]
    [--workers N] [--resume FILE.jsonl] [--json FILE]

Real: a frozen list (`xrd_real`), elements not told. Simulated: n alloys and n/3 patterns to refuse (`xrd_specimens`) on
an instrument that no labeller was trained on (`xrd_rendering`), elements told (with their amounts) in every second one;
n/2 patterns of ordered and disordered alloys (`xrd_order_list`). What counts as right: `xrd_scores`. Every worker runs
on one thread; seconds are those of `classify_pattern` alone, and those of the processor do not count what else the
machine was doing. A run that is killed goes on from its journal (`--resume`), which keeps only rows of the same
specimens, weights and source.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from xrd_order_list import draw_order_case
from xrd_real import REAL_PATTERNS
from xrd_scores import (
    Figure,
    Row,
    fundamental_sets,
    is_right,
    metallic_probability,
    order_figures,
    real_figures,
    simulated_figures,
    speed_figures,
)
from xrd_specimens import DETECTABLE_SIGMA, draw_alloy, draw_outside

import hea_sim.diffraction
import hea_vision.xrd
from hea_sim.documents import to_jsonable, versions, write_json
from hea_sim.errors import UnknownNameError
from hea_sim.records import PatternCall
from hea_vision.xrd import classify_pattern

#: One pattern to label: (labeller, part, seed, i).
Task = tuple[str, str, int, int]
_PARTS = ("real", "alloy", "outside", "order")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
#: Of the real patterns, a quick run reads these: iron, duplex steel, NbMoTaTiV, LaB6.
_QUICK_REAL = (0, 3, 5, 6)
#: The modules of this benchmark.
_MODULES = ("xrd_classifier", "xrd_scores", "xrd_rendering", "xrd_specimens", "xrd_order_list", "xrd_real")
_FAST_BATCH = 64
_FAST_LIMIT_S = 0.05


def specimens_sha256() -> str:
    """Hash the files that make the specimens."""
    files = ("xrd_rendering.py", "xrd_specimens.py", "xrd_order_list.py", "xrd_real.py")
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / f).read_bytes() for f in files)).hexdigest()


@cache
def code_sha256() -> str:
    """Hash the source that labels, draws and judges: the labellers, their diffraction and this benchmark."""
    benchmark = [Path(__file__).parent / f"{name}.py" for name in _MODULES]
    packages = [Path(p.__file__).parent for p in (hea_vision.xrd, hea_sim.diffraction)]
    files = [*benchmark, *(file for folder in packages for file in sorted(folder.glob("*.py")))]
    return hashlib.sha256(b"".join(f"\0{f.name}\0".encode() + f.read_bytes() for f in files)).hexdigest()


def label_task(job: tuple[Task, Path | None]) -> dict[str, Any]:
    """Label one pattern; what goes wrong stands in the row's `error`."""
    (labeller, part, seed, i), data = job
    key = {"labeller": labeller, "part": part, "seed": seed, "i": i}
    key |= {"specimens": specimens_sha256(), "code": code_sha256()}
    if part == "real":
        assert data is not None
        return key | _real_row(labeller, i, data)
    told = bool(i % 2)
    if part == "order":
        return key | _order_row(labeller, (seed, _PARTS.index(part), i), told)
    return key | _simulated_row(labeller, part, (seed, _PARTS.index(part), i), told)


def _real_row(labeller: str, i: int, data: Path) -> dict[str, Any]:
    real = REAL_PATTERNS[i]
    call, row = _ask(labeller, real.read(data), radiation=real.radiation)
    row |= {"file": Path(real.path).name, "truth": list(real.lattices), "named": real.named, "a_error_A": None}
    main = [p.name for p in call.phases] if call else []
    if real.lattices:
        row["right"] = row["in_scope"] and sorted(main) == sorted(real.lattices)
    else:
        row["right"] = not row["in_scope"] and (not real.named or real.named in row["found"])
    if real.a_A is not None and call and call.phases:
        row["a_error_A"] = abs(call.phases[0].lattice_A["a"].value - real.a_A)
    return row


def _simulated_row(labeller: str, part: str, seed: tuple[int, ...], told: bool) -> dict[str, Any]:
    specimen = draw_alloy(seed) if part == "alloy" else draw_outside(seed)
    # Without its elements an alloy seen with the wrong wavelength is a good pattern of another alloy.
    told = told or specimen.kind == "wrong wavelength"
    pattern = specimen.rendered.pattern
    elements = specimen.composition if told else None
    _, answer = _ask(labeller, pattern, elements=elements)
    visible, present = specimen.visible, list(specimen.lattices)
    row = {
        "kind": specimen.kind,
        "visible": visible,
        "present": present,
        "fractions": specimen.fractions,
        "significance": specimen.significance,
        "limit_sigma": DETECTABLE_SIGMA,
        "composition": specimen.composition.formula,
        "elements": told,
        "radiation": pattern.radiation or pattern.wavelength_A,
        "measured_with": specimen.rendered.scan.source.name,
        "range_deg": [float(pattern.two_theta_deg[0]), float(pattern.two_theta_deg[-1])],
        "peak_counts": specimen.rendered.scan.peak_counts,
        **answer,
    }
    if part == "outside":
        row["right"] = not row["in_scope"]
        return row
    row["right"] = row["in_scope"] and is_right(row["found"], visible, present)
    row["covered"] = any(is_right(s, visible, present) for s in row["sets"])
    top = row["assemblages"][0]["phases"] if row["assemblages"] else []
    row["top_right"] = is_right(top, visible, present)
    return row


def _order_row(labeller: str, seed: tuple[int, ...], told: bool) -> dict[str, Any]:
    case = draw_order_case(seed)
    call, answer = _ask(labeller, case.rendered.pattern, elements=case.composition if told else None)
    sets = [sorted(s) for s in call.prediction_sets] if call else []
    named = {
        "alternatives": [case.lattice] in sets and [case.ordered] in sets,
        "ordered alone": sets == [[case.ordered]],
        "undecided": True,
    }[case.expected]
    return answer | {
        "composition": case.composition.formula,
        "elements": told,
        "radiation": case.rendered.pattern.radiation,
        "peak_counts": case.rendered.scan.peak_counts,
        "ordered": case.ordered,
        "order_parameter": case.order_parameter,
        "significance": case.significance,
        "expected": case.expected,
        "prediction_sets": sets,
        "order_reasons": [str(test.get("reason", "")) for test in call.order] if call else [],
        "right": answer["in_scope"] and named,  # a pattern that is refused is not answered
    }


def _ask(labeller: str, pattern: Any, **settings: Any) -> tuple[PatternCall | None, dict[str, Any]]:
    """Label a pattern and reduce the call to what a row keeps; an exception is an answer that names nothing."""
    start, cpu = time.perf_counter(), time.process_time()
    call, error = None, ""
    try:
        call = classify_pattern(pattern, model=labeller, **settings)
    except Exception as problem:  # a benchmark counts a crash as a wrong answer and goes on
        error = f"{type(problem).__name__}: {problem}"
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    assemblages = list(call.assemblages) if call else []
    return call, {
        "found": sorted(p.name for p in (*call.phases, *call.traces)) if call else [],
        "traces": [t.name for t in call.traces] if call else [],
        "sets": fundamental_sets(call.prediction_sets) if call else [],
        "assemblages": assemblages[:6],
        "probability": float(assemblages[0]["probability"]) if assemblages else 0.0,
        "metallic": metallic_probability(assemblages),
        "in_scope": bool(call and call.in_scope),
        "reason": call.reason if call else "",
        "unexplained": call.unexplained_fraction if call else None,
        "model_sha256": dict(call.provenance.model_sha256) if call and call.provenance else {},
        "error": error,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
    }


def start_worker() -> None:
    """Hold a worker to one thread."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


def model_of(labeller: str) -> dict[str, str] | None:
    """Give the SHA-256 of a labeller's weights, None where it is not installed; weights are loaded on the way."""
    pattern = draw_alloy((0, 0, 1)).rendered.pattern
    try:
        call = classify_pattern(pattern, model=labeller)
    except UnknownNameError:
        return None
    return dict(call.provenance.model_sha256) if call.provenance else {}


def fast_mode(seed: int) -> dict[str, Any] | None:
    """Time the fast mode on one thread, in a batch of 64 patterns (16, four times each); None where not installed."""
    from hea_vision.xrd.fast_mode import propose_phases

    patterns = [draw_alloy((seed, len(_PARTS), i)).rendered.pattern for i in range(16)] * (_FAST_BATCH // 16)
    try:
        propose_phases(patterns[:2])
    except UnknownNameError:
        return None
    start, cpu = time.perf_counter(), time.process_time()
    propose_phases(patterns, batch=_FAST_BATCH)
    return {
        "seconds_per_pattern": (time.perf_counter() - start) / len(patterns),
        "cpu_seconds_per_pattern": (time.process_time() - cpu) / len(patterns),
        "n": len(patterns),
    }


def read_journal(path: Path | None, models: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """Read the rows of a journal that belong to these specimens, weights and source; a line cut short is dropped."""
    if path is None or not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        same = row.get("specimens") == specimens_sha256() and row.get("code") == code_sha256()
        mine = same and row["labeller"] in models
        # A refusal that needed no network names no weights.
        if mine and row["model_sha256"] in ({}, models[row["labeller"]]):
            rows.append(row)
    return rows


def plan(labellers: Iterable[str], seed: int, counts: Mapping[str, Sequence[int]]) -> list[Task]:
    """List the patterns to label; the seed of real ones is 0."""
    return [
        (labeller, part, 0 if part == "real" else seed, i)
        for part in _PARTS
        for i in counts[part]
        for labeller in labellers
    ]


def label_all(
    pool: Any, tasks: Sequence[Task], done: Sequence[dict[str, Any]], data: Path | None, journal: Path | None
) -> list[dict[str, Any]]:
    """Label what the journal does not hold; every row is written as soon as it is there."""
    rows = {(r["labeller"], r["part"], r["seed"], r["i"]): r for r in done}
    left = [task for task in tasks if task not in rows]
    if journal:
        journal.parent.mkdir(parents=True, exist_ok=True)
        if journal.exists() and not journal.read_bytes().endswith(b"\n"):
            journal.write_bytes(journal.read_bytes() + b"\n")
    for count, row in enumerate(pool.imap_unordered(label_task, [(task, data) for task in left]), 1):
        plain = to_jsonable(row)
        rows[(row["labeller"], row["part"], row["seed"], row["i"])] = plain
        if journal:
            with journal.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(plain) + "\n")
        if count % 50 == 0:
            print(f"... {count} of {len(left)} patterns labelled", flush=True)
    return [rows[task] for task in tasks]


def figures_of(rows: Sequence[Row], fast: Mapping[str, Any] | None) -> list[Figure]:
    """Reduce the rows of one labeller to the tables."""
    by_part = {part: [r for r in rows if r["part"] == part] for part in _PARTS}
    out = real_figures(by_part["real"]) if by_part["real"] else []
    out += simulated_figures([*by_part["alloy"], *by_part["outside"]])
    out += order_figures(by_part["order"])
    out += speed_figures(rows)
    if fast and any(r["labeller"] == "network" for r in rows):
        value, n = fast["cpu_seconds_per_pattern"], fast["n"]
        out.append(
            Figure(name="fast mode: CPU seconds per pattern", value=value, n=n, target=_FAST_LIMIT_S, at_least=False)
        )
    return out


def print_tables(figures: Mapping[str, Sequence[Figure]]) -> None:
    """Print the labellers side by side, a figure a line: value [95 % interval] (n) verdict."""
    names = list(dict.fromkeys(f.name for some in figures.values() for f in some))
    print(f"\n{'':48} {'target':>9}  " + "  ".join(f"{labeller:42}" for labeller in figures))
    for name in names:
        found = [next((f for f in some if f.name == name), None) for some in figures.values()]
        first = next(f for f in found if f is not None)
        target = "" if first.target is None else f"{'>=' if first.at_least else '<='} {first.target:g}"
        print(f"{name:48} {target:>9}  " + "  ".join(f"{_cell(f):42}" for f in found))


def _cell(figure: Figure | None) -> str:
    if figure is None or not np.isfinite(figure.value):
        return "not measured"
    band = f" [{figure.low:.3f}, {figure.high:.3f}]" if np.isfinite(figure.low) else ""
    return f"{figure.value:.4g}{band} (n {figure.n}) {figure.verdict}"


def print_real(rows: Sequence[Row]) -> None:
    """Print a line for every real pattern."""
    for r in (r for r in rows if r["part"] == "real"):
        mark, found = "ok " if r["right"] else "BAD", "+".join(r["found"]) or "-"
        unexplained = "" if r["unexplained"] is None else f"unexplained {r['unexplained']:.2f}"
        scope = "alloy" if r["in_scope"] else "refused"
        print(f"{mark} {r['labeller']:8} {r['file'][:44]:44} {scope:8} {found:16} {unexplained} {r['seconds']:.1f} s")


def print_misses(rows: Sequence[Row]) -> None:
    """List what was answered wrongly."""
    for r in (r for r in rows if not r["right"]):
        told = f"{r['composition']} {'told' if r['elements'] else 'not told'}" if "composition" in r else r["file"]
        if r["part"] == "order":
            truth = f"{r['ordered']} S {r['order_parameter']:.2f} at {r['significance']:.1f} sigma: {r['expected']}"
            found = f"{r['prediction_sets']} {r['order_reasons']}"
        else:
            truth = "+".join(r.get("visible", r.get("truth"))) or r.get("kind", "not an alloy")
            found = f"{'+'.join(r['found']) or '-'} {r['sets']}"
        print(f"missed {r['labeller']} {r['part']} {r['i']} ({told}, {r.get('radiation', '')}): {truth} -> {found}")
        if r["error"] or r["reason"]:
            print(f"       {r['error'] or r['reason']}")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a subset that takes under a minute")
    parser.add_argument("--labellers", default="matcher,network", help="names, separated by commas")
    parser.add_argument("--data", type=Path, default=os.environ.get("HEA_DATA"), help="folder of the real data sets")
    parser.add_argument("--n", type=int, default=None, help="simulated alloys; a third and a half of it in the others")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--resume", type=Path, help="journal of rows, read and appended to")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    """Run and print."""
    args = parse_arguments()
    os.environ.update(dict.fromkeys(_THREADS, "1"))  # inherited by the workers, where all labelling happens
    n = args.n or (5 if args.quick else 400)
    real = (_QUICK_REAL if args.quick else range(len(REAL_PATTERNS))) if args.data else ()
    counts = {"real": real, "alloy": range(n), "outside": range(max(2, n // 3)), "order": range(max(2, n // 2))}
    with multiprocessing.get_context("spawn").Pool(args.workers, initializer=start_worker) as pool:
        asked = {name: pool.apply(model_of, (name,)) for name in args.labellers.split(",")}
        models = {name: model for name, model in asked.items() if model is not None}
        for name in sorted(set(asked) - set(models)):
            print(f"{name}: not installed")
        done = read_journal(args.resume, models)
        data = Path(args.data) if args.data else None
        rows = label_all(pool, plan(models, args.seed, counts), done, data, args.resume)
        fast = pool.apply(fast_mode, (args.seed,)) if "network" in models else None
    print_real(rows)
    print_misses(rows)
    figures = {name: figures_of([r for r in rows if r["labeller"] == name], fast) for name in models}
    print_tables(figures)
    if args.json:
        content = {
            "figures": {name: [f.__dict__ | {"verdict": f.verdict} for f in some] for name, some in figures.items()},
            "rows": rows,
            "fast_mode": fast,
            "seed": args.seed,
            "models": models,
            "specimens_sha256": specimens_sha256(),
            "code_sha256": code_sha256(),
            "versions": versions(),
            "machine": platform.processor() or platform.machine(),
        }
        write_json(args.json, to_jsonable(content))
        print(f"written: {args.json}")


if __name__ == "__main__":
    main()
