"""TIFF: one page, with the pixel size that FEI, Zeiss, ImageJ or a believable resolution tag gives."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io.lengths import from_density, nm_per
from hea_vision.io.micrographs import Raw, check_size

_MAX_PAGES = 32
_INCH_NM, _CM_NM = 2.54e7, 1e7
_RESOLUTION_UNIT_NM = {2: _INCH_NM, 3: _CM_NM}

Sizes = tuple[float | None, float | None]


def read_tiff(path: Path, *, as_numbers: bool = False) -> Raw:
    """Read the one image of a TIFF file; `as_numbers` leaves palettes and inverted grey as stored."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        # Damaged files can chain their pages in a circle, so that only so many are followed.
        pages = [page for page in itertools.islice(tiff.pages, _MAX_PAGES) if not _reduced(page)]
        page: Any = tiff.pages[0]
        planes = int((tiff.imagej_metadata or {}).get("images", 1)) if tiff.is_imagej else 1
        if len(pages) > 1 or planes > 1:
            raise InputError(f"{path}: holds {max(len(pages), planes)} pages, wanted one image; save one page alone")
        check_size(path, page.shape, int(np.dtype(page.dtype or "u1").itemsize))
        _check_complete(path, page)
        metadata: dict[str, Any] = {"format": "tiff"}
        sizes = _pixel_sizes(tiff, page, metadata)
        pixels = _decoded(path, page)
        if not as_numbers:
            pixels = _plain(pixels, page)
    return Raw(pixels=pixels, sizes_nm=sizes, metadata=metadata)


def _reduced(page: Any) -> bool:
    """Tell whether a page is a thumbnail or a level of a pyramid."""
    return bool(getattr(page, "is_reduced", False))


def _check_complete(path: Path, page: Any) -> None:
    """Refuse a file that ends before its own pixels do."""
    size = path.stat().st_size
    ends = [int(o) + int(n) for o, n in zip(page.dataoffsets, page.databytecounts)]
    if not ends or max(ends) > size:
        raise InputError(f"{path}: truncated, {size} bytes of at least {max(ends, default=0)}; copy or export it again")


def _decoded(path: Path, page: Any) -> np.ndarray:
    """Give the pixels; compressions that tifffile cannot undo alone go to Pillow."""
    try:
        return np.asarray(page.asarray())
    except (ValueError, ImportError) as error:
        if "imagecodecs" not in str(error):
            raise
    from PIL import Image

    try:
        with Image.open(path, formats=("TIFF",)) as image:
            pixels = np.asarray(image)
    except (OSError, ValueError) as error:
        name = getattr(page.compression, "name", page.compression)
        raise InputError(f"{path}: TIFF compression {name} is not read here; save it uncompressed") from error
    if pixels.shape != page.shape:
        raise InputError(f"{path}: the pixels are {pixels.shape}, the header says {page.shape}; save it uncompressed")
    return pixels


def _plain(pixels: np.ndarray, page: Any) -> np.ndarray:
    """Undo what the photometric tag says: inverted grey, palettes, separate colour planes."""
    name = getattr(page.photometric, "name", "")
    if str(page.axes).startswith("S"):  # planar colour
        pixels = np.moveaxis(pixels, 0, -1)
    if name == "PALETTE" and page.colormap is not None and pixels.dtype.kind == "u":
        return np.moveaxis(np.asarray(page.colormap)[:, pixels], 0, -1)
    # tifffile marks every boolean array as inverted but stores it as it is.
    if name == "MINISWHITE" and pixels.dtype.kind in "bu" and not (page.is_shaped and pixels.dtype.kind == "b"):
        return ~pixels if pixels.dtype.kind == "b" else np.iinfo(pixels.dtype).max - pixels
    return pixels


def _pixel_sizes(tiff: Any, page: Any, metadata: dict[str, Any]) -> Sizes | None:
    """Look for the pixel size where it is most to be trusted: microscope, ImageJ, resolution tags."""
    if 34682 in page.tags and isinstance(tiff.fei_metadata, dict):
        return _fei(tiff.fei_metadata, page.shape[0], metadata)
    if 34118 in page.tags and isinstance(tiff.sem_metadata, dict):
        entry = tiff.sem_metadata.get("ap_image_pixel_size") or tiff.sem_metadata.get("ap_pixel_size")
        if isinstance(entry, tuple) and len(entry) == 3 and (unit := nm_per(entry[2])):
            metadata["instrument"] = "Zeiss"
            return float(entry[1]) * unit, float(entry[1]) * unit
    x, y = (_ratio(page, tag) for tag in ("XResolution", "YResolution"))
    if x is None or y is None:
        return None
    if tiff.is_imagej:
        unit = nm_per((tiff.imagej_metadata or {}).get("unit", ""))
        return (unit / y, unit / x) if unit and x > 0 and y > 0 else None
    tag = page.tags.get("ResolutionUnit")
    unit = _RESOLUTION_UNIT_NM.get(int(tag.value)) if tag is not None else None
    if unit is None:
        return None
    sizes, note = from_density(x, y, unit)
    if note:
        metadata["resolution_note"] = note
    return (sizes[1], sizes[0]) if sizes else None


def _fei(tags: dict[str, Any], rows: int, metadata: dict[str, Any]) -> Sizes | None:
    """Read PixelWidth and PixelHeight (metres) and the image's own height, without the data bar."""
    metadata["instrument"] = "FEI"
    image_rows = tags.get("Image", {}).get("ResolutionY")
    if isinstance(image_rows, int) and 8 <= image_rows < rows:
        metadata["data_bar_top"] = image_rows
    for section in ("Scan", "EScan", "IScan"):
        entry = tags.get(section, {})
        try:
            width, height = float(entry["PixelWidth"]) * 1e9, float(entry["PixelHeight"]) * 1e9
        except (KeyError, TypeError, ValueError):
            continue
        if width > 0 and height > 0:
            return height, width
    return None


def _ratio(page: Any, name: str) -> float | None:
    """Give a rational tag as a number."""
    tag = page.tags.get(name)
    try:
        above, below = tag.value
        return float(above) / float(below)
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        return None
