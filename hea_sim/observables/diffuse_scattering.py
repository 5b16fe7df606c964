"""Structure factors of simulated cells: diffuse scattering of an occupied lattice, and of atoms wherever they are.

| symbol | here |
|---|---|
| I(k) = abs(sum_r (f_r - f) exp(i k.r))^2 / (N (<f^2> - f^2)), in Laue units | `laue_intensity` |
| mean of I over all k of the cell = 1 (sum rule, whatever the order) | tested |
| I(k) = 1 + sum over shells of alpha cos(k.r) for two species (Cowley 1950, doi:10.1103/PhysRev.77.669) | tested |
| S(q) = abs(sum_r f_r exp(i q.r))^2 / sum_r f_r^2 | `structure_factor` |

f_r are weights of the species: atomic numbers where nothing else is given, about what X-rays see at small angles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.shells import lattice_name, lattice_points
from hea_sim.observables.warren_cowley import occupation_of

_MOST_PHASES = 20_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class DiffuseScattering:
    """Hold intensities in Laue units on the reciprocal points of a cell.

    `h`, `k`, `l` run from 0 up to, not including, 2, in units of 2 pi / a; `intensity` (len(h), len(k), len(l)). It
    repeats beyond, and the Bragg peaks of the average lattice are left out: only differences of atoms scatter.
    """

    h: np.ndarray
    k: np.ndarray
    l: np.ndarray  # noqa: E741
    intensity: np.ndarray

    def plane(self, level: float = 0.0) -> np.ndarray:
        """Cut the plane of constant third index, averaged over what a cubic crystal makes equal where the axes are."""
        number = level * len(self.l) / 2
        place = int(np.rint(number))
        if abs(number - place) > 1e-6:
            raise InputError(f"plane l = {level:g}: the cell has points every {2 / len(self.l):.4g}")
        place %= len(self.l)
        if not len(self.h) == len(self.k) == len(self.l):
            return np.asarray(self.intensity[:, :, place])
        planes = [self.intensity[:, :, place], self.intensity[:, place, :], self.intensity[place, :, :]]
        mean = np.mean(np.array(planes), axis=0)
        mean = mean + np.roll(mean[::-1], 1, axis=0)  # h to -h, which is 2 - h here
        return np.asarray((mean + mean.T) / 4)


def laue_intensity(
    arrangement: Any,
    lattice: str,
    weights: Mapping[str, float] | Sequence[float] | None = None,
    *,
    size: Sequence[int] | None = None,
    species: Sequence[str] | None = None,
) -> DiffuseScattering:
    """Compute the diffuse scattering of an arrangement on A1 or A2 by fast Fourier transform.

    `arrangement` is as for `warren_cowley`; `weights` are by symbol, or in the order of the species.
    """
    names = _names_of(arrangement, species)
    occupation, size, n_species = occupation_of(arrangement, lattice, size, names)
    f = _weights(weights, names, n_species)[occupation]
    f = f - f.mean()
    variance = float(np.mean(f**2))
    if not variance > 0:
        raise InputError("diffuse scattering: all atoms scatter alike; wanted species of different weights")
    grid = np.zeros(tuple(2 * np.array(size)))
    grid[tuple(lattice_points(lattice_name(lattice), size).T)] = f
    intensity = np.abs(np.fft.fftn(grid)) ** 2 / (len(f) * variance)
    h, k, l = (np.arange(2 * n) / n for n in size)  # noqa: E741
    return DiffuseScattering(h=h, k=k, l=l, intensity=intensity)


def structure_factor(atoms: Any, q_per_A: np.ndarray, weights: Mapping[str, float] | None = None) -> np.ndarray:
    """Compute S(q) of atoms at wave vectors (n, 3) in 1/A; exact where they are reciprocal vectors of the cell."""
    q = np.atleast_2d(np.asarray(q_per_A, float))
    if q.ndim != 2 or q.shape[1] != 3:
        raise InputError(f"wave vectors: got shape {q.shape}, wanted (n, 3) in 1/A")
    symbols = atoms.get_chemical_symbols()
    names = tuple(dict.fromkeys(symbols))
    f = _weights(weights, names, len(names))[[names.index(s) for s in symbols]]
    part = max(1, _MOST_PHASES // len(f))
    found = [np.abs(np.exp(1j * q[k : k + part] @ atoms.positions.T) @ f) ** 2 for k in range(0, len(q), part)]
    return np.asarray(np.concatenate(found) / np.sum(f**2))


def radial_structure_factor(
    atoms: Any, q_max_per_A: float, *, bins: int = 200, weights: Mapping[str, float] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Average S(q) over the reciprocal vectors of the cell in shells of |q|; give shell centres and averages.

    Shells without a reciprocal vector are NaN; q = 0 is left out.
    """
    reciprocal = 2 * np.pi * np.linalg.inv(atoms.cell.array).T
    heights = np.linalg.norm(atoms.cell.array, axis=1)
    reach = np.floor(q_max_per_A * heights / (2 * np.pi)).astype(int)
    indices = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    indices = indices[len(indices) // 2 + 1 :]  # the other half is the same by inversion
    q = indices @ reciprocal
    length = np.linalg.norm(q, axis=1)
    q, length = q[length <= q_max_per_A], length[length <= q_max_per_A]
    values = structure_factor(atoms, q, weights)
    place = np.minimum((length / q_max_per_A * bins).astype(int), bins - 1)
    number = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, values, minlength=bins) / number
    return (np.arange(bins) + 0.5) * q_max_per_A / bins, mean


def _names_of(arrangement: Any, species: Sequence[str] | None) -> tuple[str, ...] | None:
    if species is not None:
        return tuple(species)
    if hasattr(arrangement, "get_chemical_symbols"):
        return tuple(dict.fromkeys(arrangement.get_chemical_symbols()))
    return None


def _weights(
    weights: Mapping[str, float] | Sequence[float] | None, names: Sequence[str] | None, n_species: int
) -> np.ndarray:
    if weights is None or isinstance(weights, Mapping):
        if names is None:
            raise InputError("species indices have no symbols; wanted weights in their order, or species")
        if weights is None:
            from ase.data import atomic_numbers

            return np.array([float(atomic_numbers[name]) for name in names])
        missing = [name for name in names if name not in weights]
        if missing:
            raise InputError(f"weights: none for {', '.join(missing)}; wanted one for each of {', '.join(names)}")
        return np.array([float(weights[name]) for name in names])
    values = np.asarray(weights, float)
    if values.shape != (n_species,):
        raise InputError(f"weights: got shape {values.shape}, wanted ({n_species},)")
    return values
