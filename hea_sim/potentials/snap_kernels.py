"""SNAP compiled: eight atoms at once, forces by the adjoint, no derivative of a matrix ever formed.

| symbol | here |
|---|---|
| V_n, u = 1 + sum_n w_n fc_n s V_n | `powers`, `densities`: matrices of a neighbour, of an atom |
| Y = dE / du* (also weighted and scaled, so that sums over the kept half of V will do) | `adjoint`, `ladders` |
| dU = U (i eps.J), eps = n dw + sin w cos w dn + sin^2 w n x dn | a neighbour that moves turns its matrix |
| F = Re sum Y* V, L_k = Re sum Y* V (i J_k) | `pull`: four sums a neighbour |
| dE/dD = w [fc' F n + fc (n w' (L.n) + sin w cos w / r (L - n (L.n)) + sin^2 w / r (L x n))] | `pull` |

Since Y (i J_k)* is made once an atom, a neighbour costs its powers (twice) and four sums. The idea of the adjoint is
that of TestSNAP: LAMMPS' refactored SNAP. `snap_plain` is the plain twin.
"""

# numba's stubs give an intrinsic the arguments of its generator, not those of a call in a kernel.
# mypy: disable-error-code="call-arg, var-annotated"

from __future__ import annotations

from math import cos, pi, sin, sqrt
from typing import NamedTuple

import numba
import numpy as np

from hea_sim.potentials.lanes import VECTOR_BYTES, fill, load, store
from hea_sim.potentials.snap_tables import MatrixTables, ProductTables, SnapTables

#: Atoms computed at once.
LANES = VECTOR_BYTES // 8
#: Rows of the geometry of one neighbour: a, b, w fc; n; w fc', w', sin w cos w / r, sin^2 w / r.
GEOMETRY = 12


class Neighbours(NamedTuple):
    """Hold the pairs of an environment; `kinds` (n,) are places in the list of elements."""

    starts: np.ndarray
    second: np.ndarray
    vectors: np.ndarray
    kinds: np.ndarray


class Density(NamedTuple):
    """Hold what makes the density of neighbours: radii and weights of the elements, LAMMPS' rcutfac, rfac0, rmin0."""

    radii: np.ndarray
    weights: np.ndarray
    rcutfac: float
    rfac0: float
    rmin0: float
    switched: bool


class Scratch(NamedTuple):
    """Hold what is computed of eight atoms, (rows, lanes) each.

    `geometry` and `pairs` of their neighbours (`gather`); `v` matrices of a neighbour (`powers`); `u` full matrices of
    the atoms (`densities`); `z` an element of a product; `bispectrum` and `slopes` dE/dB; `y` dE/du* (`adjoint`); `w`
    what V is summed with (`ladders`); `out` results.
    """

    geometry: np.ndarray
    pairs: np.ndarray
    v: np.ndarray
    u: np.ndarray
    z: np.ndarray
    bispectrum: np.ndarray
    slopes: np.ndarray
    y: np.ndarray
    w: np.ndarray
    out: np.ndarray


def make_scratch(neighbours: Neighbours, tables: SnapTables) -> Scratch:
    """Allocate what eight atoms need, as many neighbours as any atom has."""
    slots = max(1, int(np.diff(neighbours.starts).max(initial=0)))
    half, full, components = tables.matrices.place.size, tables.matrices.unfold.size, tables.for_one.size
    rows = (slots * GEOMETRY, slots, 2 * half, 2 * full, 2, components, components, 2 * half, 8 * half, 3)
    arrays = [np.zeros((n, LANES)) for n in rows]
    arrays[1] = np.full((slots, LANES), -1)
    return Scratch(*arrays)


