"""Particles of one class: how many, how large, how far apart, with the edge of the field accounted for.

| symbol | here |
|---|---|
| w = 1 / ((R - 1 - a) (C - 1 - b)), a x b the box of an object that no edge cuts, R x C the field | `weights` |
| N_A = sum w (Miles 1974; Lantuejoul 1980) | `density` |
| mean of d with weights w | `mean_diameter` |
| lambda = (1 - A_A) / N_L, N_L particles met on a unit of line (ASTM E1245-03) | `mean_free_path` |
| D = pi / (2 mean(1/d)), of spheres cut at random (Fullman, Trans. AIME 197 (1953) 447) | `sphere_diameter` |

Large objects are cut by the edge more often than small ones; without the weights means come out too small. The
weights are those of the places at which the object would lie wholly inside, and so free of that bias for any shape.
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
    weighted_mean,
    weighted_median,
)
from hea_vision.measurement.shapes import Shapes, label_objects, measure_shapes
from hea_vision.measurement.spacing import Neighbours, neighbour_distances

_BLOCKS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Particles:
    """Hold the particles of one class in one field.

    `shapes` has one row an object, `weights` its weight (0 where an edge cuts it). Lengths are in nm, or in px where
    the pixel size is not known. `equivalent` diameters are of discs of equal area on the section; `sphere_diameter`
    assumes spheres. What too few objects do not give is None, and `notes` says why.
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
    notes: tuple[str, ...] = ()


