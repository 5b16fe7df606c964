"""Many replicas of a large cell at once in the class layout, on a GPU or the CPU: torch, or a Triton kernel.

All replicas make the same launch, with random numbers of their own: each samples its own temperature as a walk alone
would. One replica alone makes the very walk of `class_walk.ClassWalk`, but for roundings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from hea_sim.errors import InputError
from hea_sim.lattice.pairs import PairModel
from hea_sim.sampling.class_layout import LAUNCH_DRAWS, class_layout
from hea_sim.sampling.class_torch import Launch, TorchExchanges
from hea_sim.sampling.class_walk import PackedModel, bonds_by_shell, fractions_of_counts
from hea_sim.sampling.lattice_state import cell_of
from hea_sim.sampling.lattice_walks import Start, start_occupation
from hea_sim.sampling.random_streams import draw_key, uniform
from hea_sim.sampling.settings_check import check_same_walk, check_temperature, walk_identity
from hea_sim.units import BOLTZMANN_EV_PER_K


class ReplicasWalk:
    """Walk replicas of one cell, each at its temperature, through the arrangements of a composition.

    `temperature_K` is one temperature or one for each replica. `device` is that of torch ("cpu", "cuda"); `engine` is
    "torch" or "triton". The cell must be long enough for exchanges between classes half a cell apart: with
    classes of period p and shells that reach into the next cell of a class, 4 p cells along its longest axis.
    """

    kind = "canonical, by classes, replicas"

    def __init__(
        self,
        model: PairModel,
        size: Sequence[int],
        start: Start,
        temperature_K: float | Sequence[float],
        rng: np.random.Generator,
        *,
        device: str = "cpu",
        engine: Literal["torch", "triton"] = "torch",
        shells: int = 3,
        a_A: float | None = None,
    ) -> None:
        self.model, self.size, self.shells, self._a_A = model, tuple(int(n) for n in size), shells, a_A
        self._device = torch.device(device)
        energetic = [s for s in range(model.n_shells) if np.any(model.pair_energy_eV[s])]
        self.layout = class_layout(model.lattice, size, energetic, counted=max(shells, model.n_shells))
        packed = PackedModel(model, self.layout)
        self._bonds, self._starts = bonds_by_shell(self.layout, max(shells, model.n_shells))
        gap = int(np.abs(packed.bonds[:, :, 1]).max(initial=0))
        self._width = self.layout.shape[0] // 2 - gap
        if self._width < 1 and self.layout.classes > 1:
            need = 2 * (gap + 1) * self.layout.period[0]
            raise InputError(
                f"size {self.size}: wanted at least {need} cells along the longest axis; take CanonicalWalk"
            )
        if engine not in ("torch", "triton"):
            raise InputError(f"engine {engine!r}; wanted 'torch' or 'triton'")
        self._exchanges: Any
        if engine == "torch":
            self._exchanges = TorchExchanges(packed, self.layout.shape, self._device)
        else:
            from hea_sim.sampling.class_triton import TritonExchanges

            self._exchanges = TritonExchanges(packed, self.layout.shape, self._device)
        self.temperatures_K = np.atleast_1d(np.asarray(temperature_K, float))
        sites = self.layout.classes * self.layout.sites_per_class
        first = start_occupation(model, np.zeros(sites, np.int8), start, rng)
        starts = [first] + [
            first if isinstance(start, np.ndarray) else rng.permutation(first) for _ in self.temperatures_K[1:]
        ]
        self._keys, self._place = np.array([draw_key(rng) for _ in self.temperatures_K]), np.uint64(0)
        self.trials = self.accepted = 0
        self._set(np.array(starts))

    def _set(self, occupations: np.ndarray) -> None:
        species = np.array([self.layout.sorted(one) for one in occupations], np.uint8)
        self._species = torch.tensor(species, device=self._device)

    @property
    def temperatures_K(self) -> np.ndarray:
        """Give the temperatures of the replicas."""
        return self._temperatures_K

    @temperatures_K.setter
    def temperatures_K(self, values: np.ndarray) -> None:
        self._temperatures_K = np.array([check_temperature(t) for t in values])
        self._betas = torch.tensor(1 / (BOLTZMANN_EV_PER_K * self._temperatures_K), device=self._device)

    @property
    def temperature_K(self) -> float:
        """Give the temperature of the first replica; setting it sets that of all."""
        return float(self._temperatures_K[0])

    @temperature_K.setter
    def temperature_K(self, value: float) -> None:
        self.temperatures_K = np.full(len(self._temperatures_K), value)

    @property
    def occupations(self) -> np.ndarray:
        """Give species indices (replicas, sites) in the order of `lattice_points`."""
        return np.array([self.layout.unsorted(one) for one in self._species.cpu().numpy()], np.int8)

    def advance(self, steps: int) -> None:
        """Make so many sweeps."""
        found = torch.zeros(2, dtype=torch.int64, device=self._device)
        keys = torch.tensor(self._keys.view(np.int64), device=self._device)
        with np.errstate(over="ignore"):
            for k in range(2 * int(steps) * self.layout.classes):
                if k % 2 == 0 or self.layout.classes > 1:
                    trials, accepted = self._exchanges.exchange(
                        self._species, self._drawn(within=k % 2 == 0), self._betas, keys,
                        int((self._place + np.uint64(LAUNCH_DRAWS)).view(np.int64)),
                    )  # fmt: skip
                    found += torch.stack([trials.sum(), accepted.sum()])
                self._place = self._place + np.uint64(self.layout.sites_per_class + LAUNCH_DRAWS)
        trials, accepted = found.tolist()
        self.trials, self.accepted = self.trials + trials, self.accepted + accepted

    def _drawn(self, *, within: bool) -> Launch:
        """Draw classes and shifts of a launch, as `class_kernels` does."""
        nx, ny, nz = self.layout.shape
        numbers = [uniform(self._keys[0], self._place + np.uint64(k)) for k in range(5)]
        rx, ry, rz = (int(u * n) for u, n in zip(numbers, (nx, ny, nz), strict=False))
        c = int(numbers[3] * self.layout.classes)
        if within:
            every = np.arange(nx)
            partners = (rx - every) % nx
            return Launch(c, c, every[partners >= every], partners[partners >= every], -1, ry, rz)
        d = (c + 1 + int(numbers[4] * (self.layout.classes - 1))) % self.layout.classes
        planes = (rx + np.arange(self._width)) % nx
        return Launch(c, d, planes, (planes + nx // 2) % nx, 1, ry, rz)

    def pair_fractions(self) -> np.ndarray:
        """Count the pair fractions (replicas, shells, species, species)."""
        n, species = len(self.model.species), self._species
        codes = (torch.arange(len(species), device=self._device) * n * n).view(-1, 1, 1, 1)
        counts = torch.zeros(len(self._starts) - 1, len(species) * n * n, dtype=torch.int64, device=self._device)
        for c in range(self.layout.classes):
            own = codes + species[:, c].long() * n
            for s in range(len(counts)):
                for e, dx, dy, dz in self._bonds[c, self._starts[s] : self._starts[s + 1]].tolist():
                    pairs = own + torch.roll(species[:, e], (-dx, -dy, -dz), (1, 2, 3))
                    counts[s] += torch.bincount(pairs.ravel(), minlength=len(species) * n * n)
        by_replica = counts.view(-1, len(species), n, n).transpose(0, 1).cpu().numpy()
        amounts = [torch.bincount(one.ravel().long(), minlength=n).cpu().numpy() for one in species]
        return np.array(
            [fractions_of_counts(self.layout, one, own) for one, own in zip(by_replica, amounts, strict=True)]
        )

    def observe(self) -> dict[str, float | np.ndarray]:
        """Give what the first replica shows, and of all: temperatures, energies per atom, pair fractions."""
        pairs = self.pair_fractions()
        energies = np.array([self.model.energy_from_pairs_eV(one[: self.model.n_shells]) for one in pairs])
        return {
            "energy_eV_per_atom": float(energies[0]),
            "fractions": pairs[0, 0].sum(axis=1),
            "trials": float(self.trials),
            "accepted": float(self.accepted),
            "pair_fractions": pairs[0, : self.shells],
            "temperatures_K": self.temperatures_K.copy(),
            "energies_eV_per_atom": energies,
            "pair_fractions_of_all": pairs[:, : self.shells],
        }

    def atoms(self, replica: int = 0) -> Any:
        """Give a replica's `ase.Atoms`; without a lattice parameter, at the volume of the elements."""
        occupation = self.layout.unsorted(self._species[replica].cpu().numpy()).astype(np.int8)
        return cell_of(self.model, occupation, self.size, self._a_A)

    def state(self) -> dict[str, np.ndarray]:
        """Give all that the future depends on."""
        return {
            "walk": walk_identity(self._identity()),
            "species": self._species.cpu().numpy().copy(),
            "temperatures_K": self.temperatures_K.copy(),
            "counters": np.array([self.trials, self.accepted], np.int64),
            "stream": np.append(self._keys, self._place),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state."""
        check_same_walk(state, self._identity())
        self._species = torch.tensor(np.array(state["species"]), device=self._device)
        self.temperatures_K = np.array(state["temperatures_K"])
        self.trials, self.accepted = (int(n) for n in state["counters"])
        self._keys, self._place = np.array(state["stream"][:-1]), np.uint64(state["stream"][-1])

    def _identity(self) -> dict[str, Any]:
        numbers = [round(float(x), 12) for x in np.unique(self.model.pair_energy_eV)]
        return {
            "kind": self.kind, "model": self.model.name, "species": list(self.model.species), "energies": numbers,
            "size": list(self.size), "replicas": len(self._temperatures_K),
        }  # fmt: skip
