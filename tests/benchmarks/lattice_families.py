"""Compare pair models, cluster expansions and low-rank potentials of NbMoTaW at equal data, and their speed.

    python tests/benchmarks/lattice_families.py [--quick] [--json FILE]

The cells and their labels (`nbmotaw-snap`, atoms and volume relaxed) stand in the package; those set apart were drawn
before any fit and are seen here alone. Every family chooses its own settings (ridge; radii and method; rank and
penalty) by cross-validation over the training cells. `--quick` compares fewer settings and shares of the data.
Speed: trials per second of exchanges of two unlike atoms, compiled, 2,000 sites, one core.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numba
import numpy as np

from hea_sim.documents import versions, write_json
from hea_sim.lattice.cluster_fit import fit_cluster_model
from hea_sim.lattice.cluster_functions import cluster_space
from hea_sim.lattice.contract import LatticeModel
from hea_sim.lattice.fit import FitCell, fit_pair_model
from hea_sim.lattice.low_rank_fit import fit_low_rank_model
from hea_sim.lattice.pairs import load_lattice_model
from hea_sim.lattice.parents import parent_lattice
from hea_sim.lattice.recipes.nbmotaw_cells import ELEMENTS, SIZE, read_labels
from hea_sim.lattice.recipes.nbmotaw_clusters import CUTOFFS_A, errors_on

Row = dict[str, object]


def best_pairs(cells: Sequence[FitCell], quick: bool) -> tuple[LatticeModel, Row]:
    """Fit pair models of one to five shells."""
    found = []
    for last in (3, 5) if quick else (1, 2, 3, 4, 5):
        model, report = fit_pair_model(cells, ELEMENTS, name="pairs", shells=tuple(range(1, last + 1)), relaxed=True)
        found.append((report.energy_cv_rmse_eV, model, {"shells": last, "parameters": report.n_parameters}))
    error, model, row = min(found, key=lambda item: item[0])
    return model, {**row, "cv_rmse": 1e3 * error}


def best_clusters(cells: Sequence[FitCell], quick: bool) -> tuple[LatticeModel, Row]:
    """Fit cluster expansions of several radii and methods."""
    found = []
    for cutoffs in CUTOFFS_A[1:3] if quick else CUTOFFS_A:
        space = cluster_space(parent_lattice("A2"), ELEMENTS, cutoffs)
        for method in ("bayes",) if quick else ("bayes", "ard", "lasso"):
            model, report = fit_cluster_model(cells, space, name="clusters", method=method, folds=5)  # type: ignore[arg-type]
            row = {"cutoffs_a": str(dict(cutoffs)), "method": method, "parameters": report.n_selected}
            found.append((report.energy_cv_rmse_eV, model, row | {"z_rms": report.z_rms}))
    error, model, row = min(found, key=lambda item: item[0])
    return model, {**row, "cv_rmse": 1e3 * error}


def best_low_rank(cells: Sequence[FitCell], quick: bool) -> tuple[LatticeModel, Row]:
    """Fit low-rank potentials of the first shell, 9 sites."""
    model, report = fit_low_rank_model(
        cells,
        ELEMENTS,
        parent_lattice("A2"),
        name="low rank",
        ranks=(3,) if quick else (2, 3, 4),
        penalties=(0.01,) if quick else (0.003, 0.01, 0.03),
        folds=3,
    )
    tried = {f"rank {rank}, penalty {penalty:g}": 1e3 * error for rank, penalty, error in report.tried}
    return model, {
        "rank": report.rank,
        "penalty": report.penalty,
        "parameters": report.n_parameters,
        "cv_rmse": 1e3 * report.energy_cv_rmse_eV,
        "tried": tried,
    }


FAMILIES: dict[str, Callable[[Sequence[FitCell], bool], tuple[LatticeModel, Row]]] = {
    "pairs": best_pairs,
    "clusters": best_clusters,
    "low-rank": best_low_rank,
}


def trials_per_s(model: LatticeModel, trials: int) -> float:
    """Time exchanges proposed and turned down, compiled, on 10x10x10 cells."""
    bound = model.bound((10, 10, 10))
    change = numba.njit(error_model="numpy")(bound.energy_change)

    @numba.njit
    def run(occupation: np.ndarray, pairs: np.ndarray, tables: tuple[np.ndarray, ...]) -> float:
        total = 0.0
        for k in range(len(pairs)):
            i, j = pairs[k]
            total += change(occupation, i, occupation[j], j, occupation[i], tables)
        return total

    rng = np.random.default_rng(0)
    occupation = rng.permutation(np.arange(2000) % 4).astype(np.int8)
    drawn = rng.integers(2000, size=(2 * trials, 2))
    pairs = drawn[occupation[drawn[:, 0]] != occupation[drawn[:, 1]]][:trials]
    run(occupation, pairs[:2], bound.tables)
    start = time.perf_counter()
    run(occupation, pairs, bound.tables)
    return len(pairs) / (time.perf_counter() - start)


def scores(model: LatticeModel, test: Sequence[FitCell]) -> Row:
    """Give errors on the cells set apart: all, quaternary alone, and those larger than all training cells."""
    groups = {
        "test": list(test),
        "test_quaternary": [c for c in test if c.group.startswith("4")],
        "test_128_atoms": [c for c in test if len(c.occupation) > 2 * np.prod(SIZE)],
    }
    return {
        f"{name}_{key}": round(value, 3)
        for name, cells in groups.items()
        for key, value in errors_on(model, cells).items()
    }


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cells = read_labels()
    found: dict[str, object] = {"train_cells": len(cells.train), "test_cells": len(cells.test), "unit": "meV/atom"}
    rows: dict[str, Row] = {"nbmotaw-pairs (fitted to DFT)": scores(load_lattice_model("nbmotaw-pairs"), cells.test)}
    order = np.random.default_rng(0).permutation(len(cells.train))
    for share in (1.0,) if options.quick else (0.5, 1.0):
        part = [cells.train[k] for k in sorted(order[: round(share * len(order))])]
        have = {int(c.occupation[0]) for c in part if c.group == "element"}
        part += [c for c in cells.train if c.group == "element" and int(c.occupation[0]) not in have]
        for family, fit in FAMILIES.items():
            start = time.perf_counter()
            model, row = fit(part, options.quick)
            row = {
                "cells": len(part),
                "fit_s": round(time.perf_counter() - start, 1),
                **row,
                **scores(model, cells.test),
            }
            if share == 1.0:
                row["trials_per_s"] = float(f"{trials_per_s(model, 20_000 if options.quick else 200_000):.3g}")
            rows[f"{family}, {share:.0%} of the cells"] = row
            print(json.dumps({f"{family}, {share:.0%}": row}, indent=1), flush=True)
    found["families"] = rows
    found["versions"] = versions()
    if options.json:
        write_json(options.json, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
