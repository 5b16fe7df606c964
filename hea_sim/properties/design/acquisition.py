"""The plain engine: which of scored alloys to make next, one after another, so that a batch differs within itself."""

from __future__ import annotations

import numpy as np

from hea_sim.errors import unknown_name
from hea_sim.properties.design.scores import (
    APART,
    CORRELATION_LENGTH,
    ScoredAlloys,
    distances,
    expected_gain,
    scalarised_draws,
)

#: How the next alloy is chosen where there is an objective.
STRATEGIES = ("expected_improvement", "thompson", "mean")
#: Thompson's draws are correlated, so they are made over the best few alloys only.
_THOMPSON_ALLOYS = 400


def utility(
    scored: ScoredAlloys, strategy: str, rng: np.random.Generator, best: np.ndarray | None = None
) -> np.ndarray:
    """Compute how much making each alloy (n,) is worth: its probability times the gain to be expected.

    `best` (m,) are the objectives of the best alloy that is known to meet the target; without one, the best that is
    predicted stands in, weighted by its probability.
    """
    if strategy not in STRATEGIES:
        raise unknown_name("strategy", strategy, STRATEGIES)
    p = scored.probability
    if not scored.mean.shape[1] or not p.any():
        return p.copy()
    if scored.mean.shape[1] > 1:
        drawn = scalarised_draws(scored, rng)
        middle = drawn.mean(0)
        reference = middle[np.argmax(np.where(p >= 0.5 * p.max(), middle, -np.inf))]
        gain = (
            np.maximum(drawn - reference, 0).mean(0) if strategy == "expected_improvement" else drawn[0] - drawn.min()
        )
        return p * gain
    mean, std = scored.mean[:, 0], scored.std[:, 0]
    reference = float(np.max(mean, where=p >= 0.5 * p.max(), initial=-np.inf) if best is None else best[0])
    if strategy == "expected_improvement":
        # Far below the best that is known every gain is nought; the larger mean then decides.
        return p * (expected_gain(mean, std, reference) + 1e-9 * (mean - mean.min()))
    if strategy == "mean":
        return p * (mean - mean[p > 0].min() + 1e-9 * max(abs(reference), 1.0))
    return p * _thompson(scored, rng)


def _thompson(scored: ScoredAlloys, rng: np.random.Generator) -> np.ndarray:
    """Draw one function of composition; errors of near alloys are alike."""
    mean, std = scored.mean[:, 0], scored.std[:, 0]
    top = np.argsort(-scored.probability * expected_gain(mean, std, float(mean.max())))[:_THOMPSON_ALLOYS]
    x = scored.fractions[top]
    alike = np.exp(-distances(x, x) / CORRELATION_LENGTH)
    factor = np.linalg.cholesky(alike + 1e-8 * np.eye(len(top)))
    drawn = mean[top] + std[top] * (factor @ rng.normal(size=len(top)))
    out = np.zeros(len(scored))
    out[top] = drawn - drawn.min() + 1e-12
    return out


def choose_batch(
    scored: ScoredAlloys,
    n: int,
    *,
    rng: np.random.Generator,
    strategy: str = "expected_improvement",
    best: np.ndarray | None = None,
    apart: float = APART,
) -> list[int]:
    """Choose at most n alloys, best first; each is worth less the nearer it lies to those chosen before.

    Alloys of probability zero are never chosen.
    """
    fixed = scored.mean.shape[1] < 2 and strategy != "thompson"
    worth = utility(scored, strategy, rng, best)
    chosen: list[int] = []
    factor = np.ones(len(scored))
    for _ in range(min(n, len(scored))):
        if not fixed and chosen:
            worth = utility(scored, strategy, rng, best)
        now = np.where(scored.probability > 0, worth * factor, 0.0)
        if chosen:
            now[chosen] = 0.0
        pick = int(np.argmax(now))
        if not now[pick] > 0:
            break
        chosen.append(pick)
        near = distances(scored.fractions, scored.fractions[pick][None])[:, 0]
        factor *= 1 - np.exp(-((near / apart) ** 2))
    return chosen
