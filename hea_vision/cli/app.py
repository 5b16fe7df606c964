"""The shell: verbs, options, exit codes. 0 all done; 1 some inputs failed; 2 the call was wrong.

Verbs load what they need when they run, so that the help is there at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hea_sim.documents import versions
from hea_sim.errors import HEAError, one_line_error
from hea_vision.cli.alloy_commands import add_alloy_commands
from hea_vision.cli.fit_commands import add_fit_commands
from hea_vision.cli.options import Json, Seed

app = typer.Typer(
    name="hea",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="High-entropy alloys: label diffraction patterns and micrographs, simulate, cross-check, suggest.",
)
models_app = typer.Typer(no_args_is_help=True, help="Models that ship with the package: list, show, verify.")
train_app = typer.Typer(no_args_is_help=True, help="Train what labels patterns and micrographs.")
data_app = typer.Typer(
    no_args_is_help=True, help="Data sets that the project knows (list, show, verify), and tables of your own (audit)."
)
app.add_typer(train_app, name="train")
app.add_typer(models_app, name="models")
app.add_typer(data_app, name="data")
add_alloy_commands(app)
add_fit_commands(app, data_app)

Out = Annotated[Path | None, typer.Option("--out", help="Folder for results; made where it does not exist.")]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file of settings; flags win over it.")]
Inputs = Annotated[list[Path], typer.Argument(help="Files or folders.")]
PixelSize = Annotated[
    float | None, typer.Option("--pixel-size", help="Pixel size in nm, where the files hold none or a wrong one.")
]
Device = Annotated[
    str | None, typer.Option("--device", help="auto (a card where there is one, the default), cpu, cuda or cuda:1.")
]

#: Exit code of a run that Ctrl-C ended, as shells have it.
_INTERRUPTED = 130


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
def classify(
    inputs: Inputs,
    out: Out = None,
    config: Config = None,
    elements: Annotated[str | None, typer.Option(help="Elements of the specimen, such as NbMoTaW.")] = None,
    radiation: Annotated[str | None, typer.Option(help="Tube, such as CuKa, or a wavelength in Angstrom.")] = None,
    structures: Annotated[
        list[str] | None,
        typer.Option(
            help="Structure types to consider, and CIF files of your own to join them; separate with commas, or repeat."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Labeller.")] = None,
    scan: Annotated[int | None, typer.Option(min=0, help="Number of the scan, of a file that holds several.")] = None,
    axis: Annotated[
        str | None, typer.Option(help="Abscissa where the file does not say: two_theta_deg, q_per_A, q_per_nm, d_A.")
    ] = None,
    calibration: Annotated[str | None, typer.Option(help="Calibration (.poni) of detector images.")] = None,
    fast: Annotated[
        bool | None, typer.Option("--fast", help="The network's probabilities of structure types alone; no fit.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes, of one thread each.")] = None,
    json: Json = False,
) -> None:
    """Find the phases of diffraction patterns, with probabilities, lattices and fractions."""
    from hea_vision.cli import pattern_verbs

    flags = {
        "elements": elements,
        "radiation": radiation,
        "model": model,
        "structures": _names(structures),
        "scan": scan,
        "axis": axis,
        "calibration": calibration,
        "fast": fast,
        "workers": workers,
    }
    raise typer.Exit(pattern_verbs.classify(inputs, out, config, flags, json))


def _names(given: list[str] | None) -> tuple[str, ...] | None:
    """Split at commas, but for files whose names hold one."""
    parts = [part for text in given or () for part in ([text] if Path(text).is_file() else text.split(","))]
    return tuple(part.strip() for part in parts if part.strip()) or None


@train_app.command("xrd")
def train_xrd(
    out: Annotated[Path, typer.Option("--out", help="Folder for weights, log and checkpoint; a stopped run goes on.")],
    config: Config = None,
    patterns: Annotated[int | None, typer.Option(min=1, help="Simulated patterns to learn from, in all.")] = None,
    seed: Seed = None,
    device: Device = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that simulate; they change no result.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Patterns in one step.")] = None,
    start_from: Annotated[str | None, typer.Option(help="Model whose weights to go on from.")] = None,
    first_number: Annotated[
        int | None, typer.Option(min=0, help="Number of the first pattern, to go on with ones not yet seen.")
    ] = None,
    json: Json = False,
) -> None:
    """Train the network that proposes structure types, on patterns simulated while it learns."""
    from hea_vision.cli import pattern_verbs

    flags = {
        "patterns": patterns,
        "seed": seed,
        "device": device,
        "workers": workers,
        "batch": batch,
        "start_from": start_from,
        "first_number": first_number,
    }
    raise typer.Exit(pattern_verbs.train_xrd(out, config, flags, json))


@train_app.command("segmenter")
def train_segmenter(
    out: Annotated[Path, typer.Option("--out", help="Folder for the run and its model; a stopped run goes on.")],
    config: Config = None,
    images: Annotated[str | None, typer.Option(help="Folder of pictures.")] = None,
    labels: Annotated[str | None, typer.Option(help="Folder of their label images, of the same names.")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Names of the classes from number 0, with commas; else the label images' own.")
    ] = None,
    virtual: Annotated[
        str | None, typer.Option(help="Virtual micrographs to learn from: precipitates, grains, phases, columns.")
    ] = None,
    start_from: Annotated[str | None, typer.Option(help="Model to begin with: a name or a folder.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new model.")] = None,
    examples: Annotated[int | None, typer.Option(min=1, help="Squares to learn from, in all.")] = None,
    seed: Seed = None,
    device: Device = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that make examples.")] = None,
    json: Json = False,
) -> None:
    """Train a segmenter on labelled pictures, virtual micrographs, or both; calibrate it and its flag."""
    from hea_vision.cli import training_verbs

    flags = {
        "images": images,
        "labels": labels,
        "classes": _names([classes]) if classes else None,
        "virtual": virtual,
        "start_from": start_from,
        "name": name,
        "examples": examples,
        "seed": seed,
        "device": device,
        "workers": workers,
    }
    raise typer.Exit(training_verbs.train_segmenter(out, config, flags, json))


@train_app.command("strokes")
def train_strokes(
    out: Annotated[Path, typer.Option("--out", help="Folder for the model.")],
    config: Config = None,
    images: Annotated[str | None, typer.Option(help="A painted picture, or a folder of them.")] = None,
    strokes: Annotated[
        str | None, typer.Option(help="Its strokes as a label image: 0 not painted, 1 the first class, 2 the next.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Names of the paints 1, 2, ..., with commas; matrix first.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new model.")] = None,
    features: Annotated[str | None, typer.Option(help="Trained model whose features are used.")] = None,
    seed: Seed = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Learn a segmenter from a few strokes of paint, in seconds."""
    from hea_vision.cli import training_verbs

    flags = {
        "images": images,
        "strokes": strokes,
        "classes": _names([classes]) if classes else None,
        "name": name,
        "features": features,
        "seed": seed,
        "device": device,
    }
    raise typer.Exit(training_verbs.train_strokes(out, config, flags, json))


