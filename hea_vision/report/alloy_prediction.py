"""What the page of a loop says of predictions from known alloys, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hea_sim.properties.contract import PROPERTY_NAMES, PROPERTY_UNITS
from hea_sim.records import Estimate

if TYPE_CHECKING:
    from hea_sim.properties.contract import AlloyPrediction, ClassCall, MeasuredAlloy
    from hea_sim.properties.design.candidates import Candidate
    from hea_sim.properties.second_opinions import AgreementTable

#: Known alloys that the page lists.
_MOST_ALLOYS = 5
_MARKS = {True: "+", False: "−", None: ""}
_CLASS_WORDS = {
    "SS": "solid solution",
    "SS+IM": "solid solution with intermetallic",
    "IM": "intermetallic",
    "AM": "amorphous",
    "multi": "several phases",
}


def prediction_section(prediction: AlloyPrediction | None) -> dict[str, Any] | None:
    """Write a prediction as text; None where none was made."""
    if prediction is None:
        return None
    calls = {"structure": prediction.structure, "kind": prediction.family}
    return {
        "in_domain": prediction.in_domain,
        "reasons": list(prediction.reasons),
        "processing": prediction.processing,
        "temperature": f"{prediction.temperature_K:g} K",
        "classes": [_class_row(what, call) for what, call in calls.items() if call is not None],
        "properties": [
            (PROPERTY_NAMES.get(name, name), _value(e), _interval(e), e.method)
            for name, e in prediction.properties.items()
        ],
        "leans_on": [
            (known.formula, f"{50 * known.distance:.1f}", _reported(known.reported), known.source)
            for known in prediction.leans_on[:_MOST_ALLOYS]
        ],
        "notes": list(prediction.notes),
    }


def opinions_section(table: AgreementTable | None) -> dict[str, Any] | None:
    """Write what several sources say of an alloy as a table; None where none was asked."""
    if table is None:
        return None
    rows, silent = [], []
    for one in table.opinions:
        if one.agrees is None and one.probabilities:
            silent.append(f"{one.source} ({one.question})")
        else:
            rows.append((_MARKS[one.agrees], one.source, one.question, one.says, f"{one.trust}; {one.group}"))
    strength = f"yield strength, {table.test_temperature_K:g} K"
    rows += [(_MARKS[s.agrees], s.source, strength, s.says, f"{s.trust}; {s.group}") for s in table.strengths]
    headlines = [table.headline(question) for question in table.answers]
    return {"headlines": headlines, "rows": rows, "silent": silent, "notes": list(table.notes)}


def learnt_text(alloy: MeasuredAlloy) -> str:
    """Write what was measured of an alloy, in short."""
    told = [_CLASS_WORDS.get(alloy.structure, alloy.structure)] if alloy.structure else []
    told += [f"not {_CLASS_WORDS.get(name, name)}" for name in alloy.not_structures]
    told += [
        f"{PROPERTY_NAMES[name]} {value:.4g} {PROPERTY_UNITS[name]} at {alloy.temperature_K:g} K"
        for name, value in alloy.properties.items()
    ]
    return ", ".join(told)


def suggestion_rows(candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Write suggested alloys as a table: composition, structure, a column for each property, why."""
    names = list(dict.fromkeys(name for c in candidates for name in c.prediction.properties))
    rows = []
    for candidate in candidates:
        structure = candidate.prediction.structure
        likeliest = max(structure.probabilities.items(), key=lambda item: item[1]) if structure else ("–", 0.0)
        values = [_value(candidate.prediction.properties.get(name)) for name in names]
        told = f"{_CLASS_WORDS.get(likeliest[0], likeliest[0])} {likeliest[1]:.2f}" if structure else "–"
        rows.append((candidate.formula, told, values, candidate.reason))
    return {"property_names": [PROPERTY_NAMES.get(name, name) for name in names], "rows": rows}


def _class_row(what: str, call: ClassCall) -> tuple[str, str, str]:
    likeliest = sorted(call.probabilities.items(), key=lambda item: -item[1])
    shares = ", ".join(f"{_CLASS_WORDS.get(name, name)} {p:.2f}" for name, p in likeliest)
    held = " or ".join(_CLASS_WORDS.get(name, name) for name in call.prediction_set)
    return what, shares, f"{held} ({100 * call.level:g} %)"


def _value(estimate: Estimate | None) -> str:
    """Write a predicted value; three digits are more than its interval allows.

    >>> _value(Estimate(value=1189.6, low=638.0, high=2003.0, level=0.9, unit="MPa"))
    '1190 MPa'
    """
    return "–" if estimate is None else f"{_three_digits(estimate.value)} {estimate.unit}"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None or estimate.level is None:
        return "–"
    return f"{_three_digits(estimate.low)} to {_three_digits(estimate.high)} ({100 * estimate.level:g} %)"


def _three_digits(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}"


def _reported(reported: Mapping[str, Any]) -> str:
    """Write what is reported of a known alloy.

    >>> _reported({"structure": {"BCC": 4, "multi": 1}, "hardness_HV": 455.0, "weight": 0.033})
    'BCC (4), several phases (1); Vickers hardness 455; weight 3 %'
    """
    told = []
    for key, value in reported.items():
        if isinstance(value, Mapping):
            told.append(", ".join(f"{_CLASS_WORDS.get(name, name)} ({n})" for name, n in value.items()))
        elif key == "weight":
            told.append(f"weight {100 * value:.0f} %")
        elif isinstance(value, (int, float)):
            told.append(f"{PROPERTY_NAMES.get(key, key)} {_three_digits(value)}")
        elif value:
            told.append(str(value))
    return "; ".join(told)
