"""Fit cluster expansions to labelled cells, say what the cells cannot decide, and choose the next cells to label.

| symbol | here |
|---|---|
| X, one row a cell: m_f Pi_f / s_f; s_f, natural length of a coefficient (`ClusterSpace.spread`) | `design_rows` |
| aliased: columns of X that are parallel in all cells; rank of X | `ClusterFitReport` |
| next cell: largest x S x, or largest det of the information, sum x x^T (D-optimal) | `choose_next` |

van de Walle, Ceder, J. Phase Equilib. 23 (2002) 348, doi:10.1361/105497102770331596, and Mueller, Ceder, Phys. Rev. B
82 (2010) 184107, doi:10.1103/PhysRevB.82.184107, for the choice of structures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.cluster_functions import ClusterSpace, check_occupations
from hea_sim.lattice.clusters import ClusterModel
from hea_sim.lattice.fit import FitCell, arrangement_errors, fold_of_rows
from hea_sim.lattice.regression import LASSO_STEPS, Fit, Regression, bayesian, lasso, least_squares, out_of_fold

Method = Literal["least-squares", "lasso", "bayes", "ard"]
METHODS = ("least-squares", "lasso", "bayes", "ard")


@dataclass(frozen=True, kw_only=True, eq=False)
class ClusterFitReport:
    """Hold what the cells could and could not decide.

    `rank` of `n_functions`; `aliased` names groups of functions whose correlations are proportional in all cells, of
    which only the sum is known. Predictions are out of fold, in the order of the cells; `energy_cv_std_eV` are their
    predictive std and `z_rms` the root mean square of error over std (1 where it is calibrated).
    """

    n_cells: int
    n_functions: int
    n_selected: int
    n_effective: float
    rank: int
    condition: float
    aliased: tuple[tuple[str, ...], ...]
    noise_eV: float
    energy_cv_eV: np.ndarray
    energy_cv_std_eV: np.ndarray
    energy_cv_rmse_eV: float
    arrangement_cv_rmse_eV: float
    arrangement_spread_eV: float
    z_rms: float


def fit_cluster_model(
    cells: Sequence[FitCell],
    space: ClusterSpace,
    *,
    name: str,
    method: Method = "bayes",
    folds: int = 10,
    seed: int = 0,
) -> tuple[ClusterModel, ClusterFitReport]:
    """Fit a cluster expansion and predict every cell from a fit that saw no cell with the same correlations.

    Parameters
    ----------
    cells
        Labelled cells; their sizes count cells of the parent.
    space
        The clusters and functions.
    method
        "bayes": the prior of the functions of one orbit has one width, from the evidence; "ard": that of each function
        its own (its predictive std leaves out that functions were chosen, and is somewhat small); "lasso": the penalty
        with the smallest cross-validated error; "least-squares": no prior.

    Raises InputError where cells lack labels, or where least squares cannot tell functions apart.
    """
    if method not in METHODS:
        raise InputError(f"method '{method}'; wanted {', '.join(METHODS)}")
    check_labels(cells, folds, name)
    matrix = design_rows(cells, space)
    energy = np.array([cell.energy_eV for cell in cells])
    weights = np.array([cell.weight for cell in cells], float)
    rank, condition = column_rank(matrix, weights)
    aliased = aliased_functions(matrix, space)
    if method == "least-squares" and rank < matrix.shape[1]:
        named = f", such as {' and '.join(aliased[0])}" if aliased else ""
        raise InputError(
            f"fit of {name}: {len(cells)} cells decide {rank} of {matrix.shape[1]} functions{named}; wanted more or"
            " larger cells, smaller cutoffs, or method 'bayes'"
        )
    assignment = fold_of_rows(matrix, folds, seed)
    fit = _method(method, space, matrix, energy, weights, assignment)
    found = fit(matrix, energy, weights)
    predicted, std = out_of_fold(matrix, energy, weights, assignment, fit)
    fractions = np.array([fractions_of_cell(cell, len(space.species)) for cell in cells])
    error, spread = arrangement_errors(energy, predicted, fractions)
    rmse = float(np.sqrt((weights * (energy - predicted) ** 2).sum() / weights.sum()))
    report = ClusterFitReport(
        n_cells=len(cells),
        n_functions=matrix.shape[1],
        n_selected=int(found.selected.sum()),
        n_effective=found.n_effective,
        rank=rank,
        condition=condition,
        aliased=aliased,
        noise_eV=found.noise,
        energy_cv_eV=predicted,
        energy_cv_std_eV=std,
        energy_cv_rmse_eV=rmse,
        arrangement_cv_rmse_eV=error,
        arrangement_spread_eV=spread,
        z_rms=float(np.sqrt(np.mean(((energy - predicted) / np.maximum(std, 1e-15)) ** 2))),
    )
    length = space.spread
    model = ClusterModel(
        name=name,
        space=space,
        coefficients_eV=found.coefficients / length,
        energy_std_eV=rmse,
        covariance_eV2=np.empty((0, 0)) if found.covariance is None else found.covariance / np.outer(length, length),
        noise_eV=found.noise,
    )
    return model, report


def check_labels(cells: Sequence[FitCell], folds: int, name: str) -> None:
    """Raise InputError where there are too few cells, or some without energy or with a weight that is not above 0."""
    if len(cells) < 2 * folds:
        raise InputError(f"fit of {name}: got {len(cells)} cells, wanted at least {2 * folds} for {folds} folds")
    unlabelled = sum(not np.isfinite(cell.energy_eV) for cell in cells)
    if unlabelled:
        raise InputError(f"fit of {name}: {unlabelled} cells have no energy; label them first (label_cells)")
    if not all(cell.weight > 0 for cell in cells):
        raise InputError(f"fit of {name}: a weight of {min(cell.weight for cell in cells)}; wanted all above 0")


def fractions_of_cell(cell: FitCell, n_species: int) -> np.ndarray:
    """Give the composition of a cell."""
    return np.bincount(cell.occupation, minlength=n_species) / len(cell.occupation)


def design_rows(cells: Sequence[FitCell], space: ClusterSpace) -> np.ndarray:
    """Build the rows (cells, functions) m_f Pi_f / s_f: a coefficient of these has the length of an energy per atom."""
    matrix = np.empty((len(cells), len(space)))
    for cell in cells:
        check_occupations(cell.occupation, space.parent, cell.size, space.species)
    sizes = [tuple(cell.size) for cell in cells]
    for size in dict.fromkeys(sizes):
        here = [k for k, other in enumerate(sizes) if other == size]
        matrix[here] = space.correlations(np.stack([cells[k].occupation for k in here]), size)
    return matrix * space.multiplicity / space.spread


def column_rank(matrix: np.ndarray, weights: np.ndarray) -> tuple[int, float]:
    """Give rank and condition number of the weighted matrix with columns of equal length."""
    weighted = matrix * np.sqrt(weights)[:, None]
    singular = np.linalg.svd(weighted / np.linalg.norm(weighted, axis=0).clip(1e-12), compute_uv=False)
    full = len(singular) == matrix.shape[1]
    condition = float(singular[0] / max(singular[-1], 1e-300)) if full else float("inf")
    return int((singular > 1e-9 * singular[0]).sum()), condition


def aliased_functions(matrix: np.ndarray, space: ClusterSpace) -> tuple[tuple[str, ...], ...]:
    """Name the groups of functions whose columns are parallel in all cells, or zero in all of them."""
    names = space.names()
    length = np.linalg.norm(matrix, axis=0)
    dead = length < 1e-9 * max(float(length.max()), 1e-300)
    unit = matrix / np.where(dead, 1.0, length)
    alike = np.abs(unit.T @ unit) > 1 - 1e-9
    groups: list[tuple[str, ...]] = []
    met = dead.copy()
    for k in range(len(names)):
        if not met[k]:
            members = np.flatnonzero(alike[k] & ~met)
            met[members] = True
            if len(members) > 1:
                groups.append(tuple(names[m] for m in members))
    return (*groups, *((f"{names[k]} (zero in all cells)",) for k in np.flatnonzero(dead)))


def _method(
    method: Method, space: ClusterSpace, matrix: np.ndarray, target: np.ndarray, weights: np.ndarray, folds: np.ndarray
) -> Fit:
    """Give the function that fits a part of the rows; the penalty of a LASSO is chosen here."""
    free = space.order < 2
    if method == "least-squares":
        return least_squares
    if method == "lasso":
        penalty = _best_penalty(matrix, target, weights, free, folds)

        def fit_lasso(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> Regression:
            return lasso(x, y, w, free, LASSO_STEPS[LASSO_STEPS >= penalty * (1 - 1e-9)])[-1]

        return fit_lasso
    orbit = np.array([-1, *(f.orbit for f in space.functions)])
    groups = np.where(free, -1, orbit if method == "bayes" else np.arange(len(free)))

    def fit_bayes(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> Regression:
        return bayesian(x, y, w, groups)

    return fit_bayes


def _best_penalty(
    matrix: np.ndarray, target: np.ndarray, weights: np.ndarray, free: np.ndarray, folds: np.ndarray
) -> float:
    """Give the penalty with the smallest cross-validated error among those that all folds reach."""
    errors = np.zeros(len(LASSO_STEPS))
    reached = len(LASSO_STEPS)
    for fold in np.unique(folds):
        out = folds == fold
        steps = lasso(matrix[~out], target[~out], weights[~out], free)
        reached = min(reached, len(steps))
        for k, step in enumerate(steps):
            errors[k] += float((weights[out] * (target[out] - matrix[out] @ step.coefficients) ** 2).sum())
    return float(LASSO_STEPS[np.argmin(errors[:reached])])


def choose_next(
    rows: np.ndarray,
    covariance: np.ndarray,
    count: int,
    *,
    noise: float,
    by: Literal["variance", "d-optimal"] = "d-optimal",
) -> np.ndarray:
    """Choose which of many cells to label next; give their numbers, the most telling first.

    Parameters
    ----------
    rows
        Rows (n, p) of the candidates and the covariance (p, p) of the coefficients that they multiply.
    noise
        Std of a label, in the unit of rows times coefficients.
    by
        "variance": the largest predictive variance. "d-optimal": the same, with the covariance brought up to date after
        each choice, which raises the determinant of the information most; near twins are then not chosen together.
    """
    rows, covariance = np.asarray(rows, float), np.array(covariance, float)
    if covariance.shape != (rows.shape[1],) * 2:
        raise InputError(f"covariance {covariance.shape} with rows {rows.shape}; wanted (p, p) and (n, p)")
    if not 1 <= count <= len(rows) or not noise > 0:
        raise InputError(
            f"choose {count} of {len(rows)} cells with noise {noise}; wanted 1 to {len(rows)}, noise above 0"
        )
    if by not in ("variance", "d-optimal"):
        raise InputError(f"choice by '{by}'; wanted 'variance' or 'd-optimal'")
    if by == "variance":
        return np.argsort(-np.einsum("np,pq,nq->n", rows, covariance, rows), kind="stable")[:count]
    chosen: list[int] = []
    for _ in range(count):
        variance = np.einsum("np,pq,nq->n", rows, covariance, rows)
        variance[chosen] = -np.inf
        best = int(np.argmax(variance))
        chosen.append(best)
        along = covariance @ rows[best]
        covariance -= np.outer(along, along) / (noise**2 + variance[best])
    return np.array(chosen)
