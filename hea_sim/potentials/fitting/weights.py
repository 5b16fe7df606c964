"""How much each label counts: the error at which it has weight one, by group and kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from hea_sim.errors import InputError
from hea_sim.potentials.fitting.rows import Block, Rows
from hea_sim.units import GPA_PER_EV_A3

#: Tolerances of `auto` stay within this factor of those of all groups together.
_FACTOR = 4.0


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Hold the errors that count as one: smaller ones weigh more, infinite ones leave that kind of label out."""

    energy_meV_per_atom: float = 5.0
    force_eV_per_A: float = 0.1
    stress_GPa: float = 0.5

    def __post_init__(self) -> None:
        values = (self.energy_meV_per_atom, self.force_eV_per_A, self.stress_GPa)
        if not all(value > 0 for value in values):
            raise InputError(f"tolerances {values}; wanted numbers above zero, or inf to leave a kind of label out")

    def std(self, kind: str) -> float:
        """Give the tolerance of a kind in eV, eV/A or eV/A^3."""
        if kind == "energy":
            return self.energy_meV_per_atom / 1e3
        return self.force_eV_per_A if kind == "force" else self.stress_GPa / GPA_PER_EV_A3


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Give tolerances to groups; those that are not named have `default`."""

    default: Tolerance = field(default_factory=Tolerance)
    groups: Mapping[str, Tolerance] = field(default_factory=dict)

    def __call__(self, block: Block) -> float:
        """Give the weight of the rows of a block."""
        return self.groups.get(block.group, self.default).std(block.kind) ** -2

    def known_in(self, groups: Iterable[str]) -> None:
        """Raise InputError where a group is named that no structure belongs to."""
        known = dict.fromkeys(groups)
        unknown = sorted(set(self.groups) - set(known))
        if unknown:
            raise InputError(f"weights for group '{unknown[0]}', but the groups are {', '.join(known)}")


def weights_from_errors(rows: Rows, coefficients: np.ndarray, start: Weights) -> Weights:
    """Set each group's tolerance to the root mean square error that a fit leaves there.

    This is the step of iteratively reweighted least squares under normal errors of unknown width. Tolerances stay
    within a factor of 4 of the error of all groups, and a kind that was left out stays so.
    """
    squares = rows.squares(coefficients)

    def error(kind: str, group: str | None) -> float | None:
        chosen = [b for b in squares if b.kind == kind and group in (None, b.group)]
        n = sum(rows.counts[b] for b in chosen)
        return float(np.sqrt(sum(squares[b] for b in chosen) / n)) if n else None

    units = {"energy": 1e3, "force": 1.0, "stress": GPA_PER_EV_A3}
    names = {"energy": "energy_meV_per_atom", "force": "force_eV_per_A", "stress": "stress_GPa"}
    every = {kind: error(kind, None) for kind in units}
    groups = {}
    for group in rows.groups:
        tolerance = start.groups.get(group, start.default)
        for kind, unit in units.items():
            mine, all_groups = error(kind, group), every[kind]
            if mine is None or not all_groups or np.isinf(tolerance.std(kind)):
                continue
            value = float(np.clip(mine, all_groups / _FACTOR, all_groups * _FACTOR)) * unit
            tolerance = replace(tolerance, **{names[kind]: max(value, 1e-9)})
        groups[group] = tolerance
    return Weights(default=start.default, groups=groups)
