"""Draw polycrystals with their exact truth: grains, boundaries, annealing twins, laths, etched or by channelling."""

from __future__ import annotations

import numpy as np

from hea_sim.errors import InputError
from hea_sim.microscopy.grain_contrast import GrainContrast, grey_levels
from hea_sim.microscopy.grain_forms import GrainForm, GrainMap, form_grains
from hea_sim.microscopy.scenes import Scene, checked_shape

GRAIN_CLASSES = {0: "grain", 1: "grain boundary"}


def draw_grains(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    grain_size_px: float = 40.0,
    boundary_width_px: float = 2.5,
    twins_are_grains: bool = True,
    form: GrainForm | None = None,
    contrast: GrainContrast | None = None,
) -> Scene:
    """Draw a polycrystal.

    Parameters
    ----------
    rng
        Draws everything.
    shape
        Rows and columns.
    grain_size_px
        Diameter of the circle whose area is the mean area of a grain (of a lath, where the form has colonies).
    boundary_width_px
        Pixels whose centre lies within half of this of a boundary between two grains are labelled 1, whatever the
        contrast shows there: a facet that did not etch is still a boundary.
    twins_are_grains
        Whether twins, and the parts of a grain between them, are grains of their own with boundaries. ASTM E112 takes
        no notice of twins: then False.
    form, contrast
        Shapes and grey levels.

    Returns
    -------
    Scene
        Classes `GRAIN_CLASSES`; `instances` 1, 2, ... tile the field.

    Examples
    --------
    >>> scene = draw_grains(np.random.default_rng(0), (64, 64), grain_size_px=20.0)
    >>> int(scene.instances.min()), sorted(np.unique(scene.labels).tolist())
    (1, [0, 1])
    """
    shape = checked_shape(shape)
    if not 1 <= boundary_width_px <= 12:
        raise InputError(f"grains: boundary_width_px is {boundary_width_px}; wanted a number from 1 to 12")
    grains = form_grains(rng, shape, grain_size_px, form or GrainForm())
    near = np.minimum(grains.tiling.near, grains.twin_near) if twins_are_grains else grains.tiling.near
    return Scene(
        reflectance=grey_levels(rng, grains, contrast or GrainContrast()),
        labels=(near <= 0.5 * boundary_width_px).astype(np.uint8),
        classes=dict(GRAIN_CLASSES),
        instances=_numbered(grains, twins_are_grains),
    )


def _numbered(grains: GrainMap, twins_are_grains: bool) -> np.ndarray:
    """Number what is in the picture from 1, in order."""
    raw = grains.piece if twins_are_grains else grains.tiling.cell
    table = np.cumsum(np.bincount(raw.ravel()) > 0, dtype=np.int32)
    return np.asarray(table[raw], np.int32)


