"""The shapes of the objects of fields of any size: window by window, each object from a window that holds it whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hea_vision.measurement.shapes import Shapes, label_objects, measure_shapes
from hea_vision.measurement.strips import ObjectTable, instance_table, object_table

#: Fields up to this size are measured at once; windows of larger ones have about a quarter of it.
WHOLE_PX = 4_000_000
_WINDOW_PX = WHOLE_PX // 4
#: An object whose box is larger than this gets no shape: a network through the whole field has no diameter.
_LARGEST_BOX_PX = 16_000_000
#: Columns that need the shape; the others come from sums.
SHAPE_COLUMNS = ("feret_max", "feret_min", "aspect_ratio", "circularity", "solidity", "orientation_deg")


def class_objects(labels: np.ndarray, number: int, pixel_size_nm: float | None = None) -> Shapes:
    """Measure the connected objects of a class; pixels that share a corner are connected.

    Shapes of objects that are too large to be measured are NaN; their areas and diameters are known.

    >>> field = np.zeros((20, 20), int)
    >>> field[4:8, 3:15] = 1
    >>> found = class_objects(field, 1)
    >>> found["area_px"].tolist(), found["feret_max"].round(1).tolist()
    ([48], [12.4])
    """
    if labels.size <= WHOLE_PX:
        return measure_shapes(label_objects(labels == number), pixel_size_nm=pixel_size_nm)
    table = object_table(labels, number)
    return _measured(table, labels.shape, lambda box: label_objects(np.asarray(labels[box]) == number), pixel_size_nm)


def instance_objects(
    instances: np.ndarray, labels: np.ndarray, pixel_size_nm: float | None = None
) -> dict[int, Shapes]:
    """Measure objects that are numbered already; each belongs to the class that most of it has."""
    table, classes = instance_table(instances, labels)
    if labels.size <= WHOLE_PX:
        found = measure_shapes(np.asarray(instances), pixel_size_nm=pixel_size_nm)
    else:
        found = _measured(table, labels.shape, lambda box: np.asarray(instances[box]), pixel_size_nm)
    return {int(number): found.only(classes == number) for number in np.unique(classes)}


def _measured(
    table: ObjectTable,
    shape: tuple[int, ...],
    read: Callable[[tuple[slice, slice]], np.ndarray],
    pixel_size_nm: float | None,
) -> Shapes:
    """Measure the objects of a table; `read` numbers the objects of a box of the field."""
    scale, unit = (1.0, "px") if pixel_size_nm is None else (float(pixel_size_nm), "nm")
    shapes = {name: np.full(len(table), np.nan) for name in SHAPE_COLUMNS}
    for box, which in _windows(table, shape):
        here = read(box)
        numbers = here[table.top[which] - box[0].start, table.first_column[which] - box[1].start]
        places = np.zeros(int(here.max()) + 1, np.int64)
        places[numbers] = np.arange(1, len(which) + 1)
        found = measure_shapes(places[here], pixel_size_nm=pixel_size_nm)
        for name, values in shapes.items():
            values[which] = found[name]
    columns = {
        "number": table.number,
        "row": table.row,
        "column": table.column,
        "area_px": table.area_px,
        "equivalent_diameter": scale * np.sqrt(4.0 * table.area_px / np.pi),
        "touches_edge": table.touches_edge,
    }
    return Shapes(
        columns={**columns, **shapes},
        unit=unit,
        boxes=np.column_stack([table.top, table.left, table.bottom, table.right]),
        shape=(shape[0], shape[1]),
    )


def _windows(table: ObjectTable, shape: tuple[int, ...]) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Cut the field into boxes of whole rows, with the objects that lie whole in each; tall objects get their own."""
    if not len(table):
        return
    order = np.argsort(table.top, kind="stable")
    heights = table.bottom - table.top
    least = max(1, _WINDOW_PX // shape[1])
    height = int(np.clip(np.quantile(heights, 0.95), least, 4 * least))
    start = 0
    while start < len(order):
        first_row = int(table.top[order[start]])
        end = int(np.searchsorted(table.top[order], first_row + height))
        here = order[start:end]
        fits = table.bottom[here] <= first_row + 2 * height
        if fits.any():
            whole = np.sort(here[fits])
            yield (slice(first_row, int(table.bottom[whole].max())), slice(0, shape[1])), whole
        for tall in here[~fits]:
            rows, columns = (
                slice(int(a[tall]), int(b[tall])) for a, b in ((table.top, table.bottom), (table.left, table.right))
            )
            if (rows.stop - rows.start) * (columns.stop - columns.start) <= _LARGEST_BOX_PX:
                yield (rows, columns), np.array([tall])
        start = end
