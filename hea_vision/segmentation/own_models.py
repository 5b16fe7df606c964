"""Make a segmenter of one's own from a job: train or paint, finish, save, report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hea_sim.registry.cards import CARD_FILE, WEIGHTS_FILE, DataSource, Score
from hea_vision.devices import checked_device
from hea_vision.jobs import TrainSegmenterJob, TrainStrokesJob
from hea_vision.segmentation.examples import LabelledImage, VirtualSource
from hea_vision.segmentation.fine_tuning import FINE_TUNING, fine_tune, hold_out, number_after
from hea_vision.segmentation.finishing import CalibrationImage, calibrated, save_segmenter, with_familiarity
from hea_vision.segmentation.models import TrainedSegmenter, model_folder
from hea_vision.segmentation.pairs import read_pairs, read_strokes
from hea_vision.segmentation.partial_labels import IGNORED
from hea_vision.segmentation.training import SegmenterTraining, train_segmenter
from hea_vision.segmentation.virtual_finishing import finished_on_virtual

#: Classes of the networks that learn from virtual micrographs alone, by kind.
VIRTUAL_CLASSES: Mapping[str, Mapping[int, str]] = {
    "precipitates": {0: "matrix", 1: "small precipitate", 2: "large precipitate"},
    "grains": {0: "grain", 1: "grain boundary"},
    "phases": {0: "matrix", 1: "dendrite", 2: "eutectic", 3: "intermetallic", 4: "pore", 5: "crack"},
    "columns": {0: "background", 1: "column"},
}
TASK_OF_KIND = {"precipitates": "precipitates", "grains": "grains", "columns": "columns"}
VIEWS_FOR_FAMILIARITY = 48


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnModel:
    """Hold a model of one's own: where it lies, and mean IoU on what was held out before and after, where measured."""

    folder: Path
    segmenter: TrainedSegmenter
    before: float | None = None
    after: float | None = None
    improved: bool = True


def train_own(out: str | os.PathLike[str], job: TrainSegmenterJob, *, say: Callable[[str], None] = print) -> OwnModel:
    """Train a segmenter as the job says; the model stands in `out`/model, from where `hea segment --model` takes it.

    Raises what reading the pictures raises, and InputError where they do not fit the job.
    """
    out = Path(out)
    device = checked_device(job.device)
    if job.images is None or job.labels is None:
        return _from_virtual(out, job, device, say)
    names = dict(enumerate(job.classes)) if job.classes else None
    pictures = read_pairs(job.images, job.labels, names)
    validation = None
    if job.validation_images is not None and job.validation_labels is not None:
        validation = read_pairs(job.validation_images, job.validation_labels, names)
    tuned = fine_tune(
        out,
        pictures,
        start=str(job.start_from),
        name=job.name,
        classes=names,
        validation=validation,
        virtual=job.virtual,
        virtual_share=job.virtual_share,
        reduction=job.reduction,
        upright=job.upright,
        balanced_share=job.balanced_share,
        settings=_settings(FINE_TUNING, job, device),
        say=say,
    )
    if not tuned.improved:
        return OwnModel(
            folder=_keep_old(out, str(job.start_from)),
            segmenter=tuned.segmenter,
            before=tuned.before,
            after=tuned.after,
            improved=False,
        )
    learnt, judged = (pictures, validation) if validation else hold_out(pictures)
    say("calibrate")
    rng = np.random.default_rng(job.seed)
    images = [CalibrationImage(picture=p, group=n) for n, p in judged.items()]
    segmenter = calibrated(tuned.segmenter, images, rng=rng)
    (known, known_from), (new, new_from) = views_of(learnt, rng), views_of(judged, rng)
    segmenter = with_familiarity(segmenter, known, new, known_from=known_from, judged_from=new_from)
    how = f"{len(judged)} pictures or parts of pictures that were held out; mean IoU over the classes"
    scores = {"held_out_iou": Score(value=tuned.after, unit="1", n=len(judged), how=how)}
    folder = _save(out, segmenter, job, scores, str(job.images))
    return OwnModel(folder=folder, segmenter=segmenter, before=tuned.before, after=tuned.after)


def _keep_old(out: Path, start: str) -> Path:
    """Put the old model, card and all, where the new one would stand."""
    folder = out / "model"
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CARD_FILE, WEIGHTS_FILE):
        shutil.copyfile(model_folder(start) / name, folder / name)
    return folder


