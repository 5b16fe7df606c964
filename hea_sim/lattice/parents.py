"""Parent lattices: the sites that atoms may take, which of them are alike, and the symmetry between them.

| symbol | here |
|---|---|
| rows a_1, a_2, a_3 of the cell, in lattice parameters | `ParentLattice.cell` |
| fractional coordinates of the sites of the cell | `ParentLattice.fractional` |
| x -> W x + t, with whole W in the basis of the cell | `symmetry_of` |

A site is named by its number b in the cell and by three whole numbers n, the cell it stands in. Every operation of the
space group carries (b, n) to (b', W n + shift_b): exact integers, so that no distance is ever compared with a tolerance
after the group has been found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np

from hea_sim.errors import InputError, unknown_name
from hea_sim.lattice.shells import check_size

_TOLERANCE = 1e-6
_CUBIC = {
    "A_h": ((0, 0, 0),),
    "A1": ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)),
    "A2": ((0, 0, 0), (1, 1, 1)),
    "B2": ((0, 0, 0), (1, 1, 1)),
    "L1_2": ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)),
}
_SUBLATTICES = {"B2": (0, 1), "L1_2": (0, 1, 1, 1)}
_ALIASES = {"sc": "A_h", "fcc": "A1", "bcc": "A2", "hcp": "A3", "a_h": "A_h", "a1": "A1", "a2": "A2", "a3": "A3"}
#: c/a of A3 where spheres touch.
IDEAL_C_OVER_A = float(np.sqrt(8 / 3))


@dataclass(frozen=True, kw_only=True, eq=False)
class ParentLattice:
    """Hold the sites of a lattice: `cell` (3, 3) rows and `sites` (m, 3) in lattice parameters, `sublattice` (m,).

    Sites of one sublattice may be exchanged by symmetry, sites of different ones may not. `holds` names for each
    sublattice the species that it may hold; an empty tuple stands for all species of the model.
    """

    name: str
    cell: np.ndarray
    sites: np.ndarray
    sublattice: np.ndarray
    holds: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        cell, sites = np.asarray(self.cell, float), np.atleast_2d(np.asarray(self.sites, float))
        sublattice = np.asarray(self.sublattice, int)
        if cell.shape != (3, 3) or abs(np.linalg.det(cell)) < 1e-9:
            raise InputError(f"parent {self.name}: cell of shape {cell.shape}; wanted three independent rows")
        if sites.shape[1:] != (3,) or sublattice.shape != (len(sites),):
            raise InputError(
                f"parent {self.name}: sites {sites.shape}, sublattice {sublattice.shape}; wanted (m, 3) and (m,)"
            )
        if sorted(set(sublattice.tolist())) != list(range(len(self.holds))):
            raise InputError(
                f"parent {self.name}: sublattices {sorted(set(sublattice.tolist()))}, holds for {len(self.holds)};"
                " wanted them numbered from 0, with one tuple of species each"
            )
        for field_name, value in (("cell", cell), ("sites", sites), ("sublattice", sublattice)):
            value.setflags(write=False)
            object.__setattr__(self, field_name, value)

    @property
    def n_sites(self) -> int:
        """Count the sites of the cell."""
        return len(self.sites)

    @property
    def fractional(self) -> np.ndarray:
        """Give the sites (m, 3) in the basis of the cell."""
        return self.sites @ np.linalg.inv(self.cell)

    def points(self, size: Sequence[int]) -> np.ndarray:
        """List the sites (n, 3) of `size` cells, in lattice parameters: x, y, z, then the sites of the cell."""
        numbers = (np.arange(n) for n in check_size(size))
        cells = np.stack(np.meshgrid(*numbers, indexing="ij"), axis=-1).reshape(-1, 1, 3)
        return (cells @ self.cell + self.sites).reshape(-1, 3)

    def site_sublattice(self, size: Sequence[int]) -> np.ndarray:
        """Number the sublattice of every site of `size` cells."""
        return np.tile(self.sublattice, int(np.prod(check_size(size))))

    def with_species(self, *holds: Sequence[str]) -> ParentLattice:
        """Say which species each sublattice holds, in the order of the sublattices."""
        return replace(self, holds=tuple(tuple(species) for species in holds))

    def allowed(self, species: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Give for each sublattice the indices of the species that it may hold."""
        unknown = sorted({s for held in self.holds for s in held} - set(species))
        if unknown:
            raise InputError(f"parent {self.name} holds {', '.join(unknown)}; the model knows {', '.join(species)}")
        return tuple(
            tuple(species.index(s) for s in held) if held else tuple(range(len(species))) for held in self.holds
        )


