"""The data bar that a microscope draws below (or above) its picture, found by its ground, edge and text.

It is cut off only where all of this is so: every row has one ground value over most of its width, the rows at its
edge over nearly all of it, the rows of the picture next to it over little of it, and the writing stands free inside.
Anything less is told and left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Share of a row that has the ground's value: in text, at the bar's edge, in the picture beside it.
_GROUND_IN_TEXT, _GROUND_AT_EDGE, _GROUND_IN_PICTURE = 0.35, 0.93, 0.25
_GROUND_OVERALL = 0.6
#: Height as a share of the image, and in pixels.
_LARGEST, _LEAST_ROWS = 0.3, 12
#: Values that differ by less than this share of the range are one ground; JPEG spreads it.
_TOLERANCE, _EDGE_TOLERANCE = 0.06, 0.1
#: Away from ink a drawn ground keeps to one value within so much of the range, over so much of it; noise does not.
_DRAWN_WITHIN, _DRAWN = 0.012, 0.93
_INK_REACH = 9  # pixels: one block of JPEG and the next pixel
_EDGE_ROWS = 8
_BLOCK = 32
#: A larger bar is thinned out before its writing is looked at.
_MOST_PIXELS = 8_000_000


@dataclass(frozen=True)
class DataBar:
    """Hold the rows [top, bottom) of a bar, whether it is certain, and why not."""

    top: int
    bottom: int
    certain: bool
    reason: str = ""


def find_data_bar(grey: np.ndarray) -> DataBar | None:
    """Look for a data bar at the bottom, then at the top, of a grey image (rows, columns); None where there is none.

    Only the rows of the bar and a few beside it are touched, so that a memory-mapped image stays in its file.
    """
    rows, columns = grey.shape
    if rows < 64 or columns < 64:
        return None
    span = _span_of(grey)
    found = [_bar_from_edge(lambda a, b: np.asarray(grey[rows - b : rows - a][::-1]), rows, span)]
    if found[0] is not None:
        bar = found[0]
        found[0] = DataBar(rows - bar.bottom, rows, bar.certain, bar.reason)
    if found[0] is None or not found[0].certain:
        found.append(_bar_from_edge(lambda a, b: np.asarray(grey[a:b]), rows, span))
    bars = [bar for bar in found if bar is not None]
    return next((bar for bar in bars if bar.certain), bars[0] if bars else None)


def _bar_from_edge(take: Callable[[int, int], np.ndarray], rows: int, span: float) -> DataBar | None:
    """Follow a bar inwards from an edge of the image; `take(a, b)` gives the rows a to b counted from that edge."""
    ground, tolerance = _ground_of(take(0, min(max(_LEAST_ROWS, rows // 50), _BLOCK)), span)
    if tolerance == 0:
        return None
    limit = int(_LARGEST * rows)
    shares: list[float] = []
    while len(shares) < limit:
        block = take(len(shares), min(len(shares) + _BLOCK, limit + _EDGE_ROWS))
        shares += _ground_shares(block, ground, tolerance).tolist()
        if min(shares[-len(block) :]) < _GROUND_IN_TEXT:
            break
    else:
        return None  # flat far into the picture: its own ground, no bar
    low = np.flatnonzero(np.array(shares) < _GROUND_IN_TEXT)
    height = int(low[0])
    if height < _LEAST_ROWS or height + _EDGE_ROWS > limit:
        return None
    band = take(0, height)
    step = int(np.ceil(np.sqrt(band.size / _MOST_PIXELS)))
    band = band[::-step][::-1, ::step]  # from its inner edge, so that this stays
    beside = _ground_shares(take(height, height + _EDGE_ROWS), ground, tolerance)
    return _judged(band, height, ground, tolerance, np.array(shares[:height]), beside)


def _judged(
    band: np.ndarray, height: int, ground: float, tolerance: float, shares: np.ndarray, beside: np.ndarray
) -> DataBar | None:
    """Decide whether the `height` rows at the image's edge are a bar, and how sure that is."""
    span = tolerance / _TOLERANCE
    drawn = _drawn_share(band, ground, span)
    if shares.mean() < _GROUND_OVERALL or (drawn is not None and drawn < _DRAWN):
        return None
    edge = float(_ground_shares(band[-2:], ground, _EDGE_TOLERANCE * span).min())  # JPEG smears the picture into it
    if edge < _GROUND_AT_EDGE:
        return (
            None
            if edge < 0.8 or drawn is None
            else DataBar(0, height, False, "its edge to the picture is not straight")
        )
    if beside.mean() > _GROUND_IN_PICTURE:
        return None if drawn is None else DataBar(0, height, False, "the picture beside it has the same grey")
    if drawn is None:
        return DataBar(0, height, False, "its writing is too dense to be sure of the ground")
    if _writing(band, ground, tolerance) == 0:
        return DataBar(0, height, False, "no writing stands in it")
    return DataBar(0, height, True)


