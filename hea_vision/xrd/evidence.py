"""How well phases with given lattices explain a list of lines.

The evidence is that of a simple generative model, in nats relative to "every line is an accident":

- an observed line that a phase predicts gains log N(position; model, sigma) - log(1 / range) for its angle, and
  log N(log area; model, tau) - log(1 / 8) for its area; tau = 0.8 stands for texture and coarse grains, 0.3 for a
  good powder, with equal prior;
- a predicted line that is not listed tells what the scan shows in its place (`hea_vision.xrd.faint`);
- each free lattice parameter and scale costs the logarithm of prior width over posterior width, each phase the
  logarithm of its prior and of its volume per atom, which the phases of one alloy nearly share.

This module holds the observed side and the scan over lattices; `set_fit` fits whole sets.
"""

from __future__ import annotations

import numpy as np

from hea_sim.diffraction.radiation import Radiation
from hea_vision.xrd.faint import TEXTURE_TAU, gain
from hea_vision.xrd.lines import LineList
from hea_vision.xrd.reflections import ReflectionTable
from hea_vision.xrd.volumes import METAL_LOG_VOLUME

#: Scatter of the logarithm of a line's area in a good powder; a set takes whichever of this and TEXTURE_TAU explains
#: its areas better.
POWDER_TAU = 0.3
#: Prior std of the shift that a displaced specimen gives to a line at 2 theta = 0, degrees; with a synchrotron, where
#: nothing is displaced, that of its zero.
_DISPLACEMENT_STD_DEG, _SYNCHROTRON_ZERO_DEG = 0.08, 0.03
#: Error of a line angle that no fit knows of (zero of the goniometer, asymmetry), degrees.
POSITION_FLOOR_DEG = 0.02
#: Prior probability of each structure type to be the next phase.
PRIORS = {
    "A1": 0.3,
    "A2": 0.3,
    "A3": 0.1,
    "B1": 0.08,
    "B4": 0.05,
    "H1_1": 0.05,
    "C14": 0.05,
    "C15": 0.05,
    "sigma": 0.05,
}
#: Width of the prior of log(area) and of log(scale).
LOG_AREA_WIDTH = 8.0
#: Std of log(volume per atom) between phases of one alloy, which share their elements.
SHARED_LOG_VOLUME_STD = 0.12
#: Standard deviations of the volume prior beyond which a lattice is not scanned.
_VOLUME_REACH = 5.0
ROOT_TWO_PI = 2.5066283


def closeness(radiation: Radiation) -> float:
    """Tell how much closer than with copper radiation lines lie: 1 for tubes."""
    return 1.0 if radiation.is_tube else min(1.0, radiation.wavelength_A / 1.54)


def displacement_std_deg(radiation: Radiation) -> float:
    """Give the prior std of the shift of lines at 2 theta = 0 in degrees."""
    return _DISPLACEMENT_STD_DEG if radiation.is_tube else _SYNCHROTRON_ZERO_DEG * closeness(radiation)


class ObservedLines:
    """Hold the observed lines of a pattern as arrays, sorted by angle, and what the scan shows beside them.

    `angle`, `angle_std`, `fwhm` (n,) in degrees; `log_area` (n,); `log_volume_prior` is (mean, std) of the logarithm
    of the volume per atom of metallic phases in A^3, sharper where the elements are known.
    """

    def __init__(self, lines: LineList, log_volume_prior: tuple[float, float] = METAL_LOG_VOLUME) -> None:
        seen = lines.specimen
        self.source, self.faint = lines, lines.faint
        self.wavelength_A = lines.radiation.wavelength_A
        self.angle = np.array([line.two_theta_deg for line in seen])
        # Lines of short wavelengths lie closer by as much as the wavelength is shorter, and so do their errors.
        self.closeness = closeness(lines.radiation)
        self.displacement_std_deg = displacement_std_deg(lines.radiation)
        floor = POSITION_FLOOR_DEG * self.closeness
        self.angle_std = np.array([np.hypot(line.two_theta_std_deg, floor) for line in seen])
        self.fwhm = np.array([line.fwhm_deg for line in seen])
        self.log_area = np.log(np.array([line.area for line in seen]))
        self.low, self.high = float(lines.angles[0]), float(lines.angles[-1])
        self.gaps_deg = lines.scan.gaps_deg
        self.range_deg = self.high - self.low - float(np.diff(self.gaps_deg, axis=1).sum())
        hidden = [
            (line.two_theta_deg, max(0.5 * line.fwhm_deg, 0.05)) for line in lines.lines if line.origin != "specimen"
        ]
        self._hidden = np.array([(angle - reach, angle + reach) for angle, reach in hidden]).reshape(-1, 2)
        self.log_volume_prior = log_volume_prior
        self.typical_fwhm = lines.typical_fwhm_deg

    def __len__(self) -> int:
        return len(self.angle)

    def in_sight(self, angle: np.ndarray) -> np.ndarray:
        """Say at which angles a line of the specimen would show: measured, and under no line of the tube."""
        seen = (angle > self.low) & (angle < self.high)
        for first, last in (*self.gaps_deg, *self._hidden):
            seen &= (angle < first) | (angle > last)
        return seen

    def log_volume(self, table: ReflectionTable, a: np.ndarray | float, c: np.ndarray | float) -> np.ndarray:
        """Weigh the volume per atom by what metals, or the given elements, would have."""
        if not table.kind.metallic:
            return np.zeros_like(np.asarray(a, float))
        mean, std = self.log_volume_prior
        rest = (np.log(table.volume_A3(a, c) / table.atoms_per_cell) - mean) / std
        return -0.5 * np.minimum(rest**2, 60.0)


