"""Virtual micrographs: exact truth, seeded, honest about what they cannot draw."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hea_sim.errors import InputError, UnknownNameError
from hea_sim.microscopy import virtual_micrograph


def draw(**kwargs):
    return virtual_micrograph(**{"modality": "sem", "shape": (160, 200), "pixel_size_nm": 50.0, "seed": 1, **kwargs})


def test_same_seed_same_picture_and_truth():
    a, b = (draw(pore_area_fraction=0.01, second_phase_area_fraction=0.1) for _ in range(2))
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.labels, b.labels)


def test_settings_redraw_the_picture():
    a = draw(second_phase_area_fraction=0.1, blur_px=1.5)
    b = virtual_micrograph(**{**a.settings, "shape": tuple(a.settings["shape"])}, pixel_size_nm=a.pixel_size_nm)
    np.testing.assert_array_equal(a.image, b.image)


def test_generator_is_used_and_moves_on():
    rng = np.random.default_rng(1)
    first, second = draw(seed=rng), draw(seed=rng)
    np.testing.assert_array_equal(first.image, draw(seed=1).image)
    assert not np.array_equal(first.image, second.image)


@settings(max_examples=15, deadline=None)
@given(pores=st.floats(0, 0.03), second=st.floats(0, 0.25), seed=st.integers(0, 10_000), contrast=st.floats(-0.5, 0.5))
def test_truth_meets_the_fractions_asked_for(pores, second, seed, contrast):
    m = draw(pore_area_fraction=pores, second_phase_area_fraction=second, seed=seed, second_phase_contrast=contrast)
    for name, wanted in (("pore", pores), ("second phase", second)):
        tolerance = max(0.03 * wanted, 12 / m.labels.size)
        assert m.area_fraction(name) == pytest.approx(wanted, abs=tolerance)
    assert m.image.dtype == np.float32 and m.image.shape == m.labels.shape
    assert 0 <= m.image.min() and m.image.max() <= 1


def test_instrument_does_not_touch_the_truth():
    plain = draw(second_phase_area_fraction=0.1)
    noisy = draw(second_phase_area_fraction=0.1, counts_per_pixel=5.0, blur_px=3.0, shading=0.5)
    np.testing.assert_array_equal(plain.labels, noisy.labels)


def test_particles_do_not_touch():
    m = draw(pore_area_fraction=0.02, second_phase_area_fraction=0.1)
    near_pore = ndimage.binary_dilation(m.labels == 2)
    assert not (near_pore & (m.labels == 1)).any()


def test_grey_levels_follow_the_scene():
    m = draw(
        shape=(400, 400), second_phase_area_fraction=0.1, second_phase_contrast=0.3, shading=0.0, blur_px=0.0,
        channelling_contrast=0.0, scan_line_noise=0.0,
    )  # fmt: skip
    matrix, second = (m.image[m.labels == c] for c in (0, 1))
    assert second.mean() / matrix.mean() == pytest.approx(1.3, abs=0.01)
    # Counting noise: the variance is the mean over the counts.
    assert matrix.var() == pytest.approx(0.5 / 400, rel=0.05)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pore_area_fraction": 0.5}, "area fractions"),
        ({"second_phase_area_fraction": -0.1}, "area fractions"),
        ({"pixel_size_nm": 0.0}, "pixel size"),
        ({"shape": (10, 100)}, "shape"),
        ({"blur_px": -1.0}, "blur_px"),
        ({"grain_size_px": 0.0}, "grain_size_px"),
        ({"second_phase_area_fraction": 0.39, "precipitate_diameter_px": 4.0, "shape": (64, 64)}, "no room"),
    ],
)
def test_refuses_what_it_cannot_draw(change, says):
    with pytest.raises(InputError, match=says):
        draw(**change)


def test_unknown_names():
    with pytest.raises(UnknownNameError, match="Known: sem"):
        draw(modality="tem")
    with pytest.raises(UnknownNameError, match="did you mean 'blur_px'"):
        draw(blurpx=1.0)
    with pytest.raises(UnknownNameError, match="second phase"):
        draw().area_fraction("phase")
