"""Mechanics of crystals with any potential: volume, elastic constants, vacancies, and all of these of an alloy."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "AlloyMechanics": "alloy",
    "CubicConstants": "elastic",
    "ElasticConstants": "elastic",
    "Moduli": "elastic",
    "RelaxedCell": "volume",
    "VacancyEnergy": "vacancy",
    "elastic_constants": "elastic",
    "element_cell": "alloy",
    "relaxed_alloy": "alloy",
    "relaxed_volume": "volume",
    "vacancy_formation_energy": "vacancy",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
