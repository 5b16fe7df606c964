"""Render powder patterns on an instrument of the benchmark's own, and tell what of a specimen stands out of the noise.

Nothing here is shared with the training of a labeller but the physics of lines (`powder_lines`): the profile is that of
Thompson, Cox and Hastings with a Lorentzian share that changes with the angle and with axial divergence, lines come
from reflections of the cell and not from tabled families, and the background is a + b / (2 theta) + a step + a broad
Lorentzian hump, with Poisson counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hea_sim.crystals import Crystal
from hea_sim.diffraction import powder_lines
from hea_sim.diffraction.powder import angle_limits, draw_sticks
from hea_sim.diffraction.profile import (
    ThompsonCoxHastings,
    microstrain_to_width_deg,
    size_to_width_deg,
)
from hea_sim.diffraction.radiation import Radiation
from hea_sim.diffraction.texture import texture_factors
from hea_sim.records import Pattern

#: Lines below this share of the phase's strongest one are not drawn.
_WEAKEST = 2e-5
#: Only so many free lines of a phase, by their area, are looked at for the most significant one.
_LINES_LOOKED_AT = 6
#: Other phases may put this share of a line's own intensity within one width of it, and the line counts as free.
FREE_SHARE = 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class RenderedPhase:
    """Hold a phase to render: its fundamental lattice, crystal, share, grains and texture.

    `line_scatter` is the std of the logarithm of line areas; `march_axis`, `march_r` a preferred orientation.
    """

    lattice: str
    crystal: Crystal
    volume_fraction: float = 1.0
    size_nm: float = 200.0
    microstrain: float = 0.0
    line_scatter: float = 0.0
    march_axis: tuple[int, int, int] | None = None
    march_r: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Background:
    """Hold a + b / (2 theta) + step + hump, relative to the strongest line; angles in degrees."""

    constant: float = 0.05
    inverse: float = 0.0
    step: float = 0.0
    step_deg: float = 60.0
    step_width_deg: float = 1.5
    humps: tuple[tuple[float, float, float], ...] = ()  # height, centre, full width at half maximum

    def __call__(self, two_theta_deg: np.ndarray) -> np.ndarray:
        """Compute the background."""
        rise = 1 / (1 + np.exp(-np.clip((two_theta_deg - self.step_deg) / self.step_width_deg, -50, 50)))
        out = self.constant + self.inverse / two_theta_deg + self.step * rise
        for height, centre, width in self.humps:
            out = out + height / (1 + 4 * ((two_theta_deg - centre) / width) ** 2)
        return out


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """Hold how a pattern is measured; `shape` is the line of the instrument alone."""

    source: Radiation
    two_theta_deg: np.ndarray
    shape: ThompsonCoxHastings
    background: Background
    peak_counts: float
    monochromator: float = 1.0

    def shape_of(self, phase: RenderedPhase) -> ThompsonCoxHastings:
        """Broaden the instrument's line by the grains of a phase."""
        return replace(
            self.shape,
            x_deg=self.shape.x_deg + size_to_width_deg(phase.size_nm, self.source.wavelength_A),
            y_deg=self.shape.y_deg + microstrain_to_width_deg(phase.microstrain),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Sticks:
    """Hold the lines of one phase: angle for the strongest wavelength without shifts, area in counts x degree, hkl."""

    two_theta_deg: np.ndarray
    area: np.ndarray
    hkl: np.ndarray
    shape: ThompsonCoxHastings

    def curve(self, scan: Scan, keep: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Draw the lines, or those of them that `keep` names."""
        return draw_sticks(scan.two_theta_deg, self.two_theta_deg[keep], self.area[keep], scan.source, self.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rendered:
    """Hold a rendered measurement: pattern, its expectation (n,), the lines of every phase."""

    pattern: Pattern
    expected: np.ndarray
    sticks: tuple[Sticks, ...]
    scan: Scan

    def significance(self, index: int, chosen: np.ndarray | None = None) -> float:
        """Tell by how many standard deviations the strongest free line of a phase stands out; 0 where none is free.

        A line is free where the curve of all other phases, tails included, puts less than a fifth of the line's own
        intensity within one full width of it on either side: a shoulder is not free.
        `chosen` (lines,) restricts the lines that count.
        """
        mine, scan = self.sticks[index], self.scan
        x = scan.two_theta_deg
        others = sum((s.curve(scan) for i, s in enumerate(self.sticks) if i != index), np.zeros_like(x))
        widths = mine.shape.fwhm_deg(mine.two_theta_deg)
        shifted = mine.two_theta_deg + _mean_shift_deg(mine)
        best, looked = 0.0, 0
        for k in np.argsort(-mine.area):
            angle, width = shifted[k], widths[k]
            if looked == _LINES_LOOKED_AT:
                break
            if (chosen is not None and not chosen[k]) or not x[0] + width < angle < x[-1] - width:
                continue
            near = np.abs(x - angle) < width
            alone = mine.curve(scan, np.array([k]))
            if others[near].sum() > FREE_SHARE * alone[near].sum():
                continue
            looked += 1
            best = max(best, area_significance(1.0, alone, self.expected))
        return best


def _mean_shift_deg(sticks: Sticks) -> np.ndarray:
    shares, shifts = sticks.shape.components(sticks.two_theta_deg)
    return np.asarray(np.tensordot(shares, np.broadcast_to(shifts, (len(shares), len(sticks.area))), 1))


def area_significance(area: float, profile: np.ndarray, variance: np.ndarray) -> float:
    """Divide an area by the standard deviation of its optimal estimate.

    Counts are area x profile + what is known, with the given variances: the weighted least-squares estimate of the area
    has the variance 1 / sum(profile^2 / variance).

    Parameters
    ----------
    profile
        (n,) the line of unit area at the points of the scan.
    variance
        (n,) of the counts, the line included.
    """
    return float(area * np.sqrt(np.sum(profile**2 / np.maximum(variance, 1e-9))))


def render(phases: Sequence[RenderedPhase], scan: Scan, rng: np.random.Generator, *, name: str) -> Rendered:
    """Render a specimen; the strongest line of its pattern rises `scan.peak_counts` above the background."""
    sticks = [_sticks(phase, scan, rng) for phase in phases]
    total = sum((s.curve(scan) for s in sticks), np.zeros_like(scan.two_theta_deg))
    factor = scan.peak_counts / float(total.max()) if total.max() > 0 else 1.0
    expected = factor * total + scan.peak_counts * scan.background(scan.two_theta_deg)
    tube = scan.source.is_tube
    pattern = Pattern(
        two_theta_deg=scan.two_theta_deg,
        intensity=rng.poisson(expected).astype(float),
        radiation=scan.source.name if tube else None,
        wavelength_A=None if tube else scan.source.wavelength_A,
        source=name,
    )
    scaled = tuple(replace(s, area=s.area * factor) for s in sticks)
    return Rendered(pattern=pattern, expected=expected, sticks=scaled, scan=scan)


def _sticks(phase: RenderedPhase, scan: Scan, rng: np.random.Generator) -> Sticks:
    lines = powder_lines(
        phase.crystal,
        scan.source,
        two_theta_range_deg=angle_limits(scan.two_theta_deg),
        monochromator=scan.monochromator,
    )
    area = lines.intensity * phase.volume_fraction
    if phase.march_axis is not None and area.size:
        area = area * texture_factors(phase.crystal, lines.hkl, phase.march_axis, phase.march_r)
    area = area * np.exp(rng.normal(0.0, phase.line_scatter, area.size) - phase.line_scatter**2 / 2)
    strong = area > _WEAKEST * area.max(initial=0.0)
    return Sticks(
        two_theta_deg=lines.two_theta_deg[strong],
        area=area[strong],
        hkl=lines.hkl[strong],
        shape=scan.shape_of(phase),
    )
