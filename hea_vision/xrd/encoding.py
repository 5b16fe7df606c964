"""A powder pattern as the network sees it: on a grid of ln q, freed of what wavelength and geometry do.

On ln q a lattice that swells moves its lines together by one and the same step, so a convolution sees the same
structure type whatever its lattice parameter. Intensities are divided by the Lorentz-polarisation factor and by the
squared form factor of iron with a common Debye-Waller factor, and counted per step of ln q.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from hea_sim.diffraction.profile import lorentz_polarisation
from hea_sim.diffraction.radiation import Radiation
from hea_sim.diffraction.scattering import form_factor
from hea_sim.errors import InputError
from hea_vision.xrd.lines import LineList
from hea_vision.xrd.volumes import METAL_LOG_VOLUME

#: Grid of the natural logarithm of q = 2 pi / d, q in 1/A: d from 7.0 A to 0.6 A.
GRID_POINTS = 2048
LN_Q = np.linspace(np.log(2 * np.pi / 7.0), np.log(2 * np.pi / 0.6), GRID_POINTS)
STEP = float(LN_Q[1] - LN_Q[0])
CHANNELS = ("root intensity", "significance", "measured")
SCALARS = ("ln wavelength", "ln step", "ln noise", "volume known", "ln volume", "volume std")
_COMMON_B_A2 = 0.5
#: Angles 2 theta that are read, degrees: at 0 ln q and at 0 and 180 the Lorentz factor are infinite.
_READ_DEG = (0.2, 179.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedPattern:
    """Hold the arrays of one pattern: `channels` (3, GRID_POINTS), `scalars` (6,), both float32."""

    channels: np.ndarray
    scalars: np.ndarray


def encode_pattern(
    angles: np.ndarray,
    intensity: np.ndarray,
    background: np.ndarray,
    noise: np.ndarray,
    radiation: Radiation,
    *,
    log_volume: tuple[float, float] | None = None,
) -> EncodedPattern:
    """Put a pattern on the grid; points below 2 theta = 0.2 degrees and above 179 are left out.

    Parameters
    ----------
    angles, intensity, background, noise
        (n,) each, 2 theta in degrees and the intensity's unit.
    log_volume
        Mean and std of the logarithm of the volume per atom in A^3 that the elements give; None where unknown.

    Raises
    ------
    InputError
        Where fewer than two points are left.
    """
    read = (angles >= _READ_DEG[0]) & (angles <= _READ_DEG[1])
    if read.sum() < 2:
        raise InputError(
            f"the pattern has {read.sum()} points between 2 theta = {_READ_DEG[0]:g} and {_READ_DEG[1]:g} degrees;"
            " wanted two or more; give a finer scan"
        )
    angles, intensity, background, noise = (values[read] for values in (angles, intensity, background, noise))
    theta = np.radians(angles) / 2
    q = 4 * np.pi * np.sin(theta) / radiation.wavelength_A
    s = np.sin(theta) / radiation.wavelength_A
    powder = (
        lorentz_polarisation(angles) * form_factor("Fe", np.minimum(s, 5.9)) ** 2 * np.exp(-2 * _COMMON_B_A2 * s**2)
    )
    net = intensity - background
    step = float(np.median(np.diff(angles)))
    # Noise of a line: what remains after a filter of about its width.
    points = max(0.08 / step, 1.0)
    smooth = gaussian_filter1d(net, points, mode="nearest")
    spread = noise / np.sqrt(2 * np.sqrt(np.pi) * points)
    density = net * np.tan(theta) / powder  # d(2 theta) = 2 tan(theta) d(ln q), the factor 2 dropped
    on_grid, measured = _bin_means(np.log(q), np.stack([density, smooth / spread]))
    seen = measured & (on_grid[1] > 4)
    top = float(on_grid[0][seen].max()) if seen.any() else max(float(on_grid[0].max()), 1e-12)
    channels = np.stack(
        [
            np.sqrt(np.clip(on_grid[0] / top, 0, 1)),
            np.arcsinh(np.clip(on_grid[1], -5, 1e4)) / 6,
            measured.astype(float),
        ]
    )
    mean, std = log_volume or METAL_LOG_VOLUME
    scalars = np.array(
        [
            np.log(radiation.wavelength_A),
            np.log(step),
            np.log(max(float(np.median(noise)) / max(float(net.max()), 1e-12), 1e-6)),
            float(log_volume is not None),
            mean,
            std,
        ]
    )
    return EncodedPattern(channels=(channels * measured).astype(np.float32), scalars=scalars.astype(np.float32))


def encode_lines(lines: LineList, *, log_volume: tuple[float, float] | None = None) -> EncodedPattern:
    """Encode the scan of a line list, as it stood before any line was known.

    Training and use differ in two things. The window of the background is five times the width of the lines, which
    training takes from the specimen that it has drawn and this from the strongest line measured; and training keeps the
    ends of a scan, where this cuts off a ramp.
    """
    scan = lines.scan
    return encode_pattern(
        scan.angles, scan.intensity, scan.background, scan.noise, lines.radiation, log_volume=log_volume
    )


def _bin_means(ln_q: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average values (c, n) over the steps of the grid by their running integral; say which steps were measured."""
    widths = np.diff(ln_q)
    running = np.concatenate(
        [np.zeros((len(values), 1)), np.cumsum(0.5 * (values[:, 1:] + values[:, :-1]) * widths, axis=1)], axis=1
    )
    edges = np.concatenate([LN_Q - STEP / 2, [LN_Q[-1] + STEP / 2]])
    inside = np.clip(edges, ln_q[0], ln_q[-1])
    integral = np.stack([np.interp(inside, ln_q, row) for row in running])
    measured = (edges[:-1] >= ln_q[0]) & (edges[1:] <= ln_q[-1])
    return np.diff(integral, axis=1) / STEP * measured, measured
