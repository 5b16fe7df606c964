"""Hold a labelled micrograph against what simulation and rules expect, and against the patterns of the specimen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.forecasting import Forecast
from hea_sim.records import Estimate, Evidence, PatternCall, Segmentation
from hea_vision.measurement.fractions import fractions_of_field
from hea_vision.verdicts import SEVERAL, judge_names

#: Area fraction of a second phase that a laboratory pattern cannot miss.
PATTERN_LIMIT = 0.05
#: Classes of the segmenters that are a phase beside the matrix.
SECOND_PHASES = ("second phase", "precipitate", "small precipitate", "large precipitate")
UNFAMILIAR = "the picture is unlike those that the segmenter knows"


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
    if "pore" in labels.fractions:
        out.append(
            Evidence(
                claim="pores",
                kind="fraction",
                verdict="inconclusive",
                measured=_of_specimen(labels, "pore"),
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
    """Add up the area of every class that is a second phase, in the specimen, and say whether any was found.

    The errors of several classes are added as if they went together, since one is often taken for another.
    """
    parts = [_of_specimen(labels, name) for name in SECOND_PHASES if name in labels.fractions]
    found = any(labels.objects.get(name, 0) > 0 for name in SECOND_PHASES)
    if len(parts) < 2:
        return (parts[0] if parts else None), found
    bounds = [(e.value if e.low is None else e.low, e.value if e.high is None else e.high) for e in parts]
    known = [e.std for e in parts if e.std is not None]
    total = Estimate(
        value=sum(e.value for e in parts),
        std=sum(known) if len(known) == len(parts) else None,  # an error that is not known is not none
        low=sum(low for low, _ in bounds),
        high=min(1.0, sum(high for _, high in bounds)),
        level=parts[0].level or 0.9,
        unit=parts[0].unit,
        method=f"{len(parts)} classes together; {parts[0].method}",
    )
    return total, found


def _of_specimen(labels: Segmentation, name: str) -> Estimate:
    """Give the area fraction of a class in the specimen: a claim speaks of the alloy, not of one picture."""
    known = labels.fractions[name]
    number = {text: k for k, text in labels.classes.items()}[name]
    try:
        return fractions_of_field(np.asarray(labels.labels), number, known)[1]
    except InputError:  # the labels were changed since; what was said of them stands
        return known


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
