"""Search of a composition grid: all points of a small one; of a large one a random draw, then exchanges that climb."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hea_sim.errors import InputError
from hea_sim.properties.contract import PropertyPredictor
from hea_sim.properties.design.acquisition import utility
from hea_sim.properties.design.costs import ElementTable
from hea_sim.properties.design.grid import ENUMERATED, CompositionGrid
from hea_sim.properties.design.scores import SAME, ScoredAlloys, distances, score
from hea_sim.properties.design.target import DesignTarget

#: Alloys drawn from a grid that is too large to enumerate, and how the best of them are then followed.
DRAWN, FOLLOWED, ROUNDS = 6_000, 24, 10
#: Drawn alloys that stay for the choice of a batch.
_KEPT = 1_000
#: What climbs towards a choice by strategy; a random function is no hill to climb.
_CLIMBED_BY = {"thompson": "expected_improvement"}


def search_grid(
    target: DesignTarget,
    grid: CompositionGrid,
    predictor: PropertyPredictor,
    table: ElementTable,
    *,
    rng: np.random.Generator,
    tried: np.ndarray,
    strategy: str = "expected_improvement",
    best: np.ndarray | None = None,
) -> ScoredAlloys:
    """Collect scored alloys of a grid that are worth a choice; those in `tried` (t, E), in fractions, are left out.

    Raises InputError where no allowed alloy is left, or none can be predicted to meet the target.
    """

    def look(counts: np.ndarray) -> tuple[np.ndarray, ScoredAlloys]:
        fresh = (distances(grid.fractions(counts), tried) > SAME).all(1)
        counts = counts[fresh]
        return counts, score(target, predictor, grid.elements, grid.fractions(counts), table)

    def worth(scored: ScoredAlloys) -> np.ndarray:
        return utility(scored, _CLIMBED_BY.get(strategy, strategy), rng, best)

    small = grid.size_without_limits() <= ENUMERATED
    counts = grid.every() if small else grid.draw(DRAWN, rng)
    if not len(counts):
        grid.corner(np.zeros(len(grid.elements)))  # says which limit leaves none
    counts, found = look(counts)
    if not len(counts):
        raise InputError("every composition that the target allows was tried; take a finer step or widen the target")
    if not (found.probability > 0).any():
        raise InputError(_why_nothing(found))
    if small:
        return found
    best_drawn = counts[np.argsort(-worth(found), kind="stable")[:_KEPT]]
    return look(_climb(grid, best_drawn, look, worth))[1]


def _climb(
    grid: CompositionGrid,
    drawn: np.ndarray,
    look: Callable[[np.ndarray], tuple[np.ndarray, ScoredAlloys]],
    worth: Callable[[ScoredAlloys], np.ndarray],
) -> np.ndarray:
    """Follow the best of `drawn`, best first, through exchanges; give all that was seen (n, E)."""
    seen, front = drawn, drawn[:FOLLOWED]
    for _ in range(ROUNDS):
        around, scored = look(np.unique(np.vstack([front, grid.neighbours(front)]), axis=0))
        order = np.argsort(-worth(scored), kind="stable")[:FOLLOWED]
        seen = np.unique(np.vstack([seen, around[order]]), axis=0)
        if len(np.unique(np.vstack([front, around[order]]), axis=0)) == len(front):
            break
        front = around[order]
    return seen


def _why_nothing(found: ScoredAlloys) -> str:
    """Say which wish no alloy can meet."""
    if not found.prediction.in_domain.any():
        return (
            f"none of {len(found)} allowed alloys over {len(found.elements)} elements lies in the predictor's domain;"
            " allow elements that known alloys hold"
        )
    inside = found.prediction.in_domain
    met = {"structure and family": found.phase_probability, **found.bound_probability}
    for name, probability in met.items():
        if not np.nan_to_num(probability[inside]).any():
            return f"no allowed alloy is predicted to meet the wish on {name}; widen it"
    return "no allowed alloy is predicted to meet all wishes at once; widen one of them"
