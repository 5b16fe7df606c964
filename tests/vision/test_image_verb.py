"""`hea image`: pictures of structures and of microstructures, with their truth."""

import csv
import json

import numpy as np
import pytest
from ase.build import bulk
from typer.testing import CliRunner

from hea_vision.cli.app import app
from hea_vision.io import read_labels, read_micrograph


def hea(*words):
    return CliRunner().invoke(app, [str(w) for w in words])


def test_a_structure_becomes_columns_at_their_places(tmp_path):
    atoms = bulk("W", "bcc", a=3.165, cubic=True).repeat((6, 6, 4))
    atoms.write(tmp_path / "cell.extxyz")
    done = hea("image", tmp_path / "cell.extxyz", "--pixel-size", 0.02, "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    row = json.loads(done.stdout)["results"][0]
    assert read_micrograph(tmp_path / "out" / row["image"]).pixel_size_nm == pytest.approx(0.02, rel=1e-4)
    with open(tmp_path / "out" / row["points"], newline="") as stream:
        places = np.array([[float(p["row_px"]), float(p["column_px"])] for p in csv.DictReader(stream)])
    assert len(places) == 72
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    apart[apart == 0] = np.inf
    # Seen along [001], bcc columns lie a / sqrt(2) apart.
    np.testing.assert_allclose(apart.min(1), 0.3165 / np.sqrt(2) / 0.02, rtol=1e-6)


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
