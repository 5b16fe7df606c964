"""Canonical Monte Carlo of large cells under a pair Hamiltonian, in the class layout, on all threads.

| step | where |
|---|---|
| sites in classes that do not interact within | `class_layout` |
| exchanges within a class: r with R - r | `class_kernels.launch`, within |
| exchanges between two classes | `class_kernels.launch`, not within |

Exchanges within classes keep what each class holds: alone they reach no order of sublattices. Those between classes
make the walk ergodic; both are made in turn, with classes and shifts drawn at random.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.pairs import PairModel
from hea_sim.lattice.shells import neighbour_shells
from hea_sim.sampling.class_layout import LAUNCH_DRAWS, ClassLayout, class_layout
from hea_sim.sampling.lattice_state import BathTemperature, cell_of, kept_state, restore_state
from hea_sim.sampling.lattice_walks import Start, start_occupation
from hea_sim.sampling.random_streams import draw_key
from hea_sim.units import BOLTZMANN_EV_PER_K

#: Proposals in one call of a compiled loop, so that an interrupt is heard.
_CHUNK = 10_000_000


class PackedModel:
    """Hold a pair model as the class kernels need it.

    `weights` (shells, n - 1, n - 1) and `constants` (n - 1,) give the energy of a site with each species less that
    with the last one from the numbers of its neighbours of all species but the last; `code_of` (n,) packs a species.
    """

    def __init__(self, model: PairModel, layout: ClassLayout) -> None:
        used = [s for s in range(model.n_shells) if np.any(model.pair_energy_eV[s])]
        self.pair = np.ascontiguousarray(model.pair_energy_eV[used])
        if np.diagonal(self.pair, axis1=1, axis2=2).any():
            raise InputError(f"model {model.name} has energies of bonds between like atoms; wanted zero")
        keep = np.concatenate([np.flatnonzero(layout.shell_of == s) for s in used] or [np.empty(0, np.int64)])
        self.bonds = np.ascontiguousarray(layout.bonds[:, keep])
        number = np.array([np.count_nonzero(layout.shell_of == s) for s in used], np.int64)
        assert not (number % 2).any()  # the kernels take opposite bonds two at a time
        self.starts = np.concatenate([[0], np.cumsum(number)]).astype(np.int64)
        n = len(model.species)
        self.bits = int(max(number, default=1)).bit_length()
        kinds = [np.uint16, np.uint32, np.uint64]
        fitting = [kind for kind in kinds if self.bits * (n - 1) <= 8 * np.dtype(kind).itemsize]
        if not fitting:
            raise InputError(
                f"model {model.name} has {n} species; the class layout takes {64 // self.bits + 1} or fewer"
            )
        self.code_of = np.array([1 << (self.bits * k) for k in range(n - 1)] + [0], fitting[0])
        against_last = self.pair[:, :, :-1] - self.pair[:, :, -1:]
        self.weights = np.ascontiguousarray(against_last[:, :-1] - against_last[:, -1:]).astype(np.float32)
        rise = self.pair[:, :-1, -1] - self.pair[:, -1:, -1]
        self.constants = (number @ rise).astype(np.float32)


def bonds_by_shell(layout: ClassLayout, shells: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the bonds (classes, n, 4) of the first shells in their order, and where each begins (shells + 1,)."""
    order = np.argsort(layout.shell_of, kind="stable")
    starts = np.searchsorted(layout.shell_of[order], np.arange(shells + 1))
    return np.ascontiguousarray(layout.bonds[:, order]), starts


