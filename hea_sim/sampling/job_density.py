"""What a job found of a density of states: rows of every temperature, order, curves, transitions.

Each replica has learnt a density of states of its own. Errors are those of the mean over replicas; one gives none.
The order at a temperature is the mean over the samples, each weighing as its energy does there: the probability of its
bin, shared by the samples in it. Where samples stand for less than half of the probability, none is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hea_sim.observables.warren_cowley import warren_cowley_of_pairs
from hea_sim.records import Estimate
from hea_sim.sampling.density_of_states import DensityOfStates
from hea_sim.sampling.job_samples import Samples, named_pairs
from hea_sim.units import BOLTZMANN_EV_PER_K

_METHOD = "from the density of states (Wang-Landau)"
#: From this sum of squared weights on, one sample bears the mean almost alone.
_ALONE = 0.9
#: Share of the probability at a temperature that the bins with samples must hold.
_LEAST_SHARE = 0.5
#: Share of the probability of one bin, above which it holds most.
_MOST = 0.5
#: Two peaks of different replicas are one where they lie this near (share of the temperature).
_SAME = 0.1


def densities(samples: Samples) -> list[DensityOfStates]:
    """Give what each replica has learnt."""
    return [
        DensityOfStates(
            n_atoms=samples.n_atoms,
            energies_eV_per_atom=replica[0]["energies_eV_per_atom"][-1],
            log_states=replica[0]["log_states"][-1],
        )
        for replica in samples.replicas
    ]


def mean_and_error(values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray | None]:
    """Average over replicas; the error of the mean, None for one replica."""
    found = np.array(values, float)
    return found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else None


def density_rows(samples: Samples) -> list[dict[str, Any]]:
    """Give one row for each temperature of the job."""
    learnt = densities(samples)
    return [_row(samples, learnt, temperature_K) for temperature_K, _ in samples.job.stages]


def _row(samples: Samples, learnt: Sequence[DensityOfStates], temperature_K: float) -> dict[str, Any]:
    found = [one.canonical(temperature_K) for one in learnt]
    energy, free = (_estimate([one[f"{key}energy_eV_per_atom"] for one in found], "eV/atom") for key in ("", "free_"))
    capacity, error = mean_and_error([one["heat_capacity_k_per_atom"] for one in found])
    order = density_order(samples, temperature_K)
    row: dict[str, Any] = {
        "temperature_K": temperature_K,
        "branch": samples.job.ensemble,
        "energy_eV_per_atom": energy,
        "free_energy_eV_per_atom": free,
        "heat_capacity_k": {"value": float(capacity), "std": None if error is None else float(error)},
        **_counts(samples),
        "drift_eV_per_atom": 0.0,
        "warren_cowley": {} if order is None else named_pairs(samples.species, *order),
    }
    looked = _looks(samples, learnt, temperature_K)
    return {**row, "observables": looked} if looked else row


def _estimate(values: Sequence[float], unit: str) -> Estimate:
    value, error = mean_and_error(values)
    if error is None:
        return Estimate(value=float(value), unit=unit, n=1, method=f"{_METHOD}, one run: no error is known")
    return Estimate.normal(
        float(value), float(error), unit=unit, n=len(values), method=f"{_METHOD}; std over replicas"
    )  # fmt: skip


def _counts(samples: Samples) -> dict[str, Any]:
    """Give trials and acceptance of the whole walks: they serve every temperature."""
    trials, accepted = (
        sum(float(r[0][name][-1] - r[0][f"start:{name}"][0]) for r in samples.replicas)
        for name in ("trials", "accepted")
    )
    return {"trials": int(trials), "acceptance": accepted / trials if trials else 0.0}


def too_coarse(samples: Samples) -> list[float]:
    """List the temperatures at which one bin, wider than kT, holds most: all energies in it weigh alike there."""
    job, found = samples.job, []
    asked = job.wang_landau.energy_range_eV_per_atom
    for temperature_K, _ in job.stages:
        for density in densities(samples):
            means = density.energies_eV_per_atom
            reach = np.nanmax(means) - np.nanmin(means) if asked is None else asked[1] - asked[0]
            width_eV = reach * samples.n_atoms / job.wang_landau.bins
            if width_eV > BOLTZMANN_EV_PER_K * temperature_K and density.weights(temperature_K).max() > _MOST:
                found.append(temperature_K)
    return list(dict.fromkeys(found))


def _sample_weights(density: DensityOfStates, energies: np.ndarray, temperature_K: float) -> np.ndarray | None:
    """Weigh samples by the probability of their bin, shared by all samples in it; they sum to one.

    None where too few of the bins that count have samples.
    """
    probability, known = density.weights(temperature_K), np.flatnonzero(np.isfinite(density.log_states))
    place = known[_nearest(density.energies_eV_per_atom[known], energies)]
    weights = probability[place] / np.bincount(place, minlength=len(probability))[place]
    return np.asarray(weights / weights.sum()) if weights.sum() > _LEAST_SHARE else None


def _nearest(levels: np.ndarray, energies: np.ndarray) -> np.ndarray:
    """Number the level that is nearest to each energy; levels rise."""
    above = np.clip(np.searchsorted(levels, energies), 1, len(levels) - 1)
    return np.where(energies - levels[above - 1] < levels[above] - energies, above - 1, above)


def _weighed(samples: Samples, name: str, temperature_K: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Average what samples show at a temperature; the error joins the spread of samples and that of replicas.

    One sample that counts alone tells nothing of a spread: its error is NaN. None where too few samples count.
    """
    means, inside = [], []
    for replica, density in zip(samples.replicas, densities(samples), strict=True):
        if name not in replica[0]:
            return None
        seen = replica[0][name]
        if name == "pair_fractions":
            seen = np.array([warren_cowley_of_pairs(p) for p in seen])
        w = _sample_weights(density, replica[0]["energy_eV_per_atom"], temperature_K)
        if w is None:
            return None
        mean = np.tensordot(w, seen, 1)
        means.append(mean)
        spread = np.tensordot(w**2, np.square(seen - mean), 1)
        inside.append(spread if w @ w < _ALONE else np.full_like(mean, np.nan))
    value, error = mean_and_error(means)
    std = np.sqrt(np.sum(inside, axis=0)) / len(means)
    return value, std if error is None else np.fmax(std, error)


