"""Class probabilities of every pixel, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.nn import functional

from hea_vision.segmentation.inputs import LOCAL_REACH_PX, GreyScale, network_input
from hea_vision.segmentation.network import MicrographNet
from hea_vision.segmentation.painted_network import PaintedNet
from hea_vision.segmentation.tiles import Tile, padded, tiles_of

#: Edge of a tile, without its margin.
TILE_PX = 768
#: Numbers of the views that leave the top at the top: the picture and its mirror image.
_UPRIGHT_VIEWS = (0, 4)


def predict_tiles(
    network: MicrographNet | PaintedNet,
    image: np.ndarray,
    *,
    temperature: float = 1.0,
    views: int = 1,
    tile_px: int = TILE_PX,
    reduction: int = 1,
    upright: bool = False,
    device: str | None = None,
) -> Iterator[tuple[Tile, np.ndarray]]:
    """Give each tile of an image with the probabilities (classes, rows, columns), float32, of its core.

    Parameters
    ----------
    network
        In evaluation mode.
    image
        (rows, columns) of any number type; it may be larger than memory where it is mapped from a file.
    temperature
        Divides the scores, as calibrated; of several views, the logarithm of their mean probability.
    views
        1, or up to 8: the mean over so many of the turns and mirrorings of the square.
    tile_px
        Edge of a tile. Another edge changes probabilities by rounding errors only.
    reduction
        The network looks at means over squares of so many pixels; probabilities are interpolated back.
    upright
        The network knows top from bottom: of the views, only the picture and its mirror image are taken.
    """
    seen = _UPRIGHT_VIEWS[:views] if upright else range(views)
    scale, device = GreyScale.of(image), device or str(next(network.parameters()).device)
    stride, k = network.stride, reduction
    # The surroundings are averaged twice, for the mean and for the spread about it.
    margin = -(-(network.margin_px + 2 * LOCAL_REACH_PX) // stride) * stride
    rows, columns = image.shape
    for tile in tiles_of((-(-rows // k), -(-columns // k)), tile_px, margin, stride):
        part = reduced(image[_enlarged(tile.window, k)], k)
        channels = padded(network_input(part, scale), stride)
        p = _mean_over_views(network, torch.from_numpy(channels)[None].to(device), temperature, seen)
        if k > 1:
            p = functional.interpolate(torch.from_numpy(p)[None], scale_factor=k, mode="bilinear")[0].numpy()
            core = tuple(slice(s.start, min(s.stop, n)) for s, n in zip(_enlarged(tile.core, k), (rows, columns)))
            start = tuple(slice(s.start * k, s.start * k + c.stop - c.start) for s, c in zip(tile.inside, core))
            tile = Tile(core=(core[0], core[1]), window=_enlarged(tile.window, k), inside=(start[0], start[1]))
        yield tile, p[(slice(None), *tile.inside)]


def _enlarged(place: tuple[slice, slice], k: int) -> tuple[slice, slice]:
    return slice(place[0].start * k, place[0].stop * k), slice(place[1].start * k, place[1].stop * k)


def reduced(image: np.ndarray, k: int) -> np.ndarray:
    """Average over squares of `k` pixels, float32; the last rows and columns are repeated where they do not fill one.

    >>> reduced(np.arange(6.0).reshape(2, 3), 2).tolist()
    [[2.0, 3.5]]
    """
    image = np.asarray(image, np.float32)
    if k == 1:
        return image
    filled = np.pad(image, [(0, (-n) % k) for n in image.shape], mode="edge")
    return filled.reshape(filled.shape[0] // k, k, filled.shape[1] // k, k).mean((1, 3), dtype=np.float32)


@torch.inference_mode()
def _mean_over_views(
    network: MicrographNet | PaintedNet, x: torch.Tensor, temperature: float, views: Sequence[int]
) -> np.ndarray:
    scores = network(x.contiguous(memory_format=torch.channels_last)).float()
    if len(views) > 1:
        total = torch.softmax(scores, 1)
        for view in views[1:]:
            turned = torch.rot90(x, view % 4, (2, 3))
            turned = turned.flip(3) if view >= 4 else turned
            p = torch.softmax(network(turned.contiguous(memory_format=torch.channels_last)).float(), 1)
            p = p.flip(3) if view >= 4 else p
            total += torch.rot90(p, -(view % 4), (2, 3))
        # Views that disagree make their mean less sure than any of them: the temperature comes after the mean
        # (arXiv:2007.08792).
        scores = torch.log((total / len(views)).clamp(min=1e-12))
    return np.asarray(torch.softmax(scores / temperature, 1)[0].cpu().numpy(), np.float32)


def predict_probabilities(network: MicrographNet | PaintedNet, image: np.ndarray, **options: object) -> np.ndarray:
    """Give the probabilities (classes, rows, columns) of a whole image; options as for `predict_tiles`."""
    out = np.empty((network.n_classes, *image.shape), np.float32)
    for tile, p in predict_tiles(network, image, **options):  # type: ignore[arg-type]
        out[(slice(None), *tile.core)] = p
    return out
