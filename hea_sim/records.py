"""The frozen records that travel between rooms.

A quantity carries its unit in its name; a measured or predicted number never travels alone but as an `Estimate`.
Every record turns into plain JSON data with `hea_sim.documents.to_jsonable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from hea_sim.errors import InputError

Verdict = Literal["agree", "disagree", "inconclusive", "assumed"]

#: Two-sided standard normal quantiles for the levels that are used here.
_Z_OF_LEVEL = {0.68: 0.994458, 0.9: 1.644854, 0.95: 1.959964, 0.99: 2.575829}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Hold a number with its uncertainty, unit and the method that gave it.

    `low` and `high` bound the interval of probability `level`; they may be lopsided. `n` is the number of
    independent observations behind the value, None where that has no meaning.
    """

    value: float
    std: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    unit: str = ""
    n: int | None = None
    method: str = ""

    def __post_init__(self) -> None:
        if self.std is not None and not self.std >= 0:
            raise InputError(f"standard deviation of an Estimate: got {self.std}, wanted a number >= 0")
        if (self.low is None) != (self.high is None) or (self.low is not None and self.level is None):
            raise InputError("an Estimate has either no interval or all of low, high and level")

    @classmethod
    def normal(
        cls, value: float, std: float, *, unit: str, method: str, level: float = 0.95, n: int | None = None
    ) -> Estimate:
        """Make an estimate whose error is normal.

        >>> e = Estimate.normal(3.2, 0.1, unit="A", method="fit")
        >>> round(e.low, 3), round(e.high, 3)
        (3.004, 3.396)
        """
        if level not in _Z_OF_LEVEL:
            raise InputError(f"level {level} of an Estimate; wanted one of {sorted(_Z_OF_LEVEL)}")
        value, std = float(value), float(std)
        half = _Z_OF_LEVEL[level] * std
        return cls(
            value=value, std=std, low=value - half, high=value + half, level=level, unit=unit, n=n, method=method
        )

    def __format__(self, spec: str) -> str:
        spec = spec or ".4g"
        text = format(self.value, spec)
        if self.std is not None:
            text += f" ± {self.std:.2g}"
        return f"{text} {self.unit}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Say where a result comes from: inputs, models, seed, versions, settings."""

    input_sha256: Mapping[str, str] = field(default_factory=dict)
    model_sha256: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pattern:
    """Hold one powder pattern.

    `two_theta_deg` (n,) strictly increasing; `intensity` (n,) finite, in the file's own unit;
    `radiation` is the name the file or the user gave ("CuKa", "CoKa", ...), None where nobody said;
    `wavelength_A` is set for a single wavelength that is no tube line;
    `intensity_std` (n,) > 0 is the standard deviation of the intensities, None where nobody said.
    `metadata["counts"]` is True where the intensities are raw counts; `metadata["counting_time_s"]` is for one point.
    """

    two_theta_deg: np.ndarray
    intensity: np.ndarray
    radiation: str | None = None
    wavelength_A: float | None = None
    source: str = ""
    sha256: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    intensity_std: np.ndarray | None = None

    def __post_init__(self) -> None:
        x, y = np.asarray(self.two_theta_deg, float), np.asarray(self.intensity, float)
        where = f"{self.source}: " if self.source else ""
        if x.ndim != 1 or x.shape != y.shape:
            raise InputError(
                f"{where}angles and intensities must be two lists of one length; got shapes {x.shape} and {y.shape}"
            )
        if x.size < 50:
            raise InputError(f"{where}a pattern needs at least 50 points; got {x.size}")
        for what, bad in (("angle", ~np.isfinite(x)), ("intensity", ~np.isfinite(y))):
            if bad.any():
                raise InputError(
                    f"{where}{what} of point {int(np.argmax(bad)) + 1} is not a finite number; remove or mend that row"
                )
        if not np.all(np.diff(x) > 0):
            raise InputError(
                f"{where}angles do not increase at point {int(np.argmax(np.diff(x) <= 0)) + 2}; wanted two columns,"
                " 2-theta in degrees first, then intensity (are the columns swapped?)"
            )
        if x[0] < 0 or x[-1] > 180:
            raise InputError(f"{where}2-theta runs from {x[0]:g} to {x[-1]:g}; wanted degrees between 0 and 180")
        if x[-1] - x[0] < 3.2:
            raise InputError(
                f"{where}2-theta spans only {x[-1] - x[0]:.3g}; wanted degrees (radians? multiply by 57.2958)"
            )
        object.__setattr__(self, "two_theta_deg", x)
        object.__setattr__(self, "intensity", y)
        if self.intensity_std is not None:
            std = np.asarray(self.intensity_std, float)
            if std.shape != x.shape or not (np.isfinite(std).all() and (std > 0).all()):
                raise InputError(
                    f"{where}standard deviations must be {x.size} finite numbers above zero, one for every point;"
                    " leave them out where they are not known"
                )
            object.__setattr__(self, "intensity_std", std)


