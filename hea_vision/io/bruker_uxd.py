"""Bruker .uxd text: _KEY = value headers, then columns, for every range anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io._files import decode_text, one_line
from hea_vision.io._scans import Scan, checked_count, counts_entry
from hea_vision.io._xml import number
from hea_vision.io.radiation import said_in_fields

#: Marks after which the numbers come -> (angles are listed, unit).
_DATA_MARKS = {
    "_2THETACOUNTS": (True, "counts"),
    "_2THETACPS": (True, "cps"),
    "_2THETACOUNTSTIME": (True, "counts"),
    "_COUNTS": (False, "counts"),
    "_CPS": (False, "cps"),
}
_DRIVES = ("COUPLED", "2THETA", "TTHETA", "")
_CONDITIONS = ("_V4_TEMPERATURE", "_TEMPERATURE", "_TEMP", "_THETA", "_KHI", "_PHI", "_X", "_Y", "_Z")


def read_uxd(path: Path, raw: bytes) -> list[Scan]:
    """Read every 2-theta range of a .uxd file."""
    head: dict[str, str] = {}
    ranges: list[tuple[dict[str, str], str, list[str]]] = []
    mark = ""
    for line in decode_text(path, raw).splitlines():
        line = line.strip()
        if not line or line.startswith(";"):
            continue
        if not line.startswith("_"):
            if mark:
                ranges[-1][2].append(line)
            continue
        key, _, value = (part.strip() for part in line.partition("="))
        if key.upper() in _DATA_MARKS:
            mark = key.upper()
            checked_count(path, len(ranges) + 1)
            ranges.append((dict(head), mark, []))
            continue
        mark = ""
        head[key.upper()] = value.strip("'")
    scans = [_scan(path, said, mark, rows) for said, mark, rows in ranges if said.get("_DRIVE", "").upper() in _DRIVES]
    if not scans:
        raise InputError(
            f"{path}: {len(ranges)} ranges, none of them along 2-theta; wanted a Bruker .uxd of a 2-theta scan"
        )
    return scans


def _scan(path: Path, said: Mapping[str, str], mark: str, rows: list[str]) -> Scan:
    listed, unit = _DATA_MARKS[mark]
    try:
        table = [[float(word) for word in row.split()] for row in rows]
    except ValueError as error:
        raise InputError(f"{path}: {one_line(error, 60)} in a range; remove that row or export it again") from error
    if listed:
        if any(len(row) < 2 for row in table):
            raise InputError(f"{path}: a row of a range holds one number, wanted angle and intensity; export it again")
        x, y = (np.array([row[i] for row in table]) for i in (0, 1))
    else:
        y = np.array([value for row in table for value in row])
        start, step = number(said.get("_START") or said.get("_2THETA")), number(said.get("_STEPSIZE"))
        if start is None or not step:
            raise InputError(f"{path}: a range says no _START or _STEPSIZE, wanted both; export it again")
        x = start + step * np.arange(y.size)
    metadata: dict[str, Any] = {"format": "uxd", "unit": unit, **counts_entry(y, unit == "counts")}
    if (time := number(said.get("_STEPTIME"))) and time > 0:
        metadata["counting_time_s"] = time
    if sample := said.get("_SAMPLE"):
        metadata["sample"] = one_line(sample)
    conditions = {key[1:].lower(): value for key in _CONDITIONS if (value := number(said.get(key))) is not None}
    source = said_in_fields("uxd", said.get("_ANODE", ""), number(said.get("_WL1")), number(said.get("_WLRATIO")))
    return Scan(x=x, y=y, source=source, conditions=conditions, metadata=metadata)
