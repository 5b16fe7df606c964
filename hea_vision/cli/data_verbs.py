"""What `hea data audit` does with tables of alloys. Returns the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hea_sim.documents import document, sha256_of, versions, write_csv, write_json
from hea_sim.errors import InputError
from hea_sim.records import Provenance
from hea_vision.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from hea_sim.properties.data_audit import TableAudit


def audit_alloys(path: Path, out: Path | None, columns: Mapping[str, str | None], json: bool) -> int:
    """Audit a table of alloys; with `out` write groups.csv and results.json; 1 where something is wrong with it."""
    from hea_sim.properties.data_audit import audit_table
    from hea_sim.properties.tables.user_files import Columns, read_user_table

    if not columns.get("target"):
        raise InputError(f"{path}: which column is learnt? name it with --target, and its unit with --unit if a number")
    read = read_user_table(path, Columns(**columns))  # type: ignore[arg-type]
    found = audit_table(read.table, numbers=read.lines, unreadable=read.unreadable)
    whole = _as_document(found, path)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        names = list(found.groups)
        write_csv(out / "groups.csv", [dict(zip(names, row)) for row in zip(*found.groups.values())], names)
        write_json(out / "results.json", whole)
    if json:
        print_json(whole)
    else:
        _print(found)
    return 1 if found.worst == "error" else 0


def _as_document(found: TableAudit, path: Path) -> dict[str, Any]:
    told = {name: getattr(found, name) for name in found.__dataclass_fields__ if name != "groups"}
    provenance = Provenance(versions=versions(), input_sha256={str(path): sha256_of(path)})
    return document([{**told, "input": str(path), "worst": found.worst}], [], provenance)


def _print(found: TableAudit) -> None:
    what = found.unit or ", ".join(f"{name} {n}" for name, n in found.classes.items())
    print(
        f"{found.n_rows} rows, {found.n_clusters} alloys apart by 0.4 at.%, {found.n_families} element sets,"
        f" {found.n_papers} publications; {found.target}: {what}"
    )
    if found.noise is not None:
        print(f"{found.noise:.3g}: {found.noise_meaning}")
    score = "copying: accuracy" if found.classes else f"copying: error, {found.unit}"
    print_table(
        "Five folds by",
        ("split", "groups", "twin in training", "family in training", "source in training", score),
        [
            (
                split.split,
                str(split.n_groups),
                f"{split.twin_in_training:.1%}",
                f"{split.family_in_training:.1%}",
                "-" if split.paper_in_training is None else f"{split.paper_in_training:.1%}",
                f"{split.copying:.3g}",
            )
            for split in found.splits
        ],
    )
    print_table(
        "Findings",
        ("severity", "check", "rows", "what", "mend"),
        [(f.severity, f.check, str(f.count), f.text, f.mend) for f in found.findings],
    )
