"""Patterns of cells whose atoms sit on the sites of a lattice, by fast Fourier transforms of the site occupancy.

For cells i of n = (n1, n2, n3) and basis sites b, the phase sum of a species with occupancy c is, at the indices H of
the whole block,

S(H) = sum_b exp(2 pi i H . (x_b / n)) sum_i c_ib exp(2 pi i H . (i / n)),

and the inner sum is a discrete Fourier transform, periodic in H with period n.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hea_sim.diffraction.powder import angle_limits, draw_sticks
from hea_sim.diffraction.profile import Instrument, LineShape, bragg_two_theta_deg, lorentz_polarisation
from hea_sim.diffraction.radiation import Radiation
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.diffraction.scattering import (
    STANDARD_TABLE,
    ScatteringTable,
    atomic_scattering_factor,
    dispersion,
    form_factor,
)
from hea_sim.diffraction.structure_factor import scattering_vectors_per_A
from hea_sim.errors import InputError
from hea_sim.records import Pattern

if TYPE_CHECKING:
    from ase import Atoms

_STEP_DEG = 0.01
#: A block has too many reflections beyond this number; about two minutes.
_REFLECTION_LIMIT = 500_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class LatticeOccupation:
    """Hold which species sits on which site of a block of unit cells.

    `occupation` (species, n1, n2, n3, basis) between 0 and 1, summing to at most one over the species; `basis`
    (basis, 3) fractional positions in the unit cell; `unit_cell_A` (3, 3), rows are lattice vectors.
    """

    species: tuple[str, ...]
    occupation: np.ndarray
    basis: np.ndarray
    unit_cell_A: np.ndarray

    def __post_init__(self) -> None:
        shape, basis = np.shape(self.occupation), np.shape(self.basis)
        if len(shape) != 5 or shape[0] != len(self.species) or basis != (shape[-1], 3):
            raise InputError(
                f"occupation of shape {shape} with {len(self.species)} species and basis of shape {basis}; wanted"
                " (species, n1, n2, n3, basis) and (basis, 3)"
            )
        total = np.sum(self.occupation, axis=0)
        if np.min(self.occupation) < 0 or total.max() > 1 + 1e-9:
            raise InputError(
                f"site occupancies from {np.min(self.occupation):g}, summing to {total.max():g} on a site; wanted"
                " numbers >= 0 that sum to at most 1"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Count the unit cells along the three axes."""
        return self.occupation.shape[1:4]

    @property
    def cell_A(self) -> np.ndarray:
        """Give the lattice vectors of the whole block, (3, 3)."""
        return np.asarray(self.unit_cell_A, float) * np.array(self.shape)[:, None]

    @classmethod
    def from_atoms(cls, atoms: Atoms, *, shape: tuple[int, int, int], tolerance_A: float = 0.3) -> LatticeOccupation:
        """Read a block of n1 x n2 x n3 unit cells whose atoms stand within `tolerance_A` of common basis sites.

        Raises InputError where the atoms are not on such sites.
        """
        unit = np.asarray(atoms.cell.array, float) / np.array(shape)[:, None]
        scaled = np.linalg.solve(unit.T, np.asarray(atoms.positions, float).T).T
        basis, which = _common_sites(scaled, unit, tolerance_A)
        index = np.rint(scaled - basis[which]).astype(int) % np.array(shape)
        symbols = np.array(atoms.get_chemical_symbols())
        species = tuple(dict.fromkeys(symbols.tolist()))
        occupation = np.zeros((len(species), *shape, len(basis)))
        kind = np.array([species.index(s) for s in symbols])
        np.add.at(occupation, (kind, *index.T, which), 1.0)
        return cls(species=species, occupation=occupation, basis=basis, unit_cell_A=unit)


