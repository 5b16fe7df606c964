"""Measure a segmentation: what its classes stand for decides which standard is applied.

| classes | measured |
|---|---|
| grain boundary | intercepts and counting (ASTM E112, E1382, ISO 643) |
| column | lattice and local strain |
| any other above 0 | area fractions, particles, distances; lamellae where asked for, or named so |

"Area fraction of this field" is that of the labelled picture with the error of its labels, "area fraction of the
specimen" what it says of the alloy, with the scatter of fields (`fractions`). Fields of more than `strips.LARGE_PX`
pixels are measured strip by strip; grains and lamellae, which standards want over several fields, only up to there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Estimate, Segmentation
from hea_vision.measurement import strips
from hea_vision.measurement.field_totals import OF_SPECIMEN, FieldTotal
from hea_vision.measurement.fractions import fractions_of_field
from hea_vision.measurement.grain_size import intercept_grain_size, length_unit
from hea_vision.measurement.intercepts import grains_of_boundaries
from hea_vision.measurement.lamellae import lamellar_spacing
from hea_vision.measurement.particles import Particles, measure_particles
from hea_vision.measurement.planimetric import count_grains, grain_size_of_counts
from hea_vision.measurement.shapes import Shapes, measure_shapes
from hea_vision.measurement.sizes import sized
from hea_vision.measurement.strain import ColumnStrain, column_strain

#: Parts of the names of classes that are lamellae without being asked.
_LAMELLAR = ("lamell", "pearlite")
_BOUNDARY, _COLUMN = "grain boundary", "column"


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
    '24.9 ± 2.3 nm'
    """
    labels = np.asarray(segmentation.labels)
    if labels.ndim != 2 or min(labels.shape, default=0) < 8:
        raise InputError(f"measure: labels of shape {labels.shape}; wanted (rows, columns), at least 8 x 8")
    into = _Gathered(size_nm=segmentation.pixel_size_nm)
    if segmentation.pixel_size_nm is None:
        into.notes.append("no pixel size: lengths are in px; give one to have nm, um and grain size numbers")
    names = {int(number): str(name) for number, name in segmentation.classes.items()}
    boundary = [number for number, name in names.items() if name.lower() == _BOUNDARY]
    points = segmentation.points
    if boundary:
        _check_size(segmentation)
        _measure_grains(into, segmentation, boundary[0], names, pattern, spacing_px)
    elif points is not None or _COLUMN in (name.lower() for name in names.values()):
        _measure_columns(into, np.empty((0, 3)) if points is None else np.asarray(points, float))
    # Instances of a segmentation with boundaries are its grains, not the objects of its other classes.
    instances = None if boundary else segmentation.instances
    for number, name in names.items():
        if number > 0 and number not in boundary and name.lower() != _COLUMN:
            _measure_class(into, segmentation, number, name, instances, seed)
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
    given = segmentation.instances
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
    into.totals["mean grain area"] = FieldTotal(above=scale * scale * count.area_px, below=count.n, unit=f"{unit}2")
    if count.n <= 0:
        into.notes.append("the field shows no grain whole and no point where three meet: too small to count grains")
    else:
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


def _check_size(segmentation: Segmentation) -> None:
    shape = np.shape(segmentation.labels)
    if math.prod(shape) > strips.LARGE_PX:
        raise InputError(
            f"measure: {segmentation.source or 'field'} has {shape[0]} x {shape[1]} pixels; wanted at most"
            f" {strips.LARGE_PX / 1e6:g} megapixels where there are grains: cut the labels into fields, and"
            " `hea measure` joins them, as E112 wants it"
        )


def _measure_class(
    into: _Gathered, segmentation: Segmentation, number: int, name: str, instances: np.ndarray | None, seed: int
) -> None:
    labels = np.asarray(segmentation.labels)
    known = segmentation.fractions.get(name)
    try:
        here, specimen = fractions_of_field(labels, number, known)
    except InputError as refused:
        into.notes.append(f"{name}: {refused}")
        here, specimen = fractions_of_field(labels, number)
    into.estimates[f"{name}: area fraction of this field"] = here
    into.estimates[f"{name}: {OF_SPECIMEN}"] = specimen
    into.totals[f"{name}: {OF_SPECIMEN}"] = FieldTotal(
        above=here.value * labels.size, below=float(labels.size), unit="area fraction", label_std=here.std
    )
    found = measure_particles(
        labels, number, instances=instances, pixel_size_nm=into.size_nm, labelled_fraction=here, seed=seed
    )
    into.shapes[name] = found.shapes
    into.notes.extend(f"{name}: {note}" for note in found.notes if "pixel size" not in note)
    into.estimates[f"{name}: number density"] = found.density
    for what, estimate in _particle_estimates(found).items():
        into.add(**{f"{name}: {what}": estimate})
    if found.mean_diameter is not None:
        keep = sized(found.shapes)
        total = float(found.weights[keep].sum())
        # Weights of a field times its area are numbers of particles, which is what fields are joined by.
        into.totals[f"{name}: mean diameter"] = FieldTotal(
            above=found.mean_diameter.value * total * labels.size,
            below=total * labels.size,
            unit=found.mean_diameter.unit,
            label_std=None if found.outline_shift_std is None else 2.0 * found.outline_shift_std,
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
    if labels.size > strips.LARGE_PX:
        most = f"{strips.LARGE_PX / 1e6:g} megapixels"
        into.notes.append(f"{name}: no lamellar spacing of a field over {most}: cut it into fields and measure these")
        return
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
