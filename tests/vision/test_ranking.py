from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares

from hea_sim.registry import load_card
from hea_vision.xrd.calibration import (
    RankingExample,
    calibrate_sets,
    calibration_error,
    cross_fitted,
    fit_ranking,
    load_examples,
    save_examples,
    score_ranking,
)
from hea_vision.xrd.damped_fit import damped_least_squares
from hea_vision.xrd.proposals import PROPOSER
from hea_vision.xrd.ranking import FEATURES, NONE_FEATURES, RankingModel, least_gains
from hea_vision.xrd.recipes import ranking as recipe

N, M = len(FEATURES), len(NONE_FEATURES)


def _examples(model: RankingModel, count: int, seed: int) -> list[RankingExample]:
    """Draw examples whose right candidate is drawn from the model's own probabilities."""
    rng = np.random.default_rng(seed)
    names = (("A1",), ("A2",), ("A1", "A2"), ("A3",), ("B1",))
    out = []
    for _ in range(count):
        features, none = rng.normal(0, 1, (5, N)), np.append(1.0, rng.normal(0, 1, M - 1))
        chosen = rng.choice(6, p=model.probabilities(features, none))
        out.append(
            RankingExample(
                features=features,
                none=none,
                right=np.arange(5) == chosen,
                names=names,
                truth=names[chosen] if chosen < 5 else ("sigma",),
            )
        )
    return out


def _truth() -> RankingModel:
    rng = np.random.default_rng(1)
    return RankingModel(candidate=rng.normal(0, 0.7, N), none=rng.normal(0, 0.7, M))


def test_the_fit_finds_the_weights_that_drew_the_examples() -> None:
    truth = _truth()
    found = fit_ranking(_examples(truth, 3000, 2))
    assert np.abs(found.candidate - truth.candidate).max() < 0.25
    judged = [(found, e) for e in _examples(truth, 2000, 3)]
    assert score_ranking(judged, 0.01)["calibration error"][0] < 0.04


def test_the_units_of_a_feature_do_not_matter() -> None:
    examples = _examples(_truth(), 300, 12)
    unit = np.exp(np.random.default_rng(0).uniform(-4, 4, N))
    other = [dataclasses.replace(e, features=e.features * unit) for e in examples]
    one, two = fit_ranking(examples), fit_ranking(other)
    for before, after in zip(examples[:20], other):
        p, q = one.probabilities(before.features, before.none), two.probabilities(after.features, after.none)
        assert q == pytest.approx(p, abs=2e-3)


@dataclasses.dataclass(frozen=True)
class _Set:
    names: tuple[str, ...]
    log_evidence: float


def test_the_least_gain_is_what_the_weakest_phase_adds_to_the_best_rest() -> None:
    sets = [
        _Set(("A1",), 40.0),
        _Set(("A1",), 30.0),
        _Set(("A2",), 25.0),
        _Set(("A1", "A2"), 52.0),
        _Set(("A1", "A2", "B1"), 50.0),
        _Set(("A1", "C14", "C15"), 60.0),
    ]
    assert least_gains(sets) == [40.0, 30.0, 25.0, 12.0, -2.0, 60.0]  # of the last no rest is a candidate


@pytest.mark.parametrize("level", [0.9, 0.99])
def test_conformal_sets_hold_the_truth_as_often_as_they_claim(level: float) -> None:
    truth = _truth()
    model = calibrate_sets(truth, [(truth, e) for e in _examples(truth, 2000, 4)], level=level)
    judged = [(truth, e) for e in _examples(truth, 2000, 5) if e.right.any()]
    covered = score_ranking(judged, model.least_probability)["sets hold the truth"][0]
    assert covered > level - 3 * np.sqrt(level * (1 - level) / len(judged))


def test_folds_judge_every_example_once_by_a_ranking_that_has_not_seen_it() -> None:
    examples = _examples(_truth(), 40, 9)
    judged = cross_fitted(examples, folds=4)
    assert len(judged) == 40 and {id(e) for _, e in judged} == {id(e) for e in examples}
    folds = {id(model): (model, [id(e) for other, e in judged if other is model]) for model, _ in judged}
    assert len(folds) == 4
    for model, mine in folds.values():
        others = fit_ranking([e for e in examples if id(e) not in mine])
        assert np.array_equal(model.candidate, others.candidate) and np.array_equal(model.none, others.none)


