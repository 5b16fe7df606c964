"""Sets and intervals hold what they promise, also on groups that were never seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_sim.properties.conformal import ClassSets, Intervals, check_level


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.8, 0.9, 0.95]))
def test_sets_cover_at_their_level(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([0.5] * 4, 6000)
    codes = np.array([rng.choice(4, p=q) for q in p])
    n_elements = rng.integers(2, 7, 6000)
    shifted = p[:, [1, 0, 2, 3]] * 0.5 + p * 0.5  # a model that errs: coverage must not depend on the model
    sets = ClassSets.fit(shifted[:3000], codes[:3000], n_elements[:3000])
    held = sets.sets(shifted[3000:], n_elements[3000:], level)[np.arange(3000), codes[3000:]]
    # Two binomial errors of about 0.008 each (calibration and test); four standard deviations.
    assert held.mean() > level - 0.045
    for many in (True, False):
        part = (n_elements[3000:] >= 4) == many
        assert held[part].mean() > level - 0.07


def test_sets_are_never_empty_and_grow_with_the_level() -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet([1.0] * 4, 500)
    sets = ClassSets.fit(p, p.argmax(1), np.full(500, 5))
    small, large = (sets.sets(p, np.full(500, 5), level) for level in (0.5, 0.99))
    assert small.any(1).all()
    assert (large >= small).all()


def test_too_few_scores_give_every_class_and_no_bound() -> None:
    p = np.array([[0.7, 0.3]] * 20)
    sets = ClassSets.fit(p, np.zeros(20, int), np.full(20, 5))
    assert sets.sets(p[:1], np.array([5]), 0.99).all()
    intervals = Intervals.fit(np.full(20, 100.0), np.full(20, 110.0), np.zeros(20, bool), shift=50.0)
    low, high = intervals.bounds(np.array([100.0]), np.zeros(1, bool), 0.99)[0]
    assert low == 0 and high == np.inf


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(10.0, 2000.0))
def test_intervals_cover_at_their_level_whatever_the_shift(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(100, 2000, 4000)
    truth = predicted * np.exp(rng.normal(0, 0.3, 4000))
    hot = rng.random(4000) < 0.3
    truth[hot] = predicted[hot] * np.exp(rng.normal(0, 0.1, hot.sum()))
    intervals = Intervals.fit(predicted[:2000], truth[:2000], hot[:2000], shift=shift)
    low, high = intervals.bounds(predicted[2000:], hot[2000:], 0.9).T
    inside = (truth[2000:] >= low) & (truth[2000:] <= high)
    for kind in (True, False):  # two binomial errors of at most 0.012 each; four standard deviations
        assert abs(inside[hot[2000:] == kind].mean() - 0.9) < 0.07
    assert (low >= 0).all() and (low <= predicted[2000:]).all() and (high >= predicted[2000:]).all()


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0, 90])
def test_levels_that_are_none(level: float) -> None:
    with pytest.raises(InputError, match="wanted a probability"):
        check_level(level)
