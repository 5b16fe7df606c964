"""Compiled: what a change of a few species does to the energy of a SNAP.

The density of every atom, sum_n w_n fc_n V_n over its neighbours, is kept. A neighbour that changes its species changes
it by two terms (its weight and its radius are others); only a changed atom itself, whose radius enters all its cutoffs,
sums all its neighbours anew. The bispectrum then gives the new site energies, eight atoms at once as in `snap_kernels`,
without a derivative. After a list of trials the densities that were changed are summed anew: what is kept then hangs on
the present species alone, and errors of rounding do not gather.
"""

# numba's stubs give an intrinsic the arguments of its generator, not those of a call in a kernel.
# mypy: disable-error-code="call-arg, var-annotated"

from __future__ import annotations

from math import cos, pi, sin, sqrt
from typing import NamedTuple

import numba
import numpy as np

from hea_sim.potentials.lanes import fill, load, store
from hea_sim.potentials.mtp_local_kernels import Places, find_centres
from hea_sim.potentials.snap_kernels import LANES, Density, Scratch, invariants, powers, unfold
from hea_sim.potentials.snap_tables import SnapTables


class Energy(NamedTuple):
    """Hold what turns densities into energies: tables, `shift` (k,), `beta` (elements, 1 + k), `alpha` as it comes."""

    tables: SnapTables
    shift: np.ndarray
    beta: np.ndarray
    alpha: np.ndarray


class KeptDensities(NamedTuple):
    """Hold what is known of all atoms: `kinds` (n,), `densities` (n, 2 h), `energies` (n,), `constants` (elements,)."""

    kinds: np.ndarray
    densities: np.ndarray
    energies: np.ndarray
    constants: np.ndarray


class SnapWork(NamedTuple):
    """Hold the memory of eight atoms (`scratch`) and of one trial, as `mtp_local_kernels.LocalWork` does.

    `fresh` (2, 2 h) are the densities of the changed atoms themselves.
    """

    scratch: Scratch
    centres: np.ndarray
    energies: np.ndarray
    counts: np.ndarray
    pairs: np.ndarray
    change: np.ndarray
    fresh: np.ndarray
    mark: np.ndarray
    stale: np.ndarray


@numba.njit(cache=True)
def _nobody(scratch: Scratch) -> None:
    """Let no lane have a neighbour."""
    for g in range(5):
        store(scratch.geometry, g, fill(0.0))


@numba.njit(cache=True)
def _somebody(
    d: Density, scratch: Scratch, lane: int, vector: np.ndarray, turned: float, mine: int, theirs: int,
    times: float,
) -> None:  # fmt: skip
    """Give a lane a neighbour at `turned` times a vector, whose weight counts `times`, 1 or -1."""
    x, y, z = turned * vector[0], turned * vector[1], turned * vector[2]
    cutoff = d.rcutfac * (d.radii[mine] + d.radii[theirs])
    square = x * x + y * y + z * z
    if square >= cutoff * cutoff:
        return
    r = sqrt(square)
    slope = d.rfac0 * pi / (cutoff - d.rmin0)
    s, c = sin(slope * (r - d.rmin0)), cos(slope * (r - d.rmin0))
    if s < 0.0:  # as `snap_kernels.gather` has it
        s, c = -s, -c
    fc = 1.0
    if d.switched and r > d.rmin0:
        fc = 0.5 * (cos(pi / (cutoff - d.rmin0) * (r - d.rmin0)) + 1.0)
    g = scratch.geometry
    g[0, lane], g[1, lane] = c, -s * z / r
    g[2, lane], g[3, lane] = -s * y / r, s * x / r
    g[4, lane] = times * d.weights[theirs] * fc


@numba.njit(cache=True)
def _add(e: Energy, scratch: Scratch) -> None:
    """Add what one neighbour of each atom brings to the densities in `y`."""
    powers(scratch.geometry, 0, e.tables.matrices.rows, scratch.v)
    w = load(scratch.geometry, 4)
    for h in range(scratch.v.shape[0]):
        store(scratch.y, h, load(scratch.y, h) + w * load(scratch.v, h))