class LatticeScan:
    """Score a grid of lattices of one prototype by the lines that each would newly explain.

    What does not depend on which lines are still free is computed once: `log_summed` (lattices, lines) the logarithm
    of the model area that falls on an observed line, and the predicted families that are not among them, with what the
    scan shows in their places.
    """

    def __init__(self, observed: ObservedLines, table: ReflectionTable) -> None:
        self.observed, self.table = observed, table
        a, c = _lattice_grid(table)
        # Lattices that no mixture of the elements fills are not worth a look.
        possible = observed.log_volume(table, a, c) > -0.5 * _VOLUME_REACH**2
        self.a_A, self.c_A = a[possible], c[possible]
        parts = [self._place(slice(i, i + 4096)) for i in range(0, max(len(self.a_A), 1), 4096)]
        self.log_summed = np.concatenate([p[0] for p in parts])
        self._missed_row = np.concatenate([p[1] + 4096 * i for i, p in enumerate(parts)])
        self._missed_score, self._missed_expected = (np.concatenate([p[i] for p in parts]) for i in (2, 3))
        self._log_volume = observed.log_volume(table, self.a_A, self.c_A)

    def _place(self, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Attach predicted families to observed lines for a slice of the grid."""
        observed, table, a, c = self.observed, self.table, self.a_A[part], self.c_A[part]
        angle = table.two_theta_deg(a, c, observed.wavelength_A)
        inside = observed.in_sight(angle)
        place = np.where(inside, angle, -1e3)
        model = np.where(inside, table.intensity(angle, table.volume_A3(a, c)), 0.0)
        nearest = _nearest(observed.angle, place)
        tolerance = np.hypot(
            observed.angle_std[nearest], 0.6 * observed.displacement_std_deg + 0.03 * observed.closeness
        )
        hit = inside & (np.abs(observed.angle[nearest] - place) < 2.5 * tolerance)
        shape = (len(a), len(observed))
        flat = (np.arange(shape[0])[:, None] * shape[1] + nearest)[hit]
        summed = np.bincount(flat, model[hit], minlength=shape[0] * shape[1]).reshape(shape)
        missed = inside & ~hit
        with np.errstate(divide="ignore"):
            log_summed = np.log(summed).astype(np.float32)
        score, log_noise = observed.faint.look(place[missed], observed.typical_fwhm)
        return log_summed, np.nonzero(missed)[0], score, np.log(model[missed]) - log_noise

    def score(self, free: np.ndarray) -> np.ndarray:
        """Score every lattice (g,) in nats, counting gains of the lines in `free` (n,) only."""
        observed = self.observed
        if not free.any():
            return np.full(len(self.a_A), -np.inf)
        log_summed = self.log_summed[:, free]
        matched = np.isfinite(log_summed)
        useful = matched.any(axis=1)
        ratio = np.where(matched, observed.log_area[free] - log_summed, np.nan)
        log_scale = np.zeros(len(useful))
        log_scale[useful] = np.nanmedian(ratio[useful], axis=1)
        rest = np.where(matched, ratio - log_scale[:, None], 0.0) / TEXTURE_TAU
        width = np.hypot(observed.angle_std[free], 0.05 * observed.closeness) * ROOT_TWO_PI
        listed = np.log(observed.range_deg / width) + np.log(LOG_AREA_WIDTH / (TEXTURE_TAU * ROOT_TWO_PI))
        score = np.where(matched, listed - 0.5 * np.minimum(rest**2, 25.0), 0.0).sum(axis=1)
        faint = gain(self._missed_score, self._missed_expected + log_scale[self._missed_row])
        score += np.bincount(self._missed_row, faint, minlength=len(useful))
        return np.where(useful, score + self._log_volume, -np.inf)


#: Step of the logarithm of a lattice parameter in a scan with one and with two free parameters.
_SCAN_STEP = (6e-4, 2e-3)


def _lattice_grid(table: ReflectionTable) -> tuple[np.ndarray, np.ndarray]:
    """List the lattices (a, c) of a scan."""
    low, high = table.kind.a_range_A
    a = np.exp(np.arange(np.log(low), np.log(high), _SCAN_STEP[int(table.free_ratio)]))
    if not table.free_ratio:
        return a, a
    first, last = np.log(table.kind.axial_ratio_range)
    grid = np.meshgrid(a, np.exp(np.arange(first, last, _SCAN_STEP[1])))
    return grid[0].ravel(), (grid[0] * grid[1]).ravel()


def _nearest(sorted_values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Find the index of the nearest of sorted_values for every wanted value."""
    right = np.clip(np.searchsorted(sorted_values, wanted), 0, len(sorted_values) - 1)
    left = np.clip(right - 1, 0, None)
    closer = np.abs(sorted_values[left] - wanted) < np.abs(sorted_values[right] - wanted)
    return np.where(closer, left, right)
