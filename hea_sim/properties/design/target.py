"""What is wanted of an alloy: phase, bounds, objectives, and the limits that a candidate must never break."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from ase.data import atomic_numbers
from pydantic import BeforeValidator, Field, model_validator

from hea_sim.errors import InputError, unknown_name
from hea_sim.properties.contract import FAMILIES, PROCESSINGS, PROPERTY_UNITS, ROOM_TEMPERATURE_K, STRUCTURES
from hea_sim.properties.design.costs import TABLE_UNITS
from hea_sim.settings import StrictSettings, check_settings

#: Every quantity that may be bounded or be an objective, with its unit.
QUANTITY_UNITS: Mapping[str, str] = {**PROPERTY_UNITS, **TABLE_UNITS}
#: Fewest elements of a candidate where nothing is said: alloys of four or more are what this package is about.
USUAL_FEWEST = 4
#: Largest share of an element where nothing is said and four or more make the alloy, as high-entropy alloys are
#: defined (Yeh 2004, doi:10.1002/adem.200300567).
USUAL_LARGEST_AT_PERCENT = 35.0


def _names(value: Any) -> Any:
    """Take "NbMo", "Nb, Mo" or a list of names."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Percent = Annotated[float, Field(ge=0, le=100)]


class DesignTarget(StrictSettings):
    """Say what is wanted; `suggest` and `hea suggest --config` read it.

    `structure` and `family` name the wanted classes, any one of which will do. `least` and `most` bound quantities of
    `QUANTITY_UNITS`: cost and density, which follow from the composition, are never broken; a predicted property is
    met with a probability. `maximise` and `minimise` are objectives; several give a Pareto front. Everything below
    `elements` is never broken, and the shares of a candidate sum to 100 at.% exactly.

    Examples
    --------
    >>> target = DesignTarget(structure="BCC", maximise="hardness_HV", most={"density_g_per_cm3": 9})
    >>> target.structure, target.elements_from_to
    (('BCC',), (4, 5))
    """

    structure: Names = ()
    family: Names = ()
    least: dict[str, float] = Field(default_factory=dict)
    most: dict[str, float] = Field(default_factory=dict)
    maximise: Names = ()
    minimise: Names = ()
    elements: Names = ()
    required: Names = ()
    forbidden: Names = ()
    fewest_elements: int | None = Field(default=None, ge=1)
    most_elements: int = Field(default=5, ge=1, le=20)
    step_at_percent: float = Field(default=5.0, ge=0.1, le=50)
    least_at_percent: dict[str, Percent] = Field(default_factory=dict)
    most_at_percent: dict[str, Percent] = Field(default_factory=dict)
    smallest_share_at_percent: Percent = 0.0
    largest_share_at_percent: Percent | None = None
    processing: str = "other"
    temperature_K: float = Field(default=ROOM_TEMPERATURE_K, gt=0, le=3000)
    element_table: str | None = None

    @property
    def units(self) -> int:
        """Count the steps that make 100 at.%."""
        return round(100 / self.step_at_percent)

    @property
    def elements_from_to(self) -> tuple[int, int]:
        """Give the fewest and the most elements of a candidate."""
        fewest = self.fewest_elements
        return (min(USUAL_FEWEST, self.most_elements) if fewest is None else fewest), self.most_elements

    def highest_at_percent(self, element: str) -> float:
        """Give the largest share of an element: its own, else that of all, else 35 at.% in alloys of four or more."""
        largest = 100.0 if self.largest_share_at_percent is None else self.largest_share_at_percent
        if element in self.most_at_percent:
            return min(self.most_at_percent[element], largest)
        if self.largest_share_at_percent is None and self.elements_from_to[0] >= USUAL_FEWEST:
            return max(USUAL_LARGEST_AT_PERCENT, self.least_at_percent.get(element, 0.0))
        return largest

    @property
    def objectives(self) -> tuple[tuple[str, int], ...]:
        """List what is to be as large (+1) or as small (-1) as possible."""
        return (*((name, 1) for name in self.maximise), *((name, -1) for name in self.minimise))

    @property
    def predicted(self) -> tuple[str, ...]:
        """Name the predicted properties that the target speaks of, each once."""
        spoken = (*self.least, *self.most, *self.maximise, *self.minimise)
        return tuple(dict.fromkeys(name for name in spoken if name in PROPERTY_UNITS))

    @model_validator(mode="after")
    def _check(self) -> DesignTarget:
        _check_wishes(self)
        _check_elements(self)
        _check_shares(self)
        return self


