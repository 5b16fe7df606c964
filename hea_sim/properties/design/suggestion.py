"""Suggest alloys that meet a target: build the grid it allows, search it, choose a batch, say why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError, unknown_name
from hea_sim.properties.contract import ROOM_TEMPERATURE_K, MeasuredAlloy, PropertyPredictor
from hea_sim.properties.design.acquisition import choose_batch
from hea_sim.properties.design.candidates import Candidate, candidates_of
from hea_sim.properties.design.costs import TABLE_UNITS, ElementTable, read_element_table, shipped_element_table
from hea_sim.properties.design.grid import grid_of
from hea_sim.properties.design.limits import broken_limits
from hea_sim.properties.design.local_update import LocalPredictor
from hea_sim.properties.design.measured import measured_from_evidence
from hea_sim.properties.design.search import search_grid
from hea_sim.properties.design.target import DesignTarget, as_target
from hea_sim.records import Evidence

#: Toxic and radioactive elements, and osmium, whose oxide is: they stand only where a target names them.
NOT_UNASKED = frozenset({"As", "Be", "Cd", "Hg", "Os", "Pb", "Pu", "Pa", "Tc", "Th", "Tl", "U"})
#: What chooses a batch among the alloys that the search found.
ENGINES = ("plain", "botorch")
#: Tests whose temperatures lie closer than this may be held against one bound.
SAME_TEMPERATURE_K = 50.0


def suggest(
    target: DesignTarget | Mapping[str, Any],
    *,
    predictor: PropertyPredictor | None = None,
    n: int = 4,
    tried: Iterable[Composition | str] = (),
    evidence: Sequence[Evidence | MeasuredAlloy] = (),
    seed: int = 0,
    engine: str = "plain",
    strategy: str = "expected_improvement",
) -> list[Candidate]:
    """Suggest n alloys that meet a target, best first.

    Limits on elements, shares, cost and density are held exactly. Fewer than n come back where no more are possible.

    Parameters
    ----------
    target
        What is wanted; a mapping is read as a `DesignTarget`.
    predictor
        From composition to phase and properties; without one, the models that ship with the package.
    tried
        Alloys that are not to be suggested again; measured ones are among them in any case.
    evidence
        What was measured: alloys, or claims on the phase of one. The predictor is corrected by it.
    engine, strategy
        "plain", or "botorch" (extra `design`), which weighs a batch as a whole; "expected_improvement", "thompson" or
        "mean" of the plain engine.

    Raises
    ------
    InputError
        Where the target contradicts itself or nothing can meet it; the text says which wish.
    """
    if n < 1:
        raise InputError(f"n is {n}; wanted at least one suggestion")
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    wanted, measured = as_target(target), measured_from_evidence(evidence)
    model = with_evidence(shipped_predictor() if predictor is None else predictor, measured)
    table = element_table_of(wanted)
    grid = grid_of(wanted, usable_elements(wanted, model, table), table)
    done = [Composition.parse(alloy) for alloy in tried] + [m.composition for m in measured]
    rows = rows_of(done, grid.elements)
    best, rng = best_measured(wanted, measured, table), np.random.default_rng(seed)
    pool = search_grid(wanted, grid, model, table, rng=rng, tried=rows, strategy=strategy, best=best)
    if engine == "botorch":
        from hea_sim.properties.design.botorch_engine import choose_with_botorch

        chosen = choose_with_botorch(pool, n, seed=seed, best=best)
    else:
        chosen = choose_batch(pool, n, rng=rng, strategy=strategy, best=best)
    return candidates_of(
        wanted,
        pool,
        chosen,
        predictor=model,
        table=table,
        tried=rows,
        processing=wanted.processing,
        temperature_K=wanted.temperature_K,
    )


def shipped_predictor() -> PropertyPredictor:
    """Load the models that ship with the package."""
    from hea_sim.properties.predictor import load_predictor

    return load_predictor()


def with_evidence(predictor: PropertyPredictor, measured: Sequence[MeasuredAlloy]) -> PropertyPredictor:
    """Correct a predictor by measured alloys; one that is corrected already learns on."""
    if not measured:
        return predictor
    return (predictor if isinstance(predictor, LocalPredictor) else LocalPredictor(base=predictor)).learn(measured)


def element_table_of(target: DesignTarget | None) -> ElementTable:
    """Give the shipped prices and densities, or those of the target's own file."""
    own = None if target is None else target.element_table
    return shipped_element_table() if own is None else read_element_table(own)


