"""Draw a layer between two others: a coating, its oxide and the substrate, in section."""

from __future__ import annotations

import numpy as np

from hea_sim.errors import InputError
from hea_sim.microscopy.noise_fields import smooth_noise
from hea_sim.microscopy.phase_contrast import PHASE_CLASSES, checked_px
from hea_sim.microscopy.scenes import Scene, checked_shape
from hea_sim.microscopy.shapes import coverage


def draw_layers(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    levels: tuple[float, float, float] = (0.85, 0.4, 0.5),
    thickness_px: float = 120.0,
    position: float = 0.5,
    tilt_deg: float = 3.0,
    roughness_px: float = 6.0,
    roughness_length_px: float = 80.0,
    texture: float = 0.03,
    texture_px: float = 40.0,
) -> Scene:
    """Draw a layer (class 1) between two others (class 0), one below the other.

    Parameters
    ----------
    rng
        Draws everything.
    shape
        Rows and columns.
    levels
        Grey levels from top to bottom.
    thickness_px
        Mean thickness of the layer, across it.
    position
        Where its middle is, 0 top to 1 bottom.
    tilt_deg
        Slope of the layer.
    roughness_px, roughness_length_px
        Rms and wavelength of the unevenness of either interface.
    texture, texture_px
        Relative std and wavelength of grey inside layers.
    """
    shape = checked_shape(shape)
    checked_px(thickness_px, "layers: thickness_px", 2)
    checked_px(roughness_length_px, "layers: roughness_length_px", 2)
    checked_px(texture_px, "layers: texture_px", 2)
    if len(levels) != 3 or not all(0 <= level <= 1 for level in levels):
        raise InputError(f"layers: levels {levels}; wanted three numbers from 0 to 1")
    if not (abs(tilt_deg) <= 45 and 0 <= position <= 1 and 0 <= roughness_px <= 1000 and 0 <= texture <= 1):
        raise InputError(
            f"layers: tilt {tilt_deg} degrees, position {position}, roughness {roughness_px} px, texture {texture};"
            " wanted at most 45 degrees, 0 to 1, 0 to 1000 px, 0 to 1"
        )
    slope = np.tan(np.radians(tilt_deg))
    columns = np.arange(shape[1])
    middle = position * shape[0] + slope * (columns - 0.5 * shape[1])
    r = np.arange(shape[0], dtype=np.float32)[:, None]
    # Depth below the upper and the lower interface; an uneven interface is steeper than its tilt.
    depths = []
    for side in (-0.5, 0.5):
        wave = roughness_px * smooth_noise(rng, (2, shape[1]), roughness_length_px)[0]
        wave += 0.3 * roughness_px * smooth_noise(rng, (2, shape[1]), max(0.2 * roughness_length_px, 2.0))[0]
        line = middle + side * thickness_px * np.hypot(1, slope) + wave
        depths.append(((r - line) / np.hypot(1, np.gradient(line))).astype(np.float32))
    # Where interfaces cross, the layer is missing.
    top, bottom = depths[0], np.minimum(depths[1], depths[0])
    grey = np.full(shape, levels[0], np.float32)
    for depth, level in ((top, levels[1]), (bottom, levels[2])):
        grey += coverage(-depth) * (level - grey)
    if texture > 0:
        grey *= 1 + texture * smooth_noise(rng, shape, texture_px)
    labels = ((top >= 0) & (bottom < 0)).astype(np.uint8)
    return Scene(reflectance=np.clip(grey, 0, 1).astype(np.float32), labels=labels, classes=dict(PHASE_CLASSES))


def random_layers(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Draw a layer of any make between two others."""
    levels = rng.uniform(0.2, 0.95, 3)
    away = 0.08 * np.sign(levels[1] - levels[[0, 2]])
    high = float(shape[0])
    thickness = float(rng.uniform(0.06, 0.6))
    return draw_layers(
        rng,
        shape,
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