@numba.njit(cache=True)
def _empty(scratch: Scratch) -> None:
    for h in range(scratch.y.shape[0]):
        store(scratch.y, h, fill(0.0))


@numba.njit(cache=True)
def _sum_many(
    e: Energy, d: Density, w: SnapWork, places: Places, kinds: np.ndarray, first: int, last: int
) -> None:  # fmt: skip
    """Sum the densities of the centres `first` to `last`, a vector holding one neighbour of each."""
    _empty(w.scratch)
    rows = 0
    for s in range(first, last):
        c = w.centres[s]
        rows = max(rows, places.starts[c + 1] - places.starts[c])
    for k in range(rows):
        _nobody(w.scratch)
        for s in range(first, last):
            c = w.centres[s]
            p = places.starts[c] + k
            if p < places.starts[c + 1]:
                _somebody(d, w.scratch, s - first, places.vectors[p], 1.0, kinds[c], kinds[places.second[p]], 1.0)
        _add(e, w.scratch)


@numba.njit(cache=True)
def _sum_one(
    e: Energy, d: Density, w: SnapWork, places: Places, kinds: np.ndarray, c: int, out: np.ndarray
) -> None:  # fmt: skip
    """Sum the density (2 h,) of one atom, a vector holding several of its neighbours."""
    _empty(w.scratch)
    for start in range(places.starts[c], places.starts[c + 1], LANES):
        _nobody(w.scratch)
        for lane in range(min(LANES, places.starts[c + 1] - start)):
            p = start + lane
            _somebody(d, w.scratch, lane, places.vectors[p], 1.0, kinds[c], kinds[places.second[p]], 1.0)
        _add(e, w.scratch)
    y = w.scratch.y
    for h in range(y.shape[0]):
        total = y[h, 0]
        for lane in range(1, LANES):
            total += y[h, lane]
        out[h] = total


@numba.njit(cache=True)
def _changed(
    e: Energy, d: Density, w: SnapWork, places: Places, kept: KeptDensities, first: int, last: int,
    new: np.ndarray, old: np.ndarray,
) -> None:  # fmt: skip
    """Take the known densities of centres, and change the terms of neighbours that went from `old` to `new`."""
    y = w.scratch.y
    rows = 0
    for s in range(first, first + LANES):
        if s < last:
            rows = max(rows, w.counts[s])
            known = w.fresh[s] if s < new.size else kept.densities[w.centres[s]]
            for h in range(y.shape[0]):
                y[h, s - first] = known[h]
        else:
            for h in range(y.shape[0]):
                y[h, s - first] = 0.0
    for k in range(rows):
        for times in (-1.0, 1.0):
            _nobody(w.scratch)
            for s in range(first, last):
                if k < w.counts[s]:
                    p, a = w.pairs[s, k], w.change[s, k]  # the pair leads from the changed atom to the centre
                    theirs = new[a] if times > 0 else old[a]
                    mine = kept.kinds[w.centres[s]]
                    _somebody(d, w.scratch, s - first, places.vectors[p], -1.0, mine, theirs, times)
            _add(e, w.scratch)


@numba.njit(cache=True)
def _site_energies(e: Energy, w: SnapWork, kept: KeptDensities, first: int, last: int) -> None:
    """Turn the densities in `y` into the energies of the centres `first` to `last`."""
    unfold(e.tables.matrices, w.scratch)
    invariants(e.tables, e.shift, w.scratch)
    bispectrum = w.scratch.bispectrum
    for s in range(first, last):
        kind, lane = kept.kinds[w.centres[s]], s - first
        total = e.beta[kind, 0] + kept.constants[kind]
        for k in range(bispectrum.shape[0]):
            slope = e.beta[kind, k + 1]
            if e.alpha.size:
                for m in range(bispectrum.shape[0]):
                    slope += 0.5 * e.alpha[kind, k, m] * bispectrum[m, lane]
            total += slope * bispectrum[k, lane]
        w.energies[s] = total


