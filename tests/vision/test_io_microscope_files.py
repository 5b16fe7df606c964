"""Microscope formats: pixel size and grey values of files made here, and of the real ones in a peer's wheel."""

import importlib
import importlib.util
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from hea_sim.errors import InputError
from hea_sim.records import Segmentation
from hea_vision.io import open_micrograph, read_labels, read_micrograph, read_micrographs, write_labels
from hea_vision.io.lengths import nm_per
from tests.vision.micrograph_files import GREY, signal_of, write_dm, write_mrc, write_ser

WRITERS = {"hspy": "hspy", "rpl": "ripple", "emd": "emd"}


def written(path, signal):
    importlib.import_module("rsciio." + WRITERS[path.suffix[1:]]).file_writer(str(path), signal)
    return path


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize(("units", "size"), [("µm", 20.0), ("nm", 0.02), ("Å", 0.002), ("1/nm", None), ("", None)])
def test_the_scale_of_signals_is_kept(tmp_path, suffix, units, size):
    path = written(tmp_path / f"a.{suffix}", signal_of(GREY, units))
    got = read_micrograph(path)
    np.testing.assert_array_equal(got.image, GREY)
    assert got.pixel_size_nm == (None if size is None else pytest.approx(size, rel=1e-9))
    if size is None:
        assert "no length" in got.metadata["resolution_note"]
    else:
        assert got.metadata["pixel_size_from"] == "file"
    assert read_micrograph(path, pixel_size_nm=3.0).pixel_size_nm == 3.0


def test_units_of_berkeley_emd():
    assert nm_per("[n_m]") == 1.0 and nm_per("[µ_m]") == 1e3 and nm_per("[1_/_n_m]") is None


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "f4"])
def test_digital_micrograph(tmp_path, version, kind):
    got = read_micrograph(write_dm(tmp_path / f"a.dm{version}", GREY.astype(kind), scale=0.25, version=version))
    np.testing.assert_array_equal(got.image, GREY)
    assert got.pixel_size_nm == 0.25
    assert read_micrograph(write_dm(tmp_path / "d.dm3", GREY, units="1/nm")).pixel_size_nm is None


def test_tia_series(tmp_path):
    got = read_micrograph(write_ser(tmp_path / "a.ser", GREY, pixel_m=2e-11))
    np.testing.assert_array_equal(got.image, GREY[::-1])  # TIA counts rows from below
    assert got.pixel_size_nm == pytest.approx(0.02, rel=1e-9)


@pytest.mark.parametrize(("at", "value"), [(18, 2**31), (14, 2**30), (22, 2**31), (112, 2**31), (116, 131_104)])
def test_a_tia_series_that_promises_too_much(tmp_path, at, value):
    raw = bytearray(write_ser(tmp_path / "a.ser", GREY).read_bytes())
    struct.pack_into("<I", raw, at, value)
    (tmp_path / "a.ser").write_bytes(raw)
    with pytest.raises(InputError, match="header claims"):
        read_micrograph(tmp_path / "a.ser")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["i1", "i2", "u2", "f4"])
def test_mrc_reads_every_mode_in_both_orders(tmp_path, order, kind):
    image = (GREY.astype(int) - 100).astype(kind) if kind != "u2" else GREY.astype(kind)
    path = write_mrc(tmp_path / "a.mrc", image, pixel_A=2.5, order=order)
    got = read_micrograph(path)
    np.testing.assert_array_equal(got.image, image)
    assert got.pixel_size_nm == pytest.approx(0.25, rel=1e-6)
    assert isinstance(open_micrograph(path).image, np.memmap)


def test_mrc_bytes_are_signed_as_the_header_says(tmp_path):
    assert read_micrograph(write_mrc(tmp_path / "new.mrc", GREY)).image.min() == -128
    np.testing.assert_array_equal(read_micrograph(write_mrc(tmp_path / "old.mrc", GREY, version=0)).image, GREY)
    raw = bytearray(write_mrc(tmp_path / "imod.mrc", GREY, version=0).read_bytes())
    for flags, low in ((0, 0), (1, -128)):
        struct.pack_into("<2i", raw, 152, 1146047817, flags)
        (tmp_path / "imod.mrc").write_bytes(raw)
        assert read_micrograph(tmp_path / "imod.mrc").image.min() == low


def test_mrc_without_a_pixel_size(tmp_path):
    """A cell of nought, and the 1 A that programs write who know nothing, give no pixel size."""
    assert read_micrograph(write_mrc(tmp_path / "a.mrc", GREY)).pixel_size_nm is None
    got = read_micrograph(write_mrc(tmp_path / "b.mrc", GREY, pixel_A=1.0))
    assert got.pixel_size_nm is None and "1 A a pixel" in got.metadata["pixel_size_note"]
    got = read_micrograph(write_mrc(tmp_path / "c.mrc", GREY.astype("i2"), pixel_A=1.0, fei_pixel_m=2.5e-10))
    assert got.pixel_size_nm == pytest.approx(0.25, rel=1e-6) and got.metadata["instrument"] == "FEI"


