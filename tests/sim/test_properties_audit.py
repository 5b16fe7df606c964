"""The audit of a table finds the sins that were put into it, and none in a clean one."""

import csv
import json

import numpy as np
import pytest

from hea_sim.properties.data_audit import audit_table
from hea_sim.properties.tables.user_files import Columns, read_user_table

ELEMENTS = ("Al", "Co", "Cr", "Cu", "Fe", "Hf", "Mn", "Mo", "Nb", "Ni", "Ta", "Ti", "V", "W", "Zr")


def lines_of(x, labels, papers=None):
    made = []
    for k, (row, label) in enumerate(zip(x, labels)):
        formula = "".join(f"{e}{100 * f:.4f}" for e, f in zip(ELEMENTS, row) if f > 0)
        made.append(f"{formula},{label},{'' if papers is None else papers[k]}")
    return made


def random_alloys(n, seed=0):
    """Draw alloys of four to six elements, far apart."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n, len(ELEMENTS)))
    for row in x:
        held = rng.choice(len(ELEMENTS), rng.integers(4, 7), replace=False)
        row[held] = rng.dirichlet(np.full(len(held), 5.0))
    return x


def audited(tmp_path, lines, **columns):
    path = tmp_path / "alloys.csv"
    path.write_text("formula,phase,doi\n" + "\n".join(lines) + "\n")
    read = read_user_table(path, Columns(target="phase", **columns))
    return audit_table(read.table, numbers=read.lines, unreadable=read.unreadable)


def checks(found):
    return {finding.check: finding for finding in found.findings}


def test_a_clean_table_is_clean(tmp_path):
    rng = np.random.default_rng(1)
    x = random_alloys(200)
    found = audited(tmp_path, lines_of(x, rng.choice(["BCC", "FCC"], 200), rng.integers(40, size=200)), paper="doi")
    assert found.findings == () and found.worst == "note" and found.noise is None
    assert found.n_rows == found.n_clusters == 200 and found.n_papers == 40
    assert {s.split for s in found.splits} == {"rows", "random", "family", "paper"}
    assert all(s.twin_in_training == 0 for s in found.splits)


def test_twins_and_contradictions_are_counted(tmp_path):
    x = np.repeat(random_alloys(60), 2, axis=0)
    x[1::2] += 1e-4 * (x[1::2] > 0)  # another rounding
    x /= x.sum(1, keepdims=True)
    labels = np.tile(["BCC", "FCC"], 60)
    labels[: 2 * 45] = np.repeat(["BCC", "FCC", "multi"], 30)  # 15 pairs keep contradicting labels
    order = np.random.default_rng(3).permutation(120)
    found = audited(tmp_path, lines_of(x[order], labels[order]))
    assert found.n_clusters == 60
    told = checks(found)
    assert told["near-duplicates"].count == 60 and "60 of them at another rounding" in told["near-duplicates"].text
    assert told["contradictory labels"].count == 30
    assert found.noise == pytest.approx(15 / 60)
    by_split = {s.split: s for s in found.splits}
    # a twin is missed by training only if both stand on one fold: 23 of 119
    assert by_split["rows"].twin_in_training == pytest.approx(1 - 23 / 119, abs=0.1)
    assert by_split["random"].twin_in_training == by_split["family"].family_in_training == 0
    assert "leakage" in told and told["sources"].severity == "note"


def test_a_list_that_was_entered_twice_is_found(tmp_path):
    x = random_alloys(300, seed=5)
    copied = np.concatenate([x, x[40:140] + 1e-4 * (x[40:140] > 0)])
    found = audited(tmp_path, lines_of(copied, ["BCC", "FCC"] * 200))
    told = checks(found)["copied lists"]
    assert told.severity == "error" and found.worst == "error"
    assert 95 <= told.count <= 100 and "in 1 runs" in told.text
    assert abs(told.rows[0] - (40 + 2)) <= 25  # line 1 is the header


def test_a_sputtered_library_is_found(tmp_path):
    rng = np.random.default_rng(2)
    x = random_alloys(250, seed=7)
    x[100:230] = 0
    x[100:230, :5] = rng.dirichlet(np.ones(5), 130)
    found = audited(tmp_path, lines_of(x, ["BCC", "FCC"] * 125))
    told = checks(found)["composition library"]
    assert told.count == 130 and "Al-Co-Cr-Cu-Fe" in told.text and told.rows == (102,)


def test_noise_and_copying_of_numbers(tmp_path):
    x = np.repeat(random_alloys(60), 2, axis=0)
    values = np.repeat(np.random.default_rng(0).uniform(200, 800, 60), 2)
    values[1::2] += 20
    path = tmp_path / "t.csv"
    path.write_text("formula,h\n" + "\n".join(line.rstrip(",") for line in lines_of(x, values)) + "\n")
    read = read_user_table(path, Columns(target="h", unit="HV"))
    found = audit_table(read.table)
    assert found.noise == pytest.approx(10) and found.unit == "HV" and found.classes == {}
    by_split = {s.split: s for s in found.splits}
    assert by_split["rows"].copying < by_split["random"].copying  # a twin is 20 HV away, a stranger hundreds


def test_few_rows_give_no_splits(tmp_path):
    found = audited(tmp_path, lines_of(random_alloys(5), ["BCC", "FCC", "BCC", "FCC", "FCC"]))
    assert found.splits == () and found.n_rows == 5
    assert "no split is made" in checks(found)["few rows"].text


def test_classes_that_differ_in_capitals_are_told(tmp_path):
    found = audited(tmp_path, lines_of(random_alloys(30), ["BCC", "bcc", "FCC"] * 10))
    assert checks(found)["spelling"].count == 20 and "BCC, bcc" in checks(found)["spelling"].text


def test_one_class_is_an_error(tmp_path):
    found = audited(tmp_path, lines_of(random_alloys(30), ["BCC"] * 30))
    assert found.worst == "error" and checks(found)["one class"].count == 30


def test_the_verb_writes_groups_and_says_what_is_wrong(tmp_path, capsys):
    from typer.testing import CliRunner

    from hea_vision.cli.app import app

    x = np.repeat(random_alloys(80), 2, axis=0)
    path = tmp_path / "mine.csv"
    path.write_text("formula,phase,doi\n" + "\n".join([*lines_of(x, ["BCC", "FCC"] * 80), "NbQq,BCC,"]) + "\n")
    run = CliRunner().invoke(
        app, ["data", "audit", str(path), "--target", "phase", "--out", str(tmp_path / "o"), "--json"]
    )
    told = json.loads(run.stdout)
    assert run.exit_code == 0 and told["results"][0]["n_clusters"] == 80
    assert {f["check"] for f in told["results"][0]["findings"]} >= {"unreadable", "near-duplicates", "leakage"}
    with (tmp_path / "o" / "groups.csv").open() as stream:
        groups = list(csv.DictReader(stream))
    assert len(groups) == 160 and groups[0]["line"] == "2"
    for column in ("fold_random", "fold_family"):
        assert len({(g["cluster"], g[column]) for g in groups}) == 80
    assert json.loads((tmp_path / "o" / "results.json").read_text())["results"] == told["results"]
    plain = CliRunner().invoke(app, ["data", "audit", str(path), "--target", "phase"])
    assert "twin in training" in plain.stdout and "80 alloys apart by 0.4 at.%" in plain.stdout


def test_the_verb_asks_for_the_target(tmp_path):
    from typer.testing import CliRunner

    from hea_sim.errors import InputError
    from hea_vision.cli.app import app

    path = tmp_path / "mine.csv"
    path.write_text("formula,phase\nNbMo,BCC\n")
    run = CliRunner().invoke(app, ["data", "audit", str(path)])
    assert isinstance(run.exception, InputError) and "--target" in str(run.exception)


@pytest.mark.parametrize("names", [["mine.xlsx"], ["one.csv", "two.csv"]])
def test_the_verb_takes_one_table_as_csv(tmp_path, names):
    from typer.testing import CliRunner

    from hea_sim.errors import InputError
    from hea_vision.cli.app import app

    paths = [str(tmp_path / name) for name in names]
    run = CliRunner().invoke(app, ["data", "audit", *paths, "--target", "phase"])
    assert isinstance(run.exception, InputError) and "save a sheet as CSV" in str(run.exception)
