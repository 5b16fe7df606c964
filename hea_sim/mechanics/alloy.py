"""What a potential makes of an alloy at rest: lattice parameter, energy of mixing, elastic constants, vacancies.

All are for 0 K and no pressure. One cell is one arrangement of the atoms: several give the mean over arrangements and
its standard error. The cells keep their cubic shape.

| symbol | here | unit |
|---|---|---|
| E_mix = E/N - sum_i c_i e_i, e_i of the relaxed element in its own structure | `mixing_energy` | eV/atom |
| u, rms distance of the atoms from the sites of the lattice, their mean held | `displacement_A` | A |
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals import atoms_per_cell
from hea_sim.element_offsets import ElementOffset, element_offset, referenced_lattice_parameter
from hea_sim.elements import elemental_state
from hea_sim.errors import InputError
from hea_sim.mechanics.elastic import CubicConstants, ElasticConstants, Moduli, elastic_constants
from hea_sim.mechanics.vacancy import vacancy_formation_energy
from hea_sim.mechanics.volume import RelaxedCell, relaxed_volume
from hea_sim.records import Estimate

#: Relative std of a beyond what the elements tell: measured Nb-Mo, Mo-W and Nb-Mo-Ta-W against relaxed cells of the
#: published SNAP and MTP deviate by 0.22 and 0.24 % (root mean square; the measured values are not confirmed).
ALLOY_STD_OF_A = 0.0025
#: Structures of elements that are relaxed here, with the names that ASE builds them by.
_BUILT = {"A1": "fcc", "A2": "bcc", "A3": "hcp"}
#: Distance of nearest neighbours in lattice parameters.
_NEAREST = {"A1": np.sqrt(0.5), "A2": np.sqrt(0.75)}
#: Atoms further from their sites than this share of the distance of nearest neighbours (rms) have left the lattice.
_LEFT_THE_LATTICE = 0.15


@dataclass(frozen=True, kw_only=True)
class ElementCell:
    """Hold an element as a potential relaxes it in one structure."""

    structure: str
    volume_A3: float
    energy_eV_per_atom: float


@dataclass(frozen=True, kw_only=True, eq=False)
class AlloyMechanics:
    """Hold an alloy of atomic `fractions` as a potential relaxes it on the lattice `structure` at 0 K.

    The std of each number is that of the mean over `n_cells` arrangements of `n_atoms` atoms, with the numerical error;
    that of `mixing_energy` joins the potential's own error where that was given. `mixing_energy` is None where an
    element's own structure is none of A1, A2, A3; `elastic`, `moduli` (Hill's means) and `vacancy` (formation energy)
    are None where they were not asked for, the moduli also where the crystal is not stable. `elements` are relaxed in
    their own structures; `offsets` hold the measured over the potential's lattice parameter of each; `atoms` are the
    relaxed cells.
    """

    fractions: Mapping[str, float]
    potential: str
    structure: str
    lattice_A: Estimate
    mixing_energy: Estimate | None
    displacement_A: Estimate
    elastic: CubicConstants | None
    moduli: Moduli | None
    vacancy: Estimate | None
    elements: Mapping[str, ElementCell]
    offsets: Mapping[str, ElementOffset]
    n_cells: int
    n_atoms: int
    notes: tuple[str, ...] = ()
    atoms: tuple[Any, ...] = ()

    def lattice_parameter_at(self, temperature_K: float) -> Estimate:
        """Predict the lattice parameter at a measuring temperature, corrected by the elements, with its model_std."""
        a = self.lattice_A
        return referenced_lattice_parameter(
            Composition.parse(self.fractions),
            a.value,
            self.offsets,
            structure=self.structure,
            temperature_K=temperature_K,
            parts={"relaxed cells": (a.std or 0.0) / a.value},
            model=f"{self.potential}, relaxed cell",
            alloy_std=ALLOY_STD_OF_A,
        )


def relaxed_alloy(
    cells: Any,
    potential: Any,
    *,
    structure: str,
    elastic: bool = True,
    vacancy_sites: int = 0,
    energy_error_eV_per_atom: float | None = None,
    fmax_eV_per_A: float = 1e-3,
    max_steps: int = 500,
) -> AlloyMechanics:
    """Relax arrangements of one alloy and ask what the potential makes of it.

    Parameters
    ----------
    cells
        One `ase.Atoms` or several of one composition, each a cube of whole cells of the lattice with atoms on its
        sites, as `anneal(...).atoms`; a few hundred atoms are enough.
    potential
        Anything with `.calculator()`, or an ASE calculator.
    structure
        Lattice of the cells: "A1" or "A2".
    elastic
        False leaves out what takes longest: about 25 relaxations a cell.
    vacancy_sites
        Sites of each element whose vacancies are relaxed in the first cell; 0 leaves vacancies out.
    energy_error_eV_per_atom
        The potential's own error, as its card has it, which the energy of mixing then carries.
    fmax_eV_per_A
        Largest force at rest; 1e-3 leaves about 0.01 GPa.

    Raises
    ------
    InputError
        Where cells differ in composition, the potential lacks an element, or the atoms leave the lattice.
    """
    cells = [cells] if hasattr(cells, "numbers") else list(cells)
    alloy = _checked(cells, structure)
    name = str(getattr(potential, "name", type(potential).__name__))
    settings: dict[str, Any] = {"fmax_eV_per_A": fmax_eV_per_A, "max_steps": max_steps}
    relaxed = [relaxed_volume(potential, cell, **settings) for cell in cells]
    a = _over_cells([found.lattice_parameter_A(atoms_per_cell(structure)) for found in relaxed])
    moved = [_displacement_A(cell, found.atoms) for cell, found in zip(cells, relaxed, strict=True)]
    if max(moved) > _LEFT_THE_LATTICE * _NEAREST[structure] * a.value:
        raise InputError(
            f"{name}: the atoms of {alloy.formula} move {max(moved):.2f} A (rms) away from {structure} as they relax,"
            " so nothing can be said of that lattice; wanted a structure that this potential holds stable"
        )
    own = {element: elemental_state(element).structure for element in alloy}
    elements = {e: element_cell(potential, e, s, **settings) for e, s in own.items() if s in _BUILT}
    constants = [elastic_constants(potential, found.atoms, **settings) for found in relaxed] if elastic else []
    stable = all(c.is_stable for c in constants)
    vacancy = None
    if vacancy_sites:
        vacancy = vacancy_formation_energy(potential, relaxed[0].atoms, n_sites=vacancy_sites, **settings).energy
    return AlloyMechanics(
        fractions=dict(alloy),
        potential=name,
        structure=structure,
        lattice_A=a,
        mixing_energy=_mixing_energy(alloy, relaxed, elements, energy_error_eV_per_atom),
        displacement_A=_over_cells([Estimate(value=u, std=0.0, unit="A", method=_DISPLACED) for u in moved]),
        elastic=_cubic(constants) if constants else None,
        moduli=_moduli(constants) if constants and stable else None,
        vacancy=vacancy,
        elements=elements,
        offsets=_offsets(potential, alloy, structure, elements, settings),
        n_cells=len(cells),
        n_atoms=len(cells[0]),
        notes=() if stable else (f"{name} does not hold {alloy.formula} stable: a small strain lowers its energy",),
        atoms=tuple(found.atoms for found in relaxed),
    )


def element_cell(potential: Any, element: str, structure: str, **settings: Any) -> ElementCell:
    """Relax an element in A1, A2 or A3 (both axes); settings are those of `relaxed_volume`."""
    from ase.build import bulk

    if structure not in _BUILT:
        raise InputError(f"{element} as {structure}; wanted one of {', '.join(_BUILT)}")
    state = elemental_state(element, structure=structure)
    crystal = bulk(element, _BUILT[structure], a=state.a_A, c=state.c_A)
    found = relaxed_volume(potential, crystal, fix_shape=structure != "A3", **settings)
    return ElementCell(
        structure=structure, volume_A3=found.volume_A3.value, energy_eV_per_atom=found.energy_eV_per_atom
    )


_DISPLACED = "rms distance of relaxed atoms from the sites of the lattice"


def _checked(cells: Sequence[Any], structure: str) -> Composition:
    """Give the composition of the cells, which all must share."""
    if structure not in _NEAREST:
        raise InputError(f"relaxed alloy as {structure}; wanted A1 or A2")
    kinds = {cell.get_chemical_formula() for cell in cells}
    if len(kinds) != 1:
        raise InputError(f"relaxed alloy: got cells {', '.join(sorted(kinds)) or 'none'}; wanted one composition")
    symbols = cells[0].get_chemical_symbols()
    return Composition.parse({element: float(symbols.count(element)) for element in sorted(set(symbols))})


def _displacement_A(start: Any, relaxed: Any) -> float:
    """Give the rms distance that atoms moved relative to the cell, their mean held."""
    moved = relaxed.get_scaled_positions(wrap=False) - start.get_scaled_positions(wrap=False)
    moved = (moved - np.round(moved)) @ relaxed.cell.array
    return float(np.sqrt(((moved - moved.mean(axis=0)) ** 2).sum(axis=1).mean()))


def _over_cells(found: Sequence[Estimate]) -> Estimate:
    """Average over arrangements; the std is the larger of their scatter and of what each states, over root n."""
    n = len(found)
    values = np.array([e.value for e in found])
    scatter = float(values.std(ddof=1)) if n > 1 else 0.0
    stated = float(np.sqrt(np.mean([(e.std or 0.0) ** 2 for e in found])))
    first = found[0]
    method = f"{f'mean over {n} arrangements' if n > 1 else 'one arrangement'}; {first.method}"
    return Estimate.normal(float(values.mean()), max(scatter, stated) / np.sqrt(n), unit=first.unit, n=n, method=method)


def _mixing_energy(
    alloy: Composition, relaxed: Sequence[RelaxedCell], elements: Mapping[str, ElementCell], error: float | None
) -> Estimate | None:
    if set(elements) != set(alloy):
        return None
    reference = sum(fraction * elements[e].energy_eV_per_atom for e, fraction in alloy.items())
    method = "relaxed cell against relaxed elements in their own structures"
    mean = _over_cells(
        [Estimate(value=r.energy_eV_per_atom - reference, std=0.0, unit="eV/atom", method=method) for r in relaxed]
    )
    pure = len(alloy) == 1  # the same energy on both sides: no error of the potential is left
    shares = 1 + sum(fraction**2 for fraction in alloy.values())  # the alloy errs, and each element does
    of_cells, own = mean.std or 0.0, 0.0 if pure else (error or 0.0) * shares**0.5
    said = (
        "the potential's own error is not known"
        if error is None
        else f"the potential's own error in alloy and elements ({own:.1e})"
    )
    joined = f"{mean.method}; std of the arrangements ({of_cells:.1e}); {said}"
    return Estimate.normal(mean.value, float(np.hypot(of_cells, own)), unit="eV/atom", n=mean.n, method=joined)


def _offsets(
    potential: Any,
    alloy: Composition,
    structure: str,
    own: Mapping[str, ElementCell],
    settings: Mapping[str, Any],
) -> dict[str, ElementOffset]:
    """Hold the elements against their measured volumes, in the alloy's structure where known, else in their own.

    An element for which neither can be done is left out.
    """
    offsets = {}
    for element in alloy:
        cell = own.get(element)
        if cell is None or cell.structure != structure:
            with contextlib.suppress(InputError):
                cell = element_cell(potential, element, structure, **settings)
        if cell is not None:
            offsets[element] = element_offset(element, cell.volume_A3, structure=cell.structure)
    return offsets


def _cubic(constants: Sequence[ElasticConstants]) -> CubicConstants:
    """Average cubic constants over cells; spread and departure are those of the mean matrix."""
    each = [c.cubic() for c in constants]
    return replace(
        _mean_stiffness(constants).cubic(),
        C11=_over_cells([c.C11 for c in each]),
        C12=_over_cells([c.C12 for c in each]),
        C44=_over_cells([c.C44 for c in each]),
    )


def _moduli(constants: Sequence[ElasticConstants]) -> Moduli:
    """Average moduli over cells; the bounds are those of the mean matrix."""
    each = [c.moduli() for c in constants]
    return replace(
        _mean_stiffness(constants).moduli(),
        bulk_GPa=_over_cells([m.bulk_GPa for m in each]),
        shear_GPa=_over_cells([m.shear_GPa for m in each]),
        young_GPa=_over_cells([m.young_GPa for m in each]),
        poisson=_over_cells([m.poisson for m in each]),
    )


def _mean_stiffness(constants: Sequence[ElasticConstants]) -> ElasticConstants:
    return replace(constants[0], stiffness_GPa=np.mean([c.stiffness_GPa for c in constants], axis=0))
