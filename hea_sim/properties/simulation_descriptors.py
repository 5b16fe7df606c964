"""Descriptors from the simulation side, for alloys that a shipped model covers; a reason where none does.

| name | what | unit |
|---|---|---|
| `arrangement_energy` | sqrt(N) times the spread of E/N over random arrangements: how strongly it orders | eV |
| `random_mixing_energy` | mean energy of random arrangements against the elements | eV/atom |
| `lattice_distortion` | rms distance of relaxed atoms from the sites over that of nearest neighbours | % |
| `volume_A3`, `bulk_modulus`, `shear_modulus`, `c11`, `c12`, `c44` | of relaxed random cells | A^3, GPa |

The first two rest on a pair model of the lattice, the others on a potential; both are named in `sources`. At infinite
temperature d(E/N)/d(1/kT) = -`arrangement_energy`^2, so it is the strength of order before any order is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.elements import vegard_volume_A3
from hea_sim.errors import InputError
from hea_sim.records import Estimate

_STRUCTURES = {"A1": ("fcc", 4), "A2": ("bcc", 2)}
_NEAREST = {"A1": np.sqrt(0.5), "A2": np.sqrt(0.75)}
#: Cells along an edge of the lattice model's box, and of the relaxed one.
_ORDER_EDGE, _RELAXED_EDGE = 6, 3


@dataclass(frozen=True, kw_only=True)
class SimulationDescriptors:
    """Hold what models say of an alloy; `reasons` tell what is missing and why."""

    composition: Composition
    structure: str
    values: Mapping[str, Estimate] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


def simulation_descriptors(
    composition: Composition | str,
    *,
    structure: str,
    potential: Any = None,
    elastic: bool = True,
    n_arrangements: int = 32,
    n_cells: int = 1,
    seed: int = 0,
) -> SimulationDescriptors:
    """Compute what the shipped models give of an alloy on the lattice `structure` ("A1", "A2").

    `potential` replaces the recommended one for the elements. Relaxed cells hold 54 atoms (A2) or 108 (A1), so they
    share out a composition to about 1 or 2 at.%; `elastic` False leaves out what takes longest.

    Raises InputError for another structure; a model that is missing or fails gives a reason instead.
    """
    alloy = Composition.parse(composition)
    if structure not in _STRUCTURES:
        raise InputError(f"structure is '{structure}'; wanted A1 or A2")
    rng = np.random.default_rng(seed)
    values: dict[str, Estimate] = {}
    sources: dict[str, str] = {}
    reasons = [
        reason
        for reason in (
            _order(alloy, structure, n_arrangements, rng, values, sources),
            _relaxed(alloy, structure, potential, elastic, n_cells, rng, values, sources),
        )
        if reason
    ]
    return SimulationDescriptors(
        composition=alloy, structure=structure, values=values, sources=sources, reasons=tuple(reasons)
    )


def _order(
    alloy: Composition,
    structure: str,
    n: int,
    rng: np.random.Generator,
    values: dict[str, Estimate],
    sources: dict[str, str],
) -> str:
    from hea_sim.lattice.pairs import model_for

    model = model_for(alloy, lattice=structure)
    if model is None:
        return f"no shipped lattice model holds {', '.join(alloy)} on {structure}: no order energies"
    size = (_ORDER_EDGE,) * 3
    sites = _ORDER_EDGE**3 * _STRUCTURES[structure][1]
    species = list(model.species)
    counts = alloy.counts(sites)
    occupation = np.repeat([species.index(e) for e in counts], list(counts.values()))
    energies = np.array([model.energy_eV_per_atom(rng.permutation(occupation), size) for _ in range(n)])
    sources["lattice model"] = model.name
    method = f"{model.name}, {n} random arrangements of {sites} atoms"
    spread = float(np.sqrt(sites) * energies.std(ddof=1))
    values["arrangement_energy"] = Estimate.normal(spread, spread / np.sqrt(2 * (n - 1)), unit="eV", n=n, method=method)
    values["random_mixing_energy"] = Estimate.normal(
        float(energies.mean()),
        float(np.hypot(energies.std(ddof=1) / np.sqrt(n), model.energy_std_eV)),
        unit="eV/atom",
        n=n,
        method=method,
    )
    return ""


def _relaxed(
    alloy: Composition,
    structure: str,
    potential: Any,
    elastic: bool,
    n_cells: int,
    rng: np.random.Generator,
    values: dict[str, Estimate],
    sources: dict[str, str],
) -> str:
    from hea_sim.mechanics.alloy import relaxed_alloy
    from hea_sim.potentials.choice import potential_for
    from hea_sim.potentials.loading import load_potential

    if potential is None:
        name = potential_for(alloy)
        if name is None:
            return f"no shipped potential holds {', '.join(alloy)}: no distortion, no elastic constants"
        potential = load_potential(name)
    cells = [_random_cell(alloy, structure, rng) for _ in range(n_cells)]
    try:
        found = relaxed_alloy(cells, potential, structure=structure, elastic=elastic)
    except InputError as error:
        return f"relaxed cells: {error}"
    sources["potential"] = found.potential
    a = found.lattice_A
    per_cell = _STRUCTURES[structure][1]
    values["volume_A3"] = Estimate.normal(
        a.value**3 / per_cell, 3 * a.value**2 * (a.std or 0.0) / per_cell, unit="A^3", n=a.n, method=a.method
    )
    nearest = _NEAREST[structure] * a.value / 100
    moved = found.displacement_A
    values["lattice_distortion"] = Estimate.normal(
        moved.value / nearest, (moved.std or 0.0) / nearest, unit="%", n=moved.n, method=moved.method
    )
    if found.elastic is not None:
        values |= {"c11": found.elastic.C11, "c12": found.elastic.C12, "c44": found.elastic.C44}
    if found.moduli is not None:
        values |= {"bulk_modulus": found.moduli.bulk_GPa, "shear_modulus": found.moduli.shear_GPa}
    return "; ".join(found.notes)


def _random_cell(alloy: Composition, structure: str, rng: np.random.Generator) -> Any:
    from ase.build import bulk

    name, per_cell = _STRUCTURES[structure]
    a = (per_cell * vegard_volume_A3(alloy).value) ** (1 / 3)
    cell = bulk(next(iter(alloy)), name, a=a, cubic=True) * ((_RELAXED_EDGE,) * 3)
    counts = alloy.counts(len(cell))
    cell.set_chemical_symbols(rng.permutation(np.repeat(list(counts), list(counts.values()))).tolist())
    return cell
