"""The reports of `hea classify` and `hea segment`: one page with a table and a figure for each input."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from hea_sim.documents import to_jsonable
from hea_sim.records import Micrograph, PatternCall, Segmentation
from hea_vision.batch import BatchResult
from hea_vision.report.figures import micrograph_figure, pattern_figure, to_data_uri
from hea_vision.report.text import count_text

#: Figures on one page; more would make it too heavy to open.
MOST_FIGURES = 60


def render_patterns(result: BatchResult, calls: Mapping[str, PatternCall]) -> str:
    """Render the page of a batch of patterns."""
    rows = [
        {
            "input": row["input"],
            "found": " + ".join(p["name"] for p in row["phases"]) if row["in_scope"] else "refused",
            "note": row["reason"] or " | ".join("+".join(s) for s in row["prediction_sets"]),
        }
        for row in result.results
    ]
    figures = [
        (name, to_data_uri(pattern_figure(call), dpi=110))
        for name, call in list(calls.items())[:MOST_FIGURES]
        if call.curves
    ]
    return _render("Diffraction patterns", rows, figures, result)


def render_micrographs(result: BatchResult, images: Mapping[str, tuple[Micrograph, Segmentation]]) -> str:
    """Render the page of a batch of micrographs."""
    rows = [
        {
            "input": row["input"],
            "found": ", ".join(count_text(name, n) for name, n in row["objects"].items() if n) or "matrix alone",
            "note": ", ".join(f"{name} {100 * f['value']:.2f} % of the area" for name, f in row["fractions"].items()),
        }
        for row in result.results
    ]
    figures = [
        (name, to_data_uri(micrograph_figure(*pair), dpi=110)) for name, pair in list(images.items())[:MOST_FIGURES]
    ]
    return _render("Micrographs", rows, figures, result)


def _render(
    title: str, rows: Sequence[Mapping[str, Any]], figures: Sequence[tuple[str, str]], result: BatchResult
) -> str:
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("hea_vision.report").joinpath("batch.html.j2").read_text(encoding="utf-8"))
    return template.render(
        title=title,
        rows=rows,
        figures=figures,
        failures=result.failures,
        reused=result.reused,
        provenance=json.dumps(to_jsonable(result.provenance), indent=1),
    )
