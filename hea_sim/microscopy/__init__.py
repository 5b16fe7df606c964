"""Virtual micrographs with their exact truth."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "GrainContrast": "grain_contrast",
    "GrainForm": "grain_forms",
    "KINDS": "random_fields",
    "MODALITIES": "virtual",
    "Population": "precipitates",
    "Scene": "scenes",
    "SemInstrument": "instrument",
    "Surface": "precipitates",
    "VirtualMicrograph": "virtual",
    "add_cracks": "damage",
    "add_pores": "damage",
    "draw_columns": "columns",
    "draw_field": "random_fields",
    "draw_grains": "grains",
    "draw_instrument": "instrument",
    "draw_precipitates": "precipitates",
    "photograph": "instrument",
    "random_phases": "phases",
    "virtual_micrograph": "virtual",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
