"""Lattice parameter of an alloy at a measuring temperature from a pair model, corrected by its elements.

| symbol | here | unit |
|---|---|---|
| V_m(c, alpha), model volume with p_ij = c_i c_j (1 - alpha_ij) | `model_volume_A3` | A^3/atom |
| r_i, measured over the model's lattice parameter of element i | `element_offsets` | 1 |

What is done with the offsets stands in `hea_sim.element_offsets`.
"""

from __future__ import annotations

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.element_offsets import (
    REFERENCE_TEMPERATURE_K,
    ElementOffset,
    element_offset,
    referenced_lattice_parameter,
)
from hea_sim.errors import InputError
from hea_sim.lattice.pairs import PairModel
from hea_sim.lattice.shells import sites_per_cell
from hea_sim.records import Estimate


def element_offsets(model: PairModel) -> dict[str, ElementOffset]:
    """Give for each species the measured over the model's lattice parameter, with its relative std."""
    return {
        element: element_offset(element, float(volume), structure=model.lattice)
        for element, volume in zip(model.species, model.reference_volume_A3, strict=True)
    }


def fractions_of(model: PairModel, composition: Composition) -> np.ndarray:
    """Order the fractions of an alloy by the model's species."""
    model.indices(composition.elements)
    return np.array([composition.get(element, 0.0) for element in model.species])


def model_volume_A3(model: PairModel, fractions: np.ndarray, warren_cowley: np.ndarray | None = None) -> float:
    """Compute the model's volume per atom; without Warren-Cowley parameters, for the random alloy."""
    pairs = np.repeat(np.outer(fractions, fractions)[None], model.n_shells, axis=0)
    if warren_cowley is not None:
        order = np.asarray(warren_cowley, float)
        if order.ndim != 3 or order.shape[1:] != pairs.shape[1:]:
            n = len(model.species)
            raise InputError(
                f"Warren-Cowley parameters: got shape {order.shape}, wanted (shells, {n}, {n}) for"
                f" {', '.join(model.species)}"
            )
        if np.abs(np.nan_to_num(order) @ fractions).max(initial=0.0, where=fractions > 0) > 0.05:
            raise InputError("Warren-Cowley parameters break the sum rule sum_j c_j alpha_ij = 0 of this composition")
        here = min(len(order), len(pairs))
        pairs[:here] *= 1 - np.nan_to_num(order[:here])
    return model.volume_from_pairs_A3(pairs)


def predict_lattice_parameter(
    model: PairModel,
    composition: Composition,
    warren_cowley: np.ndarray | None = None,
    temperature_K: float = REFERENCE_TEMPERATURE_K,
) -> Estimate:
    """Predict the lattice parameter of an alloy at a measuring temperature, with its model_std.

    `warren_cowley` (shells, species, species) is in the order of the model's species. The std joins, in quadrature,
    the jackknife over elements, the std of extrapolated elements, the cross-validated error of the volume fit, and the
    shift by relaxation where the model was fitted to unrelaxed cells.
    """
    volume = model_volume_A3(model, fractions_of(model, composition), warren_cowley)
    order = "random" if warren_cowley is None else "simulated order"
    return referenced_lattice_parameter(
        composition,
        (sites_per_cell(model.lattice) * volume) ** (1 / 3),
        element_offsets(model),
        structure=model.lattice,
        temperature_K=temperature_K,
        parts={
            "volume fit": model.volume_std_A3 / volume / 3,
            "relaxation": abs(model.volume_relaxation_A3) / volume / 3,
        },
        model=f"{model.name}, {order}",
    )
