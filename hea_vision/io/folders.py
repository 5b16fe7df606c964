"""Inputs of a run: files as given, folders searched."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from hea_sim.errors import InputError, MissingFileError

#: What a run writes into its folder beside results.json.
_MADE = ("labels", "instances", "figures", "overlays", "thumbnails", "objects")
_TABLES = ("results.csv", "objects.csv", "failures.csv")


def find_inputs(paths: Sequence[str | os.PathLike[str]], suffixes: Iterable[str]) -> list[Path]:
    """List the files to work on: files as they are given, folders searched recursively and sorted.

    Hidden files and folders are skipped in a search, and a file that is met twice is listed once. A file that
    is named is kept whatever its suffix: its reader says what is wrong with it.
    """
    wanted = tuple(s.lower() for s in suffixes)
    if not paths:
        raise InputError(f"no input was given; wanted files or folders with {' '.join(wanted)}")
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = _search(path, wanted)
            if not inside:
                raise InputError(
                    f"{path}: no file with one of the suffixes {' '.join(wanted)} in this folder;"
                    " check the folder or export the files in one of these formats"
                )
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        else:
            raise MissingFileError(f"input {path} does not exist; check the name and the working directory")
    return list(found)


def _search(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Walk a folder without following links to folders, so that a circle of links ends."""
    files: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [
            Path(root, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes and Path(root, name).is_file()
        ]
    return sorted(files)


def without_results(paths: Sequence[Path], out: Path | None = None) -> list[Path]:
    """Leave out what a run, this one into `out` or another, wrote into a folder of results among the inputs."""
    place = None if out is None else out.resolve()

    def is_run(folder: Path) -> bool:
        return folder == place or (folder / "results.json").is_file()

    def is_result(path: Path) -> bool:
        here = path.resolve()
        if here.name in _TABLES and is_run(here.parent):
            return True
        return here.parent.name in _MADE and is_run(here.parent.parent)

    return [path for path in paths if not is_result(path)]
