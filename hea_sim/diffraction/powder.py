"""Powder lines and powder patterns of crystals and of simulated cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hea_sim.crystals import Crystal
from hea_sim.diffraction.profile import (
    Instrument,
    LineShape,
    bragg_two_theta_deg,
    lorentz_polarisation,
    pseudo_voigt,
)
from hea_sim.diffraction.radiation import Radiation
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.diffraction.scattering import STANDARD_TABLE, ScatteringTable
from hea_sim.diffraction.structure_factor import (
    geometric_factors,
    geometric_factors_on_box,
    scattering_vectors_per_A,
    squared_structure_factors,
)
from hea_sim.errors import InputError
from hea_sim.records import Pattern

if TYPE_CHECKING:
    from ase import Atoms

#: Cells of more sites than this are treated as simulated: lines are gathered on an angle grid, not by family.
_FAMILY_LIMIT = 200
#: A simulated cell has too many reflections to list beyond this number.
_BOX_LIMIT = 40_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class PowderLines:
    """Hold the lines of one crystal for the strongest wavelength of a radiation.

    Arrays (m,), by falling d: `d_A`, `two_theta_deg`, `multiplicity`, `f_squared` (mean over the family, electrons^2,
    Debye-Waller factor included), `intensity` = multiplicity f_squared LP / volume^2. `hkl` (m, 3) is one member.
    """

    d_A: np.ndarray
    two_theta_deg: np.ndarray
    hkl: np.ndarray
    multiplicity: np.ndarray
    f_squared: np.ndarray
    intensity: np.ndarray

    @property
    def relative_percent(self) -> np.ndarray:
        """Give intensities in per cent of the strongest line."""
        return 100 * self.intensity / self.intensity.max() if self.intensity.size else self.intensity


def powder_lines(
    crystal: Crystal,
    radiation: Radiation | str | float,
    *,
    two_theta_range_deg: tuple[float, float] = (5.0, 150.0),
    monochromator: float = 1.0,
    table: ScatteringTable = STANDARD_TABLE,
) -> PowderLines:
    """List the powder lines of a crystal of at most 200 sites.

    Raises InputError for larger cells (use `powder_pattern`).
    """
    source = radiation if isinstance(radiation, Radiation) else get_radiation(radiation)
    if len(crystal.positions) > _FAMILY_LIMIT:
        raise InputError(
            f"{len(crystal.positions)} sites are too many for a list of lines (at most {_FAMILY_LIMIT});"
            " compute the pattern with powder_pattern"
        )
    wavelength = source.wavelength_A
    g_low, g_high = (2 * np.sin(np.radians(t) / 2) / wavelength for t in two_theta_range_deg)
    hkl = _miller_indices(crystal.cell_A, g_high)
    g = scattering_vectors_per_A(crystal.cell_A, hkl)
    keep = (g >= g_low) & (g <= g_high)
    hkl, g = hkl[keep], g[keep]
    if g.size == 0:
        empty = np.empty(0)
        return PowderLines(
            d_A=empty,
            two_theta_deg=empty,
            hkl=np.empty((0, 3), int),
            multiplicity=empty.astype(int),
            f_squared=empty,
            intensity=empty,
        )
    f_squared = squared_structure_factors(crystal, geometric_factors(crystal, hkl), g / 2, wavelength, table)
    order = np.argsort(g, kind="stable")
    group = np.concatenate([[0], np.cumsum(np.diff(g[order]) > 1e-6 * g[order][1:])])
    count = np.bincount(group)
    total = np.bincount(group, f_squared[order])
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    d = 1 / g[order][first]
    two_theta = bragg_two_theta_deg(d, wavelength)
    intensity = total * lorentz_polarisation(two_theta, monochromator) / crystal.volume_A3**2
    seen = total > 1e-8 * max(total.max(), 1e-30)
    representative = np.array([_nicest(hkl[order][b : b + n]) for b, n in zip(first, count)])
    return PowderLines(
        d_A=d[seen],
        two_theta_deg=two_theta[seen],
        hkl=representative[seen],
        multiplicity=count[seen],
        f_squared=(total / count)[seen],
        intensity=intensity[seen],
    )


def _miller_indices(cell_A: np.ndarray, g_max_per_A: float) -> np.ndarray:
    """List all Miller indices but (000) up to 1/d = g_max, (m, 3)."""
    bounds = _box_limits(cell_A, g_max_per_A)
    grids = np.meshgrid(*(np.arange(-b, b + 1) for b in bounds), indexing="ij")
    hkl = np.stack([g.ravel() for g in grids], axis=1)
    return hkl[np.any(hkl != 0, axis=1)]


def _box_limits(cell_A: np.ndarray, g_max_per_A: float) -> tuple[int, int, int]:
    lengths = np.linalg.norm(cell_A, axis=1)
    return tuple(int(np.floor(g_max_per_A * length)) for length in lengths)  # type: ignore[return-value]


def _nicest(family: np.ndarray) -> np.ndarray:
    """Choose the member of a family that a crystallographer would write."""
    keys = [(-int((row >= 0).sum()), *(-row).tolist()) for row in family]
    return family[min(range(len(keys)), key=keys.__getitem__)]


def powder_pattern(
    structure: Atoms | Crystal,
    radiation: Radiation | str | float,
    *,
    two_theta_deg: np.ndarray | None = None,
    instrument: LineShape | None = None,
    b_iso_A2: float | None = None,
    monochromator: float = 1.0,
    table: ScatteringTable = STANDARD_TABLE,
) -> Pattern:
    """Compute the powder pattern of an ideal structure or of a simulated cell.

    Parameters
    ----------
    structure
        An `ase.Atoms` (periodic) or a `Crystal`. Disorder of a simulated cell appears as diffuse intensity.
    radiation
        Name of a tube or wavelength in Angstrom; a tube's K-alpha doublet is included.
    two_theta_deg
        Angles (n,) in degrees; 20 to 120 in steps of 0.02 where left out.
    instrument
        Line widths and shifts (`Instrument`, `ThompsonCoxHastings`); a common laboratory width where left out.
    b_iso_A2
        Debye-Waller factor in A^2, for `ase.Atoms` without displacements.
    monochromator
        K of the polarisation factor (see `lorentz_polarisation`, `monochromator_factor`, `synchrotron_factor`).
    table
        Atomic scattering factors.

    Returns
    -------
    Pattern
        Intensity in electrons^2 per A^6 and degree, without background; noise-free.
    """
    source = radiation if isinstance(radiation, Radiation) else get_radiation(radiation)
    crystal = structure if isinstance(structure, Crystal) else Crystal.from_atoms(structure)
    if b_iso_A2 is not None:
        crystal = Crystal(**{**crystal.__dict__, "b_iso_A2": b_iso_A2})
    width = instrument or Instrument(w_deg2=0.01, u_deg2=0.02)
    angles = np.arange(20, 120.001, 0.02) if two_theta_deg is None else np.asarray(two_theta_deg, float)
    limits = angle_limits(angles)
    centres, areas = _line_sticks(crystal, source, limits, monochromator, table)
    intensity = draw_sticks(angles, centres, areas, source, width)
    return Pattern(
        two_theta_deg=angles,
        intensity=intensity,
        radiation=source.name if source.is_tube else None,
        wavelength_A=None if source.is_tube else source.wavelength_A,
        source=f"powder pattern of {crystal.name}",
        metadata={"b_iso_A2": crystal.b_iso_A2, "synthetic": True},
    )


def angle_limits(two_theta_deg: np.ndarray) -> tuple[float, float]:
    """Choose the range of 2 theta in degrees whose lines reach into a list of angles.

    Raises InputError where the angles are no list of finite degrees between 0 and 180.
    """
    angles = np.asarray(two_theta_deg, float)
    if angles.ndim != 1 or angles.size == 0 or not (angles.min() >= 0 and angles.max() <= 180):
        raise InputError(
            f"angles of shape {angles.shape}; wanted a list of 2 theta in degrees, finite and between 0 and 180"
        )
    return max(float(angles.min()) - 3, 0.5), min(float(angles.max()) + 3, 179.0)


def draw_sticks(
    angles: np.ndarray, centres: np.ndarray, areas: np.ndarray, source: Radiation, instrument: LineShape
) -> np.ndarray:
    """Draw lines that stand at `centres` for the strongest wavelength, for every wavelength of a radiation."""
    d = source.wavelength_A / (2 * np.sin(np.radians(centres) / 2))
    weight = sum(w for _, w in source.lines)
    intensity = np.zeros_like(angles)
    for wavelength, share in source.lines:
        intensity += (share / weight) * broaden(angles, bragg_two_theta_deg(d, wavelength), areas, instrument)
    return intensity


def broaden(
    angles: np.ndarray, centres: np.ndarray, areas: np.ndarray, instrument: LineShape, *, reach: float = 25.0
) -> np.ndarray:
    """Sum pseudo-Voigt lines on the angles; each is cut at `reach` widths."""
    out = np.zeros_like(angles)
    drawn = np.isfinite(centres) & (areas > 0)
    centres, areas = centres[drawn], areas[drawn]
    shares, offsets = instrument.components(centres)
    widths = instrument.fwhm_deg(centres)
    etas = np.broadcast_to(instrument.lorentzian_share(centres), centres.shape)
    for share, offset in zip(shares, offsets):
        for centre, area, width, eta in zip(centres + offset, share * areas, widths, etas):
            a, b = np.searchsorted(angles, (centre - reach * width, centre + reach * width))
            out[a:b] += area * pseudo_voigt(angles[a:b] - centre, width, eta)
    return out


def _line_sticks(
    crystal: Crystal, source: Radiation, limits: tuple[float, float], monochromator: float, table: ScatteringTable
) -> tuple[np.ndarray, np.ndarray]:
    if len(crystal.positions) <= _FAMILY_LIMIT:
        lines = powder_lines(crystal, source, two_theta_range_deg=limits, monochromator=monochromator, table=table)
        return lines.two_theta_deg, lines.intensity
    return _gathered_sticks(crystal, source, limits, monochromator, table)


def _gathered_sticks(
    crystal: Crystal,
    source: Radiation,
    limits: tuple[float, float],
    monochromator: float,
    table: ScatteringTable,
    step_deg: float = 0.01,
) -> tuple[np.ndarray, np.ndarray]:
    """Gather the reflections of a large cell in angle bins; a bin stands at the mean angle of what fell into it."""
    wavelength = source.wavelength_A
    g_low, g_high = (2 * np.sin(np.radians(t) / 2) / wavelength for t in limits)
    bounds = _box_limits(crystal.cell_A, g_high)
    size = (bounds[0] + 1) * (2 * bounds[1] + 1) * (2 * bounds[2] + 1)
    if size > _BOX_LIMIT:
        raise InputError(
            f"the pattern of {len(crystal.positions)} sites needs {size:.3g} reflections (at most {_BOX_LIMIT:.3g});"
            " take a smaller cell, a longer wavelength or a shorter range of angles"
        )
    geometric = geometric_factors_on_box(crystal, bounds)
    axes = (np.arange(bounds[0] + 1), np.arange(-bounds[1], bounds[1] + 1), np.arange(-bounds[2], bounds[2] + 1))
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    g = scattering_vectors_per_A(crystal.cell_A, hkl)
    keep = (g >= g_low) & (g <= g_high)
    # The half box h >= 0 stands for the whole sphere: h > 0 counts twice, h = 0 is present with both signs of k, l.
    weight = np.where(hkl[..., 0][keep] > 0, 2.0, 1.0)
    f_squared = squared_structure_factors(crystal, geometric[:, keep], g[keep] / 2, wavelength, table)
    two_theta = bragg_two_theta_deg(1 / g[keep], wavelength)
    intensity = weight * f_squared * lorentz_polarisation(two_theta, monochromator) / crystal.volume_A3**2
    bins = ((two_theta - limits[0]) / step_deg).astype(int)
    area = np.bincount(bins, intensity)
    moment = np.bincount(bins, intensity * two_theta)
    filled = area > 0
    return moment[filled] / area[filled], area[filled]
