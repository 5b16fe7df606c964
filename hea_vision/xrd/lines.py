"""From a prepared scan to a list of lines: line search at several widths, line fits, lines of the tube."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.signal import find_peaks

from hea_sim.diffraction.profile import bragg_two_theta_deg, spacing_A
from hea_sim.diffraction.radiation import Radiation
from hea_sim.records import Pattern
from hea_vision.xrd.faint import FaintField
from hea_vision.xrd.line_fit import PROFILE_ERROR, Line, LineStart, fit_group
from hea_vision.xrd.scans import PreparedScan, background_between_lines, noise_between_lines, prepare_scan

#: A line must stand this many standard deviations above the noise of its own width.
_DETECTION_SIGMA = 4.0
#: Widths, in those of the strongest line, at which lines are looked for: phases of finer or coarser grains.
_SCALES = (0.35, 0.8, 1.6, 3.2)
#: The same before the course of the background is known between the lines.
_SHARP_SCALES = (0.35, 0.8, 1.6)
#: Width of a line's surroundings in that of the line.
_SURROUNDINGS = 4.0
#: Widths to either side of a line within which its profile may be wrong.
_BESIDE = 1.5
#: Share of the first estimate of the noise below which no later one goes.
_LEAST_NOISE = 0.1
#: Share of a line that K-beta may have at most, and the factor by which shares of one tube differ (texture of lines
#: that overlap, absorption edges of the filter).
_MOST_SHARE, _SHARE_SPREAD = 1 / 12, 3.0
#: Widths at which the scan is searched for faint lines of known places.
_FAINT_SCALES = (0.5, 1.0, 2.0, 4.0)
#: Share of its height by which a line's tail may be wrong.
_TAIL_ERROR = 0.2
#: Response of a filter to a line with tails, relative to a Gaussian.
_NOT_GAUSSIAN = 0.85
#: Share of the background that a wrong course of it may leave behind.
_BACKGROUND_ERROR = 5e-4
#: Lines that are fitted in one round.
_MOST_LINES = 120
#: Rounds in which lines are looked for in what the fit leaves.
_ROUNDS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class LineList:
    """Hold the lines of a pattern with what stood under them.

    `background` and `noise` (n,) on the pattern's angles, `correlation` (lags,) of the noise; `eta` is the Lorentzian
    share of the lines, `scan` the scan before any line was known, `faint` what is left of it where none is listed.
    """

    pattern: Pattern
    radiation: Radiation
    scan: PreparedScan
    background: np.ndarray
    noise: np.ndarray
    correlation: np.ndarray
    lines: tuple[Line, ...]
    eta: float
    faint: FaintField

    @property
    def angles(self) -> np.ndarray:
        """Give the angles of the scan (n,), degrees."""
        return self.scan.angles

    @property
    def intensity(self) -> np.ndarray:
        """Give the intensity of the scan (n,)."""
        return self.scan.intensity

    @property
    def typical_fwhm_deg(self) -> float:
        """Give the width of the strongest line."""
        return self.scan.typical_fwhm_deg

    @property
    def dependence_points(self) -> float:
        """Tell over how many points the noise is the same: 1 for white noise, more where the scan was smoothed."""
        return 2 * float(self.correlation.sum()) - 1

    @property
    def specimen(self) -> tuple[Line, ...]:
        """Give the lines that no tube impurity explains."""
        return tuple(line for line in self.lines if line.origin == "specimen")


def find_lines(pattern: Pattern, radiation: Radiation) -> LineList:
    """Find and fit the lines of a pattern."""
    search = _LineSearch(prepare_scan(pattern), radiation)
    search.run()
    lines = search.lines
    return LineList(
        pattern=pattern,
        radiation=radiation,
        scan=search.scan,
        background=search.background,
        noise=search.noise,
        correlation=search.correlation,
        lines=tuple(_mark_tube_lines(lines, radiation, search.noise_of_area())),
        eta=float(np.average([x.eta for x in lines], weights=[x.area for x in lines])) if lines else 0.5,
        faint=search.faint_field(),
    )


class _LineSearch:
    """Look for lines, fit them, and look again in what the fit leaves, until nothing new shows.

    Background and noise are first estimated with the lines in place; once lines are fitted, what they leave shows both
    better.
    """

    def __init__(self, scan: PreparedScan, radiation: Radiation) -> None:
        self.scan, self.radiation = scan, radiation
        self.background, self.noise = scan.background, scan.noise
        self.width = scan.typical_fwhm_deg
        self.step = float(np.median(np.diff(scan.angles)))
        self.lines: list[Line] = []
        self._curves = np.zeros((0, len(scan.angles)))
        self._dropped: list[LineStart] = []
        self._listen()

    def run(self) -> None:
        """Do rounds while new lines show."""
        for number in range(_ROUNDS):
            new = self._new_starts(_SHARP_SCALES if number == 0 else _SCALES)
            if new:
                self._fit(new, remember=number > 0)
            elif number > 0:
                break
            self._look_between_lines()

    @property
    def _rest(self) -> np.ndarray:
        return self.scan.intensity - self.background - self._curves.sum(axis=0)

    def _new_starts(self, scales: Sequence[float]) -> list[LineStart]:
        """List starting values of lines that no earlier fit has dropped."""
        starts = _candidates(
            self.scan.angles,
            self._rest,
            self.noise,
            self._doubt(),
            self.correlation,
            self.width,
            self.radiation,
            self.lines,
            scales,
        )
        return [x for x in starts if all(abs(x.angle - y.angle) > 0.3 * x.width for y in self._dropped)]

    def _fit(self, new: Sequence[LineStart], *, remember: bool) -> None:
        """Fit new lines together with the known ones that they touch; remember what is dropped."""
        rest = self._rest
        known = [
            LineStart(angle=x.two_theta_deg, height=_height(x), width=x.fwhm_deg, known=i)
            for i, x in enumerate(self.lines)
        ]
        sigma = max(0.8, 0.42 * self.width / self.step)
        correlation = _hat_noise(sigma, self.correlation) / _hat_noise(sigma, np.ones(1))
        # What a filter of the scan's maker has run together nobody can tell apart.
        smoothed = self.step * (2 * float(self.correlation.sum()) - 1) if len(self.correlation) > 1 else 0.0
        found: list[Line] = []
        for low, group, high in _grouped([*known, *new]):
            mine = [start.known for start in group if start.known >= 0]
            if len(mine) == len(group):
                found += [self.lines[i] for i in mine]
                continue
            here = rest + self._curves[mine].sum(axis=0)
            noise = self.noise * correlation
            found += fit_group(
                self.scan.angles,
                here,
                noise,
                group,
                self.width,
                self.radiation,
                limits=(low, high),
                resolution_deg=smoothed,
            )
        if remember:
            self._dropped += [x for x in new if all(abs(x.angle - y.two_theta_deg) > 0.6 * x.width for y in found)]
        self.lines = sorted(found, key=lambda line: line.two_theta_deg)
        angles = self.scan.angles
        self._curves = np.array([x.curve(angles, self.radiation) for x in self.lines]).reshape(
            len(self.lines), len(angles)
        )

    def _look_between_lines(self) -> None:
        """Estimate background and noise again from what the lines leave."""
        self.background = background_between_lines(self.scan, self._curves.sum(axis=0), self.noise)
        self._listen()

    def faint_field(self) -> FaintField:
        """See what is left of the scan through filters of several widths."""
        rest, lines = self._rest, self._curves.sum(axis=0)
        doubt = np.hypot(self._doubt(), _TAIL_ERROR * lines)
        scores, areas = [], []
        for scale in _FAINT_SCALES:
            fwhm = scale * self.width
            sigma = max(0.8, 0.42 * fwhm / self.step)
            noise = np.hypot(self.noise * _hat_noise(sigma, self.correlation), doubt)
            scores.append(_hat(rest, sigma) / noise)
            areas.append(noise / self._response(fwhm, sigma * self.step))
        return FaintField(
            angles=self.scan.angles,
            fwhm_deg=np.array(_FAINT_SCALES) * self.width,
            score=np.array(scores),
            log_noise=np.log(np.array(areas)),
        )

    def noise_of_area(self) -> float:
        """Estimate the error of the area of a typical line."""
        points = 1.5 * self.width / self.step * (2 * float(self.correlation.sum()) - 1)
        return float(np.median(self.noise)) * self.step * float(np.sqrt(points))

    def _response(self, fwhm: float, sigma: float) -> np.ndarray:
        """Compute the height (n,) that the hat filter of width sigma gives a line of unit area."""
        own = fwhm / 2.355
        height = 1 / np.hypot(own, sigma) - 1 / np.hypot(own, _SURROUNDINGS * sigma)
        weight = np.ones_like(self.scan.angles)
        if len(self.radiation.lines) > 1:  # the second line of a doublet falls outside the filter at high angles
            first, second = (x[1] for x in self.radiation.lines[:2])
            (w1, _), (w2, _) = self.radiation.lines[:2]
            split = 2 * np.degrees(np.tan(np.radians(self.scan.angles) / 2)) * abs(w2 / w1 - 1)
            weight -= second / (first + second) * np.clip(split / fwhm, 0, 1)
        return _NOT_GAUSSIAN * weight * height / np.sqrt(2 * np.pi)

    def _doubt(self) -> np.ndarray:
        """Estimate what wrong profiles and a wrong background leave (n,), which no filter averages out.

        A wrong profile shows beside the line as well.
        """
        reach = max(3, int(2 * _BESIDE * self.width / self.step))
        beside = maximum_filter1d(self._curves.sum(axis=0), reach, mode="nearest")
        return np.hypot(PROFILE_ERROR * beside, _BACKGROUND_ERROR * self.background)

    def _listen(self) -> None:
        """Estimate the noise and its correlation."""
        noise, self.correlation = noise_between_lines(self.scan, self._rest, self._curves.sum(axis=0))
        self.noise = np.clip(noise, _LEAST_NOISE * self.scan.noise, self.noise)


def _grouped(starts: list[LineStart]) -> list[tuple[float, list[LineStart], float]]:
    """Gather neighbouring lines; tell where the neighbours of each group begin to count."""
    groups: list[list[LineStart]] = []
    for start in sorted(starts, key=lambda x: x.angle):
        near = groups and start.angle - groups[-1][-1].angle < 1.7 * (start.width + groups[-1][-1].width) + 0.3
        if near and len(groups[-1]) < 8:
            groups[-1].append(start)
        else:
            groups.append([start])
    lows = [-np.inf, *(group[-1].angle + group[-1].width for group in groups[:-1])]
    highs = [*(group[0].angle - group[0].width for group in groups[1:]), np.inf]
    return list(zip(lows, groups, highs))


def _height(line: Line) -> float:
    return line.area / (1.2 * line.fwhm_deg)


def _candidates(
    angles: np.ndarray,
    net: np.ndarray,
    noise: np.ndarray,
    doubt: np.ndarray,
    correlation: np.ndarray,
    width: float,
    radiation: Radiation,
    known: Sequence[Line],
    scales: Sequence[float],
) -> list[LineStart]:
    """List starting values of lines at every scale, strongest first, without the second halves of K-alpha doublets."""
    step = float(np.median(np.diff(angles)))
    found: list[tuple[float, LineStart]] = []
    for scale in scales:
        sigma = max(0.8, 0.42 * scale * width / step)
        smooth = gaussian_filter1d(net, sigma, mode="nearest")
        score = _hat(net, sigma) / np.hypot(noise * _hat_noise(sigma, correlation), doubt)
        peaks, _ = find_peaks(score, height=_DETECTION_SIGMA, prominence=_DETECTION_SIGMA - 1)
        found += [
            (float(score[p]), LineStart(angle=float(angles[p]), height=float(smooth[p]), width=max(scale, 0.6) * width))
            for p in peaks
        ]
    kept: list[LineStart] = []
    for _, start in sorted(found, key=lambda item: -item[0]):
        near = any(abs(start.angle - x.angle) < 0.55 * max(start.width, x.width) for x in kept)
        taken = any(abs(start.angle - x.two_theta_deg) < 0.45 * x.fwhm_deg for x in known)
        second = any(
            abs(start.angle - _second_line(x.angle, radiation)) < 0.25 * x.width + 1.5 * step
            and start.height < 0.75 * x.height
            for x in kept
        )
        if not (near or taken or second):
            kept.append(start)
    return kept[:_MOST_LINES]


def _hat(values: np.ndarray, sigma: float) -> np.ndarray:
    """Weigh a line's own width against its surroundings, so that a background off its place counts as none."""
    own = gaussian_filter1d(values, sigma, mode="nearest")
    return own - gaussian_filter1d(values, _SURROUNDINGS * sigma, mode="nearest")


