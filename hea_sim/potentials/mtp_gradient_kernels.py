"""Compiled gradients of moment tensor potentials in their coefficients, for training.

Of L = sum_i w_i E_i + sum_ij l_ij . G_ij, G_ij = dE_i/dD_ij, with weights w and l that a loss gives, the gradient in
every coefficient is found in one pass: neighbours are moved along l (a dot marks the change), then E and its change
are carried back together. `hea_sim.potentials.mtp_torch` is the twin.

| quantity | |
|---|---|
| change of distance and unit vector | r' = n . l, n' = (l - n r') / r |
| change of a moment | sum_j f'_mu r' m(n) + f_mu m', m' that of the monomial |
| dL/dM, dL/dM' | `adjoint`, `turned` |
| dL/dc[mu, k] | sum_j Q_k sum_b (adjoint m + turned m') + Q'_k r' sum_b turned m |
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from hea_sim.potentials.lanes import collect_quad, fill, fill_quad, load, load_quad, store, store_quad
from hea_sim.potentials.mtp_kernels import Tables, Work, gather_neighbours, radial_functions


class TrainingWork(NamedTuple):
    """Hold what training needs beyond `Work`; every array has as many columns as a vector has lanes.

    `kept` (2 basis neighbours) Q and Q' of each neighbour; `way` (4 neighbours) n' and r'; `changes` (moments);
    `turned` (moments); `monomials` (monomials) the changes of monomials; `pulls` (8 quads) dL/df and dL/df'.
    """

    kept: np.ndarray
    way: np.ndarray
    changes: np.ndarray
    turned: np.ndarray
    monomials: np.ndarray
    pulls: np.ndarray


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _ways(w: Work, v: TrainingWork, rows: int, pair_weights: np.ndarray) -> None:
    """Lay out the changes of unit vectors and distances."""
    for k in range(rows):
        for lane in range(w.place.shape[1]):
            p = w.pair[k, lane]
            for axis in range(3):
                v.way[4 * k + axis, lane] = pair_weights[p, axis] if p >= 0 else 0.0
        x, y, z = load(w.place, 4 * k), load(w.place, 4 * k + 1), load(w.place, 4 * k + 2)
        a, b, c = load(v.way, 4 * k), load(v.way, 4 * k + 1), load(v.way, 4 * k + 2)
        inverse = load(w.place, 4 * k + 3)
        along = x * a + y * b + z * c
        store(v.way, 4 * k, (a - x * along) * inverse)
        store(v.way, 4 * k + 1, (b - y * along) * inverse)
        store(v.way, 4 * k + 2, (c - z * along) * inverse)
        store(v.way, 4 * k + 3, along)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _monomials_and_changes(t: Tables, w: Work, v: TrainingWork, k: int) -> None:
    one = t.range.dtype.type(1)
    store(w.monomials, 0, fill(one))
    store(v.monomials, 0, fill(one - one))
    for m in range(1, t.monomials.shape[0]):
        parent, axis = t.monomials[m, 0], t.monomials[m, 1]
        lower, x = load(w.monomials, parent), load(w.place, 4 * k + axis)
        store(w.monomials, m, lower * x)
        store(v.monomials, m, load(v.monomials, parent) * x + lower * load(v.way, 4 * k + axis))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _moments_and_changes(t: Tables, w: Work, v: TrainingWork, rows: int) -> None:
    """Sum the basic moments and their changes, and multiply them up to the scalars."""
    zero = fill(t.range.dtype.type(0))
    basic = t.basic.shape[0]
    stride = 4 * ((t.n_radial + 3) // 4)
    for b in range(basic):
        store(w.moments, b, zero)
        store(v.changes, b, zero)
    for k in range(rows):
        _monomials_and_changes(t, w, v, k)
        along = load(v.way, 4 * k + 3)
        for b in range(basic):
            mu, m = t.basic[b, 0], t.basic[b, 1]
            f, change = load(w.radial, k * stride + mu), load(w.slope, k * stride + mu) * along
            monomial = load(w.monomials, m)
            store(w.moments, b, load(w.moments, b) + f * monomial)
            store(v.changes, b, load(v.changes, b) + change * monomial + f * load(v.monomials, m))
    for out in range(t.runs.size - 1):
        total, change = zero, zero
        for p in range(t.runs[out], t.runs[out + 1]):
            left, right, factor = t.products[p, 0], t.products[p, 1], fill(t.factor[p])
            a, b = factor * load(w.moments, left), load(w.moments, right)
            total = total + a * b
            change = change + a * load(v.changes, right) + factor * load(v.changes, left) * b
        store(w.moments, basic + out, total)
        store(v.changes, basic + out, change)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _back_both(t: Tables, w: Work, v: TrainingWork, weights: np.ndarray) -> None:
    """Carry dL/dB and dL/dB' back to the basic moments; `weights` (1, lanes) are those of the energies."""
    zero = fill(t.range.dtype.type(0))
    basic = t.basic.shape[0]
    for m in range(w.adjoint.shape[0]):
        store(w.adjoint, m, zero)
        store(v.turned, m, zero)
    for s in range(t.scalars.size):
        row, linear = t.scalars[s], fill(t.linear_lanes[s])
        store(w.adjoint, row, load(w.adjoint, row) + linear * load(weights, 0))
        store(v.turned, row, load(v.turned, row) + linear)
    for out in range(t.runs.size - 2, -1, -1):
        above, above_turned = load(w.adjoint, basic + out), load(v.turned, basic + out)
        for p in range(t.runs[out], t.runs[out + 1]):
            left, right, factor = t.products[p, 0], t.products[p, 1], fill(t.factor[p])
            g, h = factor * above, factor * above_turned
            a, b = load(w.moments, left), load(w.moments, right)
            da, db = load(v.changes, left), load(v.changes, right)
            store(v.turned, left, load(v.turned, left) + h * b)
            store(v.turned, right, load(v.turned, right) + h * a)
            store(w.adjoint, left, load(w.adjoint, left) + g * b + h * db)
            store(w.adjoint, right, load(w.adjoint, right) + g * a + h * da)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _radial_gradient(t: Tables, w: Work, v: TrainingWork, k: int, gradient: np.ndarray) -> None:
    """Add the share of one row of neighbours to dL/dc, laid out as `Tables.coefficients`."""
    zero = fill(t.range.dtype.type(0))
    quads = (t.n_radial + 3) // 4
    _monomials_and_changes(t, w, v, k)
    for row in range(8 * quads):
        store(v.pulls, row, zero)
    for b in range(t.basic.shape[0]):
        mu, m = t.basic[b, 0], t.basic[b, 1]
        monomial, turned = load(w.monomials, m), load(v.turned, b)
        pull = load(w.adjoint, b) * monomial + turned * load(v.monomials, m)
        store(v.pulls, mu, load(v.pulls, mu) + pull)
        store(v.pulls, 4 * quads + mu, load(v.pulls, 4 * quads + mu) + turned * monomial)
    along = load(v.way, 4 * k + 3)
    for mu in range(4 * quads, 8 * quads):
        store(v.pulls, mu, load(v.pulls, mu) * along)
    for lane in range(w.place.shape[1]):
        if w.pair[k, lane] < 0:
            continue
        row = w.kind[k, lane] * t.n_chebyshev * quads
        for q in range(quads):
            pull, turned = collect_quad(v.pulls, 4 * q, lane), collect_quad(v.pulls, 4 * (quads + q), lane)
            for m in range(t.n_chebyshev):
                value = fill_quad(v.kept[2 * (k * t.n_chebyshev + m), lane])
                slope = fill_quad(v.kept[2 * (k * t.n_chebyshev + m) + 1, lane])
                place = row + m * quads + q
                store_quad(gradient, place, load_quad(gradient, place) + pull * value + turned * slope)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def coefficient_gradient(
    t: Tables, w: Work, v: TrainingWork, starts: np.ndarray, second: np.ndarray, vectors: np.ndarray,
    species: np.ndarray, site_weights: np.ndarray, pair_weights: np.ndarray, radial: np.ndarray, linear: np.ndarray,
) -> None:  # fmt: skip
    """Add dL/dc to `radial`, laid out as `Tables.coefficients`, and dL/dxi to `linear` (scalars,)."""
    n = starts.size - 1
    lanes = w.place.shape[1]
    weights = np.zeros((1, lanes), w.place.dtype)
    for first in range(0, n, lanes):
        rows = gather_neighbours(t, w, first, starts, second, vectors, species)
        here = min(lanes, n - first)
        for k in range(rows):
            radial_functions(t, w, k)
            v.kept[2 * k * t.n_chebyshev : 2 * (k + 1) * t.n_chebyshev] = w.basis
        _ways(w, v, rows, pair_weights)
        _moments_and_changes(t, w, v, rows)
        weights[0, :here] = site_weights[first : first + here]
        for s in range(t.scalars.size):
            row = t.scalars[s]
            for lane in range(here):
                linear[s] += np.float64(weights[0, lane] * w.moments[row, lane] + v.changes[row, lane])
        _back_both(t, w, v, weights)
        for k in range(rows):
            _radial_gradient(t, w, v, k, radial)
