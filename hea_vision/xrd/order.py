"""Is a solid solution ordered? Superlattice lines measured against this scan's own limit of detection.

For B2 on A2 and L1_2 on A1 the superlattice structure factor is S (<f_A> - <f_B>) per atom pair, where S is the
long-range order parameter and <f> the mean scattering factor of a sublattice. Which elements prefer which sublattice
is unknown from a pattern, so the contrast ranges from nothing to that of the best-sorted alloy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.diffraction.profile import bragg_two_theta_deg, lorentz_polarisation
from hea_sim.diffraction.radiation import Radiation
from hea_sim.diffraction.scattering import atomic_scattering_factor, form_factor
from hea_vision.xrd.damped_fit import damped_least_squares
from hea_vision.xrd.evidence import ObservedLines
from hea_vision.xrd.line_fit import PROFILE_ERROR, Line, line_shape
from hea_vision.xrd.set_fit import Candidate, SetFit

#: A superlattice line counts as seen above this many standard deviations.
_SEEN_SIGMA = 5.0
#: A line above this multiple of what complete order gives is not one of order, texture allowed for.
_BEYOND_FULL = 3.0
#: A listed line that no phase owns is the superlattice line where it stands within this share of a width of its place.
_ITSELF = 0.75
#: Widths to either side of a superlattice line over which its base is fitted.
_REACH = 4.0
#: Points that this takes at least.
_LEAST_POINTS = 6
#: Prior std of what a listed line may be off once the line beside it is known: place in widths, logarithms of area and
#: width, Lorentzian share, skew.
_MOVES = np.array([0.1, 0.2, 0.2, 0.3, 0.2])
_MOST_SKEW = 0.4


@dataclass(frozen=True, kw_only=True)
class _Family:
    """Hold the superlattice lines of an ordered structure: hkl, multiplicity; share of sites on the B sublattice."""

    ordered: str
    lines: tuple[tuple[tuple[int, int, int], int], ...]
    second_share: float


_FAMILIES = {
    "A2": _Family(ordered="B2", lines=(((1, 0, 0), 6), ((1, 1, 1), 8), ((2, 1, 0), 24)), second_share=0.5),
    "A1": _Family(ordered="L1_2", lines=(((1, 0, 0), 6), ((1, 1, 0), 12), ((2, 1, 0), 24)), second_share=0.75),
}
#: The ordered structure of each lattice.
ORDERED = {name: family.ordered for name, family in _FAMILIES.items()}
_STRONGEST = {"A2": ((1, 1, 0), 12), "A1": ((1, 1, 1), 8)}
_SITES = {"A2": 2, "A1": 4}


@dataclass(frozen=True, kw_only=True)
class OrderTest:
    """Hold the outcome for one phase.

    Percentages refer to the strongest fundamental line of the phase as the forward model scales it. `limit_percent` is
    what would have been seen; `full_order_percent` what complete order of the most visible kind would give, of the most
    visible composition where amounts are unknown, None where the elements are. `detected` None where no superlattice
    line could be measured.
    """

    phase: str
    ordered: str
    line: str
    two_theta_deg: float | None
    measured_percent: float | None
    measured_std_percent: float | None
    limit_percent: float | None
    full_order_percent: float | None
    detected: bool | None
    excluded: bool
    reason: str


def order_tests(
    observed: ObservedLines, fit: SetFit, composition: Composition | None, *, amounts_known: bool
) -> tuple[OrderTest | None, ...]:
    """Test every phase of a set for order, in the order of the phases; None where a lattice has no ordered kind.

    Where amounts are not known `composition` names the elements only, and any composition of them may be there; so it
    is with each of several phases, which share the elements in their own ways.
    """
    known = amounts_known and len(fit.phases) == 1
    return tuple(
        _test_phase(observed, fit, i, composition, known) if phase.name in _FAMILIES else None
        for i, phase in enumerate(fit.phases)
    )


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """Hold one superlattice line: percentages of the strongest fundamental line, and what complete order would give.

    `shape` is proportional to the intensity that the same order gives to each line of the family.
    """

    hkl: tuple[int, int, int]
    two_theta_deg: float
    percent: float
    std_percent: float
    full_percent: float | None
    shape: float

    @property
    def name(self) -> str:
        return "".join(map(str, self.hkl))

    @property
    def seen(self) -> bool:
        return self.percent > _SEEN_SIGMA * self.std_percent


def _test_phase(
    observed: ObservedLines, fit: SetFit, index: int, composition: Composition | None, amounts_known: bool
) -> OrderTest:
    phase = fit.phases[index]
    ordered = _FAMILIES[phase.name].ordered
    if composition is not None and len(composition) == 1:
        return _untested(phase.name, excluded=True, reason="a single element cannot order")
    lines = _measure_lines(observed, fit, index, composition, amounts_known)
    if not lines:
        inside = f"({observed.low:.1f} to {observed.high:.1f} deg)"
        return _untested(
            phase.name, excluded=False, reason=f"no {ordered} superlattice line lies free inside the scan {inside}"
        )
    first = lines[0]
    doubt = _doubt(ordered, lines) if first.seen else ""
    detected = first.seen and not doubt
    limit = _SEEN_SIGMA * first.std_percent
    return OrderTest(
        phase=phase.name,
        ordered=ordered,
        line=first.name,
        two_theta_deg=first.two_theta_deg,
        measured_percent=first.percent,
        measured_std_percent=first.std_percent,
        limit_percent=limit,
        full_order_percent=first.full_percent,
        detected=detected,
        excluded=False,
        reason=doubt or _reason(ordered, first, detected, composition, amounts_known, observed.source.radiation.name),
    )


def _untested(phase: str, *, excluded: bool, reason: str) -> OrderTest:
    return OrderTest(
        phase=phase,
        ordered=_FAMILIES[phase].ordered,
        line="",
        two_theta_deg=None,
        measured_percent=None,
        measured_std_percent=None,
        limit_percent=None,
        full_order_percent=0.0 if excluded else None,
        detected=None,
        excluded=excluded,
        reason=reason,
    )


def _measure_lines(
    observed: ObservedLines, fit: SetFit, index: int, composition: Composition | None, amounts_known: bool
) -> list[_Measured]:
    """Measure every superlattice line of a phase that lies free inside the scan."""
    phase = fit.phases[index]
    strongest = _fundamental_area(observed, fit, index)
    # An unexplained line may be the superlattice line itself; a line of a phase or of the tube is not.
    tube = [line.two_theta_deg for line in observed.source.lines if line.origin != "specimen"]
    explained = np.append(observed.angle[fit.owner >= 0], tube)
    found = []
    for hkl, multiplicity in _FAMILIES[phase.name].lines:
        angle = _line_angle(hkl, phase.a_A, fit.displacement_deg, observed.wavelength_A)
        if not np.isfinite(angle) or not observed.low + 0.5 < angle < observed.high - 0.5:
            continue
        width = _own_width(observed, fit, index, angle)
        in_gap = np.count_nonzero(np.abs(observed.source.angles - angle) < _REACH * width) < _LEAST_POINTS
        if in_gap or np.any(np.abs(explained - angle) < 1.5 * width):
            continue
        area, std = _measure_area(observed, fit, angle, width)
        full = None
        if composition is not None:
            full = _full_order_percent(phase, hkl, multiplicity, composition, amounts_known, observed.wavelength_A)
        typical = form_factor("Fe", np.array([np.sqrt(sum(i * i for i in hkl)) / (2 * phase.a_A)]))[0]
        found.append(
            _Measured(
                hkl=hkl,
                two_theta_deg=float(angle),
                percent=float(100 * area / strongest),
                std_percent=float(100 * std / strongest),
                full_percent=full,
                shape=float(multiplicity * typical**2 * lorentz_polarisation(np.array([angle]))[0]),
            )
        )
    return found


def _own_width(observed: ObservedLines, fit: SetFit, index: int, angle: float) -> float:
    """Take the width of a line at an angle from the phase's own lines; another phase may have broader ones."""
    own = (fit.owner == index) & (fit.share[index] > 0.6)
    own = own if own.any() else fit.owner == index
    return float(np.interp(angle, observed.angle[own], observed.fwhm[own]))


