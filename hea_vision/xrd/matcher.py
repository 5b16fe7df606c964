"""Label a powder pattern by matching prototypes with free lattices: the baseline `matcher`.

Lines are found and fitted, lattices of every prototype scanned, sets of one to three phases fitted and compared by
their evidence; then the set is judged: what stays unexplained, whether a metal is there at all, whether order could
hide. Probabilities are those of the evidence, flattened by a temperature (see `EVIDENCE_TEMPERATURE`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np

from hea_sim.alloy import Composition, parse_elements
from hea_sim.crystals import atoms_per_cell, prototype
from hea_sim.diffraction.profile import spacing_A
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.documents import versions
from hea_sim.errors import InputError
from hea_sim.records import Estimate, Pattern, PatternCall, Phase, Provenance
from hea_vision.xrd.amorphous import is_amorphous
from hea_vision.xrd.evidence import METAL_LOG_VOLUME, PRIORS, ObservedLines
from hea_vision.xrd.lines import LineList, find_lines, line_shape
from hea_vision.xrd.order import ORDERED, OrderTest, order_tests
from hea_vision.xrd.search import search_sets
from hea_vision.xrd.set_fit import SetFit

#: The evidence takes lines as independent; they are not, so its logarithm is divided by this before normalising.
EVIDENCE_TEMPERATURE = 2.0
#: Share of the summed square roots of line areas that may stay unexplained before the pattern is refused.
UNEXPLAINED_LIMIT = 0.35
#: Evidence below which a set is not better than chance, nats.
_LEAST_EVIDENCE = 8.0
#: A phase below this weight fraction is a trace: named apart from the constituents.
TRACE_WEIGHT_FRACTION = 0.05
_SET_LEVEL = 0.99
#: A single line hints at a lattice whose volume per atom is within three times this of the main phase's, in logarithm.
_HINT_LOG_SPACING = 0.015
#: Relative error of weight fractions beyond texture: microabsorption, Debye-Waller factors, unknown elements.
_SCALE_MODEL_STD = 0.15
#: Relative error of a lattice parameter beyond the scatter of lines: angle calibration.
_LATTICE_FLOOR = 1e-4


def match_pattern(
    pattern: Pattern,
    *,
    elements: str | Sequence[str] | Composition | None = None,
    radiation: str | float | None = None,
    structures: Sequence[str] | None = None,
    volumes_from_elements: bool = True,
) -> PatternCall:
    """Label one pattern.

    Parameters
    ----------
    elements
        The specimen's elements or composition, where known: they set scattering factors and the prior of volumes.
    radiation
        Tube or wavelength; overrides the pattern's own. Asked for where neither says.
    structures
        Structure types to consider; all that the matcher knows where left out. Ordered ones stand for their lattice.
    volumes_from_elements
        False keeps the elements out of the prior of volumes, so that lattices are found without them: needed where
        the label shall test whether these are the elements.
    """
    if not isinstance(pattern, Pattern):
        raise InputError(
            f"classify_pattern: got {type(pattern).__name__}, wanted a Pattern; read a file with read_pattern, or put"
            " arrays into Pattern(two_theta_deg=..., intensity=..., radiation=...)"
        )
    source = get_radiation(radiation if radiation is not None else pattern.radiation or pattern.wavelength_A)
    composition = _composition(elements)
    lines = find_lines(pattern, source)
    observed = ObservedLines(lines, _volume_prior(composition if volumes_from_elements else None))
    frame: dict[str, Any] = {
        "input": pattern.source,
        "radiation": source.name,
        "wavelength_A": source.wavelength_A,
        "method": "matcher",
        "synthetic": bool(pattern.metadata.get("synthetic")),
        "provenance": _provenance(pattern, source.name, composition, structures, volumes_from_elements),
    }
    notes = [f"line at {x.two_theta_deg:.2f} deg: {x.origin}" for x in lines.lines if x.origin != "specimen"]
    if pattern.metadata.get("radiation_note"):
        notes.insert(0, str(pattern.metadata["radiation_note"]))
    if len(observed) == 0 or is_amorphous(lines):
        return _without_lines(lines, frame, notes)
    names = tuple(composition) if composition is not None else None
    fits = search_sets(observed, elements=names, structures=_lattices(structures))
    if not fits or fits[0].log_evidence < _LEAST_EVIDENCE:
        return PatternCall(
            **frame,
            in_scope=False,
            phases=(),
            prediction_sets=(),
            unexplained_fraction=1.0,
            notes=notes,
            reason="no structure that is known here explains the lines better than chance",
            unexplained_lines=_line_rows(lines, np.full(len(observed), -1)),
            curves=_curves(observed, None),
        )
    return _judge(observed, fits, composition, frame, notes)


def _judge(
    observed: ObservedLines,
    fits: list[SetFit],
    composition: Composition | None,
    frame: dict[str, Any],
    notes: list[str],
) -> PatternCall:
    best = fits[0]
    probabilities = _set_probabilities(fits)
    root_area = np.exp(observed.log_area / 2)
    unexplained = float(root_area[best.owner < 0].sum() / root_area.sum())
    weights = _weight_fractions(best)
    phases: list[Phase] = []
    traces: list[Phase] = []
    for i in sorted(range(len(best.phases)), key=lambda i: -weights[i].value):  # the main phase first
        record = _phase_record(observed, best, i, probabilities, weights[i])
        trace = weights[i].value < TRACE_WEIGHT_FRACTION
        (traces if trace else phases).append(record)
    orders = order_tests(observed, best, composition)
    metallic = sum(
        float((root_area * best.share[i]).sum() / root_area.sum())
        for i, p in enumerate(best.phases)
        if p.table.kind.metallic
    )
    reason = _refusal(best, unexplained, metallic)
    return PatternCall(
        **frame,
        in_scope=not reason,
        reason=reason,
        phases=tuple(phases),
        traces=tuple(traces),
        prediction_sets=_with_hinted(_prediction_sets(probabilities, orders, best, traces), observed, best),
        set_level=_SET_LEVEL,
        unexplained_fraction=unexplained,
        unexplained_lines=_line_rows(observed.source, best.owner),
        order=[asdict(test) for test in orders if test is not None],
        notes=[
            *notes,
            *_volume_notes(best, composition),
            *(f"trace of {t.name} below {100 * TRACE_WEIGHT_FRACTION:.0f} wt%" for t in traces),
        ],
        curves=_curves(observed, best),
    )


def _provenance(
    pattern: Pattern,
    radiation: str,
    composition: Composition | None,
    structures: Sequence[str] | None,
    volumes_from_elements: bool,
) -> Provenance:
    settings = {
        "labeller": "matcher",
        "radiation": radiation,
        "elements": composition.formula if composition else None,
        "structures": list(structures) if structures else None,
        "volumes_from_elements": volumes_from_elements,
    }
    inputs = {pattern.source: pattern.sha256} if pattern.sha256 else {}
    return Provenance(input_sha256=inputs, versions=versions(), settings=settings)


def _lattices(structures: Sequence[str] | None) -> tuple[str, ...]:
    """Reduce the wanted structures to their fundamental lattices; all that are known where nothing was said."""
    if not structures:
        return tuple(PRIORS)
    return tuple(dict.fromkeys(prototype(name).fundamental for name in structures))


def _composition(elements: str | Sequence[str] | Composition | None) -> Composition | None:
    if elements is None or isinstance(elements, Composition):
        return elements
    names = parse_elements(elements) if isinstance(elements, str) else tuple(elements)
    return Composition.parse(dict.fromkeys(names, 1.0))


def _volume_prior(composition: Composition | None) -> tuple[float, float]:
    """Expect the volume per atom of the elements' mean, within what an unknown mixture of them allows."""
    if composition is None:
        return METAL_LOG_VOLUME
    from hea_sim.elements import elemental_volume_A3
    from hea_sim.errors import HEAError

    try:
        volumes = {e: elemental_volume_A3(e).value for e in composition}
    except HEAError:  # an element outside the table of metals
        return METAL_LOG_VOLUME
    mean = sum(composition[e] * v for e, v in volumes.items())
    spread = sum(composition[e] * (v - mean) ** 2 for e, v in volumes.items()) ** 0.5 / mean
    return float(np.log(mean)), float(np.hypot(0.05, 0.5 * spread))


