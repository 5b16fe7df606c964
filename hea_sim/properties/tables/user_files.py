"""A user's own table of alloys, from a CSV file with a header, in the form of the open ones.

Compositions stand in one column as formulas, or in columns headed by element symbols. What cannot be read is refused
with its line; a unit that the numbers contradict is refused too, because a model would learn it without complaint.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from hea_sim.alloy import Composition
from hea_sim.errors import InputError, MissingFileError, unknown_name
from hea_sim.properties.alloy_text import read_alloy
from hea_sim.properties.contract import PROCESSINGS, ROOM_TEMPERATURE_K, processing_kind
from hea_sim.properties.tables.alloys import AlloyTable
from hea_sim.properties.tables.clusters import connected_groups, near_duplicates

#: Headers under which a composition is looked for where none is named.
COMPOSITION_HEADERS = ("composition", "formula", "alloy", "alloys")
#: Medians that a unit may have, and what stands there if it lies below or above.
PLAUSIBLE = {
    "HV": (15.0, 3000.0, "GPa (1 GPa is 102 HV)", "MPa"),
    "MPa": (10.0, 20_000.0, "GPa", "kPa or psi"),
    "GPa": (1.0, 1000.0, "TPa", "MPa"),
    "K": (1.0, 6000.0, "an energy or a fraction", "another quantity"),
}
#: Symbols of elements of which no alloy is made, and which head other columns: "No" numbers the rows.
_NO_METAL_HERE = ("No", "At", "Es", "Md")
#: Different numbers from which on a column without unit is no list of classes such as 0, 1, 2.
_MOST_NUMBERED_CLASSES = 10
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Name the columns of a table; `target` holds classes, or numbers where `unit` is given."""

    target: str
    composition: str | None = None
    unit: str | None = None
    paper: str | None = None
    processing: str | None = None
    temperature_K: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadTable:
    """Hold a table as it was read, with the line of each alloy in the file and what could not be read of it."""

    table: AlloyTable
    lines: np.ndarray
    unreadable: tuple[str, ...]
    n_without_target: int


def user_table(
    path: str | os.PathLike[str],
    *,
    target: str,
    composition: str | None = None,
    unit: str | None = None,
    paper: str | None = None,
    processing: str | None = None,
    temperature_K: str | None = None,
) -> AlloyTable:
    """Read a CSV file of alloys with classes, or with numbers in `unit`, in the column `target`.

    The other arguments name columns; the composition is looked for where none is named. A unit at the end of the
    target's name ("hardness_HV") need not be given again. Raises InputError where a row cannot be read, all rows have
    one class, or the numbers contradict their unit. Lines without target are left out, and noted.
    """
    columns = Columns(
        target=target,
        composition=composition,
        unit=unit,
        paper=paper,
        processing=processing,
        temperature_K=temperature_K,
    )
    found = read_user_table(path, columns)
    if found.unreadable:
        more = f" (and {len(found.unreadable) - _SHOWN} lines more)" if len(found.unreadable) > _SHOWN else ""
        raise InputError(f"{path}: {'; '.join(found.unreadable[:_SHOWN])}{more}")
    table = found.table
    if table.labels is not None and len(table.classes) < 2:
        raise InputError(f"{path}: column '{target}' holds one class only ('{table.classes[0]}'); wanted two or more")
    return table


def read_user_table(path: str | os.PathLike[str], columns: Columns) -> ReadTable:
    """Read a table whatever its lines hold; what cannot be read is told, not raised."""
    header, rows = _read_csv(Path(path))
    parts = _Reader(Path(path), columns, header)
    alloys, targets, temperatures, lines, kept, unreadable, notes, empty = [], [], [], [], [], [], Counter[str](), 0
    for line, row in rows:
        text = row[columns.target].strip()
        if not text:
            empty += 1
            continue
        try:
            alloy, mended = parts.composition(row)
            value, kelvin = parts.value(text), parts.temperature(row)
        except InputError as error:
            unreadable.append(f"line {line}: {error}")
            continue
        alloys.append(alloy)
        targets.append(value)
        temperatures.append(kelvin)
        lines.append(line)
        kept.append(row)
        notes.update(note.split(";")[-1].strip() for note in mended)
    if not alloys:
        first = f": {unreadable[0]}" if unreadable else ""
        raise InputError(f"{path}: no line with a composition and '{columns.target}'{first}; wanted at least one")
    mended_notes = [f"{count} lines: {note}" for note, count in notes.items()]
    if empty:
        mended_notes.append(f"{empty} lines without '{columns.target}' left out")
    table = _build(parts, alloys, targets, temperatures, kept, tuple(mended_notes))
    return ReadTable(table=table, lines=np.array(lines), unreadable=tuple(unreadable), n_without_target=empty)


