"""Train a segmenter on virtual micrographs, on labelled pictures, or on both."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hea_sim.errors import InputError
from hea_vision.segmentation.examples import Example, ExampleSource, MixedExamples
from hea_vision.segmentation.network import WIDTHS, MicrographNet
from hea_vision.segmentation.partial_labels import IGNORED, partial_label_loss
from hea_vision.training_runs import TrainingRun, running_mean

_HELD_OUT_SEED = 1_000_003
LOG_COLUMNS = ("examples", "seconds", "learning_rate", "training_loss", "held_out_loss", "held_out_iou")


@dataclass(frozen=True, kw_only=True)
class SegmenterTraining:
    """Set a training run: `examples` in all, squares of `size_px`, `batch` a step.

    `average` is the part of the running mean of the weights that a step keeps; `held_out` examples, virtual ones of
    another seed, judge the run. `half` computes in bfloat16, which is about twice as fast on processors and cards that
    know it. `first_number` is the number of the first example: a run that goes on from trained weights must not be
    shown the same virtual micrographs again.
    """

    examples: int = 24_000
    batch: int = 8
    size_px: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    average: float = 0.995
    overlap_weight: float = 0.5
    held_out: int = 48
    report_every: int = 2_400
    seed: int = 0
    first_number: int = 0
    workers: int = 1
    half: bool = True
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.size_px % 16 or self.size_px < 64:
            raise InputError(
                f"training: size_px is {self.size_px}; wanted a multiple of 16 of at least 64, such as 256"
            )


def train_segmenter(
    out: Path,
    sources: Sequence[tuple[float, ExampleSource]],
    *,
    n_classes: int,
    settings: SegmenterTraining | None = None,
    start: Mapping[str, np.ndarray] | None = None,
    widths: tuple[int, ...] = WIDTHS,
    held_out: Sequence[Example] | None = None,
    say: Callable[[str], None] = print,
) -> MicrographNet:
    """Train, with a checkpoint in `out` at every report, from which a stopped run goes on as if it had not stopped.

    Parameters
    ----------
    out
        Gets `checkpoint.pt`, `log.csv` and `weights.safetensors` (the running mean).
    sources
        (share, source) pairs.
    start
        Weights to begin with; None for random ones.
    held_out
        What judges the run; None for examples of the same sources and another seed.

    Raises
    ------
    InputError
        Where the checkpoint belongs to other settings, or `start` to another network.
    """
    job = settings or SegmenterTraining()
    out.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if job.device != "cpu" else []):
        torch.manual_seed(job.seed)
        model = MicrographNet(n_classes, widths)
        if start is not None:
            load_weights(model, start)
        run = _Run(out, job, model, _made_of(sources, start))
        judge_on = held_out if held_out is not None else _draw(sources, job)
        run.train(sources, judge_on, say)
        return run.network


def load_weights(model: MicrographNet, arrays: Mapping[str, np.ndarray]) -> MicrographNet:
    """Fill a network with stored weights; a head for another number of classes keeps its random ones."""
    known = model.state_dict()
    given = {
        name: torch.from_numpy(np.array(a, np.float32 if a.dtype.kind == "f" else a.dtype))
        for name, a in arrays.items()
    }
    for name in ("head.weight", "head.bias"):
        if name in given and given[name].shape != known[name].shape:
            given[name] = known[name]
    try:
        model.load_state_dict(given)
    except RuntimeError as error:
        raise InputError(
            f"the weights do not fit the network ({' '.join(str(error).split())[:160]});"
            " start from a model of this kind"
        ) from error
    return model


def _draw(sources: Sequence[tuple[float, ExampleSource]], job: SegmenterTraining) -> list[Example]:
    held = MixedExamples(sources, size=job.size_px, seed=_HELD_OUT_SEED, first=0, count=job.held_out)
    return [Example(channels=c, labels=t, allowed=a) for c, t, a in (held[i] for i in range(len(held)))]


def _made_of(sources: Sequence[tuple[float, ExampleSource]], start: Mapping[str, np.ndarray] | None) -> dict[str, Any]:
    """Tell what a run learns from and begins with, so that it goes on with nothing else."""
    weights = hashlib.sha256()
    for name, array in sorted((start or {}).items()):
        weights.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return {
        "pictures": [[float(share), source.fingerprint()] for share, source in sources],
        "start": weights.hexdigest() if start is not None else "",
    }


class _Run:
    """Hold the moving parts of one training."""

    def __init__(self, out: Path, job: SegmenterTraining, model: MicrographNet, made_of: Mapping[str, Any]) -> None:
        self.job = job
        self.model = model.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.kept = TrainingRun(
            out=out,
            identity={**_settings_that_count(job), **made_of},
            columns=LOG_COLUMNS,
            model=self.model,
            averaged=running_mean(self.model, job.average),
            optimiser=torch.optim.AdamW(self.model.parameters(), lr=job.learning_rate, weight_decay=job.weight_decay),
        )
        self.kept.resume(job.device)

    @property
    def network(self) -> MicrographNet:
        """Give the running mean of the weights."""
        network = self.kept.averaged.module
        assert isinstance(network, MicrographNet)
        return network.eval()

    def train(
        self, sources: Sequence[tuple[float, ExampleSource]], held_out: Sequence[Example], say: Callable[[str], None]
    ) -> None:
        job, kept, losses = self.job, self.kept, []
        next_report = (kept.done // job.report_every + 1) * job.report_every
        self.model.train()
        for channels, labels, allowed in self._batches(sources):
            rate = learning_rate(job.learning_rate, kept.done / job.examples)
            for group in kept.optimiser.param_groups:
                group["lr"] = rate
            with _precision(job):
                scores = self.model(channels)
            loss = partial_label_loss(scores, labels, allowed, overlap_weight=job.overlap_weight)
            kept.optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
            kept.optimiser.step()
            kept.averaged.update_parameters(self.model)
            kept.done += len(channels)
            losses.append(loss.item())
            if kept.done >= next_report or kept.done >= job.examples:
                next_report = (kept.done // job.report_every + 1) * job.report_every
                value, iou = judge(self.network, held_out, job)
                row = {
                    "examples": kept.done,
                    "learning_rate": f"{rate:.2e}",
                    "training_loss": f"{np.mean(losses):.5f}",
                    "held_out_loss": f"{value:.5f}",
                    "held_out_iou": f"{iou:.5f}",
                }
                losses = []
                say(kept.report(row))

    def _batches(self, sources: Sequence[tuple[float, ExampleSource]]) -> Iterator[list[torch.Tensor]]:
        job = self.job
        loader = torch.utils.data.DataLoader(
            MixedExamples(
                sources, size=job.size_px, seed=job.seed, first=job.first_number + self.kept.done,
                count=job.examples - self.kept.done,
            ),
            batch_size=job.batch,
            num_workers=job.workers,
            worker_init_fn=_one_thread,
            prefetch_factor=2 if job.workers else None,
            generator=torch.Generator(),  # its own, so that a resumed run draws the same numbers elsewhere
        )  # fmt: skip
        for channels, labels, allowed in loader:
            yield [
                channels.to(job.device, memory_format=torch.channels_last),
                labels.to(job.device),
                allowed.to(job.device),
            ]


def _settings_that_count(job: SegmenterTraining) -> dict[str, Any]:
    return {k: v for k, v in asdict(job).items() if k not in ("workers", "device")}


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def _precision(job: SegmenterTraining) -> torch.autocast:
    return torch.autocast(torch.device(job.device).type, torch.bfloat16, enabled=job.half)


def learning_rate(highest: float, share: float) -> float:
    """Warm up over three per cent of the run, then fall by a cosine to a fiftieth."""
    if share < 0.03:
        return highest * (0.05 + 0.95 * share / 0.03)
    return highest * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))


@torch.no_grad()
def judge(model: MicrographNet, examples: Sequence[Example], job: SegmenterTraining) -> tuple[float, float]:
    """Compute the loss, and the mean IoU of the labels over all examples together."""
    losses, shared, either = [], np.zeros(model.n_classes), np.zeros(model.n_classes)
    for example in examples:
        channels = torch.from_numpy(example.channels)[None].to(job.device, memory_format=torch.channels_last)
        labels = torch.from_numpy(example.labels)[None].to(job.device)
        allowed = torch.from_numpy(example.allowed)[None].to(job.device)
        with _precision(job):
            scores = model(channels).float()
        losses.append(float(partial_label_loss(scores, labels, allowed, overlap_weight=job.overlap_weight)))
        chance = torch.einsum("bkc,bchw->bkhw", allowed, torch.softmax(scores, 1))
        found, wanted = chance.argmax(1).cpu().numpy()[0], example.labels
        for number in range(model.n_classes):
            ours, theirs = (found == number) & (wanted != IGNORED), wanted == number
            shared[number] += (ours & theirs).sum()
            either[number] += (ours | theirs).sum()
    there = either > 0
    return float(np.mean(losses)), float(np.mean(shared[there] / either[there]))
