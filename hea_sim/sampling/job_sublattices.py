"""The composition of each sublattice of a job: told, or as the alloy and the model leave no choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.errors import InputError
from hea_sim.sampling.job import SampleJob

#: By how much (atomic fraction) the sublattices together may miss the alloy.
_OFF = 0.01


def sublattice_species(model: Any) -> list[list[str]]:
    """List the species that each sublattice of a model may hold."""
    small = model.bound((1, 1, 1))
    number = int(small.sublattice.max()) + 1
    held = small.holds or [range(len(model.species))] * number
    return [[model.species[k] for k in one] for one in held]


def compositions_of(job: SampleJob, model: Any) -> Composition | tuple[str, ...]:
    """Give the composition of the cell, or of each sublattice where there are several.

    Raises InputError where they do not join to the alloy, or a sublattice gets a species that it may not hold.
    """
    held = sublattice_species(model)
    if len(held) == 1:
        if len(job.sublattices) > 1:
            raise InputError(f"sublattices: got {len(job.sublattices)}, model {model.name} has one; leave them out")
        if job.sublattices:
            _check_sum(job, np.ones(1))
        return job.composition
    shares = np.bincount(model.bound((1, 1, 1)).sublattice) / len(model.bound((1, 1, 1)).sublattice)
    if not job.sublattices:
        return _without_choice(job, model, held, shares)
    if len(job.sublattices) != len(held):
        raise InputError(f"sublattices: got {len(job.sublattices)}, model {model.name} has {len(held)}: {_told(held)}")
    for k, (part, may) in enumerate(zip(job.sublattices, held, strict=True)):
        strangers = [s for s in Composition.parse(part).elements if s not in may]
        if strangers:
            raise InputError(f"sublattices: {', '.join(strangers)} on number {k} of {model.name}; {_told(held)}")
    _check_sum(job, shares)
    return job.sublattices


def _check_sum(job: SampleJob, shares: np.ndarray) -> None:
    """Refuse sublattices that are not the alloy together."""
    parts = [Composition.parse(part) for part in job.sublattices]
    for element in dict.fromkeys([*job.composition, *(e for part in parts for e in part)]):
        total = sum(share * part.get(element, 0.0) for share, part in zip(shares, parts, strict=True))
        if abs(total - job.composition.get(element, 0.0)) > _OFF:
            raise InputError(
                f"sublattices {list(job.sublattices)} hold {100 * total:.1f} at.% {element} together, alloy {job.alloy}"
                f" {100 * job.composition.get(element, 0.0):.1f}; wanted the same"
            )


def _without_choice(job: SampleJob, model: Any, held: Sequence[Sequence[str]], shares: np.ndarray) -> tuple[str, ...]:
    """Put each element on the one sublattice that may hold it, which must be filled by that."""
    alloy = job.composition
    places = {e: [k for k, may in enumerate(held) if e in may] for e in alloy}
    filled = [sum(alloy[e] for e in alloy if places[e] == [k]) for k in range(len(held))]
    if any(len(where) != 1 for where in places.values()) or np.abs(np.array(filled) - shares).max() > _OFF:
        raise InputError(
            f"model {model.name} has {len(held)} sublattices ({_told(held)}); {job.alloy} leaves open what each holds:"
            " give sublattices = ['...', '...'], a composition for each"
        )
    return tuple(Composition.parse({e: alloy[e] for e in alloy if places[e] == [k]}).formula for k in range(len(held)))


def _told(held: Sequence[Sequence[str]]) -> str:
    return "; ".join(f"{k}: {' '.join(species)}" for k, species in enumerate(held))
