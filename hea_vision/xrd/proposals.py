"""What the trained network finds likely in a pattern."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from hea_sim.registry import load_arrays
from hea_vision.xrd.encoding import EncodedPattern
from hea_vision.xrd.network import OUTPUTS, PhaseProposer

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
