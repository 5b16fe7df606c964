"""Segregation from line scans and element maps: how far each element varies, with which others, over what length.

Every number is given twice. In the measured stretch or field only noise makes it uncertain. In the alloy, of which that
stretch is a sample, the few dendrites on it do so as well: neighbouring points say the same, so intervals count
independent points (`noise_separation`). Only the second says anything of the material.

Percentages sum to 100: where one element rises, others must fall, without any tendency of their own. `closure` of a
pair is the correlation that elements of such amplitudes would have, were their amounts before normalising independent
(`closure`). A pair is together or apart only where it goes beyond that, at a false rate of 5 % for all pairs of a
measurement together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.stats import chi2, norm, t

from hea_sim.errors import InputError
from hea_sim.records import Estimate
from hea_vision.io.composition_tables import LineScan
from hea_vision.io.eds import ElementMaps
from hea_vision.measurement.closure import beyond_null, closure_correlations
from hea_vision.measurement.noise_separation import Covariances, pooled, separate_noise, true_correlation
from hea_vision.measurement.segregation_length import arm_spacing

Finding = Literal["together", "apart", "undecided", "below noise"]

LEVEL = 0.95
#: Chance that any pair of a measurement without correlations is called together or apart.
FALSE_RATE = 0.05
_Z = float(norm.ppf(0.5 + LEVEL / 2.0))
#: Fewest independent points from which a spread in the alloy is inferred at all.
_FEWEST = 2.0
#: Parts of the mean that a quantity must reach to be expressed relative to it.
_TINY = 1e-9


@dataclass(frozen=True, kw_only=True)
class ElementPair:
    """Hold the correlation of two elements' true contents.

    `measured` is that of the measured stretch, `alloy` that of the material (None for both where one of the two is not
    above the noise); `closure` is the correlation without any tendency. `finding` speaks of the alloy: "together"
    and "apart" are beyond closure, "undecided" is not.
    """

    first: str
    second: str
    measured: Estimate | None
    alloy: Estimate | None
    closure: float
    finding: Finding


@dataclass(frozen=True, kw_only=True)
class Segregation:
    """Hold what line scans or maps of one specimen say of its segregation.

    `amplitude` is the standard deviation of the true content over the measured stretch, `amplitude_of_alloy` that of
    the material (None where the stretch is too short to say). `noise` is the standard deviation of one point.
    `quantified` is False where values are brightness or counts: then all amplitudes are relative to the mean.
    `spacing_um` is the mean distance of segregation maxima, None where it was not resolved (`notes` say why).
    """

    source: str
    elements: tuple[str, ...]
    quantified: bool
    n_points: int
    n_independent: float
    mean: Mapping[str, Estimate]
    amplitude: Mapping[str, Estimate]
    amplitude_of_alloy: Mapping[str, Estimate | None]
    noise: Mapping[str, float]
    pairs: Sequence[ElementPair]
    spacing_um: Estimate | None = None
    notes: Sequence[str] = ()
    curves: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)

    def pair(self, first: str, second: str) -> ElementPair:
        """Give the pair of two elements, in either order."""
        for pair in self.pairs:
            if {pair.first, pair.second} == {first, second}:
                return pair
        raise InputError(f"segregation of {self.source}: no pair {first}-{second}; elements: {self.elements}")


def measure_segregation(*measured: LineScan | ElementMaps) -> Segregation:
    """Measure segregation on line scans or maps of one specimen; several of one kind are pooled.

    Parameters
    ----------
    measured
        Line scans in at.% or counts, or element maps in at.%, counts or brightness. Maps are averaged over blocks
        first, large enough to part noise of neighbouring blocks.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> wave = 3 * np.sin(2 * np.pi * np.arange(200) / 40)
    >>> ti = 50 + wave + 0.3 * rng.standard_normal(200)
    >>> scan = LineScan(elements=("Ti", "Ta"), values=np.c_[ti, 100 - ti], unit="at.%", step_um=0.5)
    >>> found = measure_segregation(scan)
    >>> round(found.amplitude["Ti"].value), round(found.spacing_um.value), found.pair("Ti", "Ta").finding
    (2, 20, 'undecided')
    """
    if not measured:
        raise InputError("measure_segregation: nothing given; wanted line scans or element maps")
    first = measured[0]
    for other in measured[1:]:
        if type(other) is not type(first) or other.elements != first.elements or other.unit != first.unit:
            raise InputError(
                f"measure_segregation: {other.source} ({other.unit}; {', '.join(other.elements)}) and {first.source}"
                f" ({first.unit}; {', '.join(first.elements)}) cannot be pooled; wanted one kind, unit and elements"
            )
    fields, steps_um, notes = zip(*(_prepared(m) for m in measured))
    parts = [separate_noise(f) for f in fields]
    whole = pooled(parts)
    quantified = first.unit == "at.%"
    own = _own_notes(first.elements, whole, quantified)
    amplitude = {e: _amplitude(whole, i, quantified) for i, e in enumerate(first.elements)}
    spacing: Estimate | None = None
    words = ["no spacing of segregation: nothing is above the noise"]
    if len(parts) > 1:
        words = ["a spacing is given for single measurements only"]
    elif any(a.low for a in amplitude.values()):
        spacing, words = arm_spacing(parts[0], steps_um[0])
    return Segregation(
        source=first.source + (f" and {len(measured) - 1} more" if len(measured) > 1 else ""),
        elements=first.elements,
        quantified=quantified,
        n_points=whole.n_points,
        n_independent=whole.n_independent,
        mean={e: _mean(whole, i, first.unit) for i, e in enumerate(first.elements)},
        amplitude=amplitude,
        amplitude_of_alloy={e: _amplitude_of_alloy(whole, i, amplitude[e]) for i, e in enumerate(first.elements)},
        noise={
            e: _scale(whole, i, quantified) * float(np.sqrt(whole.noise[i, i])) for i, e in enumerate(first.elements)
        },
        pairs=_pairs(whole, first.elements, amplitude, closed=quantified),
        spacing_um=spacing,
        notes=[*dict.fromkeys(note for group in notes for note in group), *own, *words],
        curves=_curves(fields, steps_um, parts),
    )


def _prepared(measured: LineScan | ElementMaps) -> tuple[np.ndarray, float | None, Sequence[str]]:
    """Give the field that is measured, its step, and what must be said of it."""
    if isinstance(measured, LineScan):
        return measured.values, measured.step_um, measured.notes
    blocks = measured.coarse()
    return blocks.values, None if blocks.pixel_size_nm is None else blocks.pixel_size_nm / 1000.0, blocks.notes


def _curves(
    fields: Sequence[np.ndarray], steps_um: Sequence[float | None], parts: Sequence[Covariances]
) -> dict[str, np.ndarray]:
    """Keep what was measured, for figures: field, step and noise of a point, in the field's unit."""
    out: dict[str, np.ndarray] = {}
    for i, (values, step, part) in enumerate(zip(fields, steps_um, parts)):
        out[f"field {i}"] = values
        out[f"step_um {i}"] = np.array(np.nan if step is None else step)
        out[f"noise {i}"] = np.sqrt(np.diag(part.noise))
    return out


