"""The commands of alloys and specimens: loop, sample, predict, suggest; what they do stands in the `*_verb` files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hea_vision.cli.options import Json, Seed
from hea_vision.cli.suggest_commands import suggest


def add_alloy_commands(app: typer.Typer) -> None:
    """Hang the commands on the app."""
    for command in (loop, sample, predict, suggest):
        app.command()(command)


def _elements(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(text.replace(",", " ").split())


def loop(
    folder: Annotated[Path, typer.Argument(help="Folder of evidence with its campaign.toml.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for report.html, results.json, run.toml.")],
    config: Annotated[Path | None, typer.Option("--config", help="Another campaign file for this folder.")] = None,
    potential: Annotated[
        str | None,
        typer.Option(help="Potential that relaxes cells: recommended (where one is shipped), none, a name or a file."),
    ] = None,
    potential_species: Annotated[
        str | None, typer.Option(help="Elements in the order in which an .mtp file numbers them, such as Nb,Mo,Ta,W.")
    ] = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Label the evidence of a folder, simulate its alloy, cross-check claim by claim, suggest what to make next."""
    from hea_vision.cli import alloy_verbs

    flags = {"seed": seed, "potential": potential, "potential_species": _elements(potential_species)}
    raise typer.Exit(alloy_verbs.loop(folder, out, config, flags, json))


def sample(
    job: Annotated[str, typer.Argument(help="TOML file of a job, or a composition such as NbMoTaW.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for cells, results and the report; a stopped run goes on.")
    ],
    temperature: Annotated[
        list[float] | None,
        typer.Option("--temperature", help="Temperature in K; repeat for several. A composition is cooled to one."),
    ] = None,
    lattice: Annotated[str | None, typer.Option(help="bcc, fcc, or a Strukturbericht name.")] = None,
    engine: Annotated[str | None, typer.Option(help="lattice, atoms, dynamics, hybrid or lammps.")] = None,
    ensemble: Annotated[str | None, typer.Option(help="canonical, semi-grand, nvt, npt ...: see the engine.")] = None,
    model: Annotated[str | None, typer.Option(help="Lattice model: a name of hea models, or a folder.")] = None,
    potential: Annotated[
        str | None, typer.Option(help="Potential: a name, a model folder or a published file.")
    ] = None,
    species: Annotated[
        str | None, typer.Option(help="Elements in the order in which an .mtp file numbers them, such as Cr,Co,Ni.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="Conventional cells along three axes, such as 12,12,12.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Sampled steps at each temperature.")] = None,
    heating: Annotated[bool | None, typer.Option("--heating", help="Go back through the temperatures.")] = None,
    replicas: Annotated[int | None, typer.Option(min=1, help="Independent runs.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes, of one thread each; one replica at most each.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler, such as tcp://host:8786; its workers see --out under one path."
        ),
    ] = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Sample an alloy by Monte Carlo or molecular dynamics: order, energy and transitions against temperature.

    With a composition, a lattice and a temperature alone a shipped model is chosen, and named with how far to trust it.
    """
    from hea_vision.cli import sample_verb

    flags = {
        "temperatures_K": tuple(temperature) if temperature else None,
        "lattice": lattice,
        "engine": engine,
        "ensemble": ensemble,
        "model": model,
        "potential": potential,
        "species": _elements(species),
        "size": _numbers(size),
        "steps": steps,
        "heating": heating,
        "replicas": replicas,
        "workers": workers,
        "scheduler": scheduler,
        "seed": seed,
    }
    raise typer.Exit(sample_verb.sample(job, out, flags, json))


def _numbers(text: str | None) -> tuple[str, ...] | None:
    """Split at commas, or at the x of 12x12x12; what is no whole number is told by the job."""
    return None if text is None else tuple(text.replace("x", ",").replace(",", " ").split())


def predict(
    alloys: Annotated[list[str] | None, typer.Argument(help="Compositions, such as Al0.5CoCrFeNi.")] = None,
    exclude: Annotated[
        str | None, typer.Option(help="Compositions to forget first, with their near-duplicates: F1,F2.")
    ] = None,
    processing: Annotated[str, typer.Option(help="cast, annealed, wrought, powder or other.")] = "other",
    temperature_K: Annotated[
        float, typer.Option("--temperature-K", help="Temperature of the yield strength in K.")
    ] = 298.15,
    level: Annotated[float, typer.Option(help="Probability that sets and intervals hold the truth.")] = 0.9,
    table: Annotated[
        Path | None, typer.Option(help="CSV file with a column composition; --out gets predictions.csv.")
    ] = None,
    map_elements: Annotated[
        str | None, typer.Option("--map", help="Three or four elements, such as Al-Co-Cr; --out gets the pictures.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for results.json, tables and pictures.")] = None,
    json: Json = False,
) -> None:
    """Predict phase, hardness and yield strength of compositions, with intervals, known alloys, or a refusal."""
    from hea_vision.cli import predict_verbs

    settings = predict_verbs.PredictSettings(
        exclude=tuple(part for part in (exclude or "").replace(";", ",").split(",") if part.strip()),
        processing=processing,
        temperature_K=temperature_K,
        level=level,
    )
    raise typer.Exit(
        predict_verbs.predict(alloys or (), settings, table=table, map_of=map_elements, out=out, json=json)
    )
