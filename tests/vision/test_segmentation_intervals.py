"""Intervals of area fractions: the level that they promise is kept on errors of other images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hea_vision.segmentation.intervals import FLOOR, LEVEL, error_factor, field_fraction


def drawn(rng, n, spread):
    """Draw errors that go with the ambiguous area."""
    ambiguous = rng.uniform(0.005, 0.1, n)
    return spread * ambiguous * rng.standard_normal(n), ambiguous


def test_the_factor_covers_errors_of_other_images_of_the_same_groups():
    """Groups differ in number and in size of errors; drawn with equal chance, the promised part of them is covered."""
    rng, covered = np.random.default_rng(0), []
    for _ in range(60):
        few, many = drawn(rng, 40, 2.0), drawn(rng, 160, 0.5)
        errors, ambiguous = (np.concatenate(pair) for pair in zip(few, many))
        q = error_factor(errors, ambiguous, np.repeat(["few", "many"], [40, 160]))
        for spread in (2.0, 0.5):
            new, area = drawn(rng, 200, spread)
            covered.append((np.abs(new) <= q * (area + FLOOR)).mean())
    assert np.mean(covered) == pytest.approx(LEVEL, abs=0.015)


def test_one_group_gives_the_conformal_quantile():
    errors = np.arange(1, 20) / 100
    q = error_factor(errors, np.full(19, 0.1 - FLOOR), np.zeros(19))
    assert q == pytest.approx(1.8)  # of 19, the 0.9 (1 + 1/19) x 19 = 18th
    assert error_factor(errors[:5], np.full(5, 0.1 - FLOOR), np.zeros(5)) == pytest.approx(0.5)  # few: the largest


def test_a_group_counts_alike_however_large_it_is():
    small, large = np.full(10, 0.3), np.full(1000, 0.01)
    area, groups = np.full(1010, 0.1 - FLOOR), np.repeat([0, 1], [10, 1000])
    assert error_factor(np.concatenate([small, large]), area, groups) == pytest.approx(3.0)


def test_signs_and_order_do_not_matter():
    rng = np.random.default_rng(1)
    errors, ambiguous = drawn(rng, 30, 1.0)
    groups, turn = rng.integers(0, 3, 30), rng.permutation(30)
    assert error_factor(-errors[turn], ambiguous[turn], groups[turn]) == error_factor(errors, ambiguous, groups)


@given(value=st.floats(0, 1), ambiguous=st.floats(0, 0.5), factor=st.floats(0, 20))
def test_intervals_hold_their_fraction_and_stay_within_0_and_1(value, ambiguous, factor):
    found = field_fraction(value, ambiguous, factor)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.level == LEVEL and found.unit == "area fraction"
    assert found.std == pytest.approx(factor * (ambiguous + FLOOR) / 1.645, rel=1e-3)


def test_an_error_that_nobody_counted_is_not_invented():
    found = field_fraction(0.2, 0.01, None)
    assert found.value == 0.2 and found.std is None and found.low is None and found.high is None
    assert "not known" in found.method
