"""Hold labels against what simulation and rules expect: one `Evidence` a claim, able to say no.

Numbers: z = (measured - predicted) / sqrt(measurement_std^2 + model_std^2). `agree` needs |z| <= 2 and a named
alternative that this pair could have told apart; `disagree` needs |z| > 3; all else is `inconclusive`.
Names: `disagree` where the measured and the predicted 99 % sets share no assemblage, `agree` where both hold the same
single one, else `inconclusive`. A value that was an input of the simulation is `assumed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hea_sim.crystals import prototype
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.forecasting import Forecast, superlattice_percent
from hea_sim.records import Estimate, Evidence, PatternCall, Segmentation, Simulation

AGREE_Z, DISAGREE_Z = 2.0, 3.0
#: Systematic error of an EDS composition without standards, relative.
EDS_RELATIVE_STD = 0.05
#: Error of a nominal composition (weighing, evaporation), at.%.
NOMINAL_STD_AT_PERCENT = 0.5

Sets = Sequence[Sequence[str]]


def judge_numbers(
    measured: Estimate, predicted: Estimate, *, independent: bool, alternatives: Mapping[str, Estimate]
) -> dict[str, Any]:
    """Decide on a numerical claim; return the fields of an `Evidence`.

    Parameters
    ----------
    alternatives
        What other named hypotheses predict for the same quantity.
    """
    spread = float(np.hypot(measured.std or 0.0, predicted.std or 0.0))
    z = (measured.value - predicted.value) / spread if spread > 0 else float("inf")
    resolvable = DISAGREE_Z * spread
    told = {name: _tells_apart(predicted, other, measured) for name, other in alternatives.items()}
    fields: dict[str, Any] = {
        "measured": measured,
        "predicted": predicted,
        "z": z,
        "resolvable_difference": resolvable,
        "independent": independent,
        "alternatives": {n: "told apart" if yes else "not told apart" for n, yes in told.items()},
    }
    apart, close = [n for n, yes in told.items() if yes], [n for n, yes in told.items() if not yes]
    if not independent:
        verdict, reason = "assumed", "the measured side shares its input with the prediction"
    elif abs(z) > DISAGREE_Z:
        verdict, reason = "disagree", f"|z| = {abs(z):.1f} > {DISAGREE_Z:g}"
    elif abs(z) > AGREE_Z:
        verdict, reason = "inconclusive", f"|z| = {abs(z):.1f} lies between {AGREE_Z:g} and {DISAGREE_Z:g}"
    elif not apart:
        why = f"not told apart from {', '.join(close)}" if close else "no named alternative to tell it from"
        verdict, reason = "inconclusive", f"|z| = {abs(z):.1f}, but {why}"
        reason += f" (resolvable difference {resolvable:.3g} {measured.unit})"
    else:
        verdict, reason = "agree", f"|z| = {abs(z):.1f}; told apart from {', '.join(apart)}"
        reason += f", not from {', '.join(close)}" if close else ""
    return {**fields, "verdict": verdict, "reason": reason}


def _tells_apart(predicted: Estimate, other: Estimate, measured: Estimate) -> bool:
    spread = np.sqrt((measured.std or 0) ** 2 + max(predicted.std or 0, other.std or 0) ** 2)
    return bool(abs(other.value - predicted.value) > DISAGREE_Z * spread)


def judge_names(measured: Sets, predicted: Sets, *, independent: bool) -> dict[str, Any]:
    """Decide on a named claim; return the fields of an `Evidence`."""
    left, right = {tuple(sorted(s)) for s in measured}, {tuple(sorted(s)) for s in predicted}
    fields: dict[str, Any] = {
        "measured_sets": [list(s) for s in sorted(left)],
        "predicted_sets": [list(s) for s in sorted(right)],
        "independent": independent,
    }
    shared = left & right
    if not independent:
        verdict, reason = "assumed", "the measured side shares its input with the prediction"
    elif not left or not right:
        verdict, reason = "inconclusive", "one side names nothing"
    elif not shared:
        verdict, reason = "disagree", f"{_names(left)} was measured, {_names(right)} expected: nothing in common"
    elif left == right and len(left) == 1:
        verdict, reason = "agree", f"both sides name {_names(left)} alone"
    else:
        verdict = "inconclusive"
        reason = f"both allow {_names(shared)}; measured leaves {_names(left)}, expected leaves {_names(right)}"
    return {**fields, "verdict": verdict, "reason": reason}


def _names(sets: set[tuple[str, ...]]) -> str:
    return " or ".join("+".join(s) for s in sorted(sets)) or "nothing"


def crosscheck(
    labels: Sequence[PatternCall | Segmentation],
    expected: Forecast | Simulation,
    *,
    alternatives: Sequence[Forecast] = (),
    synthetic: bool = False,
) -> list[Evidence]:
    """Hold labelled patterns and micrographs of one specimen against a forecast, or against a simulated cell.

    Parameters
    ----------
    labels
        From `classify_pattern` and `segment`.
    alternatives
        Forecasts of other alloys; a number can only agree where one of them could have been told apart.
    synthetic
        True for evidence that this project's own forward models made: its agreement is assumed.
    """
    forecast = expected if isinstance(expected, Forecast) else Forecast.of(expected)
    calls = [x for x in labels if isinstance(x, PatternCall)]
    claims = assumed_phase(forecast)
    for call in calls:
        claims += crosscheck_pattern(call, forecast, alternatives=alternatives, synthetic=synthetic)
    for item in labels:
        if isinstance(item, Segmentation):
            claims += crosscheck_micrograph(item, forecast, calls, synthetic=synthetic)
    return claims


def crosscheck_pattern(
    call: PatternCall, expected: Forecast, *, alternatives: Sequence[Forecast] = (), synthetic: bool = False
) -> list[Evidence]:
    """Hold one labelled pattern against a forecast: phase, lattice parameter, order.

    Parameters
    ----------
    alternatives
        Forecasts of other alloys that the evidence might fit as well.
    synthetic
        True for patterns that this project's own forward model made.
    """
    common: dict[str, Any] = {"against": expected.alloy, "measured_source": call.input}
    if not call.in_scope:
        return [
            Evidence(
                claim="phase",
                kind="phase",
                verdict="inconclusive",
                independent=not synthetic,
                **common,
                reason=f"the pattern was refused: {call.reason}",
                predicted_sets=expected.phase_sets,
                predicted_source=expected.phase_source,
            )
        ]
    fundamental = {tuple(sorted(prototype(n).fundamental for n in s)) for s in call.prediction_sets}
    out = [
        Evidence(
            claim="phase",
            kind="phase",
            **common,
            predicted_source=expected.phase_source,
            **judge_names(sorted(fundamental), expected.phase_sets, independent=not synthetic),
        )
    ]
    out += _lattice_claims(call, expected, alternatives, synthetic, common)
    out += _order_claims(call, expected, synthetic, common)
    return out


def _lattice_claims(
    call: PatternCall, expected: Forecast, alternatives: Sequence[Forecast], synthetic: bool, common: dict[str, Any]
) -> list[Evidence]:
    cubic = [p for p in call.phases if p.name in ("A1", "A2")]
    if not cubic:
        reason = "no cubic solid solution was found, whose lattice parameter could be compared"
        return [
            Evidence(
                claim="lattice parameter",
                kind="lattice",
                verdict="inconclusive",
                independent=not synthetic,
                reason=reason,
                predicted_source=expected.volume_source,
                **common,
            )
        ]
    if len(call.phases) > 1:
        return [_volume_of_mixture(call, expected, synthetic, common)]
    phase = cubic[0]
    fields = judge_numbers(
        phase.lattice_A["a"],
        expected.lattice_parameter(phase.name),
        independent=not synthetic,
        alternatives={f.alloy: f.lattice_parameter(phase.name) for f in alternatives},
    )
    return [
        Evidence(
            claim=f"lattice parameter a of {phase.name}",
            kind="lattice",
            predicted_source=expected.volume_source,
            **common,
            **fields,
        )
    ]


def _volume_of_mixture(call: PatternCall, expected: Forecast, synthetic: bool, common: dict[str, Any]) -> Evidence:
    """Refuse to compare one predicted volume with phases whose compositions nobody measured."""
    names = ", ".join(p.name for p in call.phases)
    return Evidence(
        claim="lattice parameter",
        kind="lattice",
        verdict="inconclusive",
        independent=not synthetic,
        **common,
        predicted=expected.volume_A3,
        predicted_source=expected.volume_source,
        reason=f"several phases ({names}) share the elements in unknown proportions; the simulation is of one phase",
    )


def _order_claims(call: PatternCall, expected: Forecast, synthetic: bool, common: dict[str, Any]) -> list[Evidence]:
    out = []
    for test in call.order:
        name, ordered = str(test["phase"]), str(test["ordered"])
        measured = [[ordered]] if test["detected"] else [[name]] if test["excluded"] else [[name], [ordered]]
        base: dict[str, Any] = {
            **common,
            "claim": f"order of {name}",
            "kind": "order",
            "predicted_source": expected.volume_source,
        }
        if not expected.order_sets:
            reason = f"{test['reason']}; nothing was simulated that predicts order"
            out.append(
                Evidence(
                    **base, verdict="inconclusive", reason=reason, independent=not synthetic, measured_sets=measured
                )
            )
            continue
        fields = judge_names(measured, expected.order_sets, independent=not synthetic)
        fields["reason"] = "; ".join(x for x in (str(fields["reason"]), _order_line(call, test, expected)) if x)
        out.append(Evidence(**base, **fields))
    return out


def _order_line(call: PatternCall, test: Mapping[str, object], expected: Forecast) -> str:
    """Say what the simulated cell's own order would show, beside what this scan can see."""
    text = str(test["reason"])
    if expected.simulation is None or test["phase"] != "A2" or expected.simulation.lattice != "A2":
        return text
    own = superlattice_percent(expected.simulation, get_radiation(_radiation_name(call)))
    return f"{text}. The simulated cell's own (100) line is {own:.2g} % of its strongest"


