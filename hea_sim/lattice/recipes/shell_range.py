"""Decide how many shells a Nb-Mo-Ta-W model may have, by cells in which the shells are distinct.

The DFT frames are 2x2x2 cells, where 8 p1 + 3 p2 + 3 p3 + p5 = 16 c_i c_j for every pair of species: a fifth shell
there is a term of the composition in disguise, and its cross-validated gain says nothing of larger cells. So models
fitted with several sets of shells are held against 4x4x4 cells labelled by 7net-0 (unrelaxed, at one volume a
composition): random, annealed under random pair energies, and annealed under the models themselves. Because 7net-0 is
not the DFT that made the models, the same sets are also fitted to 7net-0 labels of the 2x2x2 arrangements of the DFT
set: then model and check share one teacher, and only the range is judged.

Run with the extra `mlip` (some five minutes on one core):

    python -m hea_sim.lattice.recipes.shell_range --data FOLDER_OF_NBMOTAW --out FOLDER

It writes `shells-7net-0.npz`, which the recipe of `nbmotaw-pairs` reads; the shipped one stands beside that model.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.errors import MissingFileError
from hea_sim.lattice.fit import FitCell, fit_pair_model
from hea_sim.lattice.pairs import PairModel
from hea_sim.lattice.recipes.designs import SIZE, CellDesign, anneal_in_place, arrangement
from hea_sim.lattice.recipes.dft_frames import ELEMENTS, read_frames, relaxed_cells
from hea_sim.lattice.recipes.teacher import cell_atoms, load_teacher
from hea_sim.lattice.shells import lattice_points
from hea_sim.registry.cards import Score
from hea_sim.units import BOLTZMANN_EV_PER_K

FILE = "shells-7net-0.npz"
SEED = 11
#: Sets of shells that are compared; the annealed cells come from models with the last two.
SETS: tuple[tuple[int, ...], ...] = ((1,), (1, 2), (1, 2, 3), (1, 2, 3, 5))
#: Volumes (A^3/atom, PBE) whose mean over a cell's atoms is the cell's volume.
VOLUME_A3 = np.array([18.3, 15.9, 18.3, 16.2])
#: Arrangements of the DFT set labelled by the teacher, for each binary.
PER_BINARY = 40
SWEEPS = 150


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Hold how well differences between arrangements agree: n cells, means of each composition taken out."""

    n: int
    correlation: float
    rmse_eV: float
    scale: float
    scaled_rmse_eV: float
    spread_eV: float


def fit_sets(cells: Sequence[FitCell]) -> dict[tuple[int, ...], PairModel]:
    """Fit the same cells with every set of shells."""
    return {s: fit_pair_model(cells, ELEMENTS, name="shells", shells=s, relaxed=True)[0] for s in SETS}


def design(models: Sequence[PairModel], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Design 4x4x4 cells: occupations (n, 128) and groups (n,), 0 for equiatomic Nb-Mo-Ta-W, then the binaries."""
    occupations, groups = [], []
    equal = np.full(len(ELEMENTS), 1 / len(ELEMENTS))
    found = [arrangement(equal, rng, ordered=k % 3 > 0) for k in range(24)]
    found += [_annealed(equal, m, t, rng) for m in models for t in (2000, 1000, 500) for _ in range(2)]
    occupations += found
    groups += [0] * len(found)
    for number, pair in enumerate(combinations(range(len(ELEMENTS)), 2), start=1):
        half = np.zeros(len(ELEMENTS))
        half[list(pair)] = 0.5
        found = [arrangement(half, rng, ordered=k > 1) for k in range(4)]
        found += [_annealed(half, m, 600, rng) for m in models]
        occupations += found
        groups += [number] * len(found)
    return np.array(occupations), np.array(groups)


def _annealed(fractions: np.ndarray, model: PairModel, last_K: float, rng: np.random.Generator) -> np.ndarray:
    """Anneal a random cell under a model from 4000 K to the last temperature, and hold it there for half the time."""
    occupation = arrangement(fractions, rng, ordered=False)
    n = SWEEPS * len(occupation) // 2
    kelvin = np.concatenate([np.geomspace(4000, last_K, n), np.full(n, last_K)])
    anneal_in_place(occupation, model.pair_energy_eV, BOLTZMANN_EV_PER_K * kelvin, rng)
    return occupation


def small_cells(cells: Sequence[FitCell], rng: np.random.Generator) -> np.ndarray:
    """Choose 2x2x2 arrangements (n, 16) of every binary in the DFT set."""
    chosen = []
    for group in sorted({c.group for c in cells if c.size == (2, 2, 2)}):
        here = [c.occupation for c in cells if c.size == (2, 2, 2) and c.group == group]
        chosen += [here[k] for k in rng.permutation(len(here))[:PER_BINARY]]
    return np.array(chosen)


def label(occupations: np.ndarray, calculator: Any) -> np.ndarray:
    """Compute the teacher's energy per atom of unrelaxed bcc cells."""
    energies = []
    for occupation in occupations:
        atoms = _atoms(occupation)
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy() / len(atoms))
    return np.array(energies)