def test_mrc_that_promises_too_much(tmp_path):
    whole = write_mrc(tmp_path / "a.mrc", GREY).read_bytes()
    for at, value in ((0, 2**30), (4, -5), (8, 10**6), (12, 99), (92, 2**31 - 1), (92, -1)):
        raw = bytearray(whole)
        struct.pack_into("<i", raw, at, value)
        (tmp_path / "b.mrc").write_bytes(raw)
        with pytest.raises(InputError, match=r"b\.mrc"):
            read_micrograph(tmp_path / "b.mrc")
    for n in (10, 1023, 1024, len(whole) - 1):
        (tmp_path / "b.mrc").write_bytes(whole[:n])
        with pytest.raises(InputError, match="truncated"):
            read_micrograph(tmp_path / "b.mrc")


def test_several_images_in_a_file_are_named_and_numbered(tmp_path, monkeypatch):
    import rsciio.hspy

    signals = [signal_of(GREY, "nm"), signal_of(GREY + 1, "nm"), signal_of(np.zeros(40), "keV", "x")]
    monkeypatch.setattr(rsciio.hspy, "file_reader", lambda *_, **__: signals)
    (tmp_path / "a.hspy").write_bytes(b"x")
    got = read_micrograph(tmp_path / "a.hspy")
    assert "2 images in the file" in got.metadata["images_note"]
    np.testing.assert_array_equal(got.image, GREY)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.hspy", page=2).image, GREY + 1)
    assert len(read_micrographs(tmp_path / "a.hspy")) == 2


def real_file(name):
    """Find a real file of `temul-toolkit`, installed or as an unpacked wheel in the folder named by HEA_TEMUL."""
    folders = [os.environ["HEA_TEMUL"]] if os.environ.get("HEA_TEMUL") else []
    found = importlib.util.find_spec("temul")
    folders += list(found.submodule_search_locations or []) if found else []
    for folder in map(Path, folders):
        for path in (folder / "example_data/experimental" / name, folder / "temul/example_data/experimental" / name):
            if path.is_file():
                return path
    pytest.skip("temul-toolkit is not here: install the extra `oracle`, or unpack its wheel and set HEA_TEMUL to it")


def spacing_nm(micrograph):
    """Measure the spacing of the strongest lattice reflections between 0.1 and 0.5 nm."""
    image = micrograph.image - micrograph.image.mean()
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    power = np.abs(np.fft.fft2(image * window)) ** 2
    k = np.fft.fftfreq(image.shape[0], micrograph.pixel_size_nm)
    q = np.hypot(*np.meshgrid(k, k, indexing="ij"))
    power[(q < 2.0) | (q > 10.0)] = 0
    return float(np.median(1 / q.ravel()[np.argsort(power, axis=None)[-24:]]))


@pytest.mark.oracle
def test_a_real_dm3_has_the_pixel_size_of_its_tags_and_of_its_crystal():
    path = real_file("example_Se_implanted_MoS2.dm3")
    got = read_micrograph(path)
    raw, scales, at = path.read_bytes(), set(), 0
    mark = b"Scale%%%%" + struct.pack(">2I", 1, 6)  # one number of four bytes
    while (at := raw.find(mark, at)) >= 0:
        at += len(mark)
        scales.add(struct.unpack("<f", raw[at : at + 4])[0])
    assert any(got.pixel_size_nm == pytest.approx(scale, rel=1e-6) for scale in scales)
    # MoS2, a = 0.316 nm: the 100 reflections at 0.274 nm; scanning distorts by some per cent.
    assert got.image.shape == (1024, 1024) and spacing_nm(got) == pytest.approx(0.2737, rel=0.1)


@pytest.mark.oracle
def test_a_real_velox_emd_has_the_pixel_size_of_its_metadata_and_of_its_crystal():
    import h5py

    path = real_file("example_Au_nanoparticle.emd")
    got = read_micrograph(path)
    with h5py.File(path) as file:
        (image,) = file["Data/Image"].values()
        said = json.loads(bytes(image["Metadata"][:, 0]).split(b"\0")[0])["BinaryResult"]["PixelSize"]
    assert got.pixel_size_nm == pytest.approx(float(said["width"]) * 1e9, rel=1e-6)
    # gold, a = 0.408 nm: 200 at 0.204 nm and 111 at 0.235 nm
    assert 0.19 < spacing_nm(got) < 0.25


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["example_Se_implanted_MoS2.dm3", "example_Au_nanoparticle.emd"])
def test_the_pixel_size_of_real_files_survives_labels(tmp_path, name):
    got = read_micrograph(real_file(name), crop=(0, 0, 64, 64))
    labels = (got.image > np.median(got.image)).astype(np.uint8)
    made = Segmentation(labels=labels, classes={0: "matrix", 1: "bright"}, pixel_size_nm=got.pixel_size_nm)
    again = read_labels(write_labels(tmp_path / "a.tif", made))
    assert again.pixel_size_nm == pytest.approx(got.pixel_size_nm, rel=1e-9)
