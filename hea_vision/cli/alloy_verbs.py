"""What the verbs of alloys and specimens do: the loop, prediction, suggestion. Each returns the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hea_sim.documents import document, to_jsonable, versions
from hea_sim.errors import HEAError, InputError, one_line_error
from hea_sim.records import Provenance
from hea_vision.cli.printing import print_json, print_table, report_failures, say


def loop(folder: Path, out: Path, config: Path | None, flags: Mapping[str, Any], json: bool) -> int:
    """Run the loop on a folder; flags win over its campaign."""
    from hea_vision.loop import loop_document, run_loop
    from hea_vision.report.text import measured_text, predicted_text

    result = run_loop(folder, out, config=config, say=(lambda _: None) if json else say, **flags)
    if json:
        print_json(loop_document(result))
    else:
        rows = [(c.claim, measured_text(c), predicted_text(c), c.verdict) for c in result.claims]
        print_table(
            f"{result.campaign.name}: {result.campaign.alloy}", ("claim", "measured", "expected", "verdict"), rows
        )
        if result.suggestions:
            print(f"next: {result.suggestions[0].formula}: {result.suggestions[0].reason}")
        print(f"report: {out / 'report.html'}")
    return report_failures(result.failures)


def predict(alloys: Sequence[str], json: bool) -> int:
    """Print a first opinion on compositions."""
    from hea_sim.forecasting import forecast
    from hea_vision.report.text import format_estimate, format_sets

    found, failures = [], []
    for alloy in alloys:
        try:
            found.append(
                forecast(alloy, equilibration_temperature_K=298.0, measurement_temperature_K=298.0, simulate=False)
            )
        except HEAError as error:
            failures.append({"input": alloy, "error": one_line_error(error)})
    if not found:
        raise InputError(failures[0]["error"])
    if json:
        rows = [{"input": f.alloy, **to_jsonable(f)} for f in found]
        print_json(document(rows, failures, Provenance(versions=versions())))
        return report_failures(failures)
    shown = [
        (f.alloy, format_sets(f.phase_sets), _lattices(f), format_estimate(f.volume_A3), f.volume_source) for f in found
    ]
    print_table("", ("alloy", "phases at 99 %", "lattice parameter", "volume", "from"), shown)
    for f in found:
        for note in f.notes:
            print(f"{f.alloy}: {note}")
    return report_failures(failures)


def _lattices(expected: Any) -> str:
    from hea_vision.report.text import format_estimate

    singles = [s[0] for s in expected.phase_sets if len(s) == 1 and s[0] in ("A1", "A2")]
    return ", ".join(f"{s}: {format_estimate(expected.lattice_parameter(s))}" for s in singles) or "–"


def suggest(alloy: str, n: int, json: bool) -> int:
    """Print neighbouring compositions worth making."""
    from hea_sim.properties import suggest_next

    found = suggest_next(alloy, n=n)
    if json:
        rows = [{"input": alloy, **to_jsonable(s)} for s in found]
        print_json(document(rows, [], Provenance(versions=versions())))
    else:
        print_table(f"after {alloy}", ("composition", "why"), [(s.formula, s.reason) for s in found])
        if not found:
            print(f"no neighbour of {alloy} lies inside the domain of the rules (alloys of four or more metals)")
    return 0