@numba.njit(cache=True)
def gather(block: int, neighbours: Neighbours, density: Density, scratch: Scratch) -> int:
    """Put the neighbours within the cutoff of eight atoms side by side; give the largest number of them."""
    starts, second, vectors, kinds = neighbours
    radii, weights, rcutfac, rfac0, rmin0, switched = density
    geometry, pairs = scratch.geometry, scratch.pairs
    most = 0
    for lane in range(LANES):
        i = block + lane
        slot = 0
        if i < kinds.size:
            for p in range(starts[i], starts[i + 1]):
                x, y, z = vectors[p, 0], vectors[p, 1], vectors[p, 2]
                kind = kinds[second[p]]
                cutoff = rcutfac * (radii[kinds[i]] + radii[kind])
                square = x * x + y * y + z * z
                if square >= cutoff * cutoff:
                    continue
                r = sqrt(square)
                slope = rfac0 * pi / (cutoff - rmin0)
                s, c = sin(slope * (r - rmin0)), cos(slope * (r - rmin0))
                if s < 0.0:  # nearer than rmin0: the angle is taken between 0 and pi all the same
                    s, c = -s, -c
                fc, dfc = 1.0, 0.0
                if switched and r > rmin0:
                    phase = pi / (cutoff - rmin0)
                    fc = 0.5 * (cos(phase * (r - rmin0)) + 1.0)
                    dfc = -0.5 * phase * sin(phase * (r - rmin0))
                w = weights[kind]
                x, y, z = x / r, y / r, z / r
                g = slot * GEOMETRY
                geometry[g, lane], geometry[g + 1, lane] = c, -s * z
                geometry[g + 2, lane], geometry[g + 3, lane] = -s * y, s * x
                geometry[g + 4, lane] = w * fc
                geometry[g + 5, lane], geometry[g + 6, lane], geometry[g + 7, lane] = x, y, z
                geometry[g + 8, lane], geometry[g + 9, lane] = w * dfc, slope
                geometry[g + 10, lane], geometry[g + 11, lane] = s * c / r, s * s / r
                pairs[slot, lane] = p
                slot += 1
        most = max(most, slot)
        for rest in range(slot, pairs.shape[0]):
            if pairs[rest, lane] < 0:
                break
            pairs[rest, lane] = -1
            for g in range(rest * GEOMETRY, (rest + 1) * GEOMETRY):
                geometry[g, lane] = 0.0
    return most


@numba.njit(cache=True)
def powers(geometry: np.ndarray, g: int, rows: np.ndarray, v: np.ndarray) -> None:
    """Climb from spin to spin: row m of j is a row of j - 1 times (a* x - b* y), in the middle times (b x + a y)."""
    ar, ai = load(geometry, g), load(geometry, g + 1)
    br, bi = load(geometry, g + 2), load(geometry, g + 3)
    zero = fill(0.0)
    nai, nbr = zero - ai, zero - br
    store(v, 0, fill(1.0))
    store(v, 1, zero)
    for row in range(1, rows.shape[0]):
        h, parent, j = 2 * rows[row, 0], 2 * rows[row, 1], rows[row, 2]
        xr, xi, yr, yi = ar, nai, nbr, bi
        if rows[row, 3]:
            xr, xi, yr, yi = br, bi, ar, ai
        pr, pi_ = load(v, parent), load(v, parent + 1)
        store(v, h, xr * pr - xi * pi_)
        store(v, h + 1, xr * pi_ + xi * pr)
        for k in range(1, j):
            qr, qi = pr, pi_
            pr, pi_ = load(v, parent + 2 * k), load(v, parent + 2 * k + 1)
            store(v, h + 2 * k, xr * pr - xi * pi_ + yr * qr - yi * qi)
            store(v, h + 2 * k + 1, xr * pi_ + xi * pr + yr * qi + yi * qr)
        store(v, h + 2 * j, yr * pr - yi * pi_)
        store(v, h + 2 * j + 1, yr * pi_ + yi * pr)


@numba.njit(cache=True)
def unfold(tables: MatrixTables, scratch: Scratch) -> None:
    """Make the full matrices of the atoms from the sums over their neighbours in `y`, which are scaled on the way."""
    u, total = scratch.u, scratch.y
    for h in range(tables.scale.size):
        scale = fill(tables.scale[h])
        store(total, 2 * h, scale * load(total, 2 * h) + fill(tables.identity[h]))
        store(total, 2 * h + 1, scale * load(total, 2 * h + 1))
    for f in range(tables.unfold.size):
        h = tables.unfold[f]
        store(u, 2 * f, fill(tables.signs[f, 0]) * load(total, 2 * h))
        store(u, 2 * f + 1, fill(tables.signs[f, 1]) * load(total, 2 * h + 1))


@numba.njit(cache=True)
def densities(slots: int, tables: MatrixTables, scratch: Scratch) -> None:
    """Sum the matrices of all neighbours and of the atom itself, and unfold the sums."""
    geometry, v, total = scratch.geometry, scratch.v, scratch.y
    elements = tables.scale.size
    for h in range(2 * elements):
        store(total, h, fill(0.0))
    for slot in range(slots):
        powers(geometry, slot * GEOMETRY, tables.rows, v)
        w = load(geometry, slot * GEOMETRY + 4)
        for h in range(2 * elements):
            store(total, h, load(total, h) + w * load(v, h))
    unfold(tables, scratch)


