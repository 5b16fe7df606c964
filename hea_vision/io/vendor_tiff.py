"""Pixel sizes in the private tags of TIFF files: FEI and Thermo Fisher, Zeiss, Tescan, JEOL.

FEI and Zeiss were checked on real files; JEOL's and Tescan's tags were not, and the metadata of such images say so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from hea_sim.errors import InputError
from hea_vision.io._xml import number, parse_xml
from hea_vision.io.lengths import nm_per, usable
from hea_vision.io.microscope_headers import Header, believed, parse_header
from hea_vision.io.raw_images import Sizes

_FEI, _ZEISS, _TESCAN, _SIS = (34680, 34682), 34118, 50431, 33560
_MAX_TAG_BYTES = 1 << 20
#: Zeiss's `Pixel Size` is that of a frame of so many columns, whatever was stored.
_ZEISS_COLUMNS = 1024


def vendor_sizes(path: Path, tiff: Any, page: Any, shape: tuple[int, int], metadata: dict[str, Any]) -> Sizes | None:
    """Give the pixel sizes (y, x) in nm that a microscope wrote into the TIFF, None where none did."""
    if any(tag in page.tags for tag in _FEI) and isinstance(tiff.fei_metadata, dict):
        return _fei(tiff.fei_metadata, shape, metadata)
    if _ZEISS in page.tags and isinstance(tiff.sem_metadata, dict):
        return _zeiss(tiff.sem_metadata, shape[1], metadata)
    for header, where in _headers(page):
        return believed(header, shape, where, metadata)
    if _SIS in page.tags:
        return _sis(page.tags[_SIS].value, metadata)
    if _text_tag(page, 271).strip("\0 ").startswith("JEOL"):
        return _jeol_tem(path, page, metadata)
    return None


def _fei(tags: dict[str, Any], shape: tuple[int, int], metadata: dict[str, Any]) -> Sizes | None:
    """Read PixelWidth and PixelHeight (metres) and the image's own height, without the data bar."""
    metadata["instrument"] = "FEI"
    image: Any = tags.get("Image")
    rows, columns = (image.get(k) if isinstance(image, dict) else None for k in ("ResolutionY", "ResolutionX"))
    if isinstance(columns, int) and columns > 0 and columns != shape[1]:
        _note_other_columns("FEI tag", columns, shape[1], metadata)
        return None
    if isinstance(rows, int) and 8 <= rows < shape[0]:
        metadata["data_bar_top"] = rows
    for section in ("Scan", "EScan", "IScan"):
        entry = tags.get(section, {})
        try:
            width, height = float(entry["PixelWidth"]) * 1e9, float(entry["PixelHeight"]) * 1e9
        except (KeyError, TypeError, ValueError):
            continue
        if usable(width) and usable(height):
            return height, width
    return None


def _zeiss(tags: dict[str, Any], columns: int, metadata: dict[str, Any]) -> Sizes | None:
    """Read `Image Pixel Size`, which is that of the stored image; else `Pixel Size`, which is that of 1024 columns.

    The two differ where an image was stored with another number of columns than 1024 (hyperspy pull request 2056).
    """
    metadata["instrument"] = "Zeiss"
    store = re.match(r"\s*(\d{2,6})\s*\*", str((tags.get("dp_image_store") or ("", ""))[1]))
    stored = int(store[1]) if store else None
    if stored is not None and stored != columns:
        _note_other_columns("Zeiss tag", stored, columns, metadata)
        return None
    size = _zeiss_length(tags.get("ap_image_pixel_size"))
    if size is None:
        size = _zeiss_length(tags.get("ap_pixel_size"))
        # Zeiss stores multiples of 512 columns; another number is a crop, whose frame nobody knows.
        frame = stored or (columns if columns % 512 == 0 else _ZEISS_COLUMNS)
        if size is not None and frame != _ZEISS_COLUMNS:
            size *= _ZEISS_COLUMNS / frame
            metadata["pixel_size_note"] = (
                f"the Zeiss tag gives the pixel size of {_ZEISS_COLUMNS} columns; scaled to the {frame} stored"
            )
    return None if size is None or not usable(size) else (size, size)


