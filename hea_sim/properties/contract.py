"""What models from composition to phase and property take and give.

| symbol | in code |
|---|---|
| atomic fractions of n alloys over E elements | `AlloyBatch.fractions` (n, E), rows sum to 1 |
| structure: one such phase alone, or anything else | `STRUCTURES` |
| solid solution, with intermetallic, intermetallic, amorphous | `FAMILIES` |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError, unknown_name
from hea_sim.records import Estimate

STRUCTURES = ("BCC", "FCC", "HCP", "multi")
FAMILIES = ("SS", "SS+IM", "IM", "AM")
#: Makings that the tables tell apart; "other" where a source does not say.
PROCESSINGS = ("cast", "annealed", "wrought", "powder", "other")
#: Words by which a description of the making is told; the first that is found counts.
_MAKING_WORDS = {
    "powder": ("powder", "sinter", "sps", "mill", "hip"),
    "wrought": ("wrought", "rolled", "forged", "extruded", "swaged"),
    "annealed": ("anneal", "homogeni", "aged", "heat treat", "solution treat"),
    "cast": ("cast", "melt", "solidif"),
}
#: Unit of each property by its name, which carries it.
PROPERTY_UNITS: Mapping[str, str] = {"hardness_HV": "HV", "yield_strength_MPa": "MPa", "youngs_modulus_GPa": "GPa"}
#: Name of each property in words.
PROPERTY_NAMES: Mapping[str, str] = {
    "hardness_HV": "Vickers hardness",
    "yield_strength_MPa": "yield strength",
    "youngs_modulus_GPa": "Young's modulus",
}
#: Temperature of a measurement at room temperature.
ROOM_TEMPERATURE_K = 298.15


def processing_kind(text: str) -> str:
    """Tell which of `PROCESSINGS` a description means: of several, that which stands first in `_MAKING_WORDS`.

    >>> processing_kind("arc-melted, cold-rolled, annealed at 1300 K"), processing_kind("as cast"), processing_kind("")
    ('wrought', 'cast', 'other')
    """
    words = text.lower()
    return next((kind for kind, signs in _MAKING_WORDS.items() if any(sign in words for sign in signs)), "other")


@dataclass(frozen=True, kw_only=True, eq=False)
class AlloyBatch:
    """Hold many alloys at once.

    `elements` names the columns of `fractions` (n, E), atomic fractions whose rows sum to 1; `processing` is one of
    `PROCESSINGS` for all or one for each; `temperature_K` (n,) or one number is that of the property asked for.
    """

    elements: tuple[str, ...]
    fractions: np.ndarray
    processing: str | Sequence[str] = "other"
    temperature_K: float | np.ndarray = ROOM_TEMPERATURE_K

    def __post_init__(self) -> None:
        x = np.asarray(self.fractions, float)
        if x.ndim != 2 or x.shape[1] != len(self.elements):
            raise InputError(f"fractions of shape {x.shape} for {len(self.elements)} elements; wanted (n, elements)")
        if len(set(self.elements)) != len(self.elements):
            raise InputError(f"elements {self.elements} repeat one; wanted each once")
        if not np.isfinite(x).all() or (x < -1e-12).any():
            raise InputError("fractions hold numbers below zero or not finite; wanted atomic fractions")
        if x.size and abs(x.sum(1) - 1).max() > 1e-6:
            row = int(np.argmax(abs(x.sum(1) - 1)))
            raise InputError(f"fractions of alloy {row + 1} sum to {x[row].sum():.6g}; wanted 1: divide by the sum")
        told = {self.processing} if isinstance(self.processing, str) else set(self.processing)
        if strange := sorted(told - set(PROCESSINGS)):
            raise InputError(f"processing '{strange[0]}'; wanted one of {', '.join(PROCESSINGS)}")
        if not (np.asarray(self.temperature_K) > 0).all():
            raise InputError("temperature_K is not above zero; wanted kelvin")
        object.__setattr__(self, "fractions", x)

    @classmethod
    def of(
        cls,
        alloys: Sequence[Composition | str],
        *,
        processing: str | Sequence[str] = "other",
        temperature_K: float | np.ndarray = ROOM_TEMPERATURE_K,
    ) -> AlloyBatch:
        """Gather compositions.

        >>> AlloyBatch.of(["NbMo", "MoTa3"]).elements
        ('Mo', 'Nb', 'Ta')
        """
        parsed = [Composition.parse(alloy) for alloy in alloys]
        elements = tuple(sorted({e for alloy in parsed for e in alloy.elements}))
        x = np.array([[dict(alloy).get(e, 0.0) for e in elements] for alloy in parsed])
        return cls(
            elements=elements,
            fractions=x.reshape(len(parsed), len(elements)),
            processing=processing,
            temperature_K=temperature_K,
        )

    def __len__(self) -> int:
        return len(self.fractions)


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchPrediction:
    """Hold what is predicted of n alloys.

    `structure` and `family` (n, 4) are probabilities in the order of `STRUCTURES` and `FAMILIES`; `structure_set` and
    `family_set` (n, 4) tell which classes the prediction set of probability `level` holds; `properties` maps a name of
    `PROPERTY_UNITS` to (n, 3): value, low, high; `in_domain` (n,).
    """

    structure: np.ndarray
    family: np.ndarray
    structure_set: np.ndarray
    family_set: np.ndarray
    properties: Mapping[str, np.ndarray]
    in_domain: np.ndarray
    level: float = 0.9


@dataclass(frozen=True, kw_only=True)
class ClassCall:
    """Hold probabilities of classes, and the set of classes that holds the truth with probability `level`.

    `call` is the class that is raised most above its share among known alloys, "" where nobody says.
    """

    probabilities: Mapping[str, float]
    prediction_set: tuple[str, ...]
    level: float = 0.9
    call: str = ""


@dataclass(frozen=True, kw_only=True)
class KnownAlloy:
    """Hold a known alloy that a prediction leans on.

    `distance` is the sum of absolute differences of atomic fractions; `reported` says what is known of it.
    """

    formula: str
    distance: float
    reported: Mapping[str, Any]
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class AlloyPrediction:
    """Hold what is predicted of one alloy; where it is not `in_domain`, `reasons` say why and nothing else is told."""

    input: str
    composition: Composition
    processing: str
    temperature_K: float
    in_domain: bool
    structure: ClassCall | None = None
    family: ClassCall | None = None
    properties: Mapping[str, Estimate] = field(default_factory=dict)
    leans_on: tuple[KnownAlloy, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MeasuredAlloy:
    """Hold one measured alloy, to be learnt from; what was not measured stays None.

    A negative ("this is not BCC") lists the structures that were ruled out in `not_structures`.
    """

    composition: Composition
    structure: str | None = None
    family: str | None = None
    not_structures: tuple[str, ...] = ()
    properties: Mapping[str, float] = field(default_factory=dict)
    processing: str = "other"
    temperature_K: float = ROOM_TEMPERATURE_K
    source: str = ""

    def __post_init__(self) -> None:
        told = (("structure", self.structure, STRUCTURES), ("family", self.family, FAMILIES))
        ruled_out = [("structure", name, STRUCTURES) for name in self.not_structures]
        for what, name, known in (*told, *ruled_out):
            if name is not None and name not in known:
                raise unknown_name(what, name, known)
        formula = self.composition.formula
        if self.structure in self.not_structures:
            raise InputError(f"{formula} is told to be {self.structure} and not to be; wanted one of the two")
        if set(self.not_structures) == set(STRUCTURES):
            raise InputError(f"{formula}: every structure is ruled out; wanted at least one of them left")
        for name, value in (*self.properties.items(), ("temperature_K", self.temperature_K)):
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{formula}: {name} is {value}; wanted a number above zero in the unit of its name")


@runtime_checkable
class PropertyPredictor(Protocol):
    """Predict phase and properties of alloys, and learn from measured ones."""

    @property
    def elements(self) -> tuple[str, ...]:
        """Give the elements that can be predicted."""
        ...

    def predict_batch(self, alloys: AlloyBatch, *, level: float = 0.9) -> BatchPrediction:
        """Predict many alloys at once; sets and intervals hold the truth with probability `level`."""
        ...

    def predict(
        self,
        alloys: Sequence[Composition | str],
        *,
        processing: str = "other",
        temperature_K: float = ROOM_TEMPERATURE_K,
        level: float = 0.9,
    ) -> list[AlloyPrediction]:
        """Predict alloys one by one, each with its reasons and the known alloys it leans on."""
        ...

    def learn(self, measured: Sequence[MeasuredAlloy]) -> PropertyPredictor:
        """Give a predictor that has seen these alloys too; negatives included."""
        ...
