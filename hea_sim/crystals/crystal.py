"""Elements and a lattice put on a structure type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals.prototypes import as_prototype, cell_of, expanded_sites
from hea_sim.crystals.structure_types import LIGHT_ELEMENTS, Prototype
from hea_sim.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True, kw_only=True, eq=False)
class Crystal:
    """Hold a periodic structure with shared sites.

    `cell_A` (3, 3) rows are lattice vectors; `positions` (n, 3) fractional; `species` in the order of the columns
    of `occupancy` (n, species), whose rows sum to at most one; `b_iso_A2` is the Debye-Waller factor B.
    """

    name: str
    cell_A: np.ndarray
    positions: np.ndarray
    species: tuple[str, ...]
    occupancy: np.ndarray
    b_iso_A2: float = 0.4
    metadata: Mapping[str, float] = field(default_factory=dict)

    @property
    def volume_A3(self) -> float:
        """Compute the cell volume."""
        return float(abs(np.linalg.det(self.cell_A)))

    @property
    def mass_u(self) -> float:
        """Compute the mass of the cell in unified atomic mass units."""
        from ase.data import atomic_masses, atomic_numbers

        masses = np.array([atomic_masses[atomic_numbers[e]] for e in self.species])
        return float(self.occupancy.sum(axis=0) @ masses)

    @classmethod
    def from_atoms(cls, atoms: Atoms, *, b_iso_A2: float = 0.4) -> Crystal:
        """Take over an `ase.Atoms` that is periodic in three directions.

        Raises InputError where the cell has no volume.
        """
        cell = np.asarray(atoms.cell.array, float)
        if len(atoms) == 0 or abs(np.linalg.det(cell)) < 1e-6:
            raise InputError(
                f"atoms with {len(atoms)} sites and cell volume {abs(np.linalg.det(cell)):g} A^3 cannot diffract as a"
                " crystal; wanted a filled periodic cell (set atoms.cell and atoms.pbc)"
            )
        symbols = np.array(atoms.get_chemical_symbols())
        species = tuple(dict.fromkeys(symbols.tolist()))
        return cls(
            name=atoms.get_chemical_formula(),
            cell_A=cell,
            positions=np.asarray(atoms.get_scaled_positions(wrap=True), float),
            species=species,
            occupancy=(symbols[:, None] == np.array(species)[None, :]).astype(float),
            b_iso_A2=b_iso_A2,
        )


def build_crystal(
    structure: str | Prototype,
    occupancy: Composition | Mapping[str, Composition | str] | str,
    *,
    a_A: float | None = None,
    b_A: float | None = None,
    c_A: float | None = None,
    beta_deg: float | None = None,
    b_iso_A2: float = 0.4,
    order_parameter: float = 1.0,
) -> Crystal:
    """Put elements on a structure type.

    Parameters
    ----------
    structure
        Strukturbericht name, for example "A2", or a structure type of one's own.
    occupancy
        One composition for every site, or a composition for each sublattice ("A", "B", "M", "X").
    a_A, b_A, c_A, beta_deg
        Lattice parameters in Angstrom and degrees; the type's own where left out.
    order_parameter
        Long-range order S from 0 (every sublattice has the mean composition) to 1 (as given): the composition of
        sublattice s is c_mean + S (c_s - c_mean). Sublattices of light elements keep to themselves.

    Raises
    ------
    InputError
        Where a sublattice is missing, a lattice parameter is not positive or S is not between 0 and 1.
    """
    kind = as_prototype(structure)
    if not 0 <= order_parameter <= 1:
        raise InputError(f"order parameter {order_parameter}; wanted a number from 0 (disorder) to 1 (full order)")
    positions, labels = expanded_sites(kind)
    by_sublattice = _sublattice_compositions(kind, occupancy)
    species = tuple(dict.fromkeys(e for comp in by_sublattice.values() for e in comp))
    table = {label: np.array([comp.get(e, 0.0) for e in species]) for label, comp in by_sublattice.items()}
    if order_parameter < 1:
        table = _partly_ordered(kind, table, order_parameter)
    table = {label: kind.filling.get(label, 1.0) * row for label, row in table.items()}
    return Crystal(
        name=kind.name,
        cell_A=cell_of(kind, a_A, b_A, c_A, beta_deg),
        positions=positions.copy(),
        species=species,
        occupancy=np.array([table[label] for label in labels], float),
        b_iso_A2=b_iso_A2,
    )


def _partly_ordered(kind: Prototype, table: dict[str, np.ndarray], order: float) -> dict[str, np.ndarray]:
    """Move the sublattices that exchange atoms towards their mean, weighted by their numbers of sites."""
    counts = kind.stoichiometry
    # By name too: in types that are read from a file every sublattice prefers what it has.
    exchanging = [
        s for s in table if kind.site_preference.get(s, "any") not in LIGHT_ELEMENTS and not s.startswith("X")
    ]
    if not exchanging:
        return table
    mean = np.average([table[s] for s in exchanging], axis=0, weights=[counts[s] for s in exchanging])
    return {s: mean + order * (c - mean) if s in exchanging else c for s, c in table.items()}


def _sublattice_compositions(
    kind: Prototype, occupancy: Composition | Mapping[str, Composition | str] | str
) -> dict[str, Composition]:
    if isinstance(occupancy, (str, Composition)):
        return {label: Composition.parse(occupancy) for label in kind.sublattices}
    missing = [label for label in kind.sublattices if label not in occupancy]
    if missing:
        raise InputError(
            f"{kind.name} has sublattices {', '.join(kind.sublattices)};"
            f" no composition was given for {', '.join(missing)}"
        )
    return {label: Composition.parse(occupancy[label]) for label in kind.sublattices}
