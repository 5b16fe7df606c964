"""The steps between structures and a fitted model: splits, radial functions by gradient, search, linear solve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.potentials.contract import LinearModel
from hea_sim.potentials.fitting.families import new_model, repulsion_of
from hea_sim.potentials.fitting.job import FitPotentialJob
from hea_sim.potentials.fitting.linear import Likeness, LinearFit, errors_of, fit_linear, fit_reweighted
from hea_sim.potentials.fitting.rows import Rows, build_rows
from hea_sim.potentials.fitting.selection import Choice, Range, Search, search_settings
from hea_sim.potentials.fitting.sparse import lasso_path
from hea_sim.potentials.fitting.structures import TrainingStructure
from hea_sim.potentials.fitting.weights import Weights

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """Hold the model before and after the linear solve, its rows, and how the solve is done again on fewer rows."""

    job: FitPotentialJob
    model: LinearModel
    rows: Rows
    fit: LinearFit
    again: Callable[[Rows], LinearFit]
    search: Search | None = None


def split_shards(structures: Sequence[TrainingStructure], shards: int, seed: int) -> list[int]:
    """Give each structure a shard, so that every group is spread evenly over all of them."""
    rng = np.random.default_rng(seed)
    groups: dict[str, list[int]] = {}
    for k, structure in enumerate(structures):
        groups.setdefault(structure.group, []).append(k)
    found = np.zeros(len(structures), int)
    offset = 0
    for members in groups.values():
        found[rng.permutation(members)] = (offset + np.arange(len(members))) % shards
        offset += len(members)  # small groups do not all begin in the first shard
    return found.tolist()


def fit_model(
    job: FitPotentialJob, structures: Sequence[TrainingStructure], elements: Sequence[str], folder: Path, say: Say
) -> Fitted:
    """Fit the model of a job; what takes long is kept in the folder while it runs."""
    job.tolerances().known_in(s.group for s in structures)
    shards = split_shards(structures, job.shards, job.seed)
    search = None
    if job.search is not None:
        search = _search(job, structures, shards, elements, folder, say)
        say(f"search: best of {len(search.trials)} trials {dict(search.best.settings)}, score {search.best.score:.4f}")
        job = _with(job, search.best.settings)
    settings = {} if search is None else search.best.settings
    model, rows = _rows(job, structures, shards, elements, _rows_file(folder, job, settings), say)
    again = _solver(job, elements, search)
    return Fitted(job=job, model=model, rows=rows, fit=again(rows), again=again, search=search)


def _rows(
    job: FitPotentialJob, structures: Sequence[TrainingStructure], shards: Sequence[int], elements: Sequence[str],
    checkpoint: Path, say: Say,
) -> tuple[LinearModel, Rows]:  # fmt: skip
    model = new_model(job, elements)
    if job.family == "mtp" and job.mtp.epochs + job.mtp.lbfgs_rounds:
        model = _follow_gradient(job, model, structures, shards, checkpoint.with_suffix(".gradient.pt"), say)
    count, told = len(structures), [0]

    def progress(done: int, of: int) -> None:
        if done == of or done - told[0] >= max(count // 10, 1):
            told[0] = done
            say(f"design rows {done}/{of}")

    fixed = repulsion_of(job.repulsion_A, elements)
    return model, build_rows(model, structures, shards=shards, fixed=fixed, checkpoint=checkpoint, progress=progress)


def _follow_gradient(
    job: FitPotentialJob, model: Any, structures: Sequence[TrainingStructure], shards: Sequence[int], checkpoint: Path,
    say: Say,
) -> Any:  # fmt: skip
    """Fit the radial functions of an MTP by gradient; the last shard is held out to choose the best step by."""
    import torch

    from hea_sim.potentials.fitting.gradient import GradientSettings, GradientStep, fit_gradient

    settings = job.mtp
    held_out = [s for s, k in zip(structures, shards, strict=True) if k == job.shards - 1]
    chosen = [s for s, k in zip(structures, shards, strict=True) if k != job.shards - 1]
    if settings.fit_structures is not None and settings.fit_structures < len(chosen):
        order = np.argsort(split_shards(chosen, len(chosen), job.seed), kind="stable")
        chosen = [chosen[k] for k in np.sort(order[: settings.fit_structures])]
    module, batch_of = _trainable(model, settings.device)
    weights, fixed = job.gradient_tolerances(), repulsion_of(job.repulsion_A, model.elements)
    labelled = [_without_fixed(s, fixed) for s in chosen], [_without_fixed(s, fixed) for s in held_out]

    def solve(module: Any) -> None:
        present = module.to_model()
        solved = fit_linear(build_rows(present, labelled[0]), weights, job.penalty).coefficients
        n = len(present.elements)
        with torch.no_grad():
            module.species_eV.copy_(torch.as_tensor(solved[:n]))
            module.linear_eV.copy_(torch.as_tensor(solved[n:]))

    def tell(step: GradientStep) -> None:
        if step.number % 10 == 0 or step.phase != "adam":
            held = "" if step.validation is None else f", held out {step.validation:.4g}"
            say(f"{step.phase} {step.number}: loss {step.loss:.4g}{held}")

    fit_gradient(
        module,
        batch_of,
        model.cutoff_A,
        labelled[0],
        weights,
        GradientSettings(
            epochs=settings.epochs,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            lbfgs_rounds=settings.lbfgs_rounds,
            solve_every=settings.solve_every,
            penalty=settings.alike,
            seed=job.seed,
        ),
        validation=labelled[1],
        solve=solve,
        checkpoint=checkpoint,
        progress=tell,
    )
    return module.to_model()


def _trainable(model: Any, device: str) -> tuple[Any, Callable[[Any], Any]]:
    """Give the module that holds an MTP's coefficients, and what makes its batches: compiled kernels on a CPU."""
    if device == "cpu":
        from hea_sim.potentials.mtp_training import KernelMtp

        return KernelMtp(model), lambda environment: environment
    from hea_sim.potentials.mtp_torch import MtpModule, padded_batch

    return MtpModule(model, device=device), lambda environment: padded_batch(environment, model, device=device)


