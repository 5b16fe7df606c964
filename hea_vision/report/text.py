"""Estimates and claims as text, for pages and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10
from pathlib import Path

from hea_sim.records import Estimate, Evidence

_GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "beta_deg": "β"}


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


def error_in_parentheses(value: float, std: float | None, *, digits: int = 4) -> str:
    """Write a number with its standard deviation in units of the last digit; one or two digits of it are kept.

    >>> error_in_parentheses(3.20801, 0.0008), error_in_parentheses(25.81, 0.017), error_in_parentheses(3.2, None)
    ('3.2080(8)', '25.810(17)', '3.2000')
    """
    if not std or not 0 < std < abs(value):
        return f"{value:.{digits}f}"
    places = max(0, -floor(log10(std)) + (1 if f"{std:e}"[0] == "1" else 0))
    return f"{value:.{places}f}({round(std * 10**places)})"


def lattice_text(lattice: Mapping[str, Estimate]) -> str:
    """Write the lattice parameters of a phase, lengths in angstrom and angles in degrees.

    >>> lattice_text({"a": Estimate(value=4.5601, std=0.0012, unit="A"), "c": Estimate(value=8.8, std=0.01, unit="A")})
    'a = 4.5601(12), c = 8.800(10) Å'
    >>> lattice_text({"a": Estimate(value=5.15, unit="A"), "beta": Estimate(value=99.2, std=0.05, unit="deg")})
    'a = 5.1500 Å, β = 99.20(5)°'
    """
    written = {
        axis: f"{_GREEK.get(axis, axis)} = {error_in_parentheses(e.value, e.std)}" for axis, e in lattice.items()
    }
    angles = [f"{written[axis]}°" for axis in lattice if axis in _GREEK]
    lengths = ", ".join(written[axis] for axis in lattice if axis not in _GREEK)
    return ", ".join([f"{lengths} Å", *angles]) if lengths else "–"


def percent_text(fraction: Estimate | None) -> str:
    """Write a fraction in per cent with its interval, where there is one.

    >>> percent_text(Estimate(value=0.1194, low=0.08, high=0.17, level=0.9)), percent_text(Estimate(value=1.0))
    ('11.9 (8.0 to 17.0)', '100')
    """
    if fraction is None:
        return "–"
    text = f"{100 * fraction.value:.1f}".removesuffix(".0")
    if fraction.low is None or fraction.high is None or fraction.low == fraction.high:
        return text
    return f"{text} ({100 * fraction.low:.1f} to {100 * fraction.high:.1f})"


def set_text(names: Sequence[str]) -> str:
    """Write one assemblage.

    >>> set_text(["A2", "C14"])
    'A2 + C14'
    """
    return " + ".join(names) or "nothing"


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
