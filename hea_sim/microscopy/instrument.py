"""The scanning electron microscope: what it does to the grey levels of a scene.

The truth is never touched, so shading, blur, noise, drift and charging change the picture alone. Order of effects:
contrast inversion and gamma, shading, curtaining, charging, blur, drift and vibration of the scan, counting noise,
detector and scan-line noise, gain and offset with clipping, 8-bit steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hea_sim.microscopy.noise_fields import smooth_noise
from hea_sim.microscopy.ranges import LONGEST_PX, check_ranges


@dataclass(frozen=True, kw_only=True)
class SemInstrument:
    """Hold the knobs of one exposure; lengths in pixels, amplitudes relative to full scale.

    `counts_per_pixel` are electrons counted at full scale: the noise of a grey level g is sqrt(g / counts_per_pixel).
    `noise_px` above 0 correlates the noise along the scan, as a slow detector or later enlargement does.
    """

    inverted: bool = False
    gamma: float = 1.0
    shading: float = 0.05
    shading_px: float = 500.0
    curtaining: float = 0.0
    curtain_px: float = 4.0
    charging: float = 0.0
    blur_px: float = 0.8
    astigmatism: float = 0.0
    drift_px: float = 0.0
    vibration_px: float = 0.0
    counts_per_pixel: float = 400.0
    detector_noise: float = 0.005
    noise_px: float = 0.0
    scan_line_noise: float = 0.003
    gain: float = 1.0
    offset: float = 0.0
    grey_levels: int = 256

    def __post_init__(self) -> None:
        check_ranges(
            "instrument",
            self,
            gamma=(0.05, 20),
            shading=(0, 2),
            shading_px=(2, LONGEST_PX),
            curtaining=(0, 2),
            curtain_px=(0, LONGEST_PX),
            charging=(0, 5),
            blur_px=(0, 200),
            astigmatism=(0, 1),
            drift_px=(0, LONGEST_PX),
            vibration_px=(0, LONGEST_PX),
            counts_per_pixel=(1, 1e12),
            detector_noise=(0, 2),
            noise_px=(0, 200),
            scan_line_noise=(0, 2),
            gain=(0, 100),
            offset=(-5, 5),
            grey_levels=(2, 2**24),
        )


def photograph(reflectance: np.ndarray, instrument: SemInstrument, rng: np.random.Generator) -> np.ndarray:
    """Take a picture of a scene: (rows, columns) float32 in 0..1."""
    t = instrument
    seen = np.array(reflectance, np.float32)
    shape = (seen.shape[0], seen.shape[1])
    if t.inverted:
        seen = 1.0 - seen
    if t.gamma != 1.0:
        seen = np.clip(seen, 0, None) ** np.float32(t.gamma)
    if t.shading:
        seen *= 1 + t.shading * smooth_noise(rng, shape, t.shading_px)
    if t.curtaining:
        seen *= 1 + t.curtaining * _curtains(rng, shape, t.curtain_px)
    if t.charging:
        seen += t.charging * _charging(seen, rng)
    if t.blur_px:
        narrow = t.blur_px * (1 - t.astigmatism)
        seen = ndimage.gaussian_filter(seen, (t.blur_px, narrow) if rng.random() < 0.5 else (narrow, t.blur_px))
    if t.drift_px or t.vibration_px:
        seen = _scan_errors(seen, t, rng)
    seen = seen + _noise(seen, t, rng)
    seen = np.clip(t.gain * (seen - 0.5) + 0.5 + t.offset, 0, 1)
    steps = np.float32(t.grey_levels - 1)
    return np.round(seen * steps).astype(np.float32) / steps


def _noise(seen: np.ndarray, t: SemInstrument, rng: np.random.Generator) -> np.ndarray:
    white = rng.standard_normal(seen.shape, dtype=np.float32)
    if t.noise_px > 0:
        white = ndimage.gaussian_filter(white, (0.5 * t.noise_px, t.noise_px))
        white /= max(float(white.std()), 1e-6)
    std = np.sqrt(np.maximum(seen, 0.02) / np.float32(t.counts_per_pixel) + np.float32(t.detector_noise) ** 2)
    lines = t.scan_line_noise * rng.standard_normal((seen.shape[0], 1), dtype=np.float32)
    return std * white + lines


def _curtains(rng: np.random.Generator, shape: tuple[int, int], width_px: float) -> np.ndarray:
    """Draw the stripes that an ion beam leaves, along the columns."""
    profile = ndimage.gaussian_filter1d(rng.standard_normal(shape[1]), max(width_px, 0.5))
    profile /= max(float(profile.std()), 1e-6)
    return (profile[None, :] * (1 + 0.3 * rng.standard_normal((shape[0], 1)).cumsum(0) / np.sqrt(shape[0]))).astype(
        np.float32
    )


def _charging(seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw bright tails along the scan behind some places that keep their charge."""
    tails = np.zeros_like(seen)
    rows, columns = seen.shape
    for _ in range(int(rng.integers(2, 14))):
        row, column = int(rng.integers(rows)), int(rng.integers(columns))
        length, thick = rng.uniform(0.1, 0.8) * columns, int(rng.integers(1, 5))
        tail = np.exp(-np.arange(columns - column) / length) * rng.uniform(0.3, 1.0)
        tails[row : row + thick, column:] += tail.astype(np.float32)
    return tails


def _scan_errors(seen: np.ndarray, t: SemInstrument, rng: np.random.Generator) -> np.ndarray:
    """Shift every line of the scan along itself: slow drift and fast vibration."""
    rows, columns = seen.shape
    drift = t.drift_px * np.cumsum(rng.standard_normal(rows)) / np.sqrt(rows)
    shift = drift - drift.mean() + t.vibration_px * rng.standard_normal(rows)
    place = np.clip(np.arange(columns)[None, :] + shift[:, None], 0, columns - 1.001).astype(np.float32)
    low = place.astype(np.int64)
    part = place - low
    here = np.arange(rows)[:, None]
    return np.asarray(seen[here, low] * (1 - part) + seen[here, low + 1] * part, np.float32)


def draw_instrument(rng: np.random.Generator) -> SemInstrument:
    """Draw an exposure from the range of real ones: clean back-scatter pictures to fast, noisy, badly lit scans."""

    def sometimes(chance: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < chance else 0.0

    return SemInstrument(
        inverted=bool(rng.random() < 0.12),
        gamma=float(np.exp(0.2 * rng.standard_normal())),
        shading=float(rng.uniform(0, 0.12)) * (rng.random() < 0.7),
        shading_px=float(rng.uniform(200, 1500)),
        curtaining=sometimes(0.15, 0.01, 0.05),
        curtain_px=float(rng.uniform(1, 12)),
        charging=sometimes(0.08, 0.02, 0.2),
        blur_px=float(rng.uniform(0.3, 1.8)),
        astigmatism=sometimes(0.2, 0.1, 0.5),
        drift_px=sometimes(0.2, 0.5, 6),
        vibration_px=sometimes(0.2, 0.1, 0.6),
        counts_per_pixel=float(np.exp(rng.uniform(np.log(30), np.log(3000)))),
        detector_noise=float(rng.uniform(0, 0.03)),
        noise_px=sometimes(0.4, 0.3, 1.2),
        scan_line_noise=float(rng.uniform(0, 0.012)) * (rng.random() < 0.6) + sometimes(0.08, 0.0, 0.03),
        gain=float(rng.uniform(0.7, 1.6)),
        offset=float(rng.uniform(-0.12, 0.15)),
        grey_levels=int(rng.choice([32, 64, 128, 256])) if rng.random() < 0.3 else 256,
    )
