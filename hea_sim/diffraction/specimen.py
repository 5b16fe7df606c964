"""A measured powder pattern from what is in the specimen and how it was measured, with the truth beside it.

| symbol | variable | unit |
|---|---|---|
| V, W, U of FWHM^2 = U tan^2 + V tan + W | `caglioti_deg2` | degree^2 |
| D, Scherrer with K = 0.9 | `size_nm` | nm |
| e, broadening 4 e tan(theta) | `microstrain` | 1 |
| s, 2 theta shift -2 s cos(theta) / R | `displacement_mm`, `radius_mm` | mm |
| r of March-Dollase | `march_r` | 1 |
| counts at the strongest line | `peak_counts` | 1 |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals import Prototype
from hea_sim.diffraction.families import Cell, family_table
from hea_sim.diffraction.kernels import add_pseudo_voigts
from hea_sim.diffraction.profile import SCHERRER_K, bragg_two_theta_deg, lorentz_polarisation
from hea_sim.diffraction.radiation import Radiation
from hea_sim.diffraction.texture import march_factors
from hea_sim.records import Pattern

_REACH = 20.0


@dataclass(frozen=True, kw_only=True)
class SpecimenPhase:
    """Hold one phase: structure type, lattice, elements, share, grains.

    `line_scatter` is the std of the logarithm of line areas about their powder value (coarse grains, texture that no
    axis describes); `march_axis`, `march_r` a preferred orientation.
    """

    structure: str | Prototype
    cell: Cell
    occupancy: Mapping[str, Composition]
    volume_fraction: float
    size_nm: float = 200.0
    microstrain: float = 0.0
    b_iso_A2: float = 0.4
    line_scatter: float = 0.0
    march_axis: tuple[int, int, int] | None = None
    march_r: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurement:
    """Hold how a pattern is measured.

    `two_theta_deg` (n,); `background` (n,) relative to the strongest line; `parasitic` shares of the strongest line
    of the tube's extra wavelengths, by their name; `foreign_lines` (angle, area relative to the sum of lines) that no
    phase explains; `gain` multiplies the Poisson noise's standard deviation; `smoothing_points` correlates it.
    """

    radiation: Radiation
    two_theta_deg: np.ndarray
    caglioti_deg2: tuple[float, float, float] = (0.0, 0.0, 0.01)
    eta: float = 0.5
    zero_deg: float = 0.0
    displacement_mm: float = 0.0
    radius_mm: float = 217.5
    peak_counts: float = 5000.0
    background: np.ndarray | float = 0.05
    parasitic: Mapping[str, float] = field(default_factory=dict)
    foreign_lines: tuple[tuple[float, float], ...] = ()
    monochromator: float = 1.0
    gain: float = 1.0
    smoothing_points: float = 0.0

    def shift_deg(self, two_theta_deg: np.ndarray) -> np.ndarray:
        """Compute how far zero and displacement move a line."""
        theta = np.radians(two_theta_deg) / 2
        return self.zero_deg - np.degrees(2 * self.displacement_mm / self.radius_mm) * np.cos(theta)

    def fwhm_deg(self, two_theta_deg: np.ndarray, size_nm: float, microstrain: float) -> np.ndarray:
        """Compute the width of lines of grains of a size and microstrain."""
        theta = np.radians(two_theta_deg) / 2
        u, v, w = self.caglioti_deg2
        instrument = np.maximum(u * np.tan(theta) ** 2 + v * np.tan(theta) + w, 1e-7)
        size = np.degrees(SCHERRER_K * self.radiation.wavelength_A / (10 * size_nm * np.cos(theta)))
        strain = np.degrees(4 * microstrain * np.tan(theta))
        return np.sqrt(instrument + size**2 + strain**2)


@dataclass(frozen=True, kw_only=True, eq=False)
class PhaseLines:
    """Hold the lines of one phase as measured for the strongest wavelength: angle, width, area in counts, family."""

    structure: str
    two_theta_deg: np.ndarray
    fwhm_deg: np.ndarray
    area: np.ndarray
    family: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredSpecimen:
    """Hold a simulated measurement with its truth.

    `expected` (n,) is the pattern before noise, `noise_std` (n,) of the noise, `weight_fraction` (phases,).
    """

    pattern: Pattern
    phases: tuple[SpecimenPhase, ...]
    lines: tuple[PhaseLines, ...]
    weight_fraction: np.ndarray
    expected: np.ndarray
    noise_std: np.ndarray
    measurement: Measurement

    def significance(self, index: int, *, families: np.ndarray | None = None) -> float:
        """Tell by how many standard deviations the strongest free line of a phase stands out of the noise.

        A line is free where the other phases put less than a fifth of its height within one width of it;
        `families` restricts the lines that count.
        """
        mine = self.lines[index]
        x = self.pattern.two_theta_deg
        step = float(np.median(np.diff(x)))
        best = 0.0
        for angle, width, area, family in zip(mine.two_theta_deg, mine.fwhm_deg, mine.area, mine.family):
            if not x[0] + width < angle < x[-1] - width or (families is not None and family not in families):
                continue
            others = sum(
                float(line.area[np.abs(line.two_theta_deg - angle) < max(width, 0.05)].sum())
                for i, line in enumerate(self.lines)
                if i != index
            )
            if others > 0.2 * area:
                continue
            # The optimal estimate of the area of a Gaussian of known width in white noise.
            noise = float(np.interp(angle, x, self.noise_std)) * np.sqrt(step * width * 1.5)
            best = max(best, float(area) / noise)
        return best


def measure_specimen(
    phases: tuple[SpecimenPhase, ...],
    measurement: Measurement,
    rng: np.random.Generator,
    *,
    source: str = "simulated specimen",
) -> MeasuredSpecimen:
    """Simulate the measurement of a specimen.

    Line areas are volume fraction times m |F|^2 LP / V^2, times texture. The strongest line rises `peak_counts` above
    the background.
    """
    x = measurement.two_theta_deg
    lines = [_phase_lines(phase, measurement, rng) for phase in phases]
    curve = np.zeros_like(x)
    total = sum(float(line.area.sum()) for line in lines) or 1.0
    for line in lines:
        _add_lines(curve, line.two_theta_deg, line.area, line.fwhm_deg, measurement)
    for angle, share in measurement.foreign_lines:
        width = measurement.fwhm_deg(np.array([angle]), 60.0, 1e-3)
        _add_lines(curve, np.array([angle]), np.array([share * total]), width, measurement)
    top = float(curve.max()) if curve.max() > 0 else 1.0
    factor = measurement.peak_counts / top
    expected = curve * factor + np.asarray(measurement.background) * measurement.peak_counts
    noise_std = measurement.gain * np.sqrt(np.maximum(expected, 1.0))
    intensity = _noisy(expected, measurement, rng)
    scaled = tuple(
        PhaseLines(
            structure=line.structure,
            two_theta_deg=line.two_theta_deg,
            fwhm_deg=line.fwhm_deg,
            area=line.area * factor,
            family=line.family,
        )
        for line in lines
    )
    tube = measurement.radiation
    return MeasuredSpecimen(
        pattern=Pattern(
            two_theta_deg=x,
            intensity=intensity,
            radiation=tube.name if tube.is_tube else None,
            wavelength_A=None if tube.is_tube else tube.wavelength_A,
            source=source,
        ),
        phases=phases,
        lines=scaled,
        weight_fraction=weight_fractions(phases),
        expected=expected,
        noise_std=noise_std,
        measurement=measurement,
    )


def weight_fractions(phases: tuple[SpecimenPhase, ...]) -> np.ndarray:
    """Turn volume fractions into weight fractions, (phases,)."""
    mass = np.array([p.volume_fraction * density_u_per_A3(p.structure, p.cell, p.occupancy) for p in phases])
    return mass / mass.sum() if mass.size else mass


def density_u_per_A3(structure: str | Prototype, cell: Cell, occupancy: Mapping[str, Composition]) -> float:
    """Compute the mass density of a phase in unified atomic mass units per cubic Angstrom."""
    from ase.data import atomic_masses, atomic_numbers

    table = family_table(structure)
    mass = sum(
        n * sum(x * float(atomic_masses[atomic_numbers[e]]) for e, x in occupancy[label].items())
        for label, n in zip(table.sublattices, table.sites)
    )
    return float(mass) / table.volume_A3(cell)


def _phase_lines(phase: SpecimenPhase, measurement: Measurement, rng: np.random.Generator) -> PhaseLines:
    """List the lines of a phase; areas are per unit of volume fraction times that fraction."""
    table = family_table(phase.structure)
    wavelength = measurement.radiation.wavelength_A
    inverse_d = table.inverse_d(phase.cell)
    angle = bragg_two_theta_deg(1 / inverse_d, wavelength)
    x = measurement.two_theta_deg
    seen = np.flatnonzero((angle > x[0] - 4) & (angle < min(x[-1] + 4, 175.0)))
    s = inverse_d / 2
    strength = table.f_squared(phase.occupancy, s, wavelength, b_iso_A2=phase.b_iso_A2)[seen]
    angle = angle[seen]
    area = strength * lorentz_polarisation(angle, measurement.monochromator) / table.volume_A3(phase.cell) ** 2
    area = area * phase.volume_fraction
    if phase.march_axis is not None and phase.march_r != 1.0:
        area = area * march_factors(table, phase.cell, phase.march_axis, phase.march_r)[seen]
    if phase.line_scatter > 0:
        area = area * np.exp(rng.normal(0.0, phase.line_scatter, len(area)) - phase.line_scatter**2 / 2)
    strong = area > 1e-5 * (area.max() if area.size else 1.0)
    angle, area, seen = angle[strong], area[strong], seen[strong]
    return PhaseLines(
        structure=table.kind.name,
        two_theta_deg=angle + measurement.shift_deg(angle),
        fwhm_deg=measurement.fwhm_deg(angle, phase.size_nm, phase.microstrain),
        area=area,
        family=seen,
    )


def _add_lines(
    curve: np.ndarray, angle: np.ndarray, area: np.ndarray, fwhm: np.ndarray, measurement: Measurement
) -> None:
    """Add lines at all wavelengths of the radiation; `angle` holds for the strongest wavelength, shifts included."""
    source = measurement.radiation
    sine = np.sin(np.radians(angle) / 2)
    weight = sum(w for _, w in source.lines)
    wavelengths = [(value, w / weight) for value, w in source.lines]
    wavelengths += [(value, measurement.parasitic.get(name, 0.0)) for name, value in source.parasitic_A]
    for value, share in wavelengths:
        if share <= 0:
            continue
        moved = sine * value / source.wavelength_A
        place = np.where(moved < 1, 2 * np.degrees(np.arcsin(np.minimum(moved, 1.0))), np.nan)
        eta = np.full(len(place), measurement.eta)
        add_pseudo_voigts(measurement.two_theta_deg, place, area * share, fwhm, eta, _REACH, curve)


def _noisy(expected: np.ndarray, measurement: Measurement, rng: np.random.Generator) -> np.ndarray:
    if measurement.gain == 1.0 and measurement.smoothing_points == 0:
        return rng.poisson(expected).astype(float)
    noise = rng.normal(0.0, 1.0, len(expected))
    if measurement.smoothing_points > 0:
        from scipy.ndimage import gaussian_filter1d

        noise = gaussian_filter1d(noise, measurement.smoothing_points, mode="nearest")
    return np.maximum(expected + measurement.gain * np.sqrt(np.maximum(expected, 1.0)) * noise, 0.0)
