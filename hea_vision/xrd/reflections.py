"""Reflections of a prototype whose lattice is still free.

Families share 1/d^2 = p / a^2 + q / c^2; their |F|^2 is taken once, at the prototype's typical lattice, because it
changes by a few per cent only over the range that is searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals import Prototype, atoms_per_cell, build_crystal, prototype
from hea_sim.diffraction.profile import bragg_two_theta_deg, lorentz_polarisation
from hea_sim.diffraction.radiation import Radiation
from hea_sim.diffraction.structure_factor import geometric_factors, squared_structure_factors

#: Families of a prototype that are kept, by falling |F|^2 times multiplicity times LP.
_FAMILIES = 48
#: Elements of the interstitial sublattice of carbides, nitrides and oxides.
INTERSTITIAL = ("H", "B", "C", "N", "O", "F")


@dataclass(frozen=True, kw_only=True, eq=False)
class ReflectionTable:
    """Hold the families of one prototype: `p`, `q` (k,), `strength` = m |F|^2 in electrons^2 (k,), `hkl` (k, 3)."""

    kind: Prototype
    p: np.ndarray
    q: np.ndarray
    strength: np.ndarray
    hkl: np.ndarray
    atoms_per_cell: int
    cell_mass_u: float

    @property
    def free_ratio(self) -> bool:
        """Say whether c/a is free."""
        return self.kind.system != "cubic"

    def volume_A3(self, a: np.ndarray | float, c: np.ndarray | float) -> np.ndarray:
        """Compute the cell volume."""
        factor = np.sqrt(3) / 2 if self.kind.system == "hexagonal" else 1.0
        return factor * np.asarray(a) ** 2 * np.asarray(c)

    def two_theta_deg(self, a: np.ndarray | float, c: np.ndarray | float, wavelength_A: float) -> np.ndarray:
        """Compute line angles (..., k) of lattices a, c (...)."""
        a, c = np.asarray(a, float)[..., None], np.asarray(c, float)[..., None]
        return bragg_two_theta_deg(1 / np.sqrt(self.p / a**2 + self.q / c**2), wavelength_A)

    def intensity(self, two_theta_deg: np.ndarray, volume_A3: np.ndarray | float) -> np.ndarray:
        """Compute m |F|^2 LP / V^2 at angles (..., k) of cells of volume (...)."""
        volume = np.asarray(volume_A3, float)[..., None]
        with np.errstate(invalid="ignore"):
            return self.strength * lorentz_polarisation(two_theta_deg) / volume**2


def site_occupancies(name: str, elements: Sequence[str] | None) -> dict[str, Composition]:
    """Choose which elements stand on which sublattice.

    With elements given, the larger ones fill the A sites of Laves phases and interstitial elements the X sites of
    ceramics; without, a typical pair stands in (intensities of disordered lattices hardly depend on it).
    """
    labels = prototype(name).sublattices
    metals = [e for e in elements or () if e not in INTERSTITIAL]
    if not prototype(name).metallic:
        light = [e for e in elements or () if e in INTERSTITIAL] or ["O"]
        return {"M": Composition.parse(dict.fromkeys(metals or ["Mn"], 1.0)), "X": Composition.parse({light[0]: 1.0})}
    if name in ("C14", "C15"):
        ordered = sorted(metals, key=_size, reverse=True)
        split = max(1, round(len(ordered) / 3))
        large, small = (ordered[:split], ordered[split:]) if len(ordered) > 1 else (["Nb"], ["Fe"])
        return {"A": Composition.parse(dict.fromkeys(large, 1.0)), "B": Composition.parse(dict.fromkeys(small, 1.0))}
    return dict.fromkeys(labels, Composition.parse(dict.fromkeys(metals or ["Fe"], 1.0)))


def _size(element: str) -> float:
    from hea_sim.elements import elemental_volume_A3

    try:
        return elemental_volume_A3(element).value
    except Exception:  # an element without a tabulated metal: middle of the range
        return 15.0


@lru_cache(maxsize=256)
def reflection_table(name: str, elements: tuple[str, ...] | None, radiation: Radiation) -> ReflectionTable:
    """Build the table of a prototype for the elements of a specimen and a radiation."""
    kind = prototype(name)
    crystal = build_crystal(name, site_occupancies(name, elements))
    a, c = kind.a_A, kind.a_A * kind.axial_ratio
    # The smallest lattice and the longest spacing decide which indices can ever be seen.
    g_max = 2 / radiation.wavelength_A * np.sin(np.radians(80.0)) * max(1.0, kind.a_range_A[1] / a)
    h_max, l_max = int(np.ceil(g_max * a * 1.16)), int(np.ceil(g_max * c))
    grid = np.meshgrid(np.arange(-h_max, h_max + 1), np.arange(-h_max, h_max + 1), np.arange(l_max + 1), indexing="ij")
    hkl = np.stack([g.ravel() for g in grid], axis=1)
    cross = hkl[:, 0] * hkl[:, 1] if kind.system == "hexagonal" else 0
    p = (hkl[:, 0] ** 2 + cross + hkl[:, 1] ** 2) * (4 / 3 if kind.system == "hexagonal" else 1.0)
    q = hkl[:, 2].astype(float) ** 2
    if kind.system == "cubic":
        p, q = p + q, np.zeros_like(q)
    g = np.sqrt(p / a**2 + q / c**2)
    keep = (g > 1e-9) & (g <= g_max)
    hkl, p, q, g = hkl[keep], p[keep], q[keep], g[keep]
    weight = np.where(hkl[:, 2] > 0, 2.0, 1.0)  # only l >= 0 was listed
    f_squared = squared_structure_factors(crystal, geometric_factors(crystal, hkl), g / 2, radiation.wavelength_A)
    _, first, group = np.unique(np.round(p * 1e5 + q * 1e-3, 6), return_index=True, return_inverse=True)
    strength = np.bincount(group.ravel(), weight * f_squared)
    p, q, hkl, g = p[first], q[first], np.abs(hkl[first]), g[first]
    theta = bragg_two_theta_deg(1 / g, radiation.wavelength_A)
    visible = strength * np.nan_to_num(lorentz_polarisation(np.nan_to_num(theta, nan=150.0)), posinf=1e3)
    chosen = np.sort(np.argsort(-visible)[:_FAMILIES])
    chosen = chosen[visible[chosen] > 2e-3 * visible.max()]
    return ReflectionTable(
        kind=kind,
        p=p[chosen],
        q=q[chosen],
        strength=strength[chosen],
        hkl=hkl[chosen],
        atoms_per_cell=atoms_per_cell(name),
        cell_mass_u=crystal.mass_u,
    )
