"""Many temperatures joined to one: averages between the sampled temperatures by multistate reweighting.

| symbol | here |
|---|---|
| f_k = -ln sum_n w_n exp(-beta_k E_n) / D_n, solved for all k at once (Shirts and Chodera 2008, doi:10.1063/1.2978177) | `free_energies` |
| D_n = sum_l M_l exp(f_l - beta_l E_n), M_l = N_l / g_l, w_n = 1 / g of the run that n comes from | `log_density` holds ln w_n - ln D_n |
| g = 1 + 2 tau, statistical inefficiency of a run (Ferrenberg and Swendsen 1989, doi:10.1103/PhysRevLett.63.1195) | `inefficiency` |
| <A>(T) = sum_n A_n exp(ln w_n - ln D_n - beta E_n) / the same without A | `Reweighting.average` |
| C / k = (<E^2> - <E>^2) / (k T)^2 | `Reweighting.heat_capacity` |
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError
from hea_sim.units import BOLTZMANN_EV_PER_K

#: Samples joined at a time, so that no table of all samples and temperatures is held in memory.
_PART = 1 << 16
#: Energies that are told apart when the equations are solved.
_BINS = 1 << 12
_MOST_ROUNDS = 100
_CONVERGED = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Reweighting:
    """Hold runs at several temperatures, joined.

    `energies_eV` total energies of each run; `temperatures_K` (runs,); `inefficiency` (runs,);
    `free_energies` (runs,) F / kT up to one constant; `log_density` (samples of all runs,).
    """

    energies_eV: tuple[np.ndarray, ...]
    temperatures_K: np.ndarray
    inefficiency: np.ndarray
    free_energies: np.ndarray
    log_density: np.ndarray

    def weights(self, temperature_K: float) -> np.ndarray:
        """Give the weight of every sample at one temperature, in the order of the runs; they sum to one."""
        energies = np.concatenate(self.energies_eV)
        exponent = self.log_density - energies / (BOLTZMANN_EV_PER_K * float(temperature_K))
        weights = np.exp(exponent - exponent.max())
        return np.asarray(weights / weights.sum())

    def average(self, values: Sequence[np.ndarray], temperatures_K: Sequence[float] | np.ndarray) -> np.ndarray:
        """Average something over the runs at any temperatures (n,) between theirs.

        `values` holds, for each run, one number for each of its energies.
        """
        pooled = np.concatenate([np.asarray(part, float) for part in values])
        if pooled.shape != self.log_density.shape:
            raise InputError(f"values to average: got {pooled.shape}, wanted one for each of {len(self.log_density)}")
        energies, log_density, _, mean = self._levels(pooled)
        return np.array([_boltzmann(energies, log_density, t) @ mean for t in np.atleast_1d(temperatures_K)])

    def heat_capacity(self, temperatures_K: Sequence[float] | np.ndarray) -> np.ndarray:
        """Compute the configurational heat capacity of the whole cell, in units of k."""
        energies, log_density, _, _ = self._levels()
        found = []
        for t in np.atleast_1d(temperatures_K):
            weights = _boltzmann(energies, log_density, t)
            mean = weights @ energies
            found.append(float(weights @ (energies - mean) ** 2 / (BOLTZMANN_EV_PER_K * t) ** 2))
        return np.array(found)

    def effective_samples(self, temperatures_K: Sequence[float] | np.ndarray) -> np.ndarray:
        """Count how many independent samples bear on each temperature: few where the runs leave a gap."""
        energies, log_density, independent, _ = self._levels()
        found = [np.square(_boltzmann(energies, log_density, t)) / independent for t in np.atleast_1d(temperatures_K)]
        return 1.0 / np.sum(np.array(found), axis=1)

    def _levels(self, values: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Join samples of nearly one energy: their energies, ln density, independent samples, and mean values.

        The density of a sample is 1 / g times a function of its energy alone, so that none of it is lost.
        """
        w = np.repeat(1.0 / self.inefficiency, [len(e) for e in self.energies_eV])
        pooled = np.concatenate(self.energies_eV)
        energies, total, log_d = _binned(pooled, w, self.log_density - np.log(w))
        _, _, sums = _binned(pooled, w, values)
        return energies, np.log(total) + log_d / total, total, sums / total

    def resampled(
        self, rng: np.random.Generator, memory: np.ndarray | None = None
    ) -> tuple[Reweighting, list[np.ndarray]]:
        """Draw blocks of each run again, with replacement, and join them; give which samples were drawn too.

        Blocks are about twice as long as the runs remember, so that correlated samples stay together. `memory` (runs,)
        is the inefficiency of what is averaged, where that is slower than the energy. What is averaged scatters less
        over the draws than over runs made again: multiply by `block_correction`.
        """
        drawn = [_blocks(len(e), g, rng) for e, g in zip(self.energies_eV, self._memory(memory), strict=True)]
        energies = tuple(e[k] for e, k in zip(self.energies_eV, drawn, strict=True))
        return _solve(energies, self.temperatures_K, self.inefficiency, self.free_energies), drawn

    def block_correction(self, memory: np.ndarray | None = None) -> float:
        """Give by how much the scatter over blocks drawn again falls short of that over runs made again.

        Blocks cut the memory at their ends: of the variance g s^2 / n of a mean they show 1 - g / 2 b for blocks of b
        samples (of a memory that fades exponentially), and of that the part that n / b blocks keep about their own
        mean, 1 - b / n. The run that falls shortest counts.
        """
        shown = []
        for energies, g in zip(self.energies_eV, self._memory(memory), strict=True):
            n = len(energies)
            b = _block_length(n, g)
            shown.append((1 - min(0.5, (g - 1) / (2 * b))) * max(0.5, 1 - b / n))
        return float(1 / np.sqrt(min(shown)))

    def _memory(self, memory: np.ndarray | None) -> np.ndarray:
        return self.inefficiency if memory is None else np.maximum(self.inefficiency, memory)


