"""Ask every source at hand about an alloy's phase and strength."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hea_sim.alloy import Composition
from hea_sim.errors import HEAError, InputError, one_line_error
from hea_sim.properties.contract import ROOM_TEMPERATURE_K, AlloyPrediction, PropertyPredictor
from hea_sim.properties.rules import first_opinion
from hea_sim.properties.second_opinions.agreement import (
    ENERGIES,
    REPORTED,
    THERMODYNAMICS,
    AgreementTable,
    Answer,
    Opinion,
    StrengthOpinion,
    answer_of,
    compare_strengths,
    share_text,
)
from hea_sim.properties.second_opinions.calphad import phases_at
from hea_sim.properties.second_opinions.rule_counts import (
    LEAST_ELEMENTS,
    QUESTIONS,
    base_rates,
    observed_under,
    verdict_of,
)
from hea_sim.properties.strengthening.strength import solution_strength

if TYPE_CHECKING:
    from hea_sim.properties.strengthening.solution_inputs import SolutionInputs

#: How often an assessed database names the phases of an alloy rightly: assumed; the rest follows the base rates.
CALPHAD_ACCURACY = 0.8
_CLASS_OF = {"A1": "FCC", "A2": "BCC", "A3": "HCP"}
_LATTICE_OF = {"FCC": "A1", "BCC": "A2"}
_THEORY = "misfit theory"


def second_opinions(
    alloy: Composition | str,
    *,
    predictor: PropertyPredictor | None = None,
    tdb: str | os.PathLike[str] | Any = None,
    potential: Any = None,
    temperature_K: float | None = None,
    test_temperature_K: float = ROOM_TEMPERATURE_K,
    processing: str = "other",
    grain_size_um: float | None = None,
    strength_inputs: SolutionInputs | None = None,
    covers: Sequence[str] | None = None,
) -> AgreementTable:
    """Gather what sources say of one alloy and tell whether they agree.

    A source that cannot answer has a row that says why; none of them is an error.

    Parameters
    ----------
    alloy
        Composition.
    predictor
        A model from composition to phase and strength.
    tdb
        A thermodynamic database of yours (see `phases_at`); needs `temperature_K`.
    potential
        For energies of lattices (see `static_energies_of`); needs `temperature_K`.
    temperature_K
        At which the alloy was equilibrated.
    test_temperature_K, grain_size_um
        Of the strength.
    processing
        For the predictor.
    strength_inputs
        For the theory of strength, such as `inputs_from_potential` gives; element tables without them.
    covers
        Structures that the potential was trained on.

    Examples
    --------
    >>> table = second_opinions("CoCrFeMnNi")
    >>> table.answers["structure"].likeliest, table.agreement
    ('FCC', None)
    """
    composition = Composition.parse(alloy)
    if temperature_K is None and (tdb is not None or potential is not None):
        raise InputError("a database or a potential is asked about phases at a temperature; give temperature_K")
    predicted = None
    opinions = _of_rules(composition)
    if predictor is not None:
        predicted = predictor.predict([composition], processing=processing, temperature_K=test_temperature_K)[0]
        opinions += _of_predictor(predicted)
    if tdb is not None and temperature_K is not None:
        opinions += _of_database(composition, temperature_K, tdb)
    if potential is not None and temperature_K is not None:
        opinions += _of_energies(composition, temperature_K, potential, covers)
    answers, completed = _joint_answers(opinions)
    likeliest = answers["structure"].likeliest if "structure" in answers else ""
    strengths = [_of_theory(composition, likeliest, test_temperature_K, grain_size_um, strength_inputs)]
    if predicted is not None:
        strengths.append(_predicted_strength(predicted))
    return AgreementTable(
        formula=composition.formula,
        temperature_K=temperature_K,
        test_temperature_K=test_temperature_K,
        opinions=tuple(completed),
        answers=answers,
        strengths=compare_strengths(strengths),
        notes=_notes(composition, answers),
    )


def _joint_answers(opinions: Sequence[Opinion]) -> tuple[dict[str, Answer], list[Opinion]]:
    """Join the opinions on each question; give the answers, and the opinions with their weights."""
    answers: dict[str, Answer] = {}
    completed: list[Opinion] = []
    for question in QUESTIONS:
        asked = [one for one in opinions if one.question == question]
        answer, rows = answer_of(question, asked, base_rates(question))
        completed += rows
        if answer is not None:
            answers[question] = answer
    return answers, completed


def _notes(composition: Composition, answers: Mapping[str, Answer]) -> tuple[str, ...]:
    notes = [
        "rules and predictor both rest on reported alloys: their agreement is no second opinion; nor is the theory of"
        " strength wholly one, whose interval is that of reported strengths"
    ]
    if len(composition) < LEAST_ELEMENTS:
        notes.append(f"{len(composition)} elements: verdicts were counted on alloys of {LEAST_ELEMENTS} or more")
    if not answers:
        notes.append("no source tells anything of its phases")
    return tuple(notes)


def _refusal(source: str, reason: str, group: str, questions: Iterable[str] = tuple(QUESTIONS)) -> list[Opinion]:
    empty: dict[str, float] = {}
    return [
        Opinion(source=source, question=q, says=f"nothing: {reason}", probabilities=empty, trust="none", group=group)
        for q in questions
    ]


def _of_rules(composition: Composition) -> list[Opinion]:
    """Ask each rule, and tell what was observed under its verdict; all refuse what lies outside the counted alloys."""
    from hea_bench.rules import VERDICT_FUNCTIONS

    first = first_opinion(composition)
    if not first.domain["in_domain"]:
        return _refusal("rules", "; ".join(first.domain["reasons"]), REPORTED)
    found = []
    for name, rule in VERDICT_FUNCTIONS.items():
        verdict = verdict_of(rule, composition)
        if verdict is None:
            found += _refusal(f"rule {name}", "its tables lack an element or a pair", REPORTED)
            continue
        for question in QUESTIONS:
            probabilities, n = observed_under(name, verdict, question)
            near = ""
            if name == "guo_vec" and question == "structure" and first.reliability is not None:
                seen = first.reliability
                probabilities, n, near = dict(seen.probabilities), seen.n, f" and VEC near {seen.vec:.2f}"
            top = max(probabilities, key=lambda key: probabilities[key])
            found.append(
                Opinion(
                    source=f"rule {name}",
                    question=question,
                    says=verdict.replace("_", " "),
                    probabilities=probabilities,
                    trust=f"of {n} alloys under this verdict{near} {probabilities[top]:.0%} were {top}",
                    group=REPORTED,
                )
            )
    return found


def _of_predictor(predicted: AlloyPrediction) -> list[Opinion]:
    """Take over the probabilities of a model, or its refusal."""
    if not predicted.in_domain:
        return _refusal("predictor", "; ".join(predicted.reasons) or "outside its domain", REPORTED)
    found = []
    for question, call in (("structure", predicted.structure), ("family", predicted.family)):
        if call is None:
            continue
        held = ", ".join(call.prediction_set)
        found.append(
            Opinion(
                source="predictor",
                question=question,
                says=_shares(call.probabilities),
                probabilities=dict(call.probabilities),
                trust=f"{{{held}}} holds the truth with {call.level:.0%}",
                group=REPORTED,
            )
        )
    return found


def _of_database(composition: Composition, temperature_K: float, tdb: Any) -> list[Opinion]:
    """Ask a thermodynamic database."""
    try:
        found = phases_at(composition, temperature_K, tdb)
    except HEAError as error:
        return _refusal("CALPHAD", one_line_error(error), THERMODYNAMICS)
    said = ", ".join(f"{phase.structure or phase.name} {phase.fraction:.0%}" for phase in found.phases)
    if found.structure is None or found.family is None:
        return _refusal("CALPHAD", f"partly liquid at {temperature_K:g} K ({said})", THERMODYNAMICS)
    return [
        Opinion(
            source=f"CALPHAD {found.database}",
            question=question,
            says=said,
            probabilities=_named(label, CALPHAD_ACCURACY, question),
            trust=f"assumed right in {CALPHAD_ACCURACY:.0%}; equilibrium",
            group=THERMODYNAMICS,
        )
        for question, label in (("structure", found.structure), ("family", found.family))
    ]


def _named(label: str, accuracy: float, question: str) -> dict[str, float]:
    """Spread what an accuracy leaves over all classes as alloys are spread."""
    base = base_rates(question)
    return {name: (1 - accuracy) * share + (accuracy if name == label else 0.0) for name, share in base.items()}


def _of_energies(
    composition: Composition, temperature_K: float, potential: Any, covers: Sequence[str] | None
) -> list[Opinion]:
    """Ask which lattice has the lowest energy; "multi" stands for a compound, and for what was not compared."""
    from hea_sim.properties.second_opinions.static_energies import COMPOUNDS, SOLUTIONS, static_energies_of

    structures = [*SOLUTIONS, *(s for s in COMPOUNDS if covers is not None and s in covers)]
    try:
        found = static_energies_of(
            composition, potential, temperature_K=temperature_K, structures=structures, covers=covers
        )
    except HEAError as error:
        return _refusal("energies", one_line_error(error), ENERGIES, ["structure"])
    base = base_rates("structure")
    probabilities = dict.fromkeys(base, 0.0)
    for structure, p in found.probabilities.items():
        probabilities[_CLASS_OF.get(structure, "multi")] += (1 - base["multi"]) * p
    probabilities["multi"] += base["multi"]
    said = ", ".join(f"{s} {1e3 * e:+.0f} meV/atom" for s, e in found.free_energy_eV.items())
    trust = f"{found.notes[0]}; parting into several phases is not compared: left at its base rate"
    return [
        Opinion(
            source=f"energies, {found.potential}",
            question="structure",
            says=said,
            probabilities=probabilities,
            trust=trust,
            group=ENERGIES,
        )
    ]


def _of_theory(
    composition: Composition,
    likeliest: str,
    temperature_K: float,
    grain_size_um: float | None,
    inputs: SolutionInputs | None,
) -> StrengthOpinion:
    """Ask the theory for the likeliest structure, or for that of the inputs."""
    source = "theory of solution strengthening"
    structure = inputs.structure if inputs is not None else _LATTICE_OF.get(likeliest)
    if structure is None:
        reason = f"nothing: it is for fcc or bcc alone, not {likeliest or 'an unknown structure'}"
        return StrengthOpinion(source=source, says=reason, estimate=None, trust="none", group=_THEORY)
    try:
        found = solution_strength(
            composition, structure=structure, temperature_K=temperature_K, grain_size_um=grain_size_um, inputs=inputs
        )
    except HEAError as error:
        says = f"nothing: {one_line_error(error)}"
        return StrengthOpinion(source=source, says=says, estimate=None, trust="none", group=_THEORY)
    estimate = found.yield_strength
    if estimate.low is None or estimate.high is None:  # too little misfit for the theory to tell the strength
        says = f"nothing: {found.notes[0]}"
        return StrengthOpinion(source=found.theory, says=says, estimate=None, trust="none", group=_THEORY)
    return StrengthOpinion(
        source=found.theory,
        # The value of the theory may lie outside: it lacks what reported alloys have.
        says=f"{estimate.value:.0f} MPa as {structure}; reported {estimate.low:.0f} to {estimate.high:.0f}",
        estimate=estimate,
        trust=found.notes[0],
        group=_THEORY,
    )


def _predicted_strength(predicted: AlloyPrediction) -> StrengthOpinion:
    estimate = predicted.properties.get("yield_strength_MPa")
    if estimate is None:
        reason = "; ".join(predicted.reasons) or "it predicts no yield strength"
        return StrengthOpinion(
            source="predictor", says=f"nothing: {reason}", estimate=None, trust="none", group=REPORTED
        )
    level = "" if estimate.level is None else f"{estimate.level:.0%} interval"
    return StrengthOpinion(
        source="predictor",
        says=_interval(estimate.value, estimate.low, estimate.high),
        estimate=estimate,
        trust=level,
        group=REPORTED,
    )


def _interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.0f} MPa" + ("" if low is None or high is None else f" ({low:.0f} to {high:.0f})")


def _shares(probabilities: Mapping[str, float]) -> str:
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share_text(p)}" for name, p in ranked if p >= 0.02)
