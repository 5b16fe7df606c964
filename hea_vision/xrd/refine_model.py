"""The pattern as a function of its parameters, with derivatives.

    y(2 theta) = background + sum over phases, families, wavelengths of
                 share S m|F|^2 exp(-2 B s^2) LP / V^2 M(r) exp(u) profile(2 theta; centre, FWHM, eta)

| symbol | parameter | prior |
|---|---|---|
| ln S | `scale` | none |
| B | `debye`, A^2 | of metals at room temperature |
| u, ln r | `family`, `march`: texture | log-normal of mean 1; see `refine_texture` |
| centre | lattice (logarithms of lengths, beta), `DISPLACEMENT` cos theta, `ZERO` | weak |
| FWHM^2 = w + V tan + u tan^2 | `width` (ln sqrt w), `strain` (ln sqrt u), `CAGLIOTI_V` | weak |
| logit eta = own + slope (tan theta - middle) | `share`, `SHARE_SLOPE` | weak |
| asymmetry = own + axial / tan 2 theta | `skew`, `AXIAL` | weak |
| ln FWHM and centre of one family against the laws above | `family_width`, `family_shift` | tight |

With a known instrument FWHM^2 = instrument^2 + (size / cos theta)^2 + (strain tan theta)^2 stands instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.diffraction.families import Cell, FamilyTable, family_table
from hea_sim.diffraction.profile import LineShape, lorentz_polarisation
from hea_sim.diffraction.texture import march_factors
from hea_vision.xrd.lines import LineList
from hea_vision.xrd.refine_kernels import add_lines
from hea_vision.xrd.refine_records import StartPhase

#: Parameters that all phases share stand first.
DISPLACEMENT, ZERO, CAGLIOTI_V, SHARE_SLOPE, AXIAL, TUBE = 0, 1, 2, 3, 4, 5
#: Lines are cut at this many widths.
REACH = 20.0
#: Families weaker than this share of a phase's strongest line are left out.
_FAINT = 1e-4
#: Lines of K-beta and W L-alpha are a percent of their parents: of weaker parents they are left out.
_FAINT_PARENT = 2e-2
#: Groups of families of a phase whose areas vary independently.
_MOST_GROUPS = 32
#: Lines below this share of a phase's strongest are cut nearer, at so many widths.
_WEAK, _WEAK_REACH = 0.03, 8.0
#: Asymmetry is cut here; a half of a line keeps a width.
_WORST_SKEW = 0.7
#: Step of numerical derivatives by the lattice.
_SMALL = 1e-6
_DEGREE = float(np.degrees(1.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class PhaseBlock:
    """Hold the families of one phase, `chosen` (k,) in its table, and where its parameters stand.

    `family`, `family_width`, `family_shift` (k,): families that a scan does not tell apart share a parameter.
    """

    table: FamilyTable
    start: Cell
    occupancy: Mapping[str, Composition]
    chosen: np.ndarray
    f_squared: np.ndarray
    scale: int
    debye: int
    share: int
    width: int
    strain: int
    march: int
    skew: int
    lattice: tuple[int, ...]
    family: np.ndarray
    family_width: np.ndarray
    family_shift: np.ndarray

    def cell(self, theta: np.ndarray) -> Cell:
        """Give the lattice that the parameters describe."""
        step = dict(zip(self.table.free_parameters, theta[list(self.lattice)]))
        a, start = step["a"], self.start
        system = self.table.kind.system
        return Cell(
            a_A=float(start.a_A * np.exp(a)),
            b_A=float(start.b_A * np.exp(step.get("b", a))),
            c_A=float(start.c_A * np.exp(a if system == "cubic" else step["c"])),
            beta_deg=float(start.beta_deg + _DEGREE * step.get("beta", 0.0)),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Hold a computed pattern (n,) and its derivatives by the active parameters (active, n)."""

    model: np.ndarray
    jacobian: np.ndarray


