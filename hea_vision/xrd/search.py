"""Search for sets of phases: scan the lattice of every prototype, refine, add phases while the evidence grows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from hea_sim.crystals import Prototype
from hea_sim.diffraction.profile import bragg_two_theta_deg
from hea_vision.xrd.evidence import PRIORS, LatticeScan, ObservedLines
from hea_vision.xrd.reflections import ReflectionTable, reflection_table
from hea_vision.xrd.set_fit import Candidate, SetFit, fit_set

#: Sets of one size that are kept and extended.
_BEAM = 6
#: Lattices of one prototype that are refined after a scan.
_PER_PROTOTYPE = 3
MAX_PHASES = 3
#: With more unexplained lines than this, one more phase cannot make sense of a pattern.
_HOPELESS_LINES = 14


def search_sets(
    observed: ObservedLines,
    *,
    elements: tuple[str, ...] | None,
    structures: Sequence[str | Prototype] = tuple(PRIORS),
    single_lines: Collection[str] = (),
    slack: float = 0.0,
    later_structures: Sequence[str | Prototype] = (),
    max_phases: int = MAX_PHASES,
) -> list[SetFit]:
    """List fitted sets of phases by falling evidence.

    `single_lines` names types that may join a set on the strength of one line of their own; `slack` keeps sets whose
    last phase lowers the evidence by no more than that, for whoever ranks them by more than evidence.
    `later_structures` are tried for the best set of each size, where it leaves two lines or more.
    """

    def scan(names: Sequence[str | Prototype]) -> list[LatticeScan]:
        return [LatticeScan(observed, reflection_table(name, elements, observed.source.radiation)) for name in names]

    scans, later = scan(structures), None
    found: dict[tuple[tuple[str, int], ...], SetFit] = {}
    beam: list[SetFit | None] = [None]
    for _ in range(max_phases):
        extended: dict[tuple[tuple[str, int], ...], SetFit] = {}
        for base in beam:
            here = scans
            if later_structures and base is not None and base is beam[0] and (base.owner < 0).sum() >= 2:
                later = scan(later_structures) if later is None else later
                here = scans + later
            for fit in _extend(observed, base, here, single_lines, slack):
                key = _key(fit)
                if key not in extended or fit.log_evidence > extended[key].log_evidence:
                    extended[key] = fit
        found.update({k: v for k, v in extended.items() if k not in found})
        beam = sorted(extended.values(), key=lambda fit: -fit.log_evidence)[:_BEAM]  # type: ignore[assignment]
        if not beam or min(int((fit.owner < 0).sum()) for fit in extended.values()) > _HOPELESS_LINES:
            break
    return sorted(found.values(), key=lambda fit: -fit.log_evidence)


def _key(fit: SetFit) -> tuple[tuple[str, int], ...]:
    """Name a set so that refinements to the same lattices meet."""
    return tuple(sorted((p.name, round(200 * float(np.log(p.a_A)))) for p in fit.phases))


def _extend(
    observed: ObservedLines,
    base: SetFit | None,
    scans: Sequence[LatticeScan],
    single_lines: Collection[str],
    slack: float,
) -> list[SetFit]:
    """Add one phase to a set in every promising way."""
    free = np.ones(len(observed), bool) if base is None else base.owner < 0
    phases = () if base is None else base.phases
    floor = 0.0 if base is None else base.log_evidence
    out = []
    for scan in scans:
        if free.sum() < (_least_lines(scan.table, single_lines) if phases else 1):
            continue
        for candidate in _best_lattices(scan, free):
            fit = fit_set(observed, (*phases, candidate))
            if fit is None or fit.log_evidence <= floor - slack or _same_lattice_twice(fit):
                continue
            if all(
                _own_lines(observed, fit, i) >= min(_least_lines(p.table, single_lines), len(observed))
                for i, p in enumerate(fit.phases)
            ):
                out.append(fit)
    return out


def _least_lines(table: ReflectionTable, single_lines: Collection[str]) -> int:
    """Tell how many lines of its own a phase needs."""
    if table.kind.name in single_lines:
        return 1
    return 3 if table.free_ratio else 2


def _own_lines(observed: ObservedLines, fit: SetFit, index: int) -> int:
    """Count the lines that a phase has to itself: no other phase gives them, nor would by ordering."""
    own = (fit.owner == index) & (fit.share[index] > 0.6)
    for i, other in enumerate(fit.phases):
        if i != index:
            own &= ~_at_superlattice(observed, other, fit.displacement_deg)
    return int(own.sum())


def _at_superlattice(observed: ObservedLines, phase: Candidate, displacement_deg: float) -> np.ndarray:
    """Say which observed lines (n,) stand where order would put lines of a bcc or fcc phase."""
    if phase.name not in ("A1", "A2"):
        return np.zeros(len(observed), bool)
    grid = np.arange(6)
    h, k, m = (g.ravel() for g in np.meshgrid(grid, grid, grid))
    allowed = (h + k + m) % 2 == 0 if phase.name == "A2" else (h % 2 == k % 2) & (k % 2 == m % 2)
    squares = np.setdiff1d(h**2 + k**2 + m**2, (h**2 + k**2 + m**2)[allowed])
    angle = bragg_two_theta_deg(phase.a_A / np.sqrt(squares), observed.wavelength_A)
    angle = angle + displacement_deg * np.cos(np.radians(angle) / 2)
    angle = angle[np.isfinite(angle)]
    if angle.size == 0:
        return np.zeros(len(observed), bool)
    distance = np.abs(observed.angle[:, None] - angle[None, :]).min(axis=1)
    return distance < np.maximum(3.5 * observed.angle_std, 0.3 * observed.fwhm)


def _same_lattice_twice(fit: SetFit) -> bool:
    """Say whether two phases of one type have lattices closer than a real two-phase alloy shows (0.5 %)."""
    for i, one in enumerate(fit.phases):
        for other in fit.phases[:i]:
            if one.name == other.name and abs(np.log(one.a_A / other.a_A)) < 0.005:
                return True
    return False


def _best_lattices(scan: LatticeScan, free: np.ndarray) -> list[Candidate]:
    """Keep the best separate maxima of a scan."""
    score, a, c = scan.score(free), scan.a_A, scan.c_A
    kept: list[Candidate] = []
    for index in np.argsort(-score)[:400]:
        if not np.isfinite(score[index]) or score[index] <= 0 or len(kept) >= _PER_PROTOTYPE:
            break
        if all(abs(np.log(a[index] / k.a_A)) > 0.004 or abs(np.log(c[index] / k.c_A)) > 0.006 for k in kept):
            kept.append(Candidate(table=scan.table, a_A=float(a[index]), c_A=float(c[index])))
    return kept
