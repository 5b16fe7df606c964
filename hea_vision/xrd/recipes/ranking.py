"""Make the ranking `xrd-ranking` again: simulate specimens, list their candidate sets, fit and calibrate.

python -m hea_vision.xrd.recipes.ranking --out FOLDER [--specimens N] [--seed N] [--workers N] [--install]

Candidates are kept in FOLDER, fifty specimens a file, so that a run that was stopped goes on. The files' names hold a
hash of the network, the features and the source: what another network or other code has made is made again.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

import hea_sim.diffraction
from hea_sim.documents import versions
from hea_sim.registry import load_card, save_model
from hea_sim.registry.cards import MODELS, DataSource, ModelCard, Score
from hea_vision.xrd.calibration import (
    RankingExample,
    calibrate_sets,
    cross_fitted,
    fit_ranking,
    load_examples,
    make_ranking_example,
    save_examples,
    score_ranking,
)
from hea_vision.xrd.network_labeller import RANKING
from hea_vision.xrd.proposals import PROPOSER
from hea_vision.xrd.ranking import FEATURES, NONE_FEATURES

SEED = 5
_CHUNK = 50
#: Packages whose code decides what an example is: the labeller, and the simulation of its specimens.
_SOURCES = (Path(__file__).parent.parent, Path(hea_sim.diffraction.__file__).parent)


def examples_key(sources: Sequence[Path] = _SOURCES) -> str:
    """Hash what an example depends on besides its number: the network, the features, the modules in `sources`."""
    digest = hashlib.sha256("\0".join([load_card(PROPOSER).arrays_sha256, *FEATURES, "", *NONE_FEATURES]).encode())
    for folder in sources:
        for path in sorted(folder.glob("*.py")):
            digest.update(f"\0{path.name}\0{path.read_text(encoding='utf-8')}".encode())
    return digest.hexdigest()[:12]


def _make_chunk(first: int, seed: int, key: str, folder: Path) -> Path:
    import torch

    torch.set_num_threads(1)
    path = folder / f"examples-{key}-{seed}-{first:06d}.npz"
    if not path.exists():
        made = (make_ranking_example(seed, number) for number in range(first, first + _CHUNK))
        save_examples(path, [example for example in made if example is not None])
    return path


def gather(folder: Path, count: int, seed: int, workers: int) -> list[RankingExample]:
    """Make or read the candidates of `count` specimens."""
    folder.mkdir(parents=True, exist_ok=True)
    make = partial(_make_chunk, seed=seed, key=examples_key(), folder=folder)
    firsts = range(0, count, _CHUNK)
    out: list[RankingExample] = []
    with ProcessPoolExecutor(workers) as pool:
        paths: Iterable[Path] = pool.map(make, firsts) if workers > 1 else map(make, firsts)
        for path in paths:
            out += load_examples(path)
            print(f"{len(out)} specimens", flush=True)
    return out


def install(examples: Sequence[RankingExample], seed: int, count: int, folder: Path) -> ModelCard:
    """Fit, calibrate and judge by five folds, and write the model that all specimens fit."""
    judged = cross_fitted(examples)
    model = calibrate_sets(fit_ranking(examples), judged)
    how = "five-fold cross-validation over the specimens"
    scores = {
        name: Score(value=value, unit=unit, n=len(examples), how=how)
        for name, (value, unit) in score_ranking(judged, model.least_probability).items()
    }
    network = load_card(PROPOSER)
    card = ModelCard(
        name=RANKING,
        kind="xrd-ranking",
        data=(
            DataSource(
                name="simulated powder patterns",
                source="hea_sim.diffraction.random_specimens",
                licence="GPL-3.0-or-later (this project)",
                used=f"{len(examples)} specimens with lines, seed {seed}",
            ),
            DataSource(
                name=PROPOSER,
                source="registry of this project",
                licence="GPL-3.0-or-later",
                used="proposes the candidates",
                sha256={"weights.safetensors": network.arrays_sha256},
            ),
        ),
        scores=scores,
        seeds={"specimens": seed},
        remake=f"python -m hea_vision.xrd.recipes.ranking --out FOLDER --specimens {count} --seed {seed} --install",
        licence="GPL-3.0-or-later",
        citation="this project",
        versions=dict(versions()),
    )
    arrays = {"candidate": model.candidate, "none": model.none, "least_probability": np.array(model.least_probability)}
    return save_model(folder, card, arrays)


def main() -> None:
    """Simulate, fit and, where asked, install."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--specimens", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--install", action="store_true", help="put the model into the registry of this checkout")
    args = parser.parse_args()
    examples = gather(args.out, args.specimens, args.seed, args.workers)
    folder = MODELS / RANKING if args.install else args.out / RANKING
    card = install(examples, args.seed, args.specimens, folder)
    for name, score in card.scores.items():
        print(f"{name:40} {score.value:.4f} {score.unit}")


if __name__ == "__main__":
    main()
