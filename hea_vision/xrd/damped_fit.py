"""Levenberg-Marquardt for the many small fits of a search, where a general library spends its time on bookkeeping.

`scipy.optimize.least_squares` is the twin that tests compare with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_TOLERANCE = 1e-7
#: Bounds of the damping; where the heaviest gains nothing, nothing will.
_LIGHTEST, _HEAVIEST = 1e-6, 1e3


@dataclass(frozen=True, kw_only=True, eq=False)
class DampedFit:
    """Hold the solution (p,), the Jacobian there (m, p) with its robust weights, and half the sum of squares."""

    x: np.ndarray
    jacobian: np.ndarray
    cost: float


def damped_least_squares(
    model: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: np.ndarray,
    *,
    scale: np.ndarray | float = 1.0,
    soft_from: float | None = None,
    max_steps: int = 25,
    enough: float = 0.0,
) -> DampedFit:
    """Minimise half the sum of squared residuals.

    Parameters
    ----------
    model
        Gives residuals (m,) and their Jacobian (m, p).
    scale
        Typical step of each parameter.
    soft_from
        Residuals beyond this count less and less (soft L1), where given.
    enough
        The fit ends where a step gains no more than this, in units of the cost.
    """
    x = np.asarray(start, float)
    unit = np.broadcast_to(np.asarray(scale, float), x.shape)
    residual, jacobian = model(x)
    weight, cost = _soften(residual, soft_from)
    damping = 1e-3
    for _ in range(max_steps):
        j = jacobian * np.sqrt(weight)[:, None] * unit
        normal, slope = j.T @ j, j.T @ (residual * np.sqrt(weight))
        bend = damping * np.diag(np.maximum(np.diag(normal), 1e-12))
        step = -np.linalg.solve(normal + bend, slope) * unit
        tried_residual, tried_jacobian = model(x + step)
        tried_weight, tried_cost = _soften(tried_residual, soft_from)
        if not np.isfinite(tried_cost) or tried_cost > cost:
            damping *= 8
            if damping > _HEAVIEST:
                break
            continue
        gained = cost - tried_cost
        x, residual, jacobian, weight, cost = x + step, tried_residual, tried_jacobian, tried_weight, tried_cost
        damping = max(damping / 8, _LIGHTEST)
        if gained <= max(enough, _TOLERANCE * (1e-12 + cost)):
            break
    return DampedFit(x=x, jacobian=jacobian * np.sqrt(weight)[:, None], cost=cost)


def _soften(residual: np.ndarray, soft_from: float | None) -> tuple[np.ndarray, float]:
    """Give the weight of each residual and the cost."""
    if soft_from is None:
        return np.ones_like(residual), 0.5 * float(residual @ residual)
    root = np.sqrt(1 + (residual / soft_from) ** 2)
    return 1 / root, float(np.sum(root - 1)) * soft_from**2
