"""What `hea loop` does; it returns the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
