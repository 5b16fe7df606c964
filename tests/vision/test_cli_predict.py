"""`hea predict`: the document, what is left out, tables, maps, and calls that are wrong."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from hea_sim.properties.contract import FAMILIES, STRUCTURES
from hea_vision.report.alloy_maps import barycentric_grid


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


def test_the_document_keeps_its_contract(tmp_path: Path) -> None:
    asked = ("Al0.5CoCrFeNi", "CoCrTe", "NbMoTaW")
    run = hea("predict", *asked, "--temperature-K", "1273", "--processing", "cast", "--json", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    content = json.loads(run.stdout)
    assert list(content) == ["schema", "results", "failures", "provenance"]
    assert [row["input"] for row in content["results"]] == list(asked)
    told, refused, _ = content["results"]
    assert told["in_domain"] and set(told["structure"]["probabilities"]) == set(STRUCTURES)
    assert set(told["family"]["probabilities"]) == set(FAMILIES)
    assert told["structure"]["prediction_set"] and set(told["structure"]["prediction_set"]) <= set(STRUCTURES)
    assert sum(told["composition"].values()) == pytest.approx(1)
    for name in ("hardness_HV", "yield_strength_MPa"):
        number = told["properties"][name]
        assert number["low"] <= number["value"] <= number["high"] and number["level"] == 0.9
    assert told["leans_on"] and {"formula", "distance", "reported", "source"} <= set(told["leans_on"][0])
    assert not refused["in_domain"] and refused["structure"] is None and "Te" in refused["reasons"][0]
    assert content["provenance"]["settings"]["temperature_K"] == 1273


def test_what_is_excluded_is_forgotten(tmp_path: Path) -> None:
    nearest = {}
    for name, more in (("known", ()), ("forgotten", ("--exclude", "CoCrFeMnNi,NbMoTaW"))):
        run = hea("predict", "CoCrFeMnNi", "NbMoTaW", "--json", *more, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        nearest[name] = [min(k["distance"] for k in row["leans_on"]) for row in json.loads(run.stdout)["results"]]
    assert max(nearest["known"]) <= 0.004 < min(nearest["forgotten"])


def test_a_table_of_compositions(tmp_path: Path) -> None:
    (tmp_path / "alloys.csv").write_text("name,composition\na,CoCrNi\nb,CoCrNiNi\nc,NbMoTaTi\nd,CoCrTe\n")
    run = hea("predict", "--table", "alloys.csv", "--out", "o", cwd=tmp_path)
    assert run.returncode == 1 and "Ni stands there more than once" in run.stderr
    with (tmp_path / "o/predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["input"] for row in rows] == ["CoCrNi", "NbMoTaTi", "CoCrTe"]
    assert [row["in_domain"] for row in rows] == ["1", "1", "0"]
    assert float(rows[0]["p_FCC"]) > 0.5 and rows[0]["structure_set"] and rows[2]["p_FCC"] == ""
    assert json.loads((tmp_path / "o/results.json").read_text())["results"][0]["alloys"] == 3
    assert "Te" in rows[2]["notes"] and rows[0]["notes"] == ""


def test_a_table_may_tell_processing_and_temperature(tmp_path: Path) -> None:
    (tmp_path / "alloys.csv").write_text(
        "Composition,Temperature_K,processing\nNbMoTaW,1273,cast\nNbMoTaW,,\nNbMoTaW,3000,\n"
    )
    run = hea("predict", "Nb0.3Mo0.3Ta0.3", "--table", "alloys.csv", "--out", "o", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    with (tmp_path / "o/predictions.csv").open(newline="") as stream:
        mended, hot, room, far = csv.DictReader(stream)
    assert "normalised" in mended["notes"]
    assert float(hot["yield_strength_MPa"]) < 0.8 * float(room["yield_strength_MPa"])
    assert far["yield_strength_MPa"] == "" and (hot["temperature_K"], room["processing"]) == ("1273", "other")
    for text, says in (("-3,", "kelvin above zero"), ("300,fried", "wanted one of cast")):
        (tmp_path / "bad.csv").write_text(f"composition,temperature_K,processing\nNbMoTaW,{text}\n")
        run = hea("predict", "--table", "bad.csv", "--out", "o", cwd=tmp_path)
        assert run.returncode == 2 and says in run.stderr and "line 2" in run.stderr


@pytest.mark.parametrize(("elements", "corners"), [("Al-Co-Ni", 3), ("Al,Co,Cr,Ni", 0)])
def test_maps_are_pictures_with_their_numbers(tmp_path: Path, elements: str, corners: int) -> None:
    with mock.patch.multiple("hea_vision.report.alloy_maps", TERNARY_STEPS=8, SLICE_STEPS=5):
        run = hea("predict", "--map", elements, "--out", "o", "--json", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "o/map.png").read_bytes()[:4] == b"\x89PNG"
    with (tmp_path / "o/map.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    inside = [row for row in rows if row["in_domain"] == "1"]
    assert len(rows) - len(inside) == corners  # one element alone is refused; slices of four have none
    assert all(abs(sum(float(row[f"p_{c}"]) for c in STRUCTURES) - 1) < 1e-3 for row in inside)


def test_intervals_of_a_map_hold_at_the_level_asked_for(tmp_path: Path) -> None:
    widths = {}
    for level in (0.6, 0.95):
        with mock.patch.multiple("hea_vision.report.alloy_maps", TERNARY_STEPS=5):
            run = hea("predict", "--map", "Co-Cr-Ni", "--level", level, "--out", f"o{level}", cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        with (tmp_path / f"o{level}/map.csv").open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["hardness_HV"]]
        widths[level] = np.mean([float(row["hardness_HV_high"]) - float(row["hardness_HV_low"]) for row in rows])
    assert widths[0.95] > 1.5 * widths[0.6]


def test_a_grid_of_three_holds_every_step_once() -> None:
    grid = barycentric_grid(10)
    assert len(grid) == 66 == len(np.unique(grid.round(6), axis=0))
    np.testing.assert_allclose(grid.sum(1), 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "no alloy given"),
        (("Fe",), "one element alone"),
        (("CoCrNiCo",), "more than once"),
        (("CoCrQq",), "no element"),
        (("CoCrNi", "--level", "2"), "wanted a probability"),
        (("CoCrNi", "--processing", "fried"), "wanted one of cast"),
        (("CoCrNi", "--temperature-K", "-3"), "kelvin"),
        (("--table", "none.csv", "--out", "o"), "no such file"),
        (("--table", "none.csv"), "--out"),
        (("--table", "empty.csv", "--out", "o"), "the table is empty"),
        (("--table", "other.csv", "--out", "o"), "no column composition"),
        (("--map", "Co-Cr", "--out", "o"), "three or four"),
        (("NbMoTa", "--map", "Co-Cr-Ni", "--out", "o"), "wanted one of them"),
    ],
)
def test_wrong_calls_say_so_in_one_line(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    (tmp_path / "empty.csv").write_text("composition\n")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    run = hea("predict", *arguments, cwd=tmp_path)
    assert run.returncode == 2 and says in run.stderr and run.stderr.count("\n") == 1, run.stderr
    assert "Traceback" not in run.stderr


def test_amounts_that_were_mended_are_noted(tmp_path: Path) -> None:
    run = hea("predict", "Co0.3Cr0.3Ni0.3", "--json", cwd=tmp_path)
    (row,) = json.loads(run.stdout)["results"]
    assert any("normalised" in note for note in row["notes"])
