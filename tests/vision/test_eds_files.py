"""Spectrum images of Bruker (.bcf) and Velox (.emd): real files, what their makers exported of them, and torn ones.

The real files are those of hyperspy's own tests, which its source distribution 1.6.5 carries; set HEA_HYPERSPY to the
unpacked distribution.
"""

from __future__ import annotations

import importlib.util
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hea_sim.errors import InputError, MissingDependencyError
from hea_vision.io import read_micrograph, read_spectrum_image
from hea_vision.io.eds import _hyperspy, _load

pytest.importorskip("exspy")

#: Full width at half height of a line in keV (Fiori and Newbury 1978) for 130 eV at Mn Ka.
WIDTH_KEV = {"Si_Ka": 0.0775, "Cu_Ka": 0.1496}
ENERGY_KEV = {"Si_Ka": 1.7397, "Cu_Ka": 8.0478}


def real_folder() -> Path:
    source = os.environ.get("HEA_HYPERSPY")
    for folder in [] if not source else [Path(source), *Path(source).glob("hyperspy-*")]:
        if (folder / "hyperspy/tests/io/bruker_data").is_dir():
            return folder / "hyperspy/tests/io"
    pytest.skip("the files of hyperspy's tests are not here: unpack its source distribution 1.6.5, set HEA_HYPERSPY")


@pytest.fixture(scope="module")
def velox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("velox")
    with zipfile.ZipFile(real_folder() / "emd_files/fei_emd_files.zip") as archive:
        for name in ("fei_emd_si.emd", "fei_emd_si.npy", "fei_emd_image.emd"):
            archive.extract(name, folder)
    return folder


def gross_counts(path: Path, element: str) -> np.ndarray:
    """Give what a map holds before the background is taken off: its variance is gross plus background."""
    maps = read_spectrum_image(path, [element])
    assert maps.variance is not None
    return np.asarray((maps.values + maps.variance)[..., 0] / 2)


def between(counts: np.ndarray, gross: np.ndarray, line: str, per_channel_keV: float, offset_keV: float) -> bool:
    """Say whether sums lie between those of a window of two line widths less and more two channels at either end."""
    energies = offset_keV + per_channel_keV * np.arange(counts.shape[-1])
    away = np.abs(energies - ENERGY_KEV[line])
    inner, outer = (counts[..., away < WIDTH_KEV[line] + k * per_channel_keV].sum(-1) for k in (-2, 2))
    return bool(np.all((inner <= gross + 1e-9) & (gross <= outer + 1e-9)) and outer.sum() > 0)


@pytest.mark.oracle
def test_a_real_bcf_holds_the_counts_that_were_exported_of_it() -> None:
    folder = real_folder() / "bruker_data"
    path = folder / "30x30_instructively_packed_16bit_compressed.bcf"
    signal = _load(_hyperspy(), path)
    np.testing.assert_array_equal(signal.data[:, :, 222:224], np.load(folder / "30x30_16bit.npy"))
    axis = signal.axes_manager.signal_axes[0]
    gross = gross_counts(path, "Si")
    assert between(signal.data, gross, "Si_Ka", axis.scale, axis.offset) and gross.shape == (30, 30)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "shape", "pixel_size_nm"),
    [
        ("16x16_12bit_packed_8bit.bcf", (16, 16), 966.4976),
        ("30x30_instructively_packed_16bit_compressed.bcf", (30, 30), 1667.4091),
        ("P45_the_default_job.bcf", (75, 100), 8736.7851),
        ("test_TEM.bcf", (64, 64), 0.7710048),
    ],
)
def test_map_and_picture_of_a_real_bcf_have_one_pixel_size(
    name: str, shape: tuple[int, int], pixel_size_nm: float
) -> None:
    path = real_folder() / "bruker_data" / name
    maps, picture = read_spectrum_image(path, ["Al", "Si"]), read_micrograph(path)
    assert maps.values.shape == (*shape, 2) and picture.image.shape == shape and maps.unit == "counts"
    assert maps.pixel_size_nm == pytest.approx(pixel_size_nm, rel=1e-6) == picture.pixel_size_nm


