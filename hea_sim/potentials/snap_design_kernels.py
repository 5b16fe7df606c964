"""What each coefficient of SNAP adds to energy, forces and stress, compiled: the rows of a linear fit."""

# numba's stubs give an intrinsic the arguments of its generator, not those of a call in a kernel.
# mypy: disable-error-code="call-arg, var-annotated"

from __future__ import annotations

import numba
import numpy as np

from hea_sim.potentials.lanes import fill, store
from hea_sim.potentials.snap_kernels import (
    GEOMETRY,
    LANES,
    Density,
    Neighbours,
    Scratch,
    adjoint,
    densities,
    gather,
    invariants,
    ladders,
    powers,
    pull,
)
from hea_sim.potentials.snap_tables import SnapTables


@numba.njit(cache=True)
def bispectrum_rows(
    neighbours: Neighbours,
    density: Density,
    tables: SnapTables,
    shift: np.ndarray,
    scratch: Scratch,
    rows: np.ndarray,
) -> None:
    """Set the bispectrum (n, components), less `shift`."""
    for block in range(0, rows.shape[0], LANES):
        slots = gather(block, neighbours, density, scratch)
        densities(slots, tables.matrices, scratch)
        invariants(tables, shift, scratch)
        for lane in range(min(LANES, rows.shape[0] - block)):
            for k in range(rows.shape[1]):
                rows[block + lane, k] = scratch.bispectrum[k, lane]


@numba.njit(cache=True)
def _add_energies(block: int, neighbours: Neighbours, system: np.ndarray, scratch: Scratch, energy: np.ndarray) -> None:
    """Add the features of eight atoms to `energy` (systems, elements, features): constant, B, products of two B."""
    values = scratch.bispectrum
    n = values.shape[0]
    for lane in range(min(LANES, system.size - block)):
        s, kind = system[block + lane], neighbours.kinds[block + lane]
        energy[s, kind, 0] += 1.0
        for k in range(n):
            energy[s, kind, k + 1] += values[k, lane]
        if energy.shape[2] > n + 1:
            at = n + 1
            for k in range(n):
                energy[s, kind, at] += 0.5 * values[k, lane] * values[k, lane]
                for m in range(k + 1, n):
                    energy[s, kind, at + m - k] += values[k, lane] * values[m, lane]
                at += n - k


@numba.njit(cache=True)
def _expand(lane: int, values: np.ndarray, rows: np.ndarray) -> None:
    """Fill in the slopes of the products of two B in `rows` (3, features), which holds those of B."""
    n = values.shape[0]
    for x in range(3):
        at = n + 1
        for k in range(n):
            rows[x, at] = values[k, lane] * rows[x, k + 1]
            for m in range(k + 1, n):
                rows[x, at + m - k] = values[k, lane] * rows[x, m + 1] + values[m, lane] * rows[x, k + 1]
            at += n - k


@numba.njit(cache=True)
def _add_pair(
    rows: np.ndarray, vector: np.ndarray, force: np.ndarray, counterforce: np.ndarray, virial: np.ndarray
) -> None:
    """Add the slopes of one pair (3, features) to the forces on both atoms and to the virial (6, features)."""
    x, y, z = vector[0], vector[1], vector[2]
    for f in range(1, rows.shape[1]):
        gx, gy, gz = rows[0, f], rows[1, f], rows[2, f]
        force[0, f] += gx
        force[1, f] += gy
        force[2, f] += gz
        counterforce[0, f] -= gx
        counterforce[1, f] -= gy
        counterforce[2, f] -= gz
        virial[0, f] += x * gx
        virial[1, f] += y * gy
        virial[2, f] += z * gz
        virial[3, f] += 0.5 * (y * gz + z * gy)
        virial[4, f] += 0.5 * (x * gz + z * gx)
        virial[5, f] += 0.5 * (x * gy + y * gx)


@numba.njit(cache=True)
def _ladders_of_components(tables: SnapTables, scratch: Scratch, ladder: np.ndarray) -> None:
    """Make what V is summed with for the slopes of each component (components, rows, lanes)."""
    slopes = scratch.slopes
    for k in range(slopes.shape[0]):
        store(slopes, k, fill(0.0))
    for k in range(slopes.shape[0]):
        store(slopes, k, fill(1.0))
        adjoint(tables.products.groups[k], tables.products.groups[k + 1], tables, scratch)
        store(slopes, k, fill(0.0))
        ladders(scratch.y, tables.matrices, ladder[k])


@numba.njit(cache=True)
def design_rows(
    neighbours: Neighbours,
    density: Density,
    tables: SnapTables,
    shift: np.ndarray,
    system: np.ndarray,
    scratch: Scratch,
    energy: np.ndarray,
    forces: np.ndarray,
    virial: np.ndarray,
) -> None:
    """Add all features to `energy` (systems, elements, features), `forces` (n, 3, ...), `virial` (systems, 6, ...)."""
    kinds, components = neighbours.kinds, shift.size
    ladder = np.empty((components, scratch.w.shape[0], LANES))
    rows = np.zeros((LANES, 3, energy.shape[2]))
    for block in range(0, kinds.size, LANES):
        slots = gather(block, neighbours, density, scratch)
        densities(slots, tables.matrices, scratch)
        invariants(tables, shift, scratch)
        _add_energies(block, neighbours, system, scratch, energy)
        _ladders_of_components(tables, scratch, ladder)
        for slot in range(slots):
            powers(scratch.geometry, slot * GEOMETRY, tables.matrices.rows, scratch.v)
            for k in range(components):
                pull(scratch.geometry, slot * GEOMETRY, scratch.v, ladder[k], scratch.out)
                for lane in range(LANES):
                    for x in range(3):
                        rows[lane, x, k + 1] = scratch.out[x, lane]
            for lane in range(LANES):
                p = scratch.pairs[slot, lane]
                if p >= 0:
                    i, j = block + lane, neighbours.second[p]
                    if rows.shape[2] > components + 1:
                        _expand(lane, scratch.bispectrum, rows[lane])
                    kind = kinds[i]
                    _add_pair(
                        rows[lane],
                        neighbours.vectors[p],
                        forces[i, :, kind],
                        forces[j, :, kind],
                        virial[system[i], :, kind],
                    )