def fractions_of_counts(layout: ClassLayout, counts: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """Turn counts of bonds (shells, n, n) into pair fractions.

    Bonds of sites with their own images, which the layout leaves out, are joined to those between like atoms;
    `amounts` (n,) are the atoms of each species.
    """
    full = np.array([shell.multiplicity for shell in neighbour_shells(layout.lattice, len(counts))])
    missing = full - np.bincount(layout.shell_of, minlength=len(counts))[: len(counts)]
    return (counts + missing[:, None, None] * np.diag(amounts)) / (full[:, None, None] * amounts.sum())


class ClassWalk:
    """Walk through the arrangements of one composition of a large cell; the `Walk` of `hea_sim.sampling.contract`.

    A sweep makes two launches for each class, one within a class and one between two, about as many proposals as
    there are sites. The result depends on the seed of `rng` alone, not on the number of threads. For cells below some
    10^4 sites `CanonicalWalk` is faster.
    """

    kind = "canonical, by classes"
    temperature_K = BathTemperature()

    def __init__(
        self,
        model: PairModel,
        size: Sequence[int],
        start: Start,
        temperature_K: float,
        rng: np.random.Generator,
        *,
        shells: int = 3,
        a_A: float | None = None,
    ) -> None:
        self.model, self.size, self.temperature_K = model, tuple(int(n) for n in size), temperature_K
        self.shells, self._a_A = shells, a_A
        energetic = [s for s in range(model.n_shells) if np.any(model.pair_energy_eV[s])]
        self.layout = class_layout(model.lattice, size, energetic, counted=max(shells, model.n_shells))
        self.packed = PackedModel(model, self.layout)
        self._all_bonds, self._all_starts = bonds_by_shell(self.layout, max(shells, model.n_shells))
        reach = np.abs(self.packed.bonds[:, :, 1:]).max(axis=(0, 1), initial=0)
        self._gap = int(reach[0])
        self._shape = np.array([*self.layout.shape, reach[1], reach[2]], np.int64)
        sites = self.layout.classes * self.layout.sites_per_class
        occupation = start_occupation(model, np.zeros(sites, np.int8), start, rng)
        self._key, self._place = draw_key(rng), np.uint64(0)
        self.trials = self.accepted = 0
        self._set(occupation)

    def _set(self, occupation: np.ndarray) -> None:
        from hea_sim.sampling.class_kernels import wrap_all

        nx, ny, nz, hy, hz = self._shape.tolist()
        species = self.layout.sorted(occupation).astype(np.uint8)
        codes = np.zeros((self.layout.classes, nx, ny + 2 * hy, nz + 2 * hz), self.packed.code_of.dtype)
        codes[:, :, hy : hy + ny, hz : hz + nz] = self.packed.code_of[species]
        self._species = species.ravel()
        # Rows are read past their ends.
        self._codes = np.concatenate([codes.ravel(), np.zeros(4 * (nz + 2 * hz), codes.dtype)])
        wrap_all(self._codes, self.layout.classes, self._shape)

    @property
    def occupation(self) -> np.ndarray:
        """Give species indices (sites,) in the order of `lattice_points`."""
        return self.layout.unsorted(self._species).astype(np.int8)

    @property
    def energy_eV(self) -> float:
        """Count the energy of the cell."""
        return self.model.energy_from_pairs_eV(self._counted()[: self.model.n_shells]) * len(self._species)

    def advance(self, steps: int) -> None:
        """Make so many sweeps."""
        from hea_sim.sampling.class_kernels import launches

        each = max(1, _CHUNK // len(self._species))
        for first in range(0, int(steps), each):
            number = min(each, int(steps) - first) * self.layout.classes
            trials, accepted, _ = launches(number, *self._arguments())
            self._count(trials, accepted, 2 * number)

    def launch(self, *, within: bool) -> float:
        """Try exchanges within one class, or between two, drawn at random; give the change of the energy (eV)."""
        from hea_sim.sampling.class_kernels import launch

        codes, species, *others = self._arguments()
        trials, accepted, change = launch(codes, species, within, *others)
        self._count(trials, accepted, 1)
        return float(change)

    def _arguments(self) -> tuple[Any, ...]:
        packed = self.packed
        return (
            self._codes, self._species, self.layout.classes, self._gap, self._shape, packed.bonds, packed.starts,
            packed.bits, packed.code_of, packed.pair, packed.weights, packed.constants,
            1.0 / (BOLTZMANN_EV_PER_K * self.temperature_K), self._key, self._place,
        )  # fmt: skip

    def _count(self, trials: int, accepted: int, launched: int) -> None:
        self.trials += int(trials)
        self.accepted += int(accepted)
        with np.errstate(over="ignore"):
            self._place = self._place + np.uint64(launched * (self.layout.sites_per_class + LAUNCH_DRAWS))

    def _counted(self) -> np.ndarray:
        """Count the pair fractions of all shells."""
        from hea_sim.sampling.class_kernels import pair_counts

        n = len(self.model.species)
        counts = pair_counts(self._species, self._shape, self._all_bonds, self._all_starts, n)
        return fractions_of_counts(self.layout, counts, np.bincount(self._species, minlength=n))

    def observe(self) -> dict[str, float | np.ndarray]:
        """Give energy per atom, fractions of the species, counters and pair fractions (shells, species, species)."""
        pairs = self._counted()
        return {
            "energy_eV_per_atom": self.model.energy_from_pairs_eV(pairs[: self.model.n_shells]),
            "fractions": pairs[0].sum(axis=1),
            "trials": float(self.trials),
            "accepted": float(self.accepted),
            "pair_fractions": pairs[: self.shells],
        }

    def atoms(self) -> Any:
        """Give the present `ase.Atoms`; without a lattice parameter, at the volume of the elements."""
        return cell_of(self.model, self.occupation, self.size, self._a_A)

    def state(self) -> dict[str, np.ndarray]:
        """Give all that the future depends on."""
        return kept_state(self, self._identity())

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state."""
        self._set(restore_state(self, state, self._identity()))

    def _identity(self) -> dict[str, Any]:
        counts = np.bincount(self._species, minlength=len(self.model.species)).tolist()
        numbers = hashlib.sha256(self.packed.pair.tobytes()).hexdigest()[:16]
        return {
            "kind": self.kind, "model": self.model.name, "species": list(self.model.species),
            "size": list(self.size), "sha256": numbers, "counts": counts,
        }  # fmt: skip
