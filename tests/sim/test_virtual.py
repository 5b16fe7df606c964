"""Virtual micrographs: exact truth, seeded, honest about what they cannot draw."""

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hea_sim.errors import InputError, UnknownNameError
from hea_sim.microscopy import Section, SemInstrument, draw_section, photograph, virtual_micrograph


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


def test_one_set_of_knobs_for_both_modalities():
    cell = bulk("W", "bcc", a=3.16, cubic=True) * (4, 4, 2)
    picture = virtual_micrograph(cell, modality="haadf", pixel_size_nm=0.02, seed=1, grey_levels=16, probe_fwhm_nm=0.1)
    assert len(np.unique(picture.image)) <= 16 and picture.settings["probe_fwhm_nm"] == 0.1
    section = draw(grey_levels=16, drift_px=3.0, second_phase_area_fraction=0.1)
    assert len(np.unique(section.image)) <= 16 and section.settings["drift_px"] == 3.0
    again = virtual_micrograph(cell, **{**picture.settings, "pixel_size_nm": 0.02})
    np.testing.assert_array_equal(picture.image, again.image)
    with pytest.raises(UnknownNameError, match="pore_area_fraction"):
        virtual_micrograph(cell, modality="haadf", pixel_size_nm=0.02, seed=1, pore_area_fraction=0.1)


@pytest.mark.parametrize("modality", ["sem", "haadf"])
def test_atoms_belong_to_one_modality(modality):
    atoms = bulk("W", cubic=True) if modality == "sem" else None
    with pytest.raises(InputError, match="atoms"):
        virtual_micrograph(atoms, modality=modality, pixel_size_nm=0.02, seed=1)


def test_the_picture_is_the_scene_through_the_instrument():
    rng = np.random.default_rng(1)
    scene = draw_section(rng, (160, 200), Section(second_phase_area_fraction=0.1))
    image = photograph(scene.reflectance, SemInstrument(blur_px=1.5), rng)
    m = draw(second_phase_area_fraction=0.1, blur_px=1.5)
    np.testing.assert_array_equal(m.image, image)
    np.testing.assert_array_equal(m.labels, scene.labels)


def test_grey_of_particles_holds_their_area():
    section = Section(channelling_contrast=0.0, second_phase_area_fraction=0.15, second_phase_contrast=0.4)
    scene = draw_section(np.random.default_rng(2), (256, 256), section)
    # Pixels on an outline are mixed by how much of them is covered.
    covered = float((scene.reflectance / 0.5 - 1).mean() / 0.4)
    assert covered == pytest.approx((scene.labels == 1).mean(), rel=0.01)


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
        channelling_contrast=0.0, scan_line_noise=0.0, detector_noise=0.0,
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
        ({"pixel_size_nm": float("nan")}, "pixel size"),
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
