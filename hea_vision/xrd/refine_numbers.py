"""From a fitted pattern to numbers with intervals.

Everything the fit determines, and everything a weak prior holds (Debye-Waller factors, texture, background), stands in
one linear problem, so its covariance is taken over as it is. What the scan cannot tell at all is added to ln S of each
phase: elements that prefer one phase, and microabsorption (Brindley, Phil. Mag. 36, 347 (1945),
10.1080/14786444508520959).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from hea_sim.alloy import Composition
from hea_sim.diffraction.profile import SCHERRER_K
from hea_sim.records import Estimate
from hea_vision.xrd.lines import LineList
from hea_vision.xrd.refine_model import DISPLACEMENT, ZERO, PatternModel, PhaseBlock
from hea_vision.xrd.refine_records import RefinedPhase, Refinement, StartPhase, Texture
from hea_vision.xrd.refine_solver import Prior, Solution, solve_positive
from hea_vision.xrd.refine_texture import TAU_GRID, family_evidence, posterior_of_tau, with_scatter

#: Probability of every interval, and its normal quantiles, two-sided and one-sided.
LEVEL, _Z = 0.9, 1.644854
_Z_ONE_SIDED = 1.281552
#: Std of ln(width) above which a size or strain is given as a bound.
_UNTOLD = 0.6
#: Std of ln S that no part of the model names: tables of f, surface roughness, profile tails.
SCALE_STD = 0.02
#: Std of the logarithm by which an element's share in one phase may stand off its share in the alloy.
PARTITION_STD = 0.25
#: Grain size of alloys whose phases absorb differently, cm.
_GRAIN_CM = 5e-4
#: Nats by which a phase must raise the likelihood to count as seen: five standard deviations.
_DETECTED_NATS = 12.5
#: Std of a scale relative to the scale above which its interval begins at zero: three standard deviations.
_UNSURE = 1 / 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """Hold a finished fit; `weights` (points fitted,), while `measured` and `noise` hold every point of the scan."""

    lines: LineList
    phases: tuple[StartPhase, ...]
    model: PatternModel
    prior: Prior
    solution: Solution
    weights: np.ndarray
    noise: np.ndarray
    measured: np.ndarray
    unit: float
    tau: tuple[float, ...]
    model_error: float
    iterations: int


class _Scales(NamedTuple):
    """Hold ln S of every phase, (phases,), with its covariance (phases, phases)."""

    mean: np.ndarray
    covariance: np.ndarray


def make_refinement(fit: Fitted) -> Refinement:
    """Turn a finished fit into its numbers, intervals and curves."""
    model, theta, where = fit.model, fit.solution.theta, fit.solution.active
    precision = fit.solution.hessian + fit.prior.precision[np.ix_(where, where)]
    covariance = solve_positive(precision, np.eye(len(where)))
    std = np.zeros(model.size)
    std[where] = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    full = model.on(fit.lines.angles)
    full.activate(np.isin(np.arange(model.size), [block.scale for block in model.blocks]))
    evaluation = full.evaluate(theta)
    background, fitted = theta[model.background] @ full.basis, evaluation.model
    curves = [evaluation.jacobian[full.row(block.scale)] for block in model.blocks]
    shares, explained = _explained(fit, background, curves)
    scales = _marginal_scales(fit)
    gains = [_gain(fit, block) for block in model.blocks]
    volume = _fractions(fit, scales, gains, np.zeros(len(curves)))
    weight = _fractions(fit, scales, gains, np.log([_density(b, b.cell(theta)) for b in model.blocks]))
    phases = tuple(
        RefinedPhase(
            structure=fit.phases[i].name,
            cell=block.cell(theta),
            lattice=_lattice(block, theta, std),
            scale=_scale(fit, scales, i),
            weight_fraction=weight[i],
            volume_fraction=volume[i],
            size_nm=_size(fit, block, std),
            microstrain=_microstrain(fit, block, std),
            b_iso_A2=Estimate.normal(
                float(theta[block.debye]), float(std[block.debye]), unit="A^2", method="pattern fit", level=LEVEL
            ),
            texture=_texture(fit, i, std),
            gain=gains[i],
            detected=gains[i] > _DETECTED_NATS,
            explained=shares[i],
            curve=curves[i] * fit.unit,
            ticks_deg=_ticks(model, block, theta),
        )
        for i, block in enumerate(model.blocks)
    )
    quality = _quality(fit, fitted)
    return Refinement(
        phases=phases,
        displacement_deg=_normal(theta, std, DISPLACEMENT, "degree"),
        zero_deg=_normal(theta, std, ZERO, "degree"),
        two_theta_deg=fit.lines.angles,
        measured=fit.lines.intensity,
        background=background * fit.unit,
        fitted=fitted * fit.unit,
        rwp_percent=quality[0],
        r_exp_percent=quality[1],
        goodness_of_fit=quality[0] / max(quality[1], 1e-300),
        explained=explained,
        log_likelihood=quality[2],
        model_error=fit.model_error,
        n_points=len(fitted),
        n_parameters=len(where),
        iterations=fit.iterations,
        converged=fit.solution.converged,
        notes=_notes(fit, phases),
    )


def _normal(theta: np.ndarray, std: np.ndarray, index: int, unit: str) -> Estimate:
    return Estimate.normal(float(theta[index]), float(std[index]), unit=unit, method="pattern fit", level=LEVEL)


def _marginal_scales(fit: Fitted) -> _Scales:
    """Compute ln S and its covariance, with the scatter of each phase's areas integrated over its grid."""
    rows = [fit.model.row(block.scale) for block in fit.model.blocks]
    mean, covariance = _scales_under(fit, fit.prior, rows)
    total_mean, total = mean.copy(), covariance.copy()
    for i, block in enumerate(fit.model.blocks):
        evidence = family_evidence(fit.model, block, fit.solution, fit.prior)
        if evidence is None or fit.tau[i] == 0:
            continue
        probability = posterior_of_tau(evidence)
        parts = [(p, _scales_under(fit, with_scatter(fit.prior, block, float(t)), rows))
                 for p, t in zip(probability, TAU_GRID) if p > 1e-3]  # fmt: skip
        norm = sum(p for p, _ in parts)
        middle = sum((p / norm * m for p, (m, _) in parts), np.zeros_like(mean))
        total_mean += middle - mean
        for p, (m, c) in parts:
            total += p / norm * (c - covariance + np.outer(m - middle, m - middle))
    return _Scales(mean=total_mean, covariance=total + np.diag(_unknown_variance(fit)))


