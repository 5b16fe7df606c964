"""Compositions as people type them: what is wrong is refused, what was mended is noted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from hea_sim.alloy import Composition
from hea_sim.errors import InputError

#: Sums of amounts that look like fractions or per cent and miss 1 or 100 by more than rounding.
_LOOKS_LIKE = ((1.0, 0.85, 1.15, 0.0015), (100.0, 85.0, 115.0, 0.15))
_SYMBOL = re.compile(r"[A-Z][a-z]?")


def read_alloy(text: str | Mapping[str, float] | Composition) -> tuple[Composition, tuple[str, ...]]:
    """Read a composition and say what was mended: amounts that look like fractions or per cent and do not add up.

    Raises InputError for an unknown or repeated symbol, a negative amount, or an element alone.

    Examples
    --------
    >>> read_alloy("Al0.1Co0.9")[1]
    ()
    >>> read_alloy("Al0.1Co0.8")[1]
    ('the amounts sum to 0.9; read as fractions and normalised to 1',)
    """
    if isinstance(text, str):
        repeated = [symbol for symbol, n in Counter(_SYMBOL.findall(text)).items() if n > 1]
        if repeated:
            raise InputError(
                f"composition {text!r}: {', '.join(repeated)} stands there more than once; wanted each symbol once,"
                " with its whole amount"
            )
    alloy = Composition.parse(text)
    if len(alloy) < 2:
        raise InputError(f"composition {text!r}: one element alone; wanted an alloy of two or more, such as CoCrFeNi")
    return alloy, _mended(text, alloy)


def _mended(text: str | Mapping[str, float] | Composition, alloy: Composition) -> tuple[str, ...]:
    if isinstance(text, Composition):
        return ()
    if isinstance(text, str):
        amounts = [float(number or 1) for number in re.findall(r"[A-Z][a-z]?\s*([0-9]*\.?[0-9]*)", text)]
    else:
        amounts = list(text.values())
    total = sum(amounts)
    for whole, low, high, slack in _LOOKS_LIKE:
        # A formula such as "Al0.5CoCrFeNi" is no list of fractions, whatever its sum.
        fractional = whole > 1 or all(amount < 1 for amount in amounts)
        if fractional and low <= total <= high and abs(total - whole) > slack:
            name = "fractions" if whole == 1 else "per cent"
            return (f"the amounts sum to {total:.6g}; read as {name} and normalised to {whole:g}",)
    return ()
