"""Forests as flat arrays against scikit-learn, calibration, held-out predictions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from hea_sim.errors import InputError
from hea_sim.properties.models.calibration import ClassCalibration, balanced_call, expected_calibration_error
from hea_sim.properties.models.forests import FlatForest, lean_weights
from hea_sim.properties.models.held_out import held_out_by
from hea_sim.properties.models.phase_model import fit_phase_forest
from hea_sim.properties.models.strength_model import MPA_PER_HV, StrengthForests, strength_inputs


def _points(n: int, d: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def test_flat_forest_is_scikit_learns_classifier_to_the_last_digits() -> None:
    x, asked = _points(300), _points(1000, seed=1)
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0.3)
    forest = ExtraTreesClassifier(25, random_state=3).fit(x, y)
    flat = FlatForest.of(forest)
    np.testing.assert_allclose(flat.predict(asked), forest.predict_proba(asked), atol=1e-12)
    starts = np.concatenate([[0], np.cumsum([t.tree_.node_count for t in forest.estimators_])[:-1]])
    np.testing.assert_array_equal(flat.leaves(asked), forest.apply(asked) + starts)


def test_flat_forest_is_scikit_learns_regressor_to_the_last_digits() -> None:
    x, asked = _points(200), _points(777, seed=1)
    forest = ExtraTreesRegressor(25, random_state=3).fit(x, x[:, 0] ** 2, sample_weight=np.linspace(1, 3, 200))
    np.testing.assert_allclose(FlatForest.of(forest).predict(asked)[:, 0], forest.predict(asked), atol=1e-12)


def test_a_prediction_is_the_mean_label_of_the_alloys_it_leans_on() -> None:
    x, asked = _points(150), _points(20, seed=1)
    y = (x[:, 0] > 0).astype(int)
    flat = FlatForest.of(ExtraTreesClassifier(30, random_state=0, min_samples_leaf=3).fit(x, y))
    weights = lean_weights(flat.leaves(asked), flat.leaves(x))
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-12)
    np.testing.assert_allclose(weights @ y, flat.predict(asked)[:, 1], atol=1e-12)


def test_a_class_that_no_alloy_has_gets_no_probability() -> None:
    x = _points(60)
    p = fit_phase_forest(x, np.where(x[:, 0] > 0, 3, 0), 4).predict(x)
    assert (p[:, 1:3] == 0).all()
    np.testing.assert_allclose(p.sum(1), 1.0, atol=1e-12)


def test_one_class_alone_teaches_nothing() -> None:
    with pytest.raises(InputError, match="two classes or more"):
        fit_phase_forest(_points(10), np.zeros(10, int), 4)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.4, 2.0), st.integers(0, 1000))
def test_calibration_undoes_probabilities_that_are_too_bold_or_too_shy(power: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    honest = rng.dirichlet([0.7, 0.7, 0.7], 3000)
    codes = np.array([rng.choice(3, p=p) for p in honest])
    bent = honest**power
    bent /= bent.sum(1, keepdims=True)
    fitted = ClassCalibration.fit(bent[None], codes).apply(bent[None])
    # 3,000 alloys in 15 bins: each bin's accuracy is known to about 1 / sqrt(200) / 2, the mean gap of a perfect one.
    assert expected_calibration_error(fitted, codes) < 0.04


def test_calibration_error_of_known_answers() -> None:
    p = np.array([[0.8, 0.2]] * 10)
    assert expected_calibration_error(p, np.array([0] * 8 + [1] * 2)) == pytest.approx(0.0)
    assert expected_calibration_error(p, np.zeros(10, int)) == pytest.approx(0.2)


def test_the_balanced_call_has_the_better_mean_recall() -> None:
    rng = np.random.default_rng(0)
    shares = np.array([0.9, 0.1])
    codes = rng.choice(2, 20000, p=shares)
    seen = codes + rng.normal(0, 1.0, 20000)
    density = np.exp(-0.5 * (seen[:, None] - np.arange(2)) ** 2) * shares
    p = density / density.sum(1, keepdims=True)

    def recall(call: np.ndarray) -> float:
        return float(np.mean([(call[codes == c] == c).mean() for c in range(2)]))

    assert recall(balanced_call(p, shares)) > recall(p.argmax(1)) + 0.1


def test_held_out_predictions_never_saw_their_own_fold() -> None:
    folds = np.array([0, 0, 1, 1, 2, -1])

    def fit_predict(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        assert not (train & test).any() and not train[-1] and not test[-1]
        assert set(folds[train]).isdisjoint(folds[test])
        return np.full(test.sum(), train.sum())

    told = held_out_by(folds, fit_predict, (6,))
    np.testing.assert_array_equal(told, [3, 3, 3, 3, 4, np.nan])


def test_hardness_teaches_strength_by_tabors_factor() -> None:
    x = _points(80)
    true_MPa = np.exp(6 + x[:, 0])
    hardness = strength_inputs(x, "cast", 298.15, hardness=True)
    strength = strength_inputs(x, "cast", 298.15)
    forests = StrengthForests.fit(hardness, true_MPa / MPA_PER_HV, strength[:5], true_MPa[:5])
    truth = np.log(true_MPa[5:])
    taught = abs(np.log(forests.strength_MPa(strength[5:])) - truth).mean()
    untaught = abs(np.log(true_MPa[:5]).mean() - truth).mean()
    assert taught < 0.5 * untaught
