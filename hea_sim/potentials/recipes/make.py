"""Make a shipped potential again from its recipe.

    python -m hea_sim.potentials.recipes.make NAME --data FOLDER --out RUN [--install]

FOLDER is that of the real data (`hea data list` names source, licence and SHA-256 of each file). A stopped run goes on
where it was; `--install` puts the model into the registry of this checkout.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from hea_sim.documents import write_json
from hea_sim.errors import unknown_name
from hea_sim.potentials.fitting.fit_run import MODEL_FOLDER, FittedPotential, fit_potential
from hea_sim.potentials.fitting.job import FitPotentialJob, read_fit_job
from hea_sim.potentials.fitting.structures import read_structures
from hea_sim.potentials.loading import load_potential
from hea_sim.potentials.recipes.taught import TAUGHT, write_taught
from hea_sim.registry.cards import ARRAYS_FILE, CARD_FILE, MODELS, DataSource, ModelCard, load_card, read_card

FOLDER = Path(__file__).parent
#: Which potential labels alloys of many elements for which recipe.
TEACHERS = {"nbmotaw-mtp": "nbmotaw-snap"}


def recipe_names() -> list[str]:
    """List the potentials that have a recipe."""
    return sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.toml"))


def read_recipe(name: str, data: str | os.PathLike[str]) -> FitPotentialJob:
    """Read a recipe; its files stand below `data`."""
    if name not in recipe_names():
        raise unknown_name("recipe of a potential", name, recipe_names())
    job = read_fit_job(FOLDER / f"{name.replace('-', '_')}.toml")
    sets = {key: tuple(str(Path(data) / file) for file in getattr(job, key)) for key in ("train", "test")}
    return job.model_copy(update=sets)


def with_taught(job: FitPotentialJob, out: Path) -> FitPotentialJob:
    """Add the alloys of many elements that a teacher labels, where the recipe has one."""
    if job.name not in TEACHERS:
        return job
    path = out.parent / f"{out.name}-taught.extxyz.xz"
    out.parent.mkdir(parents=True, exist_ok=True)
    write_taught(path, read_structures(job.train[0]), load_potential(TEACHERS[job.name]))
    return job.model_copy(update={"train": (*job.train, str(path))})


def install(fitted: FittedPotential) -> ModelCard:
    """Copy a fitted model into the registry, its card saying how it is made again from its recipe."""
    source = fitted.folder / MODEL_FOLDER
    card = read_card(source)
    remake = f"python -m hea_sim.potentials.recipes.make {card.name} --data FOLDER --out RUN --install"
    card = card.model_copy(update={"remake": remake, "data": _sources(card), "notes": _notes(card)})
    target = MODELS / card.name
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / ARRAYS_FILE, target / ARRAYS_FILE)
    write_json(target / CARD_FILE, card.model_dump())
    return card


def _sources(card: ModelCard) -> tuple[DataSource, ...]:
    """Tell the structures that a teacher labelled from those of DFT."""
    teacher, (own,) = TEACHERS.get(card.name), card.data
    if teacher is None:
        return (own,)
    taught = {file: digest for file, digest in own.sha256.items() if "taught" in file}
    dft = {file: digest for file, digest in own.sha256.items() if file not in taught}
    made = DataSource(
        name="alloys of three and more elements, drawn",
        source=f"hea_sim.potentials.recipes.taught, labels of {teacher}, arrays {load_card(teacher).arrays_sha256}",
        licence="GPL-3.0-or-later (this project)",
        used=f"{2 * TAUGHT} structures to fit to",
        sha256=taught,
    )
    return own.model_copy(update={"name": ", ".join(dft), "sha256": dft}), made


def _notes(card: ModelCard) -> tuple[str, ...]:
    notes = []
    if card.settings.get("family") == "mtp":
        notes.append("Bit-identical only for the same versions on the same machine: f_mu follow a gradient.")
    if card.name in TEACHERS:
        notes.append(
            f"Errors of the groups Taught and Strained, a part of those of training, are against {TEACHERS[card.name]}."
        )
    return tuple(notes)


def main() -> None:
    """Fit and, where asked, install."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", choices=recipe_names())
    parser.add_argument("--data", default=os.environ.get("HEA_DATA"), help="folder of the real data; else HEA_DATA")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--install", action="store_true", help="put the model into the registry of this checkout")
    args = parser.parse_args()
    if not args.data:
        parser.error("where are the structures to fit to? Give --data FOLDER or set HEA_DATA")
    job = with_taught(read_recipe(args.name, args.data), args.out)
    fitted = fit_potential(job, args.out, say=lambda text: print(text, flush=True))
    for row in fitted.errors.get("test", ())[:1]:
        errors = row.energy_mae_meV_per_atom, row.force_mae_eV_per_A
        print(f"test, mean absolute errors: {errors[0]:.2f} meV/atom, {errors[1]:.4f} eV/A")
    if args.install:
        print(install(fitted).arrays_sha256)


if __name__ == "__main__":
    main()
