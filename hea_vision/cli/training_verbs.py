"""What `hea train segmenter` and `hea train strokes` do. Each returns the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hea_sim.documents import document, write_atomic, write_json
from hea_sim.records import Provenance
from hea_sim.settings import read_settings
from hea_vision.cli.printing import print_json, say
from hea_vision.jobs import TrainSegmenterJob, TrainStrokesJob


def train_segmenter(out: Path, config: Path | None, flags: Mapping[str, Any], json: bool) -> int:
    """Train a segmenter from pictures, from virtual micrographs, or both."""
    from hea_vision.batch import make_folder
    from hea_vision.segmentation.own_models import train_own

    job = read_settings(TrainSegmenterJob, config, flags)
    make_folder(out)
    made = train_own(out, job, say=say)
    row = {
        "model": made.folder.as_posix(),
        "held_out_iou_before": made.before,
        "held_out_iou": made.after,
        "improved": made.improved,
    }
    _write(out, row, job.model_dump(exclude_none=True), {made.segmenter.name: made.segmenter.sha256})
    if json:
        print_json(document([row], [], Provenance(settings=job.model_dump())))
    else:
        before = "" if made.before is None else f", before {made.before:.3f}"
        kept = "" if made.improved else "; the old model was better and is kept"
        print(f"{made.folder}: mean IoU {made.after:.3f} on what was held out{before}{kept}")
    return 0


def train_strokes(out: Path, config: Path | None, flags: Mapping[str, Any], json: bool) -> int:
    """Learn a segmenter from strokes of paint."""
    from hea_vision.batch import make_folder
    from hea_vision.segmentation.own_models import paint_own

    job = read_settings(TrainStrokesJob, config, flags)
    make_folder(out)
    made = paint_own(out, job)
    row = {"model": made.folder.as_posix(), "classes": made.segmenter.classes}
    _write(out, row, job.model_dump(exclude_none=True), {})
    if json:
        print_json(document([row], [], Provenance(settings=job.model_dump())))
    else:
        print(f"{made.folder}: {', '.join(job.classes)}; label a folder with hea segment FOLDER --model {made.folder}")
    return 0


def _write(out: Path, row: Mapping[str, Any], settings: Mapping[str, Any], models: Mapping[str, str]) -> None:
    import tomli_w

    write_json(out / "results.json", document([row], [], Provenance(settings=settings, model_sha256=models)))
    write_atomic(
        out / "run.toml", tomli_w.dumps({k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()})
    )
