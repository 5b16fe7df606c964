"""Low-rank potentials: the energy of a site from the species around it, as a tensor train of small rank.

| symbol | here | unit |
|---|---|---|
| E = sum_x V(sigma(x), sigma(x + r_1), ..., sigma(x + r_n)) | `LowRankModel.energy_eV_per_atom` | eV |
| V = e(sigma_0) + 1/|G| sum_(g in G) A_1(sigma_g1) A_2(sigma_g2) ... A_n(sigma_gn) | `low_rank_kernels` | eV |
| A_k(sigma), matrices r x r: the train | `LowRankModel.cores` | |
| G, operations of the point group of a site | `Neighbourhood.turns` | |

The tensor of all neighbourhoods has species^n numbers; a train of rank r knows n * species * r^2. The mean over the
point group makes the energy the same for cells that symmetry carries into one another. Kostiuchenko, Koermann,
Neugebauer, Shapeev, npj Comput. Mater. 5 (2019) 55, doi:10.1038/s41524-019-0195-y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice import low_rank_kernels
from hea_sim.lattice.cluster_functions import check_occupations
from hea_sim.lattice.clusters import lattice_atoms, nearest_sites, neighbour_sites, parent_arrays, parent_from_arrays
from hea_sim.lattice.contract import BoundModel
from hea_sim.lattice.parents import ParentLattice, neighbours_within, shell_distances, symmetry_of
from hea_sim.lattice.shells import check_size
from hea_sim.registry.cards import ModelCard

KIND = "lattice-low-rank"
#: Up to so many neighbourhoods their energies are kept in a table, and looked up.
LONGEST_TABLE = 1 << 22


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbourhood:
    """Hold the sites around each site: `columns` by site of the cell, as (b, n), the centre first, in equal order.

    `turns` (g, n) are the orders that the point group gives them.
    """

    columns: tuple[tuple[tuple[int, int, int, int], ...], ...]
    turns: np.ndarray

    @property
    def n_sites(self) -> int:
        """Count the sites of a neighbourhood, the centre among them."""
        return len(self.columns[0])


def neighbourhood(parent: ParentLattice, n_shells: int) -> Neighbourhood:
    """Find the sites of the first shells around each site, ordered alike by the symmetry that carries site to site.

    >>> from hea_sim.lattice.parents import parent_lattice
    >>> around = neighbourhood(parent_lattice("bcc"), 1)
    >>> around.n_sites, len(around.turns)
    (9, 48)
    """
    if not 1 <= n_shells <= 4:
        raise InputError(f"{n_shells} shells of a low-rank potential; wanted 1 to 4")
    symmetry = symmetry_of(parent)
    if len(parent.holds) > 1 or set(symmetry.to[:, 0].tolist()) != set(range(parent.n_sites)):
        raise InputError(
            f"parent {parent.name}: its sites are not all alike; a low-rank potential wants a lattice such as A1, A2"
            " or A3, for others take a cluster expansion"
        )
    reach = float(shell_distances(parent, n_shells)[-1])
    first = [(0, 0, 0, 0)] + [(b, *n) for _, b, n in neighbours_within(parent, reach)[0]]
    place = {site: k for k, site in enumerate(first)}
    columns: dict[int, tuple[tuple[int, int, int, int], ...]] = {}
    turns = set()
    for turn, to, shift in zip(symmetry.rotations, symmetry.to, symmetry.shift, strict=True):
        images = [(int(to[b]), *(turn @ np.array(n) + shift[b] - shift[0]).tolist()) for b, *n in first]
        if to[0] == 0:
            turns.add(tuple(place[image] for image in images))
        columns.setdefault(int(to[0]), tuple(images))
    columns[0] = tuple(first)
    return Neighbourhood(
        columns=tuple(columns[b] for b in range(parent.n_sites)), turns=np.array(sorted(turns), np.int64)
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class LowRankModel:
    """Hold a low-rank potential: `cores` (sites, species, r, r), padded with zeros, and energies outside the train."""

    name: str
    species: tuple[str, ...]
    parent: ParentLattice
    n_shells: int
    cores: np.ndarray
    site_energy_eV: np.ndarray
    energy_std_eV: float
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        cores, n = np.ascontiguousarray(self.cores, float), len(self.species)
        wanted = (self.around.n_sites, n)
        if cores.ndim != 4 or cores.shape[:2] != wanted or cores.shape[2] != cores.shape[3]:
            raise InputError(f"cores of {self.name}: got shape {cores.shape}, wanted ({wanted[0]}, {n}, r, r)")
        if np.shape(self.site_energy_eV) != (n,) or not np.isfinite(cores).all():
            raise InputError(f"{self.name}: wanted {n} site energies, and cores that are all finite")
        object.__setattr__(self, "cores", cores)
        object.__setattr__(self, "site_energy_eV", np.asarray(self.site_energy_eV, float))

    @property
    def lattice(self) -> str:
        """Strukturbericht name of the lattice."""
        return self.parent.name

    @property
    def rank(self) -> int:
        """Give the rank of the train."""
        return int(self.cores.shape[2])

    @cached_property
    def around(self) -> Neighbourhood:
        """Give the neighbourhood of a site."""
        return neighbourhood(self.parent, self.n_shells)

    @cached_property
    def values_eV(self) -> np.ndarray:
        """Give the energies of all neighbourhoods by code (species as digits, centre first); empty where too many."""
        length = len(self.species) ** self.around.n_sites
        values = np.empty(length if length <= LONGEST_TABLE else 0)
        if len(values):
            compiled("tabulate")(self.cores, self.around.turns, self.site_energy_eV, values)
        return values

    def energy_eV_per_atom(self, occupation: np.ndarray, size: Sequence[int]) -> float:
        """Compute the energy of species indices (sites,) on a periodic cell, relative to the elements."""
        occupation = check_occupations(occupation, self.parent, size, self.species)
        species = occupation[neighbour_sites(self.parent, self.around.columns, size)].astype(np.int64)
        return float(self.neighbourhood_energies_eV(species).mean())

    def neighbourhood_energies_eV(self, species: np.ndarray) -> np.ndarray:
        """Give the energies (rows,) of neighbourhoods (rows, sites), the centre first."""
        if len(self.values_eV):
            return self.values_eV[codes_of(species, len(self.species))]
        total = np.zeros(len(species))
        for turn in self.around.turns:
            row = np.zeros((len(species), self.rank))
            row[:, 0] = 1.0
            for k, core in enumerate(self.cores):
                row = np.einsum("na,nab->nb", row, core[species[:, turn[k]]])
            total += row[:, 0]
        return self.site_energy_eV[species[:, 0]] + total / len(self.around.turns)

    def bound(self, size: Sequence[int]) -> BoundModel:
        """Give what an engine needs on a cell of this size."""
        size = check_size(size)
        return BoundModel(
            energy_change=low_rank_kernels.low_rank_energy_change,
            tables=(
                neighbour_sites(self.parent, self.around.columns, size),
                self.cores,
                self.around.turns,
                self.values_eV,
                self.site_energy_eV,
            ),
            nearest=nearest_sites(self.parent, size),
            sublattice=self.parent.site_sublattice(size),
        )

    def atoms(self, occupation: np.ndarray, size: Sequence[int], a_A: float) -> Any:
        """Build the `ase.Atoms` of an occupation at a lattice parameter."""
        return lattice_atoms(self.parent, self.species, occupation, size, a_A)


def codes_of(species: np.ndarray, n_species: int) -> np.ndarray:
    """Number neighbourhoods (rows, sites) by reading their species as digits."""
    codes = np.zeros(len(species), np.int64)
    for column in species.T:
        codes = codes * n_species + column
    return codes


@lru_cache(maxsize=8)
def compiled(name: str) -> Callable[..., Any]:
    """Compile one of the loops of `low_rank_kernels`."""
    import numba

    return numba.njit(cache=True, error_model="numpy")(getattr(low_rank_kernels, name))


def model_arrays(model: LowRankModel) -> dict[str, np.ndarray]:
    """Collect the arrays that a model's file holds."""
    return {
        **parent_arrays(model.parent),
        "n_shells": np.asarray(model.n_shells),
        "cores": model.cores,
        "site_energy_eV": model.site_energy_eV,
        "energy_std_eV": np.asarray(model.energy_std_eV),
    }


def load(card: ModelCard, arrays: Mapping[str, np.ndarray]) -> LowRankModel:
    """Build a model from its card and its arrays."""
    return LowRankModel(
        name=card.name,
        species=card.elements,
        parent=parent_from_arrays(str(card.lattice), arrays),
        n_shells=int(arrays["n_shells"].item()),
        cores=arrays["cores"],
        site_energy_eV=arrays["site_energy_eV"],
        energy_std_eV=float(arrays["energy_std_eV"].item()),
        card=card.model_dump(),
    )
