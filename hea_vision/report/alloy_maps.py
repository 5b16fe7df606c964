"""Maps of three or four elements: what is predicted of every composition, as pictures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.documents import write_csv
from hea_sim.errors import InputError
from hea_sim.properties.contract import (
    FAMILIES,
    PROPERTY_NAMES,
    PROPERTY_UNITS,
    STRUCTURES,
    AlloyBatch,
    BatchPrediction,
    PropertyPredictor,
)
from hea_vision.report.figures import BLUE, GREEN, ORANGE, RED, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Steps between two corners of a ternary, and of each slice of a quaternary.
TERNARY_STEPS, SLICE_STEPS = 50, 30
#: Fractions of the fourth element at which a quaternary is cut.
SLICES = (0.05, 0.15, 0.25, 0.35, 0.5)
#: One colour a class; lighter where it is less probable.
COLOURS = (BLUE, ORANGE, GREEN, RED)
_REFUSED = "#e4e4e4"
_HEIGHT = 3**0.5 / 2


def draw_maps(
    predictor: PropertyPredictor,
    elements: Sequence[str],
    out: Path,
    *,
    processing: str = "other",
    temperature_K: float = 298.15,
    level: float = 0.9,
) -> list[Path]:
    """Draw structure, family, hardness and strength over three elements, or over slices of four; write the numbers too.

    Compositions that the predictor refuses stay grey. Files: `map.png`, `map.csv` with intervals.
    """
    names = tuple(elements)
    if len(names) not in (3, 4) or len(set(names)) != len(names):
        raise InputError(f"a map of {'-'.join(names) or 'nothing'}; wanted three or four different elements")
    slices = (0.0,) if len(names) == 3 else SLICES
    steps = TERNARY_STEPS if len(names) == 3 else SLICE_STEPS
    corners = barycentric_grid(steps)
    points = np.vstack([_slice(corners, share, len(names)) for share in slices])
    batch = AlloyBatch(elements=names, fractions=points, processing=processing, temperature_K=temperature_K)
    found = predictor.predict_batch(batch, level=level)
    png = save_figure(_figure(names, corners, slices, found), out / "map.png", dpi=150)
    return [png, _write_numbers(out / "map.csv", names, points, found)]


def barycentric_grid(steps: int) -> np.ndarray:
    """Give all fractions (n, 3) in whole steps that sum to one.

    >>> len(barycentric_grid(2))
    6
    """
    rows = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    return np.array(rows, float) / steps


def _slice(corners: np.ndarray, share: float, n: int) -> np.ndarray:
    if n == 3:
        return corners
    return np.column_stack([corners * (1 - share), np.full(len(corners), share)])


def _figure(names: Sequence[str], corners: np.ndarray, slices: Sequence[float], found: BatchPrediction) -> Any:
    from matplotlib.figure import Figure

    quantities: list[tuple[str, np.ndarray, tuple[str, ...]]] = [
        ("structure", found.structure, STRUCTURES),
        ("family", found.family, FAMILIES),
    ]
    quantities += [(name, values[:, 0], ()) for name, values in found.properties.items()]
    figure = Figure(figsize=(3.4 * len(quantities), 3.3 * len(slices)), layout="constrained")
    axes = figure.subplots(len(slices), len(quantities), squeeze=False)
    n = len(corners)
    for (row, share), (column, (name, values, classes)) in itertools.product(enumerate(slices), enumerate(quantities)):
        ax = axes[row, column]
        here = values[row * n : (row + 1) * n]
        title = name if len(slices) == 1 else f"{name}, {100 * share:g} at.% {names[3]}"
        _frame(ax, names[:3], title)
        if classes:
            _paint_classes(ax, corners, here, classes, legend=row == 0)
        else:
            _paint_numbers(figure, ax, corners, here, values, name)
    return figure


def _frame(ax: Axes, names: Sequence[str], title: str) -> None:
    ax.set_aspect("equal")
    ax.axis("off")
    ax.plot([0, 1, 0.5, 0], [0, 0, _HEIGHT, 0], color="black", linewidth=0.8)
    for name, x, y, align in zip(names, (0, 1, 0.5), (-0.06, -0.06, _HEIGHT + 0.03), ("center",) * 3):
        ax.text(x, y, name, ha=align, va="center")
    ax.set_title(PROPERTY_NAMES.get(title, title), fontsize=9, pad=14)


def _plane(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return corners[:, 1] + corners[:, 2] / 2, corners[:, 2] * _HEIGHT


def _paint_classes(ax: Axes, corners: np.ndarray, p: np.ndarray, classes: Sequence[str], *, legend: bool) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    colours = np.array([to_rgb(c) for c in COLOURS])
    told = np.isfinite(p).all(1)
    shown = np.tile(to_rgb(_REFUSED), (len(p), 1))
    best = np.where(told, np.nan_to_num(p).argmax(1), 0)
    strength = np.clip((np.nan_to_num(p).max(1) - 0.25) / 0.75, 0.15, 1)[:, None]
    shown[told] = (1 - strength[told]) + strength[told] * colours[best[told]]
    x, y = _plane(corners)
    ax.scatter(x, y, c=shown, s=_marker(len(corners)), marker="h", linewidths=0)
    if legend:
        seen = [k for k in range(len(classes)) if (best[told] == k).any()]
        patches = [Patch(color=COLOURS[k], label=classes[k]) for k in seen]
        patches.append(Patch(color=_REFUSED, label="refused"))
        ax.legend(handles=patches, fontsize=7, frameon=False, loc="upper right", bbox_to_anchor=(1.12, 1.0))


def _paint_numbers(
    figure: Any, ax: Axes, corners: np.ndarray, here: np.ndarray, everywhere: np.ndarray, name: str
) -> None:
    x, y = _plane(corners)
    told = np.isfinite(here)
    ax.scatter(x[~told], y[~told], c=_REFUSED, s=_marker(len(corners)), marker="h", linewidths=0)
    if not told.any():
        return
    low, high = np.nanmin(everywhere), np.nanmax(everywhere)
    painted = ax.scatter(
        x[told], y[told], c=here[told], s=_marker(len(corners)), marker="h", linewidths=0, vmin=low, vmax=high
    )
    figure.colorbar(painted, ax=ax, shrink=0.6, label=PROPERTY_UNITS[name])


def _marker(n: int) -> float:
    return 26000.0 / n


def _write_numbers(path: Path, names: Sequence[str], points: np.ndarray, found: BatchPrediction) -> Path:
    columns = [*names, "in_domain", *(f"p_{c}" for c in (*STRUCTURES, *FAMILIES))]
    columns += [f"{name}{end}" for name in found.properties for end in ("", "_low", "_high")]
    numbers = np.column_stack([points, found.in_domain, found.structure, found.family, *found.properties.values()])
    rows = [{c: "" if np.isnan(v) else f"{v:.5g}" for c, v in zip(columns, row)} for row in numbers]
    return write_csv(path, rows, columns)