def _scales_under(fit: Fitted, prior: Prior, rows: list[int]) -> _Scales:
    where = fit.solution.active
    precision = prior.precision[np.ix_(where, where)]
    right = np.zeros((len(where), len(rows) + 1))
    right[:, 0] = fit.solution.information + (prior.precision @ prior.mean)[where]
    right[rows, np.arange(1, len(rows) + 1)] = 1.0
    solved = solve_positive(fit.solution.hessian + precision, right)
    return _Scales(mean=solved[rows, 0], covariance=solved[rows, 1:])


def _unknown_variance(fit: Fitted) -> np.ndarray:
    """Compute the variance of ln S that comes from what no scan tells, (phases,)."""
    if len(fit.phases) < 2:
        return np.full(len(fit.phases), SCALE_STD**2)
    wavelength = fit.lines.radiation.wavelength_A
    pairs = [_site_elements(block) for block in fit.model.blocks]
    partition = np.array([_partition_std(elements, wavelength) for elements in pairs])
    absorption = np.array([_absorption_per_cm(b, wavelength) for b in fit.model.blocks])
    micro = (absorption - absorption.mean()) * _GRAIN_CM / 2
    variance: np.ndarray = SCALE_STD**2 + (PARTITION_STD * partition) ** 2 + np.minimum(np.abs(micro), 0.5) ** 2
    return variance


def _site_elements(block: PhaseBlock) -> dict[str, float]:
    """Count the atoms of every element in the cell."""
    out: dict[str, float] = {}
    for label, n in zip(block.table.sublattices, block.table.sites):
        for element, x in block.occupancy[label].items():
            out[element] = out.get(element, 0.0) + float(n) * x
    return out


