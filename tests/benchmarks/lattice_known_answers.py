"""Lattice Monte Carlo against known answers: critical and transition temperatures of nearest-neighbour models.

A bond between unlike atoms has 2 J more energy than one between like atoms, as in H = -J sum s_i s_j (J > 0 parts,
J < 0 orders). Temperatures are k T / |J|.

| model | published | source |
|---|---|---|
| square Ising | 2 / ln(1 + sqrt 2) = 2.269185, exact | Onsager 1944, doi:10.1103/PhysRev.65.117 |
| simple cubic Ising | 1 / 0.221654626 = 4.511523 | Ferrenberg, Xu, Landau 2018, doi:10.1103/PhysRevE.97.043301 |
| bcc, B2 at AB: as the bcc Ising model | 1 / 0.1573725 = 6.35435 | Butera, Comi 2000, doi:10.1103/PhysRevB.62.14837 |
| fcc, L1_0 at zero field, first order | 1.736 | Polgreen 1984, doi:10.1103/PhysRevB.29.1468 |
| fcc, L1_2 at A3B, first order | 1.83 | Kessler, Dieterich, Majhofer 2003, doi:10.1103/PhysRevB.67.134201 |

python tests/benchmarks/lattice_known_answers.py [--quick] [--json FILE] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import read_json, versions, write_json
from hea_sim.lattice.pairs import PairModel
from hea_sim.lattice.shells import sites_per_cell
from hea_sim.observables.reweighting import Reweighting, reweight
from hea_sim.observables.transitions import binder_crossing, find_transitions
from hea_sim.sampling.lattice_walks import CanonicalWalk, SemiGrandWalk
from hea_sim.sampling.replica_exchange import ReplicaExchange
from hea_sim.units import BOLTZMANN_EV_PER_K

PUBLISHED = {
    "Ising 2-D": (2 / np.log(1 + np.sqrt(2)), 0.01),
    "Ising 3-D": (1 / 0.221654626, 0.01),
    "bcc B2": (1 / 0.1573725, 0.02),
    "fcc L1_0": (1.736, 0.02),
    "fcc L1_2": (1.83, 0.02),
}
#: |J| is k times this, so that temperatures in kelvin are a thousand times k T / |J|.
UNIT_K = 1000.0


def nearest_neighbours(lattice: str, sign: float) -> PairModel:
    """Make the model of one shell; `sign` is that of J."""
    pair = 2 * sign * BOLTZMANN_EV_PER_K * UNIT_K * np.array([[[0.0, 1.0], [1.0, 0.0]]])
    zero, volume = np.zeros((2, 2)), np.full(2, 17.0)
    return PairModel(
        name="nearest neighbours", species=("Nb", "Mo"), lattice=lattice, site_energy_eV=np.zeros(2),
        pair_energy_eV=pair, element_volume_A3=volume, pair_volume_A3=0 * pair, asymmetry_eV=zero, asymmetry_A3=zero,
        reference_volume_A3=volume, energy_std_eV=0.0, volume_std_A3=0.0, relaxed=True,
    )  # fmt: skip


def runs(
    walk: Any, temperatures_K: np.ndarray, sweeps: int, order: Callable[[np.ndarray], float]
) -> tuple[Reweighting, list[np.ndarray]]:
    """Sample energies and an order parameter at each temperature, hot to cold, after a fifth of the sweeps."""
    energies, orders = [], []
    for temperature in temperatures_K[::-1]:
        walk.temperature_K = float(temperature)
        walk.advance(sweeps // 5)
        samples = np.empty((2, sweeps))
        for k in range(sweeps):
            walk.advance(1)
            samples[:, k] = walk.energy_eV, order(walk.occupation)
        energies.append(samples[0])
        orders.append(samples[1])
    return reweight(energies[::-1], temperatures_K), orders[::-1]


def ising(dimensions: int, quick: bool) -> dict[str, float]:
    """Find the critical temperature of the Ising model by Binder's cumulants of two sizes, in the semi-grand walk."""
    lengths = {2: (8, 16) if quick else (16, 32), 3: (5, 10) if quick else (8, 16)}[dimensions]
    expected = PUBLISHED[f"Ising {dimensions}-D"][0] * UNIT_K
    temperatures, parts = expected * np.linspace(0.96, 1.04, 5), []
    for length in lengths:
        size = (length, length, 1 if dimensions == 2 else length)
        walk = SemiGrandWalk(
            nearest_neighbours("A_h", 1.0), size, "NbMo", temperatures[-1], np.random.default_rng(length),
            chemical_potentials_eV={},
        )  # fmt: skip
        parts.append(runs(walk, temperatures, 12_000 if quick else 60_000, lambda o: 2 * float(o.mean()) - 1))
    return _crossing(parts)


def b2(quick: bool) -> dict[str, float]:
    """Find the B2 transition of the bcc alloy AB by Binder's cumulants of the difference of its two sublattices."""
    expected = PUBLISHED["bcc B2"][0] * UNIT_K
    temperatures, parts = expected * np.linspace(0.96, 1.04, 5), []
    for length in (4, 8) if quick else (6, 12):
        walk = CanonicalWalk(
            nearest_neighbours("A2", -1.0), (length,) * 3, "NbMo", temperatures[-1], np.random.default_rng(length)
        )
        parts.append(
            runs(walk, temperatures, 3000 if quick else 40_000, lambda o: float(o[::2].mean() - o[1::2].mean()))
        )
    return _crossing(parts)


