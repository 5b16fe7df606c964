"""`measure` and `hea measure`: what fits the classes, names and units; files, resume, and the same numbers in both."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from matplotlib.figure import Figure

import hea_vision as hv
from hea_sim.documents import to_jsonable
from hea_sim.errors import InputError
from hea_sim.records import Estimate, Segmentation
from hea_vision.cli import main
from hea_vision.io import write_labels
from hea_vision.io.labels import write_instances
from hea_vision.measurement import join_fields
from hea_vision.measurement.field_totals import FieldTotal, totals_from_plain, totals_to_plain

from .micrograph_grains import boundaries, voronoi
from .test_segmentation_labelling import given_probabilities
from .tiny_networks import cloudy, save_tiny, tiny_segmenter

PRECIPITATES = {0: "matrix", 1: "small precipitate", 2: "large precipitate"}
GRAINS = {0: "grain", 1: "grain boundary"}


def hea(*arguments: str | Path, cwd: Path) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["hea", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def precipitates(seed: int, pixel_size_nm: float | None = 5.0) -> Segmentation:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:120, :160]
    labels = np.zeros((120, 160), np.uint8)
    for number, n, radius in ((1, 25, 4), (2, 4, 12)):
        for row, column in rng.random((n, 2)) * labels.shape:
            labels[np.hypot(y - row, x - column) < radius] = number
    return Segmentation(labels=labels, classes=PRECIPITATES, pixel_size_nm=pixel_size_nm)


def test_grains_give_the_standards_numbers():
    grains, _ = voronoi(3, 150, (320, 320))
    labels = boundaries(grains).astype(np.uint8)
    found = hv.measure(Segmentation(labels=labels, classes=GRAINS, pixel_size_nm=100.0, instances=grains))
    e = found.estimates
    # l^2 N_A of these cells is pi^2 / 16 and 0.79 in E112, so that the two numbers differ by log2(0.79 / 0.617) = 0.36.
    difference = e["grain size number G (planimetric)"].value - e["grain size number G"].value
    assert difference == pytest.approx(-0.36, abs=0.25)
    assert e["mean intercept"].unit == "um" and e["mean grain area"].unit == "um2"
    assert len(found.shapes["grain"]) == len(np.unique(grains))
    alone = hv.measure(Segmentation(labels=labels, classes=GRAINS, pixel_size_nm=100.0)).estimates
    assert alone["mean intercept"].value == pytest.approx(e["mean intercept"].value, rel=0.05)


def test_precipitates_give_fractions_and_sizes_class_by_class():
    found = hv.measure(precipitates(0))
    for name in ("small precipitate", "large precipitate"):
        assert found.estimates[f"{name}: area fraction of this field"].unit == "area fraction"
        assert found.estimates[f"{name}: mean diameter"].unit == "nm"
    small, large = (found.estimates[f"{n} precipitate: mean diameter"].value for n in ("small", "large"))
    assert small < large and not any("grain" in name for name in found.estimates)


def said(labels: np.ndarray, number: int, std: float | None, n: int | None = None) -> Estimate:
    value = float(np.mean(labels == number))
    bounds = {} if std is None else {"low": value - 1.645 * std, "high": value + 1.645 * std, "level": 0.9}
    return Estimate(value=value, std=std, unit="area fraction", n=n, **bounds)


def test_the_field_and_the_specimen_have_fractions_of_their_own():
    bare = precipitates(0)
    known = said(bare.labels, 1, 0.02)
    found = hv.measure(replace(bare, fractions={"small precipitate": known})).estimates
    plain = hv.measure(bare).estimates
    here, specimen = (found[f"small precipitate: area fraction of {what}"] for what in ("this field", "the specimen"))
    sampling = plain["small precipitate: area fraction of the specimen"]
    assert here is known and plain["small precipitate: area fraction of this field"].low is None
    assert here.value == specimen.value == sampling.value
    assert specimen.std == pytest.approx(np.hypot(sampling.std, 0.02))
    assert specimen.low < sampling.low and specimen.high > sampling.high and "error of the labels" in specimen.method
    # Where the segmenter's interval is one of the specimen already, nothing goes in twice.
    whole = said(bare.labels, 1, 0.05, n=40)
    again = hv.measure(replace(bare, fractions={"small precipitate": whole})).estimates
    assert again["small precipitate: area fraction of the specimen"] is whole
    assert again["small precipitate: mean diameter"] == plain["small precipitate: mean diameter"]


def test_labels_that_were_corrected_lose_what_was_said_of_them():
    bare = precipitates(0)
    found = hv.measure(replace(bare, fractions={"small precipitate": replace(said(bare.labels, 1, 0.02), value=0.5)}))
    assert found.estimates == hv.measure(bare).estimates
    assert any("changed since" in note for note in found.notes)


def test_the_error_of_labels_stays_when_fields_are_joined():
    plain, known = [], []
    for seed in range(4):
        bare = precipitates(seed)
        plain.append(hv.measure(bare).totals)
        fractions = {"small precipitate": said(bare.labels, 1, 0.02)}
        known.append(totals_from_plain(totals_to_plain(hv.measure(replace(bare, fractions=fractions)).totals)))
    (without, _), (with_labels, _) = join_fields(plain), join_fields(known)
    name = "small precipitate: area fraction of the specimen"
    assert with_labels[name].std == pytest.approx(np.hypot(without[name].std, 0.02))
    assert "common to all" in with_labels[name].method and "common" not in without[name].method
    assert with_labels["small precipitate: mean diameter"].std > without["small precipitate: mean diameter"].std


def test_a_large_field_is_measured_in_strips_and_grains_are_refused(monkeypatch):
    fields = [
        replace(precipitates(k), fractions={"large precipitate": said(precipitates(k).labels, 2, 0.01)}) for k in (0, 1)
    ]
    small = [hv.measure(field) for field in fields]
    for name in ("strips.LARGE_PX", "windows.WHOLE_PX", "strips.STRIP_PX"):
        monkeypatch.setattr(f"hea_vision.measurement.{name}", 1000)
    monkeypatch.setattr("hea_vision.measurement.windows._WINDOW_PX", 3000)
    for whole, field in zip(small, fields):
        large = hv.measure(field)
        assert large.notes == whole.notes and large.estimates.keys() == whole.estimates.keys()
        for name, e in large.estimates.items():
            if "specimen" not in name:  # its correlation area comes from windows
                numbers = [e.value, e.std or 0.0, e.low or 0.0, e.high or 0.0]
                first = whole.estimates[name]
                wanted = [first.value, first.std or 0.0, first.low or 0.0, first.high or 0.0]
                assert numbers == pytest.approx(wanted, rel=1e-6), name
    grains = Segmentation(labels=np.zeros((120, 160), np.uint8), classes=GRAINS, source="a.tif")
    with pytest.raises(InputError, match=r"a\.tif has 120 x 160 pixels; wanted at most .* cut the labels into fields"):
        hv.measure(grains)
    stripes = Segmentation(
        labels=np.tile((np.arange(200) % 12 < 5).astype(np.uint8), (200, 1)), classes={0: "matrix", 1: "pearlite"}
    )
    assert any("no lamellar spacing of a field over" in note for note in hv.measure(stripes).notes)


def test_columns_give_lattice_and_strain():
    h, k = np.meshgrid(np.arange(15), np.arange(15))
    points = np.column_stack([10.0 * k.ravel() + 8, 12.0 * h.ravel() + 8, np.ones(225)])
    found = hv.measure(
        Segmentation(
            labels=np.zeros((160, 190), np.uint8),
            classes={0: "background", 1: "column"},
            pixel_size_nm=0.02,
            points=points,
        )
    )
    lengths = sorted(found.estimates[f"lattice vector a{i}"].value for i in (1, 2))
    assert lengths == pytest.approx([0.2, 0.24]) and found.estimates["lattice angle"].value == pytest.approx(90)
    assert found.estimates["e_xx: spread"].value < 1e-9


def test_lamellae_are_measured_where_asked_for_or_named_so():
    stripes = np.tile((np.arange(200) % 12 < 5).astype(np.uint8), (200, 1))
    for classes, asked in (({0: "matrix", 1: "second phase"}, True), ({0: "matrix", 1: "pearlite"}, False)):
        found = hv.measure(Segmentation(labels=stripes, classes=classes), lamellae=asked)
        assert found.estimates[f"{classes[1]}: spacing across lamellae"].value == pytest.approx(12, rel=0.01)
    plain = hv.measure(Segmentation(labels=stripes, classes={0: "matrix", 1: "second phase"}))
    assert not any("lamella" in name for name in plain.estimates)


def test_every_number_has_a_unit_a_method_and_what_its_error_is():
    for segmentation in (precipitates(1), precipitates(1, None)):
        for name, e in hv.measure(segmentation).estimates.items():
            assert e.unit and e.method, name
            assert e.low is not None or "no interval" in e.method or "is not known" in e.method, name
    lengths = [e.unit for e in hv.measure(precipitates(1, None)).estimates.values()]
    assert not {"nm", "um", "1/um2"} & set(lengths) and "px" in lengths


@settings(max_examples=25, deadline=None)
@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=8, max_side=20), elements=st.integers(0, 2)),
    st.sampled_from([PRECIPITATES, {0: "grain", 1: "grain boundary", 2: "pore"}]),
    st.sampled_from([None, 10.0]),
)
def test_any_labels_are_measured(labels, classes, size):
    found = hv.measure(Segmentation(labels=labels, classes=classes, pixel_size_nm=size), lamellae=True)
    assert all(np.isfinite(e.value) for e in found.estimates.values())
    json.dumps(to_jsonable(found.estimates))


def test_no_labels_are_refused():
    with pytest.raises(InputError, match="at least 8"):
        hv.measure(Segmentation(labels=np.zeros((4, 4), np.uint8), classes={0: "matrix"}))


def test_fields_are_joined_by_unit():
    rows = [{"mean intercept": FieldTotal(above=above, below=10.0, unit="um")} for above in (190.0, 200.0, 210.0)]
    rows.append({"mean intercept": FieldTotal(above=50.0, below=10.0, unit="px")})
    found, notes = join_fields(rows)
    assert found["mean intercept"].value == 20.0 and found["mean intercept"].n == 3
    assert found["grain size number G"].low < found["grain size number G"].value
    assert "1 fields in other units than um" in notes[0]
    assert join_fields(rows[:1])[0] == {}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(3):
        write_labels(tmp_path / f"in/field{seed}.tif", precipitates(seed))
    return tmp_path


def test_the_verb_is_the_api_and_writes_its_files(folder: Path) -> None:
    code, text, error = hea("measure", "in", "--out", "out", "--json", cwd=folder)
    assert code == 0, error
    document = json.loads(text)
    assert [row["input"] for row in document["results"]] == [f"in/field{k}.tif" for k in range(3)]
    api = hv.measure(hv.read_labels(folder / "in/field1.tif"))
    assert document["results"][1]["estimates"] == json.loads(json.dumps(to_jsonable(api.estimates)))
    joined = document["summary"]["estimates"]["small precipitate: area fraction of the specimen"]
    values = [
        row["estimates"]["small precipitate: area fraction of the specimen"]["value"] for row in document["results"]
    ]
    assert joined["value"] == pytest.approx(np.mean(values)) and joined["level"] == 0.95
    assert json.loads((folder / "out/results.json").read_text()) == document
    with open(folder / "out/objects.csv", newline="") as stream:
        objects = list(csv.DictReader(stream))
    assert {o["class"] for o in objects} == {"small precipitate", "large precipitate"}
    for name in ("results.csv", "summary.csv", "failures.csv", "report.html", "run.toml"):
        assert (folder / "out" / name).stat().st_size > 0
    assert "Over all fields" in (folder / "out/report.html").read_text()


def test_a_bad_file_never_stops_the_rest_and_a_second_run_resumes(folder: Path) -> None:
    (folder / "in/bad.tif").write_bytes(b"")
    code, _, error = hea("measure", "in", "--out", "out", cwd=folder)
    assert code == 1 and "bad.tif" in error
    first = json.loads((folder / "out/results.json").read_text())
    (folder / "in/bad.tif").unlink()
    code, _, error = hea("measure", "in", "--out", "out", cwd=folder)
    assert code == 0 and "measure 1/" not in error  # nothing was left to do
    again = json.loads((folder / "out/results.json").read_text())
    assert again["results"] == first["results"]


def test_grain_numbers_and_boundary_masks_are_read_as_such(tmp_path: Path) -> None:
    grains, _ = voronoi(3, 150, (320, 320))
    write_instances(tmp_path / "grains.tif", grains, pixel_size_nm=100.0)
    mask = boundaries(grains).astype(np.uint8)
    write_labels(tmp_path / "mask.tif", Segmentation(labels=mask, classes={0: "a", 1: "b"}))
    found = {}
    for name, flags in (("grains", ()), ("boundaries", ("--pixel-size", "100"))):
        file = "grains.tif" if name == "grains" else "mask.tif"
        code, text, error = hea("measure", file, "--kind", name, *flags, "--out", name, "--json", cwd=tmp_path)
        assert code == 0, error
        found[name] = json.loads(text)["results"][0]["estimates"]["grain size number G"]["value"]
    assert found["grains"] == pytest.approx(found["boundaries"], abs=0.1)


def test_what_segment_wrote_is_read_with_its_grains(tmp_path: Path) -> None:
    grains, _ = voronoi(3, 150, (320, 320))
    labels = np.zeros(grains.shape, np.uint8)
    write_labels(tmp_path / "seg/labels/a.tif", Segmentation(labels=labels, classes=GRAINS, pixel_size_nm=100.0))
    write_instances(tmp_path / "seg/instances/a.tif", grains, pixel_size_nm=100.0)
    (tmp_path / "seg/results.json").write_text("{}")
    code, text, error = hea("measure", "seg", "--out", "out", "--json", cwd=tmp_path)
    assert code == 0, error
    (row,) = json.loads(text)["results"]
    assert row["estimates"]["grain size number G"]["unit"] == "G"


def column_picture() -> np.ndarray:
    y, x = np.mgrid[:96, :112]
    return (0.5 + 0.25 * (np.cos(2 * np.pi * x / 11.3) + np.cos(2 * np.pi * y / 12.1))).astype(np.float32)


TASKS = {
    "classical": ({}, None),
    "areas": ({0: "matrix", 1: "second phase", 2: "pore"}, lambda: precipitates(3).labels),
    "precipitates": (PRECIPITATES, lambda: precipitates(3).labels),
    "grains": (GRAINS, lambda: boundaries(voronoi(3, 20, (120, 160))[0]).astype(np.uint8)),
    "columns": ({0: "background", 1: "column"}, lambda: (column_picture() > 0.8).astype(np.uint8)),
}


@pytest.mark.parametrize("task", TASKS)
def test_what_segment_wrote_measures_as_what_segment_gave(
    tmp_path: Path, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hea_vision.report.figures.micrograph_figure", lambda *_: Figure(figsize=(1, 1)))
    monkeypatch.setattr("hea_vision.report.micrographs.to_data_uri", lambda _: "")
    classes, drawn = TASKS[task]
    grey, model = cloudy(0, (120, 160), 4.0), "classical"
    if drawn is not None:
        # A network that hesitates a little everywhere, and is sure of the drawn labels elsewhere.
        labels = drawn()
        sure = 0.7 + 0.29 * cloudy(1, labels.shape)
        p = np.repeat((1 - sure)[None] / (len(classes) - 1), len(classes), 0)
        np.put_along_axis(p, labels[None].astype(int), sure[None], 0)
        given_probabilities(monkeypatch, p)
        grey = column_picture() if task == "columns" else cloudy(0, labels.shape)
        segmenter = tiny_segmenter(5, task=task, classes=classes, field_error=dict.fromkeys(classes, 0.3))
        model = str(save_tiny(tmp_path / "model", segmenter))
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/a.tif", np.round(255 * grey).astype(np.uint8))
    flags = ("--pixel-size", "2.5", "--out", "seg", "--json")
    code, text, error = hea("segment", "in", "--model", model, *flags, cwd=tmp_path)
    assert code == 0, error
    (segmented,) = json.loads(text)["results"]
    code, text, error = hea("measure", "seg", "--out", "measured", "--json", cwd=tmp_path)
    assert code == 0, error
    (row,) = json.loads(text)["results"]
    found = hv.segment(hv.read_micrograph(tmp_path / "in/a.tif", pixel_size_nm=2.5), model)
    api = hv.measure(found)
    assert row["estimates"] == json.loads(json.dumps(to_jsonable(api.estimates))) != {}
    assert row["notes"] == list(api.notes)
    for name, size in segmented["sizes"].items():
        if name != "grain":
            assert size == row["estimates"][f"{name}: mean diameter"]
    if task in ("areas", "precipitates"):
        assert (
            len(segmented["sizes"]) == 2 and row["estimates"][f"{classes[1]}: area fraction of this field"]["std"] > 0
        )
    # One number says how sure the labels are: the mean probability of being wrong.
    assert "uncertainty" not in segmented and "mean_uncertainty" not in segmented["metadata"]
    if task == "classical":
        assert segmented["expected_wrong_share"] is None
    elif task != "precipitates":  # whose labels are not the best of each pixel
        assert segmented["expected_wrong_share"] == pytest.approx(float(np.mean(1 - sure)), rel=1e-5)


def test_results_that_are_none_of_segment_are_named(tmp_path: Path) -> None:
    write_labels(tmp_path / "seg/labels/a.tif", precipitates(0))
    (tmp_path / "seg/results.json").write_text("no JSON")
    code, _, error = hea("measure", "seg", "--out", "out", cwd=tmp_path)
    assert code == 1 and "no results of hea segment" in error


FOREIGN = {
    "a number a class": ({"small precipitate": 0.1, "large precipitate": 0.2}, True),
    "a list": ([1], True),
    "unknown keys": ({"small precipitate": {"value": 0.1, "sigma": 0.2}}, True),
    "no class": ({}, False),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_fractions_that_are_no_estimates_are_passed_over(tmp_path: Path, case: str) -> None:
    fractions, noted = FOREIGN[case]
    field = precipitates(0)
    write_labels(tmp_path / "seg/labels/a.tif", field)
    rows = [{"labels": "labels/a.tif", "fractions": fractions}, {"labels": 3, "fractions": {}}, "a row"]
    (tmp_path / "seg/results.json").write_text(json.dumps({"results": rows}))
    code, text, error = hea("measure", "seg", "--out", "out", "--json", cwd=tmp_path)
    assert code == 0, error
    (row,) = json.loads(text)["results"]
    assert row["estimates"] == json.loads(json.dumps(to_jsonable(hv.measure(field).estimates)))
    assert ("the error of its labels is not known" in row["notes"]) == noted


@pytest.mark.parametrize("written", ["[]", "3", '{"results": {"labels": 1}}'])
def test_documents_that_are_no_results_say_nothing_of_labels(tmp_path: Path, written: str) -> None:
    write_labels(tmp_path / "seg/labels/a.tif", precipitates(0))
    (tmp_path / "seg/results.json").write_text(written)
    code, _, error = hea("measure", "seg", "--out", "out", cwd=tmp_path)
    assert code == 0, error


def test_rows_are_measured_again_once_what_lies_beside_the_labels_changes(tmp_path: Path) -> None:
    fields = {name: precipitates(seed) for seed, name in enumerate("ab")}
    for name, field in fields.items():
        write_labels(tmp_path / f"seg/labels/{name}.tif", field)

    def say(**stds: float) -> None:
        rows = [
            {"labels": f"labels/{n}.tif", "fractions": {"small precipitate": said(fields[n].labels, 1, std)}}
            for n, std in stds.items()
        ]
        (tmp_path / "seg/results.json").write_text(json.dumps(to_jsonable({"results": rows})))

    def journal() -> list[str]:
        path = tmp_path / "out/journal.jsonl"
        return [Path(json.loads(line)["input"]).stem for line in path.read_text().splitlines()] if path.exists() else []

    def again() -> tuple[list[str], list[dict]]:
        before = len(journal())
        code, text, error = hea("measure", "seg", "--out", "out", "--json", cwd=tmp_path)
        assert code == 0, error
        return journal()[before:], json.loads(text)["results"]

    say(a=0.02, b=0.02)
    assert again()[0] == ["a", "b"] and again()[0] == []
    say(a=0.02, b=0.03)
    done, rows = again()
    name = "small precipitate: area fraction of this field"
    assert done == ["b"] and [row["estimates"][name]["std"] for row in rows] == [0.02, 0.03]
    write_instances(tmp_path / "seg/instances/a.tif", (fields["a"].labels > 0).astype(int))
    assert again()[0] == ["a"]
    (tmp_path / "seg/objects").mkdir()
    (tmp_path / "seg/objects/b.csv").write_text("input\n")
    assert again()[0] == ["b"] and again()[0] == []


def test_a_folder_for_tables_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    write_labels(tmp_path / "seg/labels/a.tif", precipitates(0))
    (tmp_path / "seg/results.json").write_text("{}")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/measured").write_text("a file")
    code, _, error = hea("measure", "seg", "--out", "out", cwd=tmp_path)
    assert code == 2 and "wanted a writable --out folder" in error and error.count("\n") == 1


def test_rows_of_an_earlier_form_are_not_taken_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for form, lines in ((1, 3), (1, 3), (2, 6)):
        monkeypatch.setattr("hea_vision.measurement.measure_files.MEASURE_ROWS", form)
        code, _, error = hea("measure", "in", "--out", "out", cwd=folder)
        assert code == 0, error
        assert len((folder / "out/journal.jsonl").read_text().splitlines()) == lines
    # The number is one of the key alone: settings that were written can be given back.
    code, _, error = hea("measure", "in", "--out", "again", "--config", "out/run.toml", cwd=folder)
    assert code == 0, error


def test_a_wrong_call_says_so(folder: Path) -> None:
    for flags in (("--pattern", "spiral"), ("--kind", "clouds"), ("--pixel-size", "-1")):
        code, _, error = hea("measure", "in", "--out", "out", *flags, cwd=folder)
        assert code == 2 and error.count("\n") == 1