def _atoms(occupation: np.ndarray) -> Any:
    from ase import Atoms

    volume = float(VOLUME_A3[occupation].mean())
    if len(occupation) == len(lattice_points("A2", SIZE)):
        return cell_atoms(CellDesign(occupation, SIZE[0], ""), ELEMENTS, volume)
    n = round((len(occupation) / 2) ** (1 / 3))
    a = (2 * volume) ** (1 / 3)
    symbols = [ELEMENTS[s] for s in occupation]
    return Atoms(symbols, positions=lattice_points("A2", (n, n, n)) * a / 2, cell=[n * a] * 3, pbc=True)


def load(folder: Path) -> dict[str, np.ndarray]:
    """Read what this recipe wrote."""
    path = folder / FILE
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; make it: python -m hea_sim.lattice.recipes.shell_range --help")
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def teacher_fits(labels: Mapping[str, np.ndarray]) -> dict[tuple[int, ...], PairModel]:
    """Fit every set of shells to the teacher's labels of the small cells."""
    elements = labels["element_eV"]
    cells = [
        FitCell(occupation=o, size=(2, 2, 2), energy_eV=e - elements[o].mean(), volume_A3=VOLUME_A3[o].mean())
        for o, e in zip(labels["small_occupation"], labels["small_eV"], strict=True)
    ]
    for k in range(len(ELEMENTS)):
        pure = np.full(16, k, dtype=np.int8)
        cells.append(FitCell(occupation=pure, size=(2, 2, 2), energy_eV=0.0, volume_A3=VOLUME_A3[k]))
    return fit_sets(cells)


def agreement(model: PairModel, labels: Mapping[str, np.ndarray], *, binaries: bool) -> Agreement:
    """Compare a model with the teacher over the 4x4x4 cells, quaternary or binary."""
    chosen = (labels["group"] > 0) == binaries
    groups, true = labels["group"][chosen], labels["energy_eV"][chosen]
    own = np.array([model.energy_eV_per_atom(o, SIZE) for o in labels["occupation"][chosen]])
    for number in np.unique(groups):
        here = groups == number
        own[here] -= own[here].mean()
        true[here] -= true[here].mean()
    freedom, scale = len(own) - len(np.unique(groups)), float(own @ true / (own @ own))

    def spread(x: np.ndarray) -> float:
        return float(np.sqrt((x**2).sum() / freedom))

    return Agreement(
        n=len(own),
        correlation=float(own @ true / np.sqrt((own @ own) * (true @ true))),
        rmse_eV=spread(own - true),
        scale=scale,
        scaled_rmse_eV=spread(scale * own - true),
        spread_eV=spread(true),
    )


