"""What the theories of strength take of one alloy, from element tables or from the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError
from hea_sim.properties.strengthening.element_inputs import SHEAR_STD, ElementInput, element_inputs
from hea_sim.records import Estimate


@dataclass(frozen=True, kw_only=True)
class SolutionInputs:
    """Hold the inputs of one alloy.

    `volumes_A3` by element: the volume that one of its atoms takes in this alloy, with its error; `shear_GPa` and
    `poisson` of the alloy: in bcc sqrt(C44 (C11 - C12) / 2) and the ratio that goes with it, in fcc those of a
    polycrystal. `sources` say where each is from.
    """

    structure: str
    fractions: Mapping[str, float]
    volumes_A3: Mapping[str, Estimate]
    shear_GPa: Estimate
    poisson: float
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if missing := [element for element in self.fractions if element not in self.volumes_A3]:
            raise InputError(f"no volume of {', '.join(missing)}; give volumes_A3 for every element of the alloy")
        if not -1 < self.poisson < 0.5:
            raise InputError(f"Poisson's ratio {self.poisson:g}; wanted below 0.5 and above -1")
        if not self.shear_GPa.value > 0:
            raise InputError(f"shear modulus {self.shear_GPa.value:g} GPa; wanted above 0: is the crystal stable?")


def inputs_from_tables(alloy: Composition | str, structure: str) -> SolutionInputs:
    """Take volumes and stiffness of an alloy on a lattice from its elements by Zen's rule and the rule of mixtures.

    Raises InputError where the tables lack an element on that lattice.

    >>> found = inputs_from_tables("CoCrFeNi", "A1")
    >>> round(found.volumes_A3["Cr"].value, 2), round(found.shear_GPa.value)
    (12.27, 87)
    """
    composition = Composition.parse(alloy)
    table = element_inputs(structure)
    if missing := [element for element in composition if element not in table]:
        raise InputError(
            f"no volume and stiffness of {', '.join(missing)} on {structure}; known there: {', '.join(sorted(table))}."
            " Give SolutionInputs of your own, or take them from a potential (inputs_from_potential)"
        )
    chosen = {element: table[element] for element in composition}
    shear, poisson = mixed_moduli(np.array([list(composition.values())]), list(chosen.values()), structure)
    value = float(shear[0])
    return SolutionInputs(
        structure=structure,
        fractions=dict(composition),
        volumes_A3={e: _volume(one) for e, one in chosen.items()},
        shear_GPa=Estimate.normal(value, SHEAR_STD * value, unit="GPa", method="rule of mixtures of the elements"),
        poisson=float(poisson[0]),
        sources=tuple(one.source for one in chosen.values()),
    )


def _volume(one: ElementInput) -> Estimate:
    return Estimate.normal(one.volume_A3, one.volume_std_A3, unit="A^3", method=one.source)


def mixed_moduli(fractions: np.ndarray, elements: list[ElementInput], structure: str) -> tuple[np.ndarray, np.ndarray]:
    """Average stiffness by atomic fraction; give shear modulus (n,) in GPa and Poisson's ratio (n,)."""
    mean = fractions @ np.array([one.stiffness_GPa for one in elements])
    if structure == "A2":
        return moduli_of_cubic(mean[:, 0], mean[:, 1], mean[:, 2])
    return mean[:, 1], poisson_of(mean[:, 0], mean[:, 1])


def moduli_of_cubic(c11: np.ndarray, c12: np.ndarray, c44: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give sqrt(C44 (C11 - C12) / 2), the geometric mean of the two shears of a cubic crystal, and Poisson's ratio."""
    shear = np.sqrt(np.maximum(0.5 * c44 * (c11 - c12), 0.0))
    return shear, poisson_of((c11 + 2 * c12) / 3, shear)


def poisson_of(bulk_GPa: np.ndarray, shear_GPa: np.ndarray) -> np.ndarray:
    """Give Poisson's ratio of an isotropic solid.

    >>> round(float(poisson_of(166.7, 76.9)), 2)
    0.3
    """
    return (3 * bulk_GPa - 2 * shear_GPa) / (2 * (3 * bulk_GPa + shear_GPa))
