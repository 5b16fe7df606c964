"""Fits by gradient: Adam in batches, then L-BFGS on everything, with linear solves in between where a model has them.

The loss is the weighted sum of squared errors of a linear fit, divided by the number of labels, so that its minimum
over the linear coefficients is that of `fit_linear` without penalty. Solving for them now and then while the others
follow the gradient is variable projection (Golub, Pereyra 1973, 10.1137/0710036).

A checkpoint is written after each epoch; a run that goes on ends with the same bits on the same machine.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from hea_sim.documents import write_atomic
from hea_sim.errors import InputError
from hea_sim.potentials.environment import Environment, find_neighbours
from hea_sim.potentials.fitting.rows import KINDS, Block
from hea_sim.potentials.fitting.structures import TrainingStructure
from hea_sim.potentials.fitting.weights import Weights

#: Parameters that hardly count are not blown up beyond this share of the largest scale.
_LEAST_SCALE = 1e-3


class TorchEnergy(Protocol):
    """A torch module whose parameters are the coefficients of a potential."""

    def __call__(self, batch: Any, *, training: bool = True) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give energies (systems,), forces (n, 3) and stress (systems, 3, 3) in eV and A, ASE's sign of stress."""

    def parameters(self) -> Any:
        """Give what is fitted."""

    def state_dict(self) -> Any:
        """Give all numbers by name."""

    def load_state_dict(self, state: Any) -> Any:
        """Take all numbers by name."""


@dataclass(frozen=True, kw_only=True)
class GradientSettings:
    """Say how long and how fast to go.

    `lbfgs_rounds` of at most ten steps each follow the epochs of Adam; the rate falls from `learning_rate` to a
    hundredth as a cosine. `solve_every` epochs the linear coefficients are solved for, 0 for never. L-BFGS keeps the
    last `history` steps, and works on parameters scaled by the root mean square of their gradients over the batches: a
    fit mixes coefficients whose curvatures lie many powers of ten apart. `penalty` multiplies what the module's own
    `penalty()` gives.
    """

    epochs: int = 100
    batch: int = 32
    learning_rate: float = 3e-3
    lbfgs_rounds: int = 10
    solve_every: int = 0
    clip: float = 10.0
    history: int = 300
    penalty: float = 0.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class GradientStep:
    """Hold the loss after one epoch of Adam or one round of L-BFGS; `validation` is that on what was held out."""

    phase: str
    number: int
    loss: float
    validation: float | None


class _Part:
    """Some structures as one batch, with labels and weights; made once and kept."""

    def __init__(
        self,
        structures: Sequence[TrainingStructure],
        weights: Weights,
        cutoff_A: float,
        make_batch: Callable[[Environment], Any],
        like: torch.Tensor,
    ) -> None:
        self.batch = make_batch(find_neighbours([s.atoms for s in structures], cutoff_A))
        sizes = np.array([s.n_atoms for s in structures])
        factors = {kind: np.array([weights(Block(s.group, kind, 0)) for s in structures]) for kind in KINDS}
        stress = [np.zeros(6) if s.stress_eV_per_A3 is None else s.stress_eV_per_A3 for s in structures]
        has_stress = np.array([s.stress_eV_per_A3 is not None for s in structures])

        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(values, dtype=like.dtype, device=like.device)

        self.sizes, self.energy = tensor(sizes), tensor(np.array([s.energy_eV for s in structures]))
        self.forces = tensor(np.concatenate([s.forces_eV_per_A for s in structures]))
        self.stress = tensor(np.array(stress))
        self.of_energy, self.of_force = tensor(factors["energy"]), tensor(np.repeat(factors["force"], sizes)[:, None])
        self.of_stress = tensor((factors["stress"] * has_stress)[:, None])
        self.has_stress = tensor(has_stress[:, None]) > 0

    def count(self) -> int:
        """Count the labels of finite weight."""
        counts = (self.of_energy > 0).sum() + 3 * (self.of_force > 0).sum() + 6 * (self.of_stress > 0).sum()
        return int(counts)

    def loss(self, module: TorchEnergy, training: bool) -> torch.Tensor:
        """Give the weighted sum of squared errors."""
        energy, forces, stress = module(self.batch, training=training)
        total = (self.of_energy * ((energy - self.energy) / self.sizes) ** 2).sum()
        total = total + (self.of_force * (forces - self.forces) ** 2).sum()
        if self.has_stress.any():
            voigt = stress.reshape(-1, 9)[:, [0, 4, 8, 5, 2, 1]]
            error = torch.where(self.has_stress, voigt - self.stress, torch.zeros_like(self.stress))
            total = total + (self.of_stress * error**2).sum()
        return total


