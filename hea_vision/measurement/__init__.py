"""Measure labels: area fractions with intervals, objects, and scores against a truth."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "ObjectMeasure": "objects",
    "Scores": "metrics",
    "area_fraction": "fractions",
    "correlation_area_px": "correlation",
    "measure_objects": "objects",
    "score_labels": "metrics",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
