"""Walks of lattice Monte Carlo under any lattice model: canonical, semi-grand, variance-constrained.

| symbol | here |
|---|---|
| canonical: weight exp(-E / k T) at fixed composition, exchanges of two unlike atoms | `CanonicalWalk` |
| semi-grand: weight exp(-(E - sum_i mu_i N_i) / k T), sites change their species | `SemiGrandWalk` |
| variance-constrained: weight exp(-E / k T - kappa N sum_i (c_i - t_i)^2) | `VarianceConstrainedWalk` |
| sweep: as many proposals as sites | `advance` |

The last one (Sadigh and Erhart 2012, doi:10.1103/PhysRevB.86.134204) stays within a miscibility gap where the
semi-grand one jumps over it.

Exchanges at any distance alone make the canonical walk ergodic; near ones keep moving atoms where order has set in.
The walk depends on the seed of `rng` alone: one number is drawn from it, the key of a stream (`random_streams`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError
from hea_sim.lattice.contract import LatticeModel
from hea_sim.sampling.lattice_kernels import DRAWS, exchange_loop, flip_loop
from hea_sim.sampling.lattice_state import BathTemperature, cell_of, kept_state, restore_state
from hea_sim.sampling.random_streams import draw_key
from hea_sim.sampling.specialised import specialised
from hea_sim.units import BOLTZMANN_EV_PER_K

#: Proposals in one call of a compiled loop, so that an interrupt is heard.
_CHUNK = 10_000_000

#: A composition, one for each sublattice, or species indices (sites,).
Start = Composition | str | Mapping[str, float] | Sequence[str] | np.ndarray


class LatticeWalk:
    """Hold what walks on a lattice share: the cell, its energy, counters, the stream of random numbers."""

    kind: ClassVar[str]
    #: The loop that makes the proposals.
    loop: ClassVar[Callable[..., Any]]
    temperature_K = BathTemperature()

    def __init__(
        self,
        model: LatticeModel,
        size: Sequence[int],
        start: Start,
        temperature_K: float,
        rng: np.random.Generator,
        *,
        shells: int = 3,
        a_A: float | None = None,
        compiled: bool = True,
    ) -> None:
        self.model, self.size, self.temperature_K = model, tuple(int(n) for n in size), temperature_K
        self.shells, self._a_A = shells, a_A
        self._bound = model.bound(size)
        self.occupation = start_occupation(model, self._bound.sublattice, start, rng, self._bound.holds)
        self._key, self._place = draw_key(rng), np.uint64(0)
        changes = self._bound.energy_change, self._bound.composition_change
        self._run = specialised(type(self).loop, *changes, compiled=compiled)
        sublattice = self._bound.sublattice.astype(np.int64)
        self._sublattice, self._members = sublattice, np.argsort(sublattice, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(sublattice))])
        self._nearest = np.ascontiguousarray(self._bound.nearest, np.int32)
        self.energy_eV = model.energy_eV_per_atom(self.occupation, self.size) * len(self.occupation)
        self.trials = self.accepted = 0

    @property
    def beta_per_eV(self) -> float:
        """Give 1 / k T."""
        return 1.0 / (BOLTZMANN_EV_PER_K * self.temperature_K)

    @property
    def fractions(self) -> np.ndarray:
        """Give the fraction (species,) of each species in the cell."""
        return np.bincount(self.occupation, minlength=len(self.model.species)) / len(self.occupation)

    @property
    def weighed_energy_eV(self) -> float:
        """Give what stands beside 1 / k T in the weight of an arrangement: E, or E - sum_i mu_i N_i."""
        return self.energy_eV

    def advance(self, steps: int) -> None:
        """Make so many sweeps."""
        left = int(steps) * len(self.occupation)
        with np.errstate(over="ignore"):  # of the plain twin's random numbers
            while left > 0:
                proposals = min(left, _CHUNK)
                trials, accepted, energy = self._propose(proposals)
                self.trials += int(trials)
                self.accepted += int(accepted)
                self.energy_eV = float(energy)
                self._place = self._place + np.uint64(proposals) * DRAWS
                left -= proposals

    def _propose(self, proposals: int) -> tuple[int, int, float]:
        raise NotImplementedError

    def observe(self) -> dict[str, float | np.ndarray]:
        """Give energy per atom, fractions of the species, counters and pair fractions (shells, species, species).

        Where there are several sublattices, "sublattice_fractions" (sublattices, species) too.
        """
        several: dict[str, float | np.ndarray] = {}
        if len(self._starts) > 2:
            several["sublattice_fractions"] = self.sublattice_fractions()
        return several | {
            "energy_eV_per_atom": self.energy_eV / len(self.occupation),
            "fractions": self.fractions,
            "trials": float(self.trials),
            "accepted": float(self.accepted),
            "pair_fractions": self.pair_fractions(),
        }

    def sublattice_fractions(self) -> np.ndarray:
        """Give the fraction (sublattices, species) of each species on each sublattice."""
        n, sublattices = len(self.model.species), len(self._starts) - 1
        counts = np.bincount(self._sublattice * n + self.occupation, minlength=n * sublattices)
        return counts.reshape(sublattices, n) / np.diff(self._starts)[:, None]

    def pair_fractions(self) -> np.ndarray:
        """Count the pair fractions (shells, species, species); the first shell alone on lattices without a table."""
        from hea_sim.lattice.pairs import pair_fractions
        from hea_sim.lattice.shells import is_cubic

        n = len(self.model.species)
        if is_cubic(self.model.lattice):
            return pair_fractions(self.occupation, self.model.lattice, self.size, self.shells, n)
        codes = self.occupation[:, None].astype(np.int64) * n + self.occupation[self._nearest]
        return (np.bincount(codes.ravel(), minlength=n * n) / codes.size).reshape(1, n, n)

    def atoms(self) -> Any:
        """Give the present `ase.Atoms`; without a lattice parameter, at the volume of the elements."""
        return cell_of(self.model, self.occupation, self.size, self._a_A)

    def state(self) -> dict[str, np.ndarray]:
        """Give all that the future depends on."""
        return kept_state(self, self._identity()) | {"energy_eV": np.array(self.energy_eV)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go back to a kept state."""
        self.occupation[:] = restore_state(self, state, self._identity())
        self.energy_eV = float(state["energy_eV"])

    def _identity(self) -> dict[str, Any]:
        """Say which walk this is: kind, model with a checksum of its numbers, size, settings."""
        sums = hashlib.sha256()
        for table in self._bound.tables:
            if table.dtype.kind == "f":  # the others follow from lattice and size
                sums.update(np.ascontiguousarray(table).tobytes())
        return {
            "kind": self.kind, "model": self.model.name, "species": list(self.model.species),
            "size": list(self.size), "sha256": sums.hexdigest()[:16], **self._settings(),
        }  # fmt: skip

    def _settings(self) -> dict[str, Any]:
        return {}


