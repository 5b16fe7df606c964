"""The report of a loop: one HTML page that needs no other file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hea_sim.documents import to_jsonable
from hea_sim.records import Phase
from hea_vision.report.figures import micrograph_figure, pattern_figure, simulation_figure, to_data_uri
from hea_vision.report.text import format_estimate, format_sets, measured_text, predicted_text

if TYPE_CHECKING:
    from hea_vision.loop import LoopResult

VERDICTS = ("agree", "disagree", "inconclusive", "assumed")


def render_loop(result: LoopResult) -> str:
    """Render a loop's result as a self-contained HTML page."""
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["estimate"] = format_estimate
    environment.filters["sets"] = format_sets
    environment.filters["measured"] = measured_text
    environment.filters["predicted"] = predicted_text
    template = environment.from_string(files("hea_vision.report").joinpath("loop.html.j2").read_text(encoding="utf-8"))
    expected = result.expected
    simulation = expected.simulation if expected else None
    # Synthetic evidence shares its model with the simulation, but the curve is still worth seeing.
    return template.render(
        result=result,
        campaign=result.campaign,
        expected=expected,
        simulation=simulation,
        counts={v: sum(c.verdict == v for c in result.claims) for v in VERDICTS},
        patterns=[
            (name, call, to_data_uri(pattern_figure(call, simulation)) if call.curves else "", _phase_rows(call.phases))
            for name, call in result.calls.items()
        ],
        images=[
            (name, labels, to_data_uri(micrograph_figure(image, labels)))
            for name, (image, labels) in result.images.items()
        ],
        simulation_figure=to_data_uri(simulation_figure(simulation)) if simulation else "",
        provenance=json.dumps(to_jsonable(result.provenance), indent=1),
    )


def _phase_rows(phases: Sequence[Phase]) -> list[dict[str, Any]]:
    return [
        {
            "name": p.name,
            "probability": f"{p.probability:.3f}",
            "lattice": ", ".join(f"{axis} = {format_estimate(e)}" for axis, e in p.lattice_A.items()) or "–",
            "weight": format_estimate(p.weight_fraction),
            "explained": f"{100 * p.explained_fraction:.0f} %" if p.explained_fraction is not None else "–",
        }
        for p in phases
    ]
