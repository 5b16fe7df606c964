"""Estimates and claims as text, for pages and tables."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from pathlib import Path

from hea_sim.records import Estimate, Evidence


def format_estimate(value: Estimate | None) -> str:
    """Write an estimate with the digits that its error allows.

    >>> format_estimate(Estimate(value=3.20801, std=0.0008, unit="A"))
    '3.2080 ± 0.0008 Å'
    >>> format_estimate(Estimate(value=0.0, low=0.0, high=0.02, level=0.9))
    '0 (0 to 0.02)'
    """
    if value is None:
        return "–"
    unit = value.unit.replace("A^3", "Å³")
    unit = "Å" if unit == "A" else unit
    if value.std and value.unit != "area fraction":
        digits = max(0, -floor(log10(value.std)) + (1 if f"{value.std:e}"[0] == "1" else 0))
        text = f"{value.value:.{digits}f} ± {value.std:.{digits}f}"
    else:
        text = f"{value.value:.3g}"
        if value.low is not None and value.high is not None:
            text += f" ({value.low:.2g} to {value.high:.2g})"
    if unit in ("1", "weight fraction"):
        return text
    return f"{text} {unit}".strip()


def format_sets(sets: Sequence[Sequence[str]]) -> str:
    """Write alternative assemblages.

    >>> format_sets([["A2"], ["A1", "B2"]])
    'A2 | A1 + B2'
    """
    return " | ".join(" + ".join(s) for s in sets) or "–"


def measured_text(claim: Evidence) -> str:
    """Write the measured side of a claim."""
    return format_estimate(claim.measured) if claim.measured else format_sets(claim.measured_sets)


def predicted_text(claim: Evidence) -> str:
    """Write the expected side of a claim."""
    return format_estimate(claim.predicted) if claim.predicted else format_sets(claim.predicted_sets)


def count_text(name: str, n: int) -> str:
    """Write how many objects of a class there are.

    >>> count_text("pore", 5), count_text("second phase", 3)
    ('5 pores', '3 areas of second phase')
    """
    if name == "pore":
        return f"{n} pore" + "s" * (n != 1)
    return f"{n} area" + "s" * (n != 1) + f" of {name}"


def file_title(name: str) -> str:
    """Write a file's name so that a figure can show it, whatever its alphabet; a dollar sign starts no formula.

    >>> file_title("scans/a$b.xy")
    'a\\\\$b.xy'
    """
    readable = Path(name).name.encode("utf-8", "backslashreplace").decode("utf-8")
    return readable.replace("$", r"\$")