class CanonicalWalk(LatticeWalk):
    """Walk through the arrangements of one composition by exchanges of unlike atoms.

    `near_share` of the proposals are of nearest neighbours, the others of any two sites of a sublattice. With 1 the
    walk is that of diffusion by exchange, which is ergodic only where neighbours connect each sublattice.
    `start` is a composition, of which a random arrangement is made, one for each sublattice, or species indices
    (sites,).
    """

    kind = "canonical"
    loop: ClassVar[Callable[..., Any]] = staticmethod(exchange_loop)

    def __init__(
        self,
        model: LatticeModel,
        size: Sequence[int],
        start: Start,
        temperature_K: float,
        rng: np.random.Generator,
        *,
        near_share: float = 0.5,
        shells: int = 3,
        a_A: float | None = None,
        compiled: bool = True,
    ) -> None:
        if not 0 <= near_share <= 1:
            raise InputError(f"near_share: got {near_share}, wanted a share from 0 to 1")
        self.near_share = float(near_share)
        super().__init__(model, size, start, temperature_K, rng, shells=shells, a_A=a_A, compiled=compiled)

    def _propose(self, proposals: int) -> tuple[int, int, float]:
        found: tuple[int, int, float] = self._run(
            self.occupation, proposals, self.energy_eV, self.beta_per_eV, self._key, self._place,
            self._nearest, self.near_share, self._sublattice, self._members, self._starts, self._bound.tables,
        )  # fmt: skip
        return found

    def _settings(self) -> dict[str, Any]:
        counts = np.bincount(self.occupation, minlength=len(self.model.species))
        return {"near_share": self.near_share, "counts": counts.tolist()}


