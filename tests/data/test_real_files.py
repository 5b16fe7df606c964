"""Every real pattern, image and table is readable, and known numbers come out."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hea_vision.io import (
    IMAGE_SUFFIXES,
    find_inputs,
    mean_composition,
    read_composition_table,
    read_micrograph,
    read_pattern,
    write_labels,
)
from hea_vision.io.labels import read_labels

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not os.environ.get("HEA_DATA"), reason="HEA_DATA names no folder of real data"),
]
DATA = Path(os.environ.get("HEA_DATA", "."))
EDS = "specimens/nbmotativ/eds"


def test_every_pattern_is_read_with_what_it_says_of_its_radiation():
    folders = [DATA / "xrd", DATA / "specimens"]
    paths = [path for path in find_inputs(folders, (".xy", ".csv", ".xrdml", ".rasx"))]
    said = Counter((path.suffix, read_pattern(path).radiation) for path in paths)
    assert said == {
        (".xy", None): 8,
        (".xy", "CoKa"): 1,
        (".csv", None): 5,
        (".xrdml", "CuKa"): 10,
        (".rasx", "CuKa"): 1,
    }


def test_the_scan_in_a_rasx_archive_is_read_and_refused_as_amorphous():
    from hea_vision import classify_pattern, read_patterns

    path = DATA / "xrd/reaction_xrdml/RM20220915Si01.rasx"
    (pattern,) = read_patterns(path)
    assert pattern.radiation == "CuKa" and pattern.metadata["format"] == "rasx"
    assert (pattern.two_theta_deg[0], pattern.two_theta_deg[-1]) == pytest.approx((8.5, 30.0), abs=0.02)
    for model in ("matcher", "network"):
        call = classify_pattern(pattern, model=model)
        assert not call.in_scope and "amorphous" in call.reason  # a hump at 21 degrees, no line


def test_the_specimens_pattern():
    path = DATA / "specimens/nbmotativ/Nb_Mo_Ta_Ti_V_As_Cast_01_001_exported.xy"
    pattern = read_pattern(path)
    assert (pattern.radiation, pattern.two_theta_deg.size) == ("CoKa", 9742)
    strongest = pattern.two_theta_deg[np.argmax(pattern.intensity)]
    a = 1.7890 / (2 * np.sin(np.radians(strongest / 2))) * np.sqrt(2)  # 110 of A2
    assert a == pytest.approx(3.207, abs=0.02)
    assert "CoKa" in read_pattern(path, radiation="CuKa").metadata["radiation_note"]


def test_text_files_that_are_no_pattern_are_refused():
    from hea_sim.errors import InputError

    for name in ("xrd/steel_d8/EX4_master.txt", f"{EDS}/linescan1.txt", f"{EDS}/linescan1info.txt"):
        with pytest.raises(InputError, match=Path(name).name):
            read_pattern(DATA / name)


def test_every_image_is_read():
    paths = find_inputs([DATA / "micrographs", DATA / "specimens"], IMAGE_SUFFIXES)
    assert len(paths) == 119
    calibrated = set()
    for path in paths:
        got = read_micrograph(path)
        assert got.image.ndim == 2 and np.isfinite(got.image).all()
        if got.pixel_size_nm is not None:
            calibrated.add(path.name)
    fei = {"01_Si_ref.tif", "steel_ECP_001.tif", "steel_SEM_001.tif"}
    assert calibrated == {*fei, "sem_alpha_beta_ti_6al_4v.tif"}  # the others say nothing, or only 72-150 dpi


def test_fei_pixel_size_and_data_bar():
    got = read_micrograph(DATA / "micrographs/fei_sem/steel_SEM_001.tif")
    assert got.pixel_size_nm == pytest.approx(66.91, abs=0.005)
    assert got.image.shape == (1024, 1536) and got.metadata["data_bar_top"] == 1024


def test_zeiss_pixel_size():
    got = read_micrograph(DATA / "micrographs/grain_intercept/ti64/sem_alpha_beta_ti_6al_4v.tif")
    # Its frame is 114.3 um wide at 1024 px.
    assert got.pixel_size_nm == pytest.approx(111.6) == pytest.approx(114.3e3 / 1024, rel=1e-3)


def test_pixel_size_survives_labels(tmp_path):
    from hea_sim.records import Segmentation

    got = read_micrograph(DATA / "micrographs/fei_sem/steel_SEM_001.tif", crop=(0, 0, 64, 64))
    labels = (got.image > np.median(got.image)).astype(np.uint8)
    made = Segmentation(labels=labels, classes={0: "matrix", 1: "bright"}, pixel_size_nm=got.pixel_size_nm)
    again = read_labels(write_labels(tmp_path / "a.tif", made))
    assert again.pixel_size_nm == pytest.approx(got.pixel_size_nm, rel=1e-9)


@pytest.mark.parametrize("name", ["linescan1.txt", "linescan2-wt.txt"])
def test_line_scans_are_near_equiatomic_as_weight_percent(name):
    table = read_composition_table(DATA / EDS / name, unit="wt.%")
    assert table.elements == ("Ti", "V", "Nb", "Mo", "Ta") and len(table.atomic_fractions) == 64
    for estimate in mean_composition(table).values():
        assert abs(estimate.value - 20) < max(4 * estimate.std, 2.0)
        assert 0 < estimate.std < 4 and estimate.n <= 64


def test_counts_are_no_composition():
    from hea_sim.errors import InputError

    with pytest.raises(InputError, match="not counts"):
        read_composition_table(DATA / EDS / "linescan2-intensity.txt", unit="wt.%")
