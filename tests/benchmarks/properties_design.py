"""Count suggestions until the best decile of a hidden region is found: design, random, and hea-bench's campaign.

`python tests/benchmarks/properties_design.py [--quick] [--seeds 20] [--json FILE] [--predictor forest|shipped]`

A region of composition (whole families around an alloy) is hidden from the predictor of hardness. The alloys of the
region are then asked for one at a time and the table tells their hardness, until the first of the region's hardest
tenth is found, and until half of them are (hea-bench is followed to the first only: each of its answers costs a new
forest). hea-bench's campaign ranks with its own descriptors and its own forest,
fitted anew after each answer, from the same known alloys. Random is the exact expectation over all orders.
Two kinds of region: "near" is the region around an alloy drawn at random; "hard" hides every alloy with an element
that the hardest of them hold, so that the answer lies in a chemistry that was not seen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hea_bench.descriptors.backend import matrix_vector
from hea_bench.design.campaign import rank_candidates
from properties_forest import fit_hardness, hidden_region

from hea_sim.alloy import Composition
from hea_sim.documents import versions, write_json
from hea_sim.properties.contract import AlloyBatch, BatchPrediction, MeasuredAlloy, PropertyPredictor
from hea_sim.properties.design import LocalPredictor
from hea_sim.properties.design.acquisition import choose_batch
from hea_sim.properties.design.costs import shipped_element_table
from hea_sim.properties.design.scores import score
from hea_sim.properties.design.target import DesignTarget
from hea_sim.properties.tables import AlloyTable, property_table

TARGET = DesignTarget(maximise="hardness_HV")
STRATEGIES = ("expected_improvement", "thompson", "mean")
LEAST, TOP, RESAMPLES = 60, 0.1, 2000
#: Why learning on the way may save no suggestion.
CAUSE = (
    "the order of a predictor that has not seen the region is good enough for the first hits, and an answer corrects"
    " only alloys within some 10 at.%, of which a region holds few; by Thompson's draws it is dearer still"
)
#: What the others are compared to.
OTHERS = ("random", "hea_bench", "no_learning")
#: Share of the alloys with a hidden element that are asked for.
ASKED = 0.7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2 seeds, one kind of region, few trees")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--predictor", choices=("forest", "shipped"), default="forest")
    parser.add_argument("--json")
    options = parser.parse_args()
    began = time.time()
    table = describable(property_table("hardness_HV"))
    seeds = range(2 if options.quick else options.seeds)
    results: dict[str, Any] = {"predictor": options.predictor, "top": TOP, "regions": {}}
    for kind in ("near",) if options.quick else ("near", "hard"):
        runs = [campaign(table, kind, seed, options) for seed in seeds]
        results["regions"][kind] = {"runs": runs, "summary": summary(runs)}
        show(kind, results["regions"][kind])
        if options.json:  # one kind is worth keeping, should the next be cut short
            results |= {"quick": options.quick, "seconds": time.time() - began, "versions": versions()}
            write_json(options.json, results)


def describable(table: AlloyTable) -> AlloyTable:
    """Keep the alloys that hea-bench can describe, so that both sides choose among the same."""
    return table.rows(np.array([matrix_vector(amounts(table, i)) is not None for i in range(len(table))]))


def amounts(table: AlloyTable, i: int) -> dict[str, float]:
    """Give the fractions of an alloy by element."""
    return {e: float(x) for e, x in zip(table.elements, table.fractions[i]) if x > 0}


def split(table: AlloyTable, kind: str, rng: np.random.Generator) -> tuple[AlloyTable, AlloyTable]:
    """Split into what is known and what is hidden and asked for."""
    if kind == "near":
        inside = hidden_region(table, rng, least=LEAST)
        return table.rows(~inside), table.rows(inside)
    holds = {e: table.fractions[:, i] > 0 for i, e in enumerate(table.elements)}
    hardest = np.isin(np.arange(len(table)), np.argsort(-np.asarray(table.value))[: len(table) // 5])
    fit = [e for e, rows in holds.items() if LEAST // 2 <= rows.sum() <= len(table) // 3 and rows[hardest].sum() >= 5]
    inside = holds[fit[int(rng.integers(len(fit)))]]
    # Seeds that draw the same element ask for other alloys of it.
    return table.rows(~inside), table.rows(inside & (rng.random(len(table)) < ASKED))


def campaign(table: AlloyTable, kind: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Count suggestions for one hidden region, every way."""
    known, region = split(table, kind, np.random.default_rng(seed))
    best = np.argsort(-np.asarray(region.value), kind="stable")[: max(round(TOP * len(region)), 1)]
    good = np.isin(np.arange(len(region)), best)
    base = Remembered(predictor_without(known, region, seed, options), region)
    half = (int(good.sum()) + 1) // 2
    # The mean place of the k-th of g among n in a random order is k (n + 1) / (g + 1).
    step = (len(region) + 1) / (int(good.sum()) + 1)
    first: dict[str, float] = {"random": step}
    until_half: dict[str, float] = {"random": half * step}
    for way in (*STRATEGIES[: 1 if options.quick else None], "no_learning"):
        strategy, learn = ("mean", False) if way == "no_learning" else (way, True)
        first[way], until_half[way] = count(
            good, half, lambda told, s=strategy, learn=learn: ours(base, region, told, s, seed, learn=learn)
        )
    rows = [matrix_vector(amounts(part, i)) for part in (known, region) for i in range(len(part))]
    first["hea_bench"] = count(good, 1, lambda told: theirs(known, region, rows, told, seed))[0]
    print(kind, seed, len(region), {way: round(k, 1) for way, k in first.items()}, flush=True)
    return {"seed": seed, "hidden": len(region), "good": int(good.sum()), "first": first, "half": until_half}