def _own_notes(elements: Sequence[str], whole: Covariances, quantified: bool) -> list[str]:
    notes = [f"{whole.n_points} points say as much as {whole.n_independent:.1f} independent ones"]
    if not quantified:
        notes.append(
            "not quantified: amplitudes are relative to the mean signal and hold what beam current, topography and the"
            " matrix do to all elements alike"
        )
    elif len(elements) == 2:
        notes.append("of two elements that sum to 100 % the correlation is -1 whatever they do")
    return notes


def _scale(whole: Covariances, i: int, quantified: bool) -> float:
    """Give the factor from the field's unit to that of the amplitude."""
    return 1.0 if quantified else 1.0 / max(abs(float(whole.mean[i])), _TINY)


def _mean(whole: Covariances, i: int, unit: str) -> Estimate:
    """Estimate the mean in the alloy: the true field's own sampling error, by Student's t, and that of noise."""
    freedom = max(whole.n_of_mean - 1.0, 1.0)
    sampling, noise = max(whole.signal[i, i], 0.0) / freedom, whole.noise[i, i] / whole.n_points
    half = np.sqrt(float(t.ppf(0.5 + LEVEL / 2.0, freedom)) ** 2 * sampling + _Z**2 * noise)
    mean = float(whole.mean[i])
    return Estimate(
        value=mean,
        std=float(np.sqrt(sampling + noise)),
        low=float(mean - half),
        high=float(mean + half),
        level=LEVEL,
        unit=unit,
        n=max(1, round(whole.n_of_mean)),
        method=f"mean of {whole.n_points} points, Student's t over the {whole.n_of_mean:.1f} that are independent",
    )


def _amplitude(whole: Covariances, i: int, quantified: bool) -> Estimate:
    scale = _scale(whole, i, quantified)
    variance, error = float(whole.signal[i, i]), float(whole.signal_std[i, i])
    low, high = (np.sqrt(max(variance + sign * _Z * error, 0.0)) for sign in (-1, 1))
    value = np.sqrt(max(variance, 0.0))
    return Estimate(
        value=float(scale * value),
        std=float(scale * (high - low) / (2.0 * _Z)),
        low=float(scale * low),
        high=float(scale * high),
        level=LEVEL,
        unit="at.%" if quantified else "of the mean",
        n=whole.n_points,
        method="standard deviation of the true content over the measured stretch; total less noise variance",
    )


