"""Measure what `hea segment` costs: time against images, memory against image size, megapixels a second on one core.

python tests/benchmarks/segment_scaling.py [--quick] [--json FILE] [--only time,memory,speed] [--sizes 1000,20000]

Time: whole runs of the command, start and report included, on virtual micrographs of 256 x 256 pixels. Memory: the peak
resident memory of a process that runs the command on one image, a virtual micrograph repeated to the size; `threshold`
stands for a segmenter without cost. Speed: labels alone, one view, one thread, beside the random forest of
`pixel_forest` and the pixel classifiers of others (`pixel_peers`; one that is not installed is left out, with the
reason), all taught here on the same virtual micrographs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from hea_sim.documents import versions, write_json
from hea_sim.microscopy import VirtualMicrograph, virtual_micrograph
from hea_sim.records import Micrograph, Segmentation
from hea_vision.measurement import area_fraction, score_labels
from hea_vision.segmentation import SEGMENTERS, known_segmenters, segment

#: Largest image side that a segmenter which copies the image as floats is tried on.
_LARGEST_COPIED = {"classical": 4000}
_STUB = "threshold"
_NETWORK = "precipitates"
_FOREST = "random forest"
#: Pixels of a field that a pixel classifier learns from.
_TAUGHT_PIXELS = 5000
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def draw(seed: int, side: int) -> VirtualMicrograph:
    """Draw a virtual micrograph with a dark second phase and pores."""
    return virtual_micrograph(
        modality="sem", pixel_size_nm=50.0, seed=seed, shape=(side, side), second_phase_area_fraction=0.12,
        pore_area_fraction=0.005, second_phase_contrast=-0.3,
    )  # fmt: skip


def bytes_of(image: np.ndarray) -> np.ndarray:
    return np.clip(255 * image, 0, 255).astype(np.uint8)


def threshold(micrograph: Micrograph) -> Segmentation:
    """Label what is dark, in strips: a segmenter without cost or memory of its own."""
    image = micrograph.image
    labels = np.empty(image.shape, np.uint8)
    for top in range(0, image.shape[0], 256):
        labels[top : top + 256] = image[top : top + 256] < 100
    return Segmentation(
        labels=labels,
        classes={0: "matrix", 1: "dark"},
        pixel_size_nm=micrograph.pixel_size_nm,
        fractions={"dark": area_fraction(labels, 1)},
        model=_STUB,
        source=micrograph.source,
    )


def run_command(arguments: list[str]) -> None:
    """Run the command in this process and print its peak resident memory in bytes; for `--run` alone."""
    import resource

    from hea_vision.cli import main as hea
    from hea_vision.segmentation import registry

    registry.SEGMENTERS = {**SEGMENTERS, _STUB: threshold}  # type: ignore[misc]
    sys.argv = ["hea", *arguments]
    sys.stdout = open(os.devnull, "w")
    try:
        hea()
    except SystemExit as ended:
        used = resource.getrusage(resource.RUSAGE_SELF)
        unit = 1 if sys.platform == "darwin" else 1024
        found = {"peak_bytes": used.ru_maxrss * unit, "cpu_s": used.ru_utime + used.ru_stime, "code": ended.code or 0}
        sys.__stdout__.write(json.dumps(found) + "\n")  # type: ignore[union-attr]


def command(*arguments: str) -> dict[str, float]:
    """Run `hea` in a process of its own; give its wall and CPU time and its peak memory."""
    start = time.perf_counter()
    run = subprocess.run([sys.executable, __file__, "--run", *arguments], capture_output=True, text=True)
    if run.returncode or not run.stdout or json.loads(run.stdout)["code"]:
        raise SystemExit(f"hea {' '.join(arguments)} failed:\n{run.stderr}{run.stdout}")
    return {"wall_s": time.perf_counter() - start, **json.loads(run.stdout)}


def time_against_images(models: list[str], counts: list[int], folder: Path) -> dict[str, Any]:
    """Time whole runs on folders of small images."""
    side = 256
    drawn = [bytes_of(draw(seed, side).image) for seed in range(10)]
    found: dict[str, Any] = {}
    for n in counts:
        place = folder / f"images{n}"
        place.mkdir()
        for k in range(n):
            tifffile.imwrite(place / f"{k:04d}.tif", np.roll(drawn[k % len(drawn)], 7 * k, axis=1))
        for model in models:
            out = folder / f"out{n}{model}"
            used = command("segment", str(place), "--out", str(out), "--model", model)
            found[f"{model}, {n} images"] = {**used, "wall_s_per_image": used["wall_s"] / n}
            print(
                f"  {model:14s} {n:5d} images  {used['wall_s']:8.1f} s  {used['wall_s'] / n:7.3f} s an image",
                flush=True,
            )
    return found


def memory_against_size(models: list[str], sides: list[int], folder: Path) -> dict[str, Any]:
    """Find the peak resident memory of runs on one image, by its size."""
    small = bytes_of(draw(1, 1000).image)
    found: dict[str, Any] = {}
    for side in sides:
        path = folder / f"{side}.tif"
        field = tifffile.memmap(path, shape=(side, side), dtype=np.uint8, photometric="minisblack")
        for top in range(0, side, 1000):
            row = np.tile(small, (1, -(-side // 1000)))[:, :side]
            field[top : top + 1000] = row[: side - top]
        field.flush()
        del field
        for model in models:
            if side > _LARGEST_COPIED.get(model, side):
                continue
            used = command("segment", str(path), "--out", str(folder / f"out{side}{model}"), "--model", model)
            found[f"{model}, {side} px"] = {**used, "megapixels": side**2 / 1e6}
            gb = used["peak_bytes"] / 1e9
            print(f"  {model:14s} {side:6d} px  {gb:6.2f} GB  {used['wall_s']:8.1f} s", flush=True)
        path.unlink()
    return found


def pixel_classifiers(n_fields: int, side: int) -> tuple[dict[str, Callable[[np.ndarray], np.ndarray]], dict[str, str]]:
    """Teach pixel classifiers on virtual micrographs; give them by name, and why others are left out."""
    # Not at the top: processes whose memory is measured import this file, too.
    import pixel_forest
    import pixel_peers

    from hea_vision.segmentation.examples import LabelledImage

    drawn = [draw(100 + seed, side) for seed in range(n_fields)]
    pictures = [
        LabelledImage(image=bytes_of(m.image).astype(np.float32), labels=m.labels, classes=m.classes) for m in drawn
    ]
    forest = pixel_forest.train(pictures, seed=0, pixels_a_picture=_TAUGHT_PIXELS)
    found = {_FOREST: lambda image: pixel_forest.label(forest, image)}
    left_out = {}
    for name, (_, teach) in pixel_peers.PEERS.items():
        reason = pixel_peers.missing(name)
        if reason:
            left_out[name] = reason
        else:
            found[name] = teach(pictures, 0, _TAUGHT_PIXELS)
    return found, left_out


def speed(models: list[str], side: int, n_fields: int) -> dict[str, Any]:
    """Time labels alone on one core; the IoU says that pixel classifiers are fair ones."""
    drawn = draw(7, side)
    image = bytes_of(drawn.image).astype(np.float32)
    taught, left_out = pixel_classifiers(n_fields, min(side, 512))
    methods: dict[str, Callable[[], np.ndarray]] = {n: lambda label=label: label(image) for n, label in taught.items()}  # type: ignore[misc]
    for model in models:
        methods[model] = lambda model=model: segment(Micrograph(image=image), model, views=1).labels  # type: ignore[misc]
    found: dict[str, Any] = {}
    for name, method in methods.items():
        if name not in (*taught, *SEGMENTERS):
            method()  # loads the network
        start = time.process_time()
        labels = method()
        seconds = time.process_time() - start
        found[name] = {"megapixels_per_s": image.size / 1e6 / seconds}
        text = ""
        if name in (*taught, "classical"):
            found[name]["macro_iou"] = float(score_labels(labels, drawn.labels, (0, 1, 2)).macro_iou)
            text = f"  macro IoU {found[name]['macro_iou']:.3f} on a held-out virtual field"
        print(f"  {name:20s} {found[name]['megapixels_per_s']:8.2f} Mpx/s{text}", flush=True)
    for name, reason in left_out.items():
        found[name] = {"left_out": reason}
        print(f"  {name:20s} left out: {reason}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs")
    parser.add_argument("--json")
    parser.add_argument("--only", default="speed,time,memory")
    parser.add_argument("--sizes", help="image sides in px, instead of 1000,4000,10000,20000")
    options = parser.parse_args()
    models = ["classical", _NETWORK]
    counts = [3, 10] if options.quick else [10, 100, 1000]
    sides = [int(s) for s in options.sizes.split(",")] if options.sizes else [1000, 4000, 10000, 20000]
    results: dict[str, Any] = {"versions": versions()}
    wanted: Mapping[str, Callable[[Path], Any]] = {
        "speed": lambda _: speed(
            ["classical", *known_segmenters()], 512 if options.quick else 1024, 2 if options.quick else 6
        ),
        "time": lambda folder: time_against_images(models, counts, folder),
        "memory": lambda folder: memory_against_size(
            [_STUB, *models], [500, 1000] if options.quick and not options.sizes else sides, folder
        ),
    }
    for name in options.only.split(","):
        print(name, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            results[name] = wanted[name](Path(folder))
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run_command(sys.argv[2:])
    elif _ONE_THREAD.items() <= os.environ.items():
        main()
    else:  # libraries count the cores when they are loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **_ONE_THREAD})
