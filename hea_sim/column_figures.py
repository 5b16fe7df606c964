"""How figures of fits look, of the width of a column of a paper, and how they are written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, PALE, ACCENT = "#22262b", "#8fa3b5", "#b5432e"
#: Settings for `matplotlib.rc_context`.
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure at 300 dots per inch; the ending says the kind of file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=300)
    return path
