"""From a target back to alloys: candidates under hard constraints, with probabilities, intervals and reasons."""

from hea_sim._lazy import lazy_names

_NAMES = {
    "Candidate": "candidates",
    "DesignCampaign": "campaign",
    "DesignTarget": "target",
    "LocalPredictor": "local_update",
    "measured_from_evidence": "measured",
    "read_measured": "measured",
    "suggest": "suggestion",
    "suggest_neighbours": "neighbours",
}
__all__ = sorted(_NAMES)
__getattr__, __dir__ = lazy_names(__name__, _NAMES)
