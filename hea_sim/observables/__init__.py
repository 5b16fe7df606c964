"""What is read from simulated arrangements: order, transitions, distances, structures, precipitates, scattering."""

from hea_sim._lazy import lazy_names

# Not lazy: a function that is named like its module would be hidden by it once the module is imported.
from hea_sim.observables.warren_cowley import blocked_mean as blocked_mean
from hea_sim.observables.warren_cowley import sublattice_occupancy as sublattice_occupancy
from hea_sim.observables.warren_cowley import warren_cowley as warren_cowley
from hea_sim.observables.warren_cowley import warren_cowley_of_pairs as warren_cowley_of_pairs

_NAMES = {
    "binder_crossing": "transitions",
    "binder_cumulant": "transitions",
    "composition_map": "composition_maps",
    "find_precipitates": "precipitates",
    "find_transitions": "transitions",
    "frequency_distribution": "composition_maps",
    "heat_capacity_curve": "transitions",
    "laue_intensity": "diffuse_scattering",
    "local_distortion": "distortion",
    "long_range_order": "superlattice_order",
    "ordering_waves": "superlattice_order",
    "radial_distribution": "rdf",
    "radial_structure_factor": "diffuse_scattering",
    "reweight": "reweighting",
    "structure_factor": "diffuse_scattering",
    "structure_fractions": "common_neighbours",
    "structure_types": "common_neighbours",
}
__all__ = sorted([*_NAMES, "blocked_mean", "sublattice_occupancy", "warren_cowley", "warren_cowley_of_pairs"])
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
