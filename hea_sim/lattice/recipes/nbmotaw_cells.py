"""Label a few hundred cells of bcc Nb-Mo-Ta-W with `nbmotaw-snap`, atoms and volume relaxed, for lattice models.

    python -m hea_sim.lattice.recipes.nbmotaw_cells [--out FILE]

The cells are drawn from one seed; the labels stand beside this file. Labelling may be stopped at any time: finished
cells are kept in the file and are not computed again. Test cells are set apart here, before any fit, and include
cells larger than all training cells.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from hea_sim.lattice.drawing import annealed_cell, ordered_cells, random_cell
from hea_sim.lattice.fit import FitCell
from hea_sim.lattice.label_file import label_in_parts, read_cells
from hea_sim.lattice.pairs import load_lattice_model

ELEMENTS = ("Nb", "Mo", "Ta", "W")
TEACHER = "nbmotaw-snap"
ANNEALER = "nbmotaw-pairs"
SEED = 20261123
LABELS = Path(__file__).with_name("nbmotaw_cells.npz")
SIZE, LARGE = (3, 3, 3), (4, 4, 4)
#: Largest force at rest, eV/A: energies of cells are then settled to 1e-6 eV per atom.
FMAX_EV_PER_A = 5e-3
#: End of the group of a cell that no fit sees.
APART = ", set apart"


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledCells:
    """Hold the cells to fit to and the cells set apart, with the labels of the teacher."""

    train: list[FitCell]
    test: list[FitCell]


def draw_cells() -> list[FitCell]:
    """Draw all cells; those set apart for tests say so in their group."""
    rng = np.random.default_rng(SEED)
    model = load_lattice_model(ANNEALER)
    cells: list[FitCell] = list(ordered_cells(len(ELEMENTS)))

    def add(members: Sequence[int], n_random: int, n_annealed: int, *, test: bool, size: tuple[int, int, int]) -> None:
        name, end = f"{len(members)} elements", APART if test else ""
        for k in range(n_random + n_annealed):
            fractions = np.zeros(len(ELEMENTS))
            # half of them equiatomic, so that arrangements of one composition can be compared
            fractions[list(members)] = 1.0 if test or k % 2 else rng.dirichlet(np.full(len(members), 3.0))
            if k < n_random:
                cells.append(random_cell(fractions, size, rng, group=f"{name}, random{end}"))
            else:
                t = float(np.exp(rng.uniform(np.log(150), np.log(2500))))
                cells.append(annealed_cell(model, fractions, size, t, rng, sweeps=8, group=f"{name}, annealed{end}"))

    every = range(len(ELEMENTS))
    members: tuple[int, ...]
    for members in combinations(every, 2):
        add(members, 4, 4, test=False, size=SIZE)
        add(members, 1, 2, test=True, size=SIZE)
    for members in combinations(every, 3):
        add(members, 4, 4, test=False, size=SIZE)
        add(members, 1, 2, test=True, size=SIZE)
    add(every, 40, 60, test=False, size=SIZE)
    add(every, 12, 16, test=True, size=SIZE)
    add(every, 3, 5, test=True, size=LARGE)
    return cells


def read_labels(path: Path = LABELS) -> LabelledCells:
    """Read the labelled cells; which are set apart follows from their groups."""
    cells = read_cells(path)
    return LabelledCells(
        train=[cell for cell in cells if not cell.group.endswith(APART)],
        test=[cell for cell in cells if cell.group.endswith(APART)],
    )


def label(path: Path = LABELS) -> None:
    """Label what is not labelled yet, saving after every few cells."""
    from hea_sim.potentials import load_potential

    cells = read_cells(path) if path.exists() else draw_cells()
    label_in_parts(path, cells, ELEMENTS, load_potential(TEACHER), fmax_eV_per_A=FMAX_EV_PER_A, say=print)


def main() -> None:
    """Label from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=LABELS, help="npz file of cells and labels")
    label(parser.parse_args().out)


if __name__ == "__main__":
    main()
