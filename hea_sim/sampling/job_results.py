"""What a job found: averages of every temperature over its replicas, order by pair and shell, transitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.observables.reweighting import statistical_inefficiency
from hea_sim.observables.transitions import find_transitions
from hea_sim.observables.warren_cowley import blocked_mean, warren_cowley_of_pairs
from hea_sim.records import Estimate
from hea_sim.sampling.job import SampleJob
from hea_sim.sampling.job_files import read_arrays, replica_folder
from hea_sim.sampling.run_replica import SAMPLES, Record
from hea_sim.sampling.thermostats import GPA
from hea_sim.units import BOLTZMANN_EV_PER_K


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Hold the samples of all replicas: `replicas[r][stage][name]` are arrays (samples, ...)."""

    job: SampleJob
    species: tuple[str, ...]
    n_atoms: int
    replicas: tuple[tuple[Mapping[str, np.ndarray], ...], ...]

    def of(self, stage: int, name: str) -> list[np.ndarray]:
        """List what the replicas saw of something at one stage; empty where nobody looked."""
        return [replica[stage][name] for replica in self.replicas if name in replica[stage]]


def read_samples(job: SampleJob, out: Path, owner: str, species: Sequence[str], n_atoms: int) -> Samples:
    """Read the samples of all finished replicas."""
    replicas = []
    for number in range(job.replicas):
        record = Record.of(read_arrays(replica_folder(out, number) / SAMPLES, owner))
        replicas.append(tuple({k: np.array(v) for k, v in stage.items()} for stage in record.stages))
    return Samples(job=job, species=tuple(species), n_atoms=n_atoms, replicas=tuple(replicas))


def combined_mean(samples: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Average chains (samples, ...) of independent replicas; the larger of two errors is given.

    One is joined from the blocked errors of the chains, the other is the spread of their means: it is larger where
    the chains have not forgotten how they began.
    """
    means, errors = zip(*(blocked_mean(s) for s in samples), strict=True)
    count = len(means)
    inside = np.sqrt(np.sum(np.square(np.array(errors)), axis=0)) / count
    if count == 1:
        return np.asarray(means[0]), inside
    between = np.std(np.array(means), axis=0, ddof=1) / np.sqrt(count)
    return np.mean(np.array(means), axis=0), np.fmax(inside, between)


def stage_rows(samples: Samples) -> list[dict[str, Any]]:
    """Give one row for each temperature that was visited."""
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
    return Estimate.normal(
        value, float(np.nan_to_num(error)), unit="eV/atom", n=n,
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
    counted = samples.of(stage, "pair_fractions")
    if not counted:
        return None
    return combined_mean([np.array([warren_cowley_of_pairs(p) for p in chain]) for chain in counted])


def order_table(samples: Samples, stage: int) -> dict[str, list[dict[str, float]]]:
    """Name the Warren-Cowley parameters by pair, in order of the symbols: one value with its std for each shell."""
    found = order_arrays(samples, stage)
    if found is None:
        return {}
    value, std = found
    table = {}
    for i, a in enumerate(samples.species):
        for j, b in enumerate(samples.species):
            if a <= b and np.isfinite(value[:, i, j]).all():
                table[f"{a}-{b}"] = [
                    {"value": float(v), "std": float(s)} for v, s in zip(value[:, i, j], std[:, i, j], strict=True)
                ]
    return dict(sorted(table.items()))


#: Names of samples that have a place of their own in a row.
_KNOWN = frozenset({"energy_eV_per_atom", "trials", "accepted", "pair_fractions", "composition"})


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
        if min(map(len, energies)) < 8:
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
