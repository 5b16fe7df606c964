"""Atomic scattering factors f0 + f' + i f''.

f0: Waasmaier & Kirfel, Acta Cryst. A51, 416 (1995), 10.1107/S0108767394013292. f', f'': Chantler, J. Phys. Chem. Ref.
Data 24, 71 (1995), 10.1063/1.555974. Both are read through the tables of `xraydb`. Tables differ near absorption
edges, so weak superlattice lines carry that spread; every function of this room that needs form factors takes
another `ScatteringTable` as `table`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from hea_sim.diffraction.radiation import HC_EV_A
from hea_sim.errors import InputError


class ScatteringTable(Protocol):
    """Say what a table of atomic scattering factors gives; it must be hashable, because values are cached."""

    def __hash__(self) -> int: ...

    def f0(self, element: str, s_per_A: np.ndarray) -> np.ndarray:
        """Compute f0 in electrons at sin(theta)/lambda."""
        ...

    def dispersion(self, element: str, wavelength_A: float) -> complex:
        """Look up f' + i f'' in electrons."""
        ...


@dataclass(frozen=True)
class StandardTable:
    """Read Waasmaier-Kirfel f0 and Chantler f', f'' from `xraydb`."""

    def f0(self, element: str, s_per_A: np.ndarray) -> np.ndarray:
        """Compute f0 in electrons; raises InputError for an element that the table lacks."""
        import xraydb

        try:
            return np.asarray(xraydb.f0(element, np.atleast_1d(s_per_A)), float)
        except (ValueError, TypeError, IndexError) as error:
            raise InputError(f"no X-ray form factor for '{element}' ({error})") from error

    def dispersion(self, element: str, wavelength_A: float) -> complex:
        """Look up f' + i f'' in electrons; raises InputError for an element that the table lacks."""
        import xraydb

        energy_eV = HC_EV_A / wavelength_A
        try:
            real, imaginary = xraydb.f1_chantler(element, energy_eV), xraydb.f2_chantler(element, energy_eV)
            return complex(float(real), float(imaginary))
        except (ValueError, TypeError, IndexError) as error:
            raise InputError(f"no dispersion correction for '{element}' at {wavelength_A:g} A ({error})") from error


STANDARD_TABLE = StandardTable()


@dataclass(frozen=True)
class WithoutDispersion:
    """Take f0 from a table and leave f' and f'' out, as programs without anomalous dispersion do."""

    table: ScatteringTable = STANDARD_TABLE

    def f0(self, element: str, s_per_A: np.ndarray) -> np.ndarray:
        """Compute f0 in electrons."""
        return self.table.f0(element, s_per_A)

    def dispersion(self, element: str, wavelength_A: float) -> complex:
        """Give zero."""
        return 0j


@lru_cache(maxsize=512)
def dispersion(element: str, wavelength_A: float, table: ScatteringTable = STANDARD_TABLE) -> complex:
    """Look up f' + i f'' in electrons.

    Raises InputError for an element that the table lacks.
    """
    return table.dispersion(element, wavelength_A)


@lru_cache(maxsize=256)
def _f0_on_grid(element: str, table: ScatteringTable) -> tuple[np.ndarray, np.ndarray]:
    grid = np.linspace(0.0, 6.0, 2401)
    return grid, np.asarray(table.f0(element, grid), float)


def form_factor(element: str, s_per_A: np.ndarray, table: ScatteringTable = STANDARD_TABLE) -> np.ndarray:
    """Compute f0 in electrons at sin(theta)/lambda = s_per_A (any shape, up to 6 per Angstrom)."""
    grid, values = _f0_on_grid(element, table)
    return np.interp(s_per_A, grid, values)


def atomic_scattering_factor(
    element: str, s_per_A: np.ndarray, wavelength_A: float, table: ScatteringTable = STANDARD_TABLE
) -> np.ndarray:
    """Compute f0 + f' + i f'' in electrons; complex, of the shape of s_per_A."""
    return form_factor(element, s_per_A, table) + dispersion(element, float(wavelength_A), table)
