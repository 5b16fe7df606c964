"""Compare models of NbMoTaW: errors of arrangements against DFT cells, and where each orders on cooling.

    python tests/benchmarks/nbmotaw_order.py [--data FOLDER_OF_NBMOTAW] [--quick] [--json FILE]

Against DFT: relaxed cells of the set of Li et al. 2020 (doi:10.1038/s41524-020-0339-0), differences between
arrangements at one composition. `nbmotaw-pairs` was fitted to such cells: what is scored are predictions out of fold.
The others were fitted to cells that `nbmotaw-snap` labelled, which was itself fitted to this set.

Transition: peak of the reweighted heat capacity of a replica exchange, with the model's own error left out. The
potentials are sampled themselves, by exchanges of atoms on a rigid bcc lattice at their lattice parameter, cooled step
by step: there the arrangement alone is free, and no atom relaxes as those did to whose energies the models were fitted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.documents import versions, write_json
from hea_sim.lattice.fit import FitCell, arrangement_errors, fit_pair_model
from hea_sim.lattice.low_rank_fit import fit_low_rank_model
from hea_sim.lattice.pairs import load_lattice_model
from hea_sim.lattice.parents import parent_lattice
from hea_sim.lattice.recipes.nbmotaw_cells import ELEMENTS, read_labels
from hea_sim.lattice.shells import lattice_points
from hea_sim.observables.superlattice_order import long_range_order
from hea_sim.observables.transitions import find_transitions
from hea_sim.potentials.loading import load_potential
from hea_sim.sampling.atom_exchange import AtomExchange
from hea_sim.sampling.ordering import OrderingScan, scan_ordering

POTENTIALS = ("nbmotaw-mtp", "nbmotaw-snap")
ALLOY = "NbMoTaW"


def models(quick: bool) -> dict[str, Any]:
    """Load the shipped models, and fit the other families to the cells that `nbmotaw-clusters` was fitted to."""
    cells = read_labels().train
    pairs, _ = fit_pair_model(cells, ELEMENTS, name="pairs", shells=(1, 2, 3, 4, 5), relaxed=True)
    found = {name: load_lattice_model(name) for name in ("nbmotaw-pairs", "nbmotaw-clusters")}
    found["pairs on the cells of nbmotaw-clusters"] = pairs
    if not quick:
        low_rank, _ = fit_low_rank_model(
            cells, ELEMENTS, parent_lattice("A2"), name="low-rank", ranks=(3,), penalties=(0.01,), folds=3
        )
        found["low-rank on the cells of nbmotaw-clusters"] = low_rank
    return found


def by_group(cells: Sequence[FitCell], predicted_eV: np.ndarray) -> dict[str, dict[str, float]]:
    """Give errors of differences between arrangements beside their spread, in meV per atom: all cells, each binary."""
    fractions = np.array([np.bincount(c.occupation, minlength=4) / len(c.occupation) for c in cells])
    energy = np.array([c.energy_eV for c in cells])
    groups = {"all": np.ones(len(cells), bool)}
    for name in sorted({c.group for c in cells if "SS" in c.group}):
        groups[name] = np.array([c.group == name for c in cells])
    found = {}
    for name, here in groups.items():
        error, spread = arrangement_errors(energy[here], predicted_eV[here], fractions[here])
        found[name] = {"cells": int(here.sum()), "error": 1e3 * error, "spread": 1e3 * spread}
    return found


def against_dft(data: Path, others: dict[str, Any]) -> dict[str, Any]:
    """Score every model on the relaxed DFT cells."""
    from hea_sim.lattice.recipes import dft_frames, nbmotaw_pairs

    train = dft_frames.read_frames(data, "train")
    cells, _ = dft_frames.relaxed_cells(train)
    _, report, _ = nbmotaw_pairs.fit(train)
    rows = {"nbmotaw-pairs, out of fold": by_group(cells, report.energy_cv_eV)}
    for name, model in others.items():
        if name != "nbmotaw-pairs":
            predicted = np.array([model.energy_eV_per_atom(c.occupation, c.size) for c in cells])
            rows[name] = by_group(cells, predicted)
    for name, row in rows.items():
        print(f"{name}: " + ", ".join(f"{g} {r['error']:.2f} of {r['spread']:.2f}" for g, r in row.items()), flush=True)
    return rows


def transition(model: Any, quick: bool) -> dict[str, Any]:
    """Scan the order of one lattice model."""
    ladder = np.geomspace(250.0, 2500.0, 14 if quick else 26)
    sweeps = {"sweeps": 60, "equilibration_sweeps": 30} if quick else {"sweeps": 300, "equilibration_sweeps": 100}
    scan: OrderingScan = scan_ordering(ALLOY, model, seed=0, temperatures_K=ladder, **sweeps)
    peaks = [(t.temperature_K.value, t.heat_capacity_k or 0.0) for t in scan.transitions]
    return {
        "atoms": scan.n_atoms,
        "peaks_K": [t for t, _ in peaks],
        "highest_K": max(peaks, key=lambda p: p[1])[0] if peaks else None,
        "temperatures_K": scan.temperatures_K,
        "order_parameter_B2": scan.order_parameter,
        "steepest_K": steepest(scan.temperatures_K, scan.order_parameter),
        "energy_eV_per_atom": scan.energy_eV_per_atom - scan.energy_eV_per_atom[-1],
        "relative_error_by_card": scan.relative_error,
    }


def of_potential(name: str, quick: bool) -> dict[str, Any]:
    """Cool the rigid crystal of a potential by exchanges of atoms; `nbmotaw-snap` in a small cell, it is slower."""
    from ase import Atoms

    from hea_sim.sampling.job import SampleJob
    from hea_sim.sampling.job_models import choose_model
    from hea_sim.sampling.job_walks import lattice_parameter_of

    cells = (4, 4, 4)
    sweeps = 4 if quick else 40 if name == "nbmotaw-mtp" else 8
    job = SampleJob(alloy=ALLOY, temperatures_K=(1000.0,), potential=name, lattice="bcc", size=cells)
    a_A = lattice_parameter_of(job, choose_model(job))
    points, rng = lattice_points("A2", cells), np.random.default_rng(1)
    counts = Composition.parse(ALLOY).counts(len(points))
    symbols = rng.permutation(np.repeat(list(counts), list(counts.values())))
    atoms = Atoms(symbols.tolist(), positions=points * a_A / 2, cell=np.array(cells) * a_A, pbc=True)
    ladder = np.array([2000.0, 1500, 1250, 1050, 900, 775, 650, 550, 450])
    walk = AtomExchange(atoms, load_potential(name), ladder[0], rng, near_share=0.5, near_A=0.93 * a_A)
    energies, order = [], []
    for temperature in ladder:
        walk.temperature_K = float(temperature)
        walk.advance(max(2, sweeps // 3))
        seen, best = [], []
        for _ in range(sweeps):
            walk.advance(1)
            seen.append(walk.energy_eV)
            occupation = np.array([ELEMENTS.index(s) for s in walk.atoms().get_chemical_symbols()], np.int8)
            best.append(np.nanmax(long_range_order(occupation, "A2", "B2", size=cells, species=ELEMENTS)))
        energies.append(np.array(seen))
        order.append(float(np.mean(best)))
    found = find_transitions(energies, ladder, len(atoms))
    mean = np.array([e.mean() for e in energies]) / len(atoms)
    return {
        "atoms": len(atoms),
        "lattice_parameter_A": a_A,
        "sweeps": sweeps,
        "temperatures_K": ladder,
        "energy_eV_per_atom": mean - mean[0],
        "order_parameter_B2": order,
        "steepest_K": steepest(ladder, np.array(order)),
        "transitions_K": [[t.temperature_K.low, t.temperature_K.high] for t in found],
    }


def steepest(temperatures_K: np.ndarray, order: np.ndarray) -> list[float]:
    """Give the two neighbouring temperatures between which order changes most per kelvin."""
    k = int(np.argmax(np.abs(np.diff(order) / np.diff(temperatures_K))))
    return sorted(temperatures_K[k : k + 2].tolist())


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    others = models(options.quick)
    found: dict[str, Any] = {"unit": "meV/atom", "quick": options.quick, "versions": versions()}
    if options.data:
        found["against_dft"] = against_dft(options.data, others)
    found["transitions"] = {}
    for name, model in others.items():
        start = time.perf_counter()
        row = transition(model, options.quick)
        found["transitions"][name] = row | {"seconds": time.perf_counter() - start}
        print(f"{name}: B2 at {row['highest_K']} K, peaks {row['peaks_K']}, steepest {row['steepest_K']}", flush=True)
    for name in POTENTIALS:
        start = time.perf_counter()
        row = of_potential(name, options.quick)
        found["transitions"][name] = row | {"seconds": time.perf_counter() - start}
        print(f"{name}, rigid: B2 order rises most at {row['steepest_K']} K, {row['transitions_K']}", flush=True)
        if options.json:
            write_json(options.json, found)
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