def density_order(samples: Samples, temperature_K: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Average the Warren-Cowley parameters (shells, species, species) at a temperature."""
    return _weighed(samples, "pair_fractions", temperature_K)


def _looks(samples: Samples, learnt: Sequence[DensityOfStates], temperature_K: float) -> dict[str, Any]:
    """Average what whole cells showed."""
    table = {}
    for name in samples.replicas[0][0]:
        if name.startswith("cell:") or name == "sublattice_fractions":
            found = _weighed(samples, name, temperature_K)
            if found is not None:
                table[name.removeprefix("cell:")] = {"value": found[0], "std": found[1]}
    return table


def density_curve(samples: Samples) -> dict[str, np.ndarray]:
    """Give energy, free energy and heat capacity (n,) on a fine grid between the temperatures."""
    temperatures = [t for t, _ in samples.job.stages]
    if len(set(temperatures)) < 2:
        return {}
    curves = [one.curve(min(temperatures), max(temperatures)) for one in densities(samples)]
    capacity, error = mean_and_error([one["heat_capacity_k_per_atom"] for one in curves])
    return {
        "temperature_K": curves[0]["temperature_K"],
        "energy_eV_per_atom": np.mean([one["energy_eV_per_atom"] for one in curves], axis=0),
        "free_energy_eV_per_atom": np.mean([one["free_energy_eV_per_atom"] for one in curves], axis=0),
        "heat_capacity_k": capacity,
        **({} if error is None else {"heat_capacity_std_k": error}),
    }


def density_transitions(samples: Samples) -> list[dict[str, Any]]:
    """Find peaks of the heat capacity that all replicas show between the temperatures of the job."""
    temperatures = [t for t, _ in samples.job.stages]
    if len(set(temperatures)) < 2:
        return []
    learnt = densities(samples)
    peaks = [one.peaks(min(temperatures), max(temperatures)) for one in learnt]
    rows = []
    for first, _ in peaks[0]:
        near = [min(own, key=lambda peak: abs(peak[0] - first), default=(np.inf, 0.0)) for own in peaks]
        if all(abs(t - first) < _SAME * first for t, _ in near):
            rows.append(
                {
                    "temperature_K": _placed([t for t, _ in near], samples.n_atoms),
                    "kind": "first order" if learnt[0].two_peaked(first) else "heat capacity",
                    "branch": samples.job.ensemble,
                    "heat_capacity_k": float(np.mean([height for _, height in near])),
                }
            )
    return rows


def _placed(temperatures_K: Sequence[float], n_atoms: int) -> Estimate:
    from scipy.stats import t as student

    value, error = mean_and_error(temperatures_K)
    method = f"peak of the heat capacity {_METHOD}, {n_atoms} atoms"
    if error is None:
        return Estimate(value=float(value), unit="K", n=1, method=f"{method}; one run: no interval is known")
    half = float(student.ppf(0.975, len(temperatures_K) - 1) * error)
    return Estimate(
        value=float(value), std=float(error), low=float(value) - half, high=float(value) + half, level=0.95, unit="K",
        n=len(temperatures_K), method=f"{method}; interval statistical, over replicas",
    )  # fmt: skip
