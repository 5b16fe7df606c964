"""A scan made ready: ends trimmed, noise and background estimated, the width of its strongest line.

Background: statistics-sensitive clipping (SNIP), Ryan et al., Nucl. Instrum. Methods B 34, 396 (1988),
10.1016/0168-583X(88)90063-8, on smoothed data. Exported intensities are rarely counts, so the noise is estimated
from the scan itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from scipy.signal import peak_widths

from hea_sim.records import Pattern

#: Distances in points at which differences show the noise.
_NOISE_LAGS = (1, 2, 4, 8, 16)
#: Noise given to computed patterns, relative to the strongest line: diffuse intensity is no set of lines.
COMPUTED_NOISE = 3e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedScan:
    """Hold a scan with what stands under its lines, arrays (n,), and the width of its strongest line."""

    angles: np.ndarray
    intensity: np.ndarray
    background: np.ndarray
    noise: np.ndarray
    typical_fwhm_deg: float


def prepare_scan(pattern: Pattern) -> PreparedScan:
    """Trim a scan and estimate its noise and background."""
    angles, intensity = _trim_edges(pattern)
    noise = estimate_noise(angles, intensity)
    if pattern.metadata.get("synthetic"):
        noise = np.maximum(noise, COMPUTED_NOISE * float(np.ptp(intensity)))
    step = float(np.median(np.diff(angles)))
    width = 0.25
    for _ in range(2):  # the window of the background follows the width of the strongest line
        background = estimate_background(angles, intensity, window_deg=max(2.5, 5 * width))
        width = _strongest_width(angles, intensity - background, noise, step)
    return PreparedScan(angles=angles, intensity=intensity, background=background, noise=noise, typical_fwhm_deg=width)


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
