"""Scale bars drawn in a picture or in its data bar: the length in pixels, for the user who says what it stands for.

A bar is a straight horizontal line of the brightest (or darkest) grey, whole, or broken by its label with a tick at
either end. What the label says is not read: no number from a picture is used in silence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_LEAST_PIXELS = 24
#: Length as a share of the width of what is searched.
_SHORTEST, _SHORTEST_PLAIN, _LONGEST = 0.02, 0.05, 0.8
_THICKEST = 0.15
#: A picture with more lines than this is full of them.
_MOST_LINES = 200
#: Share of the rows beside a line in a picture that is flat ground, for lines with ticks and without.
_GROUND_TICKED, _GROUND_PLAIN = 0.8, 0.98
#: Larger pictures are searched in their data bar only.
_MAX_SEARCHED = 25_000_000


@dataclass(frozen=True)
class ScaleBar:
    """Hold a bar: length between its outer ends in pixels, row of its middle, first column."""

    length_px: int
    row: int
    left: int
    ticked: bool


def scale_bar_in_band(band: np.ndarray) -> ScaleBar | None:
    """Find the scale bar in the pixels of a data bar (rows, columns)."""
    values = np.asarray(band, np.float32)
    found, counts = np.unique(values, return_counts=True)
    away = np.abs(values - found[np.argmax(counts)])
    contrast = float(away.max())
    return _best(away > 0.5 * contrast, 1.0) if contrast > 0 else None


def scale_bar_in_picture(grey: np.ndarray) -> ScaleBar | None:
    """Find a scale bar in a box of flat ground that was drawn into the lower or upper quarter of a picture."""
    rows, columns = grey.shape
    if grey.size > _MAX_SEARCHED or rows < 64 or columns < 64:
        return None
    found = []
    for top, bottom in ((rows - rows // 4, rows), (0, rows // 4)):
        part = np.asarray(grey[top:bottom], np.float32)
        low, high = _extremes(grey, part)
        if high > low and _is_picture(part, low, high):
            for ink, ground in (
                (part > low + 0.85 * (high - low), part < low + 0.12 * (high - low)),
                (part < low + 0.12 * (high - low), part > low + 0.85 * (high - low)),
            ):
                bar = _best(ink, 0.5, ground)
                if bar is not None:
                    found.append(ScaleBar(bar.length_px, bar.row + top, bar.left, bar.ticked))
    return found[0] if len(found) == 1 else None  # two are no scale bar but something in the picture


def _is_picture(part: np.ndarray, low: float, high: float) -> bool:
    """Tell a picture with greys from a mask or a drawing of two values."""
    middle = (part > low + 0.02 * (high - low)) & (part < low + 0.98 * (high - low))
    return bool(middle.mean() > 0.2)


def _extremes(grey: np.ndarray, part: np.ndarray) -> tuple[float, float]:
    if grey.dtype == np.uint8:
        return 0.0, 255.0
    return float(part.min()), float(part.max())


def _best(ink: np.ndarray, longest: float, ground: np.ndarray | None = None) -> ScaleBar | None:
    """Choose among the lines of `ink`: ticked ones first, then the longest; `ground` is the box it must lie in."""
    columns = ink.shape[1]
    least = max(_LEAST_PIXELS, int(_SHORTEST * columns))
    most = min(_LONGEST, longest) * columns
    rows_with_lines = _rows_with_runs(ink, least // 3)
    if not rows_with_lines.size:
        return None
    heights = _heights(ink)
    bars: list[ScaleBar] = []
    for row in rows_with_lines.tolist():
        bars += _bars_in_row(ink[row], heights[row], row, least, most)
        if len(bars) > _MOST_LINES:
            return None
    if ground is not None:
        bars = [bar for bar in bars if _boxed(ink, ground, bar)]
    if not bars:
        return None
    best = max(bars, key=lambda bar: (bar.ticked, bar.length_px))
    rows = [bar.row for bar in bars if (bar.left, bar.length_px) == (best.left, best.length_px)]
    return ScaleBar(best.length_px, int(np.median(rows)), best.left, best.ticked)


def _rows_with_runs(ink: np.ndarray, length: int) -> np.ndarray:
    """List the rows in which so many pixels in a row are inked."""
    count = np.cumsum(ink, axis=1, dtype=np.int32)
    return np.flatnonzero(((count[:, length:] - count[:, :-length]) == length).any(axis=1))


def _heights(ink: np.ndarray) -> np.ndarray:
    """Count, for every inked pixel, the inked pixels above and below it without a gap, itself included."""
    above = np.zeros(ink.shape, np.int32)
    below = np.zeros(ink.shape, np.int32)
    for row in range(ink.shape[0]):
        above[row] = ink[row] * (1 + (above[row - 1] if row else 0))
        last = ink.shape[0] - 1 - row
        below[last] = ink[last] * (1 + (below[last + 1] if row else 0))
    return np.maximum(above + below - 1, 0)


def _bars_in_row(ink: np.ndarray, heights: np.ndarray, row: int, least: int, most: float) -> list[ScaleBar]:
    """List the bars whose line runs in one row: whole lines, and pairs of pieces with a tick at their outer ends."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], ink, [False])).astype(np.int8)))
    starts, stops = edges[::2], edges[1::2]
    long = stops - starts >= least // 3
    starts, stops = starts[long].tolist(), stops[long].tolist()
    bars = []
    for i, start in enumerate(starts):
        for k, stop in enumerate(stops[i : i + 2], i):
            if not least <= stop - start <= most or start == 0 or stop == ink.size:
                continue
            pieces = [(start, stop)] if k == i else [(start, stops[i]), (starts[k], stop)]
            if not _is_line(heights, pieces):
                continue
            ticks = _ticks(heights, start, stop)
            if ticks or len(pieces) == 1:
                left, right = ticks or (start, stop)
                bars.append(ScaleBar(right - left, row, left, ticks is not None))
    return bars


