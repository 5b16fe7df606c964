"""Mechanics of crystals with any potential: volume, elastic constants, vacancies."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "CubicConstants": "elastic",
    "ElasticConstants": "elastic",
    "Moduli": "elastic",
    "RelaxedCell": "volume",
    "VacancyEnergy": "vacancy",
    "elastic_constants": "elastic",
    "relaxed_volume": "volume",
    "vacancy_formation_energy": "vacancy",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
