"""The commands `hea fit potential`, `hea fit lattice` and `hea data audit`; what they do stands in `fit_verbs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hea_sim.errors import InputError

_Json = Annotated[bool, typer.Option("--json", help="Print the results document, and nothing else, on stdout.")]
fit_app = typer.Typer(no_args_is_help=True, help="Fit potentials and lattice models to labelled structures.")


def add_fit_commands(app: typer.Typer, data_app: typer.Typer) -> None:
    """Hang the commands on the app."""
    app.add_typer(fit_app, name="fit")
    data_app.command("audit")(data_audit)


@fit_app.callback()
def fit() -> None:
    """Fit potentials and lattice models to labelled structures."""


@fit_app.command("potential")
def fit_potential(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the model, tables and figures; a stopped run goes on.")
    ],
    config: Annotated[Path | None, typer.Option("--config", help="TOML file of settings; flags win over it.")] = None,
    train: Annotated[
        list[Path] | None, typer.Option("--train", help="Extended XYZ with energies and forces; repeat for more.")
    ] = None,
    test: Annotated[list[Path] | None, typer.Option("--test", help="The same, to be judged on.")] = None,
    family: Annotated[str | None, typer.Option(help="snap or mtp.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new model.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of every random choice.")] = None,
    json: _Json = False,
) -> None:
    """Fit a potential: audit of the data, fit, errors by group, figures, model with its card."""
    from hea_vision.cli import fit_verbs

    flags = {
        "train": tuple(map(str, train)) if train else None,
        "test": tuple(map(str, test)) if test else None,
        "family": family,
        "name": name,
        "seed": seed,
    }
    raise typer.Exit(fit_verbs.fit_potential(out, config, flags, json))


@fit_app.command("lattice")
def fit_lattice(
    config: Annotated[Path, typer.Argument(help="TOML file of settings: elements, and train or potential at least.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the model, tables and figure; a stopped run goes on.")],
    family: Annotated[str | None, typer.Option(help="pairs, clusters or low-rank.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new model.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of every random choice.")] = None,
    json: _Json = False,
) -> None:
    """Fit a lattice model to labelled cells, or to cells that a potential labels: audit, fit, errors, model."""
    from hea_vision.cli import fit_verbs

    raise typer.Exit(fit_verbs.fit_lattice(out, config, {"family": family, "name": name, "seed": seed}, json))


def data_audit(
    files: Annotated[
        list[Path], typer.Argument(help="Extended XYZ files with energies and forces, or one CSV table of alloys.")
    ],
    test: Annotated[list[Path] | None, typer.Option("--test", help="Files to be judged on; leakage is told.")] = None,
    target: Annotated[str | None, typer.Option(help="Table: the column to be learnt, classes or numbers.")] = None,
    unit: Annotated[str | None, typer.Option(help="Table: unit of numbers: HV, MPa, GPa or K.")] = None,
    composition: Annotated[str | None, typer.Option(help="Table: the column of formulas.")] = None,
    paper: Annotated[str | None, typer.Option(help="Table: the column that names the publication.")] = None,
    processing: Annotated[str | None, typer.Option(help="Table: the column that says how alloys were made.")] = None,
    temperature_K: Annotated[
        str | None, typer.Option("--temperature-K", help="Table: the column of test temperatures in kelvin.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Table: folder for groups.csv and results.json.")] = None,
    json: _Json = False,
) -> None:
    """Look at data before they are learnt from: duplicates, leakage, contradictions, gaps; 1 if something is wrong."""
    if [path.suffix.lower() for path in files] in ([".csv"], [".tsv"]):
        from hea_vision.cli import data_verbs

        columns = {
            "target": target,
            "unit": unit,
            "composition": composition,
            "paper": paper,
            "processing": processing,
            "temperature_K": temperature_K,
        }
        raise typer.Exit(data_verbs.audit_alloys(files[0], out, columns, json))
    if target is not None or any(path.suffix.lower() in (".csv", ".tsv") for path in files):
        names = ", ".join(path.name for path in files)
        raise InputError(f"{names}: a table is audited alone and as .csv or .tsv; save a sheet as CSV, join several")
    from hea_vision.cli import fit_verbs

    raise typer.Exit(fit_verbs.audit(files, test or (), json))
