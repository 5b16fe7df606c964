"""Long-range order on bcc and fcc by the waves that superlattice lines see: B2, D0_3, B32, L1_0, L1_2.

| symbol | here |
|---|---|
| A_i(k) = abs(1/N sum_r p_i(r) exp(2 pi i k.r / a)), p_i = 1 where species i stands | `ordering_waves` |
| B2: k = (1 0 0) on bcc; full order has A_i = min(c_i, 1 - c_i) | `long_range_order` |
| D0_3, B32: k = (1/2 1/2 1/2) on bcc | |
| L1_0: one of k = (1 0 0), (0 1 0), (0 0 1) on fcc; L1_2: all three | |

An order parameter S is the amplitude over the largest one that the composition allows: 0 without order, 1 with as much
as there are atoms for. It is taken over the whole cell: antiphase domains cancel, as they do in a sharp line. Without
order S is not zero but about 1 / sqrt(N c), which is what the finite number of atoms gives.
(Khachaturyan 1978, doi:10.1016/0079-6425(78)90003-8.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hea_sim.errors import InputError, unknown_name
from hea_sim.lattice.shells import lattice_name, lattice_points
from hea_sim.observables.warren_cowley import occupation_of

#: Ordered structures that a lattice can show.
STRUCTURES = {"A2": ("B2", "D0_3", "B32"), "A1": ("L1_0", "L1_2")}
_CUBE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_HALF = ((0.5, 0.5, 0.5),)


def ordering_waves(
    arrangement: Any,
    lattice: str,
    waves: Sequence[Sequence[float]],
    *,
    size: Sequence[int] | None = None,
    species: Sequence[str] | None = None,
) -> np.ndarray:
    """Compute the amplitudes (waves, species) of concentration waves, k in units of 2 pi / a.

    The cell must hold whole periods of every wave. `arrangement` is as for `warren_cowley`.

    >>> ordering_waves(np.tile([0, 1], 8), "bcc", [(1, 0, 0)], size=(2, 2, 2)).round(6)
    array([[0.5, 0.5]])
    """
    occupation, size, n_species = occupation_of(arrangement, lattice, size, species)
    k = np.atleast_2d(np.asarray(waves, float))
    periods = k * np.asarray(size)
    if np.abs(periods - np.rint(periods)).max(initial=0.0) > 1e-9:
        raise InputError(f"size {list(size)}: the cell holds no whole periods of waves {k.tolist()}; wanted even sizes")
    phases = np.exp(1j * np.pi * (lattice_points(lattice, size) @ k.T))  # points are in half lattice parameters
    present = np.eye(n_species)[occupation]
    return np.asarray(np.abs(phases.T @ present) / len(occupation))


def long_range_order(
    arrangement: Any,
    lattice: str,
    structure: str,
    *,
    size: Sequence[int] | None = None,
    species: Sequence[str] | None = None,
) -> np.ndarray:
    """Compute the order parameter S (species,) of an ordered structure; NaN for a species that is not there.

    L1_0 is the part of the strongest of three waves that the others do not share, L1_2 what all three share.

    >>> long_range_order(np.tile([0, 1], 8), "bcc", "B2", size=(2, 2, 2)).round(6)
    array([1., 1.])
    """
    name = lattice_name(lattice)
    if structure not in STRUCTURES[name]:
        raise unknown_name(f"ordered structure on {name}", structure, STRUCTURES[name])
    waves = _CUBE if name == "A1" else _CUBE[:1] if structure == "B2" else _HALF
    occupation, size, n_species = occupation_of(arrangement, lattice, size, species)
    amplitudes = np.sort(ordering_waves(occupation, name, waves, size=size, species=[""] * n_species), axis=0)
    fractions = np.bincount(occupation, minlength=n_species) / len(occupation)
    least = np.minimum(fractions, 1 - fractions)
    if structure == "L1_0":
        found = amplitudes[2] - amplitudes[1]
    else:
        found = amplitudes[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(least > 0, found / _LARGEST[structure](least), np.nan)


def _of_one_sublattice(c: np.ndarray) -> np.ndarray:
    """Give the amplitude where one of four sublattices takes all it can, the others share the rest evenly."""
    return np.where(c <= 0.25, c, (1 - c) / 3)


def _of_two_sublattices(c: np.ndarray) -> np.ndarray:
    """Give the amplitude of (1/2 1/2 1/2) where two neighbouring sublattices of four take all they can."""
    return c / np.sqrt(2)


_LARGEST: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "B2": lambda c: c,
    "D0_3": _of_one_sublattice,
    "B32": _of_two_sublattices,
    "L1_0": lambda c: c,
    "L1_2": _of_one_sublattice,
}
