"""Sampling of atomic arrangements: canonical lattice Monte Carlo under a pair Hamiltonian."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "anneal": "canonical",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
