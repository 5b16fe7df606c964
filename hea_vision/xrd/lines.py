"""From a powder pattern to a list of lines: background, noise, line fits, lines of the tube.

Background: statistics-sensitive clipping (SNIP), Ryan et al., Nucl. Instrum. Methods B 34, 396 (1988),
10.1016/0168-583X(88)90063-8, on smoothed data. Exported intensities are rarely counts, so the noise is estimated
from the scan itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from scipy.optimize import least_squares
from scipy.signal import find_peaks, peak_widths

from hea_sim.diffraction.profile import bragg_two_theta_deg, pseudo_voigt, spacing_A
from hea_sim.diffraction.radiation import Radiation
from hea_sim.records import Pattern

#: A line must stand this many standard deviations above the noise of its own width.
_DETECTION_SIGMA = 5.0
#: Distances in points at which differences show the noise.
_NOISE_LAGS = (1, 2, 4, 8, 16)
#: Noise given to computed patterns, relative to the strongest line: diffuse intensity is no set of lines.
COMPUTED_NOISE = 3e-3
#: A detected line is kept if its fitted area, free width and base included, exceeds this many standard deviations.
_KEPT_SIGMA = 2.5


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
    angles, intensity = _trim_edges(pattern)
    noise = estimate_noise(angles, intensity)
    if pattern.metadata.get("synthetic"):
        noise = np.maximum(noise, COMPUTED_NOISE * float(np.ptp(intensity)))
    step = float(np.median(np.diff(angles)))
    width = 0.25
    for _ in range(2):  # the window of the background follows the width of the strongest line
        background = estimate_background(angles, intensity, window_deg=max(2.5, 5 * width))
        width = _strongest_width(angles, intensity - background, noise, step)
    net = intensity - background
    starts = _candidates(angles, net, noise, width, radiation)
    lines, eta = _fit_groups(angles, net, noise, starts, width, radiation)
    lines = _mark_tube_lines(lines, radiation)
    return LineList(
        pattern=pattern,
        radiation=radiation,
        angles=angles,
        intensity=intensity,
        background=background,
        noise=noise,
        lines=tuple(lines),
        eta=eta,
        typical_fwhm_deg=width,
    )


def _trim_edges(pattern: Pattern) -> tuple[np.ndarray, np.ndarray]:
    """Cut a ramp at either end, as the edge of an integrated 2-D frame leaves it."""
    x, y = pattern.two_theta_deg, pattern.intensity
    smooth = uniform_filter1d(y, max(3, len(y) // 400), mode="nearest")
    reach = len(y) // 25
    low, high = np.median(y[reach : 2 * reach]), np.median(y[-2 * reach : -reach])
    first = int(np.argmax(smooth[:reach] > 0.85 * low)) if smooth[0] < 0.85 * low else 0
    tail = smooth[::-1][:reach]
    last = int(np.argmax(tail > 0.85 * high)) if smooth[-1] < 0.85 * high else 0
    stop = len(y) - last
    return x[first:stop], y[first:stop]


def estimate_noise(angles: np.ndarray, intensity: np.ndarray) -> np.ndarray:
    """Estimate the standard deviation of the intensity at every point.

    The variance is taken as proportional to the smoothed intensity; its scale comes from the median difference, between
    the lines, of points a few steps apart, the largest over the lags, because smoothing and resampling correlate
    neighbours.
    """
    level = gaussian_filter1d(intensity, 8, mode="nearest")
    floor = max(float(np.percentile(level, 5)), 1e-3 * float(np.ptp(intensity)), 1e-12)
    level = np.maximum(level, floor)
    quiet = level <= np.percentile(level, 60)  # between the lines
    scales = []
    for lag in _NOISE_LAGS:
        difference = np.abs(intensity[lag:] - intensity[:-lag]) / np.sqrt(level[lag:] + level[:-lag])
        both = quiet[lag:] & quiet[:-lag]
        scales.append(1.4826 * float(np.median(difference[both] if both.sum() > 50 else difference)))
    scale = max(*scales, 1e-6 * np.sqrt(floor))
    return scale * np.sqrt(level)


def estimate_background(angles: np.ndarray, intensity: np.ndarray, *, window_deg: float) -> np.ndarray:
    """Clip lines away with windows that shrink from `window_deg` to one point."""
    step = float(np.median(np.diff(angles)))
    smooth = gaussian_filter1d(intensity, max(1.0, 0.1 / step), mode="nearest")
    offset = float(smooth.min()) - 1.0
    values = np.log(np.log(np.sqrt(smooth - offset + 1) + 1) + 1)
    widest = max(int(window_deg / step), 2)
    for reach in np.unique(np.geomspace(1, widest, 48).astype(int))[::-1]:
        padded = np.pad(values, reach, mode="edge")
        left, right = padded[: -2 * reach], padded[2 * reach :]
        # At the ends the window has one side only; a straight mean with the edge value would clip a slope.
        inside = slice(reach, len(values) - reach)
        mean = 0.5 * (left + right)
        values[inside] = np.minimum(values, mean)[inside]
    result = (np.exp(np.exp(values) - 1) - 1) ** 2 - 1 + offset
    return gaussian_filter1d(result, max(1.0, 0.5 / step), mode="nearest")


def _strongest_width(angles: np.ndarray, net: np.ndarray, noise: np.ndarray, step: float) -> float:
    """Measure the full width at half maximum of the strongest line, in degrees."""
    smooth = gaussian_filter1d(net, max(1.0, 0.03 / step), mode="nearest")
    top = int(np.argmax(smooth / np.sqrt(noise)))
    peaks = np.array([top])
    with np.errstate(all="ignore"):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            width = float(peak_widths(smooth, peaks, rel_height=0.5)[0][0]) * step
    return float(np.clip(width, 3 * step, 4.0))


def _candidates(
    angles: np.ndarray, net: np.ndarray, noise: np.ndarray, width: float, radiation: Radiation
) -> list[tuple[float, float]]:
    """List starting values (angle, height) of lines, without the second halves of K-alpha doublets."""
    step = float(np.median(np.diff(angles)))
    sigma = max(0.8, 0.35 * width / step)
    smooth = gaussian_filter1d(net, sigma, mode="nearest")
    spread = noise / np.sqrt(2 * np.sqrt(np.pi) * sigma)
    # Correlated noise survives smoothing: the lower half of what is left, where no line adds, tells by how much.
    middle, low = np.percentile(smooth / spread, (50, 16))
    spread = spread * max(1.0, float(middle - low))
    peaks, _ = find_peaks(smooth / spread, height=_DETECTION_SIGMA, prominence=_DETECTION_SIGMA - 1)
    found = sorted(((float(angles[p]), float(smooth[p])) for p in peaks), key=lambda item: -item[1])
    kept: list[tuple[float, float]] = []
    for angle, height in found:
        second_half = any(
            abs(angle - _second_line(other, radiation)) < 0.25 * width + 1.5 * step and height < 0.75 * strong
            for other, strong in kept
        )
        if not second_half:
            kept.append((angle, height))
    return sorted(kept)


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


def _fit_groups(
    angles: np.ndarray,
    net: np.ndarray,
    noise: np.ndarray,
    starts: list[tuple[float, float]],
    width: float,
    radiation: Radiation,
) -> tuple[list[Line], float]:
    groups: list[list[tuple[float, float]]] = []
    for start in starts:
        if groups and start[0] - groups[-1][-1][0] < 3.5 * width + 0.3 and len(groups[-1]) < 8:
            groups[-1].append(start)
        else:
            groups.append([start])
    lines: list[Line] = []
    etas, weights = [], []
    for group in groups:
        found, eta = _fit_group(angles, net, noise, group, width, radiation)
        lines += found
        etas.append(eta)
        weights.append(sum(line.area for line in found) or 1e-12)
    eta = float(np.average(etas, weights=weights)) if etas else 0.5
    return sorted(lines, key=lambda line: line.two_theta_deg), eta


def _fit_group(
    angles: np.ndarray,
    net: np.ndarray,
    noise: np.ndarray,
    group: list[tuple[float, float]],
    width: float,
    radiation: Radiation,
) -> tuple[list[Line], float]:
    """Fit neighbouring lines together; add a line where the rest still shows one."""
    step = float(np.median(np.diff(angles)))
    low, high = group[0][0] - 3 * width - 0.2, group[-1][0] + 3.5 * width + 0.2
    inside = slice(*np.searchsorted(angles, (low, high)))
    x, y, s = angles[inside], net[inside], noise[inside]
    if len(x) < 6:
        return [], 0.5
    for attempt in range(4):
        theta, residual, covariance = _least_squares_lines(x, y, s, group, width, radiation)
        smooth = gaussian_filter1d(residual, max(0.8, 0.35 * width / step), mode="nearest")
        excess = smooth * np.sqrt(2 * np.sqrt(np.pi) * max(0.8, 0.35 * width / step))
        top = int(np.argmax(excess))
        strongest = max(h for _, h in group)
        if attempt == 3 or excess[top] < 7 or smooth[top] * s[top] < 0.06 * strongest or len(group) >= 10:
            break
        if min(abs(x[top] - a) for a, _ in group) < 0.45 * width:
            break
        group = sorted([*group, (float(x[top]), float(smooth[top] * s[top]))])
    sure = _sure(theta, covariance, len(group))
    if 0 < sure.sum() < len(group):  # what a doubtful line had taken belongs to its neighbours
        group = [start for start, keep in zip(group, sure) if keep]
        theta, residual, covariance = _least_squares_lines(x, y, s, group, width, radiation)
        sure = _sure(theta, covariance, len(group))
    n = len(group)
    lines = []
    for i in np.flatnonzero(sure):
        centre, area, fwhm = theta[i], theta[n + i], theta[2 * n + i]
        if not low < centre < high:
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
    return lines, float(theta[3 * n])


def _sure(theta: np.ndarray, covariance: np.ndarray, n: int) -> np.ndarray:
    """Say which of n fitted lines have an area that stands out of its error."""
    area = theta[n : 2 * n]
    return (area > 0) & (area > _KEPT_SIGMA * np.sqrt(np.diag(covariance)[n : 2 * n]))


def _least_squares_lines(
    x: np.ndarray, y: np.ndarray, s: np.ndarray, group: list[tuple[float, float]], width: float, radiation: Radiation
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit centres, areas, widths, one eta and a straight base; return parameters, residual/noise, covariance."""
    n = len(group)
    centres = np.array([a for a, _ in group])
    areas = np.array([max(h, 1e-12) * width * 1.2 for _, h in group])
    start = np.concatenate([centres, areas, np.full(n, width), [0.5, 0.0, 0.0]])
    lower = np.concatenate([centres - 0.6 * width, np.zeros(n), np.full(n, 0.3 * width), [0.0, -np.inf, -np.inf]])
    upper = np.concatenate([centres + 0.6 * width, np.full(n, np.inf), np.full(n, 3.5 * width), [1.0, np.inf, np.inf]])
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

    scale = np.concatenate(
        [np.full(n, width), np.maximum(areas, 1e-12), np.full(n, width), [1.0], np.full(2, s.mean())]
    )
    fit = least_squares(residual_of, start, jac=jacobian_of, bounds=(lower, upper), x_scale=scale, max_nfev=40)
    residual = -fit.fun
    freedom = max(len(x) - len(start), 1)
    inflation = max(1.0, float(fit.fun @ fit.fun) / freedom)
    covariance = np.linalg.pinv(fit.jac.T @ fit.jac) * inflation
    return fit.x, residual, covariance


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
