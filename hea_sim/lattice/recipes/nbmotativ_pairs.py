"""Make `nbmotativ-pairs`: a pair Hamiltonian of bcc Nb-Mo-Ta-Ti-V from the teacher 7net-0.

The labels are shipped beside the model, so that the last step runs without the teacher. To make them again, in a new
folder, the extra `mlip` is needed (fifteen minutes on one core; the first step may be interrupted and run again):

    python -m hea_sim.lattice.recipes.nbmotativ_pairs --labels FOLDER --labels-only
    python -m hea_sim.lattice.recipes.checks --data FOLDER_OF_NBMOTAW --out FOLDER
    python -m hea_sim.lattice.recipes.nbmotativ_pairs --labels FOLDER --out FOLDER

Cells near the equiatomic composition weigh most: a pair Hamiltonian whose energies do not depend on the composition
cannot hold from the elements to the middle at once, and the middle is where it is used.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hea_sim.documents import versions
from hea_sim.elements import elemental_state
from hea_sim.lattice.fit import FitCell, FitReport, arrangement_errors, fit_pair_model
from hea_sim.lattice.pairs import KIND, PairModel, model_arrays
from hea_sim.lattice.recipes import scores
from hea_sim.lattice.recipes.designs import SIZE, CellDesign, design_cells
from hea_sim.lattice.recipes.teacher import equation_of_state, label_designs
from hea_sim.registry.cards import MODELS, ModelCard, Score, save_model

NAME = "nbmotativ-pairs"
SHELLS = (1, 2, 3, 4, 5)
FOLDS = 10
#: Width in composition (distance of the fractions from equiatomic) of the weight of a cell, and its floor.
WEIGHT_WIDTH, WEIGHT_FLOOR = 0.25, 0.02
ELEMENTS = ("Nb", "Mo", "Ta", "Ti", "V")
SEED = 20240611
#: Guessed volumes (A^3/atom, PBE bcc) that centre the three volumes of every cell.
VOLUME_GUESS_A3 = np.array([18.3, 15.9, 18.3, 17.1, 13.4])


def second_teacher_subset(cells: list[CellDesign]) -> list[int]:
    """Choose the cells that the second teacher labels: unaries, and the first equiatomic arrangements."""
    unary = [k for k, cell in enumerate(cells) if cell.group == "unary"]
    return unary + [k for k, cell in enumerate(cells) if cell.group == "equiatomic"][:16]


def label(folder: Path, cells: list[CellDesign]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Label every cell with 7net-0 and the subset with CHGNet; cells that are labelled already are only read."""
    first = label_designs(cells, ELEMENTS, VOLUME_GUESS_A3, "7net-0", folder / "labels-7net-0.npz")
    subset = second_teacher_subset(cells)
    second = label_designs(cells, ELEMENTS, VOLUME_GUESS_A3, "chgnet", folder / "labels-chgnet.npz", only=subset)
    return first, second


