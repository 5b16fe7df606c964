from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from hea_sim.crystals import build_crystal
from hea_sim.diffraction import powder_lines
from hea_sim.diffraction.radiation import radiation
from hea_sim.errors import InputError, MissingFileError
from hea_sim.records import Pattern
from hea_sim.registry import cards, load_card
from hea_vision.xrd import encoding, training
from hea_vision.xrd.amorphous import is_amorphous
from hea_vision.xrd.encoding import CHANNELS, GRID_POINTS, LN_Q, encode_lines, encode_pattern
from hea_vision.xrd.fast_mode import propose_phases
from hea_vision.xrd.lines import find_lines
from hea_vision.xrd.network import OUTPUTS, PhaseProposer
from hea_vision.xrd.proposals import PROPOSER, load_proposer, log_odds
from hea_vision.xrd.recipes import proposer
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


def _curve(x: np.ndarray) -> np.ndarray:
    return 100 + 5 * np.sin(3 * x) + 1000 * np.exp(-(((x - 44.0) / 0.2) ** 2))


def test_points_where_no_line_can_be_are_left_out_of_the_encoding() -> None:
    """At 2 theta = 0 ln q is infinite, at 0 and 180 the Lorentz factor."""
    x = np.linspace(0.0, 180.0, 9001)
    inside = (x >= 0.2) & (x <= 179)
    whole, part = (
        encode_pattern(a, _curve(a), np.full_like(a, 100.0), np.sqrt(_curve(a)), radiation("CuKa"))
        for a in (x, x[inside])
    )
    assert np.isfinite(whole.channels).all() and np.isfinite(whole.scalars).all()
    assert np.array_equal(whole.channels, part.channels) and np.array_equal(whole.scalars, part.scalars)
    pattern = Pattern(two_theta_deg=x, intensity=_curve(x), radiation="CuKa")
    assert all(0 <= p <= 1 for p in propose_phases([pattern])[0].values())
    ends = np.concatenate([np.linspace(0.0, 0.1, 60), [4.0]])
    with pytest.raises(InputError, match="1 points between"):
        encode_pattern(ends, ends, ends, ends, radiation("CuKa"))