def as_target(target: DesignTarget | Mapping[str, Any]) -> DesignTarget:
    """Take a target, or build one from a mapping."""
    return target if isinstance(target, DesignTarget) else check_settings(DesignTarget, target, "target")


def _check_wishes(target: DesignTarget) -> None:
    for what, given, known in (("structure", target.structure, STRUCTURES), ("family", target.family, FAMILIES)):
        for name in given:
            if name not in known:
                raise InputError(str(unknown_name(what, name, known)))
    for name in (*target.least, *target.most, *target.maximise, *target.minimise):
        if name not in QUANTITY_UNITS:
            raise InputError(str(unknown_name("quantity", name, QUANTITY_UNITS)))
    _check_bounds(target)
    both = [name for name, _ in target.objectives]
    if len(both) != len(set(both)):
        raise InputError(f"objectives {', '.join(both)} repeat one; wanted each once, maximised or minimised")
    if not (target.structure or target.family or target.least or target.most or both):
        raise InputError("the target asks for nothing; give structure, family, least, most, maximise or minimise")
    if target.processing not in PROCESSINGS:
        raise InputError(str(unknown_name("processing", target.processing, PROCESSINGS)))


def _check_bounds(target: DesignTarget) -> None:
    for name, bound in (*target.least.items(), *target.most.items()):
        if math.isnan(bound):
            raise InputError(f"{name}: a bound is {bound}; wanted a number")
    for name in target.least:
        if name in target.most and target.least[name] > target.most[name]:
            raise InputError(
                f"{name}: at least {target.least[name]:g} and at most {target.most[name]:g}; wanted least below most"
            )


def _check_elements(target: DesignTarget) -> None:
    told = (
        *target.elements, *target.required, *target.forbidden, *target.least_at_percent, *target.most_at_percent,
    )  # fmt: skip
    for element in told:
        if element not in atomic_numbers or element == "X":
            raise InputError(f"'{element}' is no element; wanted symbols such as Nb, Mo, Al")
    needed = {*target.required, *(e for e, share in target.least_at_percent.items() if share > 0)}
    if clash := sorted(needed & set(target.forbidden)):
        raise InputError(f"{clash[0]} is both required and forbidden; take it from one of the two")
    if target.elements and (outside := sorted(needed - set(target.elements))):
        raise InputError(f"{outside[0]} is required and not among elements {', '.join(target.elements)}; add it")
    fewest, most = target.elements_from_to
    if fewest > most:
        raise InputError(f"fewest_elements is {fewest} and most_elements {most}; wanted fewest at or below most")
    if len(needed) > most:
        raise InputError(
            f"{len(needed)} elements are required ({', '.join(sorted(needed))}) and at most {most} allowed"
        )


def _check_shares(target: DesignTarget) -> None:
    if abs(target.units * target.step_at_percent - 100) > 1e-9:
        raise InputError(
            f"step_at_percent is {target.step_at_percent:g}; wanted one that divides 100, such as 1, 2.5, 5"
        )
    largest = target.largest_share_at_percent
    if largest is not None and target.smallest_share_at_percent > largest:
        raise InputError(
            f"smallest_share_at_percent {target.smallest_share_at_percent:g} is above largest_share_at_percent"
            f" {largest:g}; wanted it below"
        )
    for element, least in target.least_at_percent.items():
        most = target.highest_at_percent(element)
        if least > most:
            raise InputError(f"{element}: at least {least:g} and at most {most:g} at.%; wanted least below most")
