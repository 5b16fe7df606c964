"""The fast mode: what the network finds likely, without a fit. Torch is loaded when it is used."""

from __future__ import annotations

from collections.abc import Sequence

from hea_sim.records import Pattern
from hea_vision.xrd.question import Elements

#: How results of this mode say what they are.
PROPOSALS_ONLY = "network, proposals only: no lattice was fitted and no set of phases judged"


def propose_phases(
    patterns: Sequence[Pattern],
    *,
    elements: Elements = None,
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
    import numpy as np

    from hea_vision.xrd.encoding import encode_pattern
    from hea_vision.xrd.network import STRUCTURES
    from hea_vision.xrd.proposals import log_odds
    from hea_vision.xrd.question import as_composition, pattern_radiation
    from hea_vision.xrd.scans import prepare_scan
    from hea_vision.xrd.volumes import log_volume_prior

    composition = as_composition(elements)
    encoded = []
    for pattern in patterns:
        source = pattern_radiation(pattern, radiation)
        scan = prepare_scan(pattern)
        encoded.append(
            encode_pattern(
                scan.angles,
                scan.intensity,
                scan.background,
                scan.noise,
                source,
                log_volume=log_volume_prior(composition),
            )
        )
    odds = [row for i in range(0, len(encoded), batch) for row in log_odds(encoded[i : i + batch], device=device)]
    return [{name: float(1 / (1 + np.exp(-row[name]))) for name in STRUCTURES} for row in odds]
