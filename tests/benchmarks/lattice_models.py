"""Measure the shipped lattice models: fit errors, validation against DFT, teacher errors, Monte Carlo speed.

    python tests/benchmarks/lattice_models.py --data FOLDER_OF_NBMOTAW [--quick] [--json FILE]

Without --data, what the cards hold is printed instead of being measured again. `--quick` fits only the shipped set of
shells and runs a tenth of the trials. A teacher's errors come from the card: only its recipes need the teacher.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.documents import versions, write_json
from hea_sim.lattice.fit import arrangement_errors
from hea_sim.lattice.pairs import known_lattice_models, load_lattice_model, model_for
from hea_sim.lattice.volume import element_offsets, predict_lattice_parameter
from hea_sim.registry.cards import MODELS, load_card
from hea_sim.sampling import anneal
from hea_sim.sampling.lattice_walks import CanonicalWalk


def from_cards() -> dict[str, dict[str, str]]:
    """Read every score of the shipped cards."""
    return {
        name: {key: f"{s.value:g} {s.unit} (n = {s.n}; {s.how})" for key, s in load_card(name).scores.items()}
        for name in known_lattice_models()
    }


def against_dft(data: Path, quick: bool) -> dict[str, object]:
    """Fit the DFT set again and score arrangement differences in each binary, out of fold."""
    from hea_sim.lattice.recipes import dft_frames, nbmotaw_pairs, scores, shell_range

    train, test = (dft_frames.read_frames(data, name) for name in ("train", "test"))
    cells, count = dft_frames.relaxed_cells(train)
    energy = np.array([c.energy_eV for c in cells])
    fractions = np.array([np.bincount(c.occupation, minlength=4) / len(c.occupation) for c in cells])
    groups = np.array([c.group for c in cells])
    found: dict[str, object] = {"frames": count}
    models = {}
    for shells in (nbmotaw_pairs.SHELLS,) if quick else shell_range.SETS:
        model, report, _ = nbmotaw_pairs.fit(train, shells)
        models[shells] = model
        rows = {
            "energy_cv_rmse_meV": 1e3 * report.energy_cv_rmse_eV,
            "arrangement_cv_rmse_meV": 1e3 * report.arrangement_cv_rmse_eV,
            "arrangement_spread_meV": 1e3 * report.arrangement_spread_eV,
            "volume_cv_rmse_A3": report.volume_cv_rmse_A3,
            "rank": f"{report.rank} of {report.n_parameters}, condition {report.condition:.1f}",
            "arrangement_rank": f"{report.arrangement_rank} of {report.n_pair_parameters}",
        }
        for group in sorted(g for g in set(groups) if g.endswith("_SS")):
            here = groups == group
            error, spread = arrangement_errors(energy[here], report.energy_cv_eV[here], fractions[here])
            rows[group] = f"arrangement error {1e3 * error:.2f} of spread {1e3 * spread:.2f} meV/atom"
        for key, item in scores.quaternary_scores(model, test).items():
            rows[f"{key}_meV"] = item.value
        found[f"shells {shells}"] = rows
    if not quick:
        labels = shell_range.load(MODELS / nbmotaw_pairs.NAME)
        outside = shell_range.range_scores(models, labels)
        found["outside the training cells"] = {k: f"{s.value:g} {s.unit} ({s.how})" for k, s in outside.items()}
    return found


def predictions() -> dict[str, str]:
    """Predict lattice parameters of random alloys at 298 K, and print the offsets behind them."""
    rows = {}
    for name in known_lattice_models():
        offsets = element_offsets(load_lattice_model(name))
        rows[f"offsets of {name}"] = ", ".join(f"{e} {r:.4f}" for e, (r, _) in offsets.items())
    for formula in ("NbMoTaW", "NbMoTaTiV", "NbTaTi", "NbMo", "MoW"):
        alloy = Composition.parse(formula)
        model = model_for(alloy)
        assert model is not None
        rows[formula] = f"{predict_lattice_parameter(model, alloy):.4f} ({model.name})"
    return rows


def order() -> dict[str, str]:
    """Anneal both equiatomic alloys and print the first-shell order."""
    rows = {}
    for formula in ("NbMoTaW", "NbMoTaTiV"):
        for last in (2000, 1000, 300):
            ladder = [t for t in (3000, 2000, 1500, 1200, 1000, 800, 600, 500, 400, 350, 300) if t >= last]
            run = anneal(formula, size=(10, 10, 10), temperatures_K=ladder, seed=0, equilibration_sweeps=200)
            i, j = np.triu_indices(len(run.species), 1)
            pairs = " ".join(
                f"{run.species[a]}{run.species[b]} {run.warren_cowley[0, a, b]:+.2f}" for a, b in zip(i, j, strict=True)
            )
            rows[f"{formula} {last} K"] = f"{pairs}; a {run.lattice_A:.4f}; acceptance {run.acceptance:.2f}"
    return rows


def speed(quick: bool) -> dict[str, str]:
    """Time proposals and trials (proposals between unlike atoms), single thread, compile time taken off."""
    rows = {}
    for cells in (10, 40) if not quick else (10,):
        model = load_lattice_model("nbmotaw-pairs")
        sites = 2 * cells**3
        occupation = np.random.default_rng(0).permutation(np.arange(sites) % 4)
        walk = CanonicalWalk(model, (cells,) * 3, occupation, 1500.0, np.random.default_rng(0))
        walk.advance(1)
        walk.trials, sweeps = 0, max(1, (200_000 if quick else 2_000_000) // sites)
        start = time.perf_counter()
        walk.advance(sweeps)
        seconds = time.perf_counter() - start
        rows[f"{sites} sites"] = f"{walk.trials / seconds:.3g} trials/s, {sweeps * sites / seconds:.3g} proposals/s"
    return rows


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, object] = {"cards": from_cards(), "predictions": predictions(), "speed": speed(options.quick)}
    if not options.quick:
        found["order"] = order()
    if options.data:
        found["dft"] = against_dft(options.data, options.quick)
    found["versions"] = versions()
    print(json.dumps(found, indent=1, ensure_ascii=False, default=str))
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
