"""The classical segmenter: it says no where there is nothing, and its labels are those of the field, not the camera."""

import os
from functools import cache
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hea_sim.errors import InputError, UnknownNameError
from hea_sim.microscopy import virtual_micrograph
from hea_sim.records import Micrograph
from hea_vision.measurement import class_objects, score_labels
from hea_vision.segmentation import SEGMENTERS, overlay_rgb, segment, segment_classical


def draw(seed=1, **kwargs):
    kwargs = {"modality": "sem", "shape": (256, 256), "pixel_size_nm": 50.0, "seed": seed, **kwargs}
    return virtual_micrograph(**kwargs)


def label(image, **kwargs):
    return segment_classical(Micrograph(image=np.asarray(image, float), pixel_size_nm=50.0), **kwargs)


@pytest.fixture(scope="module")
def both():
    return draw(second_phase_area_fraction=0.12, pore_area_fraction=0.01)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("length", [0.0, 1.5, 4.0])
def test_noise_white_or_correlated_has_no_second_phase(seed, length):
    noise = np.random.default_rng(seed).standard_normal((256, 256))
    noise = ndimage.gaussian_filter(noise, length)
    s = label(100.0 + 5.0 * noise / noise.std())
    assert s.objects == {"second phase": 0, "pore": 0}
    assert s.metadata["second_phase"].startswith("none: ")


@pytest.mark.parametrize("seed", range(4))
def test_grains_shading_and_counting_noise_are_no_second_phase(seed):
    m = draw(seed=20 + seed, shading=0.3, counts_per_pixel=(20.0, 100.0, 400.0, 2000.0)[seed])
    assert label(m.image).objects == {"second phase": 0, "pore": 0}


def test_pores_without_second_phase():
    m = draw(seed=5, pore_area_fraction=0.02)
    s = label(m.image)
    assert s.objects["second phase"] == 0
    assert s.objects["pore"] == len(class_objects(m.labels, 2))
    assert score_labels(s.labels, m.labels, (2,)).iou[2] > 0.85


@pytest.mark.parametrize(("fraction", "contrast"), [(0.03, -0.25), (0.12, 0.2), (0.3, -0.2)])
def test_truth_of_virtual_fields_is_found(fraction, contrast):
    m = draw(seed=3, second_phase_area_fraction=fraction, second_phase_contrast=contrast)
    s = label(m.image)
    scores = score_labels(s.labels, m.labels, (0, 1))
    assert scores.iou[1] > 0.8 and scores.iou[0] > 0.9
    e = s.fractions["second phase"]
    assert e.low <= fraction <= e.high


def test_gain_and_offset_do_not_matter(both):
    image = both.image.astype(float)
    first = label(image).labels
    np.testing.assert_array_equal(first, label(1000.0 * image).labels)
    np.testing.assert_array_equal(first, label(image + 3.0, black_level=3.0).labels)


levels = st.integers(8, 4095)


@settings(max_examples=8, deadline=None)
@given(exponent=st.one_of(st.integers(-1074, 1011), st.sampled_from([-1074, 1011])), top=levels)
def test_gains_over_the_whole_double_range_change_no_label(exponent, top):
    counts = np.round(top * small_field()).astype(float)  # times a power of two, even below 1e-308, without rounding
    np.testing.assert_array_equal(label(np.ldexp(counts, exponent)).labels, labels_of(top))


@settings(max_examples=8, deadline=None)
@given(
    gain=st.floats(-290, 290).map(lambda e: 10.0**e) | st.floats(1e-12, 1e12),
    offset=st.floats(-500, 500),
    top=st.just(255),
)
def test_a_positive_affine_change_changes_no_label(gain, offset, top):
    counts = np.round(top * small_field())
    changed = gain * (counts + offset * top)
    assert np.isfinite(changed).all()
    found = label(changed, black_level=gain * offset * top)
    np.testing.assert_array_equal(found.labels, labels_of(top))
    assert found.metadata["noise_std"] == pytest.approx(gain * label(counts).metadata["noise_std"], rel=1e-6)


@cache
def small_field():
    m = draw(seed=2, shape=(96, 96), second_phase_area_fraction=0.15, pore_area_fraction=0.02)
    return m.image.astype(float)


@cache
def labels_of(top):
    found = label(np.round(top * small_field())).labels
    if top == 255:
        assert np.unique(found).tolist() == [0, 1, 2]  # otherwise the tests show nothing
    return found


def test_contrast_inversion_keeps_the_second_phase():
    m = draw(seed=4, second_phase_area_fraction=0.15)
    plain, inverted = label(m.image).labels, label(2.0 - m.image).labels
    assert score_labels(inverted, plain, (1,)).iou[1] > 0.97


