"""Particles of one class: how many, how large, how far apart, with the edge of the field accounted for.

| symbol | here |
|---|---|
| w = 1 / ((R - 1 - a) (C - 1 - b)), a x b the box of an object that no edge cuts, R x C the field | `weights` |
| N_A = sum w (Miles 1974; Lantuejoul 1980) | `density` |
| mean of d with weights w, of `sizes` | `mean_diameter` |
| lambda = (1 - A_A) / N_L, N_L particles met on a unit of line (ASTM E1245-03) | `mean_free_path` |
| D = pi / (2 mean(1/d)), of spheres cut at random (Fullman, Trans. AIME 197 (1953) 447) | `sphere_diameter` |

Large objects are cut by the edge more often than small ones; without the weights means come out too small. The
weights are those of the places at which the object would lie wholly inside, and so free of that bias for any shape.

Where the labels' own error is known, outlines that may all lie too far out or in by delta (`sizes`) widen intervals:
of diameters by 2 delta, of lambda by delta (pi + 2 pi N lambda / P), N particles with outlines of length P together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Estimate
from hea_vision.measurement.intervals import (
    LEVEL,
    bootstrap_estimate,
    poisson_interval,
    ratio_estimate,
    student_t,
    weighted_mean,
    weighted_median,
)
from hea_vision.measurement.shapes import Shapes
from hea_vision.measurement.sizes import (
    SMALLEST_PX,
    mean_diameter,
    miles_lantuejoul_weights,
    outline_length_px,
    outline_shift_std_px,
    sized,
    with_outline_shift,
)
from hea_vision.measurement.spacing import Neighbours, neighbour_distances
from hea_vision.measurement.strips import row_strips
from hea_vision.measurement.windows import class_objects, instance_objects

_BLOCKS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Particles:
    """Hold the particles of one class in one field.

    `shapes` has one row an object, `weights` its weight (0 where an edge cuts it). Lengths are in nm, or in px where
    the pixel size is not known. `equivalent` diameters are of discs of equal area on the section; `sphere_diameter`
    assumes spheres. Sizes are those of particles of at least `sizes.SMALLEST_PX` pixels. What too few objects do not
    give is None, and `notes` says why. `outline_shift_std` is how far outlines may lie from the true ones, where known.
    """

    shapes: Shapes
    weights: np.ndarray
    density: Estimate
    mean_diameter: Estimate | None
    median_diameter: Estimate | None
    mean_aspect_ratio: Estimate | None
    mean_free_path: Estimate | None
    sphere_diameter: Estimate | None
    neighbours: Neighbours | None
    n_cut: int
    outline_shift_std: float | None = None
    notes: tuple[str, ...] = ()


def measure_particles(
    labels: np.ndarray,
    number: int = 1,
    *,
    instances: np.ndarray | None = None,
    pixel_size_nm: float | None = None,
    labelled_fraction: Estimate | None = None,
    seed: int = 0,
) -> Particles:
    """Measure the particles of class `number` on a field of any size.

    Parameters
    ----------
    labels
        Class per pixel (rows, columns).
    number
        The class that is measured; its connected areas are the particles.
    instances
        Object per pixel (0 for none), where touching particles have been told apart; each belongs to the class that
        most of it has. A class without any is measured by its connected areas.
    labelled_fraction
        Area fraction of the class in this field with the error of its labels, where that is known.
    seed
        Seed of the bootstrap.

    Examples
    --------
    >>> field = np.zeros((60, 60), int)
    >>> field[10:20, 10:20] = field[30:40, 35:45] = 1
    >>> found = measure_particles(field, pixel_size_nm=2.0)
    >>> len(found.shapes), round(found.mean_diameter.value, 2), found.mean_diameter.unit
    (2, 22.57, 'nm')
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or min(labels.shape, default=0) < 3:
        raise InputError(f"particles: labels of shape {labels.shape}; wanted (rows, columns), at least 3 x 3")
    if instances is not None and np.shape(instances) != labels.shape:
        raise InputError(f"particles: labels {labels.shape}, instances {np.shape(instances)}; wanted one shape")
    told = {} if instances is None else instance_objects(np.asarray(instances), labels, pixel_size_nm)
    if number not in told:
        instances = None
    shapes = told[number] if number in told else class_objects(labels, number, pixel_size_nm)
    weights = miles_lantuejoul_weights(shapes)
    shift_px = outline_shift_std_px(labels, number, labelled_fraction)
    shift = None if shift_px is None else shift_px * (pixel_size_nm or 1.0)
    centres = np.column_stack([shapes["row"], shapes["column"]])
    sizes = _size_estimates(shapes, weights, shift, seed)
    return Particles(
        shapes=shapes,
        weights=weights,
        density=_density(weights, labels.size, pixel_size_nm),
        mean_free_path=_mean_free_path(labels, number, instances, weights, shift, pixel_size_nm),
        neighbours=neighbour_distances(centres, labels.shape, pixel_size_nm=pixel_size_nm, seed=seed)
        if len(centres) >= 3
        else None,
        n_cut=int(np.count_nonzero(weights == 0)),
        outline_shift_std=shift,
        notes=tuple(_notes(shapes, pixel_size_nm)),
        **sizes,
    )