def reweight(
    energies_eV: Sequence[np.ndarray],
    temperatures_K: Sequence[float] | np.ndarray,
    *,
    inefficiency: Sequence[float] | np.ndarray | None = None,
) -> Reweighting:
    """Join runs at several temperatures; `energies_eV` are total energies of the cell, one array for each run.

    Neighbouring runs must overlap in energy: `Reweighting.effective_samples` says where they do not. Without
    `inefficiency` that of the energies is taken.

    >>> rng = np.random.default_rng(0)
    >>> level = 0.1
    >>> share = lambda t: 1 / (1 + np.exp(level / (BOLTZMANN_EV_PER_K * t)))
    >>> runs = [level * (rng.random(4000) < share(t)) for t in (800.0, 1600.0)]
    >>> joined = reweight(runs, [800.0, 1600.0])
    >>> bool(abs(joined.average(runs, [1100.0])[0] - level * share(1100.0)) < 0.002)
    True
    """
    energies = tuple(np.asarray(e, float).ravel() for e in energies_eV)
    temperatures = np.asarray(temperatures_K, float).ravel()
    if len(energies) == 0 or len(energies) != len(temperatures) or any(len(e) < 2 for e in energies):
        raise InputError(
            f"{len(energies)} runs at {len(temperatures)} temperatures; wanted two samples or more of each"
        )
    if not (np.isfinite(temperatures).all() and (temperatures > 0).all()):
        raise InputError(f"temperatures {temperatures.tolist()} K; wanted positive numbers")
    if not all(np.isfinite(e).all() for e in energies):
        raise InputError("energies to reweight hold values that are not finite; leave those samples out")
    if inefficiency is None:
        inefficiency = [statistical_inefficiency(e) for e in energies]
    g = np.maximum(1.0, np.asarray(inefficiency, float))
    return _solve(energies, temperatures, g, _integrated(energies, temperatures))


def statistical_inefficiency(samples: np.ndarray) -> float:
    """Compute g = 1 + 2 tau of a chain, with tau summed over a window of five times itself (Sokal).

    >>> round(statistical_inefficiency(np.random.default_rng(1).normal(size=20000)), 1)
    1.0
    """
    x = np.asarray(samples, float) - np.mean(samples)
    n = len(x)
    variance = float(x @ x) / n
    if n < 4 or variance <= 0:
        return 1.0
    transformed = np.fft.rfft(x, 2 * n)
    correlation = np.fft.irfft(transformed * np.conj(transformed))[:n] / (variance * n)
    tau = 0.5 + np.cumsum(correlation[1:])
    window = np.arange(1, n)
    end = int(np.argmax(window >= 5 * tau)) if (window >= 5 * tau).any() else n - 2
    return float(max(1.0, 2 * tau[end]))