def _from_virtual(out: Path, job: TrainSegmenterJob, device: str, say: Callable[[str], None]) -> OwnModel:
    from hea_vision.segmentation.models import load_segmenter

    kind = str(job.virtual)
    classes = VIRTUAL_CLASSES[kind]
    settings = _settings(SegmenterTraining(), job, device)
    start = None
    if job.start_from is not None:
        start = {n: v.detach().cpu().numpy() for n, v in load_segmenter(job.start_from).network.state_dict().items()}
        settings = replace(settings, first_number=number_after(start))
    network = train_segmenter(
        out,
        [(1.0, VirtualSource(kind=kind, n_classes=len(classes)))],
        n_classes=len(classes),
        settings=settings,
        start=start,
        say=say,
    )
    say("calibrate")
    task = TASK_OF_KIND.get(kind, "areas")
    # Finished where it will be kept: on the processor.
    trained = TrainedSegmenter(name=job.name, task=task, classes=dict(classes), network=network.cpu())
    segmenter = finished_on_virtual(trained, kind)
    log = (out / "log.csv").read_text(encoding="utf-8").splitlines()
    iou = float(log[-1].split(",")[-1])
    scores = {
        "held_out_iou": Score(
            value=iou, unit="1", n=settings.held_out, how="virtual micrographs of another seed; mean IoU over classes"
        )
    }
    folder = _save(out, segmenter, job, scores, f"virtual micrographs: {kind}")
    return OwnModel(folder=folder, segmenter=segmenter, after=iou)


def _settings(start: SegmenterTraining, job: TrainSegmenterJob, device: str) -> SegmenterTraining:
    said = {
        name: value
        for name in ("examples", "batch", "size_px", "learning_rate", "half")
        if (value := getattr(job, name)) is not None
    }
    settings = replace(start, seed=job.seed, workers=job.workers, device=device, **said)
    return replace(settings, report_every=min(settings.report_every, settings.examples))


def views_of(
    pictures: Mapping[str, LabelledImage], rng: np.random.Generator, count: int = VIEWS_FOR_FAMILIARITY
) -> tuple[list[np.ndarray], list[str]]:
    """Cut parts of pictures, so that a few pictures tell what their kind looks like; give parts and pictures' names."""
    parts = []
    names = [list(pictures)[k % len(pictures)] for k in range(count)]
    for name in names:
        picture = pictures[name]
        rows = np.flatnonzero((picture.labels != IGNORED).any(1))
        image = picture.image[rows[0] : rows[-1] + 1] if rows.size else picture.image
        size = [max(min(n, 64), int(n * rng.uniform(0.5, 1.0))) for n in image.shape]
        top, left = (int(rng.integers(0, n - s + 1)) for n, s in zip(image.shape, size))
        part = image[top : top + size[0], left : left + size[1]]
        noise = 0.2 * rng.random() * part.std() * rng.standard_normal(part.shape, dtype=np.float32)
        parts.append(np.rot90(part + noise, int(rng.integers(4))))
    return parts, names


def _save(
    out: Path, segmenter: TrainedSegmenter, job: TrainSegmenterJob, scores: Mapping[str, Score], source: str
) -> Path:
    folder = out / "model"
    save_segmenter(
        folder,
        segmenter,
        data=[DataSource(name=job.name, source=source, licence="not said")],
        scores=scores,
        seeds={"training": job.seed},
        remake="hea train segmenter --out DIR --config run.toml",
    )
    return folder


def paint_own(out: str | os.PathLike[str], job: TrainStrokesJob) -> OwnModel:
    """Learn from strokes as the job says; the model stands in `out`/model."""
    from hea_vision.segmentation.paint import DEFAULT_FEATURES, learn_from_strokes

    painted = read_strokes(job.images, job.strokes)
    segmenter = learn_from_strokes(
        painted,
        dict(enumerate(job.classes)),
        name=job.name,
        features=job.features or DEFAULT_FEATURES,
        seed=job.seed,
        device=checked_device(job.device),
    )
    right = np.mean(
        [(segmenter.probabilities(m.image).argmax(0)[s > 0] == s[s > 0].astype(int) - 1).mean() for m, s in painted]
    )
    folder = Path(out) / "model"
    save_segmenter(
        folder,
        segmenter,
        data=[DataSource(name=job.name, source=job.strokes, licence="not said")],
        scores={
            "strokes_right": Score(value=float(right), unit="1", how="share of painted pixels that are labelled so")
        },
        seeds={"heads": job.seed},
        remake="hea train strokes --out DIR --config run.toml",
        notes=("Learnt from strokes alone: its probabilities are not calibrated.",),
    )
    return OwnModel(folder=folder, segmenter=segmenter)
