"""Run one kind of work over many files: a bad file never stops the rest, a repeated run takes up where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hea_sim.documents import document, sha256_of, to_jsonable, versions, write_atomic, write_csv, write_json
from hea_sim.errors import InputError, one_line_error
from hea_sim.records import Provenance

_JOURNAL = "journal.jsonl"


@dataclass(kw_only=True)
class BatchResult:
    """Gather the results of a batch; `reused` counts inputs that an earlier run had finished."""

    results: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    provenance: Provenance = field(default_factory=Provenance)
    reused: int = 0

    def document(self) -> dict[str, Any]:
        """Build the JSON frame."""
        return document(self.results, self.failures, self.provenance)


def run_batch(
    inputs: Sequence[Path],
    work: Callable[[Path], Mapping[str, Any]],
    *,
    settings: Mapping[str, Any],
    out: str | os.PathLike[str] | None = None,
    outputs: Callable[[Mapping[str, Any]], Sequence[Path]] = lambda _: (),
    progress: Callable[[Path], None] = lambda _: None,
) -> BatchResult:
    """Do the work for every input and gather results, failures and provenance.

    Each finished input is appended to a journal in `out` at once; a later run with equal settings and versions takes
    it from there where the file's SHA-256 is unchanged.

    Parameters
    ----------
    work
        Takes a path, returns plain data; an error makes the input a failure.
    outputs
        Names the files that a result stands for; it is reused only while they are there and unchanged.
    """
    result = BatchResult()
    if out is not None:
        make_folder(out)
    key = hashlib.sha256(json.dumps(to_jsonable([settings, versions()]), sort_keys=True).encode()).hexdigest()
    journal = Path(out) / _JOURNAL if out is not None else None
    done = dict(_read_journal(journal, key)) if journal else {}
    checksums: dict[str, str] = {}
    for path in inputs:
        name = path.as_posix()
        progress(path)
        try:
            checksums[name] = sha256_of(path)
            earlier = done.get((name, checksums[name]))
            if earlier and all(_unchanged(path, sha) for path, sha in earlier["outputs"].items()):
                result.results.append(earlier["result"])
                result.reused += 1
                continue
            row = to_jsonable({"input": name, **work(path)})
        except Exception as error:  # one bad file must not stop the rest, whatever it did to a reader
            result.failures.append({"input": name, "error": one_line_error(error)})
            continue
        result.results.append(row)
        if journal:
            made = {str(p): sha256_of(p) for p in outputs(row)}
            _append(journal, {"key": key, "input": name, "sha256": checksums[name], "outputs": made, "result": row})
    result.provenance = Provenance(input_sha256=checksums, versions=versions(), settings=dict(settings))
    return result


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
        if row.get("key") == key:
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