class SemiGrandWalk(LatticeWalk):
    """Walk through arrangements and compositions at given chemical potentials of the species.

    `chemical_potentials_eV` maps symbols to mu_i, against the elements as energies are; only differences matter, and
    a species that is not named has zero. `allowed` lists the symbols that each sublattice may hold; without it, all
    that the model lets it hold.
    """

    kind = "semi-grand"
    loop: ClassVar[Callable[..., Any]] = staticmethod(flip_loop)

    def __init__(
        self,
        model: LatticeModel,
        size: Sequence[int],
        start: Start,
        temperature_K: float,
        rng: np.random.Generator,
        *,
        chemical_potentials_eV: Mapping[str, float],
        allowed: Sequence[Sequence[str]] | None = None,
        shells: int = 3,
        a_A: float | None = None,
        compiled: bool = True,
    ) -> None:
        super().__init__(model, size, start, temperature_K, rng, shells=shells, a_A=a_A, compiled=compiled)
        self.chemical_potentials_eV = species_vector(model, chemical_potentials_eV, "chemical potential")
        self._target, self._kappa = np.zeros(len(model.species)), 0.0
        self._allowed, self._n_allowed = self._allowed_species(allowed)

    @property
    def weighed_energy_eV(self) -> float:
        """Give E - sum_i mu_i N_i."""
        return self.energy_eV - float(self.fractions @ self.chemical_potentials_eV) * len(self.occupation)

    def _allowed_species(self, allowed: Sequence[Sequence[str]] | None) -> tuple[np.ndarray, np.ndarray]:
        species, sublattices = self.model.species, len(self._starts) - 1
        if allowed is not None:
            lists = [species_indices(self.model, symbols).tolist() for symbols in allowed]
        else:
            lists = [list(held) for held in self._bound.holds] or [list(range(len(species)))] * sublattices
        if len(lists) != sublattices or not all(lists):
            raise InputError(
                f"allowed species: got lists for {len(lists)} sublattices, wanted {sublattices}, none empty"
            )
        for k, indices in enumerate(lists):
            if not np.isin(self.occupation[self._sublattice == k], indices).all():
                raise InputError(f"sublattice {k} starts with species that it may not hold; wanted {lists[k]} alone")
        table = np.zeros((sublattices, len(species)), np.int64)
        for row, indices in zip(table, lists, strict=True):
            row[: len(indices)] = indices
        return table, np.array([len(indices) for indices in lists])

    def _propose(self, proposals: int) -> tuple[int, int, float]:
        counts = np.bincount(self.occupation, minlength=len(self.model.species))
        found: tuple[int, int, float] = self._run(
            self.occupation, proposals, self.energy_eV, self.beta_per_eV, self._key, self._place,
            self.chemical_potentials_eV, self._kappa, self._target, counts,
            self._sublattice, self._allowed, self._n_allowed, self._bound.tables,
        )  # fmt: skip
        return found

    def _settings(self) -> dict[str, Any]:
        return {
            "chemical_potentials_eV": self.chemical_potentials_eV.tolist(),
            "allowed": self._allowed.tolist(),
            "kappa": self._kappa,
            "target": self._target.tolist(),
        }


