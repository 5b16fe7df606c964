"""The pattern labeller as an estimator in the manner of scikit-learn, which it does not need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals import Prototype, prototype
from hea_sim.errors import InputError, UnknownNameError
from hea_sim.records import Pattern, PatternCall
from hea_vision.io.patterns import pattern_from_arrays
from hea_vision.xrd.classify import DEFAULT_LABELLER, PATTERN_LABELLERS, classify_pattern

if TYPE_CHECKING:
    from sklearn.utils import Tags

_PARAMETERS = ("model", "elements", "radiation", "structures", "level")
#: Sets are calibrated at this level; smaller ones are cut from them.
_CALIBRATED_LEVEL = 0.99


class PhaseClassifier:
    """Label powder patterns with sets of phases.

    `X` is a sequence of `Pattern`, or of pairs (two_theta_deg, intensity), for which `radiation` must be given. Labels
    are sets of fundamental lattices: a tuple of names ("A1", "A2"), or text "A1+A2"; an ordered name such as B2 counts
    as its lattice, because `predict_set` is where order is told.

    Nothing is retrained: `fit` looks up the structure types and checks labels.

    Parameters
    ----------
    model, elements, radiation, structures
        As for `hea_vision.classify_pattern`, common to all patterns.
    level
        Of the sets of `predict_set`, at most 0.99.

    Attributes
    ----------
    classes_
        Names of the structure types, sorted; the columns of `predict_proba`.
    """

    _estimator_type = "classifier"

    def __init__(
        self,
        *,
        model: str = DEFAULT_LABELLER,
        elements: str | Sequence[str] | Composition | None = None,
        radiation: str | float | None = None,
        structures: Sequence[str | Prototype] | None = None,
        level: float = _CALIBRATED_LEVEL,
    ) -> None:
        self.model = model
        self.elements = elements
        self.radiation = radiation
        self.structures = structures
        self.level = level

    def fit(self, X: Iterable[Any], y: Iterable[Any] | None = None) -> PhaseClassifier:
        """Look up the structure types, and check the labels where they are given; the labeller is not retrained."""
        if not 0 < self.level <= _CALIBRATED_LEVEL:
            raise InputError(f"level {self.level}; wanted a number above 0, at most {_CALIBRATED_LEVEL}")
        names = _known_types(self.model, self.structures)
        if y is not None:
            n, labels = len(list(X)), [_label(one, names) for one in y]
            if len(labels) != n:
                raise InputError(f"{len(labels)} labels for {n} patterns; wanted one for each")
        self.classes_ = np.array(sorted(names))
        return self

    def predict(self, X: Iterable[Any]) -> list[tuple[str, ...]]:
        """Name the phases of each pattern, sorted; an empty tuple where the pattern is refused."""
        return [_found(call) for call in self.classify(X)]

    def predict_proba(self, X: Iterable[Any]) -> np.ndarray:
        """Give the probability (patterns, classes) that each structure type is there; rows do not sum to one.

        A refused pattern keeps those of its candidates.
        """
        calls = self.classify(X)
        out = np.zeros((len(calls), len(self.classes_)))
        column = {name: i for i, name in enumerate(self.classes_)}
        for row, call in enumerate(calls):
            for assemblage in call.assemblages:
                for name in set(assemblage["phases"]) & set(column):
                    out[row, column[name]] += assemblage["probability"]
        return np.minimum(out, 1.0)

    def predict_set(self, X: Iterable[Any]) -> list[list[tuple[str, ...]]]:
        """List the assemblages that each pattern leaves possible at `level`; none where the pattern is refused."""
        return [_sets(call, self.level) for call in self.classify(X)]

    def score(self, X: Iterable[Any], y: Iterable[Any]) -> float:
        """Compute the share of patterns whose phases are all named and no other; () is the label of a refusal."""
        names = self._fitted()
        patterns = list(X)
        labels = [_label(one, names) for one in y]
        if len(labels) != len(patterns) or not labels:
            raise InputError(
                f"{len(labels)} labels for {len(patterns)} patterns; wanted one for each, and at least one"
            )
        return float(np.mean([found == label for found, label in zip(self.predict(patterns), labels)]))

    def classify(self, X: Iterable[Any]) -> list[PatternCall]:
        """Label each pattern; the calls hold lattices, fractions and reasons of refusal."""
        self._fitted()
        return [
            classify_pattern(
                self._pattern(number, one),
                elements=self.elements,
                radiation=self.radiation,
                structures=self.structures,
                model=self.model,
            )
            for number, one in enumerate(_items(X))
        ]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Give the parameters by name, as scikit-learn's `clone` and searches ask for them."""
        return {name: getattr(self, name) for name in _PARAMETERS}

    def set_params(self, **parameters: Any) -> PhaseClassifier:
        """Set parameters by name."""
        for name, value in parameters.items():
            if name not in _PARAMETERS:
                raise InputError(f"unknown parameter '{name}'; known: {', '.join(_PARAMETERS)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        return f"PhaseClassifier({', '.join(f'{name}={getattr(self, name)!r}' for name in _PARAMETERS)})"

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=False),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(two_d_array=False),
        )

    def _fitted(self) -> tuple[str, ...]:
        if not hasattr(self, "classes_"):
            raise InputError("this PhaseClassifier is not fitted; call fit(X) first, which checks and retrains nothing")
        return tuple(self.classes_)

    def _pattern(self, number: int, one: Any) -> Pattern:
        if isinstance(one, Pattern):
            return one
        if isinstance(one, str) or len(np.shape(one)) != 2 or len(one) != 2:
            shape = f"an array of shape {np.shape(one)}" if isinstance(one, np.ndarray) else type(one).__name__
            raise InputError(
                f"X[{number}] is {shape}; wanted a Pattern, or a pair (two_theta_deg, intensity) of equal length"
            )
        return pattern_from_arrays(one[0], one[1], source=f"X[{number}]", **_said(self.radiation))


