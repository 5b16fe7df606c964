"""Zip archives of instrument software, read member by member and never beyond a limit."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

from hea_sim.errors import InputError
from hea_vision.io._files import MAX_TEXT_BYTES, one_line

#: Most that all members together may hold once unpacked.
MAX_UNPACKED_BYTES = 512 * 2**20
_MAX_MEMBERS = 20_000
_CENTRAL_ENTRY = b"PK\x01\x02"
#: The two ways of packing whose decompression can be stopped at a limit.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: What `zipfile` raises at damaged archives.
_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError, LookupError, OverflowError)


class Archive:
    """Give the members of a zip archive held in memory, each at most 64 MB, all together at most 512 MB."""

    def __init__(self, path: Path, raw: bytes) -> None:
        self._path, self._left = path, MAX_UNPACKED_BYTES
        if raw.count(_CENTRAL_ENTRY) > _MAX_MEMBERS:
            raise InputError(f"{path}: over {_MAX_MEMBERS} members in the archive; give one measurement per file")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(raw))
            self._members = {info.filename.replace("\\", "/"): info for info in self._zip.infolist()}
        except _DAMAGE as error:
            raise self._damaged(error) from error
        self.names = tuple(self._members)

    def read(self, name: str) -> bytes:
        """Unpack one member."""
        info = self._members.get(name)
        if info is None:
            raise InputError(f"{self._path}: {one_line(name, 80)} is missing in the archive; copy or save it again")
        if info.compress_type not in _METHODS or info.flag_bits & 1:
            raise InputError(
                f"{self._path}: {one_line(name, 80)} is encrypted or packed in an unusual way; save it again"
            )
        limit = min(MAX_TEXT_BYTES, self._left)
        try:
            with self._zip.open(info) as stream:
                content = stream.read(limit + 1)
        except _DAMAGE as error:
            raise self._damaged(error) from error
        if len(content) > limit:
            raise InputError(
                f"{self._path}: {one_line(name, 80)} unpacks to over {limit // 2**20} MB; no measurement does"
            )
        self._left -= len(content)
        return content

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"{self._path}: is no complete archive ({one_line(error, 80)}); copy or save the file again")
