"""Draw virtual micrographs: grains, pores and precipitates through an instrument, with the truth kept.

The scene is drawn first, one class per pixel, and never touched again; the instrument (shading, blur, counting
noise, scan lines) acts on the grey values only. So the truth is exact, whatever the picture looks like.

| step | grey value |
|---|---|
| matrix | `MATRIX_LEVEL (1 + channelling_contrast u)`, u one normal number a grain |
| second phase | `MATRIX_LEVEL (1 + second_phase_contrast)` |
| pore | `PORE_LEVEL`, with a bright rim on the side of the detector |
| instrument | times shading, blurred, Poisson counts, plus one offset a scan line |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from hea_sim.errors import InputError, unknown_name

if TYPE_CHECKING:
    from ase import Atoms

#: Imaging modes that can be drawn.
MODALITIES = ("sem", "haadf")
#: Class numbers of the truth, the same as those of the segmenters.
CLASSES = {0: "matrix", 1: "second phase", 2: "pore"}
MATRIX_LEVEL = 0.5
PORE_LEVEL = 0.05
#: Random sequential placing jams well before this.
_MAX_FRACTION = 0.4
#: Places tried in a row before an area counts as full.
_TRIES = 5_000


@dataclass(frozen=True, kw_only=True, eq=False)
class VirtualMicrograph:
    """Hold a virtual micrograph and the truth behind it.

    `image` (rows, columns) float32 in 0..1; `labels` (rows, columns) uint8, named by `classes`; `instances` (rows,
    columns) int32, an object per pixel, and `points` (n, 3) row, column, intensity, where the kind of picture has them;
    `settings` redraws it.
    """

    image: np.ndarray
    labels: np.ndarray
    pixel_size_nm: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    classes: Mapping[int, str] = field(default_factory=lambda: dict(CLASSES))
    instances: np.ndarray | None = None
    points: np.ndarray | None = None

    def area_fraction(self, name: str) -> float:
        """Give the exact area fraction of a class by its name."""
        numbers = {text: number for number, text in self.classes.items()}
        if name not in numbers:
            raise unknown_name("class", name, numbers)
        return float(np.mean(self.labels == numbers[name]))


@dataclass(frozen=True, kw_only=True)
class _Sem:
    """Hold the knobs of a scanning electron micrograph; lengths in pixels, contrasts relative to the matrix."""

    grain_size_px: float = 90.0
    channelling_contrast: float = 0.03
    precipitate_diameter_px: float = 18.0
    second_phase_contrast: float = -0.25
    pore_diameter_px: float = 18.0
    shading: float = 0.08
    blur_px: float = 0.8
    counts_per_pixel: float = 400.0
    scan_line_noise: float = 0.004
    rim_brightness: float = 0.15


def virtual_micrograph(
    subject: Atoms | None = None,
    *,
    modality: str,
    shape: tuple[int, int] | None = None,
    pixel_size_nm: float,
    pore_area_fraction: float = 0.0,
    second_phase_area_fraction: float = 0.0,
    seed: int | np.random.Generator,
    **settings: Any,
) -> VirtualMicrograph:
    """Draw a virtual micrograph with exact truth.

    Parameters
    ----------
    subject
        The atoms of a simulated cell, for "haadf"; nothing for "sem".
    modality
        One of `MODALITIES`: "sem" draws grains, pores and a second phase, "haadf" the columns of `subject`.
    shape
        Rows and columns, each at least 32; None for 512 x 512, and of atoms for all columns.
    pixel_size_nm
        Edge length of a pixel in nm; a "sem" picture is drawn in pixels and only carries it.
    pore_area_fraction, second_phase_area_fraction
        Fractions of the area, 0 to 0.4; met to the nearest particle of a few pixels.
    seed
        Seed of, or, the `numpy.random.Generator` that draws everything.
    **settings
        `grain_size_px`, `channelling_contrast`, `precipitate_diameter_px`, `second_phase_contrast`,
        `pore_diameter_px`, `shading`, `blur_px`, `counts_per_pixel`, `scan_line_noise`, `rim_brightness`; for "haadf"
        those of `hea_sim.microscopy.columns.draw_columns` and `SemInstrument`.

    Examples
    --------
    >>> drawn = virtual_micrograph(modality="sem", shape=(64, 64), pixel_size_nm=50.0, seed=1)
    >>> drawn.image.dtype.name, int(drawn.labels.max())
    ('float32', 0)
    """
    if modality not in MODALITIES:
        raise unknown_name("modality", modality, MODALITIES)
    if modality == "haadf":
        return _haadf(subject, shape, pixel_size_nm, seed, settings)
    if subject is not None:
        raise InputError('virtual micrograph: "sem" draws no atoms; wanted modality "haadf", or no atoms')
    shape = (512, 512) if shape is None else shape
    knobs = _knobs(settings)
    _check(shape, pixel_size_nm, pore_area_fraction, second_phase_area_fraction)
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    _place(labels, 2, pore_area_fraction, knobs.pore_diameter_px, rng)
    _place(labels, 1, second_phase_area_fraction, knobs.precipitate_diameter_px, rng)
    image = _photograph(_scene(labels, knobs, rng), knobs, rng)
    labels.flags.writeable = False
    kept = {
        "modality": modality,
        "shape": [int(n) for n in shape],
        "pore_area_fraction": pore_area_fraction,
        "second_phase_area_fraction": second_phase_area_fraction,
        "seed": None if isinstance(seed, np.random.Generator) else int(seed),
        **asdict(knobs),
    }
    return VirtualMicrograph(image=image, labels=labels, pixel_size_nm=float(pixel_size_nm), settings=kept)


def _haadf(
    atoms: Atoms | None,
    shape: tuple[int, int] | None,
    pixel_size_nm: float,
    seed: int | np.random.Generator,
    settings: Mapping[str, Any],
) -> VirtualMicrograph:
    """Photograph the columns of a simulated cell; what both know of the settings goes to each."""
    from hea_sim.microscopy.columns import draw_columns
    from hea_sim.microscopy.instrument import SemInstrument, photograph

    if atoms is None:
        raise InputError('virtual micrograph: "haadf" needs the atoms of a cell, such as those of anneal(...).atoms')
    drawing = ("probe_fwhm_nm", "axis", "rotation_deg", "exponent", "thermal_nm", "tails", "background", "tolerance_nm")
    exposing = {f.name for f in fields(SemInstrument)}
    for name in settings:
        if name not in drawing and name not in exposing:
            raise unknown_name("setting of the virtual micrograph", name, sorted({*drawing, *exposing}))
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(seed)
    scene = draw_columns(
        atoms, rng, pixel_size_nm=pixel_size_nm, shape=shape, **{k: v for k, v in settings.items() if k in drawing}
    )
    instrument = SemInstrument(**{"shading": 0.02, "blur_px": 0.5, "counts_per_pixel": 150.0} | {
        k: v for k, v in settings.items() if k in exposing
    })  # fmt: skip
    return VirtualMicrograph(
        image=photograph(scene.reflectance, instrument, rng),
        labels=scene.labels,
        pixel_size_nm=float(pixel_size_nm),
        classes=scene.classes,
        instances=scene.instances,
        points=scene.points,
        settings={
            "modality": "haadf",
            "shape": [int(n) for n in scene.labels.shape],
            "seed": None if isinstance(seed, np.random.Generator) else int(seed),
            **settings,
        },
    )


def _knobs(settings: Mapping[str, float]) -> _Sem:
    known = asdict(_Sem())
    for name, value in settings.items():
        if name not in known:
            raise unknown_name("setting of the virtual micrograph", name, known)
        if not np.isfinite(value) or (value < 0 and name != "second_phase_contrast"):
            raise InputError(f"virtual micrograph: {name} is {value}; wanted a finite number >= 0")
    knobs = _Sem(**settings)
    for name in ("grain_size_px", "precipitate_diameter_px", "pore_diameter_px", "counts_per_pixel"):
        if getattr(knobs, name) < 1:
            raise InputError(f"virtual micrograph: {name} is {getattr(knobs, name)}; wanted at least 1")
    return knobs


def _check(shape: tuple[int, int], pixel_size_nm: float, pores: float, second: float) -> None:
    if len(shape) != 2 or min(shape) < 32:
        raise InputError(f"virtual micrograph: shape {shape}; wanted two numbers of at least 32 pixels")
    if not 0 < pixel_size_nm < 1e9:
        raise InputError(f"virtual micrograph: pixel size {pixel_size_nm} nm; wanted a positive number")
    if not (pores >= 0 and second >= 0 and pores + second <= _MAX_FRACTION):
        raise InputError(
            f"virtual micrograph: area fractions {pores:g} of pores and {second:g} of second phase;"
            f" wanted numbers >= 0 that sum to at most {_MAX_FRACTION}"
        )


def _place(labels: np.ndarray, number: int, fraction: float, diameter_px: float, rng: np.random.Generator) -> None:
    """Put spheroids that do not touch anything into `labels` until the fraction is met."""
    target = round(fraction * labels.size)
    missing, in_vain = target, 0
    while in_vain < _TRIES:
        # Less than a speck is left: stop, the truth counts pixels anyway.
        if missing < max(4, 0.02 * target):
            return
        wanted = diameter_px * np.exp(0.2 * rng.standard_normal())
        d = min(wanted, 2.0 * np.sqrt(missing / np.pi))
        row, column = rng.uniform(0, labels.shape[0]), rng.uniform(0, labels.shape[1])
        aspect, angle = rng.uniform(0.75, 1.0), rng.uniform(0, np.pi)
        reach = int(np.ceil(0.5 * d / np.sqrt(aspect))) + 2
        top, left = max(int(row) - reach, 0), max(int(column) - reach, 0)
        part = labels[top : int(row) + reach + 2, left : int(column) + reach + 2]
        y, x = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
        u = (y - row) * np.cos(angle) + (x - column) * np.sin(angle)
        v = (x - column) * np.cos(angle) - (y - row) * np.sin(angle)
        radius = np.hypot(u * np.sqrt(aspect), v / np.sqrt(aspect))
        if part[radius <= 0.5 * d + 2].any():
            in_vain += 1
            continue
        in_vain = 0
        inside = radius <= 0.5 * d
        part[inside] = number
        missing -= int(inside.sum())
    raise InputError(
        f"virtual micrograph: no room for {CLASSES[number]} at area fraction {fraction:g};"
        " wanted a smaller fraction, smaller particles or a larger shape"
    )


def _scene(labels: np.ndarray, knobs: _Sem, rng: np.random.Generator) -> np.ndarray:
    rows, columns = labels.shape
    n_grains = max(1, round(labels.size / knobs.grain_size_px**2))
    seeds = rng.uniform(0, 1, (n_grains, 2)) * labels.shape
    grid = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1)
    grain = cKDTree(seeds).query(grid.reshape(-1, 2))[1].reshape(labels.shape)
    level = rng.standard_normal(n_grains)
    scene = MATRIX_LEVEL * (1.0 + knobs.channelling_contrast * level[grain])
    # The edge of a pore that faces the detector (here: below it) emits more secondary electrons.
    pore = labels == 2
    lower = ndimage.shift(ndimage.gaussian_filter(pore.astype(float), 1.5), (2, 0), order=1)
    scene = scene + np.where(pore, 0.0, knobs.rim_brightness * lower)
    scene[labels == 1] = MATRIX_LEVEL * (1.0 + knobs.second_phase_contrast)
    scene[pore] = PORE_LEVEL
    return scene


def _photograph(scene: np.ndarray, knobs: _Sem, rng: np.random.Generator) -> np.ndarray:
    rows, columns = scene.shape
    y, x = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)[None, :]
    a, b, c = rng.uniform(-1, 1, 3)
    seen = scene * (1.0 + knobs.shading * (a * x + b * y + c * (x**2 + y**2 - 1)) / 2)
    seen = ndimage.gaussian_filter(seen, knobs.blur_px)
    seen = rng.poisson(np.clip(seen, 0, None) * knobs.counts_per_pixel) / knobs.counts_per_pixel
    seen = seen + knobs.scan_line_noise * rng.standard_normal((rows, 1))
    return np.clip(seen, 0, 1).astype(np.float32)
