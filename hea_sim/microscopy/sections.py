"""Draw a polished section of an alloy: grains by their channelling contrast, a second phase apart from pores.

Every fraction of the area is met to a few pixels, since no particle lies under a pore.

| part | grey |
|---|---|
| grain | `MATRIX_LEVEL (1 + channelling_contrast u)`, u one normal number a grain, changing a little inside |
| second phase | `MATRIX_LEVEL (1 + second_phase_contrast)` |
| pore | dark, with a bright rim on the side of the detector |
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hea_sim.errors import InputError
from hea_sim.microscopy.damage import add_pores
from hea_sim.microscopy.grain_contrast import GrainContrast
from hea_sim.microscopy.grains import draw_grains
from hea_sim.microscopy.phase_contrast import PhaseContrast, two_phases
from hea_sim.microscopy.ranges import LONGEST_PX, check_ranges
from hea_sim.microscopy.scenes import MATRIX_LEVEL, Scene, checked_shape
from hea_sim.microscopy.shapes import add_ellipses, empty_distance

#: Class numbers of the truth, the same as those of the segmenter `classical`.
SECTION_CLASSES = {0: "matrix", 1: "second phase", 2: "pore"}
PORE_LEVEL = 0.05
#: Std of the logarithm of the diameter of particles and of pores.
SIZE_SPREAD = 0.25
#: Random sequential placing jams well before this.
_MAX_FRACTION = 0.4
#: Places tried in a row before an area counts as full.
_TRIES = 2_000
#: Way between a particle and the next one, or a pore.
_GAP_PX = 2.0
#: Bending of the lattice changes the channelling inside a grain, less than from one grain to the next.
_BENDING = 0.2


@dataclass(frozen=True, kw_only=True)
class Section:
    """Describe a polished section; lengths in pixels, contrasts relative to the matrix.

    `grain_size_px` is the diameter of the circle of the mean area of a grain, `channelling_contrast` the std of grey
    from grain to grain; `precipitate_diameter_px`, `pore_diameter_px` are medians of the diameter of the circle of
    equal area; `rim_brightness` is that of the edge of a pore on the side of the detector, over full scale.
    """

    grain_size_px: float = 90.0
    channelling_contrast: float = 0.03
    second_phase_area_fraction: float = 0.0
    precipitate_diameter_px: float = 18.0
    second_phase_contrast: float = -0.25
    pore_area_fraction: float = 0.0
    pore_diameter_px: float = 18.0
    rim_brightness: float = 0.15

    def __post_init__(self) -> None:
        check_ranges(
            "section", self, grain_size_px=(4, LONGEST_PX), channelling_contrast=(0, 1), rim_brightness=(0, 1),
            precipitate_diameter_px=(1, LONGEST_PX), pore_diameter_px=(1.5, LONGEST_PX), second_phase_contrast=(-1, 1),
        )  # fmt: skip
        pores, second = self.pore_area_fraction, self.second_phase_area_fraction
        if not (pores >= 0 and second >= 0 and pores + second <= _MAX_FRACTION):
            raise InputError(
                f"section: area fractions {pores:g} of pores and {second:g} of second phase;"
                f" wanted numbers >= 0 that sum to at most {_MAX_FRACTION}"
            )


def draw_section(rng: np.random.Generator, shape: tuple[int, int], section: Section) -> Scene:
    """Draw a polished section; classes of `SECTION_CLASSES`.

    >>> scene = draw_section(np.random.default_rng(0), (128, 128), Section(second_phase_area_fraction=0.1))
    >>> round(float((scene.labels == 1).mean()), 2)
    0.1
    """
    shape = checked_shape(shape)
    s = section
    contrast = GrainContrast(
        level=MATRIX_LEVEL, channelling=s.channelling_contrast, gradient=_BENDING * s.channelling_contrast
    )
    crystals = draw_grains(rng, shape, grain_size_px=s.grain_size_px, contrast=contrast)
    scene = replace(crystals, labels=np.zeros(shape, np.uint8), classes=dict(SECTION_CLASSES), instances=None)
    if s.pore_area_fraction > 0:
        scene = add_pores(
            scene, rng, area_fraction=s.pore_area_fraction, diameter_px=s.pore_diameter_px, size_spread=SIZE_SPREAD,
            level=PORE_LEVEL, rim=s.rim_brightness,
        )  # fmt: skip
    return _with_second_phase(rng, scene, s) if s.second_phase_area_fraction > 0 else scene


def _with_second_phase(rng: np.random.Generator, scene: Scene, section: Section) -> Scene:
    """Put ellipses that touch neither a pore nor each other over a scene."""
    taken = scene.labels > 0
    target = round(section.second_phase_area_fraction * taken.size)
    distance = empty_distance(scene.labels.shape)
    add_ellipses(distance, _place_apart(rng, taken, target, section.precipitate_diameter_px))
    contrast = PhaseContrast(second_level=MATRIX_LEVEL * (1 + section.second_phase_contrast))
    drawn = two_phases(rng, distance, contrast, scene.reflectance)
    return replace(scene, reflectance=drawn.reflectance, labels=np.maximum(scene.labels, drawn.labels))


def _place_apart(rng: np.random.Generator, taken: np.ndarray, target: int, diameter_px: float) -> np.ndarray:
    """Give ellipses (n, 5) as of `add_ellipses` that cover `target` pixels, and mark these in `taken`."""
    placed: list[tuple[float, ...]] = []
    missing, in_vain = target, 0
    # Less than a speck may be left out: the truth counts pixels anyway.
    while missing >= max(4, min(0.02 * target, 0.2 * diameter_px**2)):
        if in_vain >= _TRIES:
            raise InputError(
                f"section: no room for {target / taken.size:.3g} of second phase; wanted a smaller fraction, smaller"
                " particles or a larger shape"
            )
        row, column = rng.uniform(0, 1, 2) * taken.shape
        if taken[int(row), int(column)]:
            in_vain += 1
            continue
        wanted = 0.5 * diameter_px * np.exp(SIZE_SPREAD * rng.standard_normal())
        radius = min(wanted, float(np.sqrt(missing / np.pi)))
        stretch, angle = np.sqrt(rng.uniform(1.0, 1.33)), rng.uniform(0, np.pi)
        a, b = radius * stretch, radius / stretch
        near, along, across = _surroundings(taken.shape, row, column, angle, a + _GAP_PX)
        if taken[near][np.hypot(along / (a + _GAP_PX), across / (b + _GAP_PX)) <= 1].any():
            in_vain += 1
            continue
        inside = np.hypot(along / a, across / b) <= 1
        taken[near] |= inside
        missing -= int(inside.sum())
        in_vain = 0
        placed.append((row, column, a, b, angle))
    return np.array(placed).reshape(-1, 5)


def _surroundings(
    shape: tuple[int, ...], row: float, column: float, angle: float, reach: float
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """Give the window about a place, and the coordinates of its pixels along and across a direction."""
    top, left = max(0, int(row - reach)), max(0, int(column - reach))
    near = (slice(top, min(shape[0], int(row + reach) + 2)), slice(left, min(shape[1], int(column + reach) + 2)))
    y, x = np.ogrid[near]
    c, s = np.cos(angle), np.sin(angle)
    return near, c * (x - column) + s * (y - row), c * (y - row) - s * (x - column)
