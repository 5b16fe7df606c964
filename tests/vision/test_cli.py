"""The command line: frames, exit codes, one-line errors, resume; and equality with the Python functions."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tifffile

import hea_vision as hv
from hea_sim.documents import to_jsonable
from hea_vision.cli import main
from hea_vision.io import write_pattern

from .patterns import mixture


def hea(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command within this process, which spares the imports."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["hea", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd or Path.cwd()),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), out.getvalue(), err.getvalue())


def hea_alone(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with its own streams."""
    code = "from hea_vision.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=600
    )


def classify(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return hea("classify", *arguments, "--model", "matcher", cwd=cwd)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scans").mkdir()
    write_pattern(tmp_path / "scans/steel.xy", mixture({"A1": ("Fe", 3.60, 0.4), "A2": ("Fe", 2.87, 0.6)}))
    write_pattern(tmp_path / "scans/rhea.xy", mixture({"A2": ("NbMoTaW", 3.22, 1.0)}))
    return tmp_path


def test_classify_json_is_the_api(folder: Path) -> None:
    run = classify("scans", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert list(document) == ["schema", "results", "failures", "provenance"] and document["schema"] == 1
    row = {Path(r["input"]).name: r for r in document["results"]}["steel.xy"]
    assert {p["name"] for p in row["phases"]} == {"A1", "A2"}
    assert set(row["phases"][0]["lattice_A"]["a"]) >= {"value", "std"}
    for key in ("in_scope", "prediction_sets", "unexplained_fraction", "radiation", "wavelength_A"):
        assert key in row
    call = hv.classify_pattern(hv.read_pattern(folder / "scans/steel.xy"), model="matcher")
    api = json.loads(json.dumps(to_jsonable(call)))
    paths = ("input", "provenance")  # these name the file, relative in one and absolute in the other
    assert {k: v for k, v in row.items() if k not in paths} == {k: v for k, v in api.items() if k not in paths}


def test_classify_writes_its_files_and_resumes(folder: Path) -> None:
    first = classify("scans", "--out", "out", cwd=folder)
    assert first.returncode == 0
    names = {p.name for p in (folder / "out").iterdir()}
    assert {"results.json", "results.csv", "failures.csv", "report.html", "run.toml"} <= names
    before = json.loads((folder / "out/results.json").read_text())["results"]
    journal = (folder / "out/journal.jsonl").read_text()
    (folder / "out/journal.jsonl").write_text(journal[:-40])  # a crash in the middle of the last line
    second = classify("scans", "--out", "out", cwd=folder)
    assert second.returncode == 0 and "1 of them by an earlier run" in (folder / "out/report.html").read_text()
    assert json.loads((folder / "out/results.json").read_text())["results"] == before
    third = classify("scans", "--out", "out", cwd=folder)
    assert third.returncode == 0 and "2 of them by an earlier run" in (folder / "out/report.html").read_text()
    repeated = classify("scans", "--out", "again", "--config", "out/run.toml", cwd=folder)
    assert repeated.returncode == 0, repeated.stderr


def test_changed_settings_or_input_are_done_again(folder: Path) -> None:
    classify("scans/rhea.xy", "--out", "out", cwd=folder)
    classify("scans/rhea.xy", "--out", "out", "--elements", "NbMoTaW", cwd=folder)
    write_pattern(folder / "scans/rhea.xy", mixture({"A2": ("NbMoTaW", 3.25, 1.0)}))
    classify("scans/rhea.xy", "--out", "out", cwd=folder)
    rows = [json.loads(line) for line in (folder / "out/journal.jsonl").read_text().splitlines()]
    assert len(rows) == 3 and len({r["key"] for r in rows}) == 2 and len({r["sha256"] for r in rows}) == 2
    assert abs(rows[-1]["rows"][0]["phases"][0]["lattice_A"]["a"]["value"] - 3.25) < 0.005


def test_one_bad_file_fails_alone_with_exit_code_one(folder: Path) -> None:
    (folder / "scans/bad.xy").write_text("these are no numbers\n" * 100)
    np.savetxt(folder / "scans/silent.xy", np.c_[np.linspace(20, 100, 500), np.ones(500)])
    run = classify("scans", "--json", cwd=folder)
    assert run.returncode == 1
    document = json.loads(run.stdout)
    assert len(document["results"]) == 2
    assert {Path(f["input"]).name for f in document["failures"]} == {"bad.xy", "silent.xy"}
    lines = run.stderr.strip().splitlines()
    assert len(lines) == 2 and all(line.startswith("hea: ") for line in lines)
    assert any("bad.xy" in line for line in lines) and any("radiation" in line for line in lines)


def test_results_among_the_inputs_are_not_inputs(folder: Path) -> None:
    for _ in range(2):
        run = classify("scans", "--out", "scans", "--json", cwd=folder)
        assert run.returncode == 0, run.stderr
        assert len(json.loads(run.stdout)["results"]) == 2


def test_odd_names_and_closed_streams(folder: Path) -> None:
    (folder / "scans/steel.xy").rename(folder / "scans/st\udce4hl.xy")
    run = hea_alone("classify", "scans", "--model", "matcher", "--out", "o", cwd=folder)
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
        (("classify", "scans", "--structures", "A2", "--structures", "none.cif"), "none.cif"),
        (("classify", "scans", "--structures", "cell.cif"), "cell.cif"),
        (("classify", "scans", "--axis", "q_per_a"), "did you mean 'q_per_A'"),
        (("classify", "scans", "--calibration", "none.poni"), "none.poni"),
        (("classify", "scans", "--fast", "--model", "matcher"), "fast"),
        (("classify", "scans", "--fast", "--structures", "A1"), "fast"),
        (("train", "xrd", "--out", "o", "--device", "gpu"), "wanted auto, cpu, cuda"),
        (("train", "xrd", "--out", "o", "--config", "job.toml"), "unknown key 'elemnts'"),
        (("classify", "scans", "--model", "guess"), "matcher"),
        (("segment", "empty", "--out", "o"), "empty"),
        (("segment", "empty", "--out", "o", "--model", "x"), "classical"),
        (("loop", "empty", "--out", "o"), "campaign.toml"),
        (("loop", "nowhere", "--out", "o"), "no such folder"),
        (("loop", "specimen", "--out", "o"), "did you mean 'q_per_A'"),
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
    (folder / "specimen").mkdir()
    (folder / "specimen/campaign.toml").write_text(
        'name = "x"\nalloy = "NbMoTaW"\nprocessing = "cast"\nequilibration_temperature_K = 1000\n'
        'measurement_temperature_K = 298\n[[pattern]]\nfile = "a.xy"\nscan = 1\naxis = "q_per_a"\n'
    )
    (folder / "cell.xyz").write_text("nonsense")
    (folder / "cell.cif").write_text("nonsense")
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
    assert document["results"][0]["model"]["name"] == "nbmotaw-pairs"
    made = hea("pattern", "o/cell.extxyz", "--out", "p.xy", "--radiation", "CuKa", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    back = hv.read_pattern(tmp_path / "p.xy")
    assert back.radiation == "CuKa"
    call = hv.classify_pattern(back, elements="NbMoTaW", model="matcher")
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
        run = classify("scans/rhea.xy", "--radiation", radiation, "--json", cwd=folder)
        row = json.loads(run.stdout)["results"][0]
        assert run.returncode == 0 and row["wavelength_A"] == pytest.approx(1.5406, abs=1e-4)


def test_workers_change_no_result_and_keep_the_order(folder: Path) -> None:
    write_pattern(folder / "scans/fcc.xy", mixture({"A1": ("Ni", 3.52, 1.0)}))
    (folder / "scans/bad.xy").write_text("these are no numbers\n" * 100)
    documents = {}
    for workers in ("1", "2"):
        run = classify(
            "scans", "--structures", "A1,A2", "--workers", workers, "--out", f"out{workers}", "--json", cwd=folder
        )
        assert run.returncode == 1, run.stderr
        documents[workers] = json.loads(run.stdout)
    assert documents["1"] == documents["2"]
    assert [Path(r["input"]).name for r in documents["2"]["results"]] == ["fcc.xy", "rhea.xy", "steel.xy"]
    assert (folder / "out1/figures/steel.png").read_bytes() == (folder / "out2/figures/steel.png").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupted_run_is_taken_up(folder: Path, workers: str) -> None:
    for number in range(3):
        write_pattern(folder / f"scans/more{number}.xy", mixture({"A1": ("Ni", 3.52 + 0.01 * number, 1.0)}))
    settings = ("--structures", "A1,A2", "--out", "out")
    arguments = ["classify", "scans", "--model", "matcher", *settings, "--workers", workers]
    # A process that was itself started in the background is told to ignore Ctrl-C, and hands that on.
    code = "from signal import *; signal(SIGINT, default_int_handler); from hea_vision.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    rest = process.stderr.read()
    assert process.wait(60) == 130, rest
    assert first.startswith("classify 1/5 ") and "what was finished is kept" in rest and "Traceback" not in rest
    kept = (folder / "out/journal.jsonl").read_text().splitlines()
    assert 1 <= len(kept) < 5
    second = classify("scans", *settings, cwd=folder)
    assert second.returncode == 0, second.stderr
    report = (folder / "out/report.html").read_text()
    assert f"5 done ({len(kept)} of them by an earlier run)" in report
    assert report.count('src="data:image/png') == 5  # also of those that the first run did


def _two_scans(path: Path) -> None:
    """Write a .ras of two scans over different ranges."""
    parts = ["*RAS_DATA_START"]
    for limits, made in (((40.0, 110.0), ("Fe", 2.87)), ((30.0, 100.0), ("NbMoTaW", 3.22))):
        pattern = mixture({"A2": (*made, 1.0)}, limits=limits)
        rows = [f"{x:.4f} {y:.4f} 1.0000" for x, y in zip(pattern.two_theta_deg, pattern.intensity)]
        head = [
            '*MEAS_SCAN_AXIS_X_INTERNAL "TwoThetaTheta"',
            '*HW_XG_TARGET_NAME "Cu"',
            f'*MEAS_DATA_COUNT "{len(rows)}"',
        ]
        parts += ["*RAS_HEADER_START", *head, "*RAS_HEADER_END", "*RAS_INT_START", *rows, "*RAS_INT_END"]
    path.write_text("\n".join([*parts, "*RAS_DATA_END"]) + "\n")


def test_every_scan_of_a_file_is_a_row(folder: Path) -> None:
    _two_scans(folder / "two.ras")
    run = classify("two.ras", "--radiation", "CuKa", "--out", "out", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    rows = json.loads(run.stdout)["results"]
    assert [row["input"] for row in rows] == ["two.ras#0", "two.ras#1"]
    assert [round(row["phases"][0]["lattice_A"]["a"]["value"], 2) for row in rows] == [2.87, 3.22]
    assert {row["figure"] for row in rows} == {"figures/two.scan0.png", "figures/two.scan1.png"}
    one = classify("two.ras", "--radiation", "CuKa", "--scan", "1", "--json", cwd=folder)
    numbers = [r["phases"][0]["lattice_A"] for r in (json.loads(one.stdout)["results"][0], rows[1])]
    assert numbers[0] == numbers[1]
    none = classify("two.ras", "--radiation", "CuKa", "--scan", "2", cwd=folder)
    assert none.returncode == 1 and "the file holds 2" in none.stderr


def test_a_structure_from_cif_joins_the_known_ones(folder: Path) -> None:
    from ase.spacegroup import crystal

    cell = crystal(("Cs", "Cl"), [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=221, cellpar=[4.12] * 3 + [90] * 3)
    cell.write(folder / "salt.cif")
    mixed = mixture({"A2": ("Fe", 2.87, 0.5)})
    salt = mixture({"B2": ({"A": "Cs", "B": "Cl"}, 4.12, 1.0)}, background=0.0)
    write_pattern(folder / "mixed.xy", replace(mixed, intensity=mixed.intensity + salt.intensity))
    plain = classify("mixed.xy", "--json", "--structures", "A1,A2", cwd=folder)
    joined = classify("mixed.xy", "--json", "--structures", "A1,A2", "--structures", "salt.cif", cwd=folder)
    before, after = (json.loads(run.stdout)["results"][0] for run in (plain, joined))
    assert not before["in_scope"] or before["unexplained_fraction"] > 0.2
    assert {p["name"] for p in after["phases"]} == {"A2", "salt"} and after["in_scope"]
    assert after["unexplained_fraction"] < before["unexplained_fraction"]
    found = next(p for p in after["phases"] if p["name"] == "salt")
    assert found["lattice_A"]["a"]["value"] == pytest.approx(4.12, abs=0.005)
    classify("mixed.xy", "--structures", "salt.cif", "--out", "o", cwd=folder)
    (folder / "salt.cif").write_text((folder / "salt.cif").read_text().replace("4.12", "4.15"))
    classify("mixed.xy", "--structures", "salt.cif", "--out", "o", cwd=folder)  # another structure: done again
    assert len({json.loads(line)["key"] for line in (folder / "o/journal.jsonl").read_text().splitlines()}) == 2


def test_the_fast_mode_gives_the_network_alone(folder: Path) -> None:
    run = hea("classify", "scans", "--fast", "--elements", "NbMoTaW", "--out", "out", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    row = {Path(r["input"]).name: r for r in json.loads(run.stdout)["results"]}["rhea.xy"]
    direct = hv.propose_phases([hv.read_pattern(folder / "scans/rhea.xy")], elements="NbMoTaW")[0]
    assert row["probabilities"] == pytest.approx(direct, abs=1e-5)
    assert max(direct, key=lambda name: direct[name]) == "A2"
    assert "no lattice was fitted" in row["method"] and "phases" not in row
    assert row["method"] in (folder / "out/report.html").read_text()
    shown = hea("classify", "scans", "--fast", cwd=folder)
    assert "no lattice was fitted" in shown.stdout and "rhea.xy" in shown.stdout


def test_the_default_labeller_is_the_one_of_the_api(folder: Path) -> None:
    from hea_vision.jobs import ClassifyJob
    from hea_vision.xrd.classify import DEFAULT_LABELLER

    run = hea("classify", "scans/rhea.xy", "--elements", "NbMoTaW", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert (
        document["results"][0]["method"]
        == DEFAULT_LABELLER
        == ClassifyJob().model
        == hv.Campaign.model_fields["pattern_labeller"].default
    )
    assert set(document["provenance"]["model_sha256"]) == {"xrd-proposer", "xrd-ranking"}


def test_the_axis_is_named_by_the_user(folder: Path) -> None:
    pattern = mixture({"A2": ("NbMoTaW", 3.22, 1.0)})
    q = 4 * np.pi / 1.540593 * np.sin(np.radians(pattern.two_theta_deg / 2))
    np.savetxt(folder / "q.xy", np.c_[q, pattern.intensity])
    run = classify("q.xy", "--axis", "q_per_A", "--radiation", "CuKa", "--json", cwd=folder)
    assert run.returncode == 0, run.stderr
    lattice = json.loads(run.stdout)["results"][0]["phases"][0]["lattice_A"]["a"]["value"]
    assert lattice == pytest.approx(3.22, abs=0.003)


def test_help_is_there_at_once() -> None:
    code = """
import sys
from typer.testing import CliRunner
from hea_vision.cli.app import app
for arguments in (["--help"], ["classify", "--help"], ["train", "xrd", "--help"]):
    assert CliRunner().invoke(app, arguments).exit_code == 0, arguments
heavy = set(sys.modules) & set("torch scipy numba matplotlib ase xraydb skimage".split())
assert not heavy, heavy
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_training_goes_on_where_its_folder_stands(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text("held_out = 4\nreport_every = 4\nworkers = 0\n")
    arguments = ("train", "xrd", "--out", "t", "--config", "job.toml", "--batch", "4", "--seed", "3", "--device", "cpu")
    first = hea(*arguments, "--patterns", "8", "--json", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    settings = json.loads(first.stdout)["results"][0]["settings"]
    assert (settings["patterns"], settings["batch"], settings["seed"], settings["held_out"]) == (8, 4, 3, 4)
    assert {"weights.safetensors", "log.csv", "run.toml", "checkpoint.pt"} <= {
        p.name for p in (tmp_path / "t").iterdir()
    }
    weights = (tmp_path / "t/weights.safetensors").read_bytes()
    assert hea(*arguments, "--patterns", "8", cwd=tmp_path).returncode == 0
    assert (tmp_path / "t/weights.safetensors").read_bytes() == weights  # nothing was left to do
    other = hea(*arguments, "--patterns", "8", "--seed", "4", cwd=tmp_path)
    assert other.returncode == 2 and "other settings (seed)" in other.stderr


def test_batches_survive_a_process_that_dies(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hea_vision.batch import run_batch

    monkeypatch.syspath_prepend(root)  # workers import this very file

    paths = [tmp_path / f"{name}.txt" for name in ("a", "b", "deadly", "c", "d")]
    for path in paths:
        path.write_text(path.stem)
    result = run_batch(paths, _row_or_death, settings={}, out=tmp_path / "o", workers=2)
    assert [row["text"] for row in result.results] == ["a", "b", "c", "d"]
    assert [Path(f["input"]).stem for f in result.failures] == ["deadly"] and "ended" in result.failures[0]["error"]
    again = run_batch(paths[:2], _row_or_death, settings={}, out=tmp_path / "o", workers=2)
    assert again.reused == 2 and again.results == result.results[:2]


def _row_or_death(path: Path) -> list[dict[str, str]]:
    if path.stem == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return [{"input": path.as_posix(), "text": path.read_text()}]