def _count_not_finite(image: np.ndarray) -> int:
    """Count NaN and infinity row by row, so that no array as large as the image is made; whole numbers have none."""
    if image.dtype.kind not in "fc":
        return 0
    step = max((1 << 20) // max(image.shape[1], 1), 1)
    parts = (image[top : top + step] for top in range(0, image.shape[0], step))
    return sum(part.size - int(np.count_nonzero(np.isfinite(part))) for part in parts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Micrograph:
    """Hold one grey micrograph.

    `image` (rows, columns) finite: float from `read_micrograph`, of the file's own type (perhaps memory-mapped) from
    `open_micrograph`; `pixel_size_nm` None where neither file nor user said.
    """

    image: np.ndarray
    pixel_size_nm: float | None = None
    source: str = ""
    sha256: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        image = np.asarray(self.image)
        where = f"{self.source}: " if self.source else ""
        if image.ndim != 2 or min(image.shape, default=0) < 8:
            raise InputError(f"{where}wanted a grey image of at least 8 x 8 pixels; got shape {image.shape}")
        if image.dtype.kind not in "buif":
            raise InputError(f"{where}pixels are of type {image.dtype}; wanted real numbers: take the absolute value")
        bad = _count_not_finite(image)
        if bad:
            raise InputError(f"{where}the image holds {bad} pixels that are not finite; fill them or crop them off")
        if self.pixel_size_nm is not None and not 0 < self.pixel_size_nm < 1e9:
            raise InputError(f"{where}pixel size {self.pixel_size_nm} nm; wanted a positive number")


@dataclass(frozen=True, kw_only=True, eq=False)
class Segmentation:
    """Hold the labels of one micrograph.

    `labels` (rows, columns) integer class per pixel; `classes` names every class number, 0 is the matrix.

    `probabilities` (classes, rows, columns) in the order of the sorted class numbers and `uncertainty` (rows, columns),
    0 sure to 1 at a loss, come from networks; so do `unfamiliarity`, the distance of the image from what the model
    knows in units of its limit, and `unfamiliar`, True beyond it. `instances` (rows, columns) numbers objects from 1,
    0 is none; `points` (n, 3) are row, column, intensity of what has a place rather than an area.
    """

    labels: np.ndarray
    classes: Mapping[int, str]
    pixel_size_nm: float | None = None
    fractions: Mapping[str, Estimate] = field(default_factory=dict)
    objects: Mapping[str, int] = field(default_factory=dict)
    model: str = ""
    source: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    probabilities: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    instances: np.ndarray | None = None
    points: np.ndarray | None = None
    unfamiliar: bool | None = None
    unfamiliarity: float | None = None

    def __post_init__(self) -> None:
        where = f"{self.source}: " if self.source else ""
        if self.pixel_size_nm is not None and not 0 < self.pixel_size_nm < 1e9:
            raise InputError(f"{where}pixel size {self.pixel_size_nm} nm; wanted a positive number")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Hold one phase that was found or is expected: its fundamental lattice and numbers.

    `size_nm` is the size of coherent domains from line widths, `microstrain` their broadening e; `texture` describes a
    preferred orientation in words, empty where none was needed.
    """

    name: str
    probability: float
    lattice_A: Mapping[str, Estimate] = field(default_factory=dict)
    weight_fraction: Estimate | None = None
    explained_fraction: float | None = None
    volume_fraction: Estimate | None = None
    size_nm: Estimate | None = None
    microstrain: Estimate | None = None
    texture: str = ""


@dataclass(frozen=True, kw_only=True)
class PatternCall:
    """Hold what a labeller says of one pattern.

    `phases` are present in at least trace_limit of the weight; `traces` are found below it.
    `synthetic` marks a pattern that this project's own forward model made.
    `prediction_sets` are alternative assemblages at `set_level`; `assemblages` lists whole sets of fundamental lattices
    with their probabilities, what is left to one belonging to nothing that is known. `in_scope` is False where no
    metallic phase explains the pattern; `reason` then says why, and `phases` lists candidates.
    """

    input: str
    in_scope: bool
    phases: Sequence[Phase]
    prediction_sets: Sequence[Sequence[str]]
    unexplained_fraction: float
    radiation: str
    wavelength_A: float
    reason: str = ""
    traces: Sequence[Phase] = ()
    set_level: float = 0.99
    assemblages: Sequence[Mapping[str, Any]] = ()
    order: Sequence[Mapping[str, Any]] = ()
    unexplained_lines: Sequence[Mapping[str, float]] = ()
    notes: Sequence[str] = ()
    method: str = ""
    synthetic: bool = False
    provenance: Provenance | None = None
    curves: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Hold one claim: what was measured, what was predicted, and what may be concluded.

    Numbers go into `measured` and `predicted`; named claims (phase, order) into the two `..._sets`.
    `resolvable_difference` is the smallest difference that this pair could have shown.
    """

    claim: str
    kind: str
    verdict: Verdict
    reason: str
    independent: bool
    measured: Estimate | None = None
    predicted: Estimate | None = None
    measured_sets: Sequence[Sequence[str]] = ()
    predicted_sets: Sequence[Sequence[str]] = ()
    z: float | None = None
    resolvable_difference: float | None = None
    alternatives: Mapping[str, str] = field(default_factory=dict)
    against: str = ""
    measured_source: str = ""
    predicted_source: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Simulation:
    """Hold one simulated state of an alloy.

    `atoms` is an `ase.Atoms` of the sampled cell at the model's own lattice parameter; `lattice_A` is the
    room-temperature, element-referenced prediction with `model_std` as its std.
    `warren_cowley` (shells, species, species), `warren_cowley_std` likewise.
    """

    alloy: str
    model: str
    lattice: str
    atoms: Any
    species: Sequence[str]
    equilibration_temperature_K: float
    energy_eV_per_atom: Estimate
    lattice_A: Estimate
    shells_A: np.ndarray
    warren_cowley: np.ndarray
    warren_cowley_std: np.ndarray
    acceptance: float
    seed: int
    trace: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: Sequence[str] = ()
    card: Mapping[str, Any] = field(default_factory=dict)
