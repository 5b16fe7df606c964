"""Remake `rule_reliability.json` from the frozen composition table.

`python -m hea_sim.properties.recipes.rule_reliability --data FOLDER` (or the environment variable HEA_DATA), where
FOLDER/composition/alloys.csv is the clean bulk set of the shared data.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hea_bench.descriptors.vec import vec as valence_electrons
from hea_bench.rules import guo_vec

from hea_sim.documents import sha256_of, write_json
from hea_sim.errors import InputError, MissingFileError
from hea_sim.properties.reliability import BIN_WIDTH, LABELS, bin_of, look_up

LEAST_ELEMENTS = 4


class Alloy(NamedTuple):
    """Hold one counted alloy."""

    vec: float
    verdict: str
    label: str
    elements: tuple[str, ...]
    fold: str


def read_alloys(path: Path) -> tuple[list[Alloy], int]:
    """Read the alloys of four or more elements that have a structure; give them and how many had no descriptors."""
    if not path.is_file():
        raise MissingFileError(f"{path}: not there; wanted the frozen table alloys.csv (see shared/data/composition)")
    alloys, undescribed = [], 0
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if int(row["n_el"]) < LEAST_ELEMENTS or not row["label4"]:
                continue
            amounts = {e: float(x) for e, x in re.findall(r"([A-Z][a-z]?)([0-9.]+)", row["composition"])}
            try:
                value, verdict = round(float(valence_electrons(amounts)), 6), guo_vec.predict(amounts)
            except (KeyError, ValueError):
                undescribed += 1
                continue
            alloys.append(Alloy(value, verdict, row["label4"], tuple(sorted(amounts)), row["fold_family"]))
    return alloys, undescribed


def count(alloys: Iterable[Alloy]) -> dict[str, dict[str, list[int]]]:
    """Count labels by verdict and VEC bin."""
    table: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for alloy in sorted(alloys):
        cell = table[alloy.verdict].setdefault(str(bin_of(alloy.vec)), [0] * len(LABELS))
        cell[LABELS.index(alloy.label)] += 1
    return {verdict: dict(cells) for verdict, cells in table.items()}


def coverage(alloys: list[Alloy]) -> dict[str, Any]:
    """Measure how often the 99 % set holds the truth, with every element family on one side only."""
    held: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    sizes = []
    for fold in sorted({a.fold for a in alloys}):
        counts = count(a for a in alloys if a.fold != fold)
        for alloy in (a for a in alloys if a.fold == fold):
            found = look_up(alloy.vec, alloy.verdict, counts).label_set
            for key in ("all", alloy.verdict):
                held[key] += alloy.label in found
                seen[key] += 1
            sizes.append(len(found))
    return {
        "by_verdict": {key: {"n": seen[key], "covered": held[key]} for key in sorted(seen)},
        "fraction": held["all"] / seen["all"],
        "mean_set_size": sum(sizes) / len(sizes),
        "split": "fold_family: no set of elements on both sides",
    }


def build(path: Path) -> dict[str, Any]:
    """Build the document that ships."""
    alloys, undescribed = read_alloys(path)
    if not alloys:
        raise InputError(f"{path}: no alloy of {LEAST_ELEMENTS} or more elements with a structure label")
    elements = Counter(e for a in alloys for e in a.elements)
    return {
        "what": "observed structures by verdict of the valence electron rule and bin of VEC; alloys, not reports",
        "labels": list(LABELS),
        "bin_width": BIN_WIDTH,
        "counts": count(alloys),
        "elements": dict(sorted(elements.items())),
        "n_alloys": len(alloys),
        "n_without_descriptors": undescribed,
        "coverage": coverage(alloys),
        "source": {
            "table": "clean bulk set alloys.csv, alloys of 4 or more elements, majority label",
            "sha256": sha256_of(path),
            "licence": "CC BY 4.0",
            "cite": [
                "Borg et al., Sci. Data 7, 430 (2020)",
                "Pei et al., npj Comput. Mater. 6, 50 (2020)",
                "Peivaste et al., Sci. Rep. 13, 22556 (2023)",
            ],
        },
        "remake": "python -m hea_sim.properties.recipes.rule_reliability --data FOLDER",
    }


def main(arguments: list[str] | None = None) -> None:
    """Write the document beside the package's code, or where --out says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("HEA_DATA"), help="folder of the real data")
    parser.add_argument("--out", default=str(Path(__file__).parent.parent / "rule_reliability.json"))
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("--data FOLDER or the environment variable HEA_DATA is needed")
    made = build(Path(options.data) / "composition" / "alloys.csv")
    write_json(options.out, made)
    print(f"{made['n_alloys']} alloys, coverage of the 99 % sets {made['coverage']['fraction']:.4f}")


if __name__ == "__main__":
    main()
