"""Hold labels against what simulation and rules expect: one `Evidence` a claim, able to say no (see `verdicts`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hea_sim.crystals import atoms_per_cell, prototype
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.forecasting import Forecast, superlattice_percent
from hea_sim.records import Estimate, Evidence, PatternCall, Segmentation, Simulation
from hea_vision.verdicts import judge_names, judge_numbers

#: Systematic error of an EDS composition without standards, relative.
EDS_RELATIVE_STD = 0.05
#: Relative std of the mean volume per atom of a mixture about that of one phase of the same composition.
MIXTURE_VOLUME_STD = 0.015
#: Area fraction of a second phase that a laboratory pattern cannot miss.
PATTERN_LIMIT = 0.05
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


#: Classes of the segmenters that are a phase beside the matrix.
SECOND_PHASES = ("second phase", "precipitate", "small precipitate", "large precipitate")
UNFAMILIAR = "the picture is unlike those that the segmenter knows"

#: What the rules call an assemblage that they do not resolve.
SEVERAL = "several phases"


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
    if expected.opinion.multi_unresolved:
        predicted = [s for s in predicted if len(s) == 1] + (several or [[SEVERAL]])
    fields = judge_names(measured, predicted, independent=not synthetic)
    if expected.opinion.multi_unresolved:
        fields["predicted_sets"] = [s for s in predicted if len(s) == 1 and s != [SEVERAL]] + [[SEVERAL]]
    domain = expected.opinion.domain
    if not synthetic and not domain["in_domain"]:
        fields["verdict"] = "inconclusive"
        fields["reason"] = f"outside the domain of the rules: {'; '.join(domain['reasons'])}"
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
    if len(expected.order_sets) > 1:
        text += ". The model cannot tell arrangements apart well enough to predict order (see its card)"
    own = superlattice_percent(expected.simulation, get_radiation(call.radiation))
    return f"{text}. The simulated cell's own (100) line is {own:.2g} % of its strongest"


def crosscheck_micrograph(
    labels: Segmentation, expected: Forecast, calls: Sequence[PatternCall] = (), *, synthetic: bool = False
) -> list[Evidence]:
    """Hold one labelled micrograph against a forecast and against the patterns of the same specimen."""
    common: dict[str, Any] = {"against": expected.alloy, "measured_source": labels.source, "independent": not synthetic}
    out = []
    second, found = second_phase(labels)
    if second is not None:
        reason = "a lattice Monte Carlo on one lattice has no coexisting phases to take a fraction from"
        if not found:
            reason += "; the bound holds for phases that differ in grey"
        if labels.unfamiliar:
            reason += f"; {UNFAMILIAR}"
        out.append(
            Evidence(
                claim="volume fraction of a second phase",
                kind="fraction",
                verdict="inconclusive",
                measured=second,
                predicted_source=expected.volume_source,
                **common,
                reason=reason,
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
    sized = "grains" if labels.objects.get("grain") else "the second phase" if found else ""
    if sized:
        out.append(
            Evidence(
                claim=f"size of {sized}",
                kind="size",
                verdict="inconclusive",
                predicted_source="",
                reason="a size needs kinetics, which were not simulated",
                **common,
            )
        )
    return out


def second_phase(labels: Segmentation) -> tuple[Estimate | None, bool]:
    """Add up the area of every class that is a second phase, and say whether any was found.

    The errors of several classes are added as if they went together, since one is often taken for another.
    """
    parts = [labels.fractions[name] for name in SECOND_PHASES if name in labels.fractions]
    found = any(labels.objects.get(name, 0) > 0 for name in SECOND_PHASES)
    if len(parts) < 2:
        return (parts[0] if parts else None), found
    bounds = [(e.value if e.low is None else e.low, e.value if e.high is None else e.high) for e in parts]
    total = Estimate(
        value=sum(e.value for e in parts),
        std=sum(e.std or 0.0 for e in parts),
        low=sum(low for low, _ in bounds),
        high=min(1.0, sum(high for _, high in bounds)),
        level=parts[0].level or 0.9,
        unit=parts[0].unit,
        method=f"{len(parts)} classes together; {parts[0].method}",
    )
    return total, found


def _image_against_pattern(labels: Segmentation, call: PatternCall, common: Mapping[str, Any]) -> Evidence:
    """Compare how many phases a picture and a pattern of the same specimen show.

    A picture without a second phase does not exclude one: contrast may be missing. One with a second phase contradicts
    a pattern of one phase only where its area is more than a pattern could miss.
    """
    second, found = second_phase(labels)
    sure = found and second is not None and (second.low or 0.0) > PATTERN_LIMIT and not labels.unfamiliar
    picture = [[SEVERAL]] if sure else [["one phase"], [SEVERAL]]
    pattern = [[name] for name in sorted({"one phase" if len(s) == 1 else SEVERAL for s in call.prediction_sets})]
    independent = bool(common["independent"]) and not call.synthetic
    fields = judge_names(picture, pattern, independent=independent)
    if independent and not sure:
        fields["reason"] = "the picture shows no second phase large enough for a pattern to contradict it"
    return Evidence(
        claim="number of phases, picture against pattern",
        kind="fraction",
        predicted_source=call.input,
        **{**common, **fields},
    )


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
