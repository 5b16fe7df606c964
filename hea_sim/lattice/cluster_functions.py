"""Functions of the species on a cluster's sites, and their means over a crystal: the correlation vector.

| symbol | here |
|---|---|
| phi_n(sigma), n = 1 ... M - 1, functions of the species of one site (phi_0 = 1) | `site_functions` |
| (n_1 ... n_k), which function stands on which site of a cluster | decoration |
| Pi_f = < phi_n1(sigma_1) ... phi_nk(sigma_k) >, over the orbit and over equivalent decorations | `correlations` |
| m_f, equivalent clusters with equivalent decorations, per site | `ClusterSpace.multiplicity` |
| E / N = J_0 + sum_f m_f J_f Pi_f | `hea_sim.lattice.clusters` |

"orthogonal" are the cosines and sines of A. van de Walle, Calphad 33 (2009) 266, doi:10.1016/j.calphad.2008.12.005,
orthogonal over an alloy with as much of each species; "indicator" is 1 for one species and 0 for the others, the first
species left out. Sanchez, Ducastelle, Gratias, Physica A 128 (1984) 334, doi:10.1016/0378-4371(84)90096-7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.orbits import Orbit, find_orbits
from hea_sim.lattice.parents import ParentLattice
from hea_sim.lattice.shells import check_size

Functions = Literal["orthogonal", "indicator"]


def site_functions(n_allowed: int, kind: Functions = "orthogonal") -> np.ndarray:
    """Give the values (M - 1, M) of the functions of one site that are not constant.

    >>> site_functions(2).round(3).tolist()
    [[-1.0, 1.0]]
    """
    if kind == "indicator":
        return np.eye(n_allowed)[1:]
    if kind != "orthogonal":
        raise InputError(f"site functions '{kind}'; wanted 'orthogonal' or 'indicator'")
    species, rows = np.arange(n_allowed), []
    for n in range(1, n_allowed):
        angle = 2 * np.pi * ((n + 1) // 2) * species / n_allowed
        rows.append(-np.cos(angle) if n % 2 else -np.sin(angle))
    return np.array(rows).reshape(n_allowed - 1, n_allowed)


@dataclass(frozen=True, kw_only=True, eq=False)
class ClusterFunction:
    """Hold one function: its orbit, its decoration, how many decorations are equivalent, and its values.

    `values` has one axis of all species for each site of the cluster: the mean over the equivalent decorations.
    """

    orbit: int
    decoration: tuple[int, ...]
    n_equivalent: int
    values: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class ClusterSpace:
    """Hold the clusters of a parent and the functions on them; the constant is counted as the first function."""

    parent: ParentLattice
    species: tuple[str, ...]
    cutoffs_a: Mapping[int, float]
    kind: Functions
    orbits: tuple[Orbit, ...]
    functions: tuple[ClusterFunction, ...]

    def __len__(self) -> int:
        return len(self.functions) + 1

    @cached_property
    def multiplicity(self) -> np.ndarray:
        """Count equivalent clusters with equivalent decorations per site; 1 for the constant."""
        per_cell = [self.orbits[f.orbit].n_instances * f.n_equivalent for f in self.functions]
        return np.array([1.0, *(count / self.parent.n_sites for count in per_cell)])

    @cached_property
    def spread(self) -> np.ndarray:
        """Give by how much one eV of each J_f spreads the energy of a random alloy, for one atom: sqrt(m_f <f^2>).

        This is the natural length of a coefficient: of two functions with equal J_f spread, neither matters more.
        """
        alone = [1.0]
        for f, m in zip(self.functions, self.multiplicity[1:], strict=True):
            allowed = self.parent.allowed(self.species)
            values = f.values[np.ix_(*(allowed[s] for s in self.orbits[f.orbit].sublattice))]
            alone.append(float(np.sqrt(m * f.n_equivalent * np.square(values).mean())))
        return np.array(alone)

    @cached_property
    def order(self) -> np.ndarray:
        """Count the sites of each function's cluster; 0 for the constant."""
        return np.array([0, *(self.orbits[f.orbit].order for f in self.functions)])

    def names(self) -> list[str]:
        """Name the functions: number of sites, radius, decoration."""
        named = ["constant"]
        for f in self.functions:
            radius = self.orbits[f.orbit].radius_a
            where = f" {radius:.3f} a #{f.orbit}" if len(f.decoration) > 1 else f" #{f.orbit}"
            named.append(f"{len(f.decoration)} sites{where} ({', '.join(map(str, f.decoration))})")
        return named

    def counts(self, occupations: np.ndarray, size: Sequence[int]) -> list[np.ndarray]:
        """Count for each orbit how often each tuple of species stands on its clusters: (cells, species^k)."""
        occupations = np.atleast_2d(check_occupations(occupations, self.parent, size, self.species))
        index, n, n_cells = _SiteIndex(size, self.parent.n_sites), len(self.species), len(occupations)
        found = []
        for orbit in self.orbits:
            bins = n**orbit.order
            total = np.zeros((n_cells, bins), np.int64)
            offset = (np.arange(n_cells) * bins)[:, None]
            for instance in orbit.instances:
                codes = np.zeros((n_cells, index.n_cells), np.int64)
                for site in instance:
                    codes = codes * n + occupations[:, index.of(*map(int, site))]
                total += np.bincount((codes + offset).ravel(), minlength=n_cells * bins).reshape(n_cells, bins)
            found.append(total)
        return found

    def correlations(self, occupations: np.ndarray, size: Sequence[int]) -> np.ndarray:
        """Give the correlation vectors (cells, functions) of occupations (cells, sites) of periodic cells.

        One occupation (sites,) gives one vector (functions,).
        """
        counts = self.counts(occupations, size)
        rows = [np.ones(len(counts[0]))]
        for f in self.functions:
            rows.append(counts[f.orbit] @ f.values.ravel() / counts[f.orbit].sum(axis=1))
        matrix = np.array(rows).T
        return matrix if np.ndim(occupations) == 2 else matrix[0]


