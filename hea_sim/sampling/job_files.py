"""What a run keeps on disk while it goes: plain arrays, written whole or not at all, and bound to their job."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError

#: Name under which a file of arrays says which job it belongs to.
_OWNER = "job_sha256"
_PREFIX = ".writing-"
#: Files that a run writes whole.
_WHOLE = ("run.toml", "results.json", "results.csv", "failures.csv", "report.html", "cell.extxyz")


def replica_folder(out: str | os.PathLike[str], number: int) -> Path:
    """Name the folder of one replica.

    >>> replica_folder("o", 3).as_posix()
    'o/replica-0003'
    """
    return Path(out) / f"replica-{number:04d}"


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], owner: str) -> None:
    """Write arrays into an npz file: to a temporary file beside it, flushed to disk, then renamed.

    Whatever goes wrong, the file that was there before stays as it was. Raises OSError where the disk takes no more.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX)
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, allow_pickle=False, **{_OWNER: np.array(owner)}, **dict(arrays))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def read_arrays(path: Path, owner: str) -> dict[str, np.ndarray]:
    """Read what `write_arrays` wrote; InputError where it is damaged or belongs to another job."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read ({error}); remove it to begin this replica again") from error
    if str(arrays.pop(_OWNER, "")) != owner:
        raise InputError(
            f"{path} belongs to another job, or to another version of the model; name another --out folder"
        )
    return arrays


def sweep_leftovers(folder: Path) -> None:
    """Remove the pieces of files that a killed run was writing in this folder."""
    for pattern in (f"{_PREFIX}*", *(f".{name}.*" for name in _WHOLE)):  # names that `write_atomic` gives
        for left in folder.glob(pattern):
            with contextlib.suppress(OSError):
                left.unlink()


def packed(name: str, parts: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Put arrays under the names "NAME/KEY"."""
    return {f"{name}/{key}": np.asarray(value) for key, value in parts.items()}


def unpacked(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Take the arrays back that stand under "NAME/KEY".

    >>> unpacked("walk", packed("walk", {"a": 1}))
    {'a': array(1)}
    """
    start = f"{name}/"
    return {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
