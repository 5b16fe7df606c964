"""Rigaku SmartLab and MiniFlex files: .ras (text) and .rasx (zip of profiles and their conditions)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io._archives import Archive
from hea_vision.io._files import decode_text, one_line
from hea_vision.io._scans import Scan, checked_count, counts_entry
from hea_vision.io._xml import number, parse_xml
from hea_vision.io.radiation import Source, said_in_fields

_ENTRY = re.compile(r'\*(\S+)\s+"(.*)"?\s*$')
_PROFILE = re.compile(r"(?:^|/)Data(\d+)/Profile(\d+)\.txt$", re.IGNORECASE)


def read_ras(path: Path, raw: bytes) -> list[Scan]:
    """Read every 2-theta scan of a .ras file: *KEY "value" headers, then rows of angle, intensity, attenuation."""
    scans: list[Scan] = []
    header: dict[str, str] = {}
    rows: list[str] | None = None
    lines = decode_text(path, raw).splitlines()
    if not any(line.startswith("*RAS_") for line in lines[:50]):
        raise InputError(f"{path}: has no *RAS_ marks at its head, wanted a Rigaku .ras file; export it again")
    for line in lines:
        line = line.strip()
        if line == "*RAS_HEADER_START":
            header = {}
        elif line == "*RAS_INT_START":
            rows = []
        elif line == "*RAS_INT_END" and rows is not None:
            scans.append(_ras_scan(path, header, rows))
            rows = None
        elif rows is not None and line and not line.startswith("#"):
            rows.append(line)
        elif rows is None and (match := _ENTRY.match(line)):
            header[match[1]] = match[2].rstrip('"')
    if rows is not None:  # no end mark: still whole where every declared row is there
        if len(rows) != number(header.get("MEAS_DATA_COUNT")):
            raise InputError(
                f"{path}: ends within a scan ({len(rows)} rows of {one_line(header.get('MEAS_DATA_COUNT', '?'), 20)});"
                " copy or export the file again"
            )
        scans.append(_ras_scan(path, header, rows))
    return _along_two_theta(path, scans)


def _ras_scan(path: Path, header: Mapping[str, str], rows: Sequence[str]) -> Scan:
    values = _table(path, rows)
    metadata = {
        "format": "ras",
        "scan_axis": header.get("MEAS_SCAN_AXIS_X_INTERNAL") or header.get("MEAS_SCAN_AXIS_X", ""),
        "unit": header.get("MEAS_SCAN_UNIT_Y", ""),
        "sample": header.get("FILE_SAMPLE", ""),
        "counting_time_s": _seconds(
            header.get("MEAS_SCAN_MODE"),
            header.get("MEAS_SCAN_STEP"),
            header.get("MEAS_SCAN_SPEED"),
            header.get("MEAS_SCAN_SPEED_UNIT"),
        ),
    }
    source = _source(
        "ras",
        header.get("HW_XG_TARGET_NAME", ""),
        number(header.get("HW_XG_WAVE_LENGTH_ALPHA1")),
        header.get("MEAS_COND_XG_WAVE_TYPE", ""),
    )
    conditions = {}
    for key, text in header.items():
        if key.startswith("MEAS_COND_AXIS_POSITION-") and (value := number(text)) is not None:
            name = header.get(key.replace("POSITION", "NAME"), key)
            conditions[name] = value
    return _scan(values, metadata, source, _standing(conditions))


def read_rasx(path: Path, raw: bytes) -> list[Scan]:
    """Read every 2-theta scan of a .rasx archive, in the order of its Data folders."""
    archive = Archive(path, raw)
    found = sorted((int(m[1]), int(m[2]), name) for name in archive.names if (m := _PROFILE.search(name)))
    checked_count(path, len(found))
    if not found:
        raise InputError(f"{path}: holds no Data/Profile text, wanted a measured scan; save it again as .rasx")
    return _along_two_theta(path, [_rasx_scan(path, archive, name) for _, _, name in found])


def _rasx_scan(path: Path, archive: Archive, name: str) -> Scan:
    rows = [line for line in decode_text(path, archive.read(name)).splitlines() if line.strip()]
    values = _table(path, rows)
    # The member is really spelled without its first n.
    conditions_name = re.sub(r"Profile(\d+)\.txt$", r"MesurementConditions\1.xml", name, flags=re.IGNORECASE)
    root = parse_xml(path, archive.read(conditions_name))

    def said(tag: str) -> str:
        return (root.findtext(f".//{tag}") or "").strip()

    metadata = {
        "format": "rasx",
        "scan_axis": said("ScanInformation/AxisName"),
        "unit": said("ScanInformation/IntensityUnit"),
        "sample": said("SampleName"),
        "counting_time_s": _seconds(
            said("ScanInformation/Mode"),
            said("ScanInformation/Step"),
            said("ScanInformation/Speed"),
            said("ScanInformation/SpeedUnit"),
        ),
    }
    source = _source("rasx", said("TargetName"), number(said("WavelengthKalpha1")), said("WaveType"))
    return _scan(values, metadata, source, _standing(_axis_positions(root)))


def _axis_positions(root: Element) -> dict[str, float]:
    found = {axis.get("Name", ""): number(axis.get("Position")) for axis in root.iter("Axis")}
    return {name: value for name, value in found.items() if value is not None}


def _standing(positions: Mapping[str, float]) -> dict[str, float]:
    """Keep the drives that tilt, turn or heat the specimen; slits and coupled angles tell no scans apart."""
    wanted = re.compile(r"chi|phi|psi|alpha|beta|temp|^omega$|^rx$|^ry$|^[xyz]$", re.IGNORECASE)
    return {name: value for name, value in positions.items() if wanted.search(name)}


def _table(path: Path, rows: Sequence[str]) -> np.ndarray:
    """Read rows of angle, intensity and perhaps attenuation into (n, 3)."""
    values = np.ones((len(rows), 3))
    for i, row in enumerate(rows):
        words = row.lstrip("\ufeff").split()
        try:
            values[i, : len(words)] = [float(word) for word in words]
        except ValueError as error:
            raise InputError(
                f"{path}: row {i + 1} of a scan is {one_line(row, 40)!r}, wanted angle, intensity and attenuation;"
                " export the file again"
            ) from error
        if len(words) < 2:
            raise InputError(f"{path}: row {i + 1} of a scan has {len(words)} numbers, wanted 2 or 3; export it again")
    return values


def _scan(values: np.ndarray, metadata: dict[str, Any], source: Source, conditions: Mapping[str, float]) -> Scan:
    """Undo the attenuation and say what the intensities are."""
    unattenuated = bool((values[:, 2] == 1).all())
    with np.errstate(over="ignore", invalid="ignore"):
        y = values[:, 1] * values[:, 2]
    if not unattenuated:
        metadata["attenuation_note"] = "intensities are multiplied by the attenuation factors of the file"
    metadata = {key: one_line(v) if isinstance(v, str) else v for key, v in metadata.items() if v not in ("", None)}
    said_counts = unattenuated and str(metadata.get("unit", "")).lower() == "counts"
    return Scan(
        x=values[:, 0],
        y=y,
        source=source,
        conditions=conditions,
        metadata={**metadata, **counts_entry(y, said_counts)},
    )


def _along_two_theta(path: Path, scans: list[Scan]) -> list[Scan]:
    """Keep the scans along 2-theta; a file that does not name its axis is taken at its word."""
    kept = [s for s in scans if str(s.metadata.get("scan_axis", "TwoTheta")).lower().startswith(("twotheta", "2theta"))]
    if not kept:
        axes = sorted({str(s.metadata.get("scan_axis")) for s in scans})
        raise InputError(
            f"{path}: no scan along 2-theta ({len(scans)} scans, axes: {one_line(', '.join(axes), 80) or 'none'});"
            " export a 2-theta scan"
        )
    return kept


def _source(format_name: str, anode: str, alpha1_A: float | None, wave_type: str) -> Source:
    """Tell a tube's doublet from the K-alpha1 of a crystal monochromator, as the file says."""
    single = wave_type.strip().lower() in ("ka1", "kalpha1", "k-alpha1")
    return said_in_fields(format_name, anode, alpha1_A, 0.0 if single else None)


def _seconds(mode: str | None, step: str | None, speed: str | None, unit: str | None) -> float | None:
    """Find the counting time of a point from the speed: degrees a minute, or seconds a step."""
    size, rate, unit = number(step), number(speed), (unit or "").strip().lower()
    if rate is None or rate <= 0:
        return None
    if unit in ("sec", "s", "sec/step"):
        return rate
    if unit == "deg/min" and size and (mode or "").upper() == "CONTINUOUS":
        return 60 * abs(size) / rate
    return None
