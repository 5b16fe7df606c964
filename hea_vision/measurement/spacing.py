"""How far particles lie from each other, and whether they are scattered at random, clustered or ordered.

| symbol | here |
|---|---|
| r_i, distance to the nearest neighbour | `distances` |
| mean of r_i over points with r_i <= distance to the edge (Hanisch, 10.1080/02331888408801788), weighted | `nearest` |
| E(r) = sqrt(A/n)/2 + (0.0514 + 0.041/sqrt(n)) P/n at random (Donnelly 1978), P the field's outline | `expected` |
| var(mean r) = 0.0703 A/n^2 + 0.037 P sqrt(A/n^5) | in `clark_evans.std` |
| R = mean r / E(r) (Clark and Evans, 10.2307/1931034): 1 at random, < 1 clustered, > 1 ordered | `clark_evans` |
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Estimate
from hea_vision.measurement.intervals import bootstrap_estimate, weighted_mean


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """Hold nearest-neighbour distances, centre to centre, in nm or px; `expected` is for points at random."""

    nearest: Estimate
    clark_evans: Estimate
    expected: float
    distances: np.ndarray


def neighbour_distances(
    centres: np.ndarray, shape: tuple[int, int], *, pixel_size_nm: float | None = None, seed: int = 0
) -> Neighbours:
    """Measure the distances of nearest neighbours and compare them with points at random.

    Parameters
    ----------
    centres
        Row and column of each point in px, (n, 2), n >= 3.
    shape
        Rows and columns of the field.
    seed
        Seed of the bootstrap.

    Examples
    --------
    >>> grid = np.stack(np.meshgrid(np.arange(5, 100, 10.0), np.arange(5, 100, 10.0)), -1).reshape(-1, 2)
    >>> found = neighbour_distances(grid, (100, 100))
    >>> found.nearest.value, found.clark_evans.low > 1.5
    (10.0, True)
    """
    from scipy.spatial import cKDTree

    points = np.asarray(centres, float)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise InputError(f"neighbours: points of shape {points.shape}; wanted (n, 2) with at least 3 points")
    scale, unit = (1.0, "px") if pixel_size_nm is None else (float(pixel_size_nm), "nm")
    n, rows, columns = len(points), *shape
    distances = cKDTree(points).query(points, k=2)[0][:, 1]
    edge = np.minimum(
        np.minimum(points[:, 0] + 0.5, rows - 0.5 - points[:, 0]),
        np.minimum(points[:, 1] + 0.5, columns - 0.5 - points[:, 1]),
    )
    known = distances <= edge
    nearest = _nearest(distances, known, shape, scale, unit, seed)
    area, outline = float(rows * columns), 2.0 * (rows + columns)
    expected = 0.5 * math.sqrt(area / n) + (0.0514 + 0.041 / math.sqrt(n)) * outline / n
    std = math.sqrt(0.0703 * area / n**2 + 0.037 * outline * math.sqrt(area / n**5)) / expected
    ratio = float(distances.mean()) / expected
    return Neighbours(
        nearest=nearest,
        clark_evans=Estimate.normal(
            ratio,
            std,
            unit="1",
            n=n,
            method="Clark-Evans ratio with Donnelly's edge correction; std that of as many points at random",
        ),
        expected=scale * expected,
        distances=scale * distances,
    )


def _nearest(
    distances: np.ndarray, known: np.ndarray, shape: tuple[int, int], scale: float, unit: str, seed: int
) -> Estimate:
    if not known.any():
        return bootstrap_estimate(
            scale * distances,
            weighted_mean,
            unit=unit,
            method="mean distance of nearest neighbours, no edge correction: every one is nearer to the edge",
            seed=seed,
        )
    r = distances[known]
    # The part of the field in which a point with this distance would have been accepted.
    weights = 1.0 / np.maximum((shape[0] - 2.0 * r) * (shape[1] - 2.0 * r), 1.0)
    return bootstrap_estimate(
        scale * r,
        weighted_mean,
        weights=weights,
        unit=unit,
        method="mean distance of nearest neighbours, centre to centre, Hanisch's edge correction",
        seed=seed,
    )
