"""Search for the settings of a fit: grid, random, or Bayesian by expected improvement; kept in a journal.

The journal is a JSON file written after each trial: a search that was stopped goes on, and one with other settings is
refused. Bayesian: a Gaussian process with one length for each setting, both by maximum likelihood over a few tries;
the next trial has the largest expected improvement among random candidates (Jones, Schonlau, Welch 1998,
10.1023/A:1008306431147).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hea_sim.documents import read_json, to_jsonable, write_json
from hea_sim.errors import HEAError, InputError, one_line_error, unknown_name

Method = Literal["grid", "random", "bayesian"]
_FIRST_AT_RANDOM = 6
_CANDIDATES = 2000


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Take one of some values."""

    values: tuple[Any, ...]

    def at(self, u: float) -> Any:
        """Give the value at u from 0 to 1."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    def place(self, value: Any) -> float:
        """Give u of a value."""
        return (self.values.index(value) + 0.5) / len(self.values)

    def grid(self) -> list[Any]:
        """List the values of a grid."""
        return list(self.values)


@dataclass(frozen=True, kw_only=True)
class Range:
    """Take a number between two, on a logarithmic scale where `log`; a grid has `steps` of them."""

    low: float
    high: float
    log: bool = False
    steps: int = 5

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise InputError(f"range {self.low} to {self.high}; wanted low < high, and above 0 where logarithmic")

    def at(self, u: float) -> float:
        """Give the value at u from 0 to 1."""
        if self.log:
            return float(np.exp(np.log(self.low) + u * np.log(self.high / self.low)))
        return float(self.low + u * (self.high - self.low))

    def place(self, value: float) -> float:
        """Give u of a value."""
        if self.log:
            return float(np.log(value / self.low) / np.log(self.high / self.low))
        return float((value - self.low) / (self.high - self.low))

    def grid(self) -> list[float]:
        """List the values of a grid."""
        return [self.at(u) for u in np.linspace(0, 1, self.steps)]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Hold one set of settings with its score; smaller is better, None where it failed, with the error."""

    settings: Mapping[str, Any]
    score: float | None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Search:
    """Hold all trials in their order and the best one."""

    trials: tuple[Trial, ...]
    best: Trial


def search_settings(
    space: Mapping[str, Choice | Range],
    score: Callable[[Mapping[str, Any]], float],
    *,
    method: Method = "bayesian",
    trials: int = 30,
    seed: int = 0,
    journal: str | os.PathLike[str] | None = None,
) -> Search:
    """Try settings and keep the best.

    A trial that raises an error of this project counts as failed and is told in the journal. Raises InputError where
    the journal belongs to another search, or every trial failed.
    """
    if method not in ("grid", "random", "bayesian"):
        raise unknown_name("way to search", method, ("grid", "random", "bayesian"))
    if not space or trials < 1:
        raise InputError(f"a search of {len(space)} settings with {trials} trials; wanted at least one of each")
    about = to_jsonable({"space": {k: repr(v) for k, v in space.items()}, "method": method, "seed": seed})
    done = _read_journal(journal, about)
    grid = [dict(zip(space, row, strict=True)) for row in itertools.product(*(v.grid() for v in space.values()))]
    wanted = len(grid) if method == "grid" else trials
    while len(done) < wanted:
        settings = grid[len(done)] if method == "grid" else _propose(space, done, method, seed)
        try:
            trial = Trial(settings=settings, score=float(score(settings)))
        except HEAError as error:
            trial = Trial(settings=settings, score=None, error=one_line_error(error))
        done.append(trial)
        if journal is not None:
            write_json(journal, {"search": about, "trials": done})
    good = [t for t in done if t.score is not None and np.isfinite(t.score)]
    if not good:
        raise InputError(
            f"all {len(done)} trials failed; the last said: {done[-1].error or 'a score that is no number'}"
        )
    return Search(trials=tuple(done), best=min(good, key=lambda t: float(t.score or 0.0)))


