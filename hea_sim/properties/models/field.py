"""Models of the field under one protocol: scikit-learn estimators, chosen inside the training folds, scored outside.

What is chosen for a held-out fold is chosen by cross-validation over the other folds, whole groups together, so that no
group is on both sides of the choice or of the score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
)
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import balanced_accuracy_score, mean_absolute_error
from sklearn.model_selection import GridSearchCV, PredefinedSplit, RandomizedSearchCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from hea_sim.errors import InputError, unknown_name

#: What may be chosen for each model; the first value of each stands where nothing is chosen.
CHOICES: Mapping[str, Mapping[str, list[Any]]] = {
    "Gaussian process": {"model__kernel__length_scale": [8.0, 4.0, 16.0]},
    "support vectors": {"model__C": [10.0, 1.0, 100.0], "model__gamma": ["scale", 0.003, 0.03]},
    "nearest neighbours": {"model__n_neighbors": [5, 1, 10], "model__weights": ["distance", "uniform"]},
    "random forest": {"model__min_samples_leaf": [1, 3], "model__max_features": [0.2, 0.5]},
    "extra trees": {"model__min_samples_leaf": [1, 3], "model__max_features": [0.2, 0.5]},
    "gradient boosting": {"model__learning_rate": [0.1, 0.03], "model__max_leaf_nodes": [15, 31]},
    "perceptron": {"model__alpha": [1.0, 0.01], "model__hidden_layer_sizes": [(64,), (128, 64)]},
    "stacked": {"model__passthrough": [False, True]},
}


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldScore:
    """Hold what one model predicted of held-out folds (n,), its score over all of them, and what was chosen for each.

    `score` is balanced accuracy for classes and mean absolute error for numbers.
    """

    name: str
    predicted: np.ndarray
    score: float
    measure: str
    chosen: tuple[Mapping[str, Any], ...]


def field_model(name: str, *, numeric: bool, seed: int = 0) -> Pipeline:
    """Build a model by name, inputs standardised; numbers are to be standardised too.

    >>> field_model("support vectors", numeric=False).steps[-1][1].C
    10.0
    """
    if name not in CHOICES:
        raise unknown_name("model", name, CHOICES)
    model = _stacked(numeric, seed) if name == "stacked" else _estimator(name, numeric, seed)
    built = Pipeline([("scale", StandardScaler()), ("model", model)])
    return built.set_params(**{key: values[0] for key, values in CHOICES[name].items()})


def score_field_model(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    folds: np.ndarray,
    *,
    numeric: bool,
    search: Literal["none", "grid", "random"] = "none",
    n_tried: int = 4,
    seed: int = 0,
) -> FieldScore:
    """Predict every fold (n,) by a model chosen and fitted on the others; rows of fold -1 stay out.

    `search` "grid" tries all of `CHOICES`, "random" `n_tried` of them.
    """
    if search not in ("none", "grid", "random"):
        raise unknown_name("search", search, ("none", "grid", "random"))
    held = np.unique(folds[folds >= 0])
    if len(held) < 3:
        raise InputError(f"{len(held)} folds; wanted three or more: one to score, two to choose by")
    predicted = np.full(len(y), np.nan)
    chosen = []
    for fold in held:
        teach, test = (folds >= 0) & (folds != fold), folds == fold
        model: Any = field_model(name, numeric=numeric, seed=seed)
        if search != "none":
            model = _searched(model, name, folds[teach], numeric, search, n_tried, seed)
        middle, spread = (y[teach].mean(), y[teach].std() or 1.0) if numeric else (0, 1)
        model.fit(x[teach], (y[teach] - middle) / spread if numeric else y[teach])
        predicted[test] = middle + spread * model.predict(x[test])
        chosen.append(dict(model.best_params_) if search != "none" else {})
    told = folds >= 0
    score = (mean_absolute_error if numeric else balanced_accuracy_score)(y[told], predicted[told])
    return FieldScore(
        name=name,
        predicted=predicted,
        score=float(score),
        measure="mean absolute error" if numeric else "balanced accuracy",
        chosen=tuple(chosen),
    )


def _searched(
    model: Pipeline, name: str, folds: np.ndarray, numeric: bool, search: str, n_tried: int, seed: int
) -> BaseEstimator:
    common: dict[str, Any] = {
        "cv": PredefinedSplit(folds),
        "scoring": "neg_mean_absolute_error" if numeric else "balanced_accuracy",
        "error_score": "raise",
    }
    choices = dict(CHOICES[name])
    if search == "grid":
        return GridSearchCV(model, choices, **common)
    n_all = int(np.prod([len(values) for values in choices.values()]))
    return RandomizedSearchCV(model, choices, n_iter=min(n_tried, n_all), random_state=seed, **common)


def _estimator(name: str, numeric: bool, seed: int) -> BaseEstimator:
    smooth = Matern(8.0, nu=1.5)
    built: dict[str, tuple[Any, Any]] = {
        "Gaussian process": (
            lambda: GaussianProcessClassifier(smooth, optimizer=None),
            lambda: GaussianProcessRegressor(smooth, alpha=0.1, optimizer=None),
        ),
        "support vectors": (SVC, SVR),
        "nearest neighbours": (KNeighborsClassifier, KNeighborsRegressor),
        "random forest": (
            lambda: RandomForestClassifier(200, random_state=seed),
            lambda: RandomForestRegressor(200, random_state=seed),
        ),
        "extra trees": (
            lambda: ExtraTreesClassifier(200, random_state=seed),
            lambda: ExtraTreesRegressor(200, random_state=seed),
        ),
        "gradient boosting": (
            lambda: HistGradientBoostingClassifier(random_state=seed),
            lambda: HistGradientBoostingRegressor(random_state=seed),
        ),
        "perceptron": (
            lambda: MLPClassifier(solver="lbfgs", max_iter=400, random_state=seed),
            lambda: MLPRegressor(solver="lbfgs", max_iter=400, random_state=seed),
        ),
    }
    return built[name][int(numeric)]()


def _stacked(numeric: bool, seed: int) -> BaseEstimator:
    parts = [
        (name, _estimator(name, numeric, seed)) for name in ("extra trees", "support vectors", "nearest neighbours")
    ]
    if numeric:
        return StackingRegressor(parts, RidgeCV())
    return StackingClassifier(parts, LogisticRegression(max_iter=1000))
