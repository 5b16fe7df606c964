"""From composition to a first opinion on phase and structure, with its reliability, and to the next composition."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "CompositionOpinion": "rules",
    "Reliability": "reliability",
    "Suggestion": "suggest",
    "first_opinion": "rules",
    "suggest_next": "suggest",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
