"""Make `nbmotaw-pairs`: a pair Hamiltonian of bcc Nb-Mo-Ta-W from relaxed near-lattice DFT frames.

    python -m hea_sim.lattice.recipes.nbmotaw_pairs --data FOLDER_OF_NBMOTAW --out FOLDER [--checks FOLDER]

Nothing is drawn at random but the folds. All binary frames are 2x2x2 cells of 16 sites, whose 15 other sites fall into
four classes: shells 1 and 4 together, 2, 3, and 5. So shell 4 cannot be told from shell 1 (only J1 + 3 J4 is known, and
is given to shell 1), while shell 5 can, and is needed: without it the error between arrangements is three times larger.
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
from hea_sim.lattice.recipes import dft_frames, scores
from hea_sim.registry.cards import ModelCard, save_model

NAME = "nbmotaw-pairs"
SHELLS = (1, 2, 3, 5)
SEED, FOLDS = 0, 10


def fit(train: Sequence[Any], shells: Sequence[int] = SHELLS) -> tuple[PairModel, FitReport, dict[str, int]]:
    """Fit the model to the frames that pass the filters; also count what was dropped and why."""
    cells, count = dft_frames.relaxed_cells(train)
    dft_frames.check_elements(cells)
    elements = dft_frames.ELEMENTS
    model, report = fit_pair_model(cells, elements, name=NAME, shells=shells, folds=FOLDS, seed=SEED, relaxed=True)
    return model, report, count


def make_card(
    model: PairModel, report: FitReport, count: Mapping[str, int], data: Path, test: Sequence[Any],
    three_shells: FitReport, checks: Mapping[str, np.ndarray] | None,
) -> ModelCard:
    """Collect scores and sources."""
    found = scores.fit_scores(report, FOLDS) | scores.quaternary_scores(model, test)
    found["three_shell_arrangement_cv_rmse"] = scores.score(
        1e3 * three_shells.arrangement_cv_rmse_eV, "meV/atom", "the same fit with shells 1 to 3 only", report.n_cells
    )
    if checks is not None:
        found |= scores.quaternary_teacher_scores(model, checks)
    return ModelCard(
        name=NAME,
        kind=KIND,
        elements=model.species,
        lattice=model.lattice,
        data=(scores.dft_source(data, "near-lattice frames: " + ", ".join(f"{k} {v}" for k, v in count.items())),),
        scores=found,
        seeds={"folds": SEED},
        remake="python -m hea_sim.lattice.recipes.nbmotaw_pairs --data FOLDER_OF_NBMOTAW --out FOLDER --checks FOLDER",
        licence="GPL-3.0-or-later",
        citation="hea-toolkit; data: X.-G. Li et al. (2020), doi:10.1038/s41524-020-0339-0",
        notes=(
            "Relaxed DFT (PBE) energies at zero pressure: frames with |P| or shear stress above 2 GPa or a force above"
            " 0.15 eV/A are dropped, the rest corrected by -P^2 V / (2 B) and V (1 + P / B).",
            "Shells 1 and 4 coincide in every fitted cell: the first shell's energies are J1 + 3 J4.",
            "Fitted to elements and binaries only; quaternaries are predicted as sums of pairs.",
            "Transition temperatures from it carry no error bar: configurational energy alone, no vibrations.",
        ),
        versions=versions(),
    )


def main() -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.extxyz.xz and test.extxyz.xz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--checks", type=Path, help=f"folder with {scores.CHECKS}")
    options = parser.parse_args()
    train, test = (dft_frames.read_frames(options.data, name) for name in ("train", "test"))
    model, report, count = fit(train)
    _, three_shells, _ = fit(train, (1, 2, 3))
    checks = scores.load_checks(options.checks) if options.checks else None
    card = make_card(model, report, count, options.data, test, three_shells, checks)
    model = dataclasses.replace(model, card=card.model_dump())
    save_model(options.out, card, model_arrays(model))
    for name, item in card.scores.items():
        print(f"{name:40s} {item.value:10.4g} {item.unit}")


if __name__ == "__main__":
    main()
