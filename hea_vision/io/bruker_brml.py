"""Bruker .brml: a zip whose RawData XML files hold one scan each, described by their own views of the columns.

The counts of a Datum are already multiplied by its absorption factor: they run on smoothly where the factor jumps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io._archives import Archive
from hea_vision.io._files import one_line
from hea_vision.io._scans import Scan, checked_count, counts_entry
from hea_vision.io._xml import number, parse_xml
from hea_vision.io.radiation import Source, said_in_fields

_RAW_DATA = re.compile(r"(?:^|/)Experiment(\d+)/RawData(\d+)\.xml$", re.IGNORECASE)
_MAX_COLUMNS = 100_000


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Hold which column of a Datum is what; `counts` is a range of channels, more than one for a fixed detector."""

    two_theta: int | None
    counts: range
    unit: str = ""
    absorption: int | None = None
    time: int | None = None
    recorded: Mapping[str, int] = field(default_factory=dict)


def read_brml(path: Path, raw: bytes) -> list[Scan]:
    """Read every measured 2-theta scan of a .brml archive, in the order of its RawData files."""
    archive = Archive(path, raw)
    found = sorted((int(m[1]), int(m[2]), name) for name in archive.names if (m := _RAW_DATA.search(name)))
    checked_count(path, len(found))
    if not found:
        raise InputError(f"{path}: holds no RawData XML, wanted a measured scan; was it measured? Save it again")
    scans = []
    for _, _, name in found:
        root = parse_xml(path, archive.read(name))
        routes = list(root.iter("DataRoute"))
        measured = [route for route in routes if route.get("RouteFlag", "Measured") == "Measured"]
        scans += [scan for route in measured or routes if (scan := _scan(path, root, route)) is not None]
    if not scans:
        raise InputError(f"{path}: no scan along 2-theta in {len(found)} measurements; export a 2-theta scan")
    return scans


def _scan(path: Path, root: Element, route: Element) -> Scan | None:
    """Read one data route, None where it does not go along 2-theta."""
    columns = _columns(route)
    if columns is None:
        return None
    table = _table(path, route)
    if table is None:
        return None
    used = [columns.counts.stop - 1, columns.two_theta, columns.absorption, columns.time, *columns.recorded.values()]
    if max(c for c in used if c is not None) >= table.shape[1] or not len(columns.counts):
        raise InputError(f"{path}: a Datum has {table.shape[1]} numbers, fewer than its views say; save it again")
    factors = np.ones(len(table)) if columns.absorption is None else table[:, columns.absorption]
    counts = table[:, columns.counts.start : columns.counts.stop]
    if columns.two_theta is None:
        x, y = _fixed_detector(route, counts)
        if x is None:
            return None
    elif counts.shape[1] == 1:
        x, y = table[:, columns.two_theta], counts[:, 0]
    else:
        return None  # a line of channels at every step is a map
    plain = bool((factors == 1).all())
    metadata: dict[str, Any] = {"format": "brml", "unit": columns.unit.lower(), **_described(root, route)}
    metadata.update(counts_entry(y, plain and columns.unit == "Counts"))
    if not plain:
        metadata["attenuation_note"] = "an absorber was in the beam; the file's intensities are corrected for it"
    if columns.time is not None and np.ptp(table[:, columns.time]) == 0 and table[0, columns.time] > 0:
        metadata["counting_time_s"] = float(table[0, columns.time])
    conditions = _drives(root, route)
    conditions.update({name: float(np.mean(table[:, column])) for name, column in columns.recorded.items()})
    return Scan(x=x, y=y, source=_source(root), conditions=conditions, metadata=metadata)


