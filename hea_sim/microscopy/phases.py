"""Draw fields with several phases, pores and cracks, of any make: what the network of phases learns from."""

from __future__ import annotations

import numpy as np

from hea_sim.microscopy.damage import PORE_KINDS, add_cracks, add_pores
from hea_sim.microscopy.dendrites import random_dendrites
from hea_sim.microscopy.eutectic import random_eutectic
from hea_sim.microscopy.grain_contrast import GrainContrast
from hea_sim.microscopy.grains import draw_grains
from hea_sim.microscopy.layers import random_layers
from hea_sim.microscopy.networks import random_intermetallics, random_network
from hea_sim.microscopy.scenes import Scene

_BASES = ("dendrites", "eutectic", "network", "intermetallics", "layers")
_CHANCES = (0.25, 0.15, 0.2, 0.2, 0.2)


def random_phases(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Draw dendrites, a eutectic, a network, intermetallics or layers, most with pores or cracks or both."""
    base = str(rng.choice(_BASES, p=_CHANCES))
    scene = _base(rng, shape, base)
    damaged = 0.85 if base == "layers" else 0.45
    # Open places stay darker than every phase, and faint cracks are a little so.
    dark = max(float(scene.reflectance.min()), 0.04)
    for _ in range(int(rng.integers(1, 3)) if rng.random() < damaged else 0):
        scene = _with_pores(rng, scene, dark)
    if rng.random() < damaged:
        scene = _with_cracks(rng, scene, dark)
    return scene


def _base(rng: np.random.Generator, shape: tuple[int, int], base: str) -> Scene:
    if base == "dendrites":
        return random_dendrites(rng, shape)
    if base == "eutectic":
        return random_eutectic(rng, shape)
    if base == "layers":
        return random_layers(rng, shape)
    draw = random_network if base == "network" else random_intermetallics
    return draw(rng, shape, _grainy(rng, shape) if rng.random() < 0.3 else None)


def _grainy(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Draw a matrix of grains that differ a little."""
    contrast = GrainContrast(level=float(rng.uniform(0.35, 0.65)), channelling=float(rng.uniform(0.01, 0.06)))
    return draw_grains(rng, shape, grain_size_px=float(rng.uniform(30, 150)), contrast=contrast).reflectance


def _with_pores(rng: np.random.Generator, scene: Scene, dark: float) -> Scene:
    return add_pores(
        scene,
        rng,
        kind=str(rng.choice(PORE_KINDS, p=[0.45, 0.35, 0.2])),
        area_fraction=float(np.exp(rng.uniform(np.log(0.002), np.log(0.08)))),
        diameter_px=float(np.exp(rng.uniform(np.log(3), np.log(45)))),
        size_spread=float(rng.uniform(0.1, 0.6)),
        level=float(rng.uniform(0.1, 0.7) * dark),
        glow=float(rng.uniform(0.05, 0.3) * dark) if rng.random() < 0.4 else 0.0,
        rim=float(rng.uniform(0.05, 0.3)) if rng.random() < 0.4 else 0.0,
    )


def _with_cracks(rng: np.random.Generator, scene: Scene, dark: float) -> Scene:
    shape = scene.labels.shape
    second = scene.labels == 1
    brittle = second if rng.random() < 0.5 and second.mean() > 0.03 else None
    return add_cracks(
        scene,
        rng,
        count=int(rng.integers(1, 8)),
        length_px=float(np.exp(rng.uniform(np.log(30), np.log(0.8 * max(shape))))),
        width_px=float(np.exp(rng.uniform(np.log(1.2), np.log(6)))),
        wander_deg=float(rng.uniform(3, 30)),
        branches=float(rng.uniform(0, 3)),
        direction_deg=float(rng.uniform(0, 180)) if rng.random() < 0.5 else None,
        level=float(rng.uniform(0.1, 0.75) * dark),
        rim=float(rng.uniform(0.05, 0.2)) if rng.random() < 0.2 else 0.0,
        where=brittle,
    )
