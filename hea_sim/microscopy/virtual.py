"""Draw virtual micrographs with their exact truth: a scene of known classes, photographed by an instrument.

The scene is drawn first, one class per pixel, and never touched again; the instrument (shading, blur, counting noise,
scan lines) acts on the grey values only. So the truth is exact, whatever the picture looks like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hea_sim.errors import InputError, unknown_name
from hea_sim.microscopy.columns import draw_columns
from hea_sim.microscopy.instrument import SemInstrument, photograph
from hea_sim.microscopy.sections import Section, draw_section

if TYPE_CHECKING:
    from ase import Atoms

#: Imaging mode -> the exposure that its settings change.
_EXPOSURES = {"sem": SemInstrument(), "haadf": SemInstrument(shading=0.02, blur_px=0.5, counts_per_pixel=150.0)}
MODALITIES = tuple(_EXPOSURES)
#: Imaging mode -> what can be set about the scene.
_SCENE_SETTINGS = {
    "sem": tuple(f.name for f in fields(Section)),
    "haadf": (
        "probe_fwhm_nm", "axis", "rotation_deg", "exponent", "thermal_nm", "tails", "background", "tolerance_nm",
    ),
}  # fmt: skip
_EXPOSURE_SETTINGS = tuple(f.name for f in fields(SemInstrument))


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
    classes: Mapping[int, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    instances: np.ndarray | None = None
    points: np.ndarray | None = None

    def area_fraction(self, name: str) -> float:
        """Give the exact area fraction of a class by its name."""
        numbers = {text: number for number, text in self.classes.items()}
        if name not in numbers:
            raise unknown_name("class", name, numbers)
        return float(np.mean(self.labels == numbers[name]))


def virtual_micrograph(
    subject: Atoms | None = None,
    *,
    modality: str,
    shape: tuple[int, int] | None = None,
    pixel_size_nm: float,
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
    seed
        Seed of, or, the `numpy.random.Generator` that draws everything.
    **settings
        Fields of `SemInstrument`, and of `hea_sim.microscopy.sections.Section` ("sem": area fractions, sizes,
        contrasts) or parameters of `hea_sim.microscopy.columns.draw_columns` ("haadf").

    Examples
    --------
    >>> drawn = virtual_micrograph(
    ...     modality="sem", shape=(64, 64), pixel_size_nm=50.0, seed=1, pore_area_fraction=0.05, blur_px=1.2
    ... )
    >>> drawn.image.dtype.name, dict(drawn.classes), round(drawn.area_fraction("pore"), 2)
    ('float32', {0: 'matrix', 1: 'second phase', 2: 'pore'}, 0.05)
    """
    if modality not in MODALITIES:
        raise unknown_name("modality", modality, MODALITIES)
    if not 0 < pixel_size_nm < 1e9:
        raise InputError(f"virtual micrograph: pixel size {pixel_size_nm} nm; wanted a positive number")
    of_scene, of_exposure = _told_apart(modality, settings)
    instrument = replace(_EXPOSURES[modality], **of_exposure)
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(seed)
    if modality == "sem":
        if subject is not None:
            raise InputError('virtual micrograph: "sem" draws no atoms; wanted modality "haadf", or no atoms')
        section = Section(**of_scene)
        of_scene = asdict(section)
        scene = draw_section(rng, shape or (512, 512), section)
    else:
        if subject is None:
            raise InputError(
                'virtual micrograph: "haadf" needs the atoms of a cell, such as those of anneal(...).atoms'
            )
        scene = draw_columns(subject, rng, pixel_size_nm=pixel_size_nm, shape=shape, **of_scene)
    return VirtualMicrograph(
        image=photograph(scene.reflectance, instrument, rng),
        labels=scene.labels,
        pixel_size_nm=float(pixel_size_nm),
        classes=scene.classes,
        instances=scene.instances,
        points=scene.points,
        settings={
            "modality": modality,
            "shape": [int(n) for n in scene.labels.shape],
            "seed": None if isinstance(seed, np.random.Generator) else int(seed),
            **of_scene,
            **asdict(instrument),
        },
    )


def _told_apart(modality: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the settings of the scene and those of the exposure."""
    known = (*_SCENE_SETTINGS[modality], *_EXPOSURE_SETTINGS)
    for name in settings:
        if name not in known:
            raise unknown_name("setting of the virtual micrograph", name, known)
    exposing = {name: value for name, value in settings.items() if name in _EXPOSURE_SETTINGS}
    return {name: value for name, value in settings.items() if name not in exposing}, exposing
