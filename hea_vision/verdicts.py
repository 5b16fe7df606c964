"""What may be concluded from a measured and a predicted value.

Numbers: z = (measured - predicted) / sqrt(measurement_std^2 + model_std^2). `agree` needs |z| <= 2 and a named
alternative that this pair could have told apart; `disagree` needs |z| > 3; all else is `inconclusive`.
Names: `disagree` where the measured and the predicted 99 % sets share no assemblage, `agree` where both hold the same
single one, else `inconclusive`. A value that was an input of the simulation is `assumed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hea_sim.records import Estimate

AGREE_Z, DISAGREE_Z = 2.0, 3.0

#: What an assemblage of phases is called whose names are not known.
SEVERAL = "several phases"

Sets = Sequence[Sequence[str]]


def judge_numbers(
    measured: Estimate, predicted: Estimate, *, independent: bool, alternatives: Mapping[str, Estimate]
) -> dict[str, Any]:
    """Decide on a numerical claim; return the fields of an `Evidence`.

    Parameters
    ----------
    alternatives
        What other named hypotheses predict for the same quantity.
    """
    spread = float(np.hypot(measured.std or 0.0, predicted.std or 0.0))
    difference = measured.value - predicted.value
    z = difference / spread if spread > 0 else float(np.copysign(np.inf, difference)) if difference else 0.0
    resolvable = DISAGREE_Z * spread
    told = {name: _tells_apart(predicted, other, measured) for name, other in alternatives.items()}
    fields: dict[str, Any] = {
        "measured": measured,
        "predicted": predicted,
        "z": z,
        "resolvable_difference": resolvable,
        "independent": independent,
        "alternatives": {n: "told apart" if yes else "not told apart" for n, yes in told.items()},
    }
    apart, close = [n for n, yes in told.items() if yes], [n for n, yes in told.items() if not yes]
    if not independent:
        verdict, reason = "assumed", "the measured side shares its input with the prediction"
    elif abs(z) > DISAGREE_Z:
        verdict, reason = "disagree", f"|z| = {abs(z):.1f} > {DISAGREE_Z:g}"
    elif abs(z) > AGREE_Z:
        verdict, reason = "inconclusive", f"|z| = {abs(z):.1f} lies between {AGREE_Z:g} and {DISAGREE_Z:g}"
    elif not apart:
        why = f"not told apart from {', '.join(close)}" if close else "no named alternative to tell it from"
        verdict, reason = "inconclusive", f"|z| = {abs(z):.1f}, but {why}"
        reason += f" (resolvable difference {resolvable:.3g} {measured.unit})"
    else:
        verdict, reason = "agree", f"|z| = {abs(z):.1f}; told apart from {', '.join(apart)}"
        reason += f", not from {', '.join(close)}" if close else ""
    return {**fields, "verdict": verdict, "reason": reason}


def _tells_apart(predicted: Estimate, other: Estimate, measured: Estimate) -> bool:
    spread = np.sqrt((measured.std or 0) ** 2 + max(predicted.std or 0, other.std or 0) ** 2)
    return bool(abs(other.value - predicted.value) > DISAGREE_Z * spread)


def judge_names(measured: Sets, predicted: Sets, *, independent: bool) -> dict[str, Any]:
    """Decide on a named claim; return the fields of an `Evidence`."""
    left, right = {tuple(sorted(s)) for s in measured}, {tuple(sorted(s)) for s in predicted}
    fields: dict[str, Any] = {
        "measured_sets": [list(s) for s in sorted(left)],
        "predicted_sets": [list(s) for s in sorted(right)],
        "independent": independent,
    }
    shared = left & right
    if not independent:
        verdict, reason = "assumed", "the measured side shares its input with the prediction"
    elif not left or not right:
        verdict, reason = "inconclusive", "one side names nothing"
    elif not shared:
        verdict, reason = "disagree", f"{_names(left)} was measured, {_names(right)} expected: nothing in common"
    elif left == right and len(left) == 1:
        verdict, reason = "agree", f"both sides name {_names(left)} alone"
    else:
        verdict = "inconclusive"
        reason = f"both allow {_names(shared)}; measured leaves {_names(left)}, expected leaves {_names(right)}"
    return {**fields, "verdict": verdict, "reason": reason}


def _names(sets: set[tuple[str, ...]]) -> str:
    return " or ".join("+".join(s) for s in sorted(sets)) or "nothing"
