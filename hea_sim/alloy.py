"""Compositions: parse, convert, format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ase.data import atomic_masses, atomic_numbers

from hea_sim.errors import InputError

_TOKEN = re.compile(r"([A-Z][a-z]?)([0-9]*\.?[0-9]*)")


@dataclass(frozen=True)
class Composition(Mapping[str, float]):
    """Hold atomic fractions by element, in the order they were given; they sum to one.

    >>> alloy = Composition.parse("Al0.5CoCrFeNi")
    >>> alloy.formula, round(alloy["Al"], 4)
    ('Al0.5CoCrFeNi', 0.1111)
    """

    fractions: tuple[tuple[str, float], ...]

    @classmethod
    def parse(cls, text: str | Mapping[str, float]) -> Composition:
        """Read a formula such as "NbMoTaW" or "Al0.5 Co Cr", or a mapping of element to atomic amount.

        Raises InputError for an unknown element, a negative amount, or amounts that sum to zero.
        """
        if isinstance(text, Composition):
            return text
        if not isinstance(text, (str, Mapping)):
            raise InputError(
                f"composition: got {type(text).__name__}, wanted a formula such as 'NbMoTaW' or a mapping of element to"
                " amount"
            )
        return cls._from_amounts(text if isinstance(text, Mapping) else _parse_formula(text), str(text))

    @classmethod
    def from_weight(cls, amounts: Mapping[str, float]) -> Composition:
        """Read weight fractions or wt.%.

        >>> round(Composition.from_weight({"Ni": 70.0, "Al": 30.0})["Al"], 3)
        0.482
        """
        for element in amounts:
            _check_element(element, str(dict(amounts)))
        moles = {e: w / atomic_masses[atomic_numbers[e]] for e, w in amounts.items()}
        return cls._from_amounts(moles, str(dict(amounts)))

    @classmethod
    def _from_amounts(cls, amounts: Mapping[str, float], text: str) -> Composition:
        for element, amount in amounts.items():
            _check_element(element, text)
            if not (amount >= 0 and amount < float("inf")):
                raise InputError(f"composition {text!r}: amount of {element} is {amount}; wanted a number >= 0")
        total = sum(amounts.values())
        if not total > 0:
            raise InputError(f"composition {text!r}: the amounts sum to {total:g}; wanted at least one above zero")
        return cls(tuple((e, float(a / total)) for e, a in amounts.items() if a > 0))

    @property
    def elements(self) -> tuple[str, ...]:
        """Give the elements in order."""
        return tuple(e for e, _ in self.fractions)

    @property
    def formula(self) -> str:
        """Write the formula with amounts relative to the commonest element."""
        values = [f for _, f in self.fractions]
        common = max(set(values), key=lambda v: (sum(abs(v - w) < 1e-9 for w in values), v))
        parts = []
        for element, fraction in self.fractions:
            amount = f"{fraction / common:.4g}"
            parts.append(element if amount == "1" else element + amount)
        return "".join(parts)

    def weight_fractions(self) -> dict[str, float]:
        """Convert to weight fractions that sum to one."""
        weights = {e: f * float(atomic_masses[atomic_numbers[e]]) for e, f in self.fractions}
        total = sum(weights.values())
        return {e: w / total for e, w in weights.items()}

    def counts(self, n_sites: int) -> dict[str, int]:
        """Share out n_sites by largest remainder.

        >>> Composition.parse("NbMoTa").counts(16)
        {'Nb': 6, 'Mo': 5, 'Ta': 5}
        """
        exact = {e: f * n_sites for e, f in self.fractions}
        counts = {e: int(x + 1e-9) for e, x in exact.items()}
        by_remainder = sorted(exact, key=lambda e: counts[e] - exact[e])
        for element in by_remainder[: n_sites - sum(counts.values())]:
            counts[element] += 1
        return counts

    def __getitem__(self, element: str) -> float:
        for e, f in self.fractions:
            if e == element:
                return f
        raise KeyError(element)

    def __iter__(self) -> Iterator[str]:
        return iter(self.elements)

    def __len__(self) -> int:
        return len(self.fractions)

    def __str__(self) -> str:
        return self.formula


def parse_elements(text: str) -> tuple[str, ...]:
    """Read a list of elements such as "NbMoTaW" or "Nb, Mo, Ta".

    >>> parse_elements("Nb, Mo Ta")
    ('Nb', 'Mo', 'Ta')
    """
    return Composition.parse(re.sub(r"[,;\s]+", "", text)).elements


def _check_element(element: str, text: str) -> None:
    if element not in atomic_numbers or atomic_numbers[element] == 0:
        raise InputError(f"composition {text!r}: '{element}' is no element; wanted symbols such as Nb, Mo, Al")


def _parse_formula(text: str) -> dict[str, float]:
    compact = re.sub(r"[\s_]+", "", text)
    amounts: dict[str, float] = {}
    position = 0
    while position < len(compact):
        match = _TOKEN.match(compact, position)
        if not match or match.group(2) == ".":
            raise InputError(
                f"composition {text!r}: cannot read '{compact[position : position + 8]}';"
                " wanted element symbols with amounts, such as Al0.5CoCrFeNi"
            )
        amount = float(match.group(2)) if match.group(2) else 1.0
        amounts[match.group(1)] = amounts.get(match.group(1), 0.0) + amount
        position = match.end()
    if not amounts:
        raise InputError(f"composition {text!r} is empty; wanted a formula such as NbMoTaW")
    return amounts
