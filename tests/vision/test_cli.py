"""The command line: frames, exit codes, one-line errors, resume; and equality with the Python functions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

import hea_vision as hv
from hea_sim.documents import to_jsonable
from hea_vision.io import write_pattern

from .patterns import mixture


def hea(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "from hea_vision.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=600
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scans").mkdir()
    write_pattern(tmp_path / "scans/steel.xy", mixture({"A1": ("Fe", 3.60, 0.4), "A2": ("Fe", 2.87, 0.6)}))
    write_pattern(tmp_path / "scans/rhea.xy", mixture({"A2": ("NbMoTaW", 3.22, 1.0)}))
    return tmp_path


def test_classify_json_is_the_api(folder: Path) -> None:
    run = hea("classify", "scans", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert list(document) == ["schema", "results", "failures", "provenance"] and document["schema"] == 1
    row = {Path(r["input"]).name: r for r in document["results"]}["steel.xy"]
    assert {p["name"] for p in row["phases"]} == {"A1", "A2"}
    assert set(row["phases"][0]["lattice_A"]["a"]) >= {"value", "std"}
    for key in ("in_scope", "prediction_sets", "unexplained_fraction", "radiation", "wavelength_A"):
        assert key in row
    call = hv.classify_pattern(hv.read_pattern(folder / "scans/steel.xy"))
    api = json.loads(json.dumps(to_jsonable(call)))
    paths = ("input", "provenance")  # these name the file, relative in one and absolute in the other
    assert {k: v for k, v in row.items() if k not in paths} == {k: v for k, v in api.items() if k not in paths}


def test_classify_writes_its_files_and_resumes(folder: Path) -> None:
    first = hea("classify", "scans", "--out", "out", cwd=folder)
    assert first.returncode == 0
    names = {p.name for p in (folder / "out").iterdir()}
    assert {"results.json", "results.csv", "failures.csv", "report.html", "run.toml"} <= names
    before = json.loads((folder / "out/results.json").read_text())["results"]
    journal = (folder / "out/journal.jsonl").read_text()
    (folder / "out/journal.jsonl").write_text(journal[:-40])  # a crash in the middle of the last line
    second = hea("classify", "scans", "--out", "out", cwd=folder)
    assert second.returncode == 0 and "1 of them by an earlier run" in (folder / "out/report.html").read_text()
    assert json.loads((folder / "out/results.json").read_text())["results"] == before
    third = hea("classify", "scans", "--out", "out", cwd=folder)
    assert third.returncode == 0 and "2 of them by an earlier run" in (folder / "out/report.html").read_text()
    repeated = hea("classify", "scans", "--out", "again", "--config", "out/run.toml", cwd=folder)
    assert repeated.returncode == 0, repeated.stderr


def test_changed_settings_or_input_are_done_again(folder: Path) -> None:
    hea("classify", "scans/rhea.xy", "--out", "out", cwd=folder)
    hea("classify", "scans/rhea.xy", "--out", "out", "--elements", "NbMoTaW", cwd=folder)
    write_pattern(folder / "scans/rhea.xy", mixture({"A2": ("NbMoTaW", 3.25, 1.0)}))
    hea("classify", "scans/rhea.xy", "--out", "out", cwd=folder)
    rows = [json.loads(line) for line in (folder / "out/journal.jsonl").read_text().splitlines()]
    assert len(rows) == 3 and len({r["key"] for r in rows}) == 2 and len({r["sha256"] for r in rows}) == 2
    assert abs(rows[-1]["result"]["phases"][0]["lattice_A"]["a"]["value"] - 3.25) < 0.005


def test_one_bad_file_fails_alone_with_exit_code_one(folder: Path) -> None:
    (folder / "scans/bad.xy").write_text("these are no numbers\n" * 100)
    np.savetxt(folder / "scans/silent.xy", np.c_[np.linspace(20, 100, 500), np.ones(500)])
    run = hea("classify", "scans", "--json", cwd=folder)
    assert run.returncode == 1
    document = json.loads(run.stdout)
    assert len(document["results"]) == 2
    assert {Path(f["input"]).name for f in document["failures"]} == {"bad.xy", "silent.xy"}
    lines = run.stderr.strip().splitlines()
    assert len(lines) == 2 and all(line.startswith("hea: ") for line in lines)
    assert any("bad.xy" in line for line in lines) and any("radiation" in line for line in lines)


def test_results_among_the_inputs_are_not_inputs(folder: Path) -> None:
    for _ in range(2):
        run = hea("classify", "scans", "--out", "scans", "--json", cwd=folder)
        assert run.returncode == 0, run.stderr
        assert len(json.loads(run.stdout)["results"]) == 2


def test_odd_names_and_closed_streams(folder: Path) -> None:
    (folder / "scans/steel.xy").rename(folder / "scans/st\udce4hl.xy")
    run = hea("classify", "scans", "--out", "o", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert len(json.loads((folder / "o/results.json").read_text())["results"]) == 2
    code = "import sys; sys.stdout = None; from hea_vision.cli import main; main()"
    quiet = subprocess.run([sys.executable, "-c", code, "models", "list"], capture_output=True, text=True)
    assert quiet.returncode == 0 and "Traceback" not in quiet.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("classify", "empty"), "empty"),
        (("classify", "nowhere.xy"), "nowhere.xy"),
        (("classify", "scans", "--elements", "NbQq"), "no element"),
        (("classify", "scans", "--structures", "A2,A99"), "A99"),
        (("classify", "scans", "--model", "guess"), "matcher"),
        (("segment", "empty", "--out", "o"), "empty"),
        (("segment", "empty", "--out", "o", "--model", "x"), "classical"),
        (("loop", "empty", "--out", "o"), "campaign.toml"),
        (("loop", "nowhere", "--out", "o"), "no such folder"),
        (("predict", "Nb0"), "sum to 0"),
        (("classify", "scans", "--radiation", "CuKx"), "did you mean 'CuKa'"),
        (("predict", "Xx"), "no element"),
        (("suggest", "Nb-Mo"), "cannot read"),
        (("models", "show", "nbmotw-pairs"), "did you mean 'nbmotaw-pairs'"),
        (("data", "show", "nothing"), "Known:"),
        (("pattern", "nowhere.cif", "--out", "o.xy", "--radiation", "CuKa"), "no such file"),
        (("classify", "scans", "--config", "job.toml"), "did you mean 'elements'"),
        (("classify", "scans", "--out", "job.toml"), "job.toml"),
        (("pattern", "cell.xyz", "--out", "o.xy", "--radiation", "CuKa"), "cannot"),
        (("sample", "job.toml", "--out", "o"), "'alloy' is missing"),
    ],
)
def test_wrong_calls_say_so_in_one_line(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    (folder / "empty").mkdir()
    (folder / "cell.xyz").write_text("nonsense")
    (folder / "job.toml").write_text('elemnts = "Nb"\n')
    run = hea(*arguments, cwd=folder)
    assert run.returncode == 2, (run.stdout, run.stderr)
    lines = run.stderr.strip().splitlines()
    assert len(lines) == 1 and says in lines[0] and "Traceback" not in run.stderr


def test_loop_prints_only_json(root: Path, tmp_path: Path) -> None:
    run = hea("loop", root / "sample_data/nbmotaw", "--out", tmp_path / "o", "--json")
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert document == json.loads((tmp_path / "o/results.json").read_text())
    assert document["claims"] and all("verdict" in c for c in document["claims"])


def test_segment_keeps_the_pixel_size(root: Path, tmp_path: Path) -> None:
    run = hea("segment", root / "sample_data/nbmotaw/sem.tif", "--out", tmp_path / "o", "--json")
    assert run.returncode == 0, run.stderr
    row = json.loads(run.stdout)["results"][0]
    labels = hv.read_labels(tmp_path / "o" / row["labels"])
    assert labels.pixel_size_nm == pytest.approx(60.0) and row["pixel_size_nm"] == pytest.approx(60.0)
    assert row["classes"]["0"] == "matrix" and set(row["fractions"]) == {"second phase", "pore"}
    direct = hv.segment(hv.read_micrograph(root / "sample_data/nbmotaw/sem.tif"), "classical")
    assert np.array_equal(labels.labels, direct.labels)


def test_sample_and_pattern(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text('alloy = "NbMoTaW"\ntemperatures_K = [2000, 1000]\nsize = [6, 6, 6]\nseed = 3\n')
    run = hea("sample", "job.toml", "--out", "o", "--json", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert list(document) == ["schema", "results", "failures", "provenance"]
    assert document["results"][0]["model"] == "nbmotaw-pairs"
    made = hea("pattern", "o/cell.extxyz", "--out", "p.xy", "--radiation", "CuKa", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    back = hv.read_pattern(tmp_path / "p.xy")
    assert back.radiation == "CuKa"
    call = hv.classify_pattern(back, elements="NbMoTaW")
    a = document["results"][0]["lattice_A"]["value"]
    assert abs(call.phases[0].lattice_A["a"].value - a) < 0.003


def test_predict_suggest_models_data() -> None:
    for arguments in (("predict", "NbMoTaW"), ("suggest", "NbMoTaW"), ("models", "list"), ("data", "list")):
        run = hea(*arguments, "--json")
        assert run.returncode == 0, run.stderr
        document = json.loads(run.stdout)
        assert list(document) == ["schema", "results", "failures", "provenance"] and document["results"]
    verify = hea("models", "verify")
    assert verify.returncode == 0 and "unchanged" in verify.stdout


def test_a_lost_or_changed_label_image_is_made_again(root: Path, tmp_path: Path) -> None:
    for name, crop in (("a", np.s_[:, :200]), ("b", np.s_[:, 200:400])):
        (tmp_path / name).mkdir()
        picture = tifffile.imread(root / "sample_data/nbmotaw/sem.tif")[crop]
        tifffile.imwrite(tmp_path / name / "x.tif", picture)
    for name in ("a", "b", "a"):  # one name, one folder: the second run overwrites the first one's labels
        assert hea("segment", f"{name}/x.tif", "--out", "o", cwd=tmp_path).returncode == 0
    direct = hv.segment(hv.read_micrograph(tmp_path / "a/x.tif"), "classical")
    assert np.array_equal(hv.read_labels(tmp_path / "o/labels/x.tif").labels, direct.labels)


def test_radiation_by_number_and_by_single_line(folder: Path) -> None:
    text = (folder / "scans/rhea.xy").read_text().replace("# radiation: CuKa\n", "")
    (folder / "scans/rhea.xy").write_text(text)
    for radiation in ("1.5406", "CuKa1"):
        run = hea("classify", "scans/rhea.xy", "--radiation", radiation, "--json", cwd=folder)
        row = json.loads(run.stdout)["results"][0]
        assert run.returncode == 0 and row["wavelength_A"] == pytest.approx(1.5406, abs=1e-4)
