"""What `hea measure` does: read settings, measure label images, join their fields, write, print."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hea_sim.documents import to_jsonable, write_atomic, write_csv, write_json
from hea_sim.records import Estimate
from hea_sim.settings import read_settings
from hea_vision.cli.printing import file_names, print_json, print_table, progress_of, report_failures

#: Columns of the table of estimates over all fields.
_SUMMARY = ("name", "value", "std", "low", "high", "level", "unit", "n", "method")
#: Files of a row, which is taken up by a later run only while they are unchanged.
_MADE = ("object_table", "strain_table", "companions")
#: What the terminal shows of an image, first found first shown.
_SHOWN = (
    "grain size number G",
    "mean intercept",
    "area fraction of the specimen",
    "mean diameter",
    "spread",
    "true lamellar spacing",
)
_MOST_SHOWN = 6


def measure(inputs: Sequence[Path], out: Path, config: Path | None, flags: Mapping[str, Any], json: bool) -> int:
    """Measure label images."""
    from hea_vision.batch import make_folder, run_batch, write_batch
    from hea_vision.io import find_inputs
    from hea_vision.io.labels import LABEL_SUFFIXES
    from hea_vision.jobs import MeasureJob
    from hea_vision.measurement.field_totals import join_fields, totals_from_plain
    from hea_vision.measurement.measure_files import MEASURE_ROWS, MeasureWork, label_folder, note_companions

    job = read_settings(MeasureJob, config, flags)
    paths = find_inputs([label_folder(path) for path in inputs], LABEL_SUFFIXES)
    work = MeasureWork(job=job, out=out, names=file_names(paths))
    note_companions(work.names, make_folder(out))
    with progress_of("measure", json) as progress:
        result = run_batch(
            paths,
            work,
            settings={"verb": f"measure, rows {MEASURE_ROWS}", **job.model_dump(exclude={"workers"})},
            out=out,
            outputs=lambda row: [out / row[key] for key in _MADE if key in row],
            workers=job.workers,
            progress=progress,
        )
    over_fields, notes = join_fields([totals_from_plain(row["totals"]) for row in result.results])
    summary = {"n_fields": len(result.results), "estimates": over_fields, "notes": notes}
    rows = [_flat(row) for row in result.results]
    columns = tuple(dict.fromkeys(key for row in rows for key in row)) or ("input",)
    write_batch(result, out, table=rows, columns=columns)
    document = {**result.document(), "summary": to_jsonable(summary)}
    write_json(out / "results.json", document)
    write_csv(out / "summary.csv", [_summary_row(name, e) for name, e in over_fields.items()], _SUMMARY)
    _join_tables([out / row["object_table"] for row in result.results], out / "objects.csv")
    write_atomic(out / "report.html", _page(document, over_fields, notes, result.reused))
    if json:
        print_json(document)
    else:
        _print(result.results, over_fields)
    return report_failures(result.failures)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write a row of results as a row of the table: value, bounds and unit of every estimate."""
    flat: dict[str, Any] = {"input": row["input"], "pixel_size_nm": row["pixel_size_nm"] or ""}
    for name, e in row["estimates"].items():
        flat[name] = _number(e["value"])
        flat[f"{name} low"], flat[f"{name} high"] = _number(e["low"]), _number(e["high"])
        flat[f"{name} unit"] = e["unit"]
    flat["notes"] = "; ".join(row["notes"])
    return flat


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _summary_row(name: str, e: Estimate) -> dict[str, Any]:
    numbers = {key: _number(getattr(e, key)) for key in ("value", "std", "low", "high", "level")}
    return {"name": name, **numbers, "unit": e.unit, "n": e.n, "method": e.method}


def _join_tables(tables: Sequence[Path], path: Path) -> None:
    """Write the objects of all images to one table, whole or not at all, a line at a time."""
    from hea_vision.batch import open_atomic
    from hea_vision.measurement.measure_files import OBJECT_COLUMNS

    with open_atomic(path) as stream:
        stream.write(",".join(OBJECT_COLUMNS) + "\n")
        for table in tables:
            with open(table, encoding="utf-8", newline="") as source:
                source.readline()
                stream.writelines(source)


def _page(document: Mapping[str, Any], summary: Mapping[str, Estimate], notes: Sequence[str], reused: int) -> str:
    from hea_vision.report.templates import load_template

    rows = [
        {**row, "estimates": {name: Estimate(**e) for name, e in row["estimates"].items()}}
        for row in document["results"]
    ]
    return load_template("measure.html.j2").render(
        rows=rows,
        summary=summary,
        notes=notes,
        failures=document["failures"],
        reused=reused,
        provenance=json_module.dumps(document["provenance"], indent=1),
    )


def _print(rows: Sequence[Mapping[str, Any]], over_fields: Mapping[str, Estimate]) -> None:
    """Print a line an image, and one for all of them."""
    names = [
        name
        for part in _SHOWN
        for name in dict.fromkeys(n for row in rows for n in row["estimates"])
        if name == part or name.endswith(f": {part}")
    ][:_MOST_SHOWN]
    lines = []
    for row in rows:
        found = {name: Estimate(**e) for name, e in row["estimates"].items()}
        lines.append((Path(row["input"]).name, *(_cell(found.get(name)) for name in names)))
    if over_fields:
        lines.append((f"all {len(rows)} fields", *(_cell(over_fields.get(name)) for name in names)))
    print_table("", ("input", *names), lines)


def _cell(e: Estimate | None) -> str:
    from hea_vision.report.text import format_estimate, percent_text

    return f"{percent_text(e)} %" if e is not None and e.unit == "area fraction" else format_estimate(e)
