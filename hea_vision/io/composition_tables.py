"""Measured compositions: tables of points, their mean and its error; line scans with positions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
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
#: What a line scan may hold beside percentages.
_COUNTS = "counts"
_SYMBOL = re.compile(
    r"([A-Z][a-z]?)(?:[ _-]?[KLM][ab]?\d?)?\s*[\[(]?\s*(?:((?i:at|wt|atomic|weight|mass))[ .]*%?.*)?",
    re.DOTALL,
)
#: A row of percentages that sums outside this range is no analysis of the metal (a hole, a label, counts).
_SUM_RANGE = (90.0, 110.0)
#: Fewest blocks from which a variance is still taken.
_MIN_BLOCKS = 8
#: A header word that names the position along the line, and its unit.
_POSITION = re.compile(r"(?i:distance|position|pos|dist|line|x)?[ _]*[\[(]?\s*(µm|μm|um|nm|mm)\s*[\])]?")
_PIXEL_SIZE = re.compile(r"Pixel Size\s*:?\s*([\d.]+)\s*(µm|μm|um|nm|mm)")
_UM_PER = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3}
#: Largest deviation of a step from the mean one, relative.
_UNEQUAL_STEPS = 0.05


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


@dataclass(frozen=True, kw_only=True, eq=False)
class LineScan:
    """Hold equally spaced points along a line.

    `values` (n_points, n_elements) in `unit`, "at.%" (rows sum to 100) or "counts" of each element's line; rows that
    hold no analysis are NaN. `step_um` is None where neither the file nor the user said.
    """

    elements: tuple[str, ...]
    values: np.ndarray
    unit: str
    step_um: float | None = None
    n_dropped: int = 0
    source: str = ""
    sha256: str = ""
    notes: Sequence[str] = ()

    @property
    def positions_um(self) -> np.ndarray | None:
        """Give the position of each point from the first."""
        return None if self.step_um is None else self.step_um * np.arange(len(self.values))


def read_line_scan(path: str | os.PathLike[str], *, unit: str, step_um: float | None = None) -> LineScan:
    """Read a table of points along a line, in order, with the distance of points where it is to be had.

    Parameters
    ----------
    unit
        What the numbers are: "at.%", "wt.%" (converted to at.%) or "counts".
    step_um
        Distance of points. Else it is taken from a column of positions, or from the text beside the file that the
        microscope wrote (`scan1info.txt` of `scan1.txt` or `scan1-wt.txt`, its line "Pixel Size").

    Raises
    ------
    InputError
        Where positions are not equally spaced, or no row holds an analysis.
    """
    if unit not in (*_UNITS, _COUNTS):
        raise unknown_name("unit of a line scan", str(unit), (*_UNITS, _COUNTS))
    path = checked_path(path, "line scan", TABLE_SUFFIXES)
    raw = read_bytes(path)
    lines = [line.strip() for line in decode_text(path, raw).splitlines() if line.strip()]
    start, columns, width = _find_header(path, lines, unit)
    table = _values(path, lines[start + 1 :], width)
    values = table[:, list(columns.values())]
    if unit == _COUNTS:
        good = np.isfinite(values).all(axis=1) & (values >= 0).all(axis=1) & (values.sum(axis=1) > 0)
        if not good.any():
            raise InputError(f"{path}: no row of {', '.join(columns)} holds counts; export the intensities again")
        scaled = values
    else:
        good = _analysed(path, values, columns)
        scaled = 100.0 * _atomic_fractions(np.where(good[:, None], values, 1.0), columns, unit)
    step, notes = _step_um(path, lines[start], table, columns, step_um)
    if dropped := int((~good).sum()):
        notes.append(f"{dropped} points hold no analysis and are left out")
    return LineScan(
        elements=tuple(columns),
        values=np.where(good[:, None], scaled, np.nan),
        unit=_COUNTS if unit == _COUNTS else "at.%",
        step_um=step,
        n_dropped=dropped,
        source=str(path),
        sha256=sha256_of_bytes(raw),
        notes=notes,
    )


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
    good = _analysed(path, values, columns)
    return CompositionTable(
        elements=tuple(columns),
        atomic_fractions=_atomic_fractions(values[good], columns, unit),
        n_dropped=int((~good).sum()),
        source=str(path),
        sha256=sha256_of_bytes(raw),
        unit_in_file=str(unit),
    )


def _analysed(path: Path, values: np.ndarray, columns: Iterable[str]) -> np.ndarray:
    """Tell which rows are percentages of one analysis; refuse a table without any."""
    sums = values.sum(axis=1)
    good = np.isfinite(values).all(axis=1) & (values >= 0).all(axis=1)
    good &= (sums >= _SUM_RANGE[0]) & (sums <= _SUM_RANGE[1])
    if not good.any():
        raise InputError(
            f"{path}: no row of {', '.join(columns)} sums to 90-110 % (the first sums to {sums[0]:g});"
            " wanted percentages: export quantified results, not counts"
        )
    return good


def _atomic_fractions(amounts: np.ndarray, columns: Iterable[str], unit: str) -> np.ndarray:
    """Convert percentages (n, k) to atomic fractions that sum to one."""
    if unit == "wt.%":
        amounts = amounts / np.array([atomic_masses[atomic_numbers[e]] for e in columns])
    return amounts / amounts.sum(axis=1, keepdims=True)


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


def _step_um(
    path: Path, header: str, table: np.ndarray, columns: Mapping[str, int], user: float | None
) -> tuple[float | None, list[str]]:
    """Find the distance of points: the user's word, a column of positions, the text beside the file."""
    if user is not None:
        if not 0 < user < 1e6:
            raise InputError(f"{path}: step of {user} um; wanted a positive number")
        return float(user), []
    words = [word.strip().strip("\"'#").strip() for word in re.split(r"[;,\t]", header)]
    for column, word in enumerate(words):
        match = _POSITION.fullmatch(word)
        if match and column not in columns.values() and len(words) == table.shape[1] and len(table) > 1:
            steps = np.diff(table[:, column]) * _UM_PER[match[1]]
            mean = float(steps.mean())
            if not (mean > 0 and np.abs(steps - mean).max() <= _UNEQUAL_STEPS * mean):
                raise InputError(f"{path}: positions in column {word!r} are not equally spaced; wanted one step")
            return mean, []
    beside = [path.with_name(f"{stem}info.txt") for stem in dict.fromkeys((path.stem, re.split("[-_]", path.stem)[0]))]
    for info in beside:
        if info.is_file():
            match = _PIXEL_SIZE.search(decode_text(info, read_bytes(info)))
            if match and float(match[1]) > 0:
                return float(match[1]) * _UM_PER[match[2]], [f"distance of points from {info.name}"]
    return None, ["the distance of points is not known: give step_um"]
