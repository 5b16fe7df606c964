"""Kernels that draw shapes as signed distances; `hea_sim.microscopy.shapes.plain_distance` is the plain twin.

Negative inside, in pixels; shapes unite by the smaller value, so order does not matter and overlaps are drawn once.
"""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True, fastmath=False)
def unite_ellipses(distance: np.ndarray, ellipses: np.ndarray, reach: float) -> None:  # pragma: no cover
    """Unite `distance` (rows, columns) with ellipses (n, 5): row, column, half axes along and across, angle.

    The angle of the first axis, in radians, runs from the column axis towards the row axis. Exact for circles and on
    the outline; to first order near it.
    """
    rows, columns = distance.shape
    for k in range(len(ellipses)):
        row, column, a, b = ellipses[k, 0], ellipses[k, 1], ellipses[k, 2], ellipses[k, 3]
        cosine, sine = math.cos(ellipses[k, 4]), math.sin(ellipses[k, 4])
        high = math.hypot(a * sine, b * cosine) + reach + 1
        wide = math.hypot(a * cosine, b * sine) + reach + 1
        for r in range(max(0, math.ceil(row - high)), min(rows, math.floor(row + high) + 1)):
            for c in range(max(0, math.ceil(column - wide)), min(columns, math.floor(column + wide) + 1)):
                u = (cosine * (c - column) + sine * (r - row)) / a
                v = (cosine * (r - row) - sine * (c - column)) / b
                level = math.sqrt(u * u + v * v)
                slope = math.sqrt((u / a) ** 2 + (v / b) ** 2)
                d = level * (level - 1) / slope if slope > 0 else -b
                if d < distance[r, c]:
                    distance[r, c] = d


@numba.njit(cache=True, fastmath=False)
def unite_strokes(distance: np.ndarray, strokes: np.ndarray, reach: float) -> None:  # pragma: no cover
    """Unite `distance` (rows, columns) with straight strokes (n, 6): row, column, half width of either end."""
    rows, columns = distance.shape
    for k in range(len(strokes)):
        y0, x0, h0 = strokes[k, 0], strokes[k, 1], strokes[k, 2]
        dy, dx, dh = strokes[k, 3] - y0, strokes[k, 4] - x0, strokes[k, 5] - h0
        length2 = dy * dy + dx * dx
        margin = max(h0, h0 + dh) + reach + 1
        for r in range(
            max(0, math.ceil(min(y0, y0 + dy) - margin)), min(rows, math.floor(max(y0, y0 + dy) + margin) + 1)
        ):
            # Columns within the margin of the stroke on this row: a long oblique stroke has a huge box.
            low, high = min(x0, x0 + dx), max(x0, x0 + dx)
            if abs(dy) > 1e-9:
                t0 = min(max((r - margin - y0) / dy, 0.0), 1.0)
                t1 = min(max((r + margin - y0) / dy, 0.0), 1.0)
                low, high = x0 + min(t0 * dx, t1 * dx), x0 + max(t0 * dx, t1 * dx)
            for c in range(max(0, math.ceil(low - margin)), min(columns, math.floor(high + margin) + 1)):
                t = ((r - y0) * dy + (c - x0) * dx) / length2 if length2 > 0 else 0.0
                t = min(max(t, 0.0), 1.0)
                d = math.hypot(r - y0 - t * dy, c - x0 - t * dx) - (h0 + t * dh)
                if d < distance[r, c]:
                    distance[r, c] = d


@numba.njit(cache=True, fastmath=False)
def unite_polygons(
    distance: np.ndarray, circles: np.ndarray, first: np.ndarray, sides: np.ndarray, reach: float
) -> None:  # pragma: no cover
    """Unite `distance` (rows, columns) with convex polygons.

    Polygon k lies in the circle `circles[k]` (row, column, radius); its sides `first[k]` to `first[k + 1]` of `sides`
    (m, 3) are outward unit normals (row, column) and distances from the centre. Exact inside and beside sides, short
    of the truth beyond corners.
    """
    rows, columns = distance.shape
    for k in range(len(circles)):
        row, column, size = circles[k, 0], circles[k, 1], circles[k, 2] + reach
        for r in range(max(0, math.ceil(row - size)), min(rows, math.floor(row + size) + 1)):
            for c in range(max(0, math.ceil(column - size)), min(columns, math.floor(column + size) + 1)):
                d = -np.inf
                for m in range(first[k], first[k + 1]):
                    d = max(d, sides[m, 0] * (r - row) + sides[m, 1] * (c - column) - sides[m, 2])
                if d < distance[r, c]:
                    distance[r, c] = d