def test_flips_flip_the_labels(both):
    plain, flipped = label(both.image).labels, label(both.image[:, ::-1]).labels[:, ::-1]
    assert score_labels(flipped, plain, (0, 1, 2)).macro_iou > 0.985


def test_crop_agrees_with_the_whole():
    m = draw(seed=6, shape=(384, 384), second_phase_area_fraction=0.15, pore_area_fraction=0.01)
    whole, part = label(m.image).labels[64:320, 64:320], label(m.image[64:320, 64:320]).labels
    inner = (slice(16, -16),) * 2
    assert score_labels(part[inner], whole[inner], (0, 1, 2)).macro_iou > 0.93


def test_record_keeps_what_it_was_given(both):
    micrograph = Micrograph(image=both.image, pixel_size_nm=50.0, source="field.tif")
    before = both.image.copy()
    s = segment(micrograph, "classical")
    np.testing.assert_array_equal(before, both.image)
    assert (s.pixel_size_nm, s.source, s.model) == (50.0, "field.tif", "classical")
    assert s.classes == {0: "matrix", 1: "second phase", 2: "pore"}
    assert s.labels.shape == both.image.shape and set(np.unique(s.labels)) <= {0, 1, 2}
    for name, e in s.fractions.items():
        assert e.value == pytest.approx(np.mean(s.labels == {"second phase": 1, "pore": 2}[name]))
        assert "one field" in e.method


def test_overlay_shows_image_and_outlines(both):
    micrograph = Micrograph(image=both.image)
    rgb = overlay_rgb(micrograph, segment(micrograph, "classical"))
    assert rgb.shape == (*both.image.shape, 3) and rgb.dtype == np.uint8
    colours = {tuple(c) for c in rgb.reshape(-1, 3).tolist()}
    assert {(230, 159, 0), (86, 180, 233)} <= colours
    other = segment(Micrograph(image=both.image[:100]), "classical")
    with pytest.raises(InputError, match="do not fit"):
        overlay_rgb(micrograph, other)


def test_bad_input_is_refused(both):
    with pytest.raises(UnknownNameError, match="did you mean 'classical'"):
        segment(Micrograph(image=both.image), "clasical")
    assert list(SEGMENTERS) == ["classical"]
    with pytest.raises(InputError, match="all pixels are equal"):
        label(np.ones((64, 64)))
    with pytest.raises(InputError, match="pore_level"):
        label(both.image, pore_level=0.9)
    with pytest.raises(InputError, match="min_area_px"):
        label(both.image, min_area_px=0)


def test_small_and_quantised_images_do_not_crash():
    rng = np.random.default_rng(0)
    coins, ramp = (rng.random((30, 50)) > 0.5) * 255.0, np.arange(900.0).reshape(30, 30)
    for image in (rng.random((8, 8)), np.eye(40), coins, ramp):
        assert label(image).labels.shape == image.shape


def real(*parts):
    folder = os.environ.get("HEA_DATA")
    if not folder:
        pytest.skip("HEA_DATA is not set: the real micrographs are needed")
    image = np.asarray(iio.imread(Path(folder).joinpath(*parts)))
    return image[..., :3].mean(axis=2) if image.ndim == 3 else image


@pytest.mark.data
def test_real_field_with_one_pore():
    # The crop lies inside the red box of the EDS map; 160 px of the bar are 20 micrometres.
    image = real("specimens", "nbmotativ", "eds", "map1area.jpg")[40:665, 40:970]
    s = label(image)
    assert s.objects == {"second phase": 0, "pore": 1}
    pore = class_objects(s.labels, 2, 125.0)
    assert (pore["row"] + 40, pore["column"] + 40) == (pytest.approx([380], abs=10), pytest.approx([503], abs=10))
    assert 3000 < pore["equivalent_diameter"][0] < 6000


@pytest.mark.data
def test_real_field_with_nothing():
    s = label(real("specimens", "nbmotativ", "eds", "map2area.jpg")[26:680, 30:988])
    assert s.objects == {"second phase": 0, "pore": 0}


@pytest.mark.data
def test_real_gamma_prime_beats_the_baseline():
    folder = ("micrographs", "ni_superalloy")
    image = real(*folder, "images", "spot1_0d_0.tif")
    mask = np.asarray(iio.imread(Path(os.environ["HEA_DATA"]).joinpath(*folder, "masks", "spot1_0d_0_mask.tif")))
    top = np.iinfo(mask.dtype).max
    truth = ((mask[..., 1] == 0) & ((mask[..., 0] == top) ^ (mask[..., 2] == top))).astype(int)
    s = score_labels((label(image).labels == 1).astype(int), truth, (0, 1))
    assert s.iou[0] > 0.85 and s.iou[1] > 0.85
