"""What walks on a lattice share whatever moves them: their temperature, their state as arrays, their cell as atoms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from hea_sim.lattice.contract import LatticeModel
from hea_sim.sampling.settings_check import check_same_walk, check_temperature, walk_identity


class OnLattice(Protocol):
    """What is kept of a walk on a lattice, besides what its kind alone has."""

    temperature_K: float
    trials: int
    accepted: int
    _key: np.uint64
    _place: np.uint64

    @property
    def occupation(self) -> np.ndarray:
        """Species indices (sites,)."""


class BathTemperature:
    """Hold the temperature of a walk, which may be set at any time to a positive number."""

    def __get__(self, walk: Any, kind: type | None = None) -> float:
        """Give the temperature in K."""
        return float(walk._temperature_K)

    def __set__(self, walk: Any, value: float) -> None:
        """Set the temperature in K; InputError where it is none."""
        walk._temperature_K = check_temperature(value)


def kept_state(walk: OnLattice, settings: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Give what the future of a walk depends on; `settings` say which walk it is."""
    return {
        "walk": walk_identity(settings),
        "occupation": walk.occupation.copy(),
        "temperature_K": np.array(walk.temperature_K),
        "counters": np.array([walk.trials, walk.accepted], np.int64),
        "stream": np.array([walk._key, walk._place], np.uint64),
    }


def restore_state(walk: OnLattice, state: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> np.ndarray:
    """Bring a walk back to a kept state, but for its occupation, which is given back; InputError for another walk's."""
    check_same_walk(state, settings)
    walk.temperature_K = float(state["temperature_K"])
    walk.trials, walk.accepted = (int(n) for n in state["counters"])
    walk._key, walk._place = np.asarray(state["stream"], np.uint64)
    return np.asarray(state["occupation"])


def cell_of(model: LatticeModel, occupation: np.ndarray, size: Sequence[int], a_A: float | None) -> Any:
    """Build the `ase.Atoms` of a walk; without a lattice parameter, at the volume of the elements."""
    if a_A is not None:
        return model.atoms(occupation, size, a_A)
    from hea_sim.elements import vegard_volume_A3

    unit = float(model.atoms(occupation, size, 1.0).get_volume())
    amounts = np.bincount(occupation, minlength=len(model.species))
    volume = vegard_volume_A3({e: float(n) for e, n in zip(model.species, amounts, strict=True) if n > 0})
    return model.atoms(occupation, size, (len(occupation) * volume.value / unit) ** (1 / 3))
