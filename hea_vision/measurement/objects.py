"""Measure the objects of a class: how many, how large, of what shape, which are cut by the edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hea_vision.measurement.shapes import label_objects, measure_shapes


@dataclass(frozen=True, kw_only=True)
class ObjectMeasure:
    """Hold one object: its centre, area, equivalent diameter (of the disc of equal area) and shape.

    `unit` is that of every length: "nm" where the pixel size is known, else "px". The diameters of an object that
    touches the edge of the field are lower bounds. `feret_max` and `feret_min` are the largest and smallest distance of
    parallel tangents; `aspect_ratio` is that of the ellipse of equal second moments, `orientation_deg` the angle of its
    long axis, counter-clockwise from the horizontal; `circularity` is 4 pi area / perimeter^2, `solidity` the area over
    that of the convex hull.
    """

    number: int
    row: float
    column: float
    area_px: int
    equivalent_diameter: float
    unit: str
    touches_edge: bool
    feret_max: float
    feret_min: float
    aspect_ratio: float
    circularity: float
    solidity: float
    orientation_deg: float


def measure_objects(labels: np.ndarray, number: int, pixel_size_nm: float | None = None) -> list[ObjectMeasure]:
    """Measure every connected object of class `number` (pixels that share a corner are connected).

    >>> field = np.zeros((20, 20), int)
    >>> field[0:4, 5:9] = 1
    >>> [(o.area_px, round(o.equivalent_diameter, 2), o.unit, o.touches_edge) for o in measure_objects(field, 1)]
    [(16, 4.51, 'px', True)]
    """
    found = measure_shapes(label_objects(np.asarray(labels) == number), pixel_size_nm=pixel_size_nm)
    columns = {name: found.columns[name].tolist() for name in found.columns}
    return [
        ObjectMeasure(unit=found.unit, **{name: values[i] for name, values in columns.items()})
        for i in range(len(found))
    ]