def _masses(elements: Mapping[str, float] | Composition) -> np.ndarray:
    from ase.data import atomic_masses, atomic_numbers

    return np.array([float(atomic_masses[atomic_numbers[e]]) for e in elements])


def _density(block: PhaseBlock, cell: object) -> float:
    elements = _site_elements(block)
    mass = float(_masses(elements) @ np.array(list(elements.values())))
    return mass / block.table.volume_A3(cell)  # type: ignore[arg-type]


def _partition_std(elements: Mapping[str, float], wavelength_A: float) -> float:
    """Compute how ln(mass / |f|^2) follows unit changes of ln(share) of every element, taken as independent."""
    from hea_sim.diffraction.scattering import atomic_scattering_factor

    x = np.array(list(elements.values()))
    x = x / x.sum()
    f = np.array([abs(complex(atomic_scattering_factor(e, np.array([0.3]), wavelength_A)[0])) for e in elements])
    mass = _masses(elements)
    return float(np.linalg.norm(x * (mass / (x @ mass) - 2 * f / (x @ f) + 1)))


def _absorption_per_cm(block: PhaseBlock, wavelength_A: float) -> float:
    """Compute the linear absorption coefficient of a phase in 1/cm."""
    import xraydb

    from hea_sim.diffraction.radiation import HC_EV_A

    elements = _site_elements(block)
    grams = _masses(elements) * np.array(list(elements.values())) * 1.66053907e-24
    coefficients = np.array([float(xraydb.mu_elam(e, HC_EV_A / wavelength_A)) for e in elements])
    return float(coefficients @ grams) / (block.table.volume_A3(block.start) * 1e-24)


def _gain(fit: Fitted, block: PhaseBlock) -> float:
    """Compute half of (S / std of S)^2 with the phase's own lattice and shape held and all else free."""
    model, where = fit.model, fit.solution.active
    kept = (where < block.scale) | (where > block.family_shift.max())
    row = model.row(block.scale)
    rows = np.flatnonzero(kept)
    precision = fit.prior.precision[np.ix_(where[rows], where[rows])]
    cross = fit.solution.hessian[rows, row]
    inner = fit.solution.hessian[np.ix_(rows, rows)] + precision
    left = fit.solution.hessian[row, row] - cross @ solve_positive(inner, cross)
    return 0.5 * max(float(left), 0.0)


def _scale(fit: Fitted, scales: _Scales, i: int) -> Estimate:
    value = float(np.exp(scales.mean[i])) * fit.unit * fit.model.factor
    std = float(np.sqrt(scales.covariance[i, i]))
    reach = _Z * min(std, 20.0)
    return Estimate(
        value=value, std=value * min(std, 1e6), low=value * np.exp(-reach), high=value * np.exp(reach), level=LEVEL,
        unit="intensity", method="pattern fit; log-normal",
    )  # fmt: skip


def _fractions(fit: Fitted, scales: _Scales, gains: list[float], log_factor: np.ndarray) -> list[Estimate]:
    """Turn scales into fractions with intervals that are normal in the logit."""
    n = len(log_factor)
    method = "pattern fit, Laplace over texture, B, background, with partition and microabsorption; logit-normal"
    if n == 1:
        return [Estimate(value=1.0, std=0.0, low=1.0, high=1.0, level=LEVEL, method="the only phase", n=1)]
    amount = scales.mean + log_factor
    share = np.exp(amount - amount.max())
    share = share / share.sum()
    out = []
    for i in range(n):
        others = np.delete(share, i) / max(1 - share[i], 1e-300)
        slope = np.insert(-others, i, 1.0)
        spread = float(np.sqrt(slope @ scales.covariance @ slope))
        logit = float(amount[i] - np.logaddexp.reduce(np.delete(amount, i)))
        value = float(share[i])
        low, high = (1 / (1 + np.exp(-np.clip(logit + sign * _Z * spread, -700, 700))) for sign in (-1, 1))
        relative = 1 / np.sqrt(max(2 * gains[i], 1e-30))
        if relative > _UNSURE:  # not told from zero: the interval is that of the scale itself
            low, high = 0.0, _upper_share(logit, relative)
        std = max(value * (1 - value) * min(spread, 1e3), 0.0)
        out.append(
            Estimate(value=value, std=min(std, 0.5), low=float(min(low, value)), high=float(max(high, value)),
                     level=LEVEL, method=method)
        )  # fmt: skip
    return out


