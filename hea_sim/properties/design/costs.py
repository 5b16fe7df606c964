"""Prices and densities of the elements, and what an alloy costs and weighs by them.

| symbol | here | unit |
|---|---|---|
| x_i, M_i | atomic fraction, atomic mass | 1, g/mol |
| p = sum x_i M_i p_i / sum x_i M_i | `cost_USD_per_kg` | USD/kg |
| rho = sum x_i M_i / sum (x_i M_i / rho_i), volumes add | `density_g_per_cm3` | g/cm^3 |

A limit on either is linear in x, so it can be held exactly: p <= P is sum x_i M_i (p_i - P) <= 0, and rho <= R is
sum x_i M_i (1 - R / rho_i) <= 0.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from hea_bench.descriptors.backend import scorable_elements
from hea_bench.properties import cost_breakdown, density

from hea_sim.errors import InputError, MissingFileError

#: Quantities that follow from the composition by these tables, with their units.
TABLE_UNITS: Mapping[str, str] = {"cost_USD_per_kg": "USD/kg", "density_g_per_cm3": "g/cm^3"}


@dataclass(frozen=True, kw_only=True)
class ElementTable:
    """Hold the price and the density of each element, and where they come from."""

    price_USD_per_kg: Mapping[str, float]
    density_g_per_cm3: Mapping[str, float]
    price_source: str
    density_source: str

    def values(self, quantity: str) -> Mapping[str, float]:
        """Give the table of a quantity of `TABLE_UNITS`."""
        return self.price_USD_per_kg if quantity == "cost_USD_per_kg" else self.density_g_per_cm3

    def source(self, quantity: str) -> str:
        """Say where the table of a quantity comes from."""
        return self.price_source if quantity == "cost_USD_per_kg" else self.density_source

    def limit_row(self, quantity: str, elements: Sequence[str], most: float) -> np.ndarray:
        """Give a (E,) such that a . x <= 0 holds where the quantity of the alloy is at most `most`."""
        mass, known = _masses(elements), self.values(quantity)
        value = np.array([known.get(e, math.nan) for e in elements])
        return mass * (value - most) if quantity == "cost_USD_per_kg" else mass * (1 - most / value)

    def of_alloys(self, quantity: str, elements: Sequence[str], fractions: np.ndarray) -> np.ndarray:
        """Compute a quantity of alloys of `fractions` (n, E); NaN where an element that is present has no entry."""
        known = self.values(quantity)
        value = np.array([known.get(e, math.nan) for e in elements])
        weight = np.asarray(fractions, float) * _masses(elements)
        missing = (weight[:, np.isnan(value)] > 0).any(1)
        weight, value = weight[:, ~np.isnan(value)], value[~np.isnan(value)]
        with np.errstate(invalid="ignore", divide="ignore"):
            mixed = weight @ value if quantity == "cost_USD_per_kg" else weight.sum(1)
            mixed = mixed / (weight.sum(1) if quantity == "cost_USD_per_kg" else weight @ (1 / value))
        return np.where(missing, math.nan, mixed)


def _masses(elements: Sequence[str]) -> np.ndarray:
    return np.array([atomic_masses[atomic_numbers[e]] for e in elements])


@lru_cache(maxsize=1)
def shipped_element_table() -> ElementTable:
    """Give the tables of hea-bench: indicative prices of 2025 and 2026, densities by its molar volumes.

    >>> round(shipped_element_table().density_g_per_cm3["Ni"], 1)
    8.9
    """
    prices, dates, densities = {}, set(), {}
    for element in sorted(scorable_elements()):
        try:
            row = cost_breakdown({element: 1.0})[element]
            prices[element] = float(row["usd_per_kg"])
            dates.add(str(row["asof"]))
        except ValueError:  # no price is listed
            pass
        if (value := density({element: 1.0})) is not None:
            densities[element] = float(value)
    when = f"{min(dates)} to {max(dates)}"
    return ElementTable(
        price_USD_per_kg=prices,
        density_g_per_cm3=densities,
        price_source=f"hea-bench, indicative prices of raw elements, {when}; melting and yield not counted",
        density_source="hea-bench, masses and Miedema molar volumes that add up",
    )


def read_element_table(path: str | os.PathLike[str]) -> ElementTable:
    """Read a CSV with columns `element` and `price_USD_per_kg`, `density_g_per_cm3` or both.

    What the file names replaces the shipped value; what it leaves out keeps it.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(f"{file}: no such file; wanted a CSV of element,price_USD_per_kg,density_g_per_cm3")
    table = shipped_element_table()
    columns = {"price_USD_per_kg": dict(table.price_USD_per_kg), "density_g_per_cm3": dict(table.density_g_per_cm3)}
    given: set[str] = set()
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        names = [name.strip() for name in rows.fieldnames or ()]
        if "element" not in names or not set(names) & set(columns):
            raise InputError(
                f"{file}: columns {', '.join(names) or 'none'}; wanted element, and price_USD_per_kg or"
                " density_g_per_cm3"
            )
        for number, row in enumerate(rows, start=2):
            plain = {str(key).strip(): (value or "").strip() for key, value in row.items() if key is not None}
            element = plain["element"]
            if element not in atomic_numbers:
                raise InputError(f"{file}, line {number}: '{element}' is no element; wanted symbols such as Nb")
            for name in set(columns) & set(names):
                if plain[name]:
                    columns[name][element] = _positive(plain[name], f"{file}, line {number}: {name}")
                    given.add(name)
    before = {"price_USD_per_kg": table.price_source, "density_g_per_cm3": table.density_source}
    sources = {name: f"{file.name}, else {source}" if name in given else source for name, source in before.items()}
    return ElementTable(
        price_USD_per_kg=columns["price_USD_per_kg"],
        density_g_per_cm3=columns["density_g_per_cm3"],
        price_source=sources["price_USD_per_kg"],
        density_source=sources["density_g_per_cm3"],
    )


def _positive(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise InputError(f"{where} is '{text}'; wanted a number above zero")
    return value
