"""The three families of lattice models behind one door: fit, what it said of itself, and the arrays of its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hea_sim.lattice import clusters, low_rank, pairs
from hea_sim.lattice.cluster_fit import fit_cluster_model
from hea_sim.lattice.cluster_functions import cluster_space
from hea_sim.lattice.contract import LatticeModel
from hea_sim.lattice.fit import FitCell, fit_pair_model
from hea_sim.lattice.fit_job import FitLatticeJob
from hea_sim.lattice.low_rank_fit import fit_low_rank_model
from hea_sim.lattice.parents import ParentLattice


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedFamily:
    """Hold a fitted model, its predictions out of fold, the kind and arrays of its file, and a summary of the fit."""

    model: LatticeModel
    energy_cv_eV: np.ndarray
    kind: str
    arrays: Mapping[str, np.ndarray]
    summary: Mapping[str, Any]


def fit_family(job: FitLatticeJob, cells: Sequence[FitCell], parent: ParentLattice) -> FittedFamily:
    """Fit the family that a job names."""
    return {"pairs": _pairs, "clusters": _clusters, "low-rank": _low_rank}[job.family](job, cells, parent)


def _pairs(job: FitLatticeJob, cells: Sequence[FitCell], parent: ParentLattice) -> FittedFamily:
    model, report = fit_pair_model(
        cells,
        job.elements,
        name=job.name,
        lattice=parent.name,
        shells=job.pairs.shells,
        folds=job.folds,
        seed=job.seed,
        relaxed=not job.potential or job.cells.relax == "atoms",
    )
    names = ("n_cells", "n_parameters", "rank", "condition", "arrangement_rank", "n_pair_parameters", "ridge_energy")
    return FittedFamily(
        model=model,
        energy_cv_eV=report.energy_cv_eV,
        kind=pairs.KIND,
        arrays=pairs.model_arrays(model),
        summary={name: getattr(report, name) for name in names},
    )


def _clusters(job: FitLatticeJob, cells: Sequence[FitCell], parent: ParentLattice) -> FittedFamily:
    space = cluster_space(parent, job.elements, job.clusters.cutoffs_a, kind=job.clusters.functions)
    model, report = fit_cluster_model(
        cells, space, name=job.name, method=job.clusters.method, folds=job.folds, seed=job.seed
    )
    names = (
        "n_cells", "n_functions", "n_selected", "n_effective", "rank", "condition", "aliased", "noise_eV", "z_rms"
    )  # fmt: skip
    return FittedFamily(
        model=model,
        energy_cv_eV=report.energy_cv_eV,
        kind=clusters.KIND,
        arrays=clusters.model_arrays(model),
        summary={name: getattr(report, name) for name in names},
    )


def _low_rank(job: FitLatticeJob, cells: Sequence[FitCell], parent: ParentLattice) -> FittedFamily:
    model, report = fit_low_rank_model(
        cells,
        job.elements,
        parent,
        name=job.name,
        n_shells=job.low_rank.n_shells,
        ranks=job.low_rank.ranks,
        penalties=job.low_rank.penalties,
        starts=job.low_rank.starts,
        sweeps=job.low_rank.sweeps,
        folds=job.folds,
        seed=job.seed,
    )
    names = ("n_cells", "n_parameters", "n_neighbourhoods", "rank", "penalty", "tried", "residual_eV")
    return FittedFamily(
        model=model,
        energy_cv_eV=report.energy_cv_eV,
        kind=low_rank.KIND,
        arrays=low_rank.model_arrays(model),
        summary={name: getattr(report, name) for name in names},
    )
