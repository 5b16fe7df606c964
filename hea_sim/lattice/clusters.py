"""Cluster expansions: the energy of an occupation from pairs, triplets and quadruplets, on any parent lattice.

| symbol | here | unit |
|---|---|---|
| E / N = J_0 + sum_f m_f J_f Pi_f | `ClusterModel.energy_eV_per_atom` | eV/atom |
| J_f, energy of one cluster with one decoration | `ClusterModel.coefficients_eV` | eV |
| S, covariance of the J_f given the data; variance x S x + noise^2, x_f = m_f Pi_f | `energy_with_std` | eV/atom |

The functions and the correlation vector stand in `cluster_functions`. Sanchez, Ducastelle, Gratias, Physica A 128
(1984) 334, doi:10.1016/0378-4371(84)90096-7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.cluster_functions import ClusterSpace, check_occupations, cluster_space
from hea_sim.lattice.contract import BoundModel
from hea_sim.lattice.parents import ParentLattice, neighbours_within
from hea_sim.lattice.shells import check_size
from hea_sim.registry.cards import ModelCard

KIND = "lattice-clusters"


@dataclass(frozen=True, kw_only=True, eq=False)
class ClusterModel:
    """Hold a cluster expansion: one coefficient for each function of its space, the constant first.

    `covariance_eV2` of the coefficients and `noise_eV` of one label, per atom, give the spread of predictions; empty
    and 0 where the fit knows none. `energy_std_eV` is the cross-validated error per atom.
    """

    name: str
    space: ClusterSpace
    coefficients_eV: np.ndarray
    energy_std_eV: float
    covariance_eV2: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    noise_eV: float = 0.0
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        coefficients, n = np.asarray(self.coefficients_eV, float), len(self.space)
        if coefficients.shape != (n,) or not np.isfinite(coefficients).all():
            raise InputError(f"coefficients of {self.name}: got shape {coefficients.shape}, wanted ({n},), all finite")
        if np.size(self.covariance_eV2) and np.shape(self.covariance_eV2) != (n, n):
            got = np.shape(self.covariance_eV2)
            raise InputError(f"covariance of {self.name}: got shape {got}, wanted ({n}, {n})")
        object.__setattr__(self, "coefficients_eV", coefficients)

    @property
    def species(self) -> tuple[str, ...]:
        """Chemical symbols in the order of the indices of an occupation."""
        return self.space.species

    @property
    def lattice(self) -> str:
        """Strukturbericht name of the parent lattice."""
        return self.space.parent.name

    def rows(self, occupations: np.ndarray, size: Sequence[int]) -> np.ndarray:
        """Give m_f Pi_f of occupations (cells, sites): what the coefficients multiply."""
        return self.space.correlations(occupations, size) * self.space.multiplicity

    def energy_eV_per_atom(self, occupation: np.ndarray, size: Sequence[int]) -> float:
        """Compute the energy of species indices (sites,) on a periodic cell, relative to the elements."""
        counts = self.space.counts(np.asarray(occupation), size)
        total = sum(float(count[0] @ energy.ravel()) for count, energy in zip(counts, self.orbit_energies_eV))
        return float(self.coefficients_eV[0] + total / np.size(occupation))

    def energy_with_std(self, occupation: np.ndarray, size: Sequence[int]) -> tuple[float, float]:
        """Give the energy per atom and the std of a label of this cell: what the coefficients leave open, and noise."""
        if not np.size(self.covariance_eV2):
            raise InputError(f"{self.name} was fitted without a covariance; fit it with method 'bayes' or 'ard'")
        row = self.rows(occupation, size)
        variance = float(row @ self.covariance_eV2 @ row) + self.noise_eV**2
        return float(row @ self.coefficients_eV), float(np.sqrt(max(variance, 0.0)))

    @cached_property
    def orbit_energies_eV(self) -> tuple[np.ndarray, ...]:
        """Give for each orbit the energy of one cluster by the species on its sites."""
        energies = [np.zeros((len(self.species),) * orbit.order) for orbit in self.space.orbits]
        for f, coefficient in zip(self.space.functions, self.coefficients_eV[1:], strict=True):
            energies[f.orbit] += coefficient * f.n_equivalent * f.values
        return tuple(energies)

    def bound(self, size: Sequence[int]) -> BoundModel:
        """Give what an engine needs on a cell of this size; orbits without energy are left out."""
        from hea_sim.lattice.cluster_kernels import cluster_energy_change

        size, parent = check_size(size), self.space.parent
        used = [k for k, energy in enumerate(self.orbit_energies_eV) if np.any(energy)]
        columns, clusters, bounds, energies = self._clusters_at_sites(used)
        return BoundModel(
            energy_change=cluster_energy_change,
            tables=(
                neighbour_sites(parent, columns, size),
                clusters,
                bounds,
                energies,
                np.array([len(self.species)]),
            ),
            nearest=nearest_sites(parent, size),
            sublattice=parent.site_sublattice(size),
            holds=parent.allowed(self.species),
        )

    def _clusters_at_sites(
        self, used: Sequence[int]
    ) -> tuple[list[list[tuple[int, int, int, int]]], np.ndarray, np.ndarray, np.ndarray]:
        """List the clusters at each site of the cell, and the neighbours that they refer to."""
        m = self.space.parent.n_sites
        columns: list[dict[tuple[int, int, int, int], int]] = [{} for _ in range(m)]
        rows: list[list[tuple[int, int, int, int, int]]] = [[] for _ in range(m)]
        pieces, length = [], 0
        for k in used:
            orbit, energy = self.space.orbits[k], self.orbit_energies_eV[k]
            for p in range(orbit.order):
                pieces.append(np.moveaxis(energy, p, 0).ravel())
                for instance in orbit.instances:
                    home = int(instance[p, 0])
                    others = [
                        (int(b), *(int(v) for v in n - instance[p, 1:]))
                        for b, n in ((s[0], s[1:]) for q, s in enumerate(instance) if q != p)
                    ]
                    found = [columns[home].setdefault(site, len(columns[home])) for site in others]  # type: ignore[arg-type]
                    rows[home].append((orbit.order, length, *found, *[0] * (3 - len(found))))  # type: ignore[arg-type]
                length += energy.size
        table = [sorted(here) for here in rows]
        bounds, flat = np.zeros((m, 5), np.int64), [row[1:] for here in table for row in here]
        begin = 0
        for b, here in enumerate(table):
            orders = np.array([row[0] for row in here], int)
            bounds[b] = begin + np.searchsorted(orders, np.arange(1, 6))
            begin += len(here)
        clusters = np.array(flat, np.int64).reshape(-1, 4)
        return [list(here) for here in columns], clusters, bounds, np.concatenate([np.empty(0), *pieces])

    def atoms(self, occupation: np.ndarray, size: Sequence[int], a_A: float) -> Any:
        """Build the `ase.Atoms` of an occupation at a lattice parameter."""
        return lattice_atoms(self.space.parent, self.species, occupation, size, a_A)


def lattice_atoms(
    parent: ParentLattice, species: Sequence[str], occupation: np.ndarray, size: Sequence[int], a_A: float
) -> Any:
    """Build the `ase.Atoms` of species indices on a periodic cell of a parent."""
    from ase import Atoms

    symbols = [species[int(s)] for s in check_occupations(occupation, parent, size, species)]
    cell = np.array(check_size(size))[:, None] * parent.cell * a_A
    return Atoms(symbols, positions=parent.points(size) * a_A, cell=cell, pbc=True)


def neighbour_sites(
    parent: ParentLattice, columns: Sequence[Sequence[tuple[int, int, int, int]]], size: Sequence[int]
) -> np.ndarray:
    """Number the neighbours (sites, z) of every site of a periodic cell, given as (b, n) for each site of the cell.

    Sites with fewer neighbours than others name themselves in the columns that are left, which nothing refers to.
    """
    nx, ny, nz = check_size(size)
    m, z = parent.n_sites, max((len(row) for row in columns), default=0)
    table = np.tile(np.arange(nx * ny * nz * m, dtype=np.int32)[:, None], (1, z))
    x, y, w = np.unravel_index(np.arange(nx * ny * nz), (nx, ny, nz))
    for b, row in enumerate(columns):
        for c, (other, i, j, k) in enumerate(row):
            cells = ((x + i) % nx * ny + (y + j) % ny) * nz + (w + k) % nz
            table[b::m, c] = cells * m + other
    return table


def nearest_sites(parent: ParentLattice, size: Sequence[int]) -> np.ndarray:
    """Number the nearest neighbours (sites, z) of every site; all sites of a parent need as many.

    The 6 + 6 neighbours of A3 count as nearest for any c/a near that of spheres.
    """
    near = neighbours_within(parent, 2.0)
    reach = max(row[0][0] for row in near) * (1.06 if parent.name == "A3" else 1.0)
    columns = [[(b, *n) for distance, b, n in row if distance <= reach + 1e-5] for row in near]
    if len({len(row) for row in columns}) != 1:
        raise InputError(f"parent {parent.name}: its sites have different numbers of nearest neighbours; wanted one")
    return neighbour_sites(parent, columns, size)


def model_arrays(model: ClusterModel) -> dict[str, np.ndarray]:
    """Collect the arrays that a model's file holds."""
    parent = model.space.parent
    orders = sorted(model.space.cutoffs_a)
    return {
        **parent_arrays(parent),
        "cutoff_orders": np.array(orders),
        "cutoffs_a": np.array([model.space.cutoffs_a[k] for k in orders]),
        "coefficients_eV": model.coefficients_eV,
        "covariance_eV2": np.asarray(model.covariance_eV2),
        "noise_eV": np.asarray(model.noise_eV),
        "energy_std_eV": np.asarray(model.energy_std_eV),
        "functions": np.array(model.space.kind),
    }


