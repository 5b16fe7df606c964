"""What is asked of a pattern labeller: the pattern with its lines, the radiation, what the specimen is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hea_sim.alloy import Composition
from hea_sim.crystals import Prototype, prototype
from hea_sim.diffraction.radiation import Radiation
from hea_sim.diffraction.radiation import radiation as get_radiation
from hea_sim.documents import versions
from hea_sim.errors import InputError
from hea_sim.records import Pattern, Provenance
from hea_vision.xrd.evidence import ObservedLines
from hea_vision.xrd.lines import LineList, find_lines
from hea_vision.xrd.volumes import METAL_LOG_VOLUME, log_volume_prior

#: What a user may say of the elements: a formula or names in a string, names, amounts, or nothing.
Elements = str | Sequence[str] | Mapping[str, float] | Composition | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """Hold a pattern prepared for a labeller.

    `structures` are the types to consider, None for all that the labeller knows; `user_structures` come from CIF files
    and are always considered. `volumes_from_elements` says whether lattices may be weighed by the elements' volumes.
    Without `amounts_known` the composition names the elements, in equal parts.
    """

    lines: LineList
    observed: ObservedLines
    composition: Composition | None
    amounts_known: bool
    structures: tuple[str, ...] | None
    user_structures: tuple[Prototype, ...]
    volumes_from_elements: bool
    method: str

    @property
    def elements(self) -> tuple[str, ...] | None:
        """Name the specimen's elements, None where unknown."""
        return tuple(self.composition) if self.composition is not None else None

    @property
    def log_volume(self) -> tuple[float, float] | None:
        """Give the prior of the logarithm of the volume per atom, None where the elements may not or cannot say."""
        return log_volume_prior(self.composition) if self.volumes_from_elements else None

    @property
    def notes(self) -> list[str]:
        """Tell of lines of the tube and of where the radiation comes from."""
        pattern = self.lines.pattern
        out = [str(pattern.metadata["radiation_note"])] if pattern.metadata.get("radiation_note") else []
        return out + [
            f"line at {x.two_theta_deg:.2f} deg: {x.origin}" for x in self.lines.lines if x.origin != "specimen"
        ]

    def frame(self, **model_sha256: str) -> dict[str, Any]:
        """Give the fields of the call that do not depend on the answer."""
        pattern, source = self.lines.pattern, self.lines.radiation
        settings = {
            "labeller": self.method,
            "radiation": source.name,
            "elements": self.composition.formula if self.composition else None,
            "amounts_known": self.amounts_known,
            "structures": list(self.structures) if self.structures else None,
            "user_structures": [kind.name for kind in self.user_structures],
            "volumes_from_elements": self.volumes_from_elements,
        }
        return {
            "input": pattern.source,
            "radiation": source.name,
            "wavelength_A": source.wavelength_A,
            "method": self.method,
            "synthetic": bool(pattern.metadata.get("synthetic")),
            "provenance": Provenance(
                input_sha256={pattern.source: pattern.sha256} if pattern.sha256 else {},
                model_sha256=model_sha256,
                versions=versions(),
                settings=settings,
            ),
        }


def ask(
    pattern: Pattern,
    *,
    elements: Elements,
    radiation: str | float | None,
    structures: Sequence[str | Prototype] | None,
    volumes_from_elements: bool,
    method: str,
) -> Question:
    """Prepare a pattern; the parameters are those of `hea_vision.classify_pattern`."""
    source = pattern_radiation(pattern, radiation)
    composition = as_composition(elements)
    lines = find_lines(pattern, source)
    prior = log_volume_prior(composition) if volumes_from_elements else None
    named = tuple(dict.fromkeys(prototype(s).fundamental for s in structures or () if isinstance(s, str)))
    return Question(
        lines=lines,
        observed=ObservedLines(lines, prior or METAL_LOG_VOLUME),
        composition=composition,
        amounts_known=amounts_known(elements),
        structures=named or None,
        user_structures=tuple(s for s in structures or () if isinstance(s, Prototype)),
        volumes_from_elements=volumes_from_elements,
        method=method,
    )


def pattern_radiation(pattern: Pattern, radiation: str | float | None = None) -> Radiation:
    """Get the radiation of a pattern; what the user says wins.

    Raises InputError where nobody says, or the pattern was not measured with X-rays.
    """
    if not isinstance(pattern, Pattern):
        raise InputError(
            f"classify_pattern: got {type(pattern).__name__}, wanted a Pattern; read a file with read_pattern, or make"
            " one of arrays with pattern_from_arrays"
        )
    if pattern.metadata.get("probe") in ("neutron", "electron"):
        raise InputError(
            f"{pattern.source}: a {pattern.metadata['probe']} pattern; wanted X-rays, whose scattering factors are used"
        )
    return get_radiation(radiation if radiation is not None else pattern.radiation or pattern.wavelength_A)


def as_composition(elements: Elements) -> Composition | None:
    """Read elements as a composition; equal parts where only names are given.

    >>> as_composition("Al0.5 Co, Cr").formula == as_composition({"Al": 0.5, "Co": 1, "Cr": 1}).formula
    True
    """
    if elements is None or isinstance(elements, Composition):
        return elements
    if isinstance(elements, str):
        # A comma before a digit separates no elements: "Al0,5" is for the reader of formulas to refuse.
        return Composition.parse(re.sub(r"[,;](?!\s*[\d.])", "", elements))
    return Composition.parse(elements if isinstance(elements, Mapping) else dict.fromkeys(elements, 1.0))


def amounts_known(elements: Elements) -> bool:
    """Say whether amounts were given, not names alone; a formula without a digit may be a list of names."""
    if isinstance(elements, str):
        return any(character.isdigit() for character in elements)
    return isinstance(elements, (Composition, Mapping))