def _radiation_name(call: PatternCall) -> str:
    return call.radiation.removesuffix(" A") if call.radiation.endswith(" A") else call.radiation


def crosscheck_micrograph(
    labels: Segmentation, expected: Forecast, calls: Sequence[PatternCall] = (), *, synthetic: bool = False
) -> list[Evidence]:
    """Hold one labelled micrograph against a forecast and against the patterns of the same specimen."""
    common: dict[str, Any] = {"against": expected.alloy, "measured_source": labels.source, "independent": not synthetic}
    out = []
    second = labels.fractions.get("second phase")
    if second is not None:
        out.append(
            Evidence(
                claim="volume fraction of a second phase",
                kind="fraction",
                verdict="inconclusive",
                measured=second,
                predicted_source=expected.volume_source,
                **common,
                reason="a lattice Monte Carlo on one lattice has no coexisting phases to take a fraction from",
            )
        )
        out += [_image_against_pattern(labels, call, common) for call in calls if call.in_scope]
    pore = labels.fractions.get("pore")
    if pore is not None:
        out.append(
            Evidence(
                claim="pores",
                kind="fraction",
                verdict="inconclusive",
                measured=pore,
                predicted_source="",
                reason="no simulation here predicts pores",
                **common,
            )
        )
    if labels.objects.get("second phase", 0) > 0:
        out.append(
            Evidence(
                claim="size of the second phase",
                kind="size",
                verdict="inconclusive",
                predicted_source="",
                reason="a size needs kinetics, which were not simulated",
                **common,
            )
        )
    return out


