"""Predict phase, hardness and yield strength of alloys from open tables, with sets and intervals, or refuse.

`load_predictor` fits forests to the tables when it is called (seconds), so that an alloy can be left out, or learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError
from hea_sim.properties.conformal import Intervals, check_level
from hea_sim.properties.contract import (
    FAMILIES,
    PROPERTY_UNITS,
    ROOM_TEMPERATURE_K,
    STRUCTURES,
    AlloyBatch,
    AlloyPrediction,
    BatchPrediction,
    ClassCall,
    KnownAlloy,
    MeasuredAlloy,
)
from hea_sim.properties.domain import LEAST_ALLOYS, LEAST_LINES, TRACE, AlloyDomain
from hea_sim.properties.element_tables import described_elements
from hea_sim.properties.known_alloys import leaned_on
from hea_sim.properties.lessons import NUMBERS, PHASES, Lesson, described, lessons_without
from hea_sim.properties.lessons_learnt import Learnt, learnt_numbers, learnt_phases
from hea_sim.properties.models.calibration import balanced_call
from hea_sim.properties.models.forests import lean_weights
from hea_sim.properties.models.phase_model import PhaseModel, fit_phase_forest
from hea_sim.properties.models.strength_model import StrengthForests, strength_inputs
from hea_sim.properties.reported_shares import ReportedShares
from hea_sim.properties.tables.clusters import REACH
from hea_sim.records import Estimate

CLASSES: Mapping[str, tuple[str, ...]] = {"structure": STRUCTURES, "family": FAMILIES}
#: Alloys that are described and predicted together.
_BLOCK = 65536
#: Added before the logarithm on whose scale intervals are even: relative errors of strong, absolute of weak alloys.
SHIFT: Mapping[str, float] = {"hardness_HV": 300.0, "yield_strength_MPa": 600.0}
#: From here on a strength counts as hot.
_HOT_K = 500.0
#: Temperatures beyond the tables by more than this are refused.
_TEMPERATURE_SLACK_K = 50.0
_METHOD = "trees; interval from held-out publications"
_NOTES = (
    "bulk alloys in whatever state they were reported; films and equilibrium are other questions",
    "phases do not depend on the processing or temperature given; strength is that in compression, hardness at room"
    " temperature",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class TablePredictor:
    """Predict from the open tables and from what was learnt since; fulfils `PropertyPredictor`.

    `lessons` are what the forests were fitted to, `measured` what was learnt since, in order, `untaught` the models of
    phases before that.
    """

    lessons: Mapping[str, Lesson]
    phases: Mapping[str, PhaseModel]
    strength: StrengthForests
    intervals: Mapping[str, Intervals]
    domains: Mapping[str, AlloyDomain]
    reported: Mapping[str, ReportedShares]
    leaves: np.ndarray = field(repr=False)
    temperatures_K: tuple[float, float]
    measured: tuple[MeasuredAlloy, ...] = ()
    untaught: Mapping[str, PhaseModel] | None = None
    seed: int = 0

    @property
    def elements(self) -> tuple[str, ...]:
        """Give the elements whose phases can be predicted."""
        domain = self.domains["phases"]
        described_ones = described_elements()
        return tuple(e for e, n in zip(domain.elements, domain.counts) if n >= domain.least and e in described_ones)

    def predict_batch(self, alloys: AlloyBatch, *, level: float = 0.9) -> BatchPrediction:
        """Predict many alloys at once, in blocks; what is refused is NaN, and its sets hold every class."""
        check_level(level)
        n = len(alloys)
        told = {name: np.full((n, 4), np.nan) for name in PHASES}
        sets = {name: np.ones((n, 4), bool) for name in PHASES}
        numbers = {name: np.full((n, 3), np.nan) for name in NUMBERS}
        in_domain = np.zeros(n, bool)
        for where, block in _blocks(alloys):
            inside = ~self.domains["phases"].refused(block)
            in_domain[where] = inside
            rows = where.start + np.flatnonzero(inside)
            if not len(rows):
                continue
            kept = _take(block, inside)
            x = described(kept)
            n_elements = (kept.fractions >= TRACE).sum(1)
            for name, model in self.phases.items():
                p = self.reported[name].mixed(model.predict(x), kept)
                told[name][rows] = p
                sets[name][rows] = model.conformal.sets(p, n_elements, level)
            sets["family"][rows[self.domains["family"].too_rare(kept)]] = True
            for name in NUMBERS:
                fine = ~self.domains[name].refused(kept) & self._temperature_known(name, kept)
                numbers[name][rows[fine]] = self._numbers(name, _take(kept, fine), x[fine], level)
        return BatchPrediction(
            structure=told["structure"],
            family=told["family"],
            structure_set=sets["structure"],
            family_set=sets["family"],
            properties=numbers,
            in_domain=in_domain,
            level=level,
        )

    def predict(
        self,
        alloys: Sequence[Composition | str],
        *,
        processing: str = "other",
        temperature_K: float = ROOM_TEMPERATURE_K,
        level: float = 0.9,
    ) -> list[AlloyPrediction]:
        """Predict alloys one by one; an alloy outside the domain is refused with the reasons."""
        if not alloys:
            raise InputError("no alloys to predict; wanted at least one formula, such as Al0.5CoCrFeNi")
        batch = AlloyBatch.of(alloys, processing=processing, temperature_K=temperature_K)
        found = self.predict_batch(batch, level=level)
        reasons = self.domains["phases"].reasons(batch)
        reasons_of = {name: self.domains[name].reasons(batch) for name in ("family", *NUMBERS)}
        family_rare = self.domains["family"].too_rare(batch)
        leaves = self.phases["structure"].forest.leaves(described(batch))
        results = []
        for k, alloy in enumerate(alloys):
            composition = Composition.parse(alloy)
            basics = AlloyPrediction(
                input=str(alloy),
                composition=composition,
                processing=processing,
                temperature_K=float(temperature_K),
                in_domain=bool(found.in_domain[k]),
                reasons=tuple(reasons[k]),
                notes=_NOTES,
            )
            if basics.in_domain:
                why = {name: "; ".join(texts[k]) for name, texts in reasons_of.items()}
                if not family_rare[k]:
                    del why["family"]
                (weights,) = lean_weights(leaves[k : k + 1], self.leaves)
                known = leaned_on(self.lessons["structure"].table, weights, composition)
                basics = self._told(replace(basics, leans_on=known), found, k, why)
            results.append(basics)
        return results

    def learn(self, measured: Sequence[MeasuredAlloy]) -> TablePredictor:
        """Give a predictor that has seen these alloys too; a structure that was ruled out teaches the others."""
        # What is left of a negative is weighed by what was thought before any was learnt: in one go or one by one, the
        # same is learnt.
        return _fitted(self.lessons, (*self.measured, *measured), self.seed, untaught=self.untaught or self.phases)

    def _numbers(self, name: str, batch: AlloyBatch, x: np.ndarray, level: float) -> np.ndarray:
        """Give value, low and high (n, 3) of a property for described alloys."""
        hardness = name == "hardness_HV"
        temperature: float | np.ndarray = ROOM_TEMPERATURE_K if hardness else batch.temperature_K
        inputs = strength_inputs(x, batch.processing, temperature, hardness=hardness)
        value = self.strength.hardness_HV(inputs) if hardness else self.strength.strength_MPa(inputs)
        return np.column_stack([value, self.intervals[name].bounds(value, is_hot(temperature, len(value)), level)])

    def _temperature_known(self, name: str, batch: AlloyBatch) -> np.ndarray:
        kelvin = np.broadcast_to(np.asarray(batch.temperature_K, float), len(batch))
        low, high = self.temperatures_K
        inside = (kelvin >= low - _TEMPERATURE_SLACK_K) & (kelvin <= high + _TEMPERATURE_SLACK_K)
        return inside | (name == "hardness_HV")

    def _told(self, basics: AlloyPrediction, found: BatchPrediction, k: int, why: Mapping[str, str]) -> AlloyPrediction:
        properties, notes = {}, [*basics.notes, *(_known_note(known) for known in basics.leans_on[:1])]
        if "family" in why:
            notes.append(f"family is little known, so that its set holds every class: {why['family']}")
        for name, numbers in found.properties.items():
            value, low, high = (float(v) for v in numbers[k])
            if np.isfinite(value):
                properties[name] = Estimate(
                    value=value, low=low, high=high, level=found.level, unit=PROPERTY_UNITS[name], method=_METHOD
                )
            else:
                low, high = self.temperatures_K
                notes.append(f"{name} not told: {why[name] or f'known from {low:.0f} to {high:.0f} K only'}")
        return replace(
            basics,
            structure=_call(self.phases["structure"], found.structure[k], found.structure_set[k], found.level),
            family=_call(self.phases["family"], found.family[k], found.family_set[k], found.level),
            properties=properties,
            notes=tuple(filter(None, notes)),
        )


def load_predictor(*, exclude: Sequence[Composition | str] = (), seed: int = 0) -> TablePredictor:
    """Fit the predictor to the open tables, without the compositions in `exclude` and their near-duplicates.

    Near-duplicates lie within 0.4 at.% (sum of absolute differences), or share a cluster with one that does.
    """
    return _loaded(tuple(Composition.parse(alloy).formula for alloy in exclude), seed)


@lru_cache(maxsize=4)
def _loaded(exclude: tuple[str, ...], seed: int) -> TablePredictor:
    return _fitted(lessons_without(exclude), (), seed)


def _fitted(
    lessons: Mapping[str, Lesson],
    measured: Sequence[MeasuredAlloy],
    seed: int,
    untaught: Mapping[str, PhaseModel] | None = None,
) -> TablePredictor:
    """Fit forests to the lessons and what was measured; held-out scores stay those of the tables."""
    phases, domains, reported = {}, {}, {}
    taught = [m for m in measured if m.structure or m.family or m.not_structures]
    since = AlloyBatch.of([m.composition for m in taught]) if taught else None
    for name in PHASES:
        lesson = lessons[name]
        learnt = learnt_phases(lesson, measured, untaught[name] if untaught else None)
        forest = fit_phase_forest(learnt.x, learnt.target, len(CLASSES[name]), weights=learnt.weights, seed=seed)
        phases[name] = PhaseModel.assemble(
            forest,
            CLASSES[name],
            held_out=lesson.held_out,
            codes=lesson.table.codes,
            n_elements=lesson.table.n_elements,
        )
        honest = phases[name].calibration.apply(lesson.held_out[None])
        reported[name] = ReportedShares.of(lesson, honest, but=since)
        what = ("phases", "known alloys") if name == "structure" else ("family", "alloys of known family")
        domains[what[0]] = _phase_domain(learnt, what[1])
    intervals, parts = {}, {}
    for name in NUMBERS:
        lesson = lessons[name]
        learnt = parts[name] = learnt_numbers(lesson, measured)
        intervals[name] = Intervals.fit(
            lesson.held_out,
            _values(lesson),
            is_hot(lesson.table.temperature_K, len(lesson.table)),
            shift=SHIFT[name],
        )
        domains[name] = _domain(learnt, LEAST_LINES, f"lines of {name}")
    hard, strong = parts["hardness_HV"], parts["yield_strength_MPa"]
    known = lessons["yield_strength_MPa"].table.temperature_K
    return TablePredictor(
        lessons=lessons,
        phases=phases,
        strength=StrengthForests.fit(
            hard.x, hard.target, strong.x, strong.target,
            hardness_weights=hard.weights, strength_weights=strong.weights, seed=seed,
        ),
        intervals=intervals,
        domains=domains,
        reported=reported,
        leaves=phases["structure"].forest.leaves(lessons["structure"].x),
        temperatures_K=(float(known.min()), float(known.max())),
        measured=tuple(measured),
        untaught=untaught,
        seed=seed,
    )  # fmt: skip


def is_hot(temperature_K: float | np.ndarray, n: int) -> np.ndarray:
    """Tell which of n alloys are hot: their strengths have intervals of their own."""
    return np.broadcast_to(np.asarray(temperature_K, float) >= _HOT_K, n)


def _phase_domain(learnt: Learnt, what: str) -> AlloyDomain:
    """Learn the domain of different alloys: a negative stands once for each structure left, and is one alloy."""
    first = np.unique(learnt.fractions, axis=0, return_index=True)[1]
    fractions, groups = learnt.fractions[first], learnt.groups[first]
    return AlloyDomain.of(learnt.elements, fractions, groups, least=LEAST_ALLOYS, what=what)


def _domain(learnt: Learnt, least: int, what: str) -> AlloyDomain:
    return AlloyDomain.of(learnt.elements, learnt.fractions, learnt.groups, least=least, what=what)


def _known_note(known: KnownAlloy) -> str:
    """Say of an alloy that stands in the tables that its probabilities repeat them; "" of others."""
    if known.distance > REACH:
        return ""
    told = [f"{name} {n}" for kind in PHASES for name, n in known.reported.get(kind, {}).items()]
    return f"the tables hold this alloy (reports: {', '.join(told)}): its probabilities are those of the next report"


def _values(lesson: Lesson) -> np.ndarray:
    assert lesson.table.value is not None
    return lesson.table.value


def _call(model: PhaseModel, p: np.ndarray, held: np.ndarray, level: float) -> ClassCall:
    return ClassCall(
        probabilities={name: float(v) for name, v in zip(model.classes, p)},
        prediction_set=tuple(name for name, inside in zip(model.classes, held) if inside),
        level=level,
        call=model.classes[int(balanced_call(p[None], model.shares)[0])],
    )


def _blocks(alloys: AlloyBatch) -> Iterator[tuple[slice, AlloyBatch]]:
    for start in range(0, len(alloys), _BLOCK):
        where = slice(start, min(start + _BLOCK, len(alloys)))
        rows = np.zeros(len(alloys), bool)
        rows[where] = True
        yield where, _take(alloys, rows)


def _take(alloys: AlloyBatch, rows: np.ndarray) -> AlloyBatch:
    """Take some alloys of a batch, by mask."""
    made = alloys.processing
    kelvin = np.asarray(alloys.temperature_K, float)
    return AlloyBatch(
        elements=alloys.elements,
        fractions=alloys.fractions[rows],
        processing=made if isinstance(made, str) else tuple(np.asarray(made)[rows].tolist()),
        temperature_K=kelvin[rows] if kelvin.ndim else float(kelvin),
    )
