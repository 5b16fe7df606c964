"""A virtual micrograph of the simulated cell beside the real one: two looks at one alloy, at their own scales."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from hea_sim.microscopy.virtual import virtual_micrograph
from hea_sim.records import Micrograph, Simulation
from hea_vision.report.figures import scale_bar
from hea_vision.report.text import file_title

#: Pixels of the virtual picture are this wide; a probe of 0.08 nm covers eight.
PIXEL_SIZE_NM = 0.01


def cell_figure(simulation: Simulation, micrograph: Micrograph | None) -> Figure:
    """Draw the columns of the simulated cell as a dark-field detector would see them, beside a real micrograph.

    Columns of heavy atoms are bright (Z^1.7); the cell is seen along its third axis, without its periodic images.
    """
    drawn = virtual_micrograph(
        simulation.atoms, modality="haadf", pixel_size_nm=PIXEL_SIZE_NM, seed=simulation.seed, counts_per_pixel=100.0
    )
    pictures = [] if micrograph is None else [(micrograph.image, micrograph.pixel_size_nm)]
    pictures.append((drawn.image, drawn.pixel_size_nm))
    titles = [] if micrograph is None else [f"measured: {file_title(micrograph.source)}"]
    titles.append(f"simulated: {simulation.alloy}, {simulation.equilibration_temperature_K:g} K, dark field (HAADF)")
    figure = Figure(figsize=(4.1 * len(pictures), 3.5), layout="constrained")
    for axes, (image, size), title in zip(np.atleast_1d(figure.subplots(1, len(pictures))), pictures, titles):
        low, high = np.percentile(image, (0.5, 99.8))
        axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_axis_off()
        if size:
            scale_bar(axes, image.shape, size)
    return figure
