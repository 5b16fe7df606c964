"""What the predictor learns from: known alloys with descriptors and labels, and what was predicted of each held out.

Held-out predictions were made once, by `recipes/alloy_properties.py`, and ship as the model `alloy-properties`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError
from hea_sim.properties.contract import AlloyBatch
from hea_sim.properties.descriptors import descriptor_matrix
from hea_sim.properties.tables import AlloyTable, phase_table, property_table
from hea_sim.properties.tables.clusters import REACH
from hea_sim.registry.cards import load_arrays

#: Name of the shipped model that holds the held-out predictions.
MODEL = "alloy-properties"
PHASES = ("structure", "family")
NUMBERS = ("hardness_HV", "yield_strength_MPa")
#: Kinds of elements that replace each other in alloys, so that what one taught is known of a new element set.
KINDS: Mapping[str, frozenset[str]] = {
    "light": frozenset("Li Be Na Mg Al Si".split()),
    "late 3d": frozenset("Cr Mn Fe Co Ni Cu".split()),
    "early": frozenset("Sc Y La Ti Zr Hf".split()),
    "refractory": frozenset("Ti Zr Hf V Nb Ta Cr Mo W".split()),
    "rare earth": frozenset("Sc Y La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu".split()),
    "noble": frozenset("Ru Rh Pd Ag Re Os Ir Pt Au".split()),
    "metalloid": frozenset("B C N Si P Ge As Se Sb Te".split()),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """Hold one table with descriptors `x` (n, d), and what was predicted of each alloy when its group was held out.

    `held_out` is (n, classes) for phases and (n,) for numbers.
    """

    table: AlloyTable
    x: np.ndarray
    held_out: np.ndarray

    def rows(self, which: np.ndarray) -> Lesson:
        """Keep some alloys."""
        return Lesson(table=self.table.rows(which), x=self.x[which], held_out=self.held_out[which])


def lesson_tables() -> dict[str, AlloyTable]:
    """Give the tables by target; strength at every temperature."""
    tables: dict[str, AlloyTable] = {"structure": phase_table("structure"), "family": phase_table("family")}
    tables["hardness_HV"] = property_table("hardness_HV")
    tables["yield_strength_MPa"] = property_table("yield_strength_MPa", hot=None)
    return tables


@lru_cache(maxsize=1)
def all_lessons() -> Mapping[str, Lesson]:
    """Give every table with descriptors and held-out predictions."""
    arrays = load_arrays(MODEL)
    found = {}
    for target, table in lesson_tables().items():
        held_out = arrays[f"{target}_held_out"]
        if len(held_out) != len(table) or (arrays[f"{target}_cluster"] != table.cluster).any():
            raise InputError(
                f"model {MODEL}: held-out predictions of '{target}' belong to another table; remake it:"
                " python -m hea_sim.properties.recipes.alloy_properties"
            )
        found[target] = Lesson(table=table, x=described(table.batch()), held_out=held_out.astype(float))
    return found


def lessons_without(alloys: Sequence[Composition | str]) -> dict[str, Lesson]:
    """Leave out these compositions with their near-duplicates, from every table at once."""
    lessons = dict(all_lessons())
    if not alloys:
        return lessons
    parsed = [Composition.parse(alloy) for alloy in alloys]
    gone: set[int] = set()
    for lesson in lessons.values():
        near = np.array([lesson.table.distances_to(alloy) for alloy in parsed]).min(0) <= REACH + 1e-9
        gone.update(lesson.table.cluster[near].tolist())
    return {target: lesson.rows(~np.isin(lesson.table.cluster, list(gone))) for target, lesson in lessons.items()}


def unknown_alloys(alloys: Sequence[Composition | str]) -> list[Composition]:
    """List those of which no table holds a near-duplicate: leaving them out changes nothing."""
    tables = [lesson.table for lesson in all_lessons().values()]
    parsed = [Composition.parse(alloy) for alloy in alloys]
    return [alloy for alloy in parsed if min(table.distances_to(alloy).min() for table in tables) > REACH + 1e-9]


def described(batch: AlloyBatch) -> np.ndarray:
    """Compute what models see of compositions (n, d): descriptors, then the shares of `KINDS` of elements.

    What an element table lacks is filled with the mean of all known alloys.
    """
    x = descriptor_matrix(batch)
    lacks = np.isnan(x)
    if lacks.any():
        x = np.where(lacks, _usual_descriptors(), x)
    kinds = np.array([[element in kind for kind in KINDS.values()] for element in batch.elements], float)
    return np.hstack([x, batch.fractions @ kinds.reshape(len(batch.elements), len(KINDS))])


@lru_cache(maxsize=1)
def _usual_descriptors() -> np.ndarray:
    return np.nanmean(descriptor_matrix(phase_table("structure").batch()), axis=0)
