"""What volume per atom the elements of a specimen allow."""

from __future__ import annotations

import numpy as np

from hea_sim.alloy import Composition
from hea_sim.elements import elemental_volume_A3
from hea_sim.errors import HEAError

#: Volume per atom of metallic phases where no elements are known: mean and std of its logarithm (A^3).
METAL_LOG_VOLUME = (2.63, 0.25)


def log_volume_prior(composition: Composition | None) -> tuple[float, float] | None:
    """Give mean and std of the logarithm of the volume per atom in A^3; None where the elements do not say.

    An unknown mixture of the elements may stand in the specimen, so their spread counts by one half.
    """
    if composition is None:
        return None
    try:
        volumes = {e: elemental_volume_A3(e).value for e in composition}
    except HEAError:  # an element outside the table of metals
        return None
    mean = sum(composition[e] * v for e, v in volumes.items())
    spread = sum(composition[e] * (v - mean) ** 2 for e, v in volumes.items()) ** 0.5 / mean
    return float(np.log(mean)), float(np.hypot(0.05, 0.5 * spread))