def _is_line(heights: np.ndarray, pieces: list[tuple[int, int]]) -> bool:
    """Tell whether a piece is a thin line, or two are one with its label in the middle: both thin, about as long."""
    if len(pieces) == 1:
        return _thin(heights, *pieces[0])
    (start, first), (second, stop) = pieces
    left, right = first - start, stop - second
    if abs(left - right) > 0.15 * (left + right) + 2 or min(left, right) < 0.2 * (stop - start):
        return False
    return _thin(heights, start + 4, first) and _thin(heights, second, stop - 4)


def _thin(heights: np.ndarray, start: int, stop: int) -> bool:
    """Tell a line from a patch: of one thickness over most of its length, and thin."""
    seen = np.sort(heights[start:stop])
    thick = int(seen[seen.size // 2])
    return thick <= max(_THICKEST * (stop - start), 2.0) and int((seen <= thick + 1).sum()) >= 0.6 * seen.size


def _ticks(heights: np.ndarray, start: int, stop: int) -> tuple[int, int] | None:
    """Find strokes of one height across both ends of a line, clearly higher than it is thick: their outer edges."""
    left, right = heights[start : start + 4].tolist(), heights[stop - 4 : stop][::-1].tolist()
    thick = int(min(heights[start + 7], heights[stop - 8]))
    if abs(max(left) - max(right)) > 2 or min(max(left), max(right)) < 2 * thick + 2:
        return None
    return start + _outermost(left), stop - _outermost(right)


def _outermost(heights: list[int]) -> int:
    """Give the place of the first column that is about as high as the highest."""
    return next(i for i, height in enumerate(heights) if height >= 0.7 * max(heights))


def _boxed(ink: np.ndarray, ground: np.ndarray, bar: ScaleBar) -> bool:
    """Tell whether a line lies on flat ground: the rows just above and below its ink are ground over most of it."""
    if not bar.ticked and bar.length_px < _SHORTEST_PLAIN * ink.shape[1]:
        return False
    wanted = _GROUND_TICKED if bar.ticked else _GROUND_PLAIN
    inside = slice(bar.left + 4, bar.left + bar.length_px - 4)
    for step in (-1, 1):
        row = bar.row
        while 0 <= row < ink.shape[0] and ink[row, inside].mean() > 0.6:
            row += step
        # One row of transition is left to JPEG and smoothing.
        near = [r for r in (row + step, row + 2 * step) if 0 <= r < ink.shape[0]]
        if not near or any(ground[r, inside].mean() < wanted for r in near):
            return False
    return True
