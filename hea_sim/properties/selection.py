"""Choose the descriptors that carry a target: LASSO, mutual information, a genetic search; each scored the same way.

Whatever is chosen is judged by a nearest-neighbour model over whole groups of alloys (families, publications) left out
of the choice too, so that the score is that of the way of choosing and not of a lucky set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from sklearn.linear_model import LassoCV
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.preprocessing import StandardScaler

from hea_sim.errors import InputError, unknown_name
from hea_sim.properties.tables.clusters import split_folds

#: Rank correlation above which a descriptor says what a better one says already.
REDUNDANT = 0.95
_NEIGHBOURS = 5
_FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class DescriptorChoice:
    """Hold the descriptors that one way chose from all alloys, the best first with its weight.

    `score` is that of models on left-out groups, chosen for without those: balanced accuracy or R2; `stability` the
    share of the final names that the choices without one fold had too, on average.
    """

    method: str
    names: tuple[str, ...]
    weights: tuple[float, ...]
    score: float
    score_name: str
    stability: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Task:
    """Hold standardised descriptors (n, d) of some alloys, their target (n,) and groups (n,)."""

    x: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    numeric: bool
    most: int
    seed: int

    def rows(self, which: np.ndarray) -> _Task:
        return _Task(
            x=self.x[which],
            y=self.y[which],
            groups=self.groups[which],
            numeric=self.numeric,
            most=self.most,
            seed=self.seed,
        )


Chooser = Callable[[_Task], np.ndarray]


def choose_descriptors(
    matrix: np.ndarray,
    target: np.ndarray,
    names: Sequence[str],
    groups: np.ndarray,
    *,
    methods: Sequence[str] = ("lasso", "mutual information", "genetic"),
    most: int = 12,
    seed: int = 0,
) -> list[DescriptorChoice]:
    """Choose at most `most` of the descriptors `matrix` (n, d), by each method, beside all of them.

    `target` (n,) holds classes (text) or numbers; `groups` (n,) must not be cut by a split. Rows with NaN are left out.
    """
    task, kept = _prepared(matrix, target, names, groups, most, seed, methods)
    return [_judge(method, task, kept) for method in ("all", *methods)]


def choose_names(
    matrix: np.ndarray,
    target: np.ndarray,
    names: Sequence[str],
    groups: np.ndarray,
    *,
    method: str,
    most: int = 12,
    seed: int = 0,
) -> tuple[str, ...]:
    """Choose as `choose_descriptors` does, by one method and without a score: for use inside a training fold."""
    task, kept = _prepared(matrix, target, names, groups, most, seed, (method,))
    return tuple(kept[k] for k in _ranked(_CHOOSERS[method](task), task, method))


def _prepared(
    matrix: np.ndarray,
    target: np.ndarray,
    names: Sequence[str],
    groups: np.ndarray,
    most: int,
    seed: int,
    methods: Sequence[str],
) -> tuple[_Task, list[str]]:
    for method in methods:
        if method not in _CHOOSERS:
            raise unknown_name("way of choosing descriptors", method, _CHOOSERS)
    whole = np.isfinite(matrix).all(1)
    varying = matrix[whole].std(0) > 0 if whole.any() else np.zeros(matrix.shape[1], bool)
    if not varying.any():
        raise InputError("no descriptor varies over the alloys; wanted a table of different alloys")
    columns = np.flatnonzero(varying).tolist()
    y = np.asarray(target)
    numeric = np.issubdtype(y.dtype, np.number)
    task = _Task(
        x=StandardScaler().fit_transform(matrix[whole][:, columns]),
        y=y[whole].astype(float) if numeric else y[whole],
        groups=np.asarray(groups)[whole],
        numeric=numeric,
        most=min(most, len(columns)),
        seed=seed,
    )
    if len(set(task.y.tolist())) < 2:
        raise InputError("the target has one value only; wanted two classes or different numbers")
    return task, [names[k] for k in columns]


def _judge(method: str, task: _Task, names: Sequence[str]) -> DescriptorChoice:
    choose = _CHOOSERS[method]
    fold = _split(task, seed=task.seed)
    predicted = np.empty_like(task.y)
    weights = choose(task)
    final = _ranked(weights, task, method)
    shared = []
    for k in range(fold.max() + 1):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        there = _ranked(choose(task.rows(train)), task, method)
        shared.append(len(set(there) & set(final)) / max(len(final), 1))
        predicted[test] = _predict_near(task, train, test, there)
    return DescriptorChoice(
        method=method,
        names=tuple(names[k] for k in final),
        weights=tuple(float(weights[k]) for k in final),
        score=_score(task, task.y, predicted),
        score_name="R2" if task.numeric else "balanced accuracy",
        stability=float(np.mean(shared)),
    )


def _ranked(weights: np.ndarray, task: _Task, method: str) -> list[int]:
    """Give the columns of the largest weights, best first; never none."""
    order = np.argsort(-weights, kind="stable")
    limit = len(order) if method == "all" else task.most
    return [int(k) for k in order[:limit] if weights[k] > 0] or [int(order[0])]


def _split(task: _Task, *, seed: int) -> np.ndarray:
    n = min(_FOLDS, len(set(task.groups.tolist())))
    return split_folds(task.groups, n_folds=n, seed=seed, classes=None if task.numeric else task.y)


def _predict_near(task: _Task, train: np.ndarray, test: np.ndarray, columns: Sequence[int]) -> np.ndarray:
    """Predict from the nearest training alloys in these descriptors, each weighted by the inverse of its distance."""
    x = task.x[:, columns]
    k = min(_NEIGHBOURS, len(train))
    distance, near = cKDTree(x[train]).query(x[test], k=[*range(1, k + 1)])
    weight = 1 / np.maximum(distance, 1e-9)
    if task.numeric:
        return (weight * task.y[train][near]).sum(1) / weight.sum(1)
    names, code = np.unique(task.y[train], return_inverse=True)
    votes = np.zeros((len(test), len(names)))
    for column in range(k):
        np.add.at(votes, (np.arange(len(test)), code[near[:, column]]), weight[:, column])
    return names[votes.argmax(1)]


def _score(task: _Task, truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(r2_score(truth, predicted) if task.numeric else balanced_accuracy_score(truth, predicted))


def _all(task: _Task) -> np.ndarray:
    return np.ones(task.x.shape[1])


def _by_lasso(task: _Task) -> np.ndarray:
    """Weigh by the coefficients of an L1 fit whose penalty is chosen over left-out groups."""
    fold = _split(task, seed=task.seed + 1)
    cuts = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(fold.max() + 1)]
    kinds = [task.y] if task.numeric else [(task.y == name).astype(float) for name in np.unique(task.y)]
    weights = np.zeros(task.x.shape[1])
    for column in kinds:  # classes one by one: each its indicator, in units of its own scatter
        y = (column - column.mean()) / column.std()
        strongest = abs(task.x.T @ y).max() / len(y)
        fit = LassoCV(alphas=np.geomspace(0.02 * strongest, strongest, 20), cv=cuts, max_iter=5000, tol=1e-3)
        weights = np.maximum(weights, abs(fit.fit(task.x, y).coef_))
    return weights


def _by_information(task: _Task) -> np.ndarray:
    """Weigh by mutual information; a descriptor that ranks alloys as a better one does gets nothing."""
    measure = mutual_info_regression if task.numeric else mutual_info_classif
    information = measure(task.x, task.y, random_state=task.seed)
    ranks = np.argsort(np.argsort(task.x, axis=0, kind="stable"), axis=0, kind="stable")
    alike: np.ndarray = np.abs(np.atleast_2d(np.corrcoef(ranks, rowvar=False))) > REDUNDANT
    kept: list[int] = []
    for k in np.argsort(-information, kind="stable").tolist():
        if not alike[k, kept].any():
            kept.append(k)
    weights = np.zeros(task.x.shape[1])
    weights[kept] = information[kept]
    return weights


def _by_evolution(task: _Task, *, population: int = 12, generations: int = 8) -> np.ndarray:
    """Weigh by how often the best sets of a genetic search hold a descriptor.

    A set is scored over left-out groups; parents win tournaments of two, children take each descriptor from one of
    two parents and change one in ten on average.
    """
    rng = np.random.default_rng(task.seed)
    d = task.x.shape[1]
    fold = _split(task, seed=task.seed + 2)
    known: dict[bytes, float] = {}

    def fitness(mask: np.ndarray) -> float:
        key = np.packbits(mask).tobytes()
        if key not in known:
            known[key] = _set_score(task, mask, fold) - 0.002 * mask.sum()
        return known[key]

    start = min(task.most, d)
    sets = [_trimmed(rng.random(d) < start / d, start, rng) for _ in range(population)]
    for _ in range(generations):
        children = [max(sets, key=fitness)]
        while len(children) < population:
            mother, father = (max((sets[i] for i in rng.integers(population, size=2)), key=fitness) for _ in range(2))
            child = np.where(rng.random(d) < 0.5, mother, father)
            flips = rng.random(d) < 0.1 * start / d
            children.append(_trimmed(child ^ flips, start, rng))
        sets = children
    best = sorted(sets, key=fitness, reverse=True)
    # the best set decides; how often the others hold its members ranks them
    return best[0] * np.mean(best[: max(2, population // 2)], axis=0)


def _trimmed(mask: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Keep at most `most` descriptors, and at least one."""
    held = np.flatnonzero(mask)
    if len(held) == 0:
        held = rng.integers(len(mask), size=1)
    kept = np.zeros(len(mask), bool)
    kept[rng.permutation(held)[:most]] = True
    return kept


def _set_score(task: _Task, mask: np.ndarray, fold: np.ndarray) -> float:
    predicted = np.empty_like(task.y)
    columns = np.flatnonzero(mask).tolist()
    for k in range(fold.max() + 1):
        test = np.flatnonzero(fold == k)
        predicted[test] = _predict_near(task, np.flatnonzero(fold != k), test, columns)
    return _score(task, task.y, predicted)


_CHOOSERS: Mapping[str, Chooser] = {
    "all": _all,
    "lasso": _by_lasso,
    "mutual information": _by_information,
    "genetic": _by_evolution,
}
