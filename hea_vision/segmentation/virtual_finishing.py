"""Finish a network that has seen virtual micrographs alone: the same for the shipped models and for those of users.

Calibration, the known pictures of the flag and the score each have virtual micrographs of their own seeds, which no
training run draws from.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hea_sim.errors import HEAError
from hea_sim.microscopy.random_fields import draw_field
from hea_sim.microscopy.virtual import VirtualMicrograph
from hea_vision.segmentation.examples import LabelledImage
from hea_vision.segmentation.finishing import CalibrationImage, calibrated, with_familiarity
from hea_vision.segmentation.models import TrainedSegmenter

#: Seeds of the pictures for the calibration and for what is familiar; that of the score belongs to who scores.
CALIBRATION_SEED, KNOWN_SEED = 2_000_003, 4_000_037
#: Pictures for the calibration, known pictures of the flag, and their edge in px.
CALIBRATION_PICTURES, KNOWN_PICTURES, PICTURE_PX = 24, 240, 384


def finished_on_virtual(
    segmenter: TrainedSegmenter,
    kind: str,
    *,
    pictures: int = CALIBRATION_PICTURES,
    known: int = KNOWN_PICTURES,
    size_px: int = PICTURE_PX,
) -> TrainedSegmenter:
    """Calibrate probabilities and intervals on virtual micrographs of a kind, and learn what they look like.

    Parameters
    ----------
    kind
        One of `hea_sim.microscopy.random_fields.KINDS`.
    pictures, known
        How many calibrate, and how many more tell what is familiar.
    size_px
        Their edge.
    """
    drawn = list(virtual_pictures(kind, CALIBRATION_SEED, pictures, size_px))
    images = [CalibrationImage(picture=picture, group=str(k)) for k, picture in enumerate(drawn)]
    segmenter = calibrated(segmenter, images, rng=np.random.default_rng(CALIBRATION_SEED))
    cloud = [picture.image for picture in virtual_pictures(kind, KNOWN_SEED, known, size_px)]
    return with_familiarity(segmenter, cloud, [picture.image for picture in drawn], learnt=False)


def virtual_pictures(kind: str, seed: int, count: int, size_px: int = PICTURE_PX) -> Iterator[LabelledImage]:
    """Draw labelled virtual micrographs of a kind."""
    for number in range(count):
        m = _draw(kind, np.random.default_rng([seed, number]), size_px)
        yield LabelledImage(
            image=np.asarray(m.image, np.float32), labels=np.array(m.labels, np.uint8), classes=m.classes
        )


def _draw(kind: str, rng: np.random.Generator, size_px: int) -> VirtualMicrograph:
    while True:
        try:
            return draw_field(kind, rng, (size_px, size_px))
        except HEAError:
            continue  # no room for what was drawn
