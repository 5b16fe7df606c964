"""Linear fits from reduced rows: ridge with its evidence, covariance, errors by group, groups left out.

| symbol | here |
|---|---|
| minimise sum_b w_b |X_b c - y_b|^2 + lambda sum_k (s_k c_k)^2 | w from `Weights`, s_k the length of column k |
| lambda = noise / prior variance, from the marginal likelihood | `penalty=None`, MacKay, 10.1162/neco.1992.4.3.415 |
| cov(c) = noise (X^T W X + lambda S^2)^-1 | `LinearFit.spread`, F with cov = F F^T |
| var(E / n) = scale a cov a^T + floor^2 | calibrated on structures that the fit had not seen |

Constants that move no atom, such as energies of lone atoms, are not penalised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.environment import Environment
from hea_sim.potentials.fitting.rows import LinearModel, Rows, add_rows, triangle_of
from hea_sim.potentials.fitting.weights import Weights, weights_from_errors

#: Singular values below this share of the largest count as zero.
SMALLEST_SHARE = 1e-13
_PENALTIES = np.logspace(-16, 2, 73)


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearFit:
    """Hold what a linear fit gave.

    `spread` (features, k) is a factor of the covariance of the coefficients; `rank` and `condition` are of the weighted
    rows with columns of equal length; `n_effective` counts the parameters that the data decided; `aic` and `bic` are
    those of normal errors with one common unknown width over the given tolerances, and take rows as independent.
    """

    coefficients: np.ndarray
    spread: np.ndarray
    penalty: float
    weights: Weights
    n_rows: int
    rank: int
    condition: float
    n_effective: float
    noise: float
    aic: float
    bic: float
    selected: np.ndarray

    def rmse(self, rows: Rows) -> dict[tuple[str, str], float]:
        """Give root mean square errors by (group, kind), and under the group "all", in eV, eV/A and eV/A^3."""
        return errors_of(rows, self.coefficients)


def errors_of(rows: Rows, coefficients: np.ndarray) -> dict[tuple[str, str], float]:
    """Give root mean square errors of any coefficients by (group, kind), and under the group "all"."""
    sums: dict[tuple[str, str], list[float]] = {}
    for block, square in rows.squares(coefficients).items():
        for group in (block.group, "all"):
            entry = sums.setdefault((group, block.kind), [0.0, 0.0])
            entry[0] += square
            entry[1] += rows.counts[block]
    return {key: float(np.sqrt(square / count)) for key, (square, count) in sums.items()}


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """Hold elements alike: features come in `elements` equal blocks, one an element, and twins are pulled together.

    `strength` weighs the squared distances of twins from their mean against rows of unit columns. Binary alloys never
    show what an atom does among three other elements; what elements share carries over, what sets them apart does not.
    """

    elements: int
    strength: float

    def rows(self, lengths: np.ndarray, constant: np.ndarray) -> np.ndarray:
        """Give the rows (n, features) of a fit that pull twins together, from the columns' lengths (features,)."""
        features = len(lengths) // self.elements
        each = lengths.reshape(self.elements, features)
        there = each.any(axis=1).astype(float)  # an element that does not occur is like nobody
        sizes = np.sqrt(np.square(each).sum(axis=0) / max(there.sum(), 1.0))
        apart = np.diag(there) - np.outer(there, there) / max(there.sum(), 1.0)
        made = np.einsum("ab,jk->ajbk", apart, np.diag(np.sqrt(self.strength) * sizes))
        rows = made.reshape(len(lengths), len(lengths))
        rows[:, constant] = 0.0
        return np.asarray(rows[~constant])


