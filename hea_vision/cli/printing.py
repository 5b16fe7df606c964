"""What every verb of the shell prints and how it names files: JSON, tables, failures, progress."""

from __future__ import annotations

import json as json_module
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hea_sim.documents import to_jsonable

if TYPE_CHECKING:
    from hea_vision.batch import Progress

_WIDTH_OF_LOGS = 160


def print_json(data: Any) -> None:
    """Print a document on stdout."""
    sys.stdout.write(json_module.dumps(to_jsonable(data), indent=1, ensure_ascii=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stdout."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")  # a name that is cut short names nothing
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_LOGS).print(table)


def say(text: str) -> None:
    """Write a line on stderr."""
    sys.stderr.write(f"{text}\n")


def report_failures(failures: Sequence[Mapping[str, str]]) -> int:
    """Print one line for each failed input; return the exit code."""
    for failure in failures:
        name, error = failure["input"], failure["error"]
        say(f"hea: {error if name in error else f'{name}: {error}'}")
    return 1 if failures else 0


@contextmanager
def progress_of(verb: str, quiet: bool) -> Iterator[Progress]:
    """Show on stderr how far a batch is: a bar on a terminal, a line an input in a log, nothing where `quiet`."""
    if quiet:
        yield lambda done, total, path: None
        return
    if not sys.stderr.isatty():
        yield lambda done, total, path: say(f"{verb} {done}/{total} {path}")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(verb),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, path: bar.update(task, completed=done, total=total, description=escape(path.name))


def file_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Name what is made of inputs after them; equal names in different folders get their folder's name before."""
    count = Counter(p.stem for p in paths)
    used: Counter[str] = Counter()
    names = {}
    for path in paths:
        stem = path.stem if count[path.stem] == 1 else f"{path.parent.name}_{path.stem}_{path.suffix[1:]}"
        used[stem] += 1
        names[path] = stem if used[stem] == 1 else f"{stem}_{used[stem]}"
    return names