class VarianceConstrainedWalk(SemiGrandWalk):
    """Walk through arrangements and compositions held near a target composition, also inside a miscibility gap.

    The chemical potential differences at the mean composition are those of
    `mu_i - mu_j = 2 kappa k T (t_i - <c_i> - t_j + <c_j>)`, see `chemical_potential_differences_eV`.
    `kappa` is without unit; fluctuations of a fraction are about 1 / sqrt(2 kappa N) or less.
    """

    kind = "variance-constrained"

    def __init__(
        self,
        model: LatticeModel,
        size: Sequence[int],
        start: Start,
        temperature_K: float,
        rng: np.random.Generator,
        *,
        target: Composition | str | Mapping[str, float],
        kappa: float = 200.0,
        allowed: Sequence[Sequence[str]] | None = None,
        shells: int = 3,
        a_A: float | None = None,
        compiled: bool = True,
    ) -> None:
        if not 0 < kappa < 1e9:
            raise InputError(f"kappa: got {kappa}, wanted a number above zero, such as 200")
        super().__init__(
            model, size, start, temperature_K, rng,
            chemical_potentials_eV={}, allowed=allowed, shells=shells, a_A=a_A, compiled=compiled,
        )  # fmt: skip
        self._target = species_vector(model, dict(Composition.parse(target)), "target fraction")
        self._kappa = float(kappa)

    def chemical_potential_differences_eV(self, mean_fractions: np.ndarray) -> np.ndarray:
        """Give mu_i - mu_0 (species,) from the mean fractions of a run."""
        pull = 2.0 * self._kappa / self.beta_per_eV * (self._target - np.asarray(mean_fractions, float))
        return pull - pull[0]


def species_indices(model: LatticeModel, symbols: Sequence[str]) -> np.ndarray:
    """Translate symbols into species indices of a model."""
    unknown = sorted(set(symbols) - set(model.species))
    if unknown:
        raise InputError(f"model {model.name} has no {', '.join(unknown)}; it knows {', '.join(model.species)}")
    return np.array([model.species.index(s) for s in symbols], np.int64)


def species_vector(model: LatticeModel, values: Mapping[str, float], what: str) -> np.ndarray:
    """Put one finite number for each named species into the model's order; zero for the others."""
    found = np.zeros(len(model.species))
    found[species_indices(model, list(values))] = list(values.values())
    if not np.isfinite(found).all():
        raise InputError(f"{what}: got {dict(values)}, wanted finite numbers")
    return found


def start_occupation(
    model: LatticeModel,
    sublattice: np.ndarray,
    start: Start,
    rng: np.random.Generator,
    holds: Sequence[Sequence[int]] = (),
) -> np.ndarray:
    """Give species indices (sites,) to start from: those given, or a random arrangement of a composition.

    A model with sublattices takes one composition for each, in their order; `holds` are the species that each may hold.
    """
    sites, species = len(sublattice), len(model.species)
    if isinstance(start, np.ndarray):
        if start.shape != (sites,) or start.dtype.kind not in "iu":
            raise InputError(f"occupation: got {start.dtype} of shape {start.shape}, wanted whole numbers ({sites},)")
        if start.min() < 0 or start.max() >= species:
            raise InputError(f"occupation: got indices {start.min()} to {start.max()}, wanted 0 to {species - 1}")
        return _checked_holds(model, sublattice, holds, start.astype(np.int8))
    number = int(sublattice.max()) + 1
    whole = isinstance(start, str | Mapping)
    parts: list[Any] = [start] if whole else list(start)
    if len(parts) != number:
        raise InputError(
            f"model {model.name} has {number} sublattice{'s' if number > 1 else ''}; got"
            f" {'one composition for the whole cell' if whole else f'{len(parts)} compositions'}, wanted one for each"
        )
    occupation = np.empty(sites, np.int8)
    for k, part in enumerate(parts):
        here = sublattice == k
        counts = Composition.parse(part).counts(int(here.sum()))
        atoms = np.repeat(species_indices(model, list(counts)), list(counts.values()))
        occupation[here] = rng.permutation(atoms)
    return _checked_holds(model, sublattice, holds, occupation)


def _checked_holds(
    model: LatticeModel, sublattice: np.ndarray, holds: Sequence[Sequence[int]], occupation: np.ndarray
) -> np.ndarray:
    """Refuse species on sublattices that the model does not let them hold."""
    for k, held in enumerate(holds):
        strangers = np.setdiff1d(occupation[sublattice == k], held)
        if len(strangers):
            raise InputError(
                f"sublattice {k} of model {model.name} holds {', '.join(model.species[s] for s in held)}; got"
                f" {', '.join(model.species[s] for s in strangers)} on it"
            )
    return occupation
