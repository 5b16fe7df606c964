"""Pixel sizes that microscopes write: FEI, Zeiss, JEOL, Hitachi, Tescan, in tags and in text beside the image.

Only FEI's and Zeiss's headers were ever seen in real files; the others are made here from the layouts that public
readers describe, and the images say so.
"""

import numpy as np
import pytest

from hea_sim.records import Segmentation
from hea_vision.io import read_labels, read_micrograph, write_labels
from hea_vision.io.lengths import parse_length
from hea_vision.io.microscope_headers import parse_header
from tests.vision.micrograph_files import (
    FRAME,
    GREY,
    fei_tag,
    hitachi_text,
    jeol_text,
    tescan_tag,
    tescan_text,
    tiff,
    write_dm,
    write_mrc,
    write_ser,
    zeiss_tag,
)


def wide(columns):
    return np.tile(np.arange(64, dtype=np.uint8), (32, columns // 64))


# Zeiss: `Image Pixel Size` is of the stored image, `Pixel Size` of a frame of 1024 columns.
@pytest.mark.parametrize(
    ("columns", "tags", "size"),
    [
        (1024, {"image": "111.6 nm", "pixel": "111.6 nm"}, 111.6),
        (2048, {"image": "55.8 nm", "pixel": "111.6 nm"}, 55.8),
        (512, {"image": "223.2 nm", "pixel": "111.6 nm"}, 223.2),
        (2048, {"pixel": "111.6 nm"}, 55.8),
        (3072, {"pixel": "111.6 nm", "store": "3072 * 32"}, 37.2),
        (1024, {"pixel": "111.6 nm"}, 111.6),
        (1024, {"image": "250.0 pm"}, 0.25),
        (1024, {"image": "0 nm", "pixel": "1.5 µm"}, 1500.0),
        (1024, {"image": "5 V"}, None),
        (1024, {}, None),
    ],
)
def test_zeiss_gives_the_size_of_the_stored_pixels(tmp_path, columns, tags, size):
    got = read_micrograph(tiff(tmp_path / "z.tif", wide(columns), extratags=zeiss_tag(**tags)))
    assert got.pixel_size_nm == (None if size is None else pytest.approx(size, rel=1e-9))
    assert got.metadata["instrument"] == "Zeiss"


def test_a_tag_of_other_pixels_is_not_believed(tmp_path):
    """An image that was cropped or resampled after it was taken has lost its pixel size, and says so."""
    for name, tags in (
        ("z", zeiss_tag(image="100 nm", store="1024 * 768")),
        ("f", fei_tag(65.0, rows=48, columns=1536)),
    ):
        got = read_micrograph(tiff(tmp_path / f"{name}.tif", FRAME, extratags=tags))
        assert got.pixel_size_nm is None and "give pixel_size_nm" in got.metadata["pixel_size_note"]
        assert read_micrograph(tmp_path / f"{name}.tif", pixel_size_nm=7.0).pixel_size_nm == 7.0


def test_fei_size_and_data_bar(tmp_path):
    got = read_micrograph(tiff(tmp_path / "a.tif", extratags=fei_tag(65.0, rows=24)))
    assert got.image.shape == (24, 48) and got.pixel_size_nm == pytest.approx(65.0)
    assert got.metadata["data_bar_top"] == 24 and got.metadata["data_bar"] == "cropped: rows 24 to 31 of the file"
    kept = read_micrograph(tmp_path / "a.tif", data_bar="keep")
    assert kept.image.shape == (32, 48) and kept.metadata["data_bar"] == "kept: rows 24 to 31 of the file"


@pytest.mark.parametrize(
    ("name", "text", "maker", "size"),
    [
        ("a.txt", jeol_text(size="128 48"), "JEOL", 31.25),
        ("a.txt", jeol_text(200, "100nm", "128 48"), "JEOL", 0.5),
        ("a.TXT", jeol_text(100, "1µm", "128 48"), "JEOL", 10.0),
        (
            "a.txt",
            "$CM_FULL_SIZE 128 48\r\n$$EM_PIXELSPERMETER_X 2.0e9\r\n$$EM_PIXELSPERMETER_Y 2.0e9\r\n",
            "JEOL",
            0.5,
        ),
        ("a.txt", hitachi_text(size="128x48"), "Hitachi", 24.80469),
        ("a.hdr", tescan_text(2.5e-8), "Tescan", 25.0),
        ("a-tif.hdr", tescan_text(1e-9), "Tescan", 1.0),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_text_beside_the_image(tmp_path, name, text, maker, size, encoding):
    (tmp_path / name).write_bytes(text.encode(encoding))
    got = read_micrograph(tiff(tmp_path / "a.tif", FRAME, resolution=(96, 96), resolutionunit="INCH"))
    assert got.pixel_size_nm == pytest.approx(size, rel=1e-9)
    assert got.metadata["instrument"] == maker and got.metadata["header_file"] == name
    assert "never tried on a real file" in got.metadata["pixel_size_note"]


def test_text_beside_pictures_too(tmp_path):
    import imageio.v3 as iio

    (tmp_path / "a.txt").write_text(hitachi_text(12.5, "128x48"))
    for suffix in ("png", "jpg", "bmp"):
        iio.imwrite(tmp_path / f"a.{suffix}", FRAME)
        assert read_micrograph(tmp_path / f"a.{suffix}").pixel_size_nm == 12.5


def test_jeol_text_tells_the_rows_of_the_picture(tmp_path):
    (tmp_path / "a.txt").write_text(jeol_text(160, "5um", "128 40"))
    got = read_micrograph(tiff(tmp_path / "a.tif", FRAME))
    assert got.image.shape == (40, 128) and got.pixel_size_nm == 31.25


@pytest.mark.parametrize(
    "text",
    [
        "notes of the day\n",
        "",
        "$$SM_MICRON_BAR 0\n$$SM_MICRON_MARKER 5um\n",
        "$$SM_MICRON_BAR 1e999\n$$SM_MICRON_MARKER 5um\n",
        "$CM_FORMAT\n",
        "[SemImageFile]\nPixelSize=abc\n",
        "PixelSizeX=nan\nPixelSizeY=1e-8\n",
    ],
)
def test_other_texts_give_no_pixel_size(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    (tmp_path / "a.hdr").write_text(text)
    assert read_micrograph(tiff(tmp_path / "a.tif", FRAME)).pixel_size_nm is None


def test_text_of_another_resolution_is_not_believed(tmp_path):
    (tmp_path / "a.txt").write_text(jeol_text(size="1280 960"))
    got = read_micrograph(tiff(tmp_path / "a.tif", FRAME))
    assert got.pixel_size_nm is None and "1280 columns" in got.metadata["pixel_size_note"]


def test_what_the_image_says_itself_goes_before_the_text_beside_it(tmp_path):
    (tmp_path / "a.txt").write_text(hitachi_text(12.5, "128x48"))
    options = {"resolution": (20.0, 20.0), "imagej": True, "metadata": {"unit": "um"}}
    assert read_micrograph(tiff(tmp_path / "a.tif", FRAME, **options)).pixel_size_nm == pytest.approx(50.0)
    tiff(tmp_path / "a.tif", FRAME, extratags=fei_tag(65.0))
    assert read_micrograph(tmp_path / "a.tif").pixel_size_nm == pytest.approx(65.0)


def test_text_inside_the_tiff(tmp_path):
    got = read_micrograph(tiff(tmp_path / "t.tif", extratags=tescan_tag(2.5e-8)))
    assert got.pixel_size_nm == pytest.approx(25.0, rel=1e-6) and got.metadata["instrument"] == "Tescan"
    got = read_micrograph(tiff(tmp_path / "h.tif", FRAME, description=hitachi_text(3.5, "128x48"), metadata=None))
    assert got.pixel_size_nm == 3.5 and got.metadata["instrument"] == "Hitachi"


@pytest.mark.parametrize(("mode", "size"), [("MAG", 0.5), ("DIFF", None)])
def test_jeol_transmission_tags_are_divided_by_the_magnification(tmp_path, mode, size):
    xml = (
        f"<TemReporter><ImageFormingSystem><ModeString>{mode}</ModeString><SelectorValue>20000</SelectorValue>"
        "</ImageFormingSystem></TemReporter>"
    )
    options = {"resolution": (1000.0, 1000.0), "resolutionunit": "CENTIMETER", "description": xml, "metadata": None}
    got = read_micrograph(tiff(tmp_path / "j.tif", extratags=[(271, "s", 0, "JEOL Ltd.", True)], **options))
    assert got.pixel_size_nm == (None if size is None else pytest.approx(size))
    assert got.metadata["instrument"] == "JEOL"


def test_headers_by_hand():
    assert parse_header("text") is None
    assert parse_header(hitachi_text()).shape == (960, 1280)
    assert parse_length("0.5 mm") == 5e5
    assert parse_header("$$SM_MICRON_BAR 100\n$$SM_MICRON_MARKER 2\x83\xcam\n").sizes_nm == (20.0, 20.0)


def vendor_file(kind, folder):
    """Make a file of a vendor whose pixels are 12.5 nm wide."""
    path = folder / f"{kind}.tif"
    if kind == "fei":
        return tiff(path, FRAME, extratags=fei_tag(12.5))
    if kind == "zeiss":
        return tiff(path, FRAME, extratags=zeiss_tag(image="12.5 nm", pixel="1.5625 nm"))
    if kind == "tescan":
        return tiff(path, FRAME, extratags=tescan_tag(12.5e-9))
    if kind in ("jeol", "hitachi", "tescan_hdr"):
        text = {"jeol": jeol_text(400, "5um", "128 48"), "hitachi": hitachi_text(12.5, "128x48")}
        path.with_suffix(".hdr" if kind == "tescan_hdr" else ".txt").write_text(text.get(kind, tescan_text(12.5e-9)))
        return tiff(path, FRAME)
    if kind == "imagej":
        return tiff(path, FRAME, resolution=(80.0, 80.0), imagej=True, metadata={"unit": "micron"})
    if kind in ("dm3", "dm4"):
        return write_dm(folder / f"a.{kind}", FRAME.astype(np.float32), scale=12.5, version=int(kind[2]))
    if kind == "mrc":
        return write_mrc(folder / "a.mrc", FRAME.astype(np.int16), pixel_A=125.0)
    if kind == "ser":
        return write_ser(folder / "a.ser", FRAME, pixel_m=12.5e-9)
    import importlib

    from tests.vision.micrograph_files import signal_of

    module = {"rpl": "ripple"}.get(kind, kind)
    importlib.import_module(f"rsciio.{module}").file_writer(
        str(folder / f"a.{kind}"), signal_of(FRAME, "nm", scale=12.5)
    )
    return folder / f"a.{kind}"


KINDS = ["fei", "zeiss", "tescan", "tescan_hdr", "jeol", "hitachi", "imagej", "dm3", "dm4", "mrc", "ser"]


@pytest.mark.parametrize("kind", [*KINDS, "emd", "hspy", "rpl"])
def test_pixel_size_survives_read_segment_write_read(tmp_path, kind):
    from hea_vision.segmentation import segment

    got = read_micrograph(vendor_file(kind, tmp_path))
    assert got.pixel_size_nm == pytest.approx(12.5, rel=1e-6)
    labels = segment(got, "classical")
    assert isinstance(labels, Segmentation)
    again = read_labels(write_labels(tmp_path / "out" / "labels.tif", labels))
    assert again.pixel_size_nm == pytest.approx(12.5, rel=1e-6)
    np.testing.assert_array_equal(again.labels, labels.labels)
    # The tags alone, as Fiji reads them, say the same.
    assert read_micrograph(tmp_path / "out" / "labels.tif").pixel_size_nm == pytest.approx(12.5, rel=1e-6)


def test_grey_values_of_the_vendors(tmp_path):
    for kind in KINDS:
        image = read_micrograph(vendor_file(kind, tmp_path)).image
        # TIA counts rows from below.
        np.testing.assert_array_equal(image[::-1] if kind == "ser" else image, FRAME)
    assert GREY.shape == (32, 48)
