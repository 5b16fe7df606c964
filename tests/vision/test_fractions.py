"""Area fractions: known answers, and intervals that hold the truth as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from hea_sim.errors import InputError
from hea_vision.measurement import area_fraction, correlation_area_px


def blobs(seed: int, length: float, threshold: float = 1.0, shape=(256, 256)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal(shape), length, mode="wrap")
    return (field * 2 * np.sqrt(np.pi) * length > threshold).astype(int)


def test_white_pixels_are_independent():
    labels = (np.random.default_rng(0).random((300, 300)) < 0.2).astype(int)
    e = area_fraction(labels, 1)
    assert e.n == pytest.approx(labels.size, rel=0.1)
    assert e.std == pytest.approx(np.sqrt(0.2 * 0.8 / labels.size), rel=0.1)


def test_coarser_blobs_leave_fewer_independent_points():
    n = [area_fraction(blobs(0, length), 1).n for length in (1.5, 3.0, 6.0)]
    assert n[0] > 2 * n[1] > 4 * n[2]


def test_correlation_area_of_a_known_field():
    # A Gaussian filter of length s gives the autocorrelation exp(-r^2 / 4 s^2), of integral 4 pi s^2.
    field = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((600, 600)), 4.0)
    assert correlation_area_px(field) == pytest.approx(4 * np.pi * 16, rel=0.15)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = 0.158655  # of a standard normal above one
    held = 0
    for seed in range(100):
        e = area_fraction(blobs(seed, 4.0), 1)
        held += e.low <= truth <= e.high
    assert 82 <= held <= 99


def test_decision_level_widens_the_interval():
    labels = blobs(0, 3.0)
    plain, wide = area_fraction(labels, 1), area_fraction(labels, 1, level_bounds=(0.1, 0.2))
    assert wide.std == pytest.approx(np.hypot(plain.std, 0.05))
    assert wide.high - wide.low > plain.high - plain.low
    assert "model-based, one field" in wide.method and wide.level == 0.9


def test_nothing_found_has_an_upper_bound():
    e = area_fraction(np.zeros((100, 157), int), 1, unseen_object_px=157.0)
    assert (e.value, e.low, e.n) == (0.0, 0.0, 100) and e.high == pytest.approx(0.03)
    whole = area_fraction(np.ones((100, 157), int), 1)
    assert whole.value == 1.0 and whole.high == 1.0 and whole.low < 1.0


@given(st.floats(0.001, 0.999), st.integers(0, 1000), st.floats(0.0, 0.6))
def test_interval_stays_between_zero_and_one(p, seed, moved):
    labels = (np.random.default_rng(seed).random((24, 24)) < p).astype(int)
    e = area_fraction(labels, 1, level_bounds=(0.0, moved))
    assert 0.0 <= e.low <= e.value <= e.high <= 1.0


def test_wrong_shape():
    with pytest.raises(InputError, match="rows, columns"):
        area_fraction(np.zeros(10), 1)
