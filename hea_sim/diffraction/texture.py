"""Preferred orientation after March and Dollase.

P(alpha) = (r^2 cos^2 alpha + sin^2 alpha / r)^(-3/2), alpha between the scattering vector and the texture axis; r = 1
without texture, r < 1 for plates that lie flat. Dollase, J. Appl. Cryst. 19, 267 (1986), 10.1107/S0021889886089458.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from hea_sim.crystals import Crystal, cell_of
from hea_sim.diffraction.families import Cell, FamilyTable
from hea_sim.errors import InputError


def march_dollase(r: float, angle_deg: np.ndarray | float) -> np.ndarray:
    """Compute the pole density at an angle to the texture axis, in multiples of a random specimen.

    >>> float(march_dollase(1.0, 30.0)), round(float(march_dollase(0.5, 0.0)), 6)
    (1.0, 8.0)
    """
    if not r > 0:
        raise InputError(f"March-Dollase parameter r = {r}; wanted a number above zero (1: no texture)")
    return _pole_density(r, np.cos(np.radians(np.asarray(angle_deg, float))))


def _pole_density(r: float, cosine: np.ndarray) -> np.ndarray:
    return (r**2 * cosine**2 + (1 - cosine**2) / r) ** -1.5


def march_factors(table: FamilyTable, cell: Cell, axis: tuple[int, int, int], r: float) -> np.ndarray:
    """Average the March-Dollase factor over the members of each family of a structure type, (k,).

    `axis` is the normal of the preferred plane (hkl); it stands along the diffraction vector for r < 1.
    """
    reciprocal = np.linalg.inv(cell_of(table.kind, cell.a_A, cell.b_A, cell.c_A, cell.beta_deg)).T
    vectors = table.members @ reciprocal
    normal = np.asarray(axis, float) @ reciprocal
    cosine = vectors @ normal / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(normal))
    return np.add.reduceat(_pole_density(r, cosine), table.first) / table.multiplicity


def texture_factors(structure: Crystal | np.ndarray, hkl: np.ndarray, axis_hkl: Sequence[int], r: float) -> np.ndarray:
    """Compute the factor of each line's intensity in symmetric reflection, averaged over its equivalents.

    Parameters
    ----------
    structure
        A `Crystal`, or its cell (3, 3) in Angstrom.
    hkl
        (m, 3) Miller indices, one member of each line's family.
    axis_hkl
        Miller indices of the planes that lie parallel to the surface of the specimen.
    r
        March-Dollase parameter.

    Returns
    -------
    (m,) factors. Equivalents are those of the lattice: where the crystal has fewer, the members of one line overlap all
    the same and are taken with equal weight.
    """
    cell = np.asarray(structure.cell_A if isinstance(structure, Crystal) else structure, float)
    indices, axis = np.atleast_2d(np.asarray(hkl, float)), np.asarray(axis_hkl, float)
    if axis.shape != (3,) or not axis.any() or indices.shape[1] != 3 or not indices.any(axis=1).all():
        raise InputError(f"texture axis {axis_hkl} and lines of shape {indices.shape}; wanted non-zero triples hkl")
    reciprocal = np.linalg.inv(cell)
    operations = lattice_operations(cell)
    members = np.einsum("oij,mj->moi", operations, indices) @ reciprocal.T
    direction = reciprocal @ axis
    cosine = members @ direction / (np.linalg.norm(members, axis=-1) * np.linalg.norm(direction))
    return march_dollase(r, np.degrees(np.arccos(np.clip(cosine, -1, 1)))).mean(axis=1)


def lattice_operations(cell_A: np.ndarray) -> np.ndarray:
    """Find the point operations of a lattice as integer matrices on Miller indices, (operations, 3, 3).

    The cell must be reduced enough that they need no other entries than -1, 0 and 1, as conventional cells are.
    """
    cell = np.asarray(cell_A, float)
    metric = cell @ cell.T
    matrices = _candidates()
    moved = matrices @ metric @ matrices.transpose(0, 2, 1)
    return matrices[np.abs(moved - metric).max(axis=(1, 2)) < 1e-5 * np.abs(metric).max()]


@lru_cache(maxsize=1)
def _candidates() -> np.ndarray:
    matrices = np.array(list(itertools.product((-1, 0, 1), repeat=9)), float).reshape(-1, 3, 3)
    return matrices[np.abs(np.abs(np.linalg.det(matrices)) - 1) < 1e-6]
