"""Figures of the report, as matplotlib figures; colours are those of Okabe and Ito, safe for colour-blind readers."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hea_sim.diffraction.powder import powder_pattern
from hea_sim.diffraction.profile import Instrument
from hea_sim.errors import InputError
from hea_sim.records import Micrograph, PatternCall, Segmentation, Simulation
from hea_vision.report.text import count_text, file_title

BLACK, ORANGE, SKY, GREEN, BLUE, RED, PINK = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
_PHASE_COLOURS = (BLUE, ORANGE, GREEN, PINK)
_STYLE: dict[Any, Any] = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


def to_data_uri(figure: Figure, *, dpi: int = 150) -> str:
    """Draw a figure as PNG into a data URI, so that the page needs no other file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def pattern_figure(call: PatternCall, simulation: Simulation | None = None) -> Figure:
    """Draw measured, fitted and simulated pattern, tick marks of each phase, and the difference.

    Intensities are shown as square roots, so that weak lines can be judged. The simulated pattern is that of the
    sampled cell at its predicted lattice parameter, scaled to the strongest line, on the measured background.
    """
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8.2, 4.8), layout="constrained")
        top, ticks, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(6, 0.35 + 0.3 * _n_phases(call), 1.6))
    curves = call.curves
    x, measured, background = curves["two_theta_deg"], curves["measured"], curves["background"]
    fitted = curves.get("fitted")

    def root(y: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(y, 0))

    top.plot(x, root(measured), ".", color=BLACK, ms=1.6, label="measured", rasterized=True)
    top.plot(x, root(background), color="0.55", lw=0.9, label="background")
    if fitted is not None:
        top.plot(x, root(fitted), color=RED, lw=1.1, label="fitted")
    simulated = _simulated_or_none(call, simulation)
    if simulated is not None:
        lift = 0.28 * float(root(measured).max() - root(measured).min())
        top.plot(x, root(simulated) + lift, color=GREEN, lw=1.0, label="simulated cell (lifted)")
    top.set_ylabel("√ intensity (√ file unit)")
    figure.legend(frameon=False, ncols=4, loc="outside upper right", fontsize=8)
    top.set_title(_pattern_title(call), loc="left", fontsize=9)
    top.margins(x=0.01)
    _draw_ticks(ticks, call)
    if fitted is not None:
        scale = np.sqrt(np.maximum(background, np.percentile(background, 5)))
        bottom.plot(x, (measured - fitted) / np.maximum(scale, 1e-12), color="0.3", lw=0.6)
        bottom.set_ylabel("(meas. − fit)\n/ √ backgr.")
    bottom.axhline(0, color="0.7", lw=0.6)
    bottom.set_xlabel(f"2θ (degrees), {call.radiation}, λ = {call.wavelength_A:.5g} Å")
    return figure


def _n_phases(call: PatternCall) -> int:
    return max(1, sum(key.startswith("ticks") for key in call.curves))


def _pattern_title(call: PatternCall) -> str:
    found = ", ".join(f"{p.name} (p = {p.probability:.2f})" for p in call.phases) or "no phase"
    state = "" if call.in_scope else "refused; candidates: "
    return f"{file_title(call.input)}: {state}{found}"


def _draw_ticks(axes: Any, call: PatternCall) -> None:
    keys = [key for key in call.curves if key.startswith("ticks")]
    for row, key in enumerate(keys):
        colour = _PHASE_COLOURS[row % len(_PHASE_COLOURS)]
        axes.vlines(call.curves[key], -row - 0.35, -row + 0.35, color=colour, lw=1.4)
    axes.set_yticks([-i for i in range(len(keys))], [key.split()[-1] for key in keys])
    axes.set_ylim(-len(keys) + 0.4, 0.6)
    axes.tick_params(axis="x", length=0)
    axes.tick_params(axis="y", length=0)
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_visible(False)


def _simulated_or_none(call: PatternCall, simulation: Simulation | None) -> np.ndarray | None:
    """Leave the simulated curve out where the cell is too large to diffract in reasonable time."""
    if simulation is None:
        return None
    try:
        return simulated_pattern(call, simulation)
    except InputError:
        return None


