"""Run one kind of work over many files: a bad file never stops the rest, a repeated run takes up where it stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hea_sim.documents import document, sha256_of, to_jsonable, versions, write_atomic, write_csv, write_json
from hea_sim.errors import InputError
from hea_sim.records import Provenance
from hea_vision.executors import Rows, Work, in_processes, in_turn, on_scheduler

Progress = Callable[[int, int, Path], None]

_JOURNAL = "journal.jsonl"


@dataclass(kw_only=True)
class BatchResult:
    """Gather the results of a batch; `reused` counts those that an earlier run had finished."""

    results: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    provenance: Provenance = field(default_factory=Provenance)
    reused: int = 0

    def document(self) -> dict[str, Any]:
        """Build the JSON frame."""
        return document(self.results, self.failures, self.provenance)


def run_batch(
    inputs: Sequence[Path],
    work: Work,
    *,
    settings: Mapping[str, Any],
    out: str | os.PathLike[str] | None = None,
    outputs: Callable[[Mapping[str, Any]], Sequence[Path]] = lambda _: (),
    shared_files: Sequence[str | os.PathLike[str]] = (),
    model_sha256: Mapping[str, str] | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    progress: Progress = lambda done, total, path: None,
) -> BatchResult:
    """Do the work for every input and gather results, failures and provenance.

    Each finished input is appended to a journal in `out` at once; a later run with equal settings, versions, models and
    shared files takes it from there where the file's SHA-256 is unchanged. Results come in the order of the inputs.

    Parameters
    ----------
    work
        Takes a path, returns one row of plain data for each result; a row with a key `error` is a failure, and an
        exception makes the whole input one. An input with a failure is done again by a later run.
    outputs
        Names the files that a row stands for; it is reused only while they are there and unchanged.
    shared_files, model_sha256
        What all inputs are judged with: calibrations and structures as files, models by their checksums.
    workers
        Processes; with more than one, `work` must be a function or object of a module, and each process has one thread.
    scheduler
        Address of a Dask scheduler whose workers do the work instead; they must see all files under the same paths.
    progress
        Told of every input that is done.
    """
    if out is not None:
        make_folder(out)
    shared = {Path(path).as_posix(): sha256_of(path) for path in shared_files}
    models = dict(model_sha256 or {})
    key = hashlib.sha256(
        json.dumps(to_jsonable([settings, versions(), shared, models]), sort_keys=True).encode()
    ).hexdigest()
    journal = Path(out) / _JOURNAL if out is not None else None
    result = BatchResult()
    found, checksums = _finished(inputs, dict(_read_journal(journal, key)) if journal else {})
    result.reused = sum(len(rows) for rows in found.values())
    left = [path for path in inputs if path.as_posix() not in found]
    done = len(inputs) - len(left)
    with closing(_rows_of(work, left, workers, scheduler)) as finished:
        for path, rows in finished:
            done += 1
            name = path.as_posix()
            found[name] = rows
            if journal and name in checksums and not any("error" in row for row in rows):
                made = _checksums_of(p for row in rows for p in outputs(row))
                _append(journal, {"key": key, "input": name, "sha256": checksums[name], "outputs": made, "rows": rows})
            progress(done, len(inputs), path)
    for row in (row for path in inputs for row in found[path.as_posix()]):
        (result.failures if "error" in row else result.results).append(row)
    result.provenance = Provenance(
        input_sha256={**checksums, **shared}, model_sha256=models, versions=versions(), settings=dict(settings)
    )
    return result


def _rows_of(
    work: Work, paths: Sequence[Path], workers: int, scheduler: str | None
) -> Generator[tuple[Path, Rows], None, None]:
    """Choose where the work is done; no process and no scheduler is asked for where nothing is left to do."""
    if scheduler is not None and paths:
        yield from on_scheduler(work, paths, scheduler)
    elif workers > 1:
        yield from in_processes(work, paths, workers)
    else:
        yield from in_turn(work, paths)


def _checksums_of(paths: Iterable[Path]) -> dict[str, str]:
    try:
        return {str(path): sha256_of(path) for path in paths}
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename}: was written by a worker but is not seen here; wanted workers that share this folder"
        ) from error


def _finished(
    inputs: Sequence[Path], earlier: Mapping[tuple[str, str], Mapping[str, Any]]
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Take what is unchanged from the journal; return rows by input, and the checksums of inputs that can be read."""
    found, checksums = {}, {}
    for path in inputs:
        name = path.as_posix()
        try:
            checksums[name] = sha256_of(path)
        except OSError:
            continue  # its reader says why
        row = earlier.get((name, checksums[name]))
        if row and all(_unchanged(made, sha) for made, sha in row["outputs"].items()):
            found[name] = row["rows"]
    return found, checksums


def _unchanged(path: str, sha256: str) -> bool:
    return os.path.isfile(path) and sha256_of(path) == sha256


def _append(journal: Path, row: Mapping[str, Any]) -> None:
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with open(journal, "ab+") as stream:
            if stream.tell() > 0:
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":  # a line that a crash cut short must not swallow the next
                    stream.write(b"\n")
            stream.write((json.dumps(row) + "\n").encode())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise InputError(f"{journal}: cannot be written ({error.strerror}); wanted a writable --out folder") from error


def _read_journal(journal: Path, key: str) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Read what earlier runs with the same settings finished; a line cut short by a crash is passed over."""
    if not journal.is_file():
        return
    for line in journal.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row.get("key") == key and "rows" in row:
            yield (row["input"], row["sha256"]), row


def make_folder(out: str | os.PathLike[str]) -> Path:
    """Make the folder for results; InputError where it cannot be written, before any work is done."""
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise InputError(
            f"{out}: cannot be used for results ({error.strerror}); name a writable --out folder"
        ) from error
    return out


@contextlib.contextmanager
def open_atomic(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open a text file to be written piece by piece; it takes its name when it is whole, and only then."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write_batch(
    result: BatchResult, out: str | os.PathLike[str], *, table: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> None:
    """Write results.json, results.csv, failures.csv and run.toml to a folder, each whole or not at all."""
    import tomli_w

    out = Path(out)
    write_json(out / "results.json", result.document())
    write_csv(out / "results.csv", table, columns)
    write_csv(out / "failures.csv", result.failures, ("input", "error"))
    settings = {k: v for k, v in to_jsonable(result.provenance.settings).items() if v is not None and k != "verb"}
    write_atomic(out / "run.toml", tomli_w.dumps(settings))
