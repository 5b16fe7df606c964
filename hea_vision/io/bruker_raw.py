"""Bruker and Siemens .raw, the four binary layouts "RAW ", "RAW2", "RAW1.01" and "RAW4.00".

Layouts as published in the manual of DIFFRAC plus XCH (version 5, appendix A) and confirmed on public files;
all numbers are little-endian, every declared length is held against the file before anything is read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io._files import one_line
from hea_vision.io._scans import Scan, checked_count, counts_entry
from hea_vision.io.radiation import Source, said_in_fields

#: Scan types of RAW1.01 that do not move 2-theta: rocking curve, chi, phi, translations, auxiliary drives.
_OTHER_DRIVES = range(3, 12)
#: Words in the scan types of RAW4.00 that move 2-theta.
_TWO_THETA_SCANS = ("coupled", "2theta", "twotheta", "detector")
#: Where a range of RAW1.01 says how its drives stand.
_DRIVES_V3 = {"theta": 8, "chi": 24, "phi": 32, "x": 40, "y": 48, "z": 56}
_RANGE_KINDS = (0, 160)
_MAX_SEGMENTS = 10_000
_UNKNOWN = -1e5  # drives whose place nobody knows are written as -1e6


class Content:
    """Read numbers and text out of bytes, and say so in one line where the bytes end too early."""

    def __init__(self, path: Path, raw: bytes) -> None:
        self.path, self.raw = path, raw

    def need(self, at: int, size: int, what: str) -> None:
        """Check that `size` bytes at `at` are there."""
        if at < 0 or size < 0 or at + size > len(self.raw):
            raise InputError(
                f"{self.path}: cut short, {what} would end at byte {at + size} of {len(self.raw)};"
                " copy or export the file again"
            )

    def number(self, code: str, at: int, what: str = "the header") -> Any:
        """Read one number: B, H, I, f or d."""
        self.need(at, struct.calcsize(code), what)
        return struct.unpack_from("<" + code, self.raw, at)[0]

    def text(self, at: int, size: int) -> str:
        """Read text up to its first null."""
        self.need(at, size, "the header")
        return one_line(self.raw[at : at + size].split(b"\0")[0].decode("latin-1"))

    def column(self, at: int, n: int, stride: int) -> np.ndarray:
        """Read `n` 4-byte floats that lie `stride` bytes apart."""
        if stride < 4 or stride > 4096:
            raise InputError(f"{self.path}: points of {stride} bytes, wanted 4 to 4096; the file is damaged")
        self.need(at, n * stride, f"a scan of {n} points")
        values: np.ndarray = np.frombuffer(self.raw, np.uint8, n * stride, at).reshape(n, stride)[:, :4]
        with np.errstate(invalid="ignore"):  # a damaged file may hold signalling NaN; the pattern's check names it
            return np.ascontiguousarray(values).view("<f4")[:, 0].astype(float)


def is_bruker_raw(raw: bytes) -> bool:
    """Tell a Bruker .raw by its first bytes."""
    return raw[:4] in _LAYOUTS


def read_bruker_raw(path: Path, raw: bytes) -> list[Scan]:
    """Read every 2-theta scan of a Bruker .raw file of version 1 to 4."""
    layout = _LAYOUTS.get(raw[:4])
    if layout is None or (raw[:4] in (b"RAW1", b"RAW4") and raw[4:7] not in (b".01", b".00")):
        raise InputError(
            f"{path}: starts with {one_line(raw[:8].decode('latin-1'))!r}, wanted a Bruker .raw of version 1 to 4;"
            " export it as .xy"
        )
    scans = list(layout(Content(path, raw)))
    if not scans:
        raise InputError(f"{path}: no scan along 2-theta in the file; export a 2-theta scan")
    return scans


def _steps(content: Content, start: float, step: float, y: np.ndarray) -> np.ndarray:
    """Give the 2-theta of steps of one size."""
    if not (np.isfinite([start, step]).all() and abs(start) < 400 and 0 < abs(step) < 90):
        raise InputError(
            f"{content.path}: a scan starts at {start:g} with steps of {step:g}, wanted degrees; the file is damaged"
        )
    return start + step * np.arange(y.size)


def _scan(
    content: Content,
    version: int,
    grid: tuple[float, float],
    y: np.ndarray,
    source: Source,
    *,
    time_s: float,
    sample: str = "",
    conditions: dict[str, float] | None = None,
) -> Scan:
    metadata: dict[str, Any] = {"format": f"Bruker raw version {version}", "unit": "counts", **counts_entry(y, True)}
    if np.isfinite(time_s) and 0 < time_s < 1e7:
        metadata["counting_time_s"] = float(time_s)
    if sample:
        metadata["sample"] = sample
    known = {k: float(v) for k, v in (conditions or {}).items() if np.isfinite(v) and _UNKNOWN < v < 1e6}
    return Scan(x=_steps(content, *grid, y), y=y, source=source, conditions=known, metadata=metadata)


def _version1(content: Content) -> Iterator[Scan]:
    """Read "RAW ": ranges of a 156-byte header and 4-byte floats; later ranges may drop the mark."""
    at = 0
    for count in range(len(content.raw)):
        checked_count(content.path, count)
        if count and content.raw[at : at + 4] != b"RAW ":
            at -= 4
        n = content.number("I", at + 4)
        y = content.column(at + 156, n, 4)
        yield _scan(
            content,
            1,
            (content.number("f", at + 24), content.number("f", at + 12)),
            y,
            said_in_fields("raw", "", content.number("f", at + 72)),
            time_s=content.number("f", at + 8),
            sample=content.text(at + 40, 32),
            conditions={"chi": content.number("f", at + 32), "phi": content.number("f", at + 36)},
        )
        following = content.number("I", at + 152)
        at += 156 + 4 * n
        if not following:
            return


def _version2(content: Content) -> Iterator[Scan]:
    """Read "RAW2": a 256-byte header, then ranges whose header says its own length."""
    source = said_in_fields("raw", content.text(188, 2), content.number("f", 190))
    at, n_ranges = 256, content.number("H", 4)
    checked_count(content.path, n_ranges)
    for _ in range(n_ranges):
        length, n = content.number("H", at), content.number("H", at + 2)
        if length < 48:
            raise InputError(f"{content.path}: the header of a range has {length} bytes, wanted 48 or more; damaged")
        y = content.column(at + length, n, 4)
        yield _scan(
            content,
            2,
            (content.number("f", at + 16), content.number("f", at + 12)),
            y,
            source,
            time_s=content.number("f", at + 8),
            sample=content.text(8, 32).strip(),
            conditions={"temperature_K": content.number("H", at + 46)},
        )
        at += length + 4 * n


def _version3(content: Content) -> Iterator[Scan]:
    """Read "RAW1.01": a 712-byte header, then ranges of 304 bytes, supplements and point records."""
    source = said_in_fields("raw", content.text(608, 4), content.number("d", 624), content.number("d", 648))
    sample = content.text(326, 60).strip()
    at, n_ranges = 712, content.number("I", 12)
    checked_count(content.path, n_ranges)
    for _ in range(n_ranges):
        length, n = content.number("I", at), content.number("I", at + 4)
        if not 260 <= length <= 2**16:
            raise InputError(f"{content.path}: the header of a range has {length} bytes, wanted 304; damaged")
        extra, stride = content.number("I", at + 256), content.number("I", at + 252) or 4
        y = content.column(at + length + extra, n, stride)
        if content.number("I", at + 196) not in _OTHER_DRIVES:
            yield _scan(
                content,
                3,
                (content.number("d", at + 16), content.number("d", at + 176)),
                y,
                source,
                time_s=content.number("f", at + 192),
                sample=sample,
                conditions={name: content.number("d", at + place) for name, place in _DRIVES_V3.items()},
            )
        at += length + extra + stride * n


def _version4(content: Content) -> Iterator[Scan]:
    """Read "RAW4.00": 61 bytes, segments of kind and length, then ranges of kind 0 or 160."""
    source, sample = Source(), ""
    for kind, at, length in _segments(content, 61, len(content.raw)):
        if kind == 10 and content.text(at + 12, 24) == "SAMPLEID" and length > 36:
            sample = content.text(at + 36, length - 36).strip()
        elif kind == 30 and length >= 120:
            alpha1, share = content.number("d", at + 80), content.number("d", at + 104)
            source = said_in_fields("raw", content.text(at + 116, 4), alpha1, share)
    at = _first_range(content)
    for count in range(len(content.raw)):
        checked_count(content.path, count)
        content.need(at, 160, "the header of a range")
        n, stride, drives = (content.number("I", at + offset) for offset in (88, 136, 140))
        content.need(at + 160, drives, "the header of a range")
        y = content.column(at + 160 + drives, n, stride)
        if any(word in content.text(at + 32, 24).lower() for word in _TWO_THETA_SCANS):
            yield _scan(
                content,
                4,
                (content.number("d", at + 72), content.number("d", at + 80)),
                y,
                source,
                time_s=content.number("f", at + 92),
                sample=sample,
                conditions=_drives(content, at + 160, drives),
            )
        at += 160 + drives + stride * n
        if at >= len(content.raw) or content.number("I", at) not in _RANGE_KINDS:
            return


def _segments(content: Content, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Give kind, place and length of the segments up to `end` or the first range."""
    for _ in range(_MAX_SEGMENTS):
        if at + 8 > end or (kind := content.number("I", at)) in _RANGE_KINDS:
            return
        length = int(content.number("I", at + 4))
        if length < 8:
            raise InputError(f"{content.path}: a segment of {length} bytes at byte {at}, wanted 8 or more; damaged")
        content.need(at, length, "a segment of the header")
        yield kind, at, length
        at += length
    raise InputError(f"{content.path}: over {_MAX_SEGMENTS} segments in a header; the file is damaged")


def _first_range(content: Content) -> int:
    at = 61
    for _, start, length in _segments(content, at, len(content.raw)):
        at = start + length
    return at


def _drives(content: Content, at: int, size: int) -> dict[str, float]:
    """Give where the drives other than theta and 2-theta stand."""
    found = {}
    for kind, place, length in _segments(content, at, at + size):
        if kind == 50 and length >= 64:
            name = content.text(place + 12, 24)
            if "theta" not in name.lower() and "slit" not in name.lower():
                found[name] = float(content.number("d", place + 56))
    return found


_LAYOUTS: dict[bytes, Callable[[Content], Iterator[Scan]]] = {
    b"RAW ": _version1,
    b"RAW2": _version2,
    b"RAW1": _version3,
    b"RAW4": _version4,
}
