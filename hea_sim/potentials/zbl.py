"""Screened repulsion of nuclei at short distances: Ziegler, Biersack and Littmark 1985.

E(r) = Z_i Z_j e^2 / r phi(r / a), the universal screening function phi, a = 0.46850 A / (Z_i^0.23 + Z_j^0.23)
(The Stopping and Range of Ions in Matter, doi:10.1007/978-1-4615-8103-1_3). Potentials fitted to crystals know nothing
of distances this short: the core keeps atoms apart there. Between `inner_A` and `outer_A` a polynomial is added
so that energy, slope and curvature are zero at the outer radius; E is lowered by a constant below the inner one.

| symbol | here |
|---|---|
| phi(x) = sum_k c_k exp(-d_k x) | `SHARES` c, `DECAYS` d |
| S(r) = A/3 (r - r_1)^3 + B/4 (r - r_1)^4 + C | `ZBLModel._switch` |
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hea_sim.errors import InputError, unknown_name
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.environment import Environment

SHARES = np.array([0.18175, 0.50986, 0.28022, 0.02817])
DECAYS = np.array([3.19980, 0.94229, 0.40290, 0.20162])
#: e^2 / (4 pi epsilon_0) in eV A, to the digits that molecular dynamics codes use in metal units.
COULOMB_EV_A = 14.399645


def screened_repulsion(first: np.ndarray, second: np.ndarray, r_A: np.ndarray) -> tuple[np.ndarray, ...]:
    """Give energy (eV), slope (eV/A) and curvature (eV/A^2) of two nuclei, not switched.

    `first` and `second` are atomic numbers.

    >>> energy, slope, curvature = screened_repulsion(np.array(28), np.array(28), np.array(1.0))
    >>> bool(energy > 0 > slope)
    True
    """
    r = np.asarray(r_A, float)
    first, second = np.asarray(first, float), np.asarray(second, float)
    decay = DECAYS * ((first**0.23 + second**0.23) / 0.46850)[..., None]
    terms = SHARES * np.exp(-decay * r[..., None])
    phi, slope, curvature = terms.sum(-1), -(terms * decay).sum(-1), (terms * decay**2).sum(-1)
    charge = COULOMB_EV_A * first * second / r
    return (
        charge * phi,
        charge * (slope - phi / r),
        charge * (curvature - 2 * slope / r + 2 * phi / r**2),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class ZBLModel:
    """Repel nuclei; a `SiteModel`, to stand alone or in a `SumModel` beside a fitted one."""

    elements: tuple[str, ...]
    inner_A: float
    outer_A: float

    def __post_init__(self) -> None:
        from ase.data import atomic_numbers

        if not 0 < self.inner_A < self.outer_A:
            raise InputError(f"ZBL: inner {self.inner_A} A, outer {self.outer_A} A; wanted 0 < inner < outer")
        for element in self.elements:
            if element not in atomic_numbers or not atomic_numbers[element]:
                raise unknown_name("element", element, list(atomic_numbers)[1:])

    @property
    def cutoff_A(self) -> float:
        """The outer radius in A."""
        return self.outer_A

    @cached_property
    def _charges(self) -> np.ndarray:
        from ase.data import atomic_numbers

        return np.array([atomic_numbers[element] for element in self.elements])

    @cached_property
    def _switch(self) -> np.ndarray:
        """Give A, B and C of each pair of elements (3, elements, elements)."""
        z = self._charges
        energy, slope, curvature = screened_repulsion(z[:, None], z[None, :], np.full((len(z), len(z)), self.outer_A))
        width = self.outer_A - self.inner_A
        return np.array(
            [
                (-3 * slope + width * curvature) / width**2,
                (2 * slope - width * curvature) / width**3,
                -energy + 0.5 * width * slope - width**2 / 12 * curvature,
            ]
        )

    def site_terms(self, environment: Environment) -> tuple[np.ndarray, np.ndarray]:
        """Give the site energies (n,) in eV, half of each pair's, and their gradients (pairs, 3) in eV/A."""
        species = environment.indices_of(self.elements)
        vectors = environment.vectors
        squares = np.einsum("pk,pk->p", vectors, vectors)
        near = np.flatnonzero(squares < self.outer_A**2)
        first = np.searchsorted(environment.starts, near, side="right") - 1
        a, b = species[first], species[environment.second[near]]
        r = np.sqrt(squares[near])
        energy, slope, _ = screened_repulsion(self._charges[a], self._charges[b], r)
        cubic, quartic, constant = self._switch[:, a, b]
        t = np.maximum(r - self.inner_A, 0.0)
        energy = energy + (cubic / 3 + quartic / 4 * t) * t**3 + constant
        slope = slope + (cubic + quartic * t) * t**2
        gradients = np.zeros_like(vectors)
        gradients[near] = (0.5 * slope / r)[:, None] * vectors[near]
        return 0.5 * np.bincount(first, energy, minlength=len(species)), gradients


def zbl_core(elements: tuple[str, ...], *, inner_A: float, outer_A: float) -> SitePotential:
    """Make a potential of the screened repulsion alone.

    >>> zbl_core(("Nb", "W"), inner_A=1.2, outer_A=2.0).cutoff_A
    2.0
    """
    return SitePotential(
        name="zbl", model=ZBLModel(elements=tuple(elements), inner_A=inner_A, outer_A=outer_A), notes=("ZBL 1985",)
    )