def predictor_without(
    known: AlloyTable, region: AlloyTable, seed: int, options: argparse.Namespace
) -> PropertyPredictor:
    """Fit a predictor that has not seen the region."""
    if options.predictor == "shipped":
        from hea_sim.properties.predictor import load_predictor

        return load_predictor(exclude=list(region.formulas))
    return fit_hardness(known, trees=60 if options.quick else 150, seed=seed)


def count(good: np.ndarray, wanted: int, choose: Callable[[list[int]], int]) -> tuple[int, int]:
    """Ask one alloy after another until one of the best is found, and until `wanted` of them are."""
    told: list[int] = []
    first = 0
    while good[told].sum() < wanted:
        told.append(choose(told))
        if not first and good[told].any():
            first = len(told)
    return first, len(told)


def ours(
    base: PropertyPredictor, region: AlloyTable, told: list[int], strategy: str, seed: int, *, learn: bool = True
) -> int:
    """Choose the next alloy by this package."""
    left = np.setdiff1d(np.arange(len(region)), told)
    measured = [
        MeasuredAlloy(
            composition=Composition.parse(amounts(region, i)), properties={"hardness_HV": float(region.value[i])}
        )
        for i in told
    ]
    model = LocalPredictor(base=base).learn(measured) if learn and told else base
    scored = score(TARGET, model, region.elements, region.fractions[left], shipped_element_table())
    best = np.array([max(region.value[told])]) if told else None
    rng = np.random.default_rng([seed, len(told)])
    return int(left[choose_batch(scored, 1, rng=rng, strategy=strategy, best=best)[0]])


def theirs(known: AlloyTable, region: AlloyTable, rows: list[Any], told: list[int], seed: int) -> int:
    """Choose the next alloy by hea-bench's campaign; `rows` describe the known alloys, then the region."""
    n = len(known)
    left = np.setdiff1d(np.arange(len(region)), told)
    values = [*map(float, known.value), *(float(region.value[i]) for i in told)]
    fitted = rows[:n] + [rows[n + i] for i in told]
    pool = [rows[n + int(i)] for i in left]
    return int(left[rank_candidates(fitted, values, pool, n=1, strategy="ei", seed=seed)[0][0]])


