"""What microscopes write about an image as text: JEOL, Hitachi and Tescan, in the image or in a file beside it.

| maker | where | pixel size |
|---|---|---|
| JEOL (SEM) | `name.txt` | `$$SM_MICRON_MARKER` (length) over `$$SM_MICRON_BAR` (pixels) |
| JEOL (TEM) | `name.txt` | `$$EM_PIXELSPERMETER_X`, `_Y` |
| Hitachi | `name.txt`, section `[SemImageFile]` | `PixelSize` in nm |
| Tescan | TIFF tag 50431, `name.hdr` or `name-tif.hdr` | `PixelSizeX`, `PixelSizeY` in m |

No real file of these three was at hand: the layouts are those that public readers of them describe, and every
image whose pixel size comes from one says so in its metadata.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hea_vision.io.lengths import nm_per, usable
from hea_vision.io.raw_images import Sizes

_MAX_BYTES = 256 * 1024
_LENGTH = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(\S*)\s*$")
_PIXELS = re.compile(r"([0-9]{1,6})\s*[x*\s]\s*([0-9]{1,6})")


@dataclass(frozen=True, kw_only=True)
class Header:
    """Hold what a maker's text says: pixel sizes (y, x) in nm, and the rows and columns that it speaks of."""

    maker: str
    sizes_nm: Sizes | None
    shape: tuple[int, int] | None = None


def parse_header(text: str) -> Header | None:
    """Read a maker's text, None where it is of none of them.

    >>> parse_header("$CM_FULL_SIZE 1280 960\\n$$SM_MICRON_BAR 160\\n$$SM_MICRON_MARKER 5um\\n").sizes_nm
    (31.25, 31.25)
    """
    if "$CM_" in text or "$$SM_" in text or "$$EM_" in text:
        return _jeol(text)
    if "[SemImageFile]" in text:
        return _hitachi(text)
    if re.search(r"^PixelSizeX\s*=", text, re.MULTILINE):
        return _tescan(text)
    return None


def header_beside(path: Path) -> tuple[Header, Path] | None:
    """Look for the text file that a microscope leaves beside an image."""
    kind = path.suffix.lstrip(".")
    names = [path.stem + suffix for suffix in (".txt", ".TXT", ".hdr", ".HDR")]
    names += [f"{path.stem}-{kind}.hdr", f"{path.stem}-{kind}.HDR"]
    for name in names:
        beside = path.with_name(name)
        try:
            if not beside.is_file():
                continue
            with open(beside, "rb") as stream:
                raw = stream.read(_MAX_BYTES)
        except OSError:
            continue
        if (header := parse_header(_text(raw))) is not None:
            return header, beside
    return None


def believed(header: Header, shape: tuple[int, ...], where: str, metadata: dict[str, Any]) -> Sizes | None:
    """Give the pixel sizes of a header where it speaks of an image with as many columns; note what is not sure.

    A header whose rows are fewer than the image's tells where the data bar begins.
    """
    metadata["instrument"] = header.maker
    if header.sizes_nm is None:
        return None
    rows, columns = header.shape or shape[:2]
    if columns != shape[1]:
        metadata["pixel_size_note"] = (
            f"{where} speaks of {columns} columns, the image has {shape[1]}: it was cropped or resampled, and the"
            " pixel size of the header is not used; give pixel_size_nm"
        )
        return None
    if 8 <= rows < shape[0] and shape[0] - rows <= 0.3 * shape[0]:
        metadata["data_bar_top"] = rows
    metadata["pixel_size_note"] = (
        f"the {header.maker} header was never tried on a real file: check the pixel size against the scale bar"
    )
    return header.sizes_nm


def _jeol(text: str) -> Header:
    words = dict(line[1:].lstrip("$").split(None, 1) for line in _lines(text) if line[0] == "$" and " " in line)
    length = _length_nm(words.get("SM_MICRON_MARKER", ""))
    bar = _number(words.get("SM_MICRON_BAR"))
    sizes: Sizes | None = None
    if length is not None and bar:
        sizes = _checked(length / bar, length / bar)
    else:
        x, y = (_number(words.get(f"EM_PIXELSPERMETER_{axis}")) for axis in "XY")
        if x and y:
            sizes = _checked(1e9 / y, 1e9 / x)
    return Header(maker="JEOL", sizes_nm=sizes, shape=_shape(words.get("CM_FULL_SIZE")))


def _hitachi(text: str) -> Header:
    words = _pairs(text)
    said = words.get("PixelSize", "")
    size = _length_nm(said)
    if size is None and (number := _number(said)) is not None:
        size = number  # without a unit: nm
    sizes = None if size is None else _checked(size, size)
    return Header(maker="Hitachi", sizes_nm=sizes, shape=_shape(words.get("DataSize")))


def _tescan(text: str) -> Header:
    words = _pairs(text)
    x = _number(words.get("PixelSizeX"))
    y = _number(words.get("PixelSizeY")) or x
    return Header(maker="Tescan", sizes_nm=_checked(y * 1e9, x * 1e9) if x and y else None)


def _lines(text: str) -> list[str]:
    return [line for raw in re.split(r"[\r\n\0]+", text) if (line := raw.strip())]


def _pairs(text: str) -> dict[str, str]:
    """Read `key=value` lines; the first of a name counts."""
    words: dict[str, str] = {}
    for line in _lines(text):
        key, sign, value = line.partition("=")
        if sign:
            words.setdefault(key.strip(), value.strip())
    return words


def _checked(y_nm: float, x_nm: float) -> Sizes | None:
    return (y_nm, x_nm) if usable(y_nm) and usable(x_nm) else None


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _length_nm(text: str) -> float | None:
    """Read a number with a unit; instruments write the micro sign in many encodings, all of them not ASCII."""
    match = _LENGTH.match(text)
    if match is None:
        return None
    unit = match[2]
    if unit.endswith("m") and len(unit) > 1 and not unit[:-1].isascii():
        unit = "um"
    factor = nm_per(unit)
    return None if factor is None else float(match[1]) * factor


def _shape(text: str | None) -> tuple[int, int] | None:
    """Read columns and rows as makers write them, `1280 960` or `1280x960`; give (rows, columns)."""
    match = _PIXELS.match(text or "")
    return (int(match[2]), int(match[1])) if match else None


def _text(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
