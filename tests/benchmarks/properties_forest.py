"""A plain predictor for the benchmarks of design: extra-trees on the open tables, with regions hidden from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from hea_sim.alloy import Composition
from hea_sim.properties.contract import FAMILIES, AlloyBatch, AlloyPrediction, BatchPrediction, MeasuredAlloy
from hea_sim.properties.descriptors import descriptor_matrix
from hea_sim.properties.tables import AlloyTable

#: Share given to every class beside the forest's votes, so that no probability is nought.
SMOOTHED = 0.01
_FOLDS = 5


def features(batch: AlloyBatch) -> np.ndarray:
    """Describe alloys; the few without a table entry get zeros."""
    return np.nan_to_num(np.asarray(descriptor_matrix(batch), float))


@dataclass(frozen=True)
class ForestPredictor:
    """Predict structure, hardness or both by forests; of a family it says nothing (equal probabilities)."""

    structure: ExtraTreesClassifier | None = None
    hardness: ExtraTreesRegressor | None = None
    half_width_HV: float = 0.0
    elements: tuple[str, ...] = ()
    trained: dict[str, Any] = field(default_factory=dict)

    def predict_batch(self, alloys: AlloyBatch, *, level: float = 0.9) -> BatchPrediction:
        """Predict many alloys at once; intervals are of 90 %, whatever `level` asks for."""
        x, n = features(alloys), len(alloys)
        p = np.full((n, 4), 0.25)
        if self.structure is not None:
            p = np.zeros((n, 4))
            p[:, self.structure.classes_] = self.structure.predict_proba(x)
            p = (p + SMOOTHED) / (1 + 4 * SMOOTHED)
        numbers = {}
        if self.hardness is not None:
            trees = np.array([tree.predict(x.astype(np.float32)) for tree in self.hardness.estimators_])
            mean, spread = trees.mean(0), trees.std(0)
            # The width of the interval follows the trees' spread, scaled so that left-out families are covered.
            half = self.half_width_HV * np.maximum(spread, 10.0)
            numbers["hardness_HV"] = np.column_stack([mean, np.maximum(mean - half, 0), mean + half])
        everything = np.ones((n, 4), bool)
        return BatchPrediction(
            structure=p,
            family=np.full((n, len(FAMILIES)), 1 / len(FAMILIES)),
            structure_set=everything,
            family_set=everything,
            properties=numbers,
            in_domain=np.ones(n, bool),
        )

    def predict(self, alloys: Sequence[Composition | str], **_: Any) -> list[AlloyPrediction]:
        """Refuse: the benchmarks only ask for many at once."""
        raise NotImplementedError

    def learn(self, measured: Sequence[MeasuredAlloy]) -> ForestPredictor:
        """Fit the forest of structures anew, with the measured alloys that have one."""
        known = [m for m in measured if m.structure is not None]
        table, seed, trees = (self.trained[key] for key in ("table", "seed", "trees"))
        batch = AlloyBatch.of([m.composition for m in known])
        x = np.vstack([features(table.batch()), features(batch)])
        y = np.concatenate([table.codes, [table.classes.index(str(m.structure)) for m in known]])
        return fit_structure(table, trees=trees, seed=seed, x=x, y=y)


def fit_structure(
    table: AlloyTable, *, trees: int, seed: int, x: np.ndarray | None = None, y: np.ndarray | None = None
) -> ForestPredictor:
    """Fit structures of a table."""
    x = features(table.batch()) if x is None else x
    y = table.codes if y is None else y
    forest = ExtraTreesClassifier(trees, min_samples_leaf=2, random_state=seed, n_jobs=1).fit(x, y)
    return ForestPredictor(
        structure=forest, elements=table.elements, trained={"table": table, "seed": seed, "trees": trees}
    )


def fit_hardness(table: AlloyTable, *, trees: int, seed: int) -> ForestPredictor:
    """Fit hardness of a table; the interval covers 90 % of families left out of five fits."""
    x, y = features(table.batch()), np.asarray(table.value, float)
    fold = np.random.default_rng(seed).permutation(len(set(table.family)))[_codes(table.family)] % _FOLDS
    ratios = np.zeros(len(y))
    for k in range(_FOLDS):
        here = fold == k
        fitted = _forest(trees // 2, seed).fit(x[~here], y[~here])
        each = np.array([tree.predict(x[here].astype(np.float32)) for tree in fitted.estimators_])
        ratios[here] = np.abs(y[here] - each.mean(0)) / np.maximum(each.std(0), 10.0)
    scale = float(np.quantile(ratios, 0.9, method="higher"))
    return ForestPredictor(hardness=_forest(trees, seed).fit(x, y), half_width_HV=scale, elements=table.elements)


def _forest(trees: int, seed: int) -> ExtraTreesRegressor:
    return ExtraTreesRegressor(trees, min_samples_leaf=2, max_features=0.5, random_state=seed, n_jobs=1)


def _codes(names: np.ndarray) -> np.ndarray:
    return np.unique(names, return_inverse=True)[1]


def hidden_region(table: AlloyTable, rng: np.random.Generator, *, least: int, elements: int = 4) -> np.ndarray:
    """Choose a region of composition: whole families, nearest first to one alloy, until `least` alloys are in it."""
    centre = int(rng.choice(np.flatnonzero(table.n_elements >= elements)))
    apart = np.abs(table.fractions - table.fractions[centre]).sum(1)
    inside = np.zeros(len(table), bool)
    for i in np.argsort(apart, kind="stable"):
        if inside.sum() >= least:
            break
        inside |= table.family == table.family[i]
    return inside
