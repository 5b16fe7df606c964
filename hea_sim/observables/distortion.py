"""Local lattice distortion: how far atoms of a relaxed or vibrating cell stand from the sites of their lattice.

| symbol | here |
|---|---|
| u_i = r_i - h (s_i + t), s_i the site in units of the cell h, t so that u has mean zero | `displacements_A` |
| mean of abs(u_i) (Song et al. 2017, doi:10.1103/PhysRevMaterials.1.023404) | `Distortion.mean_A` |
| root of the mean square displacement | `Distortion.rms_A` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.shells import lattice_name, lattice_points


@dataclass(frozen=True, kw_only=True, eq=False)
class Distortion:
    """Hold displacements (atoms, 3) in A from the sites of the lattice, and what is said of them.

    `by_species` are root mean squares in A by symbol.
    """

    displacements_A: np.ndarray
    mean_A: float
    rms_A: float
    by_species: Mapping[str, float]


def local_distortion(atoms: Any, reference: Any = None, *, lattice: str = "", size: Sequence[int] = ()) -> Distortion:
    """Measure the distortion of a periodic cell against its lattice.

    `reference` are the ideal `ase.Atoms` in the same order; sites go with the cell of `atoms`, so that a homogeneous
    strain is no distortion, and neither is a common shift. Without it, `lattice` and `size` name the sites, in the
    order of `ase.build.bulk(..., cubic=True).repeat`.
    """
    if reference is not None:
        sites = reference.get_scaled_positions(wrap=False)
    elif lattice and len(size) == 3:
        sites = lattice_points(lattice_name(lattice), size) / (2.0 * np.array(size))
    else:
        raise InputError("distortion: wanted reference atoms, or lattice and size")
    if len(sites) != len(atoms):
        raise InputError(f"distortion: the cell has {len(atoms)} atoms, its lattice {len(sites)} sites; wanted as many")
    moved = atoms.get_scaled_positions(wrap=False) - sites
    turn = np.exp(2j * np.pi * moved).mean(axis=0)
    shift = np.angle(turn) / (2 * np.pi)  # a mean that an atom across the border does not upset
    moved = moved - shift
    moved -= np.round(moved)
    moved -= moved.mean(axis=0)
    u = moved @ atoms.cell.array
    squares = np.square(u).sum(axis=1)
    symbols = np.array(atoms.get_chemical_symbols())
    return Distortion(
        displacements_A=u,
        mean_A=float(np.sqrt(squares).mean()),
        rms_A=float(np.sqrt(squares.mean())),
        by_species={str(s): float(np.sqrt(squares[symbols == s].mean())) for s in dict.fromkeys(symbols.tolist())},
    )
