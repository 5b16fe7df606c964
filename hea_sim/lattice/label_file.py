"""Cells and their labels in one npz file, so that labelling may be stopped at any time and goes on where it was."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.documents import write_atomic
from hea_sim.errors import InputError, MissingFileError
from hea_sim.lattice.fit import FitCell
from hea_sim.lattice.labels import Relax, label_cells

_AT_ONCE = 15


def save_cells(path: Path, cells: Sequence[FitCell]) -> None:
    """Write cells, labelled or not."""
    sites = np.array([len(cell.occupation) for cell in cells])
    occupation = np.zeros((len(cells), sites.max()), np.int8)
    for row, cell in zip(occupation, cells, strict=True):
        row[: len(cell.occupation)] = cell.occupation
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        allow_pickle=False,
        occupation=occupation,
        sites=sites,
        size=np.array([cell.size for cell in cells]),
        group=np.array([cell.group for cell in cells]),
        energy_eV=np.array([cell.energy_eV for cell in cells]),
        volume_A3=np.array([cell.volume_A3 for cell in cells]),
    )
    write_atomic(path, stream.getvalue())


def read_cells(path: Path) -> list[FitCell]:
    """Read cells; those without labels have NaN."""
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; wanted an npz file of labelled cells")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        columns = ("occupation", "sites", "size", "group", "energy_eV", "volume_A3")
        rows = list(zip(*(arrays[name] for name in columns), strict=True))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: no file of labelled cells ({error}); remove it and label again") from error
    return [
        FitCell(
            occupation=occupation[: int(n)],
            size=(int(size[0]), int(size[1]), int(size[2])),
            group=str(group),
            energy_eV=float(energy),
            volume_A3=float(volume),
        )
        for occupation, n, size, group, energy, volume in rows
    ]


def label_in_parts(
    path: Path,
    cells: Sequence[FitCell],
    species: Sequence[str],
    potential: Any,
    *,
    lattice: str = "A2",
    relax: Relax = "atoms",
    fmax_eV_per_A: float = 5e-3,
    say: Callable[[str], None] = lambda text: None,
) -> list[FitCell]:
    """Label cells some at a time, keeping what is done in a file; those that stand there are not computed again.

    Raises InputError where the file holds other cells.
    """
    done = read_cells(path) if path.exists() else list(cells)
    same = len(done) == len(cells) and all(
        a.size == b.size and np.array_equal(a.occupation, b.occupation) for a, b in zip(done, cells)
    )
    if not same:
        raise InputError(f"{path} holds labels of other cells; remove it or name another folder")
    while missing := [k for k, cell in enumerate(done) if not np.isfinite(cell.energy_eV)]:
        now = missing[:_AT_ONCE]
        labelled = label_cells(
            [done[k] for k in now], species, potential, lattice=lattice, relax=relax, fmax_eV_per_A=fmax_eV_per_A
        )
        for k, cell in zip(now, labelled, strict=True):
            done[k] = replace(cell, group=cells[k].group)
        save_cells(path, done)
        say(f"labelled {len(cells) - len(missing) + len(now)} of {len(cells)} cells")
    return done
