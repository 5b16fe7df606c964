"""XML without entities, document types or namespaces: what the readers of instrument files share."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io._files import one_line

_MAX_DEPTH = 64
_MAX_ELEMENTS = 2_000_000
_MAX_NUMBERS_BYTES = 16 * 2**20


def parse_xml(path: Path, raw: bytes) -> Element:
    """Parse XML into elements whose tags have no namespace; refuse document types and entities."""
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    depth = elements = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, elements
        depth += 1
        elements += 1
        if elements > _MAX_ELEMENTS:
            raise InputError(f"{path}: the XML holds over {_MAX_ELEMENTS} elements; export single scans")
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
        raise InputError(f"{path}: is no complete XML ({one_line(error)}); copy or export the file again") from error


def numbers(path: Path, element: Element | None, what: str) -> np.ndarray:
    """Read the white-space separated numbers (n,) of an element; at least one."""
    text = "" if element is None or element.text is None else element.text
    if len(text) > _MAX_NUMBERS_BYTES:
        raise InputError(f"{path}: {what} is over {_MAX_NUMBERS_BYTES // 2**20} MB long, no scan is; export it again")
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise InputError(f"{path}: {what} holds {one_line(error, 60)}; export the scan again") from error
    if not values.size:
        raise InputError(f"{path}: {what} is missing or empty; was the scan aborted? Export it again")
    return values


def number(text: str | None) -> float | None:
    """Read one finite number, None where the text is none.

    >>> number(" 1.5 "), number("unknown"), number("nan")
    (1.5, None, None)
    """
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if np.isfinite(value) else None
