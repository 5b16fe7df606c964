"""Replica exchange: walks at several temperatures that trade places, so that cold ones do not stay shut in.

| symbol | here |
|---|---|
| acceptance min(1, exp((1/kT_a - 1/kT_b) (E_a - E_b))) (Swendsen and Wang 1986, doi:10.1103/PhysRevLett.57.2607) | |
| neighbours in temperature, even and odd pairs in turn | `ReplicaExchange` |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.contract import LatticeModel
from hea_sim.sampling.lattice_walks import CanonicalWalk, LatticeWalk, Start
from hea_sim.sampling.random_streams import draw_key, uniform
from hea_sim.sampling.settings_check import check_temperature


class ReplicaExchange:
    """Walk at all temperatures of a ladder at once; every `every` sweeps neighbours may trade temperatures.

    `temperature_K` is the ladder; the walk's own temperature is the lowest of it. `walk` is the kind of the replicas,
    `settings` are theirs. The result does not hang on `threads`.
    """

    def __init__(
        self,
        model: LatticeModel,
        size: Sequence[int],
        start: Start,
        temperature_K: Sequence[float],
        rng: np.random.Generator,
        *,
        walk: type[LatticeWalk] = CanonicalWalk,
        every: int = 1,
        threads: int = 1,
        **settings: Any,
    ) -> None:
        ladder = sorted(check_temperature(t) for t in np.atleast_1d(np.asarray(temperature_K, float)))
        if len(ladder) < 2 or len(set(ladder)) < len(ladder):
            raise InputError(f"replica exchange: got temperatures {ladder}, wanted two or more, all different")
        if every < 1 or threads < 1:
            raise InputError(f"replica exchange: got every={every}, threads={threads}, wanted whole numbers from 1")
        self.temperatures_K, self.every, self.threads = np.array(ladder), int(every), int(threads)
        #: Replicas in order of their temperature.
        self.walks = [walk(model, size, start, t, rng, **settings) for t in ladder]
        self._key, self._sweeps = draw_key(rng), 0
        self.tried, self.traded = (np.zeros(len(ladder) - 1, np.int64) for _ in range(2))
        #: Trials and accepted ones at each temperature (2, temperatures), whichever replicas made them.
        self.counts = np.zeros((2, len(ladder)), np.int64)

    @property
    def temperature_K(self) -> float:
        """Give the lowest temperature."""
        return float(self.temperatures_K[0])

    @temperature_K.setter
    def temperature_K(self, value: float) -> None:
        raise InputError(f"temperature_K = {value}: the temperatures of a replica exchange are those of its ladder")

    def advance(self, steps: int) -> None:
        """Make so many sweeps of every replica."""
        end = self._sweeps + int(steps)
        with ThreadPoolExecutor(self.threads) if self.threads > 1 else nullcontext() as pool:
            while self._sweeps < end:
                part = min(end - self._sweeps, self.every - self._sweeps % self.every)
                before = self._counters()
                if pool is None:
                    for walk in self.walks:
                        walk.advance(part)
                else:
                    for done in [pool.submit(walk.advance, part) for walk in self.walks]:
                        done.result()
                self.counts += self._counters() - before
                self._sweeps += part
                if self._sweeps % self.every == 0:
                    self._trade(self._sweeps // self.every)

    def _counters(self) -> np.ndarray:
        return np.array([[walk.trials for walk in self.walks], [walk.accepted for walk in self.walks]])

    def _trade(self, time: int) -> None:
        """Let neighbours in temperature trade places."""
        walks = self.walks
        for k in range(time % 2, len(walks) - 1, 2):
            cold, warm = walks[k], walks[k + 1]
            exponent = (cold.beta_per_eV - warm.beta_per_eV) * (cold.weighed_energy_eV - warm.weighed_energy_eV)
            with np.errstate(over="ignore"):
                drawn = uniform(self._key, np.uint64(time * len(walks) + k))
            self.tried[k] += 1
            if exponent >= 0 or drawn < math.exp(exponent):
                cold.temperature_K, warm.temperature_K = warm.temperature_K, cold.temperature_K
                walks[k], walks[k + 1] = warm, cold
                self.traded[k] += 1

    def observe(self) -> dict[str, float | np.ndarray]:
        """Give what the coldest replica shows, and of all: temperatures, energies per atom, rates of trading."""
        sites = len(self.walks[0].occupation)
        return self.walks[0].observe() | {
            "trials": float(self.counts[0].sum()),
            "accepted": float(self.counts[1].sum()),
            "temperatures_K": self.temperatures_K.copy(),
            "energies_eV_per_atom": np.array([walk.energy_eV / sites for walk in self.walks]),
            "trade_rates": self.trade_rates,
        }

    @property
    def trade_rates(self) -> np.ndarray:
        """Give the share (temperatures - 1,) of tries at which neighbours in temperature traded, coldest first."""
        return np.asarray(self.traded / np.maximum(1, self.tried))

    def observe_each(self) -> list[dict[str, float | np.ndarray]]:
        """Give what the replica at each temperature shows, coldest first; counters are those of the temperature."""
        return [
            walk.observe() | {"trials": float(trials), "accepted": float(accepted)}
            for walk, trials, accepted in zip(self.walks, *self.counts, strict=True)
        ]

    def atoms(self) -> Any:
        """Give the coldest replica's `ase.Atoms`."""
        return self.walks[0].atoms()

    def state(self) -> dict[str, np.ndarray]:
        """Give all that the future depends on."""
        kept = {
            "ladder": self.temperatures_K.copy(),
            "clock": np.array([self._sweeps, self.every], np.int64),
            "key": np.array(self._key, np.uint64),
            "traded": np.array([self.tried, self.traded]),
            "counts": self.counts.copy(),
        }
        for k, walk in enumerate(self.walks):
            kept |= {f"replica {k} {name}": value for name, value in walk.state().items()}
        return kept

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state."""
        if "ladder" not in state or not np.array_equal(state["ladder"], self.temperatures_K):
            raise InputError(
                f"kept state of another walk; wanted a replica exchange at {self.temperatures_K.tolist()} K"
            )
        if state["clock"][1] != self.every:
            raise InputError(f"kept state trades every {state['clock'][1]} sweeps; wanted every {self.every}")
        for k, walk in enumerate(self.walks):
            head = f"replica {k} "
            walk.restore({name.removeprefix(head): v for name, v in state.items() if name.startswith(head)})
        self._sweeps, self._key = int(state["clock"][0]), np.uint64(state["key"])
        self.tried, self.traded = np.array(state["traded"])
        self.counts = np.array(state["counts"])