def load(card: ModelCard, arrays: Mapping[str, np.ndarray]) -> ClusterModel:
    """Build a model from its card and its arrays."""
    cutoffs = {int(k): float(r) for k, r in zip(arrays["cutoff_orders"], arrays["cutoffs_a"], strict=True)}
    space = cluster_space(
        parent_from_arrays(str(card.lattice), arrays),
        card.elements,
        cutoffs,
        kind=str(arrays["functions"].item()),  # type: ignore[arg-type]
    )
    return ClusterModel(
        name=card.name,
        space=space,
        coefficients_eV=arrays["coefficients_eV"],
        energy_std_eV=float(arrays["energy_std_eV"].item()),
        covariance_eV2=arrays["covariance_eV2"].astype(float),
        noise_eV=float(arrays["noise_eV"].item()),
        card=card.model_dump(),
    )


def parent_arrays(parent: ParentLattice) -> dict[str, np.ndarray]:
    """Collect the arrays that describe a parent; the species of each sublattice are joined by blanks."""
    return {
        "parent_cell": parent.cell,
        "parent_sites": parent.sites,
        "parent_sublattice": parent.sublattice,
        "parent_holds": np.array([" ".join(held) for held in parent.holds]),
    }


def parent_from_arrays(name: str, arrays: Mapping[str, np.ndarray]) -> ParentLattice:
    """Build the parent that a model's file describes."""
    return ParentLattice(
        name=name,
        cell=arrays["parent_cell"],
        sites=arrays["parent_sites"],
        sublattice=arrays["parent_sublattice"],
        holds=tuple(tuple(str(held).split()) for held in arrays["parent_holds"]),
    )
