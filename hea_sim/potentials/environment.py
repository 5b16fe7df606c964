"""Neighbours of atoms: full lists for one or many systems, built by vesin, kept over many steps by a skin.

| symbol | here |
|---|---|
| i, j | atom and neighbour: `first`, `second` |
| D_ij = x_j + S C - x_i | `vectors`, S the lattice shift, C the cell |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.pair_kernels import moved_too_far, pair_vectors

#: Atoms nearer than this are taken for a fault of the input.
LEAST_DISTANCE_A = 0.3


@dataclass(frozen=True, kw_only=True, eq=False)
class Environment:
    """Hold the atoms of one or several systems, one after the other, with all their neighbours.

    `numbers` (n,) atomic numbers; `starts` (n + 1,): the pairs of atom i are `starts[i]` to `starts[i + 1]`; `second`
    (pairs,) the neighbour's index; `vectors` (pairs, 3) from the atom to its neighbour in A; `system` (n,) the number
    of each atom's system; `volumes_A3` (systems,), NaN where a system is not periodic in all directions. Pairs may lie
    farther apart than the cutoff that was asked for.
    """

    numbers: np.ndarray
    starts: np.ndarray
    second: np.ndarray
    vectors: np.ndarray
    system: np.ndarray
    volumes_A3: np.ndarray

    @property
    def first(self) -> np.ndarray:
        """Give the index of the atom of each pair (pairs,)."""
        return np.repeat(np.arange(len(self.numbers)), np.diff(self.starts))

    def indices_of(self, elements: Sequence[str]) -> np.ndarray:
        """Give each atom's place in a list of elements (n,); InputError names what is missing there."""
        from ase.data import atomic_numbers, chemical_symbols

        place = np.full(120, -1)
        for k, element in enumerate(elements):
            place[atomic_numbers[element]] = k
        found = place[self.numbers]
        if (found < 0).any():
            missing = sorted({chemical_symbols[z] for z in self.numbers[found < 0]})
            raise InputError(
                f"no {', '.join(missing)} in this potential, which knows {', '.join(elements)}; take another potential"
                " or other atoms"
            )
        return found


def find_neighbours(systems: Sequence[Any], cutoff_A: float) -> Environment:
    """Find all neighbours within a cutoff in each of several `ase.Atoms`, of any periodicity and size of cell.

    Raises InputError where positions or cell are not finite, a periodic direction has no length, or two atoms lie
    nearer than `LEAST_DISTANCE_A`.
    """
    parts = [_pairs(atoms, cutoff_A, _name(atoms, k, len(systems))) for k, atoms in enumerate(systems)]
    sizes = np.array([len(atoms) for atoms in systems], np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    counts = [np.bincount(i, minlength=n) for (i, _, _), n in zip(parts, sizes, strict=True)]
    return Environment(
        numbers=np.concatenate([atoms.numbers for atoms in systems]).astype(np.int64),
        starts=np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64),
        second=np.concatenate([j + start for (_, j, _), start in zip(parts, offsets, strict=False)]),
        vectors=np.ascontiguousarray(np.concatenate([d for _, _, d in parts])),
        system=np.repeat(np.arange(len(sizes)), sizes),
        volumes_A3=np.array([atoms.cell.volume if atoms.pbc.all() else np.nan for atoms in systems]),
    )


def _name(atoms: Any, number: int, of: int) -> str:
    formula = atoms.get_chemical_formula() or "no atoms"
    return formula if of == 1 else f"system {number} ({formula})"


