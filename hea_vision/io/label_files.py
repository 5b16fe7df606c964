"""How label images lie in TIFF files: for ImageJ where it can hold them, streamed from strips, whole or not at all.

| numbers | file |
|---|---|
| up to 65535, under 4 GB | ImageJ TIFF, uint8 or uint16: unit and resolution tags as Fiji reads them, JSON in `Info` |
| above, or larger | plain (Big)TIFF, uint8 to uint32: pixels per centimetre in the tags, JSON as the description |
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io._files import one_line
from hea_vision.io.raw_images import strips

_CLASSIC_BYTES = 2**32 - 2**25


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary file beside `path` to write; it takes the place of `path` only when all went well."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({one_line(error.strerror)}); give another folder") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "r+b") as stream:
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        _remove(temporary)
        mend = "free some space" if error.errno == errno.ENOSPC else "give another folder"
        raise InputError(f"{path}: cannot be written ({one_line(error.strerror)}); {mend}") from error
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def write_planes(
    path: Path, planes: Sequence[np.ndarray], top: int, pixel_size_nm: float | None, info: Mapping[str, Any]
) -> Path:
    """Write planes (rows, columns) of whole numbers from 0 to `top` as the pages of one TIFF; memory for one strip."""
    import tifffile

    kind = np.dtype(np.uint8 if top < 256 else np.uint16 if top < 65536 else np.uint32)
    rows, columns = planes[0].shape
    size = len(planes) * rows * columns * kind.itemsize
    shape = (rows, columns) if len(planes) == 1 else (len(planes), rows, columns)
    options: dict[str, Any]
    if kind.itemsize <= 2 and size < _CLASSIC_BYTES:
        metadata: dict[str, Any] = {"axes": "YX" if len(planes) == 1 else "ZYX", "Info": json.dumps(info)}
        options = {"imagej": True, "metadata": metadata}
        if pixel_size_nm is not None:
            options["resolution"] = (1000 / pixel_size_nm, 1000 / pixel_size_nm)
            metadata["unit"] = "micron"
    else:
        options = {"bigtiff": size >= _CLASSIC_BYTES, "metadata": None, "description": json.dumps(info)}
        if pixel_size_nm is not None:
            options |= {"resolution": (1e7 / pixel_size_nm, 1e7 / pixel_size_nm), "resolutionunit": "CENTIMETER"}
    with atomic_path(path) as temporary:
        places = _reserve(tifffile, temporary, shape, kind, len(planes), options)
        with open(temporary, "r+b") as stream:
            for plane, place in zip(planes, places):
                stream.seek(place)
                for part in strips(plane):
                    stream.write(np.ascontiguousarray(plane[part], kind).data)
    return path


def _reserve(
    tifffile: Any, path: Path, shape: tuple[int, ...], kind: np.dtype, count: int, options: Mapping[str, Any]
) -> list[int]:
    """Write the headers with room for the pixels; give the place of every plane."""
    native: Literal["<", ">"] = "<" if np.little_endian else ">"
    with tifffile.TiffWriter(
        path, bigtiff=options.get("bigtiff", False), imagej=options.get("imagej", False), byteorder=native
    ) as tiff:
        more = {key: value for key, value in options.items() if key not in ("bigtiff", "imagej")}
        tiff.write(shape=shape, dtype=kind, photometric="minisblack", **more)
    step = int(np.prod(shape[-2:])) * kind.itemsize
    with tifffile.TiffFile(path) as tiff:
        places = [int(page.dataoffsets[0]) for page in tiff.pages]
    if len(places) == 1:  # ImageJ may keep one header for all planes
        places = [places[0] + n * step for n in range(count)]
    return places


def numbers_in(labels: np.ndarray) -> list[int]:
    """List the numbers in a label image (rows, columns) in order, strip by strip.

    >>> numbers_in(np.array([[3, 0], [3, 1]], np.uint8))
    [0, 1, 3]
    """
    found: set[int] = set()
    for part in strips(labels):
        piece = labels[part]
        if piece.dtype.kind == "u" and piece.dtype.itemsize <= 2:
            found.update(np.flatnonzero(np.bincount(piece.ravel())).tolist())
        else:
            found.update(np.unique(piece).tolist())
    return sorted(int(n) for n in found)
