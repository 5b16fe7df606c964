"""Files in and out: the only room that opens micrographs, patterns, label images and composition tables."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "DETECTOR_SUFFIXES": "patterns",
    "IMAGE_SUFFIXES": "micrographs",
    "PATTERN_SUFFIXES": "patterns",
    "RADIATIONS": "patterns",
    "CompositionTable": "composition_tables",
    "find_inputs": "folders",
    "integrate_image": "detector",
    "mean_composition": "composition_tables",
    "pattern_from_arrays": "patterns",
    "read_composition_table": "composition_tables",
    "read_labels": "labels",
    "read_micrograph": "micrographs",
    "read_pattern": "patterns",
    "read_patterns": "patterns",
    "write_labels": "labels",
    "write_pattern": "patterns",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
