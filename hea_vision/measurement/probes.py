"""The test lines that are laid over a field: straight lines, circles, and patterns of them.

A pattern is data: where its lines and circles lie, in parts of the field's short side.

| pattern | geometry |
|---|---|
| `hilliard` | one circle (ASTM E112-13, circular intercept procedure) |
| `abrams` | three concentric circles of diameters 79.58, 53.05, 26.53 in a square of side 100 (E112-13) |
| `line-grid` | parallel lines at regular spacing under several angles (E1382-97) |
| `nist-e112` | central square: a horizontal and a vertical line 5 % from its edges, diagonals, three circles |
| `nist-line-grid` | lines every 60 px at 0, 45, 90, 135 and 180 degrees through a padded frame |

The last two are where the Grain Size Analysis Tools of NIST lay theirs, so that chords can be compared one to one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError, unknown_name

#: Diameters of the three circles in parts of the side of the square that holds them.
ABRAMS_DIAMETERS = (0.7958, 0.5305, 0.2653)
PATTERNS = ("hilliard", "abrams", "line-grid", "nist-e112", "nist-line-grid")
#: Angles of a line grid, from the horizontal, counter-clockwise.
ANGLES_DEG = (0.0, 45.0, 90.0, 135.0)
#: Lines of one angle across the short side, where no spacing is given.
LINES_ACROSS = 12
_NIST_MARGIN = 0.05
_NIST_SPACING_PX = 60


@dataclass(frozen=True, kw_only=True, eq=False)
class Probe:
    """Hold one test line as points at equal steps.

    `points` (n, 2) row and column; `step_px` of arc length from one to the next, one pixel or the diagonal of one; a
    `closed` one returns to its first point. `direction_deg` is the angle of a straight one, None for a circle.
    """

    name: str
    points: np.ndarray
    step_px: float
    closed: bool = False
    direction_deg: float | None = None


def straight(
    name: str,
    start: Sequence[float] | np.ndarray,
    stop: Sequence[float] | np.ndarray,
    direction_deg: float | None = None,
    *,
    by_pixels: bool = False,
) -> Probe:
    """Make a straight test line between two points (row, column), in steps of a pixel's length.

    With `by_pixels` it goes from pixel to pixel as a drawn line does, so that a diagonal one has steps of 1.41 pixels.

    >>> line = straight("a", (0, 0), (0, 9))
    >>> line.points.shape, line.step_px
    ((10, 2), 1.0)
    """
    a, b = np.asarray(start, float), np.asarray(stop, float)
    length = float(np.hypot(*(b - a)))
    n = max(1, math.ceil((float(np.abs(b - a).max()) if by_pixels else length) - 1e-9))
    points = a + np.linspace(0.0, 1.0, n + 1)[:, None] * (b - a)
    return Probe(name=name, points=points, step_px=length / n, direction_deg=direction_deg)


def circle(name: str, centre: Sequence[float], radius_px: float) -> Probe:
    """Make a circular test line."""
    if not radius_px >= 2:
        raise InputError(f"test circle: radius {radius_px} px; wanted at least 2, on a larger field")
    length = 2.0 * math.pi * radius_px
    n = math.ceil(length)
    angle = np.arange(n) * (2.0 * math.pi / n)
    points = np.column_stack([centre[0] + radius_px * np.sin(angle), centre[1] + radius_px * np.cos(angle)])
    return Probe(name=name, points=points, step_px=length / n, closed=True)


def lines_at(
    shape: tuple[int, int], angle_deg: float, spacing_px: float, *, offsets_px: np.ndarray | None = None
) -> list[Probe]:
    """Lay parallel lines over a field of `shape`, at perpendicular distances `offsets_px` from its centre.

    The angle is counter-clockwise from the horizontal. Without offsets the lines stand half a spacing from the centre.
    """
    turn = math.radians(angle_deg)
    along = np.array([-math.sin(turn), math.cos(turn)])
    across = np.array([math.cos(turn), math.sin(turn)])
    centre = (np.asarray(shape) - 1) / 2.0
    if offsets_px is None:
        half = math.ceil(math.hypot(*shape) / 2.0 / spacing_px)
        offsets_px = (np.arange(-half, half) + 0.5) * spacing_px
    found = []
    for offset in offsets_px:
        ends = _inside(centre + offset * across, along, shape)
        if ends is not None:
            name = f"{angle_deg:g} deg"
            found.append(straight(name, *ends, direction_deg=angle_deg % 180.0))
    return found


def _inside(through: np.ndarray, along: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | None:
    """Cut a line at the centres of the outermost pixels; None where less than three pixels are left."""
    low, high = -np.inf, np.inf
    for axis in range(2):
        if abs(along[axis]) < 1e-12:
            if not -0.5 <= through[axis] <= shape[axis] - 0.5:
                return None
            continue
        ends = sorted(((0 - through[axis]) / along[axis], (shape[axis] - 1 - through[axis]) / along[axis]))
        low, high = max(low, ends[0]), min(high, ends[1])
    return (through + low * along, through + high * along) if high - low >= 2 else None


def pattern_probes(
    pattern: str,
    shape: tuple[int, int],
    *,
    spacing_px: float | None = None,
    angles_deg: Sequence[float] = ANGLES_DEG,
) -> list[Probe]:
    """Lay the test lines of a pattern over a field of `shape` (rows, columns).

    `spacing_px` and `angles_deg` are those of `line-grid`; without a spacing, `LINES_ACROSS` lines cross the short
    side.

    >>> [p.name for p in pattern_probes("abrams", (100, 120))]
    ['circle 1', 'circle 2', 'circle 3']
    """
    if pattern not in PATTERNS:
        raise unknown_name("test pattern", pattern, PATTERNS)
    if min(shape) < 8:
        raise InputError(f"test pattern: field of shape {shape}; wanted at least 8 x 8 pixels")
    if pattern == "line-grid":
        spacing = max(1.0, min(shape) / LINES_ACROSS) if spacing_px is None else float(spacing_px)
        if not spacing >= 1 or len(angles_deg) == 0:
            raise InputError(f"line grid: spacing {spacing} px, {len(angles_deg)} angles; wanted >= 1 px and an angle")
        return [line for angle in angles_deg for line in lines_at(shape, angle, spacing)]
    if pattern == "nist-line-grid":
        return _nist_line_grid(shape)
    side = min(shape)
    corner = ((shape[0] - side) // 2, (shape[1] - side) // 2)
    centre = (corner[0] + side // 2, corner[1] + side // 2)
    radii = [round(side * part / 2.0) if pattern == "nist-e112" else side * part / 2.0 for part in ABRAMS_DIAMETERS]
    circles = [circle(f"circle {i + 1}", centre, radius) for i, radius in enumerate(radii)]
    if pattern == "hilliard":
        return circles[:1]
    return circles if pattern == "abrams" else _nist_lines(corner, side) + circles


def _nist_lines(corner: tuple[int, int], side: int) -> list[Probe]:
    top, left, last = *corner, side - 1
    margin = round(_NIST_MARGIN * side)
    ends = {
        0.0: ((top + side - margin, left), (top + side - margin, left + last)),
        90.0: ((top, left + margin - 1), (top + last, left + margin - 1)),
        135.0: ((top, left), (top + last, left + last)),
        45.0: ((top, left + last), (top + last, left)),
    }
    return [straight(f"{angle:g} deg", *line, angle, by_pixels=True) for angle, line in ends.items()]


def _nist_line_grid(shape: tuple[int, int]) -> list[Probe]:
    diagonal = math.ceil(math.hypot(*shape))
    rows = shape[0] + 2 * math.ceil(1.1 * (diagonal - min(shape)) / 2.0)
    offsets = np.arange(0, rows, _NIST_SPACING_PX) - (rows - 1) / 2.0
    # Their picture turns counter-clockwise under fixed rows, so the lines turn clockwise on it.
    return [line for angle in (0, 45, 90, 135, 180) for line in lines_at(shape, -float(angle), 1.0, offsets_px=offsets)]
