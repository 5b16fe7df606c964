"""Lines that no phase of the set gives, and the structures that would explain them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hea_sim.crystals import prototype_names
from hea_sim.diffraction.profile import spacing_A
from hea_vision.xrd.evidence import LatticeScan, ObservedLines
from hea_vision.xrd.reflections import ReflectionTable, reflection_table

#: Structures named for one line.
_NAMED = 4
#: Relative difference in d within which a strong line of a type at its usual lattice counts for a single line.
_SINGLE_LINE_WINDOW = 0.006
#: A line of a type that has this share of its strongest one is strong.
_STRONG = 0.5
_LEAST_SCORE = 3.0


def unexplained_lines(
    observed: ObservedLines, free: np.ndarray, elements: tuple[str, ...] | None
) -> list[dict[str, Any]]:
    """List the lines in `free` (n,), strongest first: angle, spacing, area, and what would explain each.

    Several lines that one lattice of a type gives name it together; a line by itself names the types that have a strong
    line there at their usual lattice.
    """
    if not free.any():
        return []
    together = _types_for_several(observed, free, elements) if free.sum() > 1 else {}
    strongest = float(np.exp(observed.log_area.max()))
    rows = []
    for i in np.flatnonzero(free):
        d = float(spacing_A(observed.angle[i], observed.wavelength_A))
        named = together.get(int(i), [])
        named = named or _types_for_one(d, observed, elements)
        rows.append(
            {
                "two_theta_deg": float(observed.angle[i]),
                "d_A": d,
                "area_percent": 100 * float(np.exp(observed.log_area[i])) / strongest,
                "explained_by": named[:_NAMED],
            }
        )
    return sorted(rows, key=lambda row: -row["area_percent"])


def _tables(observed: ObservedLines, elements: tuple[str, ...] | None) -> Sequence[ReflectionTable]:
    return [reflection_table(name, elements, observed.source.radiation) for name in prototype_names()]


def _types_for_several(
    observed: ObservedLines, free: np.ndarray, elements: tuple[str, ...] | None
) -> dict[int, list[dict[str, Any]]]:
    """Name, for each free line, the types of which one lattice gives it and another free line."""
    found: dict[int, list[tuple[float, dict[str, Any]]]] = {}
    for table in _tables(observed, elements):
        scan = LatticeScan(observed, table)
        if not len(scan.a_A):
            continue
        score = scan.score(free)
        best = int(np.argmax(score))
        given = np.isfinite(scan.log_summed[best]) & free
        needed = 3 if table.free_ratio else 2
        if score[best] < _LEAST_SCORE or given.sum() < needed:
            continue
        entry = {"structure": table.kind.name, "a_A": round(float(scan.a_A[best]), 4)}
        for i in np.flatnonzero(given):
            found.setdefault(int(i), []).append((float(score[best]), entry))
    return {i: [entry for _, entry in sorted(rows, key=lambda r: -r[0])] for i, rows in found.items()}


def _types_for_one(d_A: float, observed: ObservedLines, elements: tuple[str, ...] | None) -> list[dict[str, Any]]:
    """Name the types that have a strong line at this spacing, nearest to their usual lattice first."""
    rows = []
    for table in _tables(observed, elements):
        kind = table.kind
        spacing = 1 / np.sqrt(table.p / kind.a_A**2 + table.q / (kind.a_A * kind.axial_ratio) ** 2)
        away = np.abs(np.log(spacing / d_A))[table.strength > _STRONG * table.strength.max()]
        if away.size and away.min() < _SINGLE_LINE_WINDOW:
            rows.append((float(away.min()), {"structure": kind.name, "a_A": kind.a_A}))
    return [entry for _, entry in sorted(rows, key=lambda r: r[0])]
