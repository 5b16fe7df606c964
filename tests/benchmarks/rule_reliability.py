"""Measure how reliable the valence electron rule and its 99 % sets are, by family.

`python tests/benchmarks/rule_reliability.py --data FOLDER [--json FILE]`; FOLDER defaults to HEA_DATA.
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

from hea_sim.documents import write_json
from hea_sim.properties import first_opinion
from hea_sim.properties.recipes.rule_reliability import Alloy, count, coverage, read_alloys
from hea_sim.properties.reliability import LABELS, look_up

ALLOYS = ("NbMoTaTiV", "CoCrFeMnNi", "NbTaTi", "NbMoTaW")


def by_verdict(alloys: list[Alloy]) -> dict:
    """Count what was observed for every verdict."""
    return {
        v: {label: sum(a.verdict == v and a.label == label for a in alloys) for label in LABELS}
        for v in sorted({a.verdict for a in alloys})
    }


def calibration(alloys: list[Alloy]) -> dict:
    """Score the probabilities on left-out families: accuracy, log loss, calibration error of the top one."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    loss = right = 0.0
    for fold in sorted({a.fold for a in alloys}):
        counts = count(a for a in alloys if a.fold != fold)
        for a in (a for a in alloys if a.fold == fold):
            p = look_up(a.vec, a.verdict, counts).probabilities
            top = max(p, key=lambda name: p[name])
            loss -= math.log(p[a.label])
            right += top == a.label
            bins.setdefault(min(int(p[top] * 15), 14), []).append((p[top], top == a.label))
    n = len(alloys)
    error = sum(abs(sum(c for c, _ in b) - sum(hit for _, hit in b)) for b in bins.values()) / n
    return {"n": n, "accuracy": right / n, "log_loss": loss / n, "calibration_error": error}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("HEA_DATA"))
    parser.add_argument("--json")
    options = parser.parse_args()
    if not options.data:
        parser.error("--data FOLDER or the environment variable HEA_DATA is needed")
    alloys, undescribed = read_alloys(Path(options.data) / "composition" / "alloys.csv")
    results: dict = {
        "observed_by_verdict": by_verdict(alloys),
        "without_descriptors": undescribed,
        "coverage_left_out_families": coverage(alloys),
        "probabilities_left_out_families": calibration(alloys),
        "sets": {},
    }
    for formula in ALLOYS:
        opinion = first_opinion(formula)
        assert opinion.reliability is not None
        results["sets"][formula] = {
            "vec": opinion.reliability.vec,
            "verdict": opinion.structure,
            "counts": dict(opinion.reliability.counts),
            "probabilities": {k: round(p, 4) for k, p in opinion.reliability.probabilities.items()},
            "phase_sets": opinion.phase_sets,
        }
    for name, value in results.items():
        print(name)
        for line in value.items() if isinstance(value, dict) else [("", value)]:
            print("  ", *line)
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
