"""The report of `hea sample`: one page with its figures, which stand in the folder as well, for papers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hea_vision.report.figures import save_figure, to_data_uri
from hea_vision.report.sample_plots import cell_figure, diffraction_figure, energy_figure, order_figure
from hea_vision.report.templates import load_template

#: A cell of more atoms than this is not drawn: neither a page nor an eye could take it.
MOST_ATOMS_DRAWN = 300_000
CAPTIONS = {
    "order": "Short-range order of the first shell and long-range order. Bars are one standard error.",
    "energy": "Energy and heat capacity of the arrangement; grey bands are intervals of transition temperatures.",
    "cell": "The last cell of the first replica.",
    "diffraction": "What the last cell would diffract; its diffuse scattering weighs atoms by their number.",
}


def render_sample(content: Mapping[str, Any], out: Path) -> str:
    """Render the page of a finished job; figures are written below `out` as PNG and PDF too."""
    row = content["results"][0]
    figures = sample_figures(row, out)
    for name, figure in figures.items():
        for kind in ("png", "pdf"):
            save_figure(figure, out / "figures" / f"{name}.{kind}")
    return load_template("sample.html.j2").render(
        row=row,
        figures=[(name, CAPTIONS[name], to_data_uri(figure)) for name, figure in figures.items()],
        provenance=json.dumps(content["provenance"], indent=1),
    )


def sample_figures(row: Mapping[str, Any], out: Path) -> dict[str, Figure]:
    """Make the figures of a results row; those of the cell only where it was kept and can be drawn."""
    made = {"order": order_figure(row), "energy": energy_figure(row), **_of_the_cell(row, out)}
    return {name: figure for name, figure in made.items() if figure is not None}


def _of_the_cell(row: Mapping[str, Any], out: Path) -> dict[str, Figure]:
    if row["cell"] is None or row["n_atoms"] > MOST_ATOMS_DRAWN:
        return {}
    from ase.io import read

    atoms: Any = read(out / row["cell"])
    title = f"{row['alloy']}, {row['temperature_K']:g} K"
    return {
        "cell": cell_figure(atoms, row["species"], title),
        "diffraction": diffraction_figure(atoms, row["lattice"], _size_of(row, out), title),
    }


def _size_of(row: Mapping[str, Any], out: Path) -> tuple[int, ...] | None:
    """Give the conventional cells of a run whose sites stand in the order of a lattice."""
    import tomllib

    settings = tomllib.loads((out / "run.toml").read_text(encoding="utf-8"))
    return None if settings.get("start") or not row["lattice"] else tuple(settings["size"])
