"""Forward physics of high-entropy alloys: from composition to atoms to patterns and pictures."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "Composition": "alloy",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
