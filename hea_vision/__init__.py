"""From measured pictures and patterns back to labels, and on to a comparison with simulation."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "Campaign": "campaign",
    "PhaseClassifier": "xrd.estimator",
    "classify_pattern": "xrd.classify",
    "composition_by_class": "measurement.composition",
    "crosscheck": "claims",
    "integrate_image": "io.detector",
    "measure": "measurement.measure_labels",
    "measure_segregation": "measurement.segregation",
    "open_micrograph": "io.micrographs",
    "pattern_from_arrays": "io.patterns",
    "propose_phases": "xrd.fast_mode",
    "quantify": "measurement.composition",
    "read_campaign": "campaign",
    "read_element_pictures": "io.eds_pictures",
    "read_instances": "io.labels",
    "read_label_stack": "io.labels",
    "read_labels": "io.labels",
    "read_line_scan": "io.composition_tables",
    "read_micrograph": "io.micrographs",
    "read_micrographs": "io.micrographs",
    "read_pattern": "io.patterns",
    "read_patterns": "io.patterns",
    "read_spectrum_image": "io.eds",
    "run_loop": "loop",
    "segment": "segmentation.registry",
    "write_instances": "io.labels",
    "write_label_stack": "io.labels",
    "write_labels": "io.labels",
    "write_pattern": "io.patterns",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
