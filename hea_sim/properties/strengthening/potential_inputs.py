"""Volumes and moduli of an alloy for the theories of strength, from a potential.

The volume that an atom of element n takes in the alloy is the slope of the cell's volume with the number of its atoms.
In relaxed random cells some atoms of other kinds are turned into n and the cell is relaxed again: with
V(c) = sum_n c_n V_n near the alloy's composition, one cell and its E changed copies give the V_n by least squares. The
rest of each arrangement is kept, so that what differs between arrangements falls out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError
from hea_sim.mechanics.elastic import CubicConstants, Moduli
from hea_sim.properties.strengthening.solution_inputs import SolutionInputs, moduli_of_cubic
from hea_sim.records import Estimate

#: Share of a cell's atoms that are turned into one element.
TURNED_SHARE = 0.12


def inputs_from_potential(
    alloy: Composition | str,
    potential: Any,
    *,
    structure: str,
    n_cells: int = 2,
    seed: int = 0,
    cells: Sequence[Any] | None = None,
    fmax_eV_per_A: float = 1e-3,
    max_steps: int = 500,
) -> SolutionInputs:
    """Take the inputs of one alloy from random cells relaxed with a potential.

    Parameters
    ----------
    alloy
        Composition of two or more elements.
    potential
        Anything with `.calculator()`, or an ASE calculator.
    structure
        "A1" or "A2".
    n_cells, seed
        Random cells of about 250 atoms, drawn with the seed; at least two, for the scatter between them.
    cells
        Cells of your own in place of drawn ones: cubes of whole cells with the atoms on the sites.
    fmax_eV_per_A, max_steps
        As of `hea_sim.mechanics.relaxed_alloy`.

    Raises
    ------
    InputError
        Where the potential does not hold the alloy stable on the lattice, or lacks an element.
    """
    from hea_sim.mechanics.alloy import relaxed_alloy
    from hea_sim.sampling.arrangements import small_cells

    composition = Composition.parse(alloy)
    if len(composition) < 2:
        raise InputError(f"{composition.formula} is no alloy; wanted two or more elements, whose misfit gives strength")
    started = list(cells) if cells is not None else small_cells(composition, structure, n=n_cells, seed=seed)
    if len(started) < 2:
        raise InputError(f"{len(started)} cell; wanted at least two, whose scatter is the error of the volumes")
    settings: dict[str, Any] = {"fmax_eV_per_A": fmax_eV_per_A, "max_steps": max_steps}
    found = relaxed_alloy(started, potential, structure=structure, **settings)
    if found.elastic is None or found.moduli is None:
        raise InputError(f"{found.potential} does not hold {composition.formula} stable on {structure}; take another")
    shear, poisson = _moduli_for(structure, found.elastic, found.moduli)
    rng = np.random.default_rng(seed)
    each = [_volumes_in(cell, potential, tuple(composition), rng, settings) for cell in found.atoms]
    return SolutionInputs(
        structure=structure,
        fractions=dict(composition),
        volumes_A3={e: _over_cells([volumes[e] for volumes in each], found.potential) for e in composition},
        shear_GPa=shear,
        poisson=poisson,
        sources=(f"{len(started)} random cells of {len(started[0])} atoms relaxed with {found.potential}, 0 K",),
    )


def _moduli_for(structure: str, cubic: CubicConstants, moduli: Moduli) -> tuple[Estimate, float]:
    """Give the shear modulus and Poisson's ratio that the theory of this lattice takes."""
    if structure == "A1":
        return moduli.shear_GPa, moduli.poisson.value
    c = np.array([cubic.C11.value, cubic.C12.value, cubic.C44.value])
    stds = np.array([one.std or 0.0 for one in (cubic.C11, cubic.C12, cubic.C44)])
    shear, poisson = moduli_of_cubic(*c)
    slopes = [float(moduli_of_cubic(*(c + step))[0]) - float(shear) for step in np.diag(stds)]
    method = f"sqrt(C44 (C11 - C12) / 2); {cubic.C44.method}"
    std = float(np.sqrt(np.square(slopes).sum()))
    return Estimate.normal(float(shear), std, unit="GPa", method=method), float(poisson)


def _volumes_in(
    cell: Any, potential: Any, elements: Sequence[str], rng: np.random.Generator, settings: dict[str, Any]
) -> dict[str, float]:
    """Solve V(c) = sum_n c_n V_n over one relaxed cell and its copies, one enriched in each element."""
    from hea_sim.mechanics.volume import relaxed_volume

    shares, volumes = [], []
    for element in (None, *elements):
        changed = cell if element is None else _enriched(cell, element, rng)
        symbols = np.array(changed.get_chemical_symbols())
        shares.append([float(np.mean(symbols == e)) for e in elements])
        relaxed = cell.cell.volume / len(cell)
        if element is not None:
            relaxed = relaxed_volume(potential, changed, **settings).volume_A3.value
        volumes.append(relaxed)
    solved, *_ = np.linalg.lstsq(np.array(shares), np.array(volumes), rcond=None)
    return {element: float(value) for element, value in zip(elements, solved, strict=True)}


def _enriched(cell: Any, element: str, rng: np.random.Generator) -> Any:
    """Copy a cell with some atoms of other kinds turned into one element."""
    changed = cell.copy()
    symbols = np.array(changed.get_chemical_symbols())
    others = np.flatnonzero(symbols != element)
    count = max(1, min(len(others) - 1, round(TURNED_SHARE * len(symbols))))
    symbols[rng.choice(others, size=count, replace=False)] = element
    changed.set_chemical_symbols(symbols.tolist())
    return changed


def _over_cells(values: Sequence[float], potential: str) -> Estimate:
    array = np.array(values)
    std = float(array.std(ddof=1)) / np.sqrt(len(array))
    method = f"slope of the relaxed volume with the number of atoms, {len(array)} cells, {potential}"
    return Estimate.normal(float(array.mean()), std, unit="A^3", n=len(array), method=method)
