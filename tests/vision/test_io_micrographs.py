"""Micrographs: contracts, pixel sizes, bad input."""

import gc
import json
import logging
import struct
import warnings
import zlib
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import HEAError, InputError, MissingFileError
from hea_vision.io import IMAGE_SUFFIXES, read_micrograph
from hea_vision.io.lengths import from_density, nm_per

GREY = np.arange(32 * 48, dtype=np.uint8).reshape(32, 48)


def expect_one_line(path, match=None, error=InputError, **options):
    with pytest.raises(error, match=match) as caught:
        read_micrograph(path, **options)
    message = str(caught.value)
    assert path.name in message and "\n" not in message and len(message) < 400 + len(str(path))


def tiff(path, image=GREY, **options):
    tifffile.imwrite(path, image, **options)
    return path


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4", "f8", "u4", "?"])
def test_tiff_values_are_kept(tmp_path, dtype):
    image = (GREY * 3.0).astype(dtype)
    got = read_micrograph(tiff(tmp_path / "a.tif", image))
    assert got.image.dtype in (np.float32, np.float64)
    np.testing.assert_array_equal(got.image, image.astype(float))
    assert got.pixel_size_nm is None and len(got.sha256) == 64


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif"])
def test_colour_becomes_luminance(tmp_path, name):
    rgb = np.zeros((16, 16, 3), np.uint8)
    rgb[..., 0], rgb[..., 1], rgb[..., 2] = 200, 100, 50
    iio.imwrite(tmp_path / name, rgb)
    np.testing.assert_allclose(read_micrograph(tmp_path / name).image, 0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    iio.imwrite(tmp_path / name, np.repeat(GREY[..., None], 3, axis=2))
    np.testing.assert_array_equal(read_micrograph(tmp_path / name).image, GREY)


def test_alpha_planes_inversion_and_16_bit(tmp_path):
    rgba = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 7)])
    np.testing.assert_array_equal(read_micrograph(tiff(tmp_path / "a.tif", rgba, photometric="rgb")).image, GREY)
    planes = np.stack([GREY, GREY, GREY])
    path = tiff(tmp_path / "p.tif", planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_micrograph(path).image, GREY)
    path = tiff(tmp_path / "w.tif", GREY, photometric="miniswhite")
    np.testing.assert_array_equal(read_micrograph(path).image, 255.0 - GREY)
    iio.imwrite(tmp_path / "16.png", GREY.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "16.png").image, GREY * 257.0)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"resolution": (20.0, 20.0), "imagej": True, "metadata": {"unit": "micron"}}, 50.0),
        ({"resolution": (4.0, 4.0), "imagej": True, "metadata": {"unit": "nm"}}, 0.25),
        ({"resolution": (4.0, 4.0), "imagej": True, "metadata": {"unit": "pixel"}}, None),
        ({"resolution": (1e5, 1e5), "resolutionunit": "CENTIMETER"}, 100.0),
        ({"resolution": (254000.0, 254000.0), "resolutionunit": "INCH"}, 100.0),
        ({"resolution": (96.0, 96.0), "resolutionunit": "INCH"}, None),
        ({"resolution": (1.0, 1.0), "resolutionunit": "NONE"}, None),
        ({}, None),
    ],
)
def test_pixel_size_from_tags(tmp_path, options, size):
    got = read_micrograph(tiff(tmp_path / "a.tif", **options))
    assert got.pixel_size_nm == (None if size is None else pytest.approx(size, rel=1e-6))
    assert ("resolution_note" in got.metadata) == (options.get("resolution") == (96.0, 96.0))
    assert read_micrograph(tmp_path / "a.tif", pixel_size_nm=7).pixel_size_nm == 7


def test_users_pixel_size_is_noted_where_it_differs(tmp_path):
    path = tiff(tmp_path / "a.tif", resolution=(20.0, 20.0), imagej=True, metadata={"unit": "um"})
    assert "user" in read_micrograph(path, pixel_size_nm=51.0).metadata["pixel_size_note"]
    assert "pixel_size_note" not in read_micrograph(path, pixel_size_nm=50.0).metadata
    for bad in (0, -1.0, float("nan"), 1e12):
        with pytest.raises(InputError, match="pixel size"):
            read_micrograph(path, pixel_size_nm=bad)


def test_pixels_must_be_square(tmp_path):
    path = tiff(tmp_path / "a.tif", resolution=(20.0, 10.0), imagej=True, metadata={"unit": "um"})
    expect_one_line(path, "square")
    assert read_micrograph(path, pixel_size_nm=50.0).pixel_size_nm == 50.0