def _amplitude_of_alloy(whole: Covariances, i: int, measured: Estimate) -> Estimate | None:
    """Infer the spread of the material from a stretch that holds few independent points (chi-square)."""
    independent = whole.n_independent
    if whole.n_of_mean < _FEWEST or independent < _FEWEST or measured.low is None or measured.high is None:
        return None
    variance = measured.value**2 / (1.0 - 1.0 / whole.n_of_mean)  # a short stretch varies less about its own mean
    if measured.low > 0.0:
        noise = (whole.signal_std[i, i] / whole.signal[i, i]) ** 2
        freedom = 2.0 / (noise + 2.0 / max(independent - 1.0, 1.0))
        bounds = [variance * freedom / chi2.ppf(0.5 + s * LEVEL / 2.0, freedom) for s in (1, -1)]
    else:
        freedom = max(independent - 1.0, 1.0)
        most = measured.high**2 / (1.0 - 1.0 / whole.n_of_mean)
        bounds = [0.0, most * freedom / chi2.ppf(0.5 - LEVEL / 2.0, freedom)]
    return Estimate(
        value=float(np.sqrt(variance)),
        low=float(np.sqrt(bounds[0])),
        high=float(np.sqrt(bounds[1])),
        level=LEVEL,
        unit=measured.unit,
        n=max(1, round(independent)),
        method=f"chi-square interval of {freedom:.1f} degrees of freedom from {independent:.1f} independent points",
    )


def _pairs(
    whole: Covariances, elements: Sequence[str], amplitude: Mapping[str, Estimate], *, closed: bool
) -> list[ElementPair]:
    """Estimate the correlation of each pair, and judge all of them together."""
    k = len(elements)
    null = closure_correlations(whole.signal, whole.mean) if closed else np.zeros((k, k))
    indices = list(combinations(range(k), 2))
    values, errors = np.full((k, k), np.nan), np.full((k, k), np.nan)
    for i, j in indices:
        if amplitude[elements[i]].low and amplitude[elements[j]].low:
            values[i, j], errors[i, j] = true_correlation(whole, i, j)
    # Noise moves a correlation too: what is judged is the end of its interval that is nearer to the null.
    reach = float(norm.ppf(1.0 - FALSE_RATE / max(len(indices), 1) / 2.0)) * errors
    nearer = values - np.sign(values - null) * np.minimum(reach, np.abs(values - null))
    judged = beyond_null(nearer, whole.signal, whole.mean, whole.n_independent, closed=closed, chance=FALSE_RATE)
    words: dict[int, Finding] = {1: "together", -1: "apart", 0: "undecided"}
    return [
        _pair(whole, (elements[i], elements[j]), (values[i, j], errors[i, j]), float(null[i, j]), words[judged[i, j]])
        for i, j in indices
    ]


def _pair(
    whole: Covariances, names: tuple[str, str], found: tuple[float, float], closure: float, finding: Finding
) -> ElementPair:
    first, second = names
    r, std = found
    if not np.isfinite(r):
        return ElementPair(
            first=first, second=second, measured=None, alloy=None, closure=closure, finding="below noise"
        )
    low, high = max(-1.0, r - _Z * std), min(1.0, r + _Z * std)
    measured = Estimate(
        value=r,
        std=std,
        low=low,
        high=high,
        level=LEVEL,
        unit="1",
        n=whole.n_points,
        method="over the measured stretch",
    )
    bounds = _widened(low, high, whole.n_independent, 1.0 - LEVEL)
    alloy = Estimate(
        value=r,
        low=bounds[0],
        high=bounds[1],
        level=LEVEL,
        unit="1",
        n=max(1, round(whole.n_independent)),
        method=f"Fisher's z with {whole.n_independent:.1f} independent points (Bartlett 1946), and the noise",
    )
    return ElementPair(first=first, second=second, measured=measured, alloy=alloy, closure=closure, finding=finding)


def _widened(low: float, high: float, independent: float, chance: float) -> tuple[float, float]:
    """Widen an interval of a correlation by what few independent points leave open (Fisher's z, Student's t)."""
    if independent <= 3.0:
        return -1.0, 1.0
    half = float(t.ppf(1.0 - chance / 2.0, max(independent - 2.0, 1.0))) / np.sqrt(independent - 3.0)
    limit = 1.0 - 1e-6
    ends = np.tanh(np.arctanh(np.clip([low, high], -limit, limit)) + np.array([-half, half]))
    return (-1.0 if low <= -limit else float(ends[0])), (1.0 if high >= limit else float(ends[1]))
