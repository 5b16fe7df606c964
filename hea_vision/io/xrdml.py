"""PANalytical .xrdml: the 2-theta scans out of the XML, without entities or document types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io._files import one_line
from hea_vision.io._scans import Scan, checked_count, counts_entry
from hea_vision.io._xml import number, numbers, parse_xml
from hea_vision.io.radiation import Source, said_in_fields


def read_xrdml(path: Path, raw: bytes) -> list[Scan]:
    """Read angles, intensities, radiation and metadata of every 2-theta scan in the file.

    Raw `counts` are multiplied by the beam attenuation factors where the file has them; `intensities` are
    already corrected by the instrument software.
    """
    root = parse_xml(path, raw)
    if root.tag != "xrdMeasurements":
        raise InputError(
            f"{path}: the XML starts with <{one_line(root.tag, 40)}>, wanted <xrdMeasurements>; export it as .xrdml"
        )
    scans = [(measurement, scan) for measurement in root.iter("xrdMeasurement") for scan in measurement.iter("scan")]
    checked_count(path, len(scans))
    usable = [pair for pair in scans if _moves(pair[1])]
    if not usable:
        axes = sorted({scan.get("scanAxis", "?") for _, scan in scans})
        raise InputError(
            f"{path}: no scan along 2-theta ({len(scans)} scans, axes: {one_line(', '.join(axes)) or 'none'})"
            "; export a 2-theta scan"
        )
    sample = root.findtext("sample/name") or ""
    found = [_scan(path, measurement, scan, sample) for measurement, scan in usable]
    if (left_out := len(scans) - len(usable)) > 0:
        note = f"{len(scans)} scans in the file, {left_out} not along 2-theta are left out"
        found = [Scan(**{**vars(scan), "metadata": {**scan.metadata, "scans_note": note}}) for scan in found]
    return found


def _scan(path: Path, measurement: Element, scan: Element, sample: str) -> Scan:
    y, unit, is_raw = _intensities(path, scan)
    metadata: dict[str, Any] = {
        "format": "xrdml",
        "scan_axis": scan.get("scanAxis", ""),
        "status": scan.get("status", ""),
        "unit": unit,
        **counts_entry(y, is_raw and unit == "counts"),
    }
    if time := number(scan.findtext(".//commonCountingTime")):
        metadata["counting_time_s"] = time
    if name := measurement.findtext(".//sample/name") or sample:
        metadata["sample"] = one_line(name)
    return Scan(
        x=_angles(path, scan, y.size),
        y=y,
        source=_radiation(measurement),
        conditions=_conditions(scan),
        metadata=metadata,
    )


def _two_theta(scan: Element) -> Iterator[Element]:
    return (p for p in scan.iter("positions") if p.get("axis") == "2Theta")


def _moves(scan: Element) -> bool:
    """Tell whether 2-theta changes along a scan."""
    return any(p.find("startPosition") is not None or p.find("listPositions") is not None for p in _two_theta(scan))


def _conditions(scan: Element) -> dict[str, float]:
    """Give the axes that stand still, where omega and 2-theta begin, and the temperature of the scan."""
    found = {}
    for positions in scan.iter("positions"):
        name = positions.get("axis", "")
        text = positions.findtext("commonPosition") or positions.findtext("startPosition")
        if name != "2Theta" and (value := number(text)) is not None:
            found[name] = value
    for values in scan.iter("nonAmbientValues"):
        words = [number(word) for word in (values.text or "").split()]
        if known := [word for word in words if word is not None]:
            found[values.get("type", "temperature")] = float(np.mean(known))
    return found


def _intensities(path: Path, scan: Element) -> tuple[np.ndarray, str, bool]:
    """Give corrected intensities, their unit, and whether they are as the detector counted them."""
    corrected = next(scan.iter("intensities"), None)
    attenuation = next(scan.iter("beamAttenuationFactors"), None)
    if corrected is not None:
        unit = corrected.get("unit", "counts")
        return numbers(path, corrected, "<intensities>"), unit, attenuation is None
    counts = next(scan.iter("counts"), None)
    values = numbers(path, counts, "<counts>")
    unit = "counts" if counts is None else counts.get("unit", "counts")
    if attenuation is None:
        common = number(scan.findtext(".//commonBeamAttenuationFactor"))
        return (values, unit, True) if common in (None, 0.0, 1.0) else (values * common, unit, False)
    factors = numbers(path, attenuation, "<beamAttenuationFactors>")
    if factors.size not in (1, values.size):
        raise InputError(f"{path}: {factors.size} attenuation factors for {values.size} counts; export the scan again")
    return values * factors, unit, bool((factors == 1).all())


def _angles(path: Path, scan: Element, n: int) -> np.ndarray:
    """Give the 2-theta of every point, from the ends or from a list."""
    positions = next(p for p in _two_theta(scan) if len(p))
    if positions.get("unit", "deg") != "deg":
        raise InputError(f"{path}: 2-theta is in {positions.get('unit')!r}, wanted 'deg'; export it so")
    listed = positions.find("listPositions")
    if listed is not None:
        angles = numbers(path, listed, "<listPositions>")
        if angles.size != n:
            raise InputError(f"{path}: {angles.size} angles for {n} intensities; export the scan again")
        return angles
    ends = [numbers(path, positions.find(tag), f"<{tag}>")[0] for tag in ("startPosition", "endPosition")]
    if not np.isfinite(ends).all():
        raise InputError(f"{path}: 2-theta runs from {ends[0]} to {ends[1]}, wanted degrees; export it again")
    return np.linspace(ends[0], ends[1], n)


def _radiation(measurement: Element) -> Source:
    """Read the anode and the intended wavelength; a doublet unless the file says that K-alpha2 is off."""
    used = measurement.find(".//usedWavelength")
    lines = {} if used is None else {child.tag: number(child.text) for child in used}
    intended = "" if used is None else used.get("intended", "")
    beta = lines.get("kBeta")
    if intended == "K-Beta" and beta and 0.05 < beta < 5:
        return Source(wavelength_A=beta, notes={"radiation_from": "xrdml K-Beta"})
    share = lines.get("ratioKAlpha2KAlpha1") if intended == "K-Alpha 1" else None
    return said_in_fields("xrdml", measurement.findtext(".//anodeMaterial") or "", lines.get("kAlpha1"), share)
