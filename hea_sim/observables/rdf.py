"""Radial distribution functions of periodic cells, of all atoms and pair by pair.

| symbol | here |
|---|---|
| g_ij(r) = n_ij(r) / (4 pi r^2 dr rho_j), neighbours of kind j over those of an ideal gas | `partial` |
| g(r) = sum_ij c_i c_j g_ij(r) | `total` |
| 4 pi rho c_j times the integral of r^2 g_ij: coordination number | `RadialDistribution.coordination` |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hea_sim.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class RadialDistribution:
    """Hold g(r) at the middles `r_A` (bins,) of bins of one width.

    `total` (bins,); `partial` (species, species, bins), symmetric; `fractions` (species,);
    `density_per_A3` atoms in a volume.
    """

    r_A: np.ndarray
    total: np.ndarray
    partial: np.ndarray
    species: tuple[str, ...]
    fractions: np.ndarray
    density_per_A3: float

    def coordination(self, up_to_A: float) -> np.ndarray:
        """Count the neighbours (species, species) of kind j around an atom of kind i up to a distance."""
        width = self.r_A[1] - self.r_A[0]
        inside = self.r_A < up_to_A
        shells = 4 * np.pi / 3 * ((self.r_A + width / 2) ** 3 - (self.r_A - width / 2) ** 3)
        return np.asarray(self.density_per_A3 * self.fractions * (self.partial[:, :, inside] @ shells[inside]))


def radial_distribution(
    atoms: Any, r_max_A: float = 10.0, *, bins: int = 200, species: Sequence[str] | None = None
) -> RadialDistribution:
    """Compute g(r) of a periodic cell; `r_max_A` may be larger than half the cell, images are counted."""
    from hea_sim.potentials.environment import find_neighbours

    if not atoms.pbc.all():
        raise InputError(
            "radial distribution: wanted a cell that is periodic in all directions, since it has a density"
        )
    if not (0 < r_max_A < 100 and bins >= 2):
        raise InputError(f"radial distribution up to {r_max_A} A in {bins} bins; wanted up to 100 A and 2 bins or more")
    symbols = atoms.get_chemical_symbols()
    names = tuple(dict.fromkeys(symbols)) if species is None else tuple(species)
    unknown = sorted(set(symbols) - set(names))
    if unknown:
        raise InputError(
            f"radial distribution: the cell holds {', '.join(unknown)}, which species {names} does not name"
        )
    kinds = np.array([names.index(s) for s in symbols])
    found = find_neighbours([atoms], r_max_A)
    first = found.first
    distance = np.linalg.norm(found.vectors, axis=1)
    kept = distance < r_max_A
    place = np.minimum((distance[kept] / r_max_A * bins).astype(np.int64), bins - 1)
    n = len(names)
    codes = (kinds[first[kept]] * n + kinds[found.second[kept]]) * bins + place
    counts = np.bincount(codes, minlength=n * n * bins).reshape(n, n, bins)
    edges = np.linspace(0, r_max_A, bins + 1)
    shells = 4 * np.pi / 3 * np.diff(edges**3)
    number = np.bincount(kinds, minlength=n)
    volume = float(atoms.get_volume())
    with np.errstate(invalid="ignore", divide="ignore"):
        ideal = number[:, None, None] * number[None, :, None] / volume * shells
        partial = np.where(ideal > 0, counts / ideal, np.nan)
    return RadialDistribution(
        r_A=(edges[1:] + edges[:-1]) / 2,
        total=counts.sum(axis=(0, 1)) / (len(atoms) ** 2 / volume * shells),
        partial=partial,
        species=names,
        fractions=number / len(atoms),
        density_per_A3=len(atoms) / volume,
    )
