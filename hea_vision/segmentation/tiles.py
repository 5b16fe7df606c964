"""Cut an image into tiles with a margin, so that what a network says of a tile is what it says of the whole image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Hold the place of one tile.

    `core` is what the tile decides, in the image; `window` what it looks at; `inside` is the core seen from the window.
    """

    core: tuple[slice, slice]
    window: tuple[slice, slice]
    inside: tuple[slice, slice]


def tiles_of(shape: tuple[int, int], tile_px: int, margin_px: int, stride: int) -> Iterator[Tile]:
    """Give tiles whose cores cover an image once.

    Windows begin at multiples of `stride`, so that the coarse grids of the network lie alike in every tile.

    >>> [t.core[1] for t in tiles_of((16, 40), 16, 16, 16)]
    [slice(0, 16, None), slice(16, 32, None), slice(32, 40, None)]
    """
    if tile_px < stride or tile_px % stride or margin_px % stride:
        raise InputError(
            f"tiles of {tile_px} px with a margin of {margin_px} px; wanted multiples of {stride} px, the tile not zero"
        )
    for top in range(0, shape[0], tile_px):
        for left in range(0, shape[1], tile_px):
            parts = [_along(start, tile_px, margin_px, n) for start, n in zip((top, left), shape)]
            core, window, inside = zip(*parts)
            yield Tile(core=core, window=window, inside=inside)


def _along(start: int, tile_px: int, margin_px: int, n: int) -> tuple[slice, slice, slice]:
    stop = min(start + tile_px, n)
    first, last = max(0, start - margin_px), min(n, start + tile_px + margin_px)
    return slice(start, stop), slice(first, last), slice(start - first, stop - first)


def padded(channels: np.ndarray, stride: int) -> np.ndarray:
    """Mirror the last rows and columns of (channels, rows, columns) until both are multiples of `stride`."""
    extra = [(-n) % stride for n in channels.shape[1:]]
    if not any(extra):
        return channels
    return np.pad(channels, ((0, 0), (0, extra[0]), (0, extra[1])), mode="symmetric")
