"""Linear regression for cluster expansions: least squares, LASSO, and Bayesian regression by its evidence.

| symbol | here |
|---|---|
| y = X c + noise, weights w of the rows | all |
| LASSO: minimise sum w (y - X c)^2 / 2 + lambda sum |c_k|, then least squares on what is left | `lasso` |
| Bayes: c_k ~ N(0, 1 / a_g), noise of variance 1 / (b w); S = (b X W X + A)^-1, c = b S X W y | `bayesian` |
| g_k = 1 - a_k S_kk: a_g = sum_g g_k / sum_g c_k^2, 1 / b = sum w r^2 / (n - sum g_k) | |

Tibshirani, J. R. Stat. Soc. B 58 (1996) 267, doi:10.1111/j.2517-6161.1996.tb02080.x; MacKay, Neural Comput. 4 (1992)
415, doi:10.1162/neco.1992.4.3.415; automatic relevance determination gives each coefficient a variance of its own:
Tipping, J. Mach. Learn. Res. 1 (2001) 211. Bayesian cluster expansions: Mueller, Ceder, Phys. Rev. B 80 (2009) 024103,
doi:10.1103/PhysRevB.80.024103.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Penalties of the LASSO tried, relative to the smallest that leaves nothing.
LASSO_STEPS = np.logspace(0, -4, 25)
_ROUNDS = 300
_SETTLED = 1e-3
#: A coefficient that its prior makes smaller by this factor than least squares would is put at zero.
_PRUNED = 1e4


@dataclass(frozen=True, kw_only=True, eq=False)
class Regression:
    """Hold fitted coefficients (p,); `covariance` and `noise` (std of a row of weight 1) where the method gives them.

    `selected` says which coefficients are not held at zero, `n_effective` how many the data decide.
    """

    coefficients: np.ndarray
    selected: np.ndarray
    n_effective: float
    noise: float
    covariance: np.ndarray | None = None
    penalty: float | None = None

    def std(self, rows: np.ndarray) -> np.ndarray:
        """Give the predictive std of a label of weight 1 for rows (n, p)."""
        open_ = 0.0 if self.covariance is None else np.einsum("np,pq,nq->n", rows, self.covariance, rows)
        return np.sqrt(np.maximum(open_, 0.0) + self.noise**2)


Fit = Callable[[np.ndarray, np.ndarray, np.ndarray], Regression]


def least_squares(
    matrix: np.ndarray, target: np.ndarray, weights: np.ndarray, selected: np.ndarray | None = None
) -> Regression:
    """Fit by least squares; of coefficients that the rows cannot tell apart, the shortest vector is taken."""
    chosen = np.ones(matrix.shape[1], bool) if selected is None else selected
    root = np.sqrt(weights)
    part = matrix[:, chosen] * root[:, None]
    found, _, rank, _ = np.linalg.lstsq(part, target * root, rcond=1e-10)
    coefficients = np.zeros(matrix.shape[1])
    coefficients[chosen] = found
    left = float(((target * root - part @ found) ** 2).sum())
    noise = float(np.sqrt(left / max(len(target) - rank, 1)))
    return Regression(coefficients=coefficients, selected=chosen, n_effective=float(rank), noise=noise)


def lasso(
    matrix: np.ndarray, target: np.ndarray, weights: np.ndarray, free: np.ndarray, penalties: np.ndarray = LASSO_STEPS
) -> list[Regression]:
    """Follow the LASSO along its penalties, each step fitted again by least squares; `free` (p,) pay nothing.

    A step that keeps more coefficients than there are rows ends the path.
    """
    from hea_sim.potentials.fitting.sparse_kernels import descend

    root = np.sqrt(weights)[:, None]
    scaled = matrix * root
    gram, slope = scaled.T @ scaled, scaled.T @ (target * root[:, 0])
    start = descend(gram, slope, np.where(free, 0.0, np.inf), np.zeros(len(slope)), 3000, 1e-12)
    largest = float(np.abs((slope - gram @ start)[~free]).max(initial=0.0))
    steps: list[Regression] = []
    c = start
    for penalty in penalties:
        c = descend(gram, slope, np.where(free, 0.0, penalty * largest), c, 3000, 1e-7)
        selected = (c != 0) | free
        if selected.sum() >= len(target) and steps:
            break
        fit = least_squares(matrix, target, weights, selected)
        steps.append(
            Regression(
                coefficients=fit.coefficients,
                selected=selected,
                n_effective=fit.n_effective,
                noise=fit.noise,
                penalty=float(penalty),
            )
        )
    return steps


def bayesian(matrix: np.ndarray, target: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> Regression:
    """Fit with the widths of the priors and the noise that make the labels most probable.

    `groups` (p,) numbers the coefficients that share one width; -1 stands for those with a flat prior. Coefficients
    whose prior has shrunk to nothing are put at zero and leave the fit.
    """
    root = np.sqrt(weights)[:, None]
    scaled, aim = matrix * root, target * root[:, 0]
    gram, slope, n = scaled.T @ scaled, scaled.T @ aim, len(target)
    spread = max(float(np.var(aim)), 1e-30)
    sizes = np.maximum(np.diag(gram), 1e-12 * max(float(np.diag(gram).max()), 1e-30))
    width = _Widths(groups, sizes, n, spread)
    kept, beta = np.arange(len(groups)), 100.0 / spread
    for _ in range(_ROUNDS):
        alpha = width.alpha[kept]
        prior = np.where(groups[kept] < 0, 1e-12 * beta * sizes[kept], alpha)
        covariance = _inverse(beta * gram[np.ix_(kept, kept)] + np.diag(prior))
        mean = beta * covariance @ slope[kept]
        decided = 1 - prior * np.diag(covariance)
        moved = width.update(kept, decided, mean)
        left = float(((aim - scaled[:, kept] @ mean) ** 2).sum())
        before, beta = beta, max(n - float(decided.sum()), 1.0) / max(left, 1e-12 * n * spread)
        stay = (groups[kept] < 0) | (width.alpha[kept] < _PRUNED * beta * sizes[kept])
        if stay.all() and max(moved, abs(np.log(beta / before))) < _SETTLED:
            break
        kept = kept[stay]
        mean, covariance, decided = mean[stay], covariance[np.ix_(stay, stay)], decided[stay]
    coefficients, selected = np.zeros(len(groups)), np.zeros(len(groups), bool)
    full = np.zeros((len(groups),) * 2)
    coefficients[kept], selected[kept], full[np.ix_(kept, kept)] = mean, True, covariance
    return Regression(
        coefficients=coefficients,
        selected=selected,
        n_effective=float(decided.sum()),
        noise=float(beta**-0.5),
        covariance=full,
    )


class _Widths:
    """Hold the precision of each coefficient's prior, alike within a group; 0 for flat ones."""

    def __init__(self, groups: np.ndarray, sizes: np.ndarray, n: int, spread: float) -> None:
        self.groups = groups
        self.alpha = np.zeros(len(groups))
        for g in np.unique(groups[groups >= 0]):  # to begin with, each coefficient may explain its share of the labels
            here = groups == g
            self.alpha[here] = len(groups) * sizes[here].mean() / (n * spread)

    def update(self, kept: np.ndarray, decided: np.ndarray, mean: np.ndarray) -> float:
        """Bring the widths up to date; give the largest change of the logarithm of one."""
        moved = 0.0
        for g in np.unique(self.groups[kept]):
            if g >= 0:
                here = self.groups[kept] == g
                new = max(float(decided[here].sum()), 1e-12) / max(float((mean[here] ** 2).sum()), 1e-300)
                moved = max(moved, abs(float(np.log(new / self.alpha[kept[here][0]]))))
                self.alpha[kept[here]] = new
        return moved


def _inverse(precision: np.ndarray) -> np.ndarray:
    """Invert a positive matrix whose diagonal may span many orders: scaled to a diagonal of ones first."""
    from scipy.linalg import cho_factor, cho_solve

    length = np.sqrt(np.diag(precision))
    factor = cho_factor(precision / np.outer(length, length) + 1e-13 * np.eye(len(length)))
    return cho_solve(factor, np.eye(len(length))) / np.outer(length, length)


def out_of_fold(
    matrix: np.ndarray, target: np.ndarray, weights: np.ndarray, assignment: np.ndarray, fit: Fit
) -> tuple[np.ndarray, np.ndarray]:
    """Predict every row from a fit to the other folds; give predictions and their std."""
    predicted, std = np.empty((2, len(target)))
    for fold in np.unique(assignment):
        out = assignment == fold
        found = fit(matrix[~out], target[~out], weights[~out])
        predicted[out] = matrix[out] @ found.coefficients
        std[out] = found.std(matrix[out])
    return predicted, std