def _image_against_pattern(labels: Segmentation, call: PatternCall, common: Mapping[str, Any]) -> Evidence:
    """Compare how many phases a picture and a pattern of the same specimen show."""
    image = "several phases" if labels.objects.get("second phase", 0) else "one phase"
    sizes = {len(s) for s in call.prediction_sets}
    pattern = [[{True: "one phase", False: "several phases"}[n == 1]] for n in sorted(sizes)]
    fields = judge_names([[image]], pattern, independent=bool(common["independent"]))
    return Evidence(
        claim="number of phases, picture against pattern",
        kind="fraction",
        predicted_source=call.input,
        **{**common, **fields},
    )


def crosscheck_composition(
    means: Mapping[str, Estimate], nominal: Mapping[str, float], *, alloy: str, source: str, synthetic: bool = False
) -> list[Evidence]:
    """Hold a measured mean composition (at.%) against the nominal one, element by element."""
    out = []
    for element in sorted(set(means) | set(nominal)):
        expected = Estimate.normal(
            100 * nominal.get(element, 0.0), NOMINAL_STD_AT_PERCENT, unit="at.%", method="nominal composition"
        )
        base: dict[str, Any] = {
            "claim": f"{element} content",
            "kind": "composition",
            "against": alloy,
            "measured_source": source,
            "predicted_source": "campaign",
        }
        if element not in means:
            out.append(
                Evidence(
                    **base,
                    verdict="inconclusive",
                    reason="the table has no such element",
                    predicted=expected,
                    independent=not synthetic,
                )
            )
            continue
        mean = means[element]
        std = float(np.hypot(mean.std or 0.0, EDS_RELATIVE_STD * mean.value))
        measured = Estimate.normal(
            mean.value, std, unit="at.%", n=mean.n, method=f"{mean.method}; 5 % for no standards"
        )
        without = Estimate.normal(0.0, NOMINAL_STD_AT_PERCENT, unit="at.%", method="element absent")
        fields = judge_numbers(
            measured, expected, independent=not synthetic, alternatives={f"an alloy without {element}": without}
        )
        out.append(Evidence(**base, **fields))
    return out


