"""Grain size by intercepts: ASTM E112-13 (circles, lines) and E1382-97 (grids on digital images).

| symbol | equation | here |
|---|---|---|
| L, P | length of test line, intersections with boundaries | `length_px`, `n_intersections` |
| l | L / P | `mean_intercept` |
| G | -3.2877 - 6.6439 log10(l in mm) (E112-13, table 4) | `grain_size_number` |
| S_V | 2 / l, boundary area in a volume (Smith and Guttman, Trans. AIME 197 (1953) 81) | `boundary_area_density` |
| %RA | 100 x 95 % CI / l | `relative_accuracy_percent` |
| G (ISO 643) | log2(grains per mm2) - 3 | `iso_number` |

E112 puts G = 0 at 7.75 grains per mm2, ISO 643 at 8, so on the same grains the ISO index is smaller by 0.046.

Both standards want several fields. From one field the interval is model-based: the field is parted into blocks that
count as fields. Blocks see the same grains under every angle, so lines through one grain do not count as independent.
The std is held to at least l / (2 sqrt(n)) with n = pi/4 A / l^2 grains in the field, that of grains sown at random.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Estimate
from hea_vision.measurement.intercepts import TRIPLE_SCORES, Intercepts, checked_instances, count_intercepts
from hea_vision.measurement.intervals import (
    LEVEL,
    mean_estimate,
    poisson_interval,
    ratio_estimate,
    relative_accuracy_percent,
    with_interval,
)
from hea_vision.measurement.probes import ANGLES_DEG, pattern_probes

_UM_PER_MM, _NM_PER_UM = 1000.0, 1000.0
#: G of E112 is larger than the index of ISO 643 on the same grains by 3 - 2.954.
ISO_SHIFT = 0.046
#: Fewer intersections than this in a field leave too little for blocks.
_LEAST_FOR_BLOCKS = 30
_BLOCKS = 4
#: Below this mean intercept the pixels hide more than 1.5 % of the intersections (measured on Voronoi grains).
_COARSE_PX = 10.0
#: Boundaries wider than a seventh of the intercept fill more than this (measured on Voronoi grains).
_WIDE_BOUNDARIES = 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class InterceptGrainSize:
    """Hold the grain size of one field, or of several, by intercepts.

    Lengths are in um, or in px where the pixel size is not known; then there is no `grain_size_number`, because it is
    defined by millimetres. `mean_chord` is over whole chords only and so a little smaller than `mean_intercept`, which
    is length over intersections; `chord_std` is the standard deviation of one chord. `by_direction` is the mean
    intercept along each straight direction, `elongation` the largest of them over the smallest. `chords` are in px.
    """

    mean_intercept: Estimate | None
    grain_size_number: Estimate | None
    iso_number: Estimate | None
    boundary_area_density: Estimate | None
    mean_chord: Estimate | None
    chord_std: float | None
    relative_accuracy_percent: float | None
    by_direction: dict[str, Estimate]
    elongation: float | None
    n_intersections: float
    length_px: float
    chords_px: np.ndarray
    pattern: str
    notes: tuple[str, ...] = ()


def number_from_intercept(mean_intercept_mm: float) -> float:
    """Compute the ASTM grain size number from the mean intercept in mm.

    >>> round(number_from_intercept(0.32), 2), round(number_from_intercept(0.0089), 2)
    (0.0, 10.34)
    """
    if not mean_intercept_mm > 0:
        raise InputError(f"mean intercept {mean_intercept_mm} mm; wanted a positive length")
    return -3.2877 - 6.643856 * math.log10(mean_intercept_mm)


def number_from_density(grains_per_mm2: float) -> float:
    """Compute the ASTM grain size number from grains per mm2 of section.

    >>> round(number_from_density(7.75), 2)
    0.0
    """
    if not grains_per_mm2 > 0:
        raise InputError(f"{grains_per_mm2} grains per mm2; wanted a positive number")
    return 3.321928 * math.log10(grains_per_mm2) - 2.954


def iso_number_from_density(grains_per_mm2: float) -> float:
    """Compute the grain size index of ISO 643 from grains per mm2: 8 to the mm2 have index 0.

    >>> iso_number_from_density(16.0)
    1.0
    """
    if not grains_per_mm2 > 0:
        raise InputError(f"{grains_per_mm2} grains per mm2; wanted a positive number")
    return math.log2(grains_per_mm2) - 3.0


def intercept_grain_size(
    instances: np.ndarray | Sequence[np.ndarray],
    *,
    pixel_size_nm: float | None = None,
    pattern: str = "line-grid",
    spacing_px: float | None = None,
    angles_deg: Sequence[float] = ANGLES_DEG,
    least_chord_points: int = 0,
    edge: str = "middle",
    triple_score: tuple[float, float] = TRIPLE_SCORES,
) -> InterceptGrainSize:
    """Measure grain size by the intercept procedure on one field or several of one pixel size.

    Parameters
    ----------
    instances
        Grain per pixel (rows, columns), 0 on boundaries, negative where nothing is measured; or a list of fields.
    pattern
        One of `hea_vision.measurement.probes.PATTERNS`; `spacing_px` and `angles_deg` are those of `line-grid`.
    least_chord_points, edge, triple_score
        See `count_intercepts`.

    Examples
    --------
    >>> squares = np.kron(np.arange(1, 401).reshape(20, 20), np.ones((10, 10), int))
    >>> size = intercept_grain_size(squares, pixel_size_nm=1000.0, angles_deg=(0, 90))
    >>> round(size.mean_intercept.value, 1), size.mean_intercept.unit, round(size.grain_size_number.value, 1)
    (10.5, 'um', 9.9)
    """
    fields = [instances] if isinstance(instances, np.ndarray) else list(instances)
    if not fields:
        raise InputError("grain size: no field; wanted at least one instance map")
    met = []
    for field in fields:
        shape = checked_instances(field).shape
        probes = pattern_probes(pattern, (shape[0], shape[1]), spacing_px=spacing_px, angles_deg=angles_deg)
        met.append(
            count_intercepts(
                field,
                probes,
                least_chord_points=least_chord_points,
                edge=edge,
                triple_score=triple_score,
                blocks=_BLOCKS,
            )
        )
    return grain_size_of_intercepts(met, pixel_size_nm=pixel_size_nm, pattern=pattern)


def grain_size_of_intercepts(
    met: Sequence[Intercepts], *, pixel_size_nm: float | None = None, pattern: str = ""
) -> InterceptGrainSize:
    """Turn what the test lines met, one record a field, into grain size with its interval."""
    scale, unit = length_unit(pixel_size_nm)
    length = float(sum(m.length_px.sum() for m in met))
    crossed = float(sum(m.intersections.sum() for m in met))
    chords = np.concatenate([m.chords_px for m in met])
    notes: list[str] = []
    if pixel_size_nm is None:
        notes.append("no pixel size: lengths are in px, and there is no grain size number")
    if crossed == 0:
        notes.append(
            f"no boundary was crossed on {length * scale:.4g} {unit} of test line: the mean intercept is larger than"
            f" {length * scale / 3.0:.4g} {unit} at 95 %, by the rule of three"
        )
    elif length / crossed < _COARSE_PX:
        notes.append(
            f"the mean intercept is {length / crossed:.1f} px: chords below a pixel are not seen, so it is too large by"
            " about 2 %; record at a higher magnification"
        )
    share = max(m.boundary_share for m in met)
    if crossed > 0 and share > _WIDE_BOUNDARIES:
        notes.append(
            f"boundaries fill {100 * share:.0f} % of the field and hide intersections: the mean intercept is too large"
            " by 5 % or more; thin the boundaries, or give grains that meet pixel to pixel"
        )
    mean = None if crossed == 0 else _mean_intercept(met, scale, unit, pattern)
    number = None if mean is None or pixel_size_nm is None else grain_size_number(mean)
    by_direction = _by_direction(met, scale, unit)
    means = [e.value for e in by_direction.values()]
    return InterceptGrainSize(
        mean_intercept=mean,
        grain_size_number=number,
        iso_number=None if number is None else shifted_to_iso(number),
        boundary_area_density=None if mean is None else _inverse(mean, 2.0, f"1/{unit}", "S_V = 2 / mean intercept"),
        mean_chord=_mean_chord(chords * scale, unit),
        chord_std=float(chords.std(ddof=1) * scale) if chords.size > 1 else None,
        relative_accuracy_percent=None if mean is None else relative_accuracy_percent(mean),
        by_direction=by_direction,
        elongation=max(means) / min(means) if len(means) > 1 else None,
        n_intersections=crossed,
        length_px=length,
        chords_px=chords,
        pattern=pattern,
        notes=tuple(notes),
    )


def length_unit(pixel_size_nm: float | None) -> tuple[float, str]:
    """Give the length of a pixel and its unit: um, or px where nobody said how large a pixel is.

    >>> length_unit(250.0), length_unit(None)
    ((0.25, 'um'), (1.0, 'px'))
    """
    if pixel_size_nm is None:
        return 1.0, "px"
    if not 0 < pixel_size_nm < 1e9:
        raise InputError(f"pixel size {pixel_size_nm} nm; wanted a positive number")
    return float(pixel_size_nm) / _NM_PER_UM, "um"


def grain_size_number(mean_intercept_um: Estimate) -> Estimate:
    """Turn a mean intercept in um into the ASTM grain size number G, interval and all."""
    e = mean_intercept_um

    def number(um: float) -> float:
        return number_from_intercept(um / _UM_PER_MM)

    # A larger intercept is a smaller number, and an interval that reaches zero has no upper number.
    closed = e.low is not None and e.high is not None and e.low > 0 and math.isfinite(e.high)
    why = "" if closed or e.low is None else "; no interval, because that of l has no end above zero"
    return Estimate(
        value=number(e.value),
        std=None if e.std is None else 6.643856 / math.log(10) * e.std / e.value,
        low=number(e.high) if closed and e.high is not None else None,
        high=number(e.low) if closed and e.low is not None else None,
        level=e.level if closed else None,
        unit="G",
        n=e.n,
        method=f"ASTM E112-13, G = -3.2877 - 6.6439 log10(l / mm); {e.method}{why}",
    )


def shifted_to_iso(number: Estimate) -> Estimate:
    """Turn an ASTM grain size number into the index of ISO 643, which counts the same grains from another zero."""
    return Estimate(
        value=number.value - ISO_SHIFT,
        std=number.std,
        low=None if number.low is None else number.low - ISO_SHIFT,
        high=None if number.high is None else number.high - ISO_SHIFT,
        level=number.level,
        unit="G (ISO 643)",
        n=number.n,
        method=f"ISO 643, index = G of E112 - {ISO_SHIFT}, both by grains per mm2; {number.method}",
    )


def _mean_intercept(met: Sequence[Intercepts], scale: float, unit: str, pattern: str) -> Estimate:
    crossed = float(sum(m.intersections.sum() for m in met))
    counted = f"length over {crossed:g} intersections, pattern {pattern or 'of the caller'}"
    if len(met) > 1:
        return ratio_estimate(
            [m.length_px.sum() for m in met],
            [m.intersections.sum() for m in met],
            scale=scale,
            unit=unit,
            n=len(met),
            method=f"{counted}; Student's t over {len(met)} fields",
        )
    length = float(met[0].length_px.sum())
    if crossed >= _LEAST_FOR_BLOCKS:
        blocks = int(((met[0].block_length_px > 0) | (met[0].block_intersections > 0)).sum())  # that a line meets
        by_blocks = ratio_estimate(
            met[0].block_length_px, met[0].block_intersections, scale=scale, unit=unit, method=counted
        )
        value = scale * length / crossed
        grains = math.pi / 4.0 * met[0].area_px * (crossed / length) ** 2
        std = max(by_blocks.std or 0.0, value / (2.0 * math.sqrt(grains)))
        said = f"{counted}; model-based, one field: Student's t over its {blocks} blocks and about {grains:.0f} grains"
        return with_interval(value, std, blocks - 1, unit=unit, n=round(crossed), method=said)
    low, high = poisson_interval(crossed)
    return Estimate(
        value=scale * length / crossed,
        std=scale * length / crossed**1.5,
        low=scale * length / high,
        high=scale * length / low if low > 0 else math.inf,
        level=LEVEL,
        unit=unit,
        n=round(crossed),
        method=f"{counted}; model-based, one field: intersections as a Poisson count",
    )


def _mean_chord(chords: np.ndarray, unit: str) -> Estimate | None:
    if chords.size == 0:
        return None
    method = "mean of whole chords, those cut by an edge left out; interval as if chords were independent"
    return mean_estimate(chords, unit=unit, method=method)


def _by_direction(met: Sequence[Intercepts], scale: float, unit: str) -> dict[str, Estimate]:
    """Estimate the mean intercept along each straight direction, over its lines."""
    found = {}
    directions = np.concatenate([m.directions_deg for m in met])
    length, crossed = (np.concatenate([getattr(m, name) for m in met]) for name in ("length_px", "intersections"))
    for angle in np.unique(directions[np.isfinite(directions)]):
        of = directions == angle
        if crossed[of].sum() > 0:
            found[f"{angle:g} deg"] = ratio_estimate(
                length[of],
                crossed[of],
                scale=scale,
                unit=unit,
                method=f"length over intersections at {angle:g} deg; model-based: Student's t over {of.sum()} lines",
            )
    return found


def _inverse(e: Estimate, times: float, unit: str, method: str) -> Estimate:
    closed = e.low is not None and e.high is not None and e.low > 0
    return Estimate(
        value=times / e.value,
        std=None if e.std is None else times * e.std / e.value**2,
        low=times / e.high if closed and e.high is not None else None,
        high=times / e.low if closed and e.low is not None else None,
        level=e.level if closed else None,
        unit=unit,
        n=e.n,
        method=f"{method}; {e.method}",
    )
