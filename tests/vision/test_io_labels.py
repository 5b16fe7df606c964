"""Label images: round trips, what ImageJ sees, bad input."""

import json

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import HEAError, InputError, MissingFileError
from hea_sim.records import Segmentation
from hea_vision.io import read_labels, read_micrograph, write_labels

LABELS = np.arange(20 * 30).reshape(20, 30) % 3
CLASSES = {0: "matrix", 1: "gamma' (γ′)", 2: "pore"}


def make(labels=LABELS, classes=CLASSES, **more):
    return Segmentation(labels=labels, classes=classes, **more)


@settings(max_examples=40, deadline=None)
@given(size=st.one_of(st.none(), st.floats(1e-3, 1e6)), top=st.sampled_from([2, 255, 256, 65535]))
def test_round_trip(tmp_path_factory, size, top):
    labels = LABELS.copy()
    labels[0, 0] = top
    segmentation = make(labels, {**CLASSES, top: "top"}, pixel_size_nm=size, model="classical", source="a.tif")
    again = read_labels(write_labels(tmp_path_factory.getbasetemp() / "a.tif", segmentation))
    np.testing.assert_array_equal(again.labels, labels)
    assert again.labels.dtype == (np.uint8 if top < 256 else np.uint16)
    assert again.pixel_size_nm == (None if size is None else pytest.approx(size, rel=1e-6))
    assert again.classes == {**CLASSES, top: "top"}
    assert (again.model, again.source) == ("classical", "a.tif")


@settings(max_examples=40, deadline=None)
@given(size=st.floats(1e-3, 1e6))
def test_the_tags_alone_carry_the_pixel_size(tmp_path_factory, size):
    path = write_labels(tmp_path_factory.getbasetemp() / "t.tif", make(pixel_size_nm=size))
    assert read_micrograph(path).pixel_size_nm == pytest.approx(size, rel=1e-6)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_imagej and tiff.imagej_metadata["unit"] == "micron"
        assert json.loads(tiff.imagej_metadata["Info"])["classes"]["2"] == "pore"


def test_foreign_label_images(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", LABELS.astype(np.uint8))
    got = read_labels(tmp_path / "a.tif")
    assert got.classes == {0: "matrix", 1: "class 1", 2: "class 2"} and "classes_note" in got.metadata
    iio.imwrite(tmp_path / "a.png", LABELS.astype(np.uint8))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png").labels, LABELS)
    tifffile.imwrite(tmp_path / "b.tif", LABELS == 1)
    np.testing.assert_array_equal(read_labels(tmp_path / "b.tif").labels, LABELS == 1)
    tifffile.imwrite(tmp_path / "w.tif", LABELS.astype(np.uint8), photometric="miniswhite")
    np.testing.assert_array_equal(read_labels(tmp_path / "w.tif").labels, LABELS)


@pytest.mark.parametrize(
    ("segmentation", "match"),
    [
        (make(LABELS.astype(float)), "whole numbers"),
        (make(LABELS[0]), "whole numbers"),
        (make(LABELS - 1), "from -1 to 1"),
        (make(LABELS * 40000), "65535"),
        (make(classes={0: "matrix"}), "class 1 has no name"),
    ],
)
def test_labels_that_cannot_be_written(tmp_path, segmentation, match):
    with pytest.raises(InputError, match=match):
        write_labels(tmp_path / "a.tif", segmentation)
    assert list(tmp_path.iterdir()) == []


def test_labels_that_cannot_be_read(tmp_path):
    with pytest.raises(MissingFileError):
        read_labels(tmp_path / "none.tif")
    with pytest.raises(InputError, match=r"\.tif"):
        write_labels(tmp_path / "a.png", make())
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((9, 9, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(tmp_path / "f.tif", np.zeros((9, 9), np.float32))
    (tmp_path / "t.tif").write_text("text")
    for name in ("rgb.tif", "f.tif", "t.tif"):
        with pytest.raises(InputError, match=name):
            read_labels(tmp_path / name)


@settings(max_examples=80, deadline=None)
@given(at=st.integers(0, 700), junk=st.binary(min_size=1, max_size=6), cut=st.booleans())
def test_damaged_labels_give_labels_or_our_errors(tmp_path_factory, at, junk, cut):
    path = write_labels(tmp_path_factory.getbasetemp() / "d.tif", make(pixel_size_nm=12.5))
    raw = path.read_bytes()
    path.write_bytes(raw[:at] + junk + (b"" if cut else raw[at + len(junk) :]))
    try:
        got = read_labels(path)
    except HEAError as error:
        assert "\n" not in str(error)
    else:
        assert set(np.unique(got.labels).tolist()) <= set(got.classes)


@pytest.mark.parametrize("size", [-3.0, 0.0, float("nan"), float("inf")])
def test_labels_refuse_a_pixel_size_that_is_none(size):
    with pytest.raises(InputError, match="pixel size"):
        make(pixel_size_nm=size)
