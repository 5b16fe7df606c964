"""The distance between segregation maxima (dendrite arms along a line) from the autocorrelation of the composition."""

from __future__ import annotations

import numpy as np

from hea_sim.records import Estimate
from hea_vision.measurement.intervals import with_interval
from hea_vision.measurement.noise_separation import Covariances, radial_profile

#: How many standard errors a repeat in the autocorrelation must stand above zero.
_SIGNIFICANT = 2.5
#: Shortest repeat in steps; below it segregation cannot be told from noise.
_SHORTEST = 6


def arm_spacing(parted: Covariances, step_um: float | None) -> tuple[Estimate | None, list[str]]:
    """Find the first repeat of the autocorrelation; where there is none, say so and over what length it decays.

    The error follows from how fast the repeat fades: where spacings scatter by a share f, the first repeat is lower by
    exp(-2 pi^2 f^2), and m spacings give their mean within f / sqrt(m).

    Parameters
    ----------
    parted
        Of one line or map; lags up to half of it are searched.
    step_um
        Distance of points; without it no length is given, and the notes speak of points.
    """
    rho = parted.autocorrelation
    if rho is None or len(rho) <= _SHORTEST:
        return None, ["no length of segregation: nothing is above the noise, or the stretch is too short"]
    length = 2 * len(rho)
    profile = radial_profile(rho) * length / (length - np.arange(len(rho)))  # every lag by its own number of pairs
    unit, scale = ("µm", step_um) if step_um is not None else ("points", 1.0)
    decay = np.flatnonzero(profile <= np.exp(-1.0))
    falls = (
        f"the autocorrelation falls to 1/e over {scale * decay[0]:.3g} {unit}" if decay.size else "it does not decay"
    )
    error = _error_of_far_lags(rho, profile, parted.n_points)
    repeat = _first_repeat(profile)
    if repeat is None or profile[round(repeat)] < _SIGNIFICANT * error:
        return None, [f"no repeat distance of segregation is resolved up to {scale * len(rho):.3g} {unit}; {falls}"]
    scatter = np.sqrt(max(-np.log(min(profile[round(repeat)], 1.0)), 0.0) / (2.0 * np.pi**2))
    std = float(np.hypot(repeat * scatter / np.sqrt(length / repeat), 0.29))
    if step_um is None:
        return None, [f"segregation repeats every {repeat:.1f} ± {std:.1f} points; the distance of points is not known"]
    spacings = length / repeat
    method = f"first repeat of the autocorrelation, {spacings:.1f} spacings long; Student's t over these"
    freedom = max(spacings - 1.0, 1.0)
    return with_interval(step_um * repeat, step_um * std, freedom, unit="um", method=method, n=None), [falls]


def _error_of_far_lags(rho: np.ndarray, profile: np.ndarray, n_points: int) -> float:
    """Compute the standard error of the autocorrelation, had it no part beyond its first zero (Bartlett 1946)."""
    near = profile[1 : int(np.argmax(profile <= 0.0)) or len(profile)]
    radius = np.arange(1, len(near) + 1)
    reach = 1.0 + float(np.sum((2.0 if rho.ndim == 1 else 2.0 * np.pi * radius) * near**2))
    return float(np.sqrt(reach / n_points))


def _first_repeat(profile: np.ndarray) -> float | None:
    """Find the first maximum behind the first zero, to parts of a step."""
    zero = np.flatnonzero(profile <= 0.0)
    if not zero.size:
        return None
    back = np.flatnonzero(profile[zero[0] :] > 0.0)
    if not back.size:
        return None
    start = int(zero[0] + back[0])
    again = np.flatnonzero(profile[start:] <= 0.0)
    stop = int(start + again[0]) if again.size else len(profile)
    top = start + int(np.argmax(profile[start:stop]))
    if top < _SHORTEST or top >= len(profile) - 1:
        return None
    left, mid, right = profile[top - 1 : top + 2]
    bend = left - 2.0 * mid + right
    return float(top + (0.5 * (left - right) / bend if bend < 0 else 0.0))
