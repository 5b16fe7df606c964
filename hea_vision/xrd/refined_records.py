"""The numbers of phases from a fit to the whole pattern, and the curves of its picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hea_sim.records import Phase
from hea_vision.xrd.question import Question
from hea_vision.xrd.refine import RefinedPhase, Refinement, StartPhase, refine_pattern
from hea_vision.xrd.set_fit import SetFit

#: Scatter of the logarithm of line areas from which a phase is called textured or coarse-grained.
_TEXTURED = 0.25


def refine_set(question: Question, fit: SetFit) -> Refinement:
    """Fit the phases of a set to the whole pattern, from the lattices of the line fit."""
    starts = [
        StartPhase(structure=p.table.kind, cell=p.table.cell(p.a_A, p.c_A), occupancy=p.table.occupancy)
        for p in fit.phases
    ]
    return refine_pattern(question.lines, starts, displacement_deg=fit.displacement_deg)


def refined_records(refined: Refinement, fit: SetFit, probabilities: Mapping[tuple[str, ...], float]) -> list[Phase]:
    """Make the records of the phases, in the order of the set."""
    return [
        Phase(
            name=start.name,
            probability=float(min(sum(p for names, p in probabilities.items() if start.name in names), 1.0)),
            lattice_A=dict(phase.lattice),
            weight_fraction=phase.weight_fraction,
            explained_fraction=phase.explained,
            volume_fraction=phase.volume_fraction,
            size_nm=phase.size_nm,
            microstrain=phase.microstrain,
            texture=_texture_in_words(phase),
        )
        for start, phase in zip(fit.phases, refined.phases)
    ]


def _texture_in_words(phase: RefinedPhase) -> str:
    texture = phase.texture
    parts = []
    if texture.march_axis is not None and texture.march_r is not None:
        axis = "".join(str(i) for i in texture.march_axis)
        parts.append(f"March-Dollase r = {texture.march_r.value:.2f} along ({axis})")
    if texture.line_scatter > _TEXTURED:
        parts.append(f"line areas scatter by {100 * texture.line_scatter:.0f} %")
    return ", ".join(parts)


def refined_curves(refined: Refinement, fit: SetFit) -> dict[str, np.ndarray]:
    """Gather the curves of the picture: measured, background, fitted, each phase, ticks."""
    curves = {
        "two_theta_deg": refined.two_theta_deg,
        "measured": refined.measured,
        "background": refined.background,
        "fitted": refined.fitted,
    }
    for i, (start, phase) in enumerate(zip(fit.phases, refined.phases)):
        curves[f"phase {i} {start.name}"] = phase.curve
        curves[f"ticks {i} {start.name}"] = phase.ticks_deg
    return curves
