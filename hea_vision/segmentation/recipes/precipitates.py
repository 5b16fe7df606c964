"""Remake the segmenter `precipitates`: the one that has seen virtual micrographs, taught real ones.

`python -m hea_vision.segmentation.recipes.precipitates --data FOLDER --out RUN --install`. It learns from the training
images of ni_superalloy ("Super1", MIT) and from three quarters of cr_superalloy (MIT-type); validation images and the
last quarter calibrate it. The test images of ni_superalloy are never read.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hea_sim.registry.cards import MODELS, DataSource, Score
from hea_vision.segmentation.examples import LabelledImage
from hea_vision.segmentation.fine_tuning import FINE_TUNING, fine_tune, mean_iou
from hea_vision.segmentation.finishing import CalibrationImage, calibrated, save_segmenter, with_familiarity
from hea_vision.segmentation.models import TrainedSegmenter
from hea_vision.segmentation.own_models import views_of
from hea_vision.segmentation.recipes.real_sets import cr_superalloy, ni_superalloy
from hea_vision.segmentation.training import SegmenterTraining
from hea_vision.segmentation.virtual_finishing import virtual_pictures

NAME, START = "precipitates", "precipitates-virtual"
SETTINGS = replace(FINE_TUNING, examples=4_800)
_CALIBRATION_SEED = 5_000_011


def pictures(data: Path) -> tuple[dict[str, LabelledImage], dict[str, LabelledImage], dict[str, LabelledImage]]:
    """Give what it learns from, the Ni images and the Cr images that calibrate it."""
    ni, cr = ni_superalloy(data, "Super1"), cr_superalloy(data, 0)
    crs = {**cr.train, **cr.val}
    # Both alloys are shown equally often.
    area = [sum(np.sqrt(p.image.size) for p in several.values()) for several in (ni.train, crs)]
    learn = {f"ni {n}": p for n, p in ni.train.items()}
    learn |= {f"cr {n}": replace(p, weight=float(area[0] / area[1])) for n, p in crs.items()}
    return learn, {f"ni {n}": p for n, p in ni.val.items()}, {f"cr {n}": p for n, p in cr.test.items()}


def make(out: Path, data: Path, settings: SegmenterTraining) -> tuple[TrainedSegmenter, Mapping[str, float]]:
    """Fine-tune, calibrate, learn what is familiar; give the model and its scores on what calibrated it."""
    learn, ni, cr = pictures(data)
    tuned = fine_tune(
        out, learn, start=START, name=NAME, validation={**ni, **cr}, virtual="precipitates", inverted_share=0.05,
        settings=settings,
    )  # fmt: skip
    rng = np.random.default_rng(_CALIBRATION_SEED)
    images = [CalibrationImage(picture=p, group=name[:2]) for name, p in {**ni, **cr}.items()]
    images += [
        CalibrationImage(picture=p, group="virtual") for p in virtual_pictures("precipitates", _CALIBRATION_SEED, 12)
    ]
    segmenter = calibrated(replace(tuned.segmenter, name=NAME), images, rng=rng)
    (known, known_from), (new, new_from) = views_of(learn, rng, 96), views_of({**ni, **cr}, rng, 48)
    segmenter = with_familiarity(segmenter, known, new, known_from=known_from, judged_from=new_from)
    scores = {
        "start_iou": float("nan") if tuned.before is None else tuned.before,
        "ni_validation_iou": mean_iou(segmenter, ni),
        "cr_validation_iou": mean_iou(segmenter, cr),
    }
    return segmenter, scores


def main() -> None:
    """Train and, where asked, install."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("HEA_DATA"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--examples", type=int, default=SETTINGS.examples)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--install", action="store_true", help="put the model into the registry of this checkout")
    args = parser.parse_args()
    if args.data is None:
        raise SystemExit("real images: give --data FOLDER or set HEA_DATA")
    torch.set_num_threads(args.threads)
    settings = replace(SETTINGS, examples=args.examples, seed=args.seed, device=args.device)
    segmenter, scores = make(args.out, Path(args.data), settings)
    print(scores)
    if not args.install:
        return
    card = save_segmenter(
        MODELS / NAME,
        segmenter,
        data=[
            DataSource(
                name="ni_superalloy", source="nasa/pretrained-microscopy-models @ f50b568", licence="MIT",
                citation="doi:10.1038/s41524-022-00878-5", used="10 training images; 4 validation images calibrate",
            ),
            DataSource(
                name="cr_superalloy", source="xiazeyu/DT_SegNet @ 318c7f4", licence="MIT-type",
                used="14 of 19 images; 5 calibrate",
            ),
            DataSource(
                name="virtual micrographs: precipitates", source="hea_sim.microscopy.random_fields",
                licence="GPL-3.0-or-later (this project)", used=f"40 % of {settings.examples} squares",
            ),
        ],
        scores={
            name: Score(value=value, unit="1", how="images that calibrate it, not the test images; mean IoU")
            for name, value in scores.items()
            if np.isfinite(value)
        },
        seeds={"training": settings.seed},
        remake=(
            f"python -m hea_vision.segmentation.recipes.precipitates --data FOLDER --examples {settings.examples}"
            f" --seed {settings.seed} --out RUN --install"
        ),
        notes=(f"It goes on from {START}.",),
    )  # fmt: skip
    print(card.arrays_sha256)


if __name__ == "__main__":
    main()
