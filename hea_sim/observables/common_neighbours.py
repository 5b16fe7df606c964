"""Structure type of every atom by adaptive common neighbour analysis: fcc, hcp, bcc, icosahedral or other.

| signature of a bond: common neighbours, bonds among them, longest chain | |
|---|---|
| fcc: 12 x (4 2 1); hcp: 6 x (4 2 1) and 6 x (4 2 2); icosahedral: 12 x (5 5 5) | of 12 neighbours |
| bcc: 8 x (6 6 6) and 6 x (4 4 4) | of 14 neighbours |

(Honeycutt and Andersen 1987, doi:10.1021/j100303a014.) Which neighbours are bonded follows from the distances of each
atom's own neighbours (Stukowski 2012, doi:10.1088/0965-0393/20/4/045021), so that no cutoff is asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hea_sim.errors import InputError

NAMES = ("other", "fcc", "hcp", "bcc", "icosahedral")
OTHER, FCC, HCP, BCC, ICOSAHEDRAL = range(5)
#: Between the first and the second shell of fcc: (1 + sqrt 2) / 2 times the mean distance of 12 neighbours.
_FCC_REACH = (1 + np.sqrt(2)) / 2
#: Between the second and the third shell of bcc, in lattice parameters.
_BCC_REACH = (1 + np.sqrt(2)) / 2
_PART = 4096


def structure_types(atoms: Any) -> np.ndarray:
    """Classify every atom of a periodic cell; give indices into `NAMES`.

    >>> from ase.build import bulk
    >>> [NAMES[k] for k in structure_types(bulk("W", cubic=True).repeat(4))[:2]]
    ['bcc', 'bcc']
    """
    vectors = _nearest(atoms, 14)
    found = np.full(len(atoms), OTHER)
    for begin in range(0, len(atoms), _PART):
        part = vectors[begin : begin + _PART]
        distance = np.linalg.norm(part, axis=2)
        kinds = _close_packed(part[:, :12], distance[:, :12])
        left = np.flatnonzero(kinds == OTHER)
        kinds[left[_is_bcc(part[left], distance[left])]] = BCC
        found[begin : begin + _PART] = kinds
    return found


def structure_fractions(atoms: Any) -> dict[str, float]:
    """Give the fraction of atoms of each structure type."""
    counts = np.bincount(structure_types(atoms), minlength=len(NAMES))
    return {name: float(n / len(atoms)) for name, n in zip(NAMES, counts, strict=True)}


def _nearest(atoms: Any, number: int) -> np.ndarray:
    """Give the vectors (atoms, number, 3) to the nearest neighbours, near ones first."""
    from hea_sim.potentials.environment import find_neighbours

    if not atoms.pbc.all():
        raise InputError("structure types: wanted a cell that is periodic in all directions")
    reach = 2.0 * (atoms.get_volume() / len(atoms)) ** (1 / 3)
    for _ in range(6):
        found = find_neighbours([atoms], reach)
        counts = np.diff(found.starts)
        if counts.min() >= number:
            break
        reach *= 1.3
    else:
        raise InputError(f"structure types: an atom has fewer than {number} neighbours; is the cell mostly empty?")
    first = found.first
    distance = np.linalg.norm(found.vectors, axis=1)
    order = np.lexsort((distance, first))
    rank = np.arange(len(order)) - np.repeat(np.asarray(found.starts[:-1]), counts)
    near = order[rank < number]
    return np.asarray(found.vectors[near]).reshape(len(atoms), number, 3)


def _bonds(vectors: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Tell which neighbours (atoms, n, n) are bonded to each other."""
    between = np.linalg.norm(vectors[:, :, None] - vectors[:, None, :], axis=3)
    bonded = between < reach[:, None, None]
    bonded[:, np.arange(vectors.shape[1]), np.arange(vectors.shape[1])] = False
    return bonded


def _signatures(bonded: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give for every bond to a neighbour: common neighbours, bonds among them, and whether the bonds make one chain.

    Two bonds make a chain where they share an atom; four and more where every common neighbour has two of them, which
    is a ring (of six, two triangles would pass too: they do not occur among neighbours at one distance).
    """
    b = bonded.astype(np.int16)
    inside = b * np.matmul(b, b)  # bonds from each common neighbour to the others
    bonds = inside.sum(axis=2) // 2
    most = inside.max(axis=2)
    least = np.where(bonded, inside, 99).min(axis=2)
    return b.sum(axis=2), bonds, np.where(bonds == 2, most == 2, (least == 2) & (most == 2))


def _close_packed(vectors: np.ndarray, distance: np.ndarray) -> np.ndarray:
    common, bonds, chain = _signatures(_bonds(vectors, _FCC_REACH * distance.mean(axis=1)))
    is_421 = (common == 4) & (bonds == 2) & ~chain
    is_422 = (common == 4) & (bonds == 2) & chain
    is_555 = (common == 5) & (bonds == 5) & chain
    kinds = np.full(len(vectors), OTHER)
    kinds[is_421.sum(axis=1) == 12] = FCC
    kinds[(is_421.sum(axis=1) == 6) & (is_422.sum(axis=1) == 6)] = HCP
    kinds[is_555.sum(axis=1) == 12] = ICOSAHEDRAL
    return kinds


def _is_bcc(vectors: np.ndarray, distance: np.ndarray) -> np.ndarray:
    # Eight neighbours stand at sqrt(3)/2 lattice parameters, six at one.
    a = (8 * 2 / np.sqrt(3) * distance[:, :8].mean(axis=1) + 6 * distance[:, 8:].mean(axis=1)) / 14
    common, bonds, chain = _signatures(_bonds(vectors, _BCC_REACH * a))
    is_666 = (common == 6) & (bonds == 6) & chain
    is_444 = (common == 4) & (bonds == 4) & chain
    return np.asarray((is_666.sum(axis=1) == 8) & (is_444.sum(axis=1) == 6))
