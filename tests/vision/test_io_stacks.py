"""Stacks: pages of TIFF, ImageJ, MRC and signals, chosen or all, and what is no stack."""

import numpy as np
import pytest
import tifffile

from hea_sim.errors import InputError
from hea_sim.records import Segmentation
from hea_vision.io import (
    count_pages,
    open_micrograph,
    read_label_stack,
    read_labels,
    read_micrograph,
    read_micrographs,
    write_label_stack,
)
from tests.vision.micrograph_files import GREY, signal_of, write_dm, write_mrc

STACK = np.stack([GREY, GREY + 1, GREY + 7]).astype(np.uint8)


def make(kind, folder):
    path = folder / f"s.{kind.split('_')[0]}"
    if kind == "tif_pages":
        with tifffile.TiffWriter(path) as tiff:
            for plane in STACK:
                tiff.write(plane, contiguous=False)
    elif kind == "tif_imagej":
        tifffile.imwrite(path, STACK, imagej=True, resolution=(50, 50), metadata={"unit": "micron", "axes": "ZYX"})
    elif kind == "tif_one":  # one header for all planes
        tifffile.imwrite(path, STACK, truncate=True, photometric="minisblack")
    elif kind == "tif_zlib":
        tifffile.imwrite(path, STACK, compression="zlib", photometric="minisblack")
    elif kind == "mrc":
        write_mrc(path, STACK.astype(np.int16), pixel_A=200.0)
    elif kind == "dm3":
        write_dm(path, STACK, scale=20.0)
    else:
        import importlib

        importlib.import_module(f"rsciio.{kind}").file_writer(
            str(path), signal_of(STACK, "nm", scale=20.0, navigate=(0,))
        )
    return path


KINDS = ["tif_pages", "tif_imagej", "tif_one", "tif_zlib", "mrc", "dm3", "hspy", "emd"]


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_chosen_or_all_read(tmp_path, kind):
    path = make(kind, tmp_path)
    images = read_micrographs(path)
    assert count_pages(path) == 3
    np.testing.assert_array_equal([m.image for m in images], STACK)
    assert [m.source for m in images] == [f"{path} #{n}" for n in (1, 2, 3)]
    assert [m.metadata["page"] for m in images] == [1, 2, 3] and images[0].metadata["pages"] == 3
    for n in (1, 2, 3):
        np.testing.assert_array_equal(read_micrograph(path, page=n).image, STACK[n - 1])
        np.testing.assert_array_equal(open_micrograph(path, page=n).image, STACK[n - 1])
    assert len({m.sha256 for m in images}) == 1
    if kind.partition("_")[2] not in ("pages", "one", "zlib"):
        assert {round(m.pixel_size_nm, 4) for m in images} == {20.0}


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_alone_is_refused_with_the_mend(tmp_path, kind):
    path = make(kind, tmp_path)
    with pytest.raises(InputError, match=r"3 pages.*page=.*--all-pages"):
        read_micrograph(path)
    with pytest.raises(InputError, match=r"page 4 is not there; the file holds 3"):
        read_micrograph(path, page=4)
    for bad in (0, -1, 1.5, True, "2"):
        with pytest.raises(InputError, match="counted from 1"):
            read_micrograph(path, page=bad)


def test_options_hold_for_every_page(tmp_path):
    images = read_micrographs(make("tif_pages", tmp_path), pixel_size_nm=3.0, crop=(0, 0, 16, 16))
    assert {(m.pixel_size_nm, m.image.shape) for m in images} == {(3.0, (16, 16))}


def test_one_page_is_a_stack_of_one(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    (only,) = read_micrographs(tmp_path / "a.tif")
    assert only.source == str(tmp_path / "a.tif") and "page" not in only.metadata
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif", page=1).image, GREY)


def test_colour_is_one_page_and_pages_may_differ_in_size(tmp_path):
    tifffile.imwrite(tmp_path / "rgb.tif", np.dstack([GREY] * 3), photometric="rgb")
    assert len(read_micrographs(tmp_path / "rgb.tif")) == 1
    with tifffile.TiffWriter(tmp_path / "two.tif") as tiff:
        tiff.write(np.dstack([GREY] * 3), photometric="rgb")
        tiff.write(STACK[0].astype(np.uint16)[:20])
    assert [m.image.shape for m in read_micrographs(tmp_path / "two.tif")] == [(32, 48), (20, 48)]


def test_thumbnails_and_pyramids_are_no_pages(tmp_path):
    with tifffile.TiffWriter(tmp_path / "p.tif") as tiff:
        tiff.write(GREY, subifds=0)
        tiff.write(GREY[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "p.tif").image, GREY)


@pytest.mark.parametrize(
    ("shape", "units", "navigate"),
    [((6, 5, 40), "keV", (0, 1)), ((6, 5, 40), "nm", (0, 1)), ((4, 3, 8, 9), "nm", (0, 1))],
)
def test_a_spectrum_image_is_no_stack(tmp_path, shape, units, navigate):
    from rsciio.hspy import file_writer

    file_writer(str(tmp_path / "s.hspy"), signal_of(np.zeros(shape, np.uint8), units, "wzyx", navigate=navigate))
    for read in (read_micrograph, read_micrographs):
        with pytest.raises(InputError, match=r"wanted one image.*as \.tif"):
            read(tmp_path / "s.hspy")


def test_label_stacks_keep_pages_classes_and_pixel_size(tmp_path):
    classes = {0: "matrix", 1: "second phase"}
    pages = [
        Segmentation(labels=(plane > 20).astype(np.uint8), classes=classes, pixel_size_nm=12.5, source=f"a.tif #{n}")
        for n, plane in enumerate(STACK, 1)
    ]
    path = write_label_stack(tmp_path / "labels.tif", pages)
    again = read_label_stack(path)
    assert [s.source for s in again] == [s.source for s in pages]
    assert {s.pixel_size_nm for s in again} == {12.5} and again[0].classes == classes
    np.testing.assert_array_equal([s.labels for s in again], [s.labels for s in pages])
    np.testing.assert_array_equal(read_labels(path, page=2).labels, pages[1].labels)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_imagej and tiff.imagej_metadata["images"] == 3 and tiff.imagej_metadata["unit"] == "micron"
        np.testing.assert_array_equal(tiff.asarray(), [s.labels for s in pages])
    with pytest.raises(InputError, match="3 pages"):
        read_labels(path)
    odd = Segmentation(labels=pages[0].labels[:9], classes=classes, pixel_size_nm=12.5)
    with pytest.raises(InputError, match="page 2 has"):
        write_label_stack(path, [pages[0], odd])
    with pytest.raises(InputError, match="at least one page"):
        write_label_stack(path, [])
    assert len(read_label_stack(path)) == 3  # a failed write leaves what was there
