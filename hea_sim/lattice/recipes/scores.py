"""Scores for the model cards: fit, teacher against DFT, teacher against teacher, model against held-out frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import sha256_of
from hea_sim.errors import MissingFileError
from hea_sim.lattice.fit import FitReport, arrangement_errors
from hea_sim.lattice.pairs import PairModel
from hea_sim.lattice.recipes.dft_frames import BULK_ENERGY_EV, ELEMENTS, match_to_bcc
from hea_sim.registry.cards import DataSource, Score

CHECKS = "checks-7net-0.npz"


def score(value: float, unit: str, how: str, n: int | None = None) -> Score:
    """Make a score with a value rounded to four figures."""
    return Score(value=float(f"{value:.4g}"), unit=unit, how=how, n=n)


def fit_scores(report: FitReport, folds: int) -> dict[str, Score]:
    """Score a fit by its cross-validation."""
    cv = f"{folds}-fold cross-validation over cells, cells of equal pair counts kept together"
    return {
        "energy_cv_rmse": score(1e3 * report.energy_cv_rmse_eV, "meV/atom", cv, report.n_cells),
        "arrangement_cv_rmse": score(
            1e3 * report.arrangement_cv_rmse_eV, "meV/atom",
            "differences between arrangements at one composition, " + cv, report.n_cells,
        ),
        "arrangement_spread": score(
            1e3 * report.arrangement_spread_eV, "meV/atom",
            "spread of the labels between arrangements at one composition, to compare the error with", report.n_cells,
        ),
        "volume_cv_rmse": score(report.volume_cv_rmse_A3, "A^3/atom", cv, report.n_cells),
        "rank": score(report.rank, "1", f"of {report.n_parameters} columns; condition {report.condition:.3g}"),
        "arrangement_rank": score(
            report.arrangement_rank, "1",
            f"of {report.n_pair_parameters} pair energies, that arrangements decide beside a free c_i c_j",
        ),
    }  # fmt: skip


def load_checks(folder: Path) -> dict[str, np.ndarray]:
    """Read what `hea_sim.lattice.recipes.checks` wrote."""
    path = folder / CHECKS
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; make it: python -m hea_sim.lattice.recipes.checks --help")
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def teacher_scores(checks: Mapping[str, np.ndarray]) -> dict[str, Score]:
    """Score the teacher against DFT: differences between arrangements at one composition, in each binary."""
    reference = np.array([BULK_ENERGY_EV[e] for e in ELEMENTS])
    fractions, dft = checks["dft_fractions"], checks["dft_eV"]
    teacher = checks["teacher_eV"] - fractions @ reference
    error, spread = arrangement_errors(dft, teacher, fractions)
    how = "7net-0 at relaxed DFT frames of Nb-Mo-Ta-W binaries: differences between arrangements at one composition"
    found = {
        "teacher_arrangement_rmse": score(1e3 * error, "meV/atom", how, len(dft)),
        "teacher_arrangement_dft_spread": score(1e3 * spread, "meV/atom", "spread of DFT in those frames", len(dft)),
    }
    for number in np.unique(checks["dft_group"]):
        here = checks["dft_group"] == number
        pair = [ELEMENTS[k] for k in np.flatnonzero(fractions[here].sum(axis=0))]
        error, spread = arrangement_errors(dft[here], teacher[here], fractions[here])
        text = f"the same in {'-'.join(pair)} alone, where DFT spreads by {1e3 * spread:.2f} meV/atom"
        found[f"teacher_arrangement_rmse_{''.join(pair)}"] = score(1e3 * error, "meV/atom", text, int(here.sum()))
    return found


def teachers_apart(
    energy_a: np.ndarray, energy_b: np.ndarray, volume_a: np.ndarray, volume_b: np.ndarray
) -> dict[str, Score]:
    """Score the spread of two teachers over arrangements of the equiatomic alloy."""
    apart, n = energy_b - energy_a, len(energy_a)
    how = "CHGNet 0.3.0 minus 7net-0 over equiatomic arrangements, each relative to its own elements"
    return {
        "teachers_mean_difference": score(1e3 * apart.mean(), "meV/atom", how + ": mean", n),
        "teachers_arrangement_std": score(1e3 * apart.std(ddof=1), "meV/atom", how + ": std between arrangements", n),
        "teachers_arrangement_correlation": score(
            float(np.corrcoef(energy_a, energy_b)[0, 1]), "1", "correlation between arrangements", n
        ),
        "teachers_volume_difference": score(float((volume_b - volume_a).mean()), "A^3/atom", how + ": mean", n),
    }


def static_quaternary_energy(frames: Sequence[Any]) -> tuple[float, np.ndarray, int]:
    """Estimate the static energy of the quaternary DFT arrangement from its coldest thermal snapshots.

    The 16 frames are snapshots of one arrangement at three temperatures. Around the mean positions of the coldest
    ones the potential energy is harmonic: U = -1/2 sum F.u, with n/(n-1) for the mean taken from the same frames.
    Returns the energy relative to the elements (eV/atom), the occupation, and the number of frames.
    """
    matched = [m for m in (match_to_bcc(a) for a in frames if len(set(a.symbols)) == 4) if m is not None]
    cold = [m for m in matched if m.displacement_rms_A < 0.13]
    cell = np.asarray(cold[0].atoms.cell)
    scaled = np.array([m.atoms.get_scaled_positions() for m in cold])
    scaled = scaled[0] + (scaled - scaled[0] - np.round(scaled - scaled[0]))
    away = (scaled - scaled.mean(axis=0)) @ cell
    forces = np.array([m.atoms.get_forces() for m in cold])
    harmonic = -0.5 * (forces * away).sum(axis=(1, 2)) / len(cold[0].atoms) * len(cold) / (len(cold) - 1)
    reference = np.mean([BULK_ENERGY_EV[s] for s in cold[0].atoms.symbols])
    energy = np.array([m.atoms.get_potential_energy() / len(m.atoms) for m in cold]) - reference
    return float((energy - harmonic).mean()), cold[0].occupation, len(cold)


def quaternary_scores(model: PairModel, frames: Sequence[Any]) -> dict[str, Score]:
    """Score a Nb-Mo-Ta-W model by the quaternary DFT arrangement, which it has not seen."""
    static, occupation, n = static_quaternary_energy(frames)
    predicted = model.energy_eV_per_atom(occupation, (4, 4, 4))
    how = (
        f"model minus DFT; DFT from the {n} coldest of the 16 quaternary test frames, harmonic energy taken off. All 16"
        " are snapshots of one arrangement: they say nothing of differences between arrangements"
    )
    return {
        "quaternary_energy_error": score(1e3 * (predicted - static), "meV/atom", how, n),
        "quaternary_energy_dft": score(1e3 * static, "meV/atom", "that DFT energy relative to the elements", n),
    }


def dft_source(data: Path, used: str) -> DataSource:
    """Describe the Nb-Mo-Ta-W DFT set."""
    return DataSource(
        name="Nb-Mo-Ta-W SNAP set",
        source="github.com/materialsvirtuallab/snap @ 5fc2251",
        licence="BSD-3-Clause",
        citation="X.-G. Li et al., npj Comput. Mater. 6, 70 (2020), doi:10.1038/s41524-020-0339-0",
        used=used,
        sha256={f"{name}.extxyz.xz": sha256_of(data / f"{name}.extxyz.xz") for name in ("train", "test")},
    )


#: Teachers: wheel, licence as the wheel states it and where, citation. Their weights ship in the same wheel.
TEACHERS = {
    "7net-0": (
        "sevenn 0.13.0", "MIT (field License and classifier in the wheel's METADATA; licenses/LICENSE beside it)",
        "Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024), doi:10.1021/acs.jctc.4c00190",
    ),
    "CHGNet 0.3.0": (
        "chgnet 0.4.2",
        "Modified BSD (field License in the wheel's METADATA; the text in its licenses/LICENSE is BSD-3-Clause-LBNL)",
        "B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023), doi:10.1038/s42256-023-00716-3",
    ),
}  # fmt: skip


def teacher_source(name: str, used: str) -> DataSource:
    """Describe a teacher whose weights ship in its wheel."""
    wheel, licence, citation = TEACHERS[name]
    return DataSource(name=name, source=f"Python wheel {wheel}", licence=licence, citation=citation, used=used)
