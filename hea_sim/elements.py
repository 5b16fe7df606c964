"""Measured lattice parameters, atomic volumes and thermal expansion of the elements, and Zen's law for alloys.

What each entry was checked against (`tests/sim/test_elements.py` repeats the comparisons):

- a and c of all 36 elements: entered from memory as those of H. W. King, Bull. Alloy Phase Diagrams 2, 401 (1981),
  doi:10.1007/BF02868307, whose printed table could not be had. Checked against Wyckoff, Crystal Structures (1963), by
  the files of the Crystallography Open Database (COD) in the package `crystals` 1.7.0, where Mn and In come from
  single crystals instead (doi:10.1107/S0567740870004399; COD 2100456): median difference 0.013 %, root mean square
  0.04 % without Sn; the largest are c of Hf 0.13, La 0.11, c of Sc 0.10, Ta 0.08 %. Sn differs by 0.2 % and is kept,
  because its density is the nearer one. They also agree with `ase.data.reference_states` within its rounding to
  0.01 A, but for Mn, Sn (as Wyckoff) and La (given as hcp there).
- Volumes of all 36: against the densities of `xraydb`, within 0.8 %; its density of Mn is an old one.
- Thermal expansion of all 36, linear, near 298 K, averaged over directions: entered from memory; confirmed by
  pymatgen's element data but for Mg, where pymatgen's 8.2 stands against 24.8 in a compilation that quotes the CRC
  Handbook. Ge was corrected from 5.9 by both.
- The extrapolated structures, and `SOLID_SOLUTIONS` but for four: from memory, not confirmed.

Structures that the element does not have at 298 K are extrapolated and carry their own standard deviation:
bcc Ti, Zr, Hf from the beta field and from beta alloys with Nb, Mo, Ta, V; fcc Fe from the gamma field; fcc Co is
measured on retained powder; fcc Mn from gamma alloys with Cu, Ni, Fe, whose extrapolations differ.

| symbol | here | unit |
|---|---|---|
| a, c | `a_A`, `c_A` | A |
| V_i, atomic volume of element i | `elemental_volume_A3` | A^3/atom |
| V = sum_i c_i V_i (Zen 1956, doi:10.2138/am-1956-41-523) | `vegard_volume_A3` | A^3/atom |
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hea_sim.errors import InputError, unknown_name
from hea_sim.records import Estimate

#: Atoms in the conventional cell; for A3, A5, A6 the volume also needs c.
_ATOMS = {"A1": 4, "A2": 2, "A3": 2, "A3'": 4, "A4": 8, "A5": 4, "A6": 2, "A12": 58}
_HEXAGONAL = ("A3", "A3'")
#: Relative standard deviation of a lattice parameter of a pure metal: the rms difference of this table to Wyckoff's.
_MEASURED_STD = 4e-4


@dataclass(frozen=True, kw_only=True)
class ElementalState:
    """Hold one structure of an element at 298 K."""

    structure: str
    a_A: float
    c_A: float | None = None
    a_std_A: float
    expansion_per_K: float
    extrapolated: bool = False

    @property
    def volume_A3(self) -> float:
        """Give the volume per atom."""
        c = self.a_A if self.c_A is None else self.c_A
        cell = self.a_A**2 * c * (math.sqrt(3) / 2 if self.structure in _HEXAGONAL else 1.0)
        return cell / _ATOMS[self.structure]

    @property
    def volume_std_A3(self) -> float:
        """Give the standard deviation of the volume per atom."""
        return 3 * self.volume_A3 * self.a_std_A / self.a_A


# element: (structure, a / A, c / A, linear expansion / 1e-6 per K)
_GROUND: dict[str, tuple[str, float, float | None, float]] = {
    "Be": ("A3", 2.2859, 3.5845, 11.3), "Mg": ("A3", 3.2094, 5.2107, 24.8), "Al": ("A1", 4.0496, None, 23.1),
    "Si": ("A4", 5.4310, None, 2.6), "Sc": ("A3", 3.3088, 5.2680, 10.2), "Ti": ("A3", 2.9506, 4.6835, 8.6),
    "V": ("A2", 3.0240, None, 8.4), "Cr": ("A2", 2.8847, None, 4.9), "Mn": ("A12", 8.9126, None, 21.7),
    "Fe": ("A2", 2.8665, None, 11.8), "Co": ("A3", 2.5071, 4.0695, 13.0), "Ni": ("A1", 3.5240, None, 13.4),
    "Cu": ("A1", 3.6149, None, 16.5), "Zn": ("A3", 2.6650, 4.9470, 30.2), "Ge": ("A4", 5.6579, None, 6.0),
    "Y": ("A3", 3.6482, 5.7318, 10.6), "Zr": ("A3", 3.2316, 5.1475, 5.7), "Nb": ("A2", 3.3004, None, 7.3),
    "Mo": ("A2", 3.1470, None, 4.8), "Ru": ("A3", 2.7058, 4.2816, 6.4), "Rh": ("A1", 3.8032, None, 8.2),
    "Pd": ("A1", 3.8903, None, 11.8), "Ag": ("A1", 4.0857, None, 18.9), "Cd": ("A3", 2.9793, 5.6196, 30.8),
    "In": ("A6", 3.2530, 4.9470, 32.1), "Sn": ("A5", 5.8316, 3.1815, 22.0), "La": ("A3'", 3.7740, 12.1710, 12.1),
    "Hf": ("A3", 3.1946, 5.0510, 5.9), "Ta": ("A2", 3.3030, None, 6.3), "W": ("A2", 3.1652, None, 4.5),
    "Re": ("A3", 2.7609, 4.4576, 6.2), "Os": ("A3", 2.7348, 4.3197, 5.1), "Ir": ("A1", 3.8392, None, 6.4),
    "Pt": ("A1", 3.9236, None, 8.8), "Au": ("A1", 4.0782, None, 14.2), "Pb": ("A1", 4.9502, None, 28.9),
}  # fmt: skip

# (element, structure): (a / A at 298 K, std / A, linear expansion / 1e-6 per K)
_EXTRAPOLATED: dict[tuple[str, str], tuple[float, float, float]] = {
    ("Ti", "A2"): (3.276, 0.015, 10.9),
    ("Zr", "A2"): (3.580, 0.020, 9.7),
    ("Hf", "A2"): (3.535, 0.030, 9.0),
    ("Fe", "A1"): (3.573, 0.010, 23.3),
    ("Co", "A1"): (3.5446, 0.003, 13.7),
    ("Mn", "A1"): (3.720, 0.030, 22.0),
}

#: Measured lattice parameters (A, room temperature) of disordered solid solutions, by which Zen's law is judged;
#: specimens differ by about 0.005 A, and those of the refractory alloys are rarely equiatomic to 1 at.%.
#: Read in the source named by `CONFIRMED_SOLUTIONS`: the last four. From memory, not confirmed by any source that could
#: be reached: Cantor 2004, Otto 2013, Zaddach 2013 (3d fcc); Pearson's Handbook (binaries); Senkov 2010, 2011, 2013
#: (NbMoTaW, HfNbTaTiZr, NbTiVZr); Wang 2012 (AlCoCrFeNi). A value of 3.1832 for NbMoTaVW, from memory too, was taken
#: out: the measured one below lies 0.4 % above it, and Zen's law agrees with the measured one.
SOLID_SOLUTIONS: dict[str, tuple[str, float]] = {
    "CoCrFeMnNi": ("A1", 3.597), "CoCrFeNi": ("A1", 3.575), "CoCrNi": ("A1", 3.564), "CuNi": ("A1", 3.569),
    "CuAu": ("A1", 3.876), "Cu3Au": ("A1", 3.751), "AgAu": ("A1", 4.071), "FeNi": ("A1", 3.583),
    "CrFe": ("A2", 2.876), "NbMoTaW": ("A2", 3.2134), "HfNbTaTiZr": ("A2", 3.404),
    "NbTiVZr": ("A2", 3.3134), "AlCoCrFeNi": ("A2", 2.878), "MoW": ("A2", 3.156), "NbMo": ("A2", 3.222),
    "Mo0.20Nb0.21Ta0.19V0.20W0.20": ("A2", 3.19634), "NbMoTaTiVW": ("A2", 3.216),
    "Al0.4Hf0.6NbTaTiZr": ("A2", 3.367), "CoNiV": ("A1", 3.601),
}  # fmt: skip

#: Where a lattice parameter of `SOLID_SOLUTIONS` was read.
CONFIRMED_SOLUTIONS: dict[str, str] = {
    "Mo0.20Nb0.21Ta0.19V0.20W0.20": "synchrotron powder diffraction, IUCrData, December 2025, paper wm4237",
    "NbMoTaTiVW": "B. Zhang et al., Senary refractory high entropy alloy MoNbTaTiVW (abstract)",
    "Al0.4Hf0.6NbTaTiZr": "O. N. Senkov et al., Acta Mater. 68, 214 (2014) (abstract)",
    "CoNiV": "S. S. Sohn et al., Adv. Mater. 31, 1807142 (2019), doi:10.1002/adma.201807142 (quoted passage)",
}

#: Relative standard deviation of a from Zen's law. Over SOLID_SOLUTIONS the root mean square deviation is 0.47 % and
#: the largest 1.5 % (AlCoCrFeNi, which is partly B2 ordered); over the four that are confirmed it is 0.50 %.
#: tests/sim/test_elements.py recomputes them. The list is short and of well-mixing alloys, so the stated value is well
#: above its spread.
VEGARD_STD_OF_A = 0.008


def known_elements() -> tuple[str, ...]:
    """List the elements of the table."""
    return tuple(_GROUND)


def elemental_state(element: str, *, structure: str | None = None) -> ElementalState:
    """Look up a structure of an element at 298 K; without `structure`, the one that is stable there.

    >>> elemental_state("Ti", structure="A2").a_A
    3.276
    """
    if element not in _GROUND:
        raise unknown_name("element in the table of lattice parameters", element, _GROUND)
    ground, a, c, expansion = _GROUND[element]
    if structure in (None, ground):
        return ElementalState(
            structure=ground, a_A=a, c_A=c, a_std_A=a * _MEASURED_STD, expansion_per_K=expansion * 1e-6
        )
    if (element, structure) in _EXTRAPOLATED:
        a, std, expansion = _EXTRAPOLATED[element, str(structure)]
        return ElementalState(
            structure=str(structure), a_A=a, a_std_A=std, expansion_per_K=expansion * 1e-6, extrapolated=True
        )
    known = [ground] + [s for e, s in _EXTRAPOLATED if e == element]
    raise InputError(
        f"{element} has no value at 298 K as {structure}; known structures: {', '.join(known)}."
        " Leave the structure out for the volume of the stable one"
    )


def elemental_volume_A3(element: str, *, structure: str | None = None) -> Estimate:
    """Give the measured volume per atom of an element at 298 K.

    >>> print(f"{elemental_volume_A3('Nb'):.3f}")
    17.975 ± 0.022 A^3/atom
    """
    state = elemental_state(element, structure=structure)
    how = "extrapolated to 298 K" if state.extrapolated else "measured at 298 K"
    return Estimate.normal(
        state.volume_A3, state.volume_std_A3, unit="A^3/atom", method=f"{element} {state.structure}, {how}"
    )


def thermal_expansion_per_K(composition: Mapping[str, float], *, structure: str | None = None) -> float:
    """Average the linear thermal expansion of the elements by atomic fraction.

    `composition` is a Composition, or atomic amounts by element; `structure` is used for the elements that have a
    value in it.
    """
    total = 0.0
    for element, fraction in composition.items():
        here = structure if (element, structure) in _EXTRAPOLATED else None
        total += fraction * elemental_state(element, structure=here).expansion_per_K
    return total / sum(composition.values())


def vegard_volume_A3(composition: Mapping[str, float]) -> Estimate:
    """Estimate the volume per atom of a random alloy at 298 K from the elements alone (Zen's law).

    The standard deviation is 0.8 % in a (2.4 % in volume), judged by `SOLID_SOLUTIONS`: it covers size effects of
    mixing and elements whose stable structure is not the alloy's. It is too small for ordered compounds.

    >>> from hea_sim.alloy import Composition
    >>> print(f"{vegard_volume_A3(Composition.parse('CoCrFeMnNi')):.2f}")
    11.60 ± 0.28 A^3/atom
    """
    volumes = {e: elemental_volume_A3(e) for e, amount in composition.items() if amount > 0}
    if not volumes:
        raise InputError(f"composition {dict(composition)}: wanted at least one element with an amount above zero")
    value = sum(composition[e] * v.value for e, v in volumes.items()) / sum(composition.values())
    return Estimate.normal(
        value,
        3 * VEGARD_STD_OF_A * value if len(volumes) > 1 else float(next(iter(volumes.values())).std or 0.0),
        unit="A^3/atom",
        method="Zen's law from elemental volumes at 298 K; std 0.8 % in a, from measured solid solutions",
    )
