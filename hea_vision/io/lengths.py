"""Pixel sizes: units of length, resolution tags, what the user says."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hea_sim.errors import InputError

#: Nanometres in a unit, under the names that file formats use.
NM_PER_UNIT: Mapping[str, float] = {
    "m": 1e9,
    "meter": 1e9,
    "cm": 1e7,
    "mm": 1e6,
    "inch": 2.54e7,
    "um": 1e3,
    "\u00b5m": 1e3,  # the micro sign
    "\u03bcm": 1e3,  # the Greek letter
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "\\u00b5m": 1e3,
    "nm": 1.0,
    "nanometer": 1.0,
    "\u00c5": 0.1,  # the letter
    "\u212b": 0.1,  # the sign
    "A": 0.1,
    "angstrom": 0.1,
    "Angstrom": 0.1,
    "pm": 1e-3,
    "fm": 1e-6,
}

#: A resolution in dots per inch or cm that gives a coarser pixel than this speaks of a screen or printer.
COARSEST_BELIEVED_NM = 10_000.0
#: Pixels whose sides differ by more than this are not square.
_SQUARE_WITHIN = 0.01


def nm_per(unit: object) -> float | None:
    """Give the nanometres in a unit of length, None where the text is no unit of length.

    >>> nm_per("µm"), nm_per("1/nm")
    (1000.0, None)
    """
    text = str(unit).strip()
    if text.startswith("[") and text.endswith("]"):  # Berkeley EMD writes [n_m]
        text = text[1:-1].replace("_", "")
    return NM_PER_UNIT.get(text, NM_PER_UNIT.get(text.lower()) if len(text) > 1 else None)


def parse_length(text: str) -> float:
    """Read a length with its unit, as a user writes it, in nm.

    >>> parse_length("20 um"), parse_length("500nm")
    (20000.0, 500.0)
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([^\s0-9.]+)\s*", str(text))
    factor = nm_per(match[2]) if match else None
    size = float(match[1]) * factor if match and factor else None
    if size is None or not usable(size):
        raise InputError(f"length {text!r}; wanted a number with its unit, such as '20 um' or '500 nm'")
    return size


def usable(size: float | None) -> bool:
    """Tell whether a number can be a pixel size in nm."""
    return size is not None and math.isfinite(size) and 0 < size < 1e9


def from_density(x: float, y: float, unit_nm: float) -> tuple[tuple[float, float] | None, str]:
    """Turn pixels per unit along x and y into pixel sizes in nm, or into a note why that cannot be believed.

    >>> from_density(96.0, 96.0, 2.54e7)
    (None, 'a resolution tag of 96 per 25.4 mm is a screen or printer setting; it is not used as pixel size')
    """
    if not (x > 0 and y > 0 and math.isfinite(x) and math.isfinite(y)):
        return None, ""
    sizes = (unit_nm / x, unit_nm / y)
    if max(sizes) > COARSEST_BELIEVED_NM:
        note = f"a resolution tag of {x:g} per {unit_nm / 1e6:g} mm is a screen or printer setting"
        return None, f"{note}; it is not used as pixel size"
    return sizes, ""


def settle_pixel_size(
    path: Path, sizes: Sequence[float | None] | None, user: float | None
) -> tuple[float | None, dict[str, str]]:
    """Choose the pixel size in nm: the user's word, else the file's (y, x); note where the two differ."""
    if user is not None:
        file = next((s for s in sizes or () if s is not None and usable(s)), None)
        if file is None or math.isclose(file, user, rel_tol=1e-6):
            return user, {"pixel_size_from": "user"}
        note = f"the file says {file:.6g} nm, the user says {user:.6g} nm; the user's word is used"
        return user, {"pixel_size_from": "user", "pixel_size_note": note}
    known = [s for s in sizes or () if s is not None and usable(s)]
    if len(known) < 2:
        return None, {}
    if abs(known[0] - known[1]) > _SQUARE_WITHIN * max(known):
        raise InputError(
            f"{path}: pixels are {known[1]:.6g} nm wide and {known[0]:.6g} nm high, wanted square ones;"
            " resample the image, or give pixel_size_nm where the file is wrong"
        )
    return known[1], {"pixel_size_from": "file"}