def test_probabilities_do_not_depend_on_the_order_of_candidates() -> None:
    model, example = _truth(), _examples(_truth(), 1, 6)[0]
    p = model.probabilities(example.features, example.none)
    q = model.probabilities(example.features[::-1], example.none)
    assert p.sum() == pytest.approx(1.0) and p[:-1] == pytest.approx(q[:-1][::-1]) and p[-1] == pytest.approx(q[-1])


def test_examples_survive_their_file(tmp_path: Path) -> None:
    before = _examples(_truth(), 7, 8)
    save_examples(tmp_path / "e.npz", before)
    after = load_examples(tmp_path / "e.npz")
    for one, two in zip(before, after, strict=True):
        assert one.names == two.names and one.truth == two.truth and np.array_equal(one.right, two.right)
        assert np.array_equal(one.features, two.features)


def test_examples_of_another_network_or_other_code_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def make(seed: int, number: int) -> RankingExample:
        made.append(number)
        return _examples(_truth(), 1, number)[0]

    monkeypatch.setattr(recipe, "make_ranking_example", make)
    assert len(recipe.gather(tmp_path, 60, 7, 1)) == 100 and made == list(range(100))
    made.clear()
    assert len(recipe.gather(tmp_path, 60, 7, 1)) == 100 and made == []
    card = load_card(PROPOSER).model_copy(update={"arrays_sha256": "0" * 64})
    monkeypatch.setattr(recipe, "load_card", lambda name: card)
    assert len(recipe.gather(tmp_path, 50, 7, 1)) == 50 and made == list(range(50))


def test_the_key_of_examples_is_that_of_network_features_and_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b.py").write_text("one = 1\n")
    keys = [recipe.examples_key([tmp_path]), recipe.examples_key([])]
    assert recipe.examples_key([tmp_path]) == keys[0]
    (tmp_path / "b.py").write_text("one = 2\n")
    keys.append(recipe.examples_key([tmp_path]))
    (tmp_path / "b.py").rename(tmp_path / "c.py")
    keys.append(recipe.examples_key([tmp_path]))
    monkeypatch.setattr(recipe, "FEATURES", FEATURES[::-1])
    keys.append(recipe.examples_key([tmp_path]))
    monkeypatch.setattr(recipe, "NONE_FEATURES", NONE_FEATURES[:-1])
    keys.append(recipe.examples_key([tmp_path]))
    assert len(set(keys)) == len(keys)


def test_calibration_error_of_known_samples() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0, 1, 50_000)
    assert calibration_error(p, (rng.uniform(0, 1, p.size) < p).astype(float)) < 0.01
    assert calibration_error(np.full(100, 0.9), np.zeros(100)) == pytest.approx(0.9)


@pytest.mark.parametrize("soft_from", [None, 2.0])
def test_the_small_fit_equals_the_library(soft_from: float | None) -> None:
    rng = np.random.default_rng(3)
    x = np.linspace(0, 3, 40)
    y = 2.0 * np.exp(-1.3 * x) + rng.normal(0, 0.02, x.size)
    y[5] += 1.0  # an outlier

    def residual(theta: np.ndarray) -> np.ndarray:
        return (theta[0] * np.exp(-theta[1] * x) - y) / 0.05

    def model(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        falling = np.exp(-theta[1] * x)
        return residual(theta), np.stack([falling, -theta[0] * x * falling], axis=1) / 0.05

    mine = damped_least_squares(model, np.array([1.0, 1.0]), soft_from=soft_from, max_steps=100)
    loss = {"loss": "linear"} if soft_from is None else {"loss": "soft_l1", "f_scale": soft_from}
    library = least_squares(residual, [1.0, 1.0], **loss)
    assert mine.x == pytest.approx(library.x, rel=1e-3) and mine.cost == pytest.approx(library.cost, rel=1e-5)
