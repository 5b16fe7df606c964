"""The report of `hea segment`: fractions, sizes, a table, and a gallery in which unfamiliar images come first."""

from __future__ import annotations

import base64
import csv
import json
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from hea_sim.documents import to_jsonable
from hea_sim.records import Estimate
from hea_vision.batch import BatchResult
from hea_vision.report.distributions import LEAST_OBJECTS, fraction_figure, size_figure
from hea_vision.report.figures import to_data_uri
from hea_vision.report.templates import load_template
from hea_vision.report.text import count_text, format_estimate

#: Thumbnails inside the page; more would make it too heavy to open, so they stay files beside it.
MOST_THUMBNAILS = 80


def render_micrographs(result: BatchResult, out: Path) -> str:
    """Render the page of a batch of micrographs, whose pictures and tables of objects lie in `out`."""
    rows = sorted(result.results, key=lambda row: not row["unfamiliar"])  # unfamiliar first, else as they came
    classes = {name: _in_um(rows, name) for name in shown_classes(rows)}
    sizes, cut, n_images = pooled_sizes(rows, out)
    return load_template("micrographs.html.j2").render(
        rows=[_line(row, classes) for row in rows],
        classes=classes,
        model=", ".join(dict.fromkeys(row["model"] for row in rows)),
        strange=sum(bool(row["unfamiliar"]) for row in rows),
        not_judged=bool(rows) and all(row["unfamiliar"] is None for row in rows),
        without_size=_how_many(sum(row["pixel_size_nm"] is None for row in rows)),
        fractions=to_data_uri(fraction_figure(result.results)) if any(row["fractions"] for row in rows) else "",
        sizes=[
            (unit, to_data_uri(size_figure(found, unit, n_images[unit])), cut[unit]) for unit, found in sizes.items()
        ],
        key=_key(rows),
        gallery=[_picture(row, out, inside=number < MOST_THUMBNAILS) for number, row in enumerate(rows)],
        failures=result.failures,
        reused=result.reused,
        provenance=json.dumps(to_jsonable(result.provenance), indent=1),
    )


def shown_classes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the classes that tables show: those with an area fraction or with objects, in their order."""
    return list(dict.fromkeys(name for row in rows for name in (*row["fractions"], *row["objects"])))


def pooled_sizes(
    rows: Sequence[Mapping[str, Any]], out: Path
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, int], dict[str, int]]:
    """Gather equivalent diameters by unit and class from the tables of objects.

    Objects that the edge of a field cuts are left out and counted; the last value counts images by unit. Classes with
    too few objects for a distribution are left out.
    """
    found: dict[str, dict[str, array[float]]] = {}
    cut: dict[str, int] = {}
    n_images: dict[str, int] = {}
    for row in rows:
        unit = "px" if row["pixel_size_nm"] is None else "nm"
        n_images[unit] = n_images.get(unit, 0) + 1
        cut.setdefault(unit, 0)
        with open(out / row["object_table"], encoding="utf-8", newline="") as stream:
            for item in csv.DictReader(stream):
                if "equivalent_diameter" not in item:
                    break  # atom columns have no size
                if item["touches_edge"] == "1":
                    cut[unit] += 1
                else:
                    sizes = found.setdefault(unit, {}).setdefault(item["class"], array("d"))
                    sizes.append(float(item["equivalent_diameter"]))
    enough = {
        unit: {name: np.asarray(sizes) for name, sizes in by_class.items() if len(sizes) >= LEAST_OBJECTS}
        for unit, by_class in found.items()
    }
    return {unit: by_class for unit, by_class in enough.items() if by_class}, cut, n_images


def _how_many(n: int) -> str:
    return f"{n} image{'s' * (n != 1)}" if n else ""


def _line(row: Mapping[str, Any], classes: Mapping[str, bool]) -> dict[str, Any]:
    return {
        "input": row["input"],
        "strange": bool(row["unfamiliar"]),
        "unfamiliarity": "" if row["unfamiliarity"] is None else f"{row['unfamiliarity']:.2f}",
        "cells": [
            {
                "fraction": _percent(row["fractions"].get(name)),
                "n": row["objects"].get(name, "–"),
                "size": _size(row["sizes"].get(name), in_um=in_um),
            }
            for name, in_um in classes.items()
        ],
    }


def _in_um(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Say whether the sizes of a class read better in micrometres; one unit for all images."""
    sizes = [row["sizes"][name] for row in rows if name in row["sizes"]]
    return bool(sizes) and float(np.median([s["value"] for s in sizes if s["unit"] == "nm"] or [0.0])) >= 1000


def _percent(fraction: Mapping[str, Any] | None) -> str:
    if fraction is None:
        return "–"
    text = f"{100 * fraction['value']:.2f}"
    if fraction["low"] is None:
        return text
    return f"{text} ({100 * fraction['low']:.2f} to {100 * fraction['high']:.2f})"


def _size(size: Mapping[str, Any] | None, *, in_um: bool) -> str:
    if size is None:
        return "–"
    factor, unit = (1e-3, "µm") if in_um and size["unit"] == "nm" else (1.0, size["unit"])
    return format_estimate(Estimate(value=factor * size["value"], std=factor * (size["std"] or 0.0), unit=unit))


def _key(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Name the colours of the outlines."""
    from hea_vision.segmentation.overlay import class_colour

    classes = {int(number): name for row in rows for number, name in row["classes"].items() if int(number) > 0}
    return [("#{:02x}{:02x}{:02x}".format(*class_colour(number)), name) for number, name in sorted(classes.items())]


def _picture(row: Mapping[str, Any], out: Path, *, inside: bool) -> dict[str, Any]:
    place = row["thumbnail"]
    raw = (out / place).read_bytes() if inside else b""
    return {
        "input": row["input"],
        "name": Path(row["input"]).name,
        "strange": bool(row["unfamiliar"]),
        "picture": "data:image/jpeg;base64," + base64.b64encode(raw).decode("ascii") if inside else _link(place),
        "overlay": _link(row["overlay"]),
        "figure": _link(row["figure"]),
        "found": ", ".join(count_text(name, n) for name, n in row["objects"].items() if n) or "matrix alone",
    }


def _link(place: str) -> str:
    return quote(place, errors="surrogateescape")
