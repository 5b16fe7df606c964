"""Columns of numbers out of text files whose separators and headers nobody announces."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io._files import one_line

Splitter = Callable[[str], list[float] | None]

_COMMENT = ("#", "'", "!", "%", "/*", "//", "*", '"', ";")
_MAX_HEADER_LINES = 2000
_MAX_ROWS = 1_000_000
_MAX_LINE = 100_000
_ANGLE = ("2theta", "twotheta", "tth", "2th", "2θ", "angle", "pos")
_INTENSITY = ("count", "intens", "cps", "yobs", "iobs", "psd", "meas")
_STD = re.compile(r"(esd|err.*|sig(ma.*)?|std.*|unc.*|dy|di|yerr.*|ierr.*|intensitystd.*|intensityerr.*|.*sigma)")
#: Named abscissae other than 2-theta, stripped to letters and digits -> axis; None where the unit is not said.
_AXES = {
    "q_per_A": ("qa1", "q1a", "qa", "qang1", "qangstrom1", "q1angstrom", "qangstrom", "qinva", "qpera"),
    "q_per_nm": ("qnm1", "q1nm", "qnm", "qinvnm", "qpernm"),
    "d_A": ("d", "da", "dspacing", "dspacinga", "dang", "dangstrom"),
    None: ("q",),
}
_NO_ANGLE = re.compile(r"(energy.*|time.*|tof.*|rmm|channel|pixel)")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Hold the wanted columns, the header text and the number of columns in the file.

    `angles` are what `axis` names; `std` is None where no column is said to hold standard deviations.
    """

    angles: np.ndarray
    intensities: np.ndarray
    header: str
    n_columns: int
    std: np.ndarray | None = None
    axis: str = "two_theta_deg"


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """Hold which column is which."""

    first: int = 0
    second: int = 1
    std: int | None = None
    axis: str = "two_theta_deg"


def read_columns(path: Path, text: str, *, axis: str | None = None, third_is_std: bool = False) -> Columns:
    """Read abscissa and intensity from separated text; the header may name which column is which.

    `axis` is the user's word on the abscissa; `third_is_std` says that the format keeps errors in column 3.
    """
    header, rows = _header_and_rows(path, text)
    if not rows:
        raise InputError(
            f"{path}: no row of two numbers was found; wanted 2-theta in degrees and intensity in columns:"
            " export the scan as text"
        )
    n_columns = len(rows[0][1])
    wanted = _wanted_columns(path, header, n_columns, axis)
    if third_is_std and wanted.std is None and (wanted.first, wanted.second) == (0, 1) and n_columns > 2:
        wanted = replace(wanted, std=2)
    pairs = _pick(path, rows, wanted.first, wanted.second)
    std = None
    if wanted.std is not None and all(len(values) > wanted.std for _, values in rows):
        std = np.array([values[wanted.std] for _, values in rows])
    # Only lines above the first row and comments may speak of the radiation, and no more than a page of them.
    return Columns(
        angles=pairs[:, 0],
        intensities=pairs[:, 1],
        header="\n".join(header[:400]),
        n_columns=n_columns,
        std=std,
        axis=axis or wanted.axis,
    )


def _header_and_rows(path: Path, text: str) -> tuple[list[str], list[tuple[int, list[float]]]]:
    """Tell the header and comment lines from the rows of numbers, which keep their line numbers."""
    header: list[str] = []
    rows: list[tuple[int, list[float]]] = []
    split: Splitter | None = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip(" \t\r\n\f\x1a,;")
        if not line:
            continue
        if len(line) > _MAX_LINE:
            raise InputError(f"{path}: line {number} has {len(line)} characters, wanted a table; export it again")
        if line.startswith(_COMMENT):
            header.append(line)
            continue
        if split is None:
            split = find_splitter(line)
            if split is None:
                header.append(line)
                if len(header) > _MAX_HEADER_LINES:
                    break
                continue
        values = split(line)
        if values is None:
            raise InputError(
                f"{path}: line {number} is no row of numbers ({one_line(line, 40)!r});"
                " remove it, or put '#' in front of it where it is a comment"
            )
        rows.append((number, values))
        if len(rows) > _MAX_ROWS:
            raise InputError(f"{path}: over {_MAX_ROWS} rows, no scan has as many; give one pattern per file")
    return header, rows


