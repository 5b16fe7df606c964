"""Micrographs: read TIFF, PNG, JPEG and the formats of microscopes as grey images with their pixel size."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from hea_sim.documents import sha256_of
from hea_sim.errors import InputError
from hea_sim.records import Micrograph
from hea_vision.io._files import checked_path
from hea_vision.io.data_bar import DataBar, find_data_bar
from hea_vision.io.lengths import settle_pixel_size
from hea_vision.io.microscope_headers import believed, header_beside
from hea_vision.io.raw_images import (
    MAX_PIXELS,
    Raw,
    Reader,
    Request,
    Sizes,
    count_not_finite,
    float_kind,
    grey_plane,
    guarded,
    read_pages,
)
from hea_vision.io.read_options import ReadOptionNames, ReadOptions, joined_options
from hea_vision.io.scale_bars import scale_bar_in_band, scale_bar_in_picture

_TIFF_SUFFIXES = (".tif", ".tiff")
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_MRC_SUFFIXES = (".mrc", ".mrcs")
#: Suffix -> reader of rosettasciio.
_MICROSCOPE_SUFFIXES = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".emd": "emd",
    ".ser": "tia",
    ".emi": "tia",
    ".hspy": "hspy",
    ".rpl": "ripple",
    ".bcf": "bruker",
    ".prz": "pantarhei",
    ".sur": "digitalsurf",
}

#: Suffixes that `read_micrograph` takes.
IMAGE_SUFFIXES = (*_TIFF_SUFFIXES, *_PICTURE_SUFFIXES, *_MRC_SUFFIXES, *_MICROSCOPE_SUFFIXES)


def read_micrograph(
    path: str | os.PathLike[str],
    options: ReadOptions | None = None,
    *,
    page: int | None = None,
    **said: Unpack[ReadOptionNames],
) -> Micrograph:
    """Read one micrograph as a grey float image, with the pixel size that the file or the user gives.

    Colour becomes luminance, values keep the file's scale.

    Parameters
    ----------
    options
        What is known beside the file; see `ReadOptions`.
    page
        Which page of a stack, counted from 1.
    **said
        Single fields of `ReadOptions`, such as `pixel_size_nm=50.0`; they win over `options`.

    Raises
    ------
    InputError
        Where the file is no readable image.
    MissingFileError
        Where it does not exist.
    """
    return _first(path, joined_options(options, said), Request(page=checked_page(page)), as_float=True)


def open_micrograph(
    path: str | os.PathLike[str],
    options: ReadOptions | None = None,
    *,
    page: int | None = None,
    **said: Unpack[ReadOptionNames],
) -> Micrograph:
    """Open a micrograph whose `image` keeps the file's type, for images that hardly fit into memory.

    Parameters as of `read_micrograph`, whose values these are. Pixels of uncompressed TIFF and of MRC stay in the file
    and are paged in where they are touched; everything else is decoded once. Colour becomes luminance as floats.
    """
    return _first(path, joined_options(options, said), Request(page=checked_page(page), mapped=True), as_float=False)


def read_micrographs(
    path: str | os.PathLike[str], options: ReadOptions | None = None, **said: Unpack[ReadOptionNames]
) -> list[Micrograph]:
    """Read every page of a stack, each as `read_micrograph` does; the source of page 3 ends in " #3"."""
    wishes = joined_options(options, said)
    path = checked_path(path, "micrograph", IMAGE_SUFFIXES)
    sha256 = guarded(path, lambda: sha256_of(path))
    images: list[Micrograph] = []
    for raw in read_pages(path, reader_of(path), Request(every=True)):
        if raw.pages * raw.pixels.size > MAX_PIXELS:
            raise InputError(
                f"{path}: {raw.pages} pages of {raw.pixels.size} values are more than fit; read them singly with page="
            )
        images.append(_micrograph(path, raw, wishes, sha256, as_float=True))
    return images


def count_pages(path: str | os.PathLike[str]) -> int:
    """Count the pages of an image file: 1 but for stacks and files with several images."""
    path = checked_path(path, "micrograph", IMAGE_SUFFIXES)
    (raw,) = read_pages(path, reader_of(path), Request(page=1, mapped=True))
    return raw.pages


def checked_page(page: int | None) -> int | None:
    """Check that a page is a whole number; pages count from 1."""
    if page is not None and (isinstance(page, bool) or not isinstance(page, (int, np.integer)) or page < 1):
        raise InputError(f"page {page!r}; wanted a whole number, counted from 1")
    return None if page is None else int(page)


def reader_of(path: Path) -> Reader:
    """Give the reader of a file by its suffix."""
    suffix = path.suffix.lower()
    if suffix in _TIFF_SUFFIXES:
        from hea_vision.io.tiff import tiff_pages

        return tiff_pages
    if suffix in _PICTURE_SUFFIXES:
        from hea_vision.io.pictures import picture_pages

        return picture_pages
    if suffix in _MRC_SUFFIXES:
        from hea_vision.io.mrc import mrc_pages

        return mrc_pages
    from hea_vision.io.microscope_files import microscope_pages

    return functools.partial(microscope_pages, reader=_MICROSCOPE_SUFFIXES[suffix])


def _first(path: str | os.PathLike[str], wishes: ReadOptions, request: Request, *, as_float: bool) -> Micrograph:
    path = checked_path(path, "micrograph", IMAGE_SUFFIXES)
    pages = read_pages(path, reader_of(path), request)
    try:
        raw = next(pages)
        return _micrograph(path, raw, wishes, guarded(path, lambda: sha256_of(path)), as_float=as_float)
    finally:
        pages.close()  # type: ignore[attr-defined]  # a generator


def _micrograph(path: Path, raw: Raw, wishes: ReadOptions, sha256: str, *, as_float: bool) -> Micrograph:
    """Put one page together: grey plane, data bar, scale bar, pixel size, crop, checks."""
    metadata: dict[str, Any] = {**raw.metadata}
    sizes = raw.sizes_nm if "pixel_size_note" in metadata else _with_header_beside(path, raw, metadata)
    plane = grey_plane(path, raw.pixels)
    bar = _data_bar(plane, metadata)
    found = None if bar is None or not bar.certain else plane[bar.top : bar.bottom]
    scale = guarded(path, lambda: scale_bar_in_picture(plane) if found is None else scale_bar_in_band(found))
    length_px = None if scale is None else scale.length_px
    size, notes = _pixel_size(path, sizes, wishes, length_px)
    if "pixel_size_note" not in notes and notes.get("pixel_size_from") in ("user", "scale bar"):
        metadata.pop("pixel_size_note", None)  # what was said of the file's word
    notes |= {
        "file_dtype": str(raw.pixels.dtype.newbyteorder("=")),
        "file_shape": list(raw.pixels.shape),
        **({} if raw.pages == 1 else {"page": raw.page, "pages": raw.pages}),
    }
    if length_px is not None:
        notes["scale_bar_px"] = length_px
        if size is None:
            notes["scale_bar_note"] = (
                f"a scale bar {length_px} px long was found; give the length on its label (--scale-bar '20 um',"
                " scale_bar_nm=20000) and the pixel size follows"
            )
    plane = _without_bar(plane, bar, wishes.data_bar, notes)
    if wishes.crop is not None:
        plane = _cropped(path, plane, wishes.crop)
        notes["crop_px"] = [int(v) for v in wishes.crop]
    _check(path, plane)
    return Micrograph(
        image=plane.astype(float_kind(plane.dtype)) if as_float else plane,
        pixel_size_nm=None if size is None else float(size),
        source=str(path) if raw.pages == 1 else f"{path} #{raw.page}",
        sha256=sha256,
        metadata={**metadata, **notes},
    )


def _with_header_beside(path: Path, raw: Raw, metadata: dict[str, Any]) -> Sizes | None:
    """Take the pixel size from a microscope's text beside the image where the image itself has no better word."""
    tag = metadata.pop("pixel_size_tag", None)
    plain = path.suffix.lower() in (*_TIFF_SUFFIXES, *_PICTURE_SUFFIXES)
    if not plain or tag == "ImageJ" or "instrument" in metadata or (beside := header_beside(path)) is None:
        return raw.sizes_nm
    header, where = beside
    metadata["header_file"] = where.name
    return believed(header, raw.pixels.shape, where.name, metadata)