@app.command()
def segment(
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", help="Folder for label images, tables and the report.")],
    config: Config = None,
    model: Annotated[str | None, typer.Option(help="classical (default), a name of hea models, or a folder.")] = None,
    pixel_size: PixelSize = None,
    scale_bar: Annotated[
        str | None, typer.Option(help="Length written at the bar that is burnt into the pictures, such as '20 um'.")
    ] = None,
    all_pages: Annotated[bool | None, typer.Option("--all-pages", help="Label every page of a stack.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes, of one thread each.")] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler, such as tcp://host:8786; its workers see the files under the same paths."
        ),
    ] = None,
    device: Device = None,
    tta: Annotated[
        bool | None, typer.Option("--tta", help="Average a network over turned and mirrored copies; 8 times the time.")
    ] = None,
    json: Json = False,
) -> None:
    """Label micrographs: phases, precipitates, grains or pores, with area fractions and objects."""
    from hea_vision.cli import micrograph_verbs

    flags = {
        "model": model,
        "pixel_size_nm": pixel_size,
        "scale_bar": scale_bar,
        "all_pages": all_pages,
        "workers": workers,
        "scheduler": scheduler,
        "device": device,
        "tta": tta,
    }
    raise typer.Exit(micrograph_verbs.segment(inputs, out, config, flags, json))


