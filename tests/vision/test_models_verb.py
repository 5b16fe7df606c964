"""What `hea models list` and `hea models show` print of potentials: cards with tables of errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hea_sim.errors import UnknownNameError
from hea_sim.potentials.fitting.families import model_arrays
from hea_sim.potentials.mtp import new_mtp
from hea_sim.registry import cards
from hea_sim.registry.cards import DataSource, ModelCard, Score, save_model
from hea_vision.cli import registry_verbs

ROW = {
    "group": "all", "n_structures": 376, "n_atoms": 10448, "energy_mae_meV_per_atom": 3.14159,
    "energy_rmse_meV_per_atom": 4.0, "force_mae_eV_per_A": 0.07654, "force_rmse_eV_per_A": 0.12,
    "force_mae_moving_eV_per_A": None, "force_rmse_moving_eV_per_A": None, "n_zero_force": 0, "stress_mae_GPa": None,
    "stress_rmse_GPa": None,
}  # fmt: skip
ERRORS = {"test": [ROW, ROW | {"group": "NbMo_Test", "n_structures": 40}], "train": [ROW | {"n_structures": 5282}]}


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """Ship one potential instead of the real models."""
    model = new_mtp(("Nb", "Mo"), 6, 4.5, 4, seed=1)
    arrays, settings = model_arrays(model, None)
    card = ModelCard(
        name="nbmotaw-mtp",
        kind="potential",
        elements=model.elements,
        data=(DataSource(name="random", source="numbers", licence="none"),),
        scores={"force_mae": Score(value=0.07654, unit="eV/A", n=376, how="test structures")},
        seeds={"fit": 1},
        remake="see the test",
        licence="GPL-3.0-or-later",
        citation="none",
        notes=("for a test",),
        settings={**settings, "errors": ERRORS, "element_energies_eV": {"Nb": -10.09499, "Mo": -10.8483}},
    )
    save_model(tmp_path / "nbmotaw-mtp", card, arrays)
    monkeypatch.setattr(cards, "MODELS", tmp_path)
    return tmp_path


def test_json_holds_the_whole_card(shipped, capsys):
    assert registry_verbs.models_list(json=True) == 0
    (listed,) = json.loads(capsys.readouterr().out)["results"]
    assert registry_verbs.models_show("nbmotaw-mtp", json=True) == 0
    (shown,) = json.loads(capsys.readouterr().out)["results"]
    assert listed == shown and shown["settings"]["errors"] == ERRORS and len(shown["arrays_sha256"]) == 64
    assert shown["settings"]["element_energies_eV"] == {"Nb": -10.09499, "Mo": -10.8483}


def test_text_shows_errors_by_group_and_leaves_out_what_is_not_there(shipped, capsys):
    assert registry_verbs.models_show("nbmotaw-mtp", json=False) == 0
    out = capsys.readouterr().out
    for text in ("errors, test", "errors, train", "NbMo_Test", "3.14", "0.077", "-10.09499", "for a test", "E RMSE"):
        assert text in out
    assert "stress MAE" not in out and "F MAE moving" not in out  # no frame has any
    assert not any(line.startswith("{") for line in out.splitlines())


def test_a_set_of_elements_shows_the_recommended_potential(shipped, capsys):
    assert registry_verbs.models_show("NbMoTaW", json=True) == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out)["results"][0]["name"] == "nbmotaw-mtp"
    assert streams.err == "hea: 'NbMoTaW': showing nbmotaw-mtp, the recommended potential\n"
    with pytest.raises(UnknownNameError, match="Known: nbmotaw-mtp"):
        registry_verbs.models_show("cu", json=False)


@pytest.mark.parametrize("settings", [{}, {"errors": []}, {"errors": {"test": "none"}}, {"errors": {"test": []}}])
def test_cards_without_such_tables_are_shown_too(shipped, capsys, settings):
    card = json.loads((shipped / "nbmotaw-mtp/card.json").read_text())
    card["settings"] = settings
    (shipped / "nbmotaw-mtp/card.json").write_text(json.dumps(card))
    assert registry_verbs.models_show("nbmotaw-mtp", json=False) == 0
    out = capsys.readouterr().out
    assert "force_mae" in out and "errors, " not in out
