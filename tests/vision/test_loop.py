"""The loop end to end, as its user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

import hea_vision as hv
from hea_sim.errors import InputError, MissingFileError
from hea_sim.microscopy import Population, SemInstrument, draw_precipitates, photograph
from hea_sim.settings import check_settings
from hea_vision.campaign import Campaign

HEAD = """
name = "test"
alloy = "NbMoTaW"
processing = "none"
equilibration_temperature_K = 2000
measurement_temperature_K = 298
cell_size = 6
potential = "none"
controls = ["NbTaTi"]
"""


@pytest.fixture
def sample(root: Path, tmp_path: Path) -> Path:
    """Copy the sample campaign, with a small cell and no potential."""
    folder = tmp_path / "campaign"
    shutil.copytree(root / "sample_data/nbmotaw", folder)
    text = (folder / "campaign.toml").read_text()
    head, _, tables = text.partition("[[pattern]]")
    (folder / "campaign.toml").write_text(f'{head}cell_size = 6\npotential = "none"\n\n[[pattern]]{tables}')
    return folder


def write(folder: Path, *tables: str, head: str = HEAD) -> None:
    (folder / "campaign.toml").write_text(head + "\n".join(tables))


def test_a_network_labels_a_micrograph_and_the_page_measures_it(tmp_path: Path) -> None:
    folder = tmp_path / "campaign"
    folder.mkdir()
    scene = draw_precipitates(
        np.random.default_rng(3), (256, 256), large=Population(diameter_px=26, fraction=0.2, contrast=-0.25)
    )
    grey = np.round(255 * np.clip(photograph(scene.reflectance, SemInstrument(), np.random.default_rng(4)), 0, 1))
    tifffile.imwrite(folder / "field.tif", grey.astype(np.uint8))
    write(folder, "[[micrograph]]", 'file = "field.tif"', "pixel_size_nm = 20", 'segmenter = "precipitates-virtual"')
    result = hv.run_loop(folder, tmp_path / "out")
    assert not result.failures
    labels = result.images["field.tif"][1]
    true, found = float((scene.labels > 0).mean()), float((np.asarray(labels.labels) > 0).mean())
    assert labels.model == "precipitates-virtual" and abs(found - true) < 0.05
    claim = next(c for c in result.claims if c.claim == "volume fraction of a second phase")
    assert claim.measured is not None and claim.measured.value == pytest.approx(found)
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["provenance"]["model_sha256"]["precipitates-virtual"]
    measured = document["results"][0]["measurements"]
    assert any("mean diameter" in name and e["unit"] == "nm" for name, e in measured.items())


def test_sample_agreement_is_assumed(sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = hv.run_loop(sample, out)
    assert not result.failures
    own = [c for c in result.claims if c.kind in ("phase", "lattice", "order")]
    assert {c.verdict for c in own} == {"assumed"}
    assert {c.verdict for c in result.controls if c.against == "CoCrFeMnNi"} == {"disagree"}
    assert sorted(p.name for p in out.iterdir()) == ["failures.csv", "report.html", "results.json", "run.toml"]
    page = (out / "report.html").read_text()
    # The pattern, two micrographs, the order of the cell, and its picture beside a micrograph.
    assert page.count("data:image/png;base64,") == 6 and "assumed" in page
    assert "measured to standard" in page and "pore: mean diameter" in page
    # The etched picture was drawn with grains of 18 um: the network finds them, and E112 their size.
    area = result.measurements["etched.tif"].estimates["mean grain area"]
    assert area.unit == "um2" and area.value == pytest.approx(np.pi / 4 * 18**2, rel=0.15)
    assert 'src="http' not in page and "<script" not in page and "<link" not in page
    document = json.loads((out / "results.json").read_text())
    assert document["schema"] == 1 and {"results", "failures", "provenance", "claims"} <= set(document)
    assert {c["verdict"] for c in document["claims"]} <= {"agree", "disagree", "inconclusive", "assumed"}
    assert set(document["provenance"]["input_sha256"]) == {"pattern.xy", "sem.tif", "etched.tif"}
    assert document["provenance"]["model_sha256"]["nbmotaw-pairs"]


def test_two_runs_are_equal(sample: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        hv.run_loop(sample, tmp_path / name)
    one, two = ((tmp_path / n / "results.json").read_text() for n in ("one", "two"))
    assert one == two


def test_run_toml_is_a_campaign_that_repeats_the_run(sample: Path, tmp_path: Path) -> None:
    first = hv.run_loop(sample, tmp_path / "one")
    again = hv.run_loop(sample, config=tmp_path / "one" / "run.toml")
    assert first.campaign == again.campaign
    assert [c.verdict for c in first.claims] == [c.verdict for c in again.claims]


def test_only_patterns_and_only_images(sample: Path) -> None:
    write(sample, '[[pattern]]\nfile = "pattern.xy"')
    patterns = hv.run_loop(sample)
    assert patterns.calls and not patterns.images and any("no micrograph" in u for u in patterns.unchecked)
    write(sample, '[[micrograph]]\nfile = "sem.tif"')
    images = hv.run_loop(sample)
    assert images.images and not images.calls and any("no diffraction pattern" in u for u in images.unchecked)
    assert {c.kind for c in images.claims} == {"phase", "fraction"}


def test_neither_is_an_error(sample: Path) -> None:
    write(sample)
    with pytest.raises(InputError, match="neither a pattern nor a micrograph"):
        hv.run_loop(sample)


def test_an_alloy_without_a_model_goes_through(sample: Path) -> None:
    text = (sample / "pattern.xy").read_text().replace("# synthetic: made by the forward model of hea-toolkit\n", "")
    (sample / "pattern.xy").write_text(text)
    write(sample, '[[pattern]]\nfile = "pattern.xy"', head=HEAD.replace("NbMoTaW", "CoCrFeMnNi"))
    result = hv.run_loop(sample)
    assert any("no lattice model is shipped" in line for line in result.unchecked)
    # The label must not be bent by the hypothesis: bcc 3.22 A is found and held against the Cantor alloy.
    assert [p.name for p in result.calls["pattern.xy"].phases] == ["A2"]
    wrong = {c.kind: c.verdict for c in result.claims if c.kind in ("phase", "lattice")}
    assert wrong == {"phase": "disagree", "lattice": "disagree"}


def test_bad_files_fail_alone(sample: Path) -> None:
    picture = (sample / "sem.tif").read_bytes()
    (sample / "cut.tif").write_bytes(picture[: len(picture) // 3])
    (sample / "text.dm4").write_text("this is no micrograph")
    angles = np.linspace(20, 100, 400)
    np.savetxt(sample / "nan.xy", np.c_[angles, np.full(400, np.nan)])
    np.savetxt(sample / "swapped.xy", np.c_[1000 + 10 * np.sin(angles), angles])
    np.savetxt(sample / "silent.xy", np.c_[angles, 100 + angles])
    tables = [f'[[micrograph]]\nfile = "{n}"' for n in ("cut.tif", "text.dm4", "absent.tif", "sem.tif")]
    tables += [f'[[pattern]]\nfile = "{n}"\nradiation = "CuKa"' for n in ("nan.xy", "swapped.xy", "pattern.xy")]
    tables += ['[[pattern]]\nfile = "silent.xy"']
    write(sample, *tables)
    result = hv.run_loop(sample)
    assert [f["input"] for f in result.failures] == [
        "nan.xy",
        "swapped.xy",
        "silent.xy",
        "cut.tif",
        "text.dm4",
        "absent.tif",
    ]
    for failure in result.failures:
        assert failure["input"] in failure["error"] or "radiation" in failure["error"]
        assert "\n" not in failure["error"] and "Traceback" not in failure["error"]
    assert "radiation" in next(f["error"] for f in result.failures if f["input"] == "silent.xy")
    assert set(result.calls) == {"pattern.xy"} and set(result.images) == {"sem.tif"}


def test_pixel_size_is_kept(sample: Path) -> None:
    result = hv.run_loop(sample)
    micrograph, labels = result.images["sem.tif"]
    assert micrograph.pixel_size_nm == pytest.approx(60.0) and labels.pixel_size_nm == pytest.approx(60.0)
    plain = tifffile.imread(sample / "sem.tif")
    tifffile.imwrite(sample / "plain.tif", plain)
    write(sample, '[[micrograph]]\nfile = "plain.tif"')
    assert any("pixel size" in line for line in hv.run_loop(sample).unchecked)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"aloy": "Nb"}, "did you mean 'alloy'"),
        ({"alloy": "NbXx"}, "no element"),
        ({"alloy": "Nb0"}, "sum to 0"),
        ({"equilibration_temperature_K": -3}, "greater than 0"),
        ({"pattern": [{"file": "a", "radiaton": "CuKa"}]}, "did you mean 'radiation'"),
        ({"controls": ["Nb", "Zz"]}, "no element"),
        ({"micrograph": [{"file": "a", "crop_px": [1, 2]}]}, "crop_px"),
        ({"eds": [{"lines": ["a.txt"]}]}, "unit = 'at.%'"),
        ({"eds": [{"lines": ["a.txt"], "unit": "at.%", "maps": ["b.jpg"]}]}, "one of lines, maps"),
        ({"eds": [{"unit": "at.%"}]}, "one of lines, maps"),
        ({"eds": [{"line": ["a.txt"]}]}, "did you mean 'lines'"),
    ],
)
def test_a_wrong_campaign_names_the_key(change: dict[str, object], says: str) -> None:
    good = {
        "name": "x",
        "alloy": "NbMo",
        "processing": "p",
        "equilibration_temperature_K": 1.0,
        "measurement_temperature_K": 1.0,
    }
    check_settings(Campaign, good, "campaign.toml")
    with pytest.raises(InputError, match=says):
        check_settings(Campaign, {**good, **change}, "campaign.toml")


def test_missing_folder_and_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such folder"):
        hv.run_loop(tmp_path / "nowhere")
    with pytest.raises(MissingFileError, match=r"campaign\.toml"):
        hv.run_loop(tmp_path)


@pytest.mark.data
def test_the_real_specimen(data: Path, root: Path, tmp_path: Path) -> None:
    result = hv.run_loop(data / "specimens/nbmotativ", tmp_path / "out", config=root / "tests/data/nbmotativ.toml")
    assert not result.failures
    call = next(iter(result.calls.values()))
    assert [p.name for p in call.phases] == ["A2"] and call.radiation == "CoKa"
    assert abs(call.phases[0].lattice_A["a"].value - 3.207) <= 0.01
    assert sorted(call.prediction_sets) == [["A2"], ["B2"]]
    first, second = (labels for _, labels in result.images.values())
    assert (first.objects["pore"], first.objects["second phase"]) == (1, 0)
    assert (second.objects["pore"], second.objects["second phase"]) == (0, 0)
    lattice = next(c for c in result.claims if c.kind == "lattice" and "calculated" not in c.claim)
    assert lattice.verdict == "agree" and lattice.independent
    assert lattice.predicted is not None and 0.005 < lattice.predicted.std < 0.03
    order = next(c for c in result.claims if c.kind == "order")
    assert order.verdict == "inconclusive" and "(100)" in order.reason
    verdicts = {(c.against, c.kind): c.verdict for c in result.controls}
    assert verdicts["CoCrFeMnNi", "phase"] == verdicts["CoCrFeMnNi", "lattice"] == "disagree"
    assert verdicts["NbTaTi", "lattice"] == "disagree"
    assert verdicts["NbMoTaW", "lattice"] == "inconclusive"
    assert verdicts["NbMoTaTiV as A1", "phase"] == "disagree"
    lines, first_map, _ = result.segregation.values()
    assert lines.quantified and lines.source == "eds/linescan1.txt and 1 more" and not first_map.quantified
    assert first_map.pair("Ta", "Ti").finding == first_map.pair("Ta", "V").finding == "apart"
    assert any("segregation: nothing predicts it" in line for line in result.unchecked)
    assert not any(c.kind == "segregation" for c in result.claims)
    page = (tmp_path / "out/report.html").read_text()
    assert "Composition and segregation" in page and "Ti and Ta apart" in page


def test_eds_of_a_campaign_is_measured_compared_and_shown(sample: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wave = np.sin(2 * np.pi * np.arange(200) / 20)[:, None]
    counts = rng.poisson(500 * np.exp(wave * np.array([0.2, 0.0, 0.0, -0.2])))
    content = 100 * counts / counts.sum(axis=1, keepdims=True)
    rows = "\n".join(",".join(f"{v:.3f}" for v in row) for row in content)
    (sample / "line.csv").write_text(f"Nb,Mo,Ta,W\n{rows}\n")
    (sample / "bad.csv").write_text("Nb,Mo,Ta,W\n1,1,1,1\n")
    tables = [f'[[eds]]\nlines = ["{name}"]\nunit = "at.%"\nstep_um = 0.5' for name in ("line.csv", "bad.csv")]
    write(sample, '[[micrograph]]\nfile = "sem.tif"', *tables)
    result = hv.run_loop(sample, tmp_path / "out")
    assert [f["input"] for f in result.failures] == ["bad.csv"]
    found = result.segregation["line.csv"]
    assert found.spacing_um is not None and found.spacing_um.value == pytest.approx(10.0, rel=0.05)
    contents = {c.claim: c for c in result.claims if c.kind == "composition"}
    assert set(contents) == {f"{e} content" for e in ("Nb", "Mo", "Ta", "W")}
    assert contents["Nb content"].measured_source == "line.csv" and contents["Nb content"].verdict != "disagree"
    assert any("nothing predicts it" in line for line in result.unchecked)
    page = (tmp_path / "out/report.html").read_text()
    assert "Composition and segregation" in page and page.count("data:image/png;base64,") == 5
    document = json.loads((tmp_path / "out/results.json").read_text())
    label = next(r["label"] for r in document["results"] if r["kind"] == "segregation")
    assert label["amplitude"]["Nb"]["low"] > 0 and "line.csv" in document["provenance"]["input_sha256"]


def test_two_crops_of_one_image_are_two_labels(sample: Path) -> None:
    crops = [f'[[micrograph]]\nfile = "sem.tif"\ncrop_px = [{top}, 0, 100, 200]' for top in (0, 150)]
    write(sample, *crops)
    result = hv.run_loop(sample)
    assert list(result.images) == ["sem.tif", "sem.tif #2"]
    assert not np.array_equal(*(m.image for m, _ in result.images.values()))


def test_results_inside_the_folder_are_not_evidence(sample: Path) -> None:
    (sample / ".hidden").mkdir()
    (sample / ".hidden/x.txt").write_text("x")
    (sample / "extra.txt").write_text("x")
    hv.run_loop(sample, sample / "out")
    result = hv.run_loop(sample, sample / "out")
    line = next(u for u in result.unchecked if "does not name" in u)
    assert "extra.txt" in line and "report.html" not in line and "hidden" not in line
