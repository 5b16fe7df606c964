"""Virtual micrographs with their exact truth."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "Dendrites": "dendrites",
    "Eutectic": "eutectic",
    "FilmNetwork": "networks",
    "GrainContrast": "grain_contrast",
    "GrainForm": "grain_forms",
    "Intermetallics": "networks",
    "KINDS": "random_fields",
    "Layers": "layers",
    "MODALITIES": "virtual",
    "PhaseContrast": "phase_contrast",
    "Population": "precipitates",
    "Scene": "scenes",
    "Section": "sections",
    "SemInstrument": "instrument",
    "Surface": "precipitates",
    "VirtualMicrograph": "virtual",
    "add_cracks": "damage",
    "add_pores": "damage",
    "draw_columns": "columns",
    "draw_dendrites": "dendrites",
    "draw_eutectic": "eutectic",
    "draw_field": "random_fields",
    "draw_grains": "grains",
    "draw_instrument": "instrument",
    "draw_intermetallics": "networks",
    "draw_layers": "layers",
    "draw_network": "networks",
    "draw_precipitates": "precipitates",
    "draw_section": "sections",
    "photograph": "instrument",
    "random_phases": "phases",
    "virtual_micrograph": "virtual",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
