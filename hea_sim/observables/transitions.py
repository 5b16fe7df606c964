"""Transition temperatures of sampled runs: peaks of the heat capacity, crossings of Binder cumulants.

| symbol | here |
|---|---|
| C(T), by reweighting all runs of one branch | `heat_capacity_curve` |
| U = 1 - <m^4> / (3 <m^2>^2) (Binder 1981, doi:10.1007/BF01293604) | `binder_cumulant` |
| T_c: U of two sizes cross | `binder_crossing` |

An interval is statistical: blocks of the runs are drawn again (bootstrap). What the model of the energy is wrong by is
not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError
from hea_sim.observables.reweighting import Reweighting, reweight, statistical_inefficiency
from hea_sim.records import Estimate
from hea_sim.units import BOLTZMANN_EV_PER_K

#: Temperatures fewer than this show no peak that could be told from noise.
LEAST_TEMPERATURES = 5
#: Independent samples that must bear on a temperature before a reweighted average there is believed.
LEAST_SAMPLES = 20.0
_POINTS = 240
#: How far beyond the temperatures, as a share of their range, cumulants are followed for their errors.
_BEYOND = 0.5
_LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Hold one transition: its temperature, how it was seen, and the heat capacity per atom there, in k."""

    temperature_K: Estimate
    kind: str
    heat_capacity_k: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatCapacity:
    """Hold a heat capacity over temperature: `heat_capacity_k` (n,) and its `std_k`, per atom, in units of k.

    `trusted` (n,) is False where too few samples bear on a temperature.
    """

    temperatures_K: np.ndarray
    heat_capacity_k: np.ndarray
    std_k: np.ndarray
    trusted: np.ndarray


def binder_cumulant(order: np.ndarray) -> float:
    """Compute Binder's cumulant of samples of an order parameter: 2/3 where it is frozen, 0 where it is Gaussian.

    >>> binder_cumulant(np.array([1.0, -1.0, 1.0]))
    0.6666666666666667
    """
    m2 = np.square(np.asarray(order, float))
    if m2.size == 0 or not m2.mean() > 0:
        raise InputError("Binder cumulant: wanted samples of an order parameter that are not all zero")
    return float(1 - np.mean(m2**2) / (3 * np.mean(m2) ** 2))


def heat_capacity_curve(
    joined: Reweighting, n_atoms: int, temperatures_K: np.ndarray | None = None, *, resamples: int = 24, seed: int = 0
) -> HeatCapacity:
    """Compute the heat capacity per atom on a fine grid of temperatures, with bootstrap errors."""
    grid = _grid(joined) if temperatures_K is None else np.asarray(temperatures_K, float)
    curves = _bootstrap(joined, grid, resamples, seed)
    return HeatCapacity(
        temperatures_K=grid,
        heat_capacity_k=joined.heat_capacity(grid) / n_atoms,
        std_k=curves.std(axis=0, ddof=1) * joined.block_correction() / n_atoms,
        trusted=joined.effective_samples(grid) >= LEAST_SAMPLES,
    )


def find_transitions(
    energies_eV: Sequence[np.ndarray],
    temperatures_K: Sequence[float] | np.ndarray,
    n_atoms: int,
    *,
    resamples: int = 40,
    seed: int = 0,
) -> list[Transition]:
    """Find the peaks of the heat capacity of runs at several temperatures; none where fewer than five were sampled.

    `energies_eV` are total energies of the cell. Where neighbouring runs do not overlap, as at a first-order
    transition, the temperature is only placed between two of them, and its interval says so.
    """
    order = np.argsort(np.asarray(temperatures_K, float))
    temperatures = np.asarray(temperatures_K, float)[order]
    runs = [np.asarray(energies_eV[k], float) for k in order]
    if len(temperatures) < LEAST_TEMPERATURES:
        return []
    joined = reweight(runs, temperatures)
    grid = _grid(joined)
    if (joined.effective_samples(grid) < LEAST_SAMPLES).any():
        return _steps(runs, temperatures, joined.inefficiency, n_atoms)
    curve = joined.heat_capacity(grid)
    curves = _bootstrap(joined, grid, resamples, seed)
    correction = joined.block_correction()
    std = correction * curves.std(axis=0, ddof=1)
    found = []
    for left, peak, right in _peaks(curve):
        prominence = curve[peak] - max(curve[left], curve[right])
        if prominence < 4 * std[peak] or prominence < 0.1 * curve[peak]:
            continue
        value = _top(grid, curve, left, right)
        places = value + correction * (np.array([_top(grid, c, left, right) for c in curves]) - value)
        kind = "first order" if two_peaked(np.concatenate(runs), joined.weights, grid[peak]) else "heat capacity"
        found.append(
            Transition(
                temperature_K=_interval(
                    value, places, f"peak of the reweighted heat capacity, {n_atoms} atoms;"
                    " interval statistical, by blocks drawn again",
                ),
                kind=kind,
                heat_capacity_k=float(curve[peak] / n_atoms),
            )
        )  # fmt: skip
    return found


