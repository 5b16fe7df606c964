"""Label a micrograph with a trained network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from hea_sim.errors import InputError
from hea_sim.records import Micrograph, Segmentation
from hea_vision.segmentation.columns import find_columns
from hea_vision.segmentation.grain_instances import split_grains
from hea_vision.segmentation.intervals import field_fraction
from hea_vision.segmentation.models import TrainedSegmenter
from hea_vision.segmentation.objects import one_class_an_object
from hea_vision.segmentation.picture_numbers import describe
from hea_vision.segmentation.prediction import TILE_PX, predict_tiles

#: Images with more pixels get labels and fractions, but no maps of probability.
LARGE_PX = 50_000_000
_BOTH_NEEDED = 0.02


@dataclass(kw_only=True)
class _Areas:
    """Add up, tile by tile, how much each class covers and how much of it is ambiguous."""

    covered: np.ndarray
    ambiguous: np.ndarray
    uncertain: float = 0.0
    pixels: int = 0

    def add(self, p: np.ndarray, labels: np.ndarray) -> None:
        n = labels.size
        self.covered += np.bincount(labels.ravel(), minlength=len(p))
        self.ambiguous += np.minimum(p, 1 - p).sum((1, 2), dtype=np.float64)
        self.uncertain += float((1 - p.max(0)).sum(dtype=np.float64))
        self.pixels += n


def segment_with(
    segmenter: TrainedSegmenter, micrograph: Micrograph, *, views: int = 1, tile_px: int = TILE_PX, device: str = "cpu"
) -> Segmentation:
    """Label a micrograph.

    Parameters
    ----------
    segmenter
        From `load_segmenter`.
    views
        1, or up to 8 turned and mirrored views whose probabilities are averaged: better, and as many times slower. A
        segmenter that knows top from bottom has two.
    tile_px
        Edge of the tiles, a multiple of the network's stride; it changes probabilities by rounding errors only.

    Returns
    -------
    Segmentation
        With probabilities and uncertainty where the image has at most `LARGE_PX` pixels.
    """
    if not 1 <= views <= 8:
        raise InputError(f"views is {views}; wanted 1 to 8")
    image = micrograph.image
    n_classes, shape = len(segmenter.classes), (image.shape[0], image.shape[1])
    large = image.size > LARGE_PX
    labels = np.empty(shape, np.uint8)
    kept = None if large else np.empty((n_classes, *shape), np.float32)
    areas = _Areas(covered=np.zeros(n_classes), ambiguous=np.zeros(n_classes))
    tiles = predict_tiles(
        segmenter.network,
        image,
        temperature=segmenter.temperature_at(views),
        reduction=segmenter.reduction,
        upright=segmenter.upright,
        views=views,
        tile_px=tile_px,
        device=device,
    )
    for tile, p in tiles:
        labels[tile.core] = p.argmax(0)
        areas.add(p, labels[tile.core])
        if kept is not None:
            kept[(slice(None), *tile.core)] = p
    return _record(segmenter, micrograph, labels, kept, areas, views)


def _record(
    segmenter: TrainedSegmenter,
    micrograph: Micrograph,
    labels: np.ndarray,
    p: np.ndarray | None,
    areas: _Areas,
    views: int,
) -> Segmentation:
    classes = dict(segmenter.classes)
    extra: dict[str, Any] = {}
    notes: list[str] = []
    ambiguous = areas.ambiguous / areas.pixels
    if segmenter.task == "precipitates" and p is not None:
        labels, classes, note = populations_of(labels, p, classes)
        if note:  # one class for both: what is ambiguous is whether there is a particle
            notes.append(note)
            p, ambiguous[2] = np.stack([p[0], p[1:].sum(0)]), ambiguous[0]
    if segmenter.task == "grains" and p is not None:
        extra["instances"] = split_grains(p[1])
    if p is None and segmenter.task in ("grains", "columns", "precipitates"):
        notes.append(f"over {LARGE_PX / 1e6:g} megapixels: classes alone; cut the picture for its {segmenter.task}")
    if segmenter.task == "columns" and p is not None:
        extra["points"] = find_columns(np.asarray(micrograph.image, np.float32), p[1])
    far = None
    if segmenter.familiarity is not None:
        numbers = describe(segmenter.network, micrograph.image, reduction=segmenter.reduction)
        far = segmenter.familiarity.distance(numbers)
    else:
        notes.append(f"{segmenter.name} cannot tell whether it knows such pictures: it was made without a flag")
    factors = segmenter.field_error_at(views)
    counted = np.bincount(labels.ravel(), minlength=len(segmenter.classes)) if p is not None else areas.covered
    return Segmentation(
        labels=labels,
        classes=classes,
        pixel_size_nm=micrograph.pixel_size_nm,
        fractions={
            name: field_fraction(float(counted[n] / areas.pixels), float(ambiguous[n]), factors.get(n))
            for n, name in classes.items()
            if n > 0
        },
        objects=_count_objects(labels, classes, extra.get("instances"), extra.get("points")),
        model=segmenter.name,
        source=micrograph.source,
        metadata={
            "notes": notes,
            "mean_uncertainty": areas.uncertain / areas.pixels,
            "settings": {"views": views, "model_sha256": segmenter.sha256},
        },
        probabilities=p,
        uncertainty=None if p is None else uncertainty_of(p),
        unfamiliarity=far,
        unfamiliar=None if far is None else not far <= 1.0,
        **extra,
    )


def uncertainty_of(p: np.ndarray) -> np.ndarray:
    """Give the entropy of probabilities (classes, rows, columns) in units of its largest value, (rows, columns)."""
    entropy = -(p * np.log(np.maximum(p, 1e-12))).sum(0)
    return np.asarray(entropy / np.log(len(p)), np.float32)


def populations_of(
    labels: np.ndarray, p: np.ndarray, classes: dict[int, str]
) -> tuple[np.ndarray, dict[int, str], str]:
    """Give every particle one class; where nearly all are small ones, they are one population: "precipitate".

    Few small particles among large ones keep both names: they may be a real population that covers little.
    """
    labels = one_class_an_object(labels, p)
    covered = np.bincount(labels.ravel(), minlength=3)[:3]
    both = covered[1] + covered[2]
    if both == 0 or min(covered[1], covered[2]) >= _BOTH_NEEDED * both or covered[2] > covered[1]:
        return labels, classes, ""
    labels = np.where(labels > 0, 2, 0).astype(np.uint8)
    return labels, {0: classes[0], 2: "precipitate"}, "one population of precipitates; it stands under class 2"


def _count_objects(
    labels: np.ndarray, classes: dict[int, str], instances: np.ndarray | None, points: np.ndarray | None
) -> dict[str, int]:
    if instances is not None:
        return {"grain": int(instances.max())}
    if points is not None:
        return {"column": len(points)}
    if labels.size > LARGE_PX:
        return {}  # counted in strips by whoever wants them
    return {
        name: int(ndimage.label(labels == n, np.ones((3, 3), int))[1]) for n, name in sorted(classes.items()) if n > 0
    }