def _span_of(grey: np.ndarray) -> float:
    """Give the span of grey values: of 8 bits all 255, else what a thin sample of the image shows."""
    if grey.dtype == np.uint8:
        return 255.0
    thin = np.asarray(grey[:: max(grey.shape[0] // 64, 1), :: max(grey.shape[1] // 256, 1)], float)
    return float(np.ptp(thin)) if np.isfinite(thin).all() else 0.0


def _ground_of(block: np.ndarray, span: float) -> tuple[float, float]:
    """Find the most frequent value of a few rows, and how far a value may be from it; 0 where there is no ground."""
    values = np.asarray(block, float)
    if not np.isfinite(values).all():
        return 0.0, 0.0
    found, counts = np.unique(values, return_counts=True)
    ground = float(found[np.argmax(counts)])
    tolerance = _TOLERANCE * span
    share = float((np.abs(values - ground) <= tolerance).mean())
    return ground, tolerance if share >= _GROUND_IN_TEXT else 0.0


def _ground_shares(block: np.ndarray, ground: float, tolerance: float) -> np.ndarray:
    """Give, for every row, the share of pixels with the ground's value."""
    return (np.abs(np.asarray(block, np.float32) - np.float32(ground)) <= tolerance).mean(axis=1)


def _drawn_share(band: np.ndarray, ground: float, span: float) -> float | None:
    """Give the share of the ground, away from ink and from the picture, that has one value; None: ink is everywhere."""
    from scipy import ndimage

    away = np.abs(np.asarray(band, np.float32) - np.float32(ground))
    inked = ndimage.maximum_filter(away > 2 * _TOLERANCE * span, size=2 * _INK_REACH + 1)
    inked[-_INK_REACH:] = True
    free = away[~inked]
    return None if free.size < 0.02 * away.size else float((free <= _DRAWN_WITHIN * span).mean())


def _writing(band: np.ndarray, ground: float, tolerance: float) -> int:
    """Count signs of writing: letters and lines of strong contrast, free of the bar's edges."""
    from scipy import ndimage

    away = np.abs(np.asarray(band, np.float32) - np.float32(ground))
    contrast = float(away.max())
    if contrast < 3 * tolerance:
        return 0
    ink = away > 0.5 * contrast
    if not 0.001 < ink.mean() < 0.4:
        return 0
    numbers, count = ndimage.label(ink, structure=np.ones((3, 3), bool))
    height, free = len(band), 0
    for piece in ndimage.find_objects(numbers):
        tall, wide = (s.stop - s.start for s in piece)
        inside = piece[0].start >= 1 and piece[0].stop <= height - 1
        letter = 5 <= tall <= 0.9 * height and wide <= 0.3 * band.shape[1]
        line = wide >= 24 and tall <= 0.25 * wide and wide <= 0.9 * band.shape[1]
        free += inside and (letter or line)
    return free
