"""Draw cells to be labelled: random, nearly random, ordered, and annealed by a model that stands already.

Random cells alone teach a model little of the order that it is to predict: they hold no low energies. Ordered and
annealed cells do, and the model that anneals need not be good, for its labels come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.contract import LatticeModel
from hea_sim.lattice.fit import FitCell
from hea_sim.lattice.pairs import pair_fractions
from hea_sim.lattice.shells import check_size, lattice_name, lattice_points, sites_per_cell
from hea_sim.units import BOLTZMANN_EV_PER_K

#: Simple ordered binaries of each lattice.
_ORDERED = {
    "A2": ("B2", "B32", "D0_3"),
    "A1": ("L1_0", "L1_2"),
}


def whole_numbers(fractions: Sequence[float] | np.ndarray, sites: int) -> np.ndarray:
    """Give the numbers of atoms that come closest to a composition (largest remainders).

    >>> whole_numbers([0.25, 0.25, 0.25, 0.25], 54).tolist()
    [14, 14, 13, 13]
    """
    fractions = np.asarray(fractions, float)
    if fractions.ndim != 1 or not np.isfinite(fractions).all() or fractions.min() < 0 or fractions.sum() <= 0:
        raise InputError(f"fractions {fractions.tolist()}; wanted one number for each species, none below 0")
    exact = fractions / fractions.sum() * sites
    counts = np.floor(exact + 1e-9).astype(int)
    rest = np.argsort(-(exact - counts).round(9), kind="stable")[: sites - counts.sum()]
    counts[rest] += 1
    return counts


def random_cell(
    fractions: Sequence[float] | np.ndarray,
    size: Sequence[int],
    rng: np.random.Generator,
    *,
    lattice: str = "A2",
    candidates: int = 1,
    n_shells: int = 2,
    group: str = "random",
) -> FitCell:
    """Draw a random cell; of several candidates keep the one whose bonds are nearest to those of the random alloy.

    With many candidates this is a special quasi-random structure of so few atoms (pairs only).
    """
    size = check_size(size)
    counts = whole_numbers(fractions, sites_per_cell(lattice) * int(np.prod(size)))
    ordered = np.repeat(np.arange(len(counts)), counts).astype(np.int8)
    best, least = rng.permutation(ordered), np.inf
    c = counts / counts.sum()
    for _ in range(candidates if candidates > 1 else 0):
        drawn = rng.permutation(ordered)
        off = float(np.abs(pair_fractions(drawn, lattice, size, n_shells, len(c)) - np.outer(c, c)).sum())
        if off < least:
            best, least = drawn, off
    return FitCell(occupation=best, size=size, group=group)


def annealed_cell(
    model: LatticeModel,
    fractions: Sequence[float] | np.ndarray,
    size: Sequence[int],
    temperature_K: float,
    rng: np.random.Generator,
    *,
    sweeps: int = 20,
    group: str = "annealed",
) -> FitCell:
    """Cool a random cell from five times a temperature to it, by exchanges of unlike atoms.

    Meant for the small cells that are labelled; `hea_sim.sampling` is for large ones. `fractions` are in the order of
    the model's species.
    """
    if not temperature_K > 0:
        raise InputError(f"temperature {temperature_K} K; wanted one above 0")
    cell = random_cell(fractions, size, rng, lattice=model.lattice, group=group)
    occupation, sites = cell.occupation.copy(), len(cell.occupation)
    energy = sites * model.energy_eV_per_atom(occupation, cell.size)
    if len(np.unique(occupation)) == 1:
        return cell
    for heat in np.geomspace(5.0, 1.0, sweeps):
        beta = 1 / (BOLTZMANN_EV_PER_K * temperature_K * heat)
        for i, j in rng.integers(sites, size=(sites, 2)):
            if occupation[i] == occupation[j]:
                continue
            occupation[[i, j]] = occupation[[j, i]]
            new = sites * model.energy_eV_per_atom(occupation, cell.size)
            if new <= energy or rng.random() < np.exp(beta * (energy - new)):
                energy = new
            else:
                occupation[[i, j]] = occupation[[j, i]]
    return FitCell(occupation=occupation, size=cell.size, group=group)


def ordered_cells(n_species: int, *, lattice: str = "A2") -> list[FitCell]:
    """List the elements and the simple ordered binaries: B2, B32 and D0_3 on A2; L1_0 and L1_2 on A1."""
    lattice = lattice_name(lattice)
    sites = sites_per_cell(lattice)
    cells = [FitCell(occupation=np.full(sites, s, np.int8), size=(1, 1, 1), group="element") for s in range(n_species)]
    for name in _ORDERED[lattice]:
        pattern, size = ordered_pattern(name)
        for first, second in permutations(range(n_species), 2):
            if pattern.mean() == 0.5 and first > second:  # the same crystal with the names exchanged
                continue
            occupation = np.where(pattern, second, first).astype(np.int8)
            cells.append(FitCell(occupation=occupation, size=size, group=name))
    return cells


def ordered_pattern(name: str) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Give which sites of the smallest cubic cell hold the second species (the rarer one), and the size of that cell.

    >>> pattern, size = ordered_pattern("D0_3")
    >>> float(pattern.mean()), size
    (0.25, (2, 2, 2))
    """
    if name in ("L1_0", "L1_2"):
        points = lattice_points("A1", (1, 1, 1))
        return (points[:, 2] == 1) if name == "L1_0" else (points.sum(axis=1) == 0), (1, 1, 1)
    if name == "B2":
        return lattice_points("A2", (1, 1, 1))[:, 0] == 1, (1, 1, 1)
    if name not in ("B32", "D0_3"):
        raise InputError(f"order '{name}'; wanted B2, B32, D0_3, L1_0 or L1_2")
    # Four interpenetrating fcc lattices of edge 2a: B32 fills two neighbouring ones, D0_3 one.
    points = lattice_points("A2", (2, 2, 2))
    fcc = np.where(points[:, 0] % 2 == 0, (points.sum(axis=1) // 2) % 2, 2 + ((points.sum(axis=1) - 3) // 2) % 2)
    return (np.isin(fcc, (0, 2)) if name == "B32" else fcc == 0), (2, 2, 2)
