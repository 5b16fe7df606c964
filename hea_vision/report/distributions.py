"""Figures of a batch of micrographs: area fractions image by image, and the sizes of the objects of all images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hea_vision.report.figures import BLUE, GREEN, ORANGE, PINK, RED, SKY
from hea_vision.report.text import file_title

_COLOURS = (ORANGE, SKY, GREEN, PINK, BLUE)
_GREY = "#5b6570"
#: Images whose names are written at the axis; more are numbered.
_MOST_NAMES = 30
#: Fewer objects than this make no distribution.
LEAST_OBJECTS = 10


def fraction_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the area fraction of each class against the images, with intervals; unfamiliar images are open symbols.

    `rows` are rows of results. Each class has a panel with its own scale; a line marks the mean over the images.
    """
    names = list(dict.fromkeys(name for row in rows for name in row["fractions"]))
    named = len(rows) <= _MOST_NAMES
    height = 1.0 + 0.2 * len(rows) if named else 1.6 * len(names) + 0.5
    figure = Figure(figsize=(7.2, max(1.8, height)), layout="constrained")
    grid = (1, len(names)) if named else (len(names), 1)
    panels = figure.subplots(*grid, sharex=not named, sharey=named, squeeze=False).ravel()
    for k, (name, axes) in enumerate(zip(names, panels)):
        _fractions_of(axes, rows, name, _COLOURS[k % len(_COLOURS)], named)
        axes.set_title(name, loc="left", fontsize=9)
    if named:
        panels[0].set_yticks(range(len(rows)), [_short(file_title(row["input"])) for row in rows], fontsize=7.5)
        panels[0].set_ylim(len(rows) - 0.4, -0.6)
        figure.supxlabel("area fraction (%), 90 % interval", fontsize=9)
    else:
        panels[-1].set_xlabel("image, in the order of results.csv", fontsize=9)
        figure.supylabel("area fraction (%)", fontsize=9)
    return figure


def _fractions_of(axes: Any, rows: Sequence[Mapping[str, Any]], name: str, colour: str, named: bool) -> None:
    here = [(k, row) for k, row in enumerate(rows) if name in row["fractions"]]
    for strange in (False, True):
        some = [(k, row["fractions"][name]) for k, row in here if bool(row.get("unfamiliar")) == strange]
        if not some:
            continue
        place = np.array([k for k, _ in some]) + (0 if named else 1)
        value = np.array([100 * f["value"] for _, f in some])
        reach = np.array(
            [
                [100 * (f["value"] - _or(f["low"], f["value"])) for _, f in some],
                [100 * (_or(f["high"], f["value"]) - f["value"]) for _, f in some],
            ]
        ).clip(min=0)
        style: dict[str, Any] = {
            "fmt": "o",
            "ms": 4 if named else 3,
            "lw": 1,
            "color": RED if strange else colour,
            "mfc": "white" if strange else colour,
            "label": "unfamiliar" if strange else None,
        }
        if named:
            axes.errorbar(value, place, xerr=reach, **style)
        else:
            axes.errorbar(place, value, yerr=reach, **style)
    mean = 100 * float(np.mean([row["fractions"][name]["value"] for _, row in here]))
    (axes.axvline if named else axes.axhline)(mean, color=_GREY, lw=0.8, ls="--", zorder=0)
    _plain(axes)
    (axes.set_xlim if named else axes.set_ylim)(0, None)
    (axes.xaxis if named else axes.yaxis).set_major_locator(MaxNLocator(4 if named else 5))
    axes.grid(axis="x" if named else "y", color="#e6e9ec", lw=0.6)
    if any(row.get("unfamiliar") for _, row in here):
        axes.legend(fontsize=7, frameon=False, loc="best")


def size_figure(sizes: Mapping[str, np.ndarray], unit: str, n_images: int) -> Figure:
    """Draw the distribution of the equivalent diameters of each class, by number (bars) and by area (line).

    `sizes` names the classes with their diameters (n,) in `unit`, over all images.
    """
    figure = Figure(figsize=(3.6 * len(sizes), 2.9), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(sizes), squeeze=False)[0])
    factor, shown = (1e-3, "µm") if unit == "nm" and _typical(sizes) >= 1000 else (1.0, unit)
    for k, ((name, diameters), axes) in enumerate(zip(sizes.items(), panels)):
        _sizes_of(axes, factor * np.asarray(diameters, float), _COLOURS[k % len(_COLOURS)], shown)
        axes.set_title(name, loc="left", fontsize=9)
        axes.set_xlabel(f"equivalent diameter ({shown})", fontsize=9)
    panels[0].set_ylabel("share of objects, of area (%)", fontsize=9)
    panels[0].text(
        1.0,
        1.02,
        f"{n_images} image" + "s" * (n_images != 1),
        transform=panels[0].transAxes,
        ha="right",
        fontsize=8,
        color=_GREY,
    )
    return figure


def _sizes_of(axes: Any, diameters: np.ndarray, colour: str, unit: str) -> None:
    """Draw one class; the axis is logarithmic where the sizes span more than a decade."""
    low, high = float(diameters.min()), float(diameters.max())
    logarithmic = high > 10 * low
    n_bins = int(np.clip(np.sqrt(len(diameters)), 6, 30))
    pad = 1.0 if high > low else 0.1 * high
    edges = (
        np.geomspace(low, high * 1.0001, n_bins + 1)
        if logarithmic
        else np.linspace(low if high > low else low - pad, high if high > low else high + pad, n_bins + 1)
    )
    for weights, style in (
        (np.ones(len(diameters)), {"histtype": "stepfilled", "color": colour, "alpha": 0.55, "label": "by number"}),
        (diameters**2, {"histtype": "step", "color": "black", "lw": 1.0, "label": "by area"}),
    ):
        axes.hist(diameters, edges, weights=100 * weights / weights.sum(), **style)
    median = float(np.median(diameters))
    axes.axvline(median, color=_GREY, lw=0.9, ls="--")
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: ""))
    axes.legend(
        title=f"n = {len(diameters):,}\nmedian {median:.3g} {unit}".replace(",", " "),
        fontsize=7.5,
        title_fontsize=7.5,
        frameon=False,
        loc="best",
        alignment="left",
    )
    _plain(axes)


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, length=3)


def _typical(sizes: Mapping[str, np.ndarray]) -> float:
    return float(np.median(np.concatenate([np.asarray(values, float) for values in sizes.values()])))


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _short(text: str, most: int = 28) -> str:
    """Cut a long name in its middle, where series of names differ least.

    >>> _short("specimen_A_1100C_24h_quenched_017.tif")
    'specimen_A_11…nched_017.tif'
    """
    stem = Path(text).name
    return stem if len(stem) <= most else f"{stem[: most // 2 - 1]}…{stem[-(most // 2 - 1) :]}"
