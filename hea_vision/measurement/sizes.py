"""The mean diameter of particles: the one definition that segmentation, measurement and benchmarks share.

| | |
|---|---|
| diameter | of the disc with the area of the particle on the section, d = sqrt(4 A / pi) |
| mean | by number: every particle counts alike, whatever its area |
| cut by the frame | left out; the whole ones carry the weights of Miles and Lantuejoul, which make up for it |
| smallest particle | `SMALLEST_PX` pixels; what is smaller has no size, though it counts for numbers and fractions |
| unit | nm, or px where the pixel size is not known |

Two errors go into its interval, in quadrature. How particles scatter: Student's t on the linearised ratio
sum(w d) / sum(w), particles taken as independent. What the labels get wrong: where the area fraction of the class is
uncertain by h, because all outlines of total length P in a field of area A may lie too far out or in by delta, then
h A = delta P, and every diameter is uncertain by 2 delta.
"""

from __future__ import annotations

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Estimate
from hea_vision.measurement.intervals import ratio_estimate, widened
from hea_vision.measurement.shapes import Shapes
from hea_vision.measurement.strips import STRIP_PX, row_strips

#: Particles of fewer pixels have no size: their outline is all they are.
SMALLEST_PX = 4


def mean_diameter(
    shapes: Shapes, *, outline_shift_std: float | None = None, smallest_px: int = SMALLEST_PX
) -> Estimate | None:
    """Estimate the number-weighted mean equivalent-circle diameter of particles; None where no whole one is there.

    Parameters
    ----------
    shapes
        Particles of one class, of `class_objects`, `instance_objects` or `measure_shapes`.
    outline_shift_std
        How far all outlines may lie from the true ones, one standard deviation in the unit of the shapes: pixel size
        times `outline_shift_std_px`.
    smallest_px
        Particles of fewer pixels are left out.

    Examples
    --------
    >>> from hea_vision.measurement.windows import class_objects
    >>> field = np.zeros((60, 60), int)
    >>> field[10:20, 10:20] = field[30:40, 35:45] = field[50, 50] = 1
    >>> e = mean_diameter(class_objects(field, 1, 2.0))
    >>> round(e.value, 2), e.unit, e.n
    (22.57, 'nm', 2)
    """
    keep, weights = sized(shapes, smallest_px), miles_lantuejoul_weights(shapes)
    if not keep.any():
        return None
    w, d = weights[keep], shapes["equivalent_diameter"][keep]
    method = "mean equivalent diameter by number, whole particles with Miles-Lantuejoul weights"
    small = int(np.count_nonzero((weights > 0) & ~keep))
    if small:
        method += f", {small} below {smallest_px} px left out"
    found = ratio_estimate(w * d, w, unit=shapes.unit, method=method)
    return found if outline_shift_std is None else with_outline_shift(found, 2.0 * outline_shift_std)


def miles_lantuejoul_weights(shapes: Shapes) -> np.ndarray:
    """Compute the weight of each object per px2 of field, 0 for one that touches the edge.

    >>> from hea_vision.measurement.shapes import measure_shapes
    >>> field = np.zeros((12, 12), int)
    >>> field[5, 5] = 1
    >>> float(miles_lantuejoul_weights(measure_shapes(field))[0]) == 1 / 100
    True
    """
    rows, columns = shapes.shape
    height, width = (shapes.boxes[:, 2:] - shapes.boxes[:, :2]).T
    places = np.maximum(rows - 1 - height, 1) * np.maximum(columns - 1 - width, 1)
    return np.where(shapes["touches_edge"], 0.0, 1.0 / places)


def sized(shapes: Shapes, smallest_px: int = SMALLEST_PX) -> np.ndarray:
    """Mark the particles whose size counts: whole ones of at least `smallest_px` pixels."""
    if smallest_px < 1:
        raise InputError(f"smallest particle of {smallest_px} px; wanted a whole number >= 1")
    return ~shapes["touches_edge"] & (shapes["area_px"] >= smallest_px)


def outline_shift_std_px(labels: np.ndarray, number: int, fraction: Estimate | None) -> float | None:
    """Turn the error of a class's area fraction in this field into one of the place of its outlines, in px.

    `fraction` speaks of the labels alone (its `std` is what they may get wrong); None where nothing is known, or
    nothing has an outline.

    >>> field = np.zeros((100, 100), int)
    >>> field[:, 50:] = 1
    >>> shift = outline_shift_std_px(field, 1, Estimate(value=0.5, std=0.02))
    >>> round(shift / (0.02 * 100**2 / outline_length_px(field, 1)), 6)
    1.0
    """
    if fraction is None or fraction.std is None:
        return None
    length = outline_length_px(labels, number)
    return fraction.std * labels.size / length if length > 0 else None


def outline_length_px(labels: np.ndarray, number: int, *, strip_px: int = STRIP_PX) -> float:
    """Measure the length of the outlines of a class inside the field, the frame left out, by Crofton's formula.

    Lines in four directions are crossed; an outline along one of these is 6 % too short, a round one right.

    >>> y, x = np.mgrid[:200, :200]
    >>> round(outline_length_px((np.hypot(y - 100, x - 100) < 60).astype(int), 1) / (2 * np.pi * 60), 1)
    1.0
    """
    total = 0.0
    above: np.ndarray | None = None  # the last row of the strip before
    for rows in row_strips(labels.shape, strip_px):
        mask = np.asarray(labels[rows]) == number
        total += np.count_nonzero(mask[:, 1:] != mask[:, :-1])
        joined = mask if above is None else np.concatenate([above, mask])
        total += np.count_nonzero(joined[1:] != joined[:-1])
        oblique = np.count_nonzero(joined[1:, 1:] != joined[:-1, :-1])
        oblique += np.count_nonzero(joined[1:, :-1] != joined[:-1, 1:])
        total += np.sqrt(0.5) * oblique
        above = mask[-1:]
    return float(np.pi / 2.0 * total / 4.0)


def with_outline_shift(estimate: Estimate, std: float) -> Estimate:
    """Widen an estimate of the scatter of particles by what shifted outlines do to it, in quadrature."""
    return widened(estimate, std, what="outlines that may be shifted")
