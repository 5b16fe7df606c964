"""Exchanges of whole classes of sites under a pair Hamiltonian, many at a time.

Species are packed: each but the last has a field of bits in a whole number, so that the sum of the codes of the
neighbours of a site in one shell counts them by species. The fields that follow from the counts are the energies of
a site with each species, less that with the last. They are of single precision; energies of cells are not taken from
them but counted anew (`pair_counts`).

Pairs of a launch are disjoint, and no atom of one sees an atom of another, nor its own partner: so all are tried at
once, each at min(1, exp(-dE / k T)), and the launch as a whole is in detailed balance, since what is drawn beforehand
(classes, shifts) does not hang on the arrangement. Which thread does what makes no difference.

Storage: codes (classes, X, Y + 2 hy, Z + 2 hz) with the border repeated, flat; species (classes, X, Y, Z), flat.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from hea_sim.sampling.class_layout import LAUNCH_DRAWS
from hea_sim.sampling.random_streams import uniform
from hea_sim.sampling.specialised import in_numba

#: Sites whose counts are held at a time; small enough for the first cache.
_BLOCK = 1024
#: Sites of a class below which its planes are not shared out over threads.
_SMALL = 4096


@in_numba
def _fields(
    codes: np.ndarray, c: int, x: int, shape: np.ndarray, bonds: np.ndarray, starts: np.ndarray, bits: int,
    weights: np.ndarray, constants: np.ndarray, fields: np.ndarray,
) -> None:  # fmt: skip
    """Write fields (species, Y * (Z + 2 hz)) of the sites of plane x of class c; what stands beside rows is void."""
    planes, rows, width, hy, hz = shape[0], shape[1] + 2 * shape[3], shape[2] + 2 * shape[4], shape[3], shape[4]
    length = shape[1] * width - 2 * hz
    counts = np.empty(_BLOCK, codes.dtype)
    number = np.empty(_BLOCK, np.float32)
    mask = (1 << bits) - 1
    n = len(constants) + 1
    for first in range(0, length, _BLOCK):
        size = min(_BLOCK, length - first)
        for a in range(n):
            fields[a, first : first + size] = constants[a] if a < n - 1 else np.float32(0)
        for s in range(len(starts) - 1):
            counts[:size] = 0
            for m in range(starts[s], starts[s + 1], 2):  # bonds come as pairs of opposite ones
                p = ((bonds[c, m, 0] * planes + (x + bonds[c, m, 1]) % planes) * rows + hy + bonds[c, m, 2]) * width
                q = bonds[c, m + 1, 0] * planes + (x + bonds[c, m + 1, 1]) % planes
                q = (q * rows + hy + bonds[c, m + 1, 2]) * width + bonds[c, m + 1, 3] + hz + first
                p += bonds[c, m, 3] + hz + first
                one, other = codes[p : p + size], codes[q : q + size]
                for k in range(size):
                    counts[k] += one[k] + other[k]
            for y in range(n - 1):
                shift = y * bits
                for k in range(size):
                    number[k] = np.float32(np.int32((counts[k] >> shift) & mask))
                for a in range(n - 1):
                    weight = weights[s, a, y]
                    for k in range(size):
                        fields[a, first + k] += weight * number[k]


@in_numba
def _wrap(codes: np.ndarray, c: int, x: int, shape: np.ndarray) -> None:
    """Repeat the border of plane x of class c."""
    ny, nz, hy, hz = shape[1], shape[2], shape[3], shape[4]
    rows, width = ny + 2 * hy, nz + 2 * hz
    base = (c * shape[0] + x) * rows * width
    for y in range(hy, hy + ny):
        row = base + y * width
        for h in range(hz):
            codes[row + hz - 1 - h] = codes[row + hz + (-1 - h) % nz]
            codes[row + hz + nz + h] = codes[row + hz + h % nz]
    for h in range(hy):
        above, below = base + (hy + (-1 - h) % ny) * width, base + (hy + h % ny) * width
        for z in range(width):
            codes[base + (hy - 1 - h) * width + z] = codes[above + z]
            codes[base + (hy + ny + h) * width + z] = codes[below + z]


@in_numba
def wrap_all(codes: np.ndarray, classes: int, shape: np.ndarray) -> None:
    """Repeat the borders of all planes."""
    for c in range(classes):
        for x in range(shape[0]):
            _wrap(codes, c, x, shape)


@in_numba
def _try_planes(
    codes: np.ndarray, species: np.ndarray, c: int, x: int, d: int, u: int, sign: int, ry: int, rz: int,
    shape: np.ndarray, code_of: np.ndarray, fields: np.ndarray, others: np.ndarray,
    beta: float, key: np.uint64, place: np.uint64, found: np.ndarray,
) -> None:  # fmt: skip
    """Try the exchanges of site (y, z) of plane x of class c with (ry + sign y, rz + sign z) of plane u of class d."""
    nx, ny, nz, hy, hz = shape
    rows, width = ny + 2 * hy, nz + 2 * hz
    same = c == d and x == u
    trials, accepted, total = 0, 0, 0.0
    for y in range(ny):
        v = (ry + sign * y) % ny
        if same and v < y:
            continue
        w = rz % nz
        here, there = ((c * nx + x) * ny + y) * nz, ((d * nx + u) * ny + v) * nz
        row = ((c * nx + x) * rows + hy + y) * width + hz
        other_row = ((d * nx + u) * rows + hy + v) * width + hz
        for z in range(nz):
            a, b = species[here + z], species[there + w]
            if a != b and not (same and v == y and w <= z):
                trials += 1
                k, m = y * width + z, v * width + w
                change = np.float64((fields[b, k] - fields[a, k]) + (others[a, m] - others[b, m]))
                drawn = uniform(key, place + np.uint64((x * ny + y) * nz + z)) if change > 0.0 else 0.0
                if change <= 0.0 or drawn < math.exp(-beta * change):
                    species[here + z], species[there + w] = b, a
                    codes[row + z], codes[other_row + w] = code_of[b], code_of[a]
                    accepted += 1
                    total += change
            w += sign
            if w == nz:
                w = 0
            elif w < 0:
                w = nz - 1
    found[0], found[1], found[2] = trials, accepted, total


def _exchange_planes(
    codes: np.ndarray, species: np.ndarray, c: int, planes: np.ndarray, d: int, partners: np.ndarray, sign: int,
    ry: int, rz: int, shape: np.ndarray, bonds: np.ndarray, starts: np.ndarray, bits: int, code_of: np.ndarray,
    weights: np.ndarray, constants: np.ndarray, beta: float, key: np.uint64, place: np.uint64, found: np.ndarray,
) -> None:  # fmt: skip
    """Try exchanges of planes of class c with as many of class d; the planes are shared out over threads."""
    length = shape[1] * (shape[2] + 2 * shape[4])
    for t in prange(len(planes)):
        x, u = planes[t], partners[t]
        fields = np.empty((len(code_of), length), np.float32)
        _fields(codes, c, x, shape, bonds, starts, bits, weights, constants, fields)
        others = fields
        if c != d or x != u:
            others = np.empty((len(code_of), length), np.float32)
            _fields(codes, d, u, shape, bonds, starts, bits, weights, constants, others)
        _try_planes(
            codes, species, c, x, d, u, sign, ry, rz, shape, code_of, fields, others, beta, key, place, found[t]
        )
        _wrap(codes, c, x, shape)
        _wrap(codes, d, u, shape)


@in_numba
def _one_change(
    species: np.ndarray, i: np.ndarray, j: np.ndarray, a: int, b: int, shape: np.ndarray, bonds: np.ndarray,
    starts: np.ndarray, pair: np.ndarray,
) -> float:  # fmt: skip
    """Sum the change over the bonds of site i (class, x, y, z) from a to b; a bond to site j stays as it is."""
    nx, ny, nz = shape[0], shape[1], shape[2]
    total = 0.0
    for s in range(len(starts) - 1):
        for m in range(starts[s], starts[s + 1]):
            e, dx, dy, dz = bonds[i[0], m]
            x, y, z = (i[1] + dx) % nx, (i[2] + dy) % ny, (i[3] + dz) % nz
            if e != j[0] or x != j[1] or y != j[2] or z != j[3]:
                o = species[((e * nx + x) * ny + y) * nz + z]
                total += pair[s, b, o] - pair[s, a, o]
    return total


@in_numba
def _exchange_in_turn(
    codes: np.ndarray, species: np.ndarray, c: int, d: int, rx: int, ry: int, rz: int, shape: np.ndarray,
    bonds: np.ndarray, starts: np.ndarray, code_of: np.ndarray, pair: np.ndarray,
    beta: float, key: np.uint64, place: np.uint64, found: np.ndarray,
) -> None:  # fmt: skip
    """Try the exchange of each site of class c with the one of class d that is shifted by (rx, ry, rz), in turn.

    Forwards or backwards, as is drawn: a fixed order would keep the distribution, but not detailed balance.
    """
    nx, ny, nz, hy, hz = shape
    i, j = np.empty(4, np.int64), np.empty(4, np.int64)
    size = nx * ny * nz
    backwards = uniform(key, place - np.uint64(1)) < 0.5
    for turn in range(size):
        k = size - 1 - turn if backwards else turn
        i[0], i[1], i[2], i[3] = c, k // (ny * nz), k // nz % ny, k % nz
        j[0], j[1], j[2], j[3] = d, (i[1] + rx) % nx, (i[2] + ry) % ny, (i[3] + rz) % nz
        here, there = c * size + k, ((d * nx + j[1]) * ny + j[2]) * nz + j[3]
        a, b = species[here], species[there]
        if a != b:
            found[0] += 1
            change = _one_change(species, i, j, a, b, shape, bonds, starts, pair)
            change += _one_change(species, j, i, b, a, shape, bonds, starts, pair)
            if change <= 0.0 or uniform(key, place + np.uint64(k)) < math.exp(-beta * change):
                species[here], species[there] = b, a
                codes[((c * nx + i[1]) * (ny + 2 * hy) + hy + i[2]) * (nz + 2 * hz) + hz + i[3]] = code_of[b]
                codes[((d * nx + j[1]) * (ny + 2 * hy) + hy + j[2]) * (nz + 2 * hz) + hz + j[3]] = code_of[a]
                found[1] += 1
                found[2] += change
    for x in range(nx):
        _wrap(codes, c, x, shape)
        _wrap(codes, d, x, shape)


@in_numba
def _below(key: np.uint64, place: np.uint64, n: int) -> int:
    """Draw a whole number below n."""
    return int(uniform(key, place) * n)


def _launch(
    codes: np.ndarray, species: np.ndarray, within: bool, classes: int, gap: int, shape: np.ndarray,
    bonds: np.ndarray, starts: np.ndarray, bits: int, code_of: np.ndarray, pair: np.ndarray, weights: np.ndarray,
    constants: np.ndarray, beta: float, key: np.uint64, place: np.uint64,
) -> tuple[int, int, float]:  # fmt: skip
    """Exchange sites of one class, drawn at random, or of two classes; give trials, accepted ones, change of energy.

    Within a class, site r is paired with R - r. Between two, planes x0 to x0 + X/2 - gap of one are paired with those
    half the cell away of the other, so that no site of the one sees a site of the other.
    """
    nx, ny, nz = shape[0], shape[1], shape[2]
    rx, ry, rz = _below(key, place, nx), _below(key, place + np.uint64(1), ny), _below(key, place + np.uint64(2), nz)
    c = _below(key, place + np.uint64(3), classes)
    d = c if within else (c + 1 + _below(key, place + np.uint64(4), classes - 1)) % classes
    place += np.uint64(LAUNCH_DRAWS)
    if not within and nx // 2 - gap < 1:
        single = np.zeros(3)
        _exchange_in_turn(
            codes, species, c, d, rx, ry, rz, shape, bonds, starts, code_of, pair, beta, key, place, single
        )
        return int(single[0]), int(single[1]), single[2]
    if within:
        every = np.arange(nx)
        partners = (rx - every) % nx
        planes = every[partners >= every]
        partners = partners[partners >= every]
    else:
        planes = (rx + np.arange(nx // 2 - gap)) % nx
        partners = (planes + nx // 2) % nx
    found = np.zeros((len(planes), 3))
    sign = -1 if within else 1
    if nx * ny * nz < _SMALL:
        exchange_planes_alone(
            codes, species, c, planes, d, partners, sign, ry, rz, shape, bonds, starts, bits, code_of,
            weights, constants, beta, key, place, found,
        )  # fmt: skip
    else:
        exchange_planes(
            codes, species, c, planes, d, partners, sign, ry, rz, shape, bonds, starts, bits, code_of,
            weights, constants, beta, key, place, found,
        )  # fmt: skip
    trials, accepted, total = 0, 0, 0.0
    for t in range(len(found)):  # in order: a sum over threads would hang on their number
        trials += int(found[t, 0])
        accepted += int(found[t, 1])
        total += found[t, 2]
    return trials, accepted, total


exchange_planes = in_numba(_exchange_planes, parallel=True)
exchange_planes_alone = in_numba(_exchange_planes)
launch = in_numba(_launch)


@in_numba
def launches(
    number: int, codes: np.ndarray, species: np.ndarray, classes: int, gap: int, shape: np.ndarray,
    bonds: np.ndarray, starts: np.ndarray, bits: int, code_of: np.ndarray, pair: np.ndarray, weights: np.ndarray,
    constants: np.ndarray, beta: float, key: np.uint64, place: np.uint64,
) -> tuple[int, int, float]:  # fmt: skip
    """Launch exchanges within a class and between two so many times in turn."""
    trials, accepted, total = 0, 0, 0.0
    for k in range(2 * number):
        within = k % 2 == 0
        if within or classes > 1:
            made, done, change = launch(
                codes, species, within, classes, gap, shape, bonds, starts, bits, code_of, pair, weights, constants,
                beta, key, place + np.uint64(k * (shape[0] * shape[1] * shape[2] + LAUNCH_DRAWS)),
            )  # fmt: skip
            trials += made
            accepted += done
            total += change
    return trials, accepted, total


@in_numba
def pair_counts(species: np.ndarray, shape: np.ndarray, bonds: np.ndarray, starts: np.ndarray, n: int) -> np.ndarray:
    """Count the bonds (shells, n, n) from species to species in each shell."""
    nx, ny, nz = shape[0], shape[1], shape[2]
    counts = np.zeros((len(starts) - 1, n, n), np.int64)
    for c in range(len(bonds)):
        for s in range(len(starts) - 1):
            for m in range(starts[s], starts[s + 1]):
                e, dx, dy, dz = bonds[c, m]
                for x in range(nx):
                    for y in range(ny):
                        here = ((c * nx + x) * ny + y) * nz
                        there = ((e * nx + (x + dx) % nx) * ny + (y + dy) % ny) * nz
                        w = dz % nz
                        for z in range(nz):
                            counts[s, species[here + z], species[there + w]] += 1
                            w += 1
                            if w == nz:
                                w = 0
    return counts
