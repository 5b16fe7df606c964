"""Atomic scattering factors f0 + f' + i f''.

f0: Waasmaier & Kirfel, Acta Cryst. A51, 416 (1995), 10.1107/S0108767394013292. f', f'': Chantler, J. Phys. Chem. Ref.
Data 24, 71 (1995), 10.1063/1.555974. Both are read through the tables of `xraydb`. Tables differ near absorption
edges, so weak superlattice lines carry that spread.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hea_sim.diffraction.radiation import HC_EV_A
from hea_sim.errors import InputError


@lru_cache(maxsize=512)
def dispersion(element: str, wavelength_A: float) -> complex:
    """Look up f' + i f'' in electrons.

    Raises InputError for an element that the table lacks.
    """
    import xraydb

    energy_eV = HC_EV_A / wavelength_A
    try:
        return complex(float(xraydb.f1_chantler(element, energy_eV)), float(xraydb.f2_chantler(element, energy_eV)))
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(f"no dispersion correction for '{element}' at {wavelength_A:g} A ({error})") from error


@lru_cache(maxsize=256)
def _f0_on_grid(element: str) -> tuple[np.ndarray, np.ndarray]:
    import xraydb

    grid = np.linspace(0.0, 6.0, 2401)
    try:
        return grid, np.asarray(xraydb.f0(element, grid), float)
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(f"no X-ray form factor for '{element}' ({error})") from error


def form_factor(element: str, s_per_A: np.ndarray) -> np.ndarray:
    """Compute f0 in electrons at sin(theta)/lambda = s_per_A (any shape, up to 6 per Angstrom)."""
    grid, values = _f0_on_grid(element)
    return np.interp(s_per_A, grid, values)


def atomic_scattering_factor(element: str, s_per_A: np.ndarray, wavelength_A: float) -> np.ndarray:
    """Compute f0 + f' + i f'' in electrons; complex, of the shape of s_per_A."""
    return form_factor(element, s_per_A) + dispersion(element, float(wavelength_A))
