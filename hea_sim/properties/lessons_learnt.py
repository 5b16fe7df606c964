"""Lessons joined with alloys measured since: what the forests are fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import unknown_name
from hea_sim.properties.contract import AlloyBatch, MeasuredAlloy
from hea_sim.properties.lessons import Lesson, described
from hea_sim.properties.models.held_out import table_inputs
from hea_sim.properties.models.phase_model import PhaseModel
from hea_sim.properties.models.strength_model import strength_inputs

#: Weight of a measured alloy; one of the tables counts one.
_WEIGHT = 3.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Learnt:
    """Hold inputs `x` (n, d), codes or numbers `target` (n,), `weights` (n,), and what a domain needs of the alloys."""

    x: np.ndarray
    target: np.ndarray
    weights: np.ndarray
    elements: tuple[str, ...]
    fractions: np.ndarray
    groups: np.ndarray


def learnt_phases(lesson: Lesson, measured: Sequence[MeasuredAlloy], before: PhaseModel | None) -> Learnt:
    """Join the alloys of a phase table with those measured.

    One that is only known not to be some structures stands once for each structure left, weighted by how probable
    the model `before` found that.
    """
    classes = lesson.table.classes
    chosen: list[MeasuredAlloy] = []
    codes: list[int] = []
    weights: list[float] = []
    for alloy in measured:
        for code, weight in _shares_of(alloy, classes, before).items():
            chosen.append(alloy)
            codes.append(code)
            weights.append(_WEIGHT * weight)
    more = _batch_of(chosen)
    x = lesson.x if more is None else np.vstack([lesson.x, described(more)])
    return _joined(lesson, more, x, np.concatenate([lesson.table.codes, np.array(codes, int)]), weights)


def learnt_numbers(lesson: Lesson, measured: Sequence[MeasuredAlloy]) -> Learnt:
    """Join the lines of a property table with those measured."""
    name = lesson.table.target
    chosen = [alloy for alloy in measured if name in alloy.properties]
    x = table_inputs(lesson.table, lesson.x)
    more = _batch_of(chosen)
    if more is not None:
        inputs = strength_inputs(described(more), more.processing, more.temperature_K, hardness=name == "hardness_HV")
        x = np.vstack([x, inputs])
    assert lesson.table.value is not None
    values = np.concatenate([lesson.table.value, [alloy.properties[name] for alloy in chosen]])
    return _joined(lesson, more, x, values, [_WEIGHT] * len(chosen))


def _shares_of(alloy: MeasuredAlloy, classes: tuple[str, ...], before: PhaseModel | None) -> Mapping[int, float]:
    """Share out one measured alloy over classes."""
    of_structure = "BCC" in classes
    label = alloy.structure if of_structure else alloy.family
    if label is not None:
        if label not in classes:
            raise unknown_name("structure" if of_structure else "family", label, classes)
        return {classes.index(label): 1.0}
    if not of_structure or not alloy.not_structures:
        return {}
    for name in alloy.not_structures:
        if name not in classes:
            raise unknown_name("structure", name, classes)
    left = [k for k, name in enumerate(classes) if name not in alloy.not_structures]
    if not left:
        return {}
    batch = _batch_of([alloy])
    assert batch is not None
    p = np.ones(len(classes)) if before is None else before.predict(described(batch))[0]
    return {k: float(p[k] / p[left].sum()) for k in left}


def _batch_of(alloys: Sequence[MeasuredAlloy]) -> AlloyBatch | None:
    if not alloys:
        return None
    return AlloyBatch.of(
        [alloy.composition for alloy in alloys],
        processing=tuple(alloy.processing for alloy in alloys),
        temperature_K=np.array([alloy.temperature_K for alloy in alloys]),
    )


def _joined(
    lesson: Lesson, more: AlloyBatch | None, x: np.ndarray, target: np.ndarray, weights: Sequence[float]
) -> Learnt:
    table = lesson.table
    elements, fractions, groups = table.elements, table.fractions, table.family
    if more is not None:
        elements = (*elements, *(e for e in more.elements if e not in elements))
        both = np.zeros((len(target), len(elements)))
        both[: len(table), : len(table.elements)] = fractions
        for k, element in enumerate(more.elements):
            both[len(table) :, elements.index(element)] = more.fractions[:, k]
        sets = ["-".join(sorted(e for e, x in zip(more.elements, row) if x > 0)) for row in more.fractions]
        fractions, groups = both, np.concatenate([groups.astype(object), np.array(sets, object)])
    return Learnt(
        x=x,
        target=target,
        weights=np.concatenate([np.ones(len(table)), weights]),
        elements=elements,
        fractions=fractions,
        groups=groups.astype(str),
    )
