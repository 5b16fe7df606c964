"""What the readers of micrographs share: raw pixels, pages, checks before memory is taken, grey values in strips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hea_sim.errors import HEAError, InputError
from hea_vision.io._files import one_line, quiet

#: Largest image that is taken into memory.
MAX_PIXELS = 2_000_000_000
#: No lossless format that is read here packs an honest image tighter than this.
_MAX_BYTES_PER_FILE_BYTE = 5000
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601
#: Pixels that are looked at in one go.
STRIP_PIXELS = 1 << 21

Sizes = tuple[float | None, float | None]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Hold what a format's reader found: pixels (rows, columns[, channels]) and pixel sizes (y, x) in nm.

    `page` counts from 1 among the `pages` of the file.
    """

    pixels: np.ndarray
    sizes_nm: Sizes | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    page: int = 1
    pages: int = 1


@dataclass(frozen=True, kw_only=True)
class Request:
    """Say which pages are wanted: the only one, the one numbered `page` (from 1), or `every` one.

    `mapped` leaves uncompressed pixels in the file, to be paged in where they are touched.
    """

    page: int | None = None
    every: bool = False
    mapped: bool = False


#: A format's reader gives the wanted pages one after the other and holds the file open meanwhile.
Reader = Callable[[Path, Request], Iterator[Raw]]


def chosen_pages(path: Path, count: int, request: Request) -> range:
    """Give the page numbers (from 0) that are wanted of a file with `count` pages; refuse to guess one of several."""
    if request.every:
        return range(count)
    if request.page is None:
        if count != 1:
            raise InputError(
                f"{path}: holds {count} pages, wanted one image; choose one with page=1 to {count} (--page),"
                " or take all with read_micrographs (--all-pages)"
            )
        return range(1)
    if not 1 <= request.page <= count:
        raise InputError(f"{path}: page {request.page} is not there; the file holds {count}, counted from 1")
    return range(request.page - 1, request.page)


def read_pages(path: Path, reader: Reader, request: Request) -> Iterator[Raw]:
    """Give the wanted pages; whatever a library throws at a bad file becomes one InputError."""
    pages = reader(path, request)
    try:
        while (raw := guarded(path, lambda: next(pages, None))) is not None:
            yield raw
    finally:
        pages.close()  # type: ignore[attr-defined]  # every reader is a generator


def guarded(path: Path, read: Callable[[], T]) -> T:
    """Call a part of a format's reader and turn whatever the library throws at a bad file into one InputError."""
    try:
        with quiet():
            return read()
    except HEAError:
        raise
    except ImportError as error:
        raise InputError(
            f"{path}: reading {path.suffix} needs a package that is missing ({one_line(error)});"
            " install it or save the image as .tif"
        ) from error
    except MemoryError as error:
        raise InputError(f"{path}: the image does not fit into memory; crop or bin it") from error
    except PermissionError as error:
        raise InputError(f"{path}: cannot be opened ({one_line(error.strerror)}); check its permissions") from error
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


def strips(image: np.ndarray) -> Iterator[slice]:
    """Cut the rows of an image into pieces of about `STRIP_PIXELS` values.

    >>> list(strips(np.zeros((2000, 2048))))
    [slice(0, 1024, None), slice(1024, 2000, None)]
    """
    rows = image.shape[0]
    values = int(np.prod(image.shape[1:]))
    step = max(STRIP_PIXELS // max(values, 1), 1)
    for top in range(0, rows, step):
        yield slice(top, min(top + step, rows))


def grey_plane(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Give the plane of grey values: of colour the luminance (float), of all else the file's own values.

    Alpha is left out. Colour pictures whose three channels are equal give one of them.
    """
    if pixels.dtype.kind not in "buif":
        raise InputError(f"{path}: pixels are of type {pixels.dtype}, wanted numbers; export a grey image")
    if pixels.ndim == 2:
        return pixels
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise InputError(f"{path}: got an array of shape {pixels.shape}, wanted one grey or RGB image; save one slice")
    first = pixels[..., 0]
    if pixels.shape[2] < 3 or all(
        np.array_equal(first[rows], pixels[rows, :, i]) for rows in strips(first) for i in (1, 2)
    ):
        return first
    grey: np.ndarray = np.zeros(first.shape, float_kind(pixels.dtype))
    for rows in strips(first):
        for i, weight in enumerate(_LUMINANCE):
            grey[rows] += np.multiply(pixels[rows, :, i], weight, dtype=grey.dtype)
    return grey


def float_kind(kind: np.dtype) -> type[np.floating]:
    """Choose the float that holds a file's values exactly: single for up to 16 bits, else double."""
    return np.float32 if kind.itemsize <= 2 or kind == np.float32 else np.float64


def count_not_finite(image: np.ndarray) -> int:
    """Count NaN and infinite values, strip by strip; whole numbers have none."""
    if image.dtype.kind != "f":
        return 0
    return sum(image[rows].size - int(np.count_nonzero(np.isfinite(image[rows]))) for rows in strips(image))