def measure_particles(
    labels: np.ndarray,
    number: int = 1,
    *,
    instances: np.ndarray | None = None,
    pixel_size_nm: float | None = None,
    seed: int = 0,
) -> Particles:
    """Measure the particles of class `number`.

    Parameters
    ----------
    labels
        Class per pixel (rows, columns).
    number
        The class that is measured; its connected areas are the particles.
    instances
        Object per pixel (0 for none), where touching particles have been told apart.
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
    mask = labels == number
    if instances is not None and np.shape(instances) != labels.shape:
        raise InputError(f"particles: labels {labels.shape}, instances {np.shape(instances)}; wanted one shape")
    objects = label_objects(mask) if instances is None else np.where(mask, instances, 0)
    shapes = measure_shapes(objects, pixel_size_nm=pixel_size_nm)
    weights = miles_lantuejoul_weights(shapes)
    scale, unit = (1.0, "px") if pixel_size_nm is None else (float(pixel_size_nm), "nm")
    whole = weights > 0
    diameters, w = shapes["equivalent_diameter"][whole], weights[whole]
    n_cut = int((~whole).sum())
    notes = _notes(whole, shapes, pixel_size_nm)
    mean = median = aspect = sphere = None
    if diameters.size:
        said = "equivalent diameter, Miles-Lantuejoul weights"
        mean = bootstrap_estimate(diameters, weighted_mean, weights=w, unit=unit, method=f"mean {said}", seed=seed)
        median = bootstrap_estimate(
            diameters, weighted_median, weights=w, unit=unit, method=f"median {said}", seed=seed
        )
        aspect = bootstrap_estimate(
            shapes["aspect_ratio"][whole], weighted_mean, weights=w, unit="1", method="mean aspect ratio", seed=seed
        )
        sphere = bootstrap_estimate(
            diameters, _sphere_diameter, weights=w, unit=unit, method="mean diameter of spheres, Fullman", seed=seed
        )
    centres = np.column_stack([shapes["row"], shapes["column"]])
    return Particles(
        shapes=shapes,
        weights=weights,
        density=_density(weights, mask.size, scale, unit, bool(diameters.size)),
        mean_diameter=mean,
        median_diameter=median,
        mean_aspect_ratio=aspect,
        mean_free_path=_mean_free_path(mask, objects, scale, unit),
        sphere_diameter=sphere,
        neighbours=neighbour_distances(centres, mask.shape, pixel_size_nm=pixel_size_nm, seed=seed)
        if len(centres) >= 3
        else None,
        n_cut=n_cut,
        notes=tuple(notes),
    )


def miles_lantuejoul_weights(shapes: Shapes) -> np.ndarray:
    """Compute the weight of each object per px2 of field, 0 for one that touches the edge.

    >>> field = np.zeros((12, 12), int)
    >>> field[5, 5] = 1
    >>> float(miles_lantuejoul_weights(measure_shapes(field))[0]) == 1 / 100
    True
    """
    rows, columns = shapes.shape
    height, width = (shapes.boxes[:, 2:] - shapes.boxes[:, :2]).T
    places = np.maximum(rows - 1 - height, 1) * np.maximum(columns - 1 - width, 1)
    return np.where(shapes["touches_edge"], 0.0, 1.0 / places)


def size_distribution(particles: Particles, edges: np.ndarray) -> np.ndarray:
    """Compute the share of particles between `edges` (n + 1 diameters, in the unit of the shapes), edges corrected.

    >>> field = np.zeros((60, 60), int)
    >>> field[10:20, 10:20] = field[30:34, 35:39] = 1
    >>> size_distribution(measure_particles(field), np.array([0.0, 6.0, 20.0])).round(2).tolist()
    [0.44, 0.56]
    """
    counts, _ = np.histogram(particles.shapes["equivalent_diameter"], edges, weights=particles.weights)
    total = particles.weights.sum()
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
    i = np.arange(1, sections.size + 1)[None, :]
    j = np.arange(1, sections.size + 1)[:, None]
    cut = np.sqrt(np.maximum(i**2 - (j - 1) ** 2, 0)) - np.sqrt(np.maximum(i**2 - j**2, 0))
    return np.linalg.solve(np.where(i >= j, cut, 0.0) * width, sections)


def _sphere_diameter(diameters: np.ndarray, weights: np.ndarray) -> float:
    return math.pi / 2.0 / weighted_mean(1.0 / diameters, weights)


def _density(weights: np.ndarray, area_px: int, scale: float, unit: str, any_whole: bool) -> Estimate:
    """Estimate particles per area; each weight stands for an independent particle."""
    per = "1/um2" if unit == "nm" else "1/px2"
    factor = (1000.0 / scale) ** 2 if unit == "nm" else 1.0
    if not any_whole:
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


def _mean_free_path(mask: np.ndarray, objects: np.ndarray, scale: float, unit: str) -> Estimate | None:
    """Estimate the mean length of matrix between particles along rows and columns, over blocks of the field."""
    matrix = ~mask
    met = np.zeros(mask.shape)
    for axis in (0, 1):
        here, before = (np.take(objects, np.arange(k, objects.shape[axis] - 1 + k), axis) for k in (1, 0))
        enters = (here > 0) & (here != before)
        met[tuple(slice(1, None) if a == axis else slice(None) for a in (0, 1))] += enters
    if met.sum() == 0:
        return None
    rows, columns = (np.arange(n) * _BLOCKS // n for n in mask.shape)
    block = (rows[:, None] * _BLOCKS + columns[None, :]).ravel()
    length = np.bincount(block, weights=2.0 * matrix.ravel(), minlength=_BLOCKS**2)
    entered = np.bincount(block, weights=met.ravel(), minlength=_BLOCKS**2)
    method = f"matrix on rows and columns over {met.sum():.0f} particles met; model-based, one field: over its blocks"
    return ratio_estimate(length, entered, scale=scale, unit=unit, method=method, n=int(met.sum()))


def _notes(whole: np.ndarray, shapes: Shapes, pixel_size_nm: float | None) -> list[str]:
    notes = []
    if pixel_size_nm is None:
        notes.append("no pixel size: lengths are in px")
    if len(shapes) == 0:
        notes.append("no particle in the field")
    elif not whole.any():
        notes.append(f"all {len(shapes)} particles are cut by the edge; sizes would be lower bounds and are left out")
    elif (shapes["area_px"][whole] < 20).mean() > 0.5:
        notes.append("most particles have fewer than 20 pixels; a shift of the outline by half a pixel changes sizes")
    return notes
