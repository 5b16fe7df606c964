"""PANalytical .xrdml: one scan out of the XML, without entities or document types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io._files import one_line
from hea_vision.io.radiation import Source, line_of, radiation_name

_MAX_DEPTH = 64


def read_xrdml(path: Path, raw: bytes) -> tuple[np.ndarray, np.ndarray, Source, Mapping[str, Any]]:
    """Read angles, intensities, radiation and metadata of the first 2-theta scan in the file.

    Raw `counts` are multiplied by the beam attenuation factors where the file has them; `intensities` are
    already corrected by the instrument software.
    """
    root = parse_xml(path, raw)
    if root.tag != "xrdMeasurements":
        raise InputError(
            f"{path}: the XML starts with <{one_line(root.tag, 40)}>, wanted <xrdMeasurements>; export it as .xrdml"
        )
    scans = [(measurement, scan) for measurement in root.iter("xrdMeasurement") for scan in measurement.iter("scan")]
    usable = [pair for pair in scans if _moves(pair[1])]
    if not usable:
        axes = sorted({scan.get("scanAxis", "?") for _, scan in scans})
        raise InputError(
            f"{path}: no scan along 2-theta ({len(scans)} scans, axes: {one_line(', '.join(axes)) or 'none'})"
            "; export a 2-theta scan"
        )
    measurement, scan = usable[0]
    y, unit = _intensities(path, scan)
    x = _angles(path, scan, y.size)
    metadata: dict[str, Any] = {
        "format": "xrdml",
        "scan_axis": scan.get("scanAxis", ""),
        "status": scan.get("status", ""),
        "unit": unit,
    }
    if len(scans) > 1:
        metadata["scans_note"] = f"{len(scans)} scans in the file; the first along 2-theta is used"
    if name := measurement.findtext(".//sample/name") or root.findtext("sample/name"):
        metadata["sample"] = one_line(name)
    return x, y, _radiation(measurement), metadata


def parse_xml(path: Path, raw: bytes) -> Element:
    """Parse XML into elements whose tags have no namespace; refuse document types and entities."""
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise InputError(f"{path}: the XML is nested over {_MAX_DEPTH} deep; export the scan again")
        builder.start(tag.rpartition("}")[2], attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag.rpartition("}")[2])

    def refuse(*_: object) -> None:
        raise InputError(f"{path}: the XML declares a document type or entities; remove them")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(raw, True)
        return builder.close()
    except InputError:
        raise
    except (expat.ExpatError, LookupError, ValueError, AssertionError) as error:
        raise InputError(
            f"{path}: is no complete XML ({one_line(error)}); copy or export the .xrdml file again"
        ) from error


def _two_theta(scan: Element) -> Iterator[Element]:
    return (p for p in scan.iter("positions") if p.get("axis") == "2Theta")


def _moves(scan: Element) -> bool:
    """Tell whether 2-theta changes along a scan."""
    return any(p.find("startPosition") is not None or p.find("listPositions") is not None for p in _two_theta(scan))


def _numbers(path: Path, element: Element | None, what: str) -> np.ndarray:
    text = "" if element is None or element.text is None else element.text
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise InputError(f"{path}: {what} holds {one_line(error, 60)}; export the scan again") from error
    if not values.size:
        raise InputError(f"{path}: {what} is missing or empty; was the scan aborted? Export it again")
    return values


def _intensities(path: Path, scan: Element) -> tuple[np.ndarray, str]:
    """Give corrected intensities and their unit."""
    corrected = next(scan.iter("intensities"), None)
    if corrected is not None:
        return _numbers(path, corrected, "<intensities>"), corrected.get("unit", "counts")
    counts = next(scan.iter("counts"), None)
    values = _numbers(path, counts, "<counts>")
    unit = "counts" if counts is None else counts.get("unit", "counts")
    attenuation = next(scan.iter("beamAttenuationFactors"), None)
    if attenuation is None:
        return values, unit
    factors = _numbers(path, attenuation, "<beamAttenuationFactors>")
    if factors.size not in (1, values.size):
        raise InputError(f"{path}: {factors.size} attenuation factors for {values.size} counts; export the scan again")
    return values * factors, unit


def _angles(path: Path, scan: Element, n: int) -> np.ndarray:
    """Give the 2-theta of every point, from the ends or from a list."""
    positions = next(p for p in _two_theta(scan) if len(p))
    if positions.get("unit", "deg") != "deg":
        raise InputError(f"{path}: 2-theta is in {positions.get('unit')!r}, wanted 'deg'; export it so")
    listed = positions.find("listPositions")
    if listed is not None:
        angles = _numbers(path, listed, "<listPositions>")
        if angles.size != n:
            raise InputError(f"{path}: {angles.size} angles for {n} intensities; export the scan again")
        return angles
    ends = [_numbers(path, positions.find(tag), f"<{tag}>")[0] for tag in ("startPosition", "endPosition")]
    if not np.isfinite(ends).all():
        raise InputError(f"{path}: 2-theta runs from {ends[0]} to {ends[1]}, wanted degrees; export it again")
    return np.linspace(ends[0], ends[1], n)


def _radiation(measurement: Element) -> Source:
    """Read the anode and the intended wavelength; a doublet unless the file says that K-alpha2 is off."""
    used = measurement.find(".//usedWavelength")
    lines = {} if used is None else {child.tag: _number(child.text) for child in used}
    intended = "" if used is None else used.get("intended", "")
    if intended == "K-Beta" and lines.get("kBeta"):
        return Source(wavelength_A=lines["kBeta"], notes={"radiation_from": "xrdml K-Beta"})
    first, ratio = lines.get("kAlpha1"), lines.get("ratioKAlpha2KAlpha1")
    if first and intended == "K-Alpha 1" and ratio == 0:
        return Source(wavelength_A=first, notes={"radiation_from": "xrdml K-Alpha 1 without K-Alpha 2"})
    anode = (measurement.findtext(".//anodeMaterial") or "").strip()
    if anode:
        try:
            return Source(radiation=radiation_name(anode), notes={"radiation_from": "xrdml anodeMaterial"})
        except KeyError:  # an anode whose lines are not tabled: its wavelength is then used
            pass
    if first and (name := line_of(first)):
        return Source(radiation=name, notes={"radiation_from": "xrdml kAlpha1"})
    return Source(wavelength_A=first, notes={"radiation_from": "xrdml kAlpha1"}) if first else Source()


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < 10 else None
