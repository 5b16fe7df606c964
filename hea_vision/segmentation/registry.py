"""The segmenters by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hea_sim.errors import InputError
from hea_sim.records import Micrograph, Segmentation
from hea_vision.segmentation.classical import segment_classical

#: Segmenters that need no training; every one takes a micrograph and gives labels with its own name as `model`.
SEGMENTERS: Mapping[str, Callable[[Micrograph], Segmentation]] = {"classical": segment_classical}


def segment(
    micrograph: Micrograph, model: str, *, views: int = 1, tile_px: int | None = None, device: str = "cpu"
) -> Segmentation:
    """Label a micrograph with the segmenter named `model`; there is no default one.

    Parameters
    ----------
    model
        "classical", a network that comes with the package ("precipitates", ...), or the folder of one of your own.
    views, tile_px, device
        For networks; see `hea_vision.segmentation.labelling.segment_with`.

    Raises
    ------
    UnknownNameError
        Where there is no such segmenter; it lists the known ones.
    """
    if model in SEGMENTERS:
        if views != 1 or tile_px is not None:
            raise InputError(f"'{model}' knows no views and no tiles; leave them out, or name a network")
        return SEGMENTERS[model](micrograph)
    from hea_vision.segmentation.labelling import segment_with
    from hea_vision.segmentation.models import load_segmenter
    from hea_vision.segmentation.prediction import TILE_PX

    segmenter = load_segmenter(known_model(model), device)
    return segment_with(segmenter, micrograph, views=views, tile_px=tile_px or TILE_PX, device=device)


def known_model(model: str) -> str:
    """Give the name back where a segmenter of that name or folder exists, else raise UnknownNameError."""
    if model not in SEGMENTERS:
        from hea_vision.segmentation.models import model_folder

        model_folder(model)
    return model


def checked_device(device: str) -> str:
    """Turn "auto" into a card where there is one, and refuse a card that is not there."""
    if device == "cpu":
        return device
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not torch.cuda.is_available():
        raise InputError(f"device '{device}': torch sees no CUDA card here; give --device cpu or auto")
    return device
