"""What is read from simulated arrangements: Warren-Cowley short-range order and sublattice occupancy."""

# Not lazy: a function that is named like its module would be hidden by it once the module is imported.
from hea_sim.observables.warren_cowley import (
    blocked_mean,
    sublattice_occupancy,
    warren_cowley,
    warren_cowley_of_pairs,
)

__all__ = ["blocked_mean", "sublattice_occupancy", "warren_cowley", "warren_cowley_of_pairs"]
