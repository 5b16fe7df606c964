"""Reweighting and transitions against exact enumeration of small Ising cells."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hea_sim.errors import InputError
from hea_sim.observables.reweighting import reweight, statistical_inefficiency
from hea_sim.observables.transitions import (
    binder_crossing,
    binder_cumulant,
    find_transitions,
    heat_capacity_curve,
)
from hea_sim.units import BOLTZMANN_EV_PER_K

#: Coupling of the Ising cells, in eV, and the critical temperature of the infinite one (Onsager 1944).
J_EV = 0.01
T_C = 2 / np.log(1 + np.sqrt(2)) * J_EV / BOLTZMANN_EV_PER_K


@cache
def ising(edge: int) -> tuple[np.ndarray, np.ndarray]:
    """Enumerate a square Ising cell: energy in eV and magnetisation of every state."""
    n = edge * edge
    spins = (((np.arange(2**n)[:, None] >> np.arange(n)) & 1) * 2 - 1).astype(np.int8).reshape(-1, edge, edge)
    energy = -(spins * np.roll(spins, 1, 1)).sum((1, 2)) - (spins * np.roll(spins, 1, 2)).sum((1, 2))
    return J_EV * energy.astype(float), spins.sum((1, 2)) / n


def exact(edge: int, temperature_K: float) -> np.ndarray:
    """Give the probability of every state."""
    energy, _ = ising(edge)
    weight = np.exp(-(energy - energy.min()) / (BOLTZMANN_EV_PER_K * temperature_K))
    return weight / weight.sum()


def drawn(edge: int, temperatures: np.ndarray, number: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    energy, moment = ising(edge)
    picks = [rng.choice(len(energy), number, p=exact(edge, t)) for t in temperatures]
    return [energy[k] for k in picks], [moment[k] for k in picks]


def test_reweighted_averages_are_those_of_enumeration() -> None:
    ladder = T_C * np.linspace(0.7, 1.6, 6)
    energies, moments = drawn(4, ladder, 4000, 0)
    joined = reweight(energies, ladder)
    energy, moment = ising(4)
    for t in T_C * np.array([0.75, 0.95, 1.2, 1.5]):
        p = exact(4, t)
        n = joined.effective_samples([t])[0]
        mean = p @ energy
        std = np.sqrt(p @ (energy - mean) ** 2)
        assert abs(joined.average(energies, [t])[0] - mean) < 4 * std / np.sqrt(n)
        squares = [m**2 for m in moments]
        mean2 = p @ moment**2
        std2 = np.sqrt(p @ (moment**2 - mean2) ** 2)
        assert abs(joined.average(squares, [t])[0] - mean2) < 4 * std2 / np.sqrt(n)
        capacity = std**2 / (BOLTZMANN_EV_PER_K * t) ** 2
        assert joined.heat_capacity([t])[0] == pytest.approx(capacity, rel=0.06)


def test_free_energies_are_those_of_the_partition_function() -> None:
    ladder = T_C * np.array([1.5, 0.8, 1.0, 1.2])  # in any order
    energies, _ = drawn(4, ladder, 6000, 1)
    energy, _ = ising(4)
    low = energy.min()
    log_z = [
        np.log(np.exp(-(energy - low) / (BOLTZMANN_EV_PER_K * t)).sum()) - low / (BOLTZMANN_EV_PER_K * t)
        for t in ladder
    ]
    found = reweight(energies, ladder).free_energies
    assert found == pytest.approx(-np.array(log_z) + log_z[0], abs=0.1)
    assert found - (-np.array(log_z) + log_z[0]) == pytest.approx(np.zeros(4), abs=0.1)


@settings(max_examples=15, deadline=None)
@given(shift=st.floats(-1e3, 1e3), scale=st.floats(0.2, 5.0))
def test_zero_and_unit_of_energy_do_not_matter(shift: float, scale: float) -> None:
    ladder = T_C * np.array([0.9, 1.1, 1.3])
    energies, _ = drawn(3, ladder, 400, 2)
    one = reweight(energies, ladder, inefficiency=[1, 1, 1])
    other = reweight([scale * (e + shift) for e in energies], scale * ladder, inefficiency=[1, 1, 1])
    t = T_C * np.array([0.95, 1.2])
    assert other.heat_capacity(scale * t) == pytest.approx(one.heat_capacity(t), rel=1e-4)
    assert other.average([scale * (e + shift) for e in energies], scale * t) == pytest.approx(
        scale * (one.average(energies, t) + shift), rel=1e-6, abs=1e-6
    )


def test_the_peak_of_the_heat_capacity_is_found_with_its_interval() -> None:
    ladder = T_C * np.linspace(0.6, 1.8, 9)
    energies, _ = drawn(4, ladder, 2000, 3)
    grid = np.linspace(ladder[0], ladder[-1], 2000)
    energy, _ = ising(4)
    curve = [(p := exact(4, t)) @ (energy - p @ energy) ** 2 / t**2 for t in grid]
    true = grid[int(np.argmax(curve))]
    (found,) = find_transitions(energies, ladder, 16)
    assert found.kind == "heat capacity"
    assert abs(found.temperature_K.value - true) < 4 * found.temperature_K.std
    assert 0 < found.temperature_K.std < 0.02 * true
    low, high = found.temperature_K.low, found.temperature_K.high
    assert low is not None and high is not None and low < found.temperature_K.value < high
    capacity = heat_capacity_curve(reweight(energies, ladder), 16, np.array([true]))
    at_true = max(curve) / BOLTZMANN_EV_PER_K**2 / 16
    assert abs(capacity.heat_capacity_k[0] - at_true) < 4 * capacity.std_k[0] and capacity.trusted[0]


def test_a_smooth_curve_has_no_transition_and_few_temperatures_show_none() -> None:
    rng = np.random.default_rng(0)
    ladder = np.linspace(500.0, 2000.0, 8)
    harmonic = [BOLTZMANN_EV_PER_K * t * rng.gamma(50, size=2000) for t in ladder]
    assert find_transitions(harmonic, ladder, 100) == []
    assert find_transitions(harmonic[:4], ladder[:4], 100) == []


def test_a_latent_heat_without_overlap_is_placed_between_two_runs() -> None:
    rng = np.random.default_rng(0)
    ladder = np.linspace(500.0, 1400.0, 10)
    runs = [t * 0.1 + 200.0 * (t > 1000) + rng.normal(size=300) for t in ladder]
    (found,) = find_transitions(runs, ladder, 1000)
    t = found.temperature_K
    assert found.kind == "rise of energy" and (t.low, t.high) == (1000.0, 1100.0)


def test_two_peaks_of_energy_are_called_first_order() -> None:
    """Many states at high energy against one well at low energy: energies stand apart at the transition."""
    rng = np.random.default_rng(0)
    gap, log_states, width = 4.0, 4.0 / (BOLTZMANN_EV_PER_K * 1000.0), 0.05

    def run(t: float) -> np.ndarray:
        upper = 1 / (1 + np.exp(gap / (BOLTZMANN_EV_PER_K * t) - log_states))
        return gap * (rng.random(4000) < upper) + width * rng.normal(size=4000)

    ladder = np.linspace(970.0, 1030.0, 13)
    (found,) = find_transitions([run(t) for t in ladder], ladder, 500)
    assert found.kind == "first order" and abs(found.temperature_K.value - 1000) < 5


def test_binder_cumulants_cross_where_those_of_enumeration_do() -> None:
    ladder = T_C * np.linspace(0.6, 1.4, 9)
    grid = np.linspace(ladder[0], ladder[-1], 400)

    def cumulant(edge: int, t: float) -> float:
        p, m = exact(edge, t), ising(edge)[1]
        return 1 - (p @ m**4) / (3 * (p @ m**2) ** 2)

    gap = np.array([cumulant(4, t) - cumulant(2, t) for t in grid])
    at = np.flatnonzero((gap[:-1] > 0) & (gap[1:] <= 0))
    small, large = drawn(2, ladder, 10000, 5), drawn(4, ladder, 10000, 6)
    found = binder_crossing(reweight(small[0], ladder), small[1], reweight(large[0], ladder), large[1], resamples=12)
    assert len(at) == 1
    assert abs(found.value - grid[at[0]]) < 4 * found.std + (grid[1] - grid[0])


def test_binder_cumulants_at_both_ends() -> None:
    assert binder_cumulant(np.array([1.0, -1.0])) == pytest.approx(2 / 3)
    assert binder_cumulant(np.random.default_rng(0).normal(size=200_000)) == pytest.approx(0.0, abs=0.02)
    with pytest.raises(InputError, match="not all zero"):
        binder_cumulant(np.zeros(3))


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_inefficiency_of_a_chain_with_known_memory(memory: float) -> None:
    rng = np.random.default_rng(0)
    x = np.zeros(100_000)
    noise = rng.normal(size=len(x))
    for k in range(1, len(x)):
        x[k] = memory * x[k - 1] + noise[k]
    assert statistical_inefficiency(x) == pytest.approx((1 + memory) / (1 - memory), rel=0.15)


def test_bad_input_is_told() -> None:
    with pytest.raises(InputError, match="two samples or more"):
        reweight([np.zeros(1)], [300.0])
    with pytest.raises(InputError, match="positive"):
        reweight([np.zeros(3)], [-300.0])
    with pytest.raises(InputError, match="not finite"):
        reweight([np.array([0.0, np.nan])], [300.0])


def remembering(edge: int, temperature_K: float, number: int, stay: float, rng: np.random.Generator) -> np.ndarray:
    """Draw states from equilibrium that stay as they are with a probability: g = (1 + stay) / (1 - stay)."""
    share = exact(edge, temperature_K)
    fresh = rng.choice(len(share), number, p=share)
    moved = np.append(True, rng.random(number - 1) >= stay)
    return np.asarray(fresh[np.maximum.accumulate(np.where(moved, np.arange(number), 0))])


@pytest.mark.slow
def test_errors_of_binder_crossings_are_those_of_runs_made_again() -> None:
    """Of chains with a known memory: the spread over runs made again is the error that each of them tells."""
    ladder, stay, number, runs = T_C * np.array([0.75, 0.9, 1.05]), 0.8, 2500, 16
    values, errors = [], []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        parts: list[Any] = []
        for edge in (2, 4):
            picks = [remembering(edge, t, number, stay, rng) for t in ladder]
            energy, moment = ising(edge)
            parts += [reweight([energy[k] for k in picks], ladder), [moment[k] for k in picks]]
        found = binder_crossing(*parts, resamples=16, seed=seed)
        values.append(found.value)
        errors.append(found.std)
    ratio = np.std(values, ddof=1) / np.sqrt(np.mean(np.square(errors)))
    assert abs(ratio - 1) < 3 * 0.18  # the spread of 16 values is known to 18 %


def test_the_correction_of_blocks_makes_up_for_what_they_cut() -> None:
    """The scatter of means over drawn blocks, corrected, is that of the mean of a chain: sqrt(g s^2 / n)."""
    rng = np.random.default_rng(1)
    shown, number, stay = [], 400, 0.8
    for _ in range(60):
        moved = np.append(True, rng.random(number - 1) >= stay)
        place = np.maximum.accumulate(np.where(moved, np.arange(number), 0))
        joined = reweight([rng.normal(size=number)[place]], [1000.0], inefficiency=[9.0])
        means = [joined.resampled(rng)[0].energies_eV[0].mean() for _ in range(30)]
        shown.append(np.var(means) * joined.block_correction() ** 2)
    assert np.mean(shown) == pytest.approx(9.0 / number, rel=0.15)
