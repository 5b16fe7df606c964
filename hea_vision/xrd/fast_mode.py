"""The fast mode: what the network finds likely, without a fit. Torch is loaded when it is used."""

from __future__ import annotations

from collections.abc import Sequence

from hea_sim.alloy import Composition
from hea_sim.records import Pattern

#: How results of this mode say what they are.
PROPOSALS_ONLY = "network, proposals only: no lattice was fitted and no set of phases judged"


def propose_phases(
    patterns: Sequence[Pattern],
    *,
    elements: str | Sequence[str] | Composition | None = None,
    radiation: str | float | None = None,
    device: str = "cpu",
    batch: int = 64,
) -> list[dict[str, float]]:
    """Give the network's probability of every structure type for many patterns at once.

    No lattice is fitted, no set judged and nothing refused: `hea_vision.classify_pattern` does that.

    Parameters
    ----------
    elements, radiation
        As for `classify_pattern`, common to all patterns.
    device, batch
        Where torch computes, and how many patterns at once.
    """
    from hea_vision.xrd import proposals

    return proposals.propose_phases(patterns, elements=elements, radiation=radiation, device=device, batch=batch)
