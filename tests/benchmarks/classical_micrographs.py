"""Score the classical segmenter on real and virtual micrographs, beside plain Otsu.

`python tests/benchmarks/classical_micrographs.py --data FOLDER [--quick] [--json FILE]`; FOLDER defaults to the
environment variable HEA_DATA. The limits of the segmenter were set on the train and val images and on virtual ones
of other seeds; the test images (spot2) were looked at only here.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from skimage.filters import threshold_otsu

from hea_sim.documents import write_json
from hea_sim.microscopy import virtual_micrograph
from hea_sim.records import Micrograph
from hea_vision.measurement import score_labels
from hea_vision.segmentation import segment

#: The red box of the EDS map in the screenshots: (top, left, height, width).
BOXES = {"map1area.jpg": (40, 40, 625, 930), "map2area.jpg": (26, 30, 654, 958)}
_SPLIT = {"spot1": "val", "spot2": "test"}


def grey(path: Path) -> np.ndarray:
    image = np.asarray(iio.imread(path), float)
    return image[..., :3].mean(axis=2) if image.ndim == 3 else image


def merged_precipitate(path: Path) -> np.ndarray:
    """Pure red is tertiary and pure blue secondary gamma prime."""
    mask = np.asarray(iio.imread(path))
    top = np.iinfo(mask.dtype).max
    red, green, blue = (mask[..., k] == top for k in range(3))
    none = mask[..., 1] == 0
    return ((red & none & (mask[..., 2] == 0)) | (blue & none & (mask[..., 0] == 0))) & ~green


def classical(image: np.ndarray) -> np.ndarray:
    return segment(Micrograph(image=image), "classical").labels == 1


def otsu_dark(image: np.ndarray) -> np.ndarray:
    return image < threshold_otsu(image)


def ni_superalloy(data: Path, quick: bool) -> dict:
    """Score both methods on the three splits."""
    methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {"classical": classical, "otsu": otsu_dark}
    rows: dict[str, dict[str, list]] = {}
    folder = data / "micrographs" / "ni_superalloy"
    paths = sorted((folder / "images").glob("*.tif"))
    for path in paths[::3] if quick else paths:
        split = _SPLIT.get(path.stem[:5], "train")
        image, truth = grey(path), merged_precipitate(folder / "masks" / f"{path.stem}_mask.tif").astype(int)
        for name, method in methods.items():
            s = score_labels(method(image).astype(int), truth, (0, 1))
            row = (s.iou[0], s.iou[1], s.macro_iou, s.micro_iou, s.fraction_error[1], abs(s.fraction_error[1]))
            rows.setdefault(split, {}).setdefault(name, []).append(row)
    columns = ("iou_matrix", "iou_precipitate", "macro", "micro", "fraction_bias", "fraction_error")
    return {
        split: {name: {"n": len(r), **dict(zip(columns, np.mean(r, 0).tolist()))} for name, r in by.items()}
        for split, by in sorted(rows.items())
    }


def nbmotativ(data: Path) -> dict:
    """Count pores and second phase in the two real fields of the specimen."""
    found = {}
    for name, (top, left, height, width) in BOXES.items():
        image = grey(data / "specimens" / "nbmotativ" / "eds" / name)[top : top + height, left : left + width]
        s = segment(Micrograph(image=image), "classical")
        found[name] = {**s.objects, "pore_fraction": s.fractions["pore"].value, "why": s.metadata["second_phase"]}
    return found


def cr_superalloy(data: Path, quick: bool) -> dict:
    """Score precipitates of the Cr alloy; pores are counted in, since black precipitates look like holes."""
    folder, ious, alone = data / "micrographs" / "cr_superalloy", [], []
    paths = sorted((folder / "images").glob("*.png"))
    for path in paths[::5] if quick else paths:
        mask = np.asarray(iio.imread(folder / "masks" / path.name))
        truth = (mask[..., 1] > mask[..., 0]).astype(int)
        labels = segment(Micrograph(image=grey(path)), "classical").labels
        ious.append(score_labels((labels > 0).astype(int), truth, (0, 1)).iou[1])
        alone.append(score_labels((labels == 1).astype(int), truth, (0, 1)).iou[1])
    return {"n": len(ious), "iou_precipitate_or_pore": float(np.mean(ious)), "iou_second_phase": float(np.mean(alone))}


def virtual(quick: bool) -> dict:
    """Measure false second phases where there is none, and recall where there is some."""
    n = 3 if quick else 8
    contrasts = (0.0, 0.03, 0.06)
    doses = (20.0, 100.0, 400.0)
    false = total = 0
    for seed in range(n):
        for contrast in contrasts:
            for dose in doses:
                m = virtual_micrograph(
                    modality="sem", pixel_size_nm=50.0, seed=7000 + seed, pore_area_fraction=0.003,
                    channelling_contrast=contrast, counts_per_pixel=dose, shape=(384, 384), shading=0.15,
                )  # fmt: skip
                false += segment(Micrograph(image=m.image), "classical").objects["second phase"] > 0
                total += 1
    recall = {}
    for fraction in (0.02, 0.1, 0.25):
        for change in (-0.25, 0.15):
            ious, errors, inside, pores = [], [], 0, []
            for seed in range(n):
                m = virtual_micrograph(
                    modality="sem", pixel_size_nm=50.0, seed=8000 + seed, second_phase_area_fraction=fraction,
                    pore_area_fraction=0.003, second_phase_contrast=change, shape=(384, 384),
                )  # fmt: skip
                s = segment(Micrograph(image=m.image), "classical")
                scores = score_labels(s.labels, m.labels, (0, 1, 2))
                ious.append(scores.iou[1])
                pores.append(scores.iou[2])
                errors.append(abs(scores.fraction_error[1]))
                e = s.fractions["second phase"]
                inside += bool(e.low <= m.area_fraction("second phase") <= e.high)
            recall[f"fraction {fraction:g}, contrast {change:g}"] = {
                "found": float(np.mean(np.array(ious) > 0.5)),
                "iou": float(np.mean(ious)),
                "pore_iou": float(np.mean(pores)),
                "fraction_error": float(np.mean(errors)),
                "interval_holds_truth": inside / n,
            }
    return {"false_second_phase": {"n": total, "rate": false / total}, "recall": recall}


def show(title: str, values: dict, indent: str = "") -> None:
    print(f"{indent}{title}")
    for name, value in values.items():
        if isinstance(value, dict):
            show(str(name), value, indent + "  ")
        else:
            print(f"{indent}  {name}: {value:.4g}" if isinstance(value, float) else f"{indent}  {name}: {value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("HEA_DATA"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    results: dict = {"virtual": virtual(options.quick)}
    if options.data:
        data = Path(options.data)
        results["ni_superalloy"] = ni_superalloy(data, options.quick)
        results["nbmotativ"] = nbmotativ(data)
        results["cr_superalloy"] = cr_superalloy(data, options.quick)
    else:
        print("real images: skipped, give --data FOLDER or set HEA_DATA")
    for title, values in results.items():
        show(title, values)
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