def _size_estimates(shapes: Shapes, weights: np.ndarray, shift: float | None, seed: int) -> dict[str, Estimate | None]:
    """Estimate means and medians over the particles whose size counts."""
    keep, unit = sized(shapes), shapes.unit
    found: dict[str, Estimate | None] = {
        "mean_diameter": mean_diameter(shapes, outline_shift_std=shift),
        "median_diameter": None,
        "mean_aspect_ratio": None,
        "sphere_diameter": None,
    }
    if not keep.any():
        return found
    d, w = shapes["equivalent_diameter"][keep], weights[keep]
    median = bootstrap_estimate(
        d,
        weighted_median,
        weights=w,
        unit=unit,
        method="median equivalent diameter, Miles-Lantuejoul weights",
        seed=seed,
    )
    sphere = bootstrap_estimate(
        d, _sphere_diameter, weights=w, unit=unit, method="mean diameter of spheres, Fullman", seed=seed
    )
    if shift is not None:
        wider = 2.0 * shift
        median = with_outline_shift(median, wider)
        sphere = with_outline_shift(sphere, _sphere_diameter(d + wider, w) - sphere.value)
    formed = np.isfinite(shapes["aspect_ratio"][keep])
    if formed.any():
        found["mean_aspect_ratio"] = bootstrap_estimate(
            shapes["aspect_ratio"][keep][formed],
            weighted_mean,
            weights=w[formed],
            unit="1",
            method="mean aspect ratio",
            seed=seed,
        )
    return {**found, "median_diameter": median, "sphere_diameter": sphere}


def size_distribution(particles: Particles, edges: np.ndarray) -> np.ndarray:
    """Compute the share of particles between `edges` (n + 1 diameters, in the unit of the shapes), edges corrected.

    >>> field = np.zeros((60, 60), int)
    >>> field[10:20, 10:20] = field[30:34, 35:39] = 1
    >>> size_distribution(measure_particles(field), np.array([0.0, 6.0, 20.0])).round(2).tolist()
    [0.44, 0.56]
    """
    keep = sized(particles.shapes)
    counts, _ = np.histogram(particles.shapes["equivalent_diameter"][keep], edges, weights=particles.weights[keep])
    total = particles.weights[keep].sum()
    return counts / total if total > 0 else counts


def saltykov_spheres(section_density: np.ndarray, width: float) -> np.ndarray:
    """Unfold sections of spheres into spheres after Saltykov (Stereology, ed. Elias, Springer 1967, p. 163).

    `section_density` (n,) is the number of sections per area with diameters from (j - 1) to j `width`; the result (n,)
    is the number of spheres per volume, taken to have the upper diameter of their class. Values below zero say that
    the sections are too few, or do not come of spheres.

    >>> saltykov_spheres(np.array([0.0, 1.0]), 1.0).round(3).tolist()
    [-0.155, 0.577]
    """
    sections = np.asarray(section_density, float)
    if sections.ndim != 1 or sections.size == 0 or not width > 0:
        raise InputError(f"Saltykov: {sections.shape} densities, width {width}; wanted a list and a positive width")
    unfolded: np.ndarray = _unfolding(sections.size, width) @ sections
    return unfolded


def spheres_per_volume(section_counts: np.ndarray, *, area: float, width: float, unit: str = "px") -> Estimate:
    """Estimate the number of spheres per volume from their sections after Saltykov, with the error of counting.

    Parameters
    ----------
    section_counts
        Number of sections (n,) with diameters from (j - 1) to j `width` on `area`; edge-corrected ones may be broken.
    area, width
        In `unit` squared, in `unit`.

    Examples
    --------
    >>> e = spheres_per_volume(np.array([134.0, 866.0]), area=1000.0, width=1.0)
    >>> round(e.value, 2), round(e.std, 3), e.unit
    (0.5, 0.017, '1/px3')
    """
    counts = np.asarray(section_counts, float)
    if not area > 0 or (counts < 0).any():
        raise InputError(f"Saltykov: area {area}, counts {counts.tolist()}; wanted a positive area and counts >= 0")
    value = float(saltykov_spheres(counts / area, width).sum())
    per_section = _unfolding(counts.size, width).sum(axis=0) / area
    if not counts.any():
        return Estimate(
            value=0.0,
            low=0.0,
            high=poisson_interval(0)[1] * float(per_section.max()),
            level=LEVEL,
            unit=f"1/{unit}3",
            n=0,
            method=f"Saltykov, no section; Poisson count of none, in that of {counts.size} classes which bounds most",
        )
    # Sections of one size are a Poisson count: different spheres are cut.
    std = math.sqrt(float(per_section**2 @ counts))
    return Estimate(
        value=value,
        std=std,
        low=max(0.0, value - student_t(np.inf) * std),
        high=value + student_t(np.inf) * std,
        level=LEVEL,
        unit=f"1/{unit}3",
        n=round(float(counts.sum())),
        method=f"Saltykov, {counts.size} classes of sections; sections as Poisson counts",
    )


