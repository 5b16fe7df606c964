"""Fit a potential from a job, into a folder: audit, fit, errors, figures, model with card. A stopped run goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import document, read_json, sha256_of, versions, write_csv, write_json
from hea_sim.errors import InputError
from hea_sim.potentials.contract import SitePotential
from hea_sim.potentials.fitting.audit import Audit, audit_structures, without
from hea_sim.potentials.fitting.families import build_potential, model_arrays, read_fitted
from hea_sim.potentials.fitting.job import FitPotentialJob
from hea_sim.potentials.fitting.linear import EnergyVariance, LinearFit, calibrated_variance, errors_of, learning_curve
from hea_sim.potentials.fitting.rows import Rows, build_rows
from hea_sim.potentials.fitting.scores import ERROR_COLUMNS, ErrorRow, Predictions, error_table, predict_structures
from hea_sim.potentials.fitting.stages import Fitted, fit_model
from hea_sim.potentials.fitting.structures import TrainingStructure, read_structures
from hea_sim.records import Provenance
from hea_sim.settings import claim_folder

#: Folder of the model, below that of the run.
MODEL_FOLDER = "model"


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedPotential:
    """Hold a fitted potential, where it stands, and how good it is; `errors` by set, rows by group."""

    folder: Path
    potential: SitePotential
    errors: Mapping[str, Sequence[ErrorRow]]
    audit: Audit | None
    results: Mapping[str, Any]


def fit_potential(
    job: FitPotentialJob,
    out: str | os.PathLike[str],
    *,
    say: Callable[[str], None] = lambda text: None,
    show_audit: Callable[[Audit], None] = lambda audit: None,
) -> FittedPotential:
    """Do all that a job says; write run.toml, audit.json, tables, figures, results.json and the model.

    Run again on the same folder it goes on where it was stopped; once finished, it gives what is there. Raises
    InputError where the folder holds another run, or the audit finds errors that the job does not accept.
    """
    folder = Path(out)
    claim_folder(job, folder)
    if (folder / "results.json").is_file():
        return _finished(folder)
    train, test = _read(job.train), _read(job.test)
    say(f"read {len(train)} structures to fit to and {len(test)} to test on")
    audit = audit_structures(train, test)
    write_json(folder / "audit.json", audit)
    show_audit(audit)
    refuse_faults(audit, job)
    train = without(train, audit.duplicates) if job.drop_duplicates else train
    test = without(test, audit.leaked) if job.drop_leaked else test
    elements = job.elements or audit.train.elements
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    fitted = fit_model(job, train, elements, work, say)
    variance = calibrated_variance(fitted.model, fitted.rows, fitted.again) if job.uncertainty else None
    model = fitted.model.with_coefficients(fitted.fit.coefficients)
    arrays, settings = model_arrays(model, variance)
    if job.repulsion_A is not None:
        settings["repulsion_A"] = list(job.repulsion_A)
    potential = build_potential(job.name, elements, arrays, settings)
    say("predicting")
    sets = {"train": train, "test": test} if test else {"train": train}
    predictions = {
        name: predict_structures(potential, structures, uncertainty=name == "test") for name, structures in sets.items()
    }
    errors = {name: error_table(p) for name, p in predictions.items()}
    curve = _curve(fitted, test)
    _write_tables(folder, predictions, errors, curve)
    if job.figures:
        _draw(folder, predictions, errors, curve)
    settings["element_energies_eV"] = element_energies(potential)
    settings["errors"] = {name: [asdict(row) for row in table] for name, table in errors.items()}
    _save(folder / MODEL_FOLDER, job, elements, arrays, settings, errors, audit)
    results = _results(job, fitted, variance, errors, audit, curve)
    write_json(folder / "results.json", results)
    return FittedPotential(folder=folder, potential=potential, errors=errors, audit=audit, results=results)


def element_energies(potential: SitePotential) -> dict[str, float]:
    """Give the energies of bcc and fcc elements at their own volume, in eV per atom, for `reference="elements"`."""
    from ase.build import bulk
    from ase.data import atomic_numbers, reference_states
    from scipy.optimize import minimize_scalar

    found = {}
    for element in potential.elements:
        state = reference_states[atomic_numbers[element]]
        if not state or state.get("symmetry") not in ("bcc", "fcc"):
            continue
        atoms = bulk(element)

        def energy(scale: float, atoms: Any = atoms) -> float:
            strained = atoms.copy()
            strained.set_cell(scale * atoms.cell, scale_atoms=True)
            return potential.evaluate(strained).energy_eV / len(atoms)

        best = minimize_scalar(energy, bounds=(0.93, 1.07), method="bounded", options={"xatol": 1e-7})
        if 0.931 < best.x < 1.069:  # no rest inside these bounds: no crystal of this potential
            found[element] = float(best.fun)
    return found


def refuse_faults(audit: Audit, job: FitPotentialJob) -> None:
    """Raise InputError for what the audit calls an error, unless the job takes care of it or accepts it."""
    cared = set(job.accept)
    if job.drop_leaked:
        cared.add("leakage")
    if not job.use_stress:
        cared |= {"stress", "copied stress"}
    for finding in audit.findings:
        if finding.severity == "error" and finding.check not in cared:
            raise InputError(
                f"audit: {finding.text}; {finding.mend}, or name '{finding.check}' under accept"
                + (", or set use_stress to false" if "stress" in finding.check else "")
            )


def _read(files: Sequence[str]) -> list[TrainingStructure]:
    return [structure for file in files for structure in read_structures(file)]


def _finished(folder: Path) -> FittedPotential:
    results = read_json(folder / "results.json")["results"][0]
    errors = {name: [ErrorRow(**row) for row in rows] for name, rows in results["errors"].items()}
    potential = read_fitted(folder / MODEL_FOLDER)
    return FittedPotential(
        folder=folder, potential=potential, errors=errors, audit=None, results={"results": [results]}
    )


def _curve(fitted: Fitted, test: Sequence[TrainingStructure]) -> list[dict[str, float]]:
    """Fit to growing parts; judged on the test set, or on the last shard where there is none."""
    if test:
        from hea_sim.potentials.fitting.families import repulsion_of

        fixed = repulsion_of(fitted.job.repulsion_A, fitted.model.elements)
        return learning_curve(fitted.rows, build_rows(fitted.model, test, fixed=fixed), fitted.again)
    last = fitted.rows.shards[-1]
    held_out = fitted.rows.select(lambda block: block.shard == last)
    return learning_curve(fitted.rows.select(lambda block: block.shard != last), held_out, fitted.again)


def _write_tables(
    folder: Path, predictions: Mapping[str, Predictions], errors: Mapping[str, Sequence[ErrorRow]],
    curve: Sequence[Mapping[str, float]],
) -> None:  # fmt: skip
    rows = [{"set": name, **asdict(row)} for name, table in errors.items() for row in table]
    write_csv(folder / "errors.csv", rows, ("set", *ERROR_COLUMNS))
    if curve:
        write_csv(folder / "learning_curve.csv", curve, tuple(curve[0]))
    for name, p in predictions.items():
        table = [
            {
                "source": s.source,
                "index": s.index,
                "group": s.group,
                "formula": s.atoms.get_chemical_formula(),
                "energy_eV": s.energy_eV,
                "predicted_eV": energy,
                "std_eV": std,
                "error_meV_per_atom": 1e3 * (energy - s.energy_eV) / s.n_atoms,
                "force_rmse_eV_per_A": float(np.sqrt(np.square(forces - s.forces_eV_per_A).mean())),
            }
            for s, energy, forces, std in zip(
                p.structures, p.energies_eV, p.forces_eV_per_A, p.energy_stds_eV, strict=True
            )
        ]
        write_csv(folder / f"{name}.csv", table, tuple(table[0]))


def _draw(
    folder: Path, predictions: Mapping[str, Predictions], errors: Mapping[str, Sequence[ErrorRow]],
    curve: Sequence[Mapping[str, float]],
) -> None:  # fmt: skip
    from hea_sim.column_figures import save_figure
    from hea_sim.potentials.fitting.figures import group_figure, learning_figure, parity_figure

    made = {"parity": parity_figure(predictions), "groups": group_figure(errors.get("test", errors["train"]))}
    if len(curve) > 1:
        made["learning_curve"] = learning_figure(curve)
    for name, figure in made.items():
        for kind in ("png", "pdf"):
            save_figure(figure, folder / "figures" / f"{name}.{kind}")


def _save(
    folder: Path, job: FitPotentialJob, elements: Sequence[str], arrays: Mapping[str, np.ndarray],
    settings: Mapping[str, Any], errors: Mapping[str, Sequence[ErrorRow]], audit: Audit,
) -> None:  # fmt: skip
    from hea_sim.registry.cards import DataSource, ModelCard, Score, save_model

    name, table = ("test", errors["test"]) if "test" in errors else ("training", errors["train"])
    first, how = table[0], f"{name} structures, after the audit"
    scores = {
        "energy_mae": Score(value=first.energy_mae_meV_per_atom, unit="meV/atom", n=first.n_structures, how=how),
        "energy_rmse": Score(value=first.energy_rmse_meV_per_atom, unit="meV/atom", n=first.n_structures, how=how),
        "force_mae": Score(value=first.force_mae_eV_per_A, unit="eV/A", n=first.n_atoms, how=f"{how}, components"),
        "force_rmse": Score(value=first.force_rmse_eV_per_A, unit="eV/A", n=first.n_atoms, how=f"{how}, components"),
    }
    if first.force_mae_moving_eV_per_A is not None:
        how = f"{how}, components, without frames at rest"
        scores["force_mae_moving"] = Score(value=first.force_mae_moving_eV_per_A, unit="eV/A", n=None, how=how)
    files = {Path(file).name: sha256_of(file) for file in (*job.train, *job.test)}
    card = ModelCard(
        name=job.name,
        kind="potential",
        elements=tuple(elements),
        data=(
            DataSource(
                name=", ".join(files),
                source=job.data_source,
                licence=job.data_licence,
                citation=job.data_citation,
                used=(
                    f"{audit.train.n_structures} structures to fit to, of which {len(audit.duplicates)} duplicates were"
                    f" {'left out' if job.drop_duplicates else 'kept'}"
                ),
                sha256=files,
            ),
        ),
        scores=scores,
        seeds={"fit": job.seed},
        remake="hea fit potential --config run.toml --out FOLDER",
        licence=job.licence,
        citation=job.data_citation or "this project",
        settings=dict(settings),
        versions=versions(),
    )
    save_model(folder, card, dict(arrays))


def _results(
    job: FitPotentialJob, fitted: Fitted, variance: EnergyVariance | None, errors: Mapping[str, Sequence[ErrorRow]],
    audit: Audit, curve: Sequence[Mapping[str, float]],
) -> dict[str, Any]:  # fmt: skip
    held_out = _held_out(fitted)
    row = {
        "model": MODEL_FOLDER,
        "errors": errors,
        "held_out": held_out,
        "fit": _summary(fitted.fit),
        "uncertainty": None if variance is None else {"scale": variance.scale, "floor_eV": variance.floor_eV},
        "search": None if fitted.search is None else fitted.search.best,
        "learning_curve": curve,
        "audit": [{**asdict(finding), "frames": finding.count} for finding in audit.findings],
    }
    inputs = {file: sha256_of(file) for file in (*job.train, *job.test)}
    provenance = Provenance(input_sha256=inputs, seed=job.seed, versions=versions(), settings=job.model_dump())
    return document([row], [], provenance)


def _held_out(fitted: Fitted) -> dict[str, float]:
    """Give the errors on the last shard of a fit without it."""
    last = fitted.rows.shards[-1]

    def part(rows: Rows, inside: bool) -> Rows:
        return rows.select(lambda block: (block.shard == last) == inside)

    errors = errors_of(part(fitted.rows, True), fitted.again(part(fitted.rows, False)).coefficients)
    return {f"{kind}_rmse": value for (group, kind), value in errors.items() if group == "all"}


def _summary(fit: LinearFit) -> dict[str, Any]:
    names = ("penalty", "n_rows", "rank", "condition", "n_effective", "noise", "aic", "bic")
    return {
        **{name: getattr(fit, name) for name in names},
        "n_features": len(fit.coefficients),
        "n_selected": int(fit.selected.sum()),
        "tolerances": {g: asdict(t) for g, t in {"default": fit.weights.default, **fit.weights.groups}.items()},
    }
