"""Train the network that proposes structure types, on patterns simulated while it learns.

Every pattern has its own number, and its random generator comes from (seed, number) alone, so a run is the same for any
number of workers and goes on after a kill where its last checkpoint stands. Held-out patterns have another seed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from hea_sim.diffraction.radiation import radiation
from hea_sim.diffraction.random_specimens import RandomSpecimen, SpecimenSettings, draw_specimen
from hea_sim.errors import HEAError, InputError
from hea_vision.training_runs import TrainingRun, running_mean
from hea_vision.xrd.encoding import EncodedPattern, encode_pattern
from hea_vision.xrd.network import OUTPUTS, STRUCTURES, PhaseProposer
from hea_vision.xrd.proposals import load_proposer
from hea_vision.xrd.scans import estimate_background, estimate_noise
from hea_vision.xrd.volumes import log_volume_prior

_HELD_OUT_SEED = 1_000_003
LOG_COLUMNS = ("patterns", "seconds", "learning_rate", "training_loss", "held_out_loss", "exact_set", "mean_precision")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Set a training run; `patterns` in all, at `batch` a step, with `held_out` patterns to judge it.

    `start_from` names a model of the registry whose weights the run begins with; `first_number` is the number of the
    run's first pattern. A run that starts from a model needs the number of patterns which that model has seen: from
    number 0 on it would be shown the same patterns again and learn them by heart. Raises InputError without it.
    """

    patterns: int = 140_000
    start_from: str | None = None
    first_number: int = 0
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    average: float = 0.99
    held_out: int = 1024
    report_every: int = 10_240
    seed: int = 0
    workers: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.first_number < 0 or (self.start_from is not None and self.first_number == 0):
            raise InputError(
                f"training: first_number = {self.first_number}, start_from = {self.start_from}; wanted the number of"
                " patterns that the model has seen (the last row of its log.csv), else it is shown the same ones again"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingExample:
    """Hold one example: the encoded pattern, `target` and `weight` (outputs,)."""

    encoded: EncodedPattern
    target: np.ndarray
    weight: np.ndarray


def make_example(seed: int, number: int, settings: SpecimenSettings | None = None) -> TrainingExample:
    """Simulate example `number` of a seed; elements are told in every second pattern on average."""
    rng = np.random.default_rng([seed, number])
    while True:
        try:
            drawn = draw_specimen(rng, settings)
            break
        except HEAError:
            continue  # a lattice without a line in range
    return example_of(drawn, rng)


def example_of(drawn: RandomSpecimen, rng: np.random.Generator) -> TrainingExample:
    """Encode a drawn specimen and say what is to be found in it."""
    pattern = drawn.measured.pattern
    x, y = pattern.two_theta_deg, pattern.intensity
    width = float(np.median([np.median(p.fwhm_deg) for p in drawn.measured.lines])) if drawn.measured.lines else 0.3
    background = estimate_background(x, y, window_deg=max(2.5, 5 * width))
    noise = estimate_noise(x, y)
    told = rng.random() < 0.5
    encoded = encode_pattern(
        x,
        y,
        background,
        noise,
        radiation(pattern.radiation or pattern.wavelength_A),
        log_volume=log_volume_prior(drawn.composition) if told else None,
    )
    target, weight = _targets(drawn)
    return TrainingExample(encoded=encoded, target=target, weight=weight)


def _targets(drawn: RandomSpecimen) -> tuple[np.ndarray, np.ndarray]:
    target, weight = np.zeros(len(OUTPUTS), np.float32), np.ones(len(OUTPUTS), np.float32)
    seen: list[str] = []
    for i, name in enumerate(drawn.phase_lattices):
        if drawn.shows(i):
            target[OUTPUTS.index(name)] = 1.0
            seen.append(name)
        elif name not in seen:  # too weak to be seen: neither asked for nor forbidden
            weight[OUTPUTS.index(name)] = 0.0
    for name in seen:
        weight[OUTPUTS.index(name)] = 1.0
    for name in ("A1", "A2"):
        here = drawn.phase_lattices.count(name)
        if here > 1:
            column = OUTPUTS.index(f"two {name}")
            target[column] = float(seen.count(name) > 1)
            weight[column] = float(seen.count(name) > 1)
    target[OUTPUTS.index("foreign lines")] = float(bool(drawn.measured.measurement.foreign_lines))
    return target, weight


class _Examples(torch.utils.data.Dataset):
    """Serve examples by number; torch asks its workers for them in order."""

    def __init__(self, seed: int, first: int, count: int) -> None:
        self.seed, self.first, self.count = seed, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        made = make_example(self.seed, self.first + index)
        return made.encoded.channels, made.encoded.scalars, made.target, made.weight


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def _batches(settings: TrainingSettings, seed: int, first: int, count: int) -> Iterator[list[torch.Tensor]]:
    loader = torch.utils.data.DataLoader(
        _Examples(seed, first, count),
        batch_size=settings.batch,
        num_workers=settings.workers,
        worker_init_fn=_one_thread,
        prefetch_factor=4 if settings.workers else None,
        generator=torch.Generator(),  # its own, so that a resumed run draws the same numbers elsewhere
    )
    for batch in loader:
        yield [part.to(settings.device) for part in batch]


def train_proposer(
    out: Path, settings: TrainingSettings | None = None, *, say: Callable[[str], None] = print
) -> PhaseProposer:
    """Train, with a checkpoint in `out` at every report, from which a stopped run goes on as if it had not stopped.

    Writes `checkpoint.pt` (weights, optimiser, number of patterns), `log.csv` and `weights.safetensors` (averaged).

    Raises InputError where the checkpoint belongs to other settings.
    """
    job = settings or TrainingSettings()
    out.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if job.device != "cpu" else []):
        torch.manual_seed(job.seed)
        return _train(out, job, say)


