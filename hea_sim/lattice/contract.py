"""What every model on a lattice gives the engines that sample it: energies of occupations, and of their changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

#: energy_change(occupation, i, a, j, b, tables) -> eV
EnergyChange = Callable[[np.ndarray, int, int, int, int, tuple[np.ndarray, ...]], float]
#: composition_change(counts, w, x, tables) -> eV
CompositionChange = Callable[[np.ndarray, int, int, tuple[np.ndarray, ...]], float]


def no_composition_change(counts: np.ndarray, w: int, x: int, tables: tuple[np.ndarray, ...]) -> float:
    """Stand for a model of which no part hangs on the composition of the whole cell alone."""
    return 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class BoundModel:
    """Hold a lattice model on one periodic cell, as the plain arrays that an engine needs.

    `energy_change(occupation, i, a, j, b, tables)` gives by how much the energy of the cell, in eV, changes when site i
    becomes species a and site j species b; j = -1 leaves the second site out. It is plain Python that numba can
    compile, reads `tables` alone, and changes nothing. Bonds between the two sites, and of a site with its own image,
    are counted right. `nearest` (sites, z) are the neighbours of the first shell; `sublattice` (sites,) numbers the
    sublattices: atoms exchange within one alone. `holds` lists for each the species that it may hold; empty where every
    one holds all.

    What hangs on the composition of the whole cell alone is left out of `energy_change`, so that no trial counts all
    sites: `composition_change(counts, w, x, tables)` gives it when one atom of w becomes x; `counts` (species,) are the
    atoms of each species before. Where a trial keeps the composition, it is not asked for.
    """

    energy_change: EnergyChange
    tables: tuple[np.ndarray, ...]
    nearest: np.ndarray
    sublattice: np.ndarray
    composition_change: CompositionChange = no_composition_change
    holds: tuple[tuple[int, ...], ...] = ()


class LatticeModel(Protocol):
    """What the engines ask of a cluster expansion, a low-rank potential or a pair model.

    Energies are against the elements; `size` counts conventional cells along three axes.
    """

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def species(self) -> tuple[str, ...]:
        """Chemical symbols in the order of the indices of an occupation."""

    @property
    def lattice(self) -> str:
        """Strukturbericht name of the lattice."""

    @property
    def energy_std_eV(self) -> float:
        """Cross-validated error of the energy per atom."""

    def energy_eV_per_atom(self, occupation: np.ndarray, size: Sequence[int]) -> float:
        """Compute the energy of species indices (sites,) on a periodic cell."""

    def bound(self, size: Sequence[int]) -> BoundModel:
        """Give what an engine needs on a cell of this size."""

    def atoms(self, occupation: np.ndarray, size: Sequence[int], a_A: float) -> Any:
        """Build `ase.Atoms` of an occupation; `a_A` is the lattice parameter."""
