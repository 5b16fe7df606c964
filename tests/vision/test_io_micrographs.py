"""Micrographs: contracts, pixel sizes, bad input."""

import gc
import importlib
import json
import logging
import os
import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import HEAError, InputError, MissingFileError, UnknownNameError
from hea_vision.io import IMAGE_SUFFIXES, ReadOptions, open_micrograph, read_micrograph, read_micrographs
from hea_vision.io.lengths import from_density, nm_per
from hea_vision.io.raw_images import guarded
from tests.vision.micrograph_files import (
    FRAME,
    GREY,
    fei_tag,
    signal_of,
    tescan_tag,
    tiff,
    write_dm,
    write_mrc,
    write_ser,
    zeiss_tag,
)


def expect_one_line(path, match=None, error=InputError, **options):
    with pytest.raises(error, match=match) as caught:
        read_micrograph(path, **options)
    message = str(caught.value)
    assert path.name in message and "\n" not in message and len(message) < 400 + len(str(path))


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


def test_crop(tmp_path):
    path = tiff(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_micrograph(path, crop=(2, 3, 10, 20)).image, GREY[2:12, 3:23])
    for bad in ((0, 0, 33, 10), (-1, 0, 10, 10), (0, 40, 10, 10), (0, 0, 0, 0), (0, 0, 9.5, 9)):
        expect_one_line(path, "32 x 48", crop=bad)
    for bad in ((1, 2, 3), "abcd", 5, (0, 0, float("nan"), 3)):
        expect_one_line(path, "four whole numbers", crop=bad)


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


def test_truncated_tiff(tmp_path):
    whole = tiff(tmp_path / "a.tif", np.zeros((256, 256), np.uint16)).read_bytes()
    cut = tmp_path / "cut.tif"
    for n in (3, 20, 150, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:n])
        expect_one_line(cut)


def whole_file(kind, folder):
    """Make a good file of every kind that is read."""
    tags = {"fei": fei_tag(5.0), "zeiss": zeiss_tag(image="5 nm"), "tescan": tescan_tag(5e-9)}
    if kind in tags:
        return tiff(folder / f"{kind}.tif", FRAME, extratags=tags[kind])
    if kind in ("dm3", "dm4"):
        return write_dm(folder / f"a.{kind}", FRAME, version=int(kind[2]))
    if kind == "mrc":
        return write_mrc(folder / "a.mrc", FRAME)
    if kind == "ser":
        return write_ser(folder / "a.ser", FRAME)
    if kind in ("emd", "hspy"):
        importlib.import_module(f"rsciio.{kind}").file_writer(str(folder / f"a.{kind}"), signal_of(FRAME))
    else:
        iio.imwrite(folder / f"a.{kind}", FRAME)
    return folder / f"a.{kind}"


