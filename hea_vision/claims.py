"""Hold labels against what simulation and rules expect: one `Evidence` a claim, able to say no (see `verdicts`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hea_sim.crystals import atoms_per_cell, prototype
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.forecasting import Forecast, superlattice_percent
from hea_sim.records import Estimate, Evidence, PatternCall, Segmentation, Simulation
from hea_vision.micrograph_claims import crosscheck_micrograph
from hea_vision.verdicts import SEVERAL, judge_names, judge_numbers

#: Systematic error of an EDS composition without standards, relative.
EDS_RELATIVE_STD = 0.05
#: Relative std of the mean volume per atom of a mixture about that of one phase of the same composition.
MIXTURE_VOLUME_STD = 0.015
#: Error of a nominal composition (weighing, evaporation), at.%.
NOMINAL_STD_AT_PERCENT = 0.5


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
    synthetic = synthetic or call.synthetic
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
    return [
        _phase_claim(call, expected, synthetic, common),
        *_lattice_claims(call, expected, alternatives, synthetic, common),
        *_order_claims(call, expected, synthetic, common),
    ]


def fundamental_sets(call: PatternCall) -> list[list[str]]:
    """Reduce the assemblages of a label to fundamental lattices, each named once."""
    found = {tuple(sorted({prototype(n).fundamental for n in s})) for s in call.prediction_sets}
    return [list(s) for s in sorted(found)]


def _phase_claim(call: PatternCall, expected: Forecast, synthetic: bool, common: dict[str, Any]) -> Evidence:
    """Compare assemblages; several phases that the rules do not name cover every measured assemblage of several."""
    measured = fundamental_sets(call)
    # Two phases of one lattice are several phases as well.
    several = [s for s in measured if len(s) > 1]
    if len(call.phases) > 1 and not several:
        measured = several = [[p.name for p in call.phases]]
    predicted = [list(s) for s in expected.phase_sets]
    if expected.several_unresolved:
        predicted = [s for s in predicted if len(s) == 1] + (several or [[SEVERAL]])
    fields = judge_names(measured, predicted, independent=not synthetic)
    if expected.several_unresolved:
        fields["predicted_sets"] = [s for s in predicted if len(s) == 1 and s != [SEVERAL]] + [[SEVERAL]]
    if not synthetic and expected.doubts:
        fields["verdict"] = "inconclusive"
        fields["reason"] = f"outside the domain of the rules: {'; '.join(expected.doubts)}"
    return Evidence(claim="phase", kind="phase", **common, predicted_source=expected.phase_source, **fields)


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
        return [_volume_of_mixture(call, expected, alternatives, synthetic, common)]
    phase = cubic[0]
    predicted = expected.lattice_parameter(phase.name)
    if predicted is None:
        return [
            Evidence(
                claim=f"lattice parameter a of {phase.name}",
                kind="lattice",
                verdict="inconclusive",
                independent=not synthetic,
                measured=phase.lattice_A["a"],
                reason=f"no volume is expected for {expected.alloy}: {expected.volume_source}",
                **common,
            )
        ]
    fields = judge_numbers(
        phase.lattice_A["a"],
        predicted,
        independent=not synthetic,
        alternatives=_lattices_of(alternatives, phase.name),
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


def _lattices_of(others: Sequence[Forecast], structure: str) -> dict[str, Estimate]:
    """Collect what other alloys expect of a lattice parameter; those that expect nothing are left out."""
    found = {other.alloy: other.lattice_parameter(structure) for other in others}
    return {alloy: value for alloy, value in found.items() if value is not None}


def _volume_of_mixture(
    call: PatternCall, expected: Forecast, alternatives: Sequence[Forecast], synthetic: bool, common: dict[str, Any]
) -> Evidence:
    """Compare the mean volume per atom of several phases, which the overall composition fixes nearly.

    Phases share the elements in unknown proportions, but their atoms together are the alloy's: by Zen's law the mean
    volume is that of one phase, within `MIXTURE_VOLUME_STD`. Weight fractions stand for atomic ones.
    """
    base: dict[str, Any] = {"claim": "mean volume per atom of all phases", "kind": "lattice", **common}
    base["predicted_source"] = expected.volume_source
    names = ", ".join(p.name for p in call.phases)
    cubic = all(p.name in ("A1", "A2") and p.weight_fraction is not None for p in call.phases)
    if not cubic or expected.volume_A3 is None:
        reason = f"not every phase of {names} is a cubic solid solution with a known cell, or no volume is expected"
        return Evidence(**base, verdict="inconclusive", independent=not synthetic, reason=reason)
    volumes = np.array([p.lattice_A["a"].value ** 3 / atoms_per_cell(p.name) for p in call.phases])
    weights = np.array([p.weight_fraction.value for p in call.phases if p.weight_fraction is not None])
    spread = np.array([p.weight_fraction.std or 0.0 for p in call.phases if p.weight_fraction is not None])
    mean = float(weights @ volumes / weights.sum())
    std = float(np.hypot(np.linalg.norm(spread * (volumes - mean)), MIXTURE_VOLUME_STD * mean))
    measured = Estimate.normal(
        mean, std, unit="A^3/atom", n=len(volumes), method=f"mean over {names} by weight fraction"
    )
    others = {other.alloy: other.volume_A3 for other in alternatives if other.volume_A3 is not None}
    return Evidence(
        **base, **judge_numbers(measured, expected.volume_A3, independent=not synthetic, alternatives=others)
    )


def _order_claims(call: PatternCall, expected: Forecast, synthetic: bool, common: dict[str, Any]) -> list[Evidence]:
    out = []
    # Where a potential gave the volume, the order still is that of the Monte Carlo.
    simulated = expected.simulation
    source = f"simulated cell, {simulated.model}" if simulated else expected.volume_source
    for test in call.order:
        name, ordered = str(test["phase"]), str(test["ordered"])
        measured = [[ordered]] if test["detected"] else [[name]] if test["excluded"] else [[name], [ordered]]
        base: dict[str, Any] = {
            **common,
            "claim": f"order of {name}",
            "kind": "order",
            "predicted_source": source,
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
    if len(expected.order_sets) > 1:
        text += ". The model cannot tell arrangements apart well enough to predict order (see its card)"
    own = superlattice_percent(expected.simulation, get_radiation(call.radiation))
    return f"{text}. The simulated cell's own (100) line is {own:.2g} % of its strongest"


def crosscheck_composition(
    means: Mapping[str, Estimate],
    nominal: Mapping[str, float],
    *,
    alloy: str,
    source: str,
    alternatives: Mapping[str, Mapping[str, float]] | None = None,
    synthetic: bool = False,
) -> list[Evidence]:
    """Hold a measured mean composition (at.%) against the nominal one, element by element.

    `alternatives` are the nominal atomic fractions of other alloys, by name.
    """
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
        others = {
            name: Estimate.normal(
                100 * fractions.get(element, 0.0), NOMINAL_STD_AT_PERCENT, unit="at.%", method="nominal composition"
            )
            for name, fractions in (alternatives or {}).items()
        }
        fields = judge_numbers(measured, expected, independent=not synthetic, alternatives=others)
        out.append(Evidence(**base, **fields))
    return out


def crosscheck_structure(
    volume_A3: Estimate,
    call: PatternCall,
    *,
    alloy: str,
    source: str,
    alternatives: Sequence[Forecast],
    synthetic: bool = False,
) -> list[Evidence]:
    """Hold a measured lattice parameter against that of a calculated cell of volume_A3 per atom."""
    phases = [p for p in call.phases if p.name in ("A1", "A2")]
    if not call.in_scope or len(phases) != 1 or len(call.phases) != 1:
        return []
    phase = phases[0]
    a = (atoms_per_cell(phase.name) * volume_A3.value) ** (1 / 3)
    lattice_A = Estimate.normal(
        a, a / 3 * (volume_A3.std or 0.0) / volume_A3.value, unit="A", method=f"{volume_A3.method}, as {phase.name}"
    )
    fields = judge_numbers(
        phase.lattice_A["a"],
        lattice_A,
        independent=not (synthetic or call.synthetic),
        alternatives=_lattices_of(alternatives, phase.name),
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


def wrong_phase_control(call: PatternCall, forced: PatternCall, *, alloy: str, wrong: str) -> Evidence:
    """Ask whether the labeller could be talked into a wrong phase.

    Parameters
    ----------
    call
        The label of a pattern.
    forced
        The label of the same pattern with `wrong` as the only structure to choose from.
    """
    share = sum(p.explained_fraction or 0.0 for p in forced.phases)
    fields: dict[str, Any] = {"measured_sets": fundamental_sets(call), "predicted_sets": [[wrong]], "independent": True}
    if forced.in_scope:
        verdict, reason = (
            "inconclusive",
            f"{wrong} alone explains {100 * share:.0f} % of the (square-root) line intensity",
        )
    else:
        verdict, reason = "disagree", f"with {wrong} alone the pattern is refused: {forced.reason}"
    return Evidence(
        claim=f"phase, had it been {wrong}",
        kind="phase",
        against=f"{alloy} as {wrong}",
        measured_source=call.input,
        predicted_source="control",
        verdict=verdict,  # type: ignore[arg-type]
        reason=reason,
        **fields,
    )
