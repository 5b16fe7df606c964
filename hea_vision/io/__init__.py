"""Files in and out: the only room that opens micrographs, patterns, label images and composition tables."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "DETECTOR_SUFFIXES": "patterns",
    "IMAGE_SUFFIXES": "micrographs",
    "PATTERN_SUFFIXES": "patterns",
    "RADIATIONS": "patterns",
    "ReadOptions": "read_options",
    "CompositionTable": "composition_tables",
    "ElementMaps": "eds",
    "LineScan": "composition_tables",
    "count_pages": "micrographs",
    "find_inputs": "folders",
    "integrate_image": "detector",
    "mean_composition": "composition_tables",
    "open_micrograph": "micrographs",
    "parse_length": "lengths",
    "pattern_from_arrays": "patterns",
    "read_composition_table": "composition_tables",
    "read_element_pictures": "eds_pictures",
    "read_instances": "labels",
    "read_label_stack": "labels",
    "read_labels": "labels",
    "read_line_scan": "composition_tables",
    "read_micrograph": "micrographs",
    "read_micrographs": "micrographs",
    "read_pattern": "patterns",
    "read_patterns": "patterns",
    "read_spectrum_image": "eds",
    "without_results": "folders",
    "write_instances": "labels",
    "write_label_stack": "labels",
    "write_labels": "labels",
    "write_pattern": "patterns",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