def binder_crossing(
    small: Reweighting,
    small_order: Sequence[np.ndarray],
    large: Reweighting,
    large_order: Sequence[np.ndarray],
    *,
    resamples: int = 40,
    seed: int = 0,
) -> Estimate:
    """Find where Binder's cumulants of two sizes cross: an estimate of the critical temperature.

    `..._order` holds for each run one order parameter for each energy. Raises InputError where the cumulants do not
    cross between the temperatures that both were sampled at.
    """
    low = max(small.temperatures_K.min(), large.temperatures_K.min())
    high = min(small.temperatures_K.max(), large.temperatures_K.max())
    if not low < high:
        raise InputError("Binder crossing: the two sizes were sampled at temperatures that do not overlap")
    grid = np.linspace(low, high, _POINTS)
    crossing = _crossing(grid, _cumulants(small, small_order, grid), _cumulants(large, large_order, grid))
    if crossing is None:
        raise InputError(f"Binder cumulants do not cross between {low:g} and {high:g} K; sample other temperatures")
    rng = np.random.default_rng(seed)
    places = []
    # Draws that cross beyond the temperatures count as well: without them errors near an end would be too small.
    reach = _BEYOND * (high - low)
    wide = np.linspace(max(low - reach, 0.1 * low), high + reach, _POINTS)
    # Near a critical point the order parameter remembers for longer than the energy.
    both = [
        (joined, values, np.array([statistical_inefficiency(np.square(np.asarray(v, float))) for v in values]))
        for joined, values in ((small, small_order), (large, large_order))
    ]
    for _ in range(resamples):
        cumulants: list[np.ndarray] = []
        for joined, values, memory in both:
            again, drawn = joined.resampled(rng, memory)
            cumulants.append(_cumulants(again, [np.asarray(v)[k] for v, k in zip(values, drawn, strict=True)], wide))
        place = _crossing(wide, cumulants[0], cumulants[1], near=crossing)
        if place is None:  # where the larger size is the more ordered one everywhere, they cross above
            place = float(wide[-1] if np.mean(cumulants[1] - cumulants[0]) > 0 else wide[0])
        places.append(place)
    correction = max(joined.block_correction(memory) for joined, _, memory in both)
    scattered = crossing + correction * (np.array(places) - crossing)
    return _interval(crossing, scattered, "crossing of Binder cumulants of two sizes; interval by bootstrap of blocks")


def _cumulants(joined: Reweighting, order: Sequence[np.ndarray], grid: np.ndarray) -> np.ndarray:
    squares = [np.square(np.asarray(part, float)) for part in order]
    return np.asarray(1 - joined.average([m2**2 for m2 in squares], grid) / (3 * joined.average(squares, grid) ** 2))


