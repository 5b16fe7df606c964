"""Figure of a fitted lattice model, of the width of a column of a paper: predicted against labelled energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.column_figures import ACCENT, INK, PALE, STYLE
from hea_sim.lattice.fit import FitCell

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def parity_figure(sets: Mapping[str, tuple[Sequence[FitCell], np.ndarray]]) -> Figure:
    """Draw predicted against labelled energies of sets of cells, the errors below, and the RMSE in the legend."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.6, 3.4), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        every = np.concatenate([[cell.energy_eV for cell in cells] for cells, _ in sets.values()]) * 1e3
        margin = 0.04 * max(float(np.ptp(every)), 1e-3)
        ends = (float(every.min()) - margin, float(every.max()) + margin)
        top.plot(ends, ends, color=INK, linewidth=0.6, zorder=3)
        bottom.axhline(0, color=INK, linewidth=0.6, zorder=3)
        for name, (cells, predicted) in sets.items():
            true = np.array([cell.energy_eV for cell in cells]) * 1e3
            error = 1e3 * predicted - true
            color = ACCENT if name == "test" else PALE
            label = f"{name}: {np.sqrt(np.mean(error**2)):.2f} meV/atom"
            style: Any = {"markersize": 3.5, "markeredgewidth": 0, "color": color, "alpha": 0.7}
            top.plot(true, 1e3 * predicted, ".", label=label, **style)
            bottom.plot(true, error, ".", **style)
        top.set(xlim=ends, ylim=ends, ylabel="model (meV/atom)")
        bottom.set(xlabel="energy above elements, label (meV/atom)", ylabel="error")
        top.legend(loc="upper left", handletextpad=0.1, borderaxespad=0.1, title="RMSE", title_fontsize=6.5)
    return figure
