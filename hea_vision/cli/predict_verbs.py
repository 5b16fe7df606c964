"""What `hea predict` does: alloys one by one, a table of them, or a map of three or four elements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.documents import document, versions, write_csv, write_json
from hea_sim.errors import HEAError, InputError, one_line_error
from hea_sim.records import Provenance
from hea_vision.batch import make_folder
from hea_vision.cli.printing import print_json, print_table, report_failures, say

if TYPE_CHECKING:
    from hea_sim.properties.predictor import TablePredictor

#: Known alloys that are shown for each prediction; the document holds all.
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    """Hold what is asked of every alloy of a call; `exclude` is forgotten first."""

    exclude: tuple[str, ...] = ()
    processing: str = "other"
    temperature_K: float = 298.15
    level: float = 0.9

    def predictor(self) -> TablePredictor:
        """Fit the predictor."""
        from hea_sim.properties.alloy_text import read_alloy
        from hea_sim.properties.lessons import unknown_alloys
        from hea_sim.properties.predictor import load_predictor

        alloys = tuple(read_alloy(text)[0] for text in self.exclude)
        for alloy in unknown_alloys(alloys):
            say(f"--exclude {alloy.formula}: the tables hold no alloy within 0.4 at.% of it; nothing to forget")
        return load_predictor(exclude=alloys)

    def provenance(self) -> Provenance:
        """Say what a result came from."""
        from hea_sim.properties.lessons import MODEL
        from hea_sim.registry.cards import load_card

        card = load_card(MODEL)
        return Provenance(model_sha256={MODEL: card.arrays_sha256}, versions=versions(), settings=asdict(self))


def predict(
    formulas: Sequence[str],
    settings: PredictSettings,
    *,
    table: Path | None,
    map_of: str | None,
    out: Path | None,
    json: bool,
) -> int:
    """Predict alloys by formula, a whole table of them, or a map; the last two into a folder."""
    if table is not None and map_of is not None:
        raise InputError("--table and --map in one call; wanted one of them")
    if map_of is not None and formulas:
        raise InputError(f"--map {map_of} and the alloy {formulas[0]} in one call; wanted one of them")
    if (table is not None or map_of is not None) and out is None:
        raise InputError("--table and --map write files; name their folder with --out")
    if out is not None:
        make_folder(out)
        if table is not None:
            return _predict_table(formulas, settings, table, out, json)
        if map_of is not None:
            return _draw_map(map_of, settings, out, json)
    read, failures = _read(formulas)
    if not read:
        raise InputError(failures[0]["error"] if failures else "no alloy given; wanted formulas such as Al0.5CoCrFeNi")
    from hea_vision.jobs.predict import prediction_row

    found = settings.predictor().predict(
        [alloy for _, alloy, _ in read],
        processing=settings.processing,
        temperature_K=settings.temperature_K,
        level=settings.level,
    )
    rows = [{**prediction_row(one, notes), "input": text} for (text, _, notes), one in zip(read, found)]
    content = document(rows, failures, settings.provenance())
    if out is not None:
        write_json(out / "results.json", content)
    if json:
        print_json(content)
    else:
        _print_rows(content["results"])
    return report_failures(failures)


def _read(texts: Iterable[str]) -> tuple[list[tuple[str, Composition, tuple[str, ...]]], list[dict[str, str]]]:
    """Read formulas; give those that are alloys, with notes, and the failures."""
    from hea_sim.properties.alloy_text import read_alloy

    read, failures = [], []
    for text in texts:
        try:
            read.append((text, *read_alloy(text)))
        except HEAError as error:
            failures.append({"input": text, "error": one_line_error(error)})
    return read, failures


def _predict_table(formulas: Sequence[str], settings: PredictSettings, table: Path, out: Path, json: bool) -> int:
    from hea_sim.properties.contract import AlloyBatch
    from hea_vision.jobs.predict import TableLine, batch_rows, read_alloy_table

    lines = [*(TableLine(formula=text) for text in formulas), *read_alloy_table(table)]
    read, failures = _read(line.formula for line in lines)
    if not read:
        raise InputError(f"{table}: {failures[0]['error']}")
    bad = {failure["input"] for failure in failures}
    lines = [line.filled(settings.processing, settings.temperature_K) for line in lines if line.formula not in bad]
    batch = AlloyBatch.of(
        [alloy for _, alloy, _ in read],
        processing=[line.processing for line in lines],
        temperature_K=np.array([line.temperature_K for line in lines]),
    )
    predictor = settings.predictor()
    found = predictor.predict_batch(batch, level=settings.level)
    refused = np.flatnonzero(~found.in_domain)
    asked = AlloyBatch(elements=batch.elements, fractions=batch.fractions[refused])
    reasons = dict(zip(refused.tolist(), predictor.domains["phases"].reasons(asked)))
    notes = ["; ".join((*mended, *reasons.get(k, ()))) for k, (*_, mended) in enumerate(read)]
    rows, columns = batch_rows(lines, found, notes)
    write_csv(out / "predictions.csv", rows, columns)
    if failures:
        write_csv(out / "failures.csv", failures, ("input", "error"))
    inside = int(found.in_domain.sum())
    result = {"table": table, "predictions": out / "predictions.csv", "alloys": len(rows), "in_domain": inside}
    _finish([result], failures, settings, out, json, f"{len(rows)} alloys, {inside} in the domain: predictions.csv")
    return report_failures(failures)


def _draw_map(map_of: str, settings: PredictSettings, out: Path, json: bool) -> int:
    from hea_sim.alloy import parse_elements
    from hea_vision.report.alloy_maps import draw_maps

    elements = parse_elements(map_of.replace("-", ""))
    files = draw_maps(
        settings.predictor(),
        elements,
        out,
        processing=settings.processing,
        temperature_K=settings.temperature_K,
        level=settings.level,
    )
    result = {"map": "-".join(elements), "files": files}
    _finish([result], [], settings, out, json, ", ".join(file.name for file in files))
    return 0


def _finish(
    results: Sequence[Any],
    failures: Sequence[dict[str, str]],
    settings: PredictSettings,
    out: Path,
    json: bool,
    told: str,
) -> None:
    content = document(results, failures, settings.provenance())
    write_json(out / "results.json", content)
    if json:
        print_json(content)
    else:
        print(f"{out}: {told}")


def _print_rows(rows: Sequence[dict[str, Any]]) -> None:
    shown = [(row["input"], *_shown(row)) for row in rows if row["in_domain"]]
    if shown:
        print_table("", ("alloy", "structure", "family", "hardness", "yield strength"), shown)
    for row in rows:
        if not row["in_domain"]:
            print(f"{row['input']}: not predicted: {'; '.join(row['reasons'])}")
            continue
        known = ", ".join(f"{k['formula']} ({k['distance']:.2f})" for k in row["leans_on"][:_SHOWN])
        print(f"{row['input']} leans on {known}")
        for note in row["notes"]:
            print(f"{row['input']}: {note}")
    if shown:
        say("classes with their probabilities; in brackets what holds the truth at the level asked for")


def _shown(row: dict[str, Any]) -> tuple[str, ...]:
    parts = []
    for name in ("structure", "family"):
        call = row[name]
        likely = sorted(call["probabilities"].items(), key=lambda item: -item[1])
        told = ", ".join(f"{label} {p:.0%}" for label, p in likely if p >= 0.05)
        parts.append(f"{told} [{', '.join(call['prediction_set'])}]")
    for name in ("hardness_HV", "yield_strength_MPa"):
        number = row["properties"].get(name)
        parts.append("–" if number is None else _number_text(number))
    return tuple(parts)


def _number_text(number: dict[str, Any]) -> str:
    high = "?" if number["high"] is None else f"{number['high']:.0f}"
    return f"{number['value']:.0f} {number['unit']} [{number['low']:.0f}, {high}]"