def _volume_notes(best: SetFit, composition: Composition | None) -> list[str]:
    """Name metallic phases whose volume per atom the given elements cannot have."""
    if composition is None:
        return []
    mean, std = _volume_prior(composition)
    notes = []
    for phase in best.phases:
        volume = float(phase.table.volume_A3(phase.a_A, phase.c_A)) / phase.table.atoms_per_cell
        if phase.table.kind.metallic and abs(np.log(volume) - mean) > 3 * std:
            notes.append(
                f"{phase.name} has {volume:.2f} A^3 per atom, where {' '.join(composition)} would have"
                f" {np.exp(mean):.2f} +- {np.exp(mean) * std:.2f}: other elements, or the wrong radiation"
            )
    return notes


def _set_probabilities(fits: list[SetFit]) -> dict[tuple[str, ...], float]:
    """Turn evidences into probabilities of assemblages; "nothing known" competes with evidence zero."""
    best: dict[tuple[str, ...], float] = {}
    for fit in fits:
        best.setdefault(fit.names, fit.log_evidence)
    values = np.array([*best.values(), 0.0]) / EVIDENCE_TEMPERATURE
    weights = np.exp(values - values.max())
    weights /= weights.sum()
    return dict(zip(best, weights.tolist()))


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
    observed: ObservedLines, fit: SetFit, i: int, probabilities: dict[tuple[str, ...], float], weight: Estimate
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


