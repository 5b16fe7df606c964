"""Fit a set of phases to the observed lines: lattices, one displacement, scales; then its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hea_vision.xrd.damped_fit import damped_least_squares
from hea_vision.xrd.evidence import (
    LOG_AREA_WIDTH,
    POWDER_TAU,
    PRIORS,
    ROOT_TWO_PI,
    SHARED_LOG_VOLUME_STD,
    ObservedLines,
)
from hea_vision.xrd.faint import BEST_FAINT, TEXTURE_TAU, gain_and_slope
from hea_vision.xrd.reflections import ReflectionTable
from hea_vision.xrd.superlattice import at_superlattice

#: A lattice outside the range of its prototype costs this much.
_OUT_OF_RANGE = 20.0
#: An unlisted line that tells more than this, in nats, counts as seen.
_TELLING = 1.0
#: Evidence that a last step of a fit may leave, in nats.
_NATS = 0.01
#: Cost beyond which volumes that lie apart cannot weigh.
_WORST_SPREAD = 8.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """Hold one phase with its lattice; c equals a for cubic."""

    table: ReflectionTable
    a_A: float
    c_A: float

    @property
    def name(self) -> str:
        """Give the structure type."""
        return self.table.kind.name


@dataclass(frozen=True, kw_only=True, eq=False)
class SetFit:
    """Hold a set of phases fitted to the n observed lines.

    `log_evidence` in nats; `owner` (n,) the phase that gives most of a line, -1 where none; `share` (phases, n) of
    each line's model; `model_area` (phases, n); `a_std_A`, `c_std_A`, `log_scale`, `log_scale_std` (phases,);
    `faint_lines` (phases,) counts unlisted lines that the scan shows in their places, `missing` (phases,) is what lines
    cost that it should show and does not, in nats.
    """

    phases: tuple[Candidate, ...]
    log_evidence: float
    displacement_deg: float
    owner: np.ndarray
    share: np.ndarray
    model_area: np.ndarray
    a_std_A: np.ndarray
    c_std_A: np.ndarray
    log_scale: np.ndarray
    log_scale_std: np.ndarray
    faint_lines: np.ndarray
    missing: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        """Give the structure types, sorted."""
        return tuple(sorted(phase.name for phase in self.phases))

    def ordering(self, observed: ObservedLines, index: int) -> np.ndarray:
        """Say which observed lines (n,) stand where order of a phase would put lines."""
        phase = self.phases[index]
        tolerance = np.maximum(3.5 * observed.angle_std, 0.3 * observed.fwhm)
        place = (phase.name, phase.a_A, observed.wavelength_A, self.displacement_deg)
        return at_superlattice(observed.angle, tolerance, *place)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Predicted:
    """Hold every family in range: arrays (m,); `line` is the observed line it belongs to, -1 where none."""

    angle: np.ndarray
    log_model: np.ndarray
    phase: np.ndarray
    family: np.ndarray
    line: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class _Scales:
    log_scale: np.ndarray
    log_scale_std: np.ndarray
    area: np.ndarray  # (phases, lines)
    told: np.ndarray  # (m,) what unlisted families tell

    @property
    def owner(self) -> np.ndarray:
        total = self.area.sum(axis=0)
        return np.where(total > 0, np.argmax(self.area, axis=0), -1)


def fit_set(observed: ObservedLines, phases: Sequence[Candidate]) -> SetFit | None:
    """Refine a set and compute its evidence; None where a phase loses its lattice or its last line."""
    current, displacement = tuple(phases), 0.0
    covariance = np.zeros((1, 1))
    start: np.ndarray | None = None
    for step in range(4):
        predicted = _predict(observed, current, displacement, coarse=step < 2)
        scales = _fit_scales(observed, predicted, len(current), start=start, last=step == 3)
        start = scales.log_scale
        if set(range(len(current))) - set(scales.owner.tolist()):
            return None
        if step < 3:
            current, displacement, covariance = _refine(observed, current, displacement, predicted, scales)
            if any(_strayed(start, end) for start, end in zip(phases, current)):
                return None
    return _finish(observed, current, displacement, predicted, scales, covariance)


def _strayed(start: Candidate, end: Candidate) -> bool:
    """Say whether a refinement left the lattice that the scan had found, as it may where lines do not hold it."""
    return not (0.95 < end.a_A / start.a_A < 1.05 and 0.95 < end.c_A / start.c_A < 1.05)


def _predict(
    observed: ObservedLines, phases: tuple[Candidate, ...], displacement: float, *, coarse: bool
) -> _Predicted:
    """List the families in range and attach each to the observed line it falls on."""
    parts = []
    for i, phase in enumerate(phases):
        angle = phase.table.two_theta_deg(phase.a_A, phase.c_A, observed.wavelength_A)
        angle = angle + displacement * np.cos(np.radians(angle) / 2)
        family = np.flatnonzero(observed.in_sight(angle))
        volume = phase.table.volume_A3(phase.a_A, phase.c_A)
        log_model = np.log(phase.table.intensity(angle, volume)[family])
        parts.append((angle[family], log_model, np.full(len(family), i), family))
    angle, log_model, owner, family = (np.concatenate(v) for v in zip(*parts))
    distance = np.abs(angle[:, None] - observed.angle[None, :])
    width = np.hypot(observed.angle_std, (0.10 if coarse else 0.03) * observed.closeness)
    # Families that lie inside an observed line's width belong to it together.
    distance = np.where(distance < np.maximum(3.5 * width, 0.3 * observed.fwhm), distance, np.inf)
    line = np.argmin(distance, axis=1)
    line = np.where(np.isfinite(distance[np.arange(len(angle)), line]), line, -1)
    return _Predicted(angle=angle, log_model=log_model, phase=owner, family=family, line=line)


def _fit_scales(
    observed: ObservedLines, predicted: _Predicted, n_phases: int, *, start: np.ndarray | None, last: bool
) -> _Scales:
    """Fit one scale a phase to the logarithms of areas and to what the scan shows in the places of other lines."""
    hit = predicted.line >= 0
    unit = np.zeros((n_phases, len(observed)))
    np.add.at(unit, (predicted.phase[hit], predicted.line[hit]), np.exp(predicted.log_model[hit]))
    matched = unit.sum(axis=0) > 0
    log_model, owner = predicted.log_model[~hit], predicted.phase[~hit]
    seen, log_noise = observed.faint.look(predicted.angle[~hit], _widths(observed, unit)[owner])
    log_expected = log_model - log_noise

    target, present = observed.log_area[matched], unit[:, matched]

    def model(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = np.exp(np.clip(theta, -300, 300))[:, None] * present
        total = parts.sum(axis=0) + 1e-300
        ratio = (target - np.log(total)) / TEXTURE_TAU
        slope = np.where(np.abs(ratio) < 5, -parts / (total * TEXTURE_TAU), 0.0).T
        told, climb = gain_and_slope(seen, log_expected + theta[owner])
        root = np.sqrt(2 * np.maximum(BEST_FAINT - told, 1e-9))
        faint = np.zeros((len(owner), n_phases))
        faint[np.arange(len(owner)), owner] = -climb / np.maximum(root, 1e-3)
        return np.concatenate([np.clip(ratio, -5, 5), root]), np.concatenate([slope, faint])

    fit = damped_least_squares(
        model, _initial_scales(observed, unit) if start is None else start, enough=_NATS if last else 0.3
    )
    curvature = fit.jacobian.T @ fit.jacobian + 1e-4 * np.eye(n_phases)
    told = _shared_gain(predicted.angle[~hit], seen, log_expected + fit.x[owner], observed.typical_fwhm)
    return _Scales(
        log_scale=fit.x,
        log_scale_std=np.clip(np.sqrt(np.diag(np.linalg.inv(curvature))), 0.05, 3.0),
        area=np.exp(fit.x)[:, None] * unit,
        told=told,
    )


def _widths(observed: ObservedLines, unit: np.ndarray) -> np.ndarray:
    """Give the width of each phase's lines (phases,): the mean over the lines that are mostly its own."""
    weight = np.where(unit > 0.6 * unit.sum(axis=0), unit, 0.0)
    total = weight.sum(axis=1)
    return np.where(total > 0, weight @ observed.fwhm / np.where(total > 0, total, 1.0), observed.typical_fwhm)


