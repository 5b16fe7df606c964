"""Draw a layer between two others: a coating, its oxide and the substrate, in section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError
from hea_sim.microscopy.noise_fields import smooth_noise
from hea_sim.microscopy.phase_contrast import PHASE_CLASSES
from hea_sim.microscopy.ranges import LONGEST_PX, check_ranges
from hea_sim.microscopy.scenes import Scene, checked_shape
from hea_sim.microscopy.shapes import coverage


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Describe a layer between two others; lengths in pixels.

    `levels` are the grey levels from top to bottom; `thickness_px` is the mean thickness of the layer, across it;
    `position` where its middle is, 0 top to 1 bottom; `tilt_deg` its slope; `roughness_px`, `roughness_length_px` rms
    and wavelength of the unevenness of either interface; `texture`, `texture_px` relative std and wavelength of grey
    inside layers.
    """

    levels: tuple[float, float, float] = (0.85, 0.4, 0.5)
    thickness_px: float = 120.0
    position: float = 0.5
    tilt_deg: float = 3.0
    roughness_px: float = 6.0
    roughness_length_px: float = 80.0
    texture: float = 0.03
    texture_px: float = 40.0

    def __post_init__(self) -> None:
        if len(self.levels) != 3 or not all(0 <= level <= 1 for level in self.levels):
            raise InputError(f"layers: levels {self.levels}; wanted three numbers from 0 to 1")
        check_ranges(
            "layers", self, thickness_px=(2, LONGEST_PX), position=(0, 1), tilt_deg=(-45, 45), texture=(0, 1),
            roughness_px=(0, 1000), roughness_length_px=(2, LONGEST_PX), texture_px=(2, LONGEST_PX),
        )  # fmt: skip


def draw_layers(rng: np.random.Generator, shape: tuple[int, int], layers: Layers) -> Scene:
    """Draw a layer (class 1) between two others (class 0), one below the other; classes of `PHASE_CLASSES`."""
    shape = checked_shape(shape)
    t = layers
    slope = np.tan(np.radians(t.tilt_deg))
    columns = np.arange(shape[1])
    middle = t.position * shape[0] + slope * (columns - 0.5 * shape[1])
    r = np.arange(shape[0], dtype=np.float32)[:, None]
    # Depth below the upper and the lower interface; an uneven interface is steeper than its tilt.
    depths = []
    for side in (-0.5, 0.5):
        wave = t.roughness_px * smooth_noise(rng, (2, shape[1]), t.roughness_length_px)[0]
        wave += 0.3 * t.roughness_px * smooth_noise(rng, (2, shape[1]), max(0.2 * t.roughness_length_px, 2.0))[0]
        line = middle + side * t.thickness_px * np.hypot(1, slope) + wave
        depths.append(((r - line) / np.hypot(1, np.gradient(line))).astype(np.float32))
    # Where interfaces cross, the layer is missing.
    top, bottom = depths[0], np.minimum(depths[1], depths[0])
    grey = np.full(shape, t.levels[0], np.float32)
    for depth, level in ((top, t.levels[1]), (bottom, t.levels[2])):
        grey += coverage(-depth) * (level - grey)
    if t.texture > 0:
        grey *= 1 + t.texture * smooth_noise(rng, shape, t.texture_px)
    labels = ((top >= 0) & (bottom < 0)).astype(np.uint8)
    return Scene(reflectance=np.clip(grey, 0, 1).astype(np.float32), labels=labels, classes=dict(PHASE_CLASSES))


def random_layers(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Draw a layer of any make between two others."""
    levels = rng.uniform(0.2, 0.95, 3)
    away = 0.08 * np.sign(levels[1] - levels[[0, 2]])
    high = float(shape[0])
    thickness = float(rng.uniform(0.06, 0.6))
    layers = Layers(
        levels=(
            float(np.clip(levels[0] - away[0], 0.12, 0.97)),
            float(levels[1]),
            float(np.clip(levels[2] - away[1], 0.12, 0.97)),
        ),
        thickness_px=thickness * high,
        # Both interfaces are in the field: a layer is told by having a neighbour on either side.
        position=float(rng.uniform(0.5 * thickness + 0.1, 0.9 - 0.5 * thickness)),
        tilt_deg=float(rng.normal(0, 5)) if rng.random() < 0.9 else float(rng.uniform(-30, 30)),
        roughness_px=float(np.exp(rng.uniform(np.log(0.5), np.log(0.03 * high + 1)))),
        roughness_length_px=float(rng.uniform(20, 250)),
        texture=float(rng.uniform(0, 0.06)),
        texture_px=float(rng.uniform(8, 100)),
    )
    return draw_layers(rng, shape, layers)