def cluster_space(
    parent: ParentLattice, species: Sequence[str], cutoffs_a: Mapping[int, float], *, kind: Functions = "orthogonal"
) -> ClusterSpace:
    """Find the clusters within the radii (in lattice parameters) and the functions on them.

    >>> from hea_sim.lattice.parents import parent_lattice
    >>> len(cluster_space(parent_lattice("bcc"), ("Nb", "Mo"), {2: 1.8, 3: 1.1}))
    8
    """
    species = tuple(species)
    if len(species) < 2 or len(set(species)) != len(species):
        raise InputError(f"species {', '.join(species) or 'none'}; wanted two or more different ones")
    allowed = parent.allowed(species)
    orbits = tuple(
        orbit for orbit in find_orbits(parent, cutoffs_a) if all(len(allowed[s]) > 1 for s in orbit.sublattice)
    )
    functions = [f for k, orbit in enumerate(orbits) for f in _functions(k, orbit, allowed, len(species), kind)]
    return ClusterSpace(
        parent=parent,
        species=species,
        cutoffs_a=dict(cutoffs_a),
        kind=kind,
        orbits=orbits,
        functions=tuple(functions),
    )


def _functions(
    k: int, orbit: Orbit, allowed: Sequence[Sequence[int]], n_species: int, kind: Functions
) -> list[ClusterFunction]:
    tables = []
    for s in orbit.sublattice:
        table = np.zeros((len(allowed[s]) - 1, n_species))
        table[:, list(allowed[s])] = site_functions(len(allowed[s]), kind)
        tables.append(table)
    made, seen = [], set()
    for decoration in product(*(range(len(table)) for table in tables)):
        if decoration in seen:
            continue
        alike = sorted({tuple(decoration[p] for p in permutation) for permutation in orbit.stabiliser})
        seen.update(alike)
        values = np.zeros((n_species,) * orbit.order)
        for one in alike:
            part = np.ones(())
            for table, n in zip(tables, one, strict=True):
                part = np.multiply.outer(part, table[n])
            values += part / len(alike)
        made.append(ClusterFunction(orbit=k, decoration=decoration, n_equivalent=len(alike), values=values))
    return made


def check_occupations(
    occupations: np.ndarray, parent: ParentLattice, size: Sequence[int], species: Sequence[str]
) -> np.ndarray:
    """Check that each site holds the index of a species that its sublattice may hold."""
    occupations = np.asarray(occupations)
    n_sites = parent.n_sites * int(np.prod(check_size(size)))
    if occupations.ndim not in (1, 2) or occupations.shape[-1] != n_sites:
        raise InputError(
            f"occupation of {tuple(size)} {parent.name} cells: got shape {occupations.shape}, wanted ({n_sites},)"
        )
    whole = np.issubdtype(occupations.dtype, np.integer)
    if not whole or occupations.min() < 0 or occupations.max() >= len(species):
        raise InputError(f"occupation: wanted whole species indices from 0 to {len(species) - 1}")
    kinds = parent.site_sublattice(size)
    for s, allowed in enumerate(parent.allowed(species)):
        if len(allowed) < len(species) and not np.isin(occupations[..., kinds == s], allowed).all():
            held = ", ".join(species[k] for k in allowed)
            raise InputError(f"occupation: sublattice {s} of {parent.name} holds another species than {held}")
    return occupations


class _SiteIndex:
    """Number the sites of a periodic cell: where site b of the cell n stands, seen from every cell."""

    def __init__(self, size: Sequence[int], sites_per_cell: int) -> None:
        self.size, self.sites_per_cell = np.array(check_size(size)), sites_per_cell
        self.cells = np.stack(np.meshgrid(*(np.arange(n) for n in self.size), indexing="ij"), axis=-1).reshape(-1, 3)
        self.n_cells = len(self.cells)
        self._known: dict[tuple[int, int, int, int], np.ndarray] = {}

    def of(self, b: int, n1: int, n2: int, n3: int) -> np.ndarray:
        key = (b, n1, n2, n3)
        if key not in self._known:
            x, y, z = ((self.cells + np.array([n1, n2, n3])) % self.size).T
            self._known[key] = ((x * self.size[1] + y) * self.size[2] + z) * self.sites_per_cell + b
        return self._known[key]
