"""Clusters of sites that symmetry carries into one another: points, pairs, triplets, quadruplets by radius.

| symbol | here |
|---|---|
| alpha, a set of k sites; its orbit, all sets that the space group makes of it | `Orbit` |
| m_alpha, sets of the orbit in one cell of the parent | `Orbit.n_instances` |
| permutations of the sites of alpha by operations that carry alpha to itself | `Orbit.stabiliser` |

All sites are whole numbers (b, n1, n2, n3): site b of the cell n. Two sets that differ by a translation are one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.parents import ParentLattice, Symmetry, neighbours_within, symmetry_of

Site = tuple[int, int, int, int]
#: Most sites of a cluster.
MOST_SITES = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Orbit:
    """Hold one orbit: `instances` (sets per cell, k, 4) as (b, n1, n2, n3), each in the order of the first.

    `radius_a` is the largest distance between two of its sites, in lattice parameters; `sublattice` that of each site.
    """

    radius_a: float
    distances_a: tuple[float, ...]
    instances: np.ndarray
    stabiliser: tuple[tuple[int, ...], ...]
    sublattice: tuple[int, ...]

    @property
    def order(self) -> int:
        """Count the sites of a cluster."""
        return int(self.instances.shape[1])

    @property
    def n_instances(self) -> int:
        """Count the clusters of this orbit in one cell of the parent."""
        return len(self.instances)


def find_orbits(parent: ParentLattice, cutoffs_a: Mapping[int, float]) -> tuple[Orbit, ...]:
    """Find the orbits of all clusters whose sites lie within a radius of one another.

    Parameters
    ----------
    parent
        The lattice.
    cutoffs_a
        Largest distance within a cluster, in lattice parameters, by the number of its sites: {2: 1.8, 3: 1.1}.

    Points come first; then by number of sites, radius and shape.
    """
    check_cutoffs(cutoffs_a)
    symmetry = symmetry_of(parent)
    orbits: list[Orbit] = []
    for order in range(1, MOST_SITES + 1):
        if order > 1 and order not in cutoffs_a:
            continue
        seen: set[tuple[Site, ...]] = set()
        here = []
        for cluster in _clusters(parent, order, cutoffs_a.get(order, 0.0)):
            key, _ = _canonical(cluster)
            if key not in seen:
                orbit, keys = _orbit(parent, symmetry, cluster)
                seen |= keys
                here.append(orbit)
        orbits += sorted(here, key=lambda orbit: (orbit.radius_a, orbit.distances_a, orbit.sublattice))
    return tuple(orbits)


def check_cutoffs(cutoffs_a: Mapping[int, float]) -> None:
    """Raise InputError where the radii make no cluster expansion."""
    wrong = [order for order in cutoffs_a if order not in range(2, MOST_SITES + 1)]
    if wrong or 2 not in cutoffs_a:
        raise InputError(
            f"cutoffs for clusters of {sorted(cutoffs_a)} sites; wanted 2, and if need be 3 and 4, such as {{2: 1.8,"
            " 3: 1.1}"
        )
    if any(not 0 < radius <= 6 for radius in cutoffs_a.values()):
        raise InputError(f"cutoffs {dict(cutoffs_a)}; wanted radii above 0 and up to 6 lattice parameters")


def _clusters(parent: ParentLattice, order: int, cutoff_a: float) -> list[tuple[Site, ...]]:
    """List all clusters that hold a site of the home cell as their first one; each may stand there several times."""
    if order == 1:
        return [((b, 0, 0, 0),) for b in range(parent.n_sites)]
    neighbours = [{(other, *n): distance for distance, other, n in row} for row in neighbours_within(parent, cutoff_a)]
    found: list[tuple[Site, ...]] = []
    for b in range(parent.n_sites):
        home = (b, 0, 0, 0)
        around = list(neighbours[b])
        grown: list[tuple[tuple[Site, ...], int]] = [((home,), 0)]
        for _ in range(order - 1):
            grown = [
                ((*cluster, site), k + 1)
                for cluster, start in grown
                for k, site in enumerate(around[start:], start)
                if all(_relative(member, site) in neighbours[member[0]] for member in cluster[1:])
            ]
        found += [cluster for cluster, _ in grown]
    return found


def _relative(member: Site, site: Site) -> Site:
    return (site[0], site[1] - member[1], site[2] - member[2], site[3] - member[3])


def _canonical(cluster: tuple[Site, ...]) -> tuple[tuple[Site, ...], tuple[int, ...]]:
    """Sort the sites and bring the first of them home; give also which site went where.

    The order by (n, b) is kept by translations, so that clusters which differ by one get the same key.
    """
    order = sorted(range(len(cluster)), key=lambda k: (*cluster[k][1:], cluster[k][0]))
    home = cluster[order[0]]
    return tuple(_relative(home, cluster[k]) for k in order), tuple(order)


def _orbit(parent: ParentLattice, symmetry: Symmetry, cluster: tuple[Site, ...]) -> tuple[Orbit, set[tuple[Site, ...]]]:
    """Apply all operations to a cluster; keep the first image of each set in the order of the cluster's sites."""
    sites = np.array(cluster)
    images: dict[tuple[Site, ...], tuple[Site, ...]] = {}
    own, own_order = _canonical(cluster)
    stabiliser = set()
    for turn, to, shift in zip(symmetry.rotations, symmetry.to, symmetry.shift, strict=True):
        cells = sites[:, 1:] @ turn.T + shift[sites[:, 0]]
        image = tuple((int(to[b]), *map(int, n)) for b, n in zip(sites[:, 0], cells, strict=True))
        key, order = _canonical(image)  # type: ignore[arg-type]
        images.setdefault(key, image)  # type: ignore[arg-type]
        if key == own:
            # sorted place p holds site order[p] of the image and site own_order[p] of the cluster
            permutation = [0] * len(cluster)
            for mine, theirs in zip(own_order, order, strict=True):
                permutation[theirs] = mine
            stabiliser.add(tuple(permutation))
    distances = _distances(parent, cluster)
    instances = np.array(list(images.values()), int)
    instances[:, :, 1:] -= instances[:, :1, 1:].copy()
    orbit = Orbit(
        radius_a=max(distances, default=0.0),
        distances_a=distances,
        instances=instances,
        stabiliser=tuple(sorted(stabiliser)),
        sublattice=tuple(int(parent.sublattice[site[0]]) for site in cluster),
    )
    return orbit, set(images)


def _distances(parent: ParentLattice, cluster: tuple[Site, ...]) -> tuple[float, ...]:
    points = np.array([parent.sites[b] + np.array(n) @ parent.cell for b, *n in cluster])
    i, j = np.triu_indices(len(cluster), 1)
    return tuple(sorted(round(float(d), 6) for d in np.linalg.norm(points[i] - points[j], axis=1)))
