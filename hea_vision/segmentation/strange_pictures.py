"""Pictures that a model does not know: its own ones spoilt, and virtual micrographs of other microstructures.

What is familiar is told from what is not by examples of both ("outlier exposure", arXiv:1812.04606). Real pictures of
other materials are not needed for it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from hea_sim.errors import HEAError
from hea_sim.microscopy.random_fields import KINDS, draw_field

#: The kind of virtual micrographs that a task is about; the others are strange to it.
OWN_KIND = {"precipitates": "precipitates", "grains": "grains", "columns": "columns", "areas": "phases"}
_EDGES_PX = (256, 320, 384, 512)
_LEAST_PX = 256


def spoilt(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spoil a picture (rows, columns): noise, out of focus, another magnification, or hardly any contrast; float32."""
    image = np.asarray(image, np.float32)
    way = int(rng.integers(4))
    if way == 0:
        return _noisy(image, _between(rng, 1.5, 5.0), rng)
    if way == 1:
        return np.asarray(ndimage.gaussian_filter(image, _between(rng, 2.5, 8.0)))
    if way == 2:
        return _magnified(image, _between(rng, 0.2, 0.4) if rng.random() < 0.5 else _between(rng, 2.5, 4.0))
    return _noisy(ndimage.gaussian_filter(image, _between(rng, 2.0, 6.0)), _between(rng, 0.2, 1.5), rng)


def other_kinds(task: str, count: int, seed: int) -> Iterator[np.ndarray]:
    """Draw `count` virtual micrographs of every kind that a task is not about."""
    for kind in KINDS:
        if kind == OWN_KIND.get(task):
            continue
        for number in range(count):
            rng, edge = np.random.default_rng([seed, number]), _EDGES_PX[number % len(_EDGES_PX)]
            while True:
                try:
                    yield np.asarray(draw_field(kind, rng, (edge, edge)).image, np.float32)
                except HEAError:
                    continue  # a scene without room for what was drawn is drawn again
                break


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _noisy(image: np.ndarray, times: float, rng: np.random.Generator) -> np.ndarray:
    return image + np.float32(times * image.std()) * rng.standard_normal(image.shape, dtype=np.float32)


def _magnified(image: np.ndarray, scale: float) -> np.ndarray:
    if scale > 1:
        rows, columns = (max(8, int(min(n, 3 * _LEAST_PX / scale))) for n in image.shape)
        return np.asarray(ndimage.zoom(image[:rows, :columns], scale, order=1))
    small = ndimage.zoom(ndimage.gaussian_filter(image, 0.4 / scale), scale, order=1)
    # Mirrored rather than left small, so that it has structure of every size that the picture had.
    return np.pad(small, [(0, max(0, _LEAST_PX - n)) for n in small.shape], mode="symmetric")
