"""Compiled kernels that measure how deep a pixel lies inside particles.

Depth is a signed distance to the nearest boundary in pixels, positive inside. Where the outline is steep against the
circle the plain difference of radii is divided by its slope, so that half a pixel of depth is half a pixel.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, fastmath=True)
def paint_particle(
    depth: np.ndarray, owner: np.ndarray, number: int, row: float, column: float, radius: np.ndarray, slope: np.ndarray
) -> None:
    """Raise `depth` (rows, columns) to that of one particle, and make it the owner where it is the deepest.

    `radius` (points,) in pixels over the angle from the column axis; `slope` = sqrt(1 + (R'/R)^2) likewise.
    """
    rows, columns = depth.shape
    reach = radius.max() + 12.0
    top, bottom = max(0, int(row - reach)), min(rows, int(row + reach) + 2)
    left, right = max(0, int(column - reach)), min(columns, int(column + reach) + 2)
    n = radius.size
    per_angle = n / (2.0 * np.pi)
    for y in range(top, bottom):
        dy = y - row
        for x in range(left, right):
            dx = x - column
            r = np.sqrt(dy * dy + dx * dx)
            if r > reach:
                continue
            t = np.arctan2(dy, dx) * per_angle
            if t < 0.0:
                t += n
            k = int(t)
            f = t - k
            k = k % n
            m = (k + 1) % n
            edge = radius[k] + f * (radius[m] - radius[k])
            d = (edge - r) / (slope[k] + f * (slope[m] - slope[k]))
            if d > depth[y, x]:
                depth[y, x] = d
                if d > 0.0:
                    owner[y, x] = number


@numba.njit(cache=True, fastmath=True)
def place_particles(
    depth: np.ndarray,
    owner: np.ndarray,
    first: int,
    places: np.ndarray,
    radii: np.ndarray,
    slopes: np.ndarray,
    gap: np.ndarray,
    room: int,
) -> int:
    """Place particles one after the other where none is nearer than `gap`; stop after `room` pixels; count them.

    `places` (n, 2) are tried in order, `radii` and `slopes` (n, points), `gap` (n,) in pixels.
    """
    rows, columns = depth.shape
    placed, used = 0, 0.0
    for i in range(places.shape[0]):
        row, column = places[i, 0], places[i, 1]
        y = min(max(int(row), 0), rows - 1)
        x = min(max(int(column), 0), columns - 1)
        largest = radii[i].max()
        if depth[y, x] > -(largest + gap[i]):
            continue
        placed += 1
        paint_particle(depth, owner, first + placed, row, column, radii[i], slopes[i])
        used += np.pi * radii[i].mean() ** 2
        if used > room:
            break
    return placed


@numba.njit(cache=True, fastmath=True)
def measure_cells(
    depth: np.ndarray,
    owner: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    seeds: np.ndarray,
    present: np.ndarray,
    spacing: float,
    rounding: float,
) -> None:
    """Fill `depth` and `owner` with rounded cells around seeds.

    Everything is in pixels. `u`, `v` (rows, columns) are the pixel's coordinates on the grid of the seeds; `seeds`
    (nu, nv, 2) lie one in each grid square of edge `spacing`. `present` (nu, nv) says which cells hold a particle,
    `rounding` is the radius by which corners are rounded.
    """
    rows, columns = depth.shape
    nu, nv = present.shape
    far = 5.0 * rounding
    h2 = np.empty(25)
    cell = np.empty((25, 2), np.int64)
    for y in range(rows):
        for x in range(columns):
            a, b = u[y, x], v[y, x]
            i0, j0 = int(a / spacing), int(b / spacing)
            n, nearest, best = 0, 0, 1e30
            for i in range(max(i0 - 2, 0), min(i0 + 3, nu)):
                for j in range(max(j0 - 2, 0), min(j0 + 3, nv)):
                    h2[n] = (a - seeds[i, j, 0]) ** 2 + (b - seeds[i, j, 1]) ** 2
                    cell[n, 0], cell[n, 1] = i, j
                    if h2[n] < best:
                        best, nearest = h2[n], n
                    n += 1
            i, j = cell[nearest]
            inside = present[i, j]
            total, closest = 0.0, -1e30
            for k in range(n):
                p, q = cell[k]
                if k == nearest or not (inside or present[p, q]):
                    continue
                h = h2[k] - best
                apart = np.sqrt((seeds[p, q, 0] - seeds[i, j, 0]) ** 2 + (seeds[p, q, 1] - seeds[i, j, 1]) ** 2) + 1e-6
                h /= 2.0 * apart
                if not inside:
                    closest = max(closest, -h)
                elif h < far:
                    total += np.exp(-h / rounding)
            depth[y, x] = closest if not inside else -rounding * np.log(total + 1e-3)
            owner[y, x] = i * nv + j + 1
