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
) -> int:
    """Raise `depth` (rows, columns) to that of one particle, and make it the owner where it is the deepest.

    `radius` (points,) in pixels over the angle from the column axis; `slope` = sqrt(1 + (R'/R)^2) likewise. Returns how
    many pixels lie in a particle now that did not before.
    """
    rows, columns = depth.shape
    reach = radius.max() + 12.0
    top, bottom = max(0, int(row - reach)), min(rows, int(row + reach) + 2)
    left, right = max(0, int(column - reach)), min(columns, int(column + reach) + 2)
    covered = 0
    for y in range(top, bottom):
        dy = y - row
        for x in range(left, right):
            dx = x - column
            r = np.sqrt(dy * dy + dx * dx)
            if r > reach:
                continue
            k, m, f = _between(radius.size, dy, dx)
            edge = radius[k] + f * (radius[m] - radius[k])
            d = (edge - r) / (slope[k] + f * (slope[m] - slope[k]))
            if d > depth[y, x]:
                if d > 0.0:
                    owner[y, x] = number
                    if depth[y, x] <= 0.0:
                        covered += 1
                depth[y, x] = d
    return covered


@numba.njit(cache=True, fastmath=True, inline="always")
def _between(n: int, dy: float, dx: float) -> tuple[int, int, float]:
    """Give the two of `n` outline points between which a direction lies, and its place from the first to the second."""
    t = np.arctan2(dy, dx) * (n / (2.0 * np.pi))
    if t < 0.0:
        t += n
    k = int(t)
    return k % n, (k + 1) % n, t - k


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

    `places` (n, 2) are tried in order, `radii` and `slopes` (n, points), `gap` (n,) in pixels. What was drawn before
    keeps its distance by `depth`, which must be known as far as these particles reach.
    """
    rows, columns = depth.shape
    placed, covered = 0, 0
    taken = np.empty(places.shape[0], np.int64)
    for i in range(places.shape[0]):
        row, column = places[i, 0], places[i, 1]
        y = min(max(int(row), 0), rows - 1)
        x = min(max(int(column), 0), columns - 1)
        if depth[y, x] > -(radii[i].max() + gap[i]) or not _apart(i, taken[:placed], places, radii, gap[i]):
            continue
        taken[placed] = i
        placed += 1
        covered += paint_particle(depth, owner, first + placed, row, column, radii[i], slopes[i])
        if covered > room:
            break
    return placed


@numba.njit(cache=True, fastmath=True)
def _apart(i: int, taken: np.ndarray, places: np.ndarray, radii: np.ndarray, gap: float) -> bool:
    """Tell whether particle `i` keeps its distance from those placed, measured along the line between the centres."""
    largest = radii[i].max()
    for j in taken:
        dy, dx = places[i, 0] - places[j, 0], places[i, 1] - places[j, 1]
        away = np.sqrt(dy * dy + dx * dx)
        if away > largest + radii[j].max() + gap:
            continue
        k, m, f = _between(radii.shape[1], dy, dx)
        reach = radii[j, k] + f * (radii[j, m] - radii[j, k])
        k, m, f = _between(radii.shape[1], -dy, -dx)
        reach += radii[i, k] + f * (radii[i, m] - radii[i, k])
        if away < reach + gap:
            return False
    return True


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
