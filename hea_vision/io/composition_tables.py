"""Measured compositions: tables of points, their mean and its error."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from hea_sim.errors import InputError, unknown_name
from hea_sim.records import Estimate
from hea_vision.io._files import checked_path, decode_text, one_line, read_bytes, sha256_of_bytes
from hea_vision.io.columns import find_splitter

#: Suffixes that `read_composition_table` takes.
TABLE_SUFFIXES = (".txt", ".csv", ".dat", ".tsv")

_UNITS = ("at.%", "wt.%")
_SYMBOL = re.compile(
    r"([A-Z][a-z]?)(?:[ _-]?[KLM][ab]?\d?)?\s*[\[(]?\s*(?:((?i:at|wt|atomic|weight|mass))[ .]*%?.*)?",
    re.DOTALL,
)
#: A row of percentages that sums outside this range is no analysis of the metal (a hole, a label, counts).
_SUM_RANGE = (90.0, 110.0)
#: Fewest blocks from which a variance is still taken.
_MIN_BLOCKS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class CompositionTable:
    """Hold points of composition along a line or over an area.

    `atomic_fractions` (n_points, n_elements) rows sum to one; `n_dropped` rows of the file did not sum
    to 100 %.
    """

    elements: tuple[str, ...]
    atomic_fractions: np.ndarray
    n_dropped: int
    source: str
    sha256: str
    unit_in_file: str


def read_composition_table(path: str | os.PathLike[str], *, unit: str) -> CompositionTable:
    """Read a table whose header names the elements, as EDS software exports it.

    `unit` says what the numbers are, because the files do not: "at.%" or "wt.%". Columns whose header is no
    element are left out. Rows that do not sum to 90-110 % are dropped and counted, the others are normalised.
    """
    if unit not in _UNITS:
        raise unknown_name("unit of a composition table", str(unit), _UNITS)
    path = checked_path(path, "composition table", TABLE_SUFFIXES)
    raw = read_bytes(path)
    lines = [line.strip() for line in decode_text(path, raw).splitlines() if line.strip()]
    start, columns, width = _find_header(path, lines, unit)
    values = _values(path, lines[start + 1 :], width)[:, list(columns.values())]
    sums = values.sum(axis=1)
    good = np.isfinite(values).all(axis=1) & (values >= 0).all(axis=1)
    good &= (sums >= _SUM_RANGE[0]) & (sums <= _SUM_RANGE[1])
    if not good.any():
        raise InputError(
            f"{path}: no row of {', '.join(columns)} sums to 90-110 % (the first sums to {sums[0]:g});"
            " wanted percentages: export quantified results, not counts"
        )
    amounts = values[good]
    if unit == "wt.%":
        amounts = amounts / np.array([atomic_masses[atomic_numbers[e]] for e in columns])
    return CompositionTable(
        elements=tuple(columns),
        atomic_fractions=amounts / amounts.sum(axis=1, keepdims=True),
        n_dropped=int((~good).sum()),
        source=str(path),
        sha256=sha256_of_bytes(raw),
        unit_in_file=str(unit),
    )


def mean_composition(table: CompositionTable) -> dict[str, Estimate]:
    """Compute the mean of each element in at.%, with an error that allows for correlation along it.

    Neighbouring points share dendrites and interaction volume, so the error of the mean is the largest that
    blocks of 1, 2, 4, ... points give (Flyvbjerg and Petersen 1989, doi:10.1063/1.457480), down to 8 blocks.
    `n` is the number of independent points that would have the same error. The error is that of the mean over
    this line, not that of the analysis (standards, matrix correction), which no table of points can show.
    """
    result = {}
    points = 100 * table.atomic_fractions
    for element, values in zip(table.elements, points.T):
        mean, n = float(values.mean()), len(values)
        if n < 2:
            result[element] = Estimate(value=mean, unit="at.%", n=n, method="one point")
            continue
        error, size = blocked_error(values)
        independent = n if error == 0 else max(1, min(n, round(float(values.var(ddof=1)) / error**2)))
        method = f"mean of {n} points, standard error from blocks of {size}"
        result[element] = Estimate.normal(mean, error, unit="at.%", method=method, n=independent)
    return result


def blocked_error(values: np.ndarray) -> tuple[float, int]:
    """Compute the largest standard error of a mean over block sizes 1, 2, 4, ..., and that block size.

    >>> blocked_error(np.array([1.0, 1.0, 1.0]))
    (0.0, 1)
    """
    best, best_size, size = -1.0, 1, 1
    while size == 1 or len(values) // size >= _MIN_BLOCKS:
        blocks = values[: len(values) // size * size].reshape(-1, size).mean(axis=1)
        error = float(blocks.std(ddof=1) / np.sqrt(len(blocks)))
        if error > best:
            best, best_size = error, size
        size *= 2
    return best, best_size


def _find_header(path: Path, lines: list[str], unit: str) -> tuple[int, dict[str, int], int]:
    """Find the line that names two elements or more: its number, {element: column}, number of columns."""
    for number, line in enumerate(lines[:200]):
        words = [word.strip().strip("\"'#").strip() for word in re.split(r"[;,\t]", line)]
        if len(words) < 2:
            words = line.replace('"', "").strip("# ").split()
        columns: dict[str, int] = {}
        for column, word in enumerate(words):
            match = _SYMBOL.fullmatch(word)
            if not match or atomic_numbers.get(match[1], 0) == 0:
                continue
            if word == "Y" and {"X", "x"} & set(words):  # stage coordinates, not yttrium
                continue
            said = {"a": "at.%", "w": "wt.%", "m": "wt.%"}.get((match[2] or "?")[0].lower())
            if said is not None and said != unit:
                continue
            if match[1] in columns:
                raise InputError(f"{path}: two columns are named {match[1]}; wanted one: remove the other")
            columns[match[1]] = column
        if len(columns) >= 2:
            return number, columns, len(words)
    raise InputError(
        f"{path}: no header line names elements as {unit} columns (such as Ti,V,Nb); add one line of element symbols"
    )


def _values(path: Path, lines: list[str], width: int) -> np.ndarray:
    """Read the rows below the header."""
    rows = []
    split = find_splitter(lines[0]) if lines else None
    for number, line in enumerate(lines, 1):
        values = split(line) if split else None
        if values is None or len(values) != width:
            raise InputError(
                f"{path}: row {number} below the header is {one_line(line, 40)!r}, wanted {width} numbers;"
                " mend or remove that row"
            )
        rows.append(values)
    if not rows:
        raise InputError(f"{path}: no rows below the header; export the table again")
    return np.array(rows, dtype=float)
