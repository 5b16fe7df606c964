"""Tables to learn from: clean bulk alloys with their structure or family, and hardness, strength and modulus lines.

An alloy of a phase table is a cluster of near-duplicate reports; its label is the majority's, one vote for each
distinct (table, list, publication, label), and stays empty without a majority. A line of a property table is a
composition with processing, kind of test and, above 400 C, temperature; its value is the median of its reports.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError, unknown_name
from hea_sim.properties.contract import FAMILIES, PROPERTY_UNITS, ROOM_TEMPERATURE_K, STRUCTURES, AlloyBatch
from hea_sim.properties.tables.clusters import REACH, connected_groups
from hea_sim.properties.tables.source_rows import LETTERS, SPLITS, TABLES, Report, reports

#: Temperatures between which a test counts as one at room temperature, and from which as hot.
ROOM_RANGE_K = (288.15, 308.15)
HOT_FROM_K = 673.15
_AMORPHOUS = "AM"


@dataclass(frozen=True, kw_only=True, eq=False)
class AlloyTable:
    """Hold alloys with one target, a class or a number, and the groups that a split must not cut.

    Arrays have one entry an alloy: `fractions` (n, E) over `elements`; `cluster` numbers near-duplicates, `family` is
    the element set ("Al-Co-Cr"), `paper` a DOI ("" where unknown), `paper_group` numbers connected groups of clusters
    and publications (-1 where there is none); `folds` (0 to 4, -1 for none) by split; `tables` names the sources by
    letter (B, P, V). A table of classes has `labels`, the majority's `share` and number of `votes`; one of numbers
    has `value`, `spread` (largest less smallest report) and `test` ("C", "T", "").
    """

    target: str
    unit: str = ""
    classes: tuple[str, ...] = ()
    elements: tuple[str, ...]
    fractions: np.ndarray
    cluster: np.ndarray
    family: np.ndarray
    paper: np.ndarray
    paper_group: np.ndarray
    tables: np.ndarray
    n_reports: np.ndarray
    processing: np.ndarray
    temperature_K: np.ndarray
    folds: Mapping[str, np.ndarray] = field(default_factory=dict)
    labels: np.ndarray | None = None
    share: np.ndarray | None = None
    votes: np.ndarray | None = None
    value: np.ndarray | None = None
    spread: np.ndarray | None = None
    test: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.fractions)

    @property
    def formulas(self) -> tuple[str, ...]:
        """Write the formulas in at.%, such as "Al11.1Co88.9"."""
        return tuple(
            "".join(f"{e}{round(100 * x, 2):g}" for e, x in zip(self.elements, row) if x > 0) for row in self.fractions
        )

    @property
    def n_elements(self) -> np.ndarray:
        """Count the elements (n,) of each alloy."""
        return (self.fractions > 0).sum(1)

    @property
    def codes(self) -> np.ndarray:
        """Give the labels (n,) as numbers into `classes`."""
        if self.labels is None:
            raise InputError(f"table of '{self.target}' has numbers, no classes; wanted `value`")
        number = {name: k for k, name in enumerate(self.classes)}
        return np.array([number[label] for label in self.labels], int)

    def batch(self) -> AlloyBatch:
        """Give the alloys as a batch, with processing and temperature."""
        return AlloyBatch(
            elements=self.elements,
            fractions=self.fractions,
            processing=tuple(self.processing.tolist()),
            temperature_K=self.temperature_K,
        )

    def rows(self, which: np.ndarray | Sequence[int]) -> AlloyTable:
        """Take some alloys, by mask or by number."""
        index = np.asarray(which)
        taken: dict[str, Any] = {"folds": {split: fold[index] for split, fold in self.folds.items()}}
        for entry in fields(self):
            column = getattr(self, entry.name)
            if isinstance(column, np.ndarray):
                taken[entry.name] = column[index]
        return replace(self, **taken)

    def without(self, alloys: Iterable[Composition | str], *, reach: float = REACH) -> AlloyTable:
        """Leave out these compositions, their near-duplicates, and whatever shares a cluster with those."""
        near = self._distances(alloys).min(0, initial=np.inf) <= reach + 1e-9
        return self.rows(~(near | np.isin(self.cluster, self.cluster[near])))

    def distances_to(self, alloy: Composition | str) -> np.ndarray:
        """Give the distance (n,) of every alloy to one: the sum of absolute differences of atomic fractions."""
        return self._distances([alloy])[0]

    def _distances(self, alloys: Iterable[Composition | str]) -> np.ndarray:
        found = []
        for alloy in map(Composition.parse, alloys):
            here = np.array([alloy.get(e, 0.0) for e in self.elements])
            found.append(abs(self.fractions - here).sum(1) + max(0.0, 1.0 - here.sum()))
        return np.array(found).reshape(len(found), len(self))


@lru_cache(maxsize=4)
def phase_table(task: Literal["structure", "family"], *, source: Literal["all", "open"] = "all") -> AlloyTable:
    """Give the clean bulk alloys with their structure (BCC, FCC, HCP, multi) or family (SS, SS+IM, IM, AM).

    `source` "open" takes the votes of Borg's and Pei's tables alone, which have the clearest title; "all" joins the
    lists that Peivaste et al. compiled.
    """
    if task not in ("structure", "family"):
        raise unknown_name("task", task, ("structure", "family"))
    if source not in ("all", "open"):
        raise unknown_name("source", source, ("all", "open"))
    kept = []
    for group in _clusters():
        votes = _votes(group, task, ("borg2020", "pei2020") if source == "open" else TABLES)
        if label := _majority(votes, task):
            kept.append((group, label, votes))
    table = _table([_representative(group) for group, *_ in kept], [group for group, *_ in kept])
    total = np.array([sum(votes.values()) for *_, votes in kept])
    return replace(
        table,
        target=task,
        classes=STRUCTURES if task == "structure" else FAMILIES,
        labels=np.array([label for _, label, _ in kept]),
        share=np.array([votes[label] for _, label, votes in kept]) / total,
        votes=total,
    )


@lru_cache(maxsize=16)
def property_table(name: str, *, hot: bool | None = False) -> AlloyTable:
    """Give the lines of a property of Borg's table: `hardness_HV`, `yield_strength_MPa`, `youngs_modulus_GPa`.

    `hot` False takes tests at room temperature (hardness and modulus: also those that state none), True those from
    400 C on, None every test that states its temperature, cryogenic ones too.
    """
    if name not in PROPERTY_UNITS:
        raise unknown_name("property", name, PROPERTY_UNITS)
    lines: dict[tuple[str, str, str, float], list[Report]] = defaultdict(list)
    for report in reports():
        if getattr(report, name) is None or not _at_temperature(report, name, hot):
            continue
        kelvin = ROOM_TEMPERATURE_K
        if report.temperature_K is not None and hot is not False and not _near_room(report.temperature_K):
            kelvin = report.temperature_K
        test = report.test if name == "yield_strength_MPa" else ""
        lines[_rounded(report), report.processing_reported, test, kelvin].append(report)
    groups = [group for _, group in sorted(lines.items())]
    if not groups:
        raise InputError(f"no line of {name} with hot={hot}; wanted hot=False")
    table = _table([group[0] for group in groups], groups)
    values = [[getattr(report, name) for report in group] for group in groups]
    return replace(
        table,
        target=name,
        unit=PROPERTY_UNITS[name],
        value=np.array([statistics.median(v) for v in values]),
        spread=np.array([max(v) - min(v) for v in values]),
        test=np.array([key[2] for key in sorted(lines)]),
        temperature_K=np.array([key[3] for key in sorted(lines)]),
    )


def _near_room(kelvin: float) -> bool:
    return ROOM_RANGE_K[0] <= kelvin <= ROOM_RANGE_K[1]


def _at_temperature(report: Report, name: str, hot: bool | None) -> bool:
    kelvin = report.temperature_K
    if kelvin is None:
        return hot is False and name != "yield_strength_MPa"
    if hot is None:
        return True
    if hot:
        return kelvin >= HOT_FROM_K
    return kelvin <= ROOM_RANGE_K[1] if name == "hardness_HV" else _near_room(kelvin)


@lru_cache(maxsize=1)
def _clusters() -> tuple[tuple[Report, ...], ...]:
    found: dict[int, list[Report]] = defaultdict(list)
    for report in reports():
        found[report.cluster].append(report)
    return tuple(tuple(found[number]) for number in sorted(found))


def _rounded(report: Report) -> str:
    """Write a composition in three decimals; what agrees there is reported as one."""
    return " ".join(f"{e}{round(x, 3):g}" for e, x in report.composition.items())


def _representative(group: Sequence[Report]) -> Report:
    """Give the first report of the most frequent composition; of equals, the first by its text."""
    count = Counter(map(_rounded, group))
    best = min(count, key=lambda text: (-count[text], text))
    return next(report for report in group if _rounded(report) == best)


def _votes(group: Sequence[Report], task: str, tables: Sequence[str]) -> Counter[str]:
    """Count one vote for each distinct (table, list, publication, label); amorphous reports vote on structure too."""
    distinct = set()
    for report in group:
        label = report.family if task == "family" else report.structure or (_AMORPHOUS if report.amorphous else None)
        if label and report.table in tables:
            distinct.add((report.table, report.list_name, report.paper, label))
    return Counter(label for *_, label in distinct)


def _majority(votes: Counter[str], task: str) -> str | None:
    if not votes:
        return None
    label, count = votes.most_common(1)[0]
    if 2 * count <= votes.total() or (task == "structure" and label == _AMORPHOUS):
        return None
    return label


@lru_cache(maxsize=1)
def _paper_groups() -> dict[int, int]:
    """Give the connected group of publications of every cluster that has one."""
    with_paper = [report for report in reports() if report.paper]
    groups = connected_groups([r.cluster for r in with_paper], [r.paper for r in with_paper])
    return {report.cluster: int(group) for report, group in zip(with_paper, groups)}


def _table(chosen: Sequence[Report], groups: Sequence[Sequence[Report]]) -> AlloyTable:
    """Build the columns that every table has; `chosen` stands for its group of reports."""
    elements = tuple(sorted({e for report in reports() for e in report.composition}))
    number = {e: k for k, e in enumerate(elements)}
    x = np.zeros((len(chosen), len(elements)))
    for row, report in zip(x, chosen):
        for e, fraction in report.composition.items():
            row[number[e]] = fraction
    papers = [Counter(report.paper for report in group if report.paper) for group in groups]
    paper_group = _paper_groups()
    return AlloyTable(
        target="",
        elements=elements,
        fractions=x,
        cluster=np.array([report.cluster for report in chosen]),
        family=np.array([report.element_set for report in chosen]),
        paper=np.array([min(count, key=lambda doi: (-count[doi], doi), default="") for count in papers]),
        paper_group=np.array([paper_group.get(report.cluster, -1) for report in chosen]),
        tables=np.array(["".join(LETTERS[t] for t in TABLES if any(r.table == t for r in g)) for g in groups]),
        n_reports=np.array([len(group) for group in groups]),
        processing=np.array([_shared_processing(group) for group in groups]),
        temperature_K=np.full(len(chosen), ROOM_TEMPERATURE_K),
        folds={s: np.array([max(r.folds[s] for r in group) for group in groups]) for s in SPLITS},
    )


def _shared_processing(group: Sequence[Report]) -> str:
    """Give the processing where all who state one agree, else "other"."""
    stated = {report.processing for report in group} - {"other"}
    return stated.pop() if len(stated) == 1 else "other"