@app.command()
def measure(
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", help="Folder for tables and the report.")],
    config: Config = None,
    pixel_size: PixelSize = None,
    kind: Annotated[
        str | None,
        typer.Option(help="What the numbers of the label images are: classes, grains (one each) or boundaries."),
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="Test lines for grain size: line-grid, abrams, hilliard, nist-e112.")
    ] = None,
    lamellae: Annotated[bool | None, typer.Option("--lamellae", help="Measure lamellar spacing too.")] = None,
    seed: Seed = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes, of one thread each.")] = None,
    json: Json = False,
) -> None:
    """Measure label images to standard: grain size (E112), fractions (E562), particles, strain of columns."""
    from hea_vision.cli import measure_verbs

    flags = {
        "pixel_size_nm": pixel_size,
        "kind": kind,
        "pattern": pattern,
        "lamellae": lamellae,
        "seed": seed,
        "workers": workers,
    }
    raise typer.Exit(measure_verbs.measure(inputs, out, config, flags, json))


@app.command()
def pattern(
    structure: Annotated[Path, typer.Argument(help="Structure file that ase reads (.extxyz, .cif, POSCAR ...).")],
    out: Annotated[Path, typer.Option("--out", help="Pattern file to write (.xy).")],
    radiation: Annotated[str | None, typer.Option(help="Tube, such as CuKa, or a wavelength in Angstrom.")] = None,
    config: Config = None,
) -> None:
    """Compute the powder pattern of a structure or of a simulated cell."""
    from hea_vision.cli import pattern_verbs

    raise typer.Exit(pattern_verbs.pattern(structure, out, config, {"radiation": radiation}))


@app.command()
def image(
    subject: Annotated[
        str, typer.Argument(help="Structure file of a simulated cell, or precipitates, grains, phases, columns.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for pictures, their truth and results.json; hea measure takes it.")
    ],
    config: Config = None,
    pixel_size: Annotated[
        float | None, typer.Option("--pixel-size", help="Pixel size in nm; needed, here or in --config.")
    ] = None,
    axis: Annotated[str | None, typer.Option(help="Direction of the beam through a structure, such as 1,1,0.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="How many pictures.")] = None,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Draw virtual micrographs with their truth: atomic columns of a structure, or microstructures at random.

    The truth lies there as hea segment writes what it finds: labels, numbers of grains and objects, places of columns.
    """
    from hea_vision.cli import image_verbs

    flags = {"pixel_size_nm": pixel_size, "axis": _names([axis]) if axis else None, "count": count, "seed": seed}
    raise typer.Exit(image_verbs.image(subject, out, config, flags, json))


@models_app.command("list")
def models_list(json: Json = False) -> None:
    """List the models that ship with the package."""
    from hea_vision.cli import registry_verbs

    raise typer.Exit(registry_verbs.models_list(json))


@models_app.command("show")
def models_show(name: str, json: Json = False) -> None:
    """Show the card of a model."""
    from hea_vision.cli import registry_verbs

    raise typer.Exit(registry_verbs.models_show(name, json))


@models_app.command("verify")
def models_verify() -> None:
    """Compare every model file with the SHA-256 of its card."""
    from hea_vision.cli import registry_verbs

    raise typer.Exit(registry_verbs.models_verify())


@data_app.command("list")
def data_list(json: Json = False) -> None:
    """List the data sets that the project knows."""
    from hea_vision.cli import registry_verbs

    raise typer.Exit(registry_verbs.data_list(json))


@data_app.command("show")
def data_show(name: str, json: Json = False) -> None:
    """Show the card of a data set: source, licence, files."""
    from hea_vision.cli import registry_verbs

    raise typer.Exit(registry_verbs.data_show(name, json))


@data_app.command("verify")
def data_verify(name: str) -> None:
    """Compare the files of a data set with their SHA-256; the folder is named by HEA_DATA."""
    from hea_vision.cli import registry_verbs

    raise typer.Exit(registry_verbs.data_verify(name))


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
    except (KeyboardInterrupt, SystemExit) as ended:  # the shell library turns Ctrl-C into an exit of its own
        if isinstance(ended, SystemExit) and ended.code != _INTERRUPTED:
            raise
        sys.stderr.write("hea: interrupted; what was finished is kept\n")
        sys.exit(_INTERRUPTED)
