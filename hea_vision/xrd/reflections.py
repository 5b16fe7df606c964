"""Reflections of a structure type whose lattice is still free.

Families share 1/d^2 = p / a^2 + q / c^2; their |F|^2 is taken once, at the type's typical lattice, because it changes
by a few per cent only over the range that is searched. Orthorhombic and monoclinic types keep their typical ratio
of b/a (and of c/a, beta where monoclinic) here; whoever refines the whole pattern frees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals import Prototype, prototype, site_compositions
from hea_sim.diffraction.families import Cell, FamilyTable, family_table, reciprocal_metric
from hea_sim.diffraction.profile import bragg_two_theta_deg, lorentz_polarisation
from hea_sim.diffraction.radiation import Radiation
from hea_sim.diffraction.specimen import density_u_per_A3

#: Families of a prototype that are kept, by falling |F|^2 times multiplicity times LP.
_FAMILIES = 48
#: Systems whose c is free besides a.
_TWO_LENGTHS = ("hexagonal", "tetragonal", "orthorhombic")
#: Families below this share of the strongest are left out.
_WEAKEST = 2e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class ReflectionTable:
    """Hold the families of one prototype: `p`, `q` (k,), `strength` = m |F|^2 in electrons^2 (k,), `hkl` (k, 3)."""

    kind: Prototype
    families: FamilyTable
    occupancy: dict[str, Composition]
    p: np.ndarray
    q: np.ndarray
    strength: np.ndarray
    hkl: np.ndarray
    unit_volume: float
    density_u_per_A3: float

    @property
    def free_ratio(self) -> bool:
        """Say whether c/a is free."""
        return self.kind.system in _TWO_LENGTHS

    @property
    def atoms_per_cell(self) -> float:
        """Count the atoms of the cell."""
        return self.families.atoms_per_cell

    @property
    def cell_mass_u(self) -> float:
        """Give the mass of the cell in unified atomic mass units."""
        cell = self.families.cell()
        return self.density_u_per_A3 * self.families.volume_A3(cell)

    def cell(self, a_A: float, c_A: float) -> Cell:
        """Make the cell of a lattice; c counts only where it is free."""
        return self.families.cell(a_A, c_A if self.free_ratio else None)

    def volume_A3(self, a: np.ndarray | float, c: np.ndarray | float) -> np.ndarray:
        """Compute the cell volume; c counts only where it is free."""
        a = np.asarray(a, float)
        return self.unit_volume * (a**2 * np.asarray(c) if self.free_ratio else a**3)

    def two_theta_deg(self, a: np.ndarray | float, c: np.ndarray | float, wavelength_A: float) -> np.ndarray:
        """Compute line angles (..., k) of lattices a, c (...)."""
        a, c = np.asarray(a, float)[..., None], np.asarray(c, float)[..., None]
        inverse = self.p / a**2 + self.q / c**2 if self.free_ratio else self.p / a**2
        return bragg_two_theta_deg(1 / np.sqrt(inverse), wavelength_A)

    def intensity(self, two_theta_deg: np.ndarray, volume_A3: np.ndarray | float) -> np.ndarray:
        """Compute m |F|^2 LP / V^2 at angles (..., k) of cells of volume (...)."""
        volume = np.asarray(volume_A3, float)[..., None]
        with np.errstate(invalid="ignore"):
            return self.strength * lorentz_polarisation(two_theta_deg) / volume**2


def reflection_table(
    structure: str | Prototype, elements: Sequence[str] | None, radiation: Radiation
) -> ReflectionTable:
    """Build the table of a structure type for the elements of a specimen and a radiation."""
    kind = structure if isinstance(structure, Prototype) else prototype(structure)
    return _reflection_table(kind, None if elements is None else tuple(elements), radiation)


def _occupancy(kind: Prototype, elements: tuple[str, ...] | None) -> dict[str, Composition]:
    """Put the specimen's elements on the sites; where none are known, all solid solutions scatter alike, as iron."""
    if elements:
        return site_compositions(kind, Composition.parse(dict.fromkeys(elements, 1.0)))
    if kind.role in ("solid solution", "ordered"):
        return dict.fromkeys(kind.sublattices, Composition.parse("Fe"))
    return site_compositions(kind, None)


@lru_cache(maxsize=512)
def _reflection_table(kind: Prototype, elements: tuple[str, ...] | None, radiation: Radiation) -> ReflectionTable:
    families = family_table(kind)
    occupancy = _occupancy(kind, elements)
    cell = families.cell()
    inverse_d = families.inverse_d(cell)
    strength = families.f_squared(occupancy, inverse_d / 2, radiation.wavelength_A)
    theta = bragg_two_theta_deg(1 / inverse_d, radiation.wavelength_A)
    visible = strength * lorentz_polarisation(np.nan_to_num(theta, nan=150.0))
    # The largest lattice that is searched still shows what lies a little beyond reach of the typical one.
    visible[inverse_d > 2 / radiation.wavelength_A * max(1.0, kind.a_range_A[1] / kind.a_A)] = 0.0
    chosen = np.sort(np.argsort(-visible)[:_FAMILIES])
    chosen = chosen[visible[chosen] > _WEAKEST * visible.max()]
    invariants = families.invariants[chosen]
    if kind.system in ("hexagonal", "tetragonal"):
        p, q = invariants[:, 0], invariants[:, 1]
    elif kind.system == "orthorhombic":
        p, q = invariants[:, 0] + invariants[:, 1] / kind.b_ratio**2, invariants[:, 2]
    else:
        p = invariants @ reciprocal_metric(kind.system, families.cell(1.0))
        q = np.zeros_like(p)
    volume = families.volume_A3(families.cell(1.0, 1.0 if kind.system in _TWO_LENGTHS else None))
    return ReflectionTable(
        kind=kind,
        families=families,
        occupancy=occupancy,
        p=p,
        q=q,
        strength=strength[chosen],
        hkl=np.abs(families.hkl[chosen]),
        unit_volume=volume,
        density_u_per_A3=density_u_per_A3(kind, cell, occupancy),
    )
