"""Search for sets of phases: scan the lattice of every prototype, refine, add phases while the evidence grows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from hea_sim.crystals import Prototype
from hea_vision.xrd.evidence import PRIORS, LatticeScan, ObservedLines
from hea_vision.xrd.reflections import ReflectionTable, reflection_table
from hea_vision.xrd.set_fit import Candidate, SetFit, fit_set

#: Sets of one size that are kept and extended.
_BEAM = 6
#: Lattices of one prototype that a scan keeps, the nats each must promise, and how many types and further lattices are
#: fitted to extend a set.
_PER_PROTOTYPE = 3
_LEAST_SCORE = 3.0
_TYPES_FITTED = 12
_FURTHER_FITTED = 8
MAX_PHASES = 3
#: With more unexplained lines than this, one more phase cannot make sense of a pattern.
_HOPELESS_LINES = 30


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
        found.update(extended)  # sets of different sizes have different keys
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
    for candidate in _promising(scans, free):
        fit = fit_set(observed, (*phases, candidate))
        if fit is None or fit.log_evidence <= floor - slack or _same_lattice_twice(fit):
            continue
        if all(_stands(observed, fit, i, single_lines) for i in range(len(fit.phases))):
            out.append(fit)
    return out


def _promising(scans: Sequence[LatticeScan], free: np.ndarray) -> list[Candidate]:
    """List the lattices worth a fit: the best of every type, and further ones while they are among the best of all."""
    if not free.any():
        return []
    first, further = [], []
    for scan in scans:
        scored = _best_lattices(scan, free)
        first += scored[:1]
        further += scored[1:]
    first.sort(key=lambda pair: -pair[0])
    further.sort(key=lambda pair: -pair[0])
    return [candidate for _, candidate in [*first[:_TYPES_FITTED], *further[:_FURTHER_FITTED]]]


def _stands(observed: ObservedLines, fit: SetFit, index: int, single_lines: Collection[str]) -> bool:
    """Say whether enough lines of a phase are its own, listed ones and faint ones."""
    least = _least_lines(fit.phases[index].table, single_lines)
    return _own_lines(observed, fit, index) + int(fit.faint_lines[index]) >= min(least, len(observed))


def _least_lines(table: ReflectionTable, single_lines: Collection[str]) -> int:
    """Tell how many lines of its own a phase needs."""
    if table.kind.name in single_lines:
        return 1
    return 3 if table.free_ratio else 2


def _own_lines(observed: ObservedLines, fit: SetFit, index: int) -> int:
    """Count the lines that a phase has to itself: no other phase gives them, nor would by ordering."""
    own = (fit.owner == index) & (fit.share[index] > 0.6)
    for i in range(len(fit.phases)):
        if i != index:
            own &= ~fit.ordering(observed, i)
    return int(own.sum())


def _same_lattice_twice(fit: SetFit) -> bool:
    """Say whether two phases of one type have lattices closer than a real two-phase alloy shows (0.5 %)."""
    for i, one in enumerate(fit.phases):
        for other in fit.phases[:i]:
            if one.name == other.name and abs(np.log(one.a_A / other.a_A)) < 0.005:
                return True
    return False


def _best_lattices(scan: LatticeScan, free: np.ndarray) -> list[tuple[float, Candidate]]:
    """Keep the best separate maxima of a scan, with their scores."""
    score, a, c = scan.score(free), scan.a_A, scan.c_A
    kept: list[tuple[float, Candidate]] = []
    for index in np.argsort(-score)[:400]:
        if not score[index] > _LEAST_SCORE or len(kept) >= _PER_PROTOTYPE:
            break
        if all(abs(np.log(a[index] / k.a_A)) > 0.004 or abs(np.log(c[index] / k.c_A)) > 0.006 for _, k in kept):
            found = Candidate(table=scan.table, a_A=float(a[index]), c_A=float(c[index]))
            kept.append((float(score[index]), found))
    return kept