def _common_sites(scaled: np.ndarray, unit_A: np.ndarray, tolerance_A: float) -> tuple[np.ndarray, np.ndarray]:
    """Find the basis sites that fractional positions share, and the site of each atom."""
    basis: list[np.ndarray] = []
    which = np.full(len(scaled), -1)
    while (which < 0).any():
        seed = scaled[np.argmax(which < 0)]
        apart = scaled - seed
        apart -= np.rint(apart)
        here = (np.linalg.norm(apart @ unit_A, axis=1) <= tolerance_A) & (which < 0)
        which[here] = len(basis)
        basis.append((seed + apart[here].mean(axis=0)) % 1.0)
        if len(basis) > 200:
            raise InputError(
                f"the atoms share no lattice: more than 200 basis sites at a tolerance of {tolerance_A} A; check"
                " `shape`, raise tolerance_A, or use powder_pattern for displaced atoms"
            )
    return np.array(basis), which


def _transforms(sites: LatticeOccupation) -> np.ndarray:
    """Transform the occupancies with exp(+ 2 pi i), (species, n1, n2, n3, basis)."""
    n1, n2, n3 = sites.shape
    return np.fft.ifftn(sites.occupation, axes=(1, 2, 3)) * (n1 * n2 * n3)


def lattice_geometric_factors(sites: LatticeOccupation, hkl: np.ndarray) -> np.ndarray:
    """Sum the phases of each species at Miller indices (m, 3) of the whole block, (species, m)."""
    indices = np.asarray(hkl, int)
    h, k, m = (indices % np.array(sites.shape)).T
    phases = np.exp(2j * np.pi * ((indices / np.array(sites.shape)) @ np.asarray(sites.basis, float).T))
    return np.sum(_transforms(sites)[:, h, k, m, :] * phases, axis=-1)


def lattice_structure_factors(
    sites: LatticeOccupation, hkl: np.ndarray, wavelength_A: float, table: ScatteringTable = STANDARD_TABLE
) -> np.ndarray:
    """Compute F(hkl) in electrons at Miller indices (m, 3) of the whole block, without Debye-Waller factor."""
    s = scattering_vectors_per_A(sites.cell_A, hkl) / 2
    factors = np.array([atomic_scattering_factor(e, s, wavelength_A, table) for e in sites.species])
    return np.sum(factors * lattice_geometric_factors(sites, hkl), axis=0)


