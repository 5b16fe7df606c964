"""Powder patterns: read .xy .xye .csv .txt .dat .xrdml, write .xy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.errors import InputError
from hea_sim.records import Pattern
from hea_vision.io._files import checked_path, decode_text, one_line, read_bytes, sha256_of_bytes
from hea_vision.io.columns import read_columns
from hea_vision.io.radiation import RADIATIONS, Source, said_by_user, said_in_text, settle
from hea_vision.io.xrdml import read_xrdml

__all__ = ["PATTERN_SUFFIXES", "RADIATIONS", "read_pattern", "write_pattern"]

#: Suffixes that `read_pattern` takes.
PATTERN_SUFFIXES = (".xy", ".xye", ".csv", ".txt", ".dat", ".xrdml")

_MIN_POINTS = 50


#: Header line of patterns that this project's forward model made; what shares a model is no evidence for it.
SYNTHETIC_MARK = "# synthetic: made by the forward model of hea-toolkit"


def read_pattern(
    path: str | os.PathLike[str], *, radiation: str | None = None, wavelength_A: float | None = None
) -> Pattern:
    """Read one powder pattern, with the radiation that the file or the user names.

    The user's `radiation` ("CuKa", "CoKa", ...) or `wavelength_A` (one single wavelength) wins over the
    file's statement; `metadata["radiation_note"]` then says so. Where nobody names one, both stay None.

    Raises InputError where the file is no pattern, MissingFileError where it does not exist.
    """
    user = said_by_user(radiation, wavelength_A)
    path = checked_path(path, "pattern", PATTERN_SUFFIXES)
    raw = read_bytes(path)
    if path.suffix.lower() == ".xrdml":
        angles, intensities, file, metadata = read_xrdml(path, raw)
    else:
        angles, intensities, file, metadata = _read_text(path, raw)
    angles, intensities, notes = _in_order(path, angles, intensities)
    source = settle(file, user)
    return Pattern(
        two_theta_deg=angles,
        intensity=intensities,
        radiation=source.radiation,
        wavelength_A=source.wavelength_A,
        source=str(path),
        sha256=sha256_of_bytes(raw),
        metadata={**metadata, **notes, **source.notes},
    )


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
    head.append("# two_theta_deg intensity")
    rows = [f"{x!r} {y!r}" for x, y in zip(pattern.two_theta_deg.tolist(), pattern.intensity.tolist())]
    return write_atomic(path, "\n".join([*head, *rows]) + "\n")


def _read_text(path: Path, raw: bytes) -> tuple[np.ndarray, np.ndarray, Source, Mapping[str, Any]]:
    """Read a table of columns and what its header lines say."""
    table = read_columns(path, decode_text(path, raw))
    metadata: dict[str, Any] = {
        "format": path.suffix.lower().lstrip("."),
        "header": one_line(table.header, 400),
    }
    if SYNTHETIC_MARK in raw[:4096].decode("utf-8", "replace"):
        metadata["synthetic"] = True
    if table.n_columns > 2:
        metadata["columns_note"] = f"{table.n_columns} columns in the file; only angle and intensity are used"
    return table.angles, table.intensities, said_in_text(table.header), metadata


def _in_order(path: Path, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """Check the points and turn a descending scan round."""
    if x.size < _MIN_POINTS:
        raise InputError(
            f"{path}: got {x.size} points, wanted a pattern of at least {_MIN_POINTS}; export the whole scan"
        )
    for what, values in (("angle", x), ("intensity", y)):
        bad = ~np.isfinite(values)
        if bad.any():
            raise InputError(
                f"{path}: {what} of point {int(np.argmax(bad)) + 1} is not a finite number;"
                " remove that row or export the scan again"
            )
    steps = np.diff(x)
    notes: dict[str, str] = {}
    if (steps < 0).all():
        x, y, steps = x[::-1].copy(), y[::-1].copy(), -steps[::-1]
        notes["order_note"] = "the file runs from high to low angles; it was turned round"
    if not (steps > 0).all():
        raise InputError(_why_unordered(path, x, y, steps))
    if not y.max() > 0:
        raise InputError(
            f"{path}: no intensity is above zero (largest {y.max():g}), wanted counts;"
            " export the pattern without background subtraction or log scale"
        )
    return x, y, notes


def _why_unordered(path: Path, x: np.ndarray, y: np.ndarray, steps: np.ndarray) -> str:
    """Say in which way the angles are out of order."""
    other = np.diff(y)
    if (other > 0).all() or (other < 0).all():
        return f"{path}: the columns are swapped; wanted 2-theta in degrees first, then intensity: swap them"
    forward = (steps > 0).sum() >= (steps < 0).sum()
    wrong = int(np.argmax(steps <= 0 if forward else steps >= 0)) + 1
    if (steps >= 0).all() or (steps <= 0).all():
        return f"{path}: angle {x[wrong]:g} is repeated at point {wrong + 1}; average or remove the repeats"
    return (
        f"{path}: angles jump from {x[wrong - 1]:g} to {x[wrong]:g} at point {wrong + 1}, wanted one scan"
        " in order of 2-theta; sort the rows, or split the file where it holds several scans"
    )
