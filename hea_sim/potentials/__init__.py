"""Energy of atoms: one contract for fitted, published and universal potentials."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "AtomisticResult": "contract",
    "Potential": "contract",
    "SitePotential": "contract",
    "check_potential": "checks",
    "find_neighbours": "environment",
    "load_potential": "loading",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
