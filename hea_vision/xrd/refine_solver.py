"""Damped Gauss-Newton for a whole pattern, and the weights of its points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from hea_vision.xrd.refine_model import Evaluation, PatternModel

#: Residuals beyond this many standard deviations, as foreign lines leave them, count by their amount only.
_HUBER = 4.0
#: Relative decrease of the objective below which a fit has converged.
_CONVERGED = 1e-5


@dataclass(frozen=True, kw_only=True, eq=False)
class Prior:
    """Hold a normal prior: `mean` (parameters,), `precision` (parameters, parameters), and limits of a parameter.

    `longest` is the longest step of one iteration.
    """

    mean: np.ndarray
    precision: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    longest: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Solution:
    """Hold parameters at a minimum and the linear problem there, over the active parameters.

    `hessian` = J^T W J and `information` = hessian theta + J^T W r describe the data alone.
    """

    theta: np.ndarray
    active: np.ndarray
    evaluation: Evaluation
    hessian: np.ndarray
    information: np.ndarray
    objective: float
    iterations: int
    converged: bool


def minimise(
    model: PatternModel,
    measured: np.ndarray,
    weights: np.ndarray,
    theta: np.ndarray,
    prior: Prior,
    active: np.ndarray,
    max_iterations: int,
) -> Solution:
    """Minimise sum W (y - model)^2 + (theta - mean)^T precision (theta - mean) over the active parameters."""
    model.activate(active)
    where = model.active
    theta = theta.copy()
    evaluation = model.evaluate(theta)
    value = _objective(measured, weights, evaluation, theta, prior)
    damping, iterations, converged = 1e-3, 0, False
    hessian, slope = _linear(evaluation, weights, measured)
    while iterations < max_iterations and not converged:
        iterations += 1
        downhill = slope + (prior.precision @ (prior.mean - theta))[where]
        # A parameter at its limit that would leave it stays; the others are solved without it.
        stuck = ((theta[where] <= prior.lowest[where]) & (downhill < 0)) | (
            (theta[where] >= prior.highest[where]) & (downhill > 0)
        )
        free = np.flatnonzero(~stuck)
        go = where[free]
        full = hessian[np.ix_(free, free)] + prior.precision[np.ix_(go, go)]
        step = solve_positive(full + np.diag(damping * np.diag(full) + 1e-12), downhill[free])
        moved = theta.copy()
        # All steps shrink together where one is too long, so that the direction is kept.
        shrink = max(1.0, float(np.max(np.abs(step) / prior.longest[go], initial=0.0)))
        moved[go] += step / min(shrink, 4.0)
        moved[go] = np.clip(moved[go], theta[go] - prior.longest[go], theta[go] + prior.longest[go])
        moved = np.clip(moved, prior.lowest, prior.highest)
        trial = model.evaluate(moved)
        new = _objective(measured, weights, trial, moved, prior)
        if np.isfinite(new) and new <= value:
            converged = value - new < _CONVERGED * value + 1e-9
            theta, evaluation, value = moved, trial, new
            hessian, slope = _linear(evaluation, weights, measured)
            damping = max(damping / 8, 1e-7)
        else:
            damping *= 12
            converged = damping > 1e6
    return Solution(
        theta=theta,
        active=where,
        evaluation=evaluation,
        hessian=hessian,
        information=hessian @ theta[where] + slope,
        objective=value,
        iterations=iterations,
        converged=converged,
    )


def _objective(
    measured: np.ndarray, weights: np.ndarray, evaluation: Evaluation, theta: np.ndarray, prior: Prior
) -> float:
    away = theta - prior.mean
    rest = measured - evaluation.model
    return float(rest @ (weights * rest) + away @ prior.precision @ away)


def _linear(evaluation: Evaluation, weights: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scaled = evaluation.jacobian * np.sqrt(weights)
    return scaled @ scaled.T, evaluation.jacobian @ (weights * (measured - evaluation.model))


def solve_positive(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve a system whose matrix is positive but may be nearly singular, whatever its units."""
    scale = 1 / np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    unit = matrix * scale[:, None] * scale[None, :]
    shape = (slice(None),) + (None,) * (right.ndim - 1)
    for ridge in (0.0, 1e-12, 1e-9, 1e-6, 1e-3):
        try:
            factor = cho_factor(unit + ridge * np.eye(len(unit)), check_finite=False)
        except np.linalg.LinAlgError:
            continue
        return np.asarray(scale[shape] * cho_solve(factor, scale[shape] * right, check_finite=False))
    return np.zeros_like(right)


def line_heights(net: np.ndarray, reach: int) -> np.ndarray:
    """Give every point the height of the lines within `reach` points, (n,).

    A wrong line shape errs on the flanks as much as at the top; were its error put proportional to the intensity
    itself, a fit could follow the tails and leave the top.
    """
    reach = int(np.clip(reach, 1, max(1, len(net) // 20)))
    return np.asarray(uniform_filter1d(maximum_filter1d(net, 2 * reach + 1, mode="nearest"), reach, mode="nearest"))


def point_weights(
    measured: np.ndarray, model: np.ndarray, net: np.ndarray, noise: np.ndarray, model_error: float, *, robust: bool
) -> np.ndarray:
    """Compute weights from noise and a misfit that is proportional to the height `net` of the lines.

    `robust` weights count far points by their amount only; before a fit has come near, these would be its own lines.
    """
    variance = noise**2 + (model_error * net) ** 2
    if not robust:
        return np.asarray(1 / variance)
    away = np.abs(measured - model) / np.sqrt(variance)
    return np.minimum(1.0, _HUBER / np.maximum(away, 1e-12)) / variance


def estimate_model_error(residual: np.ndarray, net: np.ndarray, noise: np.ndarray) -> float:
    """Estimate the std of the misfit relative to the height of lines."""
    high = net > max(3 * float(np.median(noise)), 0.02 * float(net.max()))
    if high.sum() < 8:
        return 0.0
    error = 0.02
    for _ in range(6):  # the estimator's own weights depend on the result
        weight = net[high] ** 2 / (noise[high] ** 2 + (error * net[high]) ** 2) ** 2
        excess = (residual[high] ** 2 - noise[high] ** 2) * weight
        error = float(np.sqrt(max(excess.sum(), 0.0) / (net[high] ** 2 * weight).sum()))
        error = max(error, 1e-5)
    return min(error, 0.5)


def inflation(residual: np.ndarray, weights: np.ndarray, net: np.ndarray, noise: np.ndarray, reach: int) -> float:
    """Estimate by how much the variance of a sum over a line exceeds that of independent points of these weights.

    Misfit and smoothing correlate neighbours; compare Berar & Lelann, J. Appl. Cryst. 24, 1 (1991),
    10.1107/S0021889890008391.
    """
    pulls = residual * np.sqrt(weights)
    near = net > noise
    if near.sum() < 50:
        near = np.ones(len(pulls), bool)
    single = float(np.mean(pulls[near] ** 2))
    width = int(np.clip(reach, 3, max(3, len(pulls) // 10)))
    together = uniform_filter1d(pulls, width, mode="nearest") * np.sqrt(width)
    return max(1.0, single, float(np.mean(together[near] ** 2)))
