"""Lattice sites sorted into classes whose sites do not interact with one another, each class a block of its own.

A class holds the sites of one basis position whose cell numbers are alike modulo a period along each axis. The sites of
a class are an array (X, Y, Z); the neighbours of all of them by one bond are the same array of another class, shifted.
So no list of neighbours is needed, and all sites of a class can be changed at once.

bcc with five shells: 2 basis positions and periods of 2 make 16 classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.shells import check_size, lattice_points, neighbour_shells, sites_per_cell

#: Random numbers that a launch of exchanges takes besides one for each site of a class.
LAUNCH_DRAWS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassLayout:
    """Hold how the sites of a periodic cell are sorted into classes.

    `axes` are the crystal's axes in the order of storage, longest first; `size`, `period` and `shape` (cells of a
    class) follow that order. `bonds` (classes, n, 4) are, for every class, the class of each neighbour and its shift in
    class cells; bond number k belongs to shell `shell_of[k]`. Bonds of a site with its own image are left out: they
    carry no energy.
    """

    lattice: str
    axes: tuple[int, int, int]
    size: tuple[int, int, int]
    period: tuple[int, int, int]
    shape: tuple[int, int, int]
    bonds: np.ndarray
    shell_of: np.ndarray

    @property
    def classes(self) -> int:
        """Count the classes."""
        return sites_per_cell(self.lattice) * int(np.prod(self.period))

    @property
    def sites_per_class(self) -> int:
        """Count the sites of a class."""
        return int(np.prod(self.shape))

    def sorted(self, occupation: np.ndarray) -> np.ndarray:
        """Sort species (sites,) in the order of `lattice_points` into (classes, X, Y, Z)."""
        given = [0, 0, 0]
        for k, axis in enumerate(self.axes):
            given[axis] = self.size[k]
        cells = np.asarray(occupation).reshape(*given, -1).transpose(*self.axes, 3)
        (x, y, z), (p, q, r) = self.shape, self.period
        return cells.reshape(x, p, y, q, z, r, -1).transpose(6, 1, 3, 5, 0, 2, 4).reshape(self.classes, x, y, z)

    def unsorted(self, species: np.ndarray) -> np.ndarray:
        """Bring species (classes, X, Y, Z) back into the order of `lattice_points`."""
        (x, y, z), (p, q, r) = self.shape, self.period
        cells = np.asarray(species).reshape(-1, p, q, r, x, y, z).transpose(4, 1, 5, 2, 6, 3, 0).reshape(*self.size, -1)
        back = np.argsort(self.axes)
        return np.ascontiguousarray(cells.transpose(*back, 3)).ravel()


def class_layout(lattice: str, size: Sequence[int], shells: Sequence[int], *, counted: int = 0) -> ClassLayout:
    """Sort a periodic cell into as few classes as the interacting shells (numbers from 0) allow.

    `counted` more shells, from the first on, may be listed in `bonds` though they carry no energy.
    """
    given = check_size(size)
    listed = sorted({*shells, *range(counted)})
    offsets = [(s, o) for s in listed for o in neighbour_shells(lattice, max(listed) + 1)[s].offsets]
    axes = tuple(int(k) for k in np.argsort([-n for n in given], kind="stable"))
    ordered = tuple(given[k] for k in axes)
    steps = [(s, basis, *_step(lattice, basis, o)) for s, o in offsets for basis in range(sites_per_cell(lattice))]
    steps = [(s, b, c, cells[list(axes)]) for s, b, c, cells in steps]
    within = [cells for s, b, c, cells in steps if b == c and s in set(shells)]
    period = _period(ordered, within)
    if period is None:
        raise InputError(
            f"size {given} of {lattice} with {len(set(shells))} interacting shells: no split into independent classes;"
            " wanted numbers of cells that are even (or multiples of 3 for more than 5 shells), or take CanonicalWalk"
        )
    bonds, shell_of = _bonds(lattice, ordered, period, steps)
    return ClassLayout(
        lattice=lattice, axes=axes, size=ordered, period=period,  # type: ignore[arg-type]
        shape=tuple(n // p for n, p in zip(ordered, period, strict=True)),  # type: ignore[arg-type]
        bonds=bonds, shell_of=shell_of,
    )  # fmt: skip


def _step(lattice: str, basis: int, offset: np.ndarray) -> tuple[int, np.ndarray]:
    """Follow a bond from a basis position: give the basis position and the cell (3,) where it ends."""
    points = lattice_points(lattice, (1, 1, 1))
    end = points[basis] + offset
    for number, point in enumerate(points):
        if ((end - point) % 2 == 0).all():
            return number, (end - point) // 2
    raise AssertionError("a bond of the lattice ends on no site")


def _period(size: tuple[int, ...], within: Sequence[np.ndarray]) -> tuple[int, int, int] | None:
    """Find the smallest period for which no bond joins two sites of a class; None where there is none."""
    bonds = np.array(within, np.int64).reshape(-1, 3)
    bonds = bonds[(bonds % size != 0).any(axis=1)]  # a site and its own image are one
    choices = product(*([p for p in range(1, 5) if n % p == 0] for n in size))
    for period in sorted(choices, key=lambda p: (np.prod(p), max(p))):
        if not (bonds % period == 0).all(axis=1).any():
            return period[0], period[1], period[2]
    return None


def _bonds(
    lattice: str, size: tuple[int, ...], period: tuple[int, int, int], steps: Sequence[tuple[int, int, int, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """List for every class the class and the shift of each neighbour."""
    classes = list(product(range(sites_per_cell(lattice)), *(range(p) for p in period)))
    number = {one: k for k, one in enumerate(classes)}
    found: list[list[tuple[int, ...]]] = [[] for _ in classes]
    shell_of: list[int] = []
    for k, (basis, *cell) in enumerate(classes):
        for s, b, c, cells in steps:
            if b != basis or (b == c and (cells % size == 0).all()):
                continue
            end = np.array(cell) + cells
            home = end % period
            found[k].append((number[(c, *home.tolist())], *(end // period).tolist()))
            if k == 0:
                shell_of.append(s)
    return np.array(found, np.int64).reshape(len(classes), -1, 4), np.array(shell_of, np.int64)
