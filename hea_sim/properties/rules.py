"""Give a first opinion on an alloy from its composition alone: descriptors, rules, structure with its reliability.

Descriptors and rules are those of the package `hea-bench`; nothing of them is rebuilt here. What is added: the verdict
of the valence electron rule is replaced by what was observed where it gave that verdict (see `reliability`), and an
alloy outside the counted domain is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import hea_bench
from hea_bench.descriptors.backend import scorable_elements
from hea_bench.rules import VERDICT_FUNCTIONS

from hea_sim.alloy import Composition
from hea_sim.properties.reliability import HALF_WIDTH, LEAST_ALLOYS, Reliability, look_up, shipped_table
from hea_sim.records import Estimate

#: Fundamental lattices of an observed label. `multi` does not say which phases: it stands for more than one.
LATTICES: Mapping[str, tuple[str, ...]] = {"BCC": ("A2",), "FCC": ("A1",), "HCP": ("A3",), "multi": ("A1", "A2")}
#: Tables behind the descriptors, named because the values move with them.
TABLES: Mapping[str, str] = {
    "radii": "hea-bench: metallic radii for 12 neighbours (Teatum, Gschneidner and Waber, LA-4003, 1968)",
    "pair enthalpies": "hea-bench: Miedema pair enthalpies (de Boer 1988; Takeuchi and Inoue 2005)",
    "melting points": "hea-bench: CRC Handbook (Haynes 2016)",
    "valence electrons": "hea-bench: s + d electrons after Guo and Liu (2011)",
    "electronegativity": "hea-bench: Pauling scale",
}
#: An element counts as known where at least this many of the counted alloys hold it.
LEAST_ALLOYS_PER_ELEMENT = 5

_DESCRIPTORS: tuple[tuple[str, Callable[[Any], float], str, tuple[str, ...]], ...] = (
    ("size_mismatch", hea_bench.delta, "%", ("radii",)),
    ("mixing_enthalpy", hea_bench.mixing_enthalpy, "kJ/mol", ("pair enthalpies",)),
    ("mixing_entropy", hea_bench.smix, "J/(mol K)", ()),
    ("omega", hea_bench.omega, "1", ("melting points", "pair enthalpies")),
    ("valence_electrons", hea_bench.vec, "electrons/atom", ("valence electrons",)),
    ("melting_temperature", hea_bench.melting_temperature, "K", ("melting points",)),
    ("electronegativity_spread", hea_bench.delta_chi, "Pauling", ("electronegativity",)),
)


@dataclass(frozen=True, kw_only=True)
class CompositionOpinion:
    """Hold a first opinion on one composition.

    `descriptors` carry their unit, and in `method` the tables they rest on. `verdicts` are those of every rule.
    `structure` is the verdict of the valence electron rule (BCC, FCC, mixed; None where it cannot be had) and
    `reliability` what was observed there. `phase_sets` are alternative assemblages of fundamental lattices that
    together hold `set_level`; where `multi_unresolved`, the set of two lattices stands for any several phases, since
    the counts do not say which. `domain` holds `in_domain` and the reasons.
    """

    formula: str
    descriptors: Mapping[str, Estimate]
    verdicts: Mapping[str, str]
    structure: str | None
    reliability: Reliability | None
    phase_sets: Sequence[Sequence[str]]
    set_level: float
    multi_unresolved: bool
    domain: Mapping[str, Any]
    tables: Mapping[str, str] = field(default_factory=lambda: dict(TABLES))
    notes: Sequence[str] = ()


def first_opinion(composition: Composition | str | Mapping[str, float]) -> CompositionOpinion:
    """Give a first opinion on a composition; an element without data gives a refusal in `domain`, never an error.

    Examples
    --------
    >>> opinion = first_opinion("NbMoTaTiV")
    >>> opinion.structure, opinion.phase_sets[0], opinion.domain["in_domain"]
    ('BCC', ['A2'], True)
    >>> first_opinion("NbMoTaXe").domain["reasons"]
    ['no descriptors for Xe: it is in none of the element tables']
    """
    alloy = Composition.parse(composition)
    amounts = dict(alloy)
    undescribed = sorted(set(amounts) - scorable_elements())
    descriptors: dict[str, Estimate] = {}
    for name, function, unit, tables in _DESCRIPTORS:
        value = _try(function, amounts)
        if isinstance(value, (int, float)):
            method = "hea-bench, " + (", ".join(tables) if tables else "ideal mixing")
            descriptors[name] = Estimate(value=float(value), unit=unit, method=method)
    verdicts = {}
    for name, rule in VERDICT_FUNCTIONS.items():
        verdict = _try(rule, amounts)
        verdicts[name] = verdict if isinstance(verdict, str) else "not_described"
    structure = None if undescribed else verdicts["guo_vec"]
    reliability = None
    if structure in ("BCC", "FCC", "mixed"):
        table = shipped_table()
        vec = round(descriptors["valence_electrons"].value, 6)
        reliability = look_up(vec, structure, table["counts"], coverage=table["coverage"]["fraction"])
    labels = reliability.label_set if reliability else ()
    return CompositionOpinion(
        formula=alloy.formula,
        descriptors=descriptors,
        verdicts=verdicts,
        structure=structure,
        reliability=reliability,
        phase_sets=[list(LATTICES[label]) for label in labels],
        set_level=reliability.set_level if reliability else 0.99,
        multi_unresolved="multi" in labels,
        domain=_domain(alloy, undescribed, reliability),
        notes=_notes(alloy, reliability),
    )


def _try(function: Callable[[Any], Any], amounts: Mapping[str, float]) -> Any:
    # hea-bench raises ValueError (or KeyError) where a table lacks an element or a pair; that is no fault here.
    try:
        return function(dict(amounts))
    except (KeyError, ValueError, ZeroDivisionError):
        return None


def _domain(alloy: Composition, undescribed: list[str], reliability: Reliability | None) -> dict[str, Any]:
    seen = shipped_table()["elements"]
    alloys_with = {element: int(seen.get(element, 0)) for element in alloy.elements}
    reasons = []
    if undescribed:
        reasons.append(f"no descriptors for {', '.join(undescribed)}: it is in none of the element tables")
    rare = [e for e, n in alloys_with.items() if n < LEAST_ALLOYS_PER_ELEMENT and e not in undescribed]
    if rare:
        text = ", ".join(f"{e} ({alloys_with[e]} alloys)" for e in rare)
        reasons.append(f"too few counted alloys hold {text}; wanted at least {LEAST_ALLOYS_PER_ELEMENT}")
    if len(alloy) < 3:
        reasons.append(f"{len(alloy)} elements; the counts are of alloys of four or more")
    if reliability is not None and reliability.n < LEAST_ALLOYS:
        reasons.append(f"only {reliability.n} counted alloys lie near VEC {reliability.vec:.2f}")
    return {
        "in_domain": not reasons,
        "described": not undescribed,
        "counted_alloys_with_element": alloys_with,
        "counted_alloys_near": 0 if reliability is None else reliability.n,
        "reasons": reasons,
    }


def _notes(alloy: Composition, reliability: Reliability | None) -> list[str]:
    notes = ["bulk alloys in whatever state they were reported; films and equilibrium are other questions"]
    if reliability is None:
        return notes
    if len(alloy) == 3:
        notes.append("three elements: the counts are of alloys of four or more, so this extrapolates")
    if reliability.half_width > HALF_WIDTH:
        notes.append(f"few alloys near: counted within VEC +- {reliability.half_width:g} in place of {HALF_WIDTH:g}")
    if reliability.coverage is not None:
        notes.append(
            f"the {reliability.set_level:.0%} sets held the truth for {reliability.coverage:.1%} of alloys"
            " whose element families were left out"
        )
    if "multi" in reliability.label_set:
        notes.append("more than one phase is possible; the counts do not say which phases")
    return notes
