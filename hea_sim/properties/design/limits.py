"""Say which limits of a target a composition breaks: a second, plain reading of what the grid holds by construction."""

from __future__ import annotations

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.properties.design.costs import TABLE_UNITS, ElementTable
from hea_sim.properties.design.target import DesignTarget

_TOLERANCE = 1e-9


def broken_limits(target: DesignTarget, alloy: Composition, table: ElementTable, *, on_grid: bool = False) -> list[str]:
    """List in words the limits that an alloy breaks; `on_grid` asks for whole steps too.

    >>> from hea_sim.properties.design.costs import shipped_element_table
    >>> target = DesignTarget(structure="BCC", forbidden="Co", most_elements=4)
    >>> broken_limits(target, Composition.parse("CoCrFeMnNi"), shipped_element_table())
    ['5 elements, wanted 4 to 4', 'Co is forbidden']
    """
    percent = {e: 100 * x for e, x in alloy.items()}
    fewest, most = target.elements_from_to
    broken = [] if fewest <= len(alloy) <= most else [f"{len(alloy)} elements, wanted {fewest} to {most}"]
    broken += [f"{e} is forbidden" for e in alloy if e in target.forbidden]
    broken += [f"{e} is not among the elements" for e in alloy if target.elements and e not in target.elements]
    broken += [f"{e} is missing" for e in target.required if e not in alloy]
    for e, share in percent.items():
        highest = target.highest_at_percent(e)
        if not target.smallest_share_at_percent - _TOLERANCE <= share <= highest + _TOLERANCE:
            broken.append(f"{share:.4g} at.% {e}, wanted {target.smallest_share_at_percent:g} to {highest:g}")
        steps = share / target.step_at_percent
        if on_grid and abs(steps - round(steps)) > 1e-6:
            broken.append(f"{share:.6g} at.% {e} is no whole step of {target.step_at_percent:g}")
    for e, least in target.least_at_percent.items():
        if percent.get(e, 0.0) < least - _TOLERANCE:
            broken.append(f"{percent.get(e, 0.0):.4g} at.% {e}, wanted at least {least:g}")
    return broken + _broken_quantities(target, alloy, table)


def _broken_quantities(target: DesignTarget, alloy: Composition, table: ElementTable) -> list[str]:
    broken = []
    for name, unit in TABLE_UNITS.items():
        bounds = (("at least", target.least.get(name), 1), ("at most", target.most.get(name), -1))
        value = float(table.of_alloys(name, alloy.elements, np.array([list(alloy.values())]))[0])
        for word, bound, sign in bounds:
            if bound is not None and not sign * (value - bound) >= -1e-7 * abs(bound):
                broken.append(f"{name} {value:.4g} {unit}, wanted {word} {bound:g}")
    return broken