def fit_gradient(
    module: TorchEnergy,
    make_batch: Callable[[Environment], Any],
    cutoff_A: float,
    structures: Sequence[TrainingStructure],
    weights: Weights | None = None,
    settings: GradientSettings | None = None,
    *,
    validation: Sequence[TrainingStructure] = (),
    solve: Callable[[Any], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Callable[[GradientStep], None] | None = None,
) -> list[GradientStep]:
    """Fit the parameters of a module in place; they end at the best loss on `validation`, or on training without.

    `make_batch` turns neighbours into what the module takes; `solve` sets the module's linear coefficients. Raises
    InputError where there is nothing to fit to, the loss is no number, or the checkpoint belongs to another run.
    """
    if not structures:
        raise InputError("no structures to fit to")
    run = _Run(
        module, make_batch, cutoff_A, structures, weights or Weights(), settings or GradientSettings(), validation
    )
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.is_file():
        run.restore(path)
    elif solve is not None:
        solve(module)
    while run.step(solve):
        if progress is not None:
            progress(run.history[-1])
        if path is not None:
            run.store(path)
    run.take_best()
    return run.history


class _Run:
    """The state of one fit: all that a checkpoint must hold."""

    def __init__(
        self, module: TorchEnergy, make_batch: Callable[[Environment], Any], cutoff_A: float,
        structures: Sequence[TrainingStructure], weights: Weights, settings: GradientSettings,
        validation: Sequence[TrainingStructure],
    ) -> None:  # fmt: skip
        self.module, self.settings, self.history = module, settings, list[GradientStep]()
        like = next(iter(module.parameters()))
        order = np.random.default_rng(settings.seed).permutation(len(structures))

        def parts(chosen: Sequence[TrainingStructure]) -> list[_Part]:
            starts = range(0, len(chosen), settings.batch)
            return [_Part(chosen[k : k + settings.batch], weights, cutoff_A, make_batch, like) for k in starts]

        self.parts, self.held_out = parts([structures[k] for k in order]), parts(list(validation))
        self.labels = max(sum(p.count() for p in self.parts), 1)
        self.held_labels = max(sum(p.count() for p in self.held_out), 1)
        self.adam = torch.optim.Adam(module.parameters(), lr=settings.learning_rate)
        self.scales = [torch.ones_like(p) for p in module.parameters()]
        self.scaled = [torch.nn.Parameter(p.detach().clone()) for p in module.parameters()]
        self.lbfgs = torch.optim.LBFGS(
            self.scaled, max_iter=10, history_size=settings.history, line_search_fn="strong_wolfe", tolerance_change=0.0
        )
        self.best: tuple[float, dict[str, torch.Tensor]] = (np.inf, self._copy())
        names = repr([(s.group, s.energy_eV, s.n_atoms) for s in (*structures, *validation)])
        digest = hashlib.sha256(f"{names}{settings}{weights}{cutoff_A}".encode())
        for structure in (*structures, *validation):
            digest.update(np.ascontiguousarray(structure.forces_eV_per_A).tobytes())
        for value in module.state_dict().values():
            digest.update(value.detach().cpu().numpy().tobytes())
        self.identity = digest.hexdigest()

    def _copy(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().clone() for name, value in self.module.state_dict().items()}

    def step(self, solve: Callable[[Any], None] | None) -> bool:
        """Do one epoch or round; tell whether there was one left."""
        done, settings = len(self.history), self.settings
        if done >= settings.epochs + settings.lbfgs_rounds:
            return False
        if done < settings.epochs:
            loss = self._epoch(done)
            phase, number = "adam", done + 1
        else:
            loss = self._round()
            phase, number = "l-bfgs", done - settings.epochs + 1
        if solve is not None and settings.solve_every and phase == "adam" and (done + 1) % settings.solve_every == 0:
            solve(self.module)
        validation = self._validate() if self.held_out else None
        if not np.isfinite(loss):
            raise InputError(f"{phase} {number}: the loss is no number any more; take a smaller learning_rate")
        self.history.append(GradientStep(phase=phase, number=number, loss=loss, validation=validation))
        judged = self._total(self.parts) / self.labels if validation is None else validation
        if judged < self.best[0]:
            self.best = (judged, self._copy())
        return True

    def _epoch(self, number: int) -> float:
        settings = self.settings
        fade = float(0.5 * (1 + np.cos(np.pi * number / max(settings.epochs, 1))))
        for group in self.adam.param_groups:
            group["lr"] = settings.learning_rate * (0.01 + 0.99 * fade)
        total = 0.0
        for k in np.random.default_rng([settings.seed, number]).permutation(len(self.parts)):
            self.adam.zero_grad()
            loss = self.parts[k].loss(self.module, True) / max(self.parts[k].count(), 1)
            (loss + self._penalty()).backward()
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), settings.clip)
            self.adam.step()
            total += float(loss.detach()) * self.parts[k].count()
        return total / self.labels

    def _penalty(self) -> torch.Tensor:
        if not self.settings.penalty:
            return torch.zeros_like(next(iter(self.module.parameters())).sum().detach())
        own = getattr(self.module, "penalty", None)
        if own is None:
            raise InputError(f"penalty {self.settings.penalty:g}, but {type(self.module).__name__} has none; wanted 0")
        return self.settings.penalty * own()

    def _round(self) -> float:
        parameters = list(self.module.parameters())
        if not self.lbfgs.state_dict()["state"]:
            self._scale(parameters)

        def closure() -> torch.Tensor:
            self._put_back(parameters)
            self._clear(parameters)
            total = torch.zeros((), dtype=parameters[0].dtype)
            for part in self.parts:
                loss = part.loss(self.module, True) / self.labels
                loss.backward()
                total = total + loss.detach().cpu()
            prior = self._penalty()
            if prior.requires_grad:
                prior.backward()
            total = total + prior.detach().cpu()
            for scaled, parameter, scale in zip(self.scaled, parameters, self.scales, strict=True):
                scaled.grad = None if parameter.grad is None else parameter.grad / scale
            return total

        self.lbfgs.step(closure)
        self._put_back(parameters)
        return self._total(self.parts) / self.labels

    def _scale(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Choose the scales from the gradients of the batches, none less than a thousandth of its kind's largest."""
        squares = [torch.zeros_like(p) for p in parameters]
        for part in self.parts:
            self._clear(parameters)
            (part.loss(self.module, True) / max(part.count(), 1)).backward()
            for square, parameter in zip(squares, parameters, strict=True):
                square += 0.0 if parameter.grad is None else parameter.grad**2
        for scale, scaled, square, parameter in zip(self.scales, self.scaled, squares, parameters, strict=True):
            size = (square / len(self.parts)).sqrt()
            scale.copy_(size + _LEAST_SCALE * size.max() + 1e-12)
            scaled.data.copy_(parameter.detach() * scale)

    def _put_back(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        with torch.no_grad():
            for scaled, parameter, scale in zip(self.scaled, parameters, self.scales, strict=True):
                parameter.copy_(scaled / scale)

    @staticmethod
    def _clear(parameters: Sequence[torch.nn.Parameter]) -> None:
        for parameter in parameters:
            parameter.grad = None

    def _validate(self) -> float:
        return self._total(self.held_out) / self.held_labels

    def _total(self, parts: Sequence[_Part]) -> float:
        return sum(float(part.loss(self.module, False).detach()) for part in parts)

    def take_best(self) -> None:
        """Go back to the best parameters."""
        self.module.load_state_dict(self.best[1])

    def store(self, path: Path) -> None:
        """Write the state atomically."""
        stream = io.BytesIO()
        torch.save(
            {
                "identity": self.identity,
                "module": self.module.state_dict(),
                "adam": self.adam.state_dict(),
                "lbfgs": self.lbfgs.state_dict(),
                "scaled": [p.detach() for p in self.scaled],
                "scales": self.scales,
                "best": self.best[1],
                "best_loss": self.best[0],
                "history": [[s.phase, s.number, s.loss, s.validation] for s in self.history],
            },
            stream,
        )
        write_atomic(path, stream.getvalue())

    def restore(self, path: Path) -> None:
        """Read the state back; refuse that of another run."""
        kept = torch.load(path, map_location=next(self.module.parameters()).device, weights_only=True)
        if kept["identity"] != self.identity:
            raise InputError(f"{path} belongs to another fit; remove it or choose another folder")
        self.module.load_state_dict(kept["module"])
        self.adam.load_state_dict(kept["adam"])
        self.lbfgs.load_state_dict(kept["lbfgs"])
        for mine, scaled in zip(self.scaled, kept["scaled"], strict=True):
            mine.data.copy_(scaled)
        self.scales = kept["scales"]
        self.best = (kept["best_loss"], kept["best"])
        self.history = [GradientStep(phase=p, number=n, loss=a, validation=v) for p, n, a, v in kept["history"]]
