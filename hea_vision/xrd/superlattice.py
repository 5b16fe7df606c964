"""Where order would put further lines of a bcc or fcc phase."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hea_sim.diffraction.profile import bragg_two_theta_deg

#: Indices below this are listed.
_HIGHEST = 10


def superlattice_angles(name: str, a_A: float, wavelength_A: float, displacement_deg: float) -> np.ndarray:
    """Compute 2 theta (k,) of the lines that order would add to A1 or A2; none for other types."""
    if name not in ("A1", "A2"):
        return np.zeros(0)
    angle = bragg_two_theta_deg(a_A / np.sqrt(_squares(name)), wavelength_A)
    angle = angle[np.isfinite(angle)]
    return angle + displacement_deg * np.cos(np.radians(angle) / 2)


def at_superlattice(
    angle: np.ndarray,
    tolerance: np.ndarray | float,
    name: str,
    a_A: float,
    wavelength_A: float,
    displacement_deg: float,
) -> np.ndarray:
    """Say which angles (n,) lie within a tolerance, in degrees, of the lines that order would add to a phase."""
    places = superlattice_angles(name, a_A, wavelength_A, displacement_deg)
    if places.size == 0:
        return np.zeros(len(angle), bool)
    return np.abs(angle[:, None] - places).min(axis=1) < tolerance


@lru_cache(maxsize=2)
def _squares(name: str) -> np.ndarray:
    """List h^2 + k^2 + l^2 of the lines that the disordered lattice lacks."""
    grid = np.arange(_HIGHEST)
    h, k, m = (g.ravel() for g in np.meshgrid(grid, grid, grid))
    squares = h**2 + k**2 + m**2
    allowed = (h + k + m) % 2 == 0 if name == "A2" else (h % 2 == k % 2) & (k % 2 == m % 2)
    return np.setdiff1d(squares, squares[allowed])