def _block_length(n: int, inefficiency: float) -> int:
    """Give twice the memory of a run, but a quarter of it at most."""
    return int(max(1, min(round(2 * inefficiency), n // 4)))


def _blocks(n: int, inefficiency: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the indices of n samples in blocks that begin anywhere, wrapped around the end."""
    length = _block_length(n, inefficiency)
    begins = rng.integers(n, size=-(-n // length))
    return np.asarray(((begins[:, None] + np.arange(length)) % n).ravel()[:n])


def _integrated(energies: tuple[np.ndarray, ...], temperatures_K: np.ndarray) -> np.ndarray:
    """Guess the free energies: d(beta F)/d(beta) = <E>, by the trapezoidal rule over the runs in order of beta."""
    beta = 1.0 / (BOLTZMANN_EV_PER_K * temperatures_K)
    order = np.argsort(beta)
    mean = np.array([energies[k].mean() for k in order])
    steps = np.diff(beta[order]) * (mean[1:] + mean[:-1]) / 2
    guess = np.empty(len(order))
    guess[order] = np.concatenate([[0.0], np.cumsum(steps)])
    return guess - guess[0]


def _solve(
    energies: tuple[np.ndarray, ...], temperatures_K: np.ndarray, inefficiency: np.ndarray, start: np.ndarray
) -> Reweighting:
    """Solve for the free energies by Newton's method: they are the minimum of a convex function."""
    beta = 1.0 / (BOLTZMANN_EV_PER_K * temperatures_K)
    pooled = np.concatenate(energies)
    counts = np.array([len(e) for e in energies])
    log_w = np.repeat(-np.log(inefficiency), counts)
    effective = counts / inefficiency
    # Energies against the mean, so that exponents stay small; the constant drops out of everything.
    middle = float(pooled.mean())
    levels, w, _ = _binned(pooled - middle, np.exp(log_w))
    f = start - beta * middle
    f -= f[0]
    value, gradient, hessian = _objective(f, levels, beta, effective, w)
    for _ in range(_MOST_ROUNDS):
        if np.abs(gradient / effective).max() < _CONVERGED:
            break
        step = np.zeros_like(f)
        if len(f) > 1:
            step[1:] = -np.linalg.lstsq(hessian[1:, 1:], gradient[1:], rcond=1e-12)[0]
        scale = 1.0
        while scale > 1e-6:
            trial = _objective(f + scale * step, levels, beta, effective, w)
            if trial[0] <= value + 1e-12 * abs(value):
                break
            scale /= 2
        f = f + scale * step
        value, gradient, hessian = trial
    log_density = np.concatenate(
        [log_w[part] - _log_terms(f, pooled[part] - middle, beta, effective)[1] for part in _parts(len(pooled))]
    )
    free = f + beta * middle
    return Reweighting(
        energies_eV=energies,
        temperatures_K=temperatures_K,
        inefficiency=inefficiency,
        free_energies=free - free[0],
        log_density=log_density,
    )


def _parts(n: int) -> list[slice]:
    return [slice(begin, begin + _PART) for begin in range(0, n, _PART)]


def _log_terms(
    f: np.ndarray, energies: np.ndarray, beta: np.ndarray, effective: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give the share (samples, runs) of each run in D, and ln D."""
    exponent = f[None, :] - np.outer(energies, beta) + np.log(effective)[None, :]
    top = exponent.max(axis=1)
    terms = np.exp(exponent - top[:, None])
    total = terms.sum(axis=1)
    return terms / total[:, None], top + np.log(total)


def _objective(
    f: np.ndarray, energies: np.ndarray, beta: np.ndarray, effective: np.ndarray, w: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Give the convex function whose minimum solves the equations, with its gradient and second derivatives."""
    share, log_d = _log_terms(f, energies, beta, effective)
    summed = w @ share
    return float(w @ log_d - effective @ f), summed - effective, np.diag(summed) - share.T @ (share * w[:, None])


def _boltzmann(energies: np.ndarray, log_density: np.ndarray, temperature_K: float) -> np.ndarray:
    """Weigh energies by their density and Boltzmann's factor; the weights sum to one."""
    exponent = log_density - energies / (BOLTZMANN_EV_PER_K * float(temperature_K))
    weights = np.exp(exponent - exponent.max())
    return np.asarray(weights / weights.sum())


def _binned(
    energies: np.ndarray, weights: np.ndarray, values: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Join samples of nearly one energy, since weights depend on the energy alone, and bins are far below kT.

    Gives mean energies, sums of the weights, and sums of the weighted values.
    """
    low, high = float(energies.min()), float(energies.max())
    scale = (_BINS - 1) / (high - low) if high > low else 0.0
    place = np.rint((energies - low) * scale).astype(np.intp)
    total = np.bincount(place, weights, minlength=_BINS)
    kept = total > 0
    mean = np.bincount(place, weights * energies, minlength=_BINS)[kept] / total[kept]
    return mean, total[kept], np.bincount(place, weights * values, minlength=_BINS)[kept]