def _pixel_size(
    path: Path, sizes: Sizes | None, wishes: ReadOptions, length_px: int | None
) -> tuple[float | None, dict[str, Any]]:
    """Choose between the user's pixel size, the scale bar that the user names, and the file's word."""
    if wishes.scale_bar_nm is None:
        size, notes = settle_pixel_size(path, sizes, wishes.pixel_size_nm)
        return size, dict(notes)
    if length_px is None:
        raise InputError(
            f"{path}: no scale bar was found in the picture or its data bar; measure it and give pixel_size_nm"
        )
    size, notes = settle_pixel_size(path, sizes, wishes.scale_bar_nm / length_px)
    more = {"pixel_size_from": "scale bar", "scale_bar_nm": wishes.scale_bar_nm}
    return size, {**notes, **more, "pixel_size_std_nm": float(size or 0) / length_px}


def _data_bar(plane: np.ndarray, metadata: Mapping[str, Any]) -> DataBar | None:
    """Give the bar that the file speaks of, else the one that is seen."""
    if (top := metadata.get("data_bar_top")) is not None:
        return DataBar(int(top), plane.shape[0], True)
    return find_data_bar(plane)


def _without_bar(plane: np.ndarray, bar: DataBar | None, wish: str, notes: dict[str, Any]) -> np.ndarray:
    """Cut the bar off where it is certain and nobody wants it kept; say in the metadata what was done."""
    if bar is None:
        return plane
    rows = f"rows {bar.top} to {bar.bottom - 1} of the file"
    if not bar.certain:
        notes["data_bar"] = f"perhaps {rows}, but {bar.reason}: kept; cut it off with crop where it is one"
        return plane
    if bar.bottom == plane.shape[0]:
        notes["data_bar_top"] = bar.top
    if wish == "keep":
        notes["data_bar"] = f"kept: {rows}"
        return plane
    notes["data_bar"] = f"cropped: {rows}"
    return plane[: bar.top] if bar.bottom == plane.shape[0] else plane[bar.bottom :]


