"""From a prepared scan to a list of lines: line search at several widths, line fits, lines of the tube."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.optimize import least_squares, nnls
from scipy.signal import find_peaks

from hea_sim.diffraction.profile import bragg_two_theta_deg, pseudo_voigt, spacing_A
from hea_sim.diffraction.radiation import Radiation
from hea_sim.records import Pattern
from hea_vision.xrd.scans import PreparedScan, prepare_scan

#: A line must stand this many standard deviations above the noise of its own width.
_DETECTION_SIGMA = 5.0
#: Widths, in those of the strongest line, at which lines are looked for: phases of finer or coarser grains.
_SCALES = (0.35, 0.8, 1.6, 3.2)
#: Width of a line's surroundings in that of the line.
_SURROUNDINGS = 4.0
#: Share of a fitted line's height that a wrong profile may leave behind.
_PROFILE_ERROR = 0.03
#: Widths to either side of a line within which its profile may be wrong.
_BESIDE = 1.5
#: What is wider than this (and than four typical lines) beside a stronger line is a tail or a hump, degrees.
_HUMP_DEG = 1.8
#: Share of the background that a wrong course of it may leave behind.
_BACKGROUND_ERROR = 1e-3
#: Lines that are fitted in one round.
_MOST_LINES = 120
#: Rounds in which lines are looked for in what the fit leaves.
_ROUNDS = 3
#: A detected line is kept if its fitted area exceeds the noise of an area at its place and width so many times.
_KEPT_SIGMA = 4.5


@dataclass(frozen=True, kw_only=True)
class Line:
    """Hold one observed line: angle of K-alpha1, area over both K-alpha lines, width."""

    two_theta_deg: float
    two_theta_std_deg: float
    area: float
    area_std: float
    fwhm_deg: float
    eta: float
    d_A: float
    origin: str = "specimen"


@dataclass(frozen=True, kw_only=True, eq=False)
class LineList:
    """Hold the lines of a pattern with what stood under them.

    `background` and `noise` (n,) on the pattern's angles; `eta` the Lorentzian share of the lines;
    `typical_fwhm_deg` the width of the strongest line.
    """

    pattern: Pattern
    radiation: Radiation
    angles: np.ndarray
    intensity: np.ndarray
    background: np.ndarray
    noise: np.ndarray
    lines: tuple[Line, ...]
    eta: float
    typical_fwhm_deg: float

    @property
    def specimen(self) -> tuple[Line, ...]:
        """Give the lines that no tube impurity explains."""
        return tuple(line for line in self.lines if line.origin == "specimen")

    def area_limit(self, two_theta_deg: np.ndarray, sigma: float = _DETECTION_SIGMA) -> np.ndarray:
        """Compute the smallest area that would have been seen at an angle."""
        step = float(np.median(np.diff(self.angles)))
        noise = np.interp(two_theta_deg, self.angles, self.noise)
        # A line of width w collects noise from about 1.5 w / step points.
        return sigma * noise * np.sqrt(1.5 * self.typical_fwhm_deg * step)


def find_lines(pattern: Pattern, radiation: Radiation) -> LineList:
    """Find and fit the lines of a pattern."""
    scan = prepare_scan(pattern)
    lines, eta = _find_in_rounds(scan, radiation)
    return LineList(
        pattern=pattern,
        radiation=radiation,
        angles=scan.angles,
        intensity=scan.intensity,
        background=scan.background,
        noise=scan.noise,
        lines=tuple(_mark_tube_lines(lines, radiation)),
        eta=eta,
        typical_fwhm_deg=scan.typical_fwhm_deg,
    )


@dataclass(frozen=True, kw_only=True)
class _Start:
    """Hold the starting values of one line; `known` is its number among the lines of the round before, else -1."""

    angle: float
    height: float
    width: float
    known: int = -1


def _find_in_rounds(scan: PreparedScan, radiation: Radiation) -> tuple[list[Line], float]:
    """Look for lines, fit them, and look again in what the fit leaves, until nothing new shows."""
    angles, noise, width = scan.angles, scan.noise, scan.typical_fwhm_deg
    net = scan.intensity - scan.background
    step = float(np.median(np.diff(angles)))
    lines: list[Line] = []
    curves = np.zeros((0, len(net)))
    for _ in range(_ROUNDS):
        model = curves.sum(axis=0)
        # A wrong profile shows beside the line as well; what it leaves is no noise and does not average out.
        beside = maximum_filter1d(model, max(3, int(2 * _BESIDE * width / step)), mode="nearest")
        doubt = np.hypot(_PROFILE_ERROR * beside, _BACKGROUND_ERROR * scan.background)
        new = _candidates(angles, net - model, noise, doubt, width, radiation, lines)
        if not new:
            break
        known = [
            _Start(angle=x.two_theta_deg, height=_height(x), width=x.fwhm_deg, known=i) for i, x in enumerate(lines)
        ]
        found: list[Line] = []
        for low, group, high in _grouped([*known, *new]):
            mine = [start.known for start in group if start.known >= 0]
            rest = net - model + curves[mine].sum(axis=0)
            found += _fit_group(angles, rest, noise, group, width, radiation, limits=(low, high))
        lines = sorted(found, key=lambda line: line.two_theta_deg)
        curves = np.array(
            [x.area * line_shape(angles, x.two_theta_deg, x.fwhm_deg, x.eta, radiation) for x in lines]
        ).reshape(len(lines), len(net))
    areas = np.array([line.area for line in lines])
    return lines, float(np.average([line.eta for line in lines], weights=areas)) if lines else 0.5


def _grouped(starts: list[_Start]) -> list[tuple[float, list[_Start], float]]:
    """Gather neighbouring lines; tell where the neighbours of each group begin to count."""
    groups: list[list[_Start]] = []
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
    width: float,
    radiation: Radiation,
    known: Sequence[Line] = (),
) -> list[_Start]:
    """List starting values of lines at every scale, strongest first, without the second halves of K-alpha doublets."""
    step = float(np.median(np.diff(angles)))
    found: list[tuple[float, _Start]] = []
    for scale in _SCALES:
        sigma = max(0.8, 0.42 * scale * width / step)
        # A hat: the line's own width against its surroundings, so that a background off its place counts as none.
        smooth = gaussian_filter1d(net, sigma, mode="nearest")
        hat = smooth - gaussian_filter1d(net, _SURROUNDINGS * sigma, mode="nearest")
        score = hat / np.hypot(noise * _hat_noise(sigma), doubt)
        # Correlated noise survives smoothing: the lower half of what is left, where no line adds, tells by how much.
        middle, low = np.percentile(score, (50, 16))
        score /= max(1.0, float(middle - low))
        peaks, _ = find_peaks(score, height=_DETECTION_SIGMA, prominence=_DETECTION_SIGMA - 1)
        found += [
            (float(score[p]), _Start(angle=float(angles[p]), height=float(smooth[p]), width=max(scale, 0.6) * width))
            for p in peaks
        ]
    kept: list[_Start] = []
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


def _hat_noise(sigma: float) -> float:
    """Compute the standard deviation that white noise of one keeps after the hat filter of width sigma, in points."""
    wide = _SURROUNDINGS * sigma
    cross = np.sqrt(2 * np.pi * (sigma**2 + wide**2))
    return float(np.sqrt(1 / (2 * np.sqrt(np.pi) * sigma) + 1 / (2 * np.sqrt(np.pi) * wide) - 2 / cross))


def _second_line(two_theta_deg: float, radiation: Radiation) -> float:
    """Compute where K-alpha2 of a line at K-alpha1 angle two_theta falls; far away for a single wavelength."""
    if len(radiation.lines) < 2:
        return -1e3
    moved = bragg_two_theta_deg(spacing_A(two_theta_deg, radiation.wavelength_A), radiation.lines[1][0])
    return float(moved) if np.isfinite(moved) else -1e3


def line_shape(angles: np.ndarray, centre: float, fwhm: float, eta: float, radiation: Radiation) -> np.ndarray:
    """Compute a line of unit area over all wavelengths of the radiation."""
    total = sum(weight for _, weight in radiation.lines)
    spacing = spacing_A(centre, radiation.wavelength_A)
    out = np.zeros_like(angles)
    for wavelength, weight in radiation.lines:
        position = float(bragg_two_theta_deg(spacing, wavelength))
        if np.isfinite(position):
            out += weight / total * pseudo_voigt(angles - position, fwhm, eta)
    return out


def _fit_group(
    angles: np.ndarray,
    net: np.ndarray,
    noise: np.ndarray,
    group: list[_Start],
    width: float,
    radiation: Radiation,
    *,
    limits: tuple[float, float],
) -> list[Line]:
    """Fit neighbouring lines together; lines that do not stand out of their error are dropped."""
    step = float(np.median(np.diff(angles)))
    for attempt in range(2):
        reach = max(3 * x.width for x in group) + 0.2
        low = min(max(group[0].angle - reach, limits[0]), group[0].angle - group[0].width)
        high = max(min(group[-1].angle + reach + 0.5 * width, limits[1]), group[-1].angle + group[-1].width)
        inside = slice(*np.searchsorted(angles, (low, high)))
        x, y, s = angles[inside], net[inside], noise[inside]
        if len(x) < 6:
            return []
        theta, covariance, area_noise = _least_squares_lines(x, y, s, group, width, radiation)
        widths = theta[2 * len(group) : 3 * len(group)]
        if attempt or all(found < 1.8 * start.width for found, start in zip(widths, group)):
            break
        # A line that is broader than thought needs a wider window to be told from its base.
        group = [replace(start, width=max(start.width, float(found))) for start, found in zip(group, widths)]
    sure = _sure(theta, area_noise, len(group))
    if 0 < sure.sum() < len(group):  # what a doubtful line had taken belongs to its neighbours
        group = [start for start, keep in zip(group, sure) if keep]
        theta, covariance, area_noise = _least_squares_lines(x, y, s, group, width, radiation)
        sure = _sure(theta, area_noise, len(group))
    n = len(group)
    lines = []
    for i in np.flatnonzero(sure):
        centre, area, fwhm = theta[i], theta[n + i], theta[2 * n + i]
        hump = fwhm > max(_HUMP_DEG, 4 * width) and area / fwhm < 0.3 * max(start.height for start in group)
        if not low < centre < high or hump:
            continue
        lines.append(
            Line(
                two_theta_deg=float(centre),
                two_theta_std_deg=float(max(np.sqrt(covariance[i, i]), 0.02 * fwhm, 0.1 * step)),
                area=float(area),
                area_std=float(np.sqrt(covariance[n + i, n + i])),
                fwhm_deg=float(fwhm),
                eta=float(theta[3 * n]),
                d_A=float(spacing_A(centre, radiation.wavelength_A)),
            )
        )
    return lines


def _sure(theta: np.ndarray, area_noise: np.ndarray, n: int) -> np.ndarray:
    """Say which of n fitted lines have an area that stands out of what noise gives at their place and width."""
    area = theta[n : 2 * n]
    return (area > 0) & (area > _KEPT_SIGMA * area_noise)


def _starting_areas(
    x: np.ndarray, y: np.ndarray, s: np.ndarray, group: list[_Start], radiation: Radiation
) -> np.ndarray:
    """Solve for the areas of lines at their starting places and widths, none negative, over a straight base."""
    columns = [line_shape(x, start.angle, start.width, 0.5, radiation) for start in group]
    ramp = (x - x.mean()) / max(np.ptp(x) / 2, 1e-9)
    base = [np.ones_like(x), -np.ones_like(x), ramp, -ramp]
    areas, _ = nnls(np.stack([*columns, *base], axis=1) / s[:, None], y / s)
    least = np.array([max(start.height, 1e-12) * start.width * 0.05 for start in group])
    return np.maximum(areas[: len(group)], least)


def _least_squares_lines(
    x: np.ndarray, y: np.ndarray, s: np.ndarray, group: list[_Start], width: float, radiation: Radiation
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit centres, areas, widths, one eta and a straight base; return parameters, covariance, noise of the areas.

    The noise of an area is its error with places and widths held: what a line must exceed to be there at all.
    """
    n = len(group)
    centres = np.array([start.angle for start in group])
    widths = np.array([start.width for start in group])
    areas = _starting_areas(x, y, s, group, radiation)
    start = np.concatenate([centres, areas, widths, [0.5, 0.0, 0.0]])
    lower = np.concatenate([centres - 0.6 * widths, np.zeros(n), np.full(n, 0.2 * width), [0.0, -np.inf, -np.inf]])
    upper = np.concatenate([centres + 0.6 * widths, np.full(n, np.inf), np.full(n, 8 * width), [1.0, np.inf, np.inf]])
    start[2 * n : 3 * n] = np.clip(widths, 0.21 * width, 7.9 * width)
    ramp = (x - x.mean()) / max(np.ptp(x) / 2, 1e-9)

    def shape(theta: np.ndarray, i: int, centre: float = 0.0, fwhm: float = 0.0, eta: float = 0.0) -> np.ndarray:
        return line_shape(x, theta[i] + centre, theta[2 * n + i] + fwhm, theta[3 * n] + eta, radiation)

    def residual_of(theta: np.ndarray) -> np.ndarray:
        lines = sum(theta[n + i] * shape(theta, i) for i in range(n))
        return (lines + theta[3 * n + 1] + theta[3 * n + 2] * ramp - y) / s

    def jacobian_of(theta: np.ndarray) -> np.ndarray:
        """Differentiate line by line: a parameter moves its own line only."""
        out = np.zeros((len(x), len(theta)))
        step = 1e-5 * width
        for i in range(n):
            here, area = shape(theta, i), theta[n + i]
            out[:, i] = area * (shape(theta, i, centre=step) - here) / step
            out[:, n + i] = here
            out[:, 2 * n + i] = area * (shape(theta, i, fwhm=step) - here) / step
            out[:, 3 * n] += area * (shape(theta, i, eta=1e-4) - here) / 1e-4
        out[:, 3 * n + 1], out[:, 3 * n + 2] = 1.0, ramp
        return out / s[:, None]

    scale = np.concatenate([widths, np.maximum(areas, 1e-12), widths, [1.0], np.full(2, s.mean())])
    fit = least_squares(residual_of, start, jac=jacobian_of, bounds=(lower, upper), x_scale=scale, max_nfev=40)
    freedom = max(len(x) - len(start), 1)
    inflation = max(1.0, float(fit.fun @ fit.fun) / freedom)
    normal = fit.jac.T @ fit.jac
    linear = [*range(n, 2 * n), 3 * n + 1, 3 * n + 2]
    held = np.diag(np.linalg.pinv(normal[np.ix_(linear, linear)]))[:n] * inflation
    return fit.x, np.linalg.pinv(normal) * inflation, np.sqrt(np.maximum(held, 0.0))


def _mark_tube_lines(lines: list[Line], radiation: Radiation) -> list[Line]:
    """Mark lines that a strong line sends through K-beta or W L-alpha of the tube."""
    marked = []
    for line in lines:
        origin = "specimen"
        for parent in lines:
            if parent.area < 12 * line.area:
                continue
            for name, wavelength in radiation.parasitic_A:
                where = float(bragg_two_theta_deg(parent.d_A, wavelength))
                if abs(where - line.two_theta_deg) < 0.08 + 0.35 * line.fwhm_deg:
                    origin = f"{name} of {parent.two_theta_deg:.2f}"
        marked.append(replace(line, origin=origin))
    return marked
