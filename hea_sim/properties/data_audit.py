"""What is wrong with a table of alloys before anything is learnt from it.

Alloys closer than 0.4 at.% are one alloy (`near_duplicates`). A random split of rows puts such twins on both sides;
how well plain copying of the nearest training row does under each split shows how much of a score that explains.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from scipy.spatial import cKDTree

from hea_sim.properties.tables.alloys import AlloyTable
from hea_sim.properties.tables.clusters import REACH, connected_groups, split_folds

Severity = Literal["note", "warning", "error"]
_RANK: Mapping[str, int] = {"note": 0, "warning": 1, "error": 2}
#: Rows in a row of which most must repeat later ones to be called a copied block; and how many is most.
BLOCK_WINDOW = 25
BLOCK_SHARE = 0.8
#: A twin this near in the file is a series of one source, no copy of a list.
_FAR = 50
#: Rows of one element set in a row that look like a composition-spread library (sputtered film).
LIBRARY_ROWS = 100
#: Rows below which a split says nothing.
_LEAST_ROWS = 20
_FOLDS = 5
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class TableFinding:
    """Hold one thing found, how many rows it concerns, and what mends it; `rows` are examples, by number from 1."""

    check: str
    severity: Severity
    count: int
    text: str
    mend: str
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SplitLeakage:
    """Hold what five folds of one split leak: shares of test rows with a twin, an element set, a source in training.

    `copying` scores the nearest training row as the prediction: accuracy for classes, mean absolute error for numbers.
    """

    split: str
    n_groups: int
    twin_in_training: float
    family_in_training: float
    paper_in_training: float | None
    copying: float


@dataclass(frozen=True, kw_only=True)
class TableAudit:
    """Hold the audit of one table; `groups` maps column names to one entry a row, to be split by."""

    target: str
    unit: str
    n_rows: int
    n_clusters: int
    n_families: int
    n_papers: int
    elements: tuple[str, ...]
    classes: Mapping[str, int]
    noise: float | None
    noise_meaning: str
    splits: tuple[SplitLeakage, ...]
    findings: tuple[TableFinding, ...]
    groups: Mapping[str, Sequence[Any]] = field(default_factory=dict, repr=False)

    @property
    def worst(self) -> Severity:
        """Give the severity of the worst finding."""
        return max((f.severity for f in self.findings), key=_RANK.__getitem__, default="note")


def audit_table(
    table: AlloyTable, *, numbers: np.ndarray | None = None, unreadable: Sequence[str] = (), seed: int = 0
) -> TableAudit:
    """Audit a table whose entries are single rows in the order of its file.

    `numbers` (n,) name the rows in findings, from 1 where not given; `unreadable` are lines that could not be read.
    """
    row = np.arange(1, len(table) + 1) if numbers is None else np.asarray(numbers)
    noise, meaning = _noise(table)
    folds = _folds(table, seed)
    splits = tuple(_leakage(table, name, *fold) for name, fold in folds.items())
    findings = [
        *_unread(unreadable),
        *_classes_and_rows(table),
        *_duplicates(table, row),
        *_contradictions(table, row),
        *_copied_blocks(table, row),
        *_libraries(table, row),
        *_sources(table),
        *_leaks(splits, len(table)),
    ]
    groups = {
        "line": row.tolist(),
        "composition": table.formulas,
        "cluster": table.cluster.tolist(),
        "family": table.family.tolist(),
        "paper": table.paper.tolist(),
        "paper_group": table.paper_group.tolist(),
        **{f"fold_{name}": fold.tolist() for name, (fold, _) in folds.items() if name != "rows"},
    }
    return TableAudit(
        target=table.target,
        unit=table.unit,
        n_rows=len(table),
        n_clusters=len(set(table.cluster.tolist())),
        n_families=len(set(table.family.tolist())),
        n_papers=len(set(table.paper.tolist()) - {""}),
        elements=tuple(e for k, e in enumerate(table.elements) if (table.fractions[:, k] > 0).any()),
        classes={} if table.labels is None else dict(sorted(Counter(table.labels.tolist()).items())),
        noise=noise,
        noise_meaning=meaning,
        splits=splits,
        findings=tuple(sorted(findings, key=lambda f: -_RANK[f.severity])),
        groups=groups,
    )


def _unread(unreadable: Sequence[str]) -> list[TableFinding]:
    if not unreadable:
        return []
    return [
        TableFinding(
            check="unreadable",
            severity="warning",
            count=len(unreadable),
            text=f"lines that could not be read, such as {'; '.join(unreadable[:2])}",
            mend="write them as plain formulas with numbers, such as Al0.5CoCrFeNi",
        )
    ]


def _classes_and_rows(table: AlloyTable) -> list[TableFinding]:
    """Say where nothing can be learnt of the target, where classes are spelt in two ways, where no split is made."""
    found = []
    if table.labels is not None and len(table.classes) == 1:
        found.append(
            TableFinding(
                check="one class",
                severity="error",
                count=len(table),
                text=f"rows are all '{table.classes[0]}': there is nothing to tell apart",
                mend="add alloys of other classes, negatives included",
            )
        )
    spelt = Counter(name.casefold() for name in table.classes)
    if alike := [name for name in table.classes if spelt[name.casefold()] > 1]:
        found.append(
            TableFinding(
                check="spelling",
                severity="warning",
                count=int(np.isin(np.asarray(table.labels), alike).sum()),
                text=f"rows have classes that differ in capitals alone: {', '.join(alike)}",
                mend="spell each class in one way, or it counts as several",
            )
        )
    if len(table) < _LEAST_ROWS:
        found.append(
            TableFinding(
                check="few rows",
                severity="note",
                count=len(table),
                text=f"rows, fewer than {_LEAST_ROWS}: no split is made, so leakage is not told",
                mend="join tables before they are audited",
            )
        )
    return found


def _members(labels: np.ndarray) -> dict[Any, np.ndarray]:
    """Give the rows of each label."""
    order = np.argsort(labels, kind="stable")
    cuts = np.flatnonzero(labels[order][1:] != labels[order][:-1]) + 1
    return {labels[rows[0]]: rows for rows in np.split(order, cuts)} if len(labels) else {}


def _duplicates(table: AlloyTable, row: np.ndarray) -> list[TableFinding]:
    several = [rows for rows in _members(table.cluster).values() if len(rows) > 1]
    if not several:
        return []
    repeated = sum(len(rows) - 1 for rows in several)
    _, exact = np.unique(table.fractions.round(6), axis=0, return_counts=True)
    missed = repeated - int((exact - 1).sum())
    return [
        TableFinding(
            check="near-duplicates",
            severity="warning",
            count=repeated,
            text=f"rows repeat another within {100 * REACH:g} at.%; {missed} of them at another rounding, which equal"
            " text would not show",
            mend="keep whole clusters on one side of a split (column `cluster`), or merge them",
            rows=tuple(row[several[0]][:_SHOWN].tolist()),
        )
    ]


def _contradictions(table: AlloyTable, row: np.ndarray) -> list[TableFinding]:
    if table.labels is None:
        return []
    torn = [r for r in _members(table.cluster).values() if len(set(table.labels[r].tolist())) > 1]
    if not torn:
        return []
    worst = max(torn, key=len)
    told = ", ".join(f"{label} ({n})" for label, n in Counter(table.labels[worst].tolist()).most_common())
    return [
        TableFinding(
            check="contradictory labels",
            severity="warning",
            count=sum(map(len, torn)),
            text=f"rows in {len(torn)} clusters carry different labels, such as {table.formulas[worst[0]]}: {told}",
            mend="take the majority by source, or add what tells them apart (processing, temperature)",
            rows=tuple(row[worst][:_SHOWN].tolist()),
        )
    ]


def _noise(table: AlloyTable) -> tuple[float | None, str]:
    """Measure how far rows of one alloy disagree, at equal processing, test and temperature where those are known."""
    key = np.array(
        [f"{c}|{p}|{t:.0f}" for c, p, t in zip(table.cluster, table.processing, table.temperature_K)], dtype=object
    )
    groups = [rows for rows in _members(np.unique(key, return_inverse=True)[1]).values() if len(rows) > 1]
    if not groups:
        return None, "no alloy was reported twice"
    if table.value is not None:
        apart = np.concatenate([abs(table.value[r] - np.median(table.value[r])) for r in groups])
        return float(apart.mean()), "mean distance of repeated reports from their median, in the unit of the target"
    labels = np.asarray(table.labels)
    agree = total = 0
    for rows in groups:
        counts = np.unique(labels[rows], return_counts=True)[1]
        agree += int((counts * (counts - 1)).sum())
        total += len(rows) * (len(rows) - 1)
    return 1 - agree / total, "share of pairs of reports of one alloy that disagree"


def _copied_blocks(table: AlloyTable, row: np.ndarray) -> list[TableFinding]:
    """Find runs of rows most of which stand in the table again, further down: a list that was entered twice."""
    later = np.full(len(table), -1)
    for rows in _members(table.cluster).values():
        for k, i in enumerate(rows[:-1]):
            far = rows[k + 1 :][rows[k + 1 :] - i > _FAR]
            if len(far):
                later[i] = far[0]
    if len(table) < BLOCK_WINDOW:
        return []
    dense = np.convolve(later >= 0, np.ones(BLOCK_WINDOW), "valid") >= BLOCK_SHARE * BLOCK_WINDOW
    inside = np.convolve(dense, np.ones(BLOCK_WINDOW)) > 0
    blocks = []
    for start, stop in _runs(inside):
        twins = later[start:stop][later[start:stop] >= 0]
        if len(set(table.cluster[start:stop].tolist())) < BLOCK_WINDOW // 2:
            continue  # one alloy measured again and again is no list
        low, high = np.quantile(twins, (0.02, 0.98)).astype(int)
        text = f"{len(twins)} of rows {row[start]} to {row[stop - 1]} (between {row[low]} and {row[high]})"
        blocks.append((len(twins), text, int(row[start])))
    if not blocks:
        return []
    blocks.sort(reverse=True)
    return [
        TableFinding(
            check="copied lists",
            severity="error",
            count=sum(n for n, *_ in blocks),
            text=f"rows in {len(blocks)} runs stand again further down: {'; '.join(t for _, t, _ in blocks[:_SHOWN])}",
            mend="find out whether a list was entered twice, or compiled from another; keep one of the two",
            rows=tuple(first for *_, first in blocks[:_SHOWN]),
        )
    ]


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Give start and stop of every run of True; runs with less than `_FAR` rows between them are one."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(int), [0])))).tolist()
    runs: list[tuple[int, int]] = []
    for start, stop in zip(edges[::2], edges[1::2]):
        if runs and start - runs[-1][1] < _FAR:
            runs[-1] = (runs[-1][0], stop)
        else:
            runs.append((start, stop))
    return runs


def _libraries(table: AlloyTable, row: np.ndarray) -> list[TableFinding]:
    """Find long runs of one element set at ever other compositions: libraries that were sputtered, not cast."""
    changes = np.flatnonzero(table.family[1:] != table.family[:-1]) + 1
    bounds = [0, *changes.tolist(), len(table)]
    held: dict[str, list[int]] = defaultdict(list)
    for start, stop in pairwise(bounds):
        if stop - start >= LIBRARY_ROWS and len(set(table.cluster[start:stop].tolist())) > 0.5 * (stop - start):
            held[str(table.family[start])] += [start, stop]
    if not held:
        return []
    runs = [pair for ends in held.values() for pair in zip(ends[::2], ends[1::2])]
    names = ", ".join(list(held)[:_SHOWN])
    return [
        TableFinding(
            check="composition library",
            severity="warning",
            count=sum(stop - start for start, stop in runs),
            text=f"rows of one element set each ({names}) in runs of {LIBRARY_ROWS} or more: probably sputtered film",
            mend="films are far from equilibrium: keep them out of a bulk model, or give processing as an input",
            rows=tuple(int(row[start]) for start, _ in runs[:_SHOWN]),
        )
    ]


def _sources(table: AlloyTable) -> list[TableFinding]:
    without = int((table.paper == "").sum())
    if not without:
        return []
    return [
        TableFinding(
            check="sources",
            severity="note",
            count=without,
            text="rows name no publication, so that a split by source cannot be made of them",
            mend="add a column with the DOI and name it with --paper",
        )
    ]


def _folds(table: AlloyTable, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Make five folds by row, cluster, family and publication; each with its groups. Rows without one get -1."""
    if len(table) < _LEAST_ROWS:
        return {}
    classes = table.labels
    groups = {
        "rows": np.arange(len(table)),
        "random": table.cluster,
        "family": connected_groups(table.cluster, table.family),
        "paper": table.paper_group,
    }
    made = {}
    for name, group in groups.items():
        there = group >= 0
        if len(set(group[there].tolist())) < 2 * _FOLDS:
            continue
        fold = np.full(len(table), -1)
        kind = None if classes is None else classes[there]
        fold[there] = split_folds(group[there], n_folds=_FOLDS, seed=seed, classes=kind)
        made[name] = (fold, group)
    return made