def _crossing(parts: list[tuple[Reweighting, list[np.ndarray]]]) -> dict[str, float]:
    (small, small_order), (large, large_order) = parts
    found = binder_crossing(small, small_order, large, large_order)
    return {"kT_over_J": found.value / UNIT_K, "std": float(found.std or 0.0) / UNIT_K}


def peak(name: str, length: int, centre: float, sweeps: int) -> dict[str, float]:
    """Place the peak of the heat capacity of a cell of the fcc alloy by a replica exchange about `centre`, in |J| / k.

    At zero field the walk is semi-grand, which crosses between the phases faster than exchanges do.
    """
    ladder = centre * UNIT_K * np.linspace(0.97, 1.03, 13)
    zero_field = name == "fcc L1_0"
    walk = ReplicaExchange(
        nearest_neighbours("A1", -1.0), (length,) * 3, "NbMo" if zero_field else "Nb3Mo", ladder,
        np.random.default_rng(5), walk=SemiGrandWalk if zero_field else CanonicalWalk,
        **({"chemical_potentials_eV": {}} if zero_field else {}),
    )  # fmt: skip
    walk.advance(sweeps // 5)
    energies = np.empty((sweeps, len(ladder)))
    for k in range(sweeps):
        walk.advance(1)
        energies[k] = [one.energy_eV for one in walk.walks]
    sites = sites_per_cell("A1") * length**3
    peaks = find_transitions(list(energies.T), ladder, sites)
    if not peaks:
        return {"kT_over_J": float("nan"), "std": float("nan")}
    highest = max(peaks, key=lambda found: found.heat_capacity_k or 0.0).temperature_K
    return {"kT_over_J": highest.value / UNIT_K, "std": float(highest.std or 0.0) / UNIT_K}


def fcc(name: str, quick: bool) -> dict[str, Any]:
    """Find a first-order transition of the fcc alloy from peaks of the heat capacity, extrapolated in 1 / L^2.

    Planes of the ordered phase slide at no cost, so that it has about 2^(2 L) forms: they hold it up to temperatures
    that are too high by a share of ln 2^(2 L) / L^3. (Mueller, Janke, Johnston 2014,
    doi:10.1103/PhysRevLett.112.200601, for another model with such planes.)
    """
    sizes: dict[str, Any] = {}
    for length in (4, 6) if quick else (6, 8, 10):
        centre = PUBLISHED[name][0] * (1 + 0.8 / length**2)
        sizes[str(length)] = peak(name, length, centre, 3000 if quick else 24_000)
        print(f"  {name}, L = {length}: {sizes[str(length)]}", flush=True)
    inverse = np.array([1 / int(length) ** 2 for length in sizes])
    found, error = (np.array([row[key] for row in sizes.values()]) for key in ("kT_over_J", "std"))
    # as far as the line misses the points, so much more the errors of the points are
    line = np.polyfit(inverse, found, 1)
    residual = np.abs(found - np.polyval(line, inverse)).max()
    return {"kT_over_J": float(line[1]), "std": _std_at_zero(inverse, np.hypot(error, residual)), "sizes": sizes}


def _std_at_zero(x: np.ndarray, std: np.ndarray) -> float:
    """Give the error of a straight line at zero from those of its points, all weighing the same."""
    rows = np.linalg.pinv(np.column_stack([x, np.ones_like(x)]))
    return float(np.sqrt(np.square(rows[1]) @ np.square(std)))


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small cells and short runs, to see that it runs")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED))
    options = parser.parse_args()
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "Ising 2-D": lambda: ising(2, options.quick),
        "Ising 3-D": lambda: ising(3, options.quick),
        "bcc B2": lambda: b2(options.quick),
        "fcc L1_0": lambda: fcc("fcc L1_0", options.quick),
        "fcc L1_2": lambda: fcc("fcc L1_2", options.quick),
    }
    results: dict[str, Any] = {}
    if options.json and options.json.is_file() and not options.quick:
        results = read_json(options.json)["results"]  # those that are not asked for stay
    for name in options.only:
        start = time.perf_counter()
        published, tolerance = PUBLISHED[name]
        found = makers[name]()
        off = found["kT_over_J"] / published - 1
        judged = "reached" if abs(off) <= tolerance else "MISSED"
        seconds = time.perf_counter() - start
        print(
            f"{name}: kT/|J| = {found['kT_over_J']:.4f} +- {found['std']:.4f}, published {published:.4f},"
            f" off by {100 * off:+.2f} % (target {100 * tolerance:.0f} %: {judged}), {seconds:.0f} s",
            flush=True,
        )
        results[name] = found | {"published": published, "off": off, "seconds": seconds}
    if options.json:
        write_json(options.json, {"results": results, "quick": options.quick, "versions": versions()})


if __name__ == "__main__":
    main()
