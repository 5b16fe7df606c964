"""A scan made ready: ends trimmed, noise and background estimated, the width of its strongest line.

Background: statistics-sensitive clipping (SNIP), Ryan et al., Nucl. Instrum. Methods B 34, 396 (1988),
10.1016/0168-583X(88)90063-8, on smoothed data. Exported intensities are rarely counts, so the noise is estimated
from the scan itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from scipy.stats import norm

from hea_sim.records import Pattern

#: Distances in points at which differences show the noise.
_NOISE_LAGS = (1, 2, 4, 8, 16)
_CORRELATION_LAGS = (1, 2, 4, 8, 16, 32)
#: Window within which the background is followed at least, degrees.
_LEAST_WINDOW_DEG = 2.5
#: What is so many times as wide as the strongest line is background.
_BROAD = 8.0
#: Width of the broadest line that counts as one, degrees.
_WIDEST_LINE_DEG = 4.0
#: A line whose width is measured stands out of the noise by so many standard deviations.
_CLEAR_SIGMA = 15.0
#: Correlation below which, at this lag and beyond, points count as independent.
_LEAST_CORRELATION = 0.1
#: Growth of differences from one step to two that white noise of n points hardly exceeds, times the root of n.
_WHITE_GROWTH = 5.0
#: Part of the differences that lines which are not known yet do not reach.
_SMALLER_PART = 0.4
#: Neighbouring points that lie this many steps apart have a gap between them.
_GAP_STEPS = 5.0
#: Noise given to computed patterns, relative to the strongest line: diffuse intensity is no set of lines.
COMPUTED_NOISE = 3e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedScan:
    """Hold a scan with what stands under its lines, arrays (n,), and the width of its strongest line.

    `computed` says that the scan was simulated without noise.
    """

    angles: np.ndarray
    intensity: np.ndarray
    background: np.ndarray
    noise: np.ndarray
    typical_fwhm_deg: float
    computed: bool = False

    @property
    def gaps_deg(self) -> np.ndarray:
        """List the stretches inside the scan that were not measured, (gaps, 2) degrees."""
        steps = np.diff(self.angles)
        wide = np.flatnonzero(steps > _GAP_STEPS * np.median(steps))
        return np.stack([self.angles[wide], self.angles[wide + 1]], axis=1)


def prepare_scan(pattern: Pattern) -> PreparedScan:
    """Trim a scan and estimate its noise and background."""
    angles, intensity = _trim_edges(pattern)
    noise = estimate_noise(angles, intensity)
    computed = bool(pattern.metadata.get("synthetic"))
    if computed:
        noise = np.maximum(noise, COMPUTED_NOISE * float(np.ptp(intensity)))
    step = float(np.median(np.diff(angles)))
    width = 0.25
    for _ in range(2):  # the window of the background follows the width of the strongest line
        background = estimate_background(angles, intensity, window_deg=max(_LEAST_WINDOW_DEG, 5 * width))
        width = _strongest_width(angles, intensity - background, noise, step)
    return PreparedScan(
        angles=angles,
        intensity=intensity,
        background=background,
        noise=noise,
        typical_fwhm_deg=width,
        computed=computed,
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
    level = _smooth_level(intensity)
    quiet = level <= np.percentile(level, 60)  # between the lines
    return _noise_scales(intensity, level, quiet).max() * np.sqrt(level)


def noise_between_lines(scan: PreparedScan, rest: np.ndarray, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the noise (n,) and its correlation over lags from what background and `lines` (n,) leave of a scan.

    Where a line stands its model may err by more than the noise; such points are left out while enough others remain.
    Smoothing and resampling correlate neighbours: differences then grow from the first lag to the second. Lines that
    are not known yet let them grow at large lags only; such noise is white.
    """
    if scan.computed:
        return scan.noise, np.ones(1)
    level = _smooth_level(scan.intensity)
    quiet = (lines < scan.noise) & (level <= np.percentile(level, 100 if lines.any() else 60))
    quiet = quiet if quiet.mean() > 0.1 else np.ones(len(level), bool)
    scales = _quiet_scales(rest, level, quiet)
    if scales[1] < (1 + _WHITE_GROWTH / np.sqrt(quiet.sum())) * scales[0]:
        return float(scales[:2].mean()) * np.sqrt(level), np.ones(1)
    correlation = 1 - (scales / scales.max()) ** 2
    correlation = np.where(np.minimum.accumulate(correlation) > _LEAST_CORRELATION, correlation, 0.0)
    lags = np.arange(_CORRELATION_LAGS[-1] + 1)
    return float(scales.max()) * np.sqrt(level), np.interp(lags, (0, *_CORRELATION_LAGS), (1.0, *correlation))


