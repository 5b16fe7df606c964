"""One painted image, ten strokes: how well are the other test images labelled, and how long does learning take.

`python tests/benchmarks/paint_strokes.py [--data FOLDER] [--features MODEL] [--quick] [--json FILE]`. Strokes are drawn
from the truth by a seeded random walk that stays inside its class, as a hand would: four on the matrix, three on small
and three on large particles. The features come from a network that has seen virtual micrographs only.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from segmenters import Counts

from hea_sim.documents import write_json
from hea_sim.records import Micrograph
from hea_vision.segmentation.labelling import segment_with
from hea_vision.segmentation.models import load_segmenter
from hea_vision.segmentation.paint import DEFAULT_FEATURES, learn_from_strokes
from hea_vision.segmentation.recipes.real_sets import NI_CLASSES, cr_superalloy, ni_superalloy

STROKES = {0: 4, 1: 3, 2: 3}
LENGTH_PX, RADIUS_PX = 60, 1.5
TARGETS = {"macro": 0.75, "seconds": 10.0}


def stroke(inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Walk inside a class from a random place, turning at its border; give what the brush covers."""
    deep = ndimage.distance_transform_edt(inside)
    # A hand sets the brush down where it sees the class, not on its very border.
    places = np.argwhere(deep >= min(2.0, 0.6 * deep.max()))
    place = places[rng.integers(len(places))].astype(float)
    angle, path = rng.uniform(0, 2 * np.pi), []
    for _ in range(LENGTH_PX):
        path.append(tuple(np.round(place).astype(int)))
        for _ in range(12):
            step = place + np.array([np.sin(angle), np.cos(angle)])
            y, x = np.round(step).astype(int)
            if 0 <= y < inside.shape[0] and 0 <= x < inside.shape[1] and inside[y, x]:
                place = step
                break
            angle = rng.uniform(0, 2 * np.pi)
        angle += 0.2 * rng.standard_normal()
    brush = np.zeros_like(inside)
    brush[tuple(np.array(path).T)] = True
    return (ndimage.distance_transform_edt(~brush) <= RADIUS_PX) & inside


def strokes_of(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    painted = np.zeros(truth.shape, np.uint8)
    for number, count in STROKES.items():
        for _ in range(count):
            painted[stroke(truth == number, rng)] = number + 1
    return painted


def run(data: Path, features: str, seeds: list[int], views: int) -> dict:
    test = ni_superalloy(data, "Super1").test
    load_segmenter(features)
    rows = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        name = sorted(test)[seed % len(test)]
        picture = test[name]
        began = time.perf_counter()
        segmenter = learn_from_strokes(
            [(Micrograph(image=picture.image), strokes_of(picture.labels, rng))],
            NI_CLASSES,
            features=features,
            seed=seed,
        )
        seconds = time.perf_counter() - began
        counts = Counts(NI_CLASSES)
        for other, p in test.items():
            if other != name:
                counts.add(segment_with(segmenter, Micrograph(image=p.image), views=views).labels, p.labels)
        rows.append({"seed": seed, "painted": name, "seconds": seconds, **counts.result()})
        print(
            {k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items() if "size" not in k}, flush=True
        )
    return {"rows": rows, "median": {k: float(np.median([r[k] for r in rows])) for k in ("macro", "micro", "seconds")}}


def cr(data: Path, features: str, seeds: list[int]) -> dict:
    """Do the same with the other alloy: five strokes on each of two classes, all other images of a fold."""
    test = {n: p for fold in range(2) for n, p in cr_superalloy(data, fold).test.items()}
    rows = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        name = sorted(test)[seed % len(test)]
        painted = np.zeros(test[name].labels.shape, np.uint8)
        for number, paint in ((0, 1), (2, 2)):
            for _ in range(5):
                painted[stroke(test[name].labels == number, rng)] = paint
        segmenter = learn_from_strokes(
            [(Micrograph(image=test[name].image), painted)], {0: "matrix", 1: "precipitate"}, features=features,
            seed=seed,
        )  # fmt: skip
        counts = Counts({0: "matrix", 2: "precipitate"})
        for other, p in test.items():
            if other != name:
                labels = segment_with(segmenter, Micrograph(image=p.image)).labels
                counts.add(np.where(labels > 0, 2, 0), p.labels)
        rows.append({"seed": seed, "painted": name, **counts.result()})
    return {"rows": rows, "median": {"precipitate": float(np.median([r["precipitate"] for r in rows]))}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("HEA_DATA"))
    parser.add_argument("--features", default=DEFAULT_FEATURES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    if not options.data:
        raise SystemExit("real images: give --data FOLDER or set HEA_DATA")
    torch.set_num_threads(2)
    seeds = options.seeds[:1] if options.quick else options.seeds
    results: dict = {"ni_superalloy": run(Path(options.data), options.features, seeds, 1)}
    if not options.quick:
        results["cr_superalloy"] = cr(Path(options.data), options.features, seeds)
    for name, value in results.items():
        print(name, value["median"])
    median = results["ni_superalloy"]["median"]
    for key, target in TARGETS.items():
        good = median[key] <= target if key == "seconds" else median[key] >= target
        print(f"{key}: {median[key]:.3f}, wanted {target}{'' if good else ': MISSED'}")
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
