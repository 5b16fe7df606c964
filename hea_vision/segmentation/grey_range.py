"""Grey values between 0 and 1, whatever their unit: labels must not depend on it, from 1e-300 to 1e300.

| symbol | here |
|---|---|
| 2^e | power of two above all grey values: `exponent` |
| a, b | least and largest grey value over 2^e: `low`, `high` |
| u = (g / 2^e - a) / (b - a) | `unit`, rounded to whole multiples of 2^-32 |

Multiples of 2^-32 forget what rounding in the last place has left of a gain and an offset: pictures of up to 16 bits
give the same numbers, bit by bit, before and after. No detector has as many levels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError
from hea_vision.io.raw_images import strips

_STEPS = 2.0**32
#: A level that lies farther outside than this many ranges is as good as at infinity.
_FARTHEST = 1e12
#: Single precision holds grey values well between these magnitudes ...
_SINGLE_LEAST, _SINGLE_MOST = 1e-30, 1e30
#: ... and where their range is at least this part of the largest: 16 of 24 bits are left.
_SINGLE_RANGE = 2.0**-8


@dataclass(frozen=True, kw_only=True)
class GreyRange:
    """Hold the least and the largest grey value of an image in units of 2^`exponent`, which neither of them exceeds.

    >>> found = GreyRange.of(np.array([[1e300, 3e300], [2e300, 1e300]]))
    >>> found.unit(np.array([1e300, 1.5e300, 3e300])).tolist(), float(found.length(0.5))
    ([0.0, 0.25, 1.0], 1e+300)
    """

    low: float
    high: float
    exponent: int

    @classmethod
    def of(cls, image: np.ndarray) -> GreyRange:
        """Measure an image (rows, columns) of finite numbers; InputError where all are equal."""
        low, high = _extremes(image)
        if low == high:
            raise InputError(f"all pixels are equal ({low:g}); wanted a micrograph")
        exponent = math.frexp(max(abs(low), abs(high)))[1]
        return cls(low=math.ldexp(low, -exponent), high=math.ldexp(high, -exponent), exponent=exponent)

    def unit(self, image: np.ndarray) -> np.ndarray:
        """Give grey values as float64 from 0, the least, to 1, the largest."""
        scaled = np.ldexp(np.asarray(image, np.float64), -self.exponent)
        return np.asarray(np.rint((scaled - self.low) / (self.high - self.low) * _STEPS) / _STEPS)

    def level(self, grey: float) -> float:
        """Give the place of a grey value that need not be in the image, such as that of no signal."""
        with np.errstate(over="ignore"):
            place = (np.ldexp(float(grey), -self.exponent) - self.low) / (self.high - self.low)
        return float(np.clip(place, -_FARTHEST, _FARTHEST))

    def length(self, difference: float) -> float:
        """Give a difference of unit values as a difference of grey values."""
        with np.errstate(over="ignore"):
            return float(np.ldexp(difference * (self.high - self.low), self.exponent))

    def grey(self, level: float) -> float:
        """Give a unit value as a grey value."""
        with np.errstate(over="ignore"):
            return float(np.ldexp(self.low + level * (self.high - self.low), self.exponent))


def _extremes(image: np.ndarray) -> tuple[float, float]:
    ends = [(image[rows].min(), image[rows].max()) for rows in strips(image)]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def in_single_precision(image: np.ndarray) -> tuple[np.ndarray, float]:
    """Give an image as networks take it, which compute in single precision, and the grey values in one of its units.

    Nearly every image is given back as it is. One whose numbers would overflow, vanish or lose their last digits beside
    a large offset comes as float32 between 0 and 1.
    """
    if image.dtype.itemsize <= 2:
        return image, 1.0
    low, high = _extremes(image)
    largest = max(abs(low), abs(high))
    enough = image.dtype == np.float32 or high - low >= _SINGLE_RANGE * largest
    if low == high or (enough and _SINGLE_LEAST <= high - low and largest <= _SINGLE_MOST):
        return image, 1.0
    found = GreyRange.of(image)
    out = np.empty(image.shape, np.float32)
    for rows in strips(image):
        out[rows] = found.unit(image[rows])
    return out, min(found.length(1.0), float(np.finfo(float).max))
