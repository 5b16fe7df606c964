"""Virtual micrographs drawn at random, whole: a scene, an instrument, a picture with its truth."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
from scipy import ndimage

from hea_sim.errors import unknown_name
from hea_sim.microscopy.instrument import SemInstrument, draw_instrument, photograph
from hea_sim.microscopy.scenes import MATRIX_LEVEL, Scene
from hea_sim.microscopy.virtual import VirtualMicrograph

#: Kind of microstructure -> the module and the function that draws one at random.
_DRAWERS = {
    "precipitates": ("hea_sim.microscopy.random_precipitates", "random_precipitates"),
    "grains": ("hea_sim.microscopy.grains", "random_grains"),
    "phases": ("hea_sim.microscopy.phases", "random_phases"),
    "columns": ("hea_sim.microscopy.random_columns", "random_columns"),
}
KINDS = tuple(_DRAWERS)
#: Contrast of the scene over the noise of a pixel below which nothing could be labelled by anybody.
_LEAST_CONTRAST_TO_NOISE = 1.2
_ENLARGED_SHARE = 0.15


def draw_field(
    kind: str, rng: np.random.Generator, shape: tuple[int, int] = (512, 512), *, pixel_size_nm: float = 10.0
) -> VirtualMicrograph:
    """Draw a virtual micrograph of a kind of microstructure at random.

    Parameters
    ----------
    kind
        One of `KINDS`.
    rng
        Draws everything.
    pixel_size_nm
        Edge length of a pixel; it scales nothing, pictures are drawn in pixels.
    """
    if kind not in _DRAWERS:
        raise unknown_name("kind of microstructure", kind, KINDS)
    module, name = _DRAWERS[kind]
    draw: Callable[[np.random.Generator, tuple[int, int]], Scene] = getattr(importlib.import_module(module), name)
    zoom = float(rng.uniform(1.3, 2.2)) if rng.random() < _ENLARGED_SHARE and kind != "columns" else 1.0
    small = (max(32, round(shape[0] / zoom)), max(32, round(shape[1] / zoom))) if zoom > 1 else shape
    scene = draw(rng, small)
    instrument = _legible(draw_instrument(rng), scene)
    if kind == "columns":  # an annular detector inverts nothing, and a thin foil does not charge
        instrument = replace(instrument, inverted=False, charging=0.0, curtaining=0.0)
    image = photograph(scene.reflectance, instrument, rng)
    if zoom > 1:
        image, scene = _enlarged(image, scene, shape)
    return VirtualMicrograph(
        image=image,
        labels=scene.labels,
        pixel_size_nm=pixel_size_nm,
        classes=scene.classes,
        instances=scene.instances,
        points=scene.points,
        settings={"kind": kind, "zoom": zoom, **asdict(instrument)},
    )


def _legible(instrument: SemInstrument, scene: Scene) -> SemInstrument:
    """Give a noisy exposure enough counts for the contrast that the scene has."""
    contrast = max(float(scene.reflectance.std()), 0.01)
    std = np.sqrt(MATRIX_LEVEL / instrument.counts_per_pixel + instrument.detector_noise**2)
    if contrast / std >= _LEAST_CONTRAST_TO_NOISE:
        return instrument
    wanted = contrast / _LEAST_CONTRAST_TO_NOISE
    return replace(instrument, counts_per_pixel=2 * MATRIX_LEVEL / wanted**2, detector_noise=0.5 * wanted)


def _enlarged(image: np.ndarray, scene: Scene, shape: tuple[int, int]) -> tuple[np.ndarray, Scene]:
    """Enlarge a picture as a user does before handing it on; its truth goes along by the nearest pixel."""
    rows = np.minimum(((np.arange(shape[0]) + 0.5) * image.shape[0] / shape[0]).astype(int), image.shape[0] - 1)
    columns = np.minimum(((np.arange(shape[1]) + 0.5) * image.shape[1] / shape[1]).astype(int), image.shape[1] - 1)
    factors = (shape[0] / image.shape[0], shape[1] / image.shape[1])
    large = np.clip(ndimage.zoom(image, factors, order=1, grid_mode=True, mode="nearest"), 0, 1)
    pick = np.ix_(rows, columns)
    return large.astype(np.float32), replace(
        scene,
        reflectance=scene.reflectance[pick],
        labels=scene.labels[pick],
        instances=None if scene.instances is None else scene.instances[pick],
    )