def _crossing(grid: np.ndarray, small: np.ndarray, large: np.ndarray, near: float | None = None) -> float | None:
    """Find where the cumulant of the larger size falls below that of the smaller; the steepest of several."""
    gap = large - small
    at = np.flatnonzero((gap[:-1] > 0) & (gap[1:] <= 0))
    if not len(at):
        return None
    places = grid[at] + (grid[at + 1] - grid[at]) * gap[at] / (gap[at] - gap[at + 1])
    if near is not None:
        return float(places[np.argmin(np.abs(places - near))])
    reach = max(1, len(grid) // 20)
    fall = [gap[max(0, k - reach)] - gap[min(len(gap) - 1, k + reach)] for k in at]
    return float(places[int(np.argmax(fall))])


def _grid(joined: Reweighting) -> np.ndarray:
    t = joined.temperatures_K
    return np.geomspace(t.min(), t.max(), _POINTS) if t.max() > t.min() else t[:1]


def _bootstrap(joined: Reweighting, grid: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([joined.resampled(rng)[0].heat_capacity(grid) for _ in range(max(4, resamples))])


def _peaks(curve: np.ndarray) -> list[tuple[int, int, int]]:
    """List the inner maxima with the deepest points to either side before a higher one."""
    from scipy.signal import find_peaks

    found, more = find_peaks(curve, prominence=0)
    return [(int(a), int(p), int(b)) for a, p, b in zip(more["left_bases"], found, more["right_bases"], strict=True)]


def _top(grid: np.ndarray, curve: np.ndarray, left: int, right: int) -> float:
    """Place the maximum between two points of the grid, refined by a parabola."""
    k = left + int(np.argmax(curve[left : right + 1]))
    if not 0 < k < len(grid) - 1:
        return float(grid[k])
    a, b, c = np.polyfit(grid[k - 1 : k + 2] - grid[k], curve[k - 1 : k + 2], 2)
    return float(grid[k] - b / (2 * a)) if a < 0 else float(grid[k])


def _interval(value: float, places: np.ndarray, method: str) -> Estimate:
    if len(places) < 4:
        raise InputError("too few resamples show the transition; sample longer")
    low, high = np.quantile(places, ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2))
    return Estimate(
        value=value, std=float(places.std(ddof=1)), low=float(min(low, value)), high=float(max(high, value)),
        level=_LEVEL, unit="K", method=method,
    )  # fmt: skip


def two_peaked(energies: np.ndarray, weights_at: Callable[[float], np.ndarray], temperature_K: float) -> bool:
    """Tell whether two energies stand apart at a temperature near the peak, with less than half of them between.

    `weights_at` gives the probability of each of the energies at a temperature.
    """
    from scipy.ndimage import gaussian_filter1d

    for t in temperature_K * np.linspace(0.99, 1.01, 9):
        weights = weights_at(float(t))
        mean = weights @ energies
        reach = 4 * np.sqrt(weights @ (energies - mean) ** 2)
        levels, place = np.unique(energies.round(9), return_inverse=True)
        if len(levels) <= 96:  # the few energies of a small cell: a histogram would show the gaps between them
            smooth = gaussian_filter1d(np.bincount(place, weights), 1.0, mode="constant")
        else:
            histogram, _ = np.histogram(energies, bins=48, range=(mean - reach, mean + reach), weights=weights)
            smooth = gaussian_filter1d(histogram, 2.0)
        tops = np.flatnonzero((smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:])) + 1
        tops = tops[smooth[tops] > 0.2 * smooth.max()]
        if len(tops) > 1 and smooth[tops[0] : tops[-1]].min() < 0.5 * smooth[tops].min():
            return True
    return False


def _steps(
    runs: Sequence[np.ndarray], temperatures_K: np.ndarray, inefficiency: np.ndarray, n_atoms: int
) -> list[Transition]:
    """Find intervals of temperature in which the mean energy rises faster than in those beside it."""
    mean = np.array([r.mean() for r in runs])
    variance = np.array([r.var(ddof=1) * g / len(r) for r, g in zip(runs, inefficiency, strict=True)])
    width = np.diff(temperatures_K)
    slope = np.diff(mean) / width
    error = np.sqrt(variance[1:] + variance[:-1]) / width
    found = []
    for k in range(1, len(slope) - 1):
        beside = max(slope[k - 1], slope[k + 1])
        spread = np.hypot(error[k], max(error[k - 1], error[k + 1]))
        if slope[k] - beside < 4 * spread or slope[k] < 1.25 * beside:
            continue
        low, high = float(temperatures_K[k]), float(temperatures_K[k + 1])
        placed = Estimate(
            value=(low + high) / 2, std=(high - low) / np.sqrt(12), low=low, high=high, level=_LEVEL, unit="K",
            method=(
                f"steepest rise of the mean energy, {n_atoms} atoms; the runs beside it do not overlap in energy:"
                " sample temperatures between them for a narrower interval"
            ),
        )  # fmt: skip
        found.append(
            Transition(
                temperature_K=placed,
                kind="rise of energy",
                heat_capacity_k=float(slope[k] / (BOLTZMANN_EV_PER_K * n_atoms)),
            )
        )
    return found
