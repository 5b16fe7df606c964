"""Annealing of an alloy on its lattice: canonical Monte Carlo down a list of temperatures, and back up on request.

The walk is `hea_sim.sampling.lattice_walks.CanonicalWalk`; half of its exchanges are of nearest neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError
from hea_sim.lattice.pairs import (
    PairModel,
    known_lattice_models,
    load_lattice_model,
    model_for,
)
from hea_sim.lattice.shells import lattice_name
from hea_sim.lattice.volume import REFERENCE_TEMPERATURE_K, predict_lattice_parameter
from hea_sim.observables.warren_cowley import blocked_mean, sublattice_occupancy, warren_cowley_of_pairs
from hea_sim.records import Estimate, Simulation
from hea_sim.sampling.lattice_walks import CanonicalWalk


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
    heating: bool = False,
) -> Simulation:
    """Anneal an alloy on its lattice and sample it at the last temperature.

    At every temperature `equilibration_sweeps` are made, at the last one `sweeps` more, over which observables are
    averaged. Without a model, the smallest shipped one that holds the alloy's elements is taken; an alloy without one
    raises InputError. The same seed gives the same result, bit by bit, on any number of threads. The lattice
    parameter is predicted for `measured_at_K`, which is not the temperature of equilibration.

    With `heating`, the cell then goes back up through the temperatures. The trace holds what a hysteresis is read
    from: "cooling_energy_eV_per_atom" and "heating_energy_eV_per_atom" in the order of `temperatures_K`, each the mean
    of the second half of the equilibration.
    """
    composition = Composition.parse(alloy)
    chosen = _choose_model(composition, model, lattice).restricted(composition.elements)
    temperatures = _check_run(temperatures_K, seed, sweeps, equilibration_sweeps)
    if heating and equilibration_sweeps == 0:
        raise InputError("heating: got 0 equilibration_sweeps, over which energies are averaged; wanted 1 or more")
    walk = CanonicalWalk(
        chosen, size, composition, temperatures[0], np.random.default_rng(seed), shells=chosen.n_shells
    )
    cooling, rates = _branch(walk, temperatures, equilibration_sweeps)
    before = walk.trials, walk.accepted
    sampled, pairs = _sample(walk, sweeps)
    trace = {
        "energy_eV_per_atom": np.array([*cooling.ravel(), *sampled]),
        "temperature_K": np.repeat(
            [*temperatures, temperatures[-1]], [*[equilibration_sweeps] * len(temperatures), sweeps]
        ),
        "acceptance": rates,
        "sublattice_occupancy": sublattice_occupancy(
            walk.occupation, chosen.lattice, size=walk.size, species=chosen.species
        ),
    }
    found = _result(composition, chosen, walk, temperatures, sampled, pairs, trace,
                    acceptance=_rate(walk, before), seed=seed, measured_at_K=measured_at_K)  # fmt: skip
    if heating:
        warming, _ = _branch(walk, temperatures[::-1], equilibration_sweeps)
        trace["cooling_energy_eV_per_atom"] = cooling[:, equilibration_sweeps // 2 :].mean(axis=1)
        trace["heating_energy_eV_per_atom"] = warming[::-1, equilibration_sweeps // 2 :].mean(axis=1)
    return found


def _branch(walk: CanonicalWalk, temperatures: Sequence[float], sweeps: int) -> tuple[np.ndarray, np.ndarray]:
    """Go through temperatures; give the energy per atom (temperatures, sweeps) and the rate of acceptance at each."""
    energies, rates = np.empty((len(temperatures), sweeps)), np.empty(len(temperatures))
    for k, temperature in enumerate(temperatures):
        before = walk.trials, walk.accepted
        walk.temperature_K = temperature
        for m in range(sweeps):
            walk.advance(1)
            energies[k, m] = walk.energy_eV / len(walk.occupation)
        rates[k] = _rate(walk, before)
    return energies, rates


def _sample(walk: CanonicalWalk, sweeps: int) -> tuple[np.ndarray, np.ndarray]:
    """Sample energies at every sweep and pair fractions at up to 128 of them, evenly spaced."""
    every = max(1, sweeps // 128)
    energies, pairs = np.empty(sweeps), []
    for k in range(sweeps):
        walk.advance(1)
        energies[k] = walk.energy_eV / len(walk.occupation)
        if (k + 1) % every == 0:
            pairs.append(walk.pair_fractions())
    return energies, np.array(pairs)


def _result(
    composition: Composition,
    model: PairModel,
    walk: CanonicalWalk,
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
        {e: float(n) for e, n in zip(model.species, np.bincount(walk.occupation, minlength=len(model.species)))}
    )
    lattice_A = predict_lattice_parameter(model, in_cell, order, measured_at_K)
    energy, error = blocked_mean(energies)
    statistical = float(np.nan_to_num(error))
    return Simulation(
        alloy=composition.formula,
        model=model.name,
        lattice=model.lattice,
        atoms=model.atoms(walk.occupation, walk.size, lattice_A.value),
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
    name = {"A1": "fcc", "A2": "bcc", "A_h": "simple cubic"}[model.lattice]
    notes = [
        f"phase {name} is an input of this simulation",
        f"warren_cowley_std is statistical only; the model's own error is in its card ({model.name})",
    ]
    half = len(energies) // 2
    drift = abs(float(energies[:half].mean() - energies[half:].mean())) if half else 0.0
    if drift > 4 * max(error, 1e-7):
        notes.append(f"energy still drifts at {temperature_K:g} K ({1e3 * drift:.2f} meV/atom): give more sweeps")
    return (*notes, *model.card.get("notes", ()))


def _choose_model(composition: Composition, model: PairModel | str | None, lattice: str | None) -> PairModel:
    """Find the model, and refuse one that does not hold the alloy or its lattice."""
    wanted = None if lattice is None else lattice_name(lattice)
    found: Any = load_lattice_model(model) if isinstance(model, str) else model
    if found is None:
        found = model_for(composition, lattice=wanted)
    known = "; ".join(f"{name} ({' '.join(species)}, bcc)" for name, species in known_lattice_models().items())
    if found is None:
        where = "" if wanted is None else f" on {wanted}"
        raise InputError(
            f"{composition.formula} has no lattice model{where}: shipped are {known or 'none'}. Its order cannot be"
            " simulated; its lattice parameter can be had from elemental volumes (vegard_volume_A3)"
        )
    if not isinstance(found, PairModel):
        raise InputError(f"anneal takes pair models, whose volumes it needs; {found.name} walks in `hea sample`")
    unknown = [e for e in composition.elements if e not in found.species]
    if unknown:
        raise InputError(
            f"model {found.name} has no {', '.join(unknown)}, which {composition.formula} holds; shipped are {known}"
        )
    if wanted not in (None, found.lattice):
        raise InputError(f"model {found.name} is for {found.lattice}; got lattice {wanted}. Leave the lattice out")
    return found


def _check_run(temperatures_K: Sequence[float], seed: int, sweeps: int, equilibration: int) -> list[float]:
    temperatures = [float(t) for t in np.atleast_1d(np.asarray(temperatures_K, float))]
    if not temperatures or not all(0 < t < 1e6 for t in temperatures):
        raise InputError(f"temperatures_K: got {list(temperatures_K)}, wanted positive numbers such as [3000, 1000]")
    if int(sweeps) != sweeps or sweeps < 1 or int(equilibration) != equilibration or equilibration < 0:
        raise InputError(f"sweeps: got {sweeps} and {equilibration} for equilibration, wanted whole numbers from 1")
    if int(seed) != seed or seed < 0:
        raise InputError(f"seed: got {seed}, wanted a whole number of 0 or more")
    return temperatures


def _rate(walk: CanonicalWalk, before: tuple[int, int]) -> float:
    return (walk.accepted - before[1]) / max(1, walk.trials - before[0])