def find_splitter(line: str) -> Splitter | None:
    """Find the separator and the decimal sign by which a line is at least two numbers.

    >>> find_splitter("10,5; 200")("10,5; 200"), find_splitter("2Theta, Counts")
    ([10.5, 200.0], None)
    """
    for pattern, decimal_comma in ((";", True), ("\t", True), (",", False), (r"\s+", False), (r"\s+", True)):
        split = _splitter(pattern, decimal_comma)
        values = split(line)
        if values is not None and len(values) >= 2:
            return split
    return None


def _splitter(pattern: str, decimal_comma: bool) -> Splitter:
    separator = re.compile(pattern)

    def split(line: str) -> list[float] | None:
        values = []
        for word in separator.split(line):
            word = word.strip().strip('"')
            if decimal_comma and "." not in word:
                word = word.replace(",", ".", 1)
            if "_" in word:  # float() takes 1_000, a table does not mean that
                return None
            try:
                values.append(float(word) if word else float("nan"))
            except ValueError:
                return None
        return values

    return split


def _wanted_columns(path: Path, header: Sequence[str], n_columns: int, user_axis: str | None) -> _Wanted:
    """Find abscissa and intensity among named columns; the first two where no header line names them."""
    for line in reversed(header):
        words = _words(line, n_columns)
        if words is None:
            continue
        angle = [i for i, word in enumerate(words) if word.startswith(_ANGLE)]
        intensity = [
            i
            for i, w in enumerate(words)
            if (w.startswith(_INTENSITY) or w in ("i", "y", "int")) and not _STD.fullmatch(w)
        ]
        std = next((i for i, word in enumerate(words) if _STD.fullmatch(word)), None)
        if angle and intensity and angle[0] != intensity[0]:
            return _Wanted(first=angle[0], second=intensity[0], std=std)
        axis = next((axis for axis, names in _AXES.items() if words[0] in names), "")
        second = intensity[0] if intensity and intensity[0] else 1
        if axis != "" and (intensity or user_axis):
            if axis is None and user_axis is None:
                raise InputError(
                    f"{path}: the first column is named {words[0]!r} without a unit, wanted 2-theta in degrees or a"
                    " unit; say axis='q_per_A' or axis='q_per_nm', or export the pattern over 2-theta"
                )
            return _Wanted(second=second, std=std, axis=axis or "two_theta_deg")
        if _NO_ANGLE.fullmatch(words[0]) and (intensity or angle):
            raise InputError(
                f"{path}: the first column is named {words[0]!r}, wanted 2-theta in degrees;"
                " export the pattern over 2-theta"
            )
    return _Wanted()


def _words(line: str, n_columns: int) -> list[str] | None:
    """Split a header line into as many bare lower-case names as there are columns, None where that fails."""
    line = line.strip("#'!%/*;\" \t").replace("Å", "a").replace("\u212b", "a").replace("¹", "1")
    for pattern in (r"[;,\t]", r"\s{2,}", r"\s+"):
        words = [re.sub(r"[^a-z0-9θ]", "", word.lower()) for word in re.split(pattern, line)]
        if len(words) == n_columns and all(words):
            return words
    return None


def _pick(path: Path, rows: Sequence[tuple[int, list[float]]], first: int, second: int) -> np.ndarray:
    """Take two columns of every row."""
    width = max(first, second) + 1
    pairs = np.empty((len(rows), 2))
    for i, (number, values) in enumerate(rows):
        if len(values) < width:
            raise InputError(
                f"{path}: line {number} has {len(values)} numbers, wanted {width} or more; remove that row"
            )
        pairs[i] = values[first], values[second]
        if not np.isfinite(pairs[i]).all():
            what = "angle" if not np.isfinite(pairs[i, 0]) else "intensity"
            raise InputError(
                f"{path}: {what} in line {number} is not a finite number; remove that row or export the scan again"
            )
    return pairs
