"""Kinematic electron diffraction: form factors, rings of a powder, spots of a zone axis.

f_e(s) = (m e^2 / 8 pi eps0 h^2) (Z - f_X(s)) / s^2 (Mott, Proc. R. Soc. A 127, 658 (1930), 10.1098/rspa.1930.0082;
Bethe, Ann. Phys. 397, 325 (1930), 10.1002/andp.19303970302), with the X-ray f_X of the tables of this room.

| symbol | variable | unit |
|---|---|---|
| accelerating voltage | `voltage_kV` | kV |
| relativistic mass ratio gamma | `relativistic_factor` | 1 |
| f_e | `electron_form_factor` | A |
| excitation error s_g | `excitation_error_per_A` | 1/A |
| thickness t | `thickness_A` | A |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hea_sim.crystals import Crystal
from hea_sim.diffraction.scattering import STANDARD_TABLE, ScatteringTable
from hea_sim.diffraction.structure_factor import geometric_factors, scattering_vectors_per_A
from hea_sim.errors import InputError

#: m e^2 / (8 pi eps0 h^2) in 1/A.
_MOTT_BETHE_PER_A = 0.0239336609
#: Below this s the difference Z - f_X is taken here: the quotient has an even, flat limit.
_SMALLEST_S_PER_A = 0.01
#: h c in keV A and m c^2 in keV.
_HC_KEV_A = 12.398419843
_REST_KEV = 510.99895069
#: Spots and rings below this share of the strongest |F|^2 are extinct.
_EXTINCT = 1e-10


@dataclass(frozen=True, kw_only=True, eq=False)
class RingPattern:
    """Hold the rings of a polycrystal, by rising radius.

    Arrays (m,): `d_A`, `radius_per_A` = 1/d, `multiplicity`, `f_squared` (A^2, mean of the family), `intensity` per
    length of ring = multiplicity f_squared d^2 / volume^2; `hkl` (m, 3) is one member.
    """

    voltage_kV: float
    d_A: np.ndarray
    radius_per_A: np.ndarray
    hkl: np.ndarray
    multiplicity: np.ndarray
    f_squared: np.ndarray
    intensity: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class SpotPattern:
    """Hold the spots of a zone axis, by rising radius.

    Arrays (m,): `d_A`, `excitation_error_per_A`, `laue_zone`, `f_squared` (A^2), `intensity` (share of the incident
    beam in the kinematic limit, which holds where it is far below 1). `hkl` (m, 3); `position_per_A` (m, 2) on the
    screen, whose x axis runs through the first spot.
    """

    voltage_kV: float
    zone_axis: tuple[int, int, int]
    thickness_A: float
    hkl: np.ndarray
    position_per_A: np.ndarray
    d_A: np.ndarray
    excitation_error_per_A: np.ndarray
    laue_zone: np.ndarray
    f_squared: np.ndarray
    intensity: np.ndarray


def electron_wavelength_A(voltage_kV: float) -> float:
    """Compute the relativistic wavelength in Angstrom.

    >>> [round(electron_wavelength_A(v), 6) for v in (100, 200, 300)]
    [0.037014, 0.025079, 0.019687]
    """
    if not 1 <= voltage_kV <= 5000:
        raise InputError(f"voltage {voltage_kV} kV; wanted kilovolts between 1 and 5000 (200 kV, not 200000)")
    return float(_HC_KEV_A / np.sqrt(voltage_kV * (voltage_kV + 2 * _REST_KEV)))


def relativistic_factor(voltage_kV: float) -> float:
    """Compute gamma = 1 + e V / (m c^2).

    >>> round(relativistic_factor(200), 4)
    1.3914
    """
    return 1 + voltage_kV / _REST_KEV


def electron_form_factor(element: str, s_per_A: np.ndarray, table: ScatteringTable = STANDARD_TABLE) -> np.ndarray:
    """Compute f_e in Angstrom at sin(theta)/lambda (any shape), for electrons at rest mass.

    Z is the table's own f_X(0), so that its rounding does not grow as 1/s^2 towards small s.
    """
    s = np.maximum(np.asarray(s_per_A, float), _SMALLEST_S_PER_A)
    missing = table.f0(element, np.zeros(1))[0] - table.f0(element, s.ravel()).reshape(s.shape)
    return _MOTT_BETHE_PER_A * missing / s**2


def electron_structure_factors(
    crystal: Crystal, hkl: np.ndarray, table: ScatteringTable = STANDARD_TABLE
) -> np.ndarray:
    """Compute F(hkl) in Angstrom, (m,), Debye-Waller factor included."""
    s = scattering_vectors_per_A(crystal.cell_A, hkl) / 2
    values, where = np.unique(np.round(s, 9), return_inverse=True)
    factors = np.array([electron_form_factor(e, values, table)[where] for e in crystal.species])
    return np.sum(factors * geometric_factors(crystal, hkl), axis=0) * np.exp(-crystal.b_iso_A2 * s**2)


def _reflections(crystal: Crystal, g_max_per_A: float) -> tuple[np.ndarray, np.ndarray]:
    """List the Miller indices but (000) up to 1/d = g_max, with 1/d."""
    if not 0 < g_max_per_A <= 10:
        raise InputError(f"largest 1/d is {g_max_per_A:g} per A; wanted more than 0 and at most 10")
    bounds = [int(np.floor(g_max_per_A * n)) for n in np.linalg.norm(crystal.cell_A, axis=1)]
    grids = np.meshgrid(*(np.arange(-b, b + 1) for b in bounds), indexing="ij")
    hkl = np.stack([x.ravel() for x in grids], axis=1)
    hkl = hkl[hkl.any(axis=1)]
    g = scattering_vectors_per_A(crystal.cell_A, hkl)
    inside = g <= g_max_per_A
    return hkl[inside], g[inside]


def ring_pattern(
    crystal: Crystal, voltage_kV: float, *, d_min_A: float = 0.8, table: ScatteringTable = STANDARD_TABLE
) -> RingPattern:
    """Compute the rings of a fine random polycrystal.

    Parameters
    ----------
    voltage_kV
        Accelerating voltage; it scales all |F|^2 by gamma^2.
    d_min_A
        Smallest lattice spacing in Angstrom.
    """
    electron_wavelength_A(voltage_kV)  # the voltage's own check
    hkl, g = _reflections(crystal, 1 / d_min_A)
    squared = relativistic_factor(voltage_kV) ** 2 * np.abs(electron_structure_factors(crystal, hkl, table)) ** 2
    order = np.lexsort((*(-hkl.T), np.round(g, 7)))
    hkl, g, squared = hkl[order], g[order], squared[order]
    group = np.cumsum(np.diff(g, prepend=g[:1]) > 1e-6 * g) if g.size else np.empty(0, int)
    first = np.unique(group, return_index=True)[1]
    count = np.bincount(group)
    total = np.bincount(group, squared)
    seen = total > _EXTINCT * total.max(initial=0.0)
    first, count, total = first[seen], count[seen], total[seen]
    d = 1 / g[first]
    return RingPattern(
        voltage_kV=voltage_kV,
        d_A=d,
        radius_per_A=g[first],
        hkl=hkl[first],
        multiplicity=count,
        f_squared=total / count,
        intensity=total * d**2 / crystal.volume_A3**2,
    )


def zone_axis_spots(
    crystal: Crystal,
    zone_axis: Sequence[int],
    voltage_kV: float,
    *,
    thickness_A: float,
    g_max_per_A: float = 2.0,
    laue_zones: int = 0,
    excitation_limit_per_A: float = 0.05,
    table: ScatteringTable = STANDARD_TABLE,
) -> SpotPattern:
    """Compute the kinematic spots of a parallel-sided crystal seen along a zone axis.

    I_g = (gamma lambda |F_g| t / V)^2 sinc^2(s_g t), sinc(x) = sin(pi x) / (pi x), with the excitation error
    s_g = g_z - lambda g^2 / 2; g_z is positive towards the electron source.

    Parameters
    ----------
    zone_axis
        Direction [u v w] in the crystal's cell, from the specimen to the source.
    thickness_A
        Thickness of the crystal in Angstrom.
    laue_zones
        Highest Laue zone h u + k v + l w that is listed; 0: the zero-order zone alone.
    excitation_limit_per_A
        Reflections whose excitation error is larger are left out.
    """
    axis = np.asarray(zone_axis, int)
    if axis.shape != (3,) or not axis.any():
        raise InputError(f"zone axis {tuple(zone_axis)}; wanted three whole numbers [u v w], not all zero")
    if not thickness_A > 0:
        raise InputError(f"thickness {thickness_A} A; wanted a number above zero")
    wavelength = electron_wavelength_A(voltage_kV)
    hkl, g = _reflections(crystal, g_max_per_A)
    zone = hkl @ axis
    direction = axis @ np.asarray(crystal.cell_A, float)
    along = zone / np.linalg.norm(direction)
    excitation = along - wavelength * g**2 / 2
    kept = (zone >= 0) & (zone <= laue_zones) & (np.abs(excitation) <= excitation_limit_per_A)
    hkl, g, zone, excitation = hkl[kept], g[kept], zone[kept], excitation[kept]
    squared = np.abs(electron_structure_factors(crystal, hkl, table)) ** 2 * relativistic_factor(voltage_kV) ** 2
    seen = squared > _EXTINCT * squared.max(initial=0.0)
    hkl, g, zone, excitation, squared = (x[seen] for x in (hkl, g, zone, excitation, squared))
    order = np.lexsort((*(-hkl.T), np.round(-squared, 9), np.round(g, 7), zone))
    hkl, g, zone, excitation, squared = (x[order] for x in (hkl, g, zone, excitation, squared))
    amplitude = wavelength * thickness_A / crystal.volume_A3 * np.sinc(excitation * thickness_A)
    return SpotPattern(
        voltage_kV=voltage_kV,
        zone_axis=(int(axis[0]), int(axis[1]), int(axis[2])),
        thickness_A=thickness_A,
        hkl=hkl,
        position_per_A=_on_screen(crystal, hkl, direction / np.linalg.norm(direction)),
        d_A=1 / g,
        excitation_error_per_A=excitation,
        laue_zone=zone,
        f_squared=squared,
        intensity=amplitude**2 * squared,
    )


def _on_screen(crystal: Crystal, hkl: np.ndarray, towards_source: np.ndarray) -> np.ndarray:
    """Project reciprocal vectors on the screen, x through the first, seen from the source, (m, 2)."""
    vectors = hkl @ np.linalg.inv(crystal.cell_A).T
    if len(vectors) == 0:
        return np.empty((0, 2))
    x_axis = vectors[0] - (vectors[0] @ towards_source) * towards_source
    x_axis /= np.linalg.norm(x_axis)
    return vectors @ np.stack([x_axis, np.cross(towards_source, x_axis)], axis=1)
