"""From measured pictures and patterns back to labels, and on to a comparison with simulation."""

from hea_sim._lazy import lazy_names

_NAMES: dict[str, str] = {}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
