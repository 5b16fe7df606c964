"""The report of a loop: one HTML page that needs no other file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hea_sim.documents import to_jsonable
from hea_vision.report.alloy_prediction import learnt_text, opinions_section, prediction_section, suggestion_rows
from hea_vision.report.cell_picture import cell_figure
from hea_vision.report.eds_plot import segregation_figure
from hea_vision.report.figures import micrograph_figure, ordering_figure, simulation_figure, to_data_uri
from hea_vision.report.pattern_plot import pattern_figure
from hea_vision.report.relaxed_cell import relaxed_cell_section
from hea_vision.report.sections import pattern_section
from hea_vision.report.templates import load_template

if TYPE_CHECKING:
    from hea_sim.records import Micrograph
    from hea_vision.loop import LoopResult

VERDICTS = ("agree", "disagree", "inconclusive", "assumed")


def render_loop(result: LoopResult) -> str:
    """Render a loop's result as a self-contained HTML page."""
    expected = result.expected
    simulation = expected.simulation if expected else None
    # Synthetic evidence shares its model with the simulation, but the curve is still worth seeing.
    return load_template("loop.html.j2").render(
        result=result,
        campaign=result.campaign,
        expected=expected,
        simulation=simulation,
        counts={v: sum(c.verdict == v for c in result.claims) for v in VERDICTS},
        patterns=[
            (
                name,
                pattern_section(to_jsonable(call)),
                to_data_uri(pattern_figure(call, simulation)) if call.curves else "",
            )
            for name, call in result.calls.items()
        ],
        images=[
            (name, labels, to_data_uri(micrograph_figure(image, labels)), result.measurements.get(name))
            for name, (image, labels) in result.images.items()
        ],
        cell_figure=to_data_uri(cell_figure(simulation, _first_micrograph(result))) if simulation else "",
        segregation=[(found, to_data_uri(segregation_figure(found))) for found in result.segregation.values()],
        relaxed=relaxed_cell_section(expected, result.campaign.measurement_temperature_K) if expected else None,
        simulation_figure=to_data_uri(simulation_figure(simulation)) if simulation else "",
        ordering_figure=to_data_uri(ordering_figure(expected.ordering)) if expected and expected.ordering else "",
        prediction=prediction_section(expected.prediction) if expected else None,
        relearnt=prediction_section(result.relearnt),
        learnt=[learnt_text(alloy) for alloy in result.learnt],
        opinions=opinions_section(result.opinions),
        suggested=suggestion_rows(result.suggestions),
        provenance=json.dumps(to_jsonable(result.provenance), indent=1),
    )


def _first_micrograph(result: LoopResult) -> Micrograph | None:
    return next((image for image, _ in result.images.values()), None)
