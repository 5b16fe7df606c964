"""Make `nbmotaw-pairs`: a pair Hamiltonian of bcc Nb-Mo-Ta-W from relaxed near-lattice DFT frames.

    python -m hea_sim.lattice.recipes.nbmotaw_pairs --data FOLDER_OF_NBMOTAW --out FOLDER

Nothing is drawn at random but the folds.

All binary frames are 2x2x2 cells of 16 sites. There shell 4 falls on shell 1 (only J1 + 3 J4 is known, and is given to
shell 1), and for every two species 8 p1 + 3 p2 + 3 p3 + p5 = 16 c_i c_j, exactly: a fifth shell adds 6 parameters, but
none that an arrangement decides (arrangement rank 18 of 24). What it does in the fit is to let the energy bend with the
composition. That brings the cross-validated error of arrangement differences inside these cells from 3.07 (shells 1 to
3) to 1.10 meV/atom, because J1 to J3 need no longer follow the bend; whether they are then nearer the truth, only
larger cells can tell. `shell_range` asked them: 36 quaternary and 36 binary 4x4x4 cells labelled by 7net-0, unrelaxed.
Correlation of arrangement differences, and their rms error after the best scale (meV/atom; 7net-0 spreads by 13.2 in
quaternaries and 22.6 in binaries):

| shells | from DFT, quaternary | from DFT, binary | from 7net-0 2x2x2, quaternary | likewise, binary |
|---|---|---|---|---|
| 1 | 0.941, 4.5 | 0.894, 10.1 | 0.938, 4.6 | 0.840, 12.2 |
| 1, 2 | 0.954, 3.9 | 0.927, 8.4 | 0.967, 3.3 | 0.979, 4.6 |
| 1, 2, 3 (shipped) | 0.918, 5.2 | 0.887, 10.4 | 0.961, 3.7 | 0.970, 5.5 |
| 1, 2, 3, 5 | 0.907, 5.6 | 0.906, 9.5 | 0.951, 4.1 | 0.971, 5.4 |

The gain of shell 5 in correlation is -0.011 +- 0.008, +0.020 +- 0.029, -0.010 +- 0.006 and +0.001 +- 0.007: none. So
the model keeps three shells. Two do no worse there, in any column; three are kept because they have the smaller error
inside the DFT cells and for the DFT quaternary, and 7net-0, which itself errs by 10 meV/atom between relaxed binary
arrangements (card of `nbmotativ-pairs`), cannot settle a difference that small. The one quaternary arrangement with DFT
is met to 7.6, 6.1, 2.8 and 1.1 meV/atom by the four sets: that is mostly the bend with composition, and there three
shells pay their price. Leaving out a binary system would say nothing: its pair energies occur in no other cells.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import versions
from hea_sim.lattice.fit import FitReport, fit_pair_model
from hea_sim.lattice.pairs import KIND, PairModel, model_arrays
from hea_sim.lattice.recipes import dft_frames, scores, shell_range
from hea_sim.registry.cards import MODELS, ModelCard, Score, save_model

NAME = "nbmotaw-pairs"
SHELLS = (1, 2, 3)
SEED, FOLDS = 0, 10


def fit(train: Sequence[Any], shells: Sequence[int] = SHELLS) -> tuple[PairModel, FitReport, dict[str, int]]:
    """Fit the model to the frames that pass the filters; also count what was dropped and why."""
    cells, count = dft_frames.relaxed_cells(train)
    dft_frames.check_elements(cells)
    elements = dft_frames.ELEMENTS
    model, report = fit_pair_model(cells, elements, name=NAME, shells=shells, folds=FOLDS, seed=SEED, relaxed=True)
    return model, report, count


def make_card(
    fits: Mapping[tuple[int, ...], tuple[PairModel, FitReport]],
    count: Mapping[str, int],
    data: Path,
    test: Sequence[Any],
    labels: Mapping[str, np.ndarray],
) -> ModelCard:
    """Collect scores and sources, of the other sets of shells too."""
    model, report = fits[SHELLS]
    found = scores.fit_scores(report, FOLDS) | scores.quaternary_scores(model, test)
    for shells, (other, other_report) in fits.items():
        name = "".join(map(str, shells))
        found[f"inside_shells_{name}_arrangement_cv_rmse"] = scores.score(
            1e3 * other_report.arrangement_cv_rmse_eV, "meV/atom",
            f"the same fit with shells {', '.join(map(str, shells))}: cross-validated inside the 2x2x2 cells"
            f" (arrangement rank {other_report.arrangement_rank} of {other_report.n_pair_parameters})", report.n_cells,
        )  # fmt: skip
        found[f"outside_shells_{name}_quaternary_energy_error"] = scores.score(
            scores.quaternary_scores(other, test)["quaternary_energy_error"].value, "meV/atom",
            f"shells {', '.join(map(str, shells))}: model minus DFT for the one quaternary arrangement", 1,
        )  # fmt: skip
    found |= shell_range.range_scores({s: m for s, (m, _) in fits.items()}, labels)
    frames = scores.dft_source(data, "near-lattice frames: " + ", ".join(f"{k} {v}" for k, v in count.items()))
    large, small = len(labels["energy_eV"]), len(labels["small_eV"])
    cells = f"labels of {large} cells of 128 atoms and {small} of 16, to check only"
    return ModelCard(
        name=NAME,
        kind=KIND,
        elements=model.species,
        lattice=model.lattice,
        data=(frames, scores.teacher_source("7net-0", cells)),
        scores=found,
        seeds={"folds": SEED, "check cells": shell_range.SEED},
        remake="python -m hea_sim.lattice.recipes.nbmotaw_pairs --data FOLDER_OF_NBMOTAW --out FOLDER",
        licence="GPL-3.0-or-later",
        citation="hea-toolkit; data: X.-G. Li et al. (2020), doi:10.1038/s41524-020-0339-0",
        notes=(
            "Relaxed DFT (PBE) energies at zero pressure: frames with |P| or shear stress above 2 GPa or a force above"
            " 0.15 eV/A are dropped, the rest corrected by -P^2 V / (2 B) and V (1 + P / B).",
            "Shells 1 and 4 coincide in every fitted cell: the first shell's energies are J1 + 3 J4.",
            f"Three shells. {_outcome(found)}",
            "Fitted to elements and binaries only; quaternaries are predicted as sums of pairs.",
            "Transition temperatures from it carry no error bar: configurational energy alone, no vibrations.",
        ),
        versions=versions(),
    )


def _outcome(found: Mapping[str, Score]) -> str:
    """Say in one note why a fifth shell is left out, in the numbers of this run."""
    inside = [found[f"inside_shells_{name}_arrangement_cv_rmse"].value for name in ("123", "1235")]
    outside = [
        found[f"outside_dft_{what}_shells_{name}_correlation"].value
        for what in ("quaternary", "binary")
        for name in ("123", "1235")
    ]
    return (
        "A fifth shell is in 2x2x2 cells a term c_i c_j of the composition in disguise (8 p1 + 3 p2 + 3 p3 + p5 ="
        f" 16 c_i c_j): it lowers the error inside them from {inside[0]:.2f} to {inside[1]:.2f} meV/atom, but in 4x4x4"
        f" cells (7net-0, unrelaxed) the correlation of arrangement differences is {outside[0]:.3f} without and"
        f" {outside[1]:.3f} with it for quaternaries, {outside[2]:.3f} and {outside[3]:.3f} for binaries."
    )


def main() -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.extxyz.xz and test.extxyz.xz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--labels", type=Path, default=MODELS / NAME, help=f"folder with {shell_range.FILE} (shipped)")
    options = parser.parse_args()
    labels = shell_range.load(options.labels)
    train, test = (dft_frames.read_frames(options.data, name) for name in ("train", "test"))
    fits: dict[tuple[int, ...], tuple[PairModel, FitReport]] = {}
    count: dict[str, int] = {}
    for shells in shell_range.SETS:
        model, report, count = fit(train, shells)
        fits[shells] = (model, report)
    card = make_card(fits, count, options.data, test, labels)
    model = dataclasses.replace(fits[SHELLS][0], card=card.model_dump())
    save_model(options.out, card, model_arrays(model))
    for name, item in card.scores.items():
        print(f"{name:40s} {item.value:10.4g} {item.unit}")


if __name__ == "__main__":
    main()
