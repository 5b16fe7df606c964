"""Compiled moment tensor potentials: energy and gradients of all pairs in one pass, with a hand-written adjoint.

One vector holds one quantity of as many atoms as it has lanes (16 in single, 8 in double precision), so every product
of the tree and every monomial of the unit vectors is computed for a block of atoms at once. `hea_sim.potentials.mtp`
has the plain twin.

| step, for a block of atoms | where |
|---|---|
| neighbours within the cutoff, one row each, a column an atom | `gather_neighbours` |
| Q_k = s (R - r)^2 T_k(u), f_mu = sum_k c_mu,k Q_k and their slopes | `radial_functions` |
| M_mu,abc = sum_j f_mu x^a y^b z^c, products up to the scalars | `_moments` |
| adjoint: dE/dM from the scalars back through the products | `_back` |
| dE/dD = V / r + n (S - n.V / r), V = sum f_mu grad P_mu, S = sum f'_mu P_mu | `_gradients` |

P_mu(n) = sum_abc (dE/dM_mu,abc) x^a y^b z^c.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from hea_sim.potentials.lanes import fill, fill_quad, load, load_quad, root, spread_quad, store


class Tables(NamedTuple):
    """Hold what a potential is, as the kernels read it; `dtype` below is single or double.

    `coefficients` (species * species * basis * quads, 4) of dtype, c of the radial functions 4 quad .. 4 quad + 3;
    `monomials` (n, 2) of parent and axis, number 0 is one; `basic` (basic, 2) of mu and monomial; `lowered` (n, 2) of
    mu and monomial with `raised` (n, 3) the basic moments that x, y, z times the monomial make and `power` (n, 3) of
    dtype; `products` (products, 2) of left and right with `factor` of dtype, in runs `runs` (outs + 1) that end at
    moments basic, basic + 1, ... ; `scalars` with `linear` in double and `linear_lanes` in dtype.
    """

    coefficients: np.ndarray
    species: int
    n_radial: int
    n_chebyshev: int
    range: np.ndarray  # of dtype: cutoff, scaling, least distance
    monomials: np.ndarray
    basic: np.ndarray
    lowered: np.ndarray
    raised: np.ndarray
    power: np.ndarray
    products: np.ndarray
    factor: np.ndarray
    runs: np.ndarray
    scalars: np.ndarray
    linear: np.ndarray
    linear_lanes: np.ndarray


class Work(NamedTuple):
    """Hold the memory of one block; every array has as many columns as a vector has lanes.

    `place` (4 neighbours) x, y, z, r^2, later the unit vector and 1/r; `basis` (2 basis) Q and dQ/dr; `radial` and
    `slope` (4 quads neighbours); `moments`, `adjoint` (moments); `monomials`; `gradients` (3 lowered); `kind` and
    `pair` (neighbours) integers: the pair of species and the number of the pair, -1 where an atom has no more; `counts`
    of neighbours.
    """

    place: np.ndarray
    basis: np.ndarray
    radial: np.ndarray
    slope: np.ndarray
    moments: np.ndarray
    adjoint: np.ndarray
    monomials: np.ndarray
    gradients: np.ndarray
    kind: np.ndarray
    pair: np.ndarray
    counts: np.ndarray


@numba.njit(cache=True, nogil=True, error_model="numpy")
def gather_neighbours(
    t: Tables, w: Work, first: int, starts: np.ndarray, second: np.ndarray, vectors: np.ndarray, species: np.ndarray
) -> int:
    """Sort the neighbours of a block of atoms into rows; give the number of rows."""
    lanes = w.place.shape[1]
    n = starts.size - 1
    w.counts[:] = 0
    square = np.float64(t.range[0]) ** 2
    rows = 0
    for lane in range(min(lanes, n - first)):
        i = first + lane
        k = 0
        kind = species[i] * t.species
        for p in range(starts[i], starts[i + 1]):
            x, y, z = vectors[p, 0], vectors[p, 1], vectors[p, 2]
            r2 = x * x + y * y + z * z
            w.place[4 * k, lane] = x
            w.place[4 * k + 1, lane] = y
            w.place[4 * k + 2, lane] = z
            w.place[4 * k + 3, lane] = r2
            w.kind[k, lane] = kind + species[second[p]]
            w.pair[k, lane] = p
            k += r2 < square
        w.counts[lane] = k
        rows = max(rows, k)
    for lane in range(lanes):
        for k in range(w.counts[lane], rows):
            w.place[4 * k, lane] = t.range[0]
            w.place[4 * k + 1, lane] = 0
            w.place[4 * k + 2, lane] = 0
            w.place[4 * k + 3, lane] = t.range[0] * t.range[0]
            w.pair[k, lane] = -1
    return rows


@numba.njit(cache=True, nogil=True, error_model="numpy")
def radial_functions(t: Tables, w: Work, k: int) -> None:
    """Compute unit vectors, radial functions and their slopes of one row of neighbours."""
    one = t.range.dtype.type(1)
    cutoff, scaling, least = fill(t.range[0]), fill(t.range[1]), fill(t.range[2])
    r = root(load(w.place, 4 * k + 3))
    inverse = fill(one) / r
    for axis in range(3):
        store(w.place, 4 * k + axis, load(w.place, 4 * k + axis) * inverse)
    store(w.place, 4 * k + 3, inverse)
    turn = fill(one + one) / (cutoff - least)
    u = (r - least) * turn - fill(one)
    rest = scaling * (cutoff - r)
    before, before_slope = rest * (cutoff - r), fill(-(one + one)) * rest
    now, now_slope = u * before, turn * before + u * before_slope
    store(w.basis, 0, before)
    store(w.basis, 1, before_slope)
    u2, turn2 = u + u, turn + turn
    for m in range(1, t.n_chebyshev):
        store(w.basis, 2 * m, now)
        store(w.basis, 2 * m + 1, now_slope)
        after = u2 * now - before
        after_slope = turn2 * now + u2 * now_slope - before_slope
        before, before_slope, now, now_slope = now, now_slope, after, after_slope
    quads = (t.n_radial + 3) // 4
    zero = t.range.dtype.type(0)
    for lane in range(w.place.shape[1]):
        inside = w.pair[k, lane] >= 0
        row = w.kind[k, lane] * t.n_chebyshev * quads
        for q in range(quads):
            value, slope = fill_quad(zero), fill_quad(zero)
            if inside:
                for m in range(t.n_chebyshev):
                    c = load_quad(t.coefficients, row + m * quads + q)
                    value = value + c * fill_quad(w.basis[2 * m, lane])
                    slope = slope + c * fill_quad(w.basis[2 * m + 1, lane])
            spread_quad(w.radial, 4 * (k * quads + q), lane, value)
            spread_quad(w.slope, 4 * (k * quads + q), lane, slope)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _monomials(t: Tables, w: Work, k: int) -> None:
    """Compute the monomials of the unit vectors of one row of neighbours."""
    store(w.monomials, 0, fill(t.range.dtype.type(1)))
    for m in range(1, t.monomials.shape[0]):
        store(w.monomials, m, load(w.monomials, t.monomials[m, 0]) * load(w.place, 4 * k + t.monomials[m, 1]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _moments(t: Tables, w: Work, rows: int) -> None:
    """Sum the basic moments over the rows of neighbours and multiply them up to the scalars."""
    zero = fill(t.range.dtype.type(0))
    basic = t.basic.shape[0]
    stride = 4 * ((t.n_radial + 3) // 4)
    for b in range(basic):
        store(w.moments, b, zero)
    for k in range(rows):
        _monomials(t, w, k)
        for b in range(basic):
            f = load(w.radial, k * stride + t.basic[b, 0])
            store(w.moments, b, load(w.moments, b) + f * load(w.monomials, t.basic[b, 1]))
    for out in range(t.runs.size - 1):
        total = zero
        for p in range(t.runs[out], t.runs[out + 1]):
            pair = load(w.moments, t.products[p, 0]) * load(w.moments, t.products[p, 1])
            total = total + fill(t.factor[p]) * pair
        store(w.moments, basic + out, total)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _back(t: Tables, w: Work) -> None:
    """Carry dE/dB back to dE/dM of the basic moments, and lay out the gradients of the polynomials P."""
    zero = fill(t.range.dtype.type(0))
    basic = t.basic.shape[0]
    for m in range(w.adjoint.shape[0]):
        store(w.adjoint, m, zero)
    for s in range(t.scalars.size):
        store(w.adjoint, t.scalars[s], load(w.adjoint, t.scalars[s]) + fill(t.linear_lanes[s]))
    for out in range(t.runs.size - 2, -1, -1):
        above = load(w.adjoint, basic + out)
        for p in range(t.runs[out], t.runs[out + 1]):
            left, right = t.products[p, 0], t.products[p, 1]
            g = fill(t.factor[p]) * above
            store(w.adjoint, left, load(w.adjoint, left) + g * load(w.moments, right))
            store(w.adjoint, right, load(w.adjoint, right) + g * load(w.moments, left))
    for e in range(t.raised.shape[0]):
        for axis in range(3):
            store(w.gradients, 3 * e + axis, load(w.adjoint, t.raised[e, axis]) * fill(t.power[e, axis]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _gradients(t: Tables, w: Work, k: int) -> None:
    """Replace the unit vectors of one row of neighbours by dE_i/dD."""
    zero = fill(t.range.dtype.type(0))
    stride = 4 * ((t.n_radial + 3) // 4)
    _monomials(t, w, k)
    along = zero
    for b in range(t.basic.shape[0]):
        f = load(w.slope, k * stride + t.basic[b, 0]) * load(w.monomials, t.basic[b, 1])
        along = along + f * load(w.adjoint, b)
    vx, vy, vz = zero, zero, zero
    for e in range(t.lowered.shape[0]):
        f = load(w.radial, k * stride + t.lowered[e, 0]) * load(w.monomials, t.lowered[e, 1])
        vx = vx + f * load(w.gradients, 3 * e)
        vy = vy + f * load(w.gradients, 3 * e + 1)
        vz = vz + f * load(w.gradients, 3 * e + 2)
    x, y, z, inverse = (
        load(w.place, 4 * k),
        load(w.place, 4 * k + 1),
        load(w.place, 4 * k + 2),
        load(w.place, 4 * k + 3),
    )
    radial = along - (x * vx + y * vy + z * vz) * inverse
    store(w.place, 4 * k, vx * inverse + x * radial)
    store(w.place, 4 * k + 1, vy * inverse + y * radial)
    store(w.place, 4 * k + 2, vz * inverse + z * radial)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def site_terms(
    t: Tables, w: Work, starts: np.ndarray, second: np.ndarray, vectors: np.ndarray, species: np.ndarray,
    energies: np.ndarray, gradients: np.ndarray,
) -> None:  # fmt: skip
    """Write the energies (n,) in double and dE_i/dD_ij (pairs, 3) in the precision of the tables.

    `gradients` come in as zeros; `energies` with what is to be added to, such as the constants of the species.
    """
    n = starts.size - 1
    lanes = w.place.shape[1]
    for first in range(0, n, lanes):
        rows = gather_neighbours(t, w, first, starts, second, vectors, species)
        for k in range(rows):
            radial_functions(t, w, k)
        _moments(t, w, rows)
        here = min(lanes, n - first)
        for s in range(t.scalars.size):
            row = t.scalars[s]
            for lane in range(here):
                energies[first + lane] += t.linear[s] * np.float64(w.moments[row, lane])
        _back(t, w)
        for k in range(rows):
            _gradients(t, w, k)
            for lane in range(here):
                p = w.pair[k, lane]
                if p >= 0:
                    gradients[p, 0] = w.place[4 * k, lane]
                    gradients[p, 1] = w.place[4 * k + 1, lane]
                    gradients[p, 2] = w.place[4 * k + 2, lane]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _feature_adjoint(t: Tables, moments: np.ndarray, adjoint: np.ndarray) -> None:
    """Fill dB_s/dM (moments, scalars) of one atom."""
    basic = t.basic.shape[0]
    adjoint[:] = 0
    for s in range(t.scalars.size):
        adjoint[t.scalars[s], s] += 1
    for out in range(t.runs.size - 2, -1, -1):
        above = adjoint[basic + out]
        for p in range(t.runs[out], t.runs[out + 1]):
            left, right = t.products[p, 0], t.products[p, 1]
            for moment, other in ((left, right), (right, left)):
                g = t.factor[p] * moments[other]
                row = adjoint[moment]
                for s in range(t.scalars.size):
                    row[s] += g * above[s]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _moment_slopes(t: Tables, w: Work, k: int, lane: int, slopes: np.ndarray) -> None:
    """Fill dM/dD (3, basic) of one neighbour of one atom."""
    stride = 4 * ((t.n_radial + 3) // 4)
    _monomials(t, w, k)
    unit = w.place[4 * k : 4 * k + 3, lane]
    inverse = w.place[4 * k + 3, lane]
    for b in range(t.basic.shape[0]):
        along = w.slope[k * stride + t.basic[b, 0], lane] * w.monomials[t.basic[b, 1], lane]
        for axis in range(3):
            slopes[axis, b] = along * unit[axis]
    for e in range(t.lowered.shape[0]):
        f = w.radial[k * stride + t.lowered[e, 0], lane] * w.monomials[t.lowered[e, 1], lane] * inverse
        for axis in range(3):
            across = f * t.power[e, axis]
            b = t.raised[e, axis]
            if across != 0:
                slopes[axis, b] += across
                for other in range(3):
                    slopes[other, b] -= across * unit[axis] * unit[other]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_pair(
    i: int, j: int, skip: int, vector: np.ndarray, gradient: np.ndarray, forces: np.ndarray, virial: np.ndarray
) -> None:
    """Add dB_s/dD (3, scalars) of a pair to the forces on both atoms and to the virial (6, features)."""
    for s in range(gradient.shape[1]):
        x, y, z = gradient[0, s], gradient[1, s], gradient[2, s]
        f = skip + s
        forces[3 * i, f] += x
        forces[3 * i + 1, f] += y
        forces[3 * i + 2, f] += z
        forces[3 * j, f] -= x
        forces[3 * j + 1, f] -= y
        forces[3 * j + 2, f] -= z
        virial[0, f] += vector[0] * x
        virial[1, f] += vector[1] * y
        virial[2, f] += vector[2] * z
        virial[3, f] += 0.5 * (vector[1] * z + vector[2] * y)
        virial[4, f] += 0.5 * (vector[0] * z + vector[2] * x)
        virial[5, f] += 0.5 * (vector[0] * y + vector[1] * x)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def design_rows(
    t: Tables, w: Work, starts: np.ndarray, second: np.ndarray, vectors: np.ndarray, species: np.ndarray,
    system: np.ndarray, energy: np.ndarray, forces: np.ndarray, virial: np.ndarray,
) -> None:  # fmt: skip
    """Add to energy (systems, features), forces (3 n, features), virial (systems, 6, features), which come in as zeros.

    Features are the species, then the scalars. Tables in double precision.
    """
    n_scalars, n_species, n = t.scalars.size, t.species, starts.size - 1
    lanes = w.place.shape[1]
    adjoint = np.empty((w.moments.shape[0], n_scalars))
    slopes = np.empty((w.kind.shape[0], 3, t.basic.shape[0]))
    for first in range(0, n, lanes):
        rows = gather_neighbours(t, w, first, starts, second, vectors, species)
        for k in range(rows):
            radial_functions(t, w, k)
        _moments(t, w, rows)
        for lane in range(min(lanes, n - first)):
            i = first + lane
            energy[system[i], species[i]] += 1
            for s in range(n_scalars):
                energy[system[i], n_species + s] += w.moments[t.scalars[s], lane]
            _feature_adjoint(t, w.moments[:, lane], adjoint)
            number = w.counts[lane]
            for k in range(number):
                _moment_slopes(t, w, k, lane, slopes[k])
            flat = slopes[:number].reshape(3 * number, t.basic.shape[0])
            gradients = np.dot(flat, adjoint[: t.basic.shape[0]])
            for k in range(number):
                p = w.pair[k, lane]
                _add_pair(i, second[p], n_species, vectors[p], gradients[3 * k : 3 * k + 3], forces, virial[system[i]])
