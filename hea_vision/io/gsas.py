"""GSAS powder data: a title, then banks of STD, ESD, FXY or FXYE records with 2-theta in hundredths of a degree.

Layout: A. C. Larson and R. B. Von Dreele, General Structure Analysis System, LAUR 86-748, "standard powder data".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io._files import decode_text, one_line
from hea_vision.io._scans import Scan, checked_count, counts_entry
from hea_vision.io._xml import number
from hea_vision.io.radiation import Source, said_in_text

_CENTIDEGREES = 100.0
#: Width of a field in STD and ESD records of 80 characters.
_FIELD = 8
#: Ways of binning that are times of flight.
_TIME_OF_FLIGHT = ("TIME_MAP", "SLOG", "RALF", "LOG6", "LPSD", "EXP", "TMAP")


@dataclass(frozen=True, kw_only=True)
class _Bank:
    """Hold what a BANK line says."""

    n: int
    binning: str
    start: float
    step: float
    records: str


def is_gsas(text: str) -> bool:
    """Tell GSAS data by a BANK line near the head."""
    return any(line.startswith("BANK ") for line in text[:20_000].splitlines())


def read_gsas(path: Path, raw: bytes) -> list[Scan]:
    """Read every bank of constant wavelength in a GSAS file; times of flight are refused."""
    lines = _lines(path, raw)
    marks = [i for i, line in enumerate(lines) if line.startswith("BANK ")]
    checked_count(path, len(marks))
    if not marks:
        raise InputError(f"{path}: has no line that begins with BANK, wanted GSAS powder data; export it again")
    head = [line.rstrip() for line in lines[: marks[0]]]
    source = said_in_text("\n".join(head))
    scans = []
    for begin, end in zip(marks, [*marks[1:], len(lines)]):
        bank = _bank(path, lines[begin])
        rows = [line for line in lines[begin + 1 : end] if line.strip() and not line.startswith("#")]
        scans.append(_scan(path, bank, rows, one_line(head[0]) if head else "", source))
    return scans


def _lines(path: Path, raw: bytes) -> list[str]:
    """Split the text into lines; a title may hold odd bytes, the data may not."""
    begin = max(raw.find(b"\nBANK "), raw.find(b"\rBANK ")) + 1
    head = raw[:begin] if begin <= 20_000 else b""
    title = "".join(c if c.isprintable() or c in "\r\n" else " " for c in head.decode("latin-1"))
    return title.splitlines() + decode_text(path, raw[len(head) :]).splitlines()


def _bank(path: Path, line: str) -> _Bank:
    words = line.split()
    fields = [*words, *[""] * 11][:11]
    n, start, step = (number(fields[i]) for i in (2, 5, 6))
    binning = fields[4].upper()
    if binning.startswith(_TIME_OF_FLIGHT):
        raise InputError(
            f"{path}: a bank binned as {binning} is time-of-flight data, wanted 2-theta; give another file"
        )
    records = next((word.upper() for word in words[5:] if word[:1].isalpha()), "STD")
    if n is None or not 0 < n < 1e9 or n % 1 or start is None or step is None:
        raise InputError(f"{path}: {one_line(line, 60)!r} names no points, start and step; wanted BANK 1 n n CONST ...")
    if records not in _RECORDS:
        raise InputError(f"{path}: records of type {one_line(records, 20)}, wanted {', '.join(_RECORDS)}; export it so")
    return _Bank(n=int(n), binning=binning, start=start, step=step, records=records)


def _scan(path: Path, bank: _Bank, rows: list[str], title: str, source: Source) -> Scan:
    try:
        x, y, std = _RECORDS[bank.records](bank, rows)
    except (ValueError, IndexError) as error:
        raise InputError(
            f"{path}: a {bank.records} record cannot be read ({one_line(error, 60)}); export the file again"
        ) from error
    if y.size < bank.n:
        raise InputError(f"{path}: cut short, {y.size} points of {bank.n}; copy or export the file again")
    x, y, std = x[: bank.n], y[: bank.n], None if std is None else std[: bank.n]
    metadata: dict[str, Any] = {"format": f"GSAS {bank.records}", "title": title}
    if bank.records == "STD" and (std is None):
        metadata.update({"unit": "counts", **counts_entry(y, True)})
    return Scan(x=x / _CENTIDEGREES, y=y, std=std, source=source, metadata=metadata)


_Points = tuple[np.ndarray, np.ndarray, np.ndarray | None]


def _fields(bank: _Bank, rows: list[str]) -> list[str]:
    """Cut records of 80 characters into fields; no more than the bank can use."""
    wanted = 2 * bank.n
    cut: list[str] = []
    for row in rows:
        row = row.rstrip()
        cut += [row[i : i + _FIELD] for i in range(0, len(row), _FIELD)]
        if len(cut) >= wanted:
            break
    return cut


def _grid(bank: _Bank, n: int) -> np.ndarray:
    return bank.start + bank.step * np.arange(n)


def _std_records(bank: _Bank, rows: list[str]) -> _Points:
    """Read fields of 2 digits for the number of counters and 6 for their mean count; its variance is mean / number."""
    fields = _fields(bank, rows)[: bank.n]
    counters = np.array([int(field[:2]) if field[:2].strip() else 1 for field in fields])
    y = np.array([float(field[2:]) for field in fields])
    if (counters == 1).all():
        return _grid(bank, y.size), y, None
    with np.errstate(divide="ignore", invalid="ignore"):
        std = np.sqrt(y / counters)
    return _grid(bank, y.size), y, std


def _esd_records(bank: _Bank, rows: list[str]) -> _Points:
    """Read pairs of fields: intensity and its standard deviation."""
    values = np.array([float(field) for field in _fields(bank, rows)])
    pairs = values[: 2 * (values.size // 2)].reshape(-1, 2)
    return _grid(bank, len(pairs)), pairs[:, 0], pairs[:, 1]


def _listed(bank: _Bank, rows: list[str], width: int) -> np.ndarray:
    table = [[float(word) for word in row.split()[:width]] for row in rows[: bank.n]]
    if any(len(row) < width for row in table):
        raise ValueError(f"fewer than {width} numbers in a row")
    return np.array(table).reshape(-1, width)


def _fxye_records(bank: _Bank, rows: list[str]) -> _Points:
    table = _listed(bank, rows, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _fxy_records(bank: _Bank, rows: list[str]) -> _Points:
    table = _listed(bank, rows, 2)
    return table[:, 0], table[:, 1], None


_RECORDS = {"STD": _std_records, "ESD": _esd_records, "FXYE": _fxye_records, "FXY": _fxy_records}
