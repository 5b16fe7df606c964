"""Powder patterns: read what diffractometers write, one scan or all of a file; write .xy."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hea_sim.documents import write_atomic
from hea_sim.errors import InputError
from hea_sim.records import Pattern
from hea_vision.io._axes import checked_axis
from hea_vision.io._files import MAX_TEXT_BYTES, checked_path, decode_text, one_line, read_bytes, sha256_of_bytes
from hea_vision.io._scans import Reading, Scan, ScanReader
from hea_vision.io.bruker_brml import read_brml
from hea_vision.io.bruker_raw import is_bruker_raw, read_bruker_raw
from hea_vision.io.bruker_uxd import read_uxd
from hea_vision.io.columns import read_columns
from hea_vision.io.gsas import is_gsas, read_gsas
from hea_vision.io.pdcif import read_pdcif
from hea_vision.io.radiation import RADIATIONS, said_by_user, said_in_text
from hea_vision.io.rigaku import read_ras, read_rasx
from hea_vision.io.xrdml import read_xrdml

__all__ = [
    "DETECTOR_SUFFIXES",
    "PATTERN_SUFFIXES",
    "RADIATIONS",
    "pattern_from_arrays",
    "read_pattern",
    "read_patterns",
    "write_pattern",
]

_TEXT_SUFFIXES = (".xy", ".xye", ".csv", ".txt", ".dat")
_GSAS_SUFFIXES = (".gsas", ".gsa", ".gss", ".gda", ".fxye", ".xra")
_READERS: dict[str, ScanReader] = {
    ".xrdml": read_xrdml,
    ".ras": read_ras,
    ".rasx": read_rasx,
    ".brml": read_brml,
    ".uxd": read_uxd,
    ".pdcif": read_pdcif,
    ".cif": read_pdcif,
    **dict.fromkeys(_GSAS_SUFFIXES, read_gsas),
}
_ARCHIVES = (".rasx", ".brml")
_MAX_ARCHIVE_BYTES = 256 * 2**20

#: Suffixes that are patterns wherever they are found. `read_pattern` also takes .cif, which mostly holds a
#: structure, and the images of DETECTOR_SUFFIXES with their calibration.
PATTERN_SUFFIXES = (*_TEXT_SUFFIXES, ".xrdml", ".ras", ".rasx", ".raw", ".brml", ".uxd", ".pdcif", *_GSAS_SUFFIXES)
#: Detector images, integrated where a .poni calibration is given.
DETECTOR_SUFFIXES = (".tif", ".tiff", ".edf", ".cbf", ".npy", ".img", ".mccd")

#: Header line of patterns that this project's forward model made; what shares a model is no evidence for it.
SYNTHETIC_MARK = "# synthetic: made by the forward model of hea-toolkit"


def read_pattern(
    path: str | os.PathLike[str],
    *,
    scan: int | None = None,
    radiation: str | None = None,
    wavelength_A: float | None = None,
    axis: str | None = None,
    calibration: str | os.PathLike[str] | None = None,
) -> Pattern:
    """Read one powder pattern, with the radiation that the file or the user names.

    The user's `radiation` ("CuKa", "CoKa", ...) or `wavelength_A` (one single wavelength) wins over the
    file's statement; `metadata["radiation_note"]` then says so. Where nobody names one, both stay None.
    `axis` ("two_theta_deg", "q_per_A", "q_per_nm", "d_A") says what the abscissa is where the file does not;
    q and d need a wavelength. `scan` (from 0) picks one of several; repeats of one scan are summed where none is
    picked. A detector image needs its `calibration`, a .poni file.

    Raises InputError where the file is no pattern or holds several, MissingFileError where it does not exist.
    """
    if calibration is not None or Path(path).suffix.lower() in DETECTOR_SUFFIXES:
        if scan is not None or axis is not None:
            raise InputError(f"{path}: scan and axis say nothing of a detector image; leave them out")
        from hea_vision.io.detector import integrate_image

        return integrate_image(path, calibration, radiation=radiation, wavelength_A=wavelength_A)
    reading, scans = _read(path, radiation, wavelength_A, axis)
    return reading.one(scans, scan)


def read_patterns(
    path: str | os.PathLike[str],
    *,
    radiation: str | None = None,
    wavelength_A: float | None = None,
    axis: str | None = None,
) -> list[Pattern]:
    """Read every scan of a file that is a pattern; `metadata["scan"]` is its number for `read_pattern`."""
    reading, scans = _read(path, radiation, wavelength_A, axis)
    return reading.patterns(scans)


def pattern_from_arrays(
    x: ArrayLike,
    y: ArrayLike,
    *,
    radiation: str | None = None,
    wavelength_A: float | None = None,
    axis: str = "two_theta_deg",
    std: ArrayLike | None = None,
    source: str = "memory",
) -> Pattern:
    """Make a pattern of numbers in memory: abscissa `x` (n,) as `axis` names it, intensity `y` (n,), its `std` (n,).

    >>> p = pattern_from_arrays([1 + 0.05 * i for i in range(100)], range(100), axis="q_per_A", wavelength_A=0.5)
    >>> round(float(p.two_theta_deg[0]), 3)
    4.561
    """
    columns = {"x": _column(source, "x", x), "y": _column(source, "y", y)}
    if columns["x"].shape != columns["y"].shape:
        raise InputError(
            f"{source}: angles and intensities must be two lists of one length;"
            f" got {columns['x'].size} and {columns['y'].size}"
        )
    errors = None
    if std is not None:
        errors = _column(source, "std", std)
        if errors.shape != columns["y"].shape or not (np.isfinite(errors).all() and (errors > 0).all()):
            raise InputError(f"{source}: std must be {columns['y'].size} finite numbers above zero; leave it out else")
    content = b"".join(np.ascontiguousarray(column, "<f8").tobytes() for column in columns.values())
    reading = Reading(
        where=source,
        sha256=hashlib.sha256(content).hexdigest(),
        user=said_by_user(radiation, wavelength_A),
        axis=checked_axis(axis),
    )
    return reading.pattern(Scan(x=columns["x"], y=columns["y"], std=errors, metadata={"format": "arrays"}))


def write_pattern(path: str | os.PathLike[str], pattern: Pattern) -> Path:
    """Write a pattern as .xy text with '#' header lines that `read_pattern` understands."""
    path = Path(path)
    if path.suffix.lower() != ".xy":
        raise InputError(f"{path}: patterns are written as .xy; give a name that ends in .xy")
    head = ["# powder pattern written by hea-toolkit"]
    if pattern.radiation:
        head.append(f"# radiation: {pattern.radiation}")
    if pattern.wavelength_A is not None:
        head.append(f"# wavelength_A: {float(pattern.wavelength_A)!r}")
    if pattern.source:
        head.append(f"# source: {one_line(pattern.source)}")
    if pattern.metadata.get("synthetic"):
        head.append(SYNTHETIC_MARK)
    columns = [pattern.two_theta_deg.tolist(), pattern.intensity.tolist()]
    names = "# two_theta_deg intensity"
    if pattern.intensity_std is not None:
        columns.append(pattern.intensity_std.tolist())
        names += " intensity_std"
    rows = [" ".join(repr(value) for value in row) for row in zip(*columns)]
    return write_atomic(path, "\n".join([*head, names, *rows]) + "\n")


def _read(
    path: str | os.PathLike[str], radiation: str | None, wavelength_A: float | None, axis: str | None
) -> tuple[Reading, list[Scan]]:
    """Read the scans of a file, and what they share."""
    user = said_by_user(radiation, wavelength_A)
    axis = checked_axis(axis)
    path = checked_path(path, "pattern", (*PATTERN_SUFFIXES, ".cif"))
    suffix = path.suffix.lower()
    raw = read_bytes(path, _MAX_ARCHIVE_BYTES if suffix in _ARCHIVES else MAX_TEXT_BYTES)
    if suffix in _TEXT_SUFFIXES:
        scans = [_read_text(path, raw, axis)]
    else:
        scans = (_READERS.get(suffix) or _read_raw)(path, raw)
    return Reading(where=str(path), sha256=sha256_of_bytes(raw), user=user, axis=axis), scans


def _read_raw(path: Path, raw: bytes) -> list[Scan]:
    """Tell the .raw of Bruker from that of GSAS by its content."""
    if is_bruker_raw(raw):
        return read_bruker_raw(path, raw)
    if b"BANK" in raw[:20_000] and is_gsas(decode_text(path, raw)):
        return read_gsas(path, raw)
    raise InputError(
        f"{path}: starts with {one_line(raw[:8].decode('latin-1'))!r}, wanted a .raw of Bruker (RAW ...) or GSAS"
        " (BANK ...); export it as .xy"
    )


def _read_text(path: Path, raw: bytes, axis: str | None) -> Scan:
    """Read a table of columns and what its header lines say."""
    table = read_columns(path, decode_text(path, raw), axis=axis, third_is_std=path.suffix.lower() == ".xye")
    metadata: dict[str, Any] = {
        "format": path.suffix.lower().lstrip("."),
        "header": one_line(table.header, 400),
    }
    if SYNTHETIC_MARK in raw[:4096].decode("utf-8", "replace"):
        metadata["synthetic"] = True
    used = "angle and intensity" if table.std is None else "angle, intensity and its standard deviation"
    if table.n_columns > (2 if table.std is None else 3):
        metadata["columns_note"] = f"{table.n_columns} columns in the file; only {used} are used"
    scan = Scan(x=table.angles, y=table.intensities, std=table.std, axis=table.axis, source=said_in_text(table.header))
    return replace(scan, metadata=metadata)


def _column(source: str, name: str, values: ArrayLike) -> np.ndarray:
    """Take numbers in any list-like form."""
    try:
        column = np.asarray(values)
        if np.iscomplexobj(column):
            raise TypeError("complex numbers")
        if column.dtype.kind not in "iufb":
            column = np.array([float(value) for value in column])
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: {name} holds no plain numbers ({one_line(error, 60)}); give a list") from error
    if column.ndim != 1:
        raise InputError(f"{source}: {name} has shape {column.shape}, wanted one list of numbers")
    return column.astype(float)
