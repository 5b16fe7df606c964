"""Data bars and scale bars: found where they are, not where they are not, and never used in silence."""

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_vision.io import find_inputs, open_micrograph, read_micrograph
from hea_vision.io.data_bar import find_data_bar
from hea_vision.io.raw_images import Request, grey_plane
from hea_vision.io.scale_bars import scale_bar_in_band, scale_bar_in_picture
from tests.vision.micrograph_files import data_bar, noisy_picture


def with_bar(picture, bar, at="bottom"):
    return np.vstack([picture, bar] if at == "bottom" else [bar, picture])


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(16, 70),
    ground=st.sampled_from([(0, 255), (255, 0), (46, 240), (255, 60)]),
    at=st.sampled_from(["bottom", "top"]),
    kind=st.sampled_from(["u1", "u2", "f4"]),
    seed=st.integers(0, 5),
)
def test_a_bar_is_found_to_the_row(rows, ground, at, kind, seed):
    picture = noisy_picture(seed=seed)
    image = with_bar(picture, data_bar(320, rows, *ground), at).astype(kind) * (257 if kind == "u2" else 1)
    bar = find_data_bar(image)
    assert bar is not None and bar.certain
    assert (bar.top, bar.bottom) == ((240, 240 + rows) if at == "bottom" else (0, rows))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), sigma=st.sampled_from([0, 1, 4, 15]), dark=st.integers(0, 200))
def test_pictures_alone_have_no_bar(seed, sigma, dark):
    """Noise, saturated dark or bright parts, layers with wavy edges: none is cut off."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    picture = ndimage.gaussian_filter(rng.normal(size=(200, 256)), sigma)
    picture = (picture - picture.min()) / np.ptp(picture) * 255
    edge = 150 + 8 * np.sin(np.arange(256) / 17 + seed)
    picture[np.arange(200)[:, None] > edge] = dark
    bar = find_data_bar(np.clip(picture, 0, 255).astype(np.uint8))
    assert bar is None or not bar.certain


def test_flat_rows_without_writing_are_told_and_kept():
    picture = noisy_picture()
    for ground in (0, 90, 255):
        bar = find_data_bar(with_bar(picture, np.full((40, 320), ground, np.uint8)))
        assert bar is not None and not bar.certain and "no writing" in bar.reason
    assert find_data_bar(np.zeros((200, 200), np.uint8)) is None
    assert find_data_bar((noisy_picture() > 128).astype(np.uint8) * 255) is None


def test_a_doubtful_bar_is_told_and_kept(tmp_path):
    picture = noisy_picture()
    picture[-60:, :100] = 0  # the picture beside the bar is as black as the bar
    tifffile.imwrite(tmp_path / "a.tif", with_bar(picture, data_bar(320)))
    got = read_micrograph(tmp_path / "a.tif")
    assert got.image.shape == (280, 320) and got.metadata["data_bar"].startswith("perhaps rows 240 to 279")


def test_the_bar_is_cut_off_unless_it_is_to_be_kept(tmp_path):
    picture, bar = noisy_picture(), data_bar(320, scale_px=100)
    for at in ("bottom", "top"):
        iio.imwrite(tmp_path / "a.png", with_bar(picture, bar, at))
        np.testing.assert_array_equal(read_micrograph(tmp_path / "a.png").image, picture)
        kept = read_micrograph(tmp_path / "a.png", data_bar="keep")
        assert kept.image.shape == (280, 320) and kept.metadata["data_bar"].startswith("kept")
        assert kept.metadata["scale_bar_px"] == 100
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.png", crop=(3, 4, 50, 60)).image, picture[3:53, 4:64])
    with pytest.raises(InputError, match="auto, keep"):
        read_micrograph(tmp_path / "a.png", data_bar="cut")


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(40, 140),
    broken=st.booleans(),
    ground=st.sampled_from([(0, 255), (255, 0), (46, 250)]),
    seed=st.integers(0, 3),
)
def test_the_scale_bar_is_measured_to_the_pixel(length, broken, ground, seed):
    bar = data_bar(320, 40, *ground, scale_px=length, broken=broken)
    found = scale_bar_in_band(bar)
    assert found is not None and found.length_px == length and found.ticked


@pytest.mark.parametrize("box", [(0, 255), (255, 0)])
def test_a_scale_bar_drawn_into_the_picture(box):
    ground, ink = box
    picture = noisy_picture()
    assert scale_bar_in_picture(picture) is None
    picture[200:230, 180:300] = ground
    picture[215:218, 190:290] = ink
    picture[205:218, 190:192] = picture[205:218, 288:290] = ink
    found = scale_bar_in_picture(picture)
    assert found is not None and (found.length_px, found.left) == (100, 190)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), sigma=st.sampled_from([0.0, 1.0, 4.0]))
def test_no_scale_bar_in_pictures_and_masks(seed, sigma):
    from scipy import ndimage

    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(200, 256)), sigma)
    picture = (255 * (field - field.min()) / np.ptp(field)).astype(np.uint8)
    assert scale_bar_in_picture(picture) is None
    assert scale_bar_in_picture((field > 0).astype(np.uint8) * 255) is None


def test_the_users_word_turns_the_scale_bar_into_a_pixel_size(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", with_bar(noisy_picture(), data_bar(320, scale_px=100)))
    got = read_micrograph(tmp_path / "a.tif")
    assert got.pixel_size_nm is None and got.metadata["scale_bar_px"] == 100
    assert "--scale-bar" in got.metadata["scale_bar_note"]
    got = read_micrograph(tmp_path / "a.tif", scale_bar_nm=20_000)
    assert got.pixel_size_nm == 200.0 and got.metadata["pixel_size_from"] == "scale bar"
    assert got.metadata["pixel_size_std_nm"] == pytest.approx(2.0)
    assert open_micrograph(tmp_path / "a.tif", scale_bar_nm=20_000).pixel_size_nm == 200.0
    with pytest.raises(InputError, match="give one of them"):
        read_micrograph(tmp_path / "a.tif", scale_bar_nm=20_000, pixel_size_nm=1.0)
    tifffile.imwrite(tmp_path / "b.tif", noisy_picture())
    with pytest.raises(InputError, match="no scale bar was found"):
        read_micrograph(tmp_path / "b.tif", scale_bar_nm=20_000)


def grey_of(path):
    from hea_vision.io.pictures import picture_pages
    from hea_vision.io.tiff import tiff_pages

    reader = tiff_pages if path.suffix == ".tif" else picture_pages
    return grey_plane(path, next(reader(path, Request())).pixels)


@pytest.mark.data
def test_real_bars_are_found_as_the_tags_say(data):
    """FEI's tag tells where the bar begins and how large a pixel is; the label of the bar is read off by eye."""
    for name, top, label_nm, pixel_nm in (
        ("steel_SEM_001", 1024, 30_000, 66.9102),
        ("01_Si_ref", 884, 20_000, 90.1544),
        ("steel_ECP_001", 884, 20_000, 90.9246),
    ):
        grey = grey_of(data / f"micrographs/fei_sem/{name}.tif")
        bar = find_data_bar(grey)
        assert bar is not None and bar.certain and (bar.top, bar.bottom) == (top, grey.shape[0])
        scale = scale_bar_in_band(grey[bar.top :])
        assert scale is not None and scale.length_px == pytest.approx(label_nm / pixel_nm, abs=1.0)


