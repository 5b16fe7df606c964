"""TIFF: pages, with the pixel size that a microscope, ImageJ or a believable resolution tag gives."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io.lengths import from_density, nm_per
from hea_vision.io.raw_images import Raw, Request, Sizes, check_size, chosen_pages, strips
from hea_vision.io.vendor_tiff import vendor_sizes

#: More pages than this are left alone.
_MAX_PAGES = 10_000
_INCH_NM, _CM_NM = 2.54e7, 1e7
_RESOLUTION_UNIT_NM = {2: _INCH_NM, 3: _CM_NM}


def read_tiff(path: Path, *, as_numbers: bool = False) -> Raw:
    """Read the one image of a TIFF file; `as_numbers` leaves palettes and inverted grey as stored."""
    return next(tiff_pages(path, Request(), as_numbers=as_numbers))


def tiff_pages(path: Path, request: Request, *, as_numbers: bool = False) -> Iterator[Raw]:
    """Give the wanted pages of a TIFF file; thumbnails and the levels of pyramids are no pages."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        pages = _full_pages(path, tiff)
        planes = _planes_of_one_page(tiff, pages)
        count = planes if len(pages) == 1 else len(pages)
        for n in chosen_pages(path, count, request):
            page: Any = tiff.pages[0] if planes > 1 else pages[n].aspage()
            yield _read_page(path, tiff, page, n, count, planes, request, as_numbers)


def _full_pages(path: Path, tiff: Any) -> list[Any]:
    """List the pages that are no thumbnail and no level of a pyramid."""
    seen: set[int] = set()
    pages = []
    for page in itertools.islice(tiff.pages, _MAX_PAGES):
        if page.offset in seen:
            raise InputError(f"{path}: its pages are chained in a circle; the file is damaged: copy or export it again")
        seen.add(page.offset)
        if not getattr(page, "is_reduced", False):
            pages.append(page)
    if not pages:
        raise InputError(f"{path}: holds no full image; export it again")
    return pages


def _planes_of_one_page(tiff: Any, pages: list[Any]) -> int:
    """Count the planes that stand behind one page's header, as ImageJ writes long stacks and tifffile volumes."""
    page = pages[0]
    if len(pages) > 1:
        return 1
    if tiff.is_imagej:
        return max(int((tiff.imagej_metadata or {}).get("images", 1)), 1)
    if page.is_shaped and page.is_contiguous and page.size:
        return max(int(tiff.series[0].size) // int(page.size), 1)
    return 1


def _read_page(
    path: Path, tiff: Any, page: Any, n: int, count: int, planes: int, request: Request, as_numbers: bool
) -> Raw:
    kind = np.dtype(page.dtype or "u1")
    check_size(path, page.shape, int(kind.itemsize))
    skipped = n * int(page.nbytes) if planes > 1 else 0
    if planes > 1 and not page.is_contiguous:
        raise InputError(f"{path}: holds {planes} planes behind one compressed page; save them as single pages")
    _check_complete(path, page, skipped)
    metadata: dict[str, Any] = {"format": "tiff"}
    planar = str(page.axes).startswith("S")  # separate planes of colour
    shape = page.shape[1:] if planar else page.shape[:2]
    sizes = _pixel_sizes(path, tiff, page, shape, metadata)
    if planes > 1 or (request.mapped and page.is_memmappable):
        pixels: np.ndarray = np.memmap(
            path,
            dtype=kind.newbyteorder(tiff.byteorder),
            mode="r",
            offset=int(page.dataoffsets[0]) + skipped,
            shape=page.shape,
        )
        if not request.mapped:
            pixels = np.array(pixels, kind)
    else:
        pixels = _decoded(path, page)
    if planar:
        pixels = np.moveaxis(pixels, 0, -1)
    if not as_numbers:
        pixels = _plain(pixels, page)
    return Raw(pixels=pixels, sizes_nm=sizes, metadata=metadata, page=n + 1, pages=count)


def _check_complete(path: Path, page: Any, skipped: int) -> None:
    """Refuse a file that ends before its own pixels do."""
    size = path.stat().st_size
    ends = [int(o) + int(n) + skipped for o, n in zip(page.dataoffsets, page.databytecounts)]
    # One plain block shorter than its pixels would be read past its end.
    if ends and page.is_contiguous and page.compression == 1:
        ends.append(int(page.dataoffsets[0]) + skipped + int(page.nbytes))
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
            image.seek(page.index)
            pixels = np.asarray(image)
    except (OSError, ValueError, EOFError) as error:
        name = getattr(page.compression, "name", page.compression)
        raise InputError(f"{path}: TIFF compression {name} is not read here; save it uncompressed") from error
    if pixels.shape != page.shape:
        raise InputError(f"{path}: the pixels are {pixels.shape}, the header says {page.shape}; save it uncompressed")
    return pixels


def _plain(pixels: np.ndarray, page: Any) -> np.ndarray:
    """Undo what the photometric tag says: inverted grey, palettes."""
    name = getattr(page.photometric, "name", "")
    if name == "PALETTE" and page.colormap is not None and pixels.dtype.kind == "u":
        return np.moveaxis(np.asarray(page.colormap)[:, pixels], 0, -1)
    # tifffile marks every boolean array as inverted but stores it as it is.
    if name == "MINISWHITE" and pixels.dtype.kind in "bu" and not (page.is_shaped and pixels.dtype.kind == "b"):
        if not pixels.flags.writeable:
            pixels = np.array(pixels)
        for rows in strips(pixels):
            np.invert(pixels[rows], out=pixels[rows])  # of unsigned numbers: the largest minus the value
    return pixels


def _pixel_sizes(path: Path, tiff: Any, page: Any, shape: tuple[int, ...], metadata: dict[str, Any]) -> Sizes | None:
    """Look for the pixel size where it is most to be trusted: microscope, ImageJ, resolution tags."""
    found = vendor_sizes(path, tiff, page, (shape[0], shape[1]), metadata)
    if found is not None or "pixel_size_note" in metadata:
        return found
    x, y = (_ratio(page, tag) for tag in ("XResolution", "YResolution"))
    if x is None or y is None:
        return None
    if tiff.is_imagej:
        unit = nm_per((tiff.imagej_metadata or {}).get("unit", ""))
        if not (unit and x > 0 and y > 0):
            return None
        metadata["pixel_size_tag"] = "ImageJ"
        return unit / y, unit / x
    tag = page.tags.get("ResolutionUnit")
    unit = _RESOLUTION_UNIT_NM.get(int(tag.value)) if tag is not None else None
    if unit is None:
        return None
    sizes, note = from_density(x, y, unit)
    if note:
        metadata["resolution_note"] = note
    metadata["pixel_size_tag"] = "resolution"
    return (sizes[1], sizes[0]) if sizes else None


def _ratio(page: Any, name: str) -> float | None:
    """Give a rational tag as a number."""
    tag = page.tags.get(name)
    try:
        above, below = tag.value
        return float(above) / float(below)
    except (AttributeError, TypeError, ValueError, ZeroDivisionError):
        return None
