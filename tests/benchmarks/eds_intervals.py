"""Count how often the intervals of composition and segregation hold the truth, on simulated EDS scans and maps.

`python tests/benchmarks/eds_intervals.py [--quick] [--json FILE]`; no data is needed.

Specimens are smooth random profiles or fields of five elements, normalised to 100 %, then counted (Poisson) and
normalised again, as an instrument does. What they are of the measured stretch is known exactly; what they are of the
alloy comes from a profile of 200,000 points, or a field of a thousand by a thousand. Estimates carry 95 % intervals.
Coverage is given at that level, and at 90 % for the same interval drawn in by 1.645 / 1.960. The elements of a specimen
are not independent of each other: the interval of a coverage is the 95 % bootstrap over specimens, or where all or none
are held, Wilson's of as many specimens. Seeds are `SEED` and the number of the case.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from hea_sim.documents import write_json
from hea_sim.records import Estimate, Segmentation
from hea_vision.io import ElementMaps, LineScan
from hea_vision.measurement import Segregation, composition_by_class, measure_segregation, quantify, summed_composition

SEED = 20_261_122
ELEMENTS = ("Ti", "V", "Nb", "Mo", "Ta")
#: Factors by which equal counts are equal atoms.
FACTORS = {e: float(atomic_masses[atomic_numbers[e]]) for e in (*ELEMENTS, "Al", "Cr")}
#: From a 95 % interval to one of 90 %.
NARROWER = 1.644854 / 1.959964
STEP_UM = 0.5
Z = 1.959964
#: What an axis of solidification does to the logarithms of the amounts, and how far each moves by itself.
AXIS, OWN = np.array([0.15, 0.12, 0.0, 0.0, -0.2]), 0.03
REDRAWINGS = 2000


@dataclass
class Tally:
    """Gather, specimen by specimen, what was held; by name of the quantity."""

    held: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)
    events: dict[str, list[bool]] = field(default_factory=dict)

    def add(self, name: str, pairs: Iterator[tuple[Estimate | None, float]]) -> None:
        """Add the estimates of one specimen with their truths; those without an interval are left out."""
        there = [(e, t) for e, t in pairs if e is not None and e.low is not None]
        if there:
            wide = sum(e.low <= t <= e.high for e, t in there)
            narrow = sum(low <= t <= high for (low, high), t in ((drawn_in(e), t) for e, t in there))
            self.held.setdefault(name, []).append((wide, narrow, len(there)))

    def happened(self, name: str, yes: bool) -> None:
        self.events.setdefault(name, []).append(yes)

    def rows(self) -> dict[str, dict[str, float]]:
        out = {}
        for name, counted in self.held.items():
            wide, narrow, n = np.array(counted, float).T
            out[name] = {"specimens": len(n), "intervals": int(n.sum())}
            for level, held in (("95 %", wide), ("90 %", narrow)):
                low, high = coverage_interval(held, n)
                out[name] |= {level: held.sum() / n.sum(), f"{level}, low": low, f"{level}, high": high}
        for name, yes in self.events.items():
            low, high = wilson(sum(yes), len(yes))
            out[name] = {"specimens": len(yes), "rate": sum(yes) / len(yes), "rate, low": low, "rate, high": high}
        return out


def drawn_in(e: Estimate) -> tuple[float, float]:
    """Draw a 95 % interval in to 90 %; a bound where the quantity itself ends stays."""
    assert e.low is not None and e.high is not None
    ends = (-1.0, 1.0) if e.unit == "1" else (0.0, np.inf)
    low, high = (e.value + NARROWER * (bound - e.value) for bound in (e.low, e.high))
    return (e.low if e.low <= ends[0] else low), (e.high if e.high >= ends[1] else high)


def wilson(k: int, n: int) -> tuple[float, float]:
    """Give Wilson's 95 % interval of a share (10.1080/01621459.1927.10502953)."""
    share, spread = k / n, Z**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = np.sqrt(spread * share * (1 - share) + spread**2 / 4) / (1 + spread)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def coverage_interval(held: np.ndarray, n: np.ndarray) -> tuple[float, float]:
    """Give the 95 % interval of a coverage over specimens."""
    if held.sum() in (0, n.sum()):
        return wilson(len(n) if held.sum() else 0, len(n))
    chosen = np.random.default_rng(SEED).integers(0, len(n), (REDRAWINGS, len(n)))
    low, high = np.quantile(held[chosen].sum(1) / n[chosen].sum(1), [0.025, 0.975])
    return float(low), float(high)