class Remembered:
    """Predict the alloys of a region once, and look them up after that."""

    def __init__(self, base: PropertyPredictor, region: AlloyTable) -> None:
        self.elements = region.elements
        self._places = {row.tobytes(): i for i, row in enumerate(region.fractions)}
        self._all = base.predict_batch(AlloyBatch(elements=region.elements, fractions=region.fractions))

    def predict_batch(self, alloys: AlloyBatch, *, level: float = 0.9) -> BatchPrediction:
        """Look alloys up; one told as a formula is the region's nearest."""
        places = [self._place(row) for row in self._aligned(alloys)]
        found = self._all
        return replace(
            found,
            **{key: getattr(found, key)[places] for key in ("structure", "family", "structure_set", "family_set")},
            properties={name: values[places] for name, values in found.properties.items()},
            in_domain=found.in_domain[places],
        )

    def _aligned(self, alloys: AlloyBatch) -> np.ndarray:
        x = np.zeros((len(alloys), len(self.elements)))
        x[:, [self.elements.index(e) for e in alloys.elements]] = alloys.fractions
        return x

    def _place(self, row: np.ndarray) -> int:
        if row.tobytes() not in self._places:
            rows = np.array([np.frombuffer(key) for key in self._places])
            self._places[row.tobytes()] = list(self._places.values())[int(np.abs(rows - row).sum(1).argmin())]
        return self._places[row.tobytes()]


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Give means over seeds, and paired differences to random, to hea-bench, to not learning, with 95 % intervals."""
    draws = np.random.default_rng(0).integers(len(runs), size=(RESAMPLES, len(runs)))
    out: dict[str, Any] = {}
    for what in ("first", "half"):
        counts = {way: np.array([run[what][way] for run in runs], float) for way in runs[0][what]}
        out[what] = {}
        for way, mine in counts.items():
            out[what][way] = {"mean": float(mine.mean()), "median": float(np.median(mine))}
            for other in OTHERS:
                if other in counts and other != way:
                    gap = mine - counts[other]
                    low, high = np.quantile(gap[draws].mean(1), [0.025, 0.975])
                    gaps = {"mean": float(gap.mean()), "low": float(low), "high": float(high)}
                    out[what][way][f"less_{other}"] = gaps
    return out


def show(kind: str, region: dict[str, Any]) -> None:
    """Print the table of one kind of region."""
    runs = region["runs"]
    hidden, good = (float(np.mean([r[key] for r in runs])) for key in ("hidden", "good"))
    print(f"{kind}: {len(runs)} regions of {hidden:.0f} hidden alloys, {good:.1f} in the best tenth")
    for what, ways in region["summary"].items():
        print(f"suggestions until {what} of these, mean and median; difference to others [95 % over seeds]")
        for way, s in ways.items():
            told = [(o, s[f"less_{o}"]) for o in OTHERS if f"less_{o}" in s and way not in OTHERS[:2]]
            text = "; ".join(f"than {other} {verdict(gap)}" for other, gap in told)
            print(f"  {way:<21} {s['mean']:5.1f} {s['median']:5.1f}  {text}")
    gaps = [region["summary"][what][way]["less_no_learning"] for what in ("first", "half") for way in STRATEGIES[:1]]
    if any(gap["high"] >= 0 for gap in gaps):
        print(f"cause: {CAUSE}")


def verdict(gap: dict[str, float]) -> str:
    """Say whether fewer suggestions were needed, as far as the interval tells."""
    word = "fewer" if gap["high"] < 0 else "MORE" if gap["low"] > 0 else "no fewer (MISSED)"
    return f"{word} {gap['mean']:+.1f} [{gap['low']:+.1f}, {gap['high']:+.1f}]"


if __name__ == "__main__":
    main()
