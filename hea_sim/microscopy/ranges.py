"""Refuse what cannot be drawn: numbers outside their range, in one wording for all scenes."""

from __future__ import annotations

from hea_sim.errors import InputError

#: Longest length that is drawn, in pixels.
LONGEST_PX = 1e4


def check_ranges(what: str, drawn: object, **ranges: tuple[float, float]) -> None:
    """Raise InputError where a field of `drawn` lies outside its range (least, most)."""
    for name, (least, most) in ranges.items():
        checked(getattr(drawn, name), f"{what}: {name}", least, most)


def checked(value: float, what: str, least: float, most: float) -> float:
    """Give a number back, or raise InputError where it lies outside its range."""
    if not least <= value <= most:
        unit = " of pixels" if what.endswith("_px") else ""
        raise InputError(f"{what} is {value}; wanted a number{unit} from {least:g} to {most:g}")
    return float(value)


def checked_px(value: float, what: str, least: float, most: float = LONGEST_PX) -> float:
    """Give a length in pixels back, or raise InputError where it cannot be drawn."""
    return checked(value, what, least, most)


def checked_fraction(value: float, what: str, most: float = 0.9) -> float:
    """Give an area fraction back, or raise InputError where it is none."""
    if not 0 < value <= most:
        raise InputError(f"{what}: area fraction {value}; wanted a number above 0, at most {most}")
    return float(value)