def _planes(sites: LatticeOccupation, limits: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """Yield the geometric factors (species, 2 K + 1, 2 L + 1) of the planes h = 0 .. H."""
    transforms = _transforms(sites).astype(np.complex64)
    n = np.array(sites.shape)
    h, k, m = np.arange(limits[0] + 1), *(np.arange(-b, b + 1) for b in limits[1:])
    along = [
        np.exp(2j * np.pi * np.outer(np.asarray(sites.basis)[:, axis], index) / n[axis]).astype(np.complex64)
        for axis, index in enumerate((h, k, m))
    ]
    for i in h:
        plane = np.zeros((len(sites.species), k.size, m.size), np.complex64)
        for b in range(len(sites.basis)):
            phases = (along[0][b, i] * along[1][b])[:, None] * along[2][b]
            plane += transforms[:, i % n[0], :, :, b][:, (k % n[1])[:, None], m % n[2]] * phases
        yield plane


def _sticks(
    sites: LatticeOccupation,
    source: Radiation,
    limits_deg: tuple[float, float],
    b_iso_A2: float,
    monochromator: float,
    table: ScatteringTable,
) -> tuple[np.ndarray, np.ndarray]:
    """Gather the reflections in angle bins, plane by plane; a bin stands at the mean angle of what fell into it."""
    wavelength, cell = source.wavelength_A, sites.cell_A
    g_low, g_high = (2 * np.sin(np.radians(t) / 2) / wavelength for t in limits_deg)
    bounds = tuple(int(np.floor(g_high * length)) for length in np.linalg.norm(cell, axis=1))
    size = (bounds[0] + 1) * (2 * bounds[1] + 1) * (2 * bounds[2] + 1)
    if size > _REFLECTION_LIMIT:
        raise InputError(
            f"the block has {size:.3g} reflections in this range (at most {_REFLECTION_LIMIT:.3g}); take fewer cells, a"
            " longer wavelength or a shorter range of angles"
        )
    n_bins = int((limits_deg[1] - limits_deg[0]) / _STEP_DEG) + 2
    area, moment = np.zeros(n_bins), np.zeros(n_bins)
    k, m = np.meshgrid(*(np.arange(-b, b + 1) for b in bounds[1:]), indexing="ij")
    for h, plane in enumerate(_planes(sites, bounds)):  # type: ignore[arg-type]
        g = scattering_vectors_per_A(cell, np.stack([np.full_like(k, h), k, m], axis=-1))
        keep = (g >= g_low) & (g <= g_high)
        s = g[keep] / 2
        two_theta = bragg_two_theta_deg(1 / g[keep], wavelength)
        # The half h >= 0 stands for the whole sphere: h > 0 counts twice, h = 0 is present with both signs of k, l.
        weight = (2.0 if h > 0 else 1.0) * lorentz_polarisation(two_theta, monochromator) * np.exp(-2 * b_iso_A2 * s**2)
        intensity = weight * _friedel_mean(sites.species, plane[:, keep], s, wavelength, table)
        bins = ((two_theta - limits_deg[0]) / _STEP_DEG).astype(int)
        area += np.bincount(bins, intensity, n_bins)
        moment += np.bincount(bins, intensity * two_theta, n_bins)
    filled = area > 0
    return moment[filled] / area[filled], area[filled] / abs(np.linalg.det(cell)) ** 2


def _friedel_mean(
    species: tuple[str, ...], geometric: np.ndarray, s_per_A: np.ndarray, wavelength_A: float, table: ScatteringTable
) -> np.ndarray:
    """Compute (|F(hkl)|^2 + |F(-hkl)|^2) / 2 = |sum (f0 + f') S|^2 + |sum f'' S|^2."""
    real, imaginary = np.zeros(s_per_A.shape, complex), np.zeros(s_per_A.shape, complex)
    for element, phases in zip(species, geometric):
        anomalous = dispersion(element, float(wavelength_A), table)
        real += (form_factor(element, s_per_A, table) + anomalous.real) * phases
        imaginary += anomalous.imag * phases
    return np.abs(real) ** 2 + np.abs(imaginary) ** 2


def on_lattice_pattern(
    sites: LatticeOccupation,
    radiation: Radiation | str | float,
    *,
    two_theta_deg: np.ndarray,
    instrument: LineShape | None = None,
    b_iso_A2: float = 0.4,
    monochromator: float = 1.0,
    table: ScatteringTable = STANDARD_TABLE,
) -> Pattern:
    """Compute the powder pattern of a block of occupied lattice sites.

    The same pattern as `powder_pattern` of the atoms, for the cost of a Fourier transform and of the reflections, not
    of atoms times reflections.

    Parameters
    ----------
    radiation
        Name of a tube (its K-alpha doublet is included) or wavelength in Angstrom.
    two_theta_deg
        Angles (n,) in degrees.
    instrument
        Line widths and shifts; a common laboratory width where left out.

    Returns
    -------
    Pattern
        Intensity in electrons^2 per A^6 and degree, as of `powder_pattern`.
    """
    source = radiation if isinstance(radiation, Radiation) else get_radiation(radiation)
    angles = np.asarray(two_theta_deg, float)
    limits = angle_limits(angles)
    centres, areas = _sticks(sites, source, limits, b_iso_A2, monochromator, table)
    shape = instrument or Instrument(w_deg2=0.01, u_deg2=0.02)
    return Pattern(
        two_theta_deg=angles,
        intensity=draw_sticks(angles, centres, areas, source, shape),
        radiation=source.name if source.is_tube else None,
        wavelength_A=None if source.is_tube else source.wavelength_A,
        source="powder pattern of a block of {} x {} x {} cells".format(*sites.shape),
        metadata={"b_iso_A2": b_iso_A2, "synthetic": True},
    )
