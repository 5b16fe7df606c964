"""What a job found: averages of every temperature over its replicas, order by pair and shell, transitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hea_sim.observables.reweighting import reweight, statistical_inefficiency
from hea_sim.observables.transitions import find_transitions, heat_capacity_curve
from hea_sim.observables.warren_cowley import warren_cowley_of_pairs
from hea_sim.records import Estimate
from hea_sim.sampling.job_density import density_curve, density_order, density_rows, density_transitions
from hea_sim.sampling.job_samples import Samples, combined_mean, named_pairs
from hea_sim.sampling.thermostats import GPA
from hea_sim.units import BOLTZMANN_EV_PER_K

#: Samples at each temperature, below which temperatures are not joined.
_LEAST_SAMPLES = 8


def stage_rows(samples: Samples) -> list[dict[str, Any]]:
    """Give one row for each temperature that was visited."""
    if samples.job.ensemble == "wang-landau":
        return density_rows(samples)
    return [_stage_row(samples, k) for k in range(len(samples.job.stages))]


def _stage_row(samples: Samples, stage: int) -> dict[str, Any]:
    temperature_K, branch = samples.job.stages[stage]
    energies = samples.of(stage, "energy_eV_per_atom")
    value, error = combined_mean(energies)
    row: dict[str, Any] = {
        "temperature_K": temperature_K,
        "branch": branch,
        "energy_eV_per_atom": _energy(float(value), float(error), sum(map(len, energies))),
        "heat_capacity_k": _heat_capacity(weighed_energies(samples, stage), temperature_K, samples.n_atoms),
        **_counts(samples, stage),
        "drift_eV_per_atom": _drift(energies),
        "warren_cowley": order_table(samples, stage),
    }
    found = _others(samples, stage)
    return {**row, "observables": found} if found else row


def weighed_energies(samples: Samples, stage: int) -> list[np.ndarray]:
    """Give what stands beside 1 / kT in the weight, per atom: E, E + P V, or E - sum_i mu_i c_i.

    Its fluctuations are the heat capacity, and with it runs are reweighted. None are given where no bath sets the
    temperature ("nve"), and where the volume or the composition was not kept.
    """
    job, energies = samples.job, samples.of(stage, "energy_eV_per_atom")
    if job.ensemble == "nve":
        return []
    if job.ensemble == "npt" and job.dynamics.pressure_GPa:
        volumes = samples.of(stage, "volume_A3_per_atom")
        pressure = job.dynamics.pressure_GPa * GPA
        return [e + pressure * v for e, v in zip(energies, volumes, strict=True)] if volumes else []
    if job.ensemble == "semi-grand":
        fractions = samples.of(stage, "fractions")
        mu = np.array([job.chemical_potentials_eV.get(s, 0.0) for s in samples.species])
        return [e - f @ mu for e, f in zip(energies, fractions, strict=True)] if fractions else []
    return energies


def _energy(value: float, error: float, n: int) -> Estimate:
    if not np.isfinite(error):
        return Estimate(value=value, unit="eV/atom", n=n, method="one sample: no error is known")
    return Estimate.normal(
        value, error, unit="eV/atom", n=n,
        method="mean of the samples; std statistical, by blocks and over replicas",
    )  # fmt: skip


def _heat_capacity(energies: Sequence[np.ndarray], temperature_K: float, n_atoms: int) -> dict[str, float] | None:
    """Give the configurational heat capacity per atom in k from the fluctuations, with its std by blocks."""
    if sum(map(len, energies)) < 16:
        return None
    scale = n_atoms / (BOLTZMANN_EV_PER_K * temperature_K) ** 2
    squares = [
        scale * np.square(e - e.mean()) * len(e) / max(1.0, len(e) - statistical_inefficiency(e)) for e in energies
    ]
    value, error = combined_mean(squares)
    return {"value": float(value), "std": float(error)}


def _counts(samples: Samples, stage: int) -> dict[str, Any]:
    """Give trials and acceptance of the sampled part, over all replicas."""
    made = [0.0, 0.0]
    for replica in samples.replicas:
        for k, name in enumerate(("trials", "accepted")):
            seen = replica[stage].get(name)
            if seen is None:
                return {"trials": None, "acceptance": None}
            made[k] += float(seen[-1] - replica[stage][f"start:{name}"][0])
    return {"trials": int(made[0]), "acceptance": made[1] / made[0] if made[0] else 0.0}


def _drift(energies: Sequence[np.ndarray]) -> float:
    """Give by how much the second half of the samples lies above the first."""
    halves = [(e[: len(e) // 2].mean(), e[len(e) // 2 :].mean()) for e in energies if len(e) > 1]
    return float(np.mean([b - a for a, b in halves])) if halves else 0.0


def order_arrays(samples: Samples, stage: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Average the Warren-Cowley parameters (shells, species, species); None where pairs were not counted."""
    if samples.job.ensemble == "wang-landau":
        return density_order(samples, samples.job.stages[stage][0])
    counted = samples.of(stage, "pair_fractions")
    if not counted:
        return None
    return combined_mean([np.array([warren_cowley_of_pairs(p) for p in chain]) for chain in counted])


