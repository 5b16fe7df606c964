"""`hea segment`: what it writes, bad files, interruptions, full disks, resume; the labels are those of the API."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from matplotlib.figure import Figure

import hea_vision as hv
from hea_sim.records import Micrograph
from hea_vision.measurement import class_objects, mean_diameter
from hea_vision.segmentation import segment_classical

from .drawn_pictures import write_picture
from .test_cli import hea, hea_alone

# A process that was itself started in the background is told to ignore Ctrl-C, and hands that on.
RUN = "from signal import *; signal(SIGINT, default_int_handler); from hea_vision.cli import main; main()"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        write_picture(tmp_path / f"in/{number}.tif", number, pixel_size_nm=None if number == 2 else 50.0)
    return tmp_path


@pytest.fixture(autouse=True)
def plain_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the time of figures in tests that do not look at them."""
    if "figures" not in request.fixturenames:
        monkeypatch.setattr("hea_vision.report.figures.micrograph_figure", lambda *_: Figure(figsize=(1, 1)))
        monkeypatch.setattr("hea_vision.report.micrographs.to_data_uri", lambda _: "")


@pytest.fixture
def figures() -> None:
    """Draw figures in a test that names this."""


def results(run: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert run.returncode == 0, run.stderr
    rows: list[dict[str, Any]] = json.loads(run.stdout)["results"]
    return rows


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_rows_keep_the_contract_and_labels_are_those_of_the_api(folder: Path) -> None:
    rows = results(hea("segment", "in", "--out", "out", "--model", "classical", "--json", cwd=folder))
    assert [row["input"] for row in rows] == ["in/0.tif", "in/1.tif", "in/2.tif"]
    for row in rows:
        micrograph = hv.read_micrograph(folder / row["input"])
        direct = hv.segment(micrograph, "classical")
        labels = hv.read_labels(folder / "out" / row["labels"])
        assert np.array_equal(labels.labels, direct.labels)
        assert row["pixel_size_nm"] == labels.pixel_size_nm == micrograph.pixel_size_nm
        assert row["classes"] == {str(k): v for k, v in direct.classes.items()}
        assert set(row["fractions"]) == set(direct.fractions)
        for name, fraction in row["fractions"].items():
            assert fraction["value"] == direct.fractions[name].value and fraction["level"] == 0.9
            assert fraction["low"] <= fraction["value"] <= fraction["high"]
        assert row["unfamiliar"] is direct.unfamiliar and row["unfamiliarity"] is direct.unfamiliarity
        for key in ("figure", "overlay", "thumbnail", "object_table"):
            assert (folder / "out" / row[key]).stat().st_size > 100
        objects = {direct.classes[k]: class_objects(direct.labels, k, direct.pixel_size_nm) for k in (1, 2)}
        areas = [area for some in objects.values() for area in some["area_px"]]
        assert [item["area_px"] for item in row["measurements"]] == areas
        assert len(areas) == sum(row["objects"].values())
        means = {name: mean_diameter(some) for name, some in objects.items()}
        assert row["sizes"] == {name: asdict(mean) for name, mean in means.items() if mean is not None}
        sizes = row["sizes"].values()
        assert {s["unit"] for s in sizes} == {"px" if direct.pixel_size_nm is None else "nm"}


def test_tables_and_report_say_the_same(folder: Path, figures: None) -> None:
    rows = results(hea("segment", "in", "--out", "out", "--json", cwd=folder))
    flat = table(folder / "out/results.csv")
    assert [line["input"] for line in flat] == [row["input"] for row in rows]
    for line, row in zip(flat, rows):
        fraction = row["fractions"]["second phase"]
        for key, name in (("value", "fraction"), ("low", "low"), ("high", "high")):
            assert float(line[f"second phase {name}"]) == pytest.approx(fraction[key], abs=1e-6)
        assert int(line["second phase objects"]) == row["objects"]["second phase"]
        size = row["sizes"].get("second phase")
        assert float(line["second phase mean diameter"] or 0) == pytest.approx(size["value"] if size else 0, rel=1e-4)
    objects = table(folder / "out/objects.csv")
    assert len(objects) == sum(len(row["measurements"]) for row in rows)
    assert sum(int(item["area_px"]) for item in objects if item["class"] == "pore") == round(
        sum(row["fractions"]["pore"]["value"] * np.prod(row["shape_px"]) for row in rows)
    )
    assert {item["unit"] for item in objects if item["input"] == "in/2.tif"} == {"px"}
    page = (folder / "out/report.html").read_text()
    assert "1 image without a pixel size" in page
    assert page.count('src="data:image/jpeg') == 3 and "does not judge" in page


def test_workers_change_nothing(folder: Path) -> None:
    (folder / "in/bad.tif").write_bytes(b"")
    runs = [hea("segment", "in", "--out", f"out{n}", "--workers", n, "--json", cwd=folder) for n in ("1", "2")]
    assert [run.returncode for run in runs] == [1, 1]
    assert json.loads(runs[0].stdout) == json.loads(runs[1].stdout)
    for name in ("results.csv", "objects.csv", "failures.csv", "labels/1.tif", "overlays/1.png"):
        assert (folder / "out1" / name).read_bytes() == (folder / "out2" / name).read_bytes(), name


def test_bad_files_fail_alone(folder: Path) -> None:
    good = (folder / "in/0.tif").read_bytes()
    (folder / "in/empty.tif").write_bytes(b"")
    (folder / "in/half.tif").write_bytes(good[: len(good) // 2])
    (folder / "in/words.png").write_text("no picture at all\n" * 50)
    tifffile.imwrite(folder / "in/dot.tif", np.zeros((1, 1), np.uint8))
    nan = tifffile.imread(folder / "in/1.tif").astype(np.float32)
    tifffile.imwrite(folder / "in/deep.tif", 200 * nan.astype(np.uint16))
    nan[5, 5] = np.nan
    tifffile.imwrite(folder / "in/nan.tif", nan)
    tifffile.imwrite(folder / "in/flat.tif", np.full((64, 64), 7, np.uint8))
    (folder / "in/notes.txt").write_text("not a picture, and not named: passed over")
    run = hea("segment", "in", "--out", "out", "--json", cwd=folder)
    assert run.returncode == 1
    document = json.loads(run.stdout)
    assert [Path(row["input"]).name for row in document["results"]] == ["0.tif", "1.tif", "2.tif", "deep.tif"]
    bad = {Path(item["input"]).name for item in document["failures"]}
    assert bad == {"empty.tif", "half.tif", "words.png", "dot.tif", "nan.tif", "flat.tif"}
    assert {Path(line["input"]).name for line in table(folder / "out/failures.csv")} == bad
    assert all(Path(item["input"]).name in item["error"] for item in document["failures"])
    lines = run.stderr.strip().splitlines()
    assert len(lines) == len(bad) and all(line.startswith("hea: ") for line in lines)
    assert "half.tif" in (folder / "out/report.html").read_text()


def test_a_folder_of_bad_files_has_a_report_too(folder: Path) -> None:
    (folder / "bad").mkdir()
    (folder / "bad/x.tif").write_bytes(b"")
    (folder / "bad/x.txt").write_text("named, so it is judged")
    run = hea("segment", "bad", "bad/x.txt", "--out", "out", cwd=folder)
    assert run.returncode == 1 and len(run.stderr.strip().splitlines()) == 2 + 2  # two of progress
    assert "x.txt" in (folder / "out/report.html").read_text()
    assert json.loads((folder / "out/results.json").read_text())["results"] == []


def test_rows_of_an_earlier_form_are_not_taken_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for form, lines in ((1, 3), (1, 3), (2, 6)):
        monkeypatch.setattr("hea_vision.micrograph_work.SEGMENT_ROWS", form)
        results(hea("segment", "in", "--out", "out", "--json", cwd=folder))
        assert len((folder / "out/journal.jsonl").read_text().splitlines()) == lines
    # The number is one of the key alone: settings that were written can be given back.
    results(hea("segment", "in/0.tif", "--out", "again", "--config", "out/run.toml", "--json", cwd=folder))


def test_results_among_the_inputs_are_not_inputs(folder: Path) -> None:
    for _ in range(2):
        assert len(results(hea("segment", "in", "--out", "in", "--json", cwd=folder))) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(("ending", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_run_ended_half_way_is_taken_up(tmp_path: Path, ending: signal.Signals, code: int) -> None:
    for number in range(6):
        write_picture(tmp_path / f"in/{number}.tif", number)
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, "segment", "in", "--out", "out"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert run.stderr is not None
    while not run.stderr.readline().startswith("segment 3/6 "):
        assert run.poll() is None
    os.kill(run.pid, ending)
    rest = run.stderr.read()
    assert run.wait(60) == code and "Traceback" not in rest
    lines = (tmp_path / "out/journal.jsonl").read_text().splitlines()
    kept = [json.loads(line)["input"] for line in lines]
    assert 3 <= len(kept) < 6
    made = {name: (tmp_path / f"out/labels/{Path(name).stem}.tif").stat().st_mtime_ns for name in kept}
    with open(tmp_path / "out/journal.jsonl", "a") as stream:
        stream.write('{"key": "cut sho')  # as if the machine had lost power in the middle of a line
    rows = results(hea("segment", "in", "--out", "out", "--json", cwd=tmp_path))
    assert len(rows) == 6
    for name, when in made.items():
        assert (tmp_path / f"out/labels/{Path(name).stem}.tif").stat().st_mtime_ns == when, name
    text = (tmp_path / "out/journal.jsonl").read_text().splitlines()
    after = [json.loads(line)["input"] for line in text if not line.startswith('{"key": "cut')]
    assert sorted(after) == [f"in/{n}.tif" for n in range(6)]
    assert f"{len(kept)} of them by an earlier run" in (tmp_path / "out/report.html").read_text()
    assert rows == results(hea("segment", "in", "--out", "fresh", "--json", cwd=tmp_path))


def test_a_full_disk_ends_the_run_and_keeps_what_was_finished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hea_sim.documents import write_atomic

    def write(path: Path, data: str | bytes) -> Path:
        if Path(path).name == "1.csv":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_atomic(path, data)

    monkeypatch.setattr("hea_vision.micrograph_work.write_atomic", write)
    run = hea("segment", "in", "--out", "out", "--json", cwd=folder)
    assert run.returncode == 2 and "No space left" in run.stderr and len(run.stderr.strip().splitlines()) == 1
    assert len((folder / "out/journal.jsonl").read_text().splitlines()) == 1
    assert not [path for path in (folder / "out").rglob(".*")]  # no half-written file is left
    monkeypatch.undo()
    assert len(results(hea("segment", "in", "--out", "out", "--json", cwd=folder))) == 3
    assert "1 of them by an earlier run" in (folder / "out/report.html").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process")
def test_a_limit_on_files_leaves_no_half_written_ones(folder: Path) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000)); {RUN}"
    run = subprocess.run(
        [sys.executable, "-c", limited, "segment", "in/0.tif", "--out", "out"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1 and "File too large" in run.stderr and "Traceback" not in run.stderr
    left = [path for path in (folder / "out").rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {"results.json", "results.csv", "failures.csv", "objects.csv", "run.toml",
                                            "report.html"}  # fmt: skip


def test_an_image_that_does_not_fit_into_memory_fails_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(micrograph: Micrograph, model: str) -> Any:
        if Path(micrograph.source).stem == "1":
            raise MemoryError
        return segment_classical(micrograph)

    monkeypatch.setattr("hea_vision.segmentation.registry.segment", too_large)
    run = hea("segment", "in", "--out", "out", "--json", cwd=folder)
    assert run.returncode == 1
    document = json.loads(run.stdout)
    assert [row["input"] for row in document["results"]] == ["in/0.tif", "in/2.tif"]
    assert document["failures"][0]["input"] == "in/1.tif" and "fit into memory" in document["failures"][0]["error"]


@pytest.mark.parametrize("out", ["in/0.tif", "in/0.tif/deeper", "/proc/results"])
def test_a_folder_that_takes_nothing_is_refused_before_any_work(folder: Path, out: str) -> None:
    run = hea("segment", "in", "--out", out, cwd=folder)
    assert run.returncode == 2 and len(run.stderr.strip().splitlines()) == 1 and Path(out).name in run.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--workers", "2", "--scheduler", "tcp://127.0.0.1:1"), "leave one of them out"),
        (("--scale-bar", "20 um", "--pixel-size", "5"), "leave one of them out"),
        (("--scale-bar", "20 parsec"), "20 parsec"),
        (("--device", "gpu"), "wanted auto, cpu, cuda"),
        (("--device", "cuda"), "no network"),
        (("--tta",), "no network"),
        (("--model", "clasical"), "did you mean 'classical'"),
    ],
)
def test_wrong_settings_say_so_in_one_line(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    run = hea("segment", "in", "--out", "out", *arguments, cwd=folder)
    assert run.returncode == 2 and says in run.stderr and len(run.stderr.strip().splitlines()) == 1, run.stderr
    assert not (folder / "out").exists()


def test_every_page_of_a_stack_is_a_row(folder: Path) -> None:
    pages = np.stack([tifffile.imread(folder / f"in/{n}.tif") for n in range(3)])
    pages[1] = 7  # an empty page must not stop the others
    tifffile.imwrite(folder / "stack.tif", pages, photometric="minisblack")
    run = hea("segment", "stack.tif", "in/0.tif", "--all-pages", "--out", "out", "--json", cwd=folder)
    assert run.returncode == 1
    document = json.loads(run.stdout)
    assert [row["input"] for row in document["results"]] == ["stack.tif#1", "stack.tif#3", "in/0.tif"]
    assert [row["labels"] for row in document["results"]] == [
        "labels/stack.page1.tif", "labels/stack.page3.tif", "labels/0.tif"
    ]  # fmt: skip
    assert [item["input"] for item in document["failures"]] == ["stack.tif#2"]
    labels = [hv.read_labels(folder / "out" / row["labels"]).labels for row in document["results"]]
    assert np.array_equal(labels[0], labels[2])


def test_the_pixel_size_comes_from_the_user_where_the_file_has_none(folder: Path) -> None:
    (row,) = results(hea("segment", "in/2.tif", "--pixel-size", "12.5", "--out", "out", "--json", cwd=folder))
    assert row["pixel_size_nm"] == 12.5 == hv.read_labels(folder / "out" / row["labels"]).pixel_size_nm
    assert {size["unit"] for size in row["sizes"].values()} == {"nm"}
    assert "px" not in {item["unit"] for item in table(folder / "out/objects.csv")}


def test_a_large_field_gives_the_same_rows(folder: Path, figures: None, monkeypatch: pytest.MonkeyPatch) -> None:
    small = results(hea("segment", "in", "--out", "small", "--json", cwd=folder))
    for name in ("strips.LARGE_PX", "windows.WHOLE_PX"):
        monkeypatch.setattr(f"hea_vision.measurement.{name}", 1000)
    monkeypatch.setattr("hea_vision.measurement.windows._WINDOW_PX", 2000)
    monkeypatch.setattr("hea_vision.micrograph_work.LARGE_PX", 1000)
    monkeypatch.setattr("hea_vision.micrograph_work.OVERLAY_PX", 100)
    monkeypatch.setattr("hea_vision.report.figures._SHOWN_PX", 100)
    large = results(hea("segment", "in", "--out", "large", "--json", cwd=folder))
    for a, b in zip(small, large):
        assert np.array_equal(
            hv.read_labels(folder / "small" / a["labels"]).labels, hv.read_labels(folder / "large" / b["labels"]).labels
        )
        assert a["sizes"] == b["sizes"] and a["objects"] == b["objects"]
        for first, second in zip(a["measurements"], b["measurements"], strict=True):
            assert {k: v for k, v in first.items() if not isinstance(v, float)} == {
                k: v for k, v in second.items() if not isinstance(v, float)
            }
            assert [v for v in first.values() if isinstance(v, float)] == pytest.approx(
                [v for v in second.values() if isinstance(v, float)], rel=1e-6, abs=1e-6
            )


def test_unfamiliar_images_come_first_and_are_flagged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def judged(micrograph: Micrograph, model: str) -> Any:
        strange = Path(micrograph.source).stem == "1"
        found = segment_classical(micrograph)
        return replace(found, unfamiliar=strange, unfamiliarity=1.7 if strange else 0.2)

    monkeypatch.setattr("hea_vision.segmentation.registry.segment", judged)
    run = hea("segment", "in", "--out", "out", cwd=folder)
    assert run.returncode == 0 and run.stdout.count("unfamiliar: check by eye") == 1
    page = (folder / "out/report.html").read_text()
    assert "1 of 3</b> taken under conditions" in page and "unfamiliar 1.70" in page
    gallery = page[page.index('class="gallery"') :]
    assert gallery.index("1.tif<br>") < gallery.index("0.tif<br>") < gallery.index("2.tif<br>")
    rows = json.loads((folder / "out/results.json").read_text())["results"]
    assert [row["unfamiliar"] for row in rows] == [False, True, False] and rows[1]["unfamiliarity"] == 1.7


def test_many_objects_stay_in_their_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hea_vision.micrograph_work.MOST_LISTED", 3)
    (row,) = results(hea("segment", "in/0.tif", "--out", "out", "--json", cwd=folder))
    assert row["measurements"] == []
    assert len(table(folder / "out" / row["object_table"])) == sum(row["objects"].values()) > 3


def test_the_command_prints_nothing_but_json(folder: Path) -> None:
    run = hea_alone("segment", "in/0.tif", "--out", "out", "--json", cwd=folder)
    assert run.returncode == 0 and run.stderr == ""
    assert json.loads(run.stdout) == json.loads((folder / "out/results.json").read_text())