def random_grains(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Draw a polycrystal of any make: grains of 8 to 150 px, etched dark or bright, by channelling, or both."""
    if rng.random() < 0.12:
        width, aspect = float(np.exp(rng.uniform(np.log(5), np.log(35)))), float(rng.uniform(2.5, 9))
        kind = "film" if rng.random() < 0.6 else _random_kind(rng)
        contrast = random_contrast(rng, kind, 1.5 * width)
        size = width * float(np.sqrt(aspect))
        return draw_grains(rng, shape, grain_size_px=size, form=_random_laths(rng, width, aspect), contrast=contrast)
    size = float(np.exp(rng.uniform(np.log(8), np.log(150))))
    contrast = random_contrast(rng, _random_kind(rng), size)
    return draw_grains(rng, shape, grain_size_px=size, form=_random_form(rng, size), contrast=contrast)


def _random_kind(rng: np.random.Generator) -> str:
    return str(rng.choice(["etched", "bright", "channelling", "both"], p=[0.45, 0.1, 0.25, 0.2]))


def _random_form(rng: np.random.Generator, size: float) -> GrainForm:
    length = float(np.clip(size * np.exp(rng.uniform(np.log(0.25), np.log(2.0))), 6, 400))
    twinned = rng.random() < 0.3 and size > 20
    # Rolled grains stay wider than their boundaries.
    longest = float(np.clip((size / 6) ** 2, 1.0, 5.0))
    return GrainForm(
        size_spread=float(rng.uniform(0.1, 0.65)),
        relaxation_steps=int(rng.integers(0, 5)),
        waviness_px=float(rng.uniform(0, 0.08) * length) * (rng.random() < 0.8),
        waviness_length_px=length,
        elongation=float(np.exp(rng.uniform(0, np.log(longest)))) if rng.random() < 0.25 else 1.0,
        elongation_deg=float(rng.choice([0.0, 90.0]) if rng.random() < 0.5 else rng.uniform(0, 180)),
        fused_fraction=float(rng.uniform(0.1, 0.5)) if rng.random() < 0.3 else 0.0,
        twinned_fraction=float(rng.uniform(0.1, 0.8)) if twinned else 0.0,
        twin_width_px=float(np.clip(size * rng.uniform(0.08, 0.4), 2.5, 60)),
        twin_bands=float(rng.uniform(1.0, 2.5)),
    )


def _random_laths(rng: np.random.Generator, width: float, aspect: float) -> GrainForm:
    length = float(np.clip(2 * width, 12, 80))
    return GrainForm(
        size_spread=float(rng.uniform(0.3, 0.6)),
        relaxation_steps=int(rng.integers(0, 2)),
        waviness_px=float(rng.uniform(0.01, 0.06) * length),
        waviness_length_px=length,
        elongation=aspect,
        colony_size_px=float(max(width * rng.uniform(6, 25), 60.0)),
    )


def random_contrast(rng: np.random.Generator, kind: str, size: float) -> GrainContrast:
    """Draw grey levels of grains of `size` px: "etched" dark lines, "bright" lines, "film", "channelling" or "both"."""
    widest = float(np.clip(0.14 * size, 1.2, 5.0))
    common = {
        "gradient": float(rng.uniform(0, 0.05)) * (rng.random() < 0.6),
        "pits": float(np.exp(rng.uniform(np.log(0.1), np.log(6)))) * (rng.random() < 0.5),
        "pit_px": float(rng.uniform(0.8, 3.0)),
        "inclusions": float(np.exp(rng.uniform(np.log(0.1), np.log(2)))) * (rng.random() < 0.4),
        "inclusion_px": float(rng.uniform(2, 8)),
        "inclusion_level": float(rng.choice([0.06, 0.2, 0.9], p=[0.6, 0.25, 0.15])),
        "scratches": float(rng.uniform(0.01, 0.1)) * (rng.random() < 0.25),
        "relief": float(rng.uniform(0.02, 0.12)) * (rng.random() < 0.25),
    }
    if kind == "channelling":
        faint = rng.random() < 0.25
        return GrainContrast(
            level=float(rng.uniform(0.4, 0.6)), channelling=float(rng.uniform(0.1, 0.35)),
            line_strength=float(rng.uniform(0.1, 0.4)) if faint else 0.0, line_width_px=1.0,
            line_level=float(rng.choice([0.15, 0.85])), **common,
        )  # fmt: skip
    bright = kind in ("bright", "film") or (kind == "both" and rng.random() < 0.2)
    line = float(rng.uniform(0.7, 0.95)) if bright else float(rng.uniform(0.03, 0.35))
    level = float(rng.uniform(0.25, 0.5)) if bright else float(rng.uniform(0.5, 0.85))
    tint = float(rng.uniform(0.08, 0.3)) if kind == "both" else float(rng.uniform(0.0, 0.06))
    return GrainContrast(
        level=level, channelling=tint, line_level=line,
        line_strength=float(rng.uniform(0.5, 1.0)), line_width_px=float(rng.uniform(1.0, widest)),
        line_variation=float(rng.uniform(0, 0.4)), line_softness_px=float(rng.uniform(1.0, 2.5)),
        gap_fraction=float(rng.uniform(0.01, 0.12)) * (rng.random() < 0.5),
        broken_fraction=float(rng.uniform(0.01, 0.12)) * (rng.random() < 0.5),
        junction_px=float(rng.uniform(0.3, 0.5 * widest)) * (rng.random() < (0.9 if kind == "film" else 0.35)),
        twin_strength=float(rng.uniform(0.2, 1.0)),
        island_fraction=float(rng.uniform(0.05, 0.35)) * (rng.random() < 0.3),
        island_px=float(rng.uniform(0.8, 1.6) * widest), **common,
    )  # fmt: skip
