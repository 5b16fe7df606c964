"""Debye scattering equation: patterns of clusters and finite pieces, without a lattice.

I(q) = sum_i |f_i|^2 + 2 sum_{i<j} Re(f_i f_j*) sin(q r_ij) / (q r_ij)   (Debye, Ann. Phys. 351, 809 (1915),
10.1002/andp.19153510606)

Distances are gathered in bins for each pair of species. A bin keeps sum 1/r and sum (r - r_bin)/r, so that

sum sin(q r)/(q r) = Im sum_bins exp(i q r_bin) [sum 1/r + i q sum (r - r_bin)/r] / q + O(q bin)^2.

| symbol | variable | unit |
|---|---|---|
| q = 4 pi sin(theta) / lambda | `q_per_A` | 1/A |
| r_bin | `(b + 1/2) bin_A` | A |
| sum 1/r, sum (r - r_bin)/r | `zeroth`, `first` | 1/A, 1 |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hea_sim.diffraction.radiation import Radiation
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.diffraction.scattering import STANDARD_TABLE, ScatteringTable, atomic_scattering_factor
from hea_sim.errors import InputError
from hea_sim.records import Pattern

if TYPE_CHECKING:
    from ase import Atoms

#: Pairs of atoms that are held at a time.
_PAIRS_AT_ONCE = 1_000_000
#: Bins that share one set of sines; the others follow by a phase.
_BINS_AT_ONCE = 256
_ANGLES_AT_ONCE = 512
#: Bins over all pairs of species.
_BIN_LIMIT = 20_000_000
#: Atoms nearer than this are a mistake.
_NEAREST_A = 0.1

#: (positions, positions, triangle only, bin width, number of bins) -> zeroth, first.
PairGatherer = Callable[[np.ndarray, np.ndarray, bool, float, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, kw_only=True, eq=False)
class PairSums:
    """Hold the pair distances of a cluster.

    `pairs` lists species indices (a <= b); `zeroth` and `first` (pairs, bins) are the sums above over unordered pairs.
    """

    species: tuple[str, ...]
    counts: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    bin_A: float
    zeroth: np.ndarray
    first: np.ndarray


def pair_sums(atoms: Atoms, *, bin_A: float = 0.002, device: str | None = None) -> PairSums:
    """Gather the pair distances of a cluster; its periodic images do not count.

    Parameters
    ----------
    device
        None for NumPy; "cpu" or "cuda" for the torch twin.

    Raises
    ------
    InputError
        For an empty cluster, a bin that is not positive, or atoms nearer than 0.1 A.
    """
    positions = np.asarray(atoms.positions, float)
    if len(positions) == 0 or not np.isfinite(positions).all() or not bin_A > 0:
        raise InputError(
            f"cluster of {len(positions)} atoms, bin {bin_A} A; wanted at least one atom, finite positions and a bin"
            " above zero"
        )
    symbols = np.array(atoms.get_chemical_symbols())
    species = tuple(dict.fromkeys(symbols.tolist()))
    centred = positions - positions.mean(axis=0)
    groups = [np.ascontiguousarray(centred[symbols == e]) for e in species]
    n_bins = int(2 * np.linalg.norm(centred, axis=1).max() / bin_A) + 2
    pairs = tuple((a, b) for a in range(len(species)) for b in range(a, len(species)))
    if n_bins * len(pairs) > _BIN_LIMIT:
        raise InputError(
            f"a cluster {n_bins * bin_A:.3g} A across needs {n_bins * len(pairs):.3g} bins of {bin_A:g} A (at most"
            f" {_BIN_LIMIT:.3g}); take a wider bin_A, or remove atoms that lie far away"
        )
    gather = _gatherer(device)
    sums = [gather(groups[a], groups[b], a == b, bin_A, n_bins) for a, b in pairs]
    return PairSums(
        species=species,
        counts=tuple(len(g) for g in groups),
        pairs=pairs,
        bin_A=bin_A,
        zeroth=np.array([s[0] for s in sums]),
        first=np.array([s[1] for s in sums]),
    )


def _gatherer(device: str | None) -> PairGatherer:
    if device is None:
        return gather_pairs
    from functools import partial

    from hea_sim.diffraction.torch_engine import gather_pairs_torch

    return partial(gather_pairs_torch, device=device)


def row_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Cut rows so that a block holds a bounded number of pairs."""
    step = max(1, _PAIRS_AT_ONCE // max(n_columns, 1))
    return (slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step))


def check_nearest(squared_min: float) -> None:
    """Raise InputError where the smallest squared distance is that of two atoms on one place."""
    if squared_min < _NEAREST_A**2:
        raise InputError(
            f"two atoms of the cluster are {max(squared_min, 0.0) ** 0.5:.2g} A apart; wanted at least {_NEAREST_A} A"
            " (remove the double atoms)"
        )


