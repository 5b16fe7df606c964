"""The picture of a segregation measurement, fit for print: profiles or maps, amplitudes, correlations."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from hea_vision.measurement.segregation import ElementPair, Segregation
from hea_vision.report.figures import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY
from hea_vision.report.text import file_title

_COLOURS = (BLUE, SKY, GREEN, ORANGE, RED, PINK, BLACK)
#: Width over both columns of a journal, in inches.
_WIDTH = 7.1
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
#: Width of the smoothing of profiles and maps, in points.
_SMOOTH = 1.5
_Z = 1.959964
#: Blue is apart, red together; the middle is white.
_MAP = LinearSegmentedColormap.from_list("apart-together", [BLUE, "#FFFFFF", RED])
#: Brightness of a cell's colour below which its text is white.
_DARK = 0.6


def segregation_figure(found: Segregation) -> Figure:
    """Draw the profiles or maps of a measurement, the amplitude of each element, and the correlation of each pair.

    Profiles are points as measured and a smoothed curve with the 95 % band of its noise. Maps are smoothed relative
    deviations from the mean. Amplitudes carry the interval of the measured stretch (thick) and of the alloy (thin).
    """
    import matplotlib

    n = len(found.elements)
    fields = [found.curves[f"field {i}"] for i in range(len(found.curves) // 3)]
    lines = fields[0].ndim == 2
    with matplotlib.rc_context(_STYLE):
        height = max(3.6, 0.7 * n + 0.8) if lines else max(3.6, 1.35 * -(-n // 2) + 0.8)
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        halves: Any = figure.subfigures(1, 2, width_ratios=(1.25, 1.0))
        left, right = halves
        colours = [_COLOURS[i % len(_COLOURS)] for i in range(n)]
        if lines:
            _draw_profiles(left, found, fields, colours)
        else:
            _draw_maps(left, found, fields[0])
        top, bottom = right.subplots(2, 1, height_ratios=(0.75, 1.6))
        _draw_amplitudes(top, found, colours)
        _draw_correlations(bottom, found)
        figure.suptitle(file_title(found.source), x=0.008, ha="left", fontsize=8.5)
    return figure


def _draw_profiles(place: Any, found: Segregation, fields: list[np.ndarray], colours: list[str]) -> None:
    """Draw one row an element, one column a line scan; rows share their scale."""
    panels = np.atleast_2d(place.subplots(len(found.elements), len(fields), sharex="col", sharey="row", squeeze=False))
    for column, field in enumerate(fields):
        step = float(found.curves[f"step_um {column}"])
        x = np.arange(len(field)) * (step if np.isfinite(step) else 1.0)
        for row, element in enumerate(found.elements):
            axes = panels[row, column]
            mean = float(np.nanmean(field[:, row]))
            noise = float(found.curves[f"noise {column}"][row])
            curve, reduction = _smoothed(field[:, row])
            axes.plot(x, field[:, row], ".", color="0.55", ms=2.6, mew=0)
            band = _Z * noise * reduction
            axes.fill_between(x, curve - band, curve + band, color=colours[row], alpha=0.25, lw=0)
            axes.plot(x, curve, color=colours[row], lw=1.1)
            axes.axhline(mean, color="0.6", lw=0.5, ls=(0, (4, 3)))
            if column == 0:
                axes.set_ylabel(element, rotation=0, ha="right", va="center", weight="bold", color=colours[row])
            axes.locator_params(axis="y", nbins=3)
        panels[-1, column].set_xlabel("distance (µm)" if np.isfinite(step) else "point")
        panels[-1, column].set_xlim(x[0], x[-1])
    panels[0, 0].set_title("content (at.%)" if found.quantified else "signal (counts)", loc="left", fontsize=8)


def _smoothed(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smooth a profile that may hold gaps; return it and by how much its noise is less than that of one point."""
    known = np.isfinite(values).astype(float)
    weight = gaussian_filter1d(known, _SMOOTH, mode="constant")
    curve = gaussian_filter1d(np.where(known > 0, values, 0.0), _SMOOTH, mode="constant") / np.maximum(weight, 1e-9)
    kernel = gaussian_filter1d(np.eye(len(values)), _SMOOTH, axis=1, mode="constant") * known
    reduction = np.sqrt((kernel**2).sum(axis=1)) / np.maximum(weight, 1e-9)
    hidden = weight < 0.2
    return np.where(hidden, np.nan, curve), np.where(hidden, np.nan, reduction)