@numba.njit(cache=True)
def _product(e: int, u: np.ndarray, tables: ProductTables, z: np.ndarray) -> None:
    """Compute one element of C C U U into `z` (2, lanes); four sums, so that none waits for another."""
    rr, ii, ri, ir = fill(0.0), fill(0.0), fill(0.0), fill(0.0)
    for t in range(tables.starts[e], tables.starts[e + 1]):
        c = fill(tables.coefficient[t])
        f, g = 2 * tables.first[t], 2 * tables.second[t]
        xr, xi = c * load(u, f), c * load(u, f + 1)
        yr, yi = load(u, g), load(u, g + 1)
        rr = rr + xr * yr
        ii = ii + xi * yi
        ri = ri + xr * yi
        ir = ir + xi * yr
    store(z, 0, rr - ii)
    store(z, 1, ri + ir)


@numba.njit(cache=True)
def invariants(tables: SnapTables, shift: np.ndarray, scratch: Scratch) -> None:
    """Compute the bispectrum less `shift` (components,)."""
    u, z, bispectrum = scratch.u, scratch.z, scratch.bispectrum
    products, matrices = tables.products, tables.matrices
    for k in range(shift.size):
        store(bispectrum, k, fill(-shift[k]))
    for e in range(products.target.size):
        if products.share[e] > 0.0:
            _product(e, u, products, z)
            h, k = products.target[e], products.component[e]
            f = 2 * matrices.place[h]
            real = load(u, f) * load(z, 0) + load(u, f + 1) * load(z, 1)
            store(bispectrum, k, load(bispectrum, k) + fill(products.share[e] * matrices.weight[h]) * real)


@numba.njit(cache=True)
def adjoint(first: int, last: int, tables: SnapTables, scratch: Scratch) -> None:
    """Compute dE/du* from dE/dB, of the elements `first` to `last` of all products."""
    u, z, y, slopes = scratch.u, scratch.z, scratch.y, scratch.slopes
    products, matrices = tables.products, tables.matrices
    for h in range(y.shape[0]):
        store(y, h, fill(0.0))
    for e in range(first, last):
        _product(e, u, products, z)
        h = 2 * products.target[e]
        slope = fill(products.factor[e]) * load(slopes, products.component[e])
        store(y, h, load(y, h) + slope * load(z, 0))
        store(y, h + 1, load(y, h + 1) + slope * load(z, 1))
    for t in range(matrices.mirror.shape[0]):
        h, source = 2 * matrices.mirror[t, 0], 2 * matrices.mirror[t, 1]
        sign = matrices.parity[matrices.mirror[t, 0]]
        store(y, h, fill(sign) * load(y, source))
        store(y, h + 1, fill(-sign) * load(y, source + 1))


@numba.njit(cache=True)
def ladders(y: np.ndarray, tables: MatrixTables, w: np.ndarray) -> None:
    """Make what V is summed with (8 h, lanes): Y and Y (i J_k)* for x, y, z, times scale and weight."""
    zero = fill(0.0)
    for row in range(tables.rows.shape[0]):
        start, j = tables.rows[row, 0], tables.rows[row, 2]
        for k in range(j + 1):
            h = start + k
            both = fill(tables.scale[h] * tables.weight[h])
            ur, ui, dr, di = zero, zero, zero, zero
            if k < j:
                up = fill(tables.raising[h])
                ur, ui = up * load(y, 2 * h + 2), up * load(y, 2 * h + 3)
            if k > 0:
                down = fill(tables.lowering[h])
                dr, di = down * load(y, 2 * h - 2), down * load(y, 2 * h - 1)
            yr, yi = load(y, 2 * h), load(y, 2 * h + 1)
            turn = both * fill(tables.turning[h])
            store(w, 8 * h, both * yr)
            store(w, 8 * h + 1, both * yi)
            store(w, 8 * h + 2, both * (ui + di))
            store(w, 8 * h + 3, zero - both * (ur + dr))
            store(w, 8 * h + 4, both * (ur - dr))
            store(w, 8 * h + 5, both * (ui - di))
            store(w, 8 * h + 6, turn * yi)
            store(w, 8 * h + 7, zero - turn * yr)