def _cropped(path: Path, pixels: np.ndarray, crop: tuple[int, int, int, int]) -> np.ndarray:
    """Cut out (top, left, height, width) after checking it against the image."""
    try:
        top, left, height, width = (int(v) for v in crop)
        whole = all(int(v) == v for v in crop)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: crop {crop!r}; wanted four whole numbers (top, left, height, width)") from error
    rows, columns = pixels.shape[:2]
    inside = top >= 0 and left >= 0 and top + height <= rows and left + width <= columns
    if not (whole and inside and height >= 8 and width >= 8):
        raise InputError(
            f"{path}: crop of {height} x {width} px at row {top}, column {left} does not fit the image of"
            f" {rows} x {columns} px; wanted (top, left, height, width) inside it, at least 8 x 8"
        )
    return pixels[top : top + height, left : left + width]


def _check(path: Path, image: np.ndarray) -> None:
    """Refuse images that are too small or hold NaN."""
    if min(image.shape) < 8:
        raise InputError(
            f"{path}: got {image.shape[0]} x {image.shape[1]} px, wanted at least 8 x 8; is it a thumbnail?"
        )
    bad = count_not_finite(image)
    if bad:
        raise InputError(f"{path}: {bad} pixels are NaN or infinite; crop them off or fill them, then save it again")
