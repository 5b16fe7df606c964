"""Does a segmenter say when a picture is unlike what it knows? And what does the virtual-only grain model measure?

`python tests/benchmarks/segmenter_flags.py [--data FOLDER] [--quick] [--json FILE]`

Familiar pictures are the test images of the alloys that `precipitates` has learnt from, whole and cut in quarters.
Unfamiliar ones are other materials and detectors (oxide coatings, etched grains, channelling patterns, an as-cast HEA),
and the test images themselves under conditions that the microscope could have had: a fifth of the signal, out of
focus, at a quarter of the magnification, almost without contrast.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from hea_sim.documents import write_json
from hea_sim.records import Micrograph
from hea_vision.io import read_micrograph
from hea_vision.measurement import measure
from hea_vision.segmentation.examples import LabelledImage
from hea_vision.segmentation.familiarity import describe
from hea_vision.segmentation.fine_tuning import mean_iou
from hea_vision.segmentation.labelling import segment_with
from hea_vision.segmentation.models import load_segmenter
from hea_vision.segmentation.recipes.real_sets import cr_superalloy, grey, ni_superalloy

#: ASTM grain size number of the etched steel by NIST's segmentation, circles (README of the data).
NIST_NUMBER, STEEL_PX_PER_UM = 10.34, 222 / 50


def familiar(data: Path) -> Iterator[tuple[str, np.ndarray]]:
    for name, picture in {**ni_superalloy(data).test, **cr_superalloy(data, 0).test}.items():
        yield name, picture.image
        rows, columns = (n // 2 for n in picture.image.shape)
        for k, part in enumerate((picture.image[:rows, :columns], picture.image[rows:, columns:])):
            yield f"{name} part {k}", part


def other_materials(data: Path) -> Iterator[tuple[str, np.ndarray]]:
    folder = data / "micrographs"
    for path in sorted((folder / "ebc_oxide" / "images").glob("*.tif")):
        yield path.stem, grey(path)
    for path in (
        folder / "grain_intercept" / "steel" / "grains_steel_highlighted.tif",
        folder / "grain_intercept" / "ti64" / "sem_alpha_beta_ti_6al_4v.tif",
        *sorted((folder / "fei_sem").glob("*.tif")),
    ):
        yield path.stem, np.asarray(read_micrograph(path).image, np.float32)
    for name in ("map1_-_SEM.jpg", "map2_-_SEM.jpg"):
        yield name, grey(data / "specimens" / "nbmotativ" / "eds" / name)


def conditions(rng: np.random.Generator) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    def noisy(image: np.ndarray) -> np.ndarray:
        return image + 3.0 * image.std() * rng.standard_normal(image.shape)

    def flat(image: np.ndarray) -> np.ndarray:
        soft = ndimage.gaussian_filter(image, 1.0)
        return image.mean() + 0.15 * (soft - soft.mean()) + 0.3 * soft.std() * rng.standard_normal(image.shape)

    return {
        "a fifth of the signal": noisy,
        "out of focus": lambda image: ndimage.gaussian_filter(image, 5.0),
        "a quarter of the magnification": lambda image: np.tile(ndimage.zoom(image, 0.25, order=1), (4, 4)),
        "almost no contrast": flat,
    }


def flags(data: Path, model: str, quick: bool) -> dict:
    segmenter = load_segmenter(model)
    assert segmenter.familiarity is not None
    cloud = segmenter.familiarity
    rng = np.random.default_rng(0)

    def far(image: np.ndarray) -> float:
        return cloud.distance(describe(segmenter.network, np.asarray(image, np.float32)))

    rows: dict[str, list[float]] = {"familiar": [far(i) for _, i in list(familiar(data))[: 6 if quick else None]]}
    rows["other materials"] = [far(i) for _, i in list(other_materials(data))[: 4 if quick else None]]
    test = ni_superalloy(data).test
    quality = {"as taken": mean_iou(segmenter, test)}
    for name, change in conditions(rng).items():
        changed = {
            n: LabelledImage(image=change(p.image).astype(np.float32), labels=p.labels, classes=p.classes)
            for n, p in test.items()
        }
        rows[name] = [far(p.image) for p in changed.values()]
        if "magnification" not in name:
            quality[name] = mean_iou(segmenter, changed)
        if quick:
            break
    return {
        "model": model,
        "flagged": {name: float(np.mean(np.array(values) > 1)) for name, values in rows.items()},
        "unfamiliarity": {name: [round(v, 2) for v in values] for name, values in rows.items()},
        "macro_iou": quality,
    }


def steel(data: Path) -> dict:
    """Measure the etched steel with the model that has seen virtual grains only."""
    path = data / "micrographs" / "grain_intercept" / "steel" / "grains_steel_highlighted.tif"
    micrograph = read_micrograph(path, pixel_size_nm=1000 / STEEL_PX_PER_UM)
    found = measure(segment_with(load_segmenter("grains"), Micrograph(
        image=micrograph.image, pixel_size_nm=micrograph.pixel_size_nm)))  # fmt: skip
    return {name: {"value": e.value, "low": e.low, "high": e.high} for name, e in found.estimates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("HEA_DATA"))
    parser.add_argument("--model", default="precipitates")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    if not options.data:
        raise SystemExit("real images: give --data FOLDER or set HEA_DATA")
    torch.set_num_threads(1)
    data = Path(options.data)
    results = {"flags": flags(data, options.model, options.quick), "steel": steel(data)}
    for name, share in results["flags"]["flagged"].items():
        wanted = "at most 0.05" if name == "familiar" else "near 1"
        print(f"{name}: flagged {share:.2f} (wanted {wanted}); {results['flags']['unfamiliarity'][name]}")
    print("macro IoU of the test images:", {k: round(v, 3) for k, v in results["flags"]["macro_iou"].items()})
    print(f"steel, NIST's number {NIST_NUMBER} (wanted within 0.5):")
    for name, value in results["steel"].items():
        print(f"  {name}: {value['value']:.3g} ({value['low']} to {value['high']})")
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
