"""The segmenters by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Micrograph, Segmentation
from hea_vision.devices import DEFAULT_DEVICE, checked_device, checked_device_name
from hea_vision.segmentation.classical import segment_classical
from hea_vision.segmentation.grey_range import in_single_precision

__all__ = ["SEGMENTERS", "checked_device", "known_model", "segment"]

#: Segmenters that need no training; every one takes a micrograph and gives labels with its own name as `model`.
SEGMENTERS: Mapping[str, Callable[[Micrograph], Segmentation]] = {"classical": segment_classical}


def segment(
    micrograph: Micrograph, model: str, *, views: int = 1, tile_px: int | None = None, device: str = DEFAULT_DEVICE
) -> Segmentation:
    """Label a micrograph with the segmenter named `model`; there is no default one.

    Labels do not depend on the unit of the grey values, nor, but for pores of `classical`, on what counts as zero.

    Parameters
    ----------
    model
        "classical", a network that comes with the package ("precipitates", ...), or the folder of one of your own.
    views, tile_px
        For networks; see `hea_vision.segmentation.labelling.segment_with`.
    device
        Where a network computes: "cpu", "cuda", "cuda:1", or "auto", as in the shell: the first card, and the
        processor where there is none. Labels of a card and of a processor differ only where the two best
        probabilities are within rounding.

    Raises
    ------
    InputError
        Where the device is not there.
    UnknownNameError
        Where there is no such segmenter; it lists the known ones.
    """
    if model in SEGMENTERS:
        if views != 1 or tile_px is not None or checked_device_name(device).startswith("cuda"):
            raise InputError(f"'{model}' knows no views, tiles and cards; leave them out, or name a network")
        return SEGMENTERS[model](micrograph)
    from hea_vision.segmentation.labelling import segment_with
    from hea_vision.segmentation.models import load_segmenter
    from hea_vision.segmentation.prediction import TILE_PX

    known_model(model)
    device = checked_device(device)
    image, grey = in_single_precision(micrograph.image)
    seen = micrograph if image is micrograph.image else replace(micrograph, image=image)
    found = segment_with(load_segmenter(model, device), seen, views=views, tile_px=tile_px or TILE_PX, device=device)
    if found.points is None or grey == 1.0:
        return found
    return replace(found, points=found.points * np.array([1.0, 1.0, grey]))  # intensities in the file's grey values


def known_model(model: str) -> str:
    """Give the name back where a segmenter of that name or folder exists, else raise UnknownNameError."""
    if model not in SEGMENTERS:
        from hea_vision.segmentation.models import model_folder

        model_folder(model)
    return model