def _upper_share(logit: float, relative: float) -> float:
    """Compute the share of a phase whose scale is larger by the quantile of its std."""
    more = logit + np.log1p(_Z * min(relative, 1e6))
    return float(1 / (1 + np.exp(-np.clip(more, -700, 700))))


def _lattice(block: PhaseBlock, theta: np.ndarray, std: np.ndarray) -> dict[str, Estimate]:
    cell = block.cell(theta)
    values = {"a": cell.a_A, "b": cell.b_A, "c": cell.c_A, "beta": cell.beta_deg}
    out = {}
    for name, index in zip(block.table.free_parameters, block.lattice):
        factor = float(np.degrees(1.0)) if name == "beta" else values[name]
        out[name] = Estimate.normal(
            values[name], factor * float(std[index]), unit="degree" if name == "beta" else "A", method="pattern fit",
            level=LEVEL,
        )  # fmt: skip
    return out


def _size(fit: Fitted, block: PhaseBlock, std: np.ndarray) -> Estimate:
    """Estimate the crystallite size, or its lower bound where all broadening may be the instrument's."""
    theta, wavelength = fit.solution.theta, fit.lines.radiation.wavelength_A
    nm_per_width = SCHERRER_K * wavelength / 10 / np.radians(1.0)
    spread = float(std[block.width]) or 1.0
    width = float(np.exp(theta[block.width]))
    if fit.model.instrument is None or spread > _UNTOLD:
        inside = _seen_angles(fit, block)
        limit = float(np.min(fit.model.fwhm_deg(block, theta, inside) * np.cos(np.radians(inside) / 2)))
        method = "lower bound: all width taken as size (the instrument's share is not known)"
        if fit.model.instrument is not None:
            limit = width * float(np.exp(_Z_ONE_SIDED * min(spread, 3.0)))
            method = "lower bound: size broadening is not told from the instrument's"
        bound = float(nm_per_width / limit)
        low = bound * float(np.exp(-_Z_ONE_SIDED * min(spread, 3.0)))
        return Estimate(value=bound, low=low, high=np.inf, level=LEVEL, unit="nm", method=method)
    value = float(nm_per_width / width)
    reach = float(np.exp(_Z * spread))
    # Lorentzian widths subtract, Gaussian ones in squares: the interval reaches to the other law.
    own = float(np.median(fit.model.instrument.fwhm_deg(_seen_angles(fit, block))))
    other = width / max(np.hypot(own, width) - own, 1e-9)
    share = float(1 / (1 + np.exp(-theta[block.share])))
    return Estimate(
        value=value, std=value * spread, low=value / reach, high=float(value * reach * other**share), level=LEVEL,
        unit="nm", method="volume-weighted, Scherrer K = 0.9, instrument subtracted in squares",
    )  # fmt: skip


def _microstrain(fit: Fitted, block: PhaseBlock, std: np.ndarray) -> Estimate:
    """Estimate the microstrain, or its upper bound."""
    theta = fit.solution.theta
    spread = float(std[block.strain]) or 1.0
    if fit.model.instrument is None or spread > _UNTOLD:
        inside = _seen_angles(fit, block)
        width = float(np.min(fit.model.fwhm_deg(block, theta, inside) / np.tan(np.radians(inside) / 2)))
        if fit.model.instrument is not None:
            width = float(np.exp(theta[block.strain] + _Z_ONE_SIDED * min(spread, 3.0)))
        bound = float(np.radians(width)) / 4
        return Estimate(value=bound, low=0.0, high=bound, level=LEVEL,
                        method="upper bound: all width taken as strain")  # fmt: skip
    value = float(np.radians(np.exp(theta[block.strain]))) / 4
    reach = float(np.exp(_Z * spread))
    return Estimate(value=value, std=value * spread, low=value / reach, high=value * reach, level=LEVEL,
                    method="FWHM = 4 e tan(theta), instrument subtracted in squares")  # fmt: skip


