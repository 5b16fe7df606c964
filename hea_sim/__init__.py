"""Forward physics of high-entropy alloys: from composition to atoms to patterns and pictures."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "Composition": "alloy",
    "Estimate": "records",
    "Forecast": "forecasting",
    "HEAError": "errors",
    "Pattern": "records",
    "anneal": "sampling.canonical",
    "build_crystal": "crystals",
    "crystal_from_cif": "crystals",
    "first_opinion": "properties.rules",
    "forecast": "forecasting",
    "list_models": "registry.cards",
    "load_lattice_model": "lattice.pairs",
    "load_potential": "potentials.loading",
    "load_predictor": "properties.predictor",
    "powder_lines": "diffraction.powder",
    "powder_pattern": "diffraction.powder",
    "prototype_from_cif": "crystals",
    "second_opinions": "properties.second_opinions.opinions",
    "site_compositions": "crystals",
    "solution_strength": "properties.strengthening.strength",
    "suggest": "properties.design.suggestion",
    "suggest_neighbours": "properties.design.neighbours",
    "virtual_micrograph": "microscopy.virtual",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
