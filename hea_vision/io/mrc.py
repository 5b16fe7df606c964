"""MRC: the images and stacks of transmission microscopes and tomography.

The header's cell length over its sampling is the pixel size in angstrom (MRC2014, doi:10.1016/j.jsb.2015.04.002);
where no program set it, it is nought or exactly 1 A a pixel, and then nobody knows the pixel size. FEI's extended
header carries the pixel size in metres.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io.raw_images import Raw, Request, Sizes, check_size, chosen_pages

_HEADER = 1024
_KINDS = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
#: IMOD writes this number where mode 0 may be signed; bit 0 of the next word says whether it is.
_IMOD_STAMP = 1146047817
_FEI_ENTRY, _FEI_ENTRIES, _FEI_PIXEL_SIZE = 128, 1024, 44


def mrc_pages(path: Path, request: Request) -> Iterator[Raw]:
    """Give the wanted sections of an MRC file."""
    with open(path, "rb") as stream:
        head = stream.read(_HEADER)
        if len(head) < _HEADER:
            raise InputError(f"{path}: truncated, {len(head)} bytes of a header of {_HEADER}; copy or export it again")
        order: Literal["<", ">"] = ">" if head[212:214] == b"\x11\x11" else "<"
        columns, rows, sections, mode = struct.unpack(order + "4i", head[:16])
        extended = struct.unpack(order + "i", head[92:96])[0]
        if mode not in _KINDS or min(columns, rows, sections) < 1 or extended < 0:
            raise InputError(
                f"{path}: the header claims {columns} x {rows} x {sections} values of mode {mode}, wanted an image of"
                f" mode {', '.join(map(str, _KINDS))}; the file is damaged or of another format"
            )
        entry = stream.read(_FEI_ENTRY) if extended == _FEI_ENTRY * _FEI_ENTRIES else b""
    kind = np.dtype(_kind(head, order, mode)).newbyteorder(order)
    check_size(path, (rows, columns), kind.itemsize)
    step, start = rows * columns * kind.itemsize, _HEADER + extended
    size = path.stat().st_size
    if start + sections * step > size:
        raise InputError(f"{path}: truncated, {size} bytes of {start + sections * step}; copy or export it again")
    metadata: dict[str, Any] = {"format": "mrc"}
    sizes = _fei_sizes(entry, order, metadata) or _cell_sizes(head, order, metadata)
    for n in chosen_pages(path, sections, request):
        pixels = np.memmap(path, kind, "r", start + n * step, (rows, columns))
        yield Raw(
            pixels=pixels if request.mapped else np.array(pixels, kind.newbyteorder("=")),
            sizes_nm=sizes,
            metadata=metadata,
            page=n + 1,
            pages=sections,
        )


def _kind(head: bytes, order: str, mode: int) -> str:
    """Tell signed from unsigned bytes: MRC2014 says signed, older files are unsigned, IMOD says which."""
    if mode != 0:
        return _KINDS[mode]
    stamp, flags = struct.unpack(order + "2i", head[152:160])
    if stamp == _IMOD_STAMP:
        return "i1" if flags & 1 else "u1"
    version = struct.unpack(order + "i", head[108:112])[0]
    return "i1" if version >= 20140 else "u1"


def _cell_sizes(head: bytes, order: str, metadata: dict[str, Any]) -> Sizes | None:
    """Divide the cell's lengths by its samples."""
    along_x, along_y = struct.unpack(order + "2i", head[28:36])
    length_x, length_y = struct.unpack(order + "2f", head[40:48])
    if along_x < 1 or along_y < 1 or not (length_x > 0 and length_y > 0):
        return None
    x, y = length_x / along_x, length_y / along_y
    if x == 1.0 and y == 1.0:
        metadata["pixel_size_note"] = (
            "the header says exactly 1 A a pixel, which programs write that know no pixel size; it is not used"
        )
        return None
    return y / 10, x / 10


def _fei_sizes(entry: bytes, order: str, metadata: dict[str, Any]) -> Sizes | None:
    """Read the pixel size (metres) of the first section in FEI's extended header."""
    if len(entry) < _FEI_ENTRY:
        return None
    size = float(struct.unpack(order + "f", entry[_FEI_PIXEL_SIZE : _FEI_PIXEL_SIZE + 4])[0]) * 1e9
    if not 1e-4 < size < 1e5:
        return None
    metadata["instrument"] = "FEI"
    return size, size
