"""Make the network `xrd-proposer` again: train on simulated patterns, then write weights, log and card.

python -m hea_vision.xrd.recipes.proposer --out FOLDER [--patterns N] [--seed N] [--device cuda] [--workers N]

The run goes on from the last checkpoint in FOLDER. With `--install` the model takes its place in the registry. A run
that starts from a model there (`--start-from`) has to begin with patterns that this model has not seen
(`--first-number`).
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from hea_sim.documents import versions, write_atomic
from hea_sim.errors import InputError, MissingFileError
from hea_sim.registry import load_card, save_model
from hea_sim.registry.cards import MODELS, DataSource, ModelCard, Score
from hea_vision.xrd.proposals import PROPOSER
from hea_vision.xrd.training import TrainingSettings, train_proposer

LOG_FILE = "log.csv"


def install(run: Path, settings: TrainingSettings, folder: Path) -> ModelCard:
    """Write the weights of a finished run with their card and log into a model folder.

    Raises InputError where a continued run does not begin where the log of the model before it ends.
    """
    from safetensors.numpy import load_file

    log = _whole_log(run, settings)  # before anything is written
    with (run / LOG_FILE).open(encoding="utf-8") as stream:
        last = list(csv.DictReader(stream))[-1]
    how = f"{settings.held_out} held-out simulated patterns of another seed, elements told in half of them"
    card = ModelCard(
        name=PROPOSER,
        kind="xrd-network",
        data=(
            DataSource(
                name="simulated powder patterns",
                source="hea_sim.diffraction.random_specimens, drawn while it learns",
                licence="GPL-3.0-or-later (this project)",
                used=f"{settings.first_number + int(last['patterns'])} patterns, each seen once",
            ),
        ),
        scores={
            "held_out_loss": Score(value=float(last["held_out_loss"]), unit="nats per output", how=how),
            "exact_set": Score(
                value=float(last["exact_set"]),
                unit="1",
                how=f"{how}; alloys whose every type above 5 sigma, and no other, has odds above one",
            ),
            "mean_precision": Score(
                value=float(last["mean_precision"]), unit="1", how=f"{how}; average precision, mean over types"
            ),
        },
        seeds={"training": settings.seed},
        remake=_remake(settings),
        licence="GPL-3.0-or-later",
        citation="this project",
        notes=(
            "It proposes structure types; what it says is no label before physics has fitted them.",
            "Bit-identical only for the same device, versions and thread count.",
        ),
        versions=dict(versions()),
    )
    # Half precision halves the file; it moves the log odds by less than 0.01.
    arrays = {name: np.asarray(a, np.float16) for name, a in load_file(run / "weights.safetensors").items()}
    write_atomic(folder / LOG_FILE, log)
    return save_model(folder, card, arrays, network=True)


def _whole_log(run: Path, settings: TrainingSettings) -> str:
    """Join the log of a continued run to that of the run before; patterns and seconds go on."""
    log = (run / LOG_FILE).read_text(encoding="utf-8")
    if settings.start_from is None:
        return log
    before = _log_before(settings.start_from, settings.first_number)
    rows = [line.split(",") for line in log.splitlines()[1:]]
    done, seconds = (int(v) for v in before[-1].split(",")[:2])
    return (
        "\n".join([*before, *(",".join([str(done + int(p)), str(seconds + int(s)), *rest]) for p, s, *rest in rows)])
        + "\n"
    )


def _log_before(model: str, first_number: int) -> list[str]:
    """Read the log of the model that a run goes on from, line by line.

    Raises InputError where it does not end where the run begins, as after the run itself was installed.
    """
    path = MODELS / model / LOG_FILE
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; wanted the log of the model to go on from: install it again")
    lines = path.read_text(encoding="utf-8").splitlines()
    seen = lines[-1].split(",")[0]
    if seen != str(first_number):
        raise InputError(
            f"{path} ends at {seen} patterns; wanted {first_number}, the first number of the run that goes on from it;"
            f" put back the model {model} that the run began with, or give --first-number {seen} and train again"
        )
    return lines


def _remake(settings: TrainingSettings) -> str:
    """Say how to make the model again; a continued run needs the model that it goes on from first."""
    command = f"python -m hea_vision.xrd.recipes.proposer --out RUN-{settings.first_number}"
    default = TrainingSettings()
    for name in ("patterns", "start_from", "first_number", "learning_rate", "seed", "report_every"):
        value = getattr(settings, name)
        if name == "patterns" or value != getattr(default, name):
            command += f" --{name.replace('_', '-')} {value}"
    command += " --install"
    return command if settings.start_from is None else f"{load_card(settings.start_from).remake} && {command}"


def main() -> None:
    """Train and, where asked, install."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = TrainingSettings()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--patterns", type=int, default=default.patterns)
    parser.add_argument("--start-from", default=None, help="model of the registry to go on from")
    parser.add_argument("--first-number", type=int, default=0, help="number of the first pattern of a continued run")
    parser.add_argument("--learning-rate", type=float, default=default.learning_rate)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--device", default=default.device)
    parser.add_argument("--workers", type=int, default=default.workers)
    parser.add_argument("--report-every", type=int, default=default.report_every)
    parser.add_argument("--install", action="store_true", help="put the model into the registry of this checkout")
    args = parser.parse_args()
    settings = TrainingSettings(
        patterns=args.patterns,
        start_from=args.start_from,
        first_number=args.first_number,
        learning_rate=args.learning_rate,
        seed=args.seed,
        device=args.device,
        workers=args.workers,
        report_every=args.report_every,
    )
    if args.install and settings.start_from is not None:
        _log_before(settings.start_from, settings.first_number)  # hours sooner than `install` would say it
    train_proposer(args.out, settings)
    if args.install:
        print(install(args.out, settings, MODELS / PROPOSER).arrays_sha256)


if __name__ == "__main__":
    main()
