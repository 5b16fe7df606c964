"""Run one kind of work over many files: a bad file never stops the rest, a repeated run takes up where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hea_sim.documents import document, sha256_of, to_jsonable, versions, write_atomic, write_csv, write_json
from hea_sim.errors import HEAError, InputError
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
    progress: Callable[[Path], None] = lambda _: None,
) -> BatchResult:
    """Do the work for every input and gather results, failures and provenance.

    Each finished input is appended to a journal in `out` at once; a later run with equal settings and versions takes
    it from there where the file's SHA-256 is unchanged.

    Parameters
    ----------
    work
        Takes a path, returns plain data; an HEAError or OSError makes the input a failure.
    """
    result = BatchResult()
    key = hashlib.sha256(json.dumps(to_jsonable([settings, versions()]), sort_keys=True).encode()).hexdigest()
    journal = Path(out) / _JOURNAL if out is not None else None
    done = dict(_read_journal(journal, key)) if journal else {}
    checksums: dict[str, str] = {}
    for path in inputs:
        name = path.as_posix()
        progress(path)
        try:
            checksums[name] = sha256_of(path)
            if (name, checksums[name]) in done:
                result.results.append(done[name, checksums[name]])
                result.reused += 1
                continue
            row = to_jsonable({"input": name, **work(path)})
        except (HEAError, OSError) as error:
            result.failures.append({"input": name, "error": " ".join(str(error).split())})
            continue
        result.results.append(row)
        if journal:
            _append(journal, {"key": key, "input": name, "sha256": checksums[name], "result": row})
    result.provenance = Provenance(input_sha256=checksums, versions=versions(), settings=dict(settings))
    return result


def _append(journal: Path, row: Mapping[str, Any]) -> None:
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        with open(journal, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
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
            yield (row["input"], row["sha256"]), row["result"]


def write_batch(
    result: BatchResult, out: str | os.PathLike[str], *, table: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> None:
    """Write results.json, results.csv, failures.csv and run.toml to a folder, each whole or not at all."""
    import tomli_w

    out = Path(out)
    write_json(out / "results.json", result.document())
    write_csv(out / "results.csv", table, columns)
    write_csv(out / "failures.csv", result.failures, ("input", "error"))
    settings = {k: v for k, v in to_jsonable(result.provenance.settings).items() if v is not None}
    write_atomic(out / "run.toml", tomli_w.dumps(settings))
