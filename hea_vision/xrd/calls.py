"""From a fitted set of phases to what is said of a pattern: phases with numbers, prediction sets, refusal, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.crystals import atoms_per_cell
from hea_sim.diffraction.profile import spacing_A
from hea_sim.errors import HEAError, one_line_error
from hea_sim.records import Estimate, PatternCall, Phase
from hea_vision.xrd.amorphous import is_amorphous
from hea_vision.xrd.evidence import ObservedLines
from hea_vision.xrd.order import ORDERED, OrderTest, order_tests
from hea_vision.xrd.question import Question
from hea_vision.xrd.refined_records import refine_set, refined_curves, refined_records
from hea_vision.xrd.set_fit import SetFit
from hea_vision.xrd.unexplained import unexplained_lines
from hea_vision.xrd.volumes import METAL_LOG_VOLUME, log_volume_prior

#: Share of the summed square roots of line areas that may stay unexplained before the pattern is refused.
UNEXPLAINED_LIMIT = 0.35
#: A phase below this weight fraction is a trace: named apart from the constituents.
TRACE_WEIGHT_FRACTION = 0.05
SET_LEVEL = 0.99
#: A single line hints at a lattice whose volume per atom is within three times this of the main phase's, in logarithm.
_HINT_LOG_SPACING = 0.015
#: Relative error of weight fractions beyond texture: microabsorption, Debye-Waller factors, unknown elements.
_SCALE_MODEL_STD = 0.15
#: Relative error of a lattice parameter beyond the scatter of lines: angle calibration.
_LATTICE_FLOOR = 1e-4


def call_of_set(
    question: Question,
    best: SetFit,
    probabilities: Mapping[tuple[str, ...], float],
    *,
    possible: Sequence[tuple[str, ...]],
    frame: Mapping[str, Any] | None = None,
    refine: bool = False,
    hints: bool = False,
    notes: Sequence[str] = (),
    doubt: str = "",
) -> PatternCall:
    """Say what a fitted set means.

    `probabilities` are those of assemblages of fundamental lattices; what is left to one belongs to none of them.
    `possible` are those that prediction sets hold, likeliest first; `hints` adds a lattice of which one line shows.
    `refine` takes numbers and picture from a fit to the whole pattern; `notes` join those of the call; a
    `doubt` refuses the pattern.
    """
    observed, composition = question.observed, question.composition
    root_area = np.exp(observed.log_area / 2)
    orders = order_tests(observed, best, composition, amounts_known=question.amounts_known)
    free = _unexplained(observed, best, orders if composition is not None else ())
    unexplained = float(root_area[free].sum() / root_area.sum())
    metallic = sum(
        float((root_area * best.share[i]).sum() / root_area.sum())
        for i, p in enumerate(best.phases)
        if p.table.kind.metallic
    )
    reason = _refusal(best, unexplained, metallic) or doubt
    records, curves, of_numbers = _numbers(question, best, free, probabilities, refine=refine and not reason)
    order = sorted(range(len(records)), key=lambda i: -_weight(records[i]))  # the main phase first
    phases = [records[i] for i in order if _weight(records[i]) >= TRACE_WEIGHT_FRACTION]
    traces = [records[i] for i in order if _weight(records[i]) < TRACE_WEIGHT_FRACTION]
    sets = _prediction_sets(possible, orders, best, traces)
    return PatternCall(
        **(frame or question.frame()),
        in_scope=not reason,
        reason=reason,
        phases=tuple(phases),
        traces=tuple(traces),
        prediction_sets=_with_hinted(sets, observed, best, free) if hints else sets,
        set_level=SET_LEVEL,
        assemblages=_assemblages(probabilities),
        unexplained_fraction=unexplained,
        unexplained_lines=unexplained_lines(observed, free, question.elements),
        order=[asdict(test) for test in orders if test is not None],
        notes=[
            *question.notes,
            *notes,
            *_volume_notes(best, composition),
            *(f"trace of {t.name} below {100 * TRACE_WEIGHT_FRACTION:.0f} wt%" for t in traces),
            *of_numbers,
        ],
        curves=curves,
    )


def _unexplained(observed: ObservedLines, fit: SetFit, orders: Sequence[OrderTest | None]) -> np.ndarray:
    """Say which lines (n,) neither a phase gives nor the order that a phase is seen to have.

    Where the elements are unknown, any primitive cubic structure could pass for an ordered alloy: no orders are given.
    """
    free = fit.owner < 0
    for i, test in enumerate(orders):
        if test is not None and test.detected:
            free &= ~fit.ordering(observed, i)
    return free


def _weight(phase: Phase) -> float:
    return phase.weight_fraction.value if phase.weight_fraction is not None else 0.0


def _numbers(
    question: Question,
    best: SetFit,
    free: np.ndarray,
    probabilities: Mapping[tuple[str, ...], float],
    *,
    refine: bool,
) -> tuple[list[Phase], dict[str, np.ndarray], list[str]]:
    """Give the records of the phases, the curves of the picture, and notes."""
    observed, notes = question.observed, []
    if refine:
        try:
            refined = refine_set(question, best)
            return refined_records(refined, best, probabilities), refined_curves(refined, best), list(refined.notes)
        except HEAError as error:
            notes = [f"the whole pattern could not be fitted ({one_line_error(error)}); numbers are of the lines alone"]
    weights = _weight_fractions(best)
    records = [_phase_record(observed, best, i, probabilities, w) for i, w in enumerate(weights)]
    return records, _curves(observed, best, free), notes


def call_without_sets(question: Question) -> PatternCall:
    """Refuse a pattern that no known structure explains."""
    observed = question.observed
    return PatternCall(
        **question.frame(),
        in_scope=False,
        phases=(),
        prediction_sets=(),
        unexplained_fraction=1.0,
        notes=question.notes,
        reason="no structure that is known here explains the lines better than chance",
        unexplained_lines=unexplained_lines(observed, np.ones(len(observed), bool), question.elements),
        curves=_curves(observed, None, np.ones(len(observed), bool)),
    )


def _volume_notes(best: SetFit, composition: Composition | None) -> list[str]:
    """Name metallic phases whose volume per atom the given elements cannot have."""
    if composition is None:
        return []
    mean, std = log_volume_prior(composition) or METAL_LOG_VOLUME
    notes = []
    for phase in best.phases:
        volume = float(phase.table.volume_A3(phase.a_A, phase.c_A)) / phase.table.atoms_per_cell
        if phase.table.kind.metallic and abs(np.log(volume) - mean) > 3 * std:
            notes.append(
                f"{phase.name} has {volume:.2f} A^3 per atom, where {' '.join(composition)} would have"
                f" {np.exp(mean):.2f} +- {np.exp(mean) * std:.2f}: other elements, or the wrong radiation"
            )
    return notes


def _weight_fractions(fit: SetFit) -> list[Estimate]:
    """Turn scales into weight fractions; the scale of m |F|^2 LP / V^2 is a volume fraction."""
    if len(fit.phases) == 1:
        return [
            Estimate(value=1.0, unit="weight fraction", method="the only phase found", n=int((fit.owner >= 0).sum()))
        ]
    densities = [p.table.cell_mass_u / float(p.table.volume_A3(p.a_A, p.c_A)) for p in fit.phases]
    mass = np.exp(fit.log_scale - fit.log_scale.max()) * densities
    fractions = mass / mass.sum()
    out: list[Estimate] = []
    for i, w in enumerate(fractions):
        others = [j for j in range(len(fractions)) if j != i]
        log_std = float(
            np.sqrt(fit.log_scale_std[i] ** 2 + np.mean(fit.log_scale_std[others] ** 2) + _SCALE_MODEL_STD**2)
        )
        logit = float(np.log(w / (1 - w))) if w < 1 else 20.0
        low, high = (1 / (1 + np.exp(-(logit + s * 1.645 * log_std))) for s in (-1, 1))
        out.append(
            Estimate(
                value=float(w),
                std=float(w * (1 - w) * log_std),
                low=float(low),
                high=float(high),
                level=0.9,
                unit="weight fraction",
                n=int((fit.owner == i).sum()),
                method="scales of the line areas, texture allowed for",
            )
        )
    return out


def _phase_record(
    observed: ObservedLines, fit: SetFit, i: int, probabilities: Mapping[tuple[str, ...], float], weight: Estimate
) -> Phase:
    phase = fit.phases[i]
    probability = sum(p for names, p in probabilities.items() if phase.name in names)
    root_area = np.exp(observed.log_area / 2)
    n = int((fit.owner == i).sum())

    def lattice(value: float, std: float) -> Estimate:
        return Estimate.normal(
            value,
            float(np.hypot(std, _LATTICE_FLOOR * value)),
            unit="A",
            n=n,
            method="line positions with one specimen displacement",
        )

    lattices = {"a": lattice(phase.a_A, float(fit.a_std_A[i]))}
    if phase.table.free_ratio:
        lattices["c"] = lattice(phase.c_A, float(fit.c_std_A[i]))
    return Phase(
        name=phase.name,
        probability=float(min(probability, 1.0)),
        lattice_A=lattices,
        weight_fraction=weight,
        explained_fraction=float((root_area * fit.share[i]).sum() / root_area.sum()),
    )


def _refusal(best: SetFit, unexplained: float, metallic: float) -> str:
    """Say why a pattern is not one of an alloy that is known here; empty where it is."""
    metals = [p.name for p in best.phases if p.table.kind.metallic]
    if unexplained > UNEXPLAINED_LIMIT:
        return (
            f"{100 * unexplained:.0f} % of the (square-root) line intensity stays unexplained, more than"
            f" {100 * UNEXPLAINED_LIMIT:.0f} %: a structure that is not known here, or the wrong radiation"
        )
    if not metals:
        return f"only ceramic structures explain the pattern ({', '.join(best.names)}); no metallic phase was found"
    if metallic < unexplained:
        return (
            f"the metallic candidates ({', '.join(metals)}) explain {100 * metallic:.0f} % of the (square-root) line"
            f" intensity, less than the {100 * unexplained:.0f} % that stay unexplained"
        )
    return ""


def _assemblages(probabilities: Mapping[tuple[str, ...], float]) -> list[dict[str, Any]]:
    """List whole sets of lattices with their probabilities, down to one in a thousand."""
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    return [{"phases": list(names), "probability": p} for names, p in ranked if p >= 1e-3]


def _prediction_sets(
    possible: Sequence[tuple[str, ...]],
    orders: Sequence[OrderTest | None],
    best: SetFit,
    traces: Sequence[Phase],
) -> list[list[str]]:
    """List the possible assemblages; undetectable order doubles an entry, a trace may be left out.

    `orders` belong to the phases of the best set, one each. Other sets take the alternatives of a lattice that they
    share with it, and leave order open for a lattice that they do not.
    """
    best_options = [_alternatives(p.name, test) for p, test in zip(best.phases, orders)]
    by_name: dict[str, list[str]] = {}
    for phase, mine in zip(best.phases, best_options):
        by_name.setdefault(phase.name, []).extend(x for x in mine if x not in by_name.get(phase.name, []))
    ranked = list(possible)
    if traces:  # with or without a trace, the assemblage is named rightly
        left = list(best.names)
        for trace in traces:
            left.remove(trace.name)
        ranked = [tuple(left), *(names for names in ranked if names != tuple(left))]
    out: list[list[str]] = []
    for names in ranked:
        if names == best.names:
            options = best_options
        else:
            options = [by_name.get(name) or _alternatives(name, None) for name in names]
        out += [entry for c in product(*options) if (entry := sorted(c)) not in out]
    return out


def _with_hinted(
    sets: list[list[str]], observed: ObservedLines, best: SetFit, unexplained: np.ndarray
) -> list[list[str]]:
    """Add assemblages with one lattice more, whose strongest line stands unexplained where its volume would put it.

    A minor phase often shows one line only, too little for evidence, but enough to keep it possible.
    """
    metals = [p for p in best.phases if p.table.kind.metallic]
    free = observed.angle[unexplained]
    if not metals or not sets or free.size == 0:
        return sets
    per_atom = np.mean([float(p.table.volume_A3(p.a_A, p.c_A)) / p.table.atoms_per_cell for p in metals])
    out = list(sets)
    for name, root in (("A1", np.sqrt(3.0)), ("A2", np.sqrt(2.0))):
        if name in best.names:
            continue
        spacing = (atoms_per_cell(name) * per_atom) ** (1 / 3) / root
        spacings = spacing_A(free, observed.wavelength_A)
        if np.any(np.abs(np.log(spacings / spacing)) < _HINT_LOG_SPACING):
            out.append(sorted([*sets[0], name]))
    return out


def _alternatives(lattice: str, test: OrderTest | None) -> list[str]:
    """List what a lattice may be once order is asked for."""
    ordered = ORDERED.get(lattice)
    if ordered is None:
        return [lattice]
    if test is None:
        return [lattice, ordered]
    if test.detected:
        return [ordered]
    return [lattice] if test.excluded else [lattice, ordered]


def call_without_lines(question: Question) -> PatternCall:
    """Refuse a pattern that shows no line: amorphous, or empty."""
    lines = question.lines
    curves = {"two_theta_deg": lines.angles, "measured": lines.intensity, "background": lines.background}
    amorphous = is_amorphous(lines)
    return PatternCall(
        **question.frame(),
        in_scope=False,
        phases=(Phase(name="AM", probability=1.0),) if amorphous else (),
        prediction_sets=[["AM"]] if amorphous else (),
        unexplained_fraction=1.0,
        reason="amorphous: a broad hump and no line" if amorphous else "no line stands out of the noise",
        notes=question.notes,
        curves=curves,
    )


def _curves(observed: ObservedLines, fit: SetFit | None, unexplained: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the curves of the figure: measured, background, fitted, each phase, ticks.

    Lines of order are part of what is fitted, and of no phase's curve, which is that of its lattice.
    """
    lines = observed.source
    x = lines.angles
    curves = {"two_theta_deg": x, "measured": lines.intensity, "background": lines.background}
    total = lines.background.copy()
    for j, line in enumerate(lines.specimen):
        shape = line.curve(x, lines.radiation)
        if fit is None or unexplained[j]:
            continue
        total += shape
        for i, phase in enumerate(fit.phases):
            key = f"phase {i} {phase.name}"
            curves[key] = curves.get(key, np.zeros_like(x)) + fit.share[i, j] * shape
    curves["fitted"] = total
    for i, phase in enumerate(fit.phases if fit else ()):
        angle = phase.table.two_theta_deg(phase.a_A, phase.c_A, lines.radiation.wavelength_A)
        shifted = angle + (fit.displacement_deg if fit else 0.0) * np.cos(np.radians(angle) / 2)
        curves[f"ticks {i} {phase.name}"] = shifted[(shifted > x[0]) & (shifted < x[-1])]
    return curves
