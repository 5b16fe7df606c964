"""Time the prediction of many compositions with sets and intervals, and the memory that it takes.

`python tests/benchmarks/properties_speed.py [--quick] [-n 1000000] [--json FILE]`
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from pathlib import Path

import numpy as np

from hea_sim.documents import versions, write_json
from hea_sim.properties.contract import AlloyBatch
from hea_sim.properties.predictor import load_predictor

ELEMENTS = ("Al", "Co", "Cr", "Cu", "Fe", "Hf", "Mn", "Mo", "Nb", "Ni", "Ta", "Ti", "V", "W", "Zr")


def random_alloys(n: int, seed: int = 0) -> AlloyBatch:
    """Draw alloys of three to six elements with fractions of at least 5 at.%."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n, len(ELEMENTS)))
    for row, size in zip(x, rng.integers(3, 7, n)):
        row[rng.choice(len(ELEMENTS), size, replace=False)] = 0.05 + rng.dirichlet(np.ones(size)) * (1 - 0.05 * size)
    return AlloyBatch(elements=ELEMENTS, fractions=x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("-n", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    n = 20_000 if options.quick else options.n
    start = time.perf_counter()
    predictor = load_predictor()
    loaded = time.perf_counter() - start
    predictor.predict_batch(random_alloys(1000, seed=1))  # compiles, or reads what was compiled
    alloys = random_alloys(n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start, cpu = time.perf_counter(), time.process_time()
    found = predictor.predict_batch(alloys)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {
        "compositions": n,
        "load_s": loaded,
        "wall_s": wall,
        "cpu_s": cpu,
        "cores": os.cpu_count(),
        "peak_memory_MiB": peak,
        "memory_before_MiB": before,
        "in_domain": float(found.in_domain.mean()),
        "versions": versions(),
    }
    print(
        f"{n} compositions: {wall:.1f} s wall, {cpu:.1f} s of cores, {100 * found.in_domain.mean():.0f} % in domain;"
        f" memory {before:.0f} -> {peak:.0f} MiB; load {loaded:.1f} s"
    )
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    main()
