"""What the pages say of one pattern, as text, from the plain data that results.json holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hea_sim.records import Estimate
from hea_vision.report.text import error_in_parentheses, format_sets, lattice_text, percent_text, set_text

#: Unexplained lines and assemblages that a page lists.
_MOST_LINES = 12
_MOST_ASSEMBLAGES = 8


def pattern_section(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write the numbers of one labelled pattern as text.

    Parameters
    ----------
    row
        A `PatternCall` as `hea_sim.documents.to_jsonable` gives it.
    """
    phases = [
        *(_phase(p, trace=False) for p in row["phases"]),
        *(_phase(p, trace=True) for p in row["traces"]),
    ]
    lines = row["unexplained_lines"]
    return {
        "input": row["input"],
        "in_scope": row["in_scope"],
        "reason": row["reason"],
        "phases": phases,
        "has_volume": any(p["volume"] != "–" for p in phases),
        "has_size": any(p["size"] != "–" or p["microstrain"] != "–" for p in phases),
        "has_texture": any(p["texture"] for p in phases),
        "unexplained": f"{100 * row['unexplained_fraction']:.1f} %",
        "assemblages": _assemblages(row["assemblages"]),
        "sets": sets_in_short(row["prediction_sets"]),
        "level": f"{100 * row['set_level']:g}",
        "order": [_sentence(test["reason"]) for test in row["order"]],
        "lines": [_line(line) for line in lines[:_MOST_LINES]],
        "more_lines": max(0, len(lines) - _MOST_LINES),
        "notes": [_sentence(note) for note in row["notes"]],
        "source": f"Labelled by {row['method']}; {row['radiation']}, λ = {row['wavelength_A']:.5g} Å.",
    }


def sets_in_short(sets: Sequence[Sequence[str]], most: int = 12) -> str:
    """Write alternative assemblages, the first of many.

    >>> sets_in_short([["A2"], ["B2"], ["A1", "A2"]], most=2)
    'A2 | B2 | 1 more'
    """
    if not sets:
        return ""
    more = f" | {len(sets) - most} more" if len(sets) > most else ""
    return format_sets(sets[:most]) + more


def _phase(phase: Mapping[str, Any], *, trace: bool) -> dict[str, Any]:
    lattice = {axis: e for axis, data in phase["lattice_A"].items() if (e := _estimate(data))}
    size, strain = _estimate(phase["size_nm"]), _estimate(phase["microstrain"])
    explained = phase["explained_fraction"]
    return {
        "name": phase["name"],
        "trace": trace,
        "probability": f"{phase['probability']:.3f}",
        "lattice": lattice_text(lattice),
        "weight": percent_text(_estimate(phase["weight_fraction"])),
        "volume": percent_text(_estimate(phase["volume_fraction"])),
        "explained": "–" if explained is None else f"{100 * explained:.1f} %",
        "size": _with_interval(size, "nm"),
        "microstrain": _with_interval(strain, "", per=1e-3),
        "texture": phase["texture"],
    }


def _estimate(data: Mapping[str, Any] | None) -> Estimate | None:
    """Make an estimate of plain data, where an infinite bound or value stands as null."""
    if data is None:
        return None
    bounded = data["low"] is not None or data["high"] is not None
    infinite = {
        "value": math.inf if data["value"] is None else data["value"],
        "low": -math.inf if bounded and data["low"] is None else data["low"],
        "high": math.inf if bounded and data["high"] is None else data["high"],
    }
    return Estimate(**{**data, **infinite})


def _with_interval(e: Estimate | None, unit: str, *, per: float = 1.0) -> str:
    """Write an estimate with its interval; one that is only bounded from below says so.

    >>> _with_interval(Estimate(value=80.0, low=60.0, high=math.inf, level=0.9), "nm")
    '80 (above 60) nm'
    >>> _with_interval(Estimate(value=0.0012, low=0.0, high=0.0021, level=0.9), "", per=1e-3)
    '1.2 (0 to 2.1)'
    """
    if e is None:
        return "–"
    value = e.value / per
    if e.low is None or e.high is None:
        text = error_in_parentheses(value, e.std / per) if e.std else f"{value:.3g}"
        return f"{text} {unit}".strip()
    low, high = e.low / per, e.high / per
    if math.isinf(value):
        text = f"above {low:.2g}"
    elif math.isinf(high):
        text = f"{value:.2g} (above {low:.2g})"
    else:
        text = f"{value:.2g} ({low:.2g} to {high:.2g})"
    return f"{text} {unit}".strip()


def _assemblages(assemblages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """List the likeliest assemblages; what is left to one belongs to others, or to nothing that is known."""
    rows = [(set_text(a["phases"]), a["probability"]) for a in assemblages[:_MOST_ASSEMBLAGES]]
    left = 1 - sum(p for _, p in rows)
    if rows and left >= 5e-4:
        rows.append(("others, or nothing known", left))
    return [{"names": n, "probability": f"{p:.3f}", "width": f"{100 * min(max(p, 0), 1):.1f}"} for n, p in rows]


def _line(line: Mapping[str, Any]) -> dict[str, str]:
    named = [f"{e['structure']} (a = {e['a_A']:.3f} Å)" for e in line.get("explained_by", ())]
    return {
        "angle": f"{line['two_theta_deg']:.2f}°",
        "spacing": f"{line['d_A']:.4f} Å",
        "area": f"{line['area_percent']:.1f}",
        "explained_by": ", ".join(named) or "–",
    }


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") or not text else f"{text}."
