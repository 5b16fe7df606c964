"""Score models of phase, hardness and strength on the frozen folds: random, family and paper split, three seeds.

`python tests/benchmarks/properties_goals.py [--quick] [--seeds N] [--only TASK...] [--keep FOLDER] [--json FILE]`

Three models in one table: 500 extremely randomised trees (the baseline), `hea-bench`'s own model (random forest of
300 trees on its 14 descriptors), and this package. What the package calibrates for a fold comes from models that saw
neither that fold nor the one they predict. Intervals: bootstrap over groups (cluster, element set, publication).
A gain is called one where the 95 % interval of the difference to the baseline leaves out zero.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hea_bench.benchmark.corpus import descriptor_matrix as peer_descriptors
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.metrics import roc_auc_score

from hea_sim.documents import versions, write_json
from hea_sim.properties.conformal import ClassSets, Intervals
from hea_sim.properties.lessons import described, lesson_tables
from hea_sim.properties.models.calibration import ClassCalibration, balanced_call, expected_calibration_error
from hea_sim.properties.models.held_out import table_inputs
from hea_sim.properties.models.phase_model import TREES, fit_phase_forest
from hea_sim.properties.models.strength_model import StrengthForests
from hea_sim.properties.predictor import SHIFT, is_hot
from hea_sim.properties.tables import AlloyTable

SPLITS = ("random", "family", "paper")
LEVEL = 0.9
#: Goal by task, split, subset and measure; a measure that should be small has its sign turned.
GOALS: dict[tuple[str, str, str, str], float] = {
    ("structure", "family", "all", "balanced"): 0.83,
    ("structure", "family", ">=4", "balanced"): 0.79,
    ("structure", "family", "all", "auc"): 0.94,
    ("structure", "family", ">=4", "auc"): 0.87,
    ("structure", "family", "all", "ece"): -0.04,
    ("family", "family", "all", "balanced"): 0.78,
    ("family", "family", ">=4", "balanced"): 0.71,
    ("structure", "paper", "all", "balanced"): 0.77,
    ("family", "paper", "all", "balanced"): 0.60,
    ("hardness", "family", "all", "mae"): -71,
    ("hardness", "paper", "all", "mae"): -100,
    ("strength", "family", "all", "mae"): -255,
    ("strength", "paper", "all", "mae"): -290,
    ("hot strength", "family", "all", "mae"): -165,
    ("hot strength", "paper", "all", "mae"): -190,
}
PHASES, NUMBERS = ("structure", "family"), ("hardness", "strength", "hot strength")
MODELS = ("ExtraTrees", "hea-bench", "this package")


@dataclass(frozen=True)
class Size:
    """How much is computed: trees of each model, resamples, seeds."""

    baseline_trees: int = 500
    peer_trees: int = 300
    own_trees: int = TREES
    resamples: int = 500
    seeds: int = 3


QUICK = Size(baseline_trees=20, peer_trees=20, own_trees=10, resamples=50, seeds=1)


def outside(folds: np.ndarray, *held: int) -> np.ndarray:
    """Mark the rows that teach where folds are held out."""
    return (folds >= 0) & ~np.isin(folds, held)


def peer_inputs(table: AlloyTable) -> np.ndarray:
    """Compute `hea-bench`'s own descriptors; what its tables lack is filled with the mean."""
    rows = []
    for x in table.fractions:
        try:
            rows.append(peer_descriptors([{e: float(c) for e, c in zip(table.elements, x) if c > 0}])[0])
        except (KeyError, ValueError):
            rows.append(None)
    width = len(next(row for row in rows if row is not None))
    filled = np.array([[np.nan] * width if row is None else row for row in rows], float)
    filled = np.clip(filled, -1e6, 1e6)  # ratios whose denominator vanishes are infinite there
    return np.where(np.isnan(filled), np.nanmean(filled, 0), filled)


def nested(folds: np.ndarray, fit: Callable[[np.ndarray, np.ndarray], np.ndarray], shape: tuple[int, ...]) -> Any:
    """Predict every fold, and for every fold k the others by models that saw neither them nor k."""
    outer = np.full(shape, np.nan)
    inner = {k: np.full(shape, np.nan) for k in range(5)}
    for k in range(5):
        outer[folds == k] = fit(outside(folds, k), folds == k)
    for k, j in itertools.combinations(range(5), 2):
        both = np.isin(folds, (k, j))
        told = np.full(shape, np.nan)
        told[both] = fit(outside(folds, k, j), both)
        inner[k][folds == j] = told[folds == j]
        inner[j][folds == k] = told[folds == k]
    return outer, inner


