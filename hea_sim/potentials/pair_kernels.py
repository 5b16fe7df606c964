"""Compiled loops over pairs of neighbours; `hea_sim.potentials.contract` has the plain twins in its tests."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def pair_vectors(
    positions: np.ndarray, cell: np.ndarray, first: np.ndarray, second: np.ndarray, shifts: np.ndarray
) -> np.ndarray:
    """Give x_j + S C - x_i (pairs, 3) of pairs with lattice shifts S (pairs, 3)."""
    out = np.empty((first.size, 3))
    for p in range(first.size):
        i, j = first[p], second[p]
        a, b, c = shifts[p, 0], shifts[p, 1], shifts[p, 2]
        for k in range(3):
            out[p, k] = positions[j, k] - positions[i, k] + a * cell[0, k] + b * cell[1, k] + c * cell[2, k]
    return out


@numba.njit(cache=True)
def moved_too_far(positions: np.ndarray, before: np.ndarray, limit: float) -> bool:
    """Tell whether an atom moved by more than a limit, or to no number at all."""
    square = limit * limit
    for i in range(positions.shape[0]):
        moved = 0.0
        for k in range(3):
            moved += (positions[i, k] - before[i, k]) ** 2
        if not moved <= square:
            return True
    return False


@numba.njit(cache=True)
def gather_forces(
    starts: np.ndarray, second: np.ndarray, vectors: np.ndarray, gradients: np.ndarray, system: np.ndarray, systems: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sum forces (n, 3) and virials (systems, 3, 3) in double precision.

    `gradients` (pairs, 3) are dE_i / dD_ij; an atom i is pulled along its own gradients, its neighbours against them,
    and the virial is the sum of D times gradient.
    """
    n = starts.size - 1
    forces = np.zeros((n, 3))
    virials = np.zeros((systems, 3, 3))
    for i in range(n):
        # The atom's own sums stay in registers.
        fx = fy = fz = 0.0
        xx = xy = xz = yx = yy = yz = zx = zy = zz = 0.0
        for p in range(starts[i], starts[i + 1]):
            gx, gy, gz = np.float64(gradients[p, 0]), np.float64(gradients[p, 1]), np.float64(gradients[p, 2])
            if gx == 0 and gy == 0 and gz == 0:
                continue
            j = second[p]
            fx, fy, fz = fx + gx, fy + gy, fz + gz
            forces[j, 0] -= gx
            forces[j, 1] -= gy
            forces[j, 2] -= gz
            x, y, z = vectors[p, 0], vectors[p, 1], vectors[p, 2]
            xx, xy, xz = xx + x * gx, xy + x * gy, xz + x * gz
            yx, yy, yz = yx + y * gx, yy + y * gy, yz + y * gz
            zx, zy, zz = zx + z * gx, zy + z * gy, zz + z * gz
        forces[i, 0] += fx
        forces[i, 1] += fy
        forces[i, 2] += fz
        virial = virials[system[i]]
        virial[0, 0] += xx
        virial[0, 1] += xy
        virial[0, 2] += xz
        virial[1, 0] += yx
        virial[1, 1] += yy
        virial[1, 2] += yz
        virial[2, 0] += zx
        virial[2, 1] += zy
        virial[2, 2] += zz
    return forces, virials
