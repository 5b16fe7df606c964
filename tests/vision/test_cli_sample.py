"""`hea sample`: jobs, compositions, replicas in processes, and what lies in the folder afterwards."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from hea_sim.errors import HEAError
from hea_vision.jobs.alloys import QUICK_POINTS, job_of

JOB = 'alloy = "NbMoTaW"\ntemperatures_K = [2000, 1000]\nsize = [4, 4, 4]\nsteps = 40\nequilibration_steps = 10\n'


def hea(*arguments: object, cwd: Path) -> SimpleNamespace:
    """Run the command within this process, which spares the imports."""
    from hea_vision.cli import main

    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["hea", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return SimpleNamespace(returncode=ended.value.code or 0, stdout=out.getvalue(), stderr=err.getvalue())


def test_a_job_ends_with_results_figures_and_a_page(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(JOB)
    run = hea("sample", "job.toml", "--out", "o", "--replicas", "2", "--json", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert document == json.loads((tmp_path / "o/results.json").read_text())
    row = document["results"][0]
    assert row["input"] == "job.toml" and row["replicas"] == 2 and (tmp_path / row["atoms"]).is_file()
    page = (tmp_path / "o/report.html").read_text()
    assert "nbmotaw-pairs" in page and page.count("<figure>") == 4 and "52 % of their spread" in page
    assert 'src="http' not in page
    for name in ("order", "energy", "cell", "diffraction"):
        for kind in ("png", "pdf"):
            assert (tmp_path / f"o/figures/{name}.{kind}").stat().st_size > 2000
    assert (tmp_path / "o/results.csv").read_text().count("\n") == 3

    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "o").rglob("*") if p.is_file()}
    again = hea("sample", "job.toml", "--out", "o", "--replicas", "2", "--json", cwd=tmp_path)
    assert again.stdout == run.stdout
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "o").rglob("*") if p.is_file()} == before

    other = hea("sample", "job.toml", "--out", "o", "--seed", "3", cwd=tmp_path)
    assert other.returncode == 2 and "another --out folder" in other.stderr and "Traceback" not in other.stderr


@pytest.mark.slow
def test_replicas_in_processes_are_those_of_one_process(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(JOB + "figures = false\n")
    one = hea("sample", "job.toml", "--out", "o", "--replicas", "2", "--json", cwd=tmp_path)
    assert one.returncode == 0, one.stderr
    row = json.loads(one.stdout)["results"][0]
    processes = hea("sample", "job.toml", "--out", "p", "--replicas", "2", "--workers", "2", "--json", cwd=tmp_path)
    assert processes.returncode == 0, processes.stderr
    there = json.loads(processes.stdout)["results"][0]
    assert there["temperatures"] == row["temperatures"]
    assert (tmp_path / "p/cell.extxyz").read_bytes() == (tmp_path / "o/cell.extxyz").read_bytes()


@pytest.mark.parametrize("ensemble", ["replica-exchange", "wang-landau"])
def test_all_temperatures_at_once_end_with_a_page(ensemble: str, tmp_path: Path) -> None:
    job = f'alloy = "NbW"\ntemperatures_K = [1500, 1000, 700]\nsize = [2, 2, 2]\nensemble = "{ensemble}"\n'
    more = "samples = 50\nsteps = 400\nwang_landau = {bins = 20}\n"
    (tmp_path / "job.toml").write_text(job + more)
    run = hea("sample", "job.toml", "--out", "o", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    page, row = (tmp_path / "o/report.html").read_text(), json.loads((tmp_path / "o/results.json").read_text())
    found = row["results"][0]
    assert len(found["curve"]["temperature_K"]) > 50 and found["temperature_K"] == 700.0
    if ensemble == "wang-landau":
        assert "no error known" in run.stdout and "give replicas = 4" in page and found["cell"] is None
    else:
        assert "traded places" in page and (tmp_path / "o/cell.extxyz").is_file()


def test_a_lattice_out_of_training_is_told_at_once(tmp_path: Path) -> None:
    call = ("sample", "NbMoTaW", "--lattice", "fcc", "--temperature", "900", "--temperature", "800", "--size", "3x3x3")
    (tmp_path / "o").mkdir()
    (tmp_path / "o/replica-0000").write_text("no folder")  # so that nothing is sampled
    run = hea(*call, "--out", "o", cwd=tmp_path)
    assert run.returncode != 0 and "A1 was not in its training" in run.stderr


def test_a_composition_a_lattice_and_a_temperature_are_enough(tmp_path: Path) -> None:
    call = ("sample", "NbMoTaW", "--lattice", "bcc", "--temperature", "900", "--size", "3x3x3", "--steps", "4")
    run = hea(*call, "--out", "o", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "nbmotaw-pairs" in run.stdout and "at 900 K" in run.stdout and "report: o/report.html" in run.stdout
    assert "52 % of their spread" in run.stderr  # how far to trust it
    row = json.loads((tmp_path / "o/results.json").read_text())["results"][0]
    assert len(row["temperatures"]) == QUICK_POINTS and row["temperature_K"] == 900.0


def test_a_composition_alone_is_cooled_and_flags_win(tmp_path: Path) -> None:
    job = job_of("NbMoTaW", {"temperatures_K": (1200.0,), "seed": 4})
    assert job.ladder_K[0] == 3000.0 and job.ladder_K[-1] == 1200.0 and job.seed == 4
    assert job_of("NbMoTaW", {"temperatures_K": (1800.0,)}).ladder_K[0] == 3600.0
    assert job_of("NbMoTaW", {"temperatures_K": (3000.0, 900.0)}).ladder_K == (3000.0, 900.0)
    (tmp_path / "job.toml").write_text(JOB)
    assert job_of(str(tmp_path / "job.toml"), {"steps": 7, "seed": None}).steps == 7


def test_files_of_a_job_are_found_beside_it(tmp_path: Path) -> None:
    (tmp_path / "x.mtp").write_text("")
    (tmp_path / "job.toml").write_text(
        'alloy = "CrCoNi"\ntemperatures_K = [800]\npotential = "x.mtp"\nspecies = ["Cr", "Co", "Ni"]\nlattice = "fcc"\n'
    )
    job = job_of(str(tmp_path / "job.toml"), {})
    assert job.potential == (tmp_path / "x.mtp").as_posix() and job.engine == "atoms"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("NbMoTaW", "--temperature", "-3"), "greater than 0"),
        (("NbMoTaW",), "no temperature"),
        (("NbMoTaX", "--temperature", "900"), "composition"),
        (("nowhere.toml",), "no such file"),
        (("NbMoTaW", "--temperature", "900", "--size", "3,3"), "size"),
        (("NbMoTaW", "--temperature", "900", "--model", "nbmotw-pairs"), "did you mean 'nbmotaw-pairs'"),
        (("AlLi", "--temperature", "900"), "has no lattice model"),
    ],
)
def test_wrong_calls_are_told_in_one_line(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from hea_vision.cli.app import app

    result = CliRunner().invoke(app, ["sample", *arguments, "--out", str(tmp_path / "o")])
    assert isinstance(result.exception, HEAError), result.output
    assert says in str(result.exception) and "\n" not in str(result.exception)
