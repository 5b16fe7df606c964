"""How good candidates are: the probability of meeting a target, the gain to be expected, and batches that differ.

| symbol | in code |
|---|---|
| interval of probability `level` about a value: normal on either side, each with its own width | `sides` |
| P(all wishes met): phase times bounds, taken as independent | `probability` |
| EI = s (u Phi(u) + phi(u)), u = (mean - best) / s (Jones 1998, doi:10.1023/A:1008306431147) | `expected_gain` |
| augmented Chebyshev scalarisation (Knowles 2006, doi:10.1109/TEVC.2005.851274) | `scalarised_draws` |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from hea_sim.errors import InputError
from hea_sim.properties.contract import FAMILIES, STRUCTURES, AlloyBatch, BatchPrediction, PropertyPredictor
from hea_sim.properties.design.costs import TABLE_UNITS, ElementTable
from hea_sim.properties.design.target import DesignTarget

#: Two compositions closer than this (sum of absolute differences of fractions) are one.
SAME = 0.004
#: Distance (sum of absolute differences of fractions) at which two candidates of a batch count as different.
APART = 0.2
#: Distance over which the errors of a predictor are alike; see `tests/benchmarks/properties_feedback.py`.
CORRELATION_LENGTH = 0.2
#: Share of the second term of the augmented Chebyshev scalarisation.
_AUGMENTED = 0.05
_DRAWS = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredAlloys:
    """Hold n alloys with what is predicted and how they meet a target.

    `quantities` maps a name to (n, 3): value, low, high; cost and density have no width. `probability` (n,) is that
    of meeting every wish; zero outside the domain. `mean`, `std` (n, m) are the m objectives, larger is better.
    """

    elements: tuple[str, ...]
    fractions: np.ndarray
    prediction: BatchPrediction
    quantities: Mapping[str, np.ndarray]
    phase_probability: np.ndarray
    bound_probability: Mapping[str, np.ndarray]
    probability: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def __len__(self) -> int:
        return len(self.fractions)


def score(
    target: DesignTarget,
    predictor: PropertyPredictor,
    elements: tuple[str, ...],
    fractions: np.ndarray,
    table: ElementTable,
) -> ScoredAlloys:
    """Predict alloys of `fractions` (n, E) and hold them against a target."""
    batch = AlloyBatch(
        elements=elements, fractions=fractions, processing=target.processing, temperature_K=target.temperature_K
    )
    prediction = predictor.predict_batch(batch)
    quantities = _quantities(target, prediction, batch, table)
    z = float(norm.ppf((1 + prediction.level) / 2))
    phase = phase_probability(target, prediction)
    bounds = {
        name: _between(quantities[name], target.least.get(name), target.most.get(name), z)
        for name in dict.fromkeys((*target.least, *target.most))
    }
    probability = phase * np.prod([*bounds.values(), np.ones(len(batch))], axis=0)
    signs = [(quantities[name], sign) for name, sign in target.objectives]
    mean = np.array([sign * q[:, 0] for q, sign in signs]).reshape(len(signs), len(batch)).T
    std = np.array([np.mean(sides(q, z), axis=0) for q, _ in signs]).reshape(len(signs), len(batch)).T
    usable = prediction.in_domain & np.isfinite(mean).all(1) & np.isfinite(std).all(1) & np.isfinite(probability)
    return ScoredAlloys(
        elements=elements,
        fractions=fractions,
        prediction=prediction,
        quantities=quantities,
        phase_probability=phase,
        bound_probability=bounds,
        probability=np.where(usable, probability, 0.0),
        mean=np.where(usable[:, None], mean, 0.0),
        std=np.where(usable[:, None], std, 0.0),
    )


def _quantities(
    target: DesignTarget, prediction: BatchPrediction, batch: AlloyBatch, table: ElementTable
) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for name in target.predicted:
        if name not in prediction.properties:
            told = ", ".join(prediction.properties) or "none"
            raise InputError(f"the predictor does not predict {name}; it predicts {told}: take it from the target")
        found[name] = np.asarray(prediction.properties[name], float)
    for name in TABLE_UNITS:
        value = table.of_alloys(name, batch.elements, batch.fractions)
        found[name] = np.repeat(value[:, None], 3, axis=1)
    return found


def sides(quantity: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
    """Give the standard deviations (n,) below and above the value of (n, 3) value, low, high."""
    value, low, high = quantity.T
    return np.maximum(value - low, 0) / z, np.maximum(high - value, 0) / z


def _between(quantity: np.ndarray, least: float | None, most: float | None, z: float) -> np.ndarray:
    """Compute the probability (n,) that a quantity lies between bounds; 0 where it is not predicted."""
    above = 1.0 if least is None else 1 - _cumulative(quantity, least, z)
    below = 1.0 if most is None else _cumulative(quantity, most, z)
    return np.where(np.isfinite(quantity).all(1), np.clip(above + below - 1, 0.0, 1.0), 0.0)


def _cumulative(quantity: np.ndarray, bound: float, z: float) -> np.ndarray:
    """Compute P(quantity <= bound), half of the probability on either side of the value."""
    difference = bound - quantity[:, 0]
    width = np.where(difference < 0, *sides(quantity, z))
    with np.errstate(divide="ignore", invalid="ignore"):
        # Without a width the bound itself still meets: a cost of 50 is at most 50.
        return np.where(width > 0, norm.cdf(difference / width), np.where(difference >= -1e-9, 1.0, 0.0))


def phase_probability(target: DesignTarget, prediction: BatchPrediction) -> np.ndarray:
    """Compute the probability (n,) that structure and family are wanted ones.

    One BCC, FCC or HCP phase alone is a solid solution, so that asking for both asks the same thing twice: the lower
    of the two probabilities then stands; otherwise their product.
    """
    structure = _wanted(target.structure, STRUCTURES, prediction.structure)
    family = _wanted(target.family, FAMILIES, prediction.family)
    same = "SS" in target.family and bool(target.structure) and "multi" not in target.structure
    return np.minimum(structure, family) if same else structure * family


def _wanted(names: tuple[str, ...], known: tuple[str, ...], probabilities: np.ndarray) -> np.ndarray:
    if not names:
        return np.ones(len(probabilities))
    return np.asarray(probabilities, float)[:, [known.index(name) for name in names]].sum(1)


def expected_gain(mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
    """Compute the expected improvement (n,) over `best`.

    >>> expected_gain(np.array([0.0, 2.0]), np.array([1.0, 0.0]), 0.0).round(4).tolist()
    [0.3989, 2.0]
    """
    width = np.maximum(std, 1e-12)
    u = (mean - best) / width
    return np.maximum(width * (u * norm.cdf(u) + norm.pdf(u)), 0.0)


def scalarised_draws(scored: ScoredAlloys, rng: np.random.Generator) -> np.ndarray:
    """Draw (draws, n) values of one random mixture of several objectives, each scaled by its range over the alloys."""
    likely = scored.mean[scored.probability > 0]
    span = np.ptp(likely, axis=0)
    low, span = likely.min(0), np.where(span > 0, span, 1.0)
    weights = rng.dirichlet(np.ones(scored.mean.shape[1]))
    normal = rng.normal(size=(_DRAWS, 1, scored.mean.shape[1]))
    drawn = weights * ((scored.mean - low + scored.std * normal) / span - 1)
    return drawn.min(2) + _AUGMENTED * drawn.sum(2)


def on_front(mean: np.ndarray) -> np.ndarray:
    """Tell which rows of objectives (n, m) no other row beats in all.

    >>> on_front(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.5]])).tolist()
    [True, True, False]
    """
    front = np.ones(len(mean), bool)
    for i, row in enumerate(mean):
        front[i] = not ((mean >= row).all(1) & (mean > row).any(1)).any()
    return front


def distances(fractions: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute sums of absolute differences of fractions (n, m)."""
    out = np.zeros((len(fractions), len(others)))
    for j, row in enumerate(others):
        out[:, j] = np.abs(fractions - row).sum(1)
    return out
