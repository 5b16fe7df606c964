"""Label micrographs: matrix, second phase, pores. Every segmenter has a name, and none is the default."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "SEGMENTERS": "registry",
    "checked_device": "registry",
    "known_model": "registry",
    "known_segmenters": "models",
    "load_segmenter": "models",
    "model_sha256": "models",
    "overlay_rgb": "overlay",
    "segment": "registry",
    "segment_classical": "classical",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
