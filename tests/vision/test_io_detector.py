"""Detector images: rings of a known powder come back at their angles; what does not fit is said in one line."""

import importlib.util
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import HEAError, InputError, MissingDependencyError, MissingFileError
from hea_vision.io import DETECTOR_SUFFIXES, integrate_image, read_pattern

HAS_PYFAI = importlib.util.find_spec("pyFAI") is not None
WAVELENGTH_A, DISTANCE_MM, PIXEL_MM, SHAPE, CENTRE = 0.4133, 150.0, 0.2, (400, 380), (195.0, 180.0)
RINGS_DEG = (4.0, 7.5, 11.0)


def poni(folder, *, wavelength=WAVELENGTH_A, shape=SHAPE, name="cal.poni"):
    config = {"pixel1": PIXEL_MM / 1e3, "pixel2": PIXEL_MM / 1e3, "max_shape": list(shape), "orientation": 3}
    lines = [
        "poni_version: 2.1",
        "Detector: Detector",
        f"Detector_config: {json.dumps(config)}",
        f"Distance: {DISTANCE_MM / 1e3}",
        f"Poni1: {CENTRE[0] * PIXEL_MM / 1e3}",
        f"Poni2: {CENTRE[1] * PIXEL_MM / 1e3}",
        "Rot1: 0.0",
        "Rot2: 0.0",
        "Rot3: 0.0",
    ]
    if wavelength:
        lines.append(f"Wavelength: {wavelength * 1e-10}")
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def two_theta_of_pixels(shape=SHAPE):
    rows, columns = (np.arange(n) + 0.5 - c for n, c in zip(shape, CENTRE))
    radius = np.hypot(rows[:, None], columns[None, :]) * PIXEL_MM
    return np.degrees(np.arctan2(radius, DISTANCE_MM))


def rings(shape=SHAPE):
    angle = two_theta_of_pixels(shape)
    image = np.full(shape, 50.0)
    for ring in RINGS_DEG:
        image += 4000 * np.exp(-(((angle - ring) / 0.12) ** 2))
    return np.round(image).astype(np.int32)


def saved(folder, image=None, name="frame.npy"):
    path = folder / name
    np.save(path, rings() if image is None else image)
    return path


def test_an_image_without_calibration_is_refused_with_the_mend(tmp_path):
    for call in (read_pattern, lambda path: integrate_image(path, None)):
        with pytest.raises(InputError, match=r"without calibration.*\.poni"):
            call(saved(tmp_path))


def test_what_cannot_be_meant_is_refused_before_pyfai_is_asked(tmp_path):
    path, calibration = saved(tmp_path), poni(tmp_path)
    with pytest.raises(InputError, match="n_points"):
        integrate_image(path, calibration, n_points=3)
    with pytest.raises(InputError, match="polarization"):
        integrate_image(path, calibration, polarization_factor=2.0)
    with pytest.raises(InputError, match="scan and axis"):
        read_pattern(path, calibration=calibration, axis="q_per_A")
    with pytest.raises(InputError, match="suffix"):
        read_pattern(tmp_path.joinpath("a.xy").write_text("1 2") and tmp_path / "a.xy", calibration=calibration)


@pytest.mark.skipif(HAS_PYFAI, reason="pyFAI is installed here")
def test_without_pyfai_the_extra_is_named(tmp_path):
    with pytest.raises(MissingDependencyError, match=r"hea-toolkit\[detector\]"):
        integrate_image(saved(tmp_path), poni(tmp_path))


@pytest.fixture
def pyfai():
    return pytest.importorskip("pyFAI")


def test_rings_come_back_at_their_angles(tmp_path, pyfai):
    pattern = read_pattern(saved(tmp_path), calibration=poni(tmp_path))
    assert pattern.wavelength_A == pytest.approx(WAVELENGTH_A) and pattern.radiation is None
    step = float(np.median(np.diff(pattern.two_theta_deg)))
    for ring in RINGS_DEG:
        near = np.abs(pattern.two_theta_deg - ring) < 0.4
        weight = pattern.intensity[near] - 50
        centroid = float((pattern.two_theta_deg[near] * weight).sum() / weight.sum())
        assert abs(centroid - ring) < 0.25 * step  # a quarter of a pixel
    assert pattern.metadata["calibration_sha256"] and pattern.sha256


