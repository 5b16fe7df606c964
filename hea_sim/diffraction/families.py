"""Families of reflections of a structure type, for any lattice, elements and wavelength.

Reflections whose spacing is the same for every lattice of a crystal system stand together. For sublattice sums
G_s(hkl) = sum_j exp 2 pi i (h x_j + k y_j + l z_j) the intensity of a family is a quadratic form in the mean
scattering factors f_s of the sublattices,

    sum |F|^2 = sum_st Re(f_s f_t*) M_st,   M_st = sum_family G_s G_t*,

whose matrix M is real because a family holds its Friedel mates. M is computed once a structure type; elements, order
and wavelength enter through f_s alone, the lattice through the spacing alone.

| symbol | variable | unit |
|---|---|---|
| M_st | `correlation` | 1 |
| invariants of hkl: 1/d^2 = invariants . reciprocal metric | `invariants`, `reciprocal_metric` | 1, 1/A^2 |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals import Prototype, cell_of, expanded_sites, prototype
from hea_sim.diffraction.scattering import atomic_scattering_factor

#: Families below this share of the strongest one, for every sublattice alike or apart, are left out.
_NEGLIGIBLE = 2e-5
_FREE = {
    "cubic": ("a",),
    "hexagonal": ("a", "c"),
    "tetragonal": ("a", "c"),
    "orthorhombic": ("a", "b", "c"),
    "monoclinic": ("a", "b", "c", "beta"),
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Hold the lattice parameters of a crystal, in Angstrom and degree; b and c equal a where symmetry says so."""

    a_A: float
    b_A: float
    c_A: float
    beta_deg: float = 90.0

    def scaled(self, factor: float) -> Cell:
        """Multiply the three lengths."""
        return Cell(a_A=self.a_A * factor, b_A=self.b_A * factor, c_A=self.c_A * factor, beta_deg=self.beta_deg)


@dataclass(frozen=True, kw_only=True, eq=False)
class FamilyTable:
    """Hold the families of one structure type.

    `hkl` (k, 3) a representative, `multiplicity` (k,), `invariants` (k, p), `correlation` (k, s, s) as above for the
    s sublattices in `sublattices`, with `sites` (s,) atoms of each in the cell, vacancies not counted. `members` (m, 3)
    lists all reflections family by family, `first` (k,) where each family begins.
    """

    kind: Prototype
    sublattices: tuple[str, ...]
    sites: np.ndarray
    hkl: np.ndarray
    multiplicity: np.ndarray
    invariants: np.ndarray
    correlation: np.ndarray
    members: np.ndarray
    first: np.ndarray

    @property
    def free_parameters(self) -> tuple[str, ...]:
        """Name the lattice parameters that symmetry leaves free."""
        return _FREE[self.kind.system]

    @property
    def atoms_per_cell(self) -> float:
        """Count the atoms of the cell."""
        return float(self.sites.sum())

    def cell(self, a_A: float | None = None, c_A: float | None = None, b_A: float | None = None) -> Cell:
        """Make a cell; what is left out follows the structure type's own ratios."""
        a = self.kind.a_A if a_A is None else a_A
        c = a * self.kind.axial_ratio if c_A is None else c_A
        b = a * self.kind.b_ratio if b_A is None else b_A
        return Cell(a_A=a, b_A=b, c_A=a if self.kind.system == "cubic" else c, beta_deg=self.kind.beta_deg)

    def volume_A3(self, cell: Cell) -> float:
        """Compute the volume of a cell."""
        return float(abs(np.linalg.det(cell_of(self.kind, cell.a_A, cell.b_A, cell.c_A, cell.beta_deg))))

    def inverse_d(self, cell: Cell) -> np.ndarray:
        """Compute 1/d in 1/A of every family, (k,)."""
        return np.sqrt(self.invariants @ reciprocal_metric(self.kind.system, cell))

    def f_squared(
        self,
        occupancy: Mapping[str, Composition],
        s_per_A: np.ndarray,
        wavelength_A: float,
        *,
        b_iso_A2: float = 0.4,
    ) -> np.ndarray:
        """Sum |F|^2 in electrons^2 over each family, Debye-Waller factor included.

        Parameters
        ----------
        occupancy
            Composition of each sublattice.
        s_per_A
            sin(theta) / lambda of the families, (k,).
        """
        f = np.stack(
            [
                sum(x * atomic_scattering_factor(e, s_per_A, wavelength_A) for e, x in occupancy[label].items())
                for label in self.sublattices
            ],
            axis=1,
        )
        total = np.einsum("ks,kst,kt->k", f.real, self.correlation, f.real)
        total += np.einsum("ks,kst,kt->k", f.imag, self.correlation, f.imag)
        return np.maximum(total, 0.0) * np.exp(-2 * b_iso_A2 * s_per_A**2)