def test_fei_data_bar_is_cut_off(tmp_path):
    text = "[Image]\r\nResolutionY=24\r\n[Scan]\r\nPixelWidth=6.5e-08\r\nPixelHeight=6.5e-08\r\n"
    tag = (34682, "s", 0, text, True)
    got = read_micrograph(tiff(tmp_path / "a.tif", extratags=[tag]))
    assert got.image.shape == (24, 48) and got.pixel_size_nm == pytest.approx(65.0)
    assert got.metadata["data_bar_top"] == 24 and "cropped" in got.metadata["data_bar"]


def test_crop(tmp_path):
    path = tiff(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_micrograph(path, crop=(2, 3, 10, 20)).image, GREY[2:12, 3:23])
    for bad in ((0, 0, 33, 10), (-1, 0, 10, 10), (0, 40, 10, 10), (0, 0, 0, 0), (0, 0, 9.5, 9)):
        expect_one_line(path, "32 x 48", crop=bad)
    for bad in ((1, 2, 3), "abcd", 5, (0, 0, float("nan"), 3)):
        expect_one_line(path, "four whole numbers", crop=bad)


def signal_of(data, units="µm", names="zyx"):
    """Give the dictionary that the writers of rosettasciio take."""
    axis = {"units": units, "scale": 0.02, "offset": 0.0, "navigate": False, "_type": "UniformDataAxis"}
    names = names[-data.ndim :]
    axes = [{**axis, "name": names[i], "size": n, "index_in_array": i} for i, n in enumerate(data.shape)]
    return {
        "data": data,
        "axes": axes,
        "metadata": {"General": {"title": "t"}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
        "tmp_parameters": {},
        "attributes": {"_lazy": False, "ragged": False},
        "learning_results": {},
        "models": {},
        "package_info": {"package": "hyperspy", "package_version": "2.3"},
    }


@pytest.mark.parametrize("suffix", ["hspy", "rpl"])
def test_microscope_files_keep_their_scale(tmp_path, suffix):
    import importlib

    write = importlib.import_module("rsciio." + {"hspy": "hspy", "rpl": "ripple"}[suffix]).file_writer
    path = tmp_path / f"a.{suffix}"
    write(str(path), signal_of(GREY))
    got = read_micrograph(path)
    np.testing.assert_array_equal(got.image, GREY)
    assert got.pixel_size_nm == pytest.approx(20.0) and got.metadata["pixel_size_from"] == "file"
    assert read_micrograph(path, pixel_size_nm=3.0).pixel_size_nm == 3.0
    write(str(tmp_path / f"b.{suffix}"), signal_of(GREY, units="1/nm"))
    got = read_micrograph(tmp_path / f"b.{suffix}")
    assert got.pixel_size_nm is None and "1/nm" in got.metadata["resolution_note"]


def test_a_stack_is_no_micrograph(tmp_path):
    from rsciio.hspy import file_writer

    file_writer(str(tmp_path / "s.hspy"), signal_of(np.zeros((4, 32, 48), np.uint8)))
    expect_one_line(tmp_path / "s.hspy", "one image")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc")
def test_files_are_closed_again(tmp_path):
    from rsciio.hspy import file_writer

    file_writer(str(tmp_path / "a.hspy"), signal_of(GREY))
    iio.imwrite(tmp_path / "a.png", GREY)
    paths = [tmp_path / "a.hspy", tmp_path / "a.png", tiff(tmp_path / "a.tif")]
    for path in paths:
        read_micrograph(path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in paths * 5:
        read_micrograph(path)
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_bad_files(tmp_path):
    for suffix in IMAGE_SUFFIXES:
        path = tmp_path / f"text{suffix}"
        path.write_text("this is text, not an image\n" * 50)
        expect_one_line(path)
        path.write_bytes(b"")
        expect_one_line(path, "empty")
    expect_one_line(tmp_path / "none.tif", "does not exist", MissingFileError)
    expect_one_line(tmp_path, "folder")
    (tmp_path / "a.docx").write_text("x")
    expect_one_line(tmp_path / "a.docx", r"\.tif")


def test_truncated_multi_page_nan_small(tmp_path):
    whole = tiff(tmp_path / "a.tif", np.zeros((256, 256), np.uint16)).read_bytes()
    cut = tmp_path / "cut.tif"
    for n in (3, 20, 150, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:n])
        expect_one_line(cut)
    expect_one_line(tiff(tmp_path / "m.tif", np.zeros((3, 32, 32), np.uint8), photometric="minisblack"), "3 pages")
    expect_one_line(tiff(tmp_path / "j.tif", np.zeros((3, 32, 32), np.uint8), imagej=True), "3 pages")
    image = GREY.astype(np.float32)
    image[3, 4] = np.nan
    expect_one_line(tiff(tmp_path / "n.tif", image), "1 pixels are NaN")
    expect_one_line(tiff(tmp_path / "s.tif", GREY[:4]), "at least 8")
    expect_one_line(tiff(tmp_path / "c.tif", GREY.astype(np.complex64)), "numbers")


def test_headers_that_promise_too_much(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side in (60_000, 14_000):
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
        path = tmp_path / f"{side}.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b""))
        expect_one_line(path, "header claims")
    raw = bytearray(tiff(tmp_path / "a.tif", GREY, compression="zlib").read_bytes())
    for tag in (256, 257, 278):
        at = raw.index(struct.pack("<HHI", tag, 4, 1)) if struct.pack("<HHI", tag, 4, 1) in raw else None
        if at is not None:
            raw[at + 8 : at + 12] = struct.pack("<I", 60_000)
    (tmp_path / "b.tif").write_bytes(raw)
    expect_one_line(tmp_path / "b.tif")


def test_pages_chained_in_a_circle_end(tmp_path):
    raw = bytearray(tiff(tmp_path / "a.tif").read_bytes())
    first = struct.unpack("<I", raw[4:8])[0]
    end = first + 2 + 12 * struct.unpack("<H", raw[first : first + 2])[0]
    second = len(raw)
    raw[end : end + 4] = struct.pack("<I", second)
    raw += raw[first:end] + struct.pack("<I", first)
    (tmp_path / "b.tif").write_bytes(raw)
    expect_one_line(tmp_path / "b.tif", "pages")


def test_cmyk_is_converted(tmp_path):
    from PIL import Image

    Image.new("CMYK", (16, 16), (0, 0, 0, 255)).save(tmp_path / "a.jpg")
    assert read_micrograph(tmp_path / "a.jpg").image.max() < 5


def test_lzw_needs_no_extra_package(tmp_path):
    from PIL import Image

    Image.fromarray(GREY).save(tmp_path / "a.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").image, GREY)


def test_readers_are_quiet_and_leave_logging_alone(tmp_path, capfd):
    path = tmp_path / "a.dm4"
    path.write_text("no microscope file" * 40)
    logger = logging.getLogger("rsciio")
    before, root = logger.level, (logging.root.level, list(logging.root.handlers))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expect_one_line(path)
    assert capfd.readouterr() == ("", "")
    assert logger.level == before and (logging.root.level, list(logging.root.handlers)) == root


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=400), suffix=st.sampled_from(IMAGE_SUFFIXES))
def test_random_bytes_give_only_our_errors(tmp_path_factory, data, suffix):
    path = tmp_path_factory.getbasetemp() / f"random{suffix}"
    path.write_bytes(data)
    with pytest.raises(HEAError):
        read_micrograph(path)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), suffix=st.sampled_from([".tif", ".png", ".jpg", ".bmp", ".rpl", ".hspy"]))