def _columns(route: Element) -> _Columns | None:
    """Find the columns from the data views; files without views hold time, factor, axes and counts in this order."""
    views = list(route.iter("RawDataView"))
    if not views:
        axes = [axis.get("AxisName", "") for axis in _axes(route)]
        if "TwoTheta" not in axes:
            return None
        n = 2 + len(axes)
        return _Columns(two_theta=2 + axes.index("TwoTheta"), counts=range(n, n + 1), absorption=1, time=0)
    two_theta, counts, unit, named, recorded = None, None, "", {}, {}
    for view in views:
        start, length = _whole(view.get("Start")), _whole(view.get("Length"))
        recording = view.find("Recording")
        fields = [f.get("FieldName", "") for f in view.iter("FieldDefinitions")]
        if recording is None:
            named[view.get("LogicName", "")] = start
            if "TwoTheta" in fields:
                two_theta = start + fields.index("TwoTheta")
        elif "counter" in recording.get("LogicName", "").lower() or recording.get("Category") == "Count":
            if counts is None:
                counts = range(start, start + length)
                base = recording.find("Unit")
                unit = "" if base is None else base.get("Base", "")
        elif length == 1 and "temperature" in recording.get("LogicName", "").lower():
            recorded[recording.get("LogicName", "")] = start
    if counts is None:
        return None
    return _Columns(
        two_theta=two_theta,
        counts=counts,
        unit=unit,
        absorption=named.get("AbsorptionFactor"),
        time=named.get("MeasuredTime"),
        recorded=recorded,
    )


def _whole(text: str | None) -> int:
    value = number(text)
    return int(value) if value is not None and 0 <= value < _MAX_COLUMNS else 0


def _table(path: Path, route: Element) -> np.ndarray | None:
    """Read the Datum elements into (points, columns)."""
    texts = [datum.text or "" for datum in route.iter("Datum")]
    if not texts:
        return None
    lengths = {text.count(",") for text in texts}
    if len(lengths) > 1 or max(lengths) >= _MAX_COLUMNS:
        raise InputError(f"{path}: the Datum rows have unequal or absurd lengths; copy or save the file again")
    try:
        return np.array([np.array([float(word) for word in text.split(",")]) for text in texts])
    except ValueError as error:
        raise InputError(f"{path}: a Datum holds {one_line(error, 60)}; save the file again") from error


def _axes(route: Element) -> list[Element]:
    axes = route.find("ScanInformation/ScanAxes")
    return [] if axes is None else list(axes.findall("ScanAxisInfo"))


def _fixed_detector(route: Element, counts: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Give the pattern of a detector that stands still: one Datum with a count for every channel."""
    for axis in _axes(route):
        start, step = number(axis.findtext("Start")), number(axis.findtext("Increment"))
        if axis.get("AxisName") == "TwoTheta" and len(counts) == 1 and start is not None and step:
            return start + step * np.arange(counts.shape[1]), counts[0]
    return None, counts[0]


def _described(root: Element, route: Element) -> dict[str, str]:
    information = route.find("ScanInformation")
    found = {"scan_axis": "" if information is None else information.get("VisibleName", "")}
    for item in root.iter("InfoItem"):
        if item.get("Name") == "SampleName":
            found["sample"] = item.get("Value", "")
    return {key: one_line(value) for key, value in found.items() if value}


def _drives(root: Element, route: Element) -> dict[str, float]:
    """Give where the drives stand, and where those start that move with 2-theta."""
    found = {}
    for axis in _axes(route):
        if (start := number(axis.findtext("Start"))) is not None and axis.get("AxisName") != "TwoTheta":
            found[axis.get("AxisName", "")] = start
    for drive in root.iterfind("FixedInformation/Drives/InfoData"):
        position = drive.find("Position")
        value = None if position is None else number(position.get("Value"))
        if value is not None:
            found[drive.get("LogicName", "")] = value
    return found


def _source(root: Element) -> Source:
    """Read the tube; the instrument's monochromator, where it lets K-alpha1 alone through, is not said there."""

    def value(tag: str) -> float | None:
        element = root.find(f".//{tag}")
        return None if element is None else number(element.get("Value"))

    anode = root.findtext(".//TubeMaterial") or ""
    return said_in_fields("brml", anode, value("WaveLengthAlpha1"), value("WaveLengthRatio"))
