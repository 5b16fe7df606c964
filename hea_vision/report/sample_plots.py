"""Figures of a sampling job: order, energy and heat capacity against temperature, the cell, what it would diffract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hea_vision.report.figures import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY

_COLOURS = (BLUE, ORANGE, GREEN, RED, SKY, PINK, BLACK)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: Pairs whose order is drawn; with more a figure cannot be read.
_MOST_PAIRS = 7


def order_figure(row: Mapping[str, Any]) -> Figure | None:
    """Draw short-range order of the first shell, and long-range order where the cell has some, against temperature."""
    pairs = _strongest_pairs(row)
    structures = _structures(row)
    if not pairs:
        return None
    figure = Figure(figsize=(4.2 * (1 + bool(structures)) + 0.4, 3.3), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, 1 + bool(structures)))
    for k, pair in enumerate(pairs):
        for branch, rows in _branches(row):
            shells = [r["warren_cowley"][pair][0] for r in rows]
            _line(axes[0], rows, shells, k, branch, pair.replace("-", "–"))
    axes[0].axhline(0, color="0.6", lw=0.8, zorder=0)
    axes[0].set_ylabel("Warren–Cowley α, first shell")
    if structures:
        k = 0
        for structure in structures:
            for i, species in enumerate(row["species"]):
                for branch, rows in _branches(row):
                    values = [
                        {key: r["observables"][f"order {structure}"][key][i] for key in ("value", "std")} for r in rows
                    ]
                    _line(axes[1], rows, values, k, branch, f"{species}, {structure}")
                k += 1
        axes[1].set_ylabel("long-range order S")
        axes[1].set_ylim(0, 1.05)
    for panel in axes:
        _temperature_axis(panel, row)
        panel.legend(frameon=False, fontsize=7.5, ncols=2 if len(panel.get_legend_handles_labels()[0]) > 5 else 1)
    return figure


def energy_figure(row: Mapping[str, Any]) -> Figure:
    """Draw the energy per atom and the configurational heat capacity against temperature, with transitions."""
    figure = Figure(figsize=(8.8, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    curve = row.get("curve") or {}
    for k, (branch, rows) in enumerate(_branches(row)):
        name = branch if len(_branches(row)) > 1 else "sampled"
        energies = [
            {"value": 1e3 * r["energy_eV_per_atom"]["value"], "std": 1e3 * (r["energy_eV_per_atom"]["std"] or 0)}
            for r in rows
        ]
        _line(left, rows, energies, k, branch, name, joined=not curve)
        known = [r for r in rows if r["heat_capacity_k"]]
        _line(right, known, [r["heat_capacity_k"] for r in known], k, branch, name, joined=not curve)
    if curve:  # between the temperatures, by reweighting or from the density of states
        t = np.array(curve["temperature_K"])
        left.plot(t, 1e3 * np.array(curve["energy_eV_per_atom"]), color=_COLOURS[0], lw=0.9)
        right.plot(t, curve["heat_capacity_k"], color=_COLOURS[0], lw=0.9)
    left.set_ylabel("energy (meV/atom)")
    right.set_ylabel("heat capacity (k/atom)")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        _temperature_axis(axes, row)
        if len(_branches(row)) > 1:
            axes.legend(frameon=False, fontsize=8)
    return figure


def _branches(row: Mapping[str, Any]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Split the temperatures by branch; the turning point belongs to both."""
    stages = row["temperatures"]
    names = list(dict.fromkeys(stage["branch"] for stage in stages))
    found = []
    for name in names:
        rows = [stage for stage in stages if stage["branch"] == name]
        if name != names[0]:
            rows = [stages[stages.index(rows[0]) - 1], *rows]
        found.append((name, rows))
    return found


