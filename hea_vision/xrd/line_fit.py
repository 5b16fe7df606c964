"""Fit neighbouring lines together: places, areas, widths over a straight base; keep those that stand out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares, nnls

from hea_sim.diffraction.profile import bragg_two_theta_deg, pseudo_voigt, spacing_A
from hea_sim.diffraction.radiation import Radiation

#: Share of a line's height that a wrong profile may leave behind.
PROFILE_ERROR = 0.03
#: What is wider than this (and than four typical lines) beside a stronger line is a tail or a hump, degrees.
_HUMP_DEG = 1.8
#: A detected line is kept if its fitted area exceeds the noise of an area at its place and width so many times.
_KEPT_SIGMA = 4.5
#: Mean square misfit, in units of noise and profile error, beyond which a line is taken for two.
_TWO_LINES_MISFIT = 2.0
#: Share of that misfit that two lines must take away.
_TWO_LINES_GAIN = 0.5
#: Two lines closer than this share of the finer one's width are one.
_APART = 0.3
#: Axial divergence and the like make lines lean by no more than this.
_MOST_SKEW = 0.4
#: Lines of one group that may turn out to be two.
_SPLITS = 3


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
    skew: float = 0.0
    origin: str = "specimen"

    def curve(self, angles: np.ndarray, radiation: Radiation) -> np.ndarray:
        """Compute the line at angles (n,)."""
        return self.area * line_shape(angles, self.two_theta_deg, self.fwhm_deg, self.eta, radiation, self.skew)


@dataclass(frozen=True, kw_only=True)
class LineStart:
    """Hold the starting values of one line; `known` is its number among the lines of the round before, else -1."""

    angle: float
    height: float
    width: float
    known: int = -1


def line_shape(
    angles: np.ndarray, centre: float, fwhm: float, eta: float, radiation: Radiation, skew: float = 0.0
) -> np.ndarray:
    """Compute a line of unit area over all wavelengths of the radiation.

    With a `skew` the half at lower angles is wider by 1 + skew and the other narrower by 1 - skew.
    """
    total = sum(weight for _, weight in radiation.lines)
    spacing = spacing_A(centre, radiation.wavelength_A)
    out = np.zeros_like(angles)
    for wavelength, weight in radiation.lines:
        position = float(bragg_two_theta_deg(spacing, wavelength))
        if np.isfinite(position):
            offset = angles - position
            out += weight / total * pseudo_voigt(offset / np.where(offset < 0, 1 + skew, 1 - skew), fwhm, eta)
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class _GroupFit:
    """Hold fitted lines of one window: `centre`, `area`, `fwhm` (n,) with errors, one `eta` and one `skew`.

    `area_noise` (n,) is the error of an area with places and widths held: what a line must exceed to be there at all;
    `misfit` (n,) the mean square residual about each line in units of noise and profile error, `points` (n,) of how
    many; `cost` the sum over the window.
    """

    group: list[LineStart]
    centre: np.ndarray
    centre_std: np.ndarray
    area: np.ndarray
    area_std: np.ndarray
    area_noise: np.ndarray
    fwhm: np.ndarray
    eta: float
    skew: float
    misfit: np.ndarray
    points: np.ndarray
    cost: float

    @property
    def sure(self) -> np.ndarray:
        """Say which lines have an area that stands out of what noise gives at their place and width."""
        return (self.area > 0) & (self.area > _KEPT_SIGMA * self.area_noise)


def fit_group(
    angles: np.ndarray,
    net: np.ndarray,
    noise: np.ndarray,
    group: list[LineStart],
    width: float,
    radiation: Radiation,
    *,
    limits: tuple[float, float],
    resolution_deg: float = 0.0,
) -> list[Line]:
    """Fit neighbouring lines together; lines that do not stand out of their error are dropped.

    `net` (n,) is the intensity above the background, `width` that of the scan's strongest line in degrees; the window
    of the fit does not reach beyond `limits`. Lines closer than `resolution_deg` are not told apart.
    """
    for attempt in range(2):
        window = _window(angles, group, width, limits)
        x, y, s = angles[window], net[window], noise[window]
        if len(x) < 6:
            return []
        fit = _least_squares_lines(x, y, s, group, width, radiation)
        if attempt or all(found < 1.8 * start.width for found, start in zip(fit.fwhm, group)):
            break
        # A line that is broader than thought needs a wider window to be told from its base.
        group = [replace(start, width=max(start.width, float(found))) for start, found in zip(group, fit.fwhm)]
    for _ in range(_SPLITS):
        split = _split_worst(x, y, s, fit, width, radiation, resolution_deg)
        if split is None:
            break
        fit = split
    while len(fit.group) > 1 and (doubtful := _most_doubtful(fit)) is not None:
        # What a doubtful line had taken belongs to its neighbours.
        kept = [start for i, start in enumerate(fit.group) if i != doubtful]
        fit = _least_squares_lines(x, y, s, kept, width, radiation)
    return _lines_of(fit, x, width, radiation)


def _most_doubtful(fit: _GroupFit) -> int | None:
    """Find the line that has least reason to be there, drowned in noise or one with its neighbour; None where all have.

    Of two lines that share their intensity in many ways neither area is sure, although the sum is.
    """
    apart = np.abs(fit.centre[:, None] - fit.centre) + np.where(np.eye(len(fit.centre), dtype=bool), np.inf, 0.0)
    shared = (apart < 0.7 * np.maximum(fit.fwhm[:, None], fit.fwhm)).any(axis=1)
    certainty = fit.area / np.maximum(fit.area_noise, 1e-300)
    certainty = np.where(shared, np.minimum(certainty, 1.5 * fit.area / np.maximum(fit.area_std, 1e-300)), certainty)
    same = apart < _APART * np.minimum(fit.fwhm[:, None], fit.fwhm)
    certainty[(same & (fit.area[:, None] <= fit.area)).any(axis=1)] = 0.0
    least = int(np.argmin(certainty))
    return least if certainty[least] < _KEPT_SIGMA else None


def _window(angles: np.ndarray, group: list[LineStart], width: float, limits: tuple[float, float]) -> slice:
    reach = max(3 * x.width for x in group) + 0.2
    low = min(max(group[0].angle - reach, limits[0]), group[0].angle - group[0].width)
    high = max(min(group[-1].angle + reach + 0.5 * width, limits[1]), group[-1].angle + group[-1].width)
    first, last = np.searchsorted(angles, (low, high))
    return slice(int(first), int(last))


def _lines_of(fit: _GroupFit, x: np.ndarray, width: float, radiation: Radiation) -> list[Line]:
    step = float(np.median(np.diff(x)))
    lines = []
    for i in np.flatnonzero(fit.sure & ~_humps(fit, width)):
        if not x[0] < fit.centre[i] < x[-1]:
            continue
        lines.append(
            Line(
                two_theta_deg=float(fit.centre[i]),
                two_theta_std_deg=float(max(fit.centre_std[i], 0.02 * fit.fwhm[i], 0.1 * step)),
                area=float(fit.area[i]),
                area_std=float(fit.area_std[i]),
                fwhm_deg=float(fit.fwhm[i]),
                eta=fit.eta,
                skew=fit.skew,
                d_A=float(spacing_A(fit.centre[i], radiation.wavelength_A)),
            )
        )
    return lines


def _humps(fit: _GroupFit, width: float) -> np.ndarray:
    """Say which broad lines are none: low beside a stronger line, or run into another broad one."""
    broad = fit.fwhm > max(_HUMP_DEG, 4 * width)
    low = fit.area / fit.fwhm < 0.3 * max(start.height for start in fit.group)
    apart = np.abs(fit.centre[:, None] - fit.centre)
    into = (apart < np.maximum(fit.fwhm[:, None], fit.fwhm)) & broad & ~np.eye(len(fit.group), dtype=bool)
    return broad & (low | into.any(axis=1))


def _split_worst(
    x: np.ndarray,
    y: np.ndarray,
    s: np.ndarray,
    fit: _GroupFit,
    width: float,
    radiation: Radiation,
    resolution_deg: float,
) -> _GroupFit | None:
    """Take the line that fits worst for two; None where all fit, or two lines do no better."""
    worst = int(np.argmax(fit.misfit))
    if fit.misfit[worst] < _TWO_LINES_MISFIT:
        return None
    whole, wide = fit.group[worst], float(fit.fwhm[worst])
    halves = [replace(whole, angle=float(fit.centre[worst]) + side * 0.35 * wide, width=0.6 * wide) for side in (-1, 1)]
    others = [
        replace(start, angle=float(c), width=float(w))
        for i, (start, c, w) in enumerate(zip(fit.group, fit.centre, fit.fwhm))
        if i != worst
    ]
    group = sorted([*others, *halves], key=lambda start: start.angle)
    split = _least_squares_lines(x, y, s, group, width, radiation)
    mine = [i for i, start in enumerate(group) if start in halves]
    better = split.cost < fit.cost - _TWO_LINES_GAIN * fit.misfit[worst] * fit.points[worst]
    apart = abs(float(np.diff(split.centre[mine])[0])) > max(_APART * float(split.fwhm[mine].min()), resolution_deg)
    return split if better and apart and bool(split.sure[mine].all()) else None


def _starting_areas(
    x: np.ndarray, y: np.ndarray, s: np.ndarray, group: list[LineStart], radiation: Radiation
) -> tuple[np.ndarray, np.ndarray]:
    """Solve for the areas of lines at their starting places and widths, none negative, over a straight base.

    Returns areas (n,) and the sum of the lines (points,).
    """
    columns = np.stack([line_shape(x, start.angle, start.width, 0.5, radiation) for start in group], axis=1)
    ramp = (x - x.mean()) / max(np.ptp(x) / 2, 1e-9)
    base = np.stack([np.ones_like(x), -np.ones_like(x), ramp, -ramp], axis=1)
    found, _ = nnls(np.concatenate([columns, base], axis=1) / s[:, None], y / s)
    least = np.array([max(start.height, 1e-12) * start.width * 0.05 for start in group])
    areas = np.maximum(found[: len(group)], least)
    return areas, columns @ areas


def _least_squares_lines(
    x: np.ndarray, y: np.ndarray, s: np.ndarray, group: list[LineStart], width: float, radiation: Radiation
) -> _GroupFit:
    """Fit centres, areas, widths, one eta, one skew and a straight base."""
    n = len(group)
    centres = np.array([start.angle for start in group])
    widths = np.array([start.width for start in group])
    areas, lines = _starting_areas(x, y, s, group, radiation)
    s = np.hypot(s, PROFILE_ERROR * lines)  # what the profile of a strong line leaves is no line either
    start = np.concatenate([centres, areas, widths, [0.5, 0.0, 0.0, 0.0]])
    free = [-np.inf, -np.inf]
    lower = np.concatenate([centres - 0.6 * widths, np.zeros(n), np.full(n, 0.2 * width), [0.0, -_MOST_SKEW, *free]])
    upper = np.concatenate(
        [centres + 0.6 * widths, np.full(n, np.inf), np.full(n, 8 * width), [1.0, _MOST_SKEW, *np.negative(free)]]
    )
    start[2 * n : 3 * n] = np.clip(widths, 0.21 * width, 7.9 * width)
    ramp = (x - x.mean()) / max(np.ptp(x) / 2, 1e-9)

    def shape(
        theta: np.ndarray, i: int, centre: float = 0.0, fwhm: float = 0.0, eta: float = 0.0, skew: float = 0.0
    ) -> np.ndarray:
        place, wide, lorentz, lean = theta[[i, 2 * n + i, 3 * n, 3 * n + 1]] + (centre, fwhm, eta, skew)
        return line_shape(x, place, wide, lorentz, radiation, lean)

    def residual_of(theta: np.ndarray) -> np.ndarray:
        lines = sum(theta[n + i] * shape(theta, i) for i in range(n))
        return (lines + theta[3 * n + 2] + theta[3 * n + 3] * ramp - y) / s

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
            out[:, 3 * n + 1] += area * (shape(theta, i, skew=1e-4) - here) / 1e-4
        out[:, 3 * n + 2], out[:, 3 * n + 3] = 1.0, ramp
        return out / s[:, None]

    scale = np.concatenate([widths, np.maximum(areas, 1e-12), widths, [1.0, 1.0], np.full(2, s.mean())])
    fit = least_squares(residual_of, start, jac=jacobian_of, bounds=(lower, upper), x_scale=scale, max_nfev=40)
    centre, area, fwhm = fit.x[:n], fit.x[n : 2 * n], fit.x[2 * n : 3 * n]
    freedom = len(x) / max(len(x) - len(start), 1)
    near = np.abs(x[:, None] - centre) < np.maximum(1.2 * fwhm, 2.5 * np.median(np.diff(x)))
    points = near.sum(axis=0)
    misfit = (fit.fun[:, None] ** 2 * near).sum(axis=0) / np.maximum(points, 1) * freedom
    inflation = np.maximum(misfit, 1.0)
    normal = fit.jac.T @ fit.jac
    linear = [*range(n, 2 * n), 3 * n + 2, 3 * n + 3]
    held = np.diag(np.linalg.pinv(normal[np.ix_(linear, linear)]))[:n] * inflation
    variance = np.maximum(np.diag(np.linalg.pinv(normal)), 0.0)
    return _GroupFit(
        group=group,
        centre=centre,
        centre_std=np.sqrt(variance[:n] * inflation),
        area=area,
        area_std=np.sqrt(variance[n : 2 * n] * inflation),
        area_noise=np.sqrt(np.maximum(held, 0.0)),
        fwhm=fwhm,
        eta=float(fit.x[3 * n]),
        skew=float(fit.x[3 * n + 1]),
        misfit=misfit,
        points=points,
        cost=float(fit.fun @ fit.fun),
    )
