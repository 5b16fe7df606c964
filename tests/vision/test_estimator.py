"""The estimator: the manner of scikit-learn, and equality with the labeller behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hea_vision as hv
from hea_sim.crystals import prototype_from_cif
from hea_sim.errors import InputError, UnknownNameError

from .patterns import mixture

TYPES = ("A1", "A2", "A3", "B1")


@pytest.fixture(scope="module")
def patterns() -> list[Any]:
    rng = np.random.default_rng(1)
    angles = np.arange(25, 120, 0.02)
    hump = 300 + 2500 * np.exp(-(((angles - 43) / 5) ** 2))
    glass = hv.pattern_from_arrays(angles, rng.poisson(hump).astype(float), radiation="CuKa")
    return [
        mixture({"A2": ("NbMoTaW", 3.22, 1.0)}),
        mixture({"A1": ("Fe", 3.60, 0.4), "A2": ("Fe", 2.87, 0.6)}),
        glass,
    ]


@pytest.fixture(scope="module")
def fitted(patterns: list[Any]) -> hv.PhaseClassifier:
    return hv.PhaseClassifier(model="matcher", structures=TYPES).fit(patterns)


def test_predictions_are_those_of_the_labeller(fitted: hv.PhaseClassifier, patterns: list[Any]) -> None:
    calls = [hv.classify_pattern(p, model="matcher", structures=TYPES) for p in patterns]
    assert fitted.predict(patterns) == [("A2",), ("A1", "A2"), ()]
    assert not calls[2].in_scope and fitted.predict_set(patterns)[2] == []
    assert fitted.predict_set(patterns)[:2] == [[tuple(s) for s in c.prediction_sets] for c in calls[:2]]
    assert list(fitted.classes_) == sorted(TYPES)
    proba = fitted.predict_proba(patterns)
    assert proba.shape == (3, 4) and (proba >= 0).all() and (proba <= 1).all()
    for row, call in zip(proba[:2], calls):
        for phase in call.phases:
            assert row[list(fitted.classes_).index(phase.name)] == pytest.approx(phase.probability, abs=1e-3)
    assert proba[2].sum() == 0


def test_arrays_need_a_radiation_and_give_the_same(fitted: hv.PhaseClassifier, patterns: list[Any]) -> None:
    pairs = [(p.two_theta_deg, p.intensity) for p in patterns]
    with pytest.raises(InputError, match="radiation"):
        fitted.predict(pairs)
    told = hv.PhaseClassifier(model="matcher", structures=TYPES, radiation="CuKa").fit(pairs)
    assert told.predict(pairs) == fitted.predict(patterns)
    stacked = np.array(pairs[0])  # (2, n) is a pair, too
    assert told.predict([stacked]) == [("A2",)]
    single = hv.PhaseClassifier(model="matcher", structures=TYPES, radiation=1.5406).fit(pairs)
    assert single.predict(pairs[:1]) == [("A2",)]


def test_scores_count_exact_sets(fitted: hv.PhaseClassifier, patterns: list[Any]) -> None:
    assert fitted.score(patterns, ["A2", "A2+A1", ""]) == 1.0
    assert fitted.score(patterns, [("B2",), ("A1", "A2"), ()]) == 1.0  # order is told by predict_set
    assert fitted.score(patterns, ["A2", "A2", "A1"]) == pytest.approx(1 / 3)
    assert fitted.fit(patterns, ["A2", "A2+A1", ""]) is fitted


def test_lower_levels_give_fewer_sets(patterns: list[Any]) -> None:
    sizes = []
    for level in (0.5, 0.99):
        estimator = hv.PhaseClassifier(model="matcher", structures=TYPES, level=level).fit(patterns)
        sets = estimator.predict_set(patterns[:2])
        assert all(
            tuple(sorted(found)) in {_lattices(s) for s in one} for found, one in zip([("A2",), ("A1", "A2")], sets)
        )
        sizes.append([len(one) for one in sets])
    assert all(few <= many for few, many in zip(*sizes))


def _lattices(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({"B2": "A2", "L1_2": "A1"}.get(n, n) for n in names))


def test_own_structures_are_classes(tmp_path: Any) -> None:
    from ase.spacegroup import crystal

    crystal(("Cs", "Cl"), [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=221, cellpar=[4.12] * 3 + [90] * 3).write(
        tmp_path / "salt.cif"
    )
    own = prototype_from_cif(tmp_path / "salt.cif")
    estimator = hv.PhaseClassifier(model="matcher", structures=["A2", own]).fit([])
    assert list(estimator.classes_) == ["A2", "salt"]


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (lambda e, p: hv.PhaseClassifier(model="guess").fit(p), UnknownNameError, "matcher"),
        (lambda e, p: hv.PhaseClassifier(model="matcher", level=1.0).fit(p), InputError, "at most 0.99"),
        (lambda e, p: hv.PhaseClassifier(model="matcher").predict(p), InputError, "not fitted"),
        (lambda e, p: e.fit(p, ["A2"]), InputError, "1 labels for 3 patterns"),
        (lambda e, p: e.fit(p, ["A2", "sigma", "A1"]), UnknownNameError, "'sigma' is no structure"),
        (lambda e, p: e.fit(p, ["A2", "A99", "A1"]), UnknownNameError, "A99"),
        (lambda e, p: e.predict(p[0]), InputError, "a list of patterns"),
        (lambda e, p: e.predict([p[0].intensity]), InputError, "wanted a Pattern, or a pair"),
        (lambda e, p: e.predict(np.ones((4, 500))), InputError, "wanted a Pattern, or a pair"),
        (lambda e, p: e.set_params(elements="Fe", modle="x"), InputError, "unknown parameter 'modle'"),
    ],
)
def test_wrong_use_says_so(fitted: hv.PhaseClassifier, patterns: list[Any], act: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        act(hv.PhaseClassifier(**fitted.get_params()).fit(patterns), patterns)


def test_init_only_stores_and_parameters_travel() -> None:
    given = {"model": "nonsense", "elements": ["Nb"], "radiation": 0.5, "structures": ["A2"], "level": 7.0}
    estimator = hv.PhaseClassifier(**given)  # nothing is checked before fit
    assert all(estimator.get_params()[name] is value for name, value in given.items())
    assert estimator.set_params(model="matcher", level=0.9) is estimator and estimator.level == 0.9
    assert "model='matcher'" in repr(estimator) and not [n for n in vars(estimator) if n.endswith("_")]


def test_scikit_learn_takes_it(patterns: list[Any]) -> None:
    sklearn = pytest.importorskip("sklearn", reason="scikit-learn is in the extra `design`")
    from sklearn.model_selection import cross_val_score
    from sklearn.utils.validation import check_is_fitted

    estimator = hv.PhaseClassifier(model="matcher", structures=TYPES, radiation="CuKa")
    copy = sklearn.base.clone(estimator)
    assert copy is not estimator and copy.get_params() == estimator.get_params()
    assert sklearn.base.is_classifier(estimator)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        check_is_fitted(estimator)
    check_is_fitted(estimator.fit(patterns))
    scores = cross_val_score(estimator, [patterns[0], patterns[0]] * 2, ["A2", "A2"] * 2, cv=2)
    assert scores.tolist() == [1.0, 1.0]