def _prediction_sets(
    probabilities: dict[tuple[str, ...], float],
    orders: Sequence[OrderTest | None],
    best: SetFit,
    traces: Sequence[Phase],
) -> list[list[str]]:
    """List assemblages until they hold the wanted probability; undetectable order doubles an entry.

    `orders` belong to the phases of the best set, one each. Other sets take the alternatives of a lattice that they
    share with it, and leave order open for a lattice that they do not.
    """
    best_options = [_alternatives(p.name, test) for p, test in zip(best.phases, orders)]
    by_name: dict[str, list[str]] = {}
    for phase, mine in zip(best.phases, best_options):
        by_name.setdefault(phase.name, []).extend(x for x in mine if x not in by_name.get(phase.name, []))
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    if traces:  # with or without a trace, the assemblage is named rightly
        left = list(best.names)
        for trace in traces:
            left.remove(trace.name)
        main = tuple(left)
        ranked = [(main, probabilities.get(main, 0.0)), *[item for item in ranked if item[0] != main]]
    total, whole, out = 0.0, sum(probabilities.values()), []
    for names, probability in ranked:
        if names == best.names:
            options = best_options
        else:
            options = [by_name.get(name) or _alternatives(name, None) for name in names]
        for combination in product(*options):
            entry = sorted(combination)
            if entry not in out:
                out.append(entry)
        total += probability
        if total >= _SET_LEVEL * whole:
            break
    return out


def _with_hinted(sets: list[list[str]], observed: ObservedLines, best: SetFit) -> list[list[str]]:
    """Add assemblages with one lattice more, whose strongest line stands unexplained where its volume would put it.

    A minor phase often shows one line only, too little for evidence, but enough to keep it possible.
    """
    metals = [p for p in best.phases if p.table.kind.metallic]
    free = observed.angle[best.owner < 0]
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


def _without_lines(lines: LineList, frame: dict[str, Any], notes: list[str]) -> PatternCall:
    curves = {"two_theta_deg": lines.angles, "measured": lines.intensity, "background": lines.background}
    if is_amorphous(lines):
        return PatternCall(
            **frame,
            in_scope=False,
            phases=(Phase(name="AM", probability=1.0),),
            prediction_sets=[["AM"]],
            unexplained_fraction=1.0,
            reason="amorphous: a broad hump and no line",
            notes=notes,
            curves=curves,
        )
    return PatternCall(
        **frame,
        in_scope=False,
        phases=(),
        prediction_sets=(),
        unexplained_fraction=1.0,
        notes=notes,
        reason="no line stands out of the noise",
        curves=curves,
    )


def _line_rows(lines: LineList, owner: np.ndarray) -> list[dict[str, float]]:
    """List the unexplained lines, strongest first, with their spacing."""
    seen = lines.specimen
    strongest = max((line.area for line in seen), default=1.0)
    rows = [
        {"two_theta_deg": x.two_theta_deg, "d_A": x.d_A, "area_percent": 100 * x.area / strongest}
        for x, own in zip(seen, owner)
        if own < 0
    ]
    return sorted(rows, key=lambda row: -row["area_percent"])


def _curves(observed: ObservedLines, fit: SetFit | None) -> dict[str, np.ndarray]:
    """Compute the curves of the figure: measured, background, fitted, each phase, ticks."""
    lines = observed.source
    x = lines.angles
    curves = {"two_theta_deg": x, "measured": lines.intensity, "background": lines.background}
    total = lines.background.copy()
    for j, line in enumerate(lines.specimen):
        shape = line.area * line_shape(x, line.two_theta_deg, line.fwhm_deg, line.eta, lines.radiation)
        if fit is None or fit.owner[j] < 0:
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