def background_between_lines(scan: PreparedScan, lines: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Follow what `lines` (n,) leave of a scan by straight pieces far broader than a line, (n,).

    Clipping cuts into a hump that is a few of its windows wide; this does not. Points under strong lines hardly count.
    """
    step = float(np.median(np.diff(scan.angles)))
    sigma = max(_LEAST_WINDOW_DEG, _BROAD * scan.typical_fwhm_deg) / 2.355 / step
    weight = 1 / (1 + (0.2 * lines / noise) ** 2)
    x, y = scan.angles - scan.angles.mean(), scan.intensity - lines
    moments = [
        gaussian_filter1d(weight * v, sigma, mode="constant", truncate=3.0)
        for v in (np.ones_like(x), x, x * x, y, x * y)
    ]
    mean, square, level, slope = (m / moments[0] for m in moments[1:])
    spread = np.maximum(square - mean**2, (0.2 * sigma * step) ** 2)
    return level + (slope - mean * level) / spread * (x - mean)


def _smooth_level(intensity: np.ndarray) -> np.ndarray:
    level = gaussian_filter1d(intensity, 8, mode="nearest")
    return np.maximum(level, max(float(np.percentile(level, 5)), 1e-3 * float(np.ptp(intensity)), 1e-12))


def _noise_scales(values: np.ndarray, level: np.ndarray, quiet: np.ndarray) -> np.ndarray:
    """Divide the median difference of `quiet` points by the root of the level, for every lag."""
    scales = [1.4826 * float(np.median(_differences(values, level, quiet, lag))) for lag in _NOISE_LAGS]
    return np.maximum(scales, 1e-6 * float(np.sqrt(level.min())))


def _quiet_scales(values: np.ndarray, level: np.ndarray, quiet: np.ndarray) -> np.ndarray:
    """Do the same with the mean of the smaller part of the differences.

    Lines that are not known yet make differences larger, not smaller; and a mean sees no steps where counts are few.
    """
    edge = norm.ppf(0.5 + _SMALLER_PART / 2)
    usual = 2 * (norm.pdf(0) - norm.pdf(edge)) / _SMALLER_PART
    scales = []
    for lag in _CORRELATION_LAGS:
        differences = np.sort(_differences(values, level, quiet, lag))
        scales.append(float(differences[: max(int(_SMALLER_PART * len(differences)), 1)].mean()) / usual)
    return np.maximum(scales, 1e-6 * float(np.sqrt(level.min())))


def _differences(values: np.ndarray, level: np.ndarray, quiet: np.ndarray, lag: int) -> np.ndarray:
    """List differences of points `lag` steps apart in roots of the level, between quiet points if there are enough."""
    difference = np.abs(values[lag:] - values[:-lag]) / np.sqrt(level[lag:] + level[:-lag])
    both = quiet[lag:] & quiet[:-lag]
    return difference[both] if both.sum() > 50 else difference


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
    """Measure the full width at half maximum of the strongest line, in degrees.

    The scan is smoothed no more than it takes for that line to stand clear of the noise.
    """
    for sigma in np.geomspace(1.0, max(_WIDEST_LINE_DEG / step / 2.355, 2.0), 9):
        curve = gaussian_filter1d(net, sigma, mode="nearest")
        clear = float((curve / noise).max()) * np.sqrt(2 * np.sqrt(np.pi) * sigma)
        if clear > _CLEAR_SIGMA:
            break
    top = int(np.argmax(curve / noise))
    below = np.flatnonzero(curve < curve[top] / 2)
    left = below[below < top].max(initial=0)
    right = below[below > top].min(initial=len(curve) - 1)
    squared = ((right - left - 1) * step) ** 2 - (2.355 * float(sigma) * step) ** 2
    return float(np.clip(np.sqrt(max(squared, 0.0)), 3 * step, _WIDEST_LINE_DEG))
