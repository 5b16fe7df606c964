"""What `hea predict` reads, a table of formulas, and the rows that it gives back."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError, MissingFileError
from hea_sim.properties.contract import FAMILIES, PROCESSINGS, STRUCTURES, AlloyPrediction, BatchPrediction

#: Headers under which a table of compositions may keep its formulas.
FORMULA_HEADERS = ("composition", "formula", "alloy")


@dataclass(frozen=True, kw_only=True)
class TableLine:
    """Hold a formula with its own processing and temperature, "" and NaN where the table says none."""

    formula: str
    processing: str = ""
    temperature_K: float = math.nan

    def filled(self, processing: str, temperature_K: float) -> TableLine:
        """Fill in what the line does not say."""
        kelvin = temperature_K if math.isnan(self.temperature_K) else self.temperature_K
        return replace(self, processing=self.processing or processing, temperature_K=kelvin)


def read_alloy_table(path: Path) -> list[TableLine]:
    """Read the alloys of a CSV file: column composition, formula or alloy; processing and temperature_K if there."""
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; wanted a CSV file with a column {' or '.join(FORMULA_HEADERS)}")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        headers = {str(name).strip().lower(): name for name in rows.fieldnames or ()}
        column = next((headers[name] for name in FORMULA_HEADERS if name in headers), None)
        if column is None:
            found = ", ".join(rows.fieldnames or ()) or "none"
            raise InputError(f"{path}: no column {' or '.join(FORMULA_HEADERS)}; it has: {found}")
        lines = []
        for number, row in enumerate(rows, start=2):
            cell = {key: (row[name] or "").strip() for key, name in headers.items()}
            if formula := cell[str(column).strip().lower()]:
                lines.append(_line(formula, cell, f"{path}, line {number}"))
    if not lines:
        raise InputError(f"{path}: the table is empty; wanted a formula in each line of column '{column}'")
    return lines


def _line(formula: str, cell: Mapping[str, str], where: str) -> TableLine:
    processing, kelvin = cell.get("processing", ""), cell.get("temperature_k", "")
    if processing and processing not in PROCESSINGS:
        raise InputError(f"{where}: processing '{processing}'; wanted one of {', '.join(PROCESSINGS)}, or nothing")
    try:
        number = float(kelvin or "nan")
    except ValueError:
        number = 0.0
    if kelvin and not 0 < number < math.inf:
        raise InputError(f"{where}: temperature_K is '{kelvin}'; wanted kelvin above zero, or nothing")
    return TableLine(formula=formula, processing=processing, temperature_K=number)


def prediction_row(found: AlloyPrediction, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Build the row of one alloy for the results document; what is refused holds the reasons alone."""
    row: dict[str, Any] = {
        "input": found.input,
        "composition": dict(found.composition),
        "in_domain": found.in_domain,
        "structure": _call(found.structure),
        "family": _call(found.family),
        "properties": {
            name: {"value": e.value, "low": e.low, "high": e.high, "level": e.level, "unit": e.unit, "method": e.method}
            for name, e in found.properties.items()
        },
        "leans_on": found.leans_on,
        "processing": found.processing,
        "temperature_K": found.temperature_K,
        "reasons": found.reasons,
        "notes": (*notes, *found.notes),
    }
    return row


def _call(call: Any) -> Mapping[str, Any] | None:
    if call is None:
        return None
    return {
        "probabilities": dict(call.probabilities),
        "prediction_set": list(call.prediction_set),
        "level": call.level,
        "call": call.call,
    }


def batch_rows(
    lines: Sequence[TableLine], found: BatchPrediction, notes: Sequence[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Build the lines of `predictions.csv` for many alloys, and name its columns; `notes` say why one is refused."""
    columns = ["input", "processing", "temperature_K", "in_domain"]
    columns += [f"p_{name}" for name in (*STRUCTURES, *FAMILIES)] + ["structure_set", "family_set"]
    columns += [f"{name}{end}" for name in found.properties for end in ("", "_low", "_high")] + ["notes"]
    rows = []
    for k, (line, note) in enumerate(zip(lines, notes)):
        row: dict[str, Any] = {"input": line.formula, "in_domain": int(found.in_domain[k]), "notes": note}
        row |= {"processing": line.processing, "temperature_K": f"{line.temperature_K:g}"}
        if found.in_domain[k]:
            row |= {f"p_{name}": f"{p:.4f}" for name, p in zip(STRUCTURES, found.structure[k])}
            row |= {f"p_{name}": f"{p:.4f}" for name, p in zip(FAMILIES, found.family[k])}
            row["structure_set"] = "/".join(n for n, held in zip(STRUCTURES, found.structure_set[k]) if held)
            row["family_set"] = "/".join(n for n, held in zip(FAMILIES, found.family_set[k]) if held)
            for name, numbers in found.properties.items():
                if np.isfinite(numbers[k, 0]):
                    row |= {f"{name}{end}": f"{v:.5g}" for end, v in zip(("", "_low", "_high"), numbers[k])}
        rows.append(row)
    return rows, columns
