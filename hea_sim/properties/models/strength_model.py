"""From descriptors, making and temperature to hardness and yield strength: trees, with intervals from held-out papers.

Hardness and strength of all temperatures teach one forest of log stress, a hardness counting as three times the flow
stress (Tabor, The Hardness of Metals, 1951): H / MPa = 9.807 HV, so that stress / MPa = 3.27 HV.

| symbol | in code |
|---|---|
| log of stress in MPa | what the joint forest learns |
| descriptors, one column a processing, tension or not, T / K, T / T_m, hardness or not | `strength_inputs` |

A second forest learns hardness alone, from the descriptors: a sixth of its lines do not state the making.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

from hea_sim.properties.contract import PROCESSINGS
from hea_sim.properties.descriptors import descriptor_names
from hea_sim.properties.models.forests import FlatForest

TREES = 100
#: Stress in MPa of a Vickers hardness of one.
MPA_PER_HV = 9.807 / 3
#: Share of the descriptors that a split of a tree may choose from.
_CHOSEN = 0.3
#: Columns of `strength_inputs` after the descriptors, and that of the mean melting point among those.
_MORE = len(PROCESSINGS) + 4
_MELTING = descriptor_names().index("melting_temperature")


def strength_inputs(
    descriptors: np.ndarray,
    processing: str | Sequence[str] | np.ndarray,
    temperature_K: float | np.ndarray,
    *,
    tension: np.ndarray | bool = False,
    hardness: np.ndarray | bool = False,
) -> np.ndarray:
    """Join what trees see (n, d + 9): descriptors, making, kind of test, T, T over melting point, kind of property."""
    n = len(descriptors)
    kelvin = np.broadcast_to(np.asarray(temperature_K, float), n)
    homologous = kelvin / descriptors[:, _MELTING]
    made = np.full(n, processing) if isinstance(processing, str) else np.asarray(processing)
    more = [(made == kind).astype(float) for kind in PROCESSINGS]
    more += [np.broadcast_to(np.asarray(c, float), n) for c in (tension, kelvin, homologous, hardness)]
    return np.column_stack([descriptors, *more])


def fit_number_forest(
    x: np.ndarray, values: np.ndarray, *, weights: np.ndarray | None = None, seed: int = 0, trees: int = TREES
) -> FlatForest:
    """Fit trees to inputs (n, d) and numbers (n,)."""
    forest = ExtraTreesRegressor(trees, max_features=_CHOSEN, random_state=seed, n_jobs=1)
    return FlatForest.of(forest.fit(x, values, sample_weight=weights))


@dataclass(frozen=True, kw_only=True, eq=False)
class StrengthForests:
    """Hold the joint forest of log stress and the forest of hardness alone."""

    joint: FlatForest
    hardness: FlatForest

    @classmethod
    def fit(
        cls,
        hardness_x: np.ndarray,
        hardness_HV: np.ndarray,
        strength_x: np.ndarray,
        strength_MPa: np.ndarray,
        *,
        hardness_weights: np.ndarray | None = None,
        strength_weights: np.ndarray | None = None,
        seed: int = 0,
        trees: int = TREES,
    ) -> StrengthForests:
        """Fit to lines of hardness (n, d) and strength (m, d), whose inputs `strength_inputs` made."""
        logs = np.log(np.concatenate([MPA_PER_HV * hardness_HV, strength_MPa]))
        weights = np.concatenate([_weights(hardness_weights, hardness_HV), _weights(strength_weights, strength_MPa)])
        return cls(
            joint=fit_number_forest(np.vstack([hardness_x, strength_x]), logs, weights=weights, seed=seed, trees=trees),
            hardness=fit_number_forest(
                hardness_x[:, :-_MORE], hardness_HV, weights=hardness_weights, seed=seed, trees=trees
            ),
        )

    def hardness_HV(self, x: np.ndarray) -> np.ndarray:
        """Predict hardness (n,): the mean of both forests."""
        return (np.exp(self.joint.predict(x)[:, 0]) / MPA_PER_HV + self.hardness.predict(x[:, :-_MORE])[:, 0]) / 2

    def strength_MPa(self, x: np.ndarray) -> np.ndarray:
        """Predict yield strength (n,)."""
        return np.exp(self.joint.predict(x)[:, 0])


def _weights(given: np.ndarray | None, values: np.ndarray) -> np.ndarray:
    return np.ones(len(values)) if given is None else given
