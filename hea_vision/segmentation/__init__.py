"""Label micrographs: matrix, second phase, pores. Every segmenter has a name, and none is the default."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "SEGMENTERS": "registry",
    "overlay_rgb": "overlay",
    "segment": "registry",
    "segment_classical": "classical",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
