"""The cells of `hea fit lattice`: read from files or drawn and labelled, looked at before the fit, scored after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from hea_sim.errors import InputError
from hea_sim.lattice.cluster_fit import aliased_functions, column_rank, design_rows, fractions_of_cell
from hea_sim.lattice.cluster_functions import ClusterSpace, cluster_space
from hea_sim.lattice.contract import LatticeModel
from hea_sim.lattice.drawing import annealed_cell, ordered_cells, random_cell
from hea_sim.lattice.fit import FitCell, arrangement_errors
from hea_sim.lattice.fit_job import FitLatticeJob
from hea_sim.lattice.label_file import label_in_parts, read_cells, save_cells
from hea_sim.lattice.parents import ParentLattice, parent_lattice, shell_distances
from hea_sim.lattice.structures import MappedCell, against_elements, map_structure


@dataclass(frozen=True, kw_only=True)
class LatticeAudit:
    """Hold what was seen in the cells; `leaked` numbers test cells whose like is among the training cells.

    `label_noise_meV` is the scatter of energies of cells that are alike to all pairs of three shells and triplets of
    two, None where no two are.
    """

    n_train: int
    n_test: int
    n_compositions: int
    n_alike: int
    label_noise_meV: float | None
    leaked: tuple[int, ...]
    findings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LatticeErrors:
    """Hold the errors of one group, meV per atom; of differences at one composition, beside how far those spread."""

    group: str
    n_cells: int
    mae_meV: float
    rmse_meV: float
    bias_meV: float
    arrangement_rmse_meV: float
    arrangement_spread_meV: float


def parent_of(job: FitLatticeJob) -> ParentLattice:
    """Give the parent lattice of a job."""
    parent = parent_lattice(job.lattice, c_over_a=job.c_over_a)
    if job.sublattices:
        if len(job.sublattices) != len(parent.holds):
            raise InputError(
                f"sublattices: {len(job.sublattices)} lists of species for {parent.name}; wanted {len(parent.holds)}"
            )
        parent = parent.with_species(*job.sublattices)
    parent.allowed(job.elements)
    return parent


def cells_of_job(job: FitLatticeJob, work: Path, say: Callable[[str], None]) -> tuple[list[FitCell], list[FitCell]]:
    """Give labelled cells to fit to and to test on."""
    return _labelled(job, work, say) if job.potential else _read(job, say)


def _read(job: FitLatticeJob, say: Callable[[str], None]) -> tuple[list[FitCell], list[FitCell]]:
    from hea_sim.potentials.fitting.structures import read_structures

    parent = parent_of(job)
    mapped: list[MappedCell] = []
    energies: list[float] = []
    counts: list[int] = []
    for files in (job.train, job.test):
        before = len(mapped)
        for file in files:
            for structure in read_structures(file):
                found = map_structure(structure.atoms, parent, job.elements, f"{file}, frame {structure.index}")
                mapped.append(replace(found, cell=replace(found.cell, group=structure.group)))
                energies.append(structure.energy_eV)
        counts.append(len(mapped) - before)
    farthest = max(m.largest_move_a for m in mapped)
    say(f"read {counts[0]} cells to fit to and {counts[1]} to test on; atoms moved by up to {farthest:.3f} a")
    cells = against_elements(mapped, energies, job.elements, job.element_energies_eV)
    return cells[: counts[0]], cells[counts[0] :]


def _labelled(job: FitLatticeJob, work: Path, say: Callable[[str], None]) -> tuple[list[FitCell], list[FitCell]]:
    from hea_sim.potentials import load_potential

    work.mkdir(parents=True, exist_ok=True)
    potential = load_potential(job.potential)
    settings, lattice = job.cells, parent_of(job).name

    def label(path: Path, cells: Sequence[FitCell]) -> list[FitCell]:
        return label_in_parts(
            path, cells, job.elements, potential, lattice=lattice, relax=settings.relax,
            fmax_eV_per_A=settings.fmax_eV_per_A, say=say,
        )  # fmt: skip

    rng = np.random.default_rng(job.seed)
    first = label(work / "random.npz", _drawn(work / "drawn-random.npz", lambda: _random_cells(job, rng)))
    second = []
    if settings.annealed:
        rng = np.random.default_rng((job.seed, 1))
        second = label(
            work / "annealed.npz", _drawn(work / "drawn-annealed.npz", lambda: _annealed_cells(job, first, rng, say))
        )
    apart = np.random.default_rng((job.seed, 2)).random(len(first) + len(second)) < settings.test_share
    train: list[FitCell] = []
    test: list[FitCell] = []
    for cell, out in zip([*first, *second], apart, strict=True):
        drawn = cell.group in ("random", "annealed")  # elements and ordered cells are few, and all needed for the fit
        (test if out and drawn else train).append(cell)
    return train, test


def _drawn(path: Path, draw: Callable[[], list[FitCell]]) -> list[FitCell]:
    """Give the cells of a file; where there is none, draw and write them: a stopped run goes on with the same."""
    if not path.exists():
        save_cells(path, draw())
    return read_cells(path)


def _fractions(job: FitLatticeJob, k: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the composition of the k-th cell: a subset of the elements, with equal parts for every other cell."""
    n = len(job.elements)
    if job.cells.compositions:
        chosen = job.cells.compositions[k % len(job.cells.compositions)]
        unknown = sorted(set(chosen) - set(job.elements))
        if unknown or not chosen or min(chosen.values()) < 0 or sum(chosen.values()) <= 0:
            raise InputError(f"cells.compositions: got {chosen}; wanted parts of {', '.join(job.elements)}")
        return np.array([chosen.get(element, 0.0) for element in job.elements])
    subsets = [members for size in range(2, n + 1) for members in combinations(range(n), size)]
    members = list(range(n)) if k % 2 else list(subsets[int(rng.integers(len(subsets)))])
    fractions = np.zeros(n)
    fractions[members] = 1.0 if (k // 2) % 2 else rng.dirichlet(np.full(len(members), 3.0))
    return fractions


def _random_cells(job: FitLatticeJob, rng: np.random.Generator) -> list[FitCell]:
    lattice, settings = parent_of(job).name, job.cells
    cells = ordered_cells(len(job.elements), lattice=lattice)
    if not settings.ordered:
        cells = [cell for cell in cells if cell.group == "element"]
    for k in range(settings.random):
        cells.append(
            random_cell(_fractions(job, k, rng), settings.size, rng, lattice=lattice, candidates=settings.candidates)
        )
    return cells


def _annealed_cells(
    job: FitLatticeJob, labelled: Sequence[FitCell], rng: np.random.Generator, say: Callable[[str], None]
) -> list[FitCell]:
    """Anneal by the named model, or by a first fit to the cells that are labelled."""
    from hea_sim.lattice.fit import fit_pair_model
    from hea_sim.lattice.pairs import load_lattice_model

    settings = job.cells
    if settings.annealer:
        model: LatticeModel = load_lattice_model(settings.annealer)
    else:
        model, _ = fit_pair_model(
            labelled, job.elements, name="first", lattice=parent_of(job).name, shells=(1, 2), folds=job.folds
        )
    if set(job.elements) - set(model.species):
        raise InputError(
            f"annealer {model.name}: it knows {', '.join(model.species)}; wanted {', '.join(job.elements)}"
        )
    say(f"annealing {settings.annealed} cells by {model.name}")
    to_theirs = [model.species.index(element) for element in job.elements]
    to_ours = {theirs: ours for ours, theirs in enumerate(to_theirs)}
    low, high = np.log(settings.temperatures_K)
    cells = []
    for k in range(settings.annealed):
        fractions = np.zeros(len(model.species))
        fractions[to_theirs] = _fractions(job, k, rng)
        cell = annealed_cell(model, fractions, settings.size, float(np.exp(rng.uniform(low, high))), rng)
        occupation = np.array([to_ours[int(s)] for s in cell.occupation], np.int8)
        cells.append(replace(cell, occupation=occupation))
    return cells


def audit_cells(train: Sequence[FitCell], test: Sequence[FitCell], job: FitLatticeJob) -> LatticeAudit:
    """Look for cells that are alike, test cells among the training cells, and what the cells cannot decide."""
    parent = parent_of(job)
    near = shell_distances(parent, 3) + 1e-4
    rows = design_rows([*train, *test], cluster_space(parent, job.elements, {2: near[2], 3: near[1]})).round(9)
    _, alike = np.unique(rows, axis=0, return_inverse=True)
    alike, energy = alike.reshape(-1), np.array([cell.energy_eV for cell in (*train, *test)])
    own, others = alike[: len(train)], alike[len(train) :]
    scatter = [energy[alike == k] for k in np.unique(alike) if (alike == k).sum() > 1]
    freedom = sum(len(values) - 1 for values in scatter)
    noise = 1e3 * float(np.sqrt(sum(((v - v.mean()) ** 2).sum() for v in scatter) / freedom)) if freedom else None
    leaked = tuple(int(k) for k in np.flatnonzero(np.isin(others, own)))
    n_alike = len(own) - len(np.unique(own))
    findings = []
    if n_alike:
        text = f"{n_alike} training cells repeat others in all pairs of three shells and triplets of two"
        findings.append(text + (f"; their energies scatter by {noise:.2f} meV/atom" if noise is not None else ""))
    if leaked:
        findings.append(f"{len(leaked)} test cells repeat training cells; {'dropped' if job.drop_leaked else 'kept'}")
    if job.family == "clusters":
        findings += _undecided(train, cluster_space(parent, job.elements, job.clusters.cutoffs_a))
    fractions = np.array([fractions_of_cell(cell, len(job.elements)) for cell in train])
    return LatticeAudit(
        n_train=len(train),
        n_test=len(test),
        n_compositions=len(np.unique(fractions.round(6), axis=0)),
        n_alike=n_alike,
        label_noise_meV=noise,
        leaked=leaked,
        findings=tuple(findings),
    )


def _undecided(cells: Sequence[FitCell], space: ClusterSpace) -> list[str]:
    matrix = design_rows(cells, space)
    rank, _ = column_rank(matrix, np.ones(len(cells)))
    aliased = aliased_functions(matrix, space)
    found = [f"the cells decide {rank} of {len(space)} functions"] if rank < len(space) else []
    return found + [f"not told apart: {', '.join(group)}" for group in aliased]


def error_rows(cells: Sequence[FitCell], predicted: np.ndarray, n_species: int) -> list[LatticeErrors]:
    """Count the errors of each group, and of all together in a first row named "all"."""
    true = np.array([cell.energy_eV for cell in cells])
    fractions = np.array([fractions_of_cell(cell, n_species) for cell in cells])
    groups = np.array([cell.group for cell in cells])
    rows = []
    for group in ("all", *dict.fromkeys(groups.tolist())):
        here = np.ones(len(cells), bool) if group == "all" else groups == group
        error = 1e3 * (predicted[here] - true[here])
        arrangement, spread = arrangement_errors(true[here], predicted[here], fractions[here])
        rows.append(
            LatticeErrors(
                group=str(group),
                n_cells=int(here.sum()),
                mae_meV=float(np.abs(error).mean()),
                rmse_meV=float(np.sqrt((error**2).mean())),
                bias_meV=float(error.mean()),
                arrangement_rmse_meV=1e3 * arrangement,
                arrangement_spread_meV=1e3 * spread,
            )
        )
    return rows
