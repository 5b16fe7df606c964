"""The picture of a labelled pattern, fit for print: measured, fitted, difference, ticks and numbers of each phase."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from hea_sim.errors import InputError
from hea_sim.records import PatternCall, Phase, Simulation
from hea_vision.report.figures import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY, simulated_pattern
from hea_vision.report.text import file_title, lattice_text, percent_text, set_text

Scale = Literal["sqrt", "linear"]

_PHASE_COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY)
#: Width over both columns of a journal, in inches, and font sizes that stand at that width.
_WIDTH = 7.1
_ROW = 0.165
_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
#: Unexplained lines that are labelled; the page lists all.
_MOST_LABELS = 10
#: Columns of the numbers above the picture, as shares of its width.
_COLUMNS = {
    "phase": 0.0,
    "probability": 0.12,
    "lattice parameters": 0.235,
    "wt% (90 % interval)": 0.62,
    "explained": 0.88,
}
#: Letters of a phase's name and of a line of lattice parameters that have room.
_NAME_ROOM = 11
_LATTICE_ROOM = 42


@dataclass(frozen=True, kw_only=True, eq=False)
class _Row:
    """Join a phase's curve and ticks to its record; `record` is None where the call lists none."""

    name: str
    colour: str
    ticks_deg: np.ndarray
    curve: np.ndarray | None
    record: Phase | None

    @property
    def short_name(self) -> str:
        """Shorten the name of a structure from a file."""
        return self.name if len(self.name) <= _NAME_ROOM else f"{self.name[: _NAME_ROOM - 1]}…"

    @property
    def lattice(self) -> list[str]:
        """Write the lattice parameters, in lines that have room."""
        if self.record is None:
            return ["–"]
        kept = lattice_text(self.record.lattice_A).replace(" = ", "\u00a0=\u00a0").replace(" Å", "\u00a0Å")
        return [line.replace("\u00a0", " ") for line in textwrap.wrap(kept, _LATTICE_ROOM)]


def pattern_figure(call: PatternCall, simulation: Simulation | None = None, *, scale: Scale = "sqrt") -> Figure:
    """Draw measured, fitted and simulated pattern, the difference, tick marks and numbers of each phase.

    On the square-root scale counting noise is equally wide everywhere, so that a weak line and a misfit of a strong one
    are seen for what they are; the difference stands on the same scale. Lines that nothing explains carry their
    spacing. The simulated pattern is that of the sampled cell at its predicted lattice parameter, scaled to the
    strongest line, on the measured background.

    Parameters
    ----------
    scale
        Of the intensities: "sqrt" or "linear".
    """
    import matplotlib

    if scale not in ("sqrt", "linear"):
        raise InputError(f"scale '{scale}' of a pattern figure; wanted 'sqrt' or 'linear'")
    rows = _rows(call)
    table = _ROW * (1 + sum(len(row.lattice) for row in rows)) if rows else 0.01
    ticks = 0.10 + 0.13 * max(1, len(rows))
    with matplotlib.rc_context(_STYLE):
        close = ConstrainedLayoutEngine(h_pad=0.02, w_pad=0.03, hspace=0.0)
        figure = Figure(figsize=(_WIDTH, 0.3 + table + 2.75 + ticks + 1.05), layout=close)
        numbers, main, marks, rest = figure.subplots(4, 1, height_ratios=(table, 2.75, ticks, 0.85))
        for axes in (marks, rest):
            axes.sharex(main)
        _draw_numbers(numbers, rows, weights=call.in_scope)
        _draw_curves(main, call, rows, simulation, scale)
        _draw_ticks(marks, rows)
        _draw_difference(rest, call, scale)
        figure.suptitle(_title(call), x=0.008, ha="left", fontsize=8.5)
    return figure