def smooth(rng: np.random.Generator, n: int, length: float, k: int) -> np.ndarray:
    """Draw smooth random profiles (n, k) of unit variance with the autocorrelation exp(-x^2 / 4 length^2)."""
    wide = gaussian_filter1d(rng.standard_normal((n + int(20 * length), k)), length, axis=0, mode="wrap")
    return wide[int(10 * length) :][:n] * np.sqrt(2 * np.sqrt(np.pi) * length)


def at_percent(amounts: np.ndarray) -> np.ndarray:
    return 100 * amounts / amounts.sum(axis=-1, keepdims=True)


def counted(rng: np.random.Generator, truth: np.ndarray, counts: float) -> np.ndarray:
    return at_percent(rng.poisson(counts * truth / 100).astype(float))


def independent(rng: np.random.Generator, n: int, length: float) -> np.ndarray:
    return 20 * np.exp(0.15 * smooth(rng, n, length, 5))


def along_an_axis(rng: np.random.Generator, n: int, length: float) -> np.ndarray:
    return 20 * np.exp(smooth(rng, n, length, 1) * AXIS + OWN * smooth(rng, n, length, 5))


def compare(tally: Tally, found: Segregation, here: np.ndarray, alloy: np.ndarray) -> None:
    """Compare with the contents of the measured stretch (points, elements) and of the alloy."""
    parts = list(enumerate(ELEMENTS))
    tally.add("amplitude of the stretch", ((found.amplitude[e], here[:, i].std()) for i, e in parts))
    tally.add("amplitude of the alloy", ((found.amplitude_of_alloy[e], alloy[:, i].std()) for i, e in parts))
    tally.add("mean of the alloy", ((found.mean[e], alloy[:, i].mean()) for i, e in parts))
    place = {e: i for i, e in parts}
    for name, truth in (("stretch", np.corrcoef(here.T)), ("alloy", np.corrcoef(alloy.T))):
        chosen = "measured" if name == "stretch" else "alloy"
        tally.add(
            f"correlation of the {name}",
            ((getattr(p, chosen), truth[place[p.first], place[p.second]]) for p in found.pairs),
        )


def line_scans(
    rng: np.random.Generator, trials: int, *, points: int, counts: float, length: float, drawn: Callable
) -> Tally:
    tally = Tally()
    alloy = at_percent(drawn(rng, 200_000, length))
    for _ in range(trials):
        truth = at_percent(drawn(rng, points, length))
        scan = LineScan(elements=ELEMENTS, values=counted(rng, truth, counts), unit="at.%", step_um=STEP_UM)
        # Points at the ends serve for noise alone, so that the stretch is one point shorter at either side.
        compare(tally, measure_segregation(scan), truth[1:-1], alloy)
    return tally


def maps(rng: np.random.Generator, trials: int, *, counts: float) -> Tally:
    """Measure maps of 48 x 64 points; the corners of a map serve for noise alone."""
    tally = Tally()
    length, scale = 4.0, 2 * np.sqrt(np.pi) * 4.0

    def contents(shape: tuple[int, int]) -> np.ndarray:
        wide = (shape[0] + 24, shape[1] + 24, 5)
        fields = gaussian_filter(rng.standard_normal(wide), (length, length, 0))[12:-12, 12:-12] * scale
        return at_percent(20 * np.exp(0.1 * fields))

    alloy = contents((1000, 1000)).reshape(-1, 5)
    inner = np.ones((48, 64), bool)
    inner[[0, 0, -1, -1], [0, -1, 0, -1]] = False
    for _ in range(trials):
        truth = contents((48, 64))
        found = measure_segregation(ElementMaps(elements=ELEMENTS, values=counted(rng, truth, counts), unit="at.%"))
        compare(tally, found, truth[inner], alloy)
    return tally


def without_segregation(rng: np.random.Generator, trials: int, *, points: int, counts: float) -> Tally:
    tally = Tally()
    for _ in range(trials):
        values = counted(rng, np.full((points, 5), 20.0), counts)
        found = measure_segregation(LineScan(elements=ELEMENTS, values=values, unit="at.%", step_um=STEP_UM))
        tally.add("amplitude of the stretch", ((a, 0.0) for a in found.amplitude.values()))
        claimed = any(p.finding in ("together", "apart") for p in found.pairs)
        tally.happened("some pair called together or apart", claimed)
    return tally


def arms(rng: np.random.Generator, trials: int, *, scatter: float) -> Tally:
    """Measure the spacing of dendrite arms, 24 points in the mean, whose single spacings scatter by a share."""
    tally = Tally()
    points, period = 256, 24.0
    for _ in range(trials):
        ends = np.cumsum(period * np.clip(1 + scatter * rng.standard_normal(40), 0.3, None)) - period * rng.uniform(
            2, 3
        )
        phase = 2 * np.pi * np.interp(np.arange(points), ends, np.arange(len(ends)))
        truth = at_percent(20 * np.exp(np.cos(phase)[:, None] * AXIS))
        values = counted(rng, truth, 1500)
        found = measure_segregation(LineScan(elements=ELEMENTS, values=values, unit="at.%", step_um=STEP_UM))
        tally.add("spacing of arms", iter([(found.spacing_um, STEP_UM * period)]))
        tally.happened("a spacing was given", found.spacing_um is not None)
    return tally