def _said(radiation: str | float | None) -> dict[str, Any]:
    if isinstance(radiation, str) or radiation is None:
        return {"radiation": radiation}
    return {"wavelength_A": float(radiation)}


def _items(X: Iterable[Any]) -> list[Any]:
    if isinstance(X, Pattern | str) or not isinstance(X, Iterable):
        raise InputError(f"X is {type(X).__name__}; wanted a list of patterns, also for a single one")
    return list(X)


def _known_types(model: str, structures: Sequence[str | Prototype] | None) -> tuple[str, ...]:
    """Name the structure types that a labeller considers."""
    if model not in PATTERN_LABELLERS:
        from hea_sim.errors import unknown_name

        raise unknown_name("pattern labeller", model, PATTERN_LABELLERS)
    named = [prototype(s).fundamental for s in structures or () if isinstance(s, str)]
    own = [s.name for s in structures or () if isinstance(s, Prototype)]
    if not named:
        if model == "network":
            from hea_vision.xrd.network import STRUCTURES

            named = list(STRUCTURES)
        else:
            from hea_vision.xrd.evidence import PRIORS

            named = list(PRIORS)
    return tuple(dict.fromkeys([*named, *own]))


def _label(label: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Read a label as sorted names of fundamental lattices."""
    parts = [p.strip() for p in label.split("+") if p.strip()] if isinstance(label, str) else [str(p) for p in label]
    out = []
    for part in parts:
        if part in names:
            out.append(part)
            continue
        fundamental = prototype(part).fundamental
        if fundamental not in names:
            raise UnknownNameError(f"label '{part}' is no structure that is considered; those are {', '.join(names)}")
        out.append(fundamental)
    return tuple(sorted(out))


def _found(call: PatternCall) -> tuple[str, ...]:
    return tuple(sorted(p.name for p in call.phases)) if call.in_scope else ()


def _sets(call: PatternCall, level: float) -> list[tuple[str, ...]]:
    """Cut the calibrated sets to a lower level: the likeliest assemblages that reach it, with their open order."""
    if not call.in_scope:
        return []
    sets = [tuple(s) for s in call.prediction_sets]
    if level >= call.set_level or not call.assemblages:
        return sets
    wanted = level * sum(a["probability"] for a in call.assemblages)
    kept, total = set(), 0.0
    for assemblage in call.assemblages:
        kept.add(tuple(sorted(assemblage["phases"])))
        total += assemblage["probability"]
        if total >= wanted:
            break
    return [s for s in sets if tuple(sorted(_lattice(name) for name in s)) in kept] or sets[:1]


def _lattice(name: str) -> str:
    try:
        return prototype(name).fundamental
    except UnknownNameError:  # a structure of the user's own
        return name
