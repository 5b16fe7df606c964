"""Known alloys: what was reported of an alloy, and which known alloys a prediction leans on."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.properties.contract import KnownAlloy
from hea_sim.properties.tables import AlloyTable, Report, reports
from hea_sim.properties.tables.alloys import ROOM_RANGE_K
from hea_sim.properties.tables.clusters import REACH

#: Sources named for one known alloy.
_MOST_SOURCES = 3


def reports_of(alloy: Composition | str, *, reach: float = REACH) -> list[KnownAlloy]:
    """List what the open tables report of an alloy and its near-duplicates, nearest first; a cluster is one entry.

    `reach` is a sum of absolute differences of atomic fractions; 0.004 is 0.4 at.%.

    >>> next(iter(reports_of("CoCrFeMnNi")[0].reported["structure"]))
    'FCC'
    """
    wanted = Composition.parse(alloy)
    gaps: dict[int, tuple[float, Composition]] = {}
    for report in reports():
        gap = _gap(wanted, report.composition)
        if gap <= reach + 1e-9 and gap < gaps.get(report.cluster, (np.inf, wanted))[0]:
            gaps[report.cluster] = (gap, report.composition)
    found = [known_alloy(cluster, formula.formula, gap) for cluster, (gap, formula) in gaps.items()]
    return sorted(found, key=lambda known: (known.distance, known.formula))


def known_alloy(cluster: int, formula: str, distance: float) -> KnownAlloy:
    """Gather what is reported of one cluster of near-duplicates."""
    group = _by_cluster().get(cluster, ())
    sources = list(dict.fromkeys(report.source for report in group))
    more = len(sources) - _MOST_SOURCES
    told = "; ".join(sources[:_MOST_SOURCES]) + (f"; {more} more" if more > 0 else "")
    return KnownAlloy(formula=formula, distance=float(distance), reported=_reported(group), source=told)


def leaned_on(table: AlloyTable, weights: np.ndarray, alloy: Composition, *, n: int = 5) -> tuple[KnownAlloy, ...]:
    """Name the known alloys of a table that weigh most in a prediction; `weights` (len(table),) sum to one."""
    distances = table.distances_to(alloy)
    heaviest = sorted(np.flatnonzero(weights > 0), key=lambda k: (-round(float(weights[k]), 9), distances[k]))[:n]
    formulas = table.rows(np.array(heaviest, int)).formulas
    found = []
    for k, formula in zip(heaviest, formulas):
        entry = known_alloy(int(table.cluster[k]), formula, float(distances[k]))
        reported = {**entry.reported, "weight": round(float(weights[k]), 4)}
        found.append(KnownAlloy(formula=formula, distance=entry.distance, reported=reported, source=entry.source))
    return tuple(found)


@lru_cache(maxsize=1)
def _by_cluster() -> Mapping[int, tuple[Report, ...]]:
    found: dict[int, list[Report]] = defaultdict(list)
    for report in reports():
        found[report.cluster].append(report)
    return {cluster: tuple(group) for cluster, group in found.items()}


def _reported(group: Sequence[Report]) -> dict[str, Any]:
    """Count the labels and take medians of the numbers."""
    told: dict[str, Any] = {}
    for name in ("structure", "family"):
        count = Counter(getattr(report, name) for report in group if getattr(report, name))
        if count:
            told[name] = dict(count.most_common())
    for name in ("hardness_HV", "yield_strength_MPa"):
        values = [getattr(r, name) for r in group if getattr(r, name) is not None and _at_room(r)]
        if values:
            told[name] = statistics.median(values)
    return told


def _at_room(report: Report) -> bool:
    return report.temperature_K is None or ROOM_RANGE_K[0] <= report.temperature_K <= ROOM_RANGE_K[1]


def _gap(a: Composition, b: Composition) -> float:
    x, y = dict(a), dict(b)
    return sum(abs(x.get(e, 0.0) - y.get(e, 0.0)) for e in {*x, *y})
