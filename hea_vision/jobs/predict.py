"""What `hea predict` reads, a table of formulas, and the rows that it gives back."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError, MissingFileError
from hea_sim.properties.contract import FAMILIES, STRUCTURES, AlloyPrediction, BatchPrediction

#: Headers under which a table of compositions may keep its formulas.
FORMULA_HEADERS = ("composition", "formula", "alloy")


def read_formula_table(path: Path) -> list[str]:
    """Read the formulas of a CSV file, from the column composition, formula or alloy."""
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; wanted a CSV file with a column {' or '.join(FORMULA_HEADERS)}")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        headers = {str(name).strip().lower(): name for name in rows.fieldnames or ()}
        column = next((headers[name] for name in FORMULA_HEADERS if name in headers), None)
        if column is None:
            found = ", ".join(rows.fieldnames or ()) or "none"
            raise InputError(f"{path}: no column {' or '.join(FORMULA_HEADERS)}; it has: {found}")
        formulas = [row[column].strip() for row in rows if (row[column] or "").strip()]
    if not formulas:
        raise InputError(f"{path}: the table is empty; wanted a formula in each line of column '{column}'")
    return formulas


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


def batch_rows(formulas: Sequence[str], found: BatchPrediction) -> tuple[list[dict[str, Any]], list[str]]:
    """Build the lines of `predictions.csv` for many alloys, and name its columns."""
    columns = ["input", "in_domain"]
    columns += [f"p_{name}" for name in (*STRUCTURES, *FAMILIES)] + ["structure_set", "family_set"]
    columns += [f"{name}{end}" for name in found.properties for end in ("", "_low", "_high")]
    rows = []
    for k, formula in enumerate(formulas):
        row: dict[str, Any] = {"input": formula, "in_domain": int(found.in_domain[k])}
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
