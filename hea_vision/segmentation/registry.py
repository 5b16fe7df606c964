"""The segmenters by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hea_sim.errors import unknown_name
from hea_sim.records import Micrograph, Segmentation
from hea_vision.segmentation.classical import segment_classical

#: Every segmenter takes a micrograph and gives labels with its own name as `model`.
SEGMENTERS: Mapping[str, Callable[[Micrograph], Segmentation]] = {"classical": segment_classical}


def segment(micrograph: Micrograph, model: str) -> Segmentation:
    """Label a micrograph with the segmenter named `model`; there is no default one."""
    if model not in SEGMENTERS:
        raise unknown_name("segmenter", model, SEGMENTERS)
    return SEGMENTERS[model](micrograph)
