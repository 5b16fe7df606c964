"""Label second phase and pores with thresholds and a watershed: the baseline that networks must beat.

It may say "no second phase": see `populations` for the evidence that it asks for. Known limits: one second phase, not
several; a precipitate that is as dark as a hole counts as a pore; strong channelling contrast of grains of a few tens
of pixels can look like two phases; holes thinner than a quarter of their length (cracks) are left to the matrix.

Labels do not change when the grey values are multiplied, nor when a constant is added to them and to `black_level`,
be they of 1e-300 or of 1e300: everything is computed of grey values between 0 and 1.
Contrast inversion swaps nothing but the pores: the matrix is told by being connected, not by being bright.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.filters import sobel
from skimage.measure import label
from skimage.morphology import disk
from skimage.segmentation import watershed

from hea_sim.errors import InputError
from hea_sim.records import Micrograph, Segmentation
from hea_vision.measurement.fractions import area_fraction
from hea_vision.segmentation.grey_range import GreyRange
from hea_vision.segmentation.populations import Cut, Limits, find_cut
from hea_vision.segmentation.pores import find_pores
from hea_vision.segmentation.preparation import denoise, noise_std, shading_surface

CLASSES = {0: "matrix", 1: "second phase", 2: "pore"}
MATRIX, SECOND_PHASE, PORE = 0, 1, 2
#: The decision level is taken as known to this part of the contrast, to either side.
LEVEL_UNCERTAINTY = 0.1
#: Holes that cover more of a field than this are none.
MOST_PORES = 0.3
#: Pixels around a pore that its bright rim may cover.
_RIM_PX = 10
#: Length over which the local levels of the two sides are averaged.
_LOCAL_PX = 20.0


def segment_classical(
    micrograph: Micrograph,
    *,
    pore_level: float = 0.45,
    black_level: float = 0.0,
    min_area_px: int = 12,
    limits: Limits | None = None,
) -> Segmentation:
    """Label matrix, second phase and pores.

    Parameters
    ----------
    micrograph
        One grey image; crop banners and burnt-in marks away first.
    pore_level
        A pore keeps less than this part of the signal of the matrix.
    black_level
        Grey value of no signal, 0 as instruments write it.
    min_area_px
        Smallest object that is kept, in pixels.
    limits
        What a second phase must show; None for the limits set on the training images.

    Returns
    -------
    Segmentation
        Its `metadata` holds the tried cuts, `second_phase` and `pore` with the reason where nothing was found.
    """
    if not 0 < pore_level < 0.65:
        raise InputError(f"pore_level is {pore_level}; wanted a number between 0 and 0.65, such as 0.45")
    if min_area_px < 1:
        raise InputError(f"min_area_px is {min_area_px}; wanted a whole number >= 1")
    limits = limits or Limits()
    try:
        grey = GreyRange.of(micrograph.image)
    except InputError as error:
        raise InputError(f"{micrograph.source or 'image'}: {error}") from error
    image = grey.unit(micrograph.image)
    std = noise_std(image)
    pores, pore_reason = find_pores(
        image, std, pore_level=pore_level, black_level=grey.level(black_level), min_area_px=min_area_px
    )
    if pores.mean() > MOST_PORES:
        pore_reason = f"dark areas cover {pores.mean():.0%} of the field: no holes, but another phase or a mask"
        pores = np.zeros_like(pores)
    usable = ~ndimage.binary_dilation(pores, disk(_RIM_PX)) if pores.any() else ~pores
    usable = usable if usable.mean() > 0.3 else ~pores
    flat = image - shading_surface(ndimage.gaussian_filter(image, 1.5), usable)
    cut, tried = find_cut(flat, usable, std, limits)
    labels = np.zeros(image.shape, np.uint8)
    bounds: tuple[float, float] | None = None
    if cut is not None:
        second, bounds = _particles(flat, usable, ~pores, cut, std, min_area_px)
        labels[second] = SECOND_PHASE
    labels[pores] = PORE
    metadata = {
        "noise_std": grey.length(std),
        **_findings(cut, tried, pores, pore_reason),
        "cuts": [_in_grey_values(c, grey) for c in tried],
        "settings": {"pore_level": pore_level, "black_level": black_level},
    }
    return _record(micrograph, labels, bounds, metadata)


def _in_grey_values(cut: Cut, grey: GreyRange) -> dict[str, object]:
    return cut.as_dict() | {"threshold": grey.grey(cut.threshold), "contrast": grey.length(cut.contrast)}


def _findings(cut: Cut | None, tried: list[Cut], pores: np.ndarray, pore_reason: str) -> dict[str, object]:
    if cut is not None:
        second = f"found: {cut.kind} cut after smoothing over {cut.sigma_px:g} px"
    else:
        nearest = max(tried, key=lambda c: c.held_out) if tried else None
        second = (
            f"none: the nearest cut fails its test ({nearest.reason})" if nearest else "none: too few pixels to judge"
        )
    return {
        "second_phase": second,
        "pore": "found" if pores.any() else f"none: {pore_reason or 'nothing dark, compact and sharp enough'}",
    }


def _particles(
    flat: np.ndarray, usable: np.ndarray, solid: np.ndarray, cut: Cut, std: float, min_area_px: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """Draw the second phase; give its mask and its area fractions at the two edges of the decision level."""
    smooth = denoise(flat, std, cut.sigma_px)
    sign = _sign_of_second_phase(smooth < cut.threshold, solid)
    level, contrast = _local_level(smooth, usable, cut.threshold)
    height = sign * (smooth - level)
    mask = _tidy((height > 0) & solid, min_area_px)
    # Boundaries settle on the steepest grey change; sure cores are the seeds.
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    reach = max(2.0, cut.sigma_px)
    seeds = np.zeros(flat.shape, np.int32)
    seeds[inside > reach] = 2
    seeds[outside > reach] = 1
    # Particles too small for a core of their own keep their brightest pixels as seed.
    pieces = label(mask)
    deepest = ndimage.maximum(inside, pieces, np.arange(pieces.max() + 1))
    small = (deepest[pieces] <= reach) & mask & (inside >= deepest[pieces])
    seeds[small] = 2
    grown = watershed(sobel(smooth), seeds) == 2
    mask = _tidy(grown & solid, min_area_px)
    edges = [float(np.mean((height > s * LEVEL_UNCERTAINTY * contrast) & solid)) for s in (1.0, -1.0)]
    middle = float(np.mean((height > 0) & solid))
    drawn = float(mask.mean())
    return mask, (drawn + edges[0] - middle, drawn + edges[1] - middle)


def _sign_of_second_phase(dark: np.ndarray, solid: np.ndarray) -> float:
    """Give -1 where the second phase is dark, 1 where it is bright: the matrix has the larger connected piece."""
    pieces = []
    for side in (dark & solid, ~dark & solid):
        opened = ndimage.binary_opening(side, disk(1))
        numbered = label(opened, connectivity=1)
        pieces.append(int(np.bincount(numbered.ravel())[1:].max()) if numbered.max() else 0)
    return -1.0 if pieces[1] >= pieces[0] else 1.0


def _local_level(smooth: np.ndarray, usable: np.ndarray, threshold: float) -> tuple[np.ndarray, float]:
    """Move the decision level with the local levels of the two sides."""
    level = np.full(smooth.shape, threshold)
    contrast = 0.0
    for _ in range(3):
        sides = []
        for side in ((smooth < level) & usable, (smooth >= level) & usable):
            whole = float(smooth[side].mean()) if side.any() else threshold
            weight = ndimage.gaussian_filter(side.astype(float), _LOCAL_PX)
            total = ndimage.gaussian_filter(np.where(side, smooth, 0.0), _LOCAL_PX)
            # Far from any pixel of a side its level falls back to that of the whole field.
            sides.append((total + 0.02 * whole) / (weight + 0.02))
        level = 0.5 * (sides[0] + sides[1])
        contrast = float(np.median(sides[1] - sides[0]))
    return level, contrast


def _tidy(mask: np.ndarray, min_area_px: int) -> np.ndarray:
    """Drop specks, and fill holes of the size of specks."""
    for value in (True, False):
        numbered = label(mask == value, connectivity=1)
        area = np.bincount(numbered.ravel())
        specks = (area < (min_area_px if value else 3 * min_area_px))[numbered] & (numbered > 0)
        mask = np.where(specks, not value, mask)
    return mask


def _record(
    micrograph: Micrograph, labels: np.ndarray, bounds: tuple[float, float] | None, metadata: dict[str, object]
) -> Segmentation:
    fractions = {
        CLASSES[SECOND_PHASE]: area_fraction(labels, SECOND_PHASE, level_bounds=bounds),
        CLASSES[PORE]: area_fraction(labels, PORE),
    }
    objects = {CLASSES[c]: int(label(labels == c, connectivity=2).max()) for c in (SECOND_PHASE, PORE)}
    return Segmentation(
        labels=labels,
        classes=dict(CLASSES),
        pixel_size_nm=micrograph.pixel_size_nm,
        fractions=fractions,
        objects=objects,
        model="classical",
        source=micrograph.source,
        metadata=metadata,
    )
