"""Micrographs: read TIFF, PNG, JPEG and the formats of microscopes as grey images with their pixel size."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import sha256_of
from hea_sim.errors import HEAError, InputError
from hea_sim.records import Micrograph
from hea_vision.io._files import checked_path, one_line, quiet
from hea_vision.io.lengths import settle_pixel_size, usable

_TIFF_SUFFIXES = (".tif", ".tiff")
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
#: Suffix -> reader of rosettasciio.
_MICROSCOPE_SUFFIXES = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".emd": "emd",
    ".ser": "tia",
    ".emi": "tia",
    ".hspy": "hspy",
    ".mrc": "mrc",
    ".rpl": "ripple",
    ".bcf": "bruker",
    ".prz": "pantarhei",
    ".sur": "digitalsurf",
}

#: Suffixes that `read_micrograph` takes.
IMAGE_SUFFIXES = (*_TIFF_SUFFIXES, *_PICTURE_SUFFIXES, *_MICROSCOPE_SUFFIXES)

#: Largest image that is taken into memory.
MAX_PIXELS = 2_000_000_000
#: No lossless format that is read here packs an honest image tighter than this.
_MAX_BYTES_PER_FILE_BYTE = 5000
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Hold what a format's reader found: pixels (rows, columns[, channels]) and pixel sizes (y, x) in nm."""

    pixels: np.ndarray
    sizes_nm: tuple[float | None, float | None] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def read_micrograph(
    path: str | os.PathLike[str],
    *,
    pixel_size_nm: float | None = None,
    crop: tuple[int, int, int, int] | None = None,
) -> Micrograph:
    """Read one micrograph as a grey float image, with the pixel size that the file or the user gives.

    `crop` is (top, left, height, width) in pixels of the image without its data bar. The data bar that FEI
    and Thermo Fisher microscopes append is cut off; `metadata["data_bar_top"]` is the row where it began.
    Colour becomes luminance, values keep the file's scale.

    Raises InputError where the file is no readable image, MissingFileError where it does not exist.
    """
    if pixel_size_nm is not None and not usable(pixel_size_nm):
        raise InputError(f"pixel size {pixel_size_nm} nm; wanted a positive number of nanometres")
    path = checked_path(path, "micrograph", IMAGE_SUFFIXES)
    raw = guarded(path, _reader_of(path))
    size, notes = settle_pixel_size(path, raw.sizes_nm, pixel_size_nm)
    metadata: dict[str, Any] = {
        **raw.metadata,
        **notes,
        "file_dtype": str(raw.pixels.dtype),
        "file_shape": list(raw.pixels.shape),
    }
    pixels = raw.pixels
    if (top := metadata.get("data_bar_top")) is not None:
        pixels = pixels[:top]
        metadata["data_bar"] = f"cropped: rows {top} to {raw.pixels.shape[0] - 1} of the file"
    if crop is not None:
        pixels = _cropped(path, pixels, crop)
        metadata["crop_px"] = [int(v) for v in crop]
    return Micrograph(
        image=_checked(path, to_grey(path, pixels)),
        pixel_size_nm=None if size is None else float(size),
        source=str(path),
        sha256=sha256_of(path),
        metadata=metadata,
    )


def guarded(path: Path, read: Callable[[Path], Raw]) -> Raw:
    """Call a format's reader and turn whatever the library throws at a bad file into one InputError."""
    try:
        with quiet():
            return read(path)
    except HEAError:
        raise
    except ImportError as error:
        raise InputError(
            f"{path}: reading {path.suffix} needs a package that is missing ({one_line(error)});"
            " install it or save the image as .tif"
        ) from error
    except MemoryError as error:
        raise InputError(f"{path}: the image does not fit into memory; crop or bin it") from error
    except (KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:  # the libraries throw anything from struct.error to AttributeError
        reason = one_line(error, 100) or type(error).__name__
        raise InputError(
            f"{path}: cannot be read as {path.suffix.lower()} ({reason});"
            " the file is truncated or of another format: copy or export it again"
        ) from error


def check_size(path: Path, shape: tuple[int, ...], bytes_per_value: int = 1) -> None:
    """Refuse an image by the size that its header claims, before any memory is taken."""
    values = 1
    for n in shape:
        values *= int(n)
    if len(shape) < 2 or min(shape) < 1:
        raise InputError(f"{path}: the header claims an image of shape {shape}, wanted rows and columns; copy it again")
    if values > MAX_PIXELS:
        raise InputError(f"{path}: the header claims {values:.3g} pixels, at most {MAX_PIXELS:.3g} are read; tile it")
    if values * bytes_per_value > 10_000_000 + _MAX_BYTES_PER_FILE_BYTE * path.stat().st_size:
        raise InputError(
            f"{path}: the header claims an image of shape {tuple(map(int, shape))} in a file of"
            f" {path.stat().st_size} bytes; the file is truncated or damaged: copy it again"
        )


def to_grey(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Turn grey, grey+alpha, RGB or RGBA pixels into a float image; alpha is left out."""
    if pixels.dtype.kind not in "buif":
        raise InputError(f"{path}: pixels are of type {pixels.dtype}, wanted numbers; export a grey image")
    kind = np.float32 if pixels.dtype.itemsize <= 2 or pixels.dtype == np.float32 else np.float64
    if pixels.ndim == 2:
        return pixels.astype(kind)
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise InputError(f"{path}: got an array of shape {pixels.shape}, wanted one grey or RGB image; save one slice")
    if pixels.shape[2] < 3:
        return pixels[..., 0].astype(kind)
    red, green, blue = (pixels[..., i] for i in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return red.astype(kind)
    grey: np.ndarray = np.zeros(red.shape, kind)
    for weight, channel in zip(_LUMINANCE, (red, green, blue)):
        grey += np.multiply(channel, weight, dtype=kind)
    return grey


def _reader_of(path: Path) -> Callable[[Path], Raw]:
    suffix = path.suffix.lower()
    if suffix in _TIFF_SUFFIXES:
        from hea_vision.io.tiff import read_tiff

        return read_tiff
    if suffix in _PICTURE_SUFFIXES:
        from hea_vision.io.pictures import read_picture

        return read_picture
    from hea_vision.io.microscope_files import read_microscope_file

    return lambda path: read_microscope_file(path, _MICROSCOPE_SUFFIXES[suffix])


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


def _checked(path: Path, image: np.ndarray) -> np.ndarray:
    """Refuse images that are too small or hold NaN."""
    if min(image.shape) < 8:
        raise InputError(
            f"{path}: got {image.shape[0]} x {image.shape[1]} px, wanted at least 8 x 8; is it a thumbnail?"
        )
    bad = int(image.size - np.isfinite(image).sum())
    if bad:
        raise InputError(f"{path}: {bad} pixels are NaN or infinite; crop them off or fill them, then save it again")
    return image