def test_damaged_images_give_an_image_or_our_errors(tmp_path_factory, data, suffix):
    folder = tmp_path_factory.getbasetemp()
    whole = folder / f"whole{suffix}"
    if not whole.exists():
        if suffix in (".rpl", ".hspy"):
            whole.write_bytes(b"key\tvalue\nwidth\t32\nheight\t32\ndepth\t1\ndata-type\tunsigned\n" * 3)
        else:
            iio.imwrite(whole, GREY)
    raw = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(raw), 500) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    path = folder / f"damaged{suffix}"
    path.write_bytes(raw)
    try:
        got = read_micrograph(path)
    except HEAError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(got.image).all()


def test_lengths():
    assert nm_per("nm") == 1 and nm_per("Å") == 0.1 and nm_per("\\u00B5m") == 1e3 and nm_per("px") is None
    assert nm_per("M") is None and nm_per(None) is None
    assert from_density(1e5, 1e5, 1e7) == ((100.0, 100.0), "")
    assert from_density(0, 1, 1e7) == (None, "")


def test_metadata_is_plain_json(tmp_path):
    from hea_sim.documents import to_jsonable

    plain = to_jsonable(read_micrograph(tiff(tmp_path / "a.tif"), crop=(0, 0, 8, 8)))
    assert json.loads(json.dumps(plain)) == plain and plain["metadata"]