def classes(rng: np.random.Generator, trials: int, *, counts: float) -> Tally:
    """Average quantified maps over particles and matrix; the field moves from place to place besides."""
    tally = Tally()
    rows, columns = np.mgrid[:128, :128]
    true = {"matrix": np.array([20.0, 80.0]), "precipitate": np.array([60.0, 40.0])}
    for _ in range(trials):
        labels = np.zeros((128, 128), np.uint8)
        for y, x in rng.uniform(0, 128, (40, 2)):
            labels[(rows - y) ** 2 + (columns - x) ** 2 < 36] = 1
        share = np.array(list(true.values()))[labels]
        share[..., 0] += 2.0 * gaussian_filter(rng.standard_normal((128, 128)), 2.0) * 2 * np.sqrt(np.pi) * 2.0
        share[..., 1] = 100 - share[..., 0]
        values = rng.poisson(counts * share / 100).astype(float)
        taken = ElementMaps(elements=("Al", "Cr"), values=values, unit="counts", variance=values)
        segmentation = Segmentation(labels=labels, classes={0: "matrix", 1: "precipitate"})
        found = composition_by_class(quantify(taken, FACTORS), segmentation)
        for name, content in true.items():
            tally.add(f"content of the {name}", zip(found.mean[name].values(), content))
        ratio = true["precipitate"] / true["matrix"]
        tally.add("partition ratio", zip(found.partition["precipitate"].values(), ratio))
    return tally


def whole_fields(rng: np.random.Generator, trials: int, *, counts: float) -> Tally:
    tally = Tally()
    share = np.array([40.0, 25.0, 20.0, 10.0, 5.0])
    for _ in range(trials):
        values = rng.poisson(counts * share / 100, (16, 16, 5)).astype(float)
        taken = ElementMaps(elements=ELEMENTS, values=values, unit="counts", variance=values)
        tally.add("content of the field", zip(summed_composition(taken, FACTORS).values(), share))
    return tally


#: Name, measurement, how many specimens a full run takes, knobs.
CASES: Mapping[str, tuple[Callable[..., Tally], int, dict]] = {
    "line, 64 points, 1500 counts, independent elements": (
        line_scans, 200, {"points": 64, "counts": 1500, "length": 3.0, "drawn": independent}),
    "line, 256 points, 1500 counts, independent elements": (
        line_scans, 200, {"points": 256, "counts": 1500, "length": 3.0, "drawn": independent}),
    "line, 256 points, 300 counts, independent elements": (
        line_scans, 200, {"points": 256, "counts": 300, "length": 3.0, "drawn": independent}),
    "line, 64 points, 1500 counts, one axis of segregation": (
        line_scans, 200, {"points": 64, "counts": 1500, "length": 3.0, "drawn": along_an_axis}),
    "line, 256 points, 1500 counts, one axis of segregation": (
        line_scans, 200, {"points": 256, "counts": 1500, "length": 3.0, "drawn": along_an_axis}),
    "map, 48 x 64 points, 500 counts": (maps, 100, {"counts": 500}),
    "line, 64 points, 300 counts, no segregation": (without_segregation, 300, {"points": 64, "counts": 300}),
    "line, 64 points, 3000 counts, no segregation": (without_segregation, 300, {"points": 64, "counts": 3000}),
    "arms, spacings alike": (arms, 150, {"scatter": 0.0}),
    "arms, spacings scatter by 15 %": (arms, 150, {"scatter": 0.15}),
    "particles in a map, 200 counts a point": (classes, 100, {"counts": 200}),
    "particles in a map, 30 counts a point": (classes, 100, {"counts": 30}),
    "whole field, 40 counts a point": (whole_fields, 400, {"counts": 40}),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    results: dict = {"seed": SEED, "cases": {}}
    for number, (title, (run, trials, knobs)) in enumerate(CASES.items()):
        tally = run(np.random.default_rng([SEED, number]), max(20, trials // 10) if options.quick else trials, **knobs)
        results["cases"][title] = tally.rows()
        print(title)
        for name, row in tally.rows().items():
            words = [f"{key} {row[key]:.3f} ({row[key + ', low']:.3f} to {row[key + ', high']:.3f})"
                     for key in ("95 %", "90 %", "rate") if key in row]  # fmt: skip
            print(f"  {name}: {'; '.join(words)}, {row['specimens']} specimens", flush=True)
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
