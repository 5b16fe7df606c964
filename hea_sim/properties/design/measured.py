"""Measured alloys that a design learns from: from a table, from evidence, and to and from JSON."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from hea_sim.alloy import Composition
from hea_sim.errors import InputError, MissingFileError, unknown_name
from hea_sim.properties.contract import (
    FAMILIES,
    PROCESSINGS,
    PROPERTY_UNITS,
    ROOM_TEMPERATURE_K,
    STRUCTURES,
    MeasuredAlloy,
)
from hea_sim.records import Evidence

#: Structure of the contract by fundamental lattice of a pattern's label.
STRUCTURE_OF_LATTICE: Mapping[str, str] = {"A2": "BCC", "A1": "FCC", "A3": "HCP"}
_COLUMNS = ("composition", "structure", "not_structures", "family", "processing", "temperature_K", "source")


def measured_from_evidence(
    evidence: Iterable[Evidence | MeasuredAlloy], *, alloy: Composition | str | None = None
) -> list[MeasuredAlloy]:
    """Turn evidence into measured alloys; what is measured already passes through.

    Of a claim on the phase, one set of one lattice is a structure, sets that all hold several phases are "multi", and
    otherwise the structures that no set leaves possible are negatives. Other claims, claims whose measured side is
    not independent (made by this project's own forward models) and claims without a measured side say nothing of
    these. The alloy is that of the claim (`against`) where `alloy` does not name it.
    """
    found = []
    for item in evidence:
        if isinstance(item, MeasuredAlloy):
            found.append(item)
            continue
        if item.kind != "phase" or not item.independent or not item.measured_sets:
            continue
        name = item.against if alloy is None else alloy
        if not name:
            raise InputError(f"evidence '{item.claim}' names no alloy; give alloy")
        possible = _structures(item.measured_sets)
        sure = next(iter(possible)) if len(possible) == 1 else None
        found.append(
            MeasuredAlloy(
                composition=Composition.parse(name),
                structure=sure,
                not_structures=() if sure else tuple(s for s in STRUCTURES if s not in possible),
                source=item.measured_source or "evidence",
            )
        )
    return found


def _structures(sets: Sequence[Sequence[str]]) -> set[str]:
    """List the structures that sets of lattices leave possible; one that is not of the three counts as multi."""
    out = set()
    for names in sets:
        kinds = {STRUCTURE_OF_LATTICE.get(name, "multi") for name in names}
        out.add(kinds.pop() if len(names) == 1 else "multi")
    return out


def measured_row(alloy: MeasuredAlloy) -> dict[str, Any]:
    """Write a measured alloy as plain JSON data."""
    row = {f.name: getattr(alloy, f.name) for f in fields(alloy)}
    return {
        **row,
        "composition": dict(alloy.composition),
        "properties": dict(alloy.properties),
        "not_structures": list(alloy.not_structures),
    }


def measured_of_row(row: Mapping[str, Any]) -> MeasuredAlloy:
    """Read what `measured_row` wrote; raise InputError for names and numbers that mean nothing."""
    known = {f.name for f in fields(MeasuredAlloy)}
    for key in row:
        if key not in known:
            raise unknown_name("key of a measured alloy", key, known)
    if "composition" not in row:
        raise InputError("a measured alloy has no composition; give one such as 'NbMoTaW'")
    for what, names, allowed in (
        ("structure", (row.get("structure"),), STRUCTURES),
        ("structure", row.get("not_structures", ()), STRUCTURES),
        ("family", (row.get("family"),), FAMILIES),
        ("processing", (row.get("processing", "other"),), PROCESSINGS),
        ("property", row.get("properties", {}), PROPERTY_UNITS),
    ):
        for name in names:
            if name is not None and name not in allowed:
                raise unknown_name(what, str(name), allowed)
    numbers = {key: _number(value, key) for key, value in dict(row.get("properties", {})).items()}
    return MeasuredAlloy(
        composition=Composition.parse(row["composition"]),
        structure=row.get("structure"),
        family=row.get("family"),
        not_structures=tuple(row.get("not_structures", ())),
        properties=numbers,
        processing=row.get("processing", "other"),
        temperature_K=_number(row.get("temperature_K", ROOM_TEMPERATURE_K), "temperature_K"),
        source=str(row.get("source", "")),
    )


def read_measured(path: str | os.PathLike[str]) -> list[MeasuredAlloy]:
    """Read measured alloys from a CSV: a composition a row, and what was measured of it.

    Columns: `composition`; `structure` (BCC, FCC, HCP, multi), `not_structures` (such as "BCC FCC"), `family`,
    `processing`, `temperature_K`, `source`, and any property by its name with unit, such as `hardness_HV`. Empty cells
    were not measured.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(f"{file}: no such file; wanted a CSV with a column composition")
    known = (*_COLUMNS, *PROPERTY_UNITS)
    found = []
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        for name in rows.fieldnames or ():
            if name.strip() not in known:
                raise InputError(f"{file}: {unknown_name('column', name.strip(), known)}")
        for number, row in enumerate(rows, start=2):
            plain = {str(k).strip(): (v or "").strip() for k, v in row.items() if k is not None and (v or "").strip()}
            try:
                found.append(measured_of_row(_row_of_cells(plain)))
            except (InputError, KeyError) as error:
                raise InputError(f"{file}, line {number}: {error}") from error
    if not found:
        raise InputError(f"{file} holds no alloy; wanted a header and at least one row")
    return found


def _row_of_cells(cells: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {key: value for key, value in cells.items() if key in _COLUMNS}
    row["properties"] = {key: value for key, value in cells.items() if key in PROPERTY_UNITS}
    if "not_structures" in row:
        row["not_structures"] = row["not_structures"].replace(",", " ").split()
    return row


def _number(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number <= 0:
        raise InputError(f"{what} is {value!r}; wanted a number above zero in the unit of its name")
    return number