def parent_lattice(name: str, *, c_over_a: float | None = None) -> ParentLattice:
    """Give a parent lattice by its Strukturbericht name; A3 needs its c/a.

    A_h is simple cubic. B2 and L1_2 are A2 and A1 whose corners form a sublattice of their own.

    >>> parent_lattice("bcc").n_sites, parent_lattice("L1_2").sublattice.tolist()
    (2, [0, 1, 1, 1])
    """
    known = (*_CUBIC, "A3")
    found = name if name in known else _ALIASES.get(str(name).lower())
    if found is None:
        raise unknown_name("parent lattice", name, [*known, "sc", "fcc", "bcc", "hcp"])
    if found == "A3":
        if c_over_a is None or not c_over_a > 0:
            raise InputError(f"c/a of A3: got {c_over_a}; wanted a number, such as {IDEAL_C_OVER_A:.4f} for spheres")
        cell = np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, c_over_a]])
        sites = np.array([[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]) @ cell
        return ParentLattice(name="A3", cell=cell, sites=sites, sublattice=np.zeros(2, int), holds=((),))
    if c_over_a is not None and abs(c_over_a - 1) > 1e-9:
        raise InputError(f"c/a {c_over_a} of {found}; {found} is cubic: leave c_over_a out")
    sites = np.array(_CUBIC[found]) / 2
    sublattice = np.array(_SUBLATTICES.get(found, (0,) * len(sites)))
    return ParentLattice(
        name=found, cell=np.eye(3), sites=sites, sublattice=sublattice, holds=((),) * (int(sublattice.max()) + 1)
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Symmetry:
    """Hold a space group, as far as it acts on sites: `rotations` (g, 3, 3), `to` (g, m) and `shift` (g, m, 3).

    Operation g carries site b of cell n to site `to[g, b]` of cell `rotations[g] @ n + shift[g, b]`.
    """

    rotations: np.ndarray
    to: np.ndarray
    shift: np.ndarray

    def __len__(self) -> int:
        return len(self.rotations)


def symmetry_of(parent: ParentLattice) -> Symmetry:
    """Find all operations that carry sites of a parent to sites of the same sublattice, but for translations by cells.

    Rotations are sought among whole matrices of -1, 0 and 1, which is all of them for cells whose edges are shortest
    vectors, such as those of `parent_lattice`.
    """
    return _symmetry(parent.cell.tobytes(), parent.sites.tobytes(), tuple(parent.sublattice.tolist()))


@lru_cache(maxsize=32)
def _symmetry(cell_bytes: bytes, site_bytes: bytes, sublattice: tuple[int, ...]) -> Symmetry:
    cell = np.frombuffer(cell_bytes).reshape(3, 3)
    kinds = np.array(sublattice)
    fractional = np.frombuffer(site_bytes).reshape(-1, 3) @ np.linalg.inv(cell)
    whole = np.array(list(product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    metric = cell @ cell.T
    kept = np.abs(whole.transpose(0, 2, 1) @ metric @ whole - metric).max(axis=(1, 2)) < _TOLERANCE
    rotations, to, shift = [], [], []
    for turn in whole[kept]:
        turned = fractional @ turn.T
        for target in np.flatnonzero(kinds == kinds[0]):
            moved = turned + (fractional[target] - turned[0])
            apart = moved[:, None, :] - fractional[None, :, :]
            hits = (np.abs(apart - np.rint(apart)).max(axis=2) < _TOLERANCE) & (kinds[:, None] == kinds[None, :])
            if (hits.sum(axis=1) == 1).all():
                image = hits.argmax(axis=1)
                rotations.append(turn)
                to.append(image)
                shift.append(np.rint(moved - fractional[image]).astype(int))
    return Symmetry(rotations=np.array(rotations), to=np.array(to), shift=np.array(shift))


def neighbours_within(parent: ParentLattice, cutoff_a: float) -> list[list[tuple[float, int, tuple[int, int, int]]]]:
    """List the neighbours (distance, b, n) of each site of the cell, near first, up to so many lattice parameters."""
    if not 0 < cutoff_a <= 6:
        raise InputError(f"cutoff {cutoff_a} lattice parameters; wanted one above 0 and up to 6")
    heights = 1 / np.linalg.norm(np.linalg.inv(parent.cell), axis=0)
    reach = [np.arange(-r, r + 1) for r in np.ceil((cutoff_a + _TOLERANCE) / heights).astype(int) + 1]
    cells = np.stack(np.meshgrid(*reach, indexing="ij"), axis=-1).reshape(-1, 3)
    found = []
    for b in range(parent.n_sites):
        rows = []
        for other in range(parent.n_sites):
            distance = np.linalg.norm(cells @ parent.cell + parent.sites[other] - parent.sites[b], axis=1)
            for k in np.flatnonzero((distance > _TOLERANCE) & (distance <= cutoff_a + _TOLERANCE)):
                n = cells[k]
                rows.append((round(float(distance[k]), 6), other, (int(n[0]), int(n[1]), int(n[2]))))
        found.append(sorted(rows))
    return found


def shell_distances(parent: ParentLattice, n_shells: int) -> np.ndarray:
    """Give the distances of the first neighbour shells of a parent, in lattice parameters (any of its sites)."""
    distances: np.ndarray = np.empty(0)
    cutoff = 1.5
    while len(distances) < n_shells:
        rows = [distance for site in neighbours_within(parent, cutoff) for distance, _, _ in site]
        found = np.unique(rows)
        distances = found[np.append(np.diff(found) > 1e-5, True)]
        cutoff += 0.5
    return distances[:n_shells]
