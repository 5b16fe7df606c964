"""Prototype structures by Strukturbericht name, with elements and a lattice put on them.

A `Crystal` may share a site between elements; that is how a solid solution enters the diffraction model. A
simulated cell becomes a `Crystal` whose every site holds one element.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError, unknown_name

if TYPE_CHECKING:
    from ase import Atoms

System = Literal["cubic", "hexagonal", "tetragonal"]


@dataclass(frozen=True, kw_only=True)
class Site:
    """Hold one Wyckoff site: its sublattice label and a representative position."""

    sublattice: str
    position: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Prototype:
    """Hold one structure type.

    `axial_ratio` is c/a (1 for cubic); `a_range_A` and `axial_ratio_range` bound a free-lattice search;
    `fundamental` names the lattice that remains when order is ignored; `small_site_elements` are interstitial
    elements of ceramics, from which the second sublattice is filled when the alloy does not say.
    """

    name: str
    space_group: int
    system: System
    sites: tuple[Site, ...]
    a_A: float
    axial_ratio: float = 1.0
    a_range_A: tuple[float, float]
    axial_ratio_range: tuple[float, float] = (1.0, 1.0)
    fundamental: str
    metallic: bool = True
    reference: str = ""

    @property
    def sublattices(self) -> tuple[str, ...]:
        """List the sublattice labels in order."""
        return tuple(dict.fromkeys(site.sublattice for site in self.sites))


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


def _cubic(name: str, group: int, sites: Sequence[Site], a: float, limits: tuple[float, float], **more) -> Prototype:  # type: ignore[no-untyped-def]
    return Prototype(name=name, space_group=group, system="cubic", sites=tuple(sites), a_A=a, a_range_A=limits, **more)


def _site(sublattice: str, x: float, y: float, z: float) -> Site:
    return Site(sublattice=sublattice, position=(x, y, z))


_PROTOTYPES = {
    p.name: p
    for p in (
        _cubic("A1", 225, [_site("M", 0, 0, 0)], 3.59, (3.36, 4.20), fundamental="A1"),
        _cubic("A2", 229, [_site("M", 0, 0, 0)], 3.20, (2.66, 3.75), fundamental="A2"),
        Prototype(
            name="A3",
            space_group=194,
            system="hexagonal",
            sites=(_site("M", 1 / 3, 2 / 3, 1 / 4),),
            a_A=2.95,
            axial_ratio=1.59,
            a_range_A=(2.40, 3.70),
            axial_ratio_range=(1.53, 1.67),
            fundamental="A3",
        ),
        _cubic("B2", 221, [_site("A", 0, 0, 0), _site("B", 0.5, 0.5, 0.5)], 2.88, (2.66, 3.7), fundamental="A2"),
        _cubic("L1_2", 221, [_site("A", 0, 0, 0), _site("B", 0, 0.5, 0.5)], 3.59, (3.36, 4.4), fundamental="A1"),
        _cubic(
            "B1",
            225,
            [_site("M", 0, 0, 0), _site("X", 0.5, 0.5, 0.5)],
            4.30,
            (3.95, 6.70),
            fundamental="B1",
            metallic=False,
        ),
        Prototype(
            name="B4",
            space_group=186,
            system="hexagonal",
            a_A=3.25,
            axial_ratio=1.602,
            sites=(_site("M", 1 / 3, 2 / 3, 0), _site("X", 1 / 3, 2 / 3, 0.382)),
            a_range_A=(3.05, 3.60),
            axial_ratio_range=(1.57, 1.66),
            fundamental="B4",
            metallic=False,
        ),
        _cubic(
            "H1_1",
            227,
            [_site("M", 1 / 8, 1 / 8, 1 / 8), _site("M", 1 / 2, 1 / 2, 1 / 2), _site("X", 0.2625, 0.2625, 0.2625)],
            8.40,
            (7.95, 8.75),
            fundamental="H1_1",
            metallic=False,
        ),
        _cubic(
            "C15",
            227,
            [_site("A", 1 / 8, 1 / 8, 1 / 8), _site("B", 1 / 2, 1 / 2, 1 / 2)],
            6.94,
            (6.55, 7.95),
            fundamental="C15",
        ),
        Prototype(
            name="C14",
            space_group=194,
            system="hexagonal",
            a_A=4.82,
            axial_ratio=1.633,
            sites=(_site("A", 1 / 3, 2 / 3, 0.062), _site("B", 0, 0, 0), _site("B", 0.830, 0.660, 0.25)),
            a_range_A=(4.60, 5.55),
            axial_ratio_range=(1.58, 1.68),
            fundamental="C14",
        ),
        Prototype(
            name="sigma",
            space_group=136,
            system="tetragonal",
            a_A=8.80,
            axial_ratio=0.520,
            sites=(
                _site("A", 0, 0, 0),
                _site("B", 0.3986, 0.3986, 0),
                _site("B", 0.4635, 0.1312, 0),
                _site("A", 0.7393, 0.0661, 0),
                _site("B", 0.1827, 0.1827, 0.2524),
            ),
            a_range_A=(8.50, 10.10),
            axial_ratio_range=(0.505, 0.540),
            fundamental="sigma",
            reference="atomic positions: FeCr sigma, Yakel, Acta Cryst. B39, 20 (1983), 10.1107/S0108768183001974",
        ),
    )
}


def prototype(name: str) -> Prototype:
    """Get a structure type by its Strukturbericht name.

    >>> prototype("A2").space_group
    229
    """
    if name not in _PROTOTYPES:
        raise unknown_name("structure", name, _PROTOTYPES)
    return _PROTOTYPES[name]


def prototype_names() -> tuple[str, ...]:
    """List the structure types that are known."""
    return tuple(_PROTOTYPES)


def cell_vectors(system: System, a: float, c: float) -> np.ndarray:
    """Build lattice vectors (3, 3) in Angstrom of a cubic, tetragonal or hexagonal cell."""
    if system == "hexagonal":
        return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])
    return np.diag([a, a, c]).astype(float)


@lru_cache(maxsize=64)
def _expanded(name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Expand the Wyckoff sites of a prototype to (positions, sublattice of each)."""
    from ase.spacegroup import Spacegroup

    kind = prototype(name)
    # Of the two origins of group 227, the table above uses the second (inversion at the origin).
    group = Spacegroup(kind.space_group, setting=2 if kind.space_group == 227 else 1)
    rows, labels = [], []
    for site in kind.sites:
        found, _ = group.equivalent_sites([site.position], onduplicates="keep", symprec=1e-3)
        rows.append(found)
        labels += [site.sublattice] * len(found)
    return np.vstack(rows), tuple(labels)