@pytest.mark.parametrize(
    "kind", ["fei", "zeiss", "tescan", "png", "jpg", "bmp", "dm3", "dm4", "mrc", "ser", "emd", "hspy"]
)
def test_truncated_files_of_every_kind(tmp_path, kind):
    path = whole_file(kind, tmp_path)
    read_micrograph(path)
    whole = path.read_bytes()
    for n in (1, 8, 40, len(whole) // 3, len(whole) // 2):
        path.write_bytes(whole[:n])
        expect_one_line(path)
    path.write_bytes(b"")
    expect_one_line(path, "empty")


def test_shapes_and_values_that_are_no_micrograph(tmp_path):
    expect_one_line(tiff(tmp_path / "m.tif", np.zeros((3, 32, 32), np.uint8), photometric="minisblack"), "3 pages")
    expect_one_line(tiff(tmp_path / "j.tif", np.zeros((3, 32, 32), np.uint8), imagej=True), "3 pages")
    expect_one_line(tiff(tmp_path / "s.tif", GREY[:4]), "at least 8")
    expect_one_line(tiff(tmp_path / "c.tif", GREY.astype(np.complex64)), "numbers")
    expect_one_line(tiff(tmp_path / "7.tif", np.zeros((32, 32, 7), np.uint8), planarconfig="contig"), "grey or RGB")
    for name in ("1.tif", "1.png", "1.bmp"):
        iio.imwrite(tmp_path / name, np.zeros((1, 1), np.uint8))
        expect_one_line(tmp_path / name, "at least 8 x 8")


@pytest.mark.parametrize(("bad", "count"), [(np.nan, 1), (np.inf, 3), (-np.inf, 40)])
@pytest.mark.parametrize("kind", ["f4", "f8", "f2"])
def test_not_finite_pixels_are_counted(tmp_path, bad, count, kind):
    image = (GREY / 4).astype(kind)
    image.ravel()[:count] = bad
    expect_one_line(tiff(tmp_path / "n.tif", image), f"{count} pixels are NaN.*fill them")
    image.ravel()[:count] = 0
    np.testing.assert_array_equal(read_micrograph(tiff(tmp_path / "n.tif", image)).image, image)


def test_a_folder_named_like_an_image_and_closed_doors(tmp_path, monkeypatch):
    (tmp_path / "a.tif").mkdir()
    expect_one_line(tmp_path / "a.tif", "is a folder")

    def refuse():
        raise PermissionError(13, "Permission denied", "x.tif")

    with pytest.raises(InputError, match=r"cannot be opened \(Permission denied\); check its permissions"):
        guarded(tmp_path / "x.tif", refuse)
    path = tiff(tmp_path / "b.tif")
    path.chmod(0)
    if not os.access(path, os.R_OK):  # root may read everything
        expect_one_line(path, "permissions")


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


#: Most memory that a damaged file of a few kilobytes may take before it is refused.
BOUND_BYTES = 64 * 2**20


@settings(max_examples=120, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["fei", "zeiss", "png", "jpg", "bmp", "dm3", "dm4", "mrc", "ser", "hspy"]))
def test_damaged_files_give_an_image_or_our_errors_and_take_little_memory(tmp_path_factory, data, kind):
    folder = tmp_path_factory.getbasetemp() / f"damaged_{kind}"
    if not folder.exists():
        folder.mkdir()
        whole_file(kind, folder).rename(folder / "whole")
    raw = bytearray((folder / "whole").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(raw), 700) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(1, len(raw)))]
    path = folder / f"a.{kind if kind not in ('fei', 'zeiss') else 'tif'}"
    path.write_bytes(raw)
    tracemalloc.start()
    try:
        got = read_micrograph(path)
    except HEAError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(got.image).all()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < BOUND_BYTES


def test_lengths():
    assert nm_per("nm") == 1 and nm_per("Å") == 0.1 and nm_per("\\u00B5m") == 1e3 and nm_per("px") is None
    assert nm_per("M") is None and nm_per(None) is None
    assert from_density(1e5, 1e5, 1e7) == ((100.0, 100.0), "")
    assert from_density(0, 1, 1e7) == (None, "")


def test_metadata_is_plain_json(tmp_path):
    from hea_sim.documents import to_jsonable

    plain = to_jsonable(read_micrograph(tiff(tmp_path / "a.tif"), crop=(0, 0, 8, 8)))
    assert json.loads(json.dumps(plain)) == plain and plain["metadata"]


def test_all_readers_take_the_same_options(tmp_path):
    path = tmp_path / "a.tif"
    tiff(path, np.arange(64 * 80, dtype=np.uint16).reshape(64, 80))
    options = ReadOptions(pixel_size_nm=50.0, crop=(8, 16, 32, 40))
    (whole,) = read_micrographs(path, options)
    for got in (read_micrograph(path, options), open_micrograph(path, options), whole):
        assert got.pixel_size_nm == 50.0 and got.metadata["crop_px"] == [8, 16, 32, 40]
        np.testing.assert_array_equal(got.image, read_micrograph(path, pixel_size_nm=50.0, crop=(8, 16, 32, 40)).image)
    for read in (read_micrograph, open_micrograph, lambda *a, **k: read_micrographs(*a, **k)[0]):
        assert read(path, options, pixel_size_nm=2.0).pixel_size_nm == 2.0  # what is said beside options wins
        with pytest.raises(UnknownNameError, match="did you mean 'pixel_size_nm'"):
            read(path, pixel_size=2.0)
        with pytest.raises(InputError, match="give one of them"):
            read(path, options, scale_bar_nm=100.0)
