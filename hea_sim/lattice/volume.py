"""Room-temperature lattice parameter of an alloy from a pair model, corrected by what is known of its elements.

| symbol | here | unit |
|---|---|---|
| V_m(c, alpha), model volume with p_ij = c_i c_j (1 - alpha_ij) | `model_volume_A3` | A^3/atom |
| r_i = a_i(measured, 298 K) / a_i(model) | `element_offsets` | |
| a(298 K) = a_m sum_i c_i r_i | `predict_lattice_parameter` | A |
| a(T) = a(298 K) (1 + sum_i c_i beta_i (T - 298 K)) | `predict_lattice_parameter` | A |

The offsets hold the error of the functional and the thermal expansion from the model's 0 K to 298 K together: both are
seen in the elements. That the alloy's offset is the mean of its elements' is an assumption; how far it may fail is
judged by leaving each element out in turn (jackknife), because elements that scatter leave a mean that is poorly known.
"""

from __future__ import annotations

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.elements import elemental_state, thermal_expansion_per_K
from hea_sim.errors import InputError
from hea_sim.lattice.pairs import PairModel
from hea_sim.lattice.shells import sites_per_cell
from hea_sim.records import Estimate

REFERENCE_TEMPERATURE_K = 298.0
#: Relative std of a of an alloy whose elements all have the same offset: the root mean square deviation of predictions
#: from measured Nb-Mo, Mo-W and Nb-Mo-Ta-W alloys is 0.16 % (tests/sim/test_lattice_models.py recomputes it).
#: Those three values are not confirmed (hea_sim.elements.SOLID_SOLUTIONS), and the specimens need not be equiatomic.
ALLOY_STD_OF_A = 0.002


def element_offsets(model: PairModel) -> dict[str, tuple[float, float]]:
    """Give for each species the measured over the model's lattice parameter, with its relative std."""
    offsets = {}
    for element, volume in zip(model.species, model.reference_volume_A3, strict=True):
        state = elemental_state(element, structure=model.lattice)
        a_model = (sites_per_cell(model.lattice) * float(volume)) ** (1 / 3)
        offsets[element] = (state.a_A / a_model, state.a_std_A / state.a_A)
    return offsets


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
    model: PairModel, composition: Composition, warren_cowley: np.ndarray | None = None, temperature_K: float = 298.0
) -> Estimate:
    """Predict the lattice parameter of an alloy at a measuring temperature, with its model_std.

    `warren_cowley` (shells, species, species) is in the order of the model's species. The std joins, in quadrature,
    the jackknife over elements, the std of extrapolated elements, the cross-validated error of the volume fit, and the
    shift by relaxation where the model was fitted to unrelaxed cells.
    """
    if not 0 < temperature_K < 4000:
        raise InputError(f"temperature {temperature_K} K; wanted a number between 0 and 4000")
    c = fractions_of(model, composition)
    volume = model_volume_A3(model, c, warren_cowley)
    a_model = (sites_per_cell(model.lattice) * volume) ** (1 / 3)
    offsets = element_offsets(model)
    ratio = np.array([offsets[e][0] for e in model.species])
    own = np.array([offsets[e][1] for e in model.species])
    mean = float(c @ ratio)
    expansion = thermal_expansion_per_K(composition, structure=model.lattice)
    a = a_model * mean * (1 + expansion * (temperature_K - REFERENCE_TEMPERATURE_K))
    parts = {
        "elements left out": _jackknife(c, ratio),
        "element references": float(np.sqrt(((c * own) ** 2).sum())),
        "volume fit": model.volume_std_A3 / volume / 3,
        "measured alloys": ALLOY_STD_OF_A if np.count_nonzero(c) > 1 else 0.0,
        "relaxation": abs(model.volume_relaxation_A3) / volume / 3,
    }
    std = a * float(np.sqrt(sum(part**2 for part in parts.values())))
    said = ", ".join(f"{name} {a * part:.4f}" for name, part in parts.items())
    order = "random" if warren_cowley is None else "simulated order"
    return Estimate.normal(
        a,
        std,
        unit="A",
        method=(
            f"{model.name}, {order}: {a_model:.4f} A times the element-referenced offset {mean:.4f} (measured over"
            f" model, by composition), {temperature_K:g} K; std (model_std) from {said} A"
        ),
    )


def _jackknife(c: np.ndarray, ratio: np.ndarray) -> float:
    """Compute the standard error of the composition-weighted mean offset by leaving one element out in turn.

    A pure element is its own reference: it has no such error.
    """
    present = c > 0
    n = int(present.sum())
    if n < 2:
        return 0.0
    mean = float(c @ ratio)
    left_out = np.array([(mean - c[k] * ratio[k]) / (1 - c[k]) for k in np.flatnonzero(present)])
    # Weighted by c, so that a trace element's absence does not count as one of n equals.
    return float(np.sqrt((n - 1) * (c[present] * (left_out - mean) ** 2).sum()))