def score_phase_models(
    table: AlloyTable, folds: np.ndarray, seed: int, size: Size, known: dict[str, np.ndarray]
) -> dict:
    """Give for every model probabilities, the call, and for ours the sets."""
    codes, n_elements = table.codes, table.n_elements
    shape = (len(codes), 4)
    plain = {
        "ExtraTrees": (known["all"], ExtraTreesClassifier(size.baseline_trees, random_state=seed)),
        "hea-bench": (known["peer"], RandomForestClassifier(size.peer_trees, random_state=seed)),
    }
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, (x, estimator) in plain.items():
        p = np.zeros(shape)
        for k in range(5):
            fitted = estimator.fit(x[outside(folds, k)], codes[outside(folds, k)])
            p[np.ix_(folds == k, fitted.classes_)] = fitted.predict_proba(x[folds == k])
        found[name] = {"p": p, "call": p.argmax(1)}
    x = known["ours"]
    outer, inner = nested(
        folds, lambda a, b: fit_phase_forest(x[a], codes[a], 4, seed=seed, trees=size.own_trees).predict(x[b]), shape
    )
    p, call, held = np.zeros(shape), np.zeros(len(codes), int), np.zeros(shape, bool)
    for k in range(5):
        teach, test = outside(folds, k), folds == k
        calibration = ClassCalibration.fit(inner[k][teach][None], codes[teach])
        p[test] = calibration.apply(outer[test][None])
        call[test] = balanced_call(p[test], np.bincount(codes[teach], minlength=4) / teach.sum())
        sets = ClassSets.fit(calibration.apply(inner[k][teach][None]), codes[teach], n_elements[teach])
        held[test] = sets.sets(p[test], n_elements[test], LEVEL)
    found["this package"] = {"p": p, "call": call, "held": held}
    return found


def phase_measures(task: str, codes: np.ndarray, one: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, float]:
    """Score some rows (numbers, with repeats in a resample)."""
    y, p, call = codes[rows], one["p"][rows], one["call"][rows]
    single = y == 0 if task == "family" else y < 3
    told = p[:, 0] if task == "family" else p[:, :3].sum(1)
    measures = {
        "balanced": float(np.mean([(call[y == c] == c).mean() for c in np.unique(y)])),
        "likeliest": float(np.mean([(p.argmax(1)[y == c] == c).mean() for c in np.unique(y)])),
        "auc": float(roc_auc_score(single, told)) if single.any() and not single.all() else float("nan"),
        "ece": -expected_calibration_error(p, y),
    }
    if "held" in one:
        measures["coverage"] = float(one["held"][rows][np.arange(len(y)), y].mean())
        measures["set size"] = float(one["held"][rows].sum(1).mean())
    return measures


