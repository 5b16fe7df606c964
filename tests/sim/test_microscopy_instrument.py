"""The scanning electron microscope: noise is that of its counts, and effects change the picture alone."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_sim.microscopy.instrument import SemInstrument, draw_instrument, photograph

#: Nothing but a copy of the scene, in steps too fine to matter.
CLEAR = SemInstrument(
    shading=0.0, blur_px=0.0, counts_per_pixel=1e12, detector_noise=0.0, scan_line_noise=0.0, grey_levels=2**22
)


def rng(seed=0):
    return np.random.default_rng(seed)


def scene(shape=(64, 80)):
    return rng(9).uniform(0.2, 0.8, shape).astype(np.float32)


def test_a_clear_exposure_is_the_scene():
    np.testing.assert_allclose(photograph(scene(), CLEAR, rng()), scene(), atol=1e-5)


@pytest.mark.parametrize(("grey", "counts", "detector"), [(0.5, 200.0, 0.0), (0.3, 2000.0, 0.02), (0.7, 500.0, 0.01)])
def test_noise_is_that_of_the_counts_and_the_detector(grey, counts, detector):
    exposure = replace(CLEAR, counts_per_pixel=counts, detector_noise=detector)
    picture = photograph(np.full((300, 300), grey, np.float32), exposure, rng(1)).astype(float)
    variance = grey / counts + detector**2
    assert picture.mean() == pytest.approx(grey, abs=5 * np.sqrt(variance / picture.size))
    # A sample variance of n normal numbers has a relative std of sqrt(2 / n).
    assert picture.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / picture.size))


def test_scan_lines_share_their_noise():
    picture = photograph(np.full((400, 200), 0.5, np.float32), replace(CLEAR, scan_line_noise=0.02), rng(2))
    assert np.ptp(picture, axis=1).max() < 1e-5
    assert picture[:, 0].std() == pytest.approx(0.02, rel=5 / np.sqrt(2 * 400))


def test_correlated_noise_keeps_its_strength():
    flat = np.full((256, 256), 0.5, np.float32)
    white, soft = (photograph(flat, replace(CLEAR, counts_per_pixel=500, noise_px=n), rng(3)) for n in (0.0, 1.2))
    assert soft.std() == pytest.approx(white.std(), rel=0.03)
    neighbours = [np.corrcoef(p[:, :-1].ravel(), p[:, 1:].ravel())[0, 1] for p in (white, soft)]
    assert abs(neighbours[0]) < 0.03 and neighbours[1] > 0.5


def test_blur_keeps_the_mean_and_takes_the_contrast():
    sharp, soft = (photograph(scene(), replace(CLEAR, blur_px=b, astigmatism=0.3), rng(4)) for b in (0.0, 2.0))
    assert soft.mean() == pytest.approx(sharp.mean(), abs=1e-3)
    assert soft.std() < 0.3 * sharp.std()


def test_two_inversions_are_none():
    once = photograph(scene(), replace(CLEAR, inverted=True), rng(5))
    np.testing.assert_allclose(once, 1 - scene(), atol=1e-5)
    np.testing.assert_allclose(photograph(once, replace(CLEAR, inverted=True), rng(5)), scene(), atol=2e-5)


@pytest.mark.parametrize("levels", [2, 32, 256])
def test_a_picture_has_the_grey_levels_asked_for(levels):
    picture = photograph(scene(), replace(CLEAR, grey_levels=levels, gain=3.0), rng(6))
    steps = picture * (levels - 1)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    assert len(np.unique(picture)) <= levels


def test_gain_turns_about_the_middle_and_clips():
    picture = photograph(scene(), replace(CLEAR, gain=2.0, offset=0.1), rng(7))
    np.testing.assert_allclose(picture, np.clip(2 * (scene() - 0.5) + 0.6, 0, 1), atol=1e-5)


def test_a_scan_without_drift_is_not_shifted_and_drift_keeps_rows():
    still = photograph(scene(), replace(CLEAR, drift_px=0.0, vibration_px=0.0), rng(8))
    np.testing.assert_allclose(still, scene(), atol=1e-5)
    rows = np.repeat(np.linspace(0.2, 0.8, 64, dtype=np.float32)[:, None], 80, 1)
    moved = photograph(rows, replace(CLEAR, drift_px=4.0, vibration_px=0.5), rng(8))
    np.testing.assert_allclose(moved, rows, atol=1e-5)  # lines shift along themselves only
    assert np.abs(photograph(scene(), replace(CLEAR, drift_px=4.0), rng(8)) - scene()).max() > 0.05


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100_000))
def test_any_exposure_leaves_the_scene_alone_and_repeats(seed):
    exposure, truth = draw_instrument(rng(seed)), scene((40, 48))
    kept = truth.copy()
    picture = photograph(truth, exposure, rng(seed))
    np.testing.assert_array_equal(truth, kept)
    assert picture.dtype == np.float32 and picture.shape == truth.shape
    assert 0 <= picture.min() and picture.max() <= 1
    assert picture.tobytes() == photograph(truth, exposure, rng(seed)).tobytes()


def test_drawn_exposures_are_physical():
    drawn = [draw_instrument(rng(seed)) for seed in range(300)]
    low_high = {
        f.name: (min(getattr(t, f.name) for t in drawn), max(getattr(t, f.name) for t in drawn))
        for f in fields(SemInstrument)
    }
    for name in ("shading", "curtaining", "charging", "drift_px", "vibration_px", "noise_px", "scan_line_noise"):
        assert low_high[name][0] == 0.0 and np.isfinite(low_high[name][1])  # every effect may be absent
    assert low_high["blur_px"][0] > 0 and low_high["blur_px"][1] < 3
    assert 10 <= low_high["counts_per_pixel"][0] and low_high["counts_per_pixel"][1] <= 1e4
    assert 0 <= low_high["astigmatism"][0] and low_high["astigmatism"][1] < 1
    assert 0 < low_high["gain"][0] and low_high["grey_levels"][1] <= 256
    assert 0.03 < np.mean([t.inverted for t in drawn]) < 0.3


@pytest.mark.parametrize(
    ("knobs", "got"),
    [
        ({"counts_per_pixel": 0}, "counts_per_pixel is 0"),
        ({"blur_px": -1}, "blur_px is -1"),
        ({"gamma": 0}, "gamma is 0"),
        ({"grey_levels": 1}, "grey_levels is 1"),
        ({"shading": -0.1}, "shading is -0.1"),
        ({"drift_px": float("nan")}, "drift_px is nan"),
    ],
)
def test_impossible_exposures_are_refused(knobs, got):
    with pytest.raises(InputError, match="wanted") as error:
        SemInstrument(**knobs)
    assert got in str(error.value)
