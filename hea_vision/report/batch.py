"""The report of `hea classify`: one page with a table, and a figure for each input."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hea_sim.documents import to_jsonable
from hea_vision.batch import BatchResult
from hea_vision.report.figures import png_uri
from hea_vision.report.sections import pattern_section, sets_in_short
from hea_vision.report.templates import load_template
from hea_vision.report.text import set_text

#: Figures inside one page; more would make it too heavy to open, so they stay files beside it.
MOST_FIGURES = 60


def render_patterns(result: BatchResult, out: Path) -> str:
    """Render the page of a batch of patterns, whose figures lie in `out`."""
    fast = any("probabilities" in row for row in result.results)
    rows = [_fast_line(row) if fast else _pattern_line(row) for row in result.results]
    sections = [] if fast else _sections(result.results, out, pattern_section)
    lead = f"{result.results[0]['method']}." if fast else ""
    return _render("Diffraction patterns", rows, sections, result, lead=lead)


def _pattern_line(row: Mapping[str, Any]) -> dict[str, str]:
    sets = sets_in_short(row["prediction_sets"], most=6)
    return {
        "input": row["input"],
        "found": set_text([p["name"] for p in row["phases"]]) if row["in_scope"] else "refused",
        "note": row["reason"] or f"possible at {100 * row['set_level']:g} %: {sets}",
    }


def _fast_line(row: Mapping[str, Any]) -> dict[str, str]:
    ranked = sorted(row["probabilities"].items(), key=lambda item: -item[1])[:6]
    likely = [name for name, p in ranked if p >= 0.5]
    return {
        "input": row["input"],
        "found": f"likely: {', '.join(likely)}" if likely else "no type is likely",
        "note": ", ".join(f"{name} {p:.3f}" for name, p in ranked),
    }


def _sections(
    rows: Sequence[Mapping[str, Any]], out: Path, write: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> list[tuple[dict[str, Any], str]]:
    """Join what is said of each input to its figure: inside the page, or by its place in the folder."""
    sections = []
    for number, row in enumerate(rows):
        place = row.get("figure", "")
        inside = bool(place) and number < MOST_FIGURES
        figure = png_uri((out / place).read_bytes()) if inside else quote(place, errors="surrogateescape")
        sections.append((write(row), figure))
    return sections


def _render(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    sections: Sequence[tuple[Mapping[str, Any], str]],
    result: BatchResult,
    *,
    lead: str = "",
) -> str:
    return load_template("batch.html.j2").render(
        title=title,
        lead=lead,
        rows=rows,
        sections=sections,
        failures=result.failures,
        reused=result.reused,
        provenance=json.dumps(to_jsonable(result.provenance), indent=1),
    )
