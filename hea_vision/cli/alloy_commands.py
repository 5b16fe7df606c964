"""The commands of alloys and specimens: loop, sample, predict, suggest; what they do stands in `alloy_verbs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hea_vision.cli.options import Json, Seed


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
    job: Annotated[Path, typer.Argument(help="TOML file: alloy, temperatures_K, size, seed, model.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the cell and the results.")],
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Sample the arrangement of an alloy's atoms on its lattice by Monte Carlo."""
    from hea_vision.cli import alloy_verbs

    raise typer.Exit(alloy_verbs.sample(job, out, {"seed": seed}, json))


def predict(
    alloys: Annotated[list[str], typer.Argument(help="Compositions, such as Al0.5CoCrFeNi.")], json: Json = False
) -> None:
    """Give a first opinion on compositions: descriptors, rules, their reliability, expected volume."""
    from hea_vision.cli import alloy_verbs

    raise typer.Exit(alloy_verbs.predict(alloys, json))


def suggest(
    alloy: Annotated[str, typer.Argument(help="Composition to start from.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 4,
    json: Json = False,
) -> None:
    """Suggest neighbouring compositions whose structure is least certain."""
    from hea_vision.cli import alloy_verbs

    raise typer.Exit(alloy_verbs.suggest(alloy, n, json))
