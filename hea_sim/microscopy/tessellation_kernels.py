"""Kernels of tessellations: Laguerre cells with the distance to their boundaries, and Potts kinetics.

`hea_sim.microscopy.tessellation.plain_cells` and `plain_potts` are the plain twins that tests compare with.

| symbol | in code | formula |
|---|---|---|
| power of a point | `power` | |x - s|^2 - w |
| distance to the face shared with cell j | `near` | (power_j - power_i) / (2 |s_j - s_i|) |

A tile of the picture looks only at seeds that can own a pixel of it, or have a face within reach: the power of two
seeds differs by a linear function of the place, so bounds at the centre of the tile are strict.
"""

from __future__ import annotations

import math

import numba
import numpy as np

_TILE = 6


@numba.njit(cache=True, fastmath=False)
def _tile_boxes(y: np.ndarray, x: np.ndarray, wanted: np.ndarray) -> np.ndarray:  # pragma: no cover
    """Give, for every tile, least and greatest `y`, least and greatest `x`, and the greatest squared slope of both.

    A tile without a wanted pixel has a least above the greatest.
    """
    rows, columns = y.shape
    boxes = np.empty((-(-rows // _TILE), -(-columns // _TILE), 5))
    for p in range(boxes.shape[0]):
        for q in range(boxes.shape[1]):
            low_y, high_y, low_x, high_x, slope = np.inf, -np.inf, np.inf, -np.inf, 0.0
            for r in range(p * _TILE, min((p + 1) * _TILE, rows)):
                for c in range(q * _TILE, min((q + 1) * _TILE, columns)):
                    if not wanted[r, c]:
                        continue
                    low_y, high_y = min(low_y, y[r, c]), max(high_y, y[r, c])
                    low_x, high_x = min(low_x, x[r, c]), max(high_x, x[r, c])
                    k, m = r + 1 if r + 1 < rows else r - 1, c + 1 if c + 1 < columns else c - 1
                    yr, xr, yc, xc = y[k, c] - y[r, c], x[k, c] - x[r, c], y[r, m] - y[r, c], x[r, m] - x[r, c]
                    # No direction is stretched by more than this (Gershgorin).
                    slope = max(slope, max(yr * yr + xr * xr, yc * yc + xc * xc) + abs(yr * yc + xr * xc))
            boxes[p, q, 0], boxes[p, q, 1], boxes[p, q, 2], boxes[p, q, 3] = low_y, high_y, low_x, high_x
            boxes[p, q, 4] = slope
    return boxes


@numba.njit(cache=True, fastmath=False)
def _joined(boxes: np.ndarray, p: int, q: int, edge: int) -> np.ndarray:  # pragma: no cover
    """Give the box of `edge` x `edge` tiles from tile (p, q) on."""
    box = boxes[p, q].copy()
    for i in range(p, min(p + edge, boxes.shape[0])):
        for j in range(q, min(q + edge, boxes.shape[1])):
            box[0], box[1] = min(box[0], boxes[i, j, 0]), max(box[1], boxes[i, j, 1])
            box[2], box[3] = min(box[2], boxes[i, j, 2]), max(box[3], boxes[i, j, 3])
            box[4] = max(box[4], boxes[i, j, 4])
    return box


@numba.njit(cache=True, fastmath=False)
def _tile_seeds(
    box: np.ndarray, seeds: np.ndarray, weights: np.ndarray, known: np.ndarray, n_known: int, reach: float,
    found: np.ndarray,
) -> int:  # fmt: skip # pragma: no cover
    """Write into `found` those of the first `n_known` seeds in `known` that matter to a box of places; count them."""
    cy, cx = 0.5 * (box[0] + box[1]), 0.5 * (box[2] + box[3])
    half = 0.5 * math.hypot(box[1] - box[0], box[3] - box[2]) + 1e-9
    # A tenth more, since the slope at the rim of a tile also looks at the next one.
    within = 1.1 * reach * math.sqrt(box[4])
    best, least = known[0], np.inf
    for k in range(n_known):
        i = known[k]
        power = (cy - seeds[i, 0]) ** 2 + (cx - seeds[i, 1]) ** 2 - weights[i]
        if power < least:
            least, best = power, i
    # First those that may own a place, then those with a face within reach of one of the first.
    owners, spread = 0, 0.0
    for k in range(n_known):
        i = known[k]
        more = (cy - seeds[i, 0]) ** 2 + (cx - seeds[i, 1]) ** 2 - weights[i] - least
        gap = (seeds[i, 0] - seeds[best, 0]) ** 2 + (seeds[i, 1] - seeds[best, 1]) ** 2
        if more * more <= 4 * half * half * gap:
            found[owners] = i
            owners += 1
            spread = max(spread, gap)
    if reach <= 0:
        return owners
    # Many owners are not asked one by one: a bound for all of them does.
    asked = owners if owners <= 8 else 0
    slack = 0.0 if asked else 2 * within * math.sqrt(spread)
    count = asked
    for k in range(n_known):
        i = known[k]
        power = (cy - seeds[i, 0]) ** 2 + (cx - seeds[i, 1]) ** 2 - weights[i]
        mine, near = False, False
        for m in range(max(asked, 1)):
            j = found[m] if asked else best
            mine = mine or (asked > 0 and j == i)
            more = power - (cy - seeds[j, 0]) ** 2 - (cx - seeds[j, 1]) ** 2 + weights[j] - slack
            gap = (seeds[i, 0] - seeds[j, 0]) ** 2 + (seeds[i, 1] - seeds[j, 1]) ** 2
            near = near or more <= 0 or more * more <= 4 * (half + within) ** 2 * gap
        if near and not mine:
            found[count] = i
            count += 1
    return count


@numba.njit(cache=True, fastmath=False)
def _faces(
    slopes: tuple[float, float, float, float], sy: np.ndarray, sx: np.ndarray, grain: np.ndarray, power: np.ndarray,
    mine: int, reach: float,
) -> tuple[int, float, float]:  # fmt: skip # pragma: no cover
    """Find the seed across the nearest face to another grain, and the distances to the faces of two other grains.

    `slopes` are those of the coordinates along rows and columns: they turn distances into pixels of the picture.
    """
    yr, xr, yc, xc = slopes
    first, later, theirs = reach * reach, reach * reach, mine
    for k in range(len(power)):
        ny, nx = sy[k] - sy[mine], sx[k] - sx[mine]
        slope = 4 * ((yr * ny + xr * nx) ** 2 + (yc * ny + xc * nx) ** 2)
        more = (power[k] - power[mine]) ** 2
        if more >= later * slope or grain[k] == grain[mine]:
            continue
        gap = more / slope
        if gap < first:
            if theirs != mine and grain[k] != grain[theirs]:
                later = first
            first, theirs = gap, k
        elif grain[k] != grain[theirs]:
            later = gap
    return theirs, math.sqrt(first), math.sqrt(later)


@numba.njit(cache=True, fastmath=False)
def _paint_tile(
    rows: tuple[int, int], columns: tuple[int, int], y: np.ndarray, x: np.ndarray, wanted: np.ndarray,
    seeds: np.ndarray, weights: np.ndarray, owner: np.ndarray, known: np.ndarray, reach: float, cell: np.ndarray,
    other: np.ndarray, near: np.ndarray, second: np.ndarray,
) -> None:  # fmt: skip # pragma: no cover
    """Paint a tile of the four pictures of `paint_cells`, looking at the seeds `known` only."""
    n = len(known)
    # Side by side in memory, since every pixel of the tile runs through them.
    power, sy, sx = np.empty(n), np.empty(n), np.empty(n)
    w, grain = np.empty(n), np.empty(n, np.int64)
    for k in range(n):
        i = known[k]
        sy[k], sx[k], w[k], grain[k] = seeds[i, 0], seeds[i, 1], weights[i], owner[i]
    for r in range(rows[0], rows[1]):
        for c in range(columns[0], columns[1]):
            if not wanted[r, c]:
                continue
            py, px = y[r, c], x[r, c]
            for k in range(n):
                power[k] = (py - sy[k]) ** 2 + (px - sx[k]) ** 2 - w[k]
            mine = 0
            for k in range(1, n):
                if power[k] < power[mine]:
                    mine = k
            cell[r, c] = known[mine]
            if n == 1 or reach <= 0:
                other[r, c], near[r, c], second[r, c] = known[mine], reach, reach
                continue
            up, down = max(r - 1, 0), min(r + 1, y.shape[0] - 1)
            left, right = max(c - 1, 0), min(c + 1, y.shape[1] - 1)
            high, wide = down - up, right - left
            slopes = (
                (y[down, c] - y[up, c]) / high, (x[down, c] - x[up, c]) / high,
                (y[r, right] - y[r, left]) / wide, (x[r, right] - x[r, left]) / wide,
            )  # fmt: skip
            theirs, near[r, c], second[r, c] = _faces(slopes, sy, sx, grain, power, mine, reach)
            other[r, c] = known[theirs]


@numba.njit(cache=True, fastmath=False)
def paint_cells(
    y: np.ndarray, x: np.ndarray, wanted: np.ndarray, seeds: np.ndarray, weights: np.ndarray, owner: np.ndarray,
    reach: float, cell: np.ndarray, other: np.ndarray, near: np.ndarray, second: np.ndarray,
) -> None:  # fmt: skip # pragma: no cover
    """Paint the Laguerre cells of `seeds` (n, 2) with `weights` (n,) at the places `y`, `x` (rows, columns).

    Only `wanted` pixels (rows, columns) are painted, and at least two rows and columns are needed. Seeds of equal
    `owner` (n,) are one grain. Written (rows, columns): `cell` number of the seed; `other` the seed across the nearest
    face to another grain (`cell` itself beyond `reach`); `near`, `second` the distances in pixels to the faces with the
    nearest and the next other grain, at most `reach`.
    """
    rows, columns = y.shape
    n = len(seeds)
    boxes = _tile_boxes(y, x, wanted)
    lists = np.empty((4, n), np.int64)
    lists[0] = np.arange(n)
    for p in range(0, boxes.shape[0], 9):
        for q in range(0, boxes.shape[1], 9):
            box = _joined(boxes, p, q, 9)
            if box[0] > box[1]:
                continue
            n1 = _tile_seeds(box, seeds, weights, lists[0], n, reach, lists[1])
            for i in range(p, min(p + 9, boxes.shape[0]), 3):
                for j in range(q, min(q + 9, boxes.shape[1]), 3):
                    box = _joined(boxes, i, j, 3)
                    if box[0] > box[1]:
                        continue
                    n2 = _tile_seeds(box, seeds, weights, lists[1], n1, reach, lists[2])
                    for s in range(i, min(i + 3, boxes.shape[0])):
                        for t in range(j, min(j + 3, boxes.shape[1])):
                            if boxes[s, t, 0] > boxes[s, t, 1]:
                                continue
                            n3 = _tile_seeds(boxes[s, t], seeds, weights, lists[2], n2, reach, lists[3])
                            ends = min((s + 1) * _TILE, rows), min((t + 1) * _TILE, columns)
                            _paint_tile(
                                (s * _TILE, ends[0]), (t * _TILE, ends[1]), y, x, wanted, seeds, weights, owner,
                                lists[3, :n3], reach, cell, other, near, second,
                            )  # fmt: skip


@numba.njit(cache=True, fastmath=False)
def _band(
    row: float, column: float, grain: int, first: np.ndarray, bands: np.ndarray, reach: float
) -> tuple[int, int, float]:  # pragma: no cover
    """Tell the band that holds a place (-1: none), the number of whole bands below it, and the distance to an edge."""
    inside, below, near = -1, 0, reach
    for k in range(first[grain], first[grain + 1]):
        ny, nx, low, high, start = bands[k, 0], bands[k, 1], bands[k, 2], bands[k, 3], bands[k, 4]
        across, along = ny * row + nx * column, ny * column - nx * row
        beside = max(low - across, across - high)
        before = start - along
        if beside < 0 and before < 0:
            inside = k
            near = min(near, -max(beside, before))
        elif beside < 0 or before < 0:
            near = min(near, max(beside, before))
        else:
            near = min(near, math.hypot(beside, before))
        if math.isinf(start) and across >= high:
            below += 1
    return inside, below, near


@numba.njit(cache=True, fastmath=False)
def paint_twins(
    grain: np.ndarray, across: np.ndarray, near: np.ndarray, first: np.ndarray, bands: np.ndarray, reach: float,
    twin: np.ndarray, piece: np.ndarray, twin_across: np.ndarray, twin_near: np.ndarray,
) -> None:  # fmt: skip # pragma: no cover
    """Paint straight bands inside grains.

    `bands` (m, 5) holds the unit normal (row, column), the two edges along it and where the band starts along its
    length (-inf: at the boundary); those of grain g are `first[g]` to `first[g + 1]`. `across` is the grain beyond the
    nearest boundary at distance `near`. Written: `twin` 1 inside a band, `piece` 0 at one end of the grain and one more
    after each whole band, or -1 - band inside one, `twin_across` what `twin` is beyond the nearest edge of any kind,
    `twin_near` the distance to the nearest edge of a band, at most `reach`.
    """
    rows, columns = grain.shape
    for r in range(rows):
        for c in range(columns):
            g = grain[r, c]
            if first[g] == first[g + 1]:
                twin[r, c], piece[r, c], twin_near[r, c] = 0, 0, reach
                inside = -1
            else:
                inside, below, edge = _band(r, c, g, first, bands, reach)
                twin[r, c] = 1 if inside >= 0 else 0
                piece[r, c] = -1 - inside if inside >= 0 else below
                twin_near[r, c] = edge
            if twin_near[r, c] < near[r, c]:
                twin_across[r, c] = 1 - twin[r, c]
            elif near[r, c] < 1 and first[across[r, c]] < first[across[r, c] + 1]:
                twin_across[r, c] = 1 if _band(r, c, across[r, c], first, bands, reach)[0] >= 0 else 0
            else:
                twin_across[r, c] = 0


@numba.njit(cache=True, fastmath=False)
def potts_sweep(grain: np.ndarray, sites: np.ndarray, picks: np.ndarray) -> None:  # pragma: no cover
    """Let `sites` (n, 2) take, one after the other, the grain of neighbour number `picks` (n,) where no energy is lost.

    Zero temperature, eight neighbours, energy the number of unlike neighbours; the picture `grain` has fixed edges.
    """
    rows, columns = grain.shape
    for k in range(len(sites)):
        r, c = sites[k, 0], sites[k, 1]
        pick = picks[k] + 1 if picks[k] >= 4 else picks[k]
        rr, cc = r + pick // 3 - 1, c + pick % 3 - 1
        if rr < 0 or cc < 0 or rr >= rows or cc >= columns or grain[rr, cc] == grain[r, c]:
            continue
        mine, theirs = 0, 0
        for dr in range(-1, 2):
            for dc in range(-1, 2):
                y, x = r + dr, c + dc
                if (dr == 0 and dc == 0) or y < 0 or x < 0 or y >= rows or x >= columns:
                    continue
                mine += grain[y, x] == grain[r, c]
                theirs += grain[y, x] == grain[rr, cc]
        if theirs >= mine:
            grain[r, c] = grain[rr, cc]