def _pairs(atoms: Any, cutoff_A: float, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    i, j, shifts = _neighbours_of(atoms, cutoff_A, name)
    vectors = pair_vectors(atoms.positions, atoms.cell.array, i, j, shifts)
    _refuse_overlap(vectors, i, j, name)
    return i, j, vectors


def _neighbours_of(atoms: Any, cutoff_A: float, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give atom, neighbour and lattice shift of each pair, sorted by atom."""
    import vesin

    if not len(atoms):
        raise InputError("a system has no atoms; wanted at least one")
    cell, periodic = atoms.cell.array, atoms.pbc
    if not (np.isfinite(atoms.positions).all() and np.isfinite(cell).all()):
        raise InputError(f"{name}: a position or the cell is not finite; wanted numbers (did a simulation explode?)")
    lengths = np.linalg.norm(cell, axis=1)
    if (periodic & (lengths == 0)).any() or (periodic.all() and abs(atoms.cell.volume) < 1e-6):
        raise InputError(f"{name}: periodic, but the cell has no extent there; give a cell, or set pbc to False")
    finder = vesin.NeighborList(cutoff=float(cutoff_A), full_list=True, sorted=True, n_threads=1)
    i, j, shifts = finder.compute(atoms.positions, cell, periodic, "ijS")
    return i.astype(np.int64), j.astype(np.int64), np.ascontiguousarray(shifts, np.int64)


def _refuse_overlap(vectors: np.ndarray, i: np.ndarray, j: np.ndarray, name: str) -> None:
    if not len(vectors):
        return
    squares = np.einsum("pk,pk->p", vectors, vectors)
    k = int(np.argmin(squares))
    if squares[k] < LEAST_DISTANCE_A**2:
        raise InputError(
            f"{name}: atoms {int(i[k])} and {int(j[k])} lie {np.sqrt(squares[k]):.3f} A apart; wanted at least"
            f" {LEAST_DISTANCE_A} A (duplicated atoms, a wrong cell?)"
        )


class NeighbourKeeper:
    """Keep one system's neighbours over many steps: found anew only when an atom moved by half the skin.

    The list is also found anew when the cell, the periodicity or the elements change. `rebuilds` counts.
    """

    def __init__(self, cutoff_A: float, skin_A: float = 0.5) -> None:
        if not (cutoff_A > 0 and skin_A >= 0):
            raise InputError(f"cutoff {cutoff_A} A, skin {skin_A} A; wanted a positive cutoff and a skin >= 0")
        self.cutoff_A, self.skin_A, self.rebuilds = float(cutoff_A), float(skin_A), 0
        self._kept: tuple[np.ndarray, ...] | None = None
        self._positions = self._cell = self._numbers = self._periodic = np.empty(0)

    def environment(self, atoms: Any) -> Environment:
        """Give the neighbours at the present positions; pairs up to cutoff and skin are listed."""
        if self._kept is None or not self._still_good(atoms):
            self._rebuild(atoms)
        assert self._kept is not None
        i, j, shifts, starts, system = self._kept
        vectors = pair_vectors(atoms.positions, atoms.cell.array, i, j, shifts)
        return Environment(
            numbers=self._numbers,
            starts=starts,
            second=j,
            vectors=vectors,
            system=system,
            volumes_A3=np.array([atoms.cell.volume if atoms.pbc.all() else np.nan]),
        )

    def _still_good(self, atoms: Any) -> bool:
        return (
            len(atoms) == len(self._numbers)
            and np.array_equal(atoms.numbers, self._numbers)
            and np.array_equal(atoms.cell.array, self._cell)
            and np.array_equal(atoms.pbc, self._periodic)
            and not moved_too_far(atoms.positions, self._positions, 0.5 * self.skin_A)
        )

    def _rebuild(self, atoms: Any) -> None:
        name = _name(atoms, 0, 1)
        i, j, shifts = _neighbours_of(atoms, self.cutoff_A + self.skin_A, name)
        _refuse_overlap(pair_vectors(atoms.positions, atoms.cell.array, i, j, shifts), i, j, name)
        starts = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=len(atoms)))]).astype(np.int64)
        self._kept = (i, j, shifts, starts, np.zeros(len(atoms), np.int64))
        self._positions, self._cell = atoms.positions.copy(), atoms.cell.array.copy()
        self._numbers, self._periodic = atoms.numbers.astype(np.int64), atoms.pbc.copy()
        self.rebuilds += 1