class PatternModel:
    """Compute a pattern and its derivatives."""

    def __init__(
        self,
        lines: LineList,
        phases: Sequence[StartPhase],
        angles: np.ndarray,
        *,
        instrument: LineShape | None,
        monochromator: float,
    ) -> None:
        self.angles = np.ascontiguousarray(angles, float)
        self.radiation = lines.radiation
        self.monochromator = monochromator
        self.instrument = instrument
        self.step_deg = float(np.median(np.diff(self.angles)))
        self.reference_fwhm = float(np.clip(peak_width_deg(lines), 1.5 * self.step_deg, 3.0))
        total = sum(weight for _, weight in self.radiation.lines)
        tube_shares = [weight / total for _, weight in self.radiation.lines]
        n_tube = len(self.radiation.parasitic_A)
        extra = [value for _, value in self.radiation.parasitic_A]
        self.wavelengths = np.array([value for value, _ in self.radiation.lines] + extra)
        self.fixed_share = np.array([*tube_shares, *[0.0] * n_tube])
        self.tube = np.arange(TUBE, TUBE + n_tube)
        self.limits = (float(lines.angles[0]), float(lines.angles[-1]))
        self.basis = background_basis(self.angles, self.limits, self.reference_fwhm)
        self.background = np.arange(TUBE + n_tube, TUBE + n_tube + len(self.basis))
        self.middle = float(np.tan(np.radians(self.angles.mean()) / 2))
        self.axes: list[tuple[int, int, int] | None] = [None] * len(phases)
        index = TUBE + n_tube + len(self.basis)
        self.blocks: list[PhaseBlock] = []
        for phase in phases:
            block = self._block(phase, index)
            self.blocks.append(block)
            index = int(block.family_shift.max()) + 1
        self.size = index
        # One factor for all phases, so that scales stay in the ratio of volumes.
        strength = max(float(self._area(b, b.start, 0.5).max()) for b in self.blocks)
        self.factor = self.reference_fwhm / strength

    def _block(self, phase: StartPhase, index: int) -> PhaseBlock:
        table = family_table(phase.structure)
        inverse_d = table.inverse_d(phase.cell)
        sine = self.radiation.wavelength_A * inverse_d / 2
        angle = 2 * np.degrees(np.arcsin(np.minimum(sine, 1.0)))
        f_squared = table.f_squared(phase.occupancy, inverse_d / 2, self.radiation.wavelength_A, b_iso_A2=0.0)
        margin = 3.0 + 3 * self.reference_fwhm
        seen = (angle > max(self.angles[0] - margin, 1.0)) & (angle < min(self.angles[-1] + margin, 172.0))
        if not seen.any():  # a phase without a line in range keeps its nearest one; its scale will be undetermined
            seen[int(np.argmin(np.abs(angle - self.angles.mean())))] = True
        height = np.where(seen, f_squared * lorentz_polarisation(np.clip(angle, 1.0, 172.0), self.monochromator), 0.0)
        chosen = np.flatnonzero(seen & (height >= _FAINT * height.max()))
        lattice = tuple(range(index + 7, index + 7 + len(table.free_parameters)))
        first = index + 7 + len(lattice)
        group = group_families(angle[chosen], height[chosen], self.reference_fwhm)
        family, widths, shifts = first + group, first + group.max() + 1 + group, first + 2 * (group.max() + 1) + group
        return PhaseBlock(
            table=table,
            start=phase.cell,
            occupancy=phase.occupancy,
            chosen=chosen,
            f_squared=f_squared[chosen],
            scale=index,
            debye=index + 1,
            share=index + 2,
            width=index + 3,
            strain=index + 4,
            march=index + 5,
            skew=index + 6,
            lattice=lattice,
            family=family,
            family_width=widths,
            family_shift=shifts,
        )

    def _area(self, block: PhaseBlock, cell: Cell, b_iso_A2: float) -> np.ndarray:
        """Compute m |F|^2 LP / V^2 of the chosen families."""
        s = block.table.inverse_d(cell)[block.chosen] / 2
        angle = 2 * np.degrees(np.arcsin(np.clip(self.radiation.wavelength_A * s, 1e-3, 0.9985)))
        factor = lorentz_polarisation(angle, self.monochromator) / block.table.volume_A3(cell) ** 2
        area: np.ndarray = block.f_squared * np.exp(-2 * b_iso_A2 * s**2) * factor
        return area

    def on(self, angles: np.ndarray) -> PatternModel:
        """Give the same model at other angles."""
        other = copy(self)
        other.angles = np.ascontiguousarray(angles, float)
        other.basis = background_basis(other.angles, self.limits, self.reference_fwhm)
        return other

    def activate(self, active: np.ndarray) -> None:
        """Choose the parameters, a mask (size,), whose derivatives are wanted."""
        self.active = np.flatnonzero(active)
        self._row = np.full(self.size + 1, -1)
        self._row[self.active] = np.arange(len(self.active))

    def row(self, parameter: int) -> int:
        """Give the row of an active parameter in the Jacobian."""
        return int(self._row[parameter])

    def evaluate(self, theta: np.ndarray) -> Evaluation:
        """Compute the pattern and its derivatives."""
        jacobian = np.zeros((len(self.active), len(self.angles)))
        model = theta[self.background] @ self.basis
        wanted = self._row[self.background]
        jacobian[wanted[wanted >= 0]] = self.basis[wanted >= 0]
        for i in range(len(self.blocks)):
            lines, rows, chain = self._phase_lines(i, theta)
            used = (rows >= 0).any(axis=0)
            reach = np.where(lines[:, -1] < _WEAK * lines[:, -1].max(initial=0.0), _WEAK_REACH, REACH)
            add_lines(
                self.angles,
                lines,
                np.ascontiguousarray(rows[:, used]),
                np.ascontiguousarray(chain[:, used]),
                reach,
                model,
                jacobian,
            )
        return Evaluation(model=model, jacobian=jacobian)

    def log_march(self, i: int, theta: np.ndarray) -> np.ndarray:
        """Compute ln M(r) of the families of phase i; zero where it has no axis."""
        block, axis = self.blocks[i], self.axes[i]
        if axis is None:
            return np.zeros(len(block.chosen))
        factors = march_factors(block.table, block.cell(theta), axis, float(np.exp(theta[block.march])))
        return np.log(factors[block.chosen])

    def fwhm_deg(self, block: PhaseBlock, theta: np.ndarray, two_theta_deg: np.ndarray) -> np.ndarray:
        """Compute the width of a phase's lines at angles."""
        return self._widths(block, theta, two_theta_deg)[0]

    def _widths(
        self, block: PhaseBlock, theta: np.ndarray, angle: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Compute FWHM and its derivatives by `width`, `strain` and `CAGLIOTI_V`."""
        tangent = np.tan(np.radians(angle) / 2)
        first = np.full_like(tangent, np.exp(2 * theta[block.width]))
        second = np.exp(2 * theta[block.strain]) * tangent**2
        third = tangent * self.reference_fwhm**2
        squared = first + second + third * theta[CAGLIOTI_V]
        if self.instrument is not None:
            first = first * (1 + tangent**2)
            squared = self.instrument.fwhm_deg(angle) ** 2 + first + second
            third = np.zeros_like(third)
        floor = (0.8 * self.step_deg) ** 2
        free = squared > floor
        fwhm = np.sqrt(np.maximum(squared, floor))
        return fwhm, free * first / fwhm, free * second / fwhm, free * third / (2 * fwhm)

    def _phase_lines(self, i: int, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """List all lines of phase i for the kernel."""
        block = self.blocks[i]
        cell = block.cell(theta)
        s = block.table.inverse_d(cell)[block.chosen] / 2
        sine = self.radiation.wavelength_A * s
        ok = sine < 0.9985
        half = np.arcsin(np.where(ok, sine, 0.5))
        angle = 2 * np.degrees(half)
        area = self._area(block, cell, float(theta[block.debye])) * self.factor * np.exp(theta[block.scale])
        area = area * np.exp(theta[block.family])
        log_march = np.zeros(len(area))
        axis = self.axes[i]
        if axis is not None:
            r = float(np.exp(theta[block.march]))
            here, near = (march_factors(block.table, cell, axis, value)[block.chosen] for value in (r, r * 1.001))
            area, log_march = area * here, np.log(near / here) / np.log(1.001)
        area = np.where(ok, area, 0.0)
        fwhm, by_width, by_strain, by_v = self._widths(block, theta, angle)
        tangent = np.tan(half)
        share = 1 / (1 + np.exp(-theta[block.share] - theta[SHARE_SLOPE] * (tangent - self.middle)))
        inside = share * (1 - share)
        skew = theta[block.skew] + theta[AXIAL] / np.tan(2 * half)
        even = np.abs(skew) < _WORST_SKEW
        local = np.exp(theta[block.family_width])
        lines = np.stack([angle, fwhm * local, share, np.clip(skew, -_WORST_SKEW, _WORST_SKEW), area], axis=1)
        one = np.ones(len(area))
        # Parameter (or one a family), what it acts on (area, centre, FWHM, share, asymmetry), derivative.
        entries: list[tuple[int | np.ndarray, int, np.ndarray]] = [
            (block.scale, 0, one),
            (block.debye, 0, -2 * s**2),
            (block.march, 0, log_march),
            (block.family, 0, one),
            (DISPLACEMENT, 1, np.cos(half)),
            (ZERO, 1, one),
            (block.family_shift, 1, one * self.reference_fwhm),
            (block.width, 2, by_width * local),
            (block.strain, 2, by_strain * local),
            (CAGLIOTI_V, 2, by_v * local),
            (block.family_width, 2, fwhm * local),
            (block.share, 3, inside),
            (SHARE_SLOPE, 3, inside * (tangent - self.middle)),
            (block.skew, 4, even * one),
            (AXIAL, 4, even / np.tan(2 * half)),
        ]
        moved = theta[DISPLACEMENT] * np.cos(half) + theta[ZERO] + theta[block.family_shift] * self.reference_fwhm
        n, own = len(entries), len(block.lattice)
        slopes = np.zeros((len(area), n + own + 1, 5))
        index = np.empty((len(area), n + own + 1), np.int64)
        for k, (parameter, kind, derivative) in enumerate(entries):
            slopes[:, k, kind], index[:, k] = derivative * area, self._row[parameter]
        for k, parameter in enumerate(block.lattice, start=n):
            log_area, centre = self._lattice_slopes(block, theta, parameter)
            slopes[:, k, 0], slopes[:, k, 1], index[:, k] = log_area * area, centre * area, self._row[parameter]
        slopes[:, -1, 0], index[:, -1] = area, -1
        return self._at_all_wavelengths(lines, index, slopes, sine, moved, theta)

    def _lattice_slopes(self, block: PhaseBlock, theta: np.ndarray, parameter: int) -> tuple[np.ndarray, np.ndarray]:
        """Differentiate ln area and 2 theta by a lattice parameter."""
        moved = theta.copy()
        moved[parameter] += _SMALL
        b_iso_A2 = float(theta[block.debye])
        out = []
        for cell in (block.cell(theta), block.cell(moved)):
            sine = self.radiation.wavelength_A * block.table.inverse_d(cell)[block.chosen] / 2
            angle = 2 * np.degrees(np.arcsin(np.clip(sine, 0.0, 0.9985)))
            out.append((np.log(self._area(block, cell, b_iso_A2)), angle))
        (log_area, angle), (near_area, near_angle) = out
        return (near_area - log_area) / _SMALL, (near_angle - angle) / _SMALL

    def _at_all_wavelengths(
        self,
        lines: np.ndarray,
        index: np.ndarray,
        slopes: np.ndarray,
        sine: np.ndarray,
        moved: np.ndarray,
        theta: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Repeat lines for every wavelength of the tube; a tube line's share is a parameter."""
        parts = []
        strong = lines[:, -1] >= _FAINT_PARENT * max(float(lines[:, -1].max()), 1e-300)
        for k, value in enumerate(self.wavelengths):
            place = sine * value / self.radiation.wavelength_A
            seen = place < 0.9985
            share, row = self.fixed_share[k], -1
            if share == 0:
                parameter = self.tube[k - len(self.wavelengths)]
                share, row = float(theta[parameter]), self._row[parameter]
                seen &= strong
                if share == 0 and row < 0:
                    continue
            mine = lines[seen].copy()
            mine[:, 0] = 2 * np.degrees(np.arcsin(place[seen])) + moved[seen]
            mine[:, -1] *= share
            chain, rows = slopes[seen].copy(), index[seen].copy()
            chain[:, :-1] *= share
            rows[:, -1] = row
            parts.append((mine, rows, chain))
        return tuple(np.concatenate(column) for column in zip(*parts))  # type: ignore[return-value]


def peak_width_deg(lines: LineList) -> float:
    """Measure the width of the strongest peaks at half of what they rise above their neighbourhood.

    The width of the strongest line alone may be that of a heap of lines.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks, peak_widths

    net = gaussian_filter1d(lines.intensity - lines.scan.background, 1.0, mode="nearest")
    noise = np.median(lines.scan.noise)
    tops, found = find_peaks(net, prominence=max(6 * float(noise), 0.05 * float(net.max())))
    if len(tops) == 0:
        return lines.typical_fwhm_deg
    strongest = tops[np.argsort(-found["prominences"])[:6]]
    points = float(np.median(peak_widths(net, strongest, rel_height=0.5)[0]))
    return min(points * float(np.median(np.diff(lines.angles))), lines.typical_fwhm_deg)


def group_families(angle: np.ndarray, height: np.ndarray, fwhm: float) -> np.ndarray:
    """Number the groups of families that vary together: each belongs to the nearest of the strongest ones.

    >>> group_families(np.array([40.0, 40.05, 60.0]), np.array([1.0, 5.0, 2.0]), 0.2).tolist()
    [0, 0, 1]
    """
    leaders: list[int] = []
    for k in np.argsort(-height):
        if len(leaders) < _MOST_GROUPS and all(abs(angle[k] - angle[j]) > 0.5 * fwhm for j in leaders):
            leaders.append(int(k))
    nearest = np.argmin(np.abs(angle[:, None] - angle[leaders][None, :]), axis=1)
    _, first, group = np.unique(nearest, return_index=True, return_inverse=True)
    # Numbers follow the order of the families.
    rank = np.argsort(np.argsort(first))
    return np.asarray(rank[group.ravel()])


def background_basis(angles: np.ndarray, limits: tuple[float, float], fwhm: float) -> np.ndarray:
    """Build cubic B-splines between limits whose knots lie many line widths apart, (splines, n)."""
    from scipy.interpolate import BSpline

    pieces = int(np.clip((limits[1] - limits[0]) / (8 * fwhm), 1, 36))
    inner = np.linspace(limits[0], limits[1], pieces + 1)
    knots = np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3])
    return np.ascontiguousarray(BSpline.design_matrix(angles, knots, 3).toarray().T)
