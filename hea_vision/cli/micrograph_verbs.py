"""What the verbs of micrographs do: read settings, run, write, print. Each returns the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hea_sim.documents import write_atomic, write_csv
from hea_vision.cli.printing import file_names, print_json, print_table, progress_of, report_failures, without_results


def segment(inputs: Sequence[Path], out: Path, config: Path | None, flags: Mapping[str, Any], json: bool) -> int:
    """Label micrographs."""
    from hea_vision.batch import run_batch, write_batch
    from hea_vision.io import IMAGE_SUFFIXES, find_inputs, read_micrograph, write_labels
    from hea_vision.jobs import SegmentJob, read_job
    from hea_vision.measurement import measure_objects
    from hea_vision.report.batch import render_micrographs
    from hea_vision.report.figures import micrograph_figure, save_figure
    from hea_vision.segmentation import SEGMENTERS
    from hea_vision.segmentation import segment as label_image

    job = read_job(SegmentJob, config, flags)
    if job.model not in SEGMENTERS:
        from hea_sim.errors import unknown_name

        raise unknown_name("segmenter", job.model, SEGMENTERS)
    paths = without_results(find_inputs(inputs, IMAGE_SUFFIXES), out)
    names = file_names(paths)

    def work(path: Path) -> list[dict[str, Any]]:
        micrograph = read_micrograph(path, pixel_size_nm=job.pixel_size_nm, crop=job.crop_px)
        labels = label_image(micrograph, job.model)
        where, figure = Path("labels") / f"{names[path]}.tif", Path("figures") / f"{names[path]}.png"
        write_labels(out / where, labels)
        save_figure(micrograph_figure(micrograph, labels), out / figure)
        row = {
            "input": path.as_posix(),
            "labels": where.as_posix(),
            "classes": labels.classes,
            "pixel_size_nm": labels.pixel_size_nm,
            "fractions": labels.fractions,
            "objects": labels.objects,
            "measurements": [
                {"class": name, **asdict(item)}
                for number, name in labels.classes.items()
                if number > 0
                for item in measure_objects(labels.labels, number, labels.pixel_size_nm)
            ],
            "model": labels.model,
            "metadata": labels.metadata,
            "figure": figure.as_posix(),
        }
        return [row]

    with progress_of("segment", json) as progress:
        result = run_batch(
            paths,
            work,
            settings={"verb": "segment", **job.model_dump()},
            out=out,
            outputs=lambda row: [out / row["labels"], out / row["figure"]],
            progress=progress,
        )
    rows = [_segment_row(row) for row in result.results]
    columns = tuple(dict.fromkeys(key for row in rows for key in row)) or ("input",)
    write_batch(result, out, table=rows, columns=columns)
    objects = [{"input": row["input"], **item} for row in result.results for item in row["measurements"]]
    write_csv(out / "objects.csv", objects, tuple(dict.fromkeys(k for o in objects for k in o)) or ("input",))
    write_atomic(out / "report.html", render_micrographs(result, out))
    if json:
        print_json(result.document())
    else:
        print_table("", ("input", *SHOWN_CLASSES), [_segment_line(row) for row in result.results])
    return report_failures(result.failures)


#: Classes that the table on the terminal shows.
SHOWN_CLASSES = ("second phase", "pore")


def _segment_line(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Write one line of the terminal's table: objects and per cent of the area, class by class."""
    cells = []
    for name in SHOWN_CLASSES:
        fraction, count = row["fractions"].get(name), row["objects"].get(name, 0)
        cells.append("–" if fraction is None else f"{count} ({100 * fraction['value']:.2g} %)")
    return (Path(row["input"]).name, *cells)


def _segment_row(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {"input": row["input"], "labels": row["labels"], "pixel_size_nm": row["pixel_size_nm"] or ""}
    for name, fraction in row["fractions"].items():
        flat[f"{name} fraction"] = f"{fraction['value']:.4f}"
        flat[f"{name} low"] = "" if fraction["low"] is None else f"{fraction['low']:.4f}"
        flat[f"{name} high"] = "" if fraction["high"] is None else f"{fraction['high']:.4f}"
    for name, n in row["objects"].items():
        flat[f"{name} objects"] = n
    return flat
