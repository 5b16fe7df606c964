"""Conventional cells: the axes in which a lattice shows its system."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from hea_sim.crystals.structure_types import System
from hea_sim.errors import InputError

#: Lengths that differ by less than this share are equal, and so are angles by less than this (degrees).
_LENGTH_TOLERANCE, _ANGLE_TOLERANCE_DEG = 1e-3, 0.05
_BY_SYMMETRY: tuple[System, ...] = ("cubic", "hexagonal", "tetragonal", "orthorhombic", "monoclinic")


@dataclass(frozen=True, kw_only=True, eq=False)
class ConventionalCell:
    """Hold lattice parameters and atoms: `positions` (n, 3), `origin` (n,) the atom of the file that each repeats."""

    system: System
    a_A: float
    b_ratio: float
    axial_ratio: float
    beta_deg: float
    positions: np.ndarray
    origin: np.ndarray


def conventional_cell(cell_A: np.ndarray, positions: np.ndarray, space_group: int, source: str) -> ConventionalCell:
    """Find conventional axes of a cell and repeat its atoms in them.

    The axes of the file are kept where they suit its system. Otherwise sums of up to one of each are tried, which is
    enough for primitive cells of centred lattices, rhombohedral axes and another unique axis. `space_group` is 1 where
    it is not known.

    Raises InputError for a triclinic lattice.
    """
    transform = _best_transform(cell_A, space_group, source)
    rank = _system_of_metric((transform @ cell_A)[None])[0]
    system = _allowed(_BY_SYMMETRY[rank], space_group)
    new_cell = transform @ cell_A
    lengths, angles = _metric(new_cell[None])
    a, b, c = (float(x) for x in lengths[0])
    if system == "cubic":
        a = b = c = (a + b + c) / 3
    elif system in ("hexagonal", "tetragonal"):
        a = b = (a + b) / 2
    repeated, origin = _repeat(positions, transform)
    return ConventionalCell(
        system=system,
        a_A=a,
        b_ratio=b / a,
        axial_ratio=c / a,
        beta_deg=float(angles[0, 1]) if system == "monoclinic" else 90.0,
        positions=repeated,
        origin=origin,
    )


def _allowed(system: System, space_group: int) -> System:
    """Lower a system that the axes suit only by chance to that of the space group, where this is orthogonal too."""
    if system in ("cubic", "tetragonal") and 16 <= space_group <= 74:
        return "orthorhombic"
    if system == "cubic" and 75 <= space_group <= 142:
        return "tetragonal"
    if system in ("cubic", "tetragonal", "orthorhombic") and 3 <= space_group <= 15:
        return "monoclinic"
    return system


def _best_transform(cell_A: np.ndarray, space_group: int, source: str) -> np.ndarray:
    rank = int(_system_of_metric(cell_A[None])[0])
    candidates = _transforms()
    group_says_so = (rank == 3 and 16 <= space_group <= 74) or (rank == 4 and 3 <= space_group <= 15)
    if 0 <= rank < 3 or group_says_so:
        return np.eye(3, dtype=int)
    if rank == 3:  # at most another axis is the unique one
        candidates = candidates[np.abs(candidates).sum(axis=(1, 2)) == 3]
    ranks = _system_of_metric(candidates @ cell_A)
    good = np.flatnonzero(ranks >= 0)
    if not good.size:
        lengths, angles = _metric(cell_A[None])
        said = f"{', '.join(f'{x:.4f}' for x in lengths[0])} A, {', '.join(f'{x:.3f}' for x in angles[0])} deg"
        raise InputError(
            f"{source}: the cell {said} is triclinic; wanted a monoclinic or more symmetric lattice"
            " (a conventional cell helps where the axes are unusual)"
        )
    volumes = np.round(np.linalg.det(candidates[good]))
    clutter = np.abs(candidates[good] - np.eye(3, dtype=int)).sum(axis=(1, 2))
    return candidates[good[np.lexsort((clutter, volumes, ranks[good]))[0]]]


@lru_cache(maxsize=1)
def _transforms() -> np.ndarray:
    """List the right-handed integer matrices (n, 3, 3) of -1, 0, 1 that enlarge a cell at most four times."""
    every = np.array(list(product((-1, 0, 1), repeat=9)), int).reshape(-1, 3, 3)
    volume = np.round(np.linalg.det(every)).astype(int)
    return every[(volume >= 1) & (volume <= 4)]


def _metric(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute lengths (n, 3) and angles alpha, beta, gamma (n, 3) in degrees of cells (n, 3, 3)."""
    lengths = np.linalg.norm(cells, axis=2)
    cosines = [
        np.einsum("ni,ni->n", cells[:, i], cells[:, j]) / (lengths[:, i] * lengths[:, j])
        for i, j in ((1, 2), (0, 2), (0, 1))
    ]
    return lengths, np.degrees(np.arccos(np.clip(np.stack(cosines, axis=1), -1, 1)))


def _system_of_metric(cells: np.ndarray) -> np.ndarray:
    """Give the index (n,) of the most symmetric system whose axes cells (n, 3, 3) have; -1 for none."""
    lengths, angles = _metric(cells)
    right = np.abs(angles - 90) < _ANGLE_TOLERANCE_DEG
    same_ab = np.abs(lengths[:, 0] / lengths[:, 1] - 1) < _LENGTH_TOLERANCE
    same_ac = np.abs(lengths[:, 0] / lengths[:, 2] - 1) < _LENGTH_TOLERANCE
    orthogonal = right.all(axis=1)
    hexagonal = right[:, 0] & right[:, 1] & (np.abs(angles[:, 2] - 120) < _ANGLE_TOLERANCE_DEG) & same_ab
    tests = [orthogonal & same_ab & same_ac, hexagonal, orthogonal & same_ab, orthogonal, right[:, 0] & right[:, 2]]
    return np.where(np.any(tests, axis=0), np.argmax(tests, axis=0), -1)


def _repeat(positions: np.ndarray, transform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fill the cell transform @ cell: positions (n det, 3) in its axes, and the atom that each repeats."""
    span = range(-4, 5)
    shifts = np.array(list(product(span, repeat=3)), float)
    inverse = np.linalg.inv(transform)
    inside = np.round(shifts @ inverse, 9)
    inside = inside[((inside >= 0) & (inside < 1 - 1e-6)).all(axis=1)]
    rows = (np.asarray(positions, float) @ inverse)[:, None, :] + inside[None]
    origin = np.repeat(np.arange(len(positions)), len(inside))
    return rows.reshape(-1, 3) % 1.0, origin
