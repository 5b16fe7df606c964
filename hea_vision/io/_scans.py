"""What every reader of patterns gives, and how scans become patterns: order, axis, choice, sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Pattern
from hea_vision.io._axes import two_theta_from
from hea_vision.io._files import one_line
from hea_vision.io.radiation import Source, settle

MIN_POINTS = 50
#: Most scans that one file may hold; a map of reciprocal space has hundreds.
MAX_SCANS = 5000
_LISTED = 5
#: Counts vary by at least this share of their square root; less means that they were smoothed or scaled.
_LEAST_NOISE = 0.6
#: Median of the square of a standard normal number.
_MEDIAN_CHI2 = 0.4549


@dataclass(frozen=True, kw_only=True, eq=False)
class Scan:
    """Hold one scan as the file gives it.

    `x` (n,) in the unit that `axis` names, `y` (n,) and its standard deviation `std` (n,) where the file has one.
    `conditions` are what else the file says of this scan (temperature, tilt); scans that differ in it are no repeats.
    """

    x: np.ndarray
    y: np.ndarray
    std: np.ndarray | None = None
    axis: str = "two_theta_deg"
    source: Source = field(default_factory=Source)
    conditions: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def counts_are_verified(y: np.ndarray) -> bool:
    """Tell whether what a file calls counts can be counts: whole, not scaled, as noisy as Poisson's law wants.

    >>> counts_are_verified(np.arange(60) * 5.0), counts_are_verified(np.arange(60) + 0.5)
    (False, False)
    """
    if y.size < MIN_POINTS or not np.isfinite(y).all() or (y < 0).any() or y.max() > 2**53 or (y % 1 != 0).any():
        return False
    if np.gcd.reduce(y.astype(np.int64)) != 1:
        return False
    mean = (y[:-2] + y[1:-1] + y[2:]) / 3
    bright = mean > 10  # below, the median of whole numbers says little
    if bright.sum() < MIN_POINTS:
        return True
    second = (y[:-2] - 2 * y[1:-1] + y[2:])[bright]
    return bool(np.median(second**2 / (6 * mean[bright])) / _MEDIAN_CHI2 > _LEAST_NOISE**2)


def counts_entry(y: np.ndarray, said: bool) -> dict[str, bool]:
    """Give the metadata entry `counts`, where the format says counts and the numbers bear it out."""
    return {"counts": True} if said and counts_are_verified(y) else {}


def checked_count(path: Path, n: int) -> None:
    """Refuse files of thousands of scans."""
    if n > MAX_SCANS:
        raise InputError(f"{path}: {n} scans in one file, at most {MAX_SCANS} are read; export single scans")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Hold what all scans of one file share on the way to patterns."""

    where: str
    sha256: str
    user: Source
    axis: str | None = None

    def pattern(self, scan: Scan) -> Pattern:
        """Make a checked pattern of one scan: 2-theta, ascending, the user's radiation before the file's."""
        source = settle(scan.source, self.user)
        axis = self.axis or scan.axis
        if scan.x.size < MIN_POINTS:
            raise InputError(
                f"{self.where}: got {scan.x.size} points, wanted a pattern of at least {MIN_POINTS};"
                " export the whole scan"
            )
        check_finite(self.where, scan.x, scan.y)
        x, axis_notes = two_theta_from(self.where, scan.x, axis, source)
        x, y, std, notes = _in_order(self.where, x, scan.y, scan.std)
        if std is not None and not (np.isfinite(std).all() and (std > 0).all()):
            std, notes["std_note"] = None, "the standard deviations are not all above zero; they are left out"
        return Pattern(
            two_theta_deg=x,
            intensity=y,
            intensity_std=std,
            radiation=source.radiation,
            wavelength_A=source.wavelength_A,
            source=self.where,
            sha256=self.sha256,
            metadata={**scan.metadata, **axis_notes, **notes, **source.notes},
        )

    def patterns(self, scans: Sequence[Scan]) -> list[Pattern]:
        """Make patterns of all scans that are one; the error of the first where none is."""
        made, first = [], None
        for i, scan in enumerate(scans):
            try:
                pattern = self.pattern(scan)
            except InputError as error:
                first = first or error
                continue
            if len(scans) > 1:
                pattern = replace(pattern, metadata={**pattern.metadata, "scan": i, "scans_in_file": len(scans)})
            made.append(pattern)
        if not made:
            raise first or InputError(f"{self.where}: no scan in the file; export a 2-theta scan")
        return made

    def one(self, scans: Sequence[Scan], scan: int | None) -> Pattern:
        """Give the scan that is asked for, the only one, or the sum of repeats."""
        if scan is not None:
            if isinstance(scan, bool) or not isinstance(scan, int | np.integer) or not 0 <= scan < len(scans):
                raise InputError(
                    f"{self.where}: scan={one_line(scan, 40)}, the file holds {len(scans)};"
                    f" wanted a whole number from 0 to {len(scans) - 1}"
                )
            pattern = self.pattern(scans[scan])
            notes = {"scan": int(scan), "scans_in_file": len(scans)} if len(scans) > 1 else {}
            return replace(pattern, metadata={**pattern.metadata, **notes})
        if len(scans) == 1:
            return self.pattern(scans[0])
        made = self.patterns(scans)
        if len(made) == 1:
            note = f"{len(scans)} scans in the file, one of them is a pattern"
            return replace(made[0], metadata={**made[0].metadata, "scans_note": note})
        if len(made) == len(scans) and _are_repeats(scans, made):
            return _summed(made)
        raise InputError(f"{self.where}: holds {len(scans)} scans: {_listing(scans, made)}; say scan=N")