def _rows(call: PatternCall) -> list[_Row]:
    """List the phases of the curves, the main one first; of two of one name, the one of more intensity is the first."""
    left = [*call.phases, *call.traces]
    keys = [key.split(" ", 2)[1:] for key in call.curves if key.startswith("ticks ")]
    curves = {i: call.curves.get(f"phase {i} {name}") for i, name in keys}
    by_intensity = sorted(keys, key=lambda key: -float(np.sum(c)) if (c := curves[key[0]]) is not None else 0.0)
    pairs: list[tuple[str, str, Phase | None]] = []
    for i, name in by_intensity:
        same = [p for p in left if p.name == name]
        record = max(same, key=lambda p: p.explained_fraction or 0.0) if same else None
        left = [p for p in left if p is not record]
        pairs.append((i, name, record))
    order = [id(p) for p in (*call.phases, *call.traces)]
    pairs.sort(key=lambda pair: order.index(id(pair[2])) if pair[2] is not None else len(order))
    return [
        _Row(
            name=name,
            colour=_PHASE_COLOURS[row % len(_PHASE_COLOURS)],
            ticks_deg=call.curves[f"ticks {i} {name}"],
            curve=curves[i],
            record=record,
        )
        for row, (i, name, record) in enumerate(pairs)
    ]


def _title(call: PatternCall) -> str:
    if call.in_scope:
        return file_title(call.input)
    candidates = f"; candidates: {set_text([p.name for p in call.phases])}" if call.phases else ""
    return f"{file_title(call.input)}: refused{candidates}"


def _draw_numbers(axes: Any, rows: Sequence[_Row], *, weights: bool) -> None:
    """Write the table of phases above the picture; candidates of a refused pattern have no weight to speak of."""
    axes.set_axis_off()
    if not rows:
        return
    axes.set(xlim=(0, 1), ylim=(1 + sum(len(row.lattice) for row in rows), 0))
    for name, x in _COLUMNS.items():
        axes.text(x, 0.5, name, color="0.35", fontsize=7.5, va="center")
    top = 1.0
    for row in rows:
        for x, text in zip(_COLUMNS.values(), _cells(row, weights)):
            style = {"color": row.colour, "weight": "bold"} if x == 0 else {}
            axes.text(x, top + 0.5, text, va="center", **style)
        for number, text in enumerate(row.lattice):
            axes.text(_COLUMNS["lattice parameters"], top + 0.5 + number, text, va="center")
        top += len(row.lattice)


def _cells(row: _Row, weights: bool) -> list[str]:
    """Write the cells of a row; that of the lattice is left for its own lines."""
    phase = row.record
    if phase is None:
        return [row.short_name, "–", "", "–", "–"]
    explained = "–" if phase.explained_fraction is None else f"{100 * phase.explained_fraction:.1f} %"
    weight = percent_text(phase.weight_fraction) if weights else "–"
    return [row.short_name, f"{phase.probability:.3f}", "", weight, explained]


def _draw_curves(
    axes: Any, call: PatternCall, rows: Sequence[_Row], simulation: Simulation | None, scale: Scale
) -> None:
    curves = call.curves
    x, measured, background = curves["two_theta_deg"], curves["measured"], curves["background"]
    axes.plot(x, measured, ".", color=BLACK, ms=2.2, mew=0, label="measured", rasterized=True)
    for row in rows:
        if row.curve is not None:
            axes.fill_between(x, background, background + row.curve, color=row.colour, alpha=0.30, lw=0)
    axes.plot(x, background, color="0.5", lw=0.8, ls=(0, (4, 2)), label="background")
    if "fitted" in curves and rows:
        axes.plot(x, curves["fitted"], color=RED, lw=0.7, label="fitted")
    low, high = float(min(measured.min(), background.min())), float(measured.max())
    if (simulated := _simulated_or_none(call, simulation)) is not None:
        span = _forward(high, scale) - _forward(low, scale)
        lifted = _backward(_forward(simulated, scale) + 0.28 * span, scale)
        axes.plot(x, lifted, color=GREEN, lw=0.8, label="simulated cell (lifted)")
        high = max(high, float(lifted.max()))
    _set_scale(axes, low, high, scale, headroom=0.20 if call.unexplained_lines else 0.06)
    _label_unexplained(axes, call, scale)
    axes.set_xlim(x[0], x[-1])
    axes.tick_params(axis="x", labelbottom=False)
    axes.legend(
        frameon=False, fontsize=7.5, loc="upper right", ncols=4, borderaxespad=0, handlelength=1.6, markerscale=4
    )


def _forward(y: Any, scale: Scale) -> Any:
    return np.sqrt(np.maximum(y, 0)) if scale == "sqrt" else np.asarray(y, float)


