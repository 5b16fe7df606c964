"""Draw labels over a micrograph."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy import ndimage

from hea_sim.errors import InputError
from hea_sim.records import Micrograph, Segmentation

#: Outline colours by class, from the Okabe-Ito set that colour-blind readers can tell apart.
COLOURS = {1: (230, 159, 0), 2: (86, 180, 233), 3: (0, 158, 115), 4: (204, 121, 167)}
_OTHER = (240, 228, 66)
#: Pixels that are averaged at once where a field is shown smaller.
_STRIP_PX = 2_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """Hold a field as it is shown: `image` and `labels` (rows, columns), `step` pixels of the field to one of these."""

    image: np.ndarray
    labels: np.ndarray
    step: int = 1


def show_field(micrograph: Micrograph, segmentation: Segmentation, most_px: int) -> Shown:
    """Make a field small enough to be shown: no side longer than `most_px`; grey values averaged, labels picked.

    A field that fits is given as it is. A larger one is read in strips, so that nothing of its size is made.
    """
    image, labels = np.asarray(micrograph.image), np.asarray(segmentation.labels)
    if image.shape != labels.shape:
        raise InputError(
            f"labels of shape {labels.shape} do not fit an image of shape {image.shape}; wanted the same field"
        )
    step = ceil(max(image.shape) / most_px)
    if step <= 1:
        return Shown(image=image, labels=labels)
    rows, columns = (n // step for n in image.shape)
    if min(rows, columns) < 1:
        raise InputError(
            f"a field of {image.shape} px is too narrow to be shown with {most_px} px along its longer side"
        )
    kind = np.result_type(image.dtype, np.float32)
    small = np.empty((rows, columns), kind)
    height = max(1, _STRIP_PX // (step * image.shape[1]))
    for top in range(0, rows, height):
        part = np.asarray(image[top * step : min(top + height, rows) * step, : columns * step], kind)
        small[top : top + height] = part.reshape(-1, step, columns, step).mean(axis=(1, 3))
    middle = step // 2
    return Shown(image=small, labels=np.asarray(labels[middle::step, middle::step])[:rows, :columns], step=step)


def overlay_rgb(micrograph: Micrograph, segmentation: Segmentation, *, most_px: int | None = None) -> np.ndarray:
    """Draw class outlines on the contrast-stretched image, as uint8 (rows, columns, 3).

    Outlines lie inside the objects and grow with the image, so that they survive being shown smaller. Class 1 is
    orange, class 2 sky blue (`COLOURS`). A field with a side longer than `most_px` is drawn smaller.
    """
    return draw_outlines(show_field(micrograph, segmentation, most_px or max(micrograph.image.shape)))


def class_colour(number: int) -> tuple[int, int, int]:
    """Give the outline colour of a class."""
    return COLOURS.get(number, _OTHER)


def draw_outlines(shown: Shown) -> np.ndarray:
    """Draw class outlines on the contrast-stretched image, as uint8 (rows, columns, 3)."""
    rgb = np.repeat(stretch_grey(shown.image)[..., None], 3, axis=2)
    width = max(1, round(max(shown.image.shape) / 500))
    for number in sorted(set(np.unique(shown.labels).tolist()) - {0}):
        colour = np.array(class_colour(number), np.float32)
        inside = shown.labels == number
        outline = inside & ~ndimage.binary_erosion(inside, iterations=width, border_value=1)
        rgb[inside] = np.round(0.92 * rgb[inside].astype(np.float32) + 0.08 * colour)
        rgb[outline] = colour
    return rgb


def stretch_grey(image: np.ndarray) -> np.ndarray:
    """Stretch the grey values between their extremes, outliers left out, to uint8 for showing."""
    grey = np.asarray(image - image.min(), np.float32)
    # A trace of smoothing keeps noise from eating the grey range.
    low, high = np.quantile(ndimage.gaussian_filter(grey, 0.7), [0.002, 0.998])
    grey = np.clip((grey - low) / max(high - low, 1e-12), 0, 1)
    return np.round(255 * (0.05 + 0.9 * grey)).astype(np.uint8)
