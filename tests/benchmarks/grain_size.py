"""Compare grain size with NIST's chords on its own segmentations, and with virtual grains of known size.

`python tests/benchmarks/grain_size.py --data FOLDER [--quick] [--json FILE]`; FOLDER defaults to the environment
variable HEA_DATA. NIST's tables lie beside its segmentations. Virtual grains are the cells of points sown at random,
whose mean chord is pi / (4 sqrt(points per area)); their boundaries are drawn 0 (labels alone), 1, 3 and 5 px wide.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage
from scipy.spatial import cKDTree

from hea_sim.documents import write_json
from hea_vision.measurement import (
    count_intercepts,
    grains_of_boundaries,
    intercept_grain_size,
    pattern_probes,
    planimetric_grain_size,
)
from hea_vision.measurement.grain_size import number_from_intercept

#: Files, and micrometres a pixel: the bar of the steel is 50 um on 222 px; that of Ti-6Al-4V was not given.
NIST = {
    "steel": ("steel/grains_steel_highlighted", 50.0 / 222.0),
    "Ti-6Al-4V": ("ti64/sem_alpha_beta_ti_6al_4v", None),
}
TABLES = {"nist-e112": "e112", "nist-line-grid": "line_grid"}


def nist(data: Path) -> dict:
    """Set chords beside NIST's, and the mean intercept that counts boundaries to the line."""
    rows = {}
    for name, (stem, um) in NIST.items():
        place = data / "micrographs" / "grain_intercept" / stem
        mask = tifffile.imread(f"{place}_segmented.tif") > 0
        grains = grains_of_boundaries(mask)
        for pattern, table in TABLES.items():
            with open(f"{place}_distances_{table}.csv", newline="") as stream:
                theirs = np.array([float(row[1]) for row in list(csv.reader(stream))[1:]])
            probes = pattern_probes(pattern, mask.shape)
            ours = count_intercepts(grains, probes, least_chord_points=2, edge="grain").chords_px
            row = {
                "chords": len(ours),
                "chords of NIST": len(theirs),
                "chords, difference %": 100 * (len(ours) / len(theirs) - 1),
                "mean chord px": ours.mean(),
                "mean chord of NIST px": theirs.mean(),
                "mean chord, difference %": 100 * (ours.mean() / theirs.mean() - 1),
            }
            if um is not None:
                e112 = intercept_grain_size(grains, pixel_size_nm=1000 * um, pattern=pattern)
                g = e112.grain_size_number
                row |= {
                    "G from chords": number_from_intercept(ours.mean() * um / 1000),
                    "G from chords of NIST": number_from_intercept(theirs.mean() * um / 1000),
                    "G of E112, boundaries part of the line": g.value,
                    "G of E112, low": g.low,
                    "G of E112, high": g.high,
                }
            rows[f"{name}, {pattern}"] = row
    return rows


def voronoi(seed: int, n: int, side: int) -> tuple[np.ndarray, float]:
    rng = np.random.default_rng(seed)
    density, margin = n / side**2, 4 * side / np.sqrt(n)
    points = rng.random((rng.poisson(density * (side + 2 * margin) ** 2), 2)) * (side + 2 * margin) - margin
    y, x = np.mgrid[:side, :side]
    return cKDTree(points).query(np.column_stack([y.ravel(), x.ravel()]))[1].reshape(side, side) + 1, density


def drawn(grains: np.ndarray, width: int) -> np.ndarray:
    """Draw boundaries `width` px wide and number the grains anew."""
    if width == 0:
        return grains
    edge = np.zeros(grains.shape, bool)
    edge[:-1] |= grains[:-1] != grains[1:]
    edge[:, :-1] |= grains[:, :-1] != grains[:, 1:]
    if width > 1:
        edge = ndimage.binary_dilation(edge, np.ones((3, 3)), iterations=(width - 1) // 2)
    return grains_of_boundaries(edge)


def virtual(quick: bool) -> dict:
    """Compare with the exact truth: bias, spread, and how often the 95 % interval of one field holds it."""
    rows = {}
    fields = 12 if quick else 60
    for n in (60, 250, 1000):
        for width in (0, 1, 3, 5):
            lines, counts, held = [], [], np.zeros(2)
            for seed in range(fields):
                labels, density = voronoi(1000 + seed, n, 400)
                grains = drawn(labels, width)
                by_lines = intercept_grain_size(grains).mean_intercept
                by_count = planimetric_grain_size(grains).mean_area
                truth = np.pi / (4 * np.sqrt(density)), 1 / density
                lines.append(by_lines.value / truth[0])
                counts.append(by_count.value / truth[1])
                held += [by_lines.low <= truth[0] <= by_lines.high, by_count.low <= truth[1] <= by_count.high]
            rows[f"{n} grains of {truth[0]:.0f} px intercept, boundaries {width} px"] = {
                "fields": fields,
                "intercept, bias %": 100 * (np.mean(lines) - 1),
                "intercept, spread %": 100 * np.std(lines),
                "intercept, interval holds truth": held[0] / fields,
                "area by counting, bias %": 100 * (np.mean(counts) - 1),
                "area by counting, spread %": 100 * np.std(counts),
                "area by counting, interval holds truth": held[1] / fields,
            }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("HEA_DATA"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    results: dict = {}
    if options.data:
        results["chords beside NIST's"] = nist(Path(options.data))
    else:
        print("real segmentations: skipped, give --data FOLDER or set HEA_DATA")
    results["virtual grains of known size"] = virtual(options.quick)
    for title, rows in results.items():
        print(title)
        for name, row in rows.items():
            print(f"  {name}")
            for key, value in row.items():
                print(f"    {key}: {value:.4g}")
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
