"""Figures of a fit, of the width of a column of a paper: parity, errors by group, learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.column_figures import ACCENT, INK, PALE, STYLE
from hea_sim.potentials.fitting.audit_labels import composition_residuals
from hea_sim.potentials.fitting.scores import ErrorRow, Predictions
from hea_sim.units import GPA_PER_EV_A3

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_POINTS = 20000


def parity_figure(sets: Mapping[str, Predictions]) -> Figure:
    """Draw predicted against labelled energies, forces and stresses of training and test; errors stand inside.

    Energies are taken against those of the elements, from one regression on composition, so that alloys share a
    picture; frames whose forces vanish by symmetry are left out of the forces.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        has_stress = any(s is not None for p in sets.values() for s in p.stresses_eV_per_A3)
        count = 3 if has_stress else 2
        figure = Figure(figsize=(2.35 * count, 2.45), layout="constrained")
        panels = figure.subplots(1, count)
        values, _ = composition_residuals([s for p in sets.values() for s in p.structures])
        energies = {name: _energies(p, values) for name, p in sets.items()}
        _parity(panels[0], energies, "energy above elements", "eV/atom", 1e3, "meV/atom")
        _parity(panels[1], {name: _forces(p) for name, p in sets.items()}, "force component", "eV/Å", 1.0, "eV/Å")
        if has_stress:
            _parity(panels[2], {k: _stresses(p) for k, p in sets.items()}, "stress component", "GPa", 1.0, "GPa")
    return figure


def _parity(
    axes: Any, sets: Mapping[str, tuple[np.ndarray, np.ndarray]], what: str, unit: str, factor: float, error_unit: str
) -> None:
    sets = {name: pair for name, pair in sets.items() if len(pair[0])}
    if not sets:
        axes.set_axis_off()
        return
    every = np.concatenate([np.concatenate(pair) for pair in sets.values()])
    low, high = float(every.min()), float(every.max())
    margin = 0.04 * max(high - low, 1e-6)
    axes.plot([low - margin, high + margin], [low - margin, high + margin], color=INK, linewidth=0.6, zorder=3)
    for name, (truth, predicted) in sets.items():
        shown = slice(None, None, max(1, len(truth) // _MOST_POINTS))
        color = ACCENT if name == "test" else PALE
        rmse = factor * float(np.sqrt(np.square(predicted - truth).mean()))
        label = f"{name}: {rmse:.3g} {error_unit}"
        axes.plot(
            truth[shown], predicted[shown], ".", markersize=2.2, markeredgewidth=0, color=color, alpha=0.55,
            label=label, rasterized=True, zorder=2 if name == "test" else 1,
        )  # fmt: skip
    axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal")
    axes.set(xlabel=f"{what}, label ({unit})", ylabel=f"potential ({unit})")
    axes.legend(loc="upper left", handletextpad=0.1, borderaxespad=0.1, title="RMSE", title_fontsize=6.5, markerscale=2)


def _energies(p: Predictions, values: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    sizes = np.array([s.n_atoms for s in p.structures])
    own = np.array([sum(values[e] for e in s.atoms.get_chemical_symbols()) for s in p.structures])
    truth = np.array([s.energy_eV for s in p.structures])
    return (truth - own) / sizes, (p.energies_eV - own) / sizes


def _forces(p: Predictions) -> tuple[np.ndarray, np.ndarray]:
    moving = [(s.forces_eV_per_A, f) for s, f in zip(p.structures, p.forces_eV_per_A) if not s.forces_are_zero]
    if not moving:
        return np.empty(0), np.empty(0)
    return np.concatenate([a.ravel() for a, _ in moving]), np.concatenate([b.ravel() for _, b in moving])


def _stresses(p: Predictions) -> tuple[np.ndarray, np.ndarray]:
    pairs = [
        (s.stress_eV_per_A3, v)
        for s, v in zip(p.structures, p.stresses_eV_per_A3)
        if v is not None and s.stress_eV_per_A3 is not None
    ]
    if not pairs:
        return np.empty(0), np.empty(0)
    return GPA_PER_EV_A3 * np.concatenate([a for a, _ in pairs]), GPA_PER_EV_A3 * np.concatenate([b for _, b in pairs])


def group_figure(rows: Sequence[ErrorRow]) -> Figure:
    """Draw the mean absolute errors of energy and force of each group, worst first."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    groups = sorted((r for r in rows if r.group != "all"), key=lambda r: r.energy_mae_meV_per_atom) or list(rows)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.7, 0.55 + 0.15 * max(len(groups), 4)), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        place = np.arange(len(groups))
        moving = [r.force_mae_moving_eV_per_A for r in groups]
        left.barh(place, [r.energy_mae_meV_per_atom for r in groups], height=0.65, color=PALE)
        right.barh(place, [m or 0.0 for m in moving], height=0.65, color=PALE)
        right.plot([r.force_mae_eV_per_A for r in groups], place, "|", color=ACCENT, markersize=6)
        for y, value in zip(place, moving, strict=True):
            if value is None:
                right.text(0.0, y, " no forces", va="center", fontsize=6, color=INK)
        left.set_yticks(place, [f"{r.group} ({r.n_structures})" for r in groups])
        left.set_xlabel("energy MAE (meV/atom)")
        right.set_xlabel("force MAE (eV/Å)\nline: with frames at rest")
        left.set_xlim(left=0)
        right.set_xlim(left=0)
        for axes in (left, right):
            axes.tick_params(axis="y", length=0)
    return figure


def learning_figure(records: Sequence[Mapping[str, float]]) -> Figure:
    """Draw root mean square errors on training and test against the number of structures."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.7, 2.2), layout="constrained")
        size = [r["n_structures"] for r in records]
        for axes, key, label in zip(
            figure.subplots(1, 2),
            ("energy_rmse_meV_per_atom", "force_rmse_eV_per_A"),
            ("energy RMSE (meV/atom)", "force RMSE (eV/Å)"),
            strict=True,
        ):
            for name, color in (("train", PALE), ("test", ACCENT)):
                axes.plot(size, [r[f"{name}_{key}"] for r in records], "o-", color=color, markersize=3, linewidth=0.9)
                axes.annotate(
                    name, (size[-1], records[-1][f"{name}_{key}"]), xytext=(4, 0), textcoords="offset points",
                    color=color, va="center", fontsize=6.5,
                )  # fmt: skip
            axes.set(xscale="log", xlabel="training structures", ylabel=label)
            axes.margins(x=0.12)
            axes.set_ylim(bottom=0)
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
    return figure
