"""What couples a system to a bath: temperature by friction and noise or by rescaling, pressure by rescaling the cell.

| function | does | source |
|---|---|---|
| `friction_and_noise` | p <- c p + sqrt((1 - c^2) m kT) N | Leimkuhler and Matthews 2013, doi:10.1093/amrx/abs010 |
| `rescaling` | K <- c K + (1 - c) e (N^2 + S) + 2 N sqrt(c (1 - c) e K) | Bussi et al. 2007, doi:10.1063/1.2408420 |
| `strain_of_cell` | de_a = (b / 3) (P_aa - P) + sqrt(2 kT b / (3 V)) N_a | Bernetti 2020, doi:10.1063/5.0020514 |

| symbol | here |
|---|---|
| c | exp(-dt gamma) with a friction gamma; exp(-dt / tau) with a relaxation time tau |
| N, S | a normal number; the sum of f - 1 squares of such, f the degrees of freedom |
| e | kT / 2 |
| b | dt times a compressibility over a relaxation time |
| e_a | strain of axis a = x, y, z: x_a <- x_a exp(e_a), p_a <- p_a exp(-e_a) |

The anisotropic form is that of Del Tatto et al. 2022 (doi:10.3390/app12031139) for strains along the axes. The sides of
the cell are then distributed as exp(-(E + P V) / kT) dLx dLy dLz; all three strained alike, as exp(-(E + P V) / kT) dV.
"""

from __future__ import annotations

import numpy as np

from hea_sim.units import GPA_PER_EV_A3

#: eV/A^3 in a GPa.
GPA = 1 / GPA_PER_EV_A3


def friction_and_noise(
    momenta: np.ndarray, masses: np.ndarray, kT_eV: float, decay: float, rng: np.random.Generator
) -> np.ndarray:
    """Give the momenta (n, 3) after friction and noise; `decay` is gamma dt, `masses` (n,)."""
    c = np.exp(-decay)
    noise = np.sqrt(-np.expm1(-2 * decay) * kT_eV * masses)[:, None]
    return c * momenta + noise * rng.standard_normal(momenta.shape)


def rescaling(kinetic_eV: float, kT_eV: float, freedom: int, decay: float, rng: np.random.Generator) -> float:
    """Give the factor of all momenta of a stochastic velocity rescaling; `decay` is dt / tau.

    It carries the sign of Bussi and Parrinello 2008 (doi:10.1016/j.cpc.2008.01.006), without which a system of few
    atoms would not forget the direction of its momenta.
    """
    c = np.exp(-decay)
    one = float(rng.standard_normal())
    others = float(rng.chisquare(freedom - 1)) if freedom > 1 else 0.0
    share = -np.expm1(-decay) * 0.5 * kT_eV / kinetic_eV
    squared = c + share * (one * one + others) + 2 * one * np.sqrt(c * share)
    sign = -1.0 if one + np.sqrt(c / share) < 0 else 1.0
    return sign * float(np.sqrt(max(squared, 0.0)))


def strain_of_cell(
    pressures_eV_per_A3: np.ndarray,
    wanted_eV_per_A3: float,
    kT_eV: float,
    volume_A3: float,
    rate_A3_per_eV: float,
    as_one: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw the strains (3,) of the axes in one time step.

    `pressures_eV_per_A3` (3,) are those along x, y, z now; `rate_A3_per_eV` is b; `as_one` strains all three alike.
    """
    if as_one:
        drift = rate_A3_per_eV * (float(np.mean(pressures_eV_per_A3)) - wanted_eV_per_A3)
        noise = np.sqrt(2 * kT_eV * rate_A3_per_eV / volume_A3)
        return np.full(3, (drift + noise * rng.standard_normal()) / 3)
    drifts = rate_A3_per_eV / 3 * (np.asarray(pressures_eV_per_A3) - wanted_eV_per_A3)
    return drifts + np.sqrt(2 * kT_eV * rate_A3_per_eV / (3 * volume_A3)) * rng.standard_normal(3)