@pytest.mark.parametrize("limits", [(0.2, 60.0), (5.0, 179.0), (20.0, 100.0)])
def test_the_encoding_of_other_scans_is_what_the_network_has_learnt(
    limits: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.linspace(*limits, 3000)
    arguments = (x, _curve(x), np.full_like(x, 100.0), np.sqrt(_curve(x)), radiation("CoKa"))
    now = encode_pattern(*arguments)
    monkeypatch.setattr(encoding, "_READ_DEG", (-np.inf, np.inf))
    whole = encode_pattern(*arguments)
    assert np.array_equal(now.channels, whole.channels) and np.array_equal(now.scalars, whole.scalars)


_WAVELENGTHS_A = (0.2, 0.4, 0.71, 1.54, 2.29)


def _counted(wavelength_A: float, shape: Callable[[np.ndarray], np.ndarray]) -> Pattern:
    """Count 300 + 900 shape(2 theta) over d = 4.5 to 1.2 A."""
    low, high = (2 * np.degrees(np.arcsin(wavelength_A / (2 * d))) for d in (4.5, 1.2))
    x = np.linspace(low, high, 2500)
    counts = np.random.default_rng(5).poisson(300 + 900 * shape(x)).astype(float)
    return Pattern(two_theta_deg=x, intensity=counts, wavelength_A=wavelength_A)


@pytest.mark.parametrize("wavelength_A", _WAVELENGTHS_A)
def test_a_glass_is_amorphous_at_every_wavelength(wavelength_A: float) -> None:
    theta = np.arcsin(wavelength_A / (2 * 2.1))
    place, width = 2 * np.degrees(theta), np.degrees(2 * np.tan(theta) * 0.16)
    pattern = _counted(wavelength_A, lambda x: np.exp(-4 * np.log(2) * ((x - place) / width) ** 2))
    lines = find_lines(pattern, radiation(wavelength_A))
    assert all(line.fwhm_deg > 0.5 * width for line in lines.specimen)  # no line but the hump itself
    assert is_amorphous(lines)


@pytest.mark.parametrize("wavelength_A", _WAVELENGTHS_A)
@pytest.mark.parametrize("relative_width", [0.002, 0.02])  # of q: grains of about 100 and 10 nm
def test_a_crystal_is_not_amorphous(wavelength_A: float, relative_width: float) -> None:
    crystal = build_crystal("A1", "CoCrFeNi", a_A=3.59)
    limits = 2 * np.degrees(np.arcsin(wavelength_A / 2 / np.array([4.5, 1.15])))
    lines = powder_lines(crystal, radiation(wavelength_A), two_theta_range_deg=tuple(limits))
    width = np.degrees(2 * np.tan(np.arcsin(wavelength_A / (2 * 2.07))) * relative_width)

    def shape(x: np.ndarray) -> np.ndarray:
        curves = np.exp(-4 * np.log(2) * ((x[:, None] - lines.two_theta_deg) / width) ** 2)
        return curves @ lines.intensity / lines.intensity.max()

    assert not is_amorphous(find_lines(_counted(wavelength_A, shape), radiation(wavelength_A)))


def test_examples_are_the_same_for_the_same_number_and_differ_otherwise() -> None:
    one, two, other = make_example(0, 5), make_example(0, 5), make_example(0, 6)
    assert np.array_equal(one.encoded.channels, two.encoded.channels)
    assert not np.array_equal(one.encoded.channels, other.encoded.channels)
    assert one.target.shape == one.weight.shape == (len(OUTPUTS),)


@pytest.mark.slow
def test_training_goes_on_after_a_stop_as_if_there_had_been_none(tmp_path: Path) -> None:
    def settings(patterns: int, report: int) -> TrainingSettings:
        return TrainingSettings(patterns=patterns, batch=8, held_out=8, report_every=report, workers=0)

    whole = train_proposer(tmp_path / "whole", settings(24, 8), say=lambda _: None)

    class Killed(Exception):
        pass

    def stop(_: str) -> None:  # what is told is saved
        raise Killed

    with pytest.raises(Killed):
        train_proposer(tmp_path / "cut", settings(24, 8), say=stop)
    log = tmp_path / "cut" / "log.csv"
    rows = [line.split(",") for line in log.read_text().splitlines()]
    log.write_text("\n".join(",".join(row) for row in [rows[0], [rows[1][0], "5000", *rows[1][2:]]]) + "\n")
    resumed = train_proposer(tmp_path / "cut", settings(24, 8), say=lambda _: None)
    for one, two in zip(whole.state_dict().values(), resumed.state_dict().values()):
        assert torch.allclose(one.float(), two.float(), atol=1e-5)
    with log.open() as stream:
        after = list(csv.DictReader(stream))
    assert [int(row["patterns"]) for row in after] == [8, 16, 24]
    seconds = [int(row["seconds"]) for row in after]
    assert seconds[0] == 5000 and 5000 <= seconds[1] <= seconds[2] < 5600  # the clock of the stopped run goes on
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


def test_a_run_from_a_model_says_what_that_model_has_seen() -> None:
    with pytest.raises(InputError, match="first_number = 0, start_from = xrd-proposer; wanted the number of patterns"):
        TrainingSettings(start_from=PROPOSER)
    with pytest.raises(InputError, match="first_number = -1"):
        TrainingSettings(first_number=-1)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[TrainingSettings]:
    """Put an empty registry in place, and a training that writes what a run leaves; list what was trained."""
    monkeypatch.setattr(cards, "MODELS", tmp_path / "models")
    monkeypatch.setattr(proposer, "MODELS", tmp_path / "models")
    trained: list[TrainingSettings] = []

    def train(out: Path, settings: TrainingSettings) -> None:
        assert not out.exists()  # a run of other settings would be refused there
        out.mkdir(parents=True)
        rows = [f"{settings.patterns // k},{10 // k},1e-3,0.2,0.1,0.5,0.5" for k in (2, 1)]
        (out / "log.csv").write_text("\n".join([",".join(training.LOG_COLUMNS), *rows]) + "\n")
        save_file({"w": np.full(3, float(len(trained)), np.float32)}, out / "weights.safetensors")
        trained.append(settings)

    monkeypatch.setattr(proposer, "train_proposer", train)
    return trained


def _follow(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the commands of a card one after the other."""
    monkeypatch.chdir(folder)
    for one in command.split(" && "):
        head, _, arguments = one.partition("proposer ")
        assert head == "python -m hea_vision.xrd.recipes."
        monkeypatch.setattr("sys.argv", ["proposer", *arguments.split()])
        proposer.main()


def test_a_card_says_how_a_model_of_several_runs_was_made(
    tmp_path: Path, runs: list[TrainingSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [
        TrainingSettings(patterns=64, seed=3, learning_rate=0.00123, report_every=32),
        TrainingSettings(patterns=32, start_from=PROPOSER, first_number=64, seed=3, learning_rate=1e-3),
        TrainingSettings(patterns=16, start_from=PROPOSER, first_number=96, seed=4),
    ]
    for i, settings in enumerate(wanted):
        proposer.train_proposer(tmp_path / f"run {i}", settings)
        card = proposer.install(tmp_path / f"run {i}", settings, tmp_path / "models" / PROPOSER)
    assert card.data[0].used.startswith("112 patterns")
    log = (tmp_path / "models" / PROPOSER / "log.csv").read_text()
    rows = [tuple(int(v) for v in line.split(",")[:2]) for line in log.splitlines()[1:]]
    assert rows == [(32, 5), (64, 10), (80, 15), (96, 20), (104, 25), (112, 30)]

    runs.clear()
    _follow(card.remake, tmp_path, monkeypatch)
    assert runs == wanted
    assert (tmp_path / "models" / PROPOSER / "log.csv").read_text() == log
    assert load_card(PROPOSER) == card


def test_a_run_is_installed_once_on_the_model_that_it_began_with(
    tmp_path: Path, runs: list[TrainingSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "models" / PROPOSER
    settings = TrainingSettings(patterns=32, start_from=PROPOSER, first_number=64)
    proposer.train_proposer(tmp_path / "second", settings)
    with pytest.raises(MissingFileError, match="log of the model to go on from"):
        proposer.install(tmp_path / "second", settings, model)
    proposer.train_proposer(tmp_path / "first", TrainingSettings(patterns=64))
    proposer.install(tmp_path / "first", TrainingSettings(patterns=64), model)
    proposer.install(tmp_path / "second", settings, model)
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    with pytest.raises(InputError, match="ends at 96 patterns; wanted 64"):
        proposer.install(tmp_path / "second", settings, model)
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    done = len(runs)
    with pytest.raises(InputError, match="ends at 96 patterns; wanted 70"):
        command = f"--out third --patterns 8 --start-from {PROPOSER} --first-number 70 --install"
        _follow(f"python -m hea_vision.xrd.recipes.proposer {command}", tmp_path, monkeypatch)
    assert len(runs) == done  # said before the training, not after


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