def crosscheck_structure(
    lattice_A: Estimate, call: PatternCall, *, alloy: str, source: str, alternatives: Sequence[Forecast]
) -> list[Evidence]:
    """Hold a measured lattice parameter against that of a given calculated cell."""
    phases = [p for p in call.phases if p.name in ("A1", "A2")]
    if not call.in_scope or len(phases) != 1:
        return []
    phase = phases[0]
    fields = judge_numbers(
        phase.lattice_A["a"],
        lattice_A,
        independent=True,
        alternatives={f.alloy: f.lattice_parameter(phase.name) for f in alternatives},
    )
    return [
        Evidence(
            claim=f"lattice parameter a of {phase.name}, calculated cell",
            kind="lattice",
            against=alloy,
            measured_source=call.input,
            predicted_source=source,
            **fields,
        )
    ]


def assumed_phase(expected: Forecast) -> list[Evidence]:
    """State that the simulated lattice was an input."""
    if expected.simulation is None:
        return []
    name = expected.simulation.lattice
    return [
        Evidence(
            claim="phase of the simulated cell",
            kind="phase",
            verdict="assumed",
            independent=False,
            against=expected.alloy,
            predicted_sets=[[name]],
            predicted_source=expected.simulation.model,
            reason=f"{name} was an input of the lattice Monte Carlo, not a result",
        )
    ]


def wrong_phase_control(call: PatternCall, expected: Forecast) -> list[Evidence]:
    """Hold a pattern against a phase that it does not show: the claim must disagree."""
    if not call.in_scope:
        return []
    found = {tuple(sorted(prototype(n).fundamental for n in s)) for s in call.prediction_sets}
    wrong = "A1" if not any("A1" in s for s in found) else "A3"
    fields = judge_names(sorted(found), [[wrong]], independent=True)
    return [
        Evidence(
            claim=f"phase, had it been {wrong}",
            kind="phase",
            against=f"{expected.alloy} as {wrong}",
            measured_source=call.input,
            predicted_source="control",
            **fields,
        )
    ]