def score_number_models(
    hardness: AlloyTable, strength: AlloyTable, split: str, seed: int, size: Size, known: dict[str, dict]
) -> dict[str, dict[str, np.ndarray]]:
    """Predict hardness, strength at room temperature and from 400 C on, with intervals, by every model."""
    tables = (hardness, strength)
    folds = np.concatenate([t.folds[split] for t in tables])
    y = np.concatenate([t.value for t in tables if t.value is not None])
    is_hard = np.arange(len(y)) < len(hardness)
    part = np.where(is_hard, 0, np.where(np.concatenate([t.temperature_K for t in tables]) >= 673.15, 2, 1))
    part[(part == 1) & (abs(np.concatenate([t.temperature_K for t in tables]) - 298.15) > 10)] = 3
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, key in (("ExtraTrees", "all"), ("hea-bench", "peer")):
        x = np.vstack([known[t.target][key] for t in tables])
        found[name] = _plain_numbers(name, x, y, folds, part, seed, size)
    x = np.vstack([known[t.target]["ours"] for t in tables])

    def fit(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        forests = StrengthForests.fit(
            x[a & is_hard], y[a & is_hard], x[a & ~is_hard], y[a & ~is_hard], seed=seed, trees=size.own_trees
        )
        return np.where(is_hard[b], forests.hardness_HV(x[b]), forests.strength_MPa(x[b]))

    outer, inner = nested(folds, fit, y.shape)
    hot = is_hot(np.concatenate([t.temperature_K for t in tables]), len(y))
    bounds = np.full((len(y), 2), np.nan)
    for k in range(5):
        for target, of in (("hardness_HV", is_hard), ("yield_strength_MPa", ~is_hard)):
            teach, test = outside(folds, k) & of, (folds == k) & of
            intervals = Intervals.fit(inner[k][teach], y[teach], hot[teach], shift=SHIFT[target])
            bounds[test] = intervals.bounds(outer[test], hot[test], LEVEL)
    found["this package"] = {"value": outer, "low": bounds[:, 0], "high": bounds[:, 1]}
    found["truth"] = {"y": y, "part": part, "folds": folds}
    return found


def _plain_numbers(
    name: str, x: np.ndarray, y: np.ndarray, folds: np.ndarray, part: np.ndarray, seed: int, size: Size
) -> dict[str, np.ndarray]:
    """Predict each kind of line by its own trees; even intervals from two folds held out, as the baseline's."""
    value, half = np.full(len(y), np.nan), np.full(len(y), np.nan)
    for kind in range(3):
        own = np.where(part == kind, folds, -1)

        def fit(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            if name == "ExtraTrees":
                trees: Any = ExtraTreesRegressor(
                    size.baseline_trees, min_samples_leaf=2, max_features=0.5, random_state=seed
                )
            else:
                trees = RandomForestRegressor(size.peer_trees, random_state=seed)
            return trees.fit(x[a], y[a]).predict(x[b])

        if name == "ExtraTrees":
            outer, inner = nested(own, fit, y.shape)
            for k in range(5):
                errors = np.sort(abs(inner[k] - y)[outside(own, k)])
                half[own == k] = errors[min(int(np.ceil((len(errors) + 1) * LEVEL)), len(errors)) - 1]
        else:
            outer = np.full(len(y), np.nan)
            for k in range(5):
                outer[own == k] = fit(outside(own, k), own == k)
        value[own >= 0] = outer[own >= 0]
    return {"value": value, "low": value - half, "high": value + half}


def number_measures(y: np.ndarray, one: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, float]:
    """Score some lines."""
    truth, low, high = y[rows], one["low"][rows], one["high"][rows]
    measures = {"mae": -float(abs(one["value"][rows] - truth).mean())}
    if np.isfinite(low).all():
        measures["coverage"] = float(((truth >= low) & (truth <= high)).mean())
        measures["width"] = float((high - low).mean())
    return measures


def resampled(groups: np.ndarray, rows: np.ndarray, n: int, seed: int = 1) -> list[np.ndarray]:
    """Draw whole groups with replacement; give the rows of each resample."""
    rng = np.random.default_rng(seed)
    names = np.unique(groups[rows])
    members = [rows[groups[rows] == name] for name in names]
    return [np.concatenate([members[k] for k in rng.integers(0, len(names), len(names))]) for _ in range(n)]


def table_rows(
    task: str,
    split: str,
    subset: str,
    models: list[dict],
    measure: Callable,
    rows: np.ndarray,
    groups: np.ndarray,
    n: int,
) -> list[dict[str, Any]]:
    """Score all models on one subset: mean over seeds, bootstrap of the first seed, difference to the baseline."""
    samples = resampled(groups, rows, n)
    lines = []
    for name in MODELS:
        per_seed = [measure(found[name], rows) for found in models]
        drawn = [measure(models[0][name], sample) for sample in samples]
        base = [measure(models[0]["ExtraTrees"], sample) for sample in samples]
        line: dict[str, Any] = {"task": task, "split": split, "subset": subset, "model": name, "n": len(rows)}
        for key in per_seed[0]:
            values = [one[key] for one in per_seed]
            low, high = np.nanquantile([one[key] for one in drawn], [0.025, 0.975])
            entry: dict[str, Any] = {"value": float(np.mean(values)), "low": float(low), "high": float(high)}
            entry["seed_spread"] = float(np.max(values) - np.min(values))
            if name != "ExtraTrees" and key in base[0]:
                gains = np.quantile([a[key] - b[key] for a, b in zip(drawn, base)], [0.025, 0.975])
                entry["gain"] = [float(g) for g in gains]
            line[key] = entry
        lines.append(line)
    return lines


def run_phases(split: str, size: Size, task: str) -> list[dict[str, Any]]:
    """Score one phase task on one split."""
    table = lesson_tables()[task]
    folds = table.folds[split]
    x = described(table.batch())
    known = {"all": x[:, :-7], "ours": x, "peer": peer_inputs(table)}
    models = [score_phase_models(table, folds, seed, size, known) for seed in range(size.seeds)]
    groups = {"random": table.cluster, "family": table.family, "paper": table.paper_group}[split]
    lines = []
    for subset, inside in (("all", folds >= 0), (">=4", (folds >= 0) & (table.n_elements >= 4))):

        def measure(one: dict, rows: np.ndarray) -> dict[str, float]:
            return phase_measures(task, table.codes, one, rows)

        lines += table_rows(task, split, subset, models, measure, np.flatnonzero(inside), groups, size.resamples)
    return lines


def run_numbers(split: str, size: Size) -> list[dict[str, Any]]:
    """Score hardness and strength on one split."""
    tables = lesson_tables()
    hardness, strength = tables["hardness_HV"], tables["yield_strength_MPa"]
    known = {}
    for table in (hardness, strength):
        x = table_inputs(table, described(table.batch()))
        more = x[:, -9:]
        known[table.target] = {
            "ours": x,
            "all": np.delete(x, np.s_[-16:-9], 1),
            "peer": np.hstack([peer_inputs(table), more]),
        }
    models = [score_number_models(hardness, strength, split, seed, size, known) for seed in range(size.seeds)]
    truth = models[0]["truth"]
    column = {"random": "cluster", "family": "family", "paper": "paper"}[split]
    groups = np.concatenate([getattr(hardness, column), getattr(strength, column)])
    lines = []
    for kind, task in enumerate(NUMBERS):
        rows = np.flatnonzero((truth["part"] == kind) & (truth["folds"] >= 0))

        def measure(one: dict, some: np.ndarray) -> dict[str, float]:
            return number_measures(truth["y"], one, some)

        lines += table_rows(task, split, "all", models, measure, rows, groups, size.resamples)
    return lines


def verdicts(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compare with the goals; a goal that is met only in the mean is told as such by its interval."""
    found = []
    for (task, split, subset, key), goal in GOALS.items():
        for line in lines:
            if (line["task"], line["split"], line["subset"], line["model"]) != (task, split, subset, MODELS[2]):
                continue
            entry = line[key]
            gain = entry.get("gain", [0.0, 0.0])
            found.append(
                {
                    "goal": f"{task}, {split} split, {subset}: {key}",
                    "wanted": abs(goal),
                    "got": abs(entry["value"]),
                    "met": entry["value"] >= goal,
                    "gain": "gain" if gain[0] > 0 else "loss" if gain[1] < 0 else "inside the interval",
                }
            )
    return found


def show(lines: list[dict[str, Any]], goals: list[dict[str, Any]]) -> None:
    """Print the tables; numbers that should be small without their sign."""
    for line in lines:
        parts = [f"{line['task']:>12} {line['split']:>6} {line['subset']:>3} {line['model']:>12} n={line['n']}"]
        for key, entry in line.items():
            if isinstance(entry, dict):
                low, high = sorted((abs(entry["low"]), abs(entry["high"])))
                parts.append(f"{key} {abs(entry['value']):.4g} [{low:.4g}, {high:.4g}]")
        print("  ".join(parts), flush=True)
    for goal in goals:
        state = "met" if goal["met"] else "MISSED"
        print(f"{state:>6}: {goal['goal']}: {goal['got']:.4g} for {goal['wanted']:g}; over ExtraTrees: {goal['gain']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few trees, one seed: shows that it runs, says nothing")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--only", nargs="*", default=[*PHASES, "numbers"])
    parser.add_argument("--splits", nargs="*", default=list(SPLITS))
    parser.add_argument("--keep", type=Path, help="folder of finished parts, which are not computed again")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    size = QUICK if options.quick else Size(seeds=options.seeds or 3)
    lines: list[dict[str, Any]] = []
    for task, split in itertools.product(options.only, options.splits[1:2] if options.quick else options.splits):
        lines += _part(task, split, size, options.keep)
    goals = verdicts(lines)
    show(lines, goals)
    if options.json:
        write_json(options.json, {"rows": lines, "goals": goals, "size": vars(size), "versions": versions()})


def _part(task: str, split: str, size: Size, keep: Path | None) -> list[dict[str, Any]]:
    import json

    stored = None if keep is None else keep / f"{task}_{split}.json"
    if stored is not None and stored.is_file():
        return json.loads(stored.read_text(encoding="utf-8"))
    found = run_numbers(split, size) if task == "numbers" else run_phases(split, size, task)
    if stored is not None:
        write_json(stored, found)
    return found


if __name__ == "__main__":
    main()
