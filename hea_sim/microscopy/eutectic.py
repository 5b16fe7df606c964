"""Draw eutectics: lamellae or rods in colonies, with faults.

| lamellae | in code |
|---|---|
| phase of the pattern | `phase` = 2 pi (n . x) / spacing, plus the winding around each fault |
| second phase | where the phase, wrapped to -pi..pi, lies within pi times its fraction of zero |

A fault is where a lamella ends: going round it the phase gains 2 pi, as around an edge dislocation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hea_sim.errors import unknown_name
from hea_sim.microscopy.noise_fields import smooth_noise
from hea_sim.microscopy.phase_contrast import PhaseContrast, level_distance, random_contrast, two_phases
from hea_sim.microscopy.ranges import LONGEST_PX, check_ranges, checked_fraction
from hea_sim.microscopy.scenes import Scene, checked_shape
from hea_sim.microscopy.tessellation import Tiling, paint, scatter_seeds, wavy_places

EUTECTIC_KINDS = ("lamellar", "rod")


@dataclass(frozen=True, kw_only=True)
class Eutectic:
    """Describe a eutectic; lengths in pixels.

    `kind` is one of `EUTECTIC_KINDS`; `spacing_px` the mean distance from one lamella (rod) to the next of its kind;
    `second_fraction` the area fraction of the second phase, of rods exact, of lamellae in the mean over many;
    `colony_size_px` the mean diameter of colonies of one direction; `spacing_spread` the std of the logarithm of the
    spacing from colony to colony, as of other cuts through them; `waviness` the rms displacement of lamellae, in
    spacings; `faults` the number of ends of lamellae on 100 x 100 pixels, which come in pairs.
    """

    kind: str = "lamellar"
    spacing_px: float = 12.0
    second_fraction: float = 0.4
    colony_size_px: float = 150.0
    spacing_spread: float = 0.15
    waviness: float = 0.2
    faults: float = 3.0
    contrast: PhaseContrast = field(default_factory=PhaseContrast)

    def __post_init__(self) -> None:
        if self.kind not in EUTECTIC_KINDS:
            raise unknown_name("kind of eutectic", self.kind, EUTECTIC_KINDS)
        check_ranges(
            "eutectic", self, spacing_px=(3, LONGEST_PX), colony_size_px=(16, LONGEST_PX), spacing_spread=(0, 1),
            waviness=(0, 1), faults=(0, 200),
        )  # fmt: skip
        checked_fraction(self.second_fraction, "eutectic: second phase")


def draw_eutectic(rng: np.random.Generator, shape: tuple[int, int], eutectic: Eutectic) -> Scene:
    """Draw a eutectic; classes of `PHASE_CLASSES`."""
    shape = checked_shape(shape)
    e = eutectic
    colonies = _colonies(rng, shape, e.colony_size_px)
    angle, spacing = _directions(rng, colonies, e.spacing_px, e.spacing_spread)
    if e.kind == "lamellar":
        phase = _phase(rng, colonies, angle, spacing, e.waviness, e.faults)
        wrapped = np.abs((phase + np.pi) % (2 * np.pi) - np.pi)
        distance = (wrapped - np.pi * e.second_fraction) * (spacing / (2 * np.pi))[colonies.cell]
    else:
        rows = spacing * np.sqrt(0.75)
        one, two = (_phase(rng, colonies, angle + turn, rows, 0.4 * e.waviness, 0.0) for turn in (0.0, 2 * np.pi / 3))
        # Three waves whose phases sum to zero: rods on a hexagonal lattice, wherever it bends.
        waves = -np.cos(one) - np.cos(two) - np.cos(one + two)
        distance = level_distance(waves - np.quantile(waves, e.second_fraction))
    return two_phases(rng, distance.astype(np.float32), e.contrast)


def _colonies(rng: np.random.Generator, shape: tuple[int, int], size_px: float) -> Tiling:
    margin = np.full(2, size_px)
    seeds, weights = scatter_seeds(rng, -margin, shape + margin, size_px, 0.3, 2)
    y, x = wavy_places(rng, shape, 0.02 * size_px, max(0.5 * size_px, 8.0))
    return paint(y, x, seeds, weights)


def _directions(
    rng: np.random.Generator, colonies: Tiling, spacing_px: float, spread: float
) -> tuple[np.ndarray, np.ndarray]:
    number = int(colonies.cell.max()) + 1
    return rng.uniform(0, np.pi, number), spacing_px * np.exp(spread * rng.standard_normal(number))


def _phase(
    rng: np.random.Generator,
    colonies: Tiling,
    angle: np.ndarray,
    spacing: np.ndarray,
    waviness: float,
    faults: float,
) -> np.ndarray:
    """Give the phase (rows, columns) of a pattern of parallel lines in every colony, in radians."""
    shape = colonies.cell.shape
    r, c = np.arange(shape[0], dtype=np.float32)[:, None], np.arange(shape[1], dtype=np.float32)[None, :]
    start = rng.uniform(0, 2 * np.pi, len(angle))
    wave = 2 * np.pi / spacing
    phase = (wave * np.cos(angle)).astype(np.float32)[colonies.cell] * r
    phase += (wave * np.sin(angle)).astype(np.float32)[colonies.cell] * c
    phase += start.astype(np.float32)[colonies.cell]
    if waviness > 0:
        phase += 2 * np.pi * waviness * smooth_noise(rng, shape, max(6 * float(spacing.mean()), 8.0))
    for _ in range(rng.poisson(0.5 * faults * colonies.cell.size * 1e-4)):
        row, column = rng.uniform(0, 1, 2) * shape
        colony = colonies.cell[int(row), int(column)]
        length, along = spacing[colony] * rng.uniform(2, 8), angle[colony] + 0.5 * np.pi + rng.normal(0, 0.1)
        near = _box(row, column, 2.5 * length, shape)
        phase[near] += _inserted(r[near[0]] - row, c[:, near[1]] - column, length, along)
    return phase


def _inserted(dy: np.ndarray, dx: np.ndarray, length: float, along: float) -> np.ndarray:
    """Give the phase of one lamella inserted between two others: a fault at each of its ends, of opposite winding."""
    half_y, half_x = 0.5 * length * np.cos(along), 0.5 * length * np.sin(along)
    ay, ax, by, bx = dy - half_y, dx - half_x, dy + half_y, dx + half_x
    # The angle between the directions to the two ends jumps, by 2 pi, only on the line between them.
    turn = np.arctan2(ax * by - ay * bx, ax * bx + ay * by)
    fade = np.clip(2.5 - np.hypot(dy, dx) / length, 0, 1)
    return np.asarray(turn * fade, np.float32)


def _box(row: float, column: float, reach: float, shape: tuple[int, int]) -> tuple[slice, slice]:
    return (
        slice(max(0, int(row - reach)), min(shape[0], int(row + reach) + 1)),
        slice(max(0, int(column - reach)), min(shape[1], int(column + reach) + 1)),
    )


def random_eutectic(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Draw a eutectic of any make, spacings of lamellae from 5 to 24 px, of rods to 12."""
    kind = str(rng.choice(EUTECTIC_KINDS, p=[0.75, 0.25]))
    # Coarser ones are told from cores of dendrites and from plates by nothing that the picture shows.
    spacing = float(np.exp(rng.uniform(np.log(5), np.log(24 if kind == "lamellar" else 12))))
    eutectic = Eutectic(
        kind=kind,
        spacing_px=spacing,
        second_fraction=float(rng.uniform(0.2, 0.6 if kind == "lamellar" else 0.4)),
        colony_size_px=float(np.clip(spacing * rng.uniform(5, 30), 30, 800)),
        spacing_spread=float(rng.uniform(0, 0.3)),
        waviness=float(rng.uniform(0, 0.4)),
        faults=float(min(rng.uniform(0, 2) * 1e4 / (spacing * 8) ** 2, 20)),
        contrast=random_contrast(rng),
    )
    return draw_eutectic(rng, shape, eutectic)
