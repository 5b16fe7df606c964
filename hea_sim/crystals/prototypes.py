"""The Strukturbericht table of structure types met in high-entropy alloys, their oxides and the usual standards.

Positions are those of the papers named in `reference`, in the setting of International Tables, compared with the AFLOW
library of crystallographic prototypes (Mehl et al. 2017, doi:10.1016/j.commatsci.2017.01.017). Its z = 0.046 of the
first Mg site of C36 would set two atoms 1.5 A apart; 0.094 stands here, next to the ideal 3/32. Lattices are typical
of alloys. Bounds of a and c/a cover the alloys and compounds of each type that are known to us, rounded outwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hea_sim.crystals.structure_types import Preference, Prototype, Role, Site, System, cell_vectors, expand
from hea_sim.errors import InputError, unknown_name

_SYSTEMS: tuple[tuple[int, System], ...] = (
    (195, "cubic"),
    (143, "hexagonal"),
    (75, "tetragonal"),
    (16, "orthorhombic"),
    (3, "monoclinic"),
)


def _system_of(space_group: int) -> System:
    """Give the system of a group; trigonal groups stand in hexagonal axes."""
    return next(system for first, system in _SYSTEMS if space_group >= first)


def _type(
    name: str,
    space_group: int,
    role: Role,
    sites: Mapping[str, list[tuple[float, float, float]]],
    a: tuple[float, float, float],
    c_to_a: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    typical: Mapping[str, str],
    prefers: Mapping[str, Preference] | None = None,
    fundamental: str = "",
    **more: Any,
) -> Prototype:
    """Write one line of the table: `a` and `c_to_a` are (typical, lowest, highest)."""
    return Prototype(
        name=name,
        space_group=space_group,
        system=_system_of(space_group),
        role=role,
        sites=tuple(Site(sublattice=label, position=p) for label, rows in sites.items() for p in rows),
        a_A=a[0],
        a_range_A=a[1:],
        axial_ratio=c_to_a[0],
        axial_ratio_range=c_to_a[1:],
        typical=typical,
        site_preference=prefers or dict.fromkeys(sites, "any"),
        fundamental=fundamental or name,
        **more,
    )


_T, _TT = 1 / 3, 2 / 3
_LARGE_A: dict[str, Preference] = {"A": "large", "B": "small"}
_LARGE_B: dict[str, Preference] = {"A": "small", "B": "large"}
_OXIDE: dict[str, Preference] = {"M": "metal", "X": "oxygen"}
_CARBIDE: dict[str, Preference] = {"M": "metal", "X": "carbon"}
_COMPOUND: dict[str, Preference] = {"M": "metal", "X": "interstitial"}
_PEARSON = "P. Villars, Pearson's Handbook of Crystallographic Data, ASM (1991)"
_SIGMA = "atomic positions: FeCr sigma, Yakel, Acta Cryst. B39, 20 (1983), 10.1107/S0108768183001974"

_SOLID_SOLUTIONS = (
    _type("A1", 225, "solid solution", {"M": [(0, 0, 0)]}, (3.59, 3.36, 4.20), typical={"M": "CoCrFeMnNi"}),
    _type("A2", 229, "solid solution", {"M": [(0, 0, 0)]}, (3.20, 2.66, 3.75), typical={"M": "NbMoTaW"}),
    _type(
        "A3", 194, "solid solution", {"M": [(_T, _TT, 0.25)]}, (2.95, 2.40, 3.70), (1.59, 1.55, 1.90),
        typical={"M": "Ti"}, reference="c/a from 1.57 (Be) to 1.89 (Cd): King, 10.1007/BF02868307",
    ),
    _type(
        "martensite", 139, "solid solution", {"M": [(0, 0, 0)]}, (2.86, 2.80, 2.95), (1.04, 1.0, 1.08),
        typical={"M": "Fe"}, reference="Roberts, J. Met. 5, 203 (1953); c/a = 1 + 0.045 wt% C; carbon is not placed",
    ),
    _type(
        "C32", 191, "solid solution", {"A": [(0, 0, 0)], "B": [(_T, _TT, 0.5)]}, (4.62, 4.50, 5.15),
        (0.613, 0.595, 0.645), typical={"A": "Ti", "B": "Ti"},
        reference="omega Ti: Jamieson, Science 140, 72 (1963)",
    ),
)  # fmt: skip

_ORDERED = (
    _type(
        "B2", 221, "ordered", {"A": [(0, 0, 0)], "B": [(0.5, 0.5, 0.5)]}, (2.88, 2.66, 3.7),
        typical={"A": "Ni", "B": "Al"}, prefers=_LARGE_B, fundamental="A2",
    ),
    _type(
        "L1_2", 221, "ordered", {"A": [(0, 0, 0)], "B": [(0, 0.5, 0.5)]}, (3.59, 3.36, 4.4),
        typical={"A": "Al", "B": "Ni"}, prefers=_LARGE_A, fundamental="A1",
    ),
    _type(
        "D0_3", 225, "ordered", {"A": [(0, 0, 0)], "B": [(0.5, 0.5, 0.5), (0.25, 0.25, 0.25)]}, (5.79, 5.45, 6.9),
        typical={"A": "Al", "B": "Fe"}, prefers={"A": "main group", "B": "small"}, fundamental="A2",
        fundamental_ratio=2.0, reference=f"Fe3Al: {_PEARSON}",
    ),
    _type(
        "L2_1", 225, "ordered", {"M": [(0.25, 0.25, 0.25)], "A": [(0.5, 0.5, 0.5)], "B": [(0, 0, 0)]},
        (5.87, 5.45, 6.9), typical={"M": "Ni", "A": "Ti", "B": "Al"},
        prefers={"M": "small", "A": "large", "B": "main group"}, fundamental="A2", fundamental_ratio=2.0,
        reference="Cu2MnAl: Bradley and Rodgers, Proc. R. Soc. A 144, 340 (1934)",
    ),
    _type(
        "D0_19", 194, "ordered", {"A": [(_T, _TT, 0.25)], "B": [(0.8392, 0.6784, 0.25)]}, (5.30, 5.0, 6.2),
        (0.802, 0.77, 0.85), typical={"A": "Sn", "B": "Ni"}, prefers={"A": "main group", "B": "small"},
        fundamental="A3", fundamental_ratio=2.0,
        reference="Ni3Sn: Lyubimtsev et al., J. Alloys Compd. 340, 167 (2002)",
    ),
    _type(
        "D0_22", 139, "ordered", {"A": [(0, 0, 0)], "B": [(0, 0, 0.5), (0, 0.5, 0.25)]}, (3.62, 3.45, 4.05),
        (2.047, 1.97, 2.30), typical={"A": "Nb", "B": "Ni"}, prefers=_LARGE_A,
        reference="Al3Ti: Norby and Christensen, Acta Chem. Scand. A40, 157 (1986)",
    ),
    _type(
        "L1_0", 123, "ordered", {"A": [(0, 0, 0)], "B": [(0.5, 0.5, 0.5)]}, (2.54, 2.45, 2.95), (1.417, 1.15, 1.50),
        typical={"A": "Fe", "B": "Ni"}, prefers=_LARGE_A, reference=f"CuAu, in the cell of two atoms: {_PEARSON}",
    ),
)  # fmt: skip

_INTERMETALLICS = (
    _type(
        "D0_24", 194, "intermetallic",
        {"A": [(0, 0, 0), (_T, _TT, 0.25)], "B": [(0.5, 0, 0), (0.8333, 0.6667, 0.25)]}, (5.10, 4.90, 5.85),
        (1.629, 1.58, 1.68), typical={"A": "Ti", "B": "Ni"}, prefers=_LARGE_A,
        reference="Ni3Ti: Taylor and Floyd, Acta Cryst. 3, 285 (1950)",
    ),
    _type(
        "D0_a", 59, "intermetallic",
        {"A": [(0, 0, 0.32875)], "B": [(0, 0.5, 0.671), (0.255, 0, 0.826)]}, (5.11, 4.95, 5.55),
        (0.888, 0.86, 0.92), b_ratio=0.830, b_ratio_range=(0.80, 0.87), typical={"A": "Nb", "B": "Ni"},
        prefers=_LARGE_A, reference="beta Cu3Ti: Karlsson, J. Inst. Met. 79, 391 (1951)",
    ),
    _type(
        "sigma", 136, "intermetallic",
        {
            "A": [(0, 0, 0), (0.7393, 0.0661, 0)],
            "B": [(0.3986, 0.3986, 0), (0.4635, 0.1312, 0), (0.1827, 0.1827, 0.2524)],
        },
        (8.80, 8.50, 10.10), (0.520, 0.505, 0.540), typical={"A": "FeCr", "B": "FeCr"}, reference=_SIGMA,
    ),
    _type(
        "C14", 194, "intermetallic",
        {"A": [(_T, _TT, 0.062)], "B": [(0, 0, 0), (0.830, 0.660, 0.25)]}, (4.82, 4.60, 5.55),
        (1.633, 1.58, 1.68), typical={"A": "Nb", "B": "Fe"}, prefers=_LARGE_A,
        reference="MgZn2: Ohba et al., Acta Cryst. C40, 1 (1984)",
    ),
    _type(
        "C15", 227, "intermetallic", {"A": [(1 / 8, 1 / 8, 1 / 8)], "B": [(0.5, 0.5, 0.5)]}, (6.94, 6.55, 7.95),
        typical={"A": "Nb", "B": "Cr"}, prefers=_LARGE_A, origin_choice=2,
        reference="MgCu2: Friauf, J. Am. Chem. Soc. 49, 3107 (1927)",
    ),
    _type(
        "C36", 194, "intermetallic",
        {
            "A": [(0, 0, 0.094), (_T, _TT, 0.84417)],
            "B": [(_T, _TT, 0.12514), (0.5, 0, 0), (0.16429, 0.32858, 0.25)],
        },
        (4.82, 4.60, 5.55), (3.284, 3.16, 3.37), typical={"A": "Nb", "B": "Co"}, prefers=_LARGE_A,
        reference="MgNi2: Komura and Tokunaga, Acta Cryst. B36, 1548 (1980)",
    ),
    _type(
        "mu", 166, "intermetallic",
        {"A": [(0, 0, 0.167), (0, 0, 0.346), (0, 0, 0.448)], "B": [(0, 0, 0), (0.5, 0.5, 0.59)]},
        (4.757, 4.60, 5.20), (5.432, 5.20, 5.60), typical={"A": "W", "B": "Fe"}, prefers=_LARGE_A,
        reference="Fe7W6, D8_5: Arnfelt, Jernkontorets Ann. 119, 185 (1935)",
    ),
    _type(
        "chi", 217, "intermetallic",
        {
            "A": [(0, 0, 0), (0.31787, 0.31787, 0.31787)],
            "B": [(0.35706, 0.35706, 0.03457), (0.08958, 0.08958, 0.28194)],
        },
        (8.91, 8.70, 9.80), typical={"A": "Mo", "B": "Fe3Cr"}, prefers=_LARGE_A,
        reference="positions of alpha Mn, A12: Oberteuffer and Ibers, Acta Cryst. B26, 1499 (1970)",
    ),
    _type(
        "A13", 213, "intermetallic",
        {"A": [(0.06361, 0.06361, 0.06361)], "B": [(1 / 8, 0.20224, 0.45224)]}, (6.32, 6.15, 6.85),
        typical={"A": "Mn", "B": "Mn"},
        reference="beta Mn: Shoemaker et al., Acta Cryst. B34, 3573 (1978)",
    ),
    _type(
        "A15", 223, "intermetallic", {"A": [(0.25, 0, 0.5)], "B": [(0, 0, 0)]}, (4.56, 4.48, 5.35),
        typical={"A": "Cr", "B": "Si"}, prefers={"A": "early", "B": "late"},
        reference="Cr3Si: Jauch et al., J. Appl. Cryst. 20, 117 (1987)",
    ),
)  # fmt: skip

_CARBIDES = (
    _type(
        "M23C6", 225, "carbide",
        {
            "M": [(0, 0, 0), (0.25, 0.25, 0.25), (0.3809, 0.3809, 0.3809), (0, 0.1699, 0.1699)],
            "X": [(0.2765, 0, 0)],
        },
        (10.65, 10.35, 11.10), typical={"M": "Cr", "X": "C"}, prefers=_CARBIDE,
        reference="Cr23C6, D8_4: Bowman et al., Acta Cryst. B28, 3102 (1972), 10.1107/S0567740872007526",
    ),
    _type(
        "D0_11", 62, "carbide",
        {"M": [(0.036, 0.25, 0.852), (0.186, 0.063, 0.328)], "X": [(0.890, 0.25, 0.450)]}, (5.09, 4.90, 5.60),
        (0.888, 0.80, 0.92), b_ratio=1.326, b_ratio_range=(1.24, 1.40), typical={"M": "Fe", "X": "C"},
        prefers=_CARBIDE, reference="Fe3C: Herbstein and Smuts, Acta Cryst. 17, 1331 (1964)",
    ),
)  # fmt: skip

_CERAMICS = (
    _type(
        "B1", 225, "ceramic", {"M": [(0, 0, 0)], "X": [(0.5, 0.5, 0.5)]}, (4.30, 3.95, 6.70),
        typical={"M": "Fe", "X": "O"}, prefers=_COMPOUND, metallic=False,
    ),
    _type(
        "B3", 216, "ceramic", {"M": [(0, 0, 0)], "X": [(0.25, 0.25, 0.25)]}, (4.36, 3.55, 6.60),
        typical={"M": "Si", "X": "C"}, prefers=_COMPOUND, metallic=False, reference=f"SiC and ZnS: {_PEARSON}",
    ),
    _type(
        "B4", 186, "ceramic", {"M": [(_T, _TT, 0)], "X": [(_T, _TT, 0.382)]}, (3.25, 3.05, 3.60),
        (1.602, 1.57, 1.66), typical={"M": "Zn", "X": "O"}, prefers=_COMPOUND, metallic=False,
        reference="ZnO: Kisi and Elcombe, Acta Cryst. C45, 1867 (1989)",
    ),
    _type(
        "H1_1", 227, "ceramic",
        {"M": [(1 / 8, 1 / 8, 1 / 8), (0.5, 0.5, 0.5)], "X": [(0.2625, 0.2625, 0.2625)]}, (8.40, 7.95, 8.75),
        typical={"M": "Fe", "X": "O"}, prefers=_OXIDE, metallic=False, origin_choice=2,
        reference="Hill, Craig and Gibbs, Phys. Chem. Miner. 4, 317 (1979)",
    ),
    _type(
        "D5_1", 167, "ceramic", {"M": [(0, 0, 0.35216)], "X": [(0.3061, 0, 0.25)]}, (4.96, 4.70, 5.20),
        (2.741, 2.60, 2.86), typical={"M": "Cr", "X": "O"}, prefers=_OXIDE, metallic=False,
        reference="ruby: Finger and Hazen, J. Appl. Phys. 49, 5823 (1978)",
    ),
    _type(
        "C4", 136, "ceramic", {"M": [(0, 0, 0)], "X": [(0.3049, 0.3049, 0)]}, (4.594, 4.35, 4.95),
        (0.644, 0.61, 0.70), typical={"M": "Ti", "X": "O"}, prefers=_OXIDE, metallic=False,
        reference="TiO2: Swope, Smyth and Larson, Am. Mineral. 80, 448 (1995)",
    ),
    _type(
        "C43", 14, "ceramic",
        {"M": [(0.2754, 0.0395, 0.2083)], "X": [(0.0700, 0.3317, 0.3447), (0.4496, 0.7569, 0.4792)]},
        (5.1505, 5.05, 5.35), (1.0324, 1.01, 1.05), b_ratio=1.0119, b_ratio_range=(0.99, 1.03), beta_deg=99.23,
        beta_range_deg=(98.0, 100.5), typical={"M": "Zr", "X": "O"}, prefers=_OXIDE, metallic=False,
        reference="ZrO2: Howard, Hill and Reichert, Acta Cryst. B44, 116 (1988)",
    ),
    _type(
        "E2_1", 221, "ceramic", {"A": [(0, 0, 0)], "B": [(0.5, 0.5, 0.5)], "X": [(0, 0.5, 0.5)]}, (3.905, 3.65, 4.35),
        typical={"A": "Sr", "B": "Ti", "X": "O"}, prefers={**_LARGE_A, "X": "oxygen"}, metallic=False,
        reference=f"SrTiO3: {_PEARSON}",
    ),
    _type(
        "A4", 227, "standard", {"M": [(1 / 8, 1 / 8, 1 / 8)]}, (5.431, 3.55, 6.50), typical={"M": "Si"},
        prefers={"M": "typical"}, metallic=False, origin_choice=2, reference="Si: NIST SRM 640f",
    ),
    _type(
        "D2_1", 221, "standard", {"M": [(0, 0, 0)], "X": [(0.1996, 0.5, 0.5)]}, (4.157, 4.07, 4.30),
        typical={"M": "La", "X": "B"}, prefers={"M": "typical", "X": "typical"}, metallic=False,
        reference="a of LaB6: NIST SRM 660c; boron from B-B of 1.766 A in the octahedron",
    ),
)  # fmt: skip

_PROTOTYPES = {p.name: p for p in (*_SOLID_SOLUTIONS, *_ORDERED, *_INTERMETALLICS, *_CARBIDES, *_CERAMICS)}


def prototype(name: str) -> Prototype:
    """Get a structure type by its Strukturbericht name.

    >>> prototype("A2").space_group
    229
    """
    if name not in _PROTOTYPES:
        raise unknown_name("structure", name, _PROTOTYPES)
    return _PROTOTYPES[name]


def prototype_names() -> tuple[str, ...]:
    """List the structure types that are known."""
    return tuple(_PROTOTYPES)


def as_prototype(structure: str | Prototype) -> Prototype:
    """Look up a name; hand a structure type back as it is."""
    return structure if isinstance(structure, Prototype) else prototype(structure)


def expanded_sites(structure: str | Prototype) -> tuple[np.ndarray, tuple[str, ...]]:
    """Expand the sites of a type to read-only fractional positions (n, 3) and the sublattice of each.

    >>> expanded_sites("B2")[1]
    ('A', 'B')
    """
    return expand(as_prototype(structure))


def atoms_per_cell(structure: str | Prototype) -> int:
    """Count the atoms in the conventional cell of a type.

    >>> [atoms_per_cell(n) for n in ("A1", "A2", "A3", "B2", "L1_2", "B1", "C14", "C15", "sigma")]
    [4, 2, 2, 2, 4, 8, 12, 24, 30]
    """
    return len(expanded_sites(structure)[0])


def cell_of(
    structure: str | Prototype,
    a_A: float | None = None,
    b_A: float | None = None,
    c_A: float | None = None,
    beta_deg: float | None = None,
) -> np.ndarray:
    """Build the lattice vectors (3, 3) in Angstrom of a type.

    What is left out follows from a by the ratios of the type; b and c of a cubic cell, and b of a tetragonal or
    hexagonal one, are a whatever is said. The angle beta counts for monoclinic cells only.

    >>> cell_of("L1_0", 2.54, c_A=3.60).diagonal()
    array([2.54, 2.54, 3.6 ])
    """
    kind = as_prototype(structure)
    a = kind.a_A if a_A is None else a_A
    b = a * kind.b_ratio if b_A is None else b_A
    c = a * kind.axial_ratio if c_A is None else c_A
    beta = kind.beta_deg if beta_deg is None else beta_deg
    if not all(0 < x < np.inf for x in (a, b, c)) or not 0 < beta < 180:
        raise InputError(
            f"lattice parameters a = {a}, b = {b}, c = {c} A, beta = {beta} deg of {kind.name}; wanted positive"
            " numbers and an angle between 0 and 180"
        )
    if kind.system in ("cubic", "tetragonal", "hexagonal"):
        return cell_vectors(kind.system, a, a if kind.system == "cubic" else c)
    cell = np.diag([a, b, c]).astype(float)
    if kind.system == "monoclinic":
        cell[2] = [c * np.cos(np.radians(beta)), 0.0, c * np.sin(np.radians(beta))]
    return cell
