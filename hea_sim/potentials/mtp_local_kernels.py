"""Compiled: what a change of a few species does to the energy of a moment tensor potential.

The basic moments of every atom are kept. A neighbour of an atom that changes its species from z to z' has its moments
changed by one term, (f_mu(r, z_c, z') - f_mu(r, z_c, z)) n^(x)nu; only a changed atom itself sums all its neighbours
anew. The tree of products then gives the new site energies, one vector holding one quantity of eight or sixteen atoms
as in `mtp_kernels`. After a list of trials the moments that were changed are summed anew: what is kept then hangs on
the present species alone, not on the way there, and errors of rounding do not gather.

| step, for a block of atoms | where |
|---|---|
| one neighbour of each: Q_k, f_mu (or its change), monomials, added to the basic moments | `_add_neighbours` |
| basic moments from all neighbours | `_sum_moments`, `_sum_one` |
| basic moments from the kept ones and the changed neighbours | `_change_moments` |
| products up to the scalars, and the energy | `_site_energies` |
| all atoms near the changed ones, block by block | `_new_energies` |
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from hea_sim.potentials.lanes import VECTOR_BYTES, fill, fill_quad, load, load_quad, root, spread_quad, store
from hea_sim.potentials.mtp_kernels import Tables

#: Lanes of a vector in double precision; in single, energies are summed in double one by one.
_DOUBLES = VECTOR_BYTES // 8


class Places(NamedTuple):
    """Hold the neighbours within the cutoff: `starts` (n + 1,), `second` and `vectors` of the pairs."""

    starts: np.ndarray
    second: np.ndarray
    vectors: np.ndarray


class Kept(NamedTuple):
    """Hold what is known of all atoms.

    `kinds` (n,); `moments` (n, basic) in the precision of the tables; `energies` (n,); `constants` (species,) are added
    to the energy of each atom.
    """

    kinds: np.ndarray
    moments: np.ndarray
    energies: np.ndarray
    constants: np.ndarray


class LocalWork(NamedTuple):
    """Hold the memory of one block of atoms, and of one trial.

    Of a block, as many columns as a vector has lanes: `place` (4) x, y, z, r^2 of a neighbour, `basis` (basis) Q,
    `radial` (4 quads), `monomials`, `moments`; `new` and `old` (lanes,) the pairs of species, -1 for none; `energy`
    (lanes,) in double, `total` (1). Of a trial: its `centres`, with `energies`; of each centre the `counts` of changed
    neighbours, `pairs` and `change` (centres, most) which pair of which changed atom; `fresh` (2, basic) moments of the
    changed atoms themselves; `mark` (n,) the number of a centre, -1. Of a walk: `stale` (n,), atoms whose moments have
    been changed term by term.
    """

    place: np.ndarray
    basis: np.ndarray
    radial: np.ndarray
    monomials: np.ndarray
    moments: np.ndarray
    new: np.ndarray
    old: np.ndarray
    energy: np.ndarray
    total: np.ndarray
    centres: np.ndarray
    energies: np.ndarray
    counts: np.ndarray
    pairs: np.ndarray
    change: np.ndarray
    fresh: np.ndarray
    mark: np.ndarray
    stale: np.ndarray


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _nowhere(t: Tables, w: LocalWork, lane: int) -> None:
    """Let a lane have no neighbour."""
    w.place[0, lane], w.place[1, lane], w.place[2, lane] = t.range[0], 0, 0
    w.place[3, lane] = t.range[0] * t.range[0]
    w.new[lane] = w.old[lane] = -1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _somewhere(w: LocalWork, lane: int, x: float, y: float, z: float, new: int, old: int) -> None:
    """Give a lane a neighbour of a pair of species, which had been another one, or none (-1)."""
    w.place[0, lane], w.place[1, lane], w.place[2, lane] = x, y, z
    w.place[3, lane] = x * x + y * y + z * z
    w.new[lane], w.old[lane] = new, old


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_neighbours(t: Tables, w: LocalWork) -> None:
    """Add to the basic moments what one neighbour of each atom brings."""
    one = t.range.dtype.type(1)
    cutoff, scaling, least = fill(t.range[0]), fill(t.range[1]), fill(t.range[2])
    r = root(load(w.place, 3))
    inverse = fill(one) / r
    for axis in range(3):
        store(w.place, axis, load(w.place, axis) * inverse)
    u = (r - least) * (fill(one + one) / (cutoff - least)) - fill(one)
    before = scaling * (cutoff - r) * (cutoff - r)
    now = u * before
    store(w.basis, 0, before)
    twice = u + u
    for m in range(1, t.n_chebyshev):
        store(w.basis, m, now)
        before, now = now, twice * now - before
    quads = (t.n_radial + 3) // 4
    for lane in range(w.place.shape[1]):
        new, old = w.new[lane] * t.n_chebyshev * quads, w.old[lane] * t.n_chebyshev * quads
        for q in range(quads):
            value = fill_quad(t.range.dtype.type(0))
            if w.old[lane] >= 0:
                for m in range(t.n_chebyshev):
                    c = load_quad(t.coefficients, new + m * quads + q) - load_quad(t.coefficients, old + m * quads + q)
                    value = value + c * fill_quad(w.basis[m, lane])
            elif w.new[lane] >= 0:
                for m in range(t.n_chebyshev):
                    c = load_quad(t.coefficients, new + m * quads + q)
                    value = value + c * fill_quad(w.basis[m, lane])
            spread_quad(w.radial, 4 * q, lane, value)
    store(w.monomials, 0, fill(one))
    for m in range(1, t.monomials.shape[0]):
        store(w.monomials, m, load(w.monomials, t.monomials[m, 0]) * load(w.place, t.monomials[m, 1]))
    for b in range(t.basic.shape[0]):
        f = load(w.radial, t.basic[b, 0]) * load(w.monomials, t.basic[b, 1])
        store(w.moments, b, load(w.moments, b) + f)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _sum_moments(t: Tables, w: LocalWork, places: Places, kinds: np.ndarray, first: int, last: int) -> None:
    """Sum the basic moments of the centres `first` to `last` over all their neighbours."""
    zero = fill(t.range.dtype.type(0))
    for b in range(t.basic.shape[0]):
        store(w.moments, b, zero)
    rows = 0
    for s in range(first, last):
        c = w.centres[s]
        rows = max(rows, places.starts[c + 1] - places.starts[c])
    for k in range(rows):
        for lane in range(w.place.shape[1]):
            _nowhere(t, w, lane)
            if first + lane < last:
                c = w.centres[first + lane]
                p = places.starts[c] + k
                if p < places.starts[c + 1]:
                    pair = kinds[c] * t.species + kinds[places.second[p]]
                    d = places.vectors[p]
                    _somewhere(w, lane, d[0], d[1], d[2], pair, -1)
        _add_neighbours(t, w)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _sum_one(t: Tables, w: LocalWork, places: Places, kinds: np.ndarray, c: int, out: np.ndarray) -> None:
    """Sum the basic moments (basic,) of one atom, a vector holding several of its neighbours."""
    zero = fill(t.range.dtype.type(0))
    for b in range(t.basic.shape[0]):
        store(w.moments, b, zero)
    lanes = w.place.shape[1]
    for start in range(places.starts[c], places.starts[c + 1], lanes):
        for lane in range(lanes):
            _nowhere(t, w, lane)
            p = start + lane
            if p < places.starts[c + 1]:
                d = places.vectors[p]
                _somewhere(w, lane, d[0], d[1], d[2], kinds[c] * t.species + kinds[places.second[p]], -1)
        _add_neighbours(t, w)
    for b in range(t.basic.shape[0]):
        total = w.moments[b, 0]
        for lane in range(1, lanes):
            total += w.moments[b, lane]
        out[b] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _change_moments(
    t: Tables, w: LocalWork, places: Places, kept: Kept, first: int, last: int, new: np.ndarray, old: np.ndarray
) -> None:
    """Take the known moments of centres, and change those terms whose neighbours have changed from `old` to `new`."""
    zero = fill(t.range.dtype.type(0))
    basic = t.basic.shape[0]
    if last - first < w.place.shape[1]:
        for b in range(basic):
            store(w.moments, b, zero)
    rows = 0
    for s in range(first, last):
        rows = max(rows, w.counts[s])
        known = w.fresh[s] if s < new.size else kept.moments[w.centres[s]]
        for b in range(basic):
            w.moments[b, s - first] = known[b]
    for k in range(rows):
        for lane in range(w.place.shape[1]):
            _nowhere(t, w, lane)
            s = first + lane
            if s < last and k < w.counts[s]:
                p, a = w.pairs[s, k], w.change[s, k]
                kind = kept.kinds[w.centres[s]] * t.species
                d = places.vectors[p]  # from the changed atom to the centre
                _somewhere(w, lane, -d[0], -d[1], -d[2], kind + new[a], kind + old[a])
        _add_neighbours(t, w)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _site_energies(t: Tables, w: LocalWork) -> None:
    """Multiply the basic moments of a block up to the scalars, and sum its energies."""
    zero = fill(t.range.dtype.type(0))
    basic = t.basic.shape[0]
    for out in range(t.runs.size - 1):
        # Two sums, so that one product does not wait for the other.
        even, odd = zero, zero
        first, last = t.runs[out], t.runs[out + 1]
        for p in range(first, last - 1, 2):
            even = even + fill(t.factor[p]) * (load(w.moments, t.products[p, 0]) * load(w.moments, t.products[p, 1]))
            odd = odd + fill(t.factor[p + 1]) * (
                load(w.moments, t.products[p + 1, 0]) * load(w.moments, t.products[p + 1, 1])
            )
        if (last - first) % 2:
            p = last - 1
            even = even + fill(t.factor[p]) * (load(w.moments, t.products[p, 0]) * load(w.moments, t.products[p, 1]))
        store(w.moments, basic + out, even + odd)
    if w.energy.size == _DOUBLES:
        total = zero
        for s in range(t.scalars.size):
            total = total + fill(t.linear_lanes[s]) * load(w.moments, t.scalars[s])
        store(w.total, 0, total)
        w.energy[:] = w.total[0]
        return
    w.energy[:] = 0
    for s in range(t.scalars.size):
        row = t.scalars[s]
        for lane in range(w.energy.size):
            w.energy[lane] += t.linear[s] * np.float64(w.moments[row, lane])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _take_energies(w: LocalWork, kept: Kept, first: int, last: int) -> None:
    for s in range(first, last):
        w.energies[s] = w.energy[s - first] + kept.constants[kept.kinds[w.centres[s]]]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _keep_moments(t: Tables, w: LocalWork, places: Places, kept: Kept, number: int) -> None:
    """Sum the moments of all centres anew, and keep them."""
    lanes = w.place.shape[1]
    for first in range(0, number, lanes):
        last = min(first + lanes, number)
        _sum_moments(t, w, places, kept.kinds, first, last)
        for s in range(first, last):
            known = kept.moments[w.centres[s]]
            for b in range(t.basic.shape[0]):
                known[b] = w.moments[b, s - first]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def fill_kept(t: Tables, w: LocalWork, places: Places, kept: Kept) -> None:
    """Compute the moments and energies of all atoms."""
    lanes = w.place.shape[1]
    n = kept.kinds.size
    for start in range(0, n, lanes):
        number = min(lanes, n - start)
        for lane in range(number):
            w.centres[lane] = start + lane
        _keep_moments(t, w, places, kept, number)
        _site_energies(t, w)
        _take_energies(w, kept, 0, number)
        for lane in range(number):
            kept.energies[start + lane] = w.energies[lane]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def find_centres(w: Any, places: Places, atoms: np.ndarray) -> int:
    """List the changed atoms and then their other neighbours, with what changes for these; give their number."""
    number = atoms.size
    for a in range(number):
        w.centres[a], w.counts[a] = atoms[a], 0
        w.mark[atoms[a]] = a
    for a in range(atoms.size):
        for p in range(places.starts[atoms[a]], places.starts[atoms[a] + 1]):
            c = places.second[p]
            s = w.mark[c]
            if s < 0:
                s = w.mark[c] = number
                w.centres[s], w.counts[s] = c, 0
                number += 1
            if s >= atoms.size:
                w.pairs[s, w.counts[s]], w.change[s, w.counts[s]] = p, a
                w.counts[s] += 1
    for s in range(number):
        w.mark[w.centres[s]] = -1
    return number


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _new_energies(
    t: Tables, w: LocalWork, places: Places, kept: Kept, atoms: np.ndarray, new: np.ndarray, old: np.ndarray
) -> int:
    """Compute the energies of all centres with the changed atoms (which already hold their new kinds)."""
    number = find_centres(w, places, atoms)
    lanes = w.place.shape[1]
    for a in range(atoms.size):
        _sum_one(t, w, places, kept.kinds, atoms[a], w.fresh[a])
    for first in range(0, number, lanes):
        last = min(first + lanes, number)
        _change_moments(t, w, places, kept, first, last, new, old)
        _site_energies(t, w)
        _take_energies(w, kept, first, last)
    return number


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _accept(t: Tables, w: LocalWork, places: Places, kept: Kept, number: int, new: np.ndarray, old: np.ndarray) -> None:
    """Keep the energies of the trial, and its moments as changed term by term."""
    lanes = w.place.shape[1]
    for first in range(0, number, lanes):
        last = min(first + lanes, number)
        _change_moments(t, w, places, kept, first, last, new, old)
        for s in range(first, last):
            c = w.centres[s]
            kept.energies[c] = w.energies[s]
            w.stale[c] = True
            for b in range(t.basic.shape[0]):
                kept.moments[c, b] = w.moments[b, s - first]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _sum_stale(t: Tables, w: LocalWork, places: Places, kept: Kept) -> None:
    """Sum the moments of all stale atoms anew."""
    lanes, number = w.place.shape[1], 0
    for c in range(w.stale.size):
        if w.stale[c]:
            w.stale[c] = False
            w.centres[number] = c
            number += 1
            if number == lanes:
                _keep_moments(t, w, places, kept, number)
                number = 0
    _keep_moments(t, w, places, kept, number)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def walk(
    t: Tables, w: LocalWork, places: Places, kept: Kept, atoms: np.ndarray, kinds: np.ndarray, allowance: np.ndarray,
    potential: np.ndarray, accepted: np.ndarray, change: np.ndarray,
) -> int:  # fmt: skip
    """Do trials one after another; give the number of those that changed something.

    `atoms` (t, m) exchange their kinds where `kinds` (t, 0) is empty, else they take the kinds (t, m). A trial is
    accepted where its change less that of the chemical potentials (species,) is at most its allowance (t,); `accepted`
    and `change` (t,) come in as zeros.
    """
    m = atoms.shape[1]
    old, new = np.empty(m, np.int64), np.empty(m, np.int64)
    trials = 0
    for trial in range(atoms.shape[0]):
        unlike = False
        for a in range(m):
            old[a] = kept.kinds[atoms[trial, a]]
            new[a] = kinds[trial, a] if kinds.shape[1] else kept.kinds[atoms[trial, m - 1 - a]]
            unlike |= new[a] != old[a]
        if not unlike:
            continue
        trials += 1
        bought = 0.0
        for a in range(m):
            kept.kinds[atoms[trial, a]] = new[a]
            bought += potential[new[a]] - potential[old[a]]
        number = _new_energies(t, w, places, kept, atoms[trial], new, old)
        total = 0.0
        for s in range(number):
            total += w.energies[s] - kept.energies[w.centres[s]]
        change[trial] = total
        if total - bought <= allowance[trial]:
            accepted[trial] = True
            _accept(t, w, places, kept, number, new, old)
        else:
            for a in range(m):
                kept.kinds[atoms[trial, a]] = old[a]
    _sum_stale(t, w, places, kept)
    return trials