def _seen_angles(fit: Fitted, block: PhaseBlock) -> np.ndarray:
    ticks = _ticks(fit.model, block, fit.solution.theta)
    return ticks if len(ticks) else np.array([float(fit.model.angles.mean())])


def _texture(fit: Fitted, i: int, std: np.ndarray) -> Texture:
    axis, block = fit.model.axes[i], fit.model.blocks[i]
    if axis is None:
        return Texture(line_scatter=fit.tau[i])
    r, spread = float(np.exp(fit.solution.theta[block.march])), float(std[block.march])
    return Texture(
        line_scatter=fit.tau[i],
        march_axis=axis,
        march_r=Estimate(value=r, std=r * spread, low=r * np.exp(-_Z * spread), high=r * np.exp(_Z * spread),
                         level=LEVEL, method="March-Dollase"),
    )  # fmt: skip


def _ticks(model: PatternModel, block: PhaseBlock, theta: np.ndarray) -> np.ndarray:
    """List where lines of at least a thousandth of the strongest stand, for the strongest wavelength."""
    sine = model.radiation.wavelength_A * block.table.inverse_d(block.cell(theta))[block.chosen] / 2
    half = np.arcsin(np.clip(sine, 0, 1))
    angle = 2 * np.degrees(half) + theta[DISPLACEMENT] * np.cos(half) + theta[ZERO]
    inside = (sine < 0.9985) & (angle > model.angles[0]) & (angle < model.angles[-1])
    ticks: np.ndarray = angle[inside & (block.f_squared > 1e-3 * block.f_squared.max())]
    return ticks


def _explained(fit: Fitted, background: np.ndarray, curves: list[np.ndarray]) -> tuple[list[float], float]:
    """Share out the intensity above background that stands out of the noise and that the model covers."""
    model = fit.model
    sigma = max(1.0, 0.35 * model.reference_fwhm / model.step_deg)
    net = gaussian_filter1d(fit.measured - background, sigma, mode="nearest")
    total = gaussian_filter1d(sum(curves, np.zeros_like(net)), sigma, mode="nearest")
    seen = (net > 3 * fit.noise / np.sqrt(3.5 * sigma)) | (total > fit.noise)
    net = np.where(seen, np.maximum(net, 0.0), 0.0)
    covered = np.minimum(net, total)
    whole = float(net.sum())
    if whole <= 0:
        return [0.0] * len(curves), 0.0
    portion = covered / np.maximum(total, 1e-300)
    shares = [float(portion @ curve) / whole for curve in curves]
    return shares, sum(shares)


def _quality(fit: Fitted, fitted: np.ndarray) -> tuple[float, float, float]:
    """Compute Rwp, Rexp in per cent and the log-likelihood in nats."""
    weight = fit.noise**-2.0
    rest = fit.measured - fitted
    scale = float(weight @ fit.measured**2)
    freedom = max(len(fitted) - len(fit.solution.active), 1)
    rwp = 100 * np.sqrt(float(weight @ rest**2) / scale)
    pulls = fit.solution.objective + float(np.sum(np.log(2 * np.pi * fit.unit**2 / fit.weights)))
    log_likelihood = -0.5 * pulls
    return float(rwp), float(100 * np.sqrt(freedom / scale)), log_likelihood


def _notes(fit: Fitted, phases: tuple[RefinedPhase, ...]) -> tuple[str, ...]:
    notes = []
    for phase in phases:
        if not phase.detected:
            notes.append(
                f"{phase.structure}: not told from zero (its lines raise the log-likelihood by {phase.gain:.1f}, wanted"
                f" {_DETECTED_NATS}); its numbers are limits"
            )
        elif len(phase.ticks_deg) < 3 and len(phases) > 1:
            notes.append(f"{phase.structure}: {len(phase.ticks_deg)} lines in range; its share is uncertain")
    if not fit.solution.converged:
        notes.append(f"not converged within {fit.iterations} iterations")
    return tuple(notes)
