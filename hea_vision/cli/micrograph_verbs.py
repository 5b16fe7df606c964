"""What the verbs of micrographs do: read settings, run, write, print. Each returns the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hea_sim.documents import write_atomic
from hea_sim.settings import read_settings
from hea_vision.cli.printing import file_names, print_json, print_table, progress_of, report_failures

if TYPE_CHECKING:
    from hea_vision.micrograph_work import MicrographWork


def segment(inputs: Sequence[Path], out: Path, config: Path | None, flags: Mapping[str, Any], json: bool) -> int:
    """Label micrographs."""
    from hea_vision.batch import run_batch, write_batch
    from hea_vision.devices import checked_device
    from hea_vision.io import IMAGE_SUFFIXES, find_inputs, without_results
    from hea_vision.jobs import SegmentJob
    from hea_vision.micrograph_work import SEGMENT_ROWS, MicrographWork, output_files
    from hea_vision.report.micrographs import render_micrographs

    job = read_settings(SegmentJob, config, flags)
    if job.device.startswith("cuda") and job.scheduler is None:
        checked_device(job.device)  # once and here, not once a file; the workers of a scheduler have cards of their own
    paths = without_results(find_inputs(inputs, IMAGE_SUFFIXES), out)
    work = MicrographWork(job=job, out=out, names=file_names(paths))
    with progress_of("segment", json) as progress:
        result = run_batch(
            paths,
            work if job.scheduler is None else _work_elsewhere(work),
            settings={"verb": f"segment, rows {SEGMENT_ROWS}", **job.model_dump(exclude={"workers", "scheduler"})},
            out=out,
            outputs=lambda row: output_files(row, out),
            model_sha256=_model_sha256(job.model),
            workers=job.workers,
            scheduler=job.scheduler,
            progress=progress,
        )
    rows = [_flat(row) for row in result.results]
    columns = tuple(dict.fromkeys(key for row in rows for key in row)) or ("input",)
    write_batch(result, out, table=rows, columns=columns)
    _join_object_tables([out / row["object_table"] for row in result.results], out / "objects.csv")
    write_atomic(out / "report.html", render_micrographs(result, out))
    if json:
        print_json(result.document())
    else:
        _print_results(result.results)
    return report_failures(result.failures)


def _work_elsewhere(work: MicrographWork) -> MicrographWork:
    """Name files so that a worker in another folder finds them."""
    here, job = Path.cwd(), work.job
    if Path(job.model).is_dir():
        job = job.model_copy(update={"model": str(here / job.model)})
    return replace(work, job=job, out=here / work.out, root=here)


def _model_sha256(model: str) -> dict[str, str]:
    """Name the weights that the labels come from, by checksum; those without weights need no torch to be loaded."""
    from hea_vision.segmentation import SEGMENTERS

    if model in SEGMENTERS:
        return {}
    from hea_vision.segmentation import model_sha256

    return model_sha256(model)


def _join_object_tables(tables: Sequence[Path], path: Path) -> None:
    """Write the objects of all images to one table, a line at a time: there may be millions."""
    from hea_vision.batch import open_atomic

    with open_atomic(path) as stream:
        if not tables:
            stream.write("input\n")
        for number, table in enumerate(tables):
            with open(table, encoding="utf-8", newline="") as source:
                head = source.readline()
                if number == 0:
                    stream.write(head)
                stream.writelines(source)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write a row of results as a row of the table."""
    flat: dict[str, Any] = {
        "input": row["input"],
        "labels": row["labels"],
        "pixel_size_nm": row["pixel_size_nm"] or "",
        "unfamiliar": _blank(row["unfamiliar"]),
        "unfamiliarity": _blank(row["unfamiliarity"]),
    }
    for name, fraction in row["fractions"].items():
        flat[f"{name} fraction"] = f"{fraction['value']:.6f}"
        for bound in ("low", "high"):
            flat[f"{name} {bound}"] = "" if fraction[bound] is None else f"{fraction[bound]:.6f}"
    for name, n in row["objects"].items():
        flat[f"{name} objects"] = n
    for name, size in row["sizes"].items():
        flat[f"{name} mean diameter"] = f"{size['value']:.5g}"
        flat[f"{name} mean diameter std"] = "" if size["std"] is None else f"{size['std']:.3g}"
        flat[f"{name} diameter unit"] = size["unit"]
    return flat


def _blank(value: Any) -> Any:
    return "" if value is None else value


def _print_results(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a line an image: objects and per cent of the area, class by class."""
    from hea_vision.report.micrographs import shown_classes

    classes = shown_classes(rows)
    judged = any(row["unfamiliar"] is not None for row in rows)
    lines = []
    for row in rows:
        cells = [_cell(row["fractions"].get(name), row["objects"].get(name)) for name in classes]
        flag = ["unfamiliar: check by eye" if row["unfamiliar"] else ""] if judged else []
        lines.append((Path(row["input"]).name, *cells, *flag))
    print_table("", ("input", *classes, *([""] if judged else [])), lines)


def _cell(fraction: Mapping[str, Any] | None, count: int | None) -> str:
    percent = "" if fraction is None else f"{100 * fraction['value']:.2g} %"
    if count is None:
        return percent or "–"
    return f"{count} ({percent})" if percent else str(count)