def build_crystal(
    structure: str,
    occupancy: Composition | Mapping[str, Composition | str] | str,
    *,
    a_A: float | None = None,
    c_A: float | None = None,
    b_iso_A2: float = 0.4,
) -> Crystal:
    """Put elements on a prototype.

    Parameters
    ----------
    structure
        Strukturbericht name, for example "A2".
    occupancy
        One composition for every site, or a composition for each sublattice ("A", "B", "M", "X").
    a_A, c_A
        Lattice parameters in Angstrom; the prototype's own where left out.

    Raises
    ------
    InputError
        Where a sublattice is missing or a lattice parameter is not positive.
    """
    kind = prototype(structure)
    positions, labels = _expanded(structure)
    by_sublattice = _sublattice_compositions(kind, occupancy)
    a = kind.a_A if a_A is None else a_A
    c = a * kind.axial_ratio if c_A is None else c_A
    if not (a > 0 and c > 0):
        raise InputError(f"lattice parameters a = {a}, c = {c} A of {structure}; wanted positive numbers")
    species = tuple(dict.fromkeys(e for comp in by_sublattice.values() for e in comp))
    table = {label: [comp.get(e, 0.0) for e in species] for label, comp in by_sublattice.items()}
    return Crystal(
        name=structure,
        cell_A=cell_vectors(kind.system, a, a if kind.system == "cubic" else c),
        positions=positions,
        species=species,
        occupancy=np.array([table[label] for label in labels], float),
        b_iso_A2=b_iso_A2,
    )


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


def atoms_per_cell(structure: str) -> int:
    """Count the atoms in the conventional cell of a prototype.

    >>> [atoms_per_cell(n) for n in ("A1", "A2", "A3", "B2", "L1_2", "B1", "C14", "C15", "sigma")]
    [4, 2, 2, 2, 4, 8, 12, 24, 30]
    """
    return len(_expanded(structure)[0])
