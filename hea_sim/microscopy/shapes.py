"""Draw ellipses and strokes as signed distances, and turn these into covered area."""

from __future__ import annotations

import numpy as np

from hea_sim.microscopy.shape_kernels import unite_ellipses, unite_polygons, unite_strokes

#: Distances are right up to here outside a shape, in pixels; beyond they are at least this.
SHAPE_REACH_PX = 4.0


def empty_distance(shape: tuple[int, int]) -> np.ndarray:
    """Give the signed distances (rows, columns) of float32 of a field with no shape in it."""
    return np.full(shape, 1e3, np.float32)


def add_ellipses(distance: np.ndarray, ellipses: np.ndarray, *, reach_px: float = SHAPE_REACH_PX) -> None:
    """Unite ellipses (n, 5) into `distance`: row, column, half axes along and across, angle in radians.

    >>> field = empty_distance((9, 9))
    >>> add_ellipses(field, np.array([[4.0, 4.0, 2.0, 2.0, 0.0]]))
    >>> float(field[4, 8]), int((field <= 0).sum())
    (2.0, 13)
    """
    unite_ellipses(distance, np.ascontiguousarray(np.reshape(ellipses, (-1, 5)), dtype=float), float(reach_px))


def add_strokes(distance: np.ndarray, strokes: np.ndarray, *, reach_px: float = SHAPE_REACH_PX) -> None:
    """Unite straight strokes with round ends (n, 6) into `distance`: row, column, half width of either end."""
    unite_strokes(distance, np.ascontiguousarray(np.reshape(strokes, (-1, 6)), dtype=float), float(reach_px))


def add_polygons(distance: np.ndarray, polygons: list[np.ndarray], *, reach_px: float = SHAPE_REACH_PX) -> None:
    """Unite convex polygons into `distance`, each the corners (n, 2) row, column in either order around."""
    circles, sides = [], []
    for corners in polygons:
        centre = corners.mean(0)
        along = np.roll(corners, -1, 0) - corners
        normal = np.stack([along[:, 1], -along[:, 0]], 1) / np.linalg.norm(along, axis=1, keepdims=True)
        away = ((corners - centre) * normal).sum(1)
        sides.append(np.column_stack([normal * np.sign(away)[:, None], np.abs(away)]))
        circles.append([*centre, np.linalg.norm(corners - centre, axis=1).max()])
    if polygons:
        first = np.cumsum([0, *map(len, sides)])
        unite_polygons(distance, np.array(circles, float), first, np.concatenate(sides), float(reach_px))


def coverage(distance: np.ndarray, softness_px: float = 1.0) -> np.ndarray:
    """Give the covered part (rows, columns) of each pixel, 0 to 1, from the signed distance of its centre."""
    return np.clip(0.5 - distance / softness_px, 0.0, 1.0)


def plain_distance(shape: tuple[int, int], ellipses: np.ndarray, strokes: np.ndarray) -> np.ndarray:
    """Give the signed distance to ellipses and strokes at every pixel: the plain twin of the kernels."""
    r, c = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    out = np.full(shape, np.inf)
    for row, column, a, b, angle in np.reshape(ellipses, (-1, 5)):
        along = np.cos(angle) * (c - column) + np.sin(angle) * (r - row)
        beside = np.cos(angle) * (r - row) - np.sin(angle) * (c - column)
        level = np.hypot(along / a, beside / b)
        slope = np.hypot(along / a**2, beside / b**2)
        out = np.minimum(out, np.where(slope > 0, level * (level - 1) / np.where(slope > 0, slope, 1), -b))
    for y0, x0, h0, y1, x1, h1 in np.reshape(strokes, (-1, 6)):
        line = np.array([y1 - y0, x1 - x0])
        t = np.clip(((r - y0) * line[0] + (c - x0) * line[1]) / max(line @ line, 1e-300), 0, 1)
        out = np.minimum(out, np.hypot(r - y0 - t * line[0], c - x0 - t * line[1]) - (h0 + t * (h1 - h0)))
    return out
