"""Predictions of alloys whose whole group was held out: the only ones by which a model's honesty may be judged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hea_sim.properties.models.phase_model import fit_phase_forest
from hea_sim.properties.models.strength_model import StrengthForests, strength_inputs
from hea_sim.properties.tables import AlloyTable

#: Fits on the rows of a mask and predicts those of another.
FitPredict = Callable[[np.ndarray, np.ndarray], np.ndarray]


def held_out_by(folds: np.ndarray, fit_predict: FitPredict, shape: tuple[int, ...]) -> np.ndarray:
    """Predict every fold (n,) by a model of the others; rows of fold -1 neither teach nor are predicted (NaN)."""
    found = np.full(shape, np.nan)
    for fold in np.unique(folds[folds >= 0]):
        found[folds == fold] = fit_predict((folds >= 0) & (folds != fold), folds == fold)
    return found


def phase_fit_predict(x: np.ndarray, codes: np.ndarray, n_classes: int, *, seed: int = 0) -> FitPredict:
    """Give the fit-and-predict of the shipped phase model, before calibration."""

    def fit_predict(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        return fit_phase_forest(x[train], codes[train], n_classes, seed=seed).predict(x[test])

    return fit_predict


def table_inputs(table: AlloyTable, x: np.ndarray) -> np.ndarray:
    """Build what trees see of the lines of a property table with descriptors (n, d)."""
    hardness = table.target == "hardness_HV"
    tension = np.zeros(len(table), bool) if table.test is None else table.test == "T"
    return strength_inputs(x, table.processing, table.temperature_K, tension=tension, hardness=hardness)


def strength_held_out(
    hardness: tuple[np.ndarray, np.ndarray, np.ndarray],
    strength: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Predict hardness (n,) and strength (m,) held out; each is given as inputs, values and folds shared by both."""
    (hx, hy, hf), (sx, sy, sf) = hardness, strength
    found = np.full(len(hy), np.nan), np.full(len(sy), np.nan)
    for fold in np.unique(np.concatenate([hf, sf])):
        if fold < 0:
            continue
        h, s = (hf >= 0) & (hf != fold), (sf >= 0) & (sf != fold)
        forests = StrengthForests.fit(hx[h], hy[h], sx[s], sy[s], seed=seed)
        if (hf == fold).any():
            found[0][hf == fold] = forests.hardness_HV(hx[hf == fold])
        if (sf == fold).any():
            found[1][sf == fold] = forests.strength_MPa(sx[sf == fold])
    return found
