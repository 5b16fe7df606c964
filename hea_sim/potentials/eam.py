"""Embedded-atom method: pair energies, and an energy of each atom in the electron density of its neighbours.

E_i = F_a(rho_i) + 1/2 sum_j phi_ab(r_ij), rho_i = sum_j f_b(r_ij), with a and b the elements of i and j
(Daw and Baskes 1984, doi:10.1103/PhysRevB.29.6443).

| symbol | here |
|---|---|
| F | `EAMTables.embedding_eV` over rho = 0, `rho_step`, ... |
| f | `EAMTables.density` over r = 0, `r_step_A`, ... |
| r phi | `EAMTables.pair_eV_A` over the same r |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.eam_kernels import embedded_atom_terms
from hea_sim.potentials.environment import Environment


@dataclass(frozen=True, kw_only=True)
class ElementHeader:
    """Hold what a setfl file says of an element beside its functions."""

    mass_u: float
    a_A: float
    lattice: str


@dataclass(frozen=True, kw_only=True, eq=False)
class EAMTables:
    """Hold the functions of an embedded-atom potential at equidistant knots that begin at zero.

    `embedding_eV` (elements, rho knots); `density` (elements, r knots) in the potential's own unit; `pair_eV_A`
    (elements, elements, r knots) is r times the pair energy, the same for (a, b) and (b, a). `headers` are kept for
    files. Raises InputError where shapes or numbers do not fit.
    """

    elements: tuple[str, ...]
    cutoff_A: float
    r_step_A: float
    rho_step: float
    embedding_eV: np.ndarray
    density: np.ndarray
    pair_eV_A: np.ndarray
    headers: Mapping[str, ElementHeader] = field(default_factory=dict)
    comment: str = ""

    def __post_init__(self) -> None:
        n = len(self.elements)
        shapes = self.embedding_eV.shape[:-1], self.density.shape[:-1], self.pair_eV_A.shape[:-1]
        if shapes != ((n,), (n,), (n, n)) or self.density.shape[-1] != self.pair_eV_A.shape[-1]:
            raise InputError(
                f"EAM tables of {n} elements: embedding {self.embedding_eV.shape}, density {self.density.shape}, pair"
                f" {self.pair_eV_A.shape}; wanted ({n}, rho knots), ({n}, r knots), ({n}, {n}, r knots)"
            )
        if min(self.embedding_eV.shape[-1], self.density.shape[-1]) < 5:
            raise InputError("EAM tables need at least 5 knots each; give finer tables")
        if not (self.r_step_A > 0 and self.rho_step > 0 and self.cutoff_A > 0):
            raise InputError(
                f"EAM tables: steps {self.r_step_A} A and {self.rho_step}, cutoff {self.cutoff_A} A; wanted all above 0"
            )
        tables = {"embedding": self.embedding_eV, "density": self.density, "pair": self.pair_eV_A}
        for name, values in tables.items():
            if not np.isfinite(values).all():
                raise InputError(f"EAM tables: {name} holds a number that is not finite; mend the tables")

    def only(self, elements: tuple[str, ...]) -> EAMTables:
        """Keep some of the elements, in the order given."""
        missing = [element for element in elements if element not in self.elements]
        if missing or not elements:
            raise InputError(f"no {', '.join(missing) or 'elements'} in EAM tables of {', '.join(self.elements)}")
        keep = [self.elements.index(element) for element in elements]
        return EAMTables(
            elements=elements,
            cutoff_A=self.cutoff_A,
            r_step_A=self.r_step_A,
            rho_step=self.rho_step,
            embedding_eV=self.embedding_eV[keep],
            density=self.density[keep],
            pair_eV_A=self.pair_eV_A[np.ix_(keep, keep)],
            headers={element: header for element, header in self.headers.items() if element in elements},
            comment=self.comment,
        )


def cubics_between(values: np.ndarray) -> np.ndarray:
    """Make cubics (..., knots - 1, 4), lowest power first, of tables (..., knots), in steps from the left knot.

    Hermite interpolation. Slopes are central differences of fourth order, second order next to the ends and first
    order at the ends: the choice of the molecular dynamics codes that read these files, so that energies agree.
    """
    f = np.asarray(values, float)
    slopes = np.empty_like(f)
    slopes[..., 2:-2] = (f[..., :-4] - f[..., 4:] + 8 * (f[..., 3:-1] - f[..., 1:-3])) / 12
    slopes[..., 1], slopes[..., -2] = 0.5 * (f[..., 2] - f[..., 0]), 0.5 * (f[..., -1] - f[..., -3])
    slopes[..., 0], slopes[..., -1] = f[..., 1] - f[..., 0], f[..., -1] - f[..., -2]
    rise, left, right = f[..., 1:] - f[..., :-1], slopes[..., :-1], slopes[..., 1:]
    return np.stack([f[..., :-1], left, 3 * rise - 2 * left - right, left + right - 2 * rise], axis=-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class EAMModel:
    """Evaluate an embedded-atom potential from its tables; a `SiteModel`."""

    tables: EAMTables

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols in the order of the tables."""
        return self.tables.elements

    @property
    def cutoff_A(self) -> float:
        """Distance in A beyond which there are neither densities nor pair energies."""
        return self.tables.cutoff_A

    @cached_property
    def _cubics(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        tables = self.tables.density, self.tables.pair_eV_A, self.tables.embedding_eV
        density, pair, embedding = (np.ascontiguousarray(cubics_between(table)) for table in tables)
        return density, pair, embedding

    def site_terms(self, environment: Environment) -> tuple[np.ndarray, np.ndarray]:
        """Give the site energies (n,) in eV and their gradients (pairs, 3) in eV/A."""
        species = environment.indices_of(self.elements)
        return embedded_atom_terms(
            environment.starts,
            environment.second,
            environment.vectors,
            species,
            self.tables.cutoff_A,
            self.tables.r_step_A,
            self.tables.rho_step,
            *self._cubics,
        )
