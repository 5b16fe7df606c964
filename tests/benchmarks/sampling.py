"""Speed of lattice Monte Carlo beside icet: bcc, pairs to five shells (58 neighbours), four species.

A trial is one proposed exchange of two unlike atoms, with the energy difference over both neighbourhoods. Times are of
the processor, of one thread, compilation taken off.

python tests/benchmarks/sampling.py [--quick] [--json FILE] [--figure FILE.png] [--huge]
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import versions, write_json
from hea_sim.lattice.pairs import PairModel
from hea_sim.lattice.shells import neighbour_shells
from hea_sim.sampling.class_walk import ClassWalk
from hea_sim.sampling.lattice_walks import CanonicalWalk, SemiGrandWalk

SPECIES, SHELLS, TEMPERATURE_K = ("Nb", "Mo", "Ta", "W"), 5, 1500.0
TARGETS = {"serial_over_icet": 200.0, "class_layout_trials_per_s": 1e7}


def model() -> PairModel:
    """Make a pair model whose energies are those of an alloy with some order at the temperature of the benchmark."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(SHELLS, 4, 4)) * 0.01 / np.arange(1, SHELLS + 1)[:, None, None]
    pairs = raw + raw.transpose(0, 2, 1)
    pairs[:, range(4), range(4)] = 0
    zero, ones = np.zeros((4, 4)), np.full(4, 17.0)
    return PairModel(
        name="benchmark", species=SPECIES, lattice="A2", site_energy_eV=np.zeros(4), pair_energy_eV=pairs,
        element_volume_A3=ones, pair_volume_A3=0 * pairs, asymmetry_eV=zero, asymmetry_A3=zero,
        reference_volume_A3=ones, energy_std_eV=0.0, volume_std_A3=0.0, relaxed=True,
    )  # fmt: skip


def timed(advance: Callable[[], int], seconds: float) -> dict[str, float]:
    """Run parts until the time is over; give trials a second of the processor's time, the best of all parts."""
    advance()
    best, trials, start = 0.0, 0, time.thread_time()
    while time.thread_time() - start < seconds:
        before = time.thread_time()
        made = advance()
        best = max(best, made / (time.thread_time() - before))
        trials += made
    return {"trials_per_s": trials / (time.thread_time() - start), "best_part": best}