def _line(
    axes: Any,
    rows: Sequence[Mapping[str, Any]],
    values: Sequence[Mapping[str, float]],
    k: int,
    branch: str,
    label: str,
    *,
    joined: bool = True,
) -> None:
    """Draw one quantity of one branch: full symbols where cooled, open ones where heated."""
    back = branch == "heating" and any(line.get_label() == label for line in axes.get_lines())
    colour, marker = _COLOURS[k % len(_COLOURS)], _MARKERS[k % len(_MARKERS)]
    t = [r["temperature_K"] for r in rows]
    y, error = ([v[key] or 0.0 for v in values] for key in ("value", "std"))
    style = "none" if not joined else ":" if branch == "heating" else "-"
    axes.errorbar(t, y, error, color=colour, lw=0.9, ls=style, capsize=0, elinewidth=0.9)
    axes.plot(
        t, y, marker, ms=4, color=colour, mfc="none" if branch == "heating" else colour, label=None if back else label
    )


def _temperature_axis(axes: Any, row: Mapping[str, Any]) -> None:
    axes.set_xlabel("temperature (K)")
    axes.tick_params(direction="in", top=True, right=True)
    for found in row["transitions"]:
        t = found["temperature_K"]
        if t["low"] is not None:
            axes.axvspan(t["low"], t["high"], color="0.88", zorder=-1, lw=0)
        axes.axvline(t["value"], color="0.55", lw=0.8, ls="--", zorder=-1)


def _strongest_pairs(row: Mapping[str, Any]) -> list[str]:
    last = row["warren_cowley"]
    unlike = [pair for pair in last if len(set(pair.split("-"))) == 2 or len(last) == 1]
    return sorted(unlike, key=lambda pair: last[pair][0]["value"])[:_MOST_PAIRS]


def _structures(row: Mapping[str, Any]) -> list[str]:
    """List the ordered structures that some species reaches beyond chance, at most one: the strongest."""
    found: dict[str, float] = {}
    for stage in row["temperatures"]:
        for name, seen in stage.get("observables", {}).items():
            if name.startswith("order "):
                best = max(value or 0.0 for value in seen["value"])
                found[name.removeprefix("order ")] = max(best, found.get(name.removeprefix("order "), 0.0))
    return [max(found, key=lambda name: found[name])] if found else []


