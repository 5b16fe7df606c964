"""Strength of a random alloy whose dislocations are held by the misfit of its atoms: edge dislocations in fcc and bcc.

Every atom of a random alloy is a solute in the average of all. A dislocation bows, over a length that the theory
finds, into regions where the misfit volumes happen to suit it; to move on it needs the stress tau_y0 at 0 K, or heat
to pass the barrier dE_b. In the form reduced by elasticity nothing is fitted to strengths.

| symbol | here |
|---|---|
| c_n, V_n, mean V = sum_n c_n V_n | `fractions`, `volumes_A3`, its mean |
| misfit volume dV_n = V_n - V, variance sum_n c_n dV_n^2 | the mean and the variance over c_n |
| b: a/sqrt(2) in fcc, sqrt(3) a/2 in bcc | `burgers_A`, of the mean volume |
| mu, nu, line tension alpha mu b^2 | `shear_GPa`, `poisson`, `EdgeTheory.line_tension` |
| tau_y0 = A alpha^(-1/3) mu ((1+nu)/(1-nu))^(4/3) (sum c dV^2 / b^6)^(2/3) | `EdgeTheory.stress_factor` is A |
| dE_b = B alpha^(1/3) mu b^3 ((1+nu)/(1-nu))^(2/3) (sum c dV^2 / b^6)^(1/3) | `EdgeTheory.barrier_factor` is B |
| r = (kT / dE_b) ln(rate_0 / rate) | `reduced_temperature` |
| fcc: tau_y / tau_y0 = 1 - r^(2/3) above one half, exp(-r / 0.51) below | `FCC_EDGE.share_left` |
| bcc: tau_y / tau_y0 = exp(-r^0.91 / 0.55) | `BCC_EDGE.share_left` |
| sigma_y = M tau_y, M of a polycrystal without texture | `EdgeTheory.taylor_factor` |

fcc: Varvenne, Luque and Curtin, Acta Mater. 118, 164 (2016), doi:10.1016/j.actamat.2016.07.040, with the coefficients
of a core that is split into two partials. bcc: Maresca and Curtin, Acta Mater. 182, 235 (2020),
doi:10.1016/j.actamat.2019.10.015; there screw dislocations may hold more at low temperature in alloys of small misfit.
Grain boundaries, second phases, short-range order and interstitials are not in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.units import GPa, kB

from hea_sim.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class EdgeTheory:
    """Hold the coefficients of one crystal structure.

    `burgers_per_edge` is b over the lattice parameter, `atoms_per_cell` of the cube with that edge; `share_left` maps
    the reduced temperature to tau_y / tau_y0.
    """

    name: str
    structure: str
    doi: str
    stress_factor: float
    barrier_factor: float
    line_tension: float
    taylor_factor: float
    burgers_per_edge: float
    atoms_per_cell: int
    share_left: Callable[[np.ndarray], np.ndarray]
    reference_rate_per_s: float = 1e4


@dataclass(frozen=True, kw_only=True, eq=False)
class EdgeStrength:
    """Hold what the theory gives for n alloys, each (n,).

    `misfit` is sqrt(sum c dV^2) over three times the mean volume, the size misfit as a share of the lattice parameter;
    `zero_kelvin_MPa` and `yield_MPa` are of a polycrystal, at 0 K and at the temperature; `barrier_eV` is dE_b.
    """

    misfit: np.ndarray
    burgers_A: np.ndarray
    zero_kelvin_MPa: np.ndarray
    barrier_eV: np.ndarray
    yield_MPa: np.ndarray


def _two_regimes(reduced_temperature: np.ndarray) -> np.ndarray:
    """Give the share of strength left where the barrier is passed near its top, then by smaller bows."""
    near = 1 - np.minimum(reduced_temperature, 1.0) ** (2 / 3)
    return np.where(near >= 0.5, near, np.exp(-reduced_temperature / 0.51))


def _one_regime(reduced_temperature: np.ndarray) -> np.ndarray:
    """Give the share of strength left by one law for all stresses."""
    return np.exp(-(reduced_temperature**0.91) / 0.55)


FCC_EDGE = EdgeTheory(
    name="Varvenne-Curtin, fcc",
    structure="A1",
    doi="10.1016/j.actamat.2016.07.040",
    stress_factor=0.051 * 0.35,
    barrier_factor=0.274 * 5.70,
    line_tension=0.123,
    taylor_factor=3.06,
    burgers_per_edge=np.sqrt(0.5),
    atoms_per_cell=4,
    share_left=_two_regimes,
)
BCC_EDGE = EdgeTheory(
    name="Maresca-Curtin, edge dislocations in bcc",
    structure="A2",
    doi="10.1016/j.actamat.2019.10.015",
    stress_factor=0.040,
    barrier_factor=2.00,
    line_tension=1 / 12,
    taylor_factor=3.067,
    burgers_per_edge=np.sqrt(0.75),
    atoms_per_cell=2,
    share_left=_one_regime,
)
THEORIES = {theory.structure: theory for theory in (FCC_EDGE, BCC_EDGE)}


def theory_of(structure: str) -> EdgeTheory:
    """Give the theory for a lattice.

    >>> theory_of("A2").doi
    '10.1016/j.actamat.2019.10.015'
    """
    if structure not in THEORIES:
        raise InputError(
            f"strength of a solid solution on {structure}; wanted A1 (fcc) or A2 (bcc), for which there is a theory"
        )
    return THEORIES[structure]


def reduced_temperature(
    barrier_eV: np.ndarray, temperature_K: float | np.ndarray, strain_rate_per_s: float, reference_rate_per_s: float
) -> np.ndarray:
    """Compute (kT / dE_b) ln(rate_0 / rate); infinite where there is no barrier, 0 at 0 K."""
    heat = kB * np.asarray(temperature_K, float) * np.log(reference_rate_per_s / strain_rate_per_s)
    barrier = np.asarray(barrier_eV, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(heat == 0, 0.0, heat / barrier)


def edge_strength(
    theory: EdgeTheory,
    fractions: Any,
    volumes_A3: Any,
    shear_GPa: Any,
    poisson: Any,
    *,
    temperature_K: float | np.ndarray,
    strain_rate_per_s: float = 1e-3,
) -> EdgeStrength:
    """Compute the strength of n alloys.

    Parameters
    ----------
    theory
        `FCC_EDGE` or `BCC_EDGE`.
    fractions
        (n, E) or (E,) atomic fractions that sum to 1.
    volumes_A3
        (E,), or (n, E) where they differ among the alloys: volume that an atom of each element takes in the alloy.
    shear_GPa, poisson
        (n,) or numbers, of the alloys.
    temperature_K
        (n,) or one number, 0 or more.
    strain_rate_per_s
        Rate of the test, above 0 and below the reference rate of 1e4.

    Examples
    --------
    >>> alloy = edge_strength(FCC_EDGE, [0.5, 0.5], [11.0, 12.0], 80.0, 0.3, temperature_K=0.0)
    >>> bool(alloy.yield_MPa[0] == alloy.zero_kelvin_MPa[0])
    True
    """
    x = np.atleast_2d(np.asarray(fractions, float))
    volumes = np.asarray(volumes_A3, float)
    _check(theory, x, temperature_K, strain_rate_per_s)
    mean = (x * volumes).sum(1)
    variance = (x * (volumes - mean[:, None]) ** 2).sum(1)
    burgers = theory.burgers_per_edge * (theory.atoms_per_cell * mean) ** (1 / 3)
    s = variance / burgers**6
    shear, nu = np.asarray(shear_GPa, float), np.asarray(poisson, float)
    q = (1 + nu) / (1 - nu)
    tau = theory.stress_factor * theory.line_tension ** (-1 / 3) * shear * q ** (4 / 3) * s ** (2 / 3)
    barrier = theory.barrier_factor * theory.line_tension ** (1 / 3) * shear * GPa * burgers**3
    barrier = barrier * q ** (2 / 3) * s ** (1 / 3)
    zero = 1e3 * theory.taylor_factor * tau
    r = reduced_temperature(barrier, temperature_K, strain_rate_per_s, theory.reference_rate_per_s)
    return EdgeStrength(
        misfit=np.sqrt(variance) / (3 * mean),
        burgers_A=burgers,
        zero_kelvin_MPa=zero,
        barrier_eV=barrier,
        yield_MPa=zero * theory.share_left(r),
    )


def _check(theory: EdgeTheory, fractions: np.ndarray, temperature_K: Any, strain_rate_per_s: float) -> None:
    if fractions.size and np.nanmax(abs(fractions.sum(1) - 1), initial=0.0) > 1e-6:
        raise InputError(f"fractions sum to {fractions.sum(1)[:3]}; wanted 1: divide by the sum")
    if not 0 < strain_rate_per_s < theory.reference_rate_per_s:
        raise InputError(
            f"strain rate {strain_rate_per_s:g} /s; wanted above 0 and below {theory.reference_rate_per_s:g}, such as"
            " 1e-3 for a test in a machine"
        )
    if not (np.asarray(temperature_K, float) >= 0).all():
        raise InputError("temperature_K is below zero or not a number; wanted kelvin")