def correlation_gain(
    model: PairModel, other: PairModel, labels: Mapping[str, np.ndarray], *, binaries: bool
) -> tuple[float, float]:
    """Compute how much better one model correlates than another, with its std by resampling cells within groups."""
    chosen = (labels["group"] > 0) == binaries
    groups, true = labels["group"][chosen], labels["energy_eV"][chosen]
    own = np.array([[m.energy_eV_per_atom(o, SIZE) for o in labels["occupation"][chosen]] for m in (model, other)])
    members = [np.flatnonzero(groups == number) for number in np.unique(groups)]

    def gain(drawn: Sequence[np.ndarray]) -> float:
        y = np.concatenate([true[k] - true[k].mean() for k in drawn])
        x = np.hstack([own[:, k] - own[:, k].mean(axis=1, keepdims=True) for k in drawn])
        return float(np.subtract(*(x @ y / np.sqrt((x**2).sum(axis=1) * (y @ y)))))

    rng = np.random.default_rng(SEED)
    resampled = [gain([rng.choice(k, len(k)) for k in members]) for _ in range(500)]
    return gain(members), float(np.std(resampled, ddof=1))


def range_scores(dft_models: Mapping[tuple[int, ...], PairModel], labels: Mapping[str, np.ndarray]) -> dict[str, Score]:
    """Score every set of shells by the 4x4x4 cells: fitted to DFT, and fitted to the teacher's own 2x2x2 cells."""
    found = {}
    for source, models in (("dft", dft_models), ("teacher", teacher_fits(labels))):
        for shells, model in models.items():
            name = "".join(map(str, shells))
            for binaries in (False, True):
                a, what = agreement(model, labels, binaries=binaries), "binary" if binaries else "quaternary"
                how = (
                    f"shells {', '.join(map(str, shells))} fitted to {'DFT' if source == 'dft' else '7net-0'} labels of"
                    f" 2x2x2 cells, against 7net-0 (unrelaxed) over {what} 4x4x4 cells, means of each composition taken"
                    f" out: 7net-0 spreads by {1e3 * a.spread_eV:.1f}, best scale {a.scale:.2f}"
                )
                key = f"outside_{source}_{what}_shells_{name}"
                found[f"{key}_correlation"] = Score(value=round(a.correlation, 3), unit="1", how=how, n=a.n)
                rmse = float(f"{1e3 * a.scaled_rmse_eV:.3g}")
                found[f"{key}_scaled_rmse"] = Score(value=rmse, unit="meV/atom", how=how, n=a.n)
        for binaries in (False, True):
            what, n = "binary" if binaries else "quaternary", int(((labels["group"] > 0) == binaries).sum())
            gain, std = correlation_gain(models[SETS[-1]], models[SETS[-2]], labels, binaries=binaries)
            how = f"correlation with shells 1, 2, 3, 5 minus that with 1, 2, 3; std by resampling cells {std:.3f}"
            found[f"outside_{source}_{what}_gain_of_shell_5"] = Score(value=round(gain, 3), unit="1", how=how, n=n)
    return found


def main() -> None:
    """Run the recipe from the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.extxyz.xz")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rng = np.random.default_rng(SEED)
    cells, _ = relaxed_cells(read_frames(options.data, "train"))
    models = fit_sets(cells)
    occupations, groups = design([models[s] for s in SETS[-2:]], rng)
    small = small_cells(cells, rng)
    print(f"{len(occupations)} cells of 128 atoms and {len(small)} of 16 designed", flush=True)
    calculator = load_teacher("7net-0").calculator()
    arrays = {
        "occupation": occupations.astype(np.int8),
        "group": groups.astype(np.int8),
        "energy_eV": label(occupations, calculator),
        "small_occupation": small.astype(np.int8),
        "small_eV": label(small, calculator),
        "element_eV": label(np.array([[k] * 16 for k in range(len(ELEMENTS))]), calculator),
    }
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    write_atomic(options.out / FILE, stream.getvalue())
    for name, item in range_scores(models, arrays).items():
        print(f"{name:48s} {item.value:8.3g} {item.unit}")


if __name__ == "__main__":
    main()
