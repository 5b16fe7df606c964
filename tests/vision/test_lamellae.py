"""Lamellar spacing: known periods under any angle, and the rule of the random section."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hea_sim.errors import InputError
from hea_vision.measurement import lamellar_spacing


def lamellae(period: float, turn_deg: float, *, shape=(240, 260), share=0.4) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    t = np.radians(turn_deg)
    return (((x * np.sin(t) + y * np.cos(t)) / period) % 1 < share).astype(int)


@pytest.mark.parametrize("turn_deg", [0, 10, 30, 45, 77, 120])
@pytest.mark.parametrize("period", [7.3, 13.3])
def test_a_known_period_is_found_under_any_angle(period, turn_deg):
    found = lamellar_spacing(lamellae(period, turn_deg))
    assert found.normal_spacing.value == pytest.approx(period, rel=0.005)
    assert abs((found.direction_deg - turn_deg + 90) % 180 - 90) < 0.5


@pytest.mark.parametrize("turn_deg", [5, 38, 96])
def test_random_spacing_of_one_colony_is_half_pi_periods(turn_deg):
    # Lines of all directions in the plane meet parallel lamellae with the mean cosine 2 / pi.
    found = lamellar_spacing(lamellae(13.3, turn_deg))
    assert found.mean_random_spacing.value == pytest.approx(np.pi / 2 * 13.3, rel=0.03)
    assert found.true_spacing.value == pytest.approx(found.mean_random_spacing.value / 2)


def test_half_the_random_spacing_is_the_true_one_over_sections_at_random():
    # A section at polar angle theta to lamellae shows the period s / sin(theta); theta of random planes.
    turns = np.random.default_rng(0).random(16) * 180
    met, true = 0.0, 12.0
    for k, degrees in enumerate(turns):
        apparent = true / np.sqrt(1 - ((k + 0.5) / 16) ** 2)
        field = lamellae(apparent, degrees, shape=(200, 200), share=0.5)
        met += 1 / lamellar_spacing(field).mean_random_spacing.value
    assert 16 / met / 2 == pytest.approx(true, rel=0.05)


def test_scale_and_phase_do_not_matter():
    field = lamellae(11.0, 25)
    px, um = lamellar_spacing(field), lamellar_spacing(1 - field, pixel_size_nm=500.0)
    assert um.normal_spacing.value == pytest.approx(0.5 * px.normal_spacing.value)
    assert um.mean_random_spacing.value == pytest.approx(0.5 * px.mean_random_spacing.value)
    assert (px.normal_spacing.unit, um.normal_spacing.unit) == ("px", "um")


def test_blobs_have_no_normal_spacing():
    noise = np.random.default_rng(0).random((128, 128)) < 0.5
    found = lamellar_spacing(noise.astype(int))
    assert found.normal_spacing is None and "no peak" in found.notes[0]


@settings(max_examples=20, deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(8, 40), st.integers(8, 40)), elements=st.integers(0, 1)))
def test_any_labels_give_finite_numbers_or_an_error_that_helps(labels):
    try:
        found = lamellar_spacing(labels)
    except InputError as error:
        assert "wanted" in str(error)
        return
    assert np.isfinite(found.mean_random_spacing.value) and found.mean_random_spacing.value > 0
