"""What the line areas of one scan say of texture, and how uncertain that leaves a phase's scale.

A family's area stands off its powder value by a factor exp(u), u ~ N(ln M(r) - tau^2 / 2, tau^2): a March-Dollase mean
M about one axis, and a scatter whose factor has mean one. tau is not known; it is given a half-Cauchy prior and
integrated over a grid, so that a phase with few lines keeps a wide scale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hea_sim.diffraction.texture import march_factors
from hea_vision.xrd.refine_model import PatternModel, PhaseBlock
from hea_vision.xrd.refine_solver import Prior, Solution, solve_positive

#: Scatters that are tried.
TAU_GRID = np.array([0.01, 0.02, 0.04, 0.07, 0.11, 0.17, 0.25, 0.36, 0.52, 0.75, 1.1, 1.6])
#: Median of the half-Cauchy prior of the scatter.
TAU_MEDIAN = 0.15
#: Prior std of ln r.
MARCH_STD = 0.4
#: A preferred axis must raise the evidence by this many nats.
_AXIS_NATS = 4.0
_AXES = {
    "cubic": ((1, 0, 0), (1, 1, 0), (1, 1, 1)),
    "hexagonal": ((0, 0, 1), (1, 0, 0), (1, 1, 0)),
    "tetragonal": ((0, 0, 1), (1, 0, 0), (1, 1, 0)),
    "orthorhombic": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "monoclinic": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class FamilyEvidence:
    """Hold what the data alone say of the u of one phase: exp(-u A u / 2 + b u), with A = V diag(d) V^T.

    `parameters` (k,) are where the u stand among the parameters of the fit.
    """

    parameters: np.ndarray
    curvature: np.ndarray
    vectors: np.ndarray
    slope: np.ndarray

    def log_evidence(self, mean: np.ndarray, tau: np.ndarray) -> np.ndarray:
        """Integrate over u ~ N(mean - tau^2 / 2, tau^2) for scatters (t,); relative to u = 0, in nats."""
        variance = tau[:, None] ** 2
        centre = (mean[None, :] - variance / 2) @ self.vectors
        total = (self.slope + centre / variance) ** 2 / (self.curvature + 1 / variance) - centre**2 / variance
        return 0.5 * (total - np.log1p(variance * self.curvature)).sum(axis=1)


def family_evidence(model: PatternModel, block: PhaseBlock, solution: Solution, prior: Prior) -> FamilyEvidence | None:
    """Integrate everything but the families of one phase out of the linear problem."""
    mine = np.isin(solution.active, block.family)
    if mine.sum() < 2:
        return None
    where = solution.active
    other = ~mine
    precision = prior.precision[np.ix_(where, where)]
    target = solution.information + precision @ prior.mean[where]
    rest = solution.hessian[np.ix_(other, other)] + precision[np.ix_(other, other)]
    cross = solution.hessian[np.ix_(mine, other)]
    solved = solve_positive(rest, np.column_stack([cross.T, target[other]]))
    a = solution.hessian[np.ix_(mine, mine)] - cross @ solved[:, :-1]
    b = solution.information[mine] - cross @ solved[:, -1]
    values, vectors = np.linalg.eigh((a + a.T) / 2)
    values = np.maximum(values, 0.0)
    # What one scale for all families takes up is no information: rounding must not make it some.
    known = values > 1e-9 * values.max(initial=0.0)
    return FamilyEvidence(
        parameters=where[mine],
        curvature=np.where(known, values, 0.0),
        vectors=vectors,
        slope=np.where(known, vectors.T @ b, 0.0),
    )


def of_groups(block: PhaseBlock, evidence: FamilyEvidence, values: np.ndarray) -> np.ndarray:
    """Average a property of families (k,) over the groups that vary together, by their strength."""
    weight = np.bincount(block.family, block.f_squared)
    total = np.bincount(block.family, block.f_squared * values)
    return np.asarray((total / np.maximum(weight, 1e-300))[evidence.parameters])


def log_tau_prior() -> np.ndarray:
    """Give the logarithm of the prior weight of every scatter of the grid."""
    weight = np.gradient(TAU_GRID) / (1 + (TAU_GRID / TAU_MEDIAN) ** 2)
    log_weight: np.ndarray = np.log(weight / weight.sum())
    return log_weight


def posterior_of_tau(evidence: FamilyEvidence | None, mean: np.ndarray | None = None) -> np.ndarray:
    """Compute the probability of every scatter of the grid."""
    log_weight = log_tau_prior()
    if evidence is not None:
        log_weight = log_weight + evidence.log_evidence(
            np.zeros(len(evidence.slope)) if mean is None else mean, TAU_GRID
        )
    weight = np.exp(log_weight - log_weight.max())
    return np.asarray(weight / weight.sum())


def best_axis(
    model: PatternModel, block: PhaseBlock, evidence: FamilyEvidence, theta: np.ndarray
) -> tuple[tuple[int, int, int], float] | None:
    """Find the axis and ln r of a preferred orientation; None where it does not clearly explain the areas better."""
    if len(evidence.parameters) < 3:
        return None
    log_prior = log_tau_prior()
    cell = block.cell(theta)
    grid = np.linspace(-1.4, 1.4, 29)

    def total(mean: np.ndarray) -> float:
        return float(np.logaddexp.reduce(evidence.log_evidence(mean, TAU_GRID) + log_prior))

    plain = total(np.zeros(len(evidence.parameters)))
    best: tuple[float, tuple[int, int, int], float] | None = None
    for axis in _AXES[block.table.kind.system]:
        for log_r in grid:
            factors = march_factors(block.table, cell, axis, float(np.exp(log_r)))[block.chosen]
            mean = of_groups(block, evidence, np.log(np.maximum(factors, 1e-9)))
            value = total(mean) - 0.5 * (log_r / MARCH_STD) ** 2
            if best is None or value > best[0]:
                best = (value, axis, float(log_r))
    if best is None or best[0] < plain + _AXIS_NATS:
        return None
    return best[1], best[2]


def with_scatter(prior: Prior, block: PhaseBlock, tau: float) -> Prior:
    """Set the prior of the families of one phase."""
    mean, precision = prior.mean.copy(), prior.precision.copy()
    mean[block.family] = -(tau**2) / 2
    precision[block.family, block.family] = 1 / tau**2
    return replace(prior, mean=mean, precision=precision)