def _leakage(table: AlloyTable, split: str, fold: np.ndarray, group: np.ndarray) -> SplitLeakage:
    seen: dict[str, list[np.ndarray]] = defaultdict(list)
    for k in range(_FOLDS):
        test, train = np.flatnonzero(fold == k), np.flatnonzero((fold != k) & (fold >= 0))
        for name in ("cluster", "family", "paper"):
            column = getattr(table, name)
            seen[name].append(np.isin(column[test], column[train]) & (column[test] != ""))
        nearest = train[cKDTree(table.fractions[train]).query(table.fractions[test], p=1)[1]]
        if table.labels is not None:
            seen["copying"].append(table.labels[nearest] == table.labels[test])
        else:
            assert table.value is not None  # a table has labels or numbers
            seen["copying"].append(abs(table.value[nearest] - table.value[test]))
    share = {name: float(np.concatenate(parts).mean()) for name, parts in seen.items()}
    return SplitLeakage(
        split=split,
        n_groups=len(set(group[fold >= 0].tolist())),
        twin_in_training=share["cluster"],
        family_in_training=share["family"],
        paper_in_training=share["paper"] if (table.paper != "").any() else None,
        copying=share["copying"],
    )


def _leaks(splits: Sequence[SplitLeakage], n_rows: int) -> list[TableFinding]:
    by_name = {split.split: split for split in splits}
    rows, family = by_name.get("rows"), by_name.get("family")
    if rows is None or rows.twin_in_training < 0.02:
        return []
    told = f"{rows.twin_in_training:.0%} of the test rows of a random split have a twin in training"
    if family is not None:
        told += f"; copying the nearest row scores {rows.copying:.3g} there and {family.copying:.3g} between families"
    return [
        TableFinding(
            check="leakage",
            severity="warning",
            count=round(rows.twin_in_training * n_rows),
            text=told,
            mend="split by `fold_random` (clusters), `fold_family` or `fold_paper` and report all",
        )
    ]
