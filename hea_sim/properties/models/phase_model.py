"""From descriptors to probabilities of structure or family: extremely randomised trees, calibrated on held-out groups.

Geurts, Ernst and Wehenkel 2006, doi:10.1007/s10994-006-6226-1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from hea_sim.errors import InputError
from hea_sim.properties.conformal import ClassSets
from hea_sim.properties.models.calibration import ClassCalibration
from hea_sim.properties.models.forests import FlatForest

TREES = 100


def fit_phase_forest(
    x: np.ndarray,
    codes: np.ndarray,
    n_classes: int,
    *,
    weights: np.ndarray | None = None,
    seed: int = 0,
    trees: int = TREES,
) -> FlatForest:
    """Fit trees to descriptors (n, d) and classes (n,); a class that no alloy has gets probability zero."""
    seen = np.unique(codes)
    if len(seen) < 2:
        raise InputError(f"{len(codes)} alloys, all of one class or none at all; wanted two classes or more")
    forest = ExtraTreesClassifier(trees, random_state=seed, n_jobs=1).fit(x, codes, sample_weight=weights)
    flat = FlatForest.of(forest)
    value = np.zeros((len(flat.value), n_classes))
    value[:, seen] = flat.value
    return replace(flat, value=value)


@dataclass(frozen=True, kw_only=True, eq=False)
class PhaseModel:
    """Hold a forest with its calibration and the scores of held-out alloys; `shares` (classes,) among known alloys."""

    classes: tuple[str, ...]
    forest: FlatForest
    calibration: ClassCalibration
    conformal: ClassSets
    shares: np.ndarray

    @classmethod
    def assemble(
        cls,
        forest: FlatForest,
        classes: tuple[str, ...],
        *,
        held_out: np.ndarray,
        codes: np.ndarray,
        n_elements: np.ndarray,
    ) -> PhaseModel:
        """Join a forest with what held-out probabilities (n, classes) say of its honesty."""
        calibration = ClassCalibration.fit(held_out[None], codes)
        calibrated = calibration.apply(held_out[None])
        return cls(
            classes=classes,
            forest=forest,
            calibration=calibration,
            conformal=ClassSets.fit(calibrated, codes, n_elements),
            shares=np.bincount(codes, minlength=len(classes)) / len(codes),
        )

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Give calibrated probabilities (n, classes) for descriptors (n, d)."""
        return self.calibration.apply(self.forest.predict(x)[None])
