"""Labelled structures as occupations of a lattice: which site each atom stands on, relaxed or not.

| symbol | here |
|---|---|
| h, rows of the cell of a structure; P = diag(n1, n2, n3), cells of the parent along its edges | `size` |
| strain that is left: h = P a (parent cell) F | at most `MOST_STRAIN` |
| f P - (site), what an atom moved by, once their mean is taken off | at most `MOST_MOVE` of a lattice parameter |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.fit import FitCell
from hea_sim.lattice.parents import ParentLattice

#: How far the edges of a relaxed cell may be from those of the parent, and an atom from its site (lattice parameters).
MOST_STRAIN, MOST_MOVE = 0.12, 0.25


@dataclass(frozen=True, kw_only=True, eq=False)
class MappedCell:
    """Hold a structure on the lattice: the cell, the farthest that an atom moved, and where it came from."""

    cell: FitCell
    largest_move_a: float
    where: str


def map_structure(atoms: Any, parent: ParentLattice, species: Sequence[str], where: str = "structure") -> MappedCell:
    """Find the occupation of a lattice that a structure shows, relaxed or not.

    The edges of its cell must be those of the parent's cell, times whole numbers, in this order, turned as one may.
    The energy of the cell is left NaN.

    Raises InputError where the cell is no such cell, an atom is far from all sites, or two share one.
    """
    unknown = sorted(set(atoms.get_chemical_symbols()) - set(species))
    if unknown:
        raise InputError(f"{where}: holds {', '.join(unknown)}; wanted {', '.join(species)} alone")
    if len(atoms) % parent.n_sites:
        raise InputError(f"{where}: {len(atoms)} atoms; wanted a multiple of {parent.n_sites}, as {parent.name} has")
    size, strain = _size_of(np.asarray(atoms.cell.array, float), len(atoms) // parent.n_sites, parent)
    if strain > MOST_STRAIN:
        raise InputError(
            f"{where}: its cell is strained by {strain:.0%} against the nearest of {parent.name}; wanted edges along"
            f" those of the {parent.name} cell (for A1 and A2 the cube), each a whole number of them"
        )
    fractions = np.asarray(atoms.get_scaled_positions(wrap=False)) * np.array(size)
    species_here = np.array([species.index(s) for s in atoms.get_chemical_symbols()])
    best: tuple[float, np.ndarray] | None = None
    for b in range(parent.n_sites):
        found = _assign(fractions, parent, size, b)
        if found is not None and (best is None or found[0] < best[0] - 1e-6):
            site, occupation = found[1], np.empty(len(atoms), np.int8)
            occupation[site] = species_here
            if _allowed(occupation, parent, size, species):
                best = found[0], occupation
    if best is None:
        raise InputError(
            f"{where}: its atoms do not stand one on each site of {parent.name} (moved by more than {MOST_MOVE:g}"
            " lattice parameters, or on sublattices that do not hold them); leave it out or give the right lattice"
        )
    cell = FitCell(occupation=best[1], size=size, volume_A3=float(atoms.cell.volume) / len(atoms))
    return MappedCell(cell=cell, largest_move_a=best[0], where=where)


def _size_of(cell: np.ndarray, n_cells: int, parent: ParentLattice) -> tuple[tuple[int, int, int], float]:
    """Find the whole numbers of parent cells along the edges that leave the least strain (of lengths and angles)."""
    if abs(np.linalg.det(cell)) < 1e-6:
        return (1, 1, 1), float("inf")
    metric = cell @ cell.T
    best, least = (1, 1, 1), float("inf")
    divisors = [n for n in range(1, n_cells + 1) if n_cells % n == 0]
    for n1, n2 in product(divisors, divisors):
        if n_cells % (n1 * n2):
            continue
        size = (n1, n2, n_cells // (n1 * n2))
        ideal = np.array(size)[:, None] * parent.cell
        ideal *= (abs(np.linalg.det(cell)) / abs(np.linalg.det(ideal))) ** (1 / 3)
        inverse = np.linalg.inv(ideal)
        strain = float(np.abs(inverse @ metric @ inverse.T - np.eye(3)).max()) / 2
        if strain < least:
            best, least = size, strain
    return best, least


def _assign(
    fractions: np.ndarray, parent: ParentLattice, size: tuple[int, int, int], b: int
) -> tuple[float, np.ndarray] | None:
    """Put atoms on sites, the first of them on site b; give the farthest move and the number of each atom's site."""
    sites = parent.fractional
    moved = fractions - fractions[0] + sites[b]
    for _ in range(3):  # the first atom may itself have moved: bring the mean of all moves to zero
        cells = np.rint(moved[:, None, :] - sites[None])
        apart = (moved[:, None, :] - sites[None] - cells) @ parent.cell
        distance = np.linalg.norm(apart, axis=2)
        nearest = distance.argmin(axis=1)
        rows = np.arange(len(moved))
        drift = apart[rows, nearest].mean(axis=0)
        moved = moved - drift @ np.linalg.inv(parent.cell)
    if distance.min(axis=1).max() > MOST_MOVE:
        return None
    n = cells[rows, nearest].astype(int) % np.array(size)
    number = ((n[:, 0] * size[1] + n[:, 1]) * size[2] + n[:, 2]) * parent.n_sites + nearest
    if len(np.unique(number)) != len(number):
        return None
    return float(distance.min(axis=1).max()), number


def _allowed(occupation: np.ndarray, parent: ParentLattice, size: tuple[int, int, int], species: Sequence[str]) -> bool:
    kinds = parent.site_sublattice(size)
    return all(np.isin(occupation[kinds == s], held).all() for s, held in enumerate(parent.allowed(species)))


def against_elements(
    mapped: Sequence[MappedCell],
    energies_eV: Sequence[float],
    species: Sequence[str],
    element_energies_eV: Mapping[str, float],
) -> list[FitCell]:
    """Take the energies of the elements off total energies; what is not given comes from the cells of one element.

    Of several cells of one element the lowest energy per atom counts.
    """
    elements = dict(element_energies_eV)
    for k, s in enumerate(species):
        own = [
            energy / len(m.cell.occupation)
            for m, energy in zip(mapped, energies_eV, strict=True)
            if (m.cell.occupation == k).all()
        ]
        if own:
            elements.setdefault(s, min(own))
    missing = [s for s in species if s not in elements]
    if missing:
        raise InputError(
            f"no structure of pure {', '.join(missing)}: energies against the elements cannot be told; add one, or give"
            f" element_energies_eV = {{{missing[0]} = ...}} in eV per atom"
        )
    table = np.array([elements[s] for s in species])
    return [
        replace(m.cell, energy_eV=float(energy / len(m.cell.occupation) - table[m.cell.occupation].mean()))
        for m, energy in zip(mapped, energies_eV, strict=True)
    ]
