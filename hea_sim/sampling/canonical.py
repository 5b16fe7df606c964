"""Canonical lattice Monte Carlo: unlike atoms exchange places under a pair Hamiltonian, annealed down in temperature.

| symbol | here |
|---|---|
| acceptance min(1, exp(-dE / k T)) (Metropolis 1953, doi:10.1063/1.1699114) | `kernels.exchange_trials` |
| proposal: any two sites, or (half the time) a site and a nearest neighbour; both symmetric | `_proposals` |
| sweep: as many proposals as sites | `sweeps` |

Any-distance exchanges alone already make the chain ergodic; near ones keep moving atoms where ordering has set in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError
from hea_sim.lattice.pairs import (
    PairModel,
    check_occupation,
    known_lattice_models,
    load_lattice_model,
    model_for,
    pair_fractions,
)
from hea_sim.lattice.shells import check_size, lattice_name, lattice_points, neighbour_table
from hea_sim.lattice.volume import REFERENCE_TEMPERATURE_K, predict_lattice_parameter
from hea_sim.observables.warren_cowley import blocked_mean, sublattice_occupancy, warren_cowley_of_pairs
from hea_sim.records import Estimate, Simulation
from hea_sim.sampling.kernels import compiled_exchange_trials, exchange_trials

BOLTZMANN_EV_PER_K = 8.617333262e-5


class CanonicalChain:
    """Walk one cell through its arrangements at fixed composition.

    `occupation` is changed in place by `sweep`; `energy_eV` is the tracked total energy.
    """

    def __init__(
        self,
        model: PairModel,
        occupation: np.ndarray,
        size: Sequence[int],
        rng: np.random.Generator,
        *,
        compiled: bool = True,
    ) -> None:
        self.model, self.size, self.rng = model, check_size(size), rng
        self.occupation = check_occupation(occupation, model.lattice, size, len(model.species)).astype(np.int8)
        tables = neighbour_table(model.lattice, self.size, model.n_shells)
        used = [s for s in range(model.n_shells) if np.any(model.pair_energy_eV[s])] or [0]
        self._nearest = tables[0]
        self._neighbours = np.ascontiguousarray(np.concatenate([tables[s] for s in used], axis=1))
        self._shell_of = np.concatenate([np.full(tables[s].shape[1], s) for s in used])
        self._pairs = np.ascontiguousarray(model.pair_energy_eV)
        self._kernel = compiled_exchange_trials() if compiled else exchange_trials
        self.energy_eV = model.energy_eV_per_atom(self.occupation, self.size) * len(self.occupation)
        self.trials = self.accepted = 0

    def sweep(self, temperature_K: float) -> float:
        """Make as many proposals as there are sites; return the energy per atom."""
        n = len(self.occupation)
        first, second = self._proposals(n)
        trials, accepted, change = self._kernel(
            self.occupation, self._neighbours, self._shell_of, self._pairs,
            1.0 / (BOLTZMANN_EV_PER_K * temperature_K), first, second, self.rng.random(n),
        )  # fmt: skip
        self.trials += int(trials)
        self.accepted += int(accepted)
        self.energy_eV += float(change)
        return self.energy_eV / n

    def pairs(self) -> np.ndarray:
        """Count the pair fractions of the present arrangement."""
        model = self.model
        return pair_fractions(self.occupation, model.lattice, self.size, model.n_shells, len(model.species))

    def _proposals(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        n = len(self.occupation)
        first = self.rng.integers(n, size=number)
        anywhere = self.rng.integers(n, size=number)
        near = self._nearest[first, self.rng.integers(self._nearest.shape[1], size=number)]
        return first, np.where(self.rng.random(number) < 0.5, anywhere, near)


def anneal(
    alloy: Composition | str | Mapping[str, float],
    model: PairModel | str | None = None,
    *,
    lattice: str | None = None,
    size: Sequence[int] = (12, 12, 12),
    temperatures_K: Sequence[float],
    seed: int,
    sweeps: int = 200,
    equilibration_sweeps: int = 100,
    measured_at_K: float = REFERENCE_TEMPERATURE_K,
) -> Simulation:
    """Anneal an alloy on its lattice and sample it at the last temperature.

    At every temperature `equilibration_sweeps` are made, at the last one `sweeps` more, over which observables are
    averaged. Without a model, the smallest shipped one that holds the alloy's elements is taken; an alloy without one
    raises InputError. The same seed gives the same result, bit by bit, on any number of threads. The lattice
    parameter is predicted for `measured_at_K`, which is not the temperature of equilibration.
    """
    composition = Composition.parse(alloy)
    chosen = _choose_model(composition, model, lattice).restricted(composition.elements)
    temperatures = _check_run(temperatures_K, seed, sweeps, equilibration_sweeps)
    rng = np.random.default_rng(seed)
    occupation = _random_occupation(composition, chosen, size, rng)
    chain = CanonicalChain(chosen, occupation, size, rng)
    energies, at_K, rates = [], [], []
    for temperature in temperatures:
        before = chain.trials, chain.accepted
        energies += [chain.sweep(temperature) for _ in range(equilibration_sweeps)]
        at_K += [temperature] * equilibration_sweeps
        rates.append(_rate(chain, before))
    before = chain.trials, chain.accepted
    sampled, pairs = _sample(chain, temperatures[-1], sweeps)
    trace = {
        "energy_eV_per_atom": np.array(energies + sampled),
        "temperature_K": np.array(at_K + [temperatures[-1]] * sweeps),
        "acceptance": np.array(rates),
        "sublattice_occupancy": sublattice_occupancy(
            chain.occupation, chosen.lattice, size=chain.size, species=chosen.species
        ),
    }
    return _result(composition, chosen, chain, temperatures, np.array(sampled), pairs, trace,
                   acceptance=_rate(chain, before), seed=seed, measured_at_K=measured_at_K)  # fmt: skip


def _sample(chain: CanonicalChain, temperature_K: float, sweeps: int) -> tuple[list[float], np.ndarray]:
    """Sample energies at every sweep and pair fractions at up to 128 of them, evenly spaced."""
    every = max(1, sweeps // 128)
    energies, pairs = [], []
    for k in range(sweeps):
        energies.append(chain.sweep(temperature_K))
        if (k + 1) % every == 0:
            pairs.append(chain.pairs())
    return energies, np.array(pairs)


def _result(
    composition: Composition,
    model: PairModel,
    chain: CanonicalChain,
    temperatures: Sequence[float],
    energies: np.ndarray,
    pairs: np.ndarray,
    trace: Mapping[str, np.ndarray],
    *,
    acceptance: float,
    seed: int,
    measured_at_K: float,
) -> Simulation:
    """Average the samples and build the cell."""
    order, order_std = blocked_mean(np.array([warren_cowley_of_pairs(p) for p in pairs]))
    in_cell = Composition.parse(
        {e: float(n) for e, n in zip(model.species, np.bincount(chain.occupation, minlength=len(model.species)))}
    )
    lattice_A = predict_lattice_parameter(model, in_cell, order, measured_at_K)
    energy, error = blocked_mean(energies)
    statistical = float(np.nan_to_num(error))
    return Simulation(
        alloy=composition.formula,
        model=model.name,
        lattice=model.lattice,
        atoms=_cell(model, chain, lattice_A.value),
        species=model.species,
        equilibration_temperature_K=float(temperatures[-1]),
        energy_eV_per_atom=Estimate.normal(
            float(energy), float(np.hypot(statistical, model.energy_std_eV)), unit="eV/atom", n=len(energies),
            method=(
                f"canonical Monte Carlo, relative to the elements; std from blocked samples ({statistical:.1e})"
                f" and the model's cross-validated error ({model.energy_std_eV:.1e})"
            ),
        ),
        lattice_A=lattice_A,
        shells_A=model.shell_distance_a * lattice_A.value,
        warren_cowley=order,
        warren_cowley_std=order_std,
        acceptance=acceptance,
        seed=seed,
        trace=trace,
        notes=_notes(model, energies, statistical, temperatures[-1]),
        card=model.card,
    )  # fmt: skip


def _notes(model: PairModel, energies: np.ndarray, error: float, temperature_K: float) -> tuple[str, ...]:
    """Say what the simulation assumed, and whether it had settled."""
    name = {"A1": "fcc", "A2": "bcc"}[model.lattice]
    notes = [
        f"phase {name} is an input of this simulation",
        f"warren_cowley_std is statistical only; the model's own error is in its card ({model.name})",
    ]
    half = len(energies) // 2
    drift = abs(float(energies[:half].mean() - energies[half:].mean())) if half else 0.0
    if drift > 4 * max(error, 1e-7):
        notes.append(f"energy still drifts at {temperature_K:g} K ({1e3 * drift:.2f} meV/atom): give more sweeps")
    return (*notes, *model.card.get("notes", ()))


def _cell(model: PairModel, chain: CanonicalChain, a_A: float) -> Any:
    from ase import Atoms

    points = lattice_points(model.lattice, chain.size)
    symbols = [model.species[s] for s in chain.occupation]
    return Atoms(symbols, positions=points * (a_A / 2), cell=np.array(chain.size) * a_A, pbc=True)


def _choose_model(composition: Composition, model: PairModel | str | None, lattice: str | None) -> PairModel:
    """Find the model, and refuse one that does not hold the alloy or its lattice."""
    wanted = None if lattice is None else lattice_name(lattice)
    if isinstance(model, str):
        model = load_lattice_model(model)
    elif model is None:
        model = model_for(composition, lattice=wanted)
    known = "; ".join(f"{name} ({' '.join(species)}, bcc)" for name, species in known_lattice_models().items())
    if model is None:
        where = "" if wanted is None else f" on {wanted}"
        raise InputError(
            f"{composition.formula} has no lattice model{where}: shipped are {known or 'none'}. Its order cannot be"
            " simulated; its lattice parameter can be had from elemental volumes (vegard_volume_A3)"
        )
    unknown = [e for e in composition.elements if e not in model.species]
    if unknown:
        raise InputError(
            f"model {model.name} has no {', '.join(unknown)}, which {composition.formula} holds; shipped are {known}"
        )
    if wanted not in (None, model.lattice):
        raise InputError(f"model {model.name} is for {model.lattice}; got lattice {wanted}. Leave the lattice out")
    return model


def _check_run(temperatures_K: Sequence[float], seed: int, sweeps: int, equilibration: int) -> list[float]:
    temperatures = [float(t) for t in np.atleast_1d(np.asarray(temperatures_K, float))]
    if not temperatures or not all(0 < t < 1e6 for t in temperatures):
        raise InputError(f"temperatures_K: got {list(temperatures_K)}, wanted positive numbers such as [3000, 1000]")
    if int(sweeps) != sweeps or sweeps < 1 or int(equilibration) != equilibration or equilibration < 0:
        raise InputError(f"sweeps: got {sweeps} and {equilibration} for equilibration, wanted whole numbers from 1")
    if int(seed) != seed or seed < 0:
        raise InputError(f"seed: got {seed}, wanted a whole number of 0 or more")
    return temperatures


def _random_occupation(
    composition: Composition, model: PairModel, size: Sequence[int], rng: np.random.Generator
) -> np.ndarray:
    counts = composition.counts(len(lattice_points(model.lattice, size)))
    return rng.permutation(np.repeat(model.indices(tuple(counts)), list(counts.values())))


def _rate(chain: CanonicalChain, before: tuple[int, int]) -> float:
    return (chain.accepted - before[1]) / max(1, chain.trials - before[0])
