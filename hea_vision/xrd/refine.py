"""Fit a labelled set of phases to a whole measured pattern.

Damped Gauss-Newton with analytic derivatives over all parameters at once (`refine_model`), points weighted by the
scan's noise and by a misfit proportional to the height of the lines, and weak priors that keep what the scan does not
determine where it was, as uncertain as it was. Intervals come from the linear problem at the minimum
(`refine_numbers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter1d

from hea_sim.diffraction.profile import LineShape, microstrain_to_width_deg, size_to_width_deg
from hea_sim.errors import InputError
from hea_vision.xrd.evidence import displacement_std_deg
from hea_vision.xrd.lines import LineList
from hea_vision.xrd.refine_model import AXIAL, CAGLIOTI_V, DISPLACEMENT, SHARE_SLOPE, ZERO, PatternModel, peak_width_deg
from hea_vision.xrd.refine_numbers import Fitted, make_refinement
from hea_vision.xrd.refine_records import RefinedPhase, Refinement, StartPhase, Texture
from hea_vision.xrd.refine_solver import (
    Prior,
    Solution,
    estimate_model_error,
    inflation,
    line_heights,
    minimise,
    point_weights,
)
from hea_vision.xrd.refine_texture import (
    MARCH_STD,
    TAU_GRID,
    best_axis,
    family_evidence,
    of_groups,
    posterior_of_tau,
    with_scatter,
)

__all__ = ["RefinedPhase", "Refinement", "StartPhase", "Texture", "refine_pattern"]

#: Debye-Waller B of metallic alloys at room temperature: mean and std, A^2.
B_ISO_A2 = (0.6, 0.3)
#: Prior std of a zero error of the goniometer, degrees.
ZERO_STD_DEG = 0.015
#: Prior std of the relative change of a lattice parameter from its start.
LATTICE_STD = 0.01
#: Prior std of ln S, of no weight as long as a phase is seen at all.
_SCALE_STD = 30.0
#: Scatter of areas with which the families are first set free.
_FIRST_TAU = 0.3
#: How much more than the clipped background, which cuts humps and rises under broad lines, the splines may bend.
_BEND = 1.5
#: Widths that a phase's lines start with, relative to the strongest line.
_WIDTH_FACTORS = (0.4, 0.65, 1.0, 1.6, 2.5, 4.0)
#: Crystallites and strains beyond these are no lines but background.
_SMALLEST_NM, _LARGEST_STRAIN = 3.0, 0.01
#: Points that are kept on the width of a narrow line.
_POINTS_PER_WIDTH = 9
#: Times that the scatter is learned from the areas and the pattern fitted with it.
_LEARNING_ROUNDS = 2
#: A family takes part in texture where its data hold ln(area) better than this std.
_FAMILY_STD = 3.0
#: Misfit relative to the height of lines above which families get widths and places of their own, with these prior
#: stds of ln FWHM and of the shift in units of the typical width: elastic anisotropy, faults, stress.
_SHAPE_MISFIT = 0.025
FAMILY_WIDTH_STD, FAMILY_SHIFT_STD = 0.2, 0.06


def refine_pattern(
    lines: LineList,
    phases: Sequence[StartPhase],
    *,
    displacement_deg: float = 0.0,
    texture: bool = True,
    instrument: LineShape | None = None,
    monochromator: float = 1.0,
    max_iterations: int = 60,
) -> Refinement:
    """Fit phases to the whole pattern.

    Parameters
    ----------
    lines
        The pattern as `find_lines` gives it.
    displacement_deg
        Where to start the shift displacement_deg * cos(theta) of a displaced specimen.
    texture
        Whether line areas may stand off their powder values.
    instrument
        Line width of the instrument alone, as of a standard; without it sizes and strains are bounds.
    monochromator
        Polarisation constant K of `hea_sim.diffraction.profile.lorentz_polarisation`.
    max_iterations
        Bound of the Gauss-Newton steps of all stages together; every stage takes one at least.

    Raises
    ------
    InputError
        Where no phase was given, the pattern is constant, or a starting lattice is not usable.
    """
    _check(lines, phases, displacement_deg, max_iterations)
    fit = _Fit(lines, phases, instrument, monochromator, displacement_deg)
    fit.run(texture, max_iterations)
    return make_refinement(fit.fitted())


def _check(lines: LineList, phases: Sequence[StartPhase], displacement_deg: float, max_iterations: int) -> None:
    if not phases:
        raise InputError("no phases to fit; wanted at least one StartPhase(structure=, cell=, occupancy=)")
    if float(np.ptp(lines.intensity)) <= 1e-12 * float(np.abs(lines.intensity).max(initial=0.0)):
        raise InputError("the intensity is the same at every angle; there is nothing to fit: give a measured pattern")
    if not np.isfinite(displacement_deg) or max_iterations < 1:
        raise InputError(
            f"displacement {displacement_deg} degrees and {max_iterations} iterations; wanted a finite number and at"
            " least 1"
        )
    for phase in phases:
        cell = phase.cell
        if not (min(cell.a_A, cell.b_A, cell.c_A) > 0.5 and max(cell.a_A, cell.b_A, cell.c_A) < 200):
            raise InputError(
                f"{phase.name}: lattice a = {cell.a_A}, b = {cell.b_A}, c = {cell.c_A} A; wanted lengths from 0.5 to"
                " 200"
            )


@dataclass(eq=False)
class _Fit:
    """Hold the state of a fit as it passes its stages."""

    lines: LineList
    phases: Sequence[StartPhase]
    instrument: LineShape | None
    monochromator: float
    displacement_deg: float

    def __post_init__(self) -> None:
        lines = self.lines
        net = lines.intensity - lines.scan.background
        self.unit = max(float(net.max()), 1e-9 * float(np.ptp(lines.intensity)))
        points = binned(lines)
        self.measured = points.intensity / self.unit
        self.noise = np.maximum(points.noise / self.unit, 1e-6)
        self.model = PatternModel(
            lines, self.phases, points.angles, instrument=self.instrument, monochromator=self.monochromator
        )
        self.prior = starting_prior(self.model, lines, points.background / self.unit)
        self.theta = self.prior.mean.copy()
        self.theta[DISPLACEMENT] = self.displacement_deg
        self.theta[self.model.background] = _start_background(self.model, points.background / self.unit)
        self.model_error, self.inflation, self.iterations = 0.15, 1.0, 0
        self.tau = [0.0] * len(self.phases)
        self.net = self._heights((points.intensity - points.background) / self.unit)
        self.fit_model = self.theta[self.model.background] @ self.model.basis
        _start_scales(self)

    def run(self, texture: bool, budget: int) -> None:
        """Free the parameters in stages; areas together with widths, so that neither makes up for the other."""
        model = self.model
        active = np.zeros(model.size, bool)
        active[[DISPLACEMENT, *model.background]] = True
        for block in model.blocks:
            active[[block.scale, *block.lattice, block.width]] = True
        self._stage(active, min(8, budget), 0.1)
        if texture:
            self._free_families(active)
        active[CAGLIOTI_V] = self.instrument is None
        for block in model.blocks:
            active[[block.share, block.strain]] = True
        self._stage(active, min(8, budget - self.iterations), 0.05)
        active[[ZERO, SHARE_SLOPE, AXIAL, *model.tube]] = True
        for block in model.blocks:
            active[[block.skew, block.debye]] = True
        self.solution = self._stage(active, min(10, budget - self.iterations), _SHAPE_MISFIT)
        if texture:
            self._learn_texture(self.solution, active)
        if self.model_error >= _SHAPE_MISFIT:
            self._free_shapes(active)
            self._stage(active, min(10, budget - self.iterations), _SHAPE_MISFIT)
        self.solution = self._stage(active, min(12, budget - self.iterations))
        for _ in range(_LEARNING_ROUNDS if texture else 1):
            if texture:
                self._learn_scatter(self.solution)
            self.solution = self._stage(active, max(min(8, budget - self.iterations), 1))

    def _heights(self, net: np.ndarray) -> np.ndarray:
        return line_heights(np.maximum(net, 0.0), round(0.7 * self.model.reference_fwhm / self.model.step_deg))

    def _stage(self, active: np.ndarray, budget: int, most_error: float = 1.0) -> Solution:
        near = most_error == 1
        weights = (
            point_weights(self.measured, self.fit_model, self.net, self.noise, self.model_error, robust=near)
            / self.inflation
        )
        solution = minimise(self.model, self.measured, weights, self.theta, self.prior, active, max(budget, 1))
        self.theta, self.iterations = solution.theta, self.iterations + solution.iterations
        self.weights = weights
        _lift_lost_scales(self.model, solution, self.theta)
        self.fit_model = solution.evaluation.model
        background = self.theta[self.model.background] @ self.model.basis
        self.net = self._heights(self.fit_model - background)
        rest = self.measured - self.fit_model
        self.model_error = min(estimate_model_error(rest, self.net, self.noise), most_error)
        plain = point_weights(self.measured, self.fit_model, self.net, self.noise, self.model_error, robust=True)
        reach = int(1.5 * self.model.reference_fwhm / self.model.step_deg)
        self.inflation = inflation(rest, plain, self.net, self.noise, reach) if near else 1.0
        return solution

    def _free_families(self, active: np.ndarray) -> None:
        """Free the areas of families that the data can see."""
        for i, block in enumerate(self.model.blocks):
            active[self._held_families(active, block.family, _FAMILY_STD)] = True
            self.tau[i] = _FIRST_TAU
            self.prior = with_scatter(self.prior, block, _FIRST_TAU)

    def _free_shapes(self, active: np.ndarray) -> None:
        """Free the widths and places of families that the data hold well."""
        for block in self.model.blocks:
            active[self._held_families(active, block.family_width, FAMILY_WIDTH_STD)] = True
            active[self._held_families(active, block.family_shift, FAMILY_SHIFT_STD)] = True

    def _held_families(self, active: np.ndarray, parameters: np.ndarray, std: float) -> np.ndarray:
        """Choose the parameters, one a family, that the data alone would hold better than `std`."""
        trial = np.zeros_like(active)
        trial[parameters] = True
        self.model.activate(trial)
        rows = self.model.evaluate(self.theta).jacobian
        held = np.einsum("kn,n,kn->k", rows, self.weights, rows)
        return self.model.active[held > std**-2.0]

    def _learn_texture(self, solution: Solution, active: np.ndarray) -> None:
        """Choose axes and scatters by the evidence of the areas."""
        for i, block in enumerate(self.model.blocks):
            evidence = family_evidence(self.model, block, solution, self.prior)
            if evidence is None:
                continue
            found = best_axis(self.model, block, evidence, self.theta)
            if found is not None:
                self.model.axes[i], self.theta[block.march] = found
                self.theta[evidence.parameters] -= of_groups(block, evidence, self.model.log_march(i, self.theta))
                active[block.march] = True
        self._learn_scatter(solution)

    def _learn_scatter(self, solution: Solution) -> None:
        for i, block in enumerate(self.model.blocks):
            evidence = family_evidence(self.model, block, solution, self.prior)
            mean = None
            if evidence is not None and self.model.axes[i] is not None and not np.isin(block.march, solution.active):
                mean = of_groups(block, evidence, self.model.log_march(i, self.theta))
            probability = posterior_of_tau(evidence, mean)
            self.tau[i] = float(np.exp(probability @ np.log(TAU_GRID)))
            self.prior = with_scatter(self.prior, block, self.tau[i])

    def fitted(self) -> Fitted:
        """Hand over what the numbers are made of."""
        return Fitted(
            lines=self.lines,
            phases=tuple(self.phases),
            model=self.model,
            prior=self.prior,
            solution=self.solution,
            weights=self.weights,
            noise=np.maximum(self.lines.scan.noise / self.unit, 1e-6),
            measured=self.lines.intensity / self.unit,
            unit=self.unit,
            tau=tuple(self.tau),
            model_error=self.model_error,
            iterations=self.iterations,
        )


class _Points(NamedTuple):
    """Hold the points that are fitted, (n,)."""

    angles: np.ndarray
    intensity: np.ndarray
    background: np.ndarray
    noise: np.ndarray


def binned(lines: LineList) -> _Points:
    """Average neighbouring points of a scan that is finer than its narrowest lines need."""
    columns = (lines.angles, lines.intensity, lines.scan.background, lines.scan.noise)
    narrow = min([peak_width_deg(lines), *(line.fwhm_deg for line in lines.lines)])
    size = int(
        np.clip(narrow / (_POINTS_PER_WIDTH * float(np.median(np.diff(lines.angles)))), 1, len(lines.angles) // 50)
    )
    if size < 2:
        return _Points(*columns)
    whole = len(lines.angles) // size * size
    angles, intensity, background, noise = (v[:whole].reshape(-1, size).mean(axis=1) for v in columns)
    return _Points(angles, intensity, background, noise / np.sqrt(size))


def starting_prior(model: PatternModel, lines: LineList, background: np.ndarray) -> Prior:
    """Say what is known before the pattern is fitted."""
    mean, std = np.zeros(model.size), np.full(model.size, 1e3)
    longest, lowest, highest = (np.full(model.size, v) for v in (np.inf, -np.inf, np.inf))
    fwhm = model.reference_fwhm

    def put(index: int | list[int] | np.ndarray, value: float, width: float, step: float = np.inf) -> None:
        mean[index], std[index], longest[index] = value, width, step

    put(DISPLACEMENT, 0.0, displacement_std_deg(lines.radiation), fwhm)
    put(ZERO, 0.0, ZERO_STD_DEG, fwhm)
    put(CAGLIOTI_V, 0.0, 0.3, 0.3)
    put(SHARE_SLOPE, 0.0, 1.0, 0.7)
    put(AXIAL, 0.0, 0.05, 0.1)
    put(model.tube, 0.0, 0.01, 0.02)
    lowest[model.tube] = 0.0
    tangent = float(np.tan(np.radians(np.median([x.two_theta_deg for x in lines.lines] or model.angles.mean())) / 2))
    loose = 2.0 if model.instrument is not None else 0.7
    for block in model.blocks:
        put(block.scale, 0.0, _SCALE_STD, 1.5)
        put(block.debye, *B_ISO_A2, 0.5)
        put(block.share, _logit(float(np.clip(lines.eta, 0.15, 0.85))), 0.7, 0.5)
        put(block.width, float(np.log((0.4 if model.instrument is not None else 0.8) * fwhm)), loose, 0.5)
        put(block.strain, float(np.log(0.4 * fwhm / tangent)), max(loose, 0.8), 0.5)
        highest[block.width] = np.log(fwhm + size_to_width_deg(_SMALLEST_NM, model.radiation.wavelength_A))
        highest[block.strain] = np.log(fwhm / tangent + microstrain_to_width_deg(_LARGEST_STRAIN))
        put(block.march, 0.0, MARCH_STD, 0.4)
        put(list(block.lattice), 0.0, LATTICE_STD, 0.004)
        put(block.skew, 0.0, 0.15, 0.15)
        put(block.family, 0.0, 1.0, 1.0)
        put(block.family_width, 0.0, FAMILY_WIDTH_STD, 0.2)
        put(block.family_shift, 0.0, FAMILY_SHIFT_STD, 0.1)
        lowest[block.debye], highest[block.debye] = -1.0, 4.0
        lowest[block.share], highest[block.share] = -4.0, 4.0
        lowest[block.family], highest[block.family] = -6.0, 4.0
        lowest[list(block.lattice)], highest[list(block.lattice)] = -0.04, 0.04
    precision = np.diag(std**-2.0)
    _smooth_background(model, background, precision)
    return Prior(mean=mean, precision=precision, lowest=lowest, highest=highest, longest=longest)


def _start_background(model: PatternModel, background: np.ndarray) -> np.ndarray:
    """Fit the splines to the clipped background."""
    basis = model.basis
    return np.asarray(np.linalg.lstsq(basis @ basis.T + 1e-9 * np.eye(len(basis)), basis @ background, rcond=None)[0])


def _smooth_background(model: PatternModel, background: np.ndarray, precision: np.ndarray) -> None:
    """Let the background bend where the clipped one does, and little elsewhere."""
    where = model.background
    bend = np.diff(np.eye(len(where)), n=2, axis=0)
    if len(bend):
        found = np.abs(bend @ _start_background(model, background))
        typical = _BEND * (maximum_filter1d(found, 3) + 0.3 * float(np.sqrt(np.mean(found**2)))) + 1e-3
        precision[np.ix_(where, where)] += (bend.T / typical**2) @ bend


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


def _start_scales(fit: _Fit) -> None:
    """Start every width at the best of a few, and every scale at its share of the lines, none too low to grow again."""
    model, theta = fit.model, fit.theta
    mask = np.zeros(model.size, bool)
    mask[[block.scale for block in model.blocks]] = True
    model.activate(mask)
    weight = 1 / np.hypot(fit.noise, 0.1 * fit.net)
    target = (fit.measured - fit.fit_model) * weight
    best = _scales(model, theta, weight, target)
    for _ in range(2 if len(model.blocks) > 1 else 1):
        for block in model.blocks:
            for factor in _WIDTH_FACTORS:
                trial, both = theta.copy(), [block.width, block.strain]
                trial[both] = np.minimum(fit.prior.mean[both] + np.log(factor), fit.prior.highest[both])
                found = _scales(model, trial, weight, target)
                if found[0] < best[0]:
                    best, theta = found, trial
    _, alone, together, lowest = best
    for block, one, joint, low in zip(model.blocks, alone, together, lowest):
        theta[block.scale] += float(np.log(max(joint, 0.05 * one, low)))
    fit.theta = theta


def _scales(
    model: PatternModel, theta: np.ndarray, weight: np.ndarray, target: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Fit scales alone: misfit, scales of each phase by itself, of all together, and the lowest that could be seen."""
    from scipy.optimize import nnls

    curves = model.evaluate(theta).jacobian * weight
    alone = np.maximum(curves @ target, 0.0) / np.maximum(np.einsum("pn,pn->p", curves, curves), 1e-12)
    together, misfit = nnls(curves.T, target)
    return float(misfit), alone, together, 0.3 / np.maximum(curves.max(axis=1), 1e-12)


def _lift_lost_scales(model: PatternModel, solution: Solution, theta: np.ndarray) -> None:
    """Keep a scale that went towards zero where a later stage can still feel it, and its texture out of it."""
    for block in model.blocks:
        held = solution.hessian[model.row(block.scale), model.row(block.scale)]
        if held < 0.04:
            theta[block.scale] += 0.5 * float(np.log(0.04 / max(held, 1e-30)))
            theta[block.family] = np.minimum(theta[block.family], 0.0)