def check_finite(where: str, x: np.ndarray, y: np.ndarray) -> None:
    """Refuse angles and intensities that are not finite, naming the first."""
    for what, values in (("angle", x), ("intensity", y)):
        bad = ~np.isfinite(values)
        if bad.any():
            raise InputError(
                f"{where}: {what} of point {int(np.argmax(bad)) + 1} is not a finite number;"
                " remove that row or export the scan again"
            )


def _in_order(
    where: str, x: np.ndarray, y: np.ndarray, std: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, dict[str, str]]:
    """Check the points and turn a descending scan round."""
    steps = np.diff(x)
    notes: dict[str, str] = {}
    if (steps < 0).all():
        x, y, steps = x[::-1].copy(), y[::-1].copy(), -steps[::-1]
        std = None if std is None else std[::-1].copy()
        notes["order_note"] = "the file runs from high to low angles; it was turned round"
    if not (steps > 0).all():
        raise InputError(_why_unordered(where, x, y, steps))
    if not y.max() > 0:
        raise InputError(
            f"{where}: no intensity is above zero (largest {y.max():g}), wanted counts;"
            " export the pattern without background subtraction or log scale"
        )
    return x, y, std, notes


def _why_unordered(where: str, x: np.ndarray, y: np.ndarray, steps: np.ndarray) -> str:
    """Say in which way the angles are out of order."""
    other = np.diff(y)
    if (other > 0).all() or (other < 0).all():
        return f"{where}: the columns are swapped; wanted 2-theta in degrees first, then intensity: swap them"
    forward = (steps > 0).sum() >= (steps < 0).sum()
    wrong = int(np.argmax(steps <= 0 if forward else steps >= 0)) + 1
    if (steps >= 0).all() or (steps <= 0).all():
        return f"{where}: angle {x[wrong]:g} is repeated at point {wrong + 1}; average or remove the repeats"
    return (
        f"{where}: angles jump from {x[wrong - 1]:g} to {x[wrong]:g} at point {wrong + 1}, wanted one scan"
        " in order of 2-theta; sort the rows, or split the file where it holds several scans"
    )


def _are_repeats(scans: Sequence[Scan], patterns: Sequence[Pattern]) -> bool:
    """Tell whether scans cover one grid under one radiation and the same conditions."""
    first = patterns[0]
    x = first.two_theta_deg
    near = 0.02 * float(np.diff(x).min())
    return all(
        p.two_theta_deg.shape == x.shape
        and float(np.abs(p.two_theta_deg - x).max()) <= near
        and (p.radiation, p.wavelength_A) == (first.radiation, first.wavelength_A)
        and (p.intensity_std is None) == (first.intensity_std is None)
        and p.metadata.get("counting_time_s") == first.metadata.get("counting_time_s")
        and p.metadata.get("unit") == first.metadata.get("unit")
        for p in patterns
    ) and not _differing(scans)


def _differing(scans: Sequence[Scan]) -> list[str]:
    """Name the conditions in which scans differ by more than drives and sensors jitter."""
    names = dict.fromkeys(name for scan in scans for name in scan.conditions)
    found = []
    for name in names:
        values = [scan.conditions.get(name, np.nan) for scan in scans]
        if not np.ptp(values) <= 0.01 + 1e-3 * float(np.abs(values).max()):
            found.append(name)
    return found


def _summed(patterns: Sequence[Pattern]) -> Pattern:
    """Add repeats of one scan."""
    first, n = patterns[0], len(patterns)
    stds = [p.intensity_std for p in patterns if p.intensity_std is not None]
    metadata = {k: v for k, v in first.metadata.items() if k != "scan"}
    if not all(p.metadata.get("counts") for p in patterns):
        metadata.pop("counts", None)
    if (time := metadata.get("counting_time_s")) is not None:
        metadata["counting_time_s"] = time * n
    return replace(
        first,
        intensity=np.sum([p.intensity for p in patterns], axis=0),
        intensity_std=np.sqrt(np.sum(np.square(stds), axis=0)) if stds else None,
        metadata={**metadata, "scans_note": f"{n} scans of one range in the file; they are summed"},
    )


def _listing(scans: Sequence[Scan], made: Sequence[Pattern]) -> str:
    """List scans by number, range, points and what tells them apart."""
    by_number = {int(p.metadata["scan"]): p.two_theta_deg for p in made}
    ranges = {(round(x[0], 3), round(x[-1], 3), x.size) for x in by_number.values()}
    differing = _differing(scans)[:2] if len(ranges) == 1 else []
    lines = []
    for i, scan in enumerate(scans[:_LISTED]):
        if (x := by_number.get(i)) is None:
            lines.append(f"{i} no pattern, {scan.x.size} points")
            continue
        text = f"{i} from {x[0]:g} to {x[-1]:g} deg, {x.size} points"
        lines.append(text + "".join(f", {name} {scan.conditions.get(name, np.nan):g}" for name in differing))
    more = f"; {len(scans) - _LISTED} more" if len(scans) > _LISTED else ""
    return one_line("; ".join(lines), 300) + more


#: A format's reader: path and content in, scans out.
ScanReader = Callable[[Path, bytes], list[Scan]]
