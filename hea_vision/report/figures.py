"""Figures of the report, as matplotlib figures; colours are those of Okabe and Ito, safe for colour-blind readers."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hea_sim.diffraction.powder import powder_pattern
from hea_sim.diffraction.profile import Instrument
from hea_sim.documents import write_atomic
from hea_sim.errors import InputError
from hea_sim.records import Micrograph, PatternCall, Segmentation, Simulation
from hea_sim.sampling.ordering import OrderingScan
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

#: Entries left out of files, so that the same figure gives the same bytes.
_NAMELESS: dict[str, Any] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
}


def to_data_uri(figure: Figure, *, dpi: int = 150) -> str:
    """Draw a figure as PNG into a data URI, so that the page needs no other file."""
    return png_uri(_drawn(figure, "png", dpi))


def png_uri(content: bytes) -> str:
    """Put a PNG into a data URI."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def save_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 300) -> Path:
    """Write a figure as PNG or PDF, by the suffix; the same figure gives the same bytes.

    `dpi` is the resolution of a PNG, and of the measured points of a PDF.
    """
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in _NAMELESS:
        raise InputError(f"{path}: figures are written as .png or .pdf; give a name that ends so")
    return write_atomic(path, _drawn(figure, kind, dpi))


def _drawn(figure: Figure, kind: str, dpi: int) -> bytes:
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context({"pdf.fonttype": 42}):  # letters stay letters, so that a journal can edit them
        figure.savefig(stream, format=kind, dpi=dpi, metadata=_NAMELESS[kind])
    return stream.getvalue()


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


#: Longer side of a field in a figure, in px; larger ones are shown smaller, with a detail beside.
_SHOWN_PX = 1600
#: Edge of the detail, in px.
_DETAIL_PX = 512


def micrograph_figure(micrograph: Micrograph, labels: Segmentation) -> Figure:
    """Draw the image and the image with its labels outlined, with a scale bar where the pixel size is known.

    A field too large to be seen at its own resolution gets a third picture: its middle, pixel by pixel.
    """
    from hea_vision.segmentation.overlay import Shown, draw_outlines, show_field

    shown = show_field(micrograph, labels, _SHOWN_PX)
    panels = [shown]
    if shown.step > 1:
        middle = tuple(slice(max(0, (n - _DETAIL_PX) // 2), (n + _DETAIL_PX) // 2) for n in micrograph.image.shape)
        panels.append(Shown(image=micrograph.image[middle], labels=np.asarray(labels.labels)[middle]))
    unsure = labels.uncertainty if shown.step == 1 else None
    n = 1 + len(panels) + (unsure is not None)
    figure = Figure(figsize=(4.1 * n, 3.5), layout="constrained")
    left, *others = figure.subplots(1, n)
    if unsure is not None:
        axes = others.pop()
        drawn = axes.imshow(unsure, cmap="magma", vmin=0, vmax=1, interpolation="antialiased")
        axes.set_title("where it hesitates (entropy)", loc="left", fontsize=9)
        axes.set_axis_off()
        figure.colorbar(drawn, ax=axes, shrink=0.8)
    low, high = np.percentile(shown.image, (0.5, 99.5))
    left.imshow(shown.image, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
    for axes, panel in zip(others, panels):
        axes.imshow(draw_outlines(panel), interpolation="antialiased")
    found = ", ".join(count_text(name, n) for name, n in labels.objects.items() if n) or "no second phase, no pore"
    left.set_title(file_title(micrograph.source), loc="left", fontsize=9)
    # A name and a list of classes can be longer than the picture is wide.
    others[0].set_title("\n".join(wrap(f"{labels.model}: {found}", 52)), loc="left", fontsize=9)
    for axes in others[1:]:
        axes.set_title("the middle at full resolution", loc="left", fontsize=9)
    for axes in (left, *others):
        axes.set_axis_off()
    if micrograph.pixel_size_nm:
        for axes, panel in zip((left, *others[1:]), panels):
            scale_bar(axes, panel.image.shape, micrograph.pixel_size_nm * panel.step)
    return figure


def scale_bar(axes: Any, shape: tuple[int, ...], pixel_size_nm: float) -> None:
    """Draw a bar of a round length, about a fifth of the width, on a dark box so that it reads on any image."""
    rows, columns = shape
    wanted_nm = 0.22 * columns * pixel_size_nm
    decade = 10 ** np.floor(np.log10(wanted_nm))
    length_nm = max(m * decade for m in (1, 2, 5) if m * decade <= wanted_nm)
    pixels = length_nm / pixel_size_nm
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


def ordering_figure(scan: OrderingScan) -> Figure:
    """Draw the order parameter and the heat capacity of arrangement against temperature, with the transitions."""
    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    t, s, std = scan.temperatures_K, scan.order_parameter, scan.order_std
    left.fill_between(t, s - std, s + std, color=SKY, alpha=0.35, lw=0, label="fluctuations")
    left.plot(t, s, "o", ms=3, color=BLUE, label="mean")
    left.set_ylabel(f"{scan.structure} order parameter S")
    left.set_ylim(0, 1.05)
    curve = scan.heat_capacity
    known = curve.trusted
    right.fill_between(
        curve.temperatures_K[known],
        (curve.heat_capacity_k - 2 * curve.std_k)[known],
        (curve.heat_capacity_k + 2 * curve.std_k)[known],
        color=SKY,
        alpha=0.35,
        lw=0,
    )
    right.plot(curve.temperatures_K[known], curve.heat_capacity_k[known], color=BLUE, lw=1.2)
    right.set_ylabel("heat capacity (k per atom)")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.set_xlabel("temperature (K)")
        axes.set_xlim(t[0], t[-1])
        axes.tick_params(direction="in", top=True, right=True)
        for one in scan.transitions:
            place = one.temperature_K
            axes.axvspan(place.low or t[0], place.high or t[-1], color="0.92", zorder=-2, lw=0)
            axes.axvline(place.value, color="0.5", lw=0.9, ls="--", zorder=-1)
    left.legend(frameon=False, fontsize=8)
    return figure
