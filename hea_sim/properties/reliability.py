"""What was seen where the valence electron rule gave its verdict: counts, probabilities, 99 % sets.

The rule of Guo and Liu (doi:10.1016/S1002-0071(12)60080-X) says BCC below a valence electron concentration (VEC) of
6.87, FCC from 8.0, mixed between. Here its verdict is not believed but looked up: among real alloys of four or more
elements with the same verdict and a VEC within `HALF_WIDTH`, what was observed? The counts come from a frozen table
and ship as `rule_reliability.json`; `recipes/rule_reliability.py` remakes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

#: Observed structures: one phase alone, or anything else.
LABELS = ("BCC", "FCC", "HCP", "multi")
#: Neighbourhood in VEC, and the number of alloys below which it is widened.
HALF_WIDTH = 0.3
LEAST_ALLOYS = 20
#: Width of the VEC bins of the shipped counts.
BIN_WIDTH = 0.05
SET_LEVEL = 0.99
#: Pseudo-counts, shared out evenly over the labels (Dirichlet prior).
PRIOR_COUNT = 1.0


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Hold what was observed near one VEC under one verdict.

    `counts` of alloys by label; `probabilities` are their Dirichlet means; `label_set` is the smallest set of labels
    that holds at least `set_level`; `coverage` is how often such sets held the truth of families left out.
    """

    verdict: str
    vec: float
    half_width: float
    counts: Mapping[str, int]
    probabilities: Mapping[str, float]
    label_set: tuple[str, ...]
    set_level: float
    coverage: float | None
    entropy_bits: float

    @property
    def n(self) -> int:
        """Count the alloys in the neighbourhood."""
        return sum(self.counts.values())


@lru_cache(maxsize=1)
def shipped_table() -> dict[str, Any]:
    """Read the shipped counts."""
    text = resources.files("hea_sim.properties").joinpath("rule_reliability.json").read_text(encoding="utf-8")
    return json.loads(text)


def bin_of(vec: float) -> int:
    """Give the bin of a VEC value; bin k is centred on k times `BIN_WIDTH`."""
    return math.floor(vec / BIN_WIDTH + 0.5 + 1e-9)


def look_up(
    vec: float, verdict: str, counts: Mapping[str, Mapping[str, list[int]]], coverage: float | None = None
) -> Reliability:
    """Look up what was observed near `vec` under `verdict`.

    `counts` maps verdict to {bin: counts in the order of `LABELS`}. The neighbourhood doubles, at most twice, until it
    holds `LEAST_ALLOYS`.

    >>> seen = look_up(5.0, "BCC", {"BCC": {"100": [77, 1, 0, 22]}})
    >>> seen.label_set, round(seen.probabilities["BCC"], 2)
    (('BCC', 'multi', 'FCC'), 0.76)
    """
    here = counts.get(verdict, {})
    half = HALF_WIDTH
    while True:
        near = [n for k, n in here.items() if abs(int(k) * BIN_WIDTH - vec) <= half + 1e-9]
        total = [sum(column) for column in zip(*near)] if near else [0] * len(LABELS)
        if sum(total) >= LEAST_ALLOYS or half >= 4 * HALF_WIDTH:
            break
        half *= 2
    n = sum(total)
    p = {label: (c + PRIOR_COUNT / len(LABELS)) / (n + PRIOR_COUNT) for label, c in zip(LABELS, total)}
    return Reliability(
        verdict=verdict,
        vec=vec,
        half_width=half,
        counts=dict(zip(LABELS, total)),
        probabilities=p,
        label_set=smallest_set(p, SET_LEVEL),
        set_level=SET_LEVEL,
        coverage=coverage,
        entropy_bits=-sum(q * math.log2(q) for q in p.values()),
    )


def smallest_set(probabilities: Mapping[str, float], level: float) -> tuple[str, ...]:
    """Give the smallest set of labels whose probabilities sum to at least `level`, likeliest first.

    >>> smallest_set({"BCC": 0.9, "FCC": 0.01, "HCP": 0.001, "multi": 0.089}, 0.98)
    ('BCC', 'multi')
    """
    chosen: list[str] = []
    held = 0.0
    for label in sorted(probabilities, key=lambda name: (-probabilities[name], name)):
        chosen.append(label)
        held += probabilities[label]
        if held >= level - 1e-12:
            break
    return tuple(chosen)