def _backward(y: Any, scale: Scale) -> Any:
    return np.square(np.maximum(y, 0)) if scale == "sqrt" else np.asarray(y, float)


def _set_scale(axes: Any, low: float, high: float, scale: Scale, *, headroom: float) -> None:
    """Set limits and ticks that stand evenly on the scale, at round numbers."""
    if scale == "sqrt":
        axes.set_yscale("function", functions=(lambda y: _forward(y, "sqrt"), lambda y: _backward(y, "sqrt")))
    bottom, top = (float(_forward(y, scale)) for y in (low, high))
    span = max(top - bottom, 1e-12)
    axes.set_ylim(float(_backward(bottom - 0.03 * span, scale)), float(_backward(top + headroom * span, scale)))
    if scale == "sqrt":
        even = _backward(np.linspace(bottom, top, 6), scale)
        digits = 10.0 ** np.floor(np.log10(np.maximum(np.gradient(even), 1e-12)))
        round_ones = np.unique(np.round(even / digits) * digits)
        axes.set_yticks(round_ones[(round_ones >= low - 0.03 * (high - low)) & (round_ones <= high * 1.05)])
    axes.yaxis.set_major_formatter("{x:,.6g}" if high < 1e6 else "{x:.3g}")
    axes.minorticks_off()
    axes.set_ylabel("intensity (square-root scale)" if scale == "sqrt" else "intensity")


def _label_unexplained(axes: Any, call: PatternCall, scale: Scale) -> None:
    """Mark lines that no phase gives with their spacing, the strongest first; crowded ones carry a mark alone."""
    x, measured = call.curves["two_theta_deg"], call.curves["measured"]
    low, high = (float(_forward(y, scale)) for y in axes.get_ylim())
    labelled: list[float] = []
    for row in call.unexplained_lines:
        angle = row["two_theta_deg"]
        near = np.abs(x - angle) < 0.004 * (x[-1] - x[0])
        height = float(_forward(measured[near].max() if near.any() else measured.max(), scale))
        at = float(_backward(height + 0.03 * (high - low), scale))
        axes.plot(angle, at, marker="v", ms=3.2, mec=BLACK, mfc="white", mew=0.6, clip_on=False)
        crowded = any(abs(angle - other) < 0.017 * (x[-1] - x[0]) for other in labelled)
        if crowded or len(labelled) >= _MOST_LABELS:
            continue
        labelled.append(angle)
        above = float(_backward(height + 0.055 * (high - low), scale))
        axes.text(angle, above, f"{row['d_A']:.3f} Å", rotation=90, ha="center", va="bottom", fontsize=6.5)


def _draw_ticks(axes: Any, rows: Sequence[_Row]) -> None:
    for i, row in enumerate(rows):
        axes.vlines(row.ticks_deg, -i - 0.36, -i + 0.36, color=row.colour, lw=1.0)
    axes.set_yticks([-i for i in range(len(rows))], [row.short_name for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows):
        label.set_color(row.colour)
    axes.set_ylim(-max(len(rows), 1) + 0.4, 0.6)
    axes.tick_params(axis="both", length=0, labelbottom=False)
    axes.spines[["bottom", "left"]].set_visible(False)


def _draw_difference(axes: Any, call: PatternCall, scale: Scale) -> None:
    curves = call.curves
    fitted = curves.get("fitted", curves["background"])
    difference = _forward(curves["measured"], scale) - _forward(fitted, scale)
    axes.axhline(0, color="0.6", lw=0.6)
    axes.plot(curves["two_theta_deg"], difference, color="0.25", lw=0.5)
    axes.set_ylabel("√meas. − √fit" if scale == "sqrt" else "meas. − fit")
    axes.locator_params(axis="y", nbins=3)
    wavelength = f"λ = {call.wavelength_A:.5g} Å"
    source = wavelength if not call.radiation or call.radiation[0].isdigit() else f"{call.radiation}, {wavelength}"
    axes.set_xlabel(f"2θ (degrees), {source}")


def _simulated_or_none(call: PatternCall, simulation: Simulation | None) -> np.ndarray | None:
    """Leave the simulated curve out where the cell is too large to diffract in reasonable time."""
    if simulation is None:
        return None
    try:
        return simulated_pattern(call, simulation)
    except InputError:
        return None