@pytest.mark.oracle
def test_the_strongest_elements_of_a_real_bcf_are_those_that_its_operator_named() -> None:
    path = real_folder() / "bruker_data/Hitachi_TM3030Plus.bcf"  # aluminium and copper, as the file says
    maps = read_spectrum_image(path, ["Al", "Cu", "Ni", "Ti", "Cr"])
    net = dict(zip(maps.elements, maps.values.sum((0, 1))))
    assert maps.pixel_size_nm is None and min(net["Al"], net["Cu"]) > 10 * max(net["Ni"], net["Ti"], net["Cr"], 1)


@pytest.mark.oracle
def test_a_real_velox_file_holds_the_events_that_velox_exported(velox: Path) -> None:
    pytest.importorskip("sparse", reason="Velox spectrum images need the package sparse")
    path, exported = velox / "fei_emd_si.emd", np.load(velox / "fei_emd_si.npy")
    signal = _load(_hyperspy(), path)
    np.testing.assert_array_equal(signal.data, exported)
    axis = signal.axes_manager.signal_axes[0]
    assert between(exported, gross_counts(path, "Cu"), "Cu_Ka", axis.scale, axis.offset)
    maps, picture = read_spectrum_image(path, "Cu"), read_micrograph(path)
    assert maps.pixel_size_nm == pytest.approx(5.3024148, rel=1e-6) == picture.pixel_size_nm
    assert picture.image.shape == maps.values.shape[:2]


@pytest.mark.oracle
@pytest.mark.skipif(importlib.util.find_spec("sparse") is not None, reason="the package sparse is here")
def test_the_missing_package_of_velox_maps_is_named(velox: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"sparse.*pip install") as error:
        read_spectrum_image(velox / "fei_emd_si.emd", "Cu")
    assert "\n" not in str(error.value)


@pytest.mark.oracle
def test_a_picture_is_no_map(velox: Path) -> None:
    with pytest.raises(InputError, match="wanted an EDS spectrum image"):
        read_spectrum_image(velox / "fei_emd_image.emd", "Cu")


@pytest.mark.oracle
@pytest.mark.parametrize("part", [0.05, 0.5, 0.9, 0.999])
def test_a_torn_real_file_is_one_line(part: float, tmp_path: Path, velox: Path) -> None:
    bruker = real_folder() / "bruker_data"
    for path in (bruker / "16x16_12bit_packed_8bit.bcf", bruker / "test_TEM.bcf", velox / "fei_emd_si.emd"):
        raw = path.read_bytes()
        torn = tmp_path / path.name
        torn.write_bytes(raw[: int(part * len(raw))])
        with pytest.raises(InputError) as error:
            read_spectrum_image(torn, ["Cu"])
        assert str(error.value).startswith(str(torn)) and "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".bcf", ".emd"])
@pytest.mark.parametrize(
    "raw", [b"AAMVHFSS" + bytes(400), b"\x89HDF\r\n\x1a\n" + bytes(600), b"no map", bytes(5000)], ids=range(4)
)
def test_what_only_begins_as_a_map_is_one_line(raw: bytes, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"map{suffix}").write_bytes(raw)
    for read in (read_micrograph, lambda path: read_spectrum_image(path, ["Cu"])):
        with pytest.raises(InputError) as error:
            read(tmp_path / f"map{suffix}")
        assert "copy or export it again" in str(error.value) and "\n" not in str(error.value)


def test_a_container_shorter_than_it_says_is_never_read(tmp_path: Path) -> None:
    """Bruker's container: 33 blocks of 4096 bytes are claimed after the head, and one byte is missing."""
    head = bytearray(0x118)
    head[:8] = b"AAMVHFSS"
    blocks = bytearray(33 * 4096)
    struct.pack_into("<fI", blocks, 0x124 - 0x118, 2.6, 4096)
    struct.pack_into("<III", blocks, 0x140 - 0x118, 4, 3, 33)
    for read in (read_micrograph, lambda path: read_spectrum_image(path, ["Cu"])):
        for n in (9, 0x140, 5000, len(head + blocks) - 1):
            (tmp_path / "map.bcf").write_bytes((head + blocks)[:n])
            with pytest.raises(InputError, match=f"truncated, {n} of at least.*copy or export it again"):
                read(tmp_path / "map.bcf")