def _shared_gain(angle: np.ndarray, seen: np.ndarray, log_expected: np.ndarray, fwhm: float) -> np.ndarray:
    """Compute what each unlisted line tells (m,), in nats; lines in one place share what the scan shows there."""
    expected = np.exp(np.clip(log_expected, -20, 20))
    near = np.abs(angle[:, None] - angle) < 0.5 * fwhm
    total = near @ expected
    return gain_and_slope(seen, np.log(total))[0] * expected / total


def _initial_scales(observed: ObservedLines, unit: np.ndarray) -> np.ndarray:
    """Start each scale from the lines that a phase has to itself."""
    scale = np.full(len(unit), float(np.median(observed.log_area)))
    for i, row in enumerate(unit):
        own = (row > 0) & (unit.sum(axis=0) - row < 0.3 * row)
        own = own if own.any() else row > 0
        if own.any():
            scale[i] = float(np.median(observed.log_area[own] - np.log(row[own])))
    return scale


def _refine(
    observed: ObservedLines, phases: tuple[Candidate, ...], displacement: float, predicted: _Predicted, scales: _Scales
) -> tuple[tuple[Candidate, ...], float, np.ndarray]:
    """Fit lattices and displacement to the angles of the explained lines; a line stands at its families' mean."""
    hit = np.flatnonzero(predicted.line >= 0)
    phase, family, line = predicted.phase[hit], predicted.family[hit], predicted.line[hit]
    p = np.array([phases[i].table.p[k] for i, k in zip(phase, family)])
    q = np.array([phases[i].table.q[k] for i, k in zip(phase, family)])
    weight = np.exp(predicted.log_model[hit] + scales.log_scale[phase])
    total = np.bincount(line, weight, minlength=len(observed))
    seen = total > 0

    first, second = _parameter_places(phases)
    n_lines = int(seen.sum())
    place = np.cumsum(seen)[line] - 1
    share = weight / total[line] / observed.angle_std[line]

    def model(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, c = theta[first][phase], theta[second][phase]
        inverse = np.sqrt(p / a**2 + q / c**2)
        sine = np.minimum(observed.wavelength_A * inverse / 2, 1.0)
        half = np.arcsin(sine)
        cosine = np.sqrt(np.maximum(1 - sine**2, 1e-9))
        angle = 2 * np.degrees(half) + theta[-1] * cosine
        climb = np.degrees(observed.wavelength_A / cosine)  # d(2 theta) / d(1/d)
        residual = np.append(
            np.bincount(place, share * angle, minlength=n_lines) - (observed.angle / observed.angle_std)[seen],
            theta[-1] / observed.displacement_std_deg,
        )
        jacobian = np.zeros((n_lines + 1, len(theta)))
        np.add.at(jacobian, (place, first[phase]), -share * climb * p / (a**3 * inverse))
        np.add.at(jacobian, (place, second[phase]), -share * climb * q / (c**3 * inverse))
        np.add.at(jacobian, (place, np.full(len(place), -1)), share * cosine)
        jacobian[-1, -1] = 1 / observed.displacement_std_deg
        return residual, jacobian

    start = [v for x in phases for v in ((x.a_A, x.c_A) if x.table.free_ratio else (x.a_A,))]
    scale = np.array([*(1e-3 * np.array(start)), 0.02 * observed.closeness])
    fit = damped_least_squares(model, np.array([*start, displacement]), scale=scale, soft_from=2.0, max_steps=20)
    freedom = max(n_lines + 1 - len(fit.x), 1)
    covariance = np.linalg.pinv(fit.jacobian.T @ fit.jacobian) * max(1.0, 2 * fit.cost / freedom)
    lattices = _unpack(phases, fit.x)
    moved = tuple(Candidate(table=x.table, a_A=float(a), c_A=float(c)) for x, (a, c) in zip(phases, lattices))
    return moved, float(fit.x[-1]), covariance


def _parameter_places(phases: Sequence[Candidate]) -> tuple[np.ndarray, np.ndarray]:
    """Tell where a and c of each phase stand among the fit parameters; one place where c is not free."""
    counts = np.array([2 if x.table.free_ratio else 1 for x in phases])
    first = np.cumsum(counts) - counts
    return first, first + counts - 1


def _unpack(phases: Sequence[Candidate], theta: np.ndarray) -> np.ndarray:
    """Turn fit parameters into (phases, 2) lattice parameters a, c."""
    first, second = _parameter_places(phases)
    return np.stack([theta[first], theta[second]], axis=1)


def _finish(
    observed: ObservedLines,
    phases: tuple[Candidate, ...],
    displacement: float,
    predicted: _Predicted,
    scales: _Scales,
    covariance: np.ndarray,
) -> SetFit:
    total = scales.area.sum(axis=0)
    seen = total > 0
    hit = predicted.line >= 0
    weight = np.exp(predicted.log_model + scales.log_scale[predicted.phase])
    moment = np.bincount(predicted.line[hit], (weight * predicted.angle)[hit], minlength=len(observed))
    rest = (moment[seen] / total[seen] - observed.angle[seen]) / observed.angle_std[seen]
    position = np.log(observed.range_deg / (observed.angle_std[seen] * ROOT_TWO_PI)) - 0.5 * np.minimum(rest**2, 25.0)
    evidence = float(position.sum()) + _area_evidence(observed.log_area[seen] - np.log(total[seen]))
    evidence += float(scales.told.sum())
    evidence -= 0.5 * (displacement / observed.displacement_std_deg) ** 2 + _volume_spread(phases)
    # A pseudo-inverse gives no variance to what the lines do not determine: there the prior stays as wide as it was.
    std = np.sqrt(np.maximum(np.diag(covariance), 0.0))[:-1]
    std = np.where(std > 1e-7, std, 1.0)
    a_std, c_std, index = [], [], 0
    for phase in phases:
        own = std[index : index + (2 if phase.table.free_ratio else 1)]
        index += len(own)
        a_std.append(float(own[0]))
        c_std.append(float(own[-1]))
        evidence += _log_prior(observed, phase, own)
    evidence -= float(np.sum(np.log(LOG_AREA_WIDTH / (scales.log_scale_std * ROOT_TWO_PI))))
    with np.errstate(invalid="ignore"):
        share = np.where(seen, scales.area / np.where(seen, total, 1.0), 0.0)
    return SetFit(
        phases=phases,
        log_evidence=evidence,
        displacement_deg=displacement,
        owner=scales.owner,
        share=share,
        model_area=scales.area,
        a_std_A=np.array(a_std),
        c_std_A=np.array(c_std),
        log_scale=scales.log_scale,
        log_scale_std=scales.log_scale_std,
        missing=np.bincount(predicted.phase[~hit], -np.minimum(scales.told, 0.0), minlength=len(phases)),
        faint_lines=_faint_lines(observed, phases, displacement, predicted, scales.told),
    )


def _faint_lines(
    observed: ObservedLines, phases: Sequence[Candidate], displacement: float, predicted: _Predicted, told: np.ndarray
) -> np.ndarray:
    """Count the unlisted lines of each phase that the scan shows, without those that order of another would give."""
    angle, owner = (v[predicted.line < 0] for v in (predicted.angle, predicted.phase))
    shown = told > _TELLING
    for i, phase in enumerate(phases):
        place = (phase.name, phase.a_A, observed.wavelength_A, displacement)
        shown &= (owner == i) | ~at_superlattice(angle, 0.5 * observed.typical_fwhm, *place)
    return np.bincount(owner, shown, minlength=len(phases))


def _area_evidence(log_ratio: np.ndarray) -> float:
    """Sum what the areas say, over a good and a textured powder."""
    options = []
    for tau in (POWDER_TAU, TEXTURE_TAU):
        gain = np.log(LOG_AREA_WIDTH / (tau * ROOT_TWO_PI)) - 0.5 * np.minimum((log_ratio / tau) ** 2, 25.0)
        options.append(float(gain.sum()))
    return float(np.logaddexp(options[0], options[1]) - np.log(2))


def _volume_spread(phases: Sequence[Candidate]) -> float:
    """Weigh how far the volumes per atom of metallic phases lie apart, in nats."""
    volumes = [
        float(np.log(x.table.volume_A3(x.a_A, x.c_A) / x.table.atoms_per_cell)) for x in phases if x.table.kind.metallic
    ]
    spread = np.array(volumes) - np.mean(volumes) if volumes else np.zeros(1)
    return float(min(0.5 * np.sum((spread / SHARED_LOG_VOLUME_STD) ** 2), _WORST_SPREAD))


def _log_prior(observed: ObservedLines, phase: Candidate, std: np.ndarray) -> float:
    """Weigh a phase: its prior, its volume, and what its free lattice parameters cost."""
    kind = phase.table.kind
    low, high = kind.a_range_A
    value = float(np.log(PRIORS.get(phase.name, 0.05)))
    value += float(observed.log_volume(phase.table, phase.a_A, phase.c_A))
    value -= max(0.0, float(np.log((high - low) / (std[0] * ROOT_TWO_PI))))
    if not low <= phase.a_A <= high:
        value -= _OUT_OF_RANGE
    if phase.table.free_ratio:
        ratio_low, ratio_high = kind.axial_ratio_range
        value -= max(0.0, float(np.log(phase.a_A * (ratio_high - ratio_low) / (std[1] * ROOT_TWO_PI))))
        if not ratio_low <= phase.c_A / phase.a_A <= ratio_high:
            value -= _OUT_OF_RANGE
    return value
