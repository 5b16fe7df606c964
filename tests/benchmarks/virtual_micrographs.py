"""How many virtual micrographs a second, and are they exact?

`python tests/benchmarks/virtual_micrographs.py [--quick] [--json FILE]`. Whole pictures of 512 x 512 pixels, scene and
instrument, by CPU seconds of one core; what is compiled on first use is compiled before the clock starts. Wanted: 20 a
second of precipitates and of grains. Exact: the area that a plain scene covers in its grey values is the area of its
labels.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from hea_sim.documents import write_json
from hea_sim.errors import HEAError
from hea_sim.microscopy.precipitates import Population, draw_precipitates
from hea_sim.microscopy.random_fields import KINDS, draw_field

WANTED = {"precipitates": 20.0, "grains": 20.0}


def per_second(kind: str, count: int) -> float:
    rng = np.random.default_rng(7)
    for _ in range(12):
        _draw(kind, rng)
    began = time.process_time()
    for _ in range(count):
        _draw(kind, rng)
    return count / (time.process_time() - began)


def _draw(kind: str, rng: np.random.Generator) -> None:
    try:
        draw_field(kind, rng, (512, 512))
    except HEAError:
        pass  # no room for what was drawn; the trainer draws again, too


def fattening(diameter_px: float, count: int) -> float:
    """Give labelled over covered area of small particles, minus one."""
    labelled = covered = 0.0
    for seed in range(count):
        population = Population(diameter_px=diameter_px, fraction=0.08, contrast=-0.2, spread=0.1)
        scene = draw_precipitates(np.random.default_rng(seed), (256, 256), large=population)
        labelled += float((scene.labels > 0).sum())
        plain = draw_precipitates(
            np.random.default_rng(seed), (256, 256), large=Population(**{**population.__dict__, "contrast": 0.0})
        )
        covered += float((plain.reflectance - scene.reflectance).sum() / 0.2)
    return labelled / covered - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    count = 20 if options.quick else 100
    results: dict = {"per_second": {kind: per_second(kind, count) for kind in KINDS}}
    results["labelled_over_covered_area"] = {
        f"{d:g} px": 1 + fattening(d, 3 if options.quick else 12) for d in (3.0, 5.0, 10.0, 30.0)
    }
    for kind, rate in results["per_second"].items():
        wanted = WANTED.get(kind)
        said = "" if wanted is None else f" (wanted {wanted:g}{'' if rate >= wanted else ', MISSED'})"
        print(f"{kind}: {rate:.1f} pictures a second{said}")
    print("labelled over covered area:", {k: round(v, 4) for k, v in results["labelled_over_covered_area"].items()})
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