def _train(out: Path, job: TrainingSettings, say: Callable[[str], None]) -> PhaseProposer:
    model = PhaseProposer() if job.start_from is None else copy.deepcopy(load_proposer(job.start_from))
    model = model.to(job.device)
    run = TrainingRun(
        out=out,
        identity={k: v for k, v in job.__dict__.items() if k not in ("workers", "device")},
        columns=LOG_COLUMNS,
        model=model,
        averaged=running_mean(model, job.average),
        optimiser=torch.optim.AdamW(model.parameters(), lr=job.learning_rate, weight_decay=job.weight_decay),
    )
    run.resume(job.device)
    held_out = _held_out(out, job)
    losses: list[float] = []
    next_report = run.done + job.report_every
    model.train()
    for batch in _batches(job, job.seed, job.first_number + run.done, job.patterns - run.done):
        rate = _learning_rate(job, run.done)
        for group in run.optimiser.param_groups:
            group["lr"] = rate
        loss = _loss(model(batch[0], batch[1]), batch[2], batch[3])
        run.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        run.optimiser.step()
        run.averaged.update_parameters(model)
        run.done += len(batch[0])
        losses.append(loss.item())
        if run.done >= next_report or run.done >= job.patterns:
            next_report += job.report_every
            row = {
                "patterns": run.done,
                "learning_rate": f"{rate:.2e}",
                "training_loss": f"{np.mean(losses):.5f}",
                **{k: f"{v:.5f}" for k, v in judge(_network_of(run.averaged), held_out).items()},
            }
            losses = []
            say(run.report(row))
    return _network_of(run.averaged)


def _network_of(averaged: torch.optim.swa_utils.AveragedModel) -> PhaseProposer:
    network = averaged.module
    assert isinstance(network, PhaseProposer)
    return network


def _loss(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    value = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (value * weight).sum() / weight.sum()


def _learning_rate(job: TrainingSettings, done: int) -> float:
    """Warm up over two per cent of the run, then fall by a cosine to a fiftieth."""
    share = done / job.patterns
    if share < 0.02:
        return job.learning_rate * (0.05 + 0.95 * share / 0.02)
    return job.learning_rate * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))


def _held_out(out: Path, job: TrainingSettings) -> list[torch.Tensor]:
    """Make the held-out patterns once; they are the same for every run."""
    path = out / f"held_out_{job.held_out}.npz"
    if not path.exists():
        parts = [[] for _ in range(4)]  # type: list[list[np.ndarray]]
        for batch in _batches(job, _HELD_OUT_SEED, 0, job.held_out):
            for part, values in zip(parts, batch):
                part.append(values.cpu().numpy())
        np.savez_compressed(path, *[np.concatenate(p) for p in parts])
    with np.load(path, allow_pickle=False) as stored:
        return [torch.from_numpy(stored[f"arr_{i}"]).to(job.device) for i in range(4)]


@torch.no_grad()
def judge(model: nn.Module, held_out: list[torch.Tensor]) -> dict[str, float]:
    """Compute loss, share of exact sets at threshold one half, and mean average precision over structure types."""
    was = model.training
    model.eval()
    logits = torch.cat(
        [model(held_out[0][i : i + 128], held_out[1][i : i + 128]) for i in range(0, len(held_out[0]), 128)]
    )
    loss = float(_loss(logits, held_out[2], held_out[3]))
    n = len(STRUCTURES)
    right = ((logits[:, :n] > 0) == (held_out[2][:, :n] > 0.5)) | (held_out[3][:, :n] == 0)
    alloys = held_out[2][:, :n].sum(dim=1) > 0
    precision = [
        p
        for i in range(n)
        if np.isfinite(p := _average_precision(logits[:, i].cpu().numpy(), held_out[2][:, i].cpu().numpy()))
    ]
    model.train(was)
    return {
        "held_out_loss": loss,
        "exact_set": float(right.all(dim=1)[alloys].float().mean()),
        "mean_precision": float(np.mean(precision)),
    }


def _average_precision(score: np.ndarray, truth: np.ndarray) -> float:
    if truth.sum() < 3:
        return float("nan")
    ranked = truth[np.argsort(-score)] > 0.5
    hits = np.cumsum(ranked)
    return float((hits / np.arange(1, len(hits) + 1))[ranked].mean())
