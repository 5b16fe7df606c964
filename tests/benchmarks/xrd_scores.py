"""Score rows of the classifier benchmark: what counts as right, calibration, coverage, refusal, intervals.

A specimen holds phases; those whose strongest free line exceeds 5 sigma are `visible` and have to be named. A phase
below that, or without a free line, may be named or not: an answer is right where it holds all that is visible and
nothing that is not `present`.
Two phases of one lattice count twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hea_sim.crystals import prototype, prototype_names

Row = Mapping[str, Any]
#: Resamplings of an interval.
_RESAMPLINGS = 600


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Hold one number of a table: value with its 95 % interval, n, and the target (`at_least` says which way)."""

    name: str
    value: float
    n: int
    low: float = float("nan")
    high: float = float("nan")
    target: float | None = None
    at_least: bool = True

    @property
    def verdict(self) -> str:
        """Say "passed" or "missed"; empty where nothing was asked, "not measured" without rows."""
        if not np.isfinite(self.value):
            return "not measured"
        if self.target is None:
            return ""
        passed = self.value >= self.target if self.at_least else self.value <= self.target
        return "passed" if passed else "missed"


def is_right(named: Iterable[str], visible: Iterable[str], present: Iterable[str]) -> bool:
    """Say whether an assemblage holds all that is visible and nothing that is not present, multiplicities counted.

    >>> is_right(["A1", "A2"], ["A1"], ["A1", "A2"]), is_right(["A1"], ["A1", "A1"], ["A1", "A1"])
    (True, False)
    """
    return Counter(visible) <= Counter(named) <= Counter(present)


def fundamental_sets(sets: Iterable[Sequence[str]]) -> list[list[str]]:
    """Map alternative assemblages to fundamental lattices and drop repeats: undetectable order counts as one."""
    known = set(prototype_names())
    out: list[list[str]] = []
    for names in sets:
        entry = sorted(prototype(n).fundamental if n in known else n for n in names)
        if entry not in out:
            out.append(entry)
    return out


def metallic_probability(assemblages: Iterable[Mapping[str, Any]]) -> float:
    """Sum the probabilities of assemblages that hold a metallic type."""
    known = set(prototype_names())
    return float(
        sum(a["probability"] for a in assemblages if any(n in known and prototype(n).metallic for n in a["phases"]))
    )


def refusal_score(in_scope: bool, metallic: float) -> float:
    """Rank how little a labeller takes a pattern for one of an alloy, 0 to 2.

    Accepted patterns score 1 - P(a metallic type is there), refused ones one more, so that a sweep of the threshold
    passes through the labeller's own decision: a pattern refused because its lines stay unexplained ranks above every
    accepted one, however sure the assemblages were. A refusal without assemblages scores 2.
    """
    return (0.0 if in_scope else 1.0) + 1.0 - min(max(metallic, 0.0), 1.0)