def mixing(labels: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Compute energies relative to the teacher's own elements and volumes; NaN where a cell has no label."""
    done = np.isfinite(labels["energy_eV"]).all(axis=1)
    energy, volume = np.full((2, len(done)), np.nan)
    energy[done], volume[done], _ = equation_of_state(labels["volume_A3"][done], labels["energy_eV"][done])
    elements = energy[: len(ELEMENTS)].copy()  # the design begins with the elements
    return energy - elements[labels["occupation"]].mean(axis=1), volume


def fit(cells: list[CellDesign], labels: Mapping[str, np.ndarray]) -> tuple[PairModel, FitReport]:
    """Fit the model to the labels of the first teacher."""
    energy, volume = mixing(labels)
    rows = []
    for cell, e, v in zip(cells, energy, volume, strict=True):
        away = np.bincount(cell.occupation, minlength=len(ELEMENTS)) / len(cell.occupation) - 1 / len(ELEMENTS)
        weight = float(np.exp(-(away @ away) / (2 * WEIGHT_WIDTH**2)) + WEIGHT_FLOOR)
        rows.append(
            FitCell(occupation=cell.occupation, size=SIZE, energy_eV=e, volume_A3=v, weight=weight, group=cell.group)
        )
    return fit_pair_model(rows, ELEMENTS, name=NAME, shells=SHELLS, folds=FOLDS, seed=SEED)


def equiatomic_scores(cells: list[CellDesign], report: FitReport, labels: Mapping[str, np.ndarray]) -> dict[str, Score]:
    """Score the fit on arrangements of the equiatomic alloy alone."""
    here = np.array([cell.group == "equiatomic" for cell in cells])
    energy, volume = mixing(labels)
    one = np.ones((int(here.sum()), 1))
    error, spread = arrangement_errors(energy[here], report.energy_cv_eV[here], one)
    rmse = float(np.sqrt(((volume - report.volume_cv_A3)[here] ** 2).mean()))
    how, n = "out of fold, over equiatomic arrangements", int(here.sum())
    return {
        "equiatomic_arrangement_cv_rmse": scores.score(1e3 * error, "meV/atom", how, n),
        "equiatomic_arrangement_spread": scores.score(1e3 * spread, "meV/atom", "spread of 7net-0 over them", n),
        "equiatomic_volume_cv_rmse": scores.score(rmse, "A^3/atom", how, n),
    }


def second_teacher_lattice_A(equiatomic: list[int], volume: np.ndarray) -> float:
    """Predict the lattice parameter of the equiatomic alloy at 298 K from the second teacher's labels alone."""
    own = (2 * volume[: len(ELEMENTS)]) ** (1 / 3)
    measured = np.array([elemental_state(e, structure="A2").a_A for e in ELEMENTS])
    return float((2 * volume[equiatomic].mean()) ** (1 / 3) * (measured / own).mean())


def make(folder: Path, out: Path) -> ModelCard:
    """Fit the labels in a folder and save the model with its card."""
    cells = design_cells(len(ELEMENTS), SEED)
    labels, second = label(folder, cells)
    checks = scores.load_checks(folder)
    model, report = fit(cells, labels)
    both = [k for k in second_teacher_subset(cells) if cells[k].group == "equiatomic"]
    (e1, v1), (e2, v2) = mixing(labels), mixing(second)
    found = (
        scores.fit_scores(report, FOLDS)
        | equiatomic_scores(cells, report, labels)
        | scores.teacher_scores(checks)
        | scores.teachers_apart(e1[both], e2[both], v1[both], v2[both])
    )
    shift_V, shift_E = float(checks["relaxation_A3"].item()), float(checks["relaxation_eV"].item())
    how = "relaxed minus unrelaxed, one random equiatomic cell of 128 atoms, 7net-0"
    found["relaxation_volume"] = scores.score(shift_V, "A^3/atom", how, 1)
    found["relaxation_energy"] = scores.score(1e3 * shift_E, "meV/atom", how, 1)
    found["second_teacher_lattice_parameter"] = scores.score(
        second_teacher_lattice_A(both, v2), "A",
        "equiatomic alloy at 298 K from CHGNet labels with CHGNet's own element offsets", len(both),
    )  # fmt: skip
    card = _card(found, len(cells))
    model = dataclasses.replace(model, volume_relaxation_A3=shift_V, card=card.model_dump())
    return save_model(out, card, model_arrays(model))


def _card(found: Mapping[str, Score], n_cells: int) -> ModelCard:
    data = (
        scores.teacher_source("7net-0", f"labels of {n_cells} cells at three volumes"),
        scores.teacher_source("CHGNet 0.3.0", "labels of 21 of them, for the spread"),
    )
    return ModelCard(
        name=NAME,
        kind=KIND,
        elements=ELEMENTS,
        lattice="A2",
        data=data,
        scores=dict(found),
        seeds={"cells and folds": SEED, "checks": 7},
        remake="python -m hea_sim.lattice.recipes.nbmotativ_pairs --out FOLDER (from the shipped"
        " labels; how those were made stands at the head of that file)",
        licence="GPL-3.0-or-later",
        citation="hea-toolkit; teacher: Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024)",
        notes=(
            "Unrelaxed: all atoms stand on bcc sites; size misfit (Ti, V against Nb, Ta) is not relaxed.",
            "The teacher, not DFT: on Nb-Mo-Ta-W binaries its error between arrangements is as large as what separates"
            " them in DFT. Short-range order from this model is an indication, not a prediction.",
            "Volumes are safer than order: element-referenced offsets take the teacher's volume error off.",
            "Weighted towards the equiatomic alloy; far from it energies err by tens of meV/atom.",
        ),
        versions=versions(),
    )


def main() -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--labels", type=Path, default=MODELS / NAME, help="folder of the labels (the shipped ones)")
    parser.add_argument("--out", type=Path, help="folder for card and arrays; needed but with --labels-only")
    parser.add_argument("--labels-only", action="store_true")
    options = parser.parse_args()
    if options.labels_only:
        label(options.labels, design_cells(len(ELEMENTS), SEED))
        return
    if options.out is None:
        parser.error("--out FOLDER is needed")
    for name, item in make(options.labels, options.out).scores.items():
        print(f"{name:40s} {item.value:10.4g} {item.unit}")


if __name__ == "__main__":
    main()
