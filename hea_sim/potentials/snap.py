"""Spectral neighbour analysis potentials (SNAP), linear and quadratic.

| symbol | here | unit |
|---|---|---|
| E_i = c_0 + sum_k c_k B_k (+ sum_k c_kk B_k^2 / 2 + sum_{k<l} c_kl B_k B_l) | `coefficients` | eV |
| R_ij = rcutfac (R_i + R_j), w_j | `rcutfac`, `radii`, `weights` | A, 1, 1 |
| angle rfac0 pi (r - rmin0) / (R_ij - rmin0) on the sphere in four dimensions | `rfac0`, `rmin0` | 1, A |

Settings have the names of LAMMPS. A. P. Thompson et al., J. Comput. Phys. 285, 316 (2015),
doi:10.1016/j.jcp.2014.12.018; M. A. Wood, A. P. Thompson, J. Chem. Phys. 148, 241721 (2018), doi:10.1063/1.5017641.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.contract import Design
from hea_sim.potentials.snap_plain import bispectrum_labels
from hea_sim.potentials.snap_tables import SnapTables, snap_tables

if TYPE_CHECKING:
    from hea_sim.potentials.environment import Environment
    from hea_sim.potentials.snap_kernels import Density, Neighbours

#: Beyond this the tables fill the memory.
LARGEST_TWOJMAX = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class SnapModel:
    """Hold a SNAP; it is a site model, linear in all its coefficients.

    `coefficients` (elements, 1 + K) in eV, K components of the bispectrum, for a quadratic one
    (elements, 1 + K + K (K + 1) / 2) with c_kl in the order 11 12 ... 1K 22 23 ...; `radii` and `weights`
    (elements,); `rcutfac` in A;
    `switchflag` lets neighbours fade out at the cutoff, `bzeroflag` takes off the bispectrum of a lone atom,
    `bnormflag` divides the component (j1, j2, j) by j + 1. `wselfallflag` is kept for the file: it says something only
    of the explicit multi-element form (chemflag), which is not computed here.
    """

    elements: tuple[str, ...]
    radii: tuple[float, ...]
    weights: tuple[float, ...]
    rcutfac: float
    twojmax: int
    coefficients: np.ndarray
    rfac0: float = 0.99363
    rmin0: float = 0.0
    switchflag: bool = True
    bzeroflag: bool = True
    quadraticflag: bool = False
    bnormflag: bool = False
    wselfallflag: bool = False

    def __post_init__(self) -> None:
        for fault in self._faults():
            raise InputError(f"SNAP of {', '.join(self.elements) or 'no elements'}: {fault}")

    def _faults(self) -> Iterator[str]:
        n = len(self.elements)
        if not n or len(set(self.elements)) != n:
            yield "wanted at least one element, each once"
        if not len(self.radii) == len(self.weights) == n:
            yield f"{len(self.radii)} radii, {len(self.weights)} weights; wanted one of each for each of {n} elements"
        if not 0 <= self.twojmax <= LARGEST_TWOJMAX or int(self.twojmax) != self.twojmax:
            yield f"twojmax {self.twojmax}; wanted a whole number from 0 to {LARGEST_TWOJMAX}"
        if not (
            np.isfinite(self.rcutfac) and self.rcutfac > 0 and min(self.radii) > 0 and np.isfinite(self.radii).all()
        ):
            yield f"rcutfac {self.rcutfac}, radii {self.radii}; wanted positive numbers"
        if not np.isfinite(self.weights).all():
            yield f"weights {self.weights}; wanted finite numbers"
        least = 2 * self.rcutfac * min(self.radii)
        if not 0 <= self.rmin0 < least:
            yield f"rmin0 {self.rmin0} A; wanted 0 up to the least cutoff, {least:.6g} A"
        if not 0 < self.rfac0 <= 1:
            yield f"rfac0 {self.rfac0}; wanted a number above 0 and up to 1"
        shape = n, features_of_element(self.twojmax, self.quadraticflag)
        if np.shape(self.coefficients) != shape:
            kind = "quadratic" if self.quadraticflag else "linear"
            got = np.shape(self.coefficients)
            yield f"coefficients of shape {got}; wanted {shape} for a {kind} one of twojmax {self.twojmax}"
        if not np.isfinite(np.asarray(self.coefficients, float)).all():
            yield "a coefficient is not finite; wanted numbers in eV"

    @property
    def cutoff_A(self) -> float:
        """Largest cutoff of two elements, in A."""
        return 2.0 * self.rcutfac * max(self.radii)

    @property
    def n_components(self) -> int:
        """Number of components of the bispectrum."""
        return len(bispectrum_labels(self.twojmax))

    @property
    def n_features(self) -> int:
        """Number of coefficients of all elements."""
        return int(np.size(self.coefficients))

    def with_coefficients(self, coefficients: np.ndarray) -> SnapModel:
        """Give the same model with other coefficients, (features,) in the order of `design`, or (elements, ...)."""
        values = np.array(coefficients, np.float64)
        if values.size != self.n_features:
            raise InputError(f"{values.size} coefficients; wanted {self.n_features}")
        return replace(self, coefficients=values.reshape(np.shape(self.coefficients)))

    def site_terms(self, environment: Environment) -> tuple[np.ndarray, np.ndarray]:
        """Give the site energies (n,) in eV and their gradients (pairs, 3) in eV/A."""
        from hea_sim.potentials.snap_kernels import make_scratch, site_terms

        neighbours = self._neighbours(environment)
        energies, gradients = np.zeros(len(environment.numbers)), np.zeros((len(environment.second), 3))
        scratch = make_scratch(neighbours, self._tables)
        beta, alpha = self._slopes
        site_terms(neighbours, self._density, self._tables, self._shift, beta, alpha, scratch, energies, gradients)
        return energies, gradients

    def bispectrum(self, environment: Environment) -> np.ndarray:
        """Give the components of the bispectrum of each atom (n, components), as the energy takes them."""
        from hea_sim.potentials.snap_design_kernels import bispectrum_rows
        from hea_sim.potentials.snap_kernels import make_scratch

        neighbours = self._neighbours(environment)
        rows = np.zeros((len(environment.numbers), self.n_components))
        scratch = make_scratch(neighbours, self._tables)
        bispectrum_rows(neighbours, self._density, self._tables, self._shift, scratch, rows)
        return rows

    def design(self, environment: Environment) -> Design:
        """Give what each coefficient, at 1 eV, adds to energy, forces and stress."""
        from hea_sim.potentials.snap_design_kernels import design_rows
        from hea_sim.potentials.snap_kernels import make_scratch

        n, systems, shape = len(environment.numbers), len(environment.volumes_A3), np.shape(self.coefficients)
        energy, forces, virial = np.zeros((systems, *shape)), np.zeros((n, 3, *shape)), np.zeros((systems, 6, *shape))
        neighbours = self._neighbours(environment)
        scratch = make_scratch(neighbours, self._tables)
        design_rows(
            neighbours, self._density, self._tables, self._shift, environment.system, scratch, energy, forces, virial
        )
        return Design(
            energy=energy.reshape(systems, -1),
            forces=forces.reshape(3 * n, -1),
            stress=virial.reshape(systems, 6, -1) / environment.volumes_A3[:, None, None],
        )

    def _neighbours(self, environment: Environment) -> Neighbours:
        from hea_sim.potentials.snap_kernels import Neighbours

        kinds = environment.indices_of(self.elements)
        return Neighbours(environment.starts, environment.second, environment.vectors, kinds)

    @cached_property
    def _density(self) -> Density:
        from hea_sim.potentials.snap_kernels import Density

        radii, weights = np.array(self.radii, np.float64), np.array(self.weights, np.float64)
        return Density(radii, weights, float(self.rcutfac), float(self.rfac0), float(self.rmin0), bool(self.switchflag))

    @property
    def _tables(self) -> SnapTables:
        return snap_tables(int(self.twojmax), bool(self.bnormflag))

    @property
    def _shift(self) -> np.ndarray:
        return self._tables.for_one if self.bzeroflag else np.zeros(self.n_components)

    @cached_property
    def _slopes(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the linear coefficients (elements, 1 + K) and the symmetric quadratic ones (elements, K, K)."""
        k = self.n_components
        values = np.ascontiguousarray(self.coefficients, np.float64)
        if not self.quadraticflag:
            return values, np.zeros((0, 0, 0))
        alpha = np.zeros((len(self.elements), k, k))
        rows, columns = np.triu_indices(k)
        alpha[:, rows, columns] = alpha[:, columns, rows] = values[:, k + 1 :]
        return np.ascontiguousarray(values[:, : k + 1]), alpha


def features_of_element(twojmax: int, quadratic: bool) -> int:
    """Count the coefficients of one element.

    >>> features_of_element(6, False), features_of_element(6, True)
    (31, 496)
    """
    k = len(bispectrum_labels(int(twojmax)))
    return 1 + k + (k * (k + 1) // 2 if quadratic else 0)
