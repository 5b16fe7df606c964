"""The one door to pattern labellers, whatever method stands behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hea_sim.crystals import Prototype
from hea_sim.errors import unknown_name
from hea_sim.records import Pattern, PatternCall
from hea_vision.xrd.question import Elements, Question, ask


def _match(question: Question) -> PatternCall:
    from hea_vision.xrd.matcher import label_by_matching

    return label_by_matching(question)


def _label_with_network(question: Question) -> PatternCall:
    from hea_vision.xrd.network_labeller import label_with_network  # torch is loaded where it is used

    return label_with_network(question)


#: The labeller that is taken where nobody names one.
DEFAULT_LABELLER = "network"
#: Labellers by name.
PATTERN_LABELLERS: dict[str, Callable[[Question], PatternCall]] = {
    "matcher": _match,
    "network": _label_with_network,
}


def classify_pattern(
    pattern: Pattern,
    *,
    elements: Elements = None,
    radiation: str | float | None = None,
    structures: Sequence[str | Prototype] | None = None,
    volumes_from_elements: bool = True,
    model: str = DEFAULT_LABELLER,
) -> PatternCall:
    """Say which phases a powder pattern shows, and how sure that is.

    Parameters
    ----------
    pattern
        From `hea_vision.read_pattern`, or arrays in a `Pattern`.
    elements
        What the specimen is made of, where known: "Al0.5CoCrFeNi", a mapping or a `Composition`; of a list of names, or
        a formula without numbers, the amounts count as unknown.
    radiation
        Tube ("CuKa") or wavelength in Angstrom; needed where the pattern does not say.
    structures
        Structure types to consider ("A1", "A2", "sigma" ...); all that the labeller knows where left out. Structures of
        your own, from `hea_sim.prototype_from_cif`, join them.
    volumes_from_elements
        False where the label shall test whether these are the elements: lattices are then found without them.
    model
        Labeller; the result names it. `network` lets a trained network propose structure types, fits them and ranks the
        sets with calibrated probabilities; `matcher` fits nine prototypes and needs no network.

    Returns
    -------
    PatternCall
        Phases with probabilities, lattices and fractions, alternative assemblages, what stays unexplained, and
        `in_scope` with the reason where no metallic phase explains the pattern.

    Raises
    ------
    InputError
        Where no radiation is known, or an element does not exist.
    UnknownNameError
        For an unknown labeller, tube or structure.
    """
    if model not in PATTERN_LABELLERS:
        raise unknown_name("pattern labeller", model, PATTERN_LABELLERS)
    question = ask(
        pattern,
        elements=elements,
        radiation=radiation,
        structures=structures,
        volumes_from_elements=volumes_from_elements,
        method=model,
    )
    return PATTERN_LABELLERS[model](question)