def _unfolding(n: int, width: float) -> np.ndarray:
    """Invert the matrix of sections of class j (rows) that a sphere of class i (columns) gives per unit of volume."""
    i, j = np.arange(1, n + 1)[None, :], np.arange(1, n + 1)[:, None]
    cut = np.sqrt(np.maximum(i**2 - (j - 1) ** 2, 0)) - np.sqrt(np.maximum(i**2 - j**2, 0))
    inverse: np.ndarray = np.linalg.inv(np.where(i >= j, cut, 0.0) * width)
    return inverse


def _sphere_diameter(diameters: np.ndarray, weights: np.ndarray) -> float:
    return math.pi / 2.0 / weighted_mean(1.0 / diameters, weights)


def _density(weights: np.ndarray, area_px: int, pixel_size_nm: float | None) -> Estimate:
    """Estimate particles per area; each weight stands for an independent particle."""
    per = "1/px2" if pixel_size_nm is None else "1/um2"
    factor = 1.0 if pixel_size_nm is None else (1000.0 / pixel_size_nm) ** 2
    if not weights.any():
        return Estimate(
            value=0.0,
            low=0.0,
            high=factor * poisson_interval(0)[1] / area_px,
            level=LEVEL,
            unit=per,
            n=0,
            method="no whole particle; model-based, one field: Poisson count of none",
        )
    total, squares = float(weights.sum()), float(np.square(weights).sum())
    counted = total**2 / squares
    low, high = (b / counted for b in poisson_interval(counted))
    return Estimate(
        value=factor * total,
        std=factor * math.sqrt(squares),
        low=factor * total * low,
        high=factor * total * high,
        level=LEVEL,
        unit=per,
        n=int((weights > 0).sum()),
        method="Miles-Lantuejoul weights; model-based, one field: particles as a Poisson count",
    )


def _mean_free_path(
    labels: np.ndarray,
    number: int,
    instances: np.ndarray | None,
    weights: np.ndarray,
    shift: float | None,
    pixel_size_nm: float | None,
) -> Estimate | None:
    """Estimate the mean length of matrix between particles along rows and columns, over blocks of the field."""
    scale, unit = (1.0, "px") if pixel_size_nm is None else (float(pixel_size_nm), "nm")
    matrix, entered = np.zeros(_BLOCKS**2), np.zeros(_BLOCKS**2)
    row_block, column_block = (np.arange(n) * _BLOCKS // n for n in labels.shape)
    above: np.ndarray | None = None
    for rows in row_strips(labels.shape):
        inside = np.asarray(labels[rows]) == number
        objects = inside.astype(np.int32) if instances is None else np.where(inside, instances[rows], 0)
        joined = np.concatenate([np.zeros_like(objects[:1]) if above is None else above, objects])
        met = np.zeros(inside.shape)
        met[:, 1:] += (objects[:, 1:] > 0) & (objects[:, 1:] != objects[:, :-1])
        first = int(above is None)  # a particle that the frame cuts is not entered
        met[first:] += ((objects > 0) & (objects != joined[:-1]))[first:]
        block = (row_block[rows][:, None] * _BLOCKS + column_block[None, :]).ravel()
        matrix += np.bincount(block, weights=2.0 * ~inside.ravel(), minlength=_BLOCKS**2)
        entered += np.bincount(block, weights=met.ravel(), minlength=_BLOCKS**2)
        above = objects[-1:]
    n = round(float(entered.sum()))
    if n == 0:
        return None
    method = f"matrix on rows and columns over {n} particles met; model-based, one field: over its blocks"
    found = ratio_estimate(matrix, entered, scale=scale, unit=unit, method=method, n=n)
    if shift is None:
        return found
    # Fatter particles leave less matrix, and are met more often.
    particles = float(weights.sum()) * labels.size
    oftener = 2.0 * math.pi * particles * found.value / (scale * outline_length_px(labels, number))
    return with_outline_shift(found, shift * (math.pi + oftener))


def _notes(shapes: Shapes, pixel_size_nm: float | None) -> list[str]:
    notes = []
    whole, counted = ~shapes["touches_edge"], sized(shapes)
    if pixel_size_nm is None:
        notes.append("no pixel size: lengths are in px")
    if len(shapes) == 0:
        notes.append("no particle in the field")
    elif not whole.any():
        notes.append(f"all {len(shapes)} particles are cut by the edge; sizes would be lower bounds and are left out")
    elif not counted.any():
        notes.append(f"no whole particle has {SMALLEST_PX} pixels; sizes are left out")
    elif (shapes["area_px"][counted] < 20).mean() > 0.5:
        notes.append("most particles have fewer than 20 pixels; a shift of the outline by half a pixel changes sizes")
    return notes
