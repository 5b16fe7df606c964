"""Composition maps as from atom-probe tomography: voxels, smoothing, isoconcentration, and tests for randomness.

| symbol | here |
|---|---|
| efficiency: share of the atoms that the detector sees, drawn at random | `detected` |
| c(x): counts of a species over all counts, after a Gaussian of `sigma_nm` | `composition_map` |
| f(n): blocks of N atoms with n of a species; binomial in a random alloy | `frequency_distribution` |
| chi^2 = sum (f - e)^2 / e; mu = sqrt(chi^2 / (blocks + chi^2)): 0 random, 1 fully separated (Moody et al. 2008, | |
| doi:10.1002/jemt.20582) | `FrequencyDistribution` |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hea_sim.errors import InputError

#: Expected blocks below which classes are joined before chi^2 is taken.
_LEAST_EXPECTED = 5.0


@dataclass(frozen=True, kw_only=True, eq=False)
class CompositionMap:
    """Hold fractions of each species (species, x, y, z) in voxels of edge `voxel_nm` (3,); NaN where none was seen."""

    fractions: np.ndarray
    voxel_nm: np.ndarray
    species: tuple[str, ...]

    def of(self, symbol: str) -> np.ndarray:
        """Give the map (x, y, z) of one species."""
        return np.asarray(self.fractions[self.species.index(symbol)])

    def isoconcentration(self, symbol: str, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Give the surface of one fraction: vertices (n, 3) in nm, and triangles (m, 3) of their numbers."""
        from skimage.measure import marching_cubes

        field = np.nan_to_num(self.of(symbol), nan=float(np.nanmean(self.of(symbol))))
        if not field.min() < level < field.max():
            raise InputError(
                f"isoconcentration of {symbol} at {level:g}: fractions run from {field.min():.3f} to {field.max():.3f}"
            )
        vertices, faces, _, _ = marching_cubes(field, level, spacing=tuple(self.voxel_nm))
        return vertices, faces


@dataclass(frozen=True, kw_only=True, eq=False)
class FrequencyDistribution:
    """Hold how often blocks of atoms hold 0, 1, 2 ... of a species: `observed` and `expected` (atoms + 1,).

    `chi_squared` with `degrees` of freedom, its `p_value` in a random alloy, and Pearson's `mu`.
    """

    observed: np.ndarray
    expected: np.ndarray
    chi_squared: float
    degrees: int
    p_value: float
    mu: float


def detected(atoms: Any, efficiency: float, rng: np.random.Generator) -> Any:
    """Keep the share of the atoms that a detector of this efficiency sees."""
    if not 0 < efficiency <= 1:
        raise InputError(f"efficiency {efficiency}; wanted a share above 0 up to 1, such as 0.5")
    return atoms[np.flatnonzero(rng.random(len(atoms)) < efficiency)]


def composition_map(atoms: Any, voxel_nm: float = 1.0, *, sigma_nm: float = 0.0) -> CompositionMap:
    """Count atoms in voxels of a periodic cell with edges along its axes, of about the size that is asked for.

    `sigma_nm` smooths the counts with a Gaussian, across the borders of the cell.
    """
    lengths_nm = 0.1 * np.linalg.norm(atoms.cell.array, axis=1)
    if not 0 < voxel_nm <= lengths_nm.min():
        raise InputError(f"voxels of {voxel_nm} nm in a cell of {lengths_nm.round(2).tolist()} nm; wanted smaller ones")
    shape = np.maximum(1, np.rint(lengths_nm / voxel_nm)).astype(int)
    symbols = atoms.get_chemical_symbols()
    species = tuple(dict.fromkeys(symbols))
    kinds = np.array([species.index(s) for s in symbols])
    place = np.minimum((atoms.get_scaled_positions() * shape).astype(int), shape - 1)
    counts = np.zeros((len(species), *shape))
    np.add.at(counts, (kinds, *place.T), 1.0)
    if sigma_nm > 0:
        from scipy.ndimage import gaussian_filter

        counts = np.array([gaussian_filter(part, sigma_nm / (lengths_nm / shape), mode="wrap") for part in counts])
    total = counts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        fractions = np.where(total > 0, counts / total, np.nan)
    return CompositionMap(fractions=fractions, voxel_nm=lengths_nm / shape, species=species)


def frequency_distribution(atoms: Any, symbol: str, *, block_atoms: int = 100) -> FrequencyDistribution:
    """Cut a cell into compact blocks of equal numbers of atoms and compare how often they hold a species with chance.

    The cell is halved along its longest side again and again, each half with half of the atoms, until blocks are of
    about `block_atoms`; then the nearest number that every block can give is counted, the rest left out.
    """
    from scipy.stats import binom, chi2

    present = np.array(atoms.get_chemical_symbols()) == symbol
    if not present.any():
        raise InputError(f"frequency distribution of {symbol}: the cell holds none of it")
    if not 2 <= block_atoms <= len(atoms) // 4:
        raise InputError(f"blocks of {block_atoms} atoms; wanted from 2 to a quarter of the {len(atoms)} atoms")
    blocks = _blocks(atoms.positions, block_atoms)
    counts = np.array([present[block].sum() for block in blocks])
    observed = np.bincount(counts, minlength=block_atoms + 1).astype(float)
    expected = len(blocks) * binom.pmf(np.arange(block_atoms + 1), block_atoms, present.mean())
    seen, foreseen = _joined(observed, expected)
    chi_squared = float(np.sum((seen - foreseen) ** 2 / foreseen))
    degrees = max(1, len(seen) - 2)  # the numbers add up, and the composition is that of the cell
    return FrequencyDistribution(
        observed=observed,
        expected=expected,
        chi_squared=chi_squared,
        degrees=degrees,
        p_value=float(chi2.sf(chi_squared, degrees)),
        mu=float(np.sqrt(chi_squared / (len(blocks) + chi_squared))),
    )


def _blocks(positions: np.ndarray, block_atoms: int) -> list[np.ndarray]:
    """Halve the atoms along the longest side of what they fill until a block holds fewer than two; take its first."""
    done, open_ = [], [np.arange(len(positions))]
    while open_:
        part = open_.pop()
        if len(part) < 2 * block_atoms:
            done.append(part[:block_atoms])
            continue
        axis = int(np.argmax(np.ptp(positions[part], axis=0)))
        order = part[np.argsort(positions[part, axis], kind="stable")]
        middle = block_atoms * round(len(part) / (2 * block_atoms))
        open_ += [order[:middle], order[middle:]]
    return done


def _joined(observed: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join neighbouring classes until each is expected often enough."""
    seen, foreseen = [0.0], [0.0]
    for o, e in zip(observed, expected, strict=True):
        if foreseen[-1] >= _LEAST_EXPECTED:
            seen.append(0.0)
            foreseen.append(0.0)
        seen[-1] += o
        foreseen[-1] += e
    if len(seen) > 1 and foreseen[-1] < _LEAST_EXPECTED:
        last = seen.pop(), foreseen.pop()
        seen[-1] += last[0]
        foreseen[-1] += last[1]
    return np.array(seen), np.array(foreseen)