def _read_csv(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read header and rows, each with the line of the file on which it ends."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; wanted a CSV table of alloys") from error
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: cannot be read as text ({error}); wanted a CSV file in UTF-8") from error
    if not text.strip():
        raise InputError(f"{path}: empty; wanted a header and a line for each alloy")
    lines = text.splitlines()
    delimiter = max(",;\t", key=lines[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
    header = [name or "" for name in reader.fieldnames or ()]
    rows = [(reader.line_num, {k: v or "" for k, v in row.items() if isinstance(k, str)}) for row in reader]
    if not rows:
        raise InputError(f"{path}: a header and no lines; wanted a line for each alloy")
    return header, rows


class _Reader:
    """Read composition, target and groups of a row, with the columns checked once."""

    def __init__(self, path: Path, columns: Columns, header: Sequence[str]) -> None:
        for name in (
            columns.target, columns.composition, columns.paper, columns.processing, columns.temperature_K,
        ):  # fmt: skip
            if name is not None and name not in header:
                raise unknown_name(f"column of {path}", name, [h for h in header if h])
        if twice := [name for name, n in Counter(header).items() if name and n > 1]:
            raise InputError(f"{path}: {', '.join(twice)} heads more than one column; wanted each name once")
        self.path, self.columns = path, columns
        unit = columns.unit or next((u for u in PLAUSIBLE if columns.target.endswith(f"_{u}")), None)
        if unit is not None and unit not in PLAUSIBLE:
            raise unknown_name("unit", unit, PLAUSIBLE)
        self.unit = unit
        self.formula = columns.composition or next((h for h in header if h.lower() in COMPOSITION_HEADERS), None)
        taken = {columns.target, columns.paper, columns.processing, columns.temperature_K, *_NO_METAL_HERE}
        self.element_columns = [h for h in header if atomic_numbers.get(h, 0) > 0 and h not in taken]
        if self.formula is None and len(self.element_columns) < 2:
            raise InputError(
                f"{path}: no column of compositions among {', '.join(header)}; name it, or head it"
                f" '{COMPOSITION_HEADERS[0]}', or give a column for each element"
            )

    def composition(self, row: dict[str, str]) -> tuple[Composition, tuple[str, ...]]:
        if self.formula is not None:
            return read_alloy(row[self.formula].strip())
        return read_alloy({e: _number(row[e] or "0", e) for e in self.element_columns})

    def value(self, text: str) -> Any:
        return text if self.unit is None else _number(text, self.columns.target)

    def temperature(self, row: dict[str, str]) -> float:
        name = self.columns.temperature_K
        text = row[name].strip() if name else ""
        return _number(text, str(name)) if text else ROOM_TEMPERATURE_K

    def column(self, rows: Sequence[dict[str, str]], name: str | None) -> list[str]:
        return [row[name].strip() if name else "" for row in rows]


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InputError(f"'{name}' is {text!r}; wanted a number")
    return value


def _build(
    parts: _Reader,
    alloys: list[Composition],
    targets: list[Any],
    temperatures: list[float],
    rows: list[dict[str, str]],
    notes: tuple[str, ...],
) -> AlloyTable:
    elements = tuple(sorted({e for alloy in alloys for e in alloy}))
    x = np.array([[alloy.get(e, 0.0) for e in elements] for alloy in alloys])
    cluster = near_duplicates(x)
    paper = parts.column(rows, parts.columns.paper)
    numbers = np.array(targets, float) if parts.unit else None
    if numbers is not None:
        check_unit(numbers, str(parts.unit), f"{parts.path}: column '{parts.columns.target}'")
    else:
        _check_classes(targets, f"{parts.path}: column '{parts.columns.target}'")
    return AlloyTable(
        target=parts.columns.target,
        unit=parts.unit or "",
        classes=() if parts.unit else tuple(sorted(set(targets))),
        elements=elements,
        fractions=x,
        cluster=cluster,
        family=np.array(["-".join(sorted(alloy)) for alloy in alloys]),
        paper=np.array(paper),
        paper_group=np.where(np.array(paper) != "", connected_groups(cluster, paper), -1),
        tables=np.full(len(alloys), parts.path.stem),
        n_reports=np.ones(len(alloys), int),
        processing=_processing(parts, rows),
        temperature_K=_kelvin(parts, temperatures),
        labels=None if parts.unit else np.array(targets),
        share=None if parts.unit else np.ones(len(alloys)),
        votes=None if parts.unit else np.ones(len(alloys), int),
        value=numbers,
        notes=notes,
    )


def check_unit(values: np.ndarray, unit: str, where: str) -> None:
    """Refuse numbers that contradict their unit: by their median, and below zero."""
    low, high, below, above = PLAUSIBLE[unit]
    if (values < 0).any():
        raise InputError(f"{where}: {values.min():g} {unit} is below zero; wanted {unit}")
    middle = float(np.median(values))
    if not low <= middle <= high:
        suspect = below if middle < low else above
        raise InputError(
            f"{where}: the median is {middle:g}, which is no {unit}: is it {suspect}? convert it, or name its unit"
        )


def _check_classes(targets: Sequence[str], where: str) -> None:
    """Refuse numbers that are taken for classes: each would be a class of its own, and every score about nothing."""
    try:
        different = {float(text) for text in targets}
    except ValueError:
        return
    if len(different) > _MOST_NUMBERED_CLASSES or any(not value.is_integer() for value in different):
        raise InputError(
            f"{where} holds numbers ({targets[0]} ...) and no unit is known; name it: {', '.join(PLAUSIBLE)}"
        )


def _processing(parts: _Reader, rows: Sequence[dict[str, str]]) -> np.ndarray:
    texts = parts.column(rows, parts.columns.processing)
    return np.array([text if text in PROCESSINGS else processing_kind(text) for text in texts])


def _kelvin(parts: _Reader, temperatures: Sequence[float]) -> np.ndarray:
    kelvin = np.array(temperatures, float)
    if (kelvin <= 0).any() or ((kelvin >= 15) & (kelvin <= 35)).mean() > 0.3:
        raise InputError(
            f"{parts.path}: column '{parts.columns.temperature_K}' looks like degrees Celsius (least"
            f" {kelvin.min():g}); wanted kelvin: add 273.15"
        )
    return kelvin
