"""Structure factors of crystals and of simulated cells.

For site j at (x, y, z) and reflection (h, k, l) the phase separates, exp 2 pi i (h x + k y + l z) = X_jh Y_jk Z_jl,
so that all reflections of a box come from matrix products, one per species.
"""

from __future__ import annotations

import numpy as np

from hea_sim.crystals import Crystal
from hea_sim.diffraction.scattering import STANDARD_TABLE, ScatteringTable, atomic_scattering_factor


def geometric_factors(crystal: Crystal, hkl: np.ndarray) -> np.ndarray:
    """Sum the phases of each species.

    Parameters
    ----------
    hkl
        (m, 3) integer Miller indices.

    Returns
    -------
    (species, m) complex sums of occupancy times exp 2 pi i (h x + k y + l z).
    """
    phase = np.exp(2j * np.pi * (crystal.positions @ np.asarray(hkl, float).T))
    return crystal.occupancy.T @ phase


def geometric_factors_on_box(crystal: Crystal, limits: tuple[int, int, int]) -> np.ndarray:
    """Sum the phases of each species on the box 0..H, -K..K, -L..L by matrix products.

    Returns (species, H + 1, 2 K + 1, 2 L + 1) complex64.
    """
    h_max, k_max, l_max = limits
    x, y, z = crystal.positions.T
    along_h = _powers(x, 0, h_max)
    along_k = _powers(y, -k_max, k_max)
    along_l = _powers(z, -l_max, l_max)
    out = np.empty((len(crystal.species), h_max + 1, 2 * k_max + 1, 2 * l_max + 1), np.complex64)
    for i in range(len(crystal.species)):
        used = np.flatnonzero(crystal.occupancy[:, i])
        weighted = along_h[used] * crystal.occupancy[used, i, None].astype(np.float32)
        for h in range(h_max + 1):
            out[i, h] = (along_k[used] * weighted[:, h, None]).T @ along_l[used]
    return out


def _powers(x: np.ndarray, first: int, last: int) -> np.ndarray:
    return np.exp(2j * np.pi * np.outer(x, np.arange(first, last + 1))).astype(np.complex64)


def squared_structure_factors(
    crystal: Crystal,
    geometric: np.ndarray,
    s_per_A: np.ndarray,
    wavelength_A: float,
    table: ScatteringTable = STANDARD_TABLE,
) -> np.ndarray:
    """Combine geometric factors (species, ...) with scattering factors to |F|^2, Debye-Waller factor included.

    Friedel pairs are averaged, as a powder does: |F|^2 = (|sum f S|^2 + |sum f* S|^2) / 2.
    """
    total = np.zeros(geometric.shape[1:], complex)
    conjugate = np.zeros(geometric.shape[1:], complex)
    for i, element in enumerate(crystal.species):
        f = atomic_scattering_factor(element, s_per_A, wavelength_A, table)
        total += f * geometric[i]
        conjugate += np.conj(f) * geometric[i]
    damping = np.exp(-2 * crystal.b_iso_A2 * s_per_A**2)
    return 0.5 * (np.abs(total) ** 2 + np.abs(conjugate) ** 2) * damping


def structure_factors(
    crystal: Crystal, hkl: np.ndarray, wavelength_A: float, table: ScatteringTable = STANDARD_TABLE
) -> np.ndarray:
    """Compute complex structure factors F(hkl) in electrons, (m,), without Debye-Waller factor."""
    s = scattering_vectors_per_A(crystal.cell_A, hkl) / 2
    geometric = geometric_factors(crystal, hkl)
    factors = np.array([atomic_scattering_factor(e, s, wavelength_A, table) for e in crystal.species])
    return np.sum(factors * geometric, axis=0)


def scattering_vectors_per_A(cell_A: np.ndarray, hkl: np.ndarray) -> np.ndarray:
    """Compute 1/d in 1/A of Miller indices (..., 3)."""
    reciprocal = np.linalg.inv(cell_A)
    return np.linalg.norm(np.asarray(hkl, float) @ reciprocal.T, axis=-1)