@numba.njit(cache=True)
def _keep(e: Energy, d: Density, w: SnapWork, places: Places, kept: KeptDensities, number: int) -> None:
    """Sum the densities of the first centres anew, up to eight, and keep them."""
    _sum_many(e, d, w, places, kept.kinds, 0, number)
    for s in range(number):
        kept.densities[w.centres[s]] = w.scratch.y[:, s]


@numba.njit(cache=True)
def fill_kept(e: Energy, d: Density, w: SnapWork, places: Places, kept: KeptDensities) -> None:
    """Compute the densities and energies of all atoms."""
    n = kept.kinds.size
    for start in range(0, n, LANES):
        number = min(LANES, n - start)
        for lane in range(number):
            w.centres[lane] = start + lane
        _keep(e, d, w, places, kept, number)
        _site_energies(e, w, kept, 0, number)
        for lane in range(number):
            kept.energies[start + lane] = w.energies[lane]


@numba.njit(cache=True)
def _new_energies(
    e: Energy, d: Density, w: SnapWork, places: Places, kept: KeptDensities, atoms: np.ndarray, new: np.ndarray,
    old: np.ndarray,
) -> int:  # fmt: skip
    """Compute the energies of all centres with the changed atoms (which already hold their new kinds)."""
    number = find_centres(w, places, atoms)
    for a in range(atoms.size):
        _sum_one(e, d, w, places, kept.kinds, atoms[a], w.fresh[a])
    for first in range(0, number, LANES):
        last = min(first + LANES, number)
        _changed(e, d, w, places, kept, first, last, new, old)
        _site_energies(e, w, kept, first, last)
    return number


@numba.njit(cache=True)
def _accept(
    e: Energy, d: Density, w: SnapWork, places: Places, kept: KeptDensities, number: int, new: np.ndarray,
    old: np.ndarray,
) -> None:  # fmt: skip
    """Keep the energies of the trial, and its densities as changed term by term."""
    for first in range(0, number, LANES):
        last = min(first + LANES, number)
        _changed(e, d, w, places, kept, first, last, new, old)
        for s in range(first, last):
            c = w.centres[s]
            kept.energies[c] = w.energies[s]
            kept.densities[c] = w.scratch.y[:, s - first]
            w.stale[c] = True


@numba.njit(cache=True)
def _sum_stale(e: Energy, d: Density, w: SnapWork, places: Places, kept: KeptDensities) -> None:
    """Sum the densities of all stale atoms anew."""
    number = 0
    for c in range(w.stale.size):
        if w.stale[c]:
            w.stale[c] = False
            w.centres[number] = c
            number += 1
            if number == LANES:
                _keep(e, d, w, places, kept, number)
                number = 0
    _keep(e, d, w, places, kept, number)


@numba.njit(cache=True)
def walk(
    e: Energy, d: Density, w: SnapWork, places: Places, kept: KeptDensities, atoms: np.ndarray, kinds: np.ndarray,
    allowance: np.ndarray, potential: np.ndarray, accepted: np.ndarray, change: np.ndarray,
) -> int:  # fmt: skip
    """Do trials one after another, see `mtp_local_kernels.walk`; give the number of those that changed something."""
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
        number = _new_energies(e, d, w, places, kept, atoms[trial], new, old)
        total = 0.0
        for s in range(number):
            total += w.energies[s] - kept.energies[w.centres[s]]
        change[trial] = total
        if total - bought <= allowance[trial]:
            accepted[trial] = True
            _accept(e, d, w, places, kept, number, new, old)
        else:
            for a in range(m):
                kept.kinds[atoms[trial, a]] = old[a]
    _sum_stale(e, d, w, places, kept)
    return trials
