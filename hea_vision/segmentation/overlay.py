"""Draw labels over a micrograph."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from hea_sim.errors import InputError
from hea_sim.records import Micrograph, Segmentation

#: Outline colours by class, from the Okabe-Ito set that colour-blind readers can tell apart.
COLOURS = {1: (230, 159, 0), 2: (86, 180, 233), 3: (0, 158, 115), 4: (204, 121, 167)}


def overlay_rgb(micrograph: Micrograph, segmentation: Segmentation) -> np.ndarray:
    """Draw class outlines on the contrast-stretched image, as uint8 (rows, columns, 3).

    Outlines lie inside the objects and grow with the image, so that they survive being shown smaller. Class 1 is
    orange, class 2 sky blue (`COLOURS`).
    """
    image, labels = np.asarray(micrograph.image, float), np.asarray(segmentation.labels)
    if image.shape != labels.shape:
        raise InputError(
            f"labels of shape {labels.shape} do not fit an image of shape {image.shape}; wanted the same field"
        )
    # A trace of smoothing keeps noise from eating the grey range.
    soft = ndimage.gaussian_filter(image, 0.7)
    low, high = np.quantile(soft, [0.002, 0.998])
    grey = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
    rgb = np.repeat((255 * (0.05 + 0.9 * grey))[..., None], 3, axis=2)
    width = max(1, round(max(image.shape) / 500))
    for number in sorted(set(np.unique(labels).tolist()) - {0}):
        colour = np.array(COLOURS.get(number, (240, 228, 66)), float)
        inside = labels == number
        outline = inside & ~ndimage.binary_erosion(inside, iterations=width, border_value=1)
        rgb[inside] = 0.92 * rgb[inside] + 0.08 * colour
        rgb[outline] = colour
    return np.round(rgb).astype(np.uint8)
