"""From measured pictures and patterns back to labels, and on to a comparison with simulation."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "Campaign": "campaign",
    "PhaseClassifier": "xrd.estimator",
    "classify_pattern": "xrd.classify",
    "crosscheck": "claims",
    "integrate_image": "io.detector",
    "pattern_from_arrays": "io.patterns",
    "propose_phases": "xrd.fast_mode",
    "read_campaign": "campaign",
    "read_labels": "io.labels",
    "read_micrograph": "io.micrographs",
    "read_pattern": "io.patterns",
    "read_patterns": "io.patterns",
    "run_loop": "loop",
    "segment": "segmentation.registry",
    "write_labels": "io.labels",
    "write_pattern": "io.patterns",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
