"""Fractions over fields: known counts, grids, groups, and how many fields are needed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_vision.measurement import area_fraction_over_fields, point_count_fraction
from hea_vision.measurement.fields import count_points, fraction_over_fields


def test_points_on_stripes_are_counted_exactly():
    stripes = np.tile((np.arange(100) % 10 < 3).astype(int), (60, 1))
    assert count_points(stripes, 1, grid=(6, 100)) == (180, 600)
    assert count_points(stripes, 0, grid=(6, 100)) == (420, 600)


def test_a_point_count_is_unbiased_where_its_grid_falls_at_random():
    labels = np.zeros((50, 50), int)
    labels[7:20, 11:40] = 1
    rng = np.random.default_rng(0)
    found = point_count_fraction([labels] * 400, 1, grid=(5, 5), rng=rng).fraction
    assert found.value == pytest.approx(labels.mean(), abs=3 * found.std)


def test_known_fields_give_the_interval_of_the_standard():
    # Mean 0.11, s = 0.0158, t(4) = 2.776: CI = 0.0196, %RA = 17.8; (200 s / (10 mean))^2 = 8.3, so 9 fields.
    found = fraction_over_fields([0.10, 0.12, 0.11, 0.09, 0.13])
    assert found.fraction.high - found.fraction.value == pytest.approx(0.0196, abs=1e-4)
    assert found.relative_accuracy_percent == pytest.approx(17.8, abs=0.1)
    assert (found.fields_for_10_percent, found.n_fields) == (9, 5)


def test_equal_fields_need_no_more():
    found = fraction_over_fields([0.2, 0.2, 0.2])
    assert found.fields_for_10_percent == 1
    assert found.fraction.low == pytest.approx(0.2) and found.fraction.high == pytest.approx(0.2)


def test_one_field_is_said_to_be_model_based():
    labels = np.zeros((60, 60), int)
    labels[10:30, 10:30] = 1
    found = area_fraction_over_fields([labels], 1)
    assert "model-based" in found.fraction.method and "several fields" in found.notes[0]
    assert found.fraction.low < found.fraction.value < found.fraction.high
    assert fraction_over_fields([0.3]).fraction.low is None


def test_fields_of_one_image_count_once():
    # Two images with three like fields each: the images differ, the fields within do not.
    values, images = [0.1, 0.1, 0.1, 0.2, 0.2, 0.2], ["a", "a", "a", "b", "b", "b"]
    grouped, naive = fraction_over_fields(values, groups=images), fraction_over_fields(values)
    assert grouped.fraction.value == pytest.approx(0.15) and naive.fraction.value == pytest.approx(0.15)
    assert grouped.relative_accuracy_percent == pytest.approx(100 * 12.706 * 0.05 / 0.15, rel=1e-3)  # t(1) = 12.706
    assert grouped.n_fields == 2 and grouped.fraction.std > 2 * naive.fraction.std
    assert "one mean an image" in grouped.fraction.method


def test_intervals_over_fields_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        fraction = fraction_over_fields(np.clip(rng.normal(0.3, 0.05, 5), 0, 1)).fraction
        held += fraction.low <= 0.3 <= fraction.high
    assert 365 <= held <= 393  # 380 of 400, three standard deviations


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_bounds_stay_between_nothing_and_all(values):
    found = fraction_over_fields(values).fraction
    assert 0 <= found.low <= found.value + 1e-12 and found.value - 1e-12 <= found.high <= 1


@pytest.mark.parametrize("call", [
    lambda: fraction_over_fields([]),
    lambda: fraction_over_fields([1.2]),
    lambda: fraction_over_fields([0.1, 0.2], groups=["a"]),
    lambda: count_points(np.zeros(4), 1),
    lambda: count_points(np.zeros((4, 4)), 1, offset=(1.0, 0.0)),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(call):
    with pytest.raises(InputError, match="wanted"):
        call()