def simulated_pattern(call: PatternCall, simulation: Simulation) -> np.ndarray:
    """Compute the pattern of the sampled cell on the angles of a scan, scaled and set on its background."""
    x = call.curves["two_theta_deg"]
    net = call.curves.get("fitted", call.curves["measured"]) - call.curves["background"]
    width = _observed_width(x, net)
    pattern = powder_pattern(
        simulation.atoms,
        call.radiation,
        two_theta_deg=x,
        instrument=Instrument(w_deg2=width**2, eta=0.5),
        b_iso_A2=0.4,
    )
    scale = float(net.max() / pattern.intensity.max()) if pattern.intensity.max() > 0 else 0.0
    return call.curves["background"] + scale * pattern.intensity


def _observed_width(x: np.ndarray, net: np.ndarray) -> float:
    top = int(np.argmax(net))
    above = np.flatnonzero(net > 0.5 * net[top])
    run = above[np.abs(above - top) < len(x) // 20]
    return float(max(x[run[-1]] - x[run[0]], 0.05)) if run.size else 0.2


def micrograph_figure(micrograph: Micrograph, labels: Segmentation) -> Figure:
    """Draw the image and the image with its labels outlined, with a scale bar where the pixel size is known."""
    from hea_vision.segmentation import overlay_rgb

    figure = Figure(figsize=(8.2, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    low, high = np.percentile(micrograph.image, (0.5, 99.5))
    left.imshow(micrograph.image, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
    right.imshow(overlay_rgb(micrograph, labels), interpolation="antialiased")
    found = ", ".join(count_text(name, n) for name, n in labels.objects.items() if n) or "no second phase, no pore"
    left.set_title(file_title(micrograph.source), loc="left", fontsize=9)
    right.set_title(f"{labels.model}: {found}", loc="left", fontsize=9)
    for axes in (left, right):
        axes.set_axis_off()
    if micrograph.pixel_size_nm:
        _scale_bar(left, micrograph)
    return figure


def _scale_bar(axes: Any, micrograph: Micrograph) -> None:
    """Draw a bar of a round length, about a fifth of the width, on a dark box so that it reads on any image."""
    rows, columns = micrograph.image.shape
    wanted_nm = 0.22 * columns * float(micrograph.pixel_size_nm or 1)
    decade = 10 ** np.floor(np.log10(wanted_nm))
    length_nm = max(m * decade for m in (1, 2, 5) if m * decade <= wanted_nm)
    pixels = length_nm / float(micrograph.pixel_size_nm or 1)
    text = f"{length_nm / 1000:g} µm" if length_nm >= 1000 else f"{length_nm:g} nm"
    x0, y0 = 0.04 * columns, 0.94 * rows
    axes.add_patch(
        _rectangle((x0 - 0.015 * columns, y0 - 0.095 * rows), pixels + 0.03 * columns, 0.125 * rows, "black", 0.65)
    )
    axes.add_patch(_rectangle((x0, y0 - 0.008 * rows), pixels, 0.016 * rows, "white", 1.0))
    axes.text(x0 + pixels / 2, y0 - 0.022 * rows, text, color="white", ha="center", va="bottom", fontsize=8)


def _rectangle(corner: tuple[float, float], width: float, height: float, colour: str, alpha: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, width, height, facecolor=colour, edgecolor="none", alpha=alpha)


def simulation_figure(simulation: Simulation) -> Figure:
    """Draw the Warren-Cowley parameters of the first two shells, by pair of species."""
    n_shells = min(2, len(simulation.warren_cowley))
    species = list(simulation.species)
    figure = Figure(figsize=(3.9 * n_shells + 0.6, 3.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, n_shells))
    limit = max(0.05, float(np.abs(simulation.warren_cowley[:n_shells]).max()))
    image = None
    for shell, axes in enumerate(panels):
        table = simulation.warren_cowley[shell]
        image = axes.imshow(table, cmap="PuOr", vmin=-limit, vmax=limit)
        axes.set_xticks(range(len(species)), species)
        axes.set_yticks(range(len(species)), species)
        axes.set_title(f"shell {shell + 1}, {simulation.shells_A[shell]:.2f} Å", loc="left", fontsize=9)
        for i in range(len(species)):
            for j in range(len(species)):
                strong = abs(table[i, j]) > 0.6 * limit
                axes.text(
                    j,
                    i,
                    f"{table[i, j]:+.2f}",
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    color="white" if strong else "black",
                )
    if image is not None:
        figure.colorbar(image, ax=list(panels), shrink=0.8, label="Warren–Cowley α (negative: unlike preferred)")
    return figure
