"""`hea image`: pictures of structures and of microstructures, with their truth."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from typer.testing import CliRunner

import hea_vision as hv
from hea_sim.documents import to_jsonable
from hea_sim.microscopy.random_fields import KINDS, draw_field
from hea_sim.records import Estimate, Segmentation
from hea_vision.cli.app import app
from hea_vision.io import read_labels, read_micrograph
from hea_vision.segmentation.pairs import read_pairs

SMALL = (192, 256)


def hea(*words):
    return CliRunner().invoke(app, [str(w) for w in words])


def test_a_structure_becomes_columns_at_their_places(tmp_path):
    atoms = bulk("W", "bcc", a=3.165, cubic=True).repeat((6, 6, 4))
    atoms.write(tmp_path / "cell.extxyz")
    done = hea("image", tmp_path / "cell.extxyz", "--pixel-size", 0.02, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    row = json.loads(done.stdout)["results"][0]
    assert read_micrograph(tmp_path / "out" / row["image"]).pixel_size_nm == pytest.approx(0.02, rel=1e-4)
    with open(tmp_path / "out" / row["object_table"], newline="") as stream:
        places = np.array([[float(p["row"]), float(p["column"])] for p in csv.DictReader(stream)])
    assert len(places) == 72
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    apart[apart == 0] = np.inf
    # Seen along [001], bcc columns lie a / sqrt(2) apart.
    np.testing.assert_allclose(apart.min(1), 0.3165 / np.sqrt(2) / 0.02, rtol=1e-6)
    measured = measure(tmp_path / "out", tmp_path / "measured")[0]["estimates"]
    for name in ("lattice vector a1", "lattice vector a2"):
        assert (
            measured[name]["value"] == pytest.approx(0.3165 / np.sqrt(2), rel=1e-6) and measured[name]["unit"] == "nm"
        )
    assert measured["lattice angle"]["value"] == pytest.approx(90, abs=1e-4)


def measure(folder, out):
    done = hea("measure", folder, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["results"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_drawn_is_measured_as_it_is(kind, tmp_path):
    """The files say what the truth in memory says: labels, numbers of objects, columns, pixel size."""
    words = ("--pixel-size", 7.3, "--count", 2, "--seed", 3, "--config", small(tmp_path), "--json")
    done = hea("image", kind, *words, "--out", tmp_path / "drawn")
    assert done.exit_code == 0, done.output
    rows, found = json.loads(done.stdout)["results"], measure(tmp_path / "drawn", tmp_path / "measured")
    assert [Path(row["input"]).relative_to(tmp_path / "drawn").as_posix() for row in found] == [
        row["labels"] for row in rows
    ]
    for number, (drawn, row) in enumerate(zip(rows, found)):
        truth = draw_field(kind, np.random.default_rng([3, number]), SMALL, pixel_size_nm=7.3)
        assert ("instances" in drawn, "object_table" in drawn) == (
            truth.instances is not None,
            truth.points is not None,
        )
        wanted = hv.measure(
            Segmentation(
                labels=truth.labels,
                classes=dict(truth.classes),
                pixel_size_nm=7.3,
                instances=truth.instances,
                points=truth.points,
                fractions={name: Estimate(**e) for name, e in drawn["fractions"].items()},
            )
        )
        assert row["pixel_size_nm"] == 7.3 and row["notes"] == list(wanted.notes)
        assert row["estimates"] == to_jsonable(wanted.estimates) and len(row["estimates"]) > 3
        for name, exact in drawn["fractions"].items():
            assert (exact["value"], exact["std"]) == (truth.area_fraction(name), 0.0)


def test_truth_beside_pictures_is_no_picture(tmp_path):
    hea("image", "grains", "--pixel-size", 10, "--count", 2, "--out", tmp_path / "drawn", "--config", small(tmp_path))
    pictures = {"grains_000.tif", "grains_001.tif"}
    assert {p.name for p in (tmp_path / "drawn").rglob("*.tif") if p.parent.name == "instances"} == pictures
    assert set(read_pairs(tmp_path / "drawn", tmp_path / "drawn/labels")) == {"grains_000", "grains_001"}
    done = hea("segment", tmp_path / "drawn", "--out", tmp_path / "found", "--json")
    assert {Path(row["input"]) for row in json.loads(done.stdout)["results"]} == {
        tmp_path / "drawn" / p for p in pictures
    }


def small(folder):
    (folder / "small.toml").write_text(f"shape = {list(SMALL)}\n")
    return folder / "small.toml"


def test_kinds_are_drawn_with_labels_and_the_seed_redraws_them(tmp_path):
    for place in ("a", "b"):
        done = hea("image", "precipitates", "--pixel-size", 10, "--count", 2, "--seed", 5, "--out", tmp_path / place)
        assert done.exit_code == 0, done.output
    first = read_micrograph(tmp_path / "a" / "precipitates_001.tif")
    np.testing.assert_array_equal(first.image, read_micrograph(tmp_path / "b" / "precipitates_001.tif").image)
    labels = read_labels(tmp_path / "a" / "labels" / "precipitates_001.tif")
    assert labels.labels.shape == first.image.shape and labels.classes[0] == "matrix"


@pytest.mark.parametrize(
    ("words", "said"),
    [(["precipitates"], "pixel_size_nm"), (["nothing.xyz", "--pixel-size", "1"], "the kinds are")],
)
def test_a_wrong_call_says_what_is_wanted(words, said, tmp_path):
    done = hea("image", *words, "--out", tmp_path / "out")
    assert done.exception is not None and said in str(done.exception)