def _without_fixed(structure: TrainingStructure, fixed: Any) -> TrainingStructure:
    from hea_sim.potentials.fitting.rows import labels_of

    if fixed is None:
        return structure
    ((energy, forces, stress),) = labels_of(fixed, [structure])
    own = structure.stress_eV_per_A3
    return replace(
        structure,
        energy_eV=structure.energy_eV - energy,
        forces_eV_per_A=structure.forces_eV_per_A - forces,
        stress_eV_per_A3=None if own is None else own - stress,
    )


def _solver(job: FitPotentialJob, elements: Sequence[str], search: Search | None) -> Callable[[Rows], LinearFit]:
    weights, penalty = _searched(job, {} if search is None else search.best.settings)
    likeness = _likeness(job, elements)

    def solve(rows: Rows) -> LinearFit:
        if job.weights == "auto":
            fit = fit_reweighted(rows, weights, penalty, likeness=likeness)
        else:
            fit = fit_linear(rows, weights, penalty, likeness=likeness)
        return lasso_path(rows, fit.weights, penalty)[0].fit if job.lasso else fit

    return solve


def _likeness(job: FitPotentialJob, elements: Sequence[str]) -> Likeness | None:
    """Give what holds elements alike in the linear solve: those of an MTP share all but their constants."""
    return Likeness(elements=len(elements), strength=job.snap.alike) if job.family == "snap" else None


def _searched(job: FitPotentialJob, settings: Mapping[str, Any]) -> tuple[Weights, float | None]:
    """Give weights and penalty with what a search found put in."""
    weights, penalty = job.tolerances(), settings.get("penalty", job.penalty)
    if "energy_meV_per_atom" in settings:
        factor = settings["energy_meV_per_atom"] / weights.default.energy_meV_per_atom

        def scaled(tolerance: Any) -> Any:
            return replace(tolerance, energy_meV_per_atom=tolerance.energy_meV_per_atom * factor)

        groups = {group: scaled(tolerance) for group, tolerance in weights.groups.items()}
        weights = Weights(default=scaled(weights.default), groups=groups)
    return weights, penalty


def _with(job: FitPotentialJob, settings: Mapping[str, Any]) -> FitPotentialJob:
    """Put settings of the family that a search found into the job."""
    own = {k: v for k, v in settings.items() if k not in ("energy_meV_per_atom", "penalty")}
    if not own:
        return job
    present = getattr(job, job.family)
    data = {**job.model_dump(), job.family: {**present.model_dump(), **own}}
    return type(job).model_validate(data)


def _rows_file(folder: Path, job: FitPotentialJob, settings: Mapping[str, Any]) -> Path:
    """Name the file of the rows after what a search changes in the model."""
    names = () if job.search is None else job.search.model
    return folder / ("-".join(["rows", *(f"{name}={settings[name]:g}" for name in names)]) + ".npz")


def _search(
    job: FitPotentialJob, structures: Sequence[TrainingStructure], shards: Sequence[int], elements: Sequence[str],
    folder: Path, say: Say,
) -> Search:  # fmt: skip
    """Search; a trial fits to all shards but the last and is judged there, at the geometric mean of both errors."""
    assert job.search is not None
    settings = job.search
    space: dict[str, Choice | Range] = {}
    whole = getattr(job, job.family)
    for name, values in settings.model.items():
        kept = [int(v) if isinstance(getattr(whole, name, None), int) else v for v in values]
        space[name] = Choice(values=tuple(kept))
    if settings.energy_meV_per_atom is not None:
        low, high = settings.energy_meV_per_atom
        space["energy_meV_per_atom"] = Range(low=low, high=high, log=True)
    if settings.penalty is not None:
        space["penalty"] = Range(low=settings.penalty[0], high=settings.penalty[1], log=True)
    built: dict[str, Rows] = {}

    likeness = _likeness(job, elements)

    def score(trial: Mapping[str, Any]) -> float:
        changed = _with(job, trial)
        file = _rows_file(folder, job, trial)
        if file.name not in built:
            built.clear()  # one set of rows in memory
            built[file.name] = _rows(changed, structures, shards, elements, file, say)[1]
        rows = built[file.name]
        weights, penalty = _searched(changed, trial)
        fit = fit_linear(rows.select(lambda b: b.shard != job.shards - 1), weights, penalty, likeness=likeness)
        errors = errors_of(rows.select(lambda b: b.shard == job.shards - 1), fit.coefficients)
        return float(np.sqrt(errors["all", "energy"] / 5e-3 * errors["all", "force"] / 0.1))

    return search_settings(
        space, score, method=settings.method, trials=settings.trials, seed=job.seed, journal=folder / "search.json"
    )
