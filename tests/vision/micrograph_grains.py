"""Grains with known size: tilings and Poisson-Voronoi cells."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree


def squares(side: int, n: int, *, shift: int = 0) -> np.ndarray:
    """Tile n x n squares; `shift` pixels are cut off each border, so that edge grains are cut."""
    field = np.kron(np.arange(1, n * n + 1).reshape(n, n), np.ones((side, side), int))
    return field[shift : n * side - shift, shift : n * side - shift]


def hexagons(width: float, shape: tuple[int, int], *, turn_deg: float = 0.0) -> np.ndarray:
    """Tile regular hexagons, `width` between opposite sides; each pixel belongs to the nearest centre."""
    n = int(max(shape) / width) + 4
    i, j = np.mgrid[-n:n, -n:n]
    centres = np.column_stack([(j * width * np.sqrt(3) / 2).ravel(), (i * width + (j % 2) * width / 2).ravel()])
    angle = np.radians(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return _nearest(centres @ turn.T + np.array(shape) / 2, shape)


@cache
def voronoi(seed: int, n: int, shape: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Grow cells from points sown at random, about n in the field; return them with the density of points per px2."""
    rng = np.random.default_rng(seed)
    density = n / (shape[0] * shape[1])
    margin = 4 / np.sqrt(density)
    size = np.array(shape) + 2 * margin
    points = rng.random((rng.poisson(density * size.prod()), 2)) * size - margin
    grains = _nearest(points, shape)
    grains.flags.writeable = False
    return grains, density


def voronoi_intercept(density: float) -> float:
    """Give the exact mean chord of the cells of points at random: pi / (4 sqrt(density)) (Meijering 1953)."""
    return float(np.pi / (4 * np.sqrt(density)))


def boundaries(grains: np.ndarray, width: int = 1) -> np.ndarray:
    """Mark the boundaries of grains, an odd number of pixels wide."""
    edge = np.zeros(grains.shape, bool)
    edge[:-1] |= grains[:-1] != grains[1:]
    edge[:, :-1] |= grains[:, :-1] != grains[:, 1:]
    return ndimage.binary_dilation(edge, np.ones((3, 3)), iterations=(width - 1) // 2) if width > 1 else edge


def _nearest(centres: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    found = cKDTree(centres).query(np.column_stack([y.ravel(), x.ravel()]))[1]
    return found.reshape(shape).astype(np.int32) + 1
