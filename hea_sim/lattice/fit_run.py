"""Fit a lattice model from a job, into a folder: labels, audit, fit, errors, figure, model with card."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import document, read_json, sha256_of, versions, write_csv, write_json
from hea_sim.lattice.contract import LatticeModel
from hea_sim.lattice.fit import FitCell
from hea_sim.lattice.fit_data import LatticeAudit, LatticeErrors, audit_cells, cells_of_job, error_rows, parent_of
from hea_sim.lattice.fit_families import FittedFamily, fit_family
from hea_sim.lattice.fit_job import FitLatticeJob
from hea_sim.records import Provenance
from hea_sim.settings import claim_folder

#: Folder of the model, below that of the run.
MODEL_FOLDER = "model"
ERROR_COLUMNS = tuple(LatticeErrors.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedLatticeModel:
    """Hold a fitted lattice model, where it stands, and how good it is; `model` is None where the run had finished."""

    folder: Path
    model: LatticeModel | None
    errors: Mapping[str, Sequence[LatticeErrors]]
    audit: LatticeAudit
    results: Mapping[str, Any]


def fit_lattice(
    job: FitLatticeJob, out: str | os.PathLike[str], *, say: Callable[[str], None] = lambda text: None
) -> FittedLatticeModel:
    """Do all that a job says; write run.toml, audit.json, tables, the figure, results.json and the model.

    Run again on the same folder it goes on where it was stopped; once finished, it gives what is there. Raises
    InputError where the folder holds another run.
    """
    folder = Path(out)
    claim_folder(job, folder)
    if (folder / "results.json").is_file():
        return _finished(folder)
    train, test = cells_of_job(job, folder / "work", say)
    audit = audit_cells(train, test, job)
    write_json(folder / "audit.json", audit)
    for finding in audit.findings:
        say(f"audit: {finding}")
    if job.drop_leaked and audit.leaked:
        test = [cell for k, cell in enumerate(test) if k not in set(audit.leaked)]
    say(f"fitting {job.family} to {len(train)} cells")
    fitted = fit_family(job, train, parent_of(job))
    predictions = {"out of fold": (train, fitted.energy_cv_eV)}
    if test:
        predicted = np.array([fitted.model.energy_eV_per_atom(cell.occupation, cell.size) for cell in test])
        predictions["test"] = (test, predicted)
    n = len(job.elements)
    errors = {name: error_rows(cells, predicted, n) for name, (cells, predicted) in predictions.items()}
    _write_tables(folder, job, predictions, errors)
    if job.figures:
        from hea_sim.column_figures import save_figure
        from hea_sim.lattice.figures import parity_figure

        figure = parity_figure(predictions)
        for kind in ("png", "pdf"):
            save_figure(figure, folder / "figures" / f"parity.{kind}")
    _save(folder / MODEL_FOLDER, job, fitted, errors, audit)
    results = _results(job, fitted, errors, audit)
    write_json(folder / "results.json", results)
    return FittedLatticeModel(folder=folder, model=fitted.model, errors=errors, audit=audit, results=results)


def _finished(folder: Path) -> FittedLatticeModel:
    results = read_json(folder / "results.json")
    row = results["results"][0]
    errors = {name: [_errors_of(entry) for entry in rows] for name, rows in row["errors"].items()}
    kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row["audit"].items()}
    audit = LatticeAudit(**kept)
    return FittedLatticeModel(folder=folder, model=None, errors=errors, audit=audit, results=results)


def _errors_of(entry: Mapping[str, Any]) -> LatticeErrors:
    kept: dict[str, Any] = {k: float("nan") if v is None else v for k, v in entry.items()}
    return LatticeErrors(**kept)


def _write_tables(
    folder: Path,
    job: FitLatticeJob,
    predictions: Mapping[str, tuple[Sequence[FitCell], np.ndarray]],
    errors: Mapping[str, Sequence[LatticeErrors]],
) -> None:
    rows = [{"set": name, **asdict(row)} for name, table in errors.items() for row in table]
    write_csv(folder / "errors.csv", rows, ("set", *ERROR_COLUMNS))
    cells = []
    for name, (members, predicted) in predictions.items():
        for cell, energy in zip(members, predicted, strict=True):
            counts = np.bincount(cell.occupation, minlength=len(job.elements))
            formula = "".join(f"{e}{n}" for e, n in zip(job.elements, counts, strict=True) if n)
            true, error = cell.energy_eV, 1e3 * (energy - cell.energy_eV)
            cells.append((name, cell.group, formula, len(cell.occupation), true, float(energy), float(error)))
    columns = ("set", "group", "formula", "atoms", "energy_eV_per_atom", "predicted_eV_per_atom", "error_meV_per_atom")
    write_csv(folder / "cells.csv", [dict(zip(columns, row, strict=True)) for row in cells], columns)


def _save(
    folder: Path,
    job: FitLatticeJob,
    fitted: FittedFamily,
    errors: Mapping[str, Sequence[LatticeErrors]],
    audit: LatticeAudit,
) -> None:
    from hea_sim.registry.cards import DataSource, ModelCard, Score, save_model

    scores = {}
    for name, table in errors.items():
        key, how = name.replace(" ", "_"), f"{name}; {job.folds} folds" if name == "out of fold" else "cells set apart"
        first = table[0]
        numbers = {"energy_rmse": first.rmse_meV, "arrangement_rmse": first.arrangement_rmse_meV}
        for what, value in numbers.items():
            if np.isfinite(value):
                scores[f"{key}_{what}"] = Score(value=value, unit="meV/atom", n=first.n_cells, how=how)
    files = {Path(file).name: sha256_of(file) for file in (*job.train, *job.test)}
    source = f"cells labelled by {job.potential}" if job.potential else job.data_source
    card = ModelCard(
        name=job.name,
        kind=fitted.kind,
        elements=job.elements,
        lattice=fitted.model.lattice,
        data=(
            DataSource(
                name=", ".join(files) or job.potential,
                source=source,
                licence=job.data_licence,
                citation=job.data_citation,
                used=f"{audit.n_train} cells to fit to, {audit.n_test} to test on",
                sha256=files,
            ),
        ),
        scores=scores,
        seeds={"fit": job.seed},
        remake="hea fit lattice --config run.toml --out FOLDER",
        licence=job.licence,
        citation=job.data_citation or "this project",
        versions=versions(),
    )
    save_model(folder, card, fitted.arrays)


def _results(
    job: FitLatticeJob, fitted: FittedFamily, errors: Mapping[str, Sequence[LatticeErrors]], audit: LatticeAudit
) -> dict[str, Any]:
    row = {"model": MODEL_FOLDER, "kind": fitted.kind, "errors": errors, "fit": fitted.summary, "audit": audit}
    inputs = {file: sha256_of(file) for file in (*job.train, *job.test)}
    settings = job.model_dump()
    return document([row], [], Provenance(input_sha256=inputs, seed=job.seed, versions=versions(), settings=settings))
