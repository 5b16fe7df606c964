"""Pictures with their labels, found in folders by their names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Micrograph
from hea_vision.io import IMAGE_SUFFIXES, find_inputs, read_labels, read_micrograph, without_results
from hea_vision.segmentation.examples import LabelledImage
from hea_vision.segmentation.grey_range import in_single_precision

#: What label images add to the name of their picture.
ENDINGS = ("", "_mask", "_labels", "_label")


def read_pairs(
    images: str | os.PathLike[str], labels: str | os.PathLike[str], classes: Mapping[int, str] | None = None
) -> dict[str, LabelledImage]:
    """Read pictures and their label images; `classes` names labels where the label images do not.

    A label image has the name of its picture, whatever the suffix, or that name and one of `ENDINGS`.

    Raises InputError where a picture has no label image, or its label image another shape.
    """
    found = {}
    for name, (micrograph, strokes, named) in _pairs(images, labels).items():
        known = classes or named
        if len(known) == 2 and classes and set(np.unique(strokes).tolist()) <= {0, np.iinfo(strokes.dtype).max}:
            strokes = (strokes > 0).astype(np.uint8)  # a mask of black and white
        beyond = set(np.unique(strokes).tolist()) - set(known)
        if beyond:
            raise InputError(
                f"{labels}: label {min(beyond)} of {name} has no name; wanted class numbers 0 to {len(known) - 1},"
                f" which are {', '.join(known.values())}"
            )
        found[name] = LabelledImage(
            image=np.asarray(micrograph.image, np.float32),
            labels=strokes.astype(np.uint8),
            classes={n: text for n, text in known.items() if n in set(np.unique(strokes).tolist()) | {0}},
        )
    return found


def read_strokes(
    images: str | os.PathLike[str], strokes: str | os.PathLike[str]
) -> list[tuple[Micrograph, np.ndarray]]:
    """Read painted pictures: each micrograph with its strokes, 0 where nothing was painted."""
    return [(micrograph, painted) for micrograph, painted, _ in _pairs(images, strokes).values()]


def _pairs(
    images: str | os.PathLike[str], labels: str | os.PathLike[str]
) -> dict[str, tuple[Micrograph, np.ndarray, dict[int, str]]]:
    found_masks = find_inputs([labels], (".tif", ".tiff", ".png"))
    masks = {path.stem: path for path in found_masks}
    # The folder of labels may lie inside that of the pictures, as `hea image` writes it: a label image is no picture.
    none = {path.resolve() for path in found_masks}
    pictures = [p for p in without_results(find_inputs([images], IMAGE_SUFFIXES)) if p.resolve() not in none]
    if not pictures:
        raise InputError(f"{images}: holds no picture beside the label images of {labels}; give the folder of pictures")
    alone = len(pictures) == 1 and len(masks) == 1
    found: dict[str, tuple[Micrograph, np.ndarray, dict[int, str]]] = {}
    for path in pictures:
        names = [path.stem + ending for ending in ENDINGS if path.stem + ending in masks]
        mask = next(iter(masks.values())) if alone else masks[names[0]] if names else None
        if mask is None:
            raise InputError(
                f"{path}: no label image of this name in {labels}; wanted {path.stem}.tif or {path.stem}_labels.tif"
            )
        micrograph, segmentation = read_micrograph(path), read_labels(mask)
        if segmentation.labels.shape != micrograph.image.shape:
            raise InputError(
                f"{mask}: labels of shape {segmentation.labels.shape} for a picture of shape {micrograph.image.shape};"
                " wanted the same field (was a data bar cropped?)"
            )
        micrograph = replace(micrograph, image=in_single_precision(micrograph.image)[0])
        found[_name(path, found)] = (micrograph, np.asarray(segmentation.labels), dict(segmentation.classes))
    return found


def _name(path: Path, taken: Mapping[str, object]) -> str:
    name, k = path.stem, 2
    while name in taken:
        name, k = f"{path.stem} {k}", k + 1
    return name
