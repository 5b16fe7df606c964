from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from hea_sim.diffraction.radiation import radiation
from hea_sim.errors import InputError
from hea_sim.records import Pattern
from hea_sim.registry import load_card
from hea_vision.xrd import training
from hea_vision.xrd.encoding import CHANNELS, GRID_POINTS, LN_Q, encode_lines, encode_pattern
from hea_vision.xrd.fast_mode import propose_phases
from hea_vision.xrd.lines import find_lines
from hea_vision.xrd.network import OUTPUTS, PhaseProposer
from hea_vision.xrd.proposals import PROPOSER, load_proposer, log_odds
from hea_vision.xrd.training import TrainingSettings, make_example, train_proposer

from .patterns import mixture


def _encoded(a: float, tube: str = "CuKa") -> np.ndarray:
    limits = (12.0, 60.0) if tube == "MoKa" else (25.0, 140.0)
    pattern = mixture({"A1": ("CoCrFeNi", a, 1.0)}, tube=tube, limits=limits, displacement_deg=0.0)
    return encode_lines(find_lines(pattern, radiation(tube))).channels


def test_a_larger_lattice_is_a_shift_of_the_encoding() -> None:
    one, two = _encoded(3.50)[0], _encoded(3.60)[0]
    steps = np.log(3.60 / 3.50) / (LN_Q[1] - LN_Q[0])
    correlation = [float(one[100:1800] @ np.roll(two, k)[100:1800]) for k in range(60)]
    assert abs(int(np.argmax(correlation)) - steps) < 2


def test_two_tubes_see_one_lattice_at_one_place() -> None:
    copper, molybdenum = _encoded(3.59), _encoded(3.59, "MoKa")
    both = (copper[2] > 0) & (molybdenum[2] > 0)
    peak = [int(np.argmax(channels[0] * both)) for channels in (copper, molybdenum)]
    assert abs(peak[0] - peak[1]) <= 3


def test_encoding_does_not_depend_on_the_unit_of_intensity() -> None:
    x = np.linspace(20.0, 100.0, 4000)
    y = 100 + 1000 * np.exp(-(((x - 44.0) / 0.2) ** 2))
    background, noise = np.full_like(x, 100.0), np.sqrt(y)
    one = encode_pattern(x, y, background, noise, radiation("CuKa"))
    two = encode_pattern(x, 1e-3 * y, 1e-3 * background, 1e-3 * noise, radiation("CuKa"))
    assert np.allclose(one.channels, two.channels, atol=1e-6) and np.allclose(one.scalars, two.scalars, atol=1e-6)
    assert one.channels.shape == (len(CHANNELS), GRID_POINTS)


def test_examples_are_the_same_for_the_same_number_and_differ_otherwise() -> None:
    one, two, other = make_example(0, 5), make_example(0, 5), make_example(0, 6)
    assert np.array_equal(one.encoded.channels, two.encoded.channels)
    assert not np.array_equal(one.encoded.channels, other.encoded.channels)
    assert one.target.shape == one.weight.shape == (len(OUTPUTS),)


def test_training_goes_on_after_a_stop_as_if_there_had_been_none(tmp_path: Path) -> None:
    def settings(patterns: int, report: int) -> TrainingSettings:
        return TrainingSettings(patterns=patterns, batch=8, held_out=8, report_every=report, workers=0)

    whole = train_proposer(tmp_path / "whole", settings(24, 8), say=lambda _: None)

    class Killed(Exception):
        pass

    reports = []

    def stop_after_one(line: str) -> None:
        reports.append(line)
        if len(reports) == 2:  # the first report is saved by now
            raise Killed

    with pytest.raises(Killed):
        train_proposer(tmp_path / "cut", settings(24, 8), say=stop_after_one)
    resumed = train_proposer(tmp_path / "cut", settings(24, 8), say=lambda _: None)
    for one, two in zip(whole.state_dict().values(), resumed.state_dict().values()):
        assert torch.allclose(one.float(), two.float(), atol=1e-5)
    with (tmp_path / "cut" / "log.csv").open() as stream:
        assert [int(row["patterns"]) for row in csv.DictReader(stream)] == [8, 16, 24]
    with pytest.raises(InputError, match="other settings \\(patterns\\)"):
        train_proposer(tmp_path / "cut", settings(32, 8), say=lambda _: None)


def test_a_run_goes_on_from_a_model_with_patterns_not_yet_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        training, "make_example", lambda seed, number: seen.append(number) or make_example(seed, number)
    )
    settings = TrainingSettings(
        patterns=8, batch=8, held_out=2, learning_rate=0.0, start_from=PROPOSER, first_number=70, workers=0
    )
    network = train_proposer(tmp_path, settings, say=lambda _: None)
    assert seen[-8:] == list(range(70, 78))
    for one, two in zip(network.parameters(), load_proposer().parameters()):
        assert torch.equal(one, two)  # a rate of zero moves nothing: the weights are those of the model
    assert not load_proposer().training


def test_the_shipped_network_is_the_one_of_its_card_and_knows_plain_patterns() -> None:
    assert load_card(PROPOSER).arrays_sha256
    patterns = [
        mixture({"A1": ("CoCrFeNi", 3.575, 1.0)}),
        mixture({"A2": ("NbMoTaW", 3.22, 1.0)}, tube="CoKa"),
    ]
    for row, name in zip(propose_phases(patterns), ("A1", "A2")):
        assert max(row, key=lambda n: row[n]) == name and row[name] > 0.8


def test_batches_give_what_single_patterns_give() -> None:
    encoded = [make_example(3, n).encoded for n in range(5)]
    network = load_proposer()
    together = log_odds(encoded, network=network)
    for one, row in zip(encoded, together):
        alone = log_odds([one], network=network)[0]
        assert all(row[k] == pytest.approx(alone[k], abs=1e-3) for k in OUTPUTS)


def test_the_network_takes_any_pattern() -> None:
    flat = Pattern(two_theta_deg=np.linspace(20, 90, 500), intensity=np.full(500, 7.0), radiation="CuKa")
    row = propose_phases([flat])[0]
    assert all(np.isfinite(p) and 0 <= p <= 1 for p in row.values())
    assert PhaseProposer()(torch.zeros(2, 3, GRID_POINTS), torch.zeros(2, 6)).shape == (2, len(OUTPUTS))