def _zeiss_length(entry: Any) -> float | None:
    """Read (name, value, unit) as tifffile gives it; zero says that nobody set it."""
    if not (isinstance(entry, tuple) and len(entry) == 3 and (unit := nm_per(entry[2]))):
        return None
    try:
        size = float(entry[1]) * unit
    except (TypeError, ValueError):
        return None
    return size if size > 0 else None


def _note_other_columns(where: str, said: int, got: int, metadata: dict[str, Any]) -> None:
    metadata["pixel_size_note"] = (
        f"the {where} speaks of {said} columns, the image has {got}: it was cropped or resampled after it was"
        " taken, and the pixel size of the tag is not used; give pixel_size_nm"
    )


def _headers(page: Any) -> list[tuple[Header, str]]:
    """Find the text of Tescan's tag, and of Hitachi or JEOL in the description."""
    found = [
        (parse_header(_text_tag(page, _TESCAN)), "tag 50431"),
        (parse_header(_text_tag(page, 270)), "the image description"),
    ]
    return [(header, where) for header, where in found if header is not None]


def _text_tag(page: Any, code: int) -> str:
    """Give the text in a tag; Tescan's stands between binary blocks."""
    tag = page.tags.get(code)
    value = None if tag is None or tag.count > _MAX_TAG_BYTES else tag.value
    if isinstance(value, tuple) and value and all(isinstance(v, int) and 0 <= v < 256 for v in value):
        value = bytes(value)
    if isinstance(value, bytes):
        return re.sub(r"[^\t\r\n -~\xa0-\xff]+", "\n", value.decode("latin-1"))
    return value if isinstance(value, str) else ""


def _sis(tags: Any, metadata: dict[str, Any]) -> Sizes | None:
    """Read the tag of Olympus SIS, which JEOL's transmission microscopes write: metres."""
    metadata["instrument"] = "Olympus SIS"
    try:
        x, y = float(tags["pixelsizex"]) * 1e9, float(tags["pixelsizey"]) * 1e9
    except (KeyError, TypeError, ValueError):
        return None
    if not (usable(x) and usable(y)):
        return None
    metadata["pixel_size_note"] = (
        "the Olympus SIS tag was never tried on a real file: check the pixel size against the scale bar"
    )
    return y, x


def _jeol_tem(path: Path, page: Any, metadata: dict[str, Any]) -> Sizes | None:
    """Read JEOL's TemReporter: the resolution tags are of the camera, to be divided by the magnification."""
    metadata["instrument"] = "JEOL"
    text = re.sub(r"[^\t\r\n -~]", "", _text_tag(page, 270))
    try:
        root = parse_xml(path, text.encode("ascii"))
    except InputError:
        return None
    mode, magnification = _find(root, "ModeString"), number(_find(root, "SelectorValue"))
    density = [page.tags.get(code) for code in (282, 283, 296)]
    if mode != "MAG" or not magnification or any(tag is None for tag in density):
        metadata["pixel_size_note"] = f"the JEOL header is of mode {mode or 'unknown'}; it gives no pixel size"
        return None
    try:
        x, y = (above / below for above, below in (tag.value for tag in density[:2]))
        unit = {2: 2.54e7, 3: 1e7}[int(density[2].value)]
        sizes = unit / y / magnification, unit / x / magnification
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    header = Header(maker="JEOL", sizes_nm=sizes if usable(sizes[0]) and usable(sizes[1]) else None)
    return believed(header, page.shape[:2], "the image description", metadata)


def _find(root: Element, tag: str) -> str | None:
    found = next(root.iter(tag), None)
    return None if found is None else (found.text or "").strip()