def order_table(samples: Samples, stage: int) -> dict[str, list[dict[str, float]]]:
    """Name the Warren-Cowley parameters by pair, in order of the symbols: one value with its std for each shell."""
    found = order_arrays(samples, stage)
    return {} if found is None else named_pairs(samples.species, *found)


#: Names of samples that have a place of their own in a row.
_KNOWN = frozenset({"energy_eV_per_atom", "trials", "accepted", "pair_fractions", "composition", "trade_rates"})


def _others(samples: Samples, stage: int) -> dict[str, Any]:
    """Average whatever else was observed; arrays keep their shape."""
    names = dict.fromkeys(name for replica in samples.replicas for name in replica[stage])
    table = {}
    for name in names:
        fixed = samples.job.ensemble == "canonical" and name == "fractions"
        if name in _KNOWN or fixed or name.startswith("start:"):
            continue
        value, std = combined_mean(samples.of(stage, name))
        table[name.removeprefix("cell:")] = {"value": value, "std": std}
    return table


def transition_rows(samples: Samples) -> list[dict[str, Any]]:
    """Find transitions branch by branch; where a branch was walked both ways, a hysteresis shows as two rows."""
    if samples.job.ensemble == "wang-landau":
        return density_transitions(samples)
    rows = []
    stages = samples.job.stages
    for branch in dict.fromkeys(name for _, name in stages):
        places = [k for k, (_, name) in enumerate(stages) if name == branch]
        if branch != stages[0][1]:
            places = [places[0] - 1, *places]  # the turning point belongs to both branches
        chains = [weighed_energies(samples, k) for k in places]
        if not all(chains):
            continue
        # replicas one after another: the joins are few beside the samples
        energies = [samples.n_atoms * np.concatenate(one) for one in chains]
        if min(map(len, energies)) < _LEAST_SAMPLES:
            continue
        for found in find_transitions(energies, [stages[k][0] for k in places], samples.n_atoms, seed=samples.job.seed):
            rows.append(
                {
                    "temperature_K": found.temperature_K,
                    "kind": found.kind,
                    "branch": branch,
                    "heat_capacity_k": found.heat_capacity_k,
                }
            )
    return rows


def curve_of(samples: Samples) -> dict[str, np.ndarray]:
    """Give energy and heat capacity between the temperatures, where all were sampled at once; else nothing.

    Arrays (n,) by name: "temperature_K", "heat_capacity_k" per atom and its std; the reweighted ones only where enough
    samples bear on them.
    """
    job = samples.job
    if job.ensemble == "wang-landau":
        return density_curve(samples)
    if job.ensemble != "replica-exchange":
        return {}
    temperatures = [t for t, _ in job.stages]
    energies = [samples.n_atoms * np.concatenate(weighed_energies(samples, k)) for k in range(len(temperatures))]
    if min(map(len, energies)) < _LEAST_SAMPLES:
        return {}
    joined = reweight(energies, temperatures)
    found = heat_capacity_curve(joined, samples.n_atoms, seed=job.seed)
    grid = found.temperatures_K[found.trusted]
    return {
        "temperature_K": grid,
        "energy_eV_per_atom": joined.average(energies, grid) / samples.n_atoms,
        "heat_capacity_k": found.heat_capacity_k[found.trusted],
        "heat_capacity_std_k": found.std_k[found.trusted],
    }


def trade_rates(samples: Samples) -> np.ndarray | None:
    """Give how often neighbours in temperature traded (stages - 1,), coldest first; None where they could not."""
    if samples.job.ensemble != "replica-exchange":
        return None
    found = samples.of(samples.job.main_stage, "trade_rates")
    return np.asarray(np.mean([rates[-1] for rates in found], axis=0))
