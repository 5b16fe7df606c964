"""Cells that a teacher labels: which compositions, and which arrangements on the lattice.

Random occupations alone say little about pair energies, because their pair counts scatter by only 1/sqrt(pairs)
about one value. So two thirds of the cells are first annealed under pair energies drawn at random, which spreads the
counts of every shell over both signs of order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hea_sim.lattice.shells import lattice_points, neighbour_table

#: Conventional bcc cells along each axis: 128 sites, in which the first five shells stay distinct.
SIZE = (4, 4, 4)


@dataclass(frozen=True)
class CellDesign:
    """Hold one cell: species index (128,), the smallest cubic period (conventional cells), and its group."""

    occupation: np.ndarray
    period: int
    group: str


def design_cells(n_species: int, seed: int, *, n_binary: int = 3, n_mixed: int = 95) -> list[CellDesign]:
    """Design unaries, B2 binaries, B2-like mixtures, binaries and mixtures of all species."""
    rng = np.random.default_rng(seed)
    sites = len(lattice_points("A2", SIZE))
    corner = np.arange(sites) % 2 == 0
    cells = [CellDesign(np.full(sites, s, dtype=np.int8), 1, "unary") for s in range(n_species)]
    pairs = list(combinations(range(n_species), 2))
    cells += [CellDesign(np.where(corner, a, b).astype(np.int8), 1, "B2") for a, b in pairs]
    for _ in range(10):
        cells.append(CellDesign(_b2_like(n_species, corner, rng), 4, "B2-like"))
    for a, b in pairs:
        for k in range(n_binary):
            share = (0.5, 0.25, 0.75)[k % 3]
            fractions = np.zeros(n_species)
            fractions[a], fractions[b] = share, 1 - share
            cells.append(CellDesign(arrangement(fractions, rng, ordered=k % 3 > 0), 4, "binary"))
    for k in range(n_mixed):
        equal = np.full(n_species, 1.0 / n_species)
        fractions = equal if k % 3 == 0 else rng.dirichlet(np.full(n_species, 1.5 if k % 3 == 1 else 4.0))
        group = "equiatomic" if k % 3 == 0 else "mixture"
        cells.append(CellDesign(arrangement(fractions, rng, ordered=(k // 3) % 3 > 0), 4, group))
    return cells


def arrangement(fractions: np.ndarray, rng: np.random.Generator, *, ordered: bool) -> np.ndarray:
    """Place species at random, then, if `ordered`, anneal them under random pair energies."""
    sites = len(lattice_points("A2", SIZE))
    counts = np.floor(fractions * sites).astype(int)
    for s in np.argsort(counts - fractions * sites)[: sites - counts.sum()]:
        counts[s] += 1
    occupation = rng.permutation(np.repeat(np.arange(len(fractions)), counts)).astype(np.int8)
    if ordered:
        _anneal_under_random_pairs(occupation, len(fractions), rng)
    return occupation


def _b2_like(n_species: int, corner: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fill the two sublattices of bcc with two different mixtures."""
    occupation = np.empty(len(corner), dtype=np.int8)
    for sublattice in (corner, ~corner):
        fractions = rng.dirichlet(np.full(n_species, 0.7))
        occupation[sublattice] = rng.choice(n_species, int(sublattice.sum()), p=fractions)
    return occupation


def _anneal_under_random_pairs(occupation: np.ndarray, n_species: int, rng: np.random.Generator) -> None:
    """Exchange unlike atoms under random pair energies on four shells, in place, down to a random temperature."""
    energies = []
    for table in neighbour_table("A2", SIZE, 4):
        raw = rng.normal(size=(n_species, n_species)) / np.sqrt(table.shape[1])
        energies.append((raw + raw.T) / 2)
    anneal_in_place(occupation, np.array(energies), np.geomspace(3.0, rng.uniform(0.1, 0.8), 4000), rng)


def anneal_in_place(
    occupation: np.ndarray, pair_energies: np.ndarray, temperatures: np.ndarray, rng: np.random.Generator
) -> None:
    """Propose one exchange (Metropolis) at each of the temperatures, which are in the unit of the pair energies.

    `pair_energies` is (shells, species, species). Designing a cell needs no speed: `hea_sim.sampling` has the fast
    chain, but stands above this room.
    """
    tables = neighbour_table("A2", SIZE, len(pair_energies))
    for temperature in temperatures:
        i, j = rng.integers(len(occupation), size=2)
        a, b = occupation[i], occupation[j]
        if a == b:
            continue
        change = 0.0
        for table, pair in zip(tables, pair_energies, strict=True):
            for here, old, new in ((i, a, b), (j, b, a)):
                others = table[here][(table[here] != i) & (table[here] != j)]
                change += float((pair[new, occupation[others]] - pair[old, occupation[others]]).sum())
        if change <= 0 or rng.random() < np.exp(-change / temperature):
            occupation[i], occupation[j] = b, a