def gather_pairs(
    one: np.ndarray, other: np.ndarray, triangle: bool, bin_A: float, n_bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Gather the distances of two groups of atoms (n, 3), (m, 3), or of the pairs i < j of one group."""
    zeroth, first = np.zeros(n_bins), np.zeros(n_bins)
    norm_one, norm_other = (np.einsum("ij,ij->i", x, x) for x in (one, other))
    for rows in row_blocks(len(one), len(other)):
        start = rows.start if triangle else 0
        squared = norm_one[rows, None] + norm_other[None, start:] - 2 * (one[rows] @ other[start:].T)
        squared = squared[_above_diagonal(squared.shape)] if triangle else squared.ravel()
        if squared.size == 0:
            continue
        check_nearest(float(squared.min()))
        r = np.sqrt(squared)
        which = (r / bin_A).astype(np.int64)
        inverse = 1 / r
        zeroth += np.bincount(which, inverse, n_bins)
        first += np.bincount(which, 1 - (which + 0.5) * bin_A * inverse, n_bins)
    return zeroth, first


def _above_diagonal(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(shape[1])[None, :] > np.arange(shape[0])[:, None]


def sine_sums(sums: PairSums, q_per_A: np.ndarray) -> np.ndarray:
    """Sum sin(q r) / (q r) over the pairs of each pair of species, (pairs, len(q))."""
    q = np.maximum(np.asarray(q_per_A, float), 1e-6)
    n_pairs, n_bins = sums.zeroth.shape
    n_blocks = -(-n_bins // _BINS_AT_ONCE)
    padded = np.zeros((2, n_pairs, n_blocks * _BINS_AT_ONCE))
    padded[0, :, :n_bins], padded[1, :, :n_bins] = sums.zeroth, sums.first
    blocks = padded.reshape(2, n_pairs, n_blocks, _BINS_AT_ONCE)
    inside = (np.arange(_BINS_AT_ONCE) + 0.5) * sums.bin_A
    starts = np.arange(n_blocks) * _BINS_AT_ONCE * sums.bin_A
    out = np.empty((n_pairs, q.size))
    for first in range(0, q.size, _ANGLES_AT_ONCE):
        part = slice(first, first + _ANGLES_AT_ONCE)
        waves = np.exp(1j * np.outer(q[part], inside))
        steps = np.exp(1j * np.outer(q[part], starts))
        for i in range(n_pairs):
            zeroth, slope = (
                np.sum(steps * (waves.real @ block.T + 1j * (waves.imag @ block.T)), axis=1) for block in blocks[:, i]
            )
            out[i, part] = (zeroth + 1j * q[part] * slope).imag / q[part]
    return out


def debye_intensity(
    sums: PairSums,
    q_per_A: np.ndarray,
    wavelength_A: float,
    *,
    b_iso_A2: float = 0.0,
    table: ScatteringTable = STANDARD_TABLE,
) -> np.ndarray:
    """Compute the intensity of a cluster in electrons^2, averaged over its orientations, (len(q),).

    Independent isotropic vibrations damp the pairs by exp(-2 B s^2) and leave the sum of |f|^2 as it is.
    """
    q = np.asarray(q_per_A, float)
    s = q / (4 * np.pi)
    factors = [atomic_scattering_factor(e, s, wavelength_A, table) for e in sums.species]
    alone = sum(n * np.abs(f) ** 2 for n, f in zip(sums.counts, factors))
    together = np.zeros_like(q)
    for (a, b), sine in zip(sums.pairs, sine_sums(sums, q)):
        together += 2 * (factors[a] * np.conj(factors[b])).real * sine
    return alone + together * np.exp(-2 * b_iso_A2 * s**2)


def debye_pattern(
    atoms: Atoms,
    radiation: Radiation | str | float,
    *,
    two_theta_deg: np.ndarray,
    b_iso_A2: float = 0.4,
    bin_A: float = 0.002,
    monochromator: float = 1.0,
    table: ScatteringTable = STANDARD_TABLE,
    device: str | None = None,
) -> Pattern:
    """Compute the powder pattern of a cluster or finite piece by the Debye equation.

    Parameters
    ----------
    atoms
        Positions and elements; cell and periodic flags are not read.
    radiation
        Name of a tube (its K-alpha doublet is included) or wavelength in Angstrom.
    two_theta_deg
        Angles (n,) in degrees.
    b_iso_A2
        Debye-Waller factor in A^2; 0 where the positions are a snapshot of moving atoms.
    bin_A
        Width of the distance bins; the error grows as (q bin)^2 / 24.
    monochromator
        K of the polarisation factor (1 + K cos^2 2 theta) / (1 + K).
    device
        None for NumPy; "cpu" or "cuda" for torch.

    Returns
    -------
    Pattern
        Intensity in electrons^2 per atom. The Lorentz factor is part of the average over orientations: the integral
        over 2 theta in degrees, divided by the volume per atom and times 16 pi^2 (1 + K) / (180 lambda^3), is that of
        `powder_pattern`.
    """
    source = radiation if isinstance(radiation, Radiation) else get_radiation(radiation)
    angles = np.asarray(two_theta_deg, float)
    sums = pair_sums(atoms, bin_A=bin_A, device=device)
    weight = sum(w for _, w in source.lines)
    intensity = np.zeros_like(angles)
    for wavelength, share in source.lines:
        q = 4 * np.pi * np.sin(np.radians(angles) / 2) / wavelength
        # f' and f'' are those of the strongest wavelength, as in powder_pattern.
        here = debye_intensity(sums, q, source.wavelength_A, b_iso_A2=b_iso_A2, table=table)
        intensity += share / weight * here
    polarisation = (1 + monochromator * np.cos(np.radians(angles)) ** 2) / (1 + monochromator)
    return Pattern(
        two_theta_deg=angles,
        intensity=intensity * polarisation / len(atoms),
        radiation=source.name if source.is_tube else None,
        wavelength_A=None if source.is_tube else source.wavelength_A,
        source=f"Debye pattern of {atoms.get_chemical_formula()}",
        metadata={"b_iso_A2": b_iso_A2, "bin_A": bin_A, "synthetic": True},
    )