def reciprocal_metric(system: str, cell: Cell) -> np.ndarray:
    """Compute the coefficients of the invariants in 1/d^2, in 1/A^2."""
    if system == "cubic":
        return np.array([1 / cell.a_A**2])
    if system in ("hexagonal", "tetragonal"):
        return np.array([1 / cell.a_A**2, 1 / cell.c_A**2])
    if system == "orthorhombic":
        return np.array([1 / cell.a_A**2, 1 / cell.b_A**2, 1 / cell.c_A**2])
    beta = np.radians(cell.beta_deg)
    a, c = cell.a_A * np.sin(beta), cell.c_A * np.sin(beta)
    return np.array([1 / a**2, 1 / cell.b_A**2, 1 / c**2, -2 * np.cos(beta) / (a * c)])


def _invariants(system: str, hkl: np.ndarray) -> np.ndarray:
    """Compute what the spacing of a reflection depends on besides the lattice, (m, p)."""
    h, k, m = (hkl[:, i].astype(float) for i in range(3))
    if system == "cubic":
        return (h**2 + k**2 + m**2)[:, None]
    if system == "hexagonal":
        return np.stack([4 / 3 * (h**2 + h * k + k**2), m**2], axis=1)
    if system == "tetragonal":
        return np.stack([h**2 + k**2, m**2], axis=1)
    columns = [h**2, k**2, m**2]
    return np.stack(columns if system == "orthorhombic" else [*columns, h * m], axis=1)


def family_table(structure: str | Prototype, *, d_min_A: float = 0.62) -> FamilyTable:
    """Build the table of a structure type down to a spacing, at the type's typical lattice.

    >>> family_table("A2").hkl[:3].tolist()
    [[1, 1, 0], [2, 0, 0], [2, 1, 1]]
    """
    kind = structure if isinstance(structure, Prototype) else prototype(structure)
    return _family_table(kind, float(d_min_A))


@lru_cache(maxsize=128)
def _family_table(kind: Prototype, d_min_A: float) -> FamilyTable:
    positions, labels = expanded_sites(kind)
    sublattices = tuple(dict.fromkeys(labels))
    filling = np.array([kind.filling.get(s, 1.0) for s in sublattices])
    member = np.array([[label == s for label in labels] for s in sublattices], float) * filling[:, None]
    # Lattices up to the top of the searched range reach d_min_A with higher indices.
    stretch = max(1.0, kind.a_range_A[1] / kind.a_A)
    lengths = np.linalg.norm(cell_of(kind, kind.a_A), axis=1) * stretch
    bounds = np.floor(lengths / d_min_A).astype(int)
    grid = np.meshgrid(*(np.arange(-b, b + 1) for b in bounds), indexing="ij")
    hkl = np.stack([g.ravel() for g in grid], axis=1)
    invariants = _invariants(kind.system, hkl)
    typical = Cell(a_A=kind.a_A, b_A=kind.a_A * kind.b_ratio, c_A=kind.a_A * kind.axial_ratio, beta_deg=kind.beta_deg)
    squared = invariants @ reciprocal_metric(kind.system, typical)
    keep = (squared > 1e-9) & (squared <= (stretch / d_min_A) ** 2)
    hkl, invariants, squared = hkl[keep], invariants[keep], squared[keep]
    _, first, group = np.unique(np.round(invariants, 5), axis=0, return_index=True, return_inverse=True)
    unique, group = invariants[first], group.ravel()
    sums = member @ np.exp(2j * np.pi * (positions @ hkl.T))
    correlation = np.zeros((len(unique), len(sublattices), len(sublattices)))
    for i in range(len(sublattices)):
        for j in range(len(sublattices)):
            correlation[:, i, j] = np.bincount(group, (sums[i] * np.conj(sums[j])).real, minlength=len(unique))
    strength = np.maximum(correlation.sum(axis=(1, 2)), np.einsum("kss->ks", correlation).max(axis=1))
    rank = np.argsort(unique @ reciprocal_metric(kind.system, typical), kind="stable")
    rank = rank[strength[rank] > _NEGLIGIBLE * strength.max()]
    members = [np.flatnonzero(group == g) for g in rank]
    return FamilyTable(
        kind=kind,
        sublattices=sublattices,
        sites=member.sum(axis=1),
        hkl=np.array([_representative(hkl[m]) for m in members]),
        multiplicity=np.array([len(m) for m in members]),
        invariants=unique[rank],
        correlation=correlation[rank],
        members=hkl[np.concatenate(members)],
        first=np.cumsum([0, *(len(m) for m in members[:-1])]),
    )


def _representative(members: np.ndarray) -> np.ndarray:
    """Choose the member that a crystallographer would write."""
    keys = [(-int((row >= 0).sum()), *(-row).tolist()) for row in members]
    return members[min(range(len(keys)), key=keys.__getitem__)]