def _doubt(ordered: str, lines: Sequence[_Measured]) -> str:
    """Say why a line at the place of a superlattice line is not taken for order; empty where it is."""
    first = lines[0]
    if first.full_percent is not None and first.percent > _BEYOND_FULL * first.full_percent:
        return (
            f"the line at the place of {ordered} ({first.name}) has {first.percent:.2g} % of the strongest, more than"
            f" the {first.full_percent:.2g} % of complete order: another phase's line, so order stays open"
        )
    for other in lines[1:]:
        expected = first.percent * other.shape / first.shape
        if expected > 2 * _SEEN_SIGMA * other.std_percent and other.percent < 0.2 * expected:
            return (
                f"a line stands at the place of {ordered} ({first.name}), but ({other.name}), of which"
                f" {expected:.2g} % should be seen, is missing: not taken for order"
            )
    return ""


def _reason(
    ordered: str, line: _Measured, detected: bool, composition: Composition | None, amounts_known: bool, tube: str
) -> str:
    name = f"{ordered} ({line.name})"
    if detected:
        return f"the {name} line is seen"
    limit = _SEEN_SIGMA * line.std_percent
    text = f"the {name} line is not seen; with {tube} this scan shows lines above {limit:.2g} % of the strongest"
    if line.full_percent is not None:
        most = "" if amounts_known else "at most "
        text += f"; complete order of the most visible kind would give {most}{line.full_percent:.2g} %"
    if composition is not None and len(composition) == 2 and line.full_percent and line.full_percent > limit:
        # A binary has one way to sort its elements, so the limit is one on the order parameter.
        text += f", so the order parameter is below {np.sqrt(limit / line.full_percent):.2f}"
        return text if amounts_known else text + " where the amounts are those of that order"
    return text + f"; order between elements of like scattering power would not show: not resolvable with {tube}"