@numba.njit(cache=True)
def pull(geometry: np.ndarray, g: int, v: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
    """Compute dE/dD (3, lanes) of one neighbour of each of eight atoms."""
    f, lx, ly, lz = fill(0.0), fill(0.0), fill(0.0), fill(0.0)
    for h in range(v.shape[0] // 2):
        vr, vi = load(v, 2 * h), load(v, 2 * h + 1)
        f = f + load(w, 8 * h) * vr + load(w, 8 * h + 1) * vi
        lx = lx + load(w, 8 * h + 2) * vr + load(w, 8 * h + 3) * vi
        ly = ly + load(w, 8 * h + 4) * vr + load(w, 8 * h + 5) * vi
        lz = lz + load(w, 8 * h + 6) * vr + load(w, 8 * h + 7) * vi
    nx, ny, nz = load(geometry, g + 5), load(geometry, g + 6), load(geometry, g + 7)
    wfc = load(geometry, g + 4)
    across, around = wfc * load(geometry, g + 10), wfc * load(geometry, g + 11)
    along = lx * nx + ly * ny + lz * nz
    radial = load(geometry, g + 8) * f + wfc * load(geometry, g + 9) * along - across * along
    store(out, 0, radial * nx + across * lx + around * (ly * nz - lz * ny))
    store(out, 1, radial * ny + across * ly + around * (lz * nx - lx * nz))
    store(out, 2, radial * nz + across * lz + around * (lx * ny - ly * nx))


@numba.njit(cache=True)
def _slopes(block: int, kinds: np.ndarray, beta: np.ndarray, alpha: np.ndarray, scratch: Scratch) -> None:
    """Set dE/dB."""
    bispectrum, slopes = scratch.bispectrum, scratch.slopes
    for lane in range(min(LANES, kinds.size - block)):
        kind = kinds[block + lane]
        for k in range(slopes.shape[0]):
            slope = beta[kind, k + 1]
            if alpha.size:
                for m in range(slopes.shape[0]):
                    slope += alpha[kind, k, m] * bispectrum[m, lane]
            slopes[k, lane] = slope


@numba.njit(cache=True)
def _energies(linear: bool, matrices: MatrixTables, shift: np.ndarray, scratch: Scratch) -> None:
    """Compute energies less the constants of the elements into the first row of `out`.

    A linear model is cubic in u, so that it is a third of Re sum Y* u; in a quadratic one, half of each quadratic term
    is in the slope. `slopes` of a quadratic model must hold the mean of dE/dB and the linear coefficients.
    """
    u, y, bispectrum, slopes = scratch.u, scratch.y, scratch.bispectrum, scratch.slopes
    energy = fill(0.0)
    if linear:
        for h in range(matrices.place.size):
            f = 2 * matrices.place[h]
            real = load(y, 2 * h) * load(u, f) + load(y, 2 * h + 1) * load(u, f + 1)
            energy = energy + fill(matrices.weight[h] / 3.0) * real
        for k in range(shift.size):
            energy = energy - load(slopes, k) * fill(shift[k])
    else:
        for k in range(shift.size):
            energy = energy + load(slopes, k) * load(bispectrum, k)
    store(scratch.out, 0, energy)


@numba.njit(cache=True)
def site_terms(
    neighbours: Neighbours,
    density: Density,
    tables: SnapTables,
    shift: np.ndarray,
    beta: np.ndarray,
    alpha: np.ndarray,
    scratch: Scratch,
    energies: np.ndarray,
    gradients: np.ndarray,
) -> None:
    """Set site energies (n,) and their gradients by each neighbour (pairs, 3), zeros before.

    `shift` (components,) is taken off the bispectrum; `beta` (elements, 1 + components); `alpha` (elements, components,
    components), symmetric, is empty for a linear model.
    """
    kinds, out = neighbours.kinds, scratch.out
    linear = alpha.size == 0
    for block in range(0, kinds.size, LANES):
        slots = gather(block, neighbours, density, scratch)
        densities(slots, tables.matrices, scratch)
        if not linear:
            invariants(tables, shift, scratch)
        _slopes(block, kinds, beta, alpha, scratch)
        adjoint(0, tables.products.target.size, tables, scratch)
        if not linear:
            for lane in range(min(LANES, kinds.size - block)):
                for k in range(shift.size):
                    scratch.slopes[k, lane] = 0.5 * (scratch.slopes[k, lane] + beta[kinds[block + lane], k + 1])
        _energies(linear, tables.matrices, shift, scratch)
        for lane in range(min(LANES, kinds.size - block)):
            energies[block + lane] = beta[kinds[block + lane], 0] + out[0, lane]
        ladders(scratch.y, tables.matrices, scratch.w)
        for slot in range(slots):
            powers(scratch.geometry, slot * GEOMETRY, tables.matrices.rows, scratch.v)
            pull(scratch.geometry, slot * GEOMETRY, scratch.v, scratch.w, out)
            for lane in range(LANES):
                p = scratch.pairs[slot, lane]
                if p >= 0:
                    gradients[p, 0], gradients[p, 1], gradients[p, 2] = out[0, lane], out[1, lane], out[2, lane]
