"""Draw alloys of three and more elements that the open set lacks, with labels of a potential that carries over.

The set holds elements and binary alloys alone, and a flexible potential fitted to those errs most where an atom has
neighbours of several other elements. Hot alloys have the positions of the set's own molecular dynamics of the elements,
scaled to the mean volume of the alloy, and give forces; strained ones are crystals near their rest and give energies
and stresses too, without which random alloys come out far too soft in shear. Species are drawn at random. The labels
are those of `nbmotaw-snap`, whose elements were held alike in its fit, and count less than those of DFT.
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

GROUP, STRAINED = "Taught", "Strained"
#: Structures of each of the two groups that are drawn.
TAUGHT = 60


def draw_alloys(structures: Sequence[TrainingStructure], count: int, seed: int) -> list[Atoms]:
    """Give ASE atoms: elements of the structures' groups of molecular dynamics, drawn anew."""
    rng = np.random.default_rng(seed)
    dynamics = [s for s in structures if s.group.endswith("_AIMD")]
    volumes = _volumes_A3(dynamics)
    elements = list(volumes)
    made = []
    for k in rng.choice(len(dynamics), count, replace=False):
        atoms = dynamics[k].atoms.copy()
        own = volumes[atoms.symbols[0]]
        symbols = rng.choice(elements, len(atoms), p=rng.dirichlet(np.full(len(elements), 2.0)))
        volume = np.mean([volumes[s] for s in symbols])
        atoms.set_cell(atoms.cell * (volume / own) ** (1 / 3), scale_atoms=True)
        atoms.set_chemical_symbols(list(symbols))
        atoms.calc = None
        made.append(atoms)
    return made


def draw_strained(structures: Sequence[TrainingStructure], count: int, seed: int) -> list[Atoms]:
    """Give bcc crystals of random alloys: strained by up to 3 %, atoms displaced by some hundredths of an Angstrom."""
    from ase.build import bulk

    rng = np.random.default_rng(seed)
    volumes = _volumes_A3([s for s in structures if s.group.endswith("_AIMD")])
    elements = list(volumes)
    made = []
    for _ in range(count):
        atoms = bulk("W", "bcc", a=3.2, cubic=True) * (3, 3, 3)
        symbols = rng.choice(elements, len(atoms), p=rng.dirichlet(np.full(len(elements), 2.0)))
        volume = np.mean([volumes[s] for s in symbols])
        atoms.set_cell(np.eye(3) * 3 * (2 * volume) ** (1 / 3), scale_atoms=True)
        strain = rng.uniform(-0.03, 0.03, (3, 3)) * rng.choice([0.3, 1.0])
        atoms.set_cell(atoms.cell @ (np.eye(3) + (strain + strain.T) / 2), scale_atoms=True)
        atoms.set_chemical_symbols(list(symbols))
        atoms.positions += rng.choice([0.0, 0.03, 0.08]) * rng.standard_normal(atoms.positions.shape)
        made.append(atoms)
    return made


def _volumes_A3(dynamics: Sequence[TrainingStructure]) -> dict[str, float]:
    """Give the median volume per atom of each element in its molecular dynamics."""
    elements = sorted({s.atoms.symbols[0] for s in dynamics})
    return {
        e: float(np.median([s.atoms.cell.volume / s.n_atoms for s in dynamics if s.atoms.symbols[0] == e]))
        for e in elements
    }


def write_taught(
    path: Path, structures: Sequence[TrainingStructure], teacher: Potential, count: int = TAUGHT, seed: int = 7
) -> Path:
    """Write the alloys with the teacher's labels as extended XYZ, xz-compressed."""
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write
    from ase.stress import full_3x3_to_voigt_6_stress

    frames = []
    for group, drawn in (
        (GROUP, draw_alloys(structures, count, seed)),
        (STRAINED, draw_strained(structures, count, seed + 1)),
    ):
        for atoms, result in zip(drawn, teacher.evaluate(drawn), strict=True):
            assert result.stress_eV_per_A3 is not None  # all are periodic
            atoms.info = {"group": group}
            atoms.calc = SinglePointCalculator(
                atoms,
                energy=result.energy_eV,
                forces=result.forces_eV_per_A,
                stress=full_3x3_to_voigt_6_stress(result.stress_eV_per_A3),
            )
            frames.append(atoms)
    stream = StringIO()
    write(stream, frames, format="extxyz")
    write_atomic(path, lzma.compress(stream.getvalue().encode()))
    return path
