"""Remake a segmenter that has seen virtual micrographs alone.

`python -m hea_vision.segmentation.recipes.virtual --kind precipitates --out RUN --install`. A stopped run goes on from
its last checkpoint. No real picture is read.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

import torch

from hea_sim.microscopy.random_fields import KINDS
from hea_sim.registry.cards import MODELS, DataSource, ModelCard, Score
from hea_vision.segmentation.examples import VirtualSource
from hea_vision.segmentation.fine_tuning import mean_iou
from hea_vision.segmentation.finishing import save_segmenter
from hea_vision.segmentation.models import TrainedSegmenter, load_segmenter
from hea_vision.segmentation.own_models import TASK_OF_KIND, VIRTUAL_CLASSES
from hea_vision.segmentation.training import SegmenterTraining, train_segmenter
from hea_vision.segmentation.virtual_finishing import PICTURE_PX, finished_on_virtual, virtual_pictures

#: Names under which the models stand in the registry.
NAMES = {"precipitates": "precipitates-virtual", "grains": "grains", "phases": "phases", "columns": "columns"}
#: Squares to learn from; more help still, see the log beside the weights.
EXAMPLES = {"precipitates": 32_000, "grains": 12_800, "phases": 11_200, "columns": 4_800}
#: Models whose weights, but for the last layer, a kind begins with: it is learnt from fewer squares then.
START = {"phases": "precipitates-virtual"}
_SCORE_SEED, _IMAGES = 3_000_017, 24


def settings_of(kind: str, examples: int | None = None, **changes: object) -> SegmenterTraining:
    """Give the settings of the shipped model of a kind."""
    return replace(SegmenterTraining(examples=examples or EXAMPLES[kind], report_every=1600), **changes)  # type: ignore[arg-type]


def make(out: Path, kind: str, settings: SegmenterTraining) -> TrainedSegmenter:
    """Train, calibrate, and learn what is familiar."""
    classes = VIRTUAL_CLASSES[kind]
    source = VirtualSource(kind=kind, n_classes=len(classes))
    start = START.get(kind)
    weights = None
    if start is not None:
        weights = {n: v.numpy() for n, v in load_segmenter(start).network.state_dict().items()}
    network = train_segmenter(out, [(1.0, source)], n_classes=len(classes), settings=settings, start=weights)
    segmenter = TrainedSegmenter(
        name=NAMES[kind], task=TASK_OF_KIND.get(kind, "areas"), classes=dict(classes), network=network
    )
    return finished_on_virtual(segmenter, kind)


def install(folder: Path, segmenter: TrainedSegmenter, kind: str, settings: SegmenterTraining) -> ModelCard:
    """Score on virtual micrographs of yet another seed, and write weights, card and log."""
    scored = {str(k): p for k, p in enumerate(virtual_pictures(kind, _SCORE_SEED, _IMAGES))}
    how = f"{_IMAGES} virtual micrographs of {PICTURE_PX} px of another seed; mean IoU, all pixels together"
    said = {k: v for k, v in asdict(settings).items() if k in ("examples", "batch", "size_px", "seed")}
    return save_segmenter(
        folder,
        segmenter,
        data=[
            DataSource(
                name=f"virtual micrographs: {kind}",
                source="hea_sim.microscopy.random_fields, drawn while it learns",
                licence="GPL-3.0-or-later (this project)",
                used=f"{settings.examples} squares of {settings.size_px} px, each seen once",
            )
        ],
        scores={"virtual_iou": Score(value=mean_iou(segmenter, scored), unit="1", n=_IMAGES, how=how)},
        seeds={"training": settings.seed},
        remake=(
            f"python -m hea_vision.segmentation.recipes.virtual --kind {kind} --examples {settings.examples}"
            f" --seed {settings.seed} --out RUN --install"
        ),
        notes=(
            f"Settings that count: {said}.",
            *([f"Began with the weights of {START[kind]}, but for the last layer."] if kind in START else []),
            "No real picture was read. Bit-identical only for the same device, versions and thread count.",
            "Its flag tells virtual pictures of its kind from spoilt ones and from other kinds; tests/benchmarks/"
            "segmenter_flags.py says what it is worth on real pictures.",
        ),
    )


def main() -> None:
    """Train and, where asked, install."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--examples", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--install", action="store_true", help="put the model into the registry of this checkout")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    settings = settings_of(args.kind, args.examples, seed=args.seed, device=args.device, workers=args.workers)
    segmenter = make(args.out, args.kind, settings)
    if args.install:
        print(install(MODELS / NAMES[args.kind], segmenter, args.kind, settings).arrays_sha256)


if __name__ == "__main__":
    main()