def usable_elements(target: DesignTarget, predictor: PropertyPredictor, table: ElementTable) -> tuple[str, ...]:
    """List the elements that the target allows, the predictor knows, and limits on cost or density can be held for.

    Those of `NOT_UNASKED` are among them only where the target names them in `elements` or `required`.
    Raises InputError where an element that the target asks for is not among them.
    """
    spoken = {*target.least, *target.most, *target.maximise, *target.minimise}
    limited = [name for name in TABLE_UNITS if name in spoken]
    known = [e for e in predictor.elements if all(e in table.values(name) for name in limited)]
    asked = {*target.elements, *target.required, *(e for e, share in target.least_at_percent.items() if share > 0)}
    for element in sorted(asked - set(target.forbidden)):
        if element not in predictor.elements:
            raise InputError(f"{element} is asked for and the predictor does not know it; take it from the target")
        if element not in known:
            raise InputError(
                f"{element} is asked for and has no {' or '.join(limited)} in the element table; give element_table, a"
                " CSV with a row for it"
            )
    allowed = target.elements or tuple(e for e in known if e in asked or e not in NOT_UNASKED)
    palette = tuple(dict.fromkeys(e for e in allowed if e in known and e not in target.forbidden))
    if len(palette) < target.elements_from_to[0]:
        raise InputError(
            f"elements left to choose from: {', '.join(palette) or 'none'}; wanted at least"
            f" {target.elements_from_to[0]}: allow more, or lower fewest_elements"
        )
    return palette


def rows_of(alloys: Sequence[Composition], elements: tuple[str, ...]) -> np.ndarray:
    """Give the fractions (t, E) of alloys; the share of other elements is left out, which keeps such alloys far."""
    return np.array([[alloy.get(e, 0.0) for e in elements] for alloy in alloys]).reshape(len(alloys), len(elements))


def best_measured(target: DesignTarget, measured: Sequence[MeasuredAlloy], table: ElementTable) -> np.ndarray | None:
    """Give the one objective (1,) of the best measured alloy that meets the target, as far as was measured.

    An alloy that breaks a limit (its grid aside) is no best one, however good: nothing may be held against it.
    """
    if len(target.objectives) != 1:
        return None
    name, sign = target.objectives[0]
    values = [
        sign * properties_asked(target, m)[name]
        for m in measured
        if name in properties_asked(target, m) and meets(target, m) and not broken_limits(target, m.composition, table)
    ]
    return np.array([max(values)]) if values else None


def meets(target: DesignTarget, alloy: MeasuredAlloy) -> bool:
    """Tell whether nothing that was measured of an alloy speaks against the wishes of a target."""
    if target.structure:
        if alloy.structure is not None and alloy.structure not in target.structure:
            return False
        if set(target.structure) <= set(alloy.not_structures):
            return False
    if target.family and alloy.family is not None and alloy.family not in target.family:
        return False
    return all(
        target.least.get(name, value) <= value <= target.most.get(name, value)
        for name, value in properties_asked(target, alloy).items()
    )


def properties_asked(target: DesignTarget, alloy: MeasuredAlloy) -> Mapping[str, float]:
    """Give what was measured at the temperature that a target asks for; hardness is that at room temperature."""

    def fits(name: str) -> bool:
        asked = ROOM_TEMPERATURE_K if name == "hardness_HV" else target.temperature_K
        return abs(alloy.temperature_K - asked) <= SAME_TEMPERATURE_K

    return {name: value for name, value in alloy.properties.items() if fits(name)}
