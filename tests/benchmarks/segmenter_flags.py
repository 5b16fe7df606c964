"""Does a segmenter say when a picture is unlike what it knows? And what does the virtual-only grain model measure?

`python tests/benchmarks/segmenter_flags.py [--data FOLDER] [--model NAME] [--quick] [--json FILE]`

Familiar to `precipitates` are the test images of ni_superalloy and the images of cr_superalloy that it did not learn
from (they set its limit), whole and cut in quarters; to a model that has seen virtual micrographs alone, others of
another seed. Unfamiliar are other materials and detectors (oxide coatings, etched grains, channelling patterns, an
as-cast HEA), in two halves: methods were chosen by the first, with other materials in the second. Unfamiliar are also
familiar pictures under conditions that the microscope could have had: a fifth of the signal, out of focus, at a quarter
of the magnification, almost without contrast. Pictures spoilt like the first three, by random amounts, teach the flag.
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
from hea_sim.errors import HEAError
from hea_sim.microscopy.random_fields import draw_field
from hea_sim.records import Micrograph
from hea_vision.io import read_micrograph
from hea_vision.measurement import measure
from hea_vision.segmentation.examples import LabelledImage
from hea_vision.segmentation.fine_tuning import mean_iou
from hea_vision.segmentation.labelling import segment_with
from hea_vision.segmentation.models import load_segmenter
from hea_vision.segmentation.picture_numbers import describe
from hea_vision.segmentation.recipes.real_sets import cr_superalloy, ebc_oxide, grey, ni_superalloy

#: ASTM grain size number of the etched steel by NIST's segmentation, circles (README of the data).
NIST_NUMBER, STEEL_PX_PER_UM = 10.34, 222 / 50


#: Kinds of virtual micrographs that models without real pictures know; these have a seed of their own.
VIRTUAL = {"precipitates-virtual": "precipitates", "grains": "grains", "phases": "phases", "columns": "columns"}
VIRTUAL_SEED, VIRTUAL_PICTURES = 8_000_009, 100


def familiar(data: Path, model: str) -> Iterator[tuple[str, np.ndarray]]:
    if model in VIRTUAL:
        for number in range(VIRTUAL_PICTURES):
            rng = np.random.default_rng([VIRTUAL_SEED, number])
            try:
                yield f"virtual {number}", np.asarray(draw_field(VIRTUAL[model], rng, (384, 384)).image, np.float32)
            except HEAError:
                continue  # no room for what was drawn
        return
    for name, picture in {**ni_superalloy(data).test, **cr_superalloy(data, 0).test}.items():
        yield name, picture.image
        rows, columns = (n // 2 for n in picture.image.shape)
        for k, part in enumerate((picture.image[:rows, :columns], picture.image[rows:, columns:])):
            yield f"{name} part {k}", part


def other_materials(data: Path) -> dict[str, list[np.ndarray]]:
    """Give the materials by which the method was chosen, and those that it had not seen."""
    folder, coatings = data / "micrographs", ebc_oxide(data)
    several = {**coatings.train, **coatings.val}
    intercept = folder / "grain_intercept"

    def read(path: Path) -> np.ndarray:
        return np.asarray(read_micrograph(path).image, np.float32)

    return {
        "other materials, first half": [
            *(p.image for p in several.values()),
            read(intercept / "ti64" / "sem_alpha_beta_ti_6al_4v.tif"),
            read(folder / "fei_sem" / "steel_SEM_001.tif"),
        ],
        "other materials, second half": [
            *(p.image for p in coatings.test.values()),
            read(intercept / "steel" / "grains_steel_highlighted.tif"),
            read(folder / "fei_sem" / "01_Si_ref.tif"),
            read(folder / "fei_sem" / "steel_ECP_001.tif"),
            *(grey(data / "specimens" / "nbmotativ" / "eds" / f"map{k}_-_SEM.jpg") for k in (1, 2)),
        ],
    }


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
    if segmenter.familiarity is None:
        raise SystemExit(f"{model}: knows nothing of what is familiar; make it again: see its card")
    cloud, rng = segmenter.familiarity, np.random.default_rng(0)

    def far(image: np.ndarray) -> float:
        return cloud.distance(describe(segmenter.network, np.asarray(image, np.float32)))

    rows: dict[str, list[float]] = {}
    rows["familiar"] = [far(i) for _, i in list(familiar(data, model))[: 6 if quick else None]]
    for half, images in other_materials(data).items():
        rows[half] = [far(i) for i in images[: 2 if quick else None]]
    if segmenter.task != "precipitates":
        return _summary(model, rows, {})
    test = ni_superalloy(data).test
    rows["Ni superalloy, test images"] = [far(p.image) for p in test.values()]
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
    return _summary(model, rows, quality)


def _summary(model: str, rows: dict[str, list[float]], quality: dict[str, float]) -> dict:
    known = np.array(rows["familiar"])
    return {
        "model": model,
        "flagged": {name: float(np.mean(np.array(values) > 1)) for name, values in rows.items()},
        "auroc": {
            name: float(np.mean([np.mean(known < v) + np.mean(known == v) / 2 for v in values]))
            for name, values in rows.items()
            if name != "familiar"
        },
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
        wanted = "at most 0.05" if name == "familiar" or "test images" in name else "near 1"
        print(f"{name}: flagged {share:.2f} (wanted {wanted}); {results['flags']['unfamiliarity'][name]}")
    print("macro IoU of the test images:", {k: round(v, 3) for k, v in results["flags"]["macro_iou"].items()})
    print(f"steel, NIST's number {NIST_NUMBER} (wanted within 0.5):")
    for name, value in results["steel"].items():
        print(f"  {name}: {value['value']:.3g} ({value['low']} to {value['high']})")
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
