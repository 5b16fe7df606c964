"""Which potential is used for an alloy, and what a report must say of it: its name, why it, its SHA-256, its scores."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hea_sim.documents import sha256_of
from hea_sim.errors import InputError
from hea_sim.potentials.loading import RECOMMENDED, load_potential, shipped_potentials
from hea_sim.registry.cards import CARD_FILE, MODELS, ModelCard, read_card

#: Words that name no potential: take the recommended one that is shipped; use none.
RECOMMENDED_ONE, NO_POTENTIAL = "recommended", "none"
_PAIRED = (".snapcoeff", ".snapparam")
_FILES = (*_PAIRED, ".mtp", ".alloy", ".setfl")


@dataclass(frozen=True, kw_only=True)
class PotentialRecord:
    """Hold what is to be said of a potential that was used.

    `why` it was taken; `sha256` of each file that it was read from, or of a shipped model's arrays; `scores` and
    `notes` of its card, each score with value, unit and how it was measured.
    """

    name: str
    why: str
    elements: tuple[str, ...] = ()
    sha256: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def energy_error_eV_per_atom(self) -> float | None:
        """Root mean square error of energies by the card, None where there is none."""
        score = self.scores.get("energy_rmse")
        return 1e-3 * float(score["value"]) if score and score["unit"] == "meV/atom" else None


@dataclass(frozen=True, kw_only=True, eq=False)
class ChosenPotential:
    """Hold a potential, or an ASE calculator, with what is to be said of it."""

    potential: Any
    record: PotentialRecord


def potential_for(elements: Iterable[str], cards: Sequence[ModelCard] | None = None) -> str | None:
    """Name the recommended shipped potential with the fewest elements that holds all of these; None where none does.

    `cards` stand in for those of the shipped potentials.
    """
    wanted = set(elements)
    known = {card.name: card.elements for card in (shipped_potentials() if cards is None else cards)}
    best = [next((name for name in names if name in known), None) for names in RECOMMENDED.values()]
    fitting = [(len(known[name]), name) for name in best if name and wanted <= set(known[name])]
    return min(fitting)[1] if fitting else None


def choose_potential(
    asked: Any, elements: Iterable[str], *, species: Sequence[str] | None = None
) -> ChosenPotential | None:
    """Choose the potential for an alloy of some elements.

    Parameters
    ----------
    asked
        "recommended": the shipped one that `potential_for` names; None or "none": no potential. Else whatever
        `load_potential` takes, a potential, an ASE calculator, or what this function gave before.
    species
        Elements in the order in which a published file numbers them.

    Returns
    -------
    ChosenPotential
        None where no potential is asked for, and where none that is shipped holds the elements.

    Raises
    ------
    InputError
        Where the potential that is asked for lacks an element.
    """
    wanted = tuple(dict.fromkeys(elements))
    if asked is None or asked == NO_POTENTIAL:
        return None
    if isinstance(asked, ChosenPotential):
        chosen = asked
    elif asked == RECOMMENDED_ONE:
        name = potential_for(wanted)
        if name is None:
            return None
        chosen = _loaded(name, None, f"recommended of the shipped potentials for {', '.join(wanted)}")
    elif isinstance(asked, (str, os.PathLike)):
        by_pairs = tuple(sorted(wanted)) if str(asked) == "zhou-eam" else None
        chosen = _loaded(asked, species or by_pairs, f"asked for as '{asked}'")
    else:
        name = str(getattr(asked, "name", type(asked).__name__))
        known = tuple(getattr(asked, "elements", ()))
        chosen = ChosenPotential(
            potential=asked, record=PotentialRecord(name=name, why="given by the caller", elements=known)
        )
    record = chosen.record
    missing = [element for element in wanted if record.elements and element not in record.elements]
    if missing:
        raise InputError(
            f"potential {record.name} has no {', '.join(missing)}; it knows {', '.join(record.elements)}: name another"
            f" that holds {', '.join(wanted)}, or '{NO_POTENTIAL}'"
        )
    return chosen


def potential_files(name: str | os.PathLike[str]) -> tuple[Path, ...]:
    """List the files of a potential that is named by a published file; none for all other names.

    >>> [path.name for path in potential_files("Ta-W.snapcoeff")], potential_files("nbmotaw-mtp")
    (['Ta-W.snapcoeff', 'Ta-W.snapparam'], ())
    """
    path = Path(name)
    if path.suffix in _PAIRED:
        return tuple(path.with_suffix(suffix) for suffix in _PAIRED)
    return (path,) if path.suffix in _FILES else ()


def _loaded(name: str | os.PathLike[str], species: Sequence[str] | None, why: str) -> ChosenPotential:
    """Load a potential and collect what its card or its files say."""
    potential: Any = load_potential(name, species=species or None)
    path = Path(name)
    folder = path if (path / CARD_FILE).is_file() else MODELS / potential.name
    notes = tuple(getattr(potential, "notes", ()))
    said: dict[str, Any] = {"name": potential.name, "why": why, "elements": tuple(potential.elements), "notes": notes}
    if files := potential_files(path):
        said["sha256"] = {file.name: sha256_of(file) for file in files}
    elif (folder / CARD_FILE).is_file():
        card = read_card(folder)
        scores = {key: score.model_dump() for key, score in card.scores.items()}
        said |= {"sha256": {card.name: card.arrays_sha256}, "scores": scores}
    return ChosenPotential(potential=potential, record=PotentialRecord(**said))