def _draw_maps(place: Any, found: Segregation, field: np.ndarray) -> None:
    """Draw the smoothed relative deviation of each element, all on one scale."""
    n = len(found.elements)
    columns = 2 if n > 1 else 1
    panels = place.subplots(-(-n // columns), columns, squeeze=False).ravel()
    mean = np.nanmean(field, axis=(0, 1))
    known = np.isfinite(field).all(axis=-1)
    weight = gaussian_filter(known.astype(float), _SMOOTH)
    shown = [
        gaussian_filter(np.where(known, field[..., i] / mean[i] - 1.0, 0.0), _SMOOTH) / np.maximum(weight, 1e-9)
        for i in range(n)
    ]
    limit = max(float(np.percentile(np.abs(shown), 99.5)), 1e-3)
    image = None
    for axes, values, element in zip(panels, shown, found.elements):
        image = axes.imshow(100.0 * values, cmap="PuOr_r", vmin=-100 * limit, vmax=100 * limit, interpolation="nearest")
        axes.set_title(element, loc="left", fontsize=8, weight="bold", pad=2)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_visible(False)
    for axes in panels[n:]:
        axes.set_axis_off()
    step = float(found.curves["step_um 0"])
    size = f", field {field.shape[1] * step:.3g} µm wide" if np.isfinite(step) else ""
    place.colorbar(
        image, ax=list(panels), orientation="horizontal", shrink=0.8, aspect=35, label=f"% of the mean, smoothed{size}"
    )


def _draw_amplitudes(axes: Any, found: Segregation, colours: list[str]) -> None:
    """Draw what each element varies by, with both intervals; the alloy's may run off the scale."""
    scale = 1.0 if found.quantified else 100.0
    highest = max(a.high or 0.0 for a in found.amplitude.values())
    farthest = max((b.high or 0.0 for b in found.amplitude_of_alloy.values() if b is not None), default=0.0)
    limit = min(2.2 * highest, max(1.08 * farthest, 1.1 * highest)) or 1.0
    for x, element in enumerate(found.elements):
        amplitude, alloy = found.amplitude[element], found.amplitude_of_alloy[element]
        if alloy is not None and alloy.low is not None and alloy.high is not None:
            axes.plot([x, x], [scale * alloy.low, scale * min(alloy.high, limit)], color=colours[x], lw=0.8)
            if alloy.high > limit:
                axes.plot(x, 0.99 * scale * limit, "^", color=colours[x], ms=3.5, mew=0)
        axes.plot(
            [x, x],
            [scale * (amplitude.low or 0.0), scale * (amplitude.high or 0.0)],
            color=colours[x],
            lw=3.2,
            alpha=0.7,
        )
        marker = "o" if amplitude.low else "_"
        axes.plot(
            x, scale * amplitude.value, marker, color=colours[x], ms=5, mec="white" if marker == "o" else None, mew=0.8
        )
    axes.set_xticks(range(len(found.elements)), found.elements)
    axes.set_xlim(-0.6, len(found.elements) - 0.4)
    axes.set_ylim(0, scale * limit)
    unit = "at.%" if found.quantified else "% of mean"
    axes.set_ylabel(unit)
    axes.set_title("amplitude (thick: here, thin: alloy)", loc="left", fontsize=8)


def _draw_correlations(axes: Any, found: Segregation) -> None:
    """Draw the matrix: below the diagonal what was measured, above it what that says of the alloy."""
    n = len(found.elements)
    table = np.full((n, n), np.nan)
    for i, first in enumerate(found.elements):
        for j, second in enumerate(found.elements):
            if j < i and (pair := found.pair(first, second)).measured is not None:
                table[i, j] = pair.measured.value
    axes.imshow(table, cmap=_MAP, vmin=-1, vmax=1)
    size = 7.5 if n <= 5 else 37.0 / n
    for i, first in enumerate(found.elements):
        axes.text(i, i, first, ha="center", va="center", weight="bold")
        for j in range(i):
            pair = found.pair(first, found.elements[j])
            below, above = _cells(pair)
            sure = pair.finding in ("together", "apart")
            weight = "bold" if sure else "normal"
            dark = pair.measured is not None and abs(pair.measured.value) > _DARK
            axes.text(
                j, i, below, ha="center", va="center", fontsize=size, weight=weight, color="white" if dark else "0.2"
            )
            axes.text(
                i,
                j,
                above,
                ha="center",
                va="center",
                fontsize=0.76 * size,
                weight=weight,
                color="0.25",
                linespacing=1.05,
            )
    for edge in np.arange(n + 1) - 0.5:
        axes.axhline(edge, color="0.85", lw=0.5)
        axes.axvline(edge, color="0.85", lw=0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title("correlation: here, below the diagonal;\nin the alloy (95 %), above it", loc="left", fontsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _cells(pair: ElementPair) -> tuple[str, str]:
    """Write what stands below and above the diagonal."""
    if pair.measured is None or pair.alloy is None:
        return "–", "–"
    below = f"{pair.measured.value:+.2f}\n±{pair.measured.std or 0.0:.2f}"
    return below.replace("-", "−"), f"{pair.alloy.low:+.2f}\nto {pair.alloy.high:+.2f}".replace("-", "−")