def fit_linear(
    rows: Rows, weights: Weights | None = None, penalty: float | None = None, *,
    selected: np.ndarray | None = None, likeness: Likeness | None = None,
) -> LinearFit:  # fmt: skip
    """Solve for the coefficients.

    `penalty` is relative to rows of unit columns; without one it is where the marginal likelihood has its maximum.
    `selected` (features,) keeps some features and sets the others to zero; `likeness` holds elements together. Raises
    InputError where there is less than one row, or a penalty below zero.
    """
    weights = weights or Weights()
    if penalty is not None and not penalty >= 0:
        raise InputError(f"penalty {penalty}; wanted a number >= 0, or none to take it from the data")
    triangle = rows.merged(weights)
    n_rows = sum(n for block, n in rows.counts.items() if weights(block) > 0)
    if not n_rows:
        raise InputError("no rows to fit to; give structures whose labels have finite tolerances")
    data, lengths = triangle, np.linalg.norm(triangle[:, :-1], axis=0)
    if likeness is not None and likeness.strength > 0:
        pull = likeness.rows(lengths, rows.constant)
        triangle = add_rows(triangle, np.concatenate([pull, np.zeros((len(pull), 1))], axis=1))
    used = lengths > 1e-12 * lengths.max(initial=1e-300)
    if selected is not None:
        used &= selected
    order = np.concatenate([np.flatnonzero(used & rows.constant), np.flatnonzero(used & ~rows.constant)])
    free = int((used & rows.constant).sum())
    scaled = np.concatenate([triangle[:, order] / lengths[order], triangle[:, -1:]], axis=1)
    problem = _Problem(scaled, free, n_rows)
    value = problem.best_penalty() if penalty is None else float(penalty)
    solution, spread = problem.solve(value)
    coefficients, factor = np.zeros(rows.n_features), np.zeros((rows.n_features, spread.shape[1]))
    coefficients[order] = solution / lengths[order]
    factor[order] = spread / lengths[order][:, None]
    square, effective, noise = problem.square(value), problem.effective(value), problem.noise(value)
    if data is not triangle:  # what holds elements alike is no label: it decides, but is not to be met
        inside = np.square(data[:, :-1] @ factor).sum() / noise
        square = float(np.square(data @ np.append(coefficients, -1.0)).sum())
        effective = float(inside)
        factor *= np.sqrt(square / max(n_rows - effective, 1.0) / noise)
        noise = square / max(n_rows - effective, 1.0)
    likelihood = n_rows * np.log(max(square / n_rows, 1e-300))
    return LinearFit(
        coefficients=coefficients,
        spread=factor,
        penalty=value,
        weights=weights,
        n_rows=n_rows,
        rank=problem.rank,
        condition=problem.condition,
        n_effective=effective,
        noise=noise,
        aic=float(likelihood + 2 * effective),
        bic=float(likelihood + np.log(n_rows) * effective),
        selected=used,
    )


class _Problem:
    """A ridge problem in unit columns, the first `free` of which are not penalised."""

    def __init__(self, rows: np.ndarray, free: int, n_rows: int) -> None:
        self.triangle = triangle_of(rows)
        self.free, self.n_rows, self.size = free, n_rows, rows.shape[1] - 1
        rest = self.triangle[free:, free:]
        u, self.values, self.vt = np.linalg.svd(rest[:, :-1], full_matrices=False)
        self.along = u.T @ rest[:, -1]
        self.outside = max(float(np.square(rest[:, -1]).sum() - np.square(self.along).sum()), 0.0)
        every = np.linalg.svd(self.triangle[:, :-1], compute_uv=False) if self.size else np.ones(1)
        self.kept = self.values > SMALLEST_SHARE * self.values.max(initial=0.0)
        self.rank = int((every > SMALLEST_SHARE * every[0]).sum())
        self.condition = float(every[0] / max(every[-1], 1e-300))

    def _shrink(self, penalty: float) -> np.ndarray:
        """Give lambda / (s^2 + lambda), one where a direction is not decided at all."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.kept, penalty / (self.values**2 + penalty), 1.0)

    def square(self, penalty: float) -> float:
        """Give the weighted sum of squared errors."""
        return float(self.outside + np.square(self._shrink(penalty) * self.along).sum())

    def effective(self, penalty: float) -> float:
        """Count the parameters that the data decide."""
        return float(self.free + (1 - self._shrink(penalty)).sum())

    def noise(self, penalty: float) -> float:
        """Estimate the variance of the weighted errors."""
        return self.square(penalty) / max(self.n_rows - self.effective(penalty), 1.0)

    def best_penalty(self) -> float:
        """Find the penalty of the largest marginal likelihood, noise profiled out."""
        values = self.values[self.kept]
        if not len(values):
            return 0.0
        along, n = np.square(self.along[self.kept]), max(self.n_rows - self.free, 1)
        lost = self.outside + float(np.square(self.along[~self.kept]).sum())

        def minus(penalty: float) -> float:
            squares = lost + float((along * penalty / (values**2 + penalty)).sum())
            return n * np.log(max(squares, 1e-300)) + float(np.log1p(values**2 / penalty).sum())

        return float(min(_PENALTIES, key=minus))

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Give the solution (size,) and the factor of its covariance (size, size)."""
        factor = np.where(self.kept, self.values / np.where(self.kept, self.values**2 + penalty, 1.0), 0.0)
        rest = self.vt.T @ (factor * self.along)
        top = self.triangle[: self.free]
        head = np.linalg.solve(top[:, : self.free], top[:, -1] - top[:, self.free : -1] @ rest)
        widths = np.where(self.kept, 1.0 / np.sqrt(np.where(self.kept, self.values**2 + penalty, 1.0)), 0.0)
        behind = self.vt.T * widths
        ahead = -np.linalg.solve(top[:, : self.free], top[:, self.free : -1] @ behind)
        own = np.linalg.inv(top[:, : self.free]) if self.free else np.empty((0, 0))
        spread = np.block([[own, ahead], [np.zeros((self.size - self.free, self.free)), behind]])
        return np.concatenate([head, rest]), np.sqrt(self.noise(penalty)) * spread


