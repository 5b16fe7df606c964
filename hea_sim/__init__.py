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
    "powder_lines": "diffraction.powder",
    "powder_pattern": "diffraction.powder",
    "prototype_from_cif": "crystals",
    "site_compositions": "crystals",
    "suggest_next": "properties.suggest",
    "virtual_micrograph": "microscopy.virtual",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
