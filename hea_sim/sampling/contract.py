"""What every walk through arrangements or positions offers to jobs: steps, observables, a state that can be kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from hea_sim.errors import InputError


class Walk(Protocol):
    """A run of Monte Carlo, molecular dynamics or both, advanced in parts.

    Advancing by 10 and then by 20 gives the same as by 30, bit for bit, also when the state was kept and restored
    in between.
    """

    temperature_K: float

    def advance(self, steps: int) -> None:
        """Go on by so many steps: sweeps of Monte Carlo, time steps, or cycles of both."""

    def observe(self) -> dict[str, float | np.ndarray]:
        """Give what can be averaged: "energy_eV_per_atom" always, and what the walk knows besides.

        Counters since the start stand as "trials" and "accepted"; a lattice walk gives "pair_fractions".
        """

    def atoms(self) -> Any:
        """Give the present `ase.Atoms`."""

    def state(self) -> dict[str, np.ndarray]:
        """Give all that the future depends on, as plain arrays."""

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state; InputError where it belongs to another walk."""


def generator_state(rng: np.random.Generator) -> np.ndarray:
    """Give the state of a generator as an array of bytes, to be kept with a walk.

    >>> rng = np.random.default_rng(3)
    >>> kept = generator_state(rng)
    >>> first = rng.random()
    >>> restore_generator(rng, kept)
    >>> rng.random() == first
    True
    """
    return np.frombuffer(json.dumps(_plain(rng.bit_generator.state)).encode(), np.uint8)


def restore_generator(rng: np.random.Generator, kept: np.ndarray) -> None:
    """Bring a generator to a kept state; InputError where it belongs to another kind of generator."""
    state = json.loads(np.asarray(kept, np.uint8).tobytes())
    if state["bit_generator"] != rng.bit_generator.state["bit_generator"]:
        known = rng.bit_generator.state["bit_generator"]
        raise InputError(f"kept state of a {state['bit_generator']} generator; wanted one of {known}")
    rng.bit_generator.state = state


def _plain(value: Any) -> Any:
    """Turn the arrays and NumPy numbers of a state into lists and numbers."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value