def calibration_error(probability: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """Compute the expected calibration error over bins of equal width; NaN without rows."""
    p, hit = np.asarray(probability, float), np.asarray(right, float)
    if p.size == 0:
        return float("nan")
    which = np.minimum((p * bins).astype(int), bins - 1)
    counts = np.bincount(which, minlength=bins)
    gap = np.abs(np.bincount(which, p, bins) - np.bincount(which, hit, bins))
    return float(gap.sum() / counts.sum())


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Compute the probability that a positive scores above a negative, ties counted half; NaN without rows.

    >>> auroc([0.9, 0.5], [0.1, 0.5])
    0.875
    """
    up, down = np.asarray(positive, float), np.asarray(negative, float)
    if up.size == 0 or down.size == 0:
        return float("nan")
    difference = up[:, None] - down[None, :]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def accuracy_at_coverage(probability: Sequence[float], right: Sequence[bool], coverage: float = 0.8) -> float:
    """Compute the accuracy on the surest share of the rows, refused ones standing with probability zero.

    Rows that tie with the last one taken count with their mean.
    """
    p, hit = np.asarray(probability, float), np.asarray(right, float)
    if p.size == 0:
        return float("nan")
    take = max(1, round(coverage * p.size))
    limit = np.sort(p)[::-1][take - 1]
    above, tied = p > limit, p == limit
    return float((hit[above].sum() + hit[tied].mean() * (take - above.sum())) / take)


def minor_recall(row: Row) -> list[bool]:
    """Say of every visible minor phase (all but the first) whether it was named; a refusal names nothing."""
    named = Counter(row["found"] if row["in_scope"] else [])
    seen: Counter[str] = Counter()
    out = []
    for k, (name, sigma) in enumerate(zip(row["present"], row["significance"])):
        seen[name] += 1
        if k and sigma > row["limit_sigma"]:
            out.append(named[name] >= seen[name])
    return out


def interval(rows: Sequence[Row], statistic: Callable[[Sequence[Row]], float], seed: int = 0) -> tuple[float, float]:
    """Bootstrap the 95 % interval of a statistic by drawing rows again."""
    if len(rows) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    values = [statistic([rows[i] for i in rng.integers(len(rows), size=len(rows))]) for _ in range(_RESAMPLINGS)]
    finite = [v for v in values if np.isfinite(v)]
    return (float(np.quantile(finite, 0.025)), float(np.quantile(finite, 0.975))) if finite else (np.nan, np.nan)


def _figure(
    name: str,
    rows: Sequence[Row],
    statistic: Callable[[Sequence[Row]], float],
    target: float | None = None,
    *,
    at_least: bool = True,
    n: int | None = None,
) -> Figure:
    low, high = interval(rows, statistic)
    return Figure(
        name=name,
        value=statistic(rows),
        n=len(rows) if n is None else n,
        low=low,
        high=high,
        target=target,
        at_least=at_least,
    )


def _mean(key: Callable[[Row], float]) -> Callable[[Sequence[Row]], float]:
    return lambda rows: float(np.mean([key(r) for r in rows])) if rows else float("nan")


def _recall(rows: Sequence[Row]) -> float:
    named = [hit for r in rows for hit in minor_recall(r)]
    return float(np.mean(named)) if named else float("nan")


def _minor_count(rows: Sequence[Row]) -> int:
    return sum(len(minor_recall(r)) for r in rows)


def _calibration(rows: Sequence[Row]) -> float:
    return calibration_error([r["probability"] for r in rows], [r["in_scope"] and r["top_right"] for r in rows])


def _at_coverage(rows: Sequence[Row]) -> float:
    return accuracy_at_coverage([r["probability"] if r["in_scope"] else 0.0 for r in rows], [r["right"] for r in rows])


def _refusal(rows: Sequence[Row]) -> float:
    scores: tuple[list[float], list[float]] = ([], [])
    for r in rows:
        scores[r["part"] == "outside"].append(refusal_score(r["in_scope"], r["metallic"]))
    return auroc(scores[1], scores[0])


def simulated_figures(rows: Sequence[Row]) -> list[Figure]:
    """Reduce the simulated rows of one labeller to the figures of part B.

    Accuracy, recall, coverage of the 99 % sets and accuracy at 80 % coverage count every alloy, and a refused one as
    wrong, missed or not covered, whatever sets it was given. The mean size of the sets is that of accepted alloys. The
    calibration error takes every alloy whose first assemblage has a probability above zero: of an accepted one it asks
    whether that assemblage is right, a refused one counts as wrong with the probability it has. The AUROC ranks alloys
    and patterns to refuse by `refusal_score`.
    """
    alloys = [r for r in rows if r["part"] == "alloy"]
    outside = [r for r in rows if r["part"] == "outside"]
    right = _mean(lambda r: float(r["right"]))
    refused = _mean(lambda r: float(not r["in_scope"]))
    out = []
    for count, label, targets in (
        (1, "one phase", {None: 0.95}),
        (2, "two phases", {True: 0.90, False: None}),
        (3, "three phases", {None: None}),
    ):
        for told, target in targets.items():
            part = [r for r in alloys if len(r["visible"]) == count and told in (None, bool(r["elements"]))]
            end = "" if told is None else (", elements given" if told else ", elements not given")
            out.append(_figure(f"exact set, {label}{end}", part, right, target))
    accepted = [r for r in alloys if r["in_scope"]]
    likely = [r for r in alloys if r["probability"] > 0]
    covered = _mean(lambda r: float(r["in_scope"] and r["covered"]))
    several = [r for r in alloys if minor_recall(r)]
    size = _mean(lambda r: float(len(r["sets"])))
    return [
        *out,
        _figure("recall of minor phases above 5 sigma", several, _recall, 0.9, n=_minor_count(several)),
        _figure("calibration error (10 bins)", likely, _calibration, 0.05, at_least=False),
        _figure("99 % sets: coverage", alloys, covered, 0.985),
        _figure("99 % sets: mean size", accepted, size, 1.5, at_least=False),
        _figure("accuracy at 80 % coverage", alloys, _at_coverage, 0.98),
        _figure("refusal AUROC", [*alloys, *outside], _refusal, 0.95),
        _figure("alloys refused", alloys, refused),
        *(
            _figure(f"refused: {kind}", [r for r in outside if r["kind"] == kind], refused)
            for kind in sorted({r["kind"] for r in outside})
        ),
    ]  # fmt: skip


def real_figures(rows: Sequence[Row]) -> list[Figure]:
    """Reduce the real rows of one labeller to the figures of part A."""
    alloys = [r for r in rows if r["truth"]]
    others = [r for r in rows if not r["truth"]]
    named = [r for r in others if r["named"]]
    errors = [r["a_error_A"] for r in alloys if r["a_error_A"] is not None]
    return [
        _figure("real alloys: set right", alloys, _mean(lambda r: float(r["right"])), 1.0),
        _figure("real alloys: refused", alloys, _mean(lambda r: float(not r["in_scope"])), 0.05, at_least=False),
        _figure("real non-alloys: refused", others, _mean(lambda r: float(not r["in_scope"])), 0.95),
        _figure("real mixtures with MnO: B1 named", named, _mean(lambda r: float(r["named"] in r["found"])), 1.0),
        Figure(
            name="Fe: error of a (A)",
            value=max(errors, default=float("nan")),
            n=len(errors),
            target=0.002,
            at_least=False,
        ),
    ]


def order_figures(rows: Sequence[Row]) -> list[Figure]:
    """Reduce the order list of one labeller to the figures of part C."""
    right = _mean(lambda r: float(r["right"]))
    out = []
    for expected, limit in (("alternatives", "below 4"), ("ordered alone", "above 5")):
        part = [r for r in rows if r["expected"] == expected]
        out.append(_figure(f"order line {limit} sigma: {expected}", part, right, 1.0))
        for told, how in ((True, "given"), (False, "not given")):
            some = [r for r in part if bool(r["elements"]) is told]
            out.append(_figure(f"  {limit} sigma, elements {how}", some, right))
    undecided = [r for r in rows if r["expected"] == "undecided"]
    out.append(Figure(name="order line 4 to 5 sigma: left out", value=float(len(undecided)), n=len(undecided)))
    return out


def speed_figures(rows: Sequence[Row]) -> list[Figure]:
    """Reduce the seconds of one labeller to the figures of part D."""
    out = []
    for label, key in (("wall", "seconds"), ("CPU", "cpu_seconds")):
        values = [r[key] for r in rows]
        for share, name, target in ((0.5, "median", 2.0), (0.95, "95th percentile", None)):
            value = float(np.quantile(values, share)) if values else float("nan")
            goal = target if key == "cpu_seconds" else None
            out.append(
                Figure(
                    name=f"{name} {label} seconds per pattern", value=value, n=len(values), target=goal, at_least=False
                )
            )
    return out
