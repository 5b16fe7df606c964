"""What the trained network finds likely in a pattern."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from hea_sim.alloy import Composition
from hea_sim.records import Pattern
from hea_sim.registry import load_arrays
from hea_vision.xrd.encoding import EncodedPattern, encode_pattern
from hea_vision.xrd.network import OUTPUTS, STRUCTURES, PhaseProposer
from hea_vision.xrd.question import as_composition, pattern_radiation
from hea_vision.xrd.scans import prepare_scan
from hea_vision.xrd.volumes import log_volume_prior

#: The model that comes with the package.
PROPOSER = "xrd-proposer"


@lru_cache(maxsize=4)
def load_proposer(model: str = PROPOSER) -> PhaseProposer:
    """Load a trained network of the registry; its file's SHA-256 is compared with its card's."""
    network = PhaseProposer()
    arrays = load_arrays(model)
    network.load_state_dict({name: torch.from_numpy(np.array(array, np.float32)) for name, array in arrays.items()})
    return network.eval()


@torch.no_grad()
def log_odds(
    encoded: Sequence[EncodedPattern], *, network: PhaseProposer | None = None, device: str = "cpu"
) -> list[dict[str, float]]:
    """Give the logarithm of the odds that each structure type is there, for a batch of patterns."""
    model = (network or load_proposer()).to(device)
    channels = torch.from_numpy(np.stack([e.channels for e in encoded])).to(device)
    scalars = torch.from_numpy(np.stack([e.scalars for e in encoded])).to(device)
    logits = model(channels, scalars).cpu().numpy()
    return [dict(zip(OUTPUTS, row.tolist())) for row in logits]


def propose_phases(
    patterns: Sequence[Pattern],
    *,
    elements: str | Sequence[str] | Composition | None = None,
    radiation: str | float | None = None,
    device: str = "cpu",
    batch: int = 64,
) -> list[dict[str, float]]:
    """Give the network's probability of every structure type for many patterns at once: the fast mode.

    No lattice is fitted and no set judged: `classify_pattern` does that.

    Parameters
    ----------
    elements, radiation
        As for `classify_pattern`, common to all patterns.
    """
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
