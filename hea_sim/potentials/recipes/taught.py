"""Draw alloys of three and more elements that the open set lacks, with forces of a potential that carries over.

The set holds elements and binary alloys alone, and a flexible potential fitted to those errs most where an atom has
neighbours of several other elements. Positions are those of the set's own molecular dynamics of the elements, scaled to
the mean volume of the alloy; species are drawn at random. The labels are those of `nbmotaw-snap`, whose elements were
held alike in its fit, and count less than those of DFT.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.potentials.contract import Potential
from hea_sim.potentials.fitting.structures import TrainingStructure

if TYPE_CHECKING:
    from ase import Atoms

GROUP = "Taught"
#: Structures that are drawn.
TAUGHT = 60


def draw_alloys(structures: Sequence[TrainingStructure], count: int, seed: int) -> list[Atoms]:
    """Give ASE atoms: elements of the structures' groups of molecular dynamics, drawn anew."""
    rng = np.random.default_rng(seed)
    dynamics = [s for s in structures if s.group.endswith("_AIMD")]
    elements = sorted({s.atoms.symbols[0] for s in dynamics})
    volumes = {
        e: np.median([s.atoms.cell.volume / s.n_atoms for s in dynamics if s.atoms.symbols[0] == e]) for e in elements
    }
    made = []
    for k in rng.choice(len(dynamics), count, replace=False):
        atoms = dynamics[k].atoms.copy()
        own = volumes[atoms.symbols[0]]
        share = rng.dirichlet(np.full(len(elements), 2.0))
        symbols = rng.choice(elements, len(atoms), p=share)
        volume = np.mean([volumes[s] for s in symbols])
        atoms.set_cell(atoms.cell * (volume / own) ** (1 / 3), scale_atoms=True)
        atoms.set_chemical_symbols(list(symbols))
        atoms.calc = None
        made.append(atoms)
    return made


def write_taught(
    path: Path, structures: Sequence[TrainingStructure], teacher: Potential, count: int = TAUGHT, seed: int = 7
) -> Path:
    """Write the alloys with the teacher's labels as extended XYZ, xz-compressed."""
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    frames = draw_alloys(structures, count, seed)
    for atoms, result in zip(frames, teacher.evaluate(frames), strict=True):
        atoms.info = {"group": GROUP}
        atoms.calc = SinglePointCalculator(atoms, energy=result.energy_eV, forces=result.forces_eV_per_A)
    stream = StringIO()
    write(stream, frames, format="extxyz")
    write_atomic(path, lzma.compress(stream.getvalue().encode()))
    return path
