"""What it costs to take an atom out of a crystal.

E_f = E(N - 1) + mu_X - E(N), both cells of the same shape and volume, atoms at rest; X is the element taken and mu_X
the energy of an atom where it goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.units import GPa

from hea_sim.errors import InputError
from hea_sim.mechanics.relaxation import bulk_modulus_GPa, pressure_GPa, run_to_rest, with_calculator
from hea_sim.records import Estimate


@dataclass(frozen=True, kw_only=True, eq=False)
class VacancyEnergy:
    """Hold formation energies of vacancies.

    `energy` is the mean over the elements, weighted by composition, of the means over their sites; its std joins the
    standard error of that and `size_error_eV`, the elastic energy of the vacancy with its periodic images. `unrelaxed`
    holds the neighbours in place. `site_energies_eV` (k,) of `sites` with `elements`; `scatter_eV` is the standard
    deviation among sites of one element: a property of a random alloy, not an error. `chemical_potentials_eV` are the
    energies taken for the atoms removed.
    """

    energy: Estimate
    unrelaxed: Estimate
    site_energies_eV: np.ndarray
    sites: tuple[int, ...]
    elements: tuple[str, ...]
    scatter_eV: float
    size_error_eV: float
    chemical_potentials_eV: Mapping[str, float]


def vacancy_formation_energy(
    potential: Any,
    atoms: Any,
    element: str | None = None,
    *,
    chemical_potentials_eV: Mapping[str, float] | None = None,
    sites: Sequence[int] | None = None,
    n_sites: int = 4,
    seed: int = 0,
    relax_ions: bool = True,
    check_repeat: tuple[int, int, int] | None = None,
    fmax_eV_per_A: float = 1e-3,
    max_steps: int = 500,
) -> VacancyEnergy:
    """Compute the vacancy formation energy of a crystal at its volume (relax that before: `relaxed_volume`).

    `potential` is anything with `.calculator()`, or an ASE calculator; `atoms` is the supercell. In a crystal of one
    element the atom goes back to the crystal, and one site stands for all unless `sites` names others. In an alloy
    `n_sites` sites are drawn with `seed` of each element, or of `element` alone, whose energy elsewhere
    `chemical_potentials_eV` must then give. Without these the energy per atom of the alloy stands for every atom
    removed: the mean over the composition is then right for any potentials in equilibrium with the alloy, and single
    sites have no meaning. The size error is p^2 V / 2 K, with p the pressure that the vacancy leaves and K the bulk
    modulus; with `check_repeat` the first site is also computed in the repeated cell, and the change stands for it
    where that is larger.
    """
    perfect = with_calculator(atoms, potential)
    what = f"vacancy in {perfect.get_chemical_formula()}"
    _refuse_unknown(perfect, element, chemical_potentials_eV)
    chosen = _sites(perfect, element, sites, n_sites, seed)
    elements = [str(perfect.symbols[site]) for site in chosen]
    if relax_ions:
        run_to_rest(perfect, fmax_eV_per_A, max_steps, what)
    mu, origin = _chemical_potentials(perfect, elements, chemical_potentials_eV)
    removed = [mu[name] for name in elements]
    found = [
        _relaxed_formation(perfect, site, energy, fmax_eV_per_A if relax_ions else None, max_steps)
        for site, energy in zip(chosen, removed, strict=True)
    ]
    held, rest, pressures = (list(values) for values in zip(*found, strict=True))
    elastic = np.mean(np.square(pressures)) * GPa * perfect.cell.volume / (2 * abs(bulk_modulus_GPa(perfect)))
    size_error = float(elastic)
    method = (
        f"atom removed at fixed cell of {len(perfect)} atoms, atoms {'relaxed' if relax_ions else 'held'}; {origin}"
    )
    if check_repeat is not None:
        bigger = with_calculator(perfect.repeat(check_repeat), potential)
        again = _relaxed_formation(bigger, chosen[0], removed[0], fmax_eV_per_A if relax_ions else None, max_steps)
        size_error = max(size_error, abs(again[1] - rest[0]))
        method += f"; size checked in {len(bigger)} atoms"
    share = {name: float(np.mean(perfect.symbols == name)) for name in elements}
    return VacancyEnergy(
        energy=_mean(rest, elements, share, size_error, method),
        unrelaxed=_mean(held, elements, share, 0.0, method.replace("atoms relaxed", "neighbours held")),
        site_energies_eV=np.array(rest),
        sites=tuple(chosen),
        elements=tuple(elements),
        scatter_eV=float(np.sqrt(_variance(rest, elements))),
        size_error_eV=size_error,
        chemical_potentials_eV=mu,
    )


def _relaxed_formation(
    perfect: Any, site: int, removed_eV: float, fmax_eV_per_A: float | None, max_steps: int
) -> tuple[float, float, float]:
    """Give the formation energy with neighbours held and at rest, and the pressure that the vacancy leaves in GPa.

    Without a limit of force the neighbours stay where they are.
    """
    defect = perfect.copy()
    defect.calc = perfect.calc
    whole, pressure = float(perfect.get_potential_energy()), pressure_GPa(perfect)
    del defect[site]
    held = rest = float(defect.get_potential_energy())
    if fmax_eV_per_A is not None:
        run_to_rest(defect, fmax_eV_per_A, max_steps, f"vacancy in {perfect.get_chemical_formula()}")
        rest = float(defect.get_potential_energy())
    return held + removed_eV - whole, rest + removed_eV - whole, pressure_GPa(defect) - pressure


def _mean(
    values: list[float], elements: list[str], share: dict[str, float], size_error: float, method: str
) -> Estimate:
    """Average over the sites of each element, then over the elements."""
    groups = {name: [v for v, of in zip(values, elements, strict=True) if of == name] for name in share}
    total = sum(share.values())
    mean = sum(share[name] / total * float(np.mean(group)) for name, group in groups.items())
    variance = _variance(values, elements)
    square = sum((share[name] / total) ** 2 * variance / len(group) for name, group in groups.items())
    return Estimate.normal(mean, float(np.sqrt(square + size_error**2)), unit="eV", n=len(values), method=method)


def _variance(values: list[float], elements: list[str]) -> float:
    """Give the variance among sites of one element, pooled; over all sites where no element has two."""
    array, names = np.array(values), np.array(elements)
    freedom = len(array) - len(set(elements))
    if freedom == 0:
        return float(array.var(ddof=1)) if len(array) > 1 else 0.0
    return float(sum(((array[names == n] - array[names == n].mean()) ** 2).sum() for n in set(elements))) / freedom


def _refuse_unknown(atoms: Any, element: str | None, given: Mapping[str, float] | None) -> None:
    present = sorted(set(atoms.symbols))
    if element is not None and element not in present:
        raise InputError(f"no {element} in a crystal of {', '.join(present)}; name one of these")
    if given is None and element is not None and len(present) > 1:
        raise InputError(
            f"a vacancy of {element} in an alloy of {', '.join(present)} needs the energy of {element} elsewhere; give"
            f" chemical_potentials_eV={{'{element}': ...}}, or leave the element out for the mean over all"
        )


def _chemical_potentials(
    atoms: Any, elements: Sequence[str], given: Mapping[str, float] | None
) -> tuple[dict[str, float], str]:
    """Give the energy of a removed atom of each element, and say where it is from."""
    names = sorted(set(elements))
    if given is None:
        if set(atoms.symbols) != set(names):
            raise InputError(
                f"the sites hold {', '.join(names)} of an alloy of {', '.join(sorted(set(atoms.symbols)))}; without"
                " chemical_potentials_eV only the mean over all its elements has a meaning: give them, or other sites"
            )
        per_atom = float(atoms.get_potential_energy()) / len(atoms)
        return dict.fromkeys(names, per_atom), "removed atoms at the crystal's energy per atom"
    missing = [name for name in names if name not in given]
    if missing:
        raise InputError(f"no chemical potential of {', '.join(missing)}; give chemical_potentials_eV for each")
    kept = {name: float(given[name]) for name in names}
    return kept, "removed atoms at " + ", ".join(f"{name} {value:.6g} eV" for name, value in kept.items())


def _sites(atoms: Any, element: str | None, sites: Sequence[int] | None, n_sites: int, seed: int) -> list[int]:
    """Choose sites: those named, the first of a pure crystal, or some of each element drawn at random."""
    symbols = np.array(atoms.get_chemical_symbols())
    if len(atoms) < 2:
        raise InputError("a vacancy needs a cell of several atoms; repeat the crystal first")
    if sites is not None:
        chosen = [int(site) for site in sites]
        fit = all(0 <= site < len(atoms) and element in (None, symbols[site]) for site in chosen)
        if not chosen or not fit or len(set(chosen)) < len(chosen):
            of = f" of {element}" if element else ""
            raise InputError(f"sites {chosen}; wanted different indices from 0 to {len(atoms) - 1}{of}")
        return chosen
    if n_sites < 1:
        raise InputError(f"{n_sites} sites; wanted at least 1")
    if len(set(symbols)) == 1:
        return [0]
    rng = np.random.default_rng(seed)
    chosen = []
    for name in [element] if element else sorted(set(symbols)):
        candidates = np.flatnonzero(symbols == name)
        picked = rng.choice(candidates, size=min(n_sites, len(candidates)), replace=False)
        chosen += [int(site) for site in np.sort(picked)]
    return chosen
