"""Lattice parameter of an alloy at a measuring temperature: a model's, corrected by what is known of its elements.

| symbol | here | unit |
|---|---|---|
| r_i = (V_i(measured, 298 K) / V_i(model))^(1/3) | `element_offset` | 1 |
| a(298 K) = a_model sum_i c_i r_i | `referenced_lattice_parameter` | A |
| a(T) = a(298 K) (1 + sum_i c_i beta_i (T - 298 K)) | `referenced_lattice_parameter` | A |

The model may be anything that gives volumes at 0 K: a pair model, a potential. The offsets hold the error of its
functional and the thermal expansion from 0 K to 298 K together: both are seen in the elements. That the alloy's offset
is the mean of its elements' is an assumption; how far it may fail is judged by leaving each element out in turn
(jackknife), because elements that scatter leave a mean that is poorly known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.elements import elemental_state, thermal_expansion_per_K
from hea_sim.errors import InputError
from hea_sim.records import Estimate

REFERENCE_TEMPERATURE_K = 298.0
#: Relative std of a of an alloy whose elements all have the same offset: the root mean square deviation of predictions
#: from measured Nb-Mo, Mo-W and Nb-Mo-Ta-W alloys is 0.16 % (tests/sim/test_lattice_models.py recomputes it).
#: With the published SNAP and MTP of Nb-Mo-Ta-W in place of the pair model it is 0.22 and 0.24 %.
#: Those three values are not confirmed (hea_sim.elements.SOLID_SOLUTIONS), and the specimens need not be equiatomic.
ALLOY_STD_OF_A = 0.002


class ElementOffset(NamedTuple):
    """Hold the measured (298 K) over the model's lattice parameter of an element, with its relative std."""

    ratio: float
    relative_std: float


def element_offset(element: str, volume_A3: float, *, structure: str) -> ElementOffset:
    """Hold the measured volume per atom of an element in a structure against a model's; raise where none is known."""
    state = elemental_state(element, structure=structure)
    return ElementOffset((state.volume_A3 / volume_A3) ** (1 / 3), state.volume_std_A3 / (3 * state.volume_A3))


def referenced_lattice_parameter(
    composition: Composition,
    a_model_A: float,
    offsets: Mapping[str, ElementOffset],
    *,
    structure: str,
    temperature_K: float,
    parts: Mapping[str, float],
    model: str,
    alloy_std: float = ALLOY_STD_OF_A,
) -> Estimate:
    """Predict the lattice parameter of an alloy at a measuring temperature, with its model_std.

    Parameters
    ----------
    a_model_A
        Edge of the cubic cell that the model gives the alloy at 0 K.
    offsets
        Of every element of the alloy, from the same model.
    structure
        Structure of the alloy, "A1" or "A2": elements expand as in it where that is known.
    parts
        Relative standard deviations of a that the model states of itself, by name; they are joined in quadrature with
        the jackknife over elements, the std of the element references, and `alloy_std`.
    model
        What the model is called, for the text of the method.
    alloy_std
        Relative std of a of an alloy whose elements all have the same offset, as measured alloys show it of this kind
        of model.
    """
    if not 0 < temperature_K < 4000:
        raise InputError(f"temperature {temperature_K} K; wanted a number between 0 and 4000")
    missing = [element for element in composition if element not in offsets]
    if missing:
        raise InputError(f"{model}: no offset of {', '.join(missing)}; wanted one for each of {composition.formula}")
    c = np.array([composition[element] for element in composition])
    ratio, own = np.array([offsets[element] for element in composition]).T
    mean = float(c @ ratio)
    expansion = thermal_expansion_per_K(composition, structure=structure)
    a = a_model_A * mean * (1 + expansion * (temperature_K - REFERENCE_TEMPERATURE_K))
    every = {
        "elements left out": _jackknife(c, ratio / mean),
        "element references": float(np.sqrt(((c * own) ** 2).sum())),
        "measured alloys": alloy_std if len(c) > 1 else 0.0,
        **parts,
    }
    std = a * float(np.sqrt(sum(part**2 for part in every.values())))
    said = ", ".join(f"{name} {a * part:.4f}" for name, part in every.items())
    return Estimate.normal(
        a,
        std,
        unit="A",
        method=(
            f"{model}: {a_model_A:.4f} A times the element-referenced offset {mean:.4f} (measured over model, by"
            f" composition), {temperature_K:g} K; std (model_std) from {said} A"
        ),
    )


def _jackknife(c: np.ndarray, ratio: np.ndarray) -> float:
    """Compute the standard error of the mean of relative offsets, weighted by composition.

    Of equal fractions this is the jackknife; a trace element, or the rest beside one that is nearly all, counts little.
    A pure element is its own reference: it has no such error.
    """
    n = len(c)
    if n < 2:
        return 0.0
    mean = float(c @ ratio)
    return float(np.sqrt(n / (n - 1) * ((c * (ratio - mean)) ** 2).sum()))
