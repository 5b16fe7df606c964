"""Sum up a picture, and what a network makes of it, in a few numbers.

z is the picture normalised by itself, l normalised by its surroundings (see `inputs`), c the labels, p the
probabilities; "near" is within 2 px of a boundary between labels.

| name | formula |
|---|---|
| noise | log of median |M * z| / 4.05, M the difference of two Laplacians (doi:10.1006/cviu.1996.0060) |
| octave 0 ... 5 | log of the share of the power spectrum below 1/64, to 1/32, 1/16, 1/8, 1/4 cycles per px, and above |
| skewness, tails | mean z^3, log of mean z^4 |
| local spread, its variation | log of the mean s, std s / mean s, where s is the std of z about its surroundings |
| boundaries | log of the part b of the pixels at which labels change |
| size | log of min(f, 1 - f) / b, where f is the part that is not matrix |
| contrast | mean l outside the matrix less that in the matrix, over the std of the rest |
| sharpness | log of the mean gradient of l near boundaries over that away from them |
| explained, smooth | 1 - var(rest) / var(l), rest = l - its mean over the class; the same, both smoothed by 2 px |
| left 1, left 4 | autocorrelation of the rest at 1 and 4 px: structure that no label names |
| doubt near, away | mean 1 - max p near boundaries; log of that away from them |
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from hea_sim.errors import InputError
from hea_vision.segmentation.inputs import LOCAL_PX, network_input
from hea_vision.segmentation.network import MicrographNet
from hea_vision.segmentation.painted_network import PaintedNet
from hea_vision.segmentation.prediction import reduced
from hea_vision.segmentation.tiles import padded

#: A picture is described by up to `_MOST` x `_MOST` windows of this edge, spread evenly; their median counts.
WINDOW_PX = 256
_MOST = 2
_OCTAVES = (0.0, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
NUMBERS = (
    "noise", *(f"octave {k}" for k in range(len(_OCTAVES) - 1)), "skewness", "tails", "local spread", "its variation",
    "boundaries", "size", "contrast", "sharpness", "explained", "smooth", "left 1", "left 4", "doubt near",
    "doubt away",
)  # fmt: skip
_NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_NEAR_PX = 2


@torch.inference_mode()
def describe(network: MicrographNet | PaintedNet, image: np.ndarray, *, reduction: int = 1) -> np.ndarray:
    """Give the `NUMBERS` of an image (rows, columns) that the network looks at reduced by `reduction`, float64.

    Evenly spread windows are described one by one, each normalised by itself; the median of each number counts.

    Raises InputError where all pixels are equal.
    """
    shape = (image.shape[0], image.shape[1])
    for most in (_MOST, None):  # all windows are looked at only where the evenly spread ones are flat
        parts = (_in_window(network, image[window], reduction) for window in _windows(shape, reduction, most))
        found = [numbers for numbers in parts if numbers is not None]
        if found:
            return np.asarray(np.median(np.asarray(found, np.float64), axis=0))
    raise InputError("the image has one grey value only; wanted a micrograph")


def _in_window(network: MicrographNet | PaintedNet, part: np.ndarray, reduction: int) -> list[float] | None:
    """Give the numbers of a part of a picture; None for one grey value, which says nothing."""
    try:
        channels = network_input(reduced(part, reduction))
    except InputError:
        return None
    x = torch.from_numpy(padded(channels, network.stride))[None].to(next(network.parameters()).device)
    p = torch.softmax(network(x.contiguous(memory_format=torch.channels_last)).float(), 1)[0].cpu().numpy()
    z, local = channels
    return [*_of_picture(z), *_of_labels(local, p[:, : z.shape[0], : z.shape[1]])]


def _windows(shape: tuple[int, int], k: int, most: int | None) -> list[tuple[slice, slice]]:
    """Place windows evenly over a picture: up to `most` along an edge, or as many as cover it."""
    places, edge = [], WINDOW_PX * k
    for n in shape:
        count = -(-n // edge) if most is None else min(most, max(1, n // edge))
        # Each stands in the middle of its part of the picture, and begins where a square of `k` pixels does.
        starts = [max(0, round(((i + 0.5) * n / count - edge / 2) / k)) * k for i in range(count)]
        places.append([slice(s, min(n, s + edge)) for s in starts])
    return [(a, b) for a in places[0] for b in places[1]]


def _of_picture(z: np.ndarray) -> list[float]:
    noise = float(np.median(np.abs(ndimage.convolve(z, _NOISE)))) / 4.05
    fade = [np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in z.shape]
    power = np.abs(np.fft.rfft2((z - z.mean()) * fade[0][:, None] * fade[1])) ** 2
    power[:, 1 : (z.shape[1] + 1) // 2] *= 2  # the half plane that a real transform leaves out
    frequency = np.hypot(np.fft.fftfreq(z.shape[0])[:, None], np.fft.rfftfreq(z.shape[1]))
    octave = np.histogram(frequency, _OCTAVES, weights=power)[0] / max(power.sum(), 1e-12)
    off = z - ndimage.gaussian_filter(z, LOCAL_PX)
    spread = np.sqrt(ndimage.gaussian_filter(off * off, LOCAL_PX))
    return [
        float(np.log(noise + 1e-4)),
        *np.log(octave + 1e-6).tolist(),
        float((z**3).mean()),
        float(np.log((z**4).mean())),
        float(np.log(spread.mean() + 1e-3)),
        float(spread.std() / max(float(spread.mean()), 1e-3)),
    ]


def _of_labels(local: np.ndarray, p: np.ndarray) -> list[float]:
    labels = p.argmax(0)
    boundary = np.zeros(labels.shape, bool)
    boundary[1:] |= labels[1:] != labels[:-1]
    boundary[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    near = ndimage.binary_dilation(boundary, iterations=_NEAR_PX)
    density, outside = float(boundary.mean()) + 1e-3, labels > 0
    part = float(outside.mean())
    pixels = np.bincount(labels.ravel(), minlength=len(p))
    level = np.bincount(labels.ravel(), local.ravel(), minlength=len(p)) / np.maximum(pixels, 1)
    rest = local - level[labels].astype(np.float32)
    smooth, smooth_rest = ndimage.gaussian_filter(local, 2.0), ndimage.gaussian_filter(rest, 2.0)
    left = float(rest.var()) + 1e-6
    slope, doubt = ndimage.gaussian_gradient_magnitude(local, 1.0), 1 - p.max(0)
    return [
        float(np.log(density)),
        float(np.log((min(part, 1 - part) + 1e-3) / density)),
        (_mean(local, outside, 0.0) - _mean(local, ~outside, 0.0)) / float(np.sqrt(left)) if 0 < part < 1 else 0.0,
        float(np.log((_mean(slope, near, 0.0) + 1e-3) / (_mean(slope, ~near, 0.0) + 1e-3))),
        1 - left / (float(local.var()) + 1e-6),
        1 - float(smooth_rest.var()) / (float(smooth.var()) + 1e-6),
        *(float(sum((rest * np.roll(rest, lag, axis)).mean() for axis in (0, 1))) / 2 / left for lag in (1, 4)),
        _mean(doubt, near, 0.5),
        float(np.log(_mean(doubt, ~near, 0.5) + 1e-4)),
    ]


def _mean(values: np.ndarray, where: np.ndarray, otherwise: float) -> float:
    return float(values[where].mean()) if where.any() else otherwise
