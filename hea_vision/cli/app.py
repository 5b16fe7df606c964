"""The shell: verbs, options, exit codes. 0 all done; 1 some inputs failed; 2 the call was wrong."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hea_sim.documents import versions
from hea_sim.errors import HEAError, one_line_error
from hea_vision.cli import verbs

app = typer.Typer(
    name="hea",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="High-entropy alloys: label diffraction patterns and micrographs, simulate, cross-check, suggest.",
)
models_app = typer.Typer(no_args_is_help=True, help="Models that ship with the package: list, show, verify.")
data_app = typer.Typer(no_args_is_help=True, help="Data sets that the project knows: list, show, verify.")
app.add_typer(models_app, name="models")
app.add_typer(data_app, name="data")

Out = Annotated[Path | None, typer.Option("--out", help="Folder for results; made where it does not exist.")]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file of settings; flags win over it.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results document, and nothing else, on stdout.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of every random choice.")]
Inputs = Annotated[list[Path], typer.Argument(help="Files or folders.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(versions()["hea-toolkit"])
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """High-entropy alloys: label diffraction patterns and micrographs, simulate, cross-check, suggest."""


@app.command()
def loop(
    folder: Annotated[Path, typer.Argument(help="Folder of evidence with its campaign.toml.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for report.html, results.json, run.toml.")],
    config: Annotated[Path | None, typer.Option("--config", help="Another campaign file for this folder.")] = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Label the evidence of a folder, simulate its alloy, cross-check claim by claim, suggest what to make next."""
    raise typer.Exit(verbs.loop(folder, out, config, seed, json))


@app.command()
def classify(
    inputs: Inputs,
    out: Out = None,
    config: Config = None,
    elements: Annotated[str | None, typer.Option(help="Elements of the specimen, such as NbMoTaW.")] = None,
    radiation: Annotated[str | None, typer.Option(help="Tube, such as CuKa, or a wavelength in Angstrom.")] = None,
    structures: Annotated[str | None, typer.Option(help="Structure types to consider, separated by commas.")] = None,
    model: Annotated[str | None, typer.Option(help="Labeller.")] = None,
    json: Json = False,
) -> None:
    """Find the phases of diffraction patterns, with probabilities, lattices and fractions."""
    flags = {
        "elements": elements,
        "radiation": radiation,
        "model": model,
        "structures": tuple(s.strip() for s in structures.split(",")) if structures else None,
    }
    raise typer.Exit(verbs.classify(inputs, out, config, flags, json))


@app.command()
def segment(
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", help="Folder for label images, tables and the report.")],
    config: Config = None,
    model: Annotated[str | None, typer.Option(help="Segmenter.")] = None,
    pixel_size: Annotated[float | None, typer.Option("--pixel-size", help="Pixel size in nm.")] = None,
    json: Json = False,
) -> None:
    """Label micrographs: second phases and pores, with area fractions."""
    raise typer.Exit(verbs.segment(inputs, out, config, {"model": model, "pixel_size_nm": pixel_size}, json))


@app.command()
def sample(
    job: Annotated[Path, typer.Argument(help="TOML file: alloy, temperatures_K, size, seed, model.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the cell and the results.")],
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Sample the arrangement of an alloy's atoms on its lattice by Monte Carlo."""
    raise typer.Exit(verbs.sample(job, out, {"seed": seed}, json))


@app.command()
def pattern(
    structure: Annotated[Path, typer.Argument(help="Structure file that ase reads (.extxyz, .cif, POSCAR ...).")],
    out: Annotated[Path, typer.Option("--out", help="Pattern file to write (.xy).")],
    radiation: Annotated[str | None, typer.Option(help="Tube, such as CuKa, or a wavelength in Angstrom.")] = None,
    config: Config = None,
) -> None:
    """Compute the powder pattern of a structure or of a simulated cell."""
    raise typer.Exit(verbs.pattern(structure, out, config, {"radiation": radiation}))


@app.command()
def predict(
    alloys: Annotated[list[str], typer.Argument(help="Compositions, such as Al0.5CoCrFeNi.")], json: Json = False
) -> None:
    """Give a first opinion on compositions: descriptors, rules, their reliability, expected volume."""
    raise typer.Exit(verbs.predict(alloys, json))


@app.command()
def suggest(
    alloy: Annotated[str, typer.Argument(help="Composition to start from.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 4,
    json: Json = False,
) -> None:
    """Suggest neighbouring compositions whose structure is least certain."""
    raise typer.Exit(verbs.suggest(alloy, n, json))


@models_app.command("list")
def models_list(json: Json = False) -> None:
    """List the models that ship with the package."""
    raise typer.Exit(verbs.models_list(json))


@models_app.command("show")
def models_show(name: str, json: Json = False) -> None:
    """Show the card of a model."""
    raise typer.Exit(verbs.models_show(name, json))


@models_app.command("verify")
def models_verify() -> None:
    """Compare every model file with the SHA-256 of its card."""
    raise typer.Exit(verbs.models_verify())


@data_app.command("list")
def data_list(json: Json = False) -> None:
    """List the data sets that the project knows."""
    raise typer.Exit(verbs.data_list(json))


@data_app.command("show")
def data_show(name: str, json: Json = False) -> None:
    """Show the card of a data set: source, licence, files."""
    raise typer.Exit(verbs.data_show(name, json))


@data_app.command("verify")
def data_verify(name: str) -> None:
    """Compare the files of a data set with their SHA-256; the folder is named by HEA_DATA."""
    raise typer.Exit(verbs.data_verify(name))


def _prepare_streams() -> None:
    """Let no name and no terminal's alphabet break a run: what cannot be written is escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def run() -> None:
    """Run the app; an error raised on purpose becomes one line on stderr and exit code 2."""
    _prepare_streams()
    try:
        app()
    except HEAError as error:
        sys.stderr.write(f"hea: {' '.join(str(error).split())}\n")
        sys.exit(2)
    except BrokenPipeError:  # the reader of stdout went away; that is no fault
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except OSError as error:
        sys.stderr.write(f"hea: {one_line_error(error)}; choose another --out folder, or make room\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("hea: interrupted; what was finished is kept\n")
        sys.exit(130)