@pytest.mark.data
@pytest.mark.parametrize("quality", [50, 75, 90])
def test_real_bars_are_found_after_jpeg(data, tmp_path, quality):
    for name, top, length_px in (("steel_SEM_001", 1024, 448), ("01_Si_ref", 884, 222), ("steel_ECP_001", 884, 220)):
        grey = grey_of(data / f"micrographs/fei_sem/{name}.tif")
        iio.imwrite(tmp_path / "a.jpg", (grey / 257).astype(np.uint8), quality=quality)
        got = read_micrograph(tmp_path / "a.jpg")
        assert got.image.shape[0] == top and got.metadata["scale_bar_px"] == pytest.approx(length_px, abs=1)


@pytest.mark.data
def test_a_real_scale_bar_in_the_picture_is_found(data):
    lengths = {}
    for name in ("map1area", "map2area", "linescan1area", "linescan2area"):
        got = read_micrograph(data / f"specimens/nbmotativ/eds/{name}.jpg")
        assert got.image.shape == (768, 1024) and "data_bar" not in got.metadata
        lengths[name] = got.metadata["scale_bar_px"]
    # 20 um three times at one magnification, 5 um at another; counted in the picture by eye.
    assert lengths["map1area"] == lengths["linescan1area"] == lengths["linescan2area"]
    assert lengths["map1area"] == pytest.approx(161, abs=1) and lengths["map2area"] == pytest.approx(200, abs=2)
    got = read_micrograph(data / "specimens/nbmotativ/eds/map1area.jpg", scale_bar_nm=20_000)
    assert got.pixel_size_nm == pytest.approx(20_000 / 161, rel=0.01)


@pytest.mark.data
def test_no_false_bar_on_real_micrographs_and_masks(data):
    folders = ("ni_superalloy", "cr_superalloy", "ebc_oxide", "grain_intercept")
    paths = find_inputs([data / "micrographs" / name for name in folders], (".tif", ".png"))
    assert len(paths) == 98
    for path in paths:
        grey = grey_of(path)
        assert find_data_bar(grey) is None and scale_bar_in_picture(grey) is None, path.name


@pytest.mark.data
def test_titles_of_real_eds_maps_are_cut_off_alike(data):
    """The maps of one area keep one shape, so that they lie on each other."""
    for area in ("map1", "map2"):
        paths = sorted((data / "specimens/nbmotativ/eds").glob(f"{area}_-_*.jpg"))
        shapes = {read_micrograph(path).image.shape for path in paths}
        assert len(paths) == 6 and len(shapes) == 1
