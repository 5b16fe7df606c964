"""Sampling of atomic arrangements and positions: lattice Monte Carlo, exchanges of atoms, dynamics, jobs of them."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "AtomExchange": "atom_exchange",
    "AtomReplacement": "atom_exchange",
    "CanonicalWalk": "lattice_walks",
    "ClassWalk": "class_walk",
    "Dynamics": "dynamics",
    "Hybrid": "hybrid",
    "Ramp": "dynamics",
    "RelaxedExchange": "relaxed_exchange",
    "ReplicaExchange": "replica_exchange",
    "ReplicasWalk": "class_replicas",
    "SampleJob": "job",
    "SemiGrandWalk": "lattice_walks",
    "Trajectory": "trajectory",
    "VarianceConstrainedWalk": "lattice_walks",
    "VibratingExchange": "vibrating_exchange",
    "WangLandau": "wang_landau",
    "anneal": "canonical",
    "read_sample_job": "job",
    "read_trajectory": "trajectory",
    "sample": "run_job",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