def _hat_noise(sigma: float, correlation: np.ndarray) -> float:
    """Compute the standard deviation that noise of one keeps after the hat filter of width sigma, in points.

    `correlation` (lags,) is that of the noise; white noise has [1].
    """
    pulse = np.zeros(2 * max(int(4 * _SURROUNDINGS * sigma), len(correlation)) + 1)
    pulse[len(pulse) // 2] = 1.0
    hat = _hat(pulse, sigma)
    products = [float(hat[lag:] @ hat[: len(hat) - lag]) for lag in range(len(correlation))]
    return float(np.sqrt(max(2 * np.dot(products, correlation) - products[0], products[0])))


def _second_line(two_theta_deg: float, radiation: Radiation) -> float:
    """Compute where K-alpha2 of a line at K-alpha1 angle two_theta falls; far away for a single wavelength."""
    if len(radiation.lines) < 2:
        return -1e3
    moved = bragg_two_theta_deg(spacing_A(two_theta_deg, radiation.wavelength_A), radiation.lines[1][0])
    return float(moved) if np.isfinite(moved) else -1e3


def _mark_tube_lines(lines: list[Line], radiation: Radiation, noise_of_area: float) -> list[Line]:
    """Mark lines that strong lines send through K-beta or W L-alpha of the tube.

    One tube sends one share of every line: the strongest parent tells it, and where that sends nothing no line is one.
    """
    origin: dict[int, str] = {}
    for name, wavelength in radiation.parasitic_A:
        pairs = []  # (parent, line there or -1)
        for parent in sorted(lines, key=lambda line: -line.area):
            where = float(bragg_two_theta_deg(parent.d_A, wavelength))
            near = [i for i, line in enumerate(lines) if abs(where - line.two_theta_deg) < 0.08 + 0.35 * line.fwhm_deg]
            pairs.append((parent, max(near, key=lambda i: lines[i].area) if near else -1))
        share = _tube_share(lines, pairs, noise_of_area)
        for parent, i in pairs:
            if i >= 0 and share / _SHARE_SPREAD < lines[i].area / parent.area < min(share * _SHARE_SPREAD, _MOST_SHARE):
                origin.setdefault(i, f"{name} of {parent.two_theta_deg:.2f}")
    return [replace(line, origin=origin.get(i, "specimen")) for i, line in enumerate(lines)]


def _tube_share(lines: list[Line], pairs: list[tuple[Line, int]], noise_of_area: float) -> float:
    """Tell what share of a line the tube sends besides: that of the strongest line, or what noise would hide."""
    parent, i = pairs[0] if pairs else (None, -1)
    if parent is None:
        return 0.0
    return lines[i].area / parent.area if i >= 0 else 3 * noise_of_area / parent.area / _SHARE_SPREAD
