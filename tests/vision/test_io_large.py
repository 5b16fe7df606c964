"""Large images: mapped instead of read, the same values as read, labels streamed, memory bounded."""

import json
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from hea_sim.errors import InputError
from hea_sim.records import Micrograph, Segmentation
from hea_vision.io import open_micrograph, read_instances, read_labels, read_micrograph, write_instances, write_labels
from hea_vision.io.label_files import write_planes
from tests.vision.micrograph_files import GREY, data_bar, noisy_picture, write_dm, write_mrc

RGB = np.dstack([GREY, GREY // 2, GREY // 3])


def file_of(kind, folder):
    path = folder / f"a.{kind.split('_')[0]}"
    if kind == "mrc":
        return write_mrc(path, GREY.astype(np.int16), order=">")
    if kind == "dm3":
        return write_dm(path, GREY.astype(np.uint16))
    if kind in ("png", "png_rgb"):
        iio.imwrite(path, RGB if kind == "png_rgb" else GREY)
        return path
    image = {"f4": GREY.astype("f4"), "big": GREY.astype(">u2"), "rgb": RGB}.get(kind.partition("_")[2], GREY)
    more = {
        "zlib": {"compression": "zlib"},
        "big": {"byteorder": ">"},
        "inverted": {"photometric": "miniswhite"},
        "tiles": {"tile": (16, 16)},
        "equal": {"photometric": "rgb"},
    }.get(kind.partition("_")[2], {})
    tifffile.imwrite(path, np.dstack([GREY] * 3) if kind == "tif_equal" else image, **more)
    return path


KINDS = ["tif", "tif_f4", "tif_big", "tif_rgb", "tif_equal", "tif_zlib", "tif_inverted", "tif_tiles"]


@pytest.mark.parametrize("kind", [*KINDS, "png", "png_rgb", "mrc", "dm3"])
def test_opened_is_read(tmp_path, kind):
    path = file_of(kind, tmp_path)
    opened, read = open_micrograph(path), read_micrograph(path)
    assert isinstance(opened, Micrograph)
    np.testing.assert_array_equal(opened.image.astype(read.image.dtype), read.image)
    assert (opened.sha256, opened.pixel_size_nm, opened.metadata) == (read.sha256, read.pixel_size_nm, read.metadata)
    if kind in ("tif", "tif_f4", "tif_big", "mrc"):
        assert isinstance(opened.image, np.memmap) and not opened.image.flags.writeable
    if not kind.endswith("rgb"):
        assert opened.image.dtype.newbyteorder("=") == np.dtype(opened.metadata["file_dtype"])


def test_opened_with_crop_and_data_bar(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.vstack([noisy_picture(), data_bar(320)]))
    opened = open_micrograph(tmp_path / "a.tif", crop=(8, 8, 100, 100), pixel_size_nm=2.0)
    np.testing.assert_array_equal(opened.image, noisy_picture()[8:108, 8:108])
    image = GREY.astype(np.float32)
    image[3, 4] = np.inf
    tifffile.imwrite(tmp_path / "n.tif", image)
    with pytest.raises(InputError, match="1 pixels are NaN"):
        open_micrograph(tmp_path / "n.tif")


LARGE = """
import json, resource, sys
import numpy as np, tifffile, scipy.ndimage
import hea_vision as hv
from hea_sim.records import Segmentation
from hea_vision.io import labels, micrographs, tiff
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
folder, side = sys.argv[1], 20_000
row = np.random.default_rng(0).integers(0, 255, side, dtype=np.uint8)
out = np.memmap(folder + "/room", np.uint8, "w+", shape=(1,))
offset, _ = tifffile.imwrite(folder + "/big.tif", shape=(side, side), dtype="u1", returnoffset=True)
with open(folder + "/big.tif", "r+b") as stream:
    stream.seek(offset)
    for top in range(0, side, 500):
        stream.write(np.tile(row, 500).data)
before = peak()
image = hv.open_micrograph(folder + "/big.tif").image
opened = peak() - before
same = all(np.array_equal(image[r], row) for r in (0, 9_999, side - 1))
array = np.zeros((side, side), np.uint8)
array[::7] = 1
before = peak()
made = Segmentation(labels=array, classes={0: "matrix", 1: "line"}, pixel_size_nm=12.5)
hv.write_labels(folder + "/labels.tif", made)
print(json.dumps({"opened": opened, "written": peak() - before, "same": same, "type": type(image).__name__}))
"""


def test_20_000_pixels_squared_need_little_memory(tmp_path):
    """Opening takes under 100 MB and writing labels under a fifth of a copy, measured as peak memory of a process."""
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", LARGE, str(tmp_path)], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["same"] and said["type"] == "memmap"
    assert said["opened"] < 100 and said["written"] < 80
    again = tifffile.memmap(tmp_path / "labels.tif", mode="r")
    assert again.shape == (20_000, 20_000) and again[7, 3] == 1 and again[8, 3] == 0


@pytest.mark.parametrize(
    ("top", "kind"), [(1, "u1"), (255, "u1"), (256, "u2"), (65535, "u2"), (65536, "u4"), (2**31 - 1, "u4")]
)
@pytest.mark.parametrize("size", [None, 12.5, 33.3333, 25_000.0])
def test_instances_re_read_exactly(tmp_path, top, kind, size):
    instances = np.zeros((20, 30), np.int32)
    instances[3:5, 4:6], instances[7, 8] = top, 1
    path = write_instances(tmp_path / "i.tif", instances, pixel_size_nm=size)
    again, pixel = read_instances(path)
    np.testing.assert_array_equal(again, instances)
    assert again.dtype == np.dtype(kind) and pixel == size
    np.testing.assert_array_equal(tifffile.imread(path), instances)  # what napari reads
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_imagej == (top <= 65535)
        if size is not None:
            above, below = tiff.pages[0].tags["XResolution"].value
            unit_nm = 1e3 if top <= 65535 else 1e7
            assert unit_nm / (above / below) == pytest.approx(size, rel=1e-6)
    with pytest.raises(InputError, match="read_instances"):
        read_labels(path)


def test_instances_that_cannot_be_written(tmp_path):
    for bad in (np.full((9, 9), -1), np.full((9, 9), 2**31), np.zeros((9, 9)), np.zeros(9, int)):
        with pytest.raises(InputError, match="wanted"):
            write_instances(tmp_path / "i.tif", bad)
    assert list(tmp_path.iterdir()) == []


def test_above_four_gigabytes_bigtiff_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("hea_vision.io.label_files._CLASSIC_BYTES", 100)
    labels = np.arange(600, dtype=np.uint8).reshape(20, 30) % 2
    made = Segmentation(labels=labels, classes={0: "a", 1: "b"}, pixel_size_nm=12.5)
    again = read_labels(write_labels(tmp_path / "b.tif", made))
    np.testing.assert_array_equal(again.labels, labels)
    assert again.pixel_size_nm == 12.5 and again.classes == made.classes
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert tiff.is_bigtiff


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    made = Segmentation(labels=GREY % 2, classes={0: "a", 1: "b"}, pixel_size_nm=12.5)
    path = write_labels(tmp_path / "a.tif", made)
    before = path.read_bytes()

    class Bad:
        shape, dtype = (32, 48), np.dtype(np.uint8)

        def __getitem__(self, _):
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"No space left on device.*free some space"):
        write_planes(path, [Bad()], 1, 12.5, {})
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.tif"]
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        write_labels(tmp_path / "file" / "b.tif", made)
