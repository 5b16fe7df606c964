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
    "ReplicaExchange": "replica_exchange",
    "ReplicasWalk": "class_replicas",
    "SampleJob": "job",
    "SemiGrandWalk": "lattice_walks",
    "VarianceConstrainedWalk": "lattice_walks",
    "WangLandau": "wang_landau",
    "anneal": "canonical",
    "read_sample_job": "job",
    "sample": "run_job",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