def fit_reweighted(
    rows: Rows, weights: Weights, penalty: float | None = None, *, rounds: int = 5, likeness: Likeness | None = None
) -> LinearFit:
    """Fit, set the tolerances to the errors that are left, and fit again, some rounds."""
    fit = fit_linear(rows, weights, penalty, likeness=likeness)
    for _ in range(rounds):
        fit = fit_linear(rows, weights_from_errors(rows, fit.coefficients, weights), penalty, likeness=likeness)
    return fit


def leave_group_out(rows: Rows, fit: Callable[[Rows], LinearFit]) -> dict[str, dict[str, float]]:
    """Fit without each group in turn; give the root mean square errors by kind on the one that was left out."""
    found = {}
    for group in rows.groups:
        others = rows.select(lambda block, group=group: block.group != group)  # type: ignore[misc]
        if others.counts:
            errors = errors_of(rows.select(lambda b, group=group: b.group == group), fit(others).coefficients)  # type: ignore[misc]
            found[group] = {kind: value for (name, kind), value in errors.items() if name == "all"}
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class EnergyVariance:
    """Give the variance of energies of a linear model in eV^2, to hang on a `SitePotential`.

    `spread` (features, k); `scale` multiplies what the coefficients' covariance says, `floor_eV` is the error per atom
    that stays where the data are dense. Both come from structures that the fit had not seen.
    """

    model: Any
    spread: np.ndarray
    scale: float
    floor_eV: float

    def __call__(self, environment: Environment) -> np.ndarray:
        """Give the variance of the energy of each system (systems,)."""
        rows = np.asarray(self.model.design(environment).energy)
        counts = np.bincount(environment.system, minlength=len(rows))
        return self.scale * np.square(rows @ self.spread).sum(axis=1) + np.square(counts * self.floor_eV)


def calibrated_variance(model: LinearModel, rows: Rows, fit: Callable[[Rows], LinearFit]) -> EnergyVariance:
    """Set scale and floor of the energy's variance by maximum likelihood over shards left out in turn.

    Raises InputError where the rows have less than two shards.
    """
    from scipy.optimize import minimize

    if len(rows.shards) < 2:
        raise InputError("a variance is calibrated on shards left out; build the rows with at least two shards")
    residuals, variances = [], []
    for shard in rows.shards:
        part = fit(rows.select(lambda b, shard=shard: b.shard != shard))  # type: ignore[misc]
        out = rows.select(lambda b, shard=shard: b.shard == shard).energies  # type: ignore[misc]
        residuals.append(out[:, :-1] @ part.coefficients - out[:, -1])
        variances.append(np.square(out[:, :-1] @ part.spread).sum(axis=1))
    r2, v = np.square(np.concatenate(residuals)), np.concatenate(variances)
    start = np.log([max(float(np.median(r2) / max(np.median(v), 1e-300)), 1e-12), max(float(np.median(r2)), 1e-20)])

    def minus(logs: np.ndarray) -> float:
        variance = np.exp(logs[0]) * v + np.exp(logs[1])
        return float((np.log(variance) + r2 / variance).mean())

    found = minimize(minus, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-9, "maxiter": 2000}).x
    final = fit(rows)
    return EnergyVariance(
        model=model.with_coefficients(final.coefficients),
        spread=final.spread,
        scale=float(np.exp(found[0])),
        floor_eV=float(np.exp(found[1] / 2)),
    )


def learning_curve(rows: Rows, test: Rows, fit: Callable[[Rows], LinearFit]) -> list[dict[str, float]]:
    """Fit to more and more shards, in their order; give errors on the shards used and on the test rows.

    Each record holds `n_structures` and, for training and test, root mean square errors in meV/atom and eV/A.
    """
    records = []
    for k in range(1, len(rows.shards) + 1):
        used = set(rows.shards[:k])
        part = rows.select(lambda b, used=used: b.shard in used)  # type: ignore[misc]
        coefficients = fit(part).coefficients
        record: dict[str, float] = {"n_structures": float(len(part.blocks))}
        for name, which in (("train", part), ("test", test)):
            errors = errors_of(which, coefficients)
            record[f"{name}_energy_rmse_meV_per_atom"] = 1e3 * errors["all", "energy"]
            record[f"{name}_force_rmse_eV_per_A"] = errors["all", "force"]
        records.append(record)
    return records
