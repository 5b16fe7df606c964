"""The loop with a potential: what it takes from it, what it says of it, what it refuses."""

from __future__ import annotations

import html
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

import hea_vision as hv
from hea_sim.errors import InputError, MissingFileError, UnknownNameError
from hea_sim.potentials.eam_files import write_setfl
from hea_sim.potentials.zhou import zhou_tables
from hea_sim.settings import check_settings
from hea_vision.campaign import Campaign, read_campaign
from hea_vision.cli import main
from hea_vision.expectations import campaign_potential, predict
from hea_vision.loop import LoopResult
from hea_vision.report.text import format_estimate

CAMPAIGN = """
name = "test"
alloy = "MoTa"
processing = "none"
equilibration_temperature_K = 1500
measurement_temperature_K = 298
cell_size = 4
controls = ["MoTa2", "NbTaTi"]
potential = "MoTa.eam.alloy"

[[micrograph]]
file = "sem.tif"
"""


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a campaign that brings its own potential."""
    folder = tmp_path_factory.mktemp("campaign")
    shutil.copy(root / "sample_data/nbmotaw/sem.tif", folder)
    write_setfl(zhou_tables(["Mo", "Ta"]), folder / "MoTa.eam.alloy")
    (folder / "campaign.toml").write_text(CAMPAIGN)
    return folder


@pytest.fixture(scope="module")
def out(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[LoopResult, Path]:
    out = tmp_path_factory.mktemp("out")
    return hv.run_loop(folder, out), out


def test_the_forecast_is_that_of_the_relaxed_cells(out: tuple[LoopResult, Path]) -> None:
    result, _ = out
    assert result.expected is not None and result.expected.mechanics is not None
    assert result.expected.mechanics.elastic is not None
    like, other = result.alternatives
    # a control that the potential knows is treated like the alloy; another is not, and does not stop the loop
    assert like.mechanics is not None and like.mechanics.elastic is None
    assert other.mechanics is None and other.volume_source == "random alloy, nbmotativ-pairs"
    assert not result.failures


def test_the_page_shows_the_simulated_cell(out: tuple[LoopResult, Path]) -> None:
    result, folder = out
    assert result.expected is not None and result.expected.mechanics is not None
    page = (folder / "report.html").read_text()
    section = page.split("<h2>Simulated cell</h2>")[1].split("<h2>")[0]
    text = html.unescape(re.sub(r"<[^>]+>", " ", section))
    for words in ("C11", "C12", "C44", "Young", "shear modulus", "energy of mixing", "meV/atom", "GPa", "0 K"):
        assert words in text
    assert result.expected.mechanics.elastic is not None
    assert format_estimate(result.expected.mechanics.elastic.C11) in text
    assert "MoTa.eam.alloy" in text and result.potential is not None
    assert result.potential.record.sha256["MoTa.eam.alloy"] in text
    assert "without it (simulated cell, nbmotaw-pairs)" in text and "own error is not known" in text


def test_the_document_carries_the_same(out: tuple[LoopResult, Path]) -> None:
    result, folder = out
    assert result.expected is not None and result.expected.mechanics is not None
    document = json.loads((folder / "results.json").read_text())
    mechanics, potential = document["forecast"]["mechanics"], document["forecast"]["potential"]
    assert mechanics["lattice_A"]["value"] == result.expected.mechanics.lattice_A.value
    assert mechanics["elastic"]["C11"]["unit"] == "GPa" and mechanics["moduli"]["young_GPa"]["std"] > 0
    assert potential["sha256"].items() <= document["provenance"]["model_sha256"].items()
    assert "MoTa.eam.alloy" in document["provenance"]["input_sha256"]
    assert "MoTa.eam.alloy" not in " ".join(document["unchecked"])
    assert document["provenance"]["settings"]["potential"] == "MoTa.eam.alloy"


def test_the_shell_says_the_same(
    out: tuple[LoopResult, Path],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--potential` wins over the campaign; the same name then gives the same numbers."""
    other = tmp_path / "other.toml"
    other.write_text((folder / "campaign.toml").read_text().replace('"MoTa.eam.alloy"', '"none"'))
    flags = ["--config", str(other), "--potential", "MoTa.eam.alloy", "--json"]
    monkeypatch.setattr(sys, "argv", ["hea", "loop", str(folder), "--out", str(tmp_path / "o"), *flags])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    printed, written = json.loads(capsys.readouterr().out), json.loads((out[1] / "results.json").read_text())
    assert printed["forecast"] == written["forecast"]
    assert printed["provenance"]["settings"] == written["provenance"]["settings"]


def test_run_toml_repeats_the_choice(out: tuple[LoopResult, Path], folder: Path) -> None:
    assert read_campaign(folder, out[1] / "run.toml").potential == "MoTa.eam.alloy"


def settings(**change: object) -> Campaign:
    good = {"name": "x", "alloy": "NbMoTa", "processing": "p"}
    kelvin = {"equilibration_temperature_K": 1500.0, "measurement_temperature_K": 298.0}
    return check_settings(Campaign, {**good, **kelvin, **change}, "campaign.toml")


def test_a_missing_element_stops_the_loop_before_it_begins(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "campaign.toml").write_text(CAMPAIGN.replace('alloy = "MoTa"', 'alloy = "NbMoTa"'))
    shutil.copy(folder / "MoTa.eam.alloy", tmp_path)
    said: list[str] = []
    with pytest.raises(InputError, match=r"potential MoTa.* has no Nb"):
        hv.run_loop(tmp_path, say=said.append)
    assert not said


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"potential": "nbmotow"}, UnknownNameError, "nbmotow"),
        ({"potential": "absent.eam.alloy"}, MissingFileError, "absent"),
        ({"potential": "zhou-eam"}, UnknownNameError, "Nb"),
    ],
)
def test_a_wrong_potential_is_named(
    change: dict[str, object], error: type[Exception], says: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=says):
        campaign_potential(settings(**change), tmp_path)


def test_wrong_keys_name_the_mend() -> None:
    with pytest.raises(InputError, match="add potential_species"):
        settings(potential="quaternary.mtp")
    with pytest.raises(InputError, match=r"potential_species.*no element"):
        settings(potential="quaternary.mtp", potential_species=["Nb", "Xx"])
    assert settings(potential="quaternary.mtp", potential_species=["Nb", "Mo"]).potential_species == ("Nb", "Mo")
    with pytest.raises(InputError, match="did you mean 'potential'"):
        settings(potental="none")


def test_none_leaves_it_out_and_recommended_says_where_none_is_shipped(tmp_path: Path) -> None:
    for potential, said in (("none", False), ("recommended", True)):
        campaign = settings(alloy="NbTaTi", cell_size=4, potential=potential)
        result = LoopResult(campaign=campaign, folder=tmp_path, potential=campaign_potential(campaign, tmp_path))
        predict(result)
        assert result.potential is None and result.expected is not None and result.expected.mechanics is None
        assert any("no potential is shipped" in note for note in result.expected.notes) is said