def _read_journal(journal: str | os.PathLike[str] | None, about: Any) -> list[Trial]:
    if journal is None or not Path(journal).is_file():
        return []
    kept = read_json(journal)
    if not isinstance(kept, dict) or kept.get("search") != about:
        raise InputError(f"{journal} belongs to another search; remove it, or choose another folder")
    return [Trial(**trial) for trial in kept["trials"]]


def _propose(space: Mapping[str, Choice | Range], done: Sequence[Trial], method: Method, seed: int) -> dict[str, Any]:
    """Give the next settings; they depend on the seed and the trials so far alone, so that a search can go on."""
    rng = np.random.default_rng([seed, len(done)])
    good = [t for t in done if t.score is not None and np.isfinite(t.score)]
    if method == "random" or len(good) < _FIRST_AT_RANDOM:
        return {name: part.at(rng.random()) for name, part in space.items()}
    x = np.array([[part.place(t.settings[name]) for name, part in space.items()] for t in good])
    y = np.array([float(t.score or 0.0) for t in good])
    if (y > 0).all():
        y = np.log(y)  # errors differ by factors
    candidates = rng.random((_CANDIDATES, len(space)))
    near = np.clip(x[np.argmin(y)] + 0.05 * rng.normal(size=(_CANDIDATES // 4, len(space))), 0, 1)
    rows = [
        {name: part.at(u) for (name, part), u in zip(space.items(), row, strict=True)} for row in (*candidates, *near)
    ]
    places = np.array([[part.place(row[name]) for name, part in space.items()] for row in rows])
    return rows[int(np.argmax(expected_improvement(x, y, places)))]


def expected_improvement(x: np.ndarray, y: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Give by how much each candidate (m, settings) is expected to fall below the smallest y of the trials x."""
    from scipy.special import ndtr

    mean, std = gaussian_process(x, y, candidates)
    gain = (y.min() - mean) / std
    improvement = std * (gain * ndtr(gain) + np.exp(-0.5 * gain**2) / np.sqrt(2 * np.pi))
    return np.asarray(improvement)


def gaussian_process(x: np.ndarray, y: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predict mean and standard deviation at candidates; Matern 5/2, lengths and noise by maximum likelihood."""
    from scipy.optimize import minimize

    centre, spread = float(y.mean()), float(y.std()) or 1.0
    z, n = (y - centre) / spread, len(y)

    def factor(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lower = np.linalg.cholesky(_matern(x, x, np.exp(logs[:-1])) + (np.exp(logs[-1]) + 1e-8) * np.eye(n))
        return lower, np.linalg.solve(lower, z)

    def minus(logs: np.ndarray) -> float:
        lower, white = factor(logs)
        scale = max(float(white @ white) / n, 1e-12)
        prior = 0.05 * float(np.square(logs[:-1] - np.log(0.4)).sum())  # lengths near the size of the space
        return float(np.log(np.diag(lower)).sum() + 0.5 * n * np.log(scale) + prior)

    bounds = [(np.log(0.03), np.log(10.0))] * x.shape[1] + [(np.log(1e-6), np.log(1e-2))]
    starts = [np.array([np.log(length)] * x.shape[1] + [np.log(1e-3)]) for length in (0.2, 0.6)]
    logs = min((minimize(minus, s, method="L-BFGS-B", bounds=bounds) for s in starts), key=lambda r: r.fun).x
    lower, white = factor(logs)
    scale = float(white @ white) / n
    across = np.linalg.solve(lower, _matern(x, candidates, np.exp(logs[:-1])))
    variance = scale * np.maximum(1.0 - np.square(across).sum(axis=0), 1e-12)
    return centre + spread * (across.T @ white), spread * np.sqrt(variance)


def _matern(a: np.ndarray, b: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    r = np.sqrt(5.0 * np.square((a[:, None] - b[None]) / lengths).sum(axis=-1))
    return np.asarray((1 + r + r**2 / 3) * np.exp(-r))
