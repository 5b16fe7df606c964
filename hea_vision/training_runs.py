"""Keep the training of a network in a folder: a checkpoint that it goes on from, its log, and its weights."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hea_sim.documents import write_atomic
from hea_sim.errors import InputError

CHECKPOINT, LOG, WEIGHTS = "checkpoint.pt", "log.csv", "weights.safetensors"


def running_mean(model: nn.Module, kept_share: float) -> torch.optim.swa_utils.AveragedModel:
    """Follow the weights of a model by their running mean, of which each step keeps a share."""
    return torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(kept_share), use_buffers=True
    )


@dataclass(kw_only=True, eq=False)
class TrainingRun:
    """Hold the moving parts of a training and where it is kept.

    `identity` is all that the result depends on, as plain numbers and texts: a checkpoint of another identity is
    refused. `averaged` is the running mean of the weights of `model`, the network that comes out; `done` counts
    examples; `rows` is the log, one mapping a report with the keys `columns`, of which "seconds" must be one.
    """

    out: Path
    identity: Mapping[str, Any]
    columns: Sequence[str]
    model: nn.Module
    averaged: torch.optim.swa_utils.AveragedModel
    optimiser: torch.optim.Optimizer
    done: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    _began: float = field(default=0.0, init=False)

    def resume(self, device: str) -> None:
        """Go back to the checkpoint where there is one; InputError where it belongs to another run."""
        path = self.out / CHECKPOINT
        if path.exists():
            state = torch.load(path, map_location=device, weights_only=True)
            self._refuse_another(path, state["settings"])
            try:
                self.model.load_state_dict(state["model"])
                self.averaged.load_state_dict(state["averaged"])
            except RuntimeError as error:
                raise InputError(
                    f"{path} belongs to a network of other classes or widths; give another folder, or remove it"
                ) from error
            self.optimiser.load_state_dict(state["optimiser"])
            torch.set_rng_state(state["random"].cpu())
            self.done = int(state["done"])
            with (self.out / LOG).open(encoding="utf-8") as stream:
                self.rows = list(csv.DictReader(stream))
        # A resumed run counts on from where it was stopped.
        self._began = time.perf_counter() - (float(self.rows[-1]["seconds"]) if self.rows else 0.0)

    def report(self, row: Mapping[str, Any]) -> str:
        """Add a row to the log, with the seconds since the start, and keep all; return the row as text."""
        self.rows.append({**row, "seconds": round(time.perf_counter() - self._began)})
        self._save()
        return ", ".join(f"{name} {self.rows[-1][name]}" for name in self.columns)

    def _refuse_another(self, path: Path, settings: Mapping[str, Any]) -> None:
        if settings != self.identity:
            changed = [k for k, v in self.identity.items() if settings.get(k) != v]
            raise InputError(
                f"{path} belongs to a run with other settings ({', '.join(changed)}); give another folder, or remove it"
            )

    def _save(self) -> None:
        from safetensors.torch import save_file

        state = {
            "settings": dict(self.identity),
            "done": self.done,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
        }
        partial = (self.out / CHECKPOINT).with_suffix(".part")
        torch.save(state, partial)
        partial.replace(self.out / CHECKPOINT)
        weights = self.averaged.module.state_dict()
        save_file({k: v.contiguous().cpu() for k, v in weights.items()}, self.out / WEIGHTS)
        lines = [",".join(self.columns), *(",".join(str(row[c]) for c in self.columns) for row in self.rows)]
        write_atomic(self.out / LOG, "\n".join(lines) + "\n")
