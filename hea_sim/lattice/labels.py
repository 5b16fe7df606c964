"""Labels of lattice cells from any potential: energies against the elements, volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from hea_sim.elements import elemental_volume_A3
from hea_sim.errors import InputError
from hea_sim.lattice.fit import FitCell
from hea_sim.lattice.pairs import check_occupation
from hea_sim.lattice.shells import lattice_name, lattice_points, sites_per_cell

Relax = Literal["volume", "atoms"]


def label_cells(
    cells: Sequence[FitCell],
    species: Sequence[str],
    potential: Any,
    *,
    lattice: str = "A2",
    relax: Relax = "atoms",
    fmax_eV_per_A: float = 1e-3,
    max_steps: int = 500,
) -> list[FitCell]:
    """Give cells the energy and the volume per atom that a potential relaxes them to; what labels they had is dropped.

    Energies are against the elements, relaxed by the same potential on the same lattice. The cells stay cubes.

    Parameters
    ----------
    species
        Chemical symbols in the order of the occupations.
    potential
        Anything with `.calculator()`, or an ASE calculator.
    relax
        "atoms": volume and atoms; "volume": the atoms stay on their sites.
    fmax_eV_per_A
        Largest force at rest; universal potentials, in single precision, need 5e-3 or more.
    """
    from hea_sim.mechanics.volume import relaxed_volume

    if relax not in ("volume", "atoms"):
        raise InputError(f"relax {relax!r}; wanted 'volume' or 'atoms'")
    lattice = lattice_name(lattice)

    def at_rest(cell: FitCell) -> tuple[float, float]:
        found = relaxed_volume(
            potential,
            _atoms_of(cell, species, lattice),
            relax_ions=relax == "atoms",
            fmax_eV_per_A=fmax_eV_per_A,
            max_steps=max_steps,
        )
        return found.energy_eV_per_atom, found.volume_A3.value

    used = sorted({int(s) for cell in cells for s in np.unique(cell.occupation)})
    sites = sites_per_cell(lattice)
    elements = {s: at_rest(FitCell(occupation=np.full(sites, s), size=(1, 1, 1)))[0] for s in used}
    labelled = []
    for cell in cells:
        energy, volume = at_rest(cell)
        reference = np.mean([elements[int(s)] for s in cell.occupation])
        labelled.append(replace(cell, energy_eV=float(energy - reference), volume_A3=volume))
    return labelled


def _atoms_of(cell: FitCell, species: Sequence[str], lattice: str) -> Any:
    """Build the atoms of a cell, at the mean measured volume of its elements."""
    from ase import Atoms

    occupation = check_occupation(cell.occupation, lattice, cell.size, len(species))
    symbols = [species[int(s)] for s in occupation]
    volume = np.mean([elemental_volume_A3(symbol).value for symbol in symbols])
    a = float((sites_per_cell(lattice) * volume) ** (1 / 3))
    return Atoms(
        symbols, positions=lattice_points(lattice, cell.size) * (a / 2), cell=np.array(cell.size) * a, pbc=True
    )
