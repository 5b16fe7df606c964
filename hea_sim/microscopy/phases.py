"""Draw fields of microconstituents, pores and cracks, of any make: what the network of phases learns from.

Which of two phases is the "second" one is nobody's to see; what a metallographer names is seen by its form:

| class | what it is |
|---|---|
| matrix | ground of grains or of one grey, what lies between dendrites, and layers, which have no form of their own |
| dendrite | arms, along or across |
| eutectic | lamellae or rods of two phases, the whole constituent as one region |
| intermetallic | networks along grain boundaries, needles, plates and blocks |
| pore, crack | open places; a crack is long and thin and runs through everything else |

The drawers of single structures have the exact truth of two phases; it gets its names here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import ndimage

from hea_sim.microscopy.damage import PORE_KINDS, add_cracks, add_pores
from hea_sim.microscopy.dendrites import DENDRITE_SECTIONS, Dendrites, draw_dendrites, random_dendrites
from hea_sim.microscopy.eutectic import EUTECTIC_KINDS, Eutectic, draw_eutectic, random_eutectic
from hea_sim.microscopy.grain_contrast import GrainContrast
from hea_sim.microscopy.grains import draw_grains
from hea_sim.microscopy.layers import random_layers
from hea_sim.microscopy.networks import FilmNetwork, draw_network, random_intermetallics, random_network
from hea_sim.microscopy.phase_contrast import PhaseContrast, random_contrast
from hea_sim.microscopy.scenes import Scene

#: Class numbers of the truth of fields with several microconstituents.
CONSTITUENT_CLASSES = {0: "matrix", 1: "dendrite", 2: "eutectic", 3: "intermetallic", 4: "pore", 5: "crack"}
_MATRIX, _DENDRITE, _EUTECTIC, _INTERMETALLIC = range(4)


def random_phases(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Draw a field of one or two microconstituents, many with pores or cracks or both."""
    names = list(_CHANCES)
    base = str(rng.choice(names, p=list(_CHANCES.values())))
    scene = _BASES[base](rng, shape)
    damaged = 0.85 if base in ("ground", "layers") else 0.45
    # Open places stay darker than every phase, and faint cracks are a little so.
    dark = max(float(scene.reflectance.min()), 0.04)
    for _ in range(int(rng.integers(1, 3)) if rng.random() < damaged else 0):
        scene = _with_pores(rng, scene, dark)
    if rng.random() < damaged:
        scene = _with_cracks(rng, scene, dark)
    return scene


def name_constituents(scene: Scene, first: int, second: int) -> Scene:
    """Give the two phases of a drawn structure (labels 0 and 1) their numbers in `CONSTITUENT_CLASSES`."""
    labels = np.where(scene.labels == 0, np.uint8(first), np.uint8(second))
    return replace(scene, labels=labels, classes=dict(CONSTITUENT_CLASSES))


def inlay_eutectic(scene: Scene, eutectic: Scene, place: np.ndarray) -> Scene:
    """Put a eutectic into a place (rows, columns) of a scene of constituents; its edge is blurred by half a pixel."""
    part = ndimage.gaussian_filter(place.astype(np.float32), 0.5)
    grey = scene.reflectance + part * (eutectic.reflectance - scene.reflectance)
    return replace(
        scene, reflectance=grey.astype(np.float32), labels=np.where(place, np.uint8(_EUTECTIC), scene.labels)
    )


