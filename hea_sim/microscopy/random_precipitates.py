"""Draw precipitate microstructures at random, over the range that superalloys and two-phase HEAs show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hea_sim.microscopy.precipitates import Population, Surface, draw_precipitates
from hea_sim.microscopy.scenes import Scene


def random_precipitates(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Draw a scene with one population (four of ten) or two (six of ten)."""
    sign = -1.0 if rng.random() < 0.85 else 1.0
    depth = float(np.exp(rng.uniform(np.log(0.06), np.log(0.3))))
    two = rng.random() < 0.6
    softness = float(rng.uniform(0.1, 0.7)) if rng.random() < 0.3 else 0.0
    if two:
        diameter = float(np.exp(rng.uniform(np.log(22), np.log(130))))
        # Etched large particles may show by their edges alone, while small ones stay dark.
        large = _large(rng, diameter, sign * depth * _plateau(rng))
        small = _small(rng, min(diameter / rng.uniform(3.0, 12.0), 14.0), sign * depth * rng.uniform(0.6, 2.2))
    else:
        diameter = float(np.exp(rng.uniform(np.log(4), np.log(90))))
        level = sign * depth * _plateau(rng)
        large = _large(rng, diameter, level) if rng.random() < 0.35 else _single(rng, diameter, level)
        small = None
    if softness:  # a pit is dark in the middle, so it must be darker there to be seen
        large = replace(large, softness=softness, contrast=large.contrast * (1 + softness))
        if small is not None and rng.random() < 0.5:
            small = replace(small, softness=softness, contrast=small.contrast * (1 + softness))
    return draw_precipitates(rng, shape, large=large, small=small, surface=_surface(rng, sign * depth, diameter))


def _plateau(rng: np.random.Generator) -> float:
    """Draw how much of the contrast at their edges the insides of particles keep."""
    return float(rng.uniform(0.08, 0.6)) if rng.random() < 0.45 else 1.0


def _large(rng: np.random.Generator, diameter_px: float, contrast: float) -> Population:
    if rng.random() < 0.75:
        return Population(
            packing="cells",
            diameter_px=diameter_px,
            aspect=float(rng.uniform(0.6, 1.0)),
            squareness=float(rng.uniform(0, 1)),
            roughness=float(rng.uniform(0.0, 0.05)),
            fill=float(rng.uniform(0.25, 1.0)),
            channel_px=float(np.clip(diameter_px * rng.uniform(0.08, 0.5), 3, 30)),
            merging=float(rng.uniform(0, 1.0)),
            disorder=float(rng.uniform(0.1, 1.0)),
            contrast=contrast,
        )
    return Population(
        diameter_px=diameter_px,
        spread=float(rng.uniform(0.1, 0.5)),
        aspect=float(rng.uniform(0.5, 1.0)),
        squareness=float(rng.uniform(0, 0.8)) * (rng.random() < 0.5),
        roughness=float(rng.uniform(0.0, 0.1)),
        aligned=bool(rng.random() < 0.5),
        fraction=float(rng.uniform(0.1, 0.45)),
        gap_px=float(rng.uniform(1, 8)),
        contrast=contrast,
    )


def _small(rng: np.random.Generator, diameter_px: float, contrast: float) -> Population:
    return Population(
        diameter_px=max(diameter_px, 2.2),
        spread=float(rng.uniform(0.1, 0.45)),
        aspect=float(rng.uniform(0.7, 1.0)),
        squareness=float(rng.uniform(0, 0.8)) * (rng.random() < 0.2),
        roughness=float(rng.uniform(0.0, 0.08)),
        fraction=float(rng.uniform(0.01, 0.12)),
        gap_px=float(rng.uniform(0.0, 4.0)),
        clustering=float(rng.uniform(0, 1.5)),
        contrast=contrast,
    )


def _single(rng: np.random.Generator, diameter_px: float, contrast: float) -> Population:
    return Population(
        diameter_px=diameter_px,
        spread=float(rng.uniform(0.1, 0.6)),
        aspect=float(rng.uniform(0.6, 1.0)),
        squareness=float(rng.uniform(0, 0.8)) * (rng.random() < 0.3),
        roughness=float(rng.uniform(0.0, 0.1)),
        aligned=bool(rng.random() < 0.3),
        fraction=float(np.exp(rng.uniform(np.log(0.02), np.log(0.4)))),
        gap_px=float(rng.uniform(0.0, 5.0)),
        clustering=float(rng.uniform(0, 1)) * (rng.random() < 0.4),
        contrast=contrast,
    )


def _surface(rng: np.random.Generator, contrast: float, diameter_px: float) -> Surface:
    """Draw how the surface shows particles of a contrast; rims and relief go with it."""
    chance, depth = rng.random, abs(contrast)
    relief_px = float(np.clip(np.exp(rng.uniform(np.log(0.8), np.log(8))), 0.8, 0.3 * diameter_px + 0.8))
    lit = chance() < 0.5
    # What lies below the surface shows faintly where it has the grey of the particles, else nobody could tell them.
    like = chance() < 0.5
    return Surface(
        rim=float(-contrast * rng.uniform(0.2, 1.8)) * (chance() < 0.65) * (1 if chance() < 0.85 else -1),
        rim_px=float(np.exp(rng.uniform(np.log(1.5), np.log(12)))),
        inner_rim=float(contrast * rng.uniform(-0.4, 1.2)) * (chance() < 0.6),
        inner_rim_px=float(np.exp(rng.uniform(np.log(1.5), np.log(14)))),
        relief=float(depth * rng.uniform(0.2, 2.5)) * lit,
        relief_px=relief_px,
        relief_offset_px=float(rng.uniform(-0.7, 1.5)) * relief_px * (chance() < 0.6),
        relief_angle_deg=float(rng.uniform(0, 360)),
        matrix_texture=float(depth * rng.uniform(0, 0.35)),
        texture_px=float(np.exp(rng.uniform(np.log(5), np.log(140)))),
        streaks=float(depth * rng.uniform(0.02, 0.15)) * (chance() < 0.3),
        particle_spread=float(0.35 * rng.random() ** 2),
        patches=float(depth * rng.uniform(-0.3, 0.9)) * (chance() < 0.2),
        patch_px=float(np.clip(diameter_px * rng.uniform(0.2, 0.8), 3, 60)),
        ghosts=int(rng.integers(3, 60)) if chance() < 0.25 else 0,
        ghost_contrast=float(contrast * (rng.uniform(0.05, 0.2) if like else -rng.uniform(0.1, 0.6))),
        ghost_diameter_px=float(np.clip(diameter_px * rng.uniform(0.3, 1.5), 4, 60)),
        dirt=int(rng.integers(1, 12)) if chance() < 0.3 else 0,
        scratches=int(rng.integers(1, 5)) if chance() < 0.25 else 0,
        scratch_contrast=float(depth * rng.uniform(-0.8, 0.8)),
        foreign=float(rng.uniform(0.1, 0.4)) * (1 if chance() < 0.5 else -1) if chance() < 0.08 else 0.0,
        foreign_part=float(rng.uniform(0.05, 0.5)),
    )
