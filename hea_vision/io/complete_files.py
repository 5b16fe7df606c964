"""Refuse files of microscopes that are shorter than they say, before a library takes memory or reads past the end.

A torn .bcf is the worst case: depending on the place its reader gives counts of 0, or ends the whole process.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from hea_sim.errors import InputError

#: Bruker's container of files: its first bytes, the place of its blocks, and of their size and number.
_SFS, _SFS_BLOCKS, _SFS_BLOCK_SIZE, _SFS_BLOCK_COUNT = b"AAMVHFSS", 0x118, 0x128, 0x148


def check_complete(path: Path) -> None:
    """Raise InputError where a .bcf or .ser file ends before what its header claims; other files are not looked at."""
    suffix = path.suffix.lower()
    if suffix == ".ser":
        _check_series(path)
    elif suffix == ".bcf":
        _check_container(path)


def _check_container(path: Path) -> None:
    """Compare a Bruker container with the number of blocks that it claims; whole files have exactly their size."""
    size = path.stat().st_size
    with open(path, "rb") as stream:
        head = stream.read(_SFS_BLOCKS + 64)
    if not head.startswith(_SFS):
        return  # its reader says what is wrong
    claimed = size + 1
    if len(head) >= _SFS_BLOCK_COUNT + 4:
        (block,), (count,) = (
            struct.unpack_from("<I", head, _SFS_BLOCK_SIZE),
            struct.unpack_from("<I", head, _SFS_BLOCK_COUNT),
        )
        claimed = _SFS_BLOCKS + block * count
    if claimed > size:
        raise InputError(f"{path}: truncated, {size} of at least {claimed} bytes are here; copy or export it again")


def _check_series(path: Path) -> None:
    """Compare a TIA series with what its header claims."""
    size = path.stat().st_size
    with open(path, "rb") as stream:
        head = stream.read(30)
        order, _, version, kind, _, total, valid = struct.unpack("<3H4I", head[:22])
        wide = "Q" if version >= 0x220 else "I"
        stream.seek(22)
        (offsets,) = struct.unpack("<" + wide, stream.read(struct.calcsize(wide)))
        claimed = 2 * total * struct.calcsize(wide)
        if order == 0x4949 and 0 < valid <= total and offsets + claimed <= size:
            stream.seek(offsets)
            (first,) = struct.unpack("<" + wide, stream.read(struct.calcsize(wide)))
            stream.seek(first + (40 if kind == 0x4122 else 20))
            shape = struct.unpack("<2I" if kind == 0x4122 else "<I", stream.read(10 if kind == 0x4122 else 6)[2:])
            claimed = valid * int(np.prod([int(n) for n in shape], dtype=object))
    if offsets + claimed > size or order != 0x4949 or not 0 < valid <= total:
        raise InputError(
            f"{path}: the header claims {claimed} values in a file of {size} bytes; the file is truncated or damaged:"
            " copy it again"
        )
