"""Measure labels to standard: fractions, grain size, particles, lamellae, strain; and scores against a truth."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "ClassComposition": "composition",
    "ColumnStrain": "strain",
    "FieldFraction": "fields",
    "InterceptGrainSize": "grain_size",
    "LamellarSpacing": "lamellae",
    "Measurements": "measure_labels",
    "ObjectMeasure": "objects",
    "Particles": "particles",
    "PlanimetricGrainSize": "planimetric",
    "Scores": "metrics",
    "Segregation": "segregation",
    "area_fraction": "fractions",
    "area_fraction_over_fields": "fields",
    "column_strain": "strain",
    "composition_by_class": "composition",
    "correlation_area_px": "correlation",
    "count_grains": "planimetric",
    "count_intercepts": "intercepts",
    "grains_of_boundaries": "intercepts",
    "intercept_grain_size": "grain_size",
    "join_fields": "measure_labels",
    "lamellar_spacing": "lamellae",
    "measure": "measure_labels",
    "measure_objects": "objects",
    "measure_particles": "particles",
    "measure_segregation": "segregation",
    "measure_shapes": "shapes",
    "neighbour_distances": "spacing",
    "pattern_probes": "probes",
    "planimetric_grain_size": "planimetric",
    "point_count_fraction": "fields",
    "quantify": "composition",
    "saltykov_spheres": "particles",
    "score_labels": "metrics",
    "size_distribution": "particles",
    "summed_composition": "composition",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