def _dendrites(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    return name_constituents(random_dendrites(rng, shape), _DENDRITE, _MATRIX)


def _eutectic_everywhere(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    return name_constituents(random_eutectic(rng, shape), _EUTECTIC, _EUTECTIC)


def _dendrites_in_eutectic(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Draw primary dendrites, and the eutectic that the last liquid became; one phase of it is that of the arms."""
    contrast = random_contrast(rng)
    spacing = float(np.exp(rng.uniform(np.log(20), np.log(60))))
    liquid = float(rng.uniform(0.3, 0.6))
    # The eutectic meets the arms at its mean grey, so that their edge is drawn but once.
    share = float(rng.uniform(0.3, 0.6))
    mean = contrast.matrix_level + share * (contrast.second_level - contrast.matrix_level)
    arms = Dendrites(
        section=str(rng.choice(DENDRITE_SECTIONS, p=[0.6, 0.4])),
        dendrite_size_px=float(spacing * rng.uniform(3, 12)),
        secondary_spacing_px=spacing,
        second_fraction=liquid,
        roughness=float(rng.uniform(0.03, 0.15)),
        segregation=float(rng.uniform(0, 0.08)),
        contrast=replace(contrast, second_level=mean, texture=0.0, interface_width_px=0.0),
    )
    primary = draw_dendrites(rng, shape, arms)
    eutectic = _fine_eutectic(rng, shape, contrast, share, widest_px=0.35 * min(liquid, 1 - liquid) * spacing)
    return inlay_eutectic(name_constituents(primary, _DENDRITE, _MATRIX), eutectic, primary.labels == 1)


def _colonies_beside_grains(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Draw grains of matrix of which some are colonies of a lamellar constituent, or have it along their boundaries."""
    contrast = random_contrast(rng)
    share = float(rng.uniform(0.25, 0.6))
    size = float(np.exp(rng.uniform(np.log(40), np.log(200))))
    if rng.random() < 0.6:
        grains = draw_grains(rng, shape, grain_size_px=size, contrast=_faint(rng, contrast.matrix_level))
        assert grains.instances is not None
        number = int(grains.instances.max()) + 1
        place = (rng.random(number) < rng.uniform(0.15, 0.8))[grains.instances]
        ground, width = grains.reflectance, size
    else:
        fraction = float(rng.uniform(0.25, 0.55))
        plain = replace(contrast, second_level=contrast.matrix_level, texture=0.0, interface_width_px=0.0)
        films = FilmNetwork(
            grain_size_px=size, second_fraction=fraction, unevenness=float(rng.uniform(0, 0.6)),
            junction_px=0.08 * size, contrast=plain,
        )  # fmt: skip
        drawn = draw_network(rng, shape, films)
        place, ground, width = drawn.labels == 1, drawn.reflectance, fraction * size
    scene = Scene(reflectance=ground, labels=np.zeros(shape, np.uint8), classes=dict(CONSTITUENT_CLASSES))
    return inlay_eutectic(scene, _fine_eutectic(rng, shape, contrast, share, widest_px=0.25 * width), place)


def _primary_in_eutectic(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Draw primary intermetallics, and the eutectic that grew around them, finer than they are thick."""
    contrast = random_contrast(rng)
    share = float(rng.uniform(0.2, 0.55))
    eutectic = _fine_eutectic(rng, shape, contrast, share, widest_px=7.0)
    drawn = random_intermetallics(rng, shape, eutectic.reflectance, contrast, least_px=10.0)
    return name_constituents(drawn, _EUTECTIC, _INTERMETALLIC)


def _fine_eutectic(
    rng: np.random.Generator, shape: tuple[int, int], contrast: PhaseContrast, share: float, *, widest_px: float
) -> Scene:
    """Draw a eutectic that fits into places of limited width; `share` is the area fraction of its second phase."""
    spacing = float(np.exp(rng.uniform(np.log(5), np.log(np.clip(widest_px, 5.5, 16.0)))))
    eutectic = Eutectic(
        kind=str(rng.choice(EUTECTIC_KINDS, p=[0.75, 0.25])),
        spacing_px=spacing,
        second_fraction=share,
        colony_size_px=float(np.clip(spacing * rng.uniform(5, 25), 24, 400)),
        spacing_spread=float(rng.uniform(0, 0.3)),
        waviness=float(rng.uniform(0, 0.4)),
        faults=float(min(rng.uniform(0, 2) * 1e4 / (spacing * 8) ** 2, 20)),
        contrast=contrast,
    )
    return draw_eutectic(rng, shape, eutectic)


def _network(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    contrast = random_contrast(rng)
    return name_constituents(
        random_network(rng, shape, _ground_or_none(rng, shape, contrast), contrast), _MATRIX, _INTERMETALLIC
    )


def _intermetallics(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    contrast = random_contrast(rng)
    return name_constituents(
        random_intermetallics(rng, shape, _ground_or_none(rng, shape, contrast), contrast), _MATRIX, _INTERMETALLIC
    )


def _ground_or_none(rng: np.random.Generator, shape: tuple[int, int], contrast: PhaseContrast) -> np.ndarray | None:
    return _grains(rng, shape, contrast.matrix_level) if rng.random() < 0.3 else None


def _grains(rng: np.random.Generator, shape: tuple[int, int], level: float) -> np.ndarray:
    """Draw a matrix of grains that differ a little."""
    contrast = _faint(rng, level)
    return draw_grains(rng, shape, grain_size_px=float(rng.uniform(30, 150)), contrast=contrast).reflectance


def _faint(rng: np.random.Generator, level: float) -> GrainContrast:
    return GrainContrast(level=level, channelling=float(rng.uniform(0.01, 0.06)))


def _ground(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Draw grains and nothing else: a field may have none of the constituents."""
    return Scene(
        reflectance=_grains(rng, shape, float(rng.uniform(0.35, 0.65))),
        labels=np.zeros(shape, np.uint8),
        classes=dict(CONSTITUENT_CLASSES),
    )


def _layers(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    return name_constituents(random_layers(rng, shape), _MATRIX, _MATRIX)


_BASES: dict[str, Callable[[np.random.Generator, tuple[int, int]], Scene]] = {
    "dendrites": _dendrites,
    "dendrites in eutectic": _dendrites_in_eutectic,
    "eutectic": _eutectic_everywhere,
    "colonies": _colonies_beside_grains,
    "primary in eutectic": _primary_in_eutectic,
    "network": _network,
    "intermetallics": _intermetallics,
    "ground": _ground,
    "layers": _layers,
}
_CHANCES = {
    "dendrites": 0.22, "dendrites in eutectic": 0.16, "eutectic": 0.08, "colonies": 0.14, "primary in eutectic": 0.08,
    "network": 0.11, "intermetallics": 0.12, "ground": 0.04, "layers": 0.05,
}  # fmt: skip


def _with_pores(rng: np.random.Generator, scene: Scene, dark: float) -> Scene:
    kind = str(rng.choice(PORE_KINDS, p=[0.45, 0.35, 0.2]))
    arms = scene.labels == _DENDRITE
    return add_pores(
        scene,
        rng,
        kind=kind,
        area_fraction=float(np.exp(rng.uniform(np.log(0.002), np.log(0.08)))),
        diameter_px=float(np.exp(rng.uniform(np.log(3), np.log(45)))),
        size_spread=float(rng.uniform(0.1, 0.6)),
        level=float(rng.uniform(0.1, 0.7) * dark),
        glow=float(rng.uniform(0.05, 0.3) * dark) if rng.random() < 0.4 else 0.0,
        rim=float(rng.uniform(0.05, 0.3)) if rng.random() < 0.4 else 0.0,
        # What shrinks is the last liquid, between the arms.
        where=~arms if kind == "shrinkage" and arms.any() else None,
    )


def _with_cracks(rng: np.random.Generator, scene: Scene, dark: float) -> Scene:
    shape = scene.labels.shape
    brittle = scene.labels == _INTERMETALLIC
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
        where=brittle if rng.random() < 0.5 and brittle.mean() > 0.03 else None,
    )
