"""Join fields: what each adds to a ratio over all of them, with the intervals that E112 and E562 want."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hea_sim.records import Estimate
from hea_vision.measurement.fields import fraction_over_fields
from hea_vision.measurement.grain_size import grain_size_number, shifted_to_iso
from hea_vision.measurement.intervals import ratio_estimate, widened

#: What the area fraction of a class is called that speaks of the alloy.
OF_SPECIMEN = "area fraction of the specimen"


@dataclass(frozen=True, kw_only=True)
class FieldTotal:
    """Hold what a field adds to a ratio over fields: length over intersections, area over grains, and the like.

    `label_std` is what the labels of the field may get wrong of the ratio, where that is known.
    """

    above: float
    below: float
    unit: str
    label_std: float | None = None


def join_fields(rows: list[Mapping[str, FieldTotal]]) -> tuple[dict[str, Estimate], list[str]]:
    """Join the totals of fields into estimates over them, with the intervals that E112 and E562 want.

    Fields without a pixel size do not go together with those that have one: each unit is joined by itself, and the
    rarer one is left out and noted.

    >>> one, two = ({"mean intercept": FieldTotal(above=100.0, below=b, unit="um")} for b in (10.0, 12.0))
    >>> round(join_fields([one, two])[0]["mean intercept"].value, 2)
    9.09
    """
    found: dict[str, Estimate] = {}
    notes: list[str] = []
    if len(rows) < 2:
        return found, ["one field: intervals over fields need several; those of the field itself are model-based"]
    rows, said = _of_one_mind(rows)
    notes += said
    for name in dict.fromkeys(name for row in rows for name in row):
        totals = [row[name] for row in rows if name in row]
        if len(totals) < len(rows):
            notes.append(f"{name}: known of {len(totals)} of {len(rows)} fields, and joined over these alone")
        units = [t.unit for t in totals]
        unit = max(dict.fromkeys(units), key=units.count)
        used = [t for t in totals if t.unit == unit]
        if len(used) < len(totals):
            notes.append(f"{name}: {len(totals) - len(used)} fields in other units than {unit} are left out")
        if unit == "area fraction":
            over = fraction_over_fields([t.above / t.below for t in used], method="ASTM E1245-03, area of labels")
            found[name] = _with_labels(over.fraction, used, ceiling=1.0)
            if over.fields_for_10_percent is not None:
                notes.append(f"{name}: 10 % relative accuracy would take {over.fields_for_10_percent} fields")
        elif sum(t.below for t in used) > 0:
            over_fields = ratio_estimate(
                [t.above for t in used],
                [t.below for t in used],
                unit=unit,
                n=len(used),
                method=f"over {len(used)} fields, Student's t",
            )
            found[name] = _with_labels(over_fields, used)
    if "mean intercept" in found and found["mean intercept"].unit == "um":
        found["grain size number G"] = grain_size_number(found["mean intercept"])
        found["grain size index (ISO 643)"] = shifted_to_iso(found["grain size number G"])
    return found, notes


def _with_labels(over: Estimate, totals: list[FieldTotal], *, ceiling: float = math.inf) -> Estimate:
    """Add what the labels may get wrong: all fields alike, since one segmenter labelled them."""
    known = [t.label_std for t in totals if t.label_std is not None]
    if not known:
        return over
    what = f"the error of the labels, known of {len(known)} fields and taken as common to all"
    return widened(over, sum(known) / len(known), what=what, bounds=(0.0, ceiling))


def _of_one_mind(rows: list[Mapping[str, FieldTotal]]) -> tuple[list[Mapping[str, FieldTotal]], list[str]]:
    """Give fields a common class where some tell two sizes of precipitates apart and others show one population."""
    area, lone = f": {OF_SPECIMEN}", f"precipitate: {OF_SPECIMEN}"
    sizes = [f"{size} precipitate{area}" for size in ("small", "large")]
    told = [all(name in row for name in sizes) for row in rows]
    alone = [lone in row for row in rows]
    if not (any(told) and any(alone)):
        return rows, []
    joined: list[Mapping[str, FieldTotal]] = []
    for row, both in zip(rows, told):
        parts = [row[name] for name in (sizes if both else [lone]) if name in row]
        rest = {name: total for name, total in row.items() if name != lone}
        if parts:
            known = [t.label_std for t in parts if t.label_std is not None]
            total = FieldTotal(
                above=sum(t.above for t in parts),
                below=parts[0].below,
                unit=parts[0].unit,
                label_std=sum(known) if known else None,  # one size is often taken for the other
            )
            rest[f"precipitates of both sizes{area}"] = total
        joined.append(rest)
    return joined, [
        f"{sum(told)} of {len(rows)} fields tell small and large precipitates apart, the others show one size"
    ]


def totals_to_plain(totals: Mapping[str, FieldTotal]) -> dict[str, list[Any]]:
    """Write totals as plain data for a journal."""
    return {name: [t.above, t.below, t.unit, t.label_std] for name, t in totals.items()}


def totals_from_plain(data: Mapping[str, Any]) -> dict[str, FieldTotal]:
    """Read what `totals_to_plain` wrote.

    >>> totals_from_plain(totals_to_plain({"a": FieldTotal(above=1.0, below=2.0, unit="um")}))["a"].below
    2.0
    """
    return {
        name: FieldTotal(above=a, below=b, unit=u, label_std=std[0] if std else None)
        for name, (a, b, u, *std) in data.items()
    }