def cell_figure(atoms: Any, species: Sequence[str], title: str) -> Figure:
    """Draw the cell: its three front faces as seen from a corner, and one layer from above, coloured by species."""
    figure = Figure(figsize=(8.8, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    colours = {s: _COLOURS[k % len(_COLOURS)] for k, s in enumerate(species)}
    symbols = np.array(atoms.get_chemical_symbols())
    seen = _seen_from_a_corner(atoms)
    _discs(left, seen["xy"], symbols[seen["index"]], colours, seen["diameter"], seen["light"])
    left.set_title(title, loc="left", fontsize=9)
    layer = _layer(atoms)
    _discs(right, atoms.positions[layer][:, :2] / 10, symbols[layer], colours, seen["diameter"])
    right.set_title("one (001) layer of atoms, nm", loc="left", fontsize=9)
    right.tick_params(direction="in", top=True, right=True)
    left.set_axis_off()
    handles = [right.scatter([], [], s=40, color=c, edgecolor="0.2", lw=0.3, label=s) for s, c in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    return figure


def _seen_from_a_corner(atoms: Any) -> dict[str, Any]:
    """Project the atoms near the three front faces, far ones first; lengths in nm."""
    scaled = atoms.get_scaled_positions()
    depth_A = np.cbrt(atoms.get_volume() / len(atoms))
    lengths = np.linalg.norm(atoms.cell.array, axis=1)
    near = ((1 - scaled) * lengths < 1.1 * depth_A).any(axis=1)
    index = np.flatnonzero(near)
    p = atoms.positions[index] / 10
    s = np.sqrt(0.5)
    xy = np.column_stack([s * (p[:, 1] - p[:, 0]), np.sqrt(2 / 3) * p[:, 2] - np.sqrt(1 / 6) * (p[:, 0] + p[:, 1])])
    order = np.argsort(p.sum(axis=1))
    light = np.array([0.86, 0.7, 1.0])[np.argmin(((1 - scaled) * lengths)[index], axis=1)]  # the top face is brightest
    return {"index": index[order], "xy": xy[order], "diameter": 0.095 * depth_A, "light": light[order]}


def _layer(atoms: Any) -> np.ndarray:
    """Pick the atoms of one layer across the third axis."""
    z = atoms.positions[:, 2]
    spacing = np.cbrt(atoms.get_volume() / len(atoms))
    return np.flatnonzero(np.abs(z - z.min()) < 0.3 * spacing)


def _discs(
    axes: Any,
    xy: np.ndarray,
    symbols: np.ndarray,
    colours: Mapping[str, str],
    diameter_nm: float,
    light: np.ndarray | float = 1.0,
) -> None:
    from matplotlib.collections import EllipseCollection
    from matplotlib.colors import to_rgb

    faces = np.array([to_rgb(colours[s]) for s in symbols]) * np.reshape(light, (-1, 1))
    width = np.full(len(xy), diameter_nm)
    discs = EllipseCollection(
        width, width, np.zeros(len(xy)), units="x", offsets=xy, transOffset=axes.transData,
        facecolors=faces, edgecolors="0.15", linewidths=0.25,
    )  # fmt: skip
    axes.add_collection(discs)
    margin = diameter_nm
    axes.set_xlim(xy[:, 0].min() - margin, xy[:, 0].max() + margin)
    axes.set_ylim(xy[:, 1].min() - margin, xy[:, 1].max() + margin)
    axes.set_aspect("equal")


def diffraction_figure(atoms: Any, lattice: str, size: Sequence[int] | None, title: str) -> Figure:
    """Draw the powder pattern of the cell (Cu Kalpha) and, on a lattice, its diffuse scattering in the plane hk0."""
    from hea_sim.diffraction.powder import powder_pattern

    diffuse = None if size is None else _diffuse_plane(atoms, lattice, size)
    figure = Figure(figsize=(8.8, 3.4), layout="constrained")
    panels: Any = [figure.subplots()] if diffuse is None else figure.subplots(1, 2, width_ratios=(1.5, 1))
    left, others = panels[0], panels[1:]
    angles = np.arange(20.0, 120.0, 0.02)
    pattern = powder_pattern(atoms, "CuKa", two_theta_deg=angles, b_iso_A2=0.4)
    shown = np.sqrt(np.maximum(pattern.intensity / pattern.intensity.max(), 0))
    left.plot(angles, shown, color=BLUE, lw=0.8)
    left.set_xlabel("2θ (°), Cu Kα")
    left.set_ylabel("√(intensity / strongest)")
    left.set_xlim(angles[0], angles[-1])
    left.set_ylim(0, 1.05)
    left.set_title(title, loc="left", fontsize=9)
    left.tick_params(direction="in", top=True, right=True)
    if diffuse is not None:
        first, second = (1.0 / (n - 1) for n in diffuse.shape)  # half a pixel: points stand in the middle of theirs
        image = others[0].imshow(
            diffuse.T,
            origin="lower",
            extent=(-first, 2 + first, -second, 2 + second),
            cmap="magma",
            vmin=0,
            vmax=max(2.0, float(np.quantile(diffuse, 0.995))),
            interpolation="nearest",
        )
        others[0].set_xlabel("h")
        others[0].set_ylabel("k")
        others[0].set_title("diffuse scattering, plane hk0", loc="left", fontsize=9)
        figure.colorbar(image, ax=others[0], shrink=0.9, label="Laue units (random alloy: 1)")
    return figure


def _diffuse_plane(atoms: Any, lattice: str, size: Sequence[int]) -> np.ndarray | None:
    """Give the plane hk0 from 0 to 2, closed at its far edges; None where the cell is of one element."""
    from hea_sim.errors import HEAError
    from hea_sim.observables.diffuse_scattering import laue_intensity

    try:
        plane = laue_intensity(atoms, lattice, size=tuple(size)).plane(0.0)
    except HEAError:  # another parent lattice, or one element: nothing to show
        return None
    return np.pad(plane, ((0, 1), (0, 1)), mode="wrap")
