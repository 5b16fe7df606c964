"""Neighbour shells and periodic cells of the cubic lattices A1 (fcc), A2 (bcc) and A_h (simple cubic).

Every lattice point is an integer vector in half lattice parameters, so that distances are compared exactly:
A2 holds the vectors whose three numbers share one parity, A1 those whose sum is even, A_h those of even numbers. A
cell of A_h that is one thick is a square lattice: bonds of a site with its own image carry no energy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hea_sim.errors import InputError, unknown_name

#: Sites of the conventional cell, in half lattice parameters.
_BASIS = {
    "A1": ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)),
    "A2": ((0, 0, 0), (1, 1, 1)),
    "A_h": ((0, 0, 0),),
}
_ALIASES = {"fcc": "A1", "bcc": "A2", "sc": "A_h", "a1": "A1", "a2": "A2", "a_h": "A_h"}


@dataclass(frozen=True)
class Shell:
    """Hold one neighbour shell: distance in lattice parameters and offsets (n, 3) in half lattice parameters."""

    distance_a: float
    offsets: np.ndarray

    @property
    def multiplicity(self) -> int:
        """Give the number of neighbours in the shell."""
        return len(self.offsets)


def lattice_name(lattice: str) -> str:
    """Translate "bcc", "fcc" and "sc" to their Strukturbericht names; raise for any other lattice.

    >>> lattice_name("bcc"), lattice_name("A1")
    ('A2', 'A1')
    """
    name = _ALIASES.get(str(lattice).lower())
    if name is None:
        raise unknown_name("lattice", lattice, ["A1", "A2", "A_h", "fcc", "bcc", "sc"])
    return name


def is_cubic(lattice: str) -> bool:
    """Say whether a lattice is one of those of this file."""
    return str(lattice).lower() in _ALIASES


def sites_per_cell(lattice: str) -> int:
    """Count the sites of the conventional cell."""
    return len(_BASIS[lattice_name(lattice)])


def neighbour_shells(lattice: str, n_shells: int) -> tuple[Shell, ...]:
    """List the first neighbour shells of A1, A2 or A_h.

    >>> [(round(s.distance_a, 4), s.multiplicity) for s in neighbour_shells("bcc", 5)]
    [(0.866, 8), (1.0, 6), (1.4142, 12), (1.6583, 24), (1.7321, 8)]
    """
    if not 1 <= int(n_shells) <= 12:
        raise InputError(f"number of neighbour shells: got {n_shells}, wanted 1 to 12")
    return _shells(lattice_name(lattice), int(n_shells))


@lru_cache(maxsize=32)
def _shells(name: str, n_shells: int) -> tuple[Shell, ...]:
    reach = np.arange(-6, 7)
    points = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    if name == "A2":
        points = points[(points % 2 == points[:, :1] % 2).all(axis=1)]
    elif name == "A_h":
        points = points[(points % 2 == 0).all(axis=1)]
    else:
        points = points[points.sum(axis=1) % 2 == 0]
    squared = (points**2).sum(axis=1)
    shells = []
    for value in np.unique(squared)[1 : n_shells + 1]:
        offsets = points[squared == value]
        offsets.setflags(write=False)
        shells.append(Shell(float(np.sqrt(value) / 2), offsets))
    return tuple(shells)


def check_size(size: Sequence[int]) -> tuple[int, int, int]:
    """Check the number of conventional cells along the three axes."""
    if isinstance(size, (str, bytes)) or not np.iterable(size):
        raise InputError(f"size: got {size!r}, wanted three whole numbers of conventional cells, such as (12, 12, 12)")
    numbers = list(size)
    if len(numbers) != 3 or any(int(n) != n or n < 1 for n in numbers):
        raise InputError(f"size: got {size!r}, wanted three whole numbers of conventional cells, such as (12, 12, 12)")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def lattice_points(lattice: str, size: Sequence[int]) -> np.ndarray:
    """List the sites (n, 3) of `size` conventional cells, in half lattice parameters.

    The order is that of `ase.build.bulk(..., cubic=True).repeat(size)`: x, y, z, then the basis.
    """
    basis = np.array(_BASIS[lattice_name(lattice)])
    cells = np.stack(np.meshgrid(*(np.arange(n) for n in check_size(size)), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    return (2 * cells + basis).reshape(-1, 3)


def neighbour_table(lattice: str, size: Sequence[int], n_shells: int) -> list[np.ndarray]:
    """Give for each shell the neighbours (sites, multiplicity) of every site of a periodic cell.

    In a small cell one site stands several times in a row, or in its own row: the multiplicities of the
    infinite crystal are kept, so that the energy of a cell is that of the crystal which repeats it.
    """
    return list(_neighbour_table(lattice_name(lattice), check_size(size), n_shells))


@lru_cache(maxsize=8)
def _neighbour_table(lattice: str, size: tuple[int, int, int], n_shells: int) -> tuple[np.ndarray, ...]:
    points = lattice_points(lattice, size)
    box = 2 * np.array(size)
    index_of = np.full(tuple(box), -1, dtype=np.int32)
    index_of[tuple(points.T)] = np.arange(len(points), dtype=np.int32)
    tables = []
    for shell in neighbour_shells(lattice, n_shells):
        wrapped = (points[:, None, :] + shell.offsets[None, :, :]) % box
        table = index_of[wrapped[..., 0], wrapped[..., 1], wrapped[..., 2]]
        table.setflags(write=False)
        tables.append(table)
    return tuple(tables)