def test_flat_counts_give_a_flat_pattern_with_poisson_errors(tmp_path, pyfai):
    flat = np.random.default_rng(0).poisson(200, SHAPE).astype(np.int32)
    pattern = integrate_image(saved(tmp_path, flat), poni(tmp_path), n_points=100)
    angle = np.radians(pattern.two_theta_deg)
    expected = 200 / np.cos(angle) ** 3  # solid angle of a flat pixel
    inner = slice(5, 80)
    scatter = (pattern.intensity - expected)[inner] / pattern.intensity_std[inner]
    assert 0.6 < scatter.std() < 1.4 and abs(scatter.mean()) < 0.6


def test_bad_pixels_are_left_out(tmp_path, pyfai):
    image = rings().astype(float)
    image[10:40, 10:40], image[100, :] = -1, np.nan
    pattern = integrate_image(saved(tmp_path, image), poni(tmp_path))
    assert pattern.metadata["pixels_left_out"] == 900 + SHAPE[1]
    assert pattern.intensity.min() > 45


def test_formats_agree(tmp_path, pyfai):
    import tifffile

    fabio = pytest.importorskip("fabio")
    calibration = poni(tmp_path)
    expected = integrate_image(saved(tmp_path), calibration)
    tifffile.imwrite(tmp_path / "a.tif", rings())
    fabio.edfimage.EdfImage(data=rings()).write(str(tmp_path / "a.edf"))
    fabio.cbfimage.CbfImage(data=rings()).write(str(tmp_path / "a.cbf"))
    for name in ("a.tif", "a.edf", "a.cbf"):
        got = read_pattern(tmp_path / name, calibration=calibration)
        np.testing.assert_allclose(got.intensity, expected.intensity, rtol=1e-6)


def test_the_wavelength_is_asked_for(tmp_path, pyfai):
    bare = poni(tmp_path, wavelength=None, name="bare.poni")
    with pytest.raises(InputError, match="no wavelength"):
        integrate_image(saved(tmp_path), bare)
    assert integrate_image(saved(tmp_path), bare, radiation="MoKa").radiation == "MoKa"
    pattern = integrate_image(saved(tmp_path), poni(tmp_path), wavelength_A=0.5)
    assert pattern.wavelength_A == 0.5 and "0.4133" in pattern.metadata["radiation_note"]


def test_what_does_not_fit_is_refused(tmp_path, pyfai):
    calibration = poni(tmp_path)
    with pytest.raises(InputError, match="380"):
        integrate_image(saved(tmp_path, rings((300, 300))), calibration)
    with pytest.raises(InputError, match="no pixel"):
        integrate_image(saved(tmp_path, np.full(SHAPE, -1)), calibration)
    with pytest.raises(InputError, match="shape"):
        integrate_image(saved(tmp_path, np.ones((3, *SHAPE))), calibration)
    with pytest.raises(MissingFileError):
        integrate_image(saved(tmp_path), tmp_path / "none.poni")
    (tmp_path / "words.poni").write_text("hello")
    with pytest.raises(InputError, match="Distance"):
        integrate_image(saved(tmp_path), tmp_path / "words.poni")
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        integrate_image(objects, calibration)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(min_size=1, max_size=400), suffix=st.sampled_from(DETECTOR_SUFFIXES), cut=st.integers(0, 300))
def test_random_images_and_calibrations_give_only_our_errors(tmp_path_factory, data, suffix, cut):
    pytest.importorskip("pyFAI")
    folder = tmp_path_factory.getbasetemp()
    path = folder / f"random{suffix}"
    path.write_bytes(data)
    with pytest.raises(HEAError):
        integrate_image(path, poni(folder))
    damaged = folder / "damaged.poni"
    damaged.write_bytes(poni(folder).read_bytes()[:cut] + data[:20])
    try:
        integrate_image(saved(folder), damaged, wavelength_A=0.4)
    except HEAError as error:
        assert "\n" not in str(error)