def _line_angle(hkl: tuple[int, int, int], a_A: float, displacement: float, wavelength_A: float) -> float:
    angle = float(bragg_two_theta_deg(np.array(a_A / np.sqrt(sum(i * i for i in hkl))), wavelength_A))
    return angle + displacement * float(np.cos(np.radians(angle) / 2)) if np.isfinite(angle) else angle


def _fundamental_area(observed: ObservedLines, fit: SetFit, index: int) -> float:
    """Give the area of the first fundamental line, (110) or (111), on the scale of all lines of the phase."""
    phase = fit.phases[index]
    main, _ = _STRONGEST[phase.name]
    angle = phase.table.two_theta_deg(phase.a_A, phase.c_A, observed.wavelength_A)
    model = phase.table.intensity(angle, phase.table.volume_A3(phase.a_A, phase.c_A))
    first = np.isclose(phase.table.p, sum(i * i for i in main))
    return float(np.exp(fit.log_scale[index]) * model[first].sum())


def _measure_area(observed: ObservedLines, fit: SetFit, angle: float, width: float) -> tuple[float, float]:
    """Fit a line of known place and width over a straight base, beside known lines; return area and its std.

    Lines that touch it are fitted again: while nobody knew of this line they may have taken it for their own tail.
    """
    lines = observed.source
    others = _other_lines(observed, fit, angle, width)
    reach = _REACH * width
    touching = [line for line in others if abs(line.two_theta_deg - angle) < reach + line.fwhm_deg]
    low = min([angle - reach, *(line.two_theta_deg - 2 * line.fwhm_deg for line in touching)])
    high = max([angle + reach, *(line.two_theta_deg + 2 * line.fwhm_deg for line in touching)])
    inside = slice(*np.searchsorted(lines.angles, (low, high)))
    x, noise = lines.angles[inside], lines.noise[inside] * np.sqrt(lines.dependence_points)
    curves = {line: line.curve(x, lines.radiation) for line in others}
    s = np.hypot(noise, PROFILE_ERROR * sum(curves.values(), np.zeros_like(x)))
    target = lines.intensity[inside] - sum((curves[v] for v in others if v not in touching), np.zeros_like(x))
    shape = line_shape(x, angle, width, lines.eta, lines.radiation)
    linear = np.stack([shape, np.ones_like(x), x - angle], axis=1)

    def model(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moves = theta[3:].reshape(len(touching), len(_MOVES))
        moved = [_moved_line(x, line, move, lines.radiation) for line, move in zip(touching, moves)]
        rest = sum((curve for curve, _ in moved), linear @ theta[:3] - target)
        jacobian = np.concatenate([linear, *(slopes for _, slopes in moved)], axis=1) / s[:, None]
        return np.append(rest / s, theta[3:]), np.concatenate([jacobian, np.eye(len(theta))[3:]])

    start = np.zeros(3 + len(touching) * len(_MOVES))
    start[1] = float(np.median(target))
    solution = damped_least_squares(model, start, enough=1e-4)
    inflation = max(1.0, 2 * solution.cost / max(len(x) - 3, 1))
    covariance = np.linalg.pinv(solution.jacobian.T @ solution.jacobian) * inflation
    return float(solution.x[0]), float(np.sqrt(covariance[0, 0]))


def _moved_line(x: np.ndarray, line: Line, move: np.ndarray, radiation: Radiation) -> tuple[np.ndarray, np.ndarray]:
    """Compute a line (n,) whose place, area, width, Lorentzian share and skew are moved, and its slopes (n, 5)."""

    def curve(units: np.ndarray) -> np.ndarray:
        place, log_area, log_width, eta, skew = units * _MOVES
        return (
            line.area
            * np.exp(log_area)
            * line_shape(
                x,
                line.two_theta_deg + place * line.fwhm_deg,
                line.fwhm_deg * float(np.exp(log_width)),
                float(np.clip(line.eta + eta, 0, 1)),
                radiation,
                float(np.clip(line.skew + skew, -_MOST_SKEW, _MOST_SKEW)),
            )
        )

    here = curve(move)
    steps = 1e-4 * np.eye(len(_MOVES))
    return here, np.stack([(curve(move + step) - here) / 1e-4 for step in steps], axis=1)


def _other_lines(observed: ObservedLines, fit: SetFit, angle: float, width: float) -> list[Line]:
    """List all known lines, those of the tube too, without the one that may be the superlattice line at an angle."""
    lines = observed.source
    tube = [line for line in lines.lines if line.origin != "specimen"]
    itself = (fit.owner < 0) & (np.abs(observed.angle - angle) < _ITSELF * width)
    return tube + [line for line, same in zip(lines.specimen, itself) if not same]


def _full_order_percent(
    phase: Candidate,
    hkl: tuple[int, int, int],
    multiplicity: int,
    composition: Composition,
    amounts_known: bool,
    wavelength_A: float,
) -> float:
    """Compute the line of complete order, elements sorted by scattering power, in % of the strongest line.

    Without amounts it is that of the stoichiometric binary which shows it best: no mixture of more elements has
    sublattices further apart.
    """
    main, main_multiplicity = _STRONGEST[phase.name]
    second_share = _FAMILIES[phase.name].second_share

    def factors(indices: tuple[int, int, int]) -> tuple[np.ndarray, float]:
        s = np.sqrt(sum(i * i for i in indices)) / (2 * phase.a_A)
        f = np.array([atomic_scattering_factor(e, np.array([s]), wavelength_A)[0] for e in composition])
        angle = np.array([float(bragg_two_theta_deg(np.array(1 / (2 * s)), wavelength_A))])
        return f, float(lorentz_polarisation(angle)[0])

    f_super, lp_super = factors(hkl)
    f_main, lp_main = factors(main)
    if amounts_known:
        fractions = np.array([composition[e] for e in composition])
        sorted_either_way = [_sorted_contrast(f_super, fractions, 1 - second_share, way) for way in (False, True)]
        relative = max(abs(contrast) for contrast in sorted_either_way) / abs(np.sum(fractions * f_main))
    else:
        mean = (1 - second_share) * f_main[:, None] + second_share * f_main
        relative = float((np.abs(f_super[:, None] - f_super) / np.abs(mean)).max())
    # |F| of the superlattice line: f_A - f_B for B2 and for L1_2 (one A site against three B sites, signs + - - +).
    share = (relative / _SITES[phase.name]) ** 2
    return float(100 * multiplicity * share * lp_super / (main_multiplicity * lp_main))


def _sorted_contrast(f: np.ndarray, fractions: np.ndarray, first_share: float, reverse: bool) -> complex:
    """Fill the first sublattice with the strongest (or weakest) scatterers and return <f_A> - <f_B>."""
    order = np.argsort(f.real)[::-1] if not reverse else np.argsort(f.real)
    left, first, second = first_share, 0j, 0j
    for i in order:
        here = min(left, fractions[i])
        first += here * f[i]
        second += (fractions[i] - here) * f[i]
        left -= here
    return complex(first / first_share - second / (1 - first_share))
