"""Draw second phases of intermetallic alloys: networks along grain boundaries, needles, plates and blocks.

Networks (Laves, sigma, interdendritic films) thicken towards the points where three grains meet; needles and plates lie
in few directions, as of habit planes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hea_sim.errors import InputError, unknown_name
from hea_sim.microscopy.noise_fields import smooth_noise
from hea_sim.microscopy.phase_contrast import PhaseContrast, level_distance, random_contrast, two_phases
from hea_sim.microscopy.ranges import LONGEST_PX, check_ranges, checked_fraction
from hea_sim.microscopy.scenes import Scene, checked_shape
from hea_sim.microscopy.shapes import add_polygons, empty_distance
from hea_sim.microscopy.tessellation import paint, scatter_seeds, wavy_places

INTERMETALLIC_KINDS = ("needle", "plate", "block")
#: Fraction that randomly placed particles are asked for at most.
_MOST_PARTICLES = 0.6
_LEAST_THICKNESS_PX = 0.8


@dataclass(frozen=True, kw_only=True)
class FilmNetwork:
    """Describe films of a second phase along grain boundaries; lengths in pixels.

    `grain_size_px` is the diameter of the circle of the mean area between the middles of films; `second_fraction` the
    area fraction of the network, exact to a pixel; `unevenness` the relative std of the thickness along a film, above
    0.5 the network breaks up into pieces; `junction_px` the length over which films round off where three grains meet;
    `waviness` the rms displacement of boundaries over their grain size.
    """

    grain_size_px: float = 60.0
    second_fraction: float = 0.12
    unevenness: float = 0.4
    junction_px: float = 3.0
    waviness: float = 0.05
    contrast: PhaseContrast = field(default_factory=PhaseContrast)

    def __post_init__(self) -> None:
        check_ranges(
            "network", self, grain_size_px=(8, LONGEST_PX), junction_px=(0.1, 100), unevenness=(0, 2),
            waviness=(0, 0.05),
        )  # fmt: skip
        checked_fraction(self.second_fraction, "network", 0.7)


@dataclass(frozen=True, kw_only=True)
class Intermetallics:
    """Describe needles with pointed ends, plates with flat ones, or faceted blocks; lengths in pixels.

    `kind` is one of `INTERMETALLIC_KINDS`; `length_px` the median length, lengths are lognormal with std 0.4; `aspect`
    length over thickness (of blocks too); `variants` the number of directions, evenly spread over 180 degrees, 0 for
    any direction; `variant_spread_deg` the std of the direction about that of its variant; `second_fraction` the area
    fraction, met to the nearest particle.
    """

    kind: str = "needle"
    length_px: float = 60.0
    aspect: float = 12.0
    variants: int = 3
    variant_spread_deg: float = 4.0
    second_fraction: float = 0.1
    contrast: PhaseContrast = field(default_factory=PhaseContrast)

    def __post_init__(self) -> None:
        if self.kind not in INTERMETALLIC_KINDS:
            raise unknown_name("kind of intermetallic", self.kind, INTERMETALLIC_KINDS)
        check_ranges(
            "intermetallics", self, length_px=(3, LONGEST_PX), aspect=(1, 100), variants=(0, 180),
            variant_spread_deg=(0, 180),
        )  # fmt: skip
        checked_fraction(self.second_fraction, "intermetallics", _MOST_PARTICLES)
        if self.length_px / self.aspect < _LEAST_THICKNESS_PX:
            raise InputError(
                f"intermetallics: aspect {self.aspect} at a length of {self.length_px} px; wanted a thickness of at"
                f" least {_LEAST_THICKNESS_PX} px"
            )


def draw_network(
    rng: np.random.Generator, shape: tuple[int, int], network: FilmNetwork, *, matrix: np.ndarray | None = None
) -> Scene:
    """Draw a second phase along the boundaries of grains; classes of `PHASE_CLASSES`.

    `matrix` is the reflectance (rows, columns) of the matrix, such as that of grains, instead of its level in
    `network.contrast`.
    """
    shape = checked_shape(shape)
    n = network
    margin = np.full(2, 2 * n.grain_size_px)
    seeds, weights = scatter_seeds(rng, -margin, shape + margin, n.grain_size_px, 0.35, 3)
    y, x = wavy_places(rng, shape, n.waviness * n.grain_size_px, max(0.6 * n.grain_size_px, 2.0))
    tiling = paint(y, x, seeds, weights, reach_px=max(0.5 * n.grain_size_px, 6.0))
    k = np.float32(n.junction_px)
    # A smooth least of the two distances: zero on faces, below it where two faces are near.
    near = tiling.near - k * np.log1p(np.exp((tiling.near - tiling.second) / k))
    near = near - near.min() + np.float32(0.5)
    thick = np.maximum(1 + n.unevenness * smooth_noise(rng, shape, max(0.5 * n.grain_size_px, 4.0)), 0.02)
    level = np.quantile(near / thick, n.second_fraction)
    return two_phases(rng, level_distance(near - level * thick), n.contrast, matrix)


def draw_intermetallics(
    rng: np.random.Generator,
    shape: tuple[int, int],
    intermetallics: Intermetallics,
    *,
    matrix: np.ndarray | None = None,
) -> Scene:
    """Draw needles, plates or blocks; classes of `PHASE_CLASSES`, `matrix` as in `draw_network`."""
    shape = checked_shape(shape)
    p = intermetallics
    first = rng.uniform(0, np.pi)
    mean_area = p.length_px**2 / p.aspect * (0.6 if p.kind == "needle" else 0.9)
    distance = empty_distance(shape)
    target = p.second_fraction * distance.size
    missing = target
    while missing > 0.5 * mean_area:
        # Most of what is missing at once; the last ones singly, since they overlap.
        count = max(1, int(0.7 * missing / mean_area))
        # The last particles are cut to what is left.
        longest = min(1.0, float(np.sqrt(missing / mean_area)))
        add_polygons(distance, [_particle(rng, shape, p, first, longest) for _ in range(count)])
        missing = target - int((distance <= 0).sum())
    return two_phases(rng, distance, p.contrast, matrix)


def _particle(
    rng: np.random.Generator, shape: tuple[int, int], drawn: Intermetallics, first: float, part: float
) -> np.ndarray:
    """Give the corners (n, 2) of a particle somewhere in the field, cut to a part of its length."""
    turn = rng.integers(drawn.variants) * np.pi / drawn.variants if drawn.variants else rng.uniform(0, np.pi)
    angle = first + turn + np.radians(drawn.variant_spread_deg) * rng.standard_normal()
    length = drawn.length_px * np.exp(0.4 * rng.standard_normal())
    length *= part
    place = rng.uniform(0, 1, 2) * shape
    return place + _outline(rng, drawn.kind, length, length / drawn.aspect, angle)


def _outline(rng: np.random.Generator, kind: str, length: float, thickness: float, angle: float) -> np.ndarray:
    """Give the corners (n, 2) row, column of a convex particle about its centre."""
    a, b = 0.5 * length, 0.5 * max(thickness, _LEAST_THICKNESS_PX)
    if kind == "needle":
        u, v = np.array([-a, -0.4 * a, 0.4 * a, a, 0.4 * a, -0.4 * a]), np.array([0, b, b, 0, -b, -b])
    elif kind == "plate":
        u, v = np.array([-a, a, a, -a]), np.array([-b, -b, b, b])
        u = u + rng.uniform(-0.5, 0.5) * v
    else:
        turns = np.sort(rng.uniform(0, 2 * np.pi, 1) + 2 * np.pi * (np.arange(6) + rng.uniform(-0.3, 0.3, 6)) / 6)
        u, v = a * np.cos(turns), b * np.sin(turns)
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([s * u + c * v, c * u - s * v], 1)


def random_network(
    rng: np.random.Generator,
    shape: tuple[int, int],
    matrix: np.ndarray | None = None,
    contrast: PhaseContrast | None = None,
) -> Scene:
    """Draw a network of any make, in a given `matrix` (rows, columns) and `contrast` or those of its own."""
    size = float(np.exp(rng.uniform(np.log(20), np.log(160))))
    network = FilmNetwork(
        grain_size_px=size,
        second_fraction=float(np.clip(rng.uniform(1.5, 10) / size + rng.uniform(0, 0.15), 0.03, 0.5)),
        unevenness=float(rng.uniform(0, 1.0)),
        junction_px=float(rng.uniform(0.02, 0.08) * size + 0.3),
        waviness=float(rng.uniform(0, 0.05)),
        contrast=contrast or random_contrast(rng),
    )
    return draw_network(rng, shape, network, matrix=matrix)


def random_intermetallics(
    rng: np.random.Generator,
    shape: tuple[int, int],
    matrix: np.ndarray | None = None,
    contrast: PhaseContrast | None = None,
    *,
    least_px: float = 2.0,
) -> Scene:
    """Draw needles, plates or blocks of any make, in a given `matrix` (rows, columns) and `contrast` or their own.

    They are at least `least_px` and at most 16 px thick.
    """
    kind = str(rng.choice(INTERMETALLIC_KINDS))
    thickness = float(np.exp(rng.uniform(np.log(least_px), np.log(16))))
    aspect = float(rng.uniform(1, 2.5) if kind == "block" else np.exp(rng.uniform(np.log(5), np.log(40))))
    length = min((2.0 if kind == "block" else 1.0) * thickness * aspect, 600.0)
    intermetallics = Intermetallics(
        kind=kind,
        length_px=length,
        aspect=aspect,
        variants=int(rng.integers(0, 5)),
        variant_spread_deg=float(rng.uniform(0, 10)),
        second_fraction=float(rng.uniform(0.02, 0.3)),
        contrast=contrast or random_contrast(rng),
    )
    return draw_intermetallics(rng, shape, intermetallics, matrix=matrix)