def of_walk(walk: Any, seconds: float) -> dict[str, float]:
    """Time a walk of ours."""
    sites = len(walk.model.bound((2, 2, 2)).nearest) // 8 * int(np.prod(walk.size))
    sweeps = max(1, 200_000 // sites)

    def advance() -> int:
        before = walk.trials
        walk.advance(sweeps)
        return int(walk.trials - before)

    return timed(advance, seconds) | {"acceptance": walk.accepted / walk.trials, "sites": float(sites)}


def of_launches(cells: int, seconds: float) -> dict[str, float]:
    """Time the class layout on one thread, launch by launch: a sweep of a large cell would take too long."""
    import numba

    numba.set_num_threads(1)
    walk = ClassWalk(model(), (cells,) * 3, dict.fromkeys(SPECIES, 1), TEMPERATURE_K, np.random.default_rng(0))

    def advance() -> int:
        before = walk.trials
        for _ in range(max(1, 100_000 // walk.layout.sites_per_class)):
            walk.launch(within=True)
            walk.launch(within=False)
        return int(walk.trials - before)

    return timed(advance, seconds) | {"acceptance": walk.accepted / walk.trials, "sites": 2.0 * cells**3}


def of_icet(cells: int, seconds: float) -> dict[str, float] | None:
    """Time icet's canonical ensemble with as many pairs; None where it is not installed."""
    try:
        from ase.build import bulk
        from icet import ClusterExpansion, ClusterSpace
        from mchammer.calculators import ClusterExpansionCalculator
        from mchammer.ensembles import CanonicalEnsemble
    except ImportError:
        return None
    reach = neighbour_shells("A2", SHELLS + 1)
    cutoff = (reach[SHELLS - 1].distance_a + reach[SHELLS].distance_a) / 2
    space = ClusterSpace(bulk("Nb", "bcc", a=1.0), [cutoff], list(SPECIES))
    rng = np.random.default_rng(0)
    expansion = ClusterExpansion(space, rng.normal(size=len(space)) * 0.01)
    atoms = bulk("Nb", "bcc", a=1.0, cubic=True).repeat(cells)
    atoms.symbols = rng.permutation(np.resize(SPECIES, len(atoms)))
    calculator = ClusterExpansionCalculator(atoms, expansion)
    ensemble = CanonicalEnsemble(atoms, calculator, temperature=TEMPERATURE_K, random_seed=1)
    trials = 1000 if cells < 20 else 100

    def advance() -> int:
        ensemble.run(trials)
        return trials

    return timed(advance, seconds) | {"sites": float(len(atoms))}


def slope(rows: list[dict[str, float]]) -> float:
    """Fit the power of the number of sites with which the time of a sweep (as many trials as sites) grows."""
    sites, cost = (np.log([row[k] for row in rows]) for k in ("sites", "trials_per_s"))
    return float(np.polyfit(sites, sites - cost, 1)[0]) if len(rows) > 1 else float("nan")


def huge() -> dict[str, float]:
    """Hold 10^8 sites and launch on them."""
    start = time.perf_counter()
    walk = ClassWalk(model(), (368, 368, 372), dict.fromkeys(SPECIES, 1), TEMPERATURE_K, np.random.default_rng(0))
    built = time.perf_counter() - start
    for within in (True, False):
        walk.launch(within=within)
    walk.trials, start = 0, time.perf_counter()
    for within in (True, False):
        walk.launch(within=within)
    rate = walk.trials / (time.perf_counter() - start)
    return {
        "sites": 2.0 * 368 * 368 * 372,
        "seconds_to_build": built,
        "trials_per_s_all_threads": rate,
        "peak_memory_GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "memory_of_the_walk_GB": (walk._codes.nbytes + walk._species.nbytes) / 1e9,
    }


def figure(curves: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draw the time of a sweep over the number of sites, both logarithmic, with the fitted powers."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axis = plt.subplots(figsize=(6.4, 4.6), constrained_layout=True)
    for (name, rows), marker in zip(curves.items(), "os^Dv", strict=False):
        sites = np.array([row["sites"] for row in rows])
        cost = sites / np.array([row["trials_per_s"] for row in rows])
        power = f", N^{slope(rows):.2f}" if len(rows) > 1 else ""
        axis.loglog(sites, cost, marker=marker, label=f"{name}{power}")
    axis.set_xlabel("sites N")
    axis.set_ylabel("time for N trials on one core (s)")
    axis.set_title("bcc, 58 neighbours, four species", fontsize=10)
    axis.grid(True, which="both", alpha=0.25)
    axis.legend()
    fig.savefig(path, dpi=150)
    plt.close(fig)


def measured(quick: bool) -> dict[str, list[dict[str, float]]]:
    """Time all engines over the sizes."""
    seconds = 0.5 if quick else 4.0
    one = dict.fromkeys(SPECIES, 1)

    def walk(kind: Any, cells: int, **settings: Any) -> dict[str, float]:
        size = (cells,) * 3
        return of_walk(kind(model(), size, one, TEMPERATURE_K, np.random.default_rng(0), **settings), seconds)

    curves = {
        "CanonicalWalk": [walk(CanonicalWalk, n) for n in ((10, 20) if quick else (10, 20, 40, 64))],
        "SemiGrandWalk": [
            walk(SemiGrandWalk, n, chemical_potentials_eV={}) for n in ((10,) if quick else (10, 20, 40, 64))
        ],
        "ClassWalk": [of_launches(n, seconds) for n in ((32, 64) if quick else (16, 32, 64, 128))],
    }
    peer = [row for n in ((10,) if quick else (10, 20)) if (row := of_icet(n, seconds)) is not None]
    return curves | ({"icet canonical": peer} if peer else {})


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of everything, to see that it runs")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path, help="log-log cost as a PNG")
    parser.add_argument("--huge", action="store_true", help="also hold 10^8 sites in memory")
    options = parser.parse_args()
    curves = measured(options.quick)
    for name, rows in curves.items():
        for row in rows:
            print(f"{name:16s} {row['sites']:>9.0f} sites  {row['trials_per_s']:.3g} trials/s", flush=True)
        print(f"{name:16s} time of a sweep grows as N^{slope(rows):.2f}")
    layout = next(row for row in curves["ClassWalk"] if row["sites"] == 2 * 64**3)
    results: dict[str, Any] = {"class_layout_trials_per_s": layout["trials_per_s"]}
    if "icet canonical" in curves:
        peer, ours = curves["icet canonical"][0], curves["CanonicalWalk"][0]
        results["serial_over_icet"] = ours["trials_per_s"] / peer["trials_per_s"]
    else:
        print("icet is not installed (extra `oracle`): no ratio")
    for name, value in results.items():
        print(f"{name} = {value:.4g}, target {TARGETS[name]:.4g}: {'reached' if value >= TARGETS[name] else 'MISSED'}")
    if options.huge:
        results["1e8_sites"] = huge()
        print(results["1e8_sites"])
    if options.figure:
        figure(curves, options.figure)
    if options.json:
        slopes = {name: slope(rows) for name, rows in curves.items()}
        write_json(
            options.json, results | {"curves": curves, "slopes": slopes, "quick": options.quick, "versions": versions()}
        )


if __name__ == "__main__":
    main()
