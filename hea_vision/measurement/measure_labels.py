"""Measure a segmentation: what its classes stand for decides which standard is applied.

| classes | measured |
|---|---|
| grain boundary | intercepts and counting (ASTM E112, E1382, ISO 643) |
| column | lattice and local strain |
| any other above 0 | area fraction, particles, distances; lamellae where asked for, or named so |
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Estimate, Segmentation
from hea_vision.measurement.fractions import area_fraction
from hea_vision.measurement.grain_size import intercept_grain_size, length_unit
from hea_vision.measurement.intercepts import grains_of_boundaries
from hea_vision.measurement.lamellae import lamellar_spacing
from hea_vision.measurement.particles import Particles, measure_particles
from hea_vision.measurement.planimetric import count_grains, grain_size_of_counts
from hea_vision.measurement.shapes import Shapes, measure_shapes
from hea_vision.measurement.strain import ColumnStrain, column_strain

#: Parts of the names of classes that are lamellae without being asked.
_LAMELLAR = ("lamell", "pearlite")
_BOUNDARY, _COLUMN = "grain boundary", "column"


@dataclass(frozen=True, kw_only=True)
class FieldTotal:
    """Hold what a field adds to a ratio over fields: length over intersections, area over grains, and the like."""

    above: float
    below: float
    unit: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurements:
    """Hold everything that was measured on one field.

    `estimates` by plain names ("grain size number G", "small precipitate: mean diameter"), each with interval, unit and
    method; `notes` say what could not be measured, and why. `shapes` has a table of objects a class, `strain` what
    columns gave, `totals` what fields are joined by.
    """

    estimates: Mapping[str, Estimate]
    notes: tuple[str, ...] = ()
    pixel_size_nm: float | None = None
    source: str = ""
    model: str = ""
    classes: Mapping[int, str] = field(default_factory=dict)
    shapes: Mapping[str, Shapes] = field(default_factory=dict)
    strain: ColumnStrain | None = None
    totals: Mapping[str, FieldTotal] = field(default_factory=dict)


def measure(
    segmentation: Segmentation,
    *,
    pattern: str = "line-grid",
    spacing_px: float | None = None,
    lamellae: bool = False,
    seed: int = 0,
) -> Measurements:
    """Measure a segmentation to standard.

    Parameters
    ----------
    segmentation
        Labels, and where there are any, instances (grains) and points (atomic columns).
    pattern, spacing_px
        Test lines for grain size, see `hea_vision.measurement.probes`.
    lamellae
        Measure the lamellar spacing of every class above 0.
    seed
        Seed of the bootstrap over objects.

    Examples
    --------
    >>> labels = np.zeros((64, 64), np.uint8)
    >>> labels[10:20, 10:20] = labels[40:52, 30:42] = 1
    >>> found = measure(Segmentation(labels=labels, classes={0: "matrix", 1: "precipitate"}, pixel_size_nm=2.0))
    >>> f"{found.estimates['precipitate: mean diameter']:.3g}"
    '24.9 ± 1.6 nm'
    """
    labels = np.asarray(segmentation.labels)
    if labels.ndim != 2 or min(labels.shape, default=0) < 8:
        raise InputError(f"measure: labels of shape {labels.shape}; wanted (rows, columns), at least 8 x 8")
    into = _Gathered(size_nm=segmentation.pixel_size_nm)
    if segmentation.pixel_size_nm is None:
        into.notes.append("no pixel size: lengths are in px; give one to have nm, um and grain size numbers")
    names = {int(number): str(name) for number, name in segmentation.classes.items()}
    boundary = [number for number, name in names.items() if name.lower() == _BOUNDARY]
    points = getattr(segmentation, "points", None)
    if boundary:
        _measure_grains(into, segmentation, boundary[0], names, pattern, spacing_px)
    elif points is not None or _COLUMN in (name.lower() for name in names.values()):
        _measure_columns(into, np.empty((0, 3)) if points is None else np.asarray(points, float))
    for number, name in names.items():
        if number > 0 and number not in boundary and name.lower() != _COLUMN:
            _measure_class(into, segmentation, number, name, seed)
            if lamellae or any(part in name.lower() for part in _LAMELLAR):
                _measure_lamellae(into, labels, number, name)
    return Measurements(
        estimates=into.estimates,
        notes=tuple(dict.fromkeys(into.notes)),
        pixel_size_nm=segmentation.pixel_size_nm,
        source=segmentation.source,
        model=segmentation.model,
        classes=names,
        shapes=into.shapes,
        strain=into.strain,
        totals=into.totals,
    )


@dataclass(kw_only=True)
class _Gathered:
    size_nm: float | None
    estimates: dict[str, Estimate] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    shapes: dict[str, Shapes] = field(default_factory=dict)
    totals: dict[str, FieldTotal] = field(default_factory=dict)
    strain: ColumnStrain | None = None

    def add(self, **named: Estimate | None) -> None:
        self.estimates.update({name: e for name, e in named.items() if e is not None})


def _measure_grains(
    into: _Gathered,
    segmentation: Segmentation,
    boundary: int,
    names: Mapping[int, str],
    pattern: str,
    spacing_px: float | None,
) -> None:
    labels = np.asarray(segmentation.labels)
    given = getattr(segmentation, "instances", None)
    grains = grains_of_boundaries(labels == boundary) if given is None else np.array(given, np.int32)
    other = [n for n, name in names.items() if n != boundary and n > 0]
    grains[np.isin(labels, other)] = -1
    if not (grains > 0).any():
        into.notes.append("no grain in the field")
        return
    size = intercept_grain_size(grains, pixel_size_nm=into.size_nm, pattern=pattern, spacing_px=spacing_px)
    into.notes.extend(size.notes)
    scale, unit = length_unit(into.size_nm)
    into.add(
        **{
            "grain size number G": size.grain_size_number,
            "grain size index (ISO 643)": size.iso_number,
            "mean intercept": size.mean_intercept,
            "mean whole chord": size.mean_chord,
            "boundary area per volume": size.boundary_area_density,
            **{f"mean intercept at {angle}": e for angle, e in size.by_direction.items()},
        }
    )
    into.totals["mean intercept"] = FieldTotal(above=scale * size.length_px, below=size.n_intersections, unit=unit)
    count = count_grains(grains)
    if count.n > 0:
        planimetric = grain_size_of_counts([count], pixel_size_nm=into.size_nm)
        into.notes.extend(planimetric.notes)
        into.add(
            **{
                "mean grain area": planimetric.mean_area,
                "grains per area": planimetric.density,
                "grain size number G (planimetric)": planimetric.grain_size_number,
                "grain size index (ISO 643, planimetric)": planimetric.iso_number,
            }
        )
        into.totals["mean grain area"] = FieldTotal(above=scale * scale * count.area_px, below=count.n, unit=f"{unit}2")
    into.shapes["grain"] = measure_shapes(grains, pixel_size_nm=into.size_nm)


def _measure_columns(into: _Gathered, points: np.ndarray) -> None:
    scale, unit = (1.0, "px") if into.size_nm is None else (into.size_nm, "nm")
    try:
        into.strain = strain = column_strain(points)
    except InputError as refused:
        into.notes.append(f"no strain: {refused}")
        return
    n = int(strain.indexed.sum())
    lengths = np.linalg.norm(strain.reference_px, axis=0)
    cosine = float(np.clip(np.prod(1.0 / lengths) * (strain.reference_px.T @ strain.reference_px)[0, 1], -1, 1))
    # The vectors are slopes over the lattice indices: their covariance is sigma^2 (X'X)^-1 of the design matrix X.
    design = np.column_stack([np.ones(n), strain.indices[strain.indexed]])
    cover = np.linalg.inv(design.T @ design)[1:, 1:] * strain.residual_px**2 / 2.0
    method = f"one lattice by least squares through {n} columns"
    for k, (name, length) in enumerate(zip(("lattice vector a1", "lattice vector a2"), lengths)):
        into.estimates[name] = Estimate.normal(
            scale * float(length), scale * math.sqrt(cover[k, k]), unit=unit, n=n, method=method
        )
    angle = math.degrees(math.acos(cosine))
    turns = cover / np.outer(lengths, lengths)
    tilt = math.degrees(math.sqrt(max(turns[0, 0] + turns[1, 1] - 2 * cosine * turns[0, 1], 0.0)))
    into.estimates["lattice angle"] = Estimate.normal(angle, tilt, unit="deg", n=n, method=method)
    into.estimates.update({f"{name}: spread": e for name, e in strain.spread.items()})
    left = len(points) - n
    if left:
        into.notes.append(f"{left} of {len(points)} columns are not on the lattice and have no strain")


def _measure_class(into: _Gathered, segmentation: Segmentation, number: int, name: str, seed: int) -> None:
    labels = np.asarray(segmentation.labels)
    known = segmentation.fractions.get(name)
    into.estimates[f"{name}: area fraction"] = area_fraction(labels, number) if known is None else known
    pixels = float(np.count_nonzero(labels == number))
    into.totals[f"{name}: area fraction"] = FieldTotal(above=pixels, below=float(labels.size), unit="area fraction")
    instances = getattr(segmentation, "instances", None)
    found = measure_particles(labels, number, instances=instances, pixel_size_nm=into.size_nm, seed=seed)
    into.shapes[name] = found.shapes
    into.notes.extend(f"{name}: {note}" for note in found.notes if "pixel size" not in note)
    into.estimates[f"{name}: number density"] = found.density
    for what, estimate in _particle_estimates(found).items():
        into.add(**{f"{name}: {what}": estimate})
    if found.mean_diameter is not None:
        total = float(found.weights.sum())
        above = float(np.dot(found.weights, found.shapes["equivalent_diameter"]))
        # Weights of a field times its area are numbers of particles, which is what fields are joined by.
        into.totals[f"{name}: mean diameter"] = FieldTotal(
            above=above * labels.size, below=total * labels.size, unit=found.mean_diameter.unit
        )


def _particle_estimates(found: Particles) -> dict[str, Estimate | None]:
    return {
        "mean diameter": found.mean_diameter,
        "median diameter": found.median_diameter,
        "mean sphere diameter": found.sphere_diameter,
        "mean aspect ratio": found.mean_aspect_ratio,
        "mean free path": found.mean_free_path,
        "nearest neighbour distance": None if found.neighbours is None else found.neighbours.nearest,
        "Clark-Evans ratio": None if found.neighbours is None else found.neighbours.clark_evans,
    }


def _measure_lamellae(into: _Gathered, labels: np.ndarray, number: int, name: str) -> None:
    try:
        found = lamellar_spacing(labels, number, pixel_size_nm=into.size_nm)
    except InputError as error:
        into.notes.append(f"{name}: no lamellar spacing: {error}")
        return
    into.notes.extend(f"{name}: {note}" for note in found.notes)
    into.add(
        **{
            f"{name}: mean random spacing": found.mean_random_spacing,
            f"{name}: true lamellar spacing": found.true_spacing,
            f"{name}: spacing across lamellae": found.normal_spacing,
        }
    )


def join_fields(rows: list[Mapping[str, FieldTotal]]) -> tuple[dict[str, Estimate], list[str]]:
    """Join the totals of fields into estimates over them, with the intervals that E112 and E562 want.

    Fields without a pixel size do not go together with those that have one: each unit is joined by itself, and the
    rarer one is left out and noted.

    >>> one, two = ({"mean intercept": FieldTotal(above=100.0, below=b, unit="um")} for b in (10.0, 12.0))
    >>> round(join_fields([one, two])[0]["mean intercept"].value, 2)
    9.09
    """
    from hea_vision.measurement.fields import fraction_over_fields
    from hea_vision.measurement.grain_size import grain_size_number, shifted_to_iso
    from hea_vision.measurement.intervals import ratio_estimate

    found: dict[str, Estimate] = {}
    notes: list[str] = []
    if len(rows) < 2:
        return found, ["one field: intervals over fields need several; those of the field itself are model-based"]
    rows, said = _of_one_mind(rows)
    notes += said
    for name in dict.fromkeys(name for row in rows for name in row):
        totals = [row[name] for row in rows if name in row]
        if len(totals) < len(rows):
            notes.append(f"{name}: known of {len(totals)} of {len(rows)} fields, and joined over these alone")
        units = [t.unit for t in totals]
        unit = max(dict.fromkeys(units), key=units.count)
        used = [t for t in totals if t.unit == unit]
        if len(used) < len(totals):
            notes.append(f"{name}: {len(totals) - len(used)} fields in other units than {unit} are left out")
        if unit == "area fraction":
            over = fraction_over_fields([t.above / t.below for t in used], method="ASTM E1245-03, area of labels")
            found[name] = over.fraction
            if over.fields_for_10_percent is not None:
                notes.append(f"{name}: 10 % relative accuracy would take {over.fields_for_10_percent} fields")
        elif sum(t.below for t in used) > 0:
            found[name] = ratio_estimate(
                [t.above for t in used],
                [t.below for t in used],
                unit=unit,
                n=len(used),
                method=f"over {len(used)} fields, Student's t",
            )
    if "mean intercept" in found and found["mean intercept"].unit == "um":
        found["grain size number G"] = grain_size_number(found["mean intercept"])
        found["grain size index (ISO 643)"] = shifted_to_iso(found["grain size number G"])
    return found, notes


def _of_one_mind(rows: list[Mapping[str, FieldTotal]]) -> tuple[list[Mapping[str, FieldTotal]], list[str]]:
    """Give fields a common class where some tell two sizes of precipitates apart and others show one population."""
    area, lone = ": area fraction", "precipitate: area fraction"
    sizes = [f"{size} precipitate{area}" for size in ("small", "large")]
    told = [all(name in row for name in sizes) for row in rows]
    alone = [lone in row for row in rows]
    if not (any(told) and any(alone)):
        return rows, []
    joined: list[Mapping[str, FieldTotal]] = []
    for row, both in zip(rows, told):
        parts = [row[name] for name in (sizes if both else [lone]) if name in row]
        rest = {name: total for name, total in row.items() if name != lone}
        if parts:
            total = FieldTotal(above=sum(t.above for t in parts), below=parts[0].below, unit=parts[0].unit)
            rest[f"precipitates of both sizes{area}"] = total
        joined.append(rest)
    return joined, [
        f"{sum(told)} of {len(rows)} fields tell small and large precipitates apart, the others show one size"
    ]


def totals_to_plain(totals: Mapping[str, FieldTotal]) -> dict[str, list[Any]]:
    """Write totals as plain data for a journal."""
    return {name: [t.above, t.below, t.unit] for name, t in totals.items()}


def totals_from_plain(data: Mapping[str, Any]) -> dict[str, FieldTotal]:
    """Read what `totals_to_plain` wrote.

    >>> totals_from_plain(totals_to_plain({"a": FieldTotal(above=1.0, below=2.0, unit="um")}))["a"].below
    2.0
    """
    return {name: FieldTotal(above=a, below=b, unit=u) for name, (a, b, u) in data.items()}
