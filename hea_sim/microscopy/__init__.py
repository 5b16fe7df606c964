"""Virtual micrographs with their exact truth."""

from hea_sim._lazy import lazy_names

_NAMES = {"MODALITIES": "virtual", "VirtualMicrograph": "virtual", "virtual_micrograph": "virtual"}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
