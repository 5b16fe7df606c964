"""What the networks see of an image: grey values normalised over the image, and by their surroundings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hea_sim.errors import InputError

#: Standard deviation of the Gaussian that defines the surroundings, and where it is cut off, in pixels.
LOCAL_PX = 12.0
LOCAL_REACH_PX = 36
#: The surroundings count as at least this varied, in standard deviations of the image.
_LEAST_LOCAL_STD = 0.15
#: Statistics of larger images come from evenly spread rows of about so many pixels.
_PIXELS_FOR_STATISTICS = 16_000_000


@dataclass(frozen=True, kw_only=True)
class GreyScale:
    """Hold the mean and standard deviation of the grey values of a whole image."""

    mean: float
    std: float

    @classmethod
    def of(cls, image: np.ndarray) -> GreyScale:
        """Measure an image (rows, columns); of a very large one, evenly spread rows.

        Raises InputError where all pixels are equal.
        """
        step = -(-image.size // _PIXELS_FOR_STATISTICS)
        rows = np.asarray(image[::step])
        mean, std = float(rows.mean(dtype=np.float64)), float(rows.std(dtype=np.float64))
        if not std > 1e-9 * max(abs(mean), 1e-30):
            raise InputError(f"the image has one grey value only ({mean:g}); wanted a micrograph")
        return cls(mean=mean, std=std)


def network_input(image: np.ndarray, scale: GreyScale | None = None) -> np.ndarray:
    """Make the two channels (2, rows, columns), float32, of an image or of a tile of one.

    A tile needs the `scale` of its whole image, and two times `LOCAL_REACH_PX` pixels of margin for the second channel,
    whose surroundings are averaged twice.
    """
    scale = scale or GreyScale.of(image)
    z = (np.asarray(image, np.float32) - np.float32(scale.mean)) / np.float32(scale.std)
    z = np.clip(z, -6.0, 6.0)
    truncate = LOCAL_REACH_PX / LOCAL_PX
    mean = ndimage.gaussian_filter(z, LOCAL_PX, truncate=truncate, mode="reflect")
    off = z - mean
    spread = np.sqrt(ndimage.gaussian_filter(off * off, LOCAL_PX, truncate=truncate, mode="reflect"))
    local = off / np.maximum(spread, np.float32(_LEAST_LOCAL_STD))
    return np.stack([z, np.clip(local, -6.0, 6.0)]).astype(np.float32)
