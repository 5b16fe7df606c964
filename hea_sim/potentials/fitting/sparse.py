"""LASSO: which features a linear model needs. Each step of the path is fitted again by ridge on what is left.

| minimise sum_b w_b |X_b c - y_b|^2 / 2 + alpha sum_k s_k |c_k| | s_k the length of column k; constants are free |
|---|---|
| chosen along the path | smallest BIC, or smallest error on rows held out |

Tibshirani, J. R. Stat. Soc. B 58 (1996) 267, 10.1111/j.2517-6161.1996.tb02080.x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hea_sim.potentials.fitting.linear import LinearFit, fit_linear
from hea_sim.potentials.fitting.rows import Rows
from hea_sim.potentials.fitting.sparse_kernels import descend
from hea_sim.potentials.fitting.weights import Weights


@dataclass(frozen=True, kw_only=True, eq=False)
class PathStep:
    """Hold one step of the path: `alpha` relative to the smallest that leaves nothing, and the fit to what is left."""

    alpha: float
    fit: LinearFit
    score: float

    @property
    def n_features(self) -> int:
        """Count the features that are left."""
        return int(self.fit.selected.sum())


def lasso_path(
    rows: Rows,
    weights: Weights | None = None,
    penalty: float | None = None,
    *,
    score: Callable[[LinearFit], float] | None = None,
    alphas: np.ndarray | None = None,
) -> tuple[PathStep, list[PathStep]]:
    """Follow the LASSO from few features to many; give the best step and the whole path.

    Without `score` steps are compared by BIC; smaller is better.
    """
    weights = weights or Weights()
    triangle = rows.merged(weights)
    lengths = np.linalg.norm(triangle[:, :-1], axis=0)
    lengths[lengths == 0] = 1.0
    scaled = triangle[:, :-1] / lengths
    gram, target = scaled.T @ scaled, scaled.T @ triangle[:, -1]
    penalised = (~rows.constant).astype(float)
    start = descend(gram, target, np.where(rows.constant, 0.0, np.inf), np.zeros(len(target)), 1000, 1e-12)
    largest = float(np.abs((target - gram @ start) * penalised).max())
    steps: list[PathStep] = []
    c = start
    for alpha in np.logspace(-0.1, -7, 36) if alphas is None else alphas:
        c = descend(gram, target, alpha * largest * penalised, c, 3000, 1e-7)
        selected = (c != 0) | rows.constant
        if steps and np.array_equal(selected, steps[-1].fit.selected):
            continue
        fit = fit_linear(rows, weights, penalty, selected=selected)
        steps.append(PathStep(alpha=float(alpha), fit=fit, score=fit.bic if score is None else score(fit)))
    return min(steps, key=lambda step: step.score), steps
