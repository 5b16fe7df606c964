"""Measure the objects of a class: how many, how large, which are cut by the edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.measure import label, regionprops


@dataclass(frozen=True, kw_only=True)
class ObjectMeasure:
    """Hold one object: its centre, area and equivalent diameter (of the disc of equal area).

    `unit` is that of `equivalent_diameter`: "nm" where the pixel size is known, else "px". The diameter of an object
    that touches the edge of the field is a lower bound.
    """

    number: int
    row: float
    column: float
    area_px: int
    equivalent_diameter: float
    unit: str
    touches_edge: bool


def measure_objects(labels: np.ndarray, number: int, pixel_size_nm: float | None = None) -> list[ObjectMeasure]:
    """Measure every connected object of class `number` (pixels that share a corner are connected).

    >>> field = np.zeros((20, 20), int)
    >>> field[0:4, 5:9] = 1
    >>> [(o.area_px, round(o.equivalent_diameter, 2), o.unit, o.touches_edge) for o in measure_objects(field, 1)]
    [(16, 4.51, 'px', True)]
    """
    labels = np.asarray(labels)
    scale, unit = (1.0, "px") if pixel_size_nm is None else (float(pixel_size_nm), "nm")
    rows, columns = labels.shape
    found = []
    for region in regionprops(label(labels == number, connectivity=2)):
        top, left, bottom, right = region.bbox
        found.append(
            ObjectMeasure(
                number=int(region.label),
                row=float(region.centroid[0]),
                column=float(region.centroid[1]),
                area_px=int(region.area),
                equivalent_diameter=scale * float(np.sqrt(4.0 * region.area / np.pi)),
                unit=unit,
                touches_edge=bool(top == 0 or left == 0 or bottom == rows or right == columns),
            )
        )
    return found
