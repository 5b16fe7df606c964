"""Which elements of an alloy stand on which sublattice of a structure type.

Rules of thumb, not thermodynamics: large atoms on the A sites of Laves phases, light ones on interstitial sites. They
set line intensities well enough to name a phase; a measured or simulated occupation takes their place where there is
one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ase.data import atomic_numbers, covalent_radii

from hea_sim.alloy import Composition
from hea_sim.crystals.prototypes import as_prototype
from hea_sim.crystals.structure_types import LIGHT_ELEMENTS, Prototype
from hea_sim.elements import elemental_volume_A3, known_elements

#: Computed volumes (A^3) of close-packed Si and Ge: in a metal they are smaller than in the diamond structure.
_CLOSE_PACKED_A3 = {"Si": 14.4, "Ge": 18.9}
#: Volume over the cube of Cordero's covalent radius (10.1039/b801115j), of the d metals in the table of elements.
_VOLUME_PER_RADIUS_CUBED = 4.6
_NOBLE_GASES = (0, 2, 10, 18, 36, 54, 86)


def site_compositions(structure: str | Prototype, composition: Composition | None) -> dict[str, Composition]:
    """Put the elements of an alloy on the sublattices of a type.

    Sublattices without a preference take the mean of all but the light elements. Ordered variants of a solid solution
    keep the alloy's composition: the larger (or p-block) elements fill their sublattice first and what is left over
    goes to the next. Intermetallic compounds, whose composition is their own, part the elements in two classes with
    the least scatter inside each. Light sublattices take the light elements that suit them, by their amounts.

    Parameters
    ----------
    structure
        Strukturbericht name or a structure type.
    composition
        Atomic fractions of the alloy; where nothing is known, and for a sublattice that no element of the alloy
        suits, the type's typical composition stands in.

    >>> {s: c.formula for s, c in site_compositions("C14", Composition.parse("CoCrFeNb")).items()}
    {'A': 'Nb', 'B': 'CoCrFe'}
    """
    kind = as_prototype(structure)
    chosen = {label: Composition.parse(kind.typical[label]) for label in kind.sublattices}
    if composition is None:
        return chosen
    amounts = {e: x for e, x in composition.items() if x > 0}
    metals = {e: x for e, x in amounts.items() if e not in LIGHT_ELEMENTS["interstitial"]}
    ranked = []
    for label in kind.sublattices:
        preference = kind.site_preference.get(label, "any")
        if preference in LIGHT_ELEMENTS:
            suited = {e: x for e, x in amounts.items() if e in LIGHT_ELEMENTS[preference]}
            chosen[label] = Composition.parse(suited) if suited else chosen[label]
        elif preference in ("any", "metal"):
            chosen[label] = Composition.parse(metals) if metals else chosen[label]
        elif preference != "typical":
            ranked.append(label)
    if metals and ranked:
        place = _fill_in_turn if kind.role == "ordered" else _part_in_classes
        chosen.update(place(kind, ranked, metals))
    return chosen


def _fill_in_turn(kind: Prototype, labels: Sequence[str], metals: dict[str, float]) -> dict[str, Composition]:
    """Fill one sublattice after the other, so that their mean is the alloy."""
    order = {"main group": 0, "large": 1}
    labels = sorted(labels, key=lambda s: order.get(kind.site_preference[s], 2))
    main_group_first = kind.site_preference[labels[0]] == "main group"
    counts = kind.stoichiometry
    sites = sum(counts[s] for s in labels)
    total = sum(metals.values())
    waiting = [
        (e, metals[e] / total)
        for e in sorted(metals, key=lambda e: (main_group_first and _is_main_group(e), _size_A3(e)), reverse=True)
    ]
    filled: dict[str, Composition] = {}
    for label in labels:
        room, here = counts[label] / sites, {}
        while waiting and room > 1e-9:
            element, share = waiting.pop(0)
            here[element] = min(share, room)
            room -= here[element]
            if share - here[element] > 1e-9:
                waiting.insert(0, (element, share - here[element]))
        filled[label] = Composition.parse(here)
    return filled


def _part_in_classes(kind: Prototype, labels: Sequence[str], metals: dict[str, float]) -> dict[str, Composition]:
    """Give each sublattice its class of elements: large or small, early or late, p-block."""
    placed: dict[str, Composition] = {}
    for label in labels:
        preference = kind.site_preference[label]
        if preference == "main group":
            suited = {e: x for e, x in metals.items() if _is_main_group(e)}
        elif preference in ("large", "small"):
            suited = _class_of(metals, _size_A3, upper=preference == "large")
        else:
            # One group of the periodic table only, such as tungsten with the structure of beta-W: it takes all sites.
            suited = _class_of(metals, _group_of, upper=preference == "late") or metals
        if suited:
            placed[label] = Composition.parse(suited)
    return placed


def _class_of(metals: dict[str, float], measure: Callable[[str], float], *, upper: bool) -> dict[str, float]:
    """Part elements where the variance between two classes is largest (Otsu); none where all measure the same."""
    elements = sorted(metals, key=measure)
    best, cut = 0.0, 0
    for k in range(1, len(elements)):
        low, high = elements[:k], elements[k:]
        weights = [sum(metals[e] for e in part) for part in (low, high)]
        means = [sum(metals[e] * measure(e) for e in part) / w for part, w in zip((low, high), weights)]
        between = weights[0] * weights[1] * (means[1] - means[0]) ** 2
        if between > best * (1 + 1e-12):
            best, cut = between, k
    if not cut:
        return {}
    return {e: x for e, x in metals.items() if e in (elements[cut:] if upper else elements[:cut])}


def _size_A3(element: str) -> float:
    """Give the volume of an atom in a metal: measured, else from the covalent radius."""
    if element in _CLOSE_PACKED_A3:
        return _CLOSE_PACKED_A3[element]
    if element in known_elements():
        return elemental_volume_A3(element).value
    return float(_VOLUME_PER_RADIUS_CUBED * covalent_radii[atomic_numbers[element]] ** 3)


def _group_of(element: str) -> int:
    """Give the group (1 to 18) of the periodic table; lanthanides and actinides count as group 3.

    >>> [_group_of(e) for e in ("Mg", "Al", "Ti", "Ni", "La", "Gd", "W", "Bi")]
    [2, 13, 4, 10, 3, 3, 6, 15]
    """
    number = atomic_numbers[element]
    before = max(n for n in _NOBLE_GASES if n < number)
    column = number - before
    length = {0: 2, 2: 8, 10: 8, 18: 18, 36: 18}.get(before, 32)
    if column <= 2:
        return column if length > 2 or column == 1 else 18
    if length == 32:
        return max(3, column - 14)
    return column + 18 - length


def _is_main_group(element: str) -> bool:
    return _group_of(element) >= 13
