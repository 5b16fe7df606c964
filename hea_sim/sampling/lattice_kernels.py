"""Loops of lattice Monte Carlo for any model: exchanges, changes of species, and Wang-Landau's walk in energy.

Every loop is plain Python that numba can compile; `specialised` puts in the energy of a model. A proposal takes four
numbers of its stream whatever comes of it, so that a walk cut into parts is the same walk.

| symbol | here |
|---|---|
| acceptance min(1, exp(-dE / k T)) (Metropolis 1953, doi:10.1063/1.1699114) | `beta_per_eV` |
| proposal of an exchange: a site, and a neighbour or any site of its sublattice; both symmetric | `_partner` |
| weight exp(-(E - sum_i mu_i N_i) / k T - kappa N sum_i (c_i - t_i)^2) | `flip_loop` |
"""

from __future__ import annotations

import math

import numpy as np
from numba.extending import register_jitable

from hea_sim.sampling.random_streams import uniform

#: Random numbers that a proposal takes.
DRAWS = np.uint64(4)
_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)


def energy_change(occupation: np.ndarray, i: int, a: int, j: int, b: int, tables: tuple[np.ndarray, ...]) -> float:
    """Stand where `specialised` puts the energy change of a model."""
    raise NotImplementedError


def composition_change(counts: np.ndarray, w: int, x: int, tables: tuple[np.ndarray, ...]) -> float:
    """Stand where `specialised` puts what hangs on the composition alone."""
    raise NotImplementedError


@register_jitable
def _partner(
    i: int, key: np.uint64, place: np.uint64, nearest: np.ndarray, near_share: float,
    sublattice: np.ndarray, members: np.ndarray, starts: np.ndarray,
) -> int:  # fmt: skip
    """Propose with which site to exchange site i; -1 where its neighbour is of another sublattice."""
    where = uniform(key, place + _1)
    if near_share > 0.0 and uniform(key, place + _2) < near_share:
        j = nearest[i, int(where * nearest.shape[1])]
        return j if sublattice[j] == sublattice[i] else -1
    own = sublattice[i]
    return members[starts[own] + int(where * (starts[own + 1] - starts[own]))]


def exchange_loop(
    occupation: np.ndarray, proposals: int, energy_eV: float, beta_per_eV: float, key: np.uint64, place: np.uint64,
    nearest: np.ndarray, near_share: float, sublattice: np.ndarray, members: np.ndarray, starts: np.ndarray,
    tables: tuple[np.ndarray, ...],
) -> tuple[int, int, float]:  # fmt: skip
    """Propose exchanges, in place; give trials of unlike atoms, accepted ones, and the energy (eV) thereafter.

    `members` (sites,) lists the sites by sublattice, `starts` (sublattices + 1,) where each begins.
    """
    trials, accepted, energy = 0, 0, energy_eV
    for _ in range(proposals):
        i = int(uniform(key, place) * len(occupation))
        j = _partner(i, key, place, nearest, near_share, sublattice, members, starts)
        if j >= 0 and occupation[i] != occupation[j]:
            trials += 1
            a, b = occupation[j], occupation[i]
            change = energy_change(occupation, i, a, j, b, tables)
            if change <= 0.0 or uniform(key, place + _3) < math.exp(-beta_per_eV * change):
                occupation[i] = a
                occupation[j] = b
                accepted += 1
                energy += change
        place += DRAWS
    return trials, accepted, energy


def flip_loop(
    occupation: np.ndarray, proposals: int, energy_eV: float, beta_per_eV: float, key: np.uint64, place: np.uint64,
    mu_eV: np.ndarray, kappa: float, target: np.ndarray, counts: np.ndarray,
    sublattice: np.ndarray, allowed: np.ndarray, n_allowed: np.ndarray, tables: tuple[np.ndarray, ...],
) -> tuple[int, int, float]:  # fmt: skip
    """Propose that a site turns into another species, in place; give trials, accepted ones, and the energy (eV).

    `allowed` (sublattices, species) lists first the `n_allowed` species that a sublattice may hold; `counts` (species,)
    are kept up to date.
    """
    trials, accepted, energy = 0, 0, energy_eV
    sites = len(occupation)
    for _ in range(proposals):
        i = int(uniform(key, place) * sites)
        own = sublattice[i]
        a = allowed[own, int(uniform(key, place + _1) * n_allowed[own])]
        w = occupation[i]
        if a != w:
            trials += 1
            change = energy_change(occupation, i, a, -1, a, tables) + composition_change(counts, w, a, tables)
            # N sum_i (c_i - t_i)^2 after less before, for one atom fewer of w and one more of a
            spread = 2.0 * ((counts[a] - counts[w] + 1) / sites - target[a] + target[w])
            exponent = beta_per_eV * (change - mu_eV[a] + mu_eV[w]) + kappa * spread
            if exponent <= 0.0 or uniform(key, place + _3) < math.exp(-exponent):
                occupation[i] = a
                counts[w] -= 1
                counts[a] += 1
                accepted += 1
                energy += change
        place += DRAWS
    return trials, accepted, energy


def wang_landau_loop(
    occupation: np.ndarray, proposals: int, energy_eV: float, key: np.uint64, place: np.uint64,
    nearest: np.ndarray, near_share: float, sublattice: np.ndarray, members: np.ndarray, starts: np.ndarray,
    lowest_eV: float, width_eV: float, log_states: np.ndarray, visits: np.ndarray, sums: np.ndarray, step: float,
    one_over_t: bool, made: int, tables: tuple[np.ndarray, ...],
) -> tuple[int, int, float]:  # fmt: skip
    """Walk by exchanges with weight one over the density of states, which is learnt on the way, in place.

    `log_states`, `visits` and `sums` of energies (bins,) from `lowest_eV` up by `width_eV`; moves out of the bins are
    refused. `step` is added to the present bin after every proposal, or bins over proposals made where `one_over_t`.
    """
    trials, accepted, energy = 0, 0, energy_eV
    bins = len(log_states)
    here = int((energy - lowest_eV) / width_eV)
    for k in range(proposals):
        i = int(uniform(key, place) * len(occupation))
        j = _partner(i, key, place, nearest, near_share, sublattice, members, starts)
        if j >= 0 and occupation[i] != occupation[j]:
            trials += 1
            a, b = occupation[j], occupation[i]
            change = energy_change(occupation, i, a, j, b, tables)
            there = math.floor((energy + change - lowest_eV) / width_eV)
            if 0 <= there < bins:
                rise = log_states[there] - log_states[here]
                if rise <= 0.0 or uniform(key, place + _3) < math.exp(-rise):
                    occupation[i] = a
                    occupation[j] = b
                    accepted += 1
                    energy += change
                    here = there
        log_states[here] += bins / (made + k + 1) if one_over_t else step
        visits[here] += 1
        sums[here] += energy
        place += DRAWS
    return trials, accepted, energy
