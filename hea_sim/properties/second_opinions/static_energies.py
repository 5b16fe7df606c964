"""Which lattice an alloy has by the energies of relaxed cells, where the potential covers all that compete.

Cells of the alloy's composition are relaxed on each lattice; F = E - T S, with S the ideal entropy of mixing on its
sublattices: equal for all random solutions, smaller in a compound whose larger atoms keep to their sites. Vibrations,
magnetism and parting into phases of other compositions are not in it. The probability of a lattice is that its F is
the lowest when each carries the potential's error.

A potential that was trained on one lattice says nothing of the others: it is refused unless the caller names what it
covers. Universal potentials cover all; a lattice model covers its own lattice alone and has no place here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.units import kB

from hea_sim.alloy import Composition
from hea_sim.crystals.prototypes import as_prototype, cell_of, expanded_sites
from hea_sim.elements import elemental_volume_A3, vegard_volume_A3
from hea_sim.errors import InputError
from hea_sim.potentials.choice import ChosenPotential
from hea_sim.potentials.universal import UniversalPotential

#: What may be compared: random solutions, and compounds whose larger atoms go to the first sublattice.
SOLUTIONS = ("A1", "A2", "A3")
COMPOUNDS = ("C14", "C15", "sigma")
#: Error of energy differences between lattices where nobody states one, eV/atom: assumed.
ASSUMED_ERROR_eV = 0.02
_LEAST_ATOMS = 80
#: Atoms further from their sites than this share of the cube root of the volume per atom (rms) have left the lattice.
_LEFT_THE_LATTICE = 0.17


@dataclass(frozen=True, kw_only=True)
class StaticEnergies:
    """Hold what competes.

    `free_energy_eV` per atom at the temperature, relative to the lowest; `probabilities` that each is the lowest;
    `unstable` names lattices that the atoms left as they relaxed, which do not compete.
    """

    formula: str
    temperature_K: float
    potential: str
    free_energy_eV: Mapping[str, float]
    probabilities: Mapping[str, float]
    error_eV: float
    unstable: tuple[str, ...]
    notes: tuple[str, ...] = ()


def static_energies_of(
    alloy: Composition | str,
    potential: Any,
    *,
    temperature_K: float,
    structures: Sequence[str] = SOLUTIONS,
    covers: Sequence[str] | None = None,
    error_eV: float | None = None,
    n_cells: int = 2,
    seed: int = 0,
    fmax_eV_per_A: float = 5e-3,
    max_steps: int = 300,
) -> StaticEnergies:
    """Relax an alloy on several lattices and tell which is lowest.

    Parameters
    ----------
    alloy
        Composition.
    potential
        A potential, an ASE calculator, or what `choose_potential` gave.
    temperature_K
        At which mixing entropy counts.
    structures
        Two or more of `SOLUTIONS` and `COMPOUNDS`.
    covers
        Structures that this potential was trained on; needed for all but universal potentials.
    error_eV
        Error of energy differences per atom; without it that of the card, else `ASSUMED_ERROR_eV`.
    n_cells, seed
        Random cells on each lattice.

    Raises
    ------
    InputError
        Where the potential does not cover what competes, or every lattice is left.
    """
    composition = Composition.parse(alloy)
    name, engine, stated = _engine(potential)
    _check(structures, covers, name, engine)
    error = error_eV if error_eV is not None else stated if stated is not None else ASSUMED_ERROR_eV
    rng = np.random.default_rng(seed)
    energies: dict[str, float] = {}
    unstable = []
    for structure in structures:
        cells = [make_cell(composition, structure, rng) for _ in range(n_cells)]
        found = [_relaxed_energy(engine, atoms, structure, fmax_eV_per_A, max_steps) for atoms, _ in cells]
        if any(energy is None for energy in found):
            unstable.append(structure)
            continue
        entropy = float(np.mean([s for _, s in cells]))
        energies[structure] = float(np.mean([e for e in found if e is not None])) - temperature_K * entropy
    if not energies:
        raise InputError(f"{name}: the atoms of {composition.formula} leave {', '.join(structures)}; nothing competes")
    lowest = min(energies.values())
    return StaticEnergies(
        formula=composition.formula,
        temperature_K=temperature_K,
        potential=name,
        free_energy_eV={structure: energy - lowest for structure, energy in energies.items()},
        probabilities=lowest_of(energies, error),
        error_eV=error,
        unstable=tuple(unstable),
        notes=(
            f"error of energy differences {1e3 * error:.0f} meV/atom"
            + ("" if error_eV is not None or stated is not None else ", assumed: the potential states none"),
            "no vibrations, no magnetism, no parting into other compositions",
        ),
    )


def lowest_of(energies_eV: Mapping[str, float], error_eV: float) -> dict[str, float]:
    """Compute the probability that each energy is the lowest when each has its own normal error.

    >>> lowest_of({"A1": 0.0, "A2": 0.0}, 0.01)
    {'A1': 0.5, 'A2': 0.5}
    """
    from scipy.special import ndtr

    if not error_eV > 0:
        raise InputError(f"error of energies {error_eV} eV; wanted above 0")
    values = np.array(list(energies_eV.values())) / error_eV
    grid = np.linspace(values.min() - 8, values.min() + 8, 3201)
    density = np.exp(-0.5 * (grid[:, None] - values) ** 2)
    above = ndtr(values - grid[:, None])
    shares = [float((density[:, k] * np.delete(above, k, axis=1).prod(1)).sum()) for k in range(len(values))]
    total = sum(shares)
    return {name: round(share / total, 12) for name, share in zip(energies_eV, shares, strict=True)}


def make_cell(composition: Composition, structure: str, rng: np.random.Generator) -> tuple[Any, float]:
    """Make one cell with the alloy's own composition; give it and its ideal entropy per atom in eV/K.

    On a compound the largest atoms fill the first sublattice, the rest the others; each is random inside.
    """
    from ase import Atoms

    kind = as_prototype(structure)
    positions, labels = expanded_sites(kind)
    volume = vegard_volume_A3(composition).value * len(positions)
    unit = cell_of(kind)
    unit = unit * (volume / abs(np.linalg.det(unit))) ** (1 / 3)
    repeats = _repeats(unit, len(positions))
    counts = composition.counts(len(positions) * int(np.prod(repeats)))
    atoms = Atoms("X" * len(positions), cell=unit, scaled_positions=positions, pbc=True) * repeats
    sites = np.tile(np.array(labels), int(np.prod(repeats)))
    sorted_in = structure in ("C14", "C15")
    by_size = sorted(counts, key=lambda element: -elemental_volume_A3(element).value)
    queue = np.repeat(by_size, [counts[element] for element in by_size])
    groups = [sites == label for label in dict.fromkeys(labels)] if sorted_in else [np.ones(len(sites), bool)]
    symbols = np.empty(len(sites), dtype=queue.dtype)
    entropy, start = 0.0, 0
    for group in groups:
        taken = rng.permutation(queue[start : start + group.sum()])
        start += len(taken)
        symbols[group] = taken
        shares = np.unique(taken, return_counts=True)[1] / len(taken)
        entropy -= kB * len(taken) / len(sites) * float((shares * np.log(shares)).sum())
    atoms.set_chemical_symbols(symbols.tolist())
    return atoms, entropy


def _repeats(unit: np.ndarray, n_atoms: int) -> tuple[int, int, int]:
    """Repeat the shortest edge until the cell holds enough atoms."""
    repeats = np.ones(3, int)
    lengths = np.linalg.norm(unit, axis=1)
    while n_atoms * repeats.prod() < _LEAST_ATOMS:
        repeats[int(np.argmin(lengths * repeats))] += 1
    return int(repeats[0]), int(repeats[1]), int(repeats[2])


def _relaxed_energy(potential: Any, atoms: Any, structure: str, fmax: float, max_steps: int) -> float | None:
    """Relax one cell; give its energy per atom, None where the atoms leave the lattice."""
    from hea_sim.mechanics.volume import relaxed_volume

    cubic = as_prototype(structure).system == "cubic"
    found = relaxed_volume(potential, atoms, fix_shape=cubic, fmax_eV_per_A=fmax, max_steps=max_steps)
    moved = found.atoms.get_scaled_positions(wrap=False) - atoms.get_scaled_positions(wrap=False)
    moved = (moved - np.round(moved)) @ found.atoms.cell.array
    rms = float(np.sqrt(((moved - moved.mean(0)) ** 2).sum(1).mean()))
    if rms > _LEFT_THE_LATTICE * found.volume_A3.value ** (1 / 3):
        return None
    return found.energy_eV_per_atom


def _engine(potential: Any) -> tuple[str, Any, float | None]:
    """Give name, what computes, and the error that a card states."""
    if isinstance(potential, ChosenPotential):
        return potential.record.name, potential.potential, potential.record.energy_error_eV_per_atom
    return str(getattr(potential, "name", type(potential).__name__)), potential, None


def _check(structures: Sequence[str], covers: Sequence[str] | None, name: str, engine: Any) -> None:
    if strange := [s for s in structures if s not in (*SOLUTIONS, *COMPOUNDS)]:
        raise InputError(f"{', '.join(strange)} cannot be made here; wanted of {', '.join((*SOLUTIONS, *COMPOUNDS))}")
    if len(set(structures)) < 2:
        raise InputError(f"structures {list(structures)}; wanted two or more, or nothing competes")
    if isinstance(engine, UniversalPotential) and covers is None:
        return
    if missing := [s for s in structures if s not in (covers or ())]:
        raise InputError(
            f"{name} is not known to be trained on {', '.join(missing)}, so it cannot tell which lattice is lowest;"
            " take a universal potential, or name in covers= what it was trained on"
        )
